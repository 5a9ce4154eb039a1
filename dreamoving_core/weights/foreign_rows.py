"""Formats that none of DreaMoving's loaders reads, so that a refusal can name them and say where they belong."""

from .layout import Row

LORA_NODE = "Load it with the stock Load LoRA node."
CHECKPOINT_NODE = "Put it in models/checkpoints and load it with the stock Load Checkpoint node."
WANT_SD15 = "DreaMoving works on SD1.5. Choose the SD1.5 version of this model."

FOREIGN_ROWS: tuple[Row, ...] = (
    Row(
        kind="lora",
        title="an ordinary LoRA",
        evidence="low-rank pairs elsewhere",
        fits=lambda f: f.has(r"lora_(down|up|A|B)\b|\.lora\.(down|up)\.|_lora\.(down|up)\.|\.(hada|lokr)_w1"),
        remedy=LORA_NODE,
        files="v3_sd15_adapter, AnimateLCM_sd15_t2v_lora, ...",
    ),
    Row(
        kind="checkpoint_sdxl",
        title="a whole SDXL checkpoint",
        evidence="`model.diffusion_model.*` with text tokens 2048 wide or `label_emb`",
        fits=lambda f: f.has(r"^model\.diffusion_model\.") and f.base == "SDXL",
        remedy=WANT_SD15,
    ),
    Row(
        kind="checkpoint",
        title="a whole checkpoint",
        evidence="`model.diffusion_model.*`",
        fits=lambda f: f.has(r"^model\.diffusion_model\."),
        remedy=CHECKPOINT_NODE,
    ),
    Row(
        kind="transformer",
        title="a Flux, SD3 or video transformer",
        evidence="`double_blocks`, `joint_blocks`, `transformer_blocks` or `blocks` at the top",
        fits=lambda f: (
            f.has(r"(^|\.)(double_blocks|joint_blocks|transformer_blocks|blocks)\.0\.")
            and not f.has(r"(input|down)_blocks\.")
        ),
        remedy=WANT_SD15,
    ),
    Row(
        kind="unet",
        title="a U-Net alone",
        evidence="`input_blocks` and `output_blocks`, or diffusers' names for them",
        fits=lambda f: f.has(r"(input|down)_blocks\.\d", r"(output|up)_blocks\.\d"),
        remedy="Put it in models/diffusion_models and load it with the stock Load Diffusion Model node.",
    ),
    Row(
        kind="vae",
        title="a VAE",
        evidence="`encoder.*` and `decoder.*` of an autoencoder",
        fits=lambda f: f.has(
            r"^(first_stage_model\.)?(taesd_)?(encoder|decoder)\.(conv_in|conv_out|mid|up|down|\d)"
        ),
        remedy="Put it in models/vae and load it with the stock Load VAE node.",
    ),
    Row(
        kind="clip_vision",
        title="an image encoder (CLIP vision)",
        evidence="`vision_model.*` or `visual.*`",
        fits=lambda f: f.has(r"^(vision_model|visual)\."),
        remedy="Put it in models/clip_vision and load it with Load CLIP Vision.",
    ),
    Row(
        kind="clip",
        title="a text encoder",
        evidence="`text_model.*`, `token_embedding`, or T5's `encoder.block`",
        fits=lambda f: f.has(r"text_model\.|^encoder\.block\.0\.|token_embedding\.weight"),
        remedy="Put it in models/text_encoders and load it with the stock Load CLIP node.",
    ),
    Row(
        kind="embedding",
        title="a textual inversion embedding",
        evidence="`emb_params`, `clip_l` or `string_to_param.*`",
        fits=lambda f: f.has(r"^(emb_params|clip_[lgh]|string_to_param\.\*)$"),
        remedy="Put it in models/embeddings and name it in the prompt.",
    ),
)
