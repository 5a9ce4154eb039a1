"""What people want to make, and the files that each wish needs beside this pack: published recipes' choices."""

from .files import BY_NAME
from .graphs import Asked


def need(name: str, by: str, *, instead: str = "") -> Asked:
    """A file of the catalogue; `instead` is what serves as well."""
    file = BY_NAME[name]
    own = ("dreamoving",) if file.folder in ("animatediff_models", "controlnet", "ipadapter") else ()
    return Asked(
        name=name, folders=(file.folder, *own), by=by, file=file, page=file.page, sha256=file.sha256, instead=instead
    )  # fmt: skip


BASE = need("dreamshaper_8.safetensors", "base model", instead="any SD1.5 checkpoint")
MOTION = need("v3_sd15_mm.ckpt", "motion", instead="any SD1.5 motion model")
LONG_MOTION = need(
    "lt_long_mm_16_64_frames_v1.1.ckpt", "motion, trained at 64 frames", instead="v3_sd15_mm.ckpt"
)
FAST_MOTION = need(
    "AnimateLCM_sd15_t2v.ckpt",
    "motion in 4 to 8 steps",
    instead="animatediff_lightning_4step_comfyui.safetensors, without the LoRA",
)
FAST_LORA = need("AnimateLCM_sd15_t2v_lora.safetensors", "its LoRA for the base model")
POSE = need(
    "control_v11p_sd15_openpose_fp16.safetensors", "poses", instead="the .pth of lllyasviel/ControlNet-v1-1"
)
DEPTH = need(
    "control_v11f1p_sd15_depth_fp16.safetensors", "depth", instead="the .pth of lllyasviel/ControlNet-v1-1"
)
EYES = need("CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors", "image encoder")
FACE = need("ip-adapter-plus-face_sd15.safetensors", "face", instead="ip-adapter-full-face_sd15.safetensors")
CLOTH = need("ip-adapter-plus_sd15.safetensors", "clothes", instead="ip-adapter_sd15.safetensors")
FACE_ID = need("ip-adapter-faceid-plusv2_sd15.bin", "face by identity", instead="ip-adapter-faceid_sd15.bin")
LIGHTNING = need("animatediff_lightning_4step_comfyui.safetensors", "motion in 4 steps")
DRAWN_BASE = need(
    "CounterfeitV30_v30.safetensors", "a base model in the style", instead="any SD1.5 checkpoint of a style"
)
PEOPLE = need("yolox_l.onnx", "finds people in your clip")
POINTS = need("dw-ll_ucoco_384.onnx", "finds their joints")
ZOE = need("ZoeD_M12_N.pt", "sees how far away things are", instead="the folder of Intel/zoedepth-nyu")
STYLE_LORA = need(
    "Pyramid lora_Ghibli_n3.safetensors", "a LoRA of a style", instead="any SD1.5 LoRA of a style"
)
BETWEEN = need("film_net_fp16.safetensors", "frames in between")
LARGER = need(
    "RealESRGAN_x4plus.safetensors", "larger pictures", instead="any upscaler in models/upscale_models"
)
ARCFACE = need("w600k_r50.onnx", "identity (pack buffalo_l)")
WAN_ANIMATE = need(
    "wan2.2_animate_14B_bf16.safetensors",
    "Wan-Animate",
    instead="Wan2_2-Animate-14B_fp8_e4m3fn_scaled_KJ.safetensors",
)
SCAIL = need(
    "Wan21-14B-SCAIL-preview_comfy_bf16.safetensors", "SCAIL",
    instead="Wan21-14B-SCAIL-preview_fp8_e4m3fn_scaled_KJ.safetensors",
)  # fmt: skip
WAN_FAST = need("lightx2v_I2V_14B_480p_cfg_step_distill_rank64_bf16.safetensors", "Wan in 6 steps")
WAN_TEXT = need("umt5_xxl_fp8_e4m3fn_scaled.safetensors", "text encoder of Wan")
WAN_EYES = need("clip_vision_h.safetensors", "image encoder of Wan")
WAN_VAE = need("wan_2.1_vae.safetensors", "autoencoder of Wan", instead="Wan2_1_VAE_bf16.safetensors")

# The names and the order of the files in workflows/.
STORIES: dict[str, tuple[Asked, ...]] = {
    "Tiny demo": (),
    "Text only": (BASE, MOTION, POSE, PEOPLE, POINTS),
    "Text and face": (BASE, MOTION, POSE, PEOPLE, POINTS, EYES, FACE),
    "Face and clothes": (BASE, MOTION, POSE, PEOPLE, POINTS, EYES, FACE, CLOTH),
    "Face by identity": (BASE, MOTION, POSE, PEOPLE, POINTS, EYES, FACE_ID, ARCFACE),
    "Image only": (BASE, MOTION, POSE, PEOPLE, POINTS, EYES, FACE, CLOTH),
    "Stylised reference": (BASE, MOTION, POSE, PEOPLE, POINTS, EYES, FACE, CLOTH),
    "Stylised checkpoint and LoRA": (DRAWN_BASE, STYLE_LORA, MOTION, POSE, PEOPLE, POINTS, EYES, FACE),
    "Pose and depth": (BASE, MOTION, POSE, DEPTH, PEOPLE, POINTS, ZOE, EYES, FACE, CLOTH),
    "Long video": (BASE, LONG_MOTION, POSE, PEOPLE, POINTS, EYES, FACE, CLOTH),
    "Few steps": (BASE, FAST_LORA, FAST_MOTION, POSE, PEOPLE, POINTS, EYES, FACE, CLOTH),
    "Few steps, Lightning": (BASE, LIGHTNING, POSE, PEOPLE, POINTS, EYES, FACE, CLOTH),
    "Video to video": (BASE, MOTION, POSE, PEOPLE, POINTS, EYES, FACE),
    "Face pass": (BASE, MOTION, POSE, PEOPLE, POINTS, EYES, FACE),
    "Pose preparation": (PEOPLE, POINTS),
    "Finish": (BETWEEN, LARGER),
    "Evaluation": (PEOPLE, POINTS, ARCFACE),
    "Wan-Animate": (WAN_ANIMATE, WAN_FAST, WAN_TEXT, WAN_EYES, WAN_VAE, PEOPLE, POINTS),
    "SCAIL": (SCAIL, WAN_FAST, WAN_TEXT, WAN_EYES, WAN_VAE, PEOPLE, POINTS),
}  # fmt: skip
