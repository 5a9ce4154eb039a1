"""Load DreaMoving-Tiny in its second drawing style: the same networks, and a LoRA on the base."""

import shutil

import pytest
import torch
from dreamoving.dreamoving_core.bridge.tiny_files import load_tiny, tiny_fingerprint, tiny_folder
from dreamoving.dreamoving_core.bridge.trainable import new_base
from dreamoving.dreamoving_core.errors import WeightsError
from dreamoving.dreamoving_core.procdance.palette import STYLES
from dreamoving.dreamoving_core.tiny import files
from dreamoving.dreamoving_core.tiny.config import TinyConfig
from dreamoving.dreamoving_core.training.export import export_style_lora
from dreamoving.dreamoving_core.training.lineage import Made
from dreamoving.dreamoving_core.training.lora import Lora

pytestmark = pytest.mark.skipif(not files.FOLDER.is_dir(), reason="this copy has no trained weights")


@pytest.fixture
def folder(tmp_path):
    """Tiny's files with a LoRA that draws at random."""
    for name in files.ALL:
        shutil.copy(files.FOLDER / name, tmp_path / name)
    torch.manual_seed(0)
    lora = Lora(new_base(TinyConfig()).diffusion_model, rank=2)
    for parameter in lora.parameters():
        torch.nn.init.normal_(parameter)
    export_style_lora(lora, tmp_path, made=Made(steps=1))
    return tmp_path


def test_the_second_style_is_a_lora_on_the_base_alone(folder):
    plain, cartoon = (load_tiny(folder, style=style) for style in STYLES)

    assert not plain.model.patches
    assert len(cartoon.model.patches) > 50
    assert all(key.startswith("diffusion_model.") for key in cartoon.model.patches)
    assert not cartoon.clip.patcher.patches


def test_a_tiny_without_the_lora_says_how_to_get_it(folder):
    (folder / files.STYLE_LORA).unlink()

    with pytest.raises(WeightsError, match=r"style_lora.safetensors' is missing .*--stage style_lora"):
        load_tiny(folder, style="outlined")
    assert load_tiny(folder).model is not None


def test_another_lora_is_loaded_anew(folder, monkeypatch):
    monkeypatch.setattr("dreamoving.dreamoving_core.bridge.tiny_files.tiny_folder", lambda: folder)
    before = tiny_fingerprint()

    (folder / files.STYLE_LORA).write_bytes(b"another")

    assert tiny_fingerprint() != before


@pytest.mark.skipif(
    not (tiny_folder() / files.STYLE_LORA).is_file(), reason="this copy has no trained style LoRA"
)
def test_every_tensor_of_the_trained_lora_finds_its_layer(caplog):
    model = load_tiny(style="outlined").model

    assert "not loaded" not in caplog.text
    assert len(model.patches) > 50
