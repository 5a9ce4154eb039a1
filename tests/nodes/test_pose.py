"""The pose tools, executed as nodes, and their result in core's Wan-Animate and SCAIL nodes."""

import json
import os
import sys

import folder_paths
import numpy as np
import pytest
import torch
from dreamoving.benchmarks.wan_stand_ins import random_wan_vae
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.preprocess.pose_clip import LEFT_WRIST, PoseClip, read_clip, write_clip
from dreamoving.nodes.pose import (
    NODES,
    CleanPose,
    CropPose,
    FitPose,
    MirrorPose,
    ReadPose,
    ResamplePose,
    TrackPerson,
)
from dreamoving.nodes.preprocess import DreaMovingDrawPose
from PIL import Image
from pose_figures import dancing, pose_pairs, standing

FRAMES = 9
# Every node that keeps the frames, with what it needs beside the poses
KEEPING = {
    TrackPerson: {},
    CleanPose: {},
    FitPose: {"reference": write_clip(standing(height=300))},
    MirrorPose: {},
    CropPose: {},
}


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    for name in ("temp", "input"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(folder_paths, f"{name}_directory", str(tmp_path / name))
    return tmp_path


@pytest.fixture(scope="module")
def dance() -> list[dict]:
    return write_clip(dancing(2, frames=FRAMES))


def run(node, *args, **inputs):
    """The node through ComfyUI's own clone of the class, which its previews need."""
    return node.execute(*args, **inputs)


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.__name__)
def test_every_input_and_output_explains_itself(node):
    schema = node.define_schema()
    schema.validate()

    assert schema.node_id == f"DreaMoving{node.__name__}"
    assert all(len(item.tooltip) > 10 for item in (*schema.inputs, *schema.outputs))


@pytest.mark.parametrize("node", KEEPING, ids=lambda node: node.__name__)
def test_frame_n_in_is_frame_n_out(node, dance):
    """Frame 4 is marked by a wrist that only it lacks; everything that could restore it is off."""
    points = dancing(2, frames=FRAMES).points
    points[4, :, LEFT_WRIST] = 0
    off = {"smoothing": 0, "gaps": 0, "outliers": 0.0} if node is CleanPose else {}
    marked = 4 if node is MirrorPose else LEFT_WRIST  # there it is the right wrist now

    keypoints = run(
        node, write_clip(PoseClip(points=points, width=512, height=512)), **KEEPING[node], **off
    ).args[0]

    seen = read_clip(keypoints).seen
    assert len(keypoints) == FRAMES
    assert (~seen[:, 0, marked]).tolist() == [frame == 4 for frame in range(FRAMES)]


@pytest.mark.parametrize("node", KEEPING, ids=lambda node: node.__name__)
def test_one_frame_goes_through(node, dance):
    assert len(run(node, dance[:1], **KEEPING[node]).args[0]) == 1


@pytest.mark.parametrize("node", [*KEEPING, ResamplePose], ids=lambda node: node.__name__)
def test_inputs_are_left_as_they_were(node, dance):
    before = json.dumps(dance)

    run(node, dance, **KEEPING.get(node, {}))

    assert json.dumps(dance) == before


@pytest.mark.parametrize("node", [TrackPerson, CropPose, FitPose], ids=lambda n: n.__name__)
def test_nobody_is_told_in_words(node):
    nobody = [{"canvas_width": 320, "canvas_height": 240, "people": []}] * 3

    with pytest.raises(InputError, match=r"No person was found in .* \(3 frames, 320 x 240 pixels\)"):
        run(node, nobody, **KEEPING[node])


@pytest.mark.parametrize("node", [CleanPose, MirrorPose, ResamplePose], ids=lambda n: n.__name__)
def test_where_nobody_is_needed_empty_frames_stay_empty(node):
    nobody = [{"canvas_width": 320, "canvas_height": 240, "people": []}] * 30

    keypoints = run(node, nobody).args[0]

    assert len(keypoints) == (12 if node is ResamplePose else 30)
    assert not any(frame["people"] for frame in keypoints)


def three() -> list[dict]:
    people = [
        standing(frames=4, height=height, x=x).points for height, x in ((150, 60), (400, 250), (200, 450))
    ]
    return write_clip(PoseClip(points=np.concatenate(people, axis=1), width=512, height=512))


def test_of_three_people_one_is_tracked_and_the_number_is_told():
    keypoints, people = run(TrackPerson, three(), who="leftmost").args

    assert people == 3
    np.testing.assert_allclose(
        read_clip(keypoints).points, standing(frames=4, height=150, x=60).points, atol=1e-3
    )


def test_of_three_people_fit_takes_the_largest_and_says_so():
    keypoints, _, warnings, scale = run(FitPose, three(), write_clip(standing())).args

    assert [len(frame["people"]) for frame in keypoints] == [1] * 4
    assert scale == pytest.approx(1.0, abs=1e-3)
    assert "3 people were found in the dance" in warnings


def test_fit_gives_the_overlay_on_the_references_canvas_and_its_words():
    pair = pose_pairs.make_pair(3, frames=5, damage="reference without legs")
    image = torch.rand(1, 333, 222, 3)

    result = run(FitPose, write_clip(pair.dance), write_clip(pair.reference), image=image)
    keypoints, overlay, warnings, scale = result.args

    assert overlay.shape == (1, pair.reference.height, pair.reference.width, 3)
    assert keypoints[0]["canvas_width"] == pair.reference.width
    assert "shows no legs" in warnings
    assert scale > 0
    assert result.ui["text"] == (warnings,)
    assert len(result.ui["images"]) == 1


def test_fit_off_passes_the_dance_on(dance):
    assert run(FitPose, dance, write_clip(standing()), mode="off").args[0] == dance


def test_a_preview_moves_in_the_node(dance, folders):
    shown = run(CleanPose, dance).ui.as_dict()

    file = folders / "temp" / shown["images"][0]["filename"]
    assert shown["animated"] == (True,)
    with Image.open(file) as picture:
        assert picture.n_frames == FRAMES


def test_without_opencv_the_tools_work_and_the_preview_says_why_not(dance, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)

    result = run(MirrorPose, dance)

    assert len(result.args[0]) == FRAMES
    assert "pip install opencv-python" in result.ui.as_dict()["text"][0]


def test_mirror_turns_pictures_too(dance):
    images = torch.rand(FRAMES, 16, 16, 3)

    _, mirrored = run(MirrorPose, dance, images=images).args

    assert torch.equal(mirrored, images.flip(2))


def test_crop_cuts_pictures_too(dance):
    keypoints, images = run(CropPose, dance, torch.rand(FRAMES, 512, 512, 3), width=192, height=256).args

    assert images.shape == (FRAMES, 256, 192, 3)
    assert (keypoints[0]["canvas_width"], keypoints[0]["canvas_height"]) == (192, 256)


def test_resampling_names_the_new_rate_and_takes_broadcast_rates_exactly():
    keypoints, rate = run(ResamplePose, write_clip(standing(frames=300)), 29.97, 59.94).args

    assert len(keypoints) == 600
    assert rate == pytest.approx(60000 / 1001)


def openpose_json(x: float) -> str:
    return json.dumps({"version": 1.3, "people": [{"pose_keypoints_2d": [x, 20.0, 0.9] * 25}]})


def test_json_is_read_from_text_from_a_file_and_from_a_folder(dance, folders):
    folder = folders / "input" / "poses"
    folder.mkdir()
    (folders / "input" / "dance.json").write_text(json.dumps(dance), encoding="utf-8")
    for frame in range(3):
        (folder / f"frame_{frame:03}_keypoints.json").write_text(
            openpose_json(10.0 + frame), encoding="utf-8"
        )

    assert run(ReadPose, json.dumps(dance)).args[0] == dance
    assert run(ReadPose, "dance.json").args[0] == dance
    frames = run(ReadPose, "poses", width=64, height=48).args[0]
    assert [frame["people"][0]["pose_keypoints_2d"][0] for frame in frames] == [10.0, 11.0, 12.0]


def test_a_changed_file_is_read_again(folders):
    file = folders / "input" / "dance.json"
    file.write_text(openpose_json(1.0), encoding="utf-8")
    first = ReadPose.fingerprint_inputs("dance.json")
    os.utime(file, ns=(1, 1))

    assert ReadPose.fingerprint_inputs("dance.json") != first
    assert ReadPose.fingerprint_inputs("[1]") != ReadPose.fingerprint_inputs("[2]")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "Write the name of a .json file"), ("../secret.json", "leads outside ComfyUI's input folder"),
        ("missing.json", "is not there in ComfyUI's input folder"), (".", "holds no .json files"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_in_words(source, said):
    with pytest.raises(InputError, match=said):
        run(ReadPose, source)


def test_draw_pose_draws_feet_and_broad_sticks_when_asked(dance):
    plain = run(DreaMovingDrawPose, dance, 1024, 1024).args[0]

    for extra in ({"feet": True}, {"sticks": "grow with the picture"}, {"sticks": "xinsir (SDXL)"}):
        drawn = run(DreaMovingDrawPose, dance, 1024, 1024, **extra).args[0]
        assert (drawn > 0).sum() > (plain > 0).sum(), extra
    chosen = {"stick_width": 4.0, "sticks": "xinsir (SDXL)"}
    assert torch.equal(run(DreaMovingDrawPose, dance, 1024, 1024, **chosen).args[0], plain)


def test_graphs_from_before_feet_and_sticks_still_run():
    """ComfyUI refuses a graph in API format that lacks a required input, default or not."""
    inputs = {item.id: item for item in DreaMovingDrawPose.define_schema().inputs}

    assert inputs["feet"].optional
    assert inputs["sticks"].optional


# ---- in core's video nodes


@pytest.fixture(scope="module")
def wan_vae():
    import comfy.sd

    vae = comfy.sd.VAE(sd=random_wan_vae().weights)
    vae.throw_exception_if_invalid()
    return vae


@pytest.fixture(scope="module")
def fitted_poses() -> torch.Tensor:
    """Fitted and drawn, `f h w c`."""
    pair = pose_pairs.make_pair(2, frames=FRAMES)
    from dreamoving.dreamoving_core.preprocess.draw_pose import draw_pose
    from dreamoving.dreamoving_core.preprocess.pose_fit import fit_to_reference

    fit = fit_to_reference(pair.dance, pair.reference)
    return draw_pose(write_clip(fit.clip), width=64, height=96)


@pytest.mark.parametrize("node", ["animate", "scail"])
@torch.inference_mode()
def test_cores_wan_nodes_take_fitted_poses_frame_by_frame(node, wan_vae, fitted_poses):
    from comfy_extras.nodes_scail import WanSCAILToVideo
    from comfy_extras.nodes_wan import WanAnimateToVideo

    cond = [[torch.zeros(1, 4, 8), {}]]
    common = {
        "vae": wan_vae,
        "width": 64,
        "height": 96,
        "length": FRAMES,
        "batch_size": 1,
        "pose_video": fitted_poses,
    }

    if node == "animate":
        result = WanAnimateToVideo.execute(
            cond, cond, continue_motion_max_frames=5, video_frame_offset=0, **common
        )
        expected = wan_vae.encode(fitted_poses)
    else:
        options = {"pose_strength": 1.0, "pose_start": 0.0, "pose_end": 1.0, "previous_frame_count": 5}
        result = WanSCAILToVideo.execute(cond, cond, video_frame_offset=0, **options, **common)
        half = torch.nn.functional.interpolate(fitted_poses.movedim(-1, 1), (48, 32), mode="area").movedim(
            1, -1
        )
        expected = wan_vae.encode(half)

    latent = result.args[0][0][1]["pose_video_latent"]
    assert latent.shape[2] == (FRAMES - 1) // 4 + 1
    assert latent.std() > 0
    assert torch.allclose(latent, expected, atol=1e-4)
