import dataclasses
from itertools import pairwise

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.procdance.clip import ClipSpec, moments, render_clip
from dreamoving.dreamoving_core.procdance.dance import pose_at, sample_dance
from dreamoving.dreamoving_core.procdance.skeleton import build_body, keypoints_133


@pytest.fixture(scope="module")
def clip():
    return render_clip(ClipSpec(seed=7, num_frames=8, split="held_out"))


def test_equal_specs_give_equal_clips(clip):
    again = render_clip(ClipSpec(seed=7, num_frames=8, split="held_out"))

    assert torch.equal(clip.images, again.images)
    assert torch.equal(clip.face_reference, again.face_reference)
    assert torch.equal(clip.cloth_reference, again.cloth_reference)
    assert clip.attributes == again.attributes
    assert clip.caption == again.caption == clip.captions[5]


def test_a_longer_clip_begins_with_the_shorter_one(clip):
    longer = render_clip(ClipSpec(seed=7, num_frames=10, split="held_out"))

    assert torch.equal(longer.images[:8], clip.images)


def test_references_are_square_pictures_of_half_the_clips_size(clip):
    large = render_clip(ClipSpec(seed=7, num_frames=1, size=256))

    assert clip.face_reference.shape == clip.cloth_reference.shape == (64, 64, 3)
    assert large.face_reference.shape == (128, 128, 3)


def test_another_dance_keeps_the_person_the_clothes_and_the_scene(clip):
    other = render_clip(dataclasses.replace(clip.spec, dance_seed=8))

    assert other.attributes == clip.attributes
    assert other.caption == clip.caption
    assert torch.equal(other.face_reference, clip.face_reference)
    assert (other.keypoints - clip.keypoints)[..., :2].abs().mean() > 1.5


def test_true_colours_are_those_of_the_drawn_parts(clip):
    for label, part in ((1, "skin"), (2, "hair")):
        drawn = clip.images[clip.labels == label].median(dim=0).values

        assert (drawn - torch.tensor(clip.attributes[part])).abs().max() < 0.15


def test_a_dance_moves_and_never_jumps():
    for seed in range(20):
        frames = moments(ClipSpec(seed=seed, num_frames=96))
        pose = pose_at([frame.dance for frame in frames], [frame.time for frame in frames])
        body = build_body([frame.person for frame in frames], pose, ["whole"] * 96, size=128)
        points = keypoints_133(body, size=128)[:, :17, :2]

        step = (points[1:] - points[:-1]).norm(dim=-1)

        assert step.mean() > 0.7
        assert step.max() < 24


def test_a_foot_on_the_ground_stays_where_it_stands():
    dances = [sample_dance(seed, "train") for seed in range(40)]
    for time in (0.3, 1.1, 2.6):
        now = pose_at(dances, [time] * 40).feet
        later = pose_at(dances, [time + 1e-4] * 40).feet
        grounded = (now[..., 1] < 1e-12) & (later[..., 1] < 1e-12)
        stepping = torch.tensor([dance.lift > 0 for dance in dances])[:, None]

        slid = (later - now)[..., 0].abs()

        assert grounded[stepping.expand_as(grounded)].any()
        assert slid[grounded & stepping].max() < 1e-9


def test_a_face_shot_opens_the_mouth_blinks_and_raises_the_brows():
    keypoints = render_clip(ClipSpec(seed=2, shot="face", num_frames=36)).keypoints[..., :2]
    jaw = (keypoints[:, 23 + 8] - keypoints[:, 23 + 27]).norm(dim=-1)  # head size in the picture

    def spread(first: int, second: int) -> torch.Tensor:
        return (keypoints[:, 23 + first] - keypoints[:, 23 + second]).norm(dim=-1) / jaw

    mouth, eye, brow = spread(62, 66), spread(37, 41), spread(19, 37)
    assert mouth.min() < 0.02
    assert mouth.max() > 0.08
    assert eye.min() < 0.4 * eye.max()
    assert brow.max() - brow.min() > 0.02


def test_frames_follow_each_other_at_the_frame_rate():
    frames = moments(ClipSpec(seed=1, num_frames=3, fps=10.0))

    assert [round(b.time - a.time, 9) for a, b in pairwise(frames)] == [0.1, 0.1]
    assert frames[0].step == 0.1


def test_a_clip_without_frames_is_refused_in_words():
    with pytest.raises(InputError, match="at least 1 frame and a positive frame rate, got 0 at 12"):
        moments(ClipSpec(seed=1, num_frames=0))
