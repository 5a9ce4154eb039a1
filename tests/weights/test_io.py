import json
import os
import pickle

import pytest
import torch
from dreamoving.dreamoving_core.errors import WeightsError
from dreamoving.dreamoving_core.weights.io import read_weights, write_weights


def tensors():
    generator = torch.Generator().manual_seed(0)
    return {
        "a.weight": torch.randn(4, 3, generator=generator),
        "b": torch.randn(2, generator=generator).half(),
        "c": torch.arange(5),
        "d": torch.randn(3, generator=generator).to(torch.float8_e4m3fn),
    }


def same(left, right):
    return left.keys() == right.keys() and all(
        left[k].dtype == right[k].dtype and torch.equal(left[k].float(), right[k].float()) for k in left
    )


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "model.safetensors"
    write_weights(path, tensors(), metadata={"format": "x", "licence": "CC0-1.0"})
    return path


def test_tensors_and_metadata_come_back_as_they_were_written(written):
    file = read_weights(written)

    assert same(file.state_dict, tensors())
    assert file.metadata == {"format": "x", "licence": "CC0-1.0"}
    assert file.name == "model.safetensors"


def test_without_values_names_shapes_and_dtypes_are_read_and_no_number(written):
    file = read_weights(written, values=False)

    assert file.shapes == read_weights(written).shapes
    assert {k: t.dtype for k, t in file.state_dict.items()} == {k: t.dtype for k, t in tensors().items()}
    assert all(t.is_meta for t in file.state_dict.values())


def test_views_and_shared_memory_are_written_as_tensors_of_their_own(tmp_path):
    table = torch.arange(12.0).reshape(3, 4)

    write_weights(tmp_path / "m.safetensors", {"t": table.T, "row": table[1], "whole": table})

    assert same(
        read_weights(tmp_path / "m.safetensors").state_dict, {"t": table.T, "row": table[1], "whole": table}
    )


def test_a_write_that_fails_leaves_the_old_file_and_nothing_half_made(written):
    before = written.read_bytes()

    with pytest.raises(TypeError):
        write_weights(written, tensors(), metadata={"n": 1})

    assert written.read_bytes() == before
    assert os.listdir(written.parent) == [written.name]


@pytest.mark.parametrize("suffix", ["ckpt", "pt", "pth", "bin"])
@pytest.mark.parametrize("zipped", [True, False])
def test_pytorch_checkpoints_are_read_without_running_code(tmp_path, suffix, zipped):
    path = tmp_path / f"model.{suffix}"
    content = {k: t for k, t in tensors().items() if zipped or k != "d"}  # the old container knows no float8
    torch.save(content, path, _use_new_zipfile_serialization=zipped)

    assert same(read_weights(path).state_dict, content)
    assert read_weights(path, values=False).shapes == read_weights(path).shapes


def test_the_bytes_decide_and_not_the_suffix(tmp_path, written):
    torch.save(tensors(), tmp_path / "pickle.safetensors")
    os.rename(written, tmp_path / "tensors.ckpt")

    assert same(read_weights(tmp_path / "pickle.safetensors").state_dict, tensors())
    assert same(read_weights(tmp_path / "tensors.ckpt").state_dict, tensors())


def test_a_trainers_checkpoint_is_unwrapped_and_its_optimiser_left_behind(tmp_path):
    path = tmp_path / "mm.ckpt"
    optimiser = {"state": {0: {"exp_avg": torch.zeros(3)}}}
    torch.save({"epoch": 3, "global_step": 7, "state_dict": tensors(), "optimizer": optimiser}, path)

    file = read_weights(path)

    assert same(file.state_dict, tensors())
    assert file.metadata == {"epoch": "3", "global_step": "7"}


def test_nested_checkpoints_get_dotted_names(tmp_path):
    torch.save(
        {"image_proj": {"norm.weight": torch.ones(2)}, "ip_adapter": {"1.to_k_ip.weight": torch.ones(3)}},
        tmp_path / "ip.bin",
    )

    assert set(read_weights(tmp_path / "ip.bin").state_dict) == {
        "image_proj.norm.weight",
        "ip_adapter.1.to_k_ip.weight",
    }


class Evil:
    """Leaves a file behind when it is unpickled by a loader that runs code."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


@pytest.mark.parametrize("how", ["zip", "legacy", "plain pickle"])
def test_a_pickle_that_needs_code_is_refused_and_does_not_run_it(tmp_path, how):
    path, marker = tmp_path / "evil.ckpt", tmp_path / "ran"
    content = {"state_dict": {"a": torch.zeros(1)}, "callback": Evil(marker)}
    if how == "plain pickle":
        path.write_bytes(pickle.dumps({"callback": Evil(marker)}, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "zip")

    with pytest.raises(
        WeightsError, match=r"'evil.ckpt' wants to run Python code .*mkdir.* Look for the \.safetensors"
    ):
        read_weights(path)

    assert not marker.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_of_something_else_is_refused(tmp_path):
    (tmp_path / "p.pt").write_bytes(pickle.dumps({"a": {1, 2}}, protocol=4))

    with pytest.raises(WeightsError, match=r"'p.pt' is a pickle that holds more than tensors"):
        read_weights(tmp_path / "p.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty \(0 bytes\).*Download it again"),
        (
            b"\n<!DOCTYPE html><html>Sign in</html>",
            r"is a web page \(HTML\) saved under a model's name.*Download the file itself",
        ),
        (b"<html><body>404</body></html>", r"is a web page \(HTML\)"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n",
            r"is a Git LFS pointer.*git lfs pull",
        ),
        (b'{"error": "Repository not found"}', r"is a JSON text.*Download the \.safetensors file"),
        (b"GGUF\x03\x00\x00\x00" + bytes(64), r"is a GGUF file; DreaMoving reads safetensors"),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), r"is neither a safetensors file nor a PyTorch checkpoint.*PNG"),
        (b"\x10\x00", r"has only 2 bytes: the download was cut"),
        (
            (2**60).to_bytes(8, "little") + b"{" + bytes(40),
            r"is damaged: its header claims 1152921504606846976 bytes",
        ),
        ((64).to_bytes(8, "little") + b"{" + bytes(63), r"is damaged: its header cannot be read"),
        ((14).to_bytes(8, "little") + b'{"a":{"b": 1}}', r"is damaged: its header cannot be read"),
    ],
)
def test_what_downloads_leave_in_place_of_a_model_is_named(tmp_path, content, message):
    path = tmp_path / "mm.safetensors"
    path.write_bytes(content)

    with pytest.raises(WeightsError, match=r"(?s)'mm\.safetensors' " + message):
        read_weights(path)


def test_a_file_cut_at_any_place_is_called_truncated(written):
    whole = written.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")

    for length in {
        9,
        header // 2,
        header - 1,
        header,
        header + 1,
        len(whole) // 2 + header // 2,
        len(whole) - 1,
    }:
        written.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"'model.safetensors' is truncated.*Download it again"):
            read_weights(written)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_cut_at_any_place_is_called_truncated_or_damaged(tmp_path, zipped):
    path = tmp_path / "mm.ckpt"
    torch.save({f"k{i}": torch.randn(9, 9) for i in range(9)}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()

    for length in [5, 20, *range(50, len(whole) - 1, len(whole) // 9), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"'mm.ckpt' is (truncated|a pickle that holds more).*"):
            read_weights(path)


def test_bytes_after_the_tensors_are_damage(written):
    written.write_bytes(written.read_bytes() + bytes(16))

    with pytest.raises(WeightsError, match=r"16 bytes too many after the tensors"):
        read_weights(written)


def test_a_dtype_that_torch_lacks_is_named(tmp_path):
    header = json.dumps({"w": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}).encode()
    (tmp_path / "m.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0")

    for values in (True, False):
        with pytest.raises(WeightsError, match=r"holds 'w' as F4, which is not supported. Use an fp16 file"):
            read_weights(tmp_path / "m.safetensors", values=values)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"'no.safetensors' does not exist"):
        read_weights(tmp_path / "no.safetensors")
    (tmp_path / "folder.ckpt").mkdir()
    with pytest.raises(WeightsError, match=r"'folder.ckpt' cannot be read"):
        read_weights(tmp_path / "folder.ckpt")


@pytest.mark.parametrize(
    ("content", "message"),
    [([torch.zeros(1)], "holds a list, not named tensors"), ({"epoch": 3}, "holds no tensors")],
)
def test_a_checkpoint_without_named_tensors_is_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "m.pt")

    with pytest.raises(WeightsError, match=f"'m.pt' {message}"):
        read_weights(tmp_path / "m.pt")
