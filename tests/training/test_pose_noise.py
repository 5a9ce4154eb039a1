"""Poses that tremble and drop out as extracted ones do, in folders and in drawn sets alike."""

import json

import pytest
import torch
from dreamoving.dreamoving_core.preprocess.draw_pose import draw_keypoints
from dreamoving.dreamoving_core.preprocess.pose_clip import LEFT_HAND, LEFT_KNEE, LEFT_WRIST, NUM_JOINTS
from dreamoving.dreamoving_core.procdance.clip import ClipSpec, render_clip
from dreamoving.dreamoving_core.training.batches import Batches
from dreamoving.dreamoving_core.training.dances import as_bytes
from dreamoving.dreamoving_core.training.folder_source import FolderSource
from dreamoving.dreamoving_core.training.pose_noise import JITTER, LASTS, drawn, missing, noisy, wandering
from dreamoving.dreamoving_core.training.rendering import clip_moments, draw_set, pose_points
from dreamoving.dreamoving_core.training.stages import VIDEO_CONTROL, changed
from dreamoving.dreamoving_core.training.stages_sd15 import STAGES
from dreamoving.dreamoving_core.video.encode import encode_video
from einops import rearrange


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def points(frames=64, people=1):
    found = torch.rand(frames, people, NUM_JOINTS, 3, generator=generator(9)) * 100
    found[..., 2] = 1.0
    return found


def test_without_noise_points_are_what_they_were():
    assert noisy(points(), height=100, jitter=0.0, dropout=0.0, generator=generator()) is not None
    assert torch.equal(noisy(points(), height=100, jitter=0.0, dropout=0.0, generator=generator()), points())


def test_joints_wander_as_far_and_as_slowly_as_measured():
    before = points(frames=4000)

    shift = (noisy(before, height=200, jitter=JITTER, dropout=0.0, generator=generator()) - before)[..., :2]

    body = shift[:, 0, :18] / 200
    assert float(body.square().sum(-1).mean().sqrt()) == pytest.approx(JITTER, rel=0.03)
    alike = [float((body[k:] * body[:-k]).mean() / body.square().mean()) for k in (1, 2, 4)]
    assert alike == pytest.approx([0.87, 0.56, 0.10], abs=0.03)  # extracted and cleaned: 0.83, 0.57, 0.13
    second = body[2:] - 2 * body[1:-1] + body[:-2]
    assert float(second.square().sum(-1).mean().sqrt()) == pytest.approx(0.0070, rel=0.1)


def test_a_hand_goes_with_its_wrist():
    moved = wandering(500, 1, generator())[:, 0]

    hand, wrist, knee = moved[:, LEFT_HAND].mean(dim=1), moved[:, LEFT_WRIST], moved[:, LEFT_KNEE]

    assert float((hand - wrist).square().mean()) < 0.02
    assert float((hand - knee).square().mean()) > 1.0


@pytest.mark.parametrize("share", [0.02, 0.2])
def test_drop_outs_take_their_share_in_runs(share):
    gone = missing(20000, 1, share, generator())[:, 0, LEFT_KNEE]

    begins = int((gone[1:] & ~gone[:-1]).sum())
    assert float(gone.float().mean()) == pytest.approx(share, rel=0.25)
    assert int(gone.sum()) / begins == pytest.approx(LASTS, rel=0.25)


def test_what_is_missing_stays_missing():
    before = points()
    before[:, :, 5] = 0

    after = noisy(before, height=100, jitter=0.05, dropout=0.1, generator=generator())

    assert not after[:, :, 5].any()
    assert not after[after[..., 2] == 0].any()


def test_drawn_points_are_the_pictures_of_the_set():
    clip = render_clip(ClipSpec(seed=3, num_frames=3, shot="whole"))
    moments = clip_moments(10, num_frames=2)  # 10 is a whole shot

    pictures = drawn(pose_points([moments])[0][:, None], width=128, height=128)

    assert torch.equal(as_bytes(rearrange(pictures, "f h w c -> f c h w")), draw_set([moments], [10]).pose[0])
    assert clip.images.shape[0] == 3


def batches(**settings):
    stage = changed(VIDEO_CONTROL, {"frames": 3, "controls": ["pose"], **settings})
    clips = [clip_moments(seed, num_frames=3) for seed in (10, 20)]
    dances = draw_set(clips, [10, 20])
    poses = pose_points(clips) if settings else None
    return dances, Batches(dances, stage, latents=torch.zeros(2, 3, 4, 16, 16), features={}, poses=poses)


def test_a_drawn_set_trembles_where_the_stage_says_so_and_repeats_by_its_seed():
    dances, plain = batches()
    _, trembling = batches(pose_jitter=0.03, pose_dropout=0.1)

    def control(source, seed):
        return source(0, [generator(seed)])[0].control

    still = control(plain, 1)
    assert any(torch.equal(still[0], pose) for pose in dances.pose)
    assert not torch.equal(control(trembling, 1), still)
    assert torch.equal(control(trembling, 1), control(trembling, 1))
    assert not torch.equal(control(trembling, 1), control(trembling, 3))
    assert torch.equal(plain(0, [generator(1)])[0].caption, trembling(0, [generator(1)])[0].caption)


def test_a_short_step_draws_the_poses_of_its_frames():
    stage = changed(VIDEO_CONTROL, {"frames": 3, "lengths": [2], "controls": ["pose"], "pose_jitter": 0.0})
    stage = changed(stage, {"pose_dropout": 0.0})
    clips = [clip_moments(10, num_frames=3)]
    dances, numbers = draw_set(clips, [10]), torch.arange(3.0).reshape(1, 3, 1, 1, 1)
    source = Batches(dances, stage, latents=numbers, features={}, poses=pose_points(clips))
    starts = set()

    for seed in range(8):
        batch, _ = source(0, [generator(seed)])
        start = int(batch.latents[0, 0])
        starts.add(start)

        assert torch.equal(batch.control[0], dances.pose[0, start : start + 2])
    assert starts == {0, 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One dance with its points beside it, twice as wide as high."""
    from dreamoving.dreamoving_core.preprocess.keypoints import encode_pose_keypoint

    folder = tmp_path_factory.mktemp("points")
    clip = render_clip(ClipSpec(seed=1, num_frames=4, size=128))
    wide = torch.cat([clip.images, clip.images.flip(2)], dim=2)
    encode_video(folder / "x", wide, format="png sequence", frame_rate=8)
    (folder / "x.txt").write_text("a dance")
    frames = encode_pose_keypoint(clip.keypoints, width=256, height=128)
    (folder / "x.pose.json").write_text(json.dumps(frames))
    return folder, clip


def source(folder, **settings):
    stage = changed(STAGES["video_control"], {"frames": 4, "size": 128, **settings})
    return FolderSource(folder, stage, encoders=None, guider=None)


def test_points_in_a_folder_are_drawn_in_the_square_that_the_clip_shows(folder):
    folder, clip = folder
    still = source(folder, pose_jitter=0.0, pose_dropout=0.0)

    seen = still.look(still.items[0], "pose", generator())

    moved = clip.keypoints.clone()
    moved[..., 0] -= 64  # the middle square of 256 x 128
    assert torch.equal(seen.control, draw_keypoints(moved, width=128, height=128))
    assert seen.pictures.shape == seen.control.shape == (4, 128, 128, 3)


def test_a_short_step_reads_fewer_frames_of_a_folders_clip(folder):
    turns = source(folder[0], lengths=[4, 2])

    long, short = (turns.look(turns.items[0], "pose", generator(), step=step) for step in (0, 1))

    assert long.pictures.shape == long.control.shape == (4, 128, 128, 3)
    assert short.pictures.shape == short.control.shape == (2, 128, 128, 3)


def test_points_in_a_folder_tremble_by_the_papers_presets_and_the_pictures_stay(folder):
    folder, _ = folder
    still, trembling = source(folder, pose_jitter=0.0, pose_dropout=0.0), source(folder)

    one, other = (s.look(s.items[0], "pose", generator(4)) for s in (still, trembling))

    assert STAGES["video_control"].pose_jitter == STAGES["expression"].pose_jitter == JITTER
    assert torch.equal(one.pictures, other.pictures)
    assert not torch.equal(one.control, other.control)


def test_drawn_pose_pictures_are_told_to_stay_as_they_are(folder, tmp_path, caplog):
    caplog.set_level("INFO")
    clip = folder[1]
    for name in ("y", "y.pose"):
        encode_video(tmp_path / name, clip.images, format="png sequence", frame_rate=8)
    (tmp_path / "y.txt").write_text("a dance")
    trembling = source(tmp_path)

    for _ in range(2):
        trembling.look(trembling.items[0], "pose", generator())

    assert caplog.text.count("without jitter") == 1
