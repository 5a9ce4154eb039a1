import json

import pytest
from dreamoving.dreamoving_core.errors import WeightsError
from dreamoving.dreamoving_core.weights import formats
from dreamoving.dreamoving_core.weights.keymaps import to_motion_adapter, with_prefix

from .public_files import ip_adapter_file, motion_file, motion_shapes

HINT = {"input_hint_block.0.weight": (16, 3, 3, 3), "zero_convs.0.0.weight": (320, 320, 1, 1)}
CROSS = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
DIFFUSERS = {
    "controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3),
    "controlnet_down_blocks.0.weight": (320, 320, 1, 1),
}
DIFFUSERS_CROSS = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight"
MOTION_LORA = "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.processor.to_q_lora.down.weight"
ADAPTER_LORA = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.down.weight"


def shapes(tensors):
    return {k: tuple(t.shape) for k, t in tensors.items()}


def small(**layout):
    return shapes(motion_file(widths=(32, 64), **layout))


SDXL_MOTION = {k: v for k, v in motion_shapes(widths=(320, 640, 1280)).items()}

FILES = {
    "motion_model v3": ("motion_model", motion_shapes()),
    "motion_model v2 without positions": ("motion_model", motion_shapes(mid=True)),
    "motion_model of other widths and levels": ("motion_model", small()),
    "motion_model in diffusers names": ("motion_model", shapes(to_motion_adapter(motion_file(rows=32)))),
    "motion_model of a trainer, inside its U-Net": (
        "motion_model",
        with_prefix({**motion_shapes(), "conv_in.weight": (320, 4, 3, 3), "conv_out.weight": (4, 320, 3, 3)}, "module."),
    ),
    "SDXL motion model": ("motion_sdxl", SDXL_MOTION),
    "SDXL motion model, diffusers names": (
        "motion_sdxl", {k.replace(".temporal_transformer", ""): v for k, v in SDXL_MOTION.items()},
    ),
    "Hotshot": ("motion_hotshot", {k.replace("norm.weight", "pos_encoder.positional_encoding"): v for k, v in SDXL_MOTION.items()}),
    "PIA": ("motion_pia", {**motion_shapes(), "conv_in.weight": (320, 9, 3, 3)}),
    "AnimateLCM-I2V": ("motion_i2v", {**motion_shapes(mid=True), "img_encoder.conv_in.weight": (4, 4, 3, 3)}),
    "motion of a ControlNet": ("motion_encoder", motion_shapes(up=False)),
    "motion LoRA": ("motion_lora", {MOTION_LORA: (64, 320)}),
    "video_controlnet": ("video_controlnet", {**HINT, **with_prefix(motion_shapes(up=False), "motion.")}),
    "controlnet": ("controlnet", {**HINT, CROSS: (320, 768)}),
    "controlnet inside a checkpoint": (
        "controlnet", {**with_prefix({**HINT, CROSS: (320, 768)}, "control_model."), "model.diffusion_model.out.0.weight": (320,)},
    ),
    "difference controlnet": ("controlnet_difference", {**HINT, CROSS: (320, 768), "difference": (0,)}),
    "SD2 controlnet": ("controlnet_sd2", {**HINT, CROSS: (320, 1024)}),
    "SDXL controlnet": ("controlnet_sdxl", {**HINT, "label_emb.0.0.weight": (1280, 2816)}),
    "diffusers controlnet": ("controlnet_diffusers", {**DIFFUSERS, DIFFUSERS_CROSS: (640, 768)}),
    "diffusers SDXL controlnet": ("controlnet_sdxl", {**DIFFUSERS, DIFFUSERS_CROSS: (640, 2048)}),
    "SparseCtrl": ("sparsectrl", {**DIFFUSERS, **motion_shapes(up=False, attentions=1)}),
    "Flux controlnet": ("controlnet_dit", {"controlnet_x_embedder.weight": (3072, 64), "controlnet_blocks.0.weight": (3072, 3072)}),
    "Control-LoRA": ("control_lora", {"lora_controlnet": (0,), "input_hint_block.0.weight": (16, 3, 3, 3)}),
    "T2I-Adapter": ("t2i_adapter", {"body.0.block1.weight": (320, 320, 3, 3), "conv_in.weight": (320, 192, 3, 3)}),
    "LLLite": ("controllite", {"lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.down.0.weight": (32, 640)}),
    "IP-Adapter": ("ip_adapter", shapes(ip_adapter_file(width=768))),
    "IP-Adapter with other names": (
        "ip_adapter", {k.replace("ip_adapter.", "adapter_modules."): v for k, v in shapes(ip_adapter_file()).items()},
    ),
    "IP-Adapter SDXL": ("ip_adapter_sdxl", shapes(ip_adapter_file(width=2048))),
    "content guider": ("content_guider", with_prefix(shapes(ip_adapter_file()), "face.")),
    "LoRA (kohya)": ("lora", {"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": (8, 320)}),
    "LoRA (AnimateDiff v3 adapter)": ("lora", {ADAPTER_LORA: (128, 320)}),
    "LoRA (peft)": ("lora", {"unet.down_blocks.0.attn1.to_q.lora_A.weight": (8, 320)}),
    "checkpoint": ("checkpoint", {"model.diffusion_model." + CROSS: (320, 768), "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3)}),
    "SDXL checkpoint": ("checkpoint_sdxl", {"model.diffusion_model.label_emb.0.0.weight": (1280, 2816)}),
    "Flux": ("transformer", {"double_blocks.0.img_attn.qkv.weight": (9216, 3072)}),
    "Wan": ("transformer", {"blocks.0.cross_attn.k.weight": (1536, 1536)}),
    "U-Net": ("unet", {CROSS: (320, 768), "output_blocks.0.0.in_layers.0.weight": (2560,)}),
    "VAE": ("vae", {"encoder.conv_in.weight": (128, 3, 3, 3), "decoder.conv_in.weight": (512, 4, 3, 3)}),
    "TAESD": ("vae", {"taesd_encoder.0.weight": (64, 3, 3, 3)}),
    "CLIP vision": ("clip_vision", {"vision_model.embeddings.class_embedding": (1280,)}),
    "CLIP": ("clip", {"text_model.embeddings.token_embedding.weight": (49408, 768)}),
    "embedding": ("embedding", {"emb_params": (4, 768)}),
    "noise": ("unknown", {"foo": (1,)}),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_is_told_from_its_tensors(name):
    kind, layout = FILES[name]

    assert formats.detect(layout).kind == kind


def test_every_row_has_a_file_that_finds_it():
    assert {row.kind for row in formats.ROWS} == {kind for kind, _ in FILES.values()} - {"unknown"}


@pytest.mark.parametrize("name", [name for name, (kind, _) in FILES.items() if kind != "motion_model"])
def test_a_refusal_says_what_the_file_is_what_is_needed_and_what_to_do(name):
    _, layout = FILES[name]
    found = formats.detect(layout)

    with pytest.raises(
        WeightsError, match=r"^'x.safetensors' is an? .*, but a motion model is needed here"
    ) as caught:
        formats.expect("x.safetensors", layout, kinds=("motion_model",), wanted="a motion model")

    assert found.title in str(caught.value)
    assert str(caught.value).endswith(found.remedy)
    assert found.remedy.endswith(".")


def test_an_unknown_file_shows_its_first_tensors():
    with pytest.raises(WeightsError, match=r"kind that DreaMoving does not know \(its first tensors: foo\)"):
        formats.expect("x", {"foo": (1,)}, kinds=("motion_model",), wanted="a motion model")


def test_config_and_metadata_go_there_and_back():
    config = {"norm_mode": "frame", "down": [[1, 2]], "mid": None}

    metadata = formats.write_config(
        "dreamoving.motion", config, extra={"license": "CC0-1.0", "parents": "[]"}
    )

    assert all(isinstance(value, str) for value in metadata.values())
    assert metadata["license"] == "CC0-1.0"
    assert formats.read_config("x", metadata, expected="dreamoving.motion") == config


@pytest.mark.parametrize("metadata", [{}, {"format": "pt"}, {"epoch": "3"}])
def test_other_peoples_metadata_is_no_config(metadata):
    assert formats.read_config("x", metadata, expected="dreamoving.motion") == {}


def test_a_newer_minor_version_is_read():
    metadata = {"format": "dreamoving.motion", "format_version": "1.3", "config": json.dumps({"new": 1})}

    assert formats.read_config("x", metadata, expected="dreamoving.motion") == {"new": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"format_version": "2"},
            r"'x' has format version 2; this version of DreaMoving reads 1\. Update DreaMoving",
        ),
        ({"format_version": ""}, r"format version ; this"),
        (
            {"format": "dreamoving.other"},
            r"'x' says that it is 'dreamoving.other', but 'dreamoving.motion' is needed",
        ),
        ({"config": "{"}, r"The config in 'x' is not valid JSON.*Download the file again"),
        ({"config": "[]"}, r"The config in 'x' is not a JSON object"),
    ],
)
def test_a_config_that_cannot_be_trusted_is_refused(change, message):
    metadata = formats.write_config("dreamoving.motion", {}) | change

    with pytest.raises(WeightsError, match=message):
        formats.read_config("x", metadata, expected="dreamoving.motion")


def test_extra_metadata_cannot_overwrite_the_formats_own():
    with pytest.raises(WeightsError, match=r"metadata keys config are the format's own"):
        formats.write_config("dreamoving.motion", {}, extra={"config": "{}"})


def test_tensors_that_do_not_fit_are_counted_and_named():
    wanted = {"a": (1,), "b": (2, 3), "c": (1,)}

    formats.refuse_unfit("x", wanted, dict(wanted))
    message = (
        r"'x' does not fit: 2 tensors missing \(a, c\), 1 unexpected \(d\), "
        r"1 of another shape \(b: \[3, 2\], expected \[2, 3\]\)\. Download it again"
    )
    with pytest.raises(WeightsError, match=message):
        formats.refuse_unfit("x", wanted, {"b": (3, 2), "d": (1,)})


def test_provenance_is_strings_and_leaves_out_what_is_not_known():
    parent = {"name": "sd15", "sha256": "00", "license": "CreativeML-OpenRAIL-M"}

    known = formats.provenance(license="CC0-1.0", parents=[parent], training_steps=7)

    assert known == {"license": "CC0-1.0", "parents": json.dumps([parent]), "training_steps": "7"}
    assert formats.read_config(
        "x", formats.write_config("dreamoving.motion", {"a": 1}, extra=known), expected="dreamoving.motion"
    ) == {"a": 1}
