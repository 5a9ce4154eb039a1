"""Sample Clip and Draw Pose, executed as nodes: what a graph gets from them."""

from pathlib import Path

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.metrics.silhouette import iou, silhouette
from dreamoving.dreamoving_core.preprocess.keypoints import decode_pose_keypoint
from dreamoving.dreamoving_core.procdance.clip import ClipSpec
from dreamoving.dreamoving_core.procdance.render import sample_moment
from dreamoving.dreamoving_core.procdance.sample import OTHER, driven_clip
from dreamoving.dreamoving_core.procdance.scene import draw_scene
from dreamoving.nodes.preprocess import NODES, DreaMovingDrawPose, DreaMovingSampleClip

NAMES = ("driving", "keypoints", "depth", "face", "cloth", "caption", "frame_rate", "truth", "video")
TOLD = NAMES[:-1]  # a video is another file each time
PICTURES = ("driving", "depth", "face", "cloth", "truth")


def sample(**inputs):
    values = {"seed": 7, "frames": 4, "size": 128, "shot": "whole", "style": "soft"} | inputs
    return dict(zip(NAMES, DreaMovingSampleClip.execute(**values).args, strict=True))


def drawn(keypoints, *, width=128, height=128, **inputs):
    return DreaMovingDrawPose.execute(keypoints, width, height, **inputs).args[0]


def spec_of(seed, *, frames=4):
    return ClipSpec(seed=seed, split="held_out", num_frames=frames)


@pytest.fixture(scope="module")
def clip():
    return sample()


def test_every_input_and_output_explains_itself():
    for node in NODES:
        schema = node.define_schema()
        schema.validate()
        for item in (*schema.inputs, *schema.outputs):
            assert item.tooltip
            assert len(item.tooltip) > 10


def test_outputs_are_in_the_order_of_their_names_and_have_their_shapes(clip):
    assert tuple(output.id for output in DreaMovingSampleClip.define_schema().outputs) == NAMES
    for name in ("driving", "depth", "truth"):
        assert clip[name].shape == (4, 128, 128, 3)
    for name in ("face", "cloth"):
        assert clip[name].shape == (1, 64, 64, 3)
    for name in PICTURES:
        assert clip[name].dtype == torch.float32
        assert 0 <= clip[name].min() < clip[name].max() <= 1
    assert len(clip["keypoints"]) == 4
    assert {(frame["canvas_width"], frame["canvas_height"]) for frame in clip["keypoints"]} == {(128, 128)}
    assert isinstance(clip["caption"], str)
    assert len(clip["caption"]) > 10
    assert clip["frame_rate"] == 12.0
    assert clip["video"].get_components().images.shape == (4, 128, 128, 3)


@pytest.mark.parametrize(("size", "reference"), [(64, 64), (256, 128)])
def test_size_is_that_of_the_frames_and_of_the_canvas(size, reference):
    clip = sample(size=size, frames=2)

    assert clip["driving"].shape == clip["depth"].shape == clip["truth"].shape == (2, size, size, 3)
    assert clip["face"].shape == clip["cloth"].shape == (1, reference, reference, 3)
    assert clip["keypoints"][1]["canvas_width"] == size


def grown(mask, *, pixels):
    """A mask `f h w` and its neighbourhood: edges are drawn smoothly and leave their mask a little."""
    size = 2 * pixels + 1
    return torch.nn.functional.max_pool2d(mask[:, None].float(), size, stride=1, padding=pixels)[:, 0].bool()


def shares_on_figure(points, mask):
    """Share of the visible joints `f j 3` inside the picture that lie on the mask `f h w`, or one pixel beside it."""
    near = grown(mask, pixels=1)
    size = mask.shape[-1]
    x, y = points[..., 0].floor().long(), points[..., 1].floor().long()
    seen = (points[..., 2] > 0) & (x >= 0) & (x < size) & (y >= 0) & (y < size)
    frame = torch.arange(len(mask))[:, None].expand_as(x)
    return near[frame[seen], y[seen], x[seen]].float().mean().item(), int(seen.sum())


@pytest.mark.parametrize("seed", [7, 1000, 1001])
def test_the_poses_lie_on_the_figure_of_the_truth(seed):
    pose = decode_pose_keypoint(sample(seed=seed)["keypoints"])
    mask = driven_clip(spec_of(seed)).truth.mask

    share, count = shares_on_figure(pose.body[:, 0], mask)

    assert pose.body.shape[1] == 1
    assert count >= 4 * 14
    assert share >= 0.97
    mirrored = pose.body[:, 0] * torch.tensor([-1.0, 1, 1]) + torch.tensor([127.0, 0, 0])
    assert shares_on_figure(mirrored, mask)[0] < share


def silhouette_of_driving(seed, driving):
    scene = sample_moment(seed + OTHER, "held_out").scene
    return silhouette(driving, draw_scene(scene, style=0, size=128))


@pytest.mark.parametrize("seed", [7, 1000])
def test_the_driving_clip_shows_somebody_else_somewhere_else_in_the_same_poses(seed):
    clip, truth = sample(seed=seed), driven_clip(spec_of(seed)).truth
    other_dance = sample(seed=seed, dance_seed=seed + 1)

    danced = silhouette_of_driving(seed, clip["driving"])
    same_poses = iou(danced, truth.mask)
    other_poses = iou(silhouette_of_driving(seed, other_dance["driving"]), truth.mask)

    assert torch.equal(clip["truth"], truth.images)
    assert same_poses > 0.75
    assert other_poses < same_poses - 0.2
    both = danced & truth.mask
    assert (clip["driving"] - clip["truth"])[both].abs().mean() > 0.1
    neither = ~(danced | truth.mask)
    assert (clip["driving"] - clip["truth"])[neither].abs().mean() > 0.05


def test_depth_is_nearest_on_the_figure_and_nothing_behind_it(clip):
    mask = driven_clip(spec_of(7)).truth.mask

    assert clip["depth"][mask].min() > 0
    assert clip["depth"][~grown(mask, pixels=2)].max() == 0
    assert clip["depth"][mask].mean() > 0.3
    assert torch.equal(clip["depth"][..., 0], clip["depth"][..., 2])


def same(one, other, names):
    return all(
        torch.equal(one[n], other[n]) if isinstance(one[n], torch.Tensor) else one[n] == other[n]
        for n in names
    )


def test_the_same_seed_gives_the_same_clip_and_another_seed_another(clip):
    assert same(clip, sample(), TOLD)
    other = sample(seed=8)
    for name in (*PICTURES, "keypoints"):
        assert not same(clip, other, (name,)), name


def test_no_other_driving_clip_takes_the_place_of_one_that_is_read_later():
    mine = sample(seed=1, frames=2)["video"]
    wanted = mine.get_components().images
    # another ComfyUI with the same temp folder empties it when it starts
    Path(mine.get_stream_source()).unlink()

    theirs = sample(seed=2, frames=2)["video"]

    assert theirs.get_stream_source() != mine.get_stream_source()
    assert not torch.equal(theirs.get_components().images, wanted)
    with pytest.raises(FileNotFoundError):
        mine.get_components()


def test_another_dance_leaves_person_clothes_scene_and_references(clip):
    other = sample(dance_seed=8)

    assert same(clip, other, ("face", "cloth", "caption", "frame_rate"))
    assert not same(clip, other, ("keypoints",))
    assert not same(clip, other, ("truth",))
    mine = driven_clip(spec_of(7)).truth
    theirs = driven_clip(ClipSpec(seed=7, split="held_out", num_frames=4, dance_seed=8)).truth
    assert torch.equal(theirs.images, other["truth"])
    assert mine.attributes == theirs.attributes
    behind = ~(mine.mask | theirs.mask)
    equal = (clip["truth"] == other["truth"]).all(dim=-1)[behind]
    assert equal.float().mean() > 0.95  # all but smooth edges and the shadow on the floor


def test_its_own_dance_seed_is_the_dance_of_the_seed(clip):
    assert same(clip, sample(dance_seed=7), TOLD)


def test_more_frames_leave_the_first_ones_as_they_were(clip):
    short = sample(frames=1)

    assert short["truth"].shape[0] == len(short["keypoints"]) == 1
    for name in ("driving", "depth", "truth"):
        assert torch.equal(short[name], clip[name][:1])
    assert short["keypoints"] == clip["keypoints"][:1]
    assert drawn(short["keypoints"]).shape == (1, 128, 128, 3)


@pytest.mark.parametrize(
    "change", [{"style": "outlined"}, {"shot": "half"}, {"shot": "face"}, {"split": "train"}]
)
def test_style_shot_and_split_change_the_truth(clip, change):
    assert not same(clip, sample(**change), ("truth",))


@pytest.mark.parametrize(("width", "height"), [(64, 64), (96, 160), (512, 512)])
def test_poses_are_drawn_at_any_size_in_the_same_place(clip, width, height):
    poses = drawn(clip["keypoints"], width=width, height=height)

    assert poses.shape == (4, height, width, 3)
    lit = (poses.amax(dim=-1) > 0.1).nonzero().float()
    square = (drawn(clip["keypoints"]).amax(dim=-1) > 0.1).nonzero().float()
    centre = lit[:, 1:].mean(dim=0) / torch.tensor([height, width])
    expected = square[:, 1:].mean(dim=0) / 128
    assert (centre - expected).abs().max() < 0.04


def test_parts_can_be_left_out(clip):
    everything = drawn(clip["keypoints"])

    body = drawn(clip["keypoints"], hands=False, face=False)
    nothing = drawn(clip["keypoints"], body=False, hands=False, face=False)

    assert nothing.max() == 0
    assert 0 < (body > 0).sum() < (everything > 0).sum()


def test_thicker_sticks_cover_more(clip):
    covered = [
        (drawn(clip["keypoints"], hands=False, face=False, stick_width=width) > 0).sum() for width in (1, 4)
    ]

    assert covered[0] < covered[1]


@pytest.mark.parametrize(
    ("keypoints", "said"),
    [
        ([], r"at least 1 frame"),
        (None, r"one entry per frame, got NoneType"),
        ([{"people": []}], r"Frame 0 .* lacks canvas_width and canvas_height"),
        (["nonsense"], r"Frame 0 .* lacks people"),
        (
            [{"canvas_width": 8, "canvas_height": 8, "people": [{"pose_keypoints_2d": [1.0] * 51}]}],
            r"Expected 18 points \(54 numbers\) in frame 0, person 0, pose_keypoints_2d, got 51",
        ),
    ],
)
def test_keypoints_that_are_none_are_refused_in_words(keypoints, said):
    with pytest.raises(InputError, match=said):
        drawn(keypoints)


def test_a_frame_without_people_is_black():
    poses = drawn([{"canvas_width": 128, "canvas_height": 128, "people": []}])

    assert poses.shape == (1, 128, 128, 3)
    assert poses.max() == 0
