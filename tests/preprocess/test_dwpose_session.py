"""Where an .onnx file runs, and what is said about it."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from dreamoving.dreamoving_core.errors import InputError, MissingPackageError, WeightsError
from dreamoving.dreamoving_core.preprocess import onnx_session
from dreamoving.dreamoving_core.preprocess.onnx_session import DEVICES, on_best_device, open_model

from .dwpose_files import points_file


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return points_file(tmp_path_factory.mktemp("onnx") / "points.onnx", size=(32, 32))


class Runtime:
    """What onnxruntime's other flavours offer; the devices themselves cannot be had here."""

    SessionOptions = staticmethod(lambda: SimpleNamespace(add_session_config_entry=lambda *_: None))

    def __init__(self, *offered, broken=(), silent=()):
        self.offered = [DEVICES[name] for name in (*offered, "CPU")]
        self.broken = [DEVICES[name] for name in broken]
        self.silent = [DEVICES[name] for name in silent]

    def get_available_providers(self):
        return self.offered

    def InferenceSession(self, path, *, sess_options, providers):
        if providers[0] in self.broken:
            raise RuntimeError("[ONNXRuntimeError] : libcublasLt.so.13 not found\nand more")
        used = [provider for provider in providers if provider not in self.silent]
        return SimpleNamespace(path=path, get_providers=lambda: used)


@pytest.mark.parametrize("device", ["CUDA", "DirectML", "CoreML"])
def test_auto_takes_the_device_that_the_runtime_offers(file, device):
    session, chosen, why = on_best_device(Runtime(device), file, "auto")

    assert (chosen, why) == (device, "onnxruntime offers it")
    assert session.get_providers()[0] == DEVICES[device]


def test_without_a_graphics_card_the_cpu_is_used_and_it_says_why(file):
    _, chosen, why = on_best_device(Runtime(), file, "auto")

    assert chosen == "CPU"
    assert why == "the installed onnxruntime knows no graphics card, only CPU"


@pytest.mark.parametrize("device", ["auto", "CUDA"])
def test_a_card_that_cannot_start_is_replaced_by_the_cpu_in_words(file, device):
    _, chosen, why = on_best_device(Runtime("CUDA", broken=["CUDA"]), file, device)

    assert (chosen, why) == ("CPU", "CUDA could not start (libcublasLt.so.13 not found)")


def test_a_runtime_that_falls_back_in_silence_is_noticed(file):
    _, chosen, why = on_best_device(Runtime("CUDA", silent=["CUDA"]), file, "auto")

    assert (chosen, why) == ("CPU", "CUDA could not start (its libraries are missing)")


def test_a_device_that_is_not_there_is_replaced_by_the_cpu_in_words(file):
    _, chosen, why = on_best_device(Runtime(), file, "CUDA")

    assert (chosen, why) == ("CPU", "the installed onnxruntime knows no CUDA, only CPU")


def test_the_cpu_is_used_when_it_was_chosen(file):
    assert on_best_device(Runtime("CUDA"), file, "CPU")[1:] == ("CPU", "as chosen")


def test_a_real_session_tells_its_ports_and_runs(file):
    model = open_model(file, device="CPU")

    simcc_x, simcc_y = model.run(np.zeros((2, 3, 32, 32)))

    assert [str(port) for port in (*model.inputs, *model.outputs)] == [
        "input ? x 3 x 32 x 32", "simcc_x ? x 133 x 64", "simcc_y ? x 133 x 64",
    ]  # fmt: skip
    assert simcc_x.shape == simcc_y.shape == (2, 133, 64)
    assert simcc_x.dtype == np.float32


def test_an_input_that_the_file_cannot_take_is_told_with_its_size(file):
    with pytest.raises(WeightsError, match=r"'points.onnx' failed on CPU with an input of 1 x 4 x 32 x 32"):
        open_model(file, device="CPU").run(np.zeros((1, 4, 32, 32)))


def test_an_unknown_device_is_refused(file):
    with pytest.raises(InputError, match="must be one of auto, CUDA, DirectML, CoreML, CPU, got 'TPU'"):
        open_model(file, device="TPU")


def test_without_onnxruntime_the_error_names_the_command(file, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)

    with pytest.raises(MissingPackageError, match=r"needs onnxruntime.*pip install onnxruntime"):
        onnx_session.open_model(file)
