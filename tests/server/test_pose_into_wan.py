"""Fitted poses in core's Wan-Animate, SCAIL and SDPose nodes, in a real server."""

from pathlib import Path

import pytest
from dreamoving.benchmarks.wan_stand_ins import random_wan_vae
from dreamoving.dreamoving_core.batch.client import Client, output_files
from dreamoving.dreamoving_core.batch.server import ServerSettings
from safetensors.torch import load_file, save_file

pytestmark = pytest.mark.server

FRAMES, SIZE = 5, 64
WAN = {
    "WanAnimateToVideo": {
        "continue_motion_max_frames": 5,
        "face_video": ["12", 0],
        "reference_image": ["2", 7],
    },
    "WanSCAILToVideo": {"pose_strength": 1.0, "pose_start": 0.0, "pose_end": 1.0, "previous_frame_count": 5},
}


def pose_chain(seed: int) -> dict:
    """A dance, tracked, cleaned and fitted to somebody else's picture, drawn in node 6; another seed for each test, for what
    comes from ComfyUI's cache shows no preview."""
    dance = {
        "seed": seed,
        "frames": FRAMES,
        "size": 128,
        "shot": "whole",
        "style": "soft",
        "split": "held_out",
        "dance_seed": -1,
    }
    nodes = {
        "1": ("DreaMovingSampleClip", dance),
        "2": ("DreaMovingSampleClip", dance | {"seed": seed + 100, "frames": 1, "size": SIZE}),
        "3": ("DreaMovingTrackPerson", {"keypoints": ["1", 1], "who": "largest", "number": 1}),
        "4": ("DreaMovingCleanPose", {"keypoints": ["3", 0], "smoothing": 5, "gaps": 8, "outliers": 4.0}),
        "5": (
            "DreaMovingFitPose",
            {"keypoints": ["4", 0], "reference": ["2", 1], "mode": "bone by bone", "anchor_frame": -1, "image": ["2", 7]},
        ),
        "6": (
            "DreaMovingDrawPose",
            {"keypoints": ["5", 0], "width": SIZE, "height": SIZE, "body": True, "hands": True, "face": True,
             "stick_width": 0.0, "swap_hands": False},
        ),
    }  # fmt: skip
    return graph_of(nodes)


def graph_of(nodes: dict) -> dict:
    return {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}


@pytest.mark.parametrize("node", WAN)
def test_wan_takes_fitted_poses(node: str, client: Client, server: ServerSettings, tmp_path: Path) -> None:
    file = server.base / "models" / "vae" / "wan_small.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(random_wan_vae().weights, file)
    common = {"width": SIZE, "height": SIZE, "length": FRAMES, "batch_size": 1, "video_frame_offset": 0}
    inputs = {"positive": ["8", 0], "negative": ["8", 0], "vae": ["9", 0], "pose_video": ["6", 0]}
    graph = pose_chain(list(WAN).index(node)) | graph_of({
        "7": ("DreaMovingLoadTiny", {}),
        "8": ("CLIPTextEncode", {"text": "", "clip": ["7", 1]}),
        "9": ("VAELoader", {"vae_name": file.name}),
        "10": (node, inputs | common | WAN[node]),
        "11": ("SaveLatent", {"samples": ["10", 2], "filename_prefix": "wan"}),
        "12": ("DreaMovingCropFace",
               {"image": ["1", 0], "keypoints": ["4", 0], "who": "best", "number": 1, "size": 512, "margin": 0.1,
                "background": "black", "missing": "nearest"}),
    })  # fmt: skip

    entry = client.run(graph, limit_s=180)

    (latent,) = [found for found in output_files(entry) if found.node == "11"]
    client.download(latent, tmp_path / latent.filename)
    assert load_file(tmp_path / latent.filename)["latent_tensor"].shape[-2:] == (8, 8)
    assert entry["outputs"]["5"]["text"] == ["It fits."]


def test_sdposes_nodes_take_our_poses_and_the_tools_show_previews(client: Client) -> None:
    switches = dict.fromkeys(("draw_body", "draw_hands", "draw_face", "draw_feet", "draw_head"), True)
    graph = pose_chain(7) | graph_of({
        "7": ("SDPoseDrawKeypoints",
              {"keypoints": ["5", 0], "stick_width": 2, "face_point_size": 1, "score_threshold": 0.3} | switches),
        "8": ("PreviewImage", {"images": ["7", 0]}),
        "9": ("PreviewImage", {"images": ["6", 0]}),
        "10": ("DreaMovingMirrorPose", {"keypoints": ["5", 0]}),
        "11": ("DreaMovingDrawPose",
               {"keypoints": ["10", 0], "width": SIZE, "height": SIZE, "body": True, "hands": True, "face": True,
                "stick_width": 0.0, "swap_hands": False}),
        "12": ("PreviewImage", {"images": ["11", 0]}),
    })  # fmt: skip

    outputs = client.run(graph, limit_s=120)["outputs"]

    assert (
        len(outputs["8"]["images"]) == len(outputs["9"]["images"]) == len(outputs["12"]["images"]) == FRAMES
    )
    for node in ("3", "4", "10"):
        assert outputs[node]["animated"] == [True]
    assert outputs["5"]["images"]
