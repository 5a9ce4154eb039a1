"""Whether a shard is of this very clip and of these very networks is told by content, not by names."""

import os

import pytest
import torch
from dreamoving.dreamoving_core.bridge.trainable_sd15 import FrozenEncoders
from dreamoving.dreamoving_core.preprocess.face_identity import FaceRecogniser
from dreamoving.dreamoving_core.training import shards
from dreamoving.dreamoving_core.training.shards import END, Marks, Shards, ShardWriter, clip_print


class OneVae:
    """Encoders of which nothing is asked but who they are."""

    def fingerprint(self, part):
        return f"this {part}"


def clip_of(path, *, head=0, tail=0):
    """Three MiB whose first and last byte are known."""
    content = bytearray(3 * END)
    content[0], content[-1] = head, tail
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("other", [{"head": 1}, {"tail": 1}])
def test_latents_of_another_clip_of_the_same_name_and_size_are_not_taken(tmp_path, other):
    marks, clip = Marks(OneVae()), clip_of(tmp_path / "a.mp4")
    writer = ShardWriter(tmp_path)
    writer.add("a", {"latents.64": torch.ones(2, 3)}, {"latents.64": marks.latents(clip)})
    writer.pack(rest=True)
    kept = Shards(tmp_path)
    assert torch.equal(kept.read("a/latents.64", marks.latents(clip)), torch.ones(2, 3))

    clip_of(clip, **other)
    os.utime(clip, (1, 1))  # file systems count time in steps of milliseconds

    assert kept.read("a/latents.64", Marks(OneVae()).latents(clip)) is None
    assert kept.read("a/latents.64", marks.latents(clip)) is None  # nor in a run that has seen the first one


def test_a_clip_that_moved_is_still_the_same_and_a_short_file_counts_whole(tmp_path):
    (tmp_path / "moved").mkdir()

    assert clip_print(clip_of(tmp_path / "a.mp4")) == clip_print(clip_of(tmp_path / "moved" / "b.mp4"))
    (tmp_path / "short.mp4").write_bytes(b"one")
    (tmp_path / "other.mp4").write_bytes(b"two")
    assert clip_print(tmp_path / "short.mp4") != clip_print(tmp_path / "other.mp4")


def test_a_clip_that_every_step_draws_is_read_once(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(shards, "clip_print", lambda clip: read.append(clip) or "print")
    marks, clip = Marks(OneVae()), clip_of(tmp_path / "a.mp4")

    assert marks.latents(clip) == marks.latents(clip)
    assert read == [clip]


def test_a_shard_from_before_marks_held_content_is_old_and_no_error(tmp_path):
    clip = clip_of(tmp_path / "a.mp4")
    writer = ShardWriter(tmp_path)
    writer.add("a", {"latents.64": torch.ones(2, 3)}, {"latents.64": f"this vae {clip.stat().st_size}"})
    writer.pack(rest=True)

    assert Shards(tmp_path).read("a/latents.64", Marks(OneVae()).latents(clip)) is None


def test_identities_of_another_recogniser_in_a_folder_of_the_same_name_are_not_taken(tmp_path):
    (tmp_path / "face.png").write_bytes(b"a picture")

    def mark(content):
        pack = FaceRecogniser(name="buffalo_l", space="", detector=None, recogniser=None, content=content)
        encoders = FrozenEncoders(base=None, clip=None, vae=None, recogniser=pack)
        return Marks(encoders).identity(tmp_path / "face.png")

    assert mark("one") == mark("one")
    assert mark("one") != mark("another")
