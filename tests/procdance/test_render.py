import dataclasses
import random

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.procdance.dance import pose_at
from dreamoving.dreamoving_core.procdance.parts import EYES, LABELS, MOUTH
from dreamoving.dreamoving_core.procdance.render import (
    Frames,
    render_frames,
    render_references,
    sample_moment,
)
from dreamoving.dreamoving_core.procdance.skeleton import build_body

TENSORS = [field.name for field in dataclasses.fields(Frames) if field.name != "captions"]


def mixed_moments():
    shots = ("whole", "half", "face")
    return [
        sample_moment(seed, "train" if seed % 2 else "held_out", shot=shots[seed % 3], style=seed // 3 % 2)
        for seed in range(12)
    ]


def still_moment(seed: int, **more):
    return sample_moment(seed, "train", time=1.0, **more)


def test_the_same_seed_gives_the_same_pixels_whatever_the_global_generators_did():
    torch.manual_seed(1)
    random.seed(1)
    first = render_frames([sample_moment(5, "train")], size=96)
    torch.manual_seed(2)
    random.seed(2)
    state = torch.random.get_rng_state(), random.getstate()

    second = render_frames([sample_moment(5, "train")], size=96)

    assert all(torch.equal(getattr(first, name), getattr(second, name)) for name in TENSORS)
    assert torch.equal(torch.random.get_rng_state(), state[0])
    assert random.getstate() == state[1]


@pytest.mark.parametrize("name", TENSORS)
def test_a_frame_rendered_alone_equals_the_frame_rendered_in_a_batch(name, batch_and_singles):
    together, alone = batch_and_singles

    for i, single in enumerate(alone):
        assert torch.equal(getattr(together, name)[i], getattr(single, name)[0]), f"frame {i}"


@pytest.fixture(scope="module")
def batch_and_singles():
    moments = mixed_moments()
    return render_frames(moments), [render_frames([moment]) for moment in moments]


def test_frames_have_the_promised_shapes_types_and_ranges(batch_and_singles):
    frames, _ = batch_and_singles

    assert frames.images.shape == (12, 128, 128, 3)
    assert frames.keypoints.shape == (12, 133, 3)
    assert frames.depth.shape == frames.labels.shape == frames.mask.shape == (12, 128, 128)
    assert frames.flow.shape == (12, 128, 128, 2)
    assert frames.images.min() >= 0
    assert frames.images.max() <= 1
    assert torch.equal(frames.images, (frames.images * 255).round() / 255)
    assert frames.labels.dtype == torch.uint8
    assert int(frames.labels.max()) < len(LABELS)
    assert torch.equal(frames.mask, frames.labels > 0)
    assert len(frames.captions) == 12


def test_a_dancer_in_a_whole_body_shot_fills_the_frame():
    mask = render_frames([sample_moment(seed) for seed in range(48)], flow=False).mask

    rows = mask.any(dim=2).float()
    top, bottom = rows.argmax(dim=1), 128 - rows.flip(1).argmax(dim=1)

    assert ((bottom - top) / 128).mean() > 0.82
    assert (bottom <= 127).all()
    assert ((bottom - top) / 128).min() > 0.7


def test_visible_keypoints_lie_on_the_drawn_person(batch_and_singles):
    frames, _ = batch_and_singles
    x, y, seen = frames.keypoints.unbind(dim=-1)
    # half a pixel of tolerance: finger tips and jaw lie on the outline
    padded = torch.nn.functional.max_pool2d(frames.mask[:, None].float(), 3, 1, 1)[:, 0] > 0

    for i in range(len(seen)):
        at = seen[i] > 0
        assert padded[i, y[i, at].long(), x[i, at].long()].float().mean() > 0.98


def test_face_keypoints_lie_on_the_drawn_features():
    frames = render_frames([sample_moment(seed, shot="face") for seed in range(24)], flow=False, size=192)
    hits = []
    for label, columns in ((EYES, range(59, 71)), (MOUTH, range(71, 91))):
        near = torch.nn.functional.max_pool2d((frames.labels == label)[:, None].float(), 3, 1, 1)[:, 0] > 0
        points = frames.keypoints[:, list(columns), :2].long()
        hits.append(near[torch.arange(24)[:, None], points[..., 1], points[..., 0]].float().mean())

    assert min(hits) > 0.93  # an arm or hair may pass before a face


def test_points_outside_the_frame_are_invisible_and_those_inside_are_not():
    keypoints = render_frames([sample_moment(seed, shot="half") for seed in range(12)], flow=False).keypoints
    inside = ((keypoints[..., :2] >= 0) & (keypoints[..., :2] < 128)).all(dim=-1)

    assert torch.equal(keypoints[..., 2] > 0, inside)
    assert (keypoints[:, 15:17, 2] == 0).all()  # ankles
    assert (keypoints[:, 0, 2] == 1).all()  # nose


def test_left_points_belong_to_the_dancers_left_side():
    points = render_frames([sample_moment(seed) for seed in range(8)], flow=False).keypoints[..., :2]
    face = points[:, 23:91]

    assert torch.equal(points[:, 9], points[:, 91])  # left wrist, left hand's root
    assert torch.equal(points[:, 10], points[:, 112])
    for left, right in ((1, 2), (3, 4), (5, 6), (11, 12), (17, 20)):  # the dancer looks at us
        assert (points[:, left, 0] > points[:, right, 0]).all()
    for left, right in ((45, 36), (26, 17), (54, 48), (16, 0)):  # 68 points run from the picture's left
        assert (face[:, left, 0] > face[:, right, 0]).all()


def test_the_background_depends_on_the_caption_alone():
    first = still_moment(1)
    second = dataclasses.replace(still_moment(2), scene=first.scene)
    third = dataclasses.replace(first, scene=dataclasses.replace(first.scene, light="night", place="room"))

    frames = render_frames([first, second, third], flow=False)
    empty = torch.nn.functional.max_pool2d(frames.mask.any(dim=0)[None, None].float(), 9, 1, 4)[0, 0] == 0
    empty[100:] = False  # the shadow on the ground

    assert frames.captions[0] == frames.captions[1] != frames.captions[2]
    assert torch.equal(frames.images[0][empty], frames.images[1][empty])
    assert (frames.images[0][empty] - frames.images[2][empty]).abs().mean() > 0.1


def test_depth_is_zero_behind_the_person_and_follows_the_joints_in_front():
    moments = [sample_moment(seed) for seed in range(32)]
    frames = render_frames(moments, flow=False)
    pose = pose_at([m.dance for m in moments], [m.time for m in moments])
    wrists = build_body([m.person for m in moments], pose, ["whole"] * 32, size=128).wrists
    grown = torch.nn.functional.max_pool2d(frames.mask[:, None].float(), 5, 1, 2)[:, 0] > 0
    x, y = wrists[..., 0].long().clamp(0, 127), wrists[..., 1].long().clamp(0, 127)

    drawn = frames.depth[torch.arange(32)[:, None], y, x]

    assert (frames.depth[~grown] == 0).all()
    assert ((drawn - wrists[..., 2]).abs() < 0.06).float().mean() > 0.85  # some are hidden
    assert wrists[..., 2].std() > 0.08


def test_flow_carries_the_picture_to_the_next_frame():
    now = [sample_moment(seed, time=2.0) for seed in range(24)]
    later = [dataclasses.replace(moment, time=moment.time + moment.step) for moment in now]
    first, second = render_frames(now), render_frames(later, flow=False)
    centres = torch.arange(128.0) + 0.5
    grid = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), dim=-1) + first.flow

    warped = torch.nn.functional.grid_sample(
        second.images.permute(0, 3, 1, 2), grid / 64 - 1, align_corners=False
    )

    error = (warped.permute(0, 2, 3, 1) - first.images).abs()[first.mask].mean()
    still = (second.images - first.images).abs()[first.mask].mean()
    assert error < 0.4 * still
    assert (first.flow[~first.mask] == 0).all()


def test_flow_at_a_joint_is_the_movement_of_its_keypoint():
    moments = [sample_moment(seed, time=2.0) for seed in range(32)]
    now = render_frames(moments)
    later = render_frames([dataclasses.replace(m, time=m.time + m.step) for m in moments], flow=False)
    joints = [7, 8, 9, 10, 13, 14]  # elbows, wrists, knees
    places = now.keypoints[:, joints, :2].long().clamp(0, 127)

    flow = now.flow[torch.arange(32)[:, None], places[..., 1], places[..., 0]]

    moved = later.keypoints[:, joints, :2] - now.keypoints[:, joints, :2]
    difference = (flow - moved).norm(dim=-1).flatten()
    assert difference.quantile(0.8) < 0.8  # the rest is hidden by another part
    assert moved.norm(dim=-1).mean() > 1.5


def test_the_face_reference_shows_the_person_whatever_they_wear():
    moment, other = sample_moment(3), sample_moment(4)

    own, _ = render_references([moment.person], [moment.clothes], seeds=[3])
    dressed_otherwise, _ = render_references([moment.person], [other.clothes], seeds=[3])
    somebody_else, _ = render_references([other.person], [moment.clothes], seeds=[3])

    assert torch.equal(own, dressed_otherwise)
    assert (own - somebody_else).abs().mean() > 0.05


def test_the_clothes_reference_shows_the_clothes_whoever_wears_them():
    moment, other = sample_moment(3), sample_moment(4)
    faces = {
        name: getattr(other.person, name)
        for name in ("skin", "hair", "hair_style", "eyes", "glasses", "part")
    }

    _, own = render_references([moment.person], [moment.clothes], seeds=[3])
    _, other_face = render_references(
        [dataclasses.replace(moment.person, **faces)], [moment.clothes], seeds=[3]
    )
    _, other_clothes = render_references([moment.person], [other.clothes], seeds=[3])

    assert torch.equal(own, other_face)
    assert (own - other_clothes).abs().mean() > 0.02


def test_the_cartoon_style_draws_darker_outlines():
    frames = render_frames([still_moment(6, style=0), still_moment(6, style=1)], flow=False)

    assert frames.mask[1].sum() > frames.mask[0].sum() * 1.1  # the outline belongs to the person
    assert torch.equal(frames.keypoints[0], frames.keypoints[1])


def test_an_unknown_shot_style_split_or_size_is_refused_in_words():
    with pytest.raises(InputError, match=r"The shot must be one of whole, half, face.*got 'feet'"):
        render_frames([sample_moment(1, shot="feet")])
    with pytest.raises(InputError, match="The drawing style must be 0 or 1, got 2"):
        render_frames([sample_moment(1, style=2)])
    with pytest.raises(InputError, match="The split must be one of train, held_out, got 'test'"):
        sample_moment(1, "test")
    with pytest.raises(InputError, match="at least 1 moment at 16 pixels or more, got 0 at 128"):
        render_frames([])
