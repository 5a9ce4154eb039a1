"""ZoeDepth on random weights: files of both kinds, the authors' preparation, and what is refused."""

import json

import numpy as np
import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError, WeightsError
from dreamoving.dreamoving_core.preprocess.depth_zoe import (
    RANGE_KEY,
    ZoeDepth,
    ZoeSettings,
    load_zoe,
    metric_depth,
    prepare,
    restore,
)
from small_zoe import CONFIG, SETTINGS, authors_names, small_zoe, write_folder

SIZES = [(16, 16), (90, 120), (120, 90), (65, 200), (384, 512), (24, 300)]


@pytest.fixture(scope="module")
def network():
    return small_zoe()


@pytest.fixture(scope="module")
def zoe(network):
    return ZoeDepth(network=network, settings=SETTINGS, name="small")


def pictures(height=48, width=72, *, frames=2, channels=3, seed=0):
    return torch.rand(frames, height, width, channels, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("pad", [True, False])
def test_pictures_are_prepared_as_transformers_does_it(height, width, pad):
    processor = pytest.importorskip("transformers").ZoeDepthImageProcessor(do_pad=pad, ensure_multiple_of=32)
    picture = (pictures(height, width, frames=1) * 255).round()
    theirs = processor(picture[0].permute(2, 0, 1).byte(), return_tensors="pt").pixel_values

    ours = prepare(picture / 255, ZoeSettings(pad=pad))

    assert ours.shape == theirs.shape
    assert torch.allclose(ours, theirs, atol=2e-6)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_depth_comes_back_at_the_pictures_size_as_transformers_does_it(height, width):
    transformers = pytest.importorskip("transformers")
    settings = ZoeSettings()
    seen = torch.rand(1, *prepare(pictures(height, width, frames=1), settings).shape[-2:])
    outputs = transformers.models.zoedepth.modeling_zoedepth.ZoeDepthDepthEstimatorOutput(
        predicted_depth=seen
    )
    theirs = transformers.ZoeDepthImageProcessor().post_process_depth_estimation(outputs, [(height, width)])

    ours = restore(seen, height, width, settings)

    assert ours.shape == (1, height, width)
    assert torch.allclose(ours[0], theirs[0]["predicted_depth"], atol=1e-6)


def test_with_the_mirror_a_mirrored_picture_has_the_mirrored_depth(zoe):
    some = pictures()

    straight, turned = metric_depth(zoe, some), metric_depth(zoe, some.flip(2)).flip(2)

    assert torch.allclose(straight, turned, atol=1e-5)
    assert not torch.allclose(metric_depth(zoe, some, mirror=False), straight, atol=1e-4)


def test_every_frame_has_its_own_depth_whatever_stands_beside_it(zoe):
    some = pictures(frames=3)

    together = metric_depth(zoe, some)

    for frame, depth in zip(some, together, strict=True):
        assert torch.allclose(metric_depth(zoe, frame[None])[0], depth, atol=1e-5)
    assert (together[0] - together[1]).abs().max() > 1e-3


def test_an_alpha_channel_changes_nothing(zoe):
    some = pictures(channels=4)

    assert torch.equal(metric_depth(zoe, some), metric_depth(zoe, some[..., :3]))


@pytest.mark.parametrize("wrapped", [True, False])
def test_the_authors_file_gives_what_the_folder_gives(tmp_path, network, wrapped):
    weights = authors_names(network)
    torch.save({"model": weights, "epoch": 5} if wrapped else weights, tmp_path / "ZoeD_M12_N.pt")
    folder = write_folder(tmp_path / "zoedepth-nyu", network)

    file, written = load_zoe(tmp_path / "ZoeD_M12_N.pt"), load_zoe(folder)

    assert file.settings == ZoeSettings()
    assert written.settings == SETTINGS
    pixels = prepare(pictures(), SETTINGS)
    with torch.no_grad():
        expected = network(pixels).predicted_depth
        assert torch.equal(file.network(pixels).predicted_depth, expected)
        assert torch.equal(written.network(pixels).predicted_depth, expected)


def test_what_is_written_transformers_reads_itself(tmp_path, network):
    transformers = pytest.importorskip("transformers")
    folder = write_folder(tmp_path / "zoe", network)

    theirs = transformers.ZoeDepthForDepthEstimation.from_pretrained(folder, local_files_only=True).eval()

    pixels = prepare(pictures(), SETTINGS)
    with torch.no_grad():
        assert torch.equal(theirs(pixels).predicted_depth, network(pixels).predicted_depth)


def test_a_range_in_the_config_is_kept(tmp_path, network):
    folder = write_folder(tmp_path / "zoe", network, config=CONFIG | {RANGE_KEY: [1, 3]})

    assert load_zoe(folder).depth_range == (1.0, 3.0)


def broken(network, name, change):
    """Public weights with one tensor changed."""
    weights = authors_names(network)
    change(weights)
    return {name: weights}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("conv2.weight"), "1 tensors are missing and 0 have another shape .*metric_head.conv2.weight"),
        (lambda w: w.update({"conv2.bias": torch.zeros(3)}), "0 tensors are missing and 1 have another shape"),
        (lambda w: w["conv2.bias"].fill_(float("nan")), "not finite in 'metric_head.conv2.bias'"),
        (lambda w: w.pop("core.core.scratch.layer1_rn.weight"), "lacks parts of it"),
        (lambda w: w.update({"mlp_classifier.0.weight": torch.zeros(1)}), "two heads .NK.*zoedepth-nyu-kitti"),
        (lambda w: (w.clear(), w.update({"unet.weight": torch.zeros(2)})), "is no ZoeDepth file: none of its 1 tensors"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_whole_is_refused(tmp_path, change, message):
    weights = {key: value.clone() for key, value in authors_names(small_zoe()).items()}
    change(weights)
    torch.save(weights, tmp_path / "ZoeD_M12_N.pt")

    with pytest.raises(WeightsError, match=message):
        load_zoe(tmp_path / "ZoeD_M12_N.pt")


class Nasty:
    def __reduce__(self):
        return print, ("this must never run",)


def test_a_pickle_that_would_run_code_is_refused(tmp_path, capsys):
    torch.save({"model": Nasty()}, tmp_path / "ZoeD_M12_N.pt")

    with pytest.raises(WeightsError, match="never does that"):
        load_zoe(tmp_path / "ZoeD_M12_N.pt")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "config.json").write_text(json.dumps({"model_type": "dpt"})), "is 'dpt', not zoedepth"),
        (lambda f: (f / "config.json").write_text("[1, 2"), "zoe/config.json' cannot be read"),
        (lambda f: (f / "config.json").write_text("[1, 2]"), "zoe/config.json' holds no JSON object"),
        (lambda f: (f / "config.json").unlink(), "'zoe' has no config.json"),
        (lambda f: (f / "model.safetensors").unlink(), "no model.safetensors or pytorch_model.bin"),
        (lambda f: (f / "preprocessor_config.json").write_text('{"size": 3}'), "describe no ZoeDepth model"),
        (lambda f: (f / "config.json").write_text(json.dumps(CONFIG | {"num_attractors": "many"})), "describe no ZoeDepth model"),
        (lambda f: (f / "model.safetensors").write_bytes(b"<html>login</html>"), "is a web page"),
    ],
)  # fmt: skip
def test_a_folder_that_is_not_whole_is_refused(tmp_path, network, change, message):
    folder = write_folder(tmp_path / "zoe", network)
    change(folder)

    with pytest.raises(WeightsError, match=message):
        load_zoe(folder)


def test_pictures_that_are_too_small_to_see_anything_are_refused(zoe):
    with pytest.raises(InputError, match="at least 8 x 8 pixels, got 40 x 7"):
        metric_depth(zoe, pictures(7, 40))


def test_the_network_looks_at_whole_patches_and_scales_as_little_as_possible():
    sizes = {size: ZoeSettings().network_size(*size) for size in SIZES}

    assert all(side % 32 == 0 for size in sizes.values() for side in size)
    assert sizes[384, 512] == (384, 512)
    assert ZoeSettings().network_size(9, 300) == (32, 512)  # transformers makes 0 rows of it and fails
    for (height, width), (tall, wide) in sizes.items():
        assert np.log(wide / tall) == pytest.approx(np.log(width / height), abs=0.5)
