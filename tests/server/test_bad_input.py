"""Whatever a graph does wrong is said in words, and leaves the server, and every model that it loaded, as they were."""

import itertools
import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from dreamoving.dreamoving_core.batch.client import Client, Step, output_files
from dreamoving.dreamoving_core.batch.server import ServerSettings
from dreamoving.dreamoving_core.errors import DreaMovingError, InputError
from dreamoving.dreamoving_core.tiny import files
from one_server import ROOT
from PIL import Image
from safetensors.torch import load_file, save_file
from weights.public_files import motion_shapes

from .conftest import cached_nodes

pytestmark = pytest.mark.server

FRAMES = 4
TINY, CLIP, EXTRACT, CLEAN, DRAW, CONTROL, MOTION, FACE = "2", "3", "4", "5", "6", "9", "10", "11"
SAMPLER, DECODE, COMBINE, SAVE = "14", "15", "16", "20"
nonces = itertools.count(1)


def small_graph() -> dict:
    """The demo at 4 frames, 64 pixels and 2 steps, with the poses that the clip was drawn from, its latents saved.

    `context_overlap` means nothing without windows; a new value makes the server sample again instead of answering
    from its cache, while the models stay the ones of the run before.
    """
    graph = json.loads((ROOT / "workflows" / "api" / "00_tiny_demo.json").read_text(encoding="utf-8"))
    del graph[COMBINE], graph[DECODE], graph[EXTRACT], graph[CLEAN]
    graph[DRAW]["inputs"]["keypoints"] = [CLIP, 1]
    graph[CLIP]["inputs"] |= {"frames": FRAMES, "size": 64}
    graph[DRAW]["inputs"] |= {"width": 64, "height": 64}
    size = {"frames": FRAMES, "width": 64, "height": 64, "steps": 2, "context_overlap": next(nonces)}
    graph[SAMPLER]["inputs"] |= size
    graph[SAVE] = {
        "class_type": "SaveLatent",
        "inputs": {"samples": [SAMPLER, 0], "filename_prefix": "bad_input"},
    }
    return graph


def changed(node: str, **inputs: object) -> dict:
    graph = small_graph()
    graph[node]["inputs"] |= inputs
    return graph


@pytest.fixture(scope="module")
def latents_of(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict], torch.Tensor]:
    """Runs a graph and returns the latents that it saved."""
    folder = tmp_path_factory.mktemp("latents")

    def run(graph: dict) -> torch.Tensor:
        entry = client.run(graph, limit_s=120)
        assert SAMPLER not in cached_nodes(entry)
        (file,) = [file for file in output_files(entry) if file.node == SAVE]
        client.download(file, folder / file.filename)
        return load_file(folder / file.filename)["latent_tensor"]

    return run


@pytest.fixture(scope="module")
def good(latents_of: Callable) -> torch.Tensor:
    first = latents_of(small_graph())
    assert first.shape == (FRAMES, 4, 8, 8)
    assert torch.isfinite(first).all()
    assert first.std() > 0
    return first


@pytest.fixture(autouse=True)
def nothing_is_left_of_a_bad_run(latents_of: Callable, good: torch.Tensor) -> Iterator[None]:
    """After each test the good graph gives the same latents, bit for bit."""
    yield
    assert torch.equal(latents_of(small_graph()), good)


def test_models_stay_loaded_between_runs_so_that_the_check_above_can_fail(client: Client) -> None:
    client.run(small_graph())
    entry = client.run(small_graph())

    assert TINY in cached_nodes(entry)
    assert SAMPLER not in cached_nodes(entry)


def test_another_seed_gives_other_latents_so_that_the_check_above_can_fail(
    latents_of: Callable, good: torch.Tensor
) -> None:
    assert not torch.equal(latents_of(changed(SAMPLER, seed=8)), good)


def test_no_frames_are_refused_before_anything_runs(client: Client) -> None:
    with pytest.raises(
        InputError, match=rf"node {SAMPLER} \(DreaMovingSampler\): .*smaller than min of 1.*frames"
    ):
        client.run(changed(SAMPLER, frames=0))


def test_a_clip_without_frames_is_refused_before_anything_runs(client: Client) -> None:
    with pytest.raises(InputError, match=rf"node {CLIP} \(DreaMovingSampleClip\): .*smaller than min of 1"):
        client.run(changed(CLIP, frames=0))


def test_an_odd_size_is_refused_with_the_sizes_that_fit(client: Client) -> None:
    with pytest.raises(DreaMovingError, match=r"width must be a multiple of 8 pixels, got 65. Use 64 or 72"):
        client.run(changed(SAMPLER, width=65))


def test_more_poses_than_frames_are_refused_with_both_numbers(client: Client) -> None:
    graph = changed(CLIP, frames=32)
    graph[SAMPLER]["inputs"]["frames"] = 16

    with pytest.raises(DreaMovingError, match=r"got 32 control images for a video of 16 frames.*\(16\)"):
        client.run(graph)


def test_more_poses_than_frames_are_refused_in_windows_too(client: Client) -> None:
    graph = changed(CLIP, frames=5)
    graph[SAMPLER]["inputs"] |= {"frames": 6, "context_length": 4, "context_overlap": 1}

    with pytest.raises(DreaMovingError, match=r"got 5 control images for a video of 6 frames"):
        client.run(graph)


def test_a_window_longer_than_the_clip_is_as_none(latents_of: Callable, good: torch.Tensor) -> None:
    assert torch.equal(latents_of(changed(SAMPLER, context_length=100)), good)


def test_an_overlap_as_long_as_its_window_is_refused_in_words(client: Client) -> None:
    with pytest.raises(DreaMovingError, match=r"Windows of 2 frames can share 0 to 1 frames.*overlap of 3"):
        client.run(changed(SAMPLER, context_length=2, context_overlap=3))


def face_crops(client: Client, image: list, extra: dict) -> set[bytes]:
    """What the image encoder saw of a face, as the pixels of a file that the server saved."""
    graph = small_graph() | extra
    graph[FACE]["inputs"]["image"] = image
    graph["40"] = {"class_type": "SaveImage", "inputs": {"images": [FACE, 1], "filename_prefix": "crops"}}
    saved = [file for file in output_files(client.run(graph)) if file.node == "40"]
    url = f"{client.url}/view?type=output&filename="
    pictures = [Image.open(urllib.request.urlopen(url + file.filename)).convert("RGB") for file in saved]
    return {picture.tobytes() for picture in pictures}


def test_alpha_of_a_face_is_ignored(client: Client) -> None:
    alpha = {
        "30": {"class_type": "SolidMask", "inputs": {"value": 0.7, "width": 64, "height": 64}},
        "31": {"class_type": "JoinImageWithAlpha", "inputs": {"image": [CLIP, 3], "alpha": ["30", 0]}},
    }

    with_alpha = face_crops(client, ["31", 0], alpha)

    assert len(with_alpha) == 1
    assert with_alpha == face_crops(client, [CLIP, 3], {})


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_a_face_from_a_file_of_any_kind_is_taken(client: Client, server: ServerSettings, mode: str) -> None:
    name = f"face_{mode}.png"
    (server.base / "input").mkdir(exist_ok=True)
    Image.radial_gradient("L").resize((40, 40)).convert(mode).save(server.base / "input" / name)
    load = {"30": {"class_type": "LoadImage", "inputs": {"image": name}}}

    (seen,) = face_crops(client, ["30", 0], load)

    assert len(set(seen)) > 1  # not one colour


def test_a_mask_as_a_face_is_refused_by_type_and_works_through_the_stock_converter(client: Client) -> None:
    mask = {"30": {"class_type": "SolidMask", "inputs": {"value": 0.5, "width": 64, "height": 64}}}
    graph = small_graph() | mask
    graph[FACE]["inputs"]["image"] = ["30", 0]

    with pytest.raises(InputError, match=rf"node {FACE} \(DreaMovingEncodeFace\): .*MASK.*IMAGE"):
        client.run(graph)
    grey = mask | {"31": {"class_type": "MaskToImage", "inputs": {"mask": ["30", 0]}}}

    assert len(face_crops(client, ["31", 0], grey)) == 1


def multiplied(times: int) -> dict:
    """The good graph sampling on from latents that were multiplied by 10 so often."""
    graph = small_graph()
    picture = {"width": 64, "height": 64, "batch_size": FRAMES, "color": 0x3080F0}
    graph["30"] = {"class_type": "EmptyImage", "inputs": picture}
    graph["31"] = {"class_type": "VAEEncode", "inputs": {"pixels": ["30", 0], "vae": [TINY, 2]}}
    source = "31"
    for number in range(100, 100 + times):
        graph[str(number)] = {
            "class_type": "LatentMultiply",
            "inputs": {"samples": [source, 0], "multiplier": 10.0},
        }
        source = str(number)
    graph[SAMPLER]["inputs"] |= {"latent": [source, 0], "denoise": 0.6}
    return graph


@pytest.mark.parametrize(("times", "when"), [(45, "before sampling"), (36, r"at step 1 of 2")])
def test_numbers_that_overflow_are_an_error_and_no_black_video(client: Client, times: int, when: str) -> None:
    with pytest.raises(
        DreaMovingError,
        match=rf"Node {SAMPLER} \(DreaMovingSampler\) failed: .*{FRAMES} of {FRAMES} frames hold numbers that are not "
        rf"finite \(NaN\) {when}",
    ):
        client.run(multiplied(times))


def test_latents_that_are_only_large_are_sampled(latents_of: Callable) -> None:
    assert torch.isfinite(latents_of(multiplied(1))).all()


def with_motion_file(name: str) -> dict:
    graph = small_graph()
    graph["30"] = {"class_type": "DreaMovingLoadMotionModel", "inputs": {"motion_model": name}}
    graph[MOTION]["inputs"]["motion_model"] = ["30", 0]
    return graph


@pytest.fixture(scope="module")
def motion_files(server: ServerSettings) -> Path:
    """Damaged and foreign files where motion models belong."""
    folder = server.base / "models" / "animatediff_models"
    folder.mkdir(parents=True, exist_ok=True)
    trained_here = server.base / "models" / "dreamoving" / "tiny" / files.MOTION
    whole = (trained_here if trained_here.is_file() else files.FOLDER / files.MOTION).read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (folder / "page.ckpt").write_bytes(b"<!DOCTYPE html><html>Please log in</html>")
    for name, widths in (("sdxl", (320, 640, 1280)), ("other_size", (32, 64, 128))):
        shapes = motion_shapes(widths=widths)
        if name == "sdxl":  # the tensors that tell it, not 900 MB
            shapes = {key: shape for key, shape in shapes.items() if "down" in key and "proj_in" in key}
        save_file({key: torch.zeros(shape) for key, shape in shapes.items()}, folder / f"{name}.safetensors")
    (folder / "whole.safetensors").write_bytes(whole)
    return folder


@pytest.mark.parametrize(
    ("name", "node", "said"),
    [
        ("cut.safetensors", "30", r"'cut.safetensors' is truncated"),
        ("page.ckpt", "30", r"'page.ckpt' is a web page \(HTML\)"),
        ("sdxl.safetensors", "30", r"'sdxl.safetensors' is an SDXL motion model"),
        ("other_size.safetensors", MOTION, r"does not fit the U-Net\. Its blocks are .*32"),
    ],
)
def test_a_motion_file_that_does_not_fit_is_refused_in_words(
    client: Client, motion_files: Path, name: str, node: str, said: str
) -> None:
    with pytest.raises(DreaMovingError, match=rf"Node {node} \(\w+\) failed: (.|\n)*{said}") as raised:
        client.run(with_motion_file(name))

    assert "Traceback" not in str(raised.value)
    assert "size mismatch" not in str(raised.value)


def test_a_motion_file_that_is_not_there_is_refused_before_anything_runs(
    client: Client, motion_files: Path
) -> None:
    for name in ("gone.safetensors", "../../../etc/passwd"):
        with pytest.raises(InputError, match=r"node 30 \(DreaMovingLoadMotionModel\)"):
            client.run(with_motion_file(name))


def test_the_same_motion_from_a_file_gives_the_same_latents(
    latents_of: Callable, good: torch.Tensor, motion_files: Path
) -> None:
    assert torch.equal(latents_of(with_motion_file("whole.safetensors")), good)


def test_a_run_that_is_cancelled_ends_at_once_as_interrupted(client: Client) -> None:
    graph = changed(SAMPLER, steps=2000)
    sampled: list[int] = []

    def on_step(step: Step) -> None:
        if step.node == SAMPLER and step.total:
            if not sampled:
                client.post("/interrupt", {})
            sampled.append(step.value)

    with pytest.raises(DreaMovingError, match=rf"was stopped at node {SAMPLER} \(DreaMovingSampler\)"):
        client.run(graph, on_step=on_step)
    assert sampled[-1] < 1000
