from functools import partial

import pytest
import torch
from dreamoving.dreamoving_core.errors import WeightsError
from dreamoving.dreamoving_core.weights import judged
from dreamoving.dreamoving_core.weights.io import write_weights
from dreamoving.dreamoving_core.weights.motion import read_motion

from .public_files import motion_file


def test_a_sound_file_comes_out_as_its_reader_makes_it(tmp_path):
    tensors = motion_file(rows=32, widths=(32,))
    write_weights(tmp_path / "mm.safetensors", tensors)

    weights = judged.read_judged(tmp_path / "mm.safetensors", read_motion)

    assert all(torch.equal(weights.state_dict[key], tensor) for key, tensor in tensors.items())


def test_shapes_are_judged_before_a_number_is_read(tmp_path):
    write_weights(tmp_path / "x.safetensors", {"a": torch.zeros(2)})
    seen = []

    def judge(file):
        seen.append(file.state_dict["a"].is_meta)
        raise WeightsError("no")

    with pytest.raises(WeightsError, match="no"):
        judged.read_judged(tmp_path / "x.safetensors", judge)

    assert seen == [True]


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn]
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_bad_number_among_many_is_found(dtype, value):
    tensor = torch.linspace(-2, 2, 1001)
    tensor[777] = value
    tensor = tensor.to(dtype)
    if dtype == torch.float8_e4m3fn and not torch.isnan(tensor.float()).any():
        pytest.skip("this kind of number has no infinity")

    assert not judged.is_finite(tensor)
    with pytest.raises(WeightsError, match=r"'x' holds NaN or infinity in 'b': .* Download it again"):
        judged.refuse_numbers("x", {"a": torch.zeros(3), "b": tensor})


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(0), torch.tensor(3.0), torch.full((2, 2), torch.finfo(torch.float32).max),
        torch.full((2,), -65504.0, dtype=torch.float16), torch.zeros(2, 2).to(torch.float8_e5m2),
        torch.empty(3, device="meta"),
    ],
)  # fmt: skip
def test_every_finite_number_passes(tensor):
    assert judged.is_finite(tensor)
    judged.refuse_numbers("x", {"a": tensor})


@pytest.mark.parametrize(
    ("dtype", "word"), [(torch.int8, "int8"), (torch.bool, "bool"), (torch.complex64, "complex64")]
)
def test_what_is_no_weight_is_refused(dtype, word):
    with pytest.raises(
        WeightsError, match=f"'x' holds 'a' as {word}, expected are floating point .* Look for the fp16"
    ):
        judged.refuse_numbers("x", {"a": torch.zeros(2).to(dtype)})


def test_settings_of_a_reader_go_through(tmp_path):
    write_weights(tmp_path / "mm.safetensors", motion_file(rows=32, widths=(32,)))

    weights = judged.read_judged(tmp_path / "mm.safetensors", partial(read_motion, norm_mode="clip"))

    assert weights.config.norm_mode == "clip"
