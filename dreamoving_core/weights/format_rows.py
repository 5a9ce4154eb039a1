"""The registry of weight formats: what each is called, how it shows in the tensors, who loads it, what to do else.

The first row that fits wins, so the rows go from the particular to the general: within a group, and from group to
group in the order of `ROWS`. Rows may share a kind (versions of one format). docs/weights.md is written from this.
"""

from .foreign_rows import FOREIGN_ROWS, WANT_SD15
from .keymaps import is_motion_adapter
from .layout import Row

SDXL_WIDTHS = (320, 640, 1280)  # channels per level

HINT = r"input_hint_block\.0\.weight"
ZERO = r"zero_convs\.0\.0\.weight"
MOTION = r"\.motion_modules\.\d+\."
MOTION_ABOVE = r"up_blocks\.\d+" + MOTION
IP = r"^(image_proj|image_proj_model|ip_adapter|adapter_modules)\."
IP_KEYS = r"\.to_k_ip\.weight$"

STOCK_CONTROLNET = (
    "Load it with the stock Load ControlNet Model node; DreaMoving's own nodes need an SD1.5 ControlNet."
)
LATER = "This version of DreaMoving cannot run it."

MOTION_NODE = "Load Motion Model"
LORA_NODE = "Load Motion LoRA"
CONTROL_NODE = "Load Video ControlNet"
GUIDER_NODE = "Load Content Guider"

APACHE = "Apache-2.0"
OPENRAIL = "CreativeML OpenRAIL-M"
RESEARCH = "non-commercial research (insightface)"


GUIDER_ROWS: tuple[Row, ...] = (
    Row(
        kind="content_guider",
        title="a Content Guider",
        evidence="`face.ip_adapter.*` or `cloth.ip_adapter.*`",
        fits=lambda f: f.has(r"^(face|cloth)\.ip_adapter\.\d+\.to_k_ip"),
        node=GUIDER_NODE,
        files="DreaMoving's own",
    ),
    Row(
        kind="ip_adapter_sdxl",
        title="an SDXL IP-Adapter",
        evidence="keys and values for text tokens 2048 wide",
        fits=lambda f: f.has(IP) and f.base == "SDXL",
        remedy=WANT_SD15,
    ),
    Row(
        kind="ip_adapter",
        title="an IP-Adapter FaceID-Plus",
        evidence="`image_proj.perceiver_resampler.*` and `to_k_ip`",
        fits=lambda f: f.has(IP_KEYS, r"\.perceiver_resampler\.proj_in\.weight$"),
        node=GUIDER_NODE,
        files="ip-adapter-faceid-plus_sd15, -faceid-plusv2",
        licence=RESEARCH,
    ),
    Row(
        kind="ip_adapter",
        title="an IP-Adapter FaceID",
        evidence="`image_proj.proj.2`, `image_proj.norm` and `to_k_ip`",
        fits=lambda f: f.has(
            IP_KEYS, r"^image_proj(_model)?\.proj\.2\.weight$", r"^image_proj(_model)?\.norm\.weight$"
        ),
        node=GUIDER_NODE,
        files="ip-adapter-faceid_sd15, -faceid-portrait, -faceid-portrait-v11",
        licence=RESEARCH,
    ),
    Row(
        kind="ip_adapter",
        title="an IP-Adapter",
        evidence="`image_proj.*` and `to_k_ip`",
        fits=lambda f: f.has(IP, IP_KEYS),
        node=GUIDER_NODE,
        files="ip-adapter_sd15, -light, -light_v11, -plus, -plus-face, -full-face",
        licence=APACHE,
    ),
)

CONTROL_ROWS: tuple[Row, ...] = (
    Row(
        kind="video_controlnet",
        title="a Video ControlNet",
        evidence="an LDM ControlNet and motion blocks under `motion.`",
        fits=lambda f: f.has(HINT, ZERO, r"^motion\."),
        node=CONTROL_NODE,
        files="DreaMoving's own",
    ),
    Row(
        kind="sparsectrl",
        title="a SparseCtrl model",
        evidence="a diffusers ControlNet with motion blocks inside",
        fits=lambda f: f.has(r"controlnet_(down|mid)_block", MOTION),
        node=CONTROL_NODE,
        files="v3_sd15_sparsectrl_rgb, v3_sd15_sparsectrl_scribble",
        licence=APACHE,
    ),
    Row(
        kind="controlnet_sdxl",
        title="an SDXL ControlNet",
        evidence="text tokens 2048 wide, or `label_emb`",
        fits=lambda f: (f.has(HINT, ZERO) or f.has(r"controlnet_cond_embedding")) and f.base == "SDXL",
        remedy=WANT_SD15,
    ),
    Row(
        kind="controlnet_sd2",
        title="an SD2 ControlNet",
        evidence="text tokens 1024 wide",
        fits=lambda f: (f.has(HINT, ZERO) or f.has(r"controlnet_cond_embedding")) and f.base == "SD2",
        remedy=WANT_SD15,
    ),
    Row(
        kind="control_lora",
        title="a Control-LoRA",
        evidence="`lora_controlnet`",
        fits=lambda f: f.has(r"^lora_controlnet$"),
        remedy=STOCK_CONTROLNET,
    ),
    Row(
        kind="controlnet_difference",
        title="a difference ControlNet, which wants the weights of its base model added",
        evidence="a ControlNet and `difference`",
        fits=lambda f: f.has(HINT, ZERO, r"^difference$"),
        remedy="Load it with the stock Load ControlNet Model (diff) node.",
    ),
    Row(
        kind="controlnet",
        title="a ControlNet",
        evidence="`input_hint_block` and `zero_convs`, also below `control_model.`",
        fits=lambda f: f.has(HINT, ZERO),
        node=CONTROL_NODE,
        files="control_v11p_sd15_openpose, control_v11f1p_sd15_depth, control_v11f1e_sd15_tile, ...",
        licence=OPENRAIL,
    ),
    Row(
        kind="controlnet_diffusers",
        title="a ControlNet in diffusers' layout",
        evidence="`controlnet_cond_embedding` and `controlnet_down_blocks`",
        fits=lambda f: f.has(r"controlnet_cond_embedding", r"controlnet_down_blocks"),
        node=CONTROL_NODE,
        files="diffusion_pytorch_model of lllyasviel/control_v11p_sd15_openpose, ...",
        licence=OPENRAIL,
    ),
    Row(
        kind="controlnet_dit",
        title="a ControlNet for Flux, SD3 or another transformer",
        evidence="`controlnet_x_embedder`, `controlnet_blocks`, `control_blocks` or `pos_embed_input`",
        fits=lambda f: f.has(r"controlnet_(x_embedder|blocks\.0)|^control_blocks\.|^pos_embed_input\."),
        remedy=WANT_SD15,
    ),
    Row(
        kind="t2i_adapter",
        title="a T2I-Adapter",
        evidence="`body.0.*`",
        fits=lambda f: f.has(r"^(adapter\.)?body\.0\.(in_conv|block1|resnets)"),
        remedy=STOCK_CONTROLNET,
    ),
    Row(
        kind="controllite",
        title="a ControlNet-LLLite model",
        evidence="`lllite_*`",
        fits=lambda f: f.has(r"^lllite_"),
        remedy=WANT_SD15,
    ),
)

MOTION_ROWS: tuple[Row, ...] = (
    Row(
        kind="motion_lora",
        title="a motion LoRA",
        evidence="low-rank pairs inside `motion_modules`",
        fits=lambda f: f.has(MOTION + r".*(_lora\.|lora_[AB]|lora_down|lora_up)"),
        node=LORA_NODE,
        remedy="Use Load Motion LoRA, after Load Motion Model.",
        files="v2_lora_ZoomIn, ... (eight camera moves)",
        licence=APACHE,
    ),
    Row(
        kind="motion_hotshot",
        title="a Hotshot-XL motion model (SDXL)",
        evidence="`temporal_attentions` or `pos_encoder.positional_encoding`",
        fits=lambda f: f.has(r"pos_encoder\.positional_encoding|temporal_attentions\."),
        remedy=WANT_SD15,
    ),
    Row(
        kind="motion_pia",
        title="a PIA motion model",
        evidence="motion blocks and a `conv_in` for 9 channels",
        fits=lambda f: f.has(MOTION) and f.size(r"^(module\.|unet\.)*conv_in\.weight$", 1) == 9,
        remedy=f"{LATER} Choose a motion model without an image input.",
    ),
    Row(
        kind="motion_i2v",
        title="an AnimateLCM-I2V motion model",
        evidence="motion blocks and `img_encoder`",
        fits=lambda f: f.has(MOTION, r"img_encoder\."),
        remedy=f"{LATER} Choose the text-to-video one.",
    ),
    Row(
        kind="motion_sdxl",
        title="an SDXL motion model",
        evidence="three levels, 320, 640 and 1280 wide",
        fits=lambda f: f.motion_widths() == SDXL_WIDTHS,
        remedy=WANT_SD15,
    ),
    Row(
        kind="motion_encoder",
        title="a set of motion blocks for a ControlNet, without those of a U-Net",
        evidence="motion blocks in `down_blocks` alone",
        fits=lambda f: bool(f.motion_widths()) and not f.has(MOTION_ABOVE),
        remedy="Load a whole motion model.",
    ),
    Row(
        kind="motion_model",
        title="a motion model",
        evidence="motion blocks in `down_blocks` and `up_blocks`, AnimateDiff's names or diffusers'",
        fits=lambda f: bool(f.motion_widths()) and (f.has(r"temporal_transformer") or is_motion_adapter(f.shapes)),
        node=MOTION_NODE,
        files="mm_sd_v15_v2, v3_sd15_mm, AnimateLCM_sd15_t2v, lt_long_mm_16_64_frames, ...",
        licence=APACHE,
    ),
)  # fmt: skip

ROWS: tuple[Row, ...] = (*GUIDER_ROWS, *CONTROL_ROWS, *MOTION_ROWS, *FOREIGN_ROWS)
