"""Public model files that DreaMoving's graphs use: where each goes, how big it is, whose licence, where it comes from.

Facts only, nothing is downloaded. Names are those under which workflows ask for the files; what a file is, its tensors
decide (`weights/`). A SHA-256 stands here only with the public source that it was read in.
"""

from dataclasses import dataclass

HUGGING_FACE = "https://huggingface.co"

APACHE = "Apache-2.0"
OPENRAIL = "CreativeML OpenRAIL-M"
CONTROLNET = "OpenRAIL (ControlNet v1.1)"
RESEARCH = "non-commercial research (insightface)"
SEE_PAGE = "see the page"  # no text of a licence was at hand when this was written

# Where the digests were read. Each of these programs checks its downloads against them.
KRITA = "Acly/krita-ai-diffusion, ai_diffusion/presets/models.json"
SWARM = "SwarmUI's ComfyUI workflow generator"
WEBUI = "continue-revolution/sd-webui-animatediff, list of tested motion modules"
INSTALLERS = "public installers that check it; at least two independent ones agree"
ONE_INSTALLER = "one public installer that checks it"


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """One file. `size` in bytes where a source gives it to the byte, else `about` in words."""

    name: str  # the name in workflows
    folder: str  # ComfyUI's name of the folder, below models/
    repo: str  # on Hugging Face, or the whole address of a page elsewhere
    path: str  # inside the repo; "" when the page has no address for the file alone
    licence: str
    size: int | None = None
    about: str = ""
    sha256: str | None = None
    sha256_source: str = ""
    subfolder: str = ""  # where below the folder it must lie
    other_names: tuple[str, ...] = ()  # that people and other packs save it under

    @property
    def page(self) -> str:
        """Where a person reads about it and downloads it."""
        return self.repo if "://" in self.repo else f"{HUGGING_FACE}/{self.repo}"

    @property
    def url(self) -> str:
        """The file's own address; "" when there is none."""
        return f"{self.page}/resolve/main/{self.path}" if self.path else ""

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.other_names)

    @property
    def size_words(self) -> str:
        """Decimal units, as download pages show them."""
        if self.size is None:
            return self.about or "unknown"
        return f"{self.size / 1e9:.2f} GB" if self.size >= 1e9 else f"{self.size / 1e6:.0f} MB"


FILES: tuple[ModelFile, ...] = (
    # base models
    ModelFile(
        name="dreamshaper_8.safetensors", folder="checkpoints", licence=OPENRAIL, size=2_132_625_894,
        repo="Lykon/DreamShaper", path="DreamShaper_8_pruned.safetensors", other_names=("DreamShaper_8_pruned.safetensors",),
        sha256="879db523c30d3b9017143d56705015e15a2cb5628762c11d086fed9538abd7fd", sha256_source=KRITA,
    ),
    ModelFile(
        name="v1-5-pruned-emaonly.safetensors", folder="checkpoints", licence=OPENRAIL, size=4_265_146_304,
        repo="stable-diffusion-v1-5/stable-diffusion-v1-5", path="v1-5-pruned-emaonly.safetensors",
        sha256="6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa", sha256_source=INSTALLERS,
    ),
    ModelFile(
        name="CounterfeitV30_v30.safetensors", folder="checkpoints", licence=SEE_PAGE,
        about="size on its page", repo="camenduru/AnimateDiff", path="CounterfeitV30_v30.safetensors",
    ),
    ModelFile(
        name="Pyramid lora_Ghibli_n3.safetensors", folder="loras", licence=SEE_PAGE, about="size on its page",
        repo="camenduru/AnimateDiff", path="Pyramid%20lora_Ghibli_n3.safetensors",
        other_names=("lora_Ghibli_n3.safetensors",),
    ),
    ModelFile(
        name="vae-ft-mse-840000-ema-pruned.safetensors", folder="vae", licence="MIT", size=334_641_190,
        repo="stabilityai/sd-vae-ft-mse-original", path="vae-ft-mse-840000-ema-pruned.safetensors",
        sha256="735e4c3a447a3255760d7f86845f09f937809baa529c17370d83e4c3758f3c75", sha256_source=INSTALLERS,
    ),
    # motion
    ModelFile(
        name="v3_sd15_mm.ckpt", folder="animatediff_models", licence=APACHE, size=1_673_262_583,
        repo="guoyww/animatediff", path="v3_sd15_mm.ckpt",
        sha256="2412711886f61091846f53204aabc38aa6e09356d62a9808abe4daa802168343", sha256_source=INSTALLERS,
    ),
    ModelFile(
        name="mm_sd_v15_v2.ckpt", folder="animatediff_models", licence=APACHE, size=1_817_888_431,
        repo="guoyww/animatediff", path="mm_sd_v15_v2.ckpt",
        sha256="69ed0f5fef82b110aca51bcab73b21104242bc65d6ab4b8b2a2a94d31cad1bf0", sha256_source=WEBUI,
    ),
    ModelFile(
        name="mm_sd_v15.ckpt", folder="animatediff_models", licence=APACHE, about="about 1.7 GB",
        repo="guoyww/animatediff", path="mm_sd_v15.ckpt",
        sha256="cf16ea656cb16124990c8e2c70a29c793f9841f3a2223073fac8bd89ebd9b69a", sha256_source=WEBUI,
    ),
    ModelFile(
        name="mm_sd_v14.ckpt", folder="animatediff_models", licence=APACHE, about="about 1.7 GB",
        repo="guoyww/animatediff", path="mm_sd_v14.ckpt",
        sha256="aa7fd8a200a89031edd84487e2a757c5315460eca528fa70d4b3885c399bffd5", sha256_source=WEBUI,
    ),
    ModelFile(
        name="lt_long_mm_16_64_frames_v1.1.ckpt", folder="animatediff_models", licence=SEE_PAGE, about="about 1.8 GB",
        repo="Lightricks/LongAnimateDiff", path="lt_long_mm_16_64_frames_v1.1.ckpt",
    ),
    ModelFile(
        name="AnimateLCM_sd15_t2v.ckpt", folder="animatediff_models", licence=SEE_PAGE, about="about 1.8 GB",
        repo="wangfuyun/AnimateLCM", path="AnimateLCM_sd15_t2v.ckpt",
        sha256="b46c3de62e5696af72c4056e3cdcbea12fbc19581c0aad7b6f2b027851148f5f", sha256_source=ONE_INSTALLER,
    ),
    ModelFile(
        name="AnimateLCM_sd15_t2v_lora.safetensors", folder="loras", licence=SEE_PAGE, about="about 135 MB",
        repo="wangfuyun/AnimateLCM", path="AnimateLCM_sd15_t2v_lora.safetensors",
    ),
    ModelFile(
        name="animatediff_lightning_4step_comfyui.safetensors", folder="animatediff_models", licence=OPENRAIL,
        about="about 0.9 GB", repo="ByteDance/AnimateDiff-Lightning",
        path="animatediff_lightning_4step_comfyui.safetensors",
    ),
    ModelFile(
        name="lcm-lora-sdv1-5.safetensors", folder="loras", licence="OpenRAIL++", size=134_621_556,
        repo="latent-consistency/lcm-lora-sdv1-5", path="pytorch_lora_weights.safetensors",
        sha256="8f90d840e075ff588a58e22c6586e2ae9a6f7922996ee6649a7f01072333afe4", sha256_source=INSTALLERS,
    ),
    # control
    ModelFile(
        name="control_v11p_sd15_openpose_fp16.safetensors", folder="controlnet", licence=CONTROLNET, size=722_601_100,
        repo="comfyanonymous/ControlNet-v1-1_fp16_safetensors", path="control_v11p_sd15_openpose_fp16.safetensors",
        sha256="4003c1da17b0e4ba444e02140e1c0d83bb24b79e4dcfd613c3a554d38f0f89c7", sha256_source=INSTALLERS,
    ),
    ModelFile(
        name="control_v11f1p_sd15_depth_fp16.safetensors", folder="controlnet", licence=CONTROLNET, size=722_601_100,
        repo="comfyanonymous/ControlNet-v1-1_fp16_safetensors", path="control_v11f1p_sd15_depth_fp16.safetensors",
        sha256="1c4a79aa52fb63f607cb9ff479ea5aa1923b6ceb21267bd14b69bd05d7b617be", sha256_source=INSTALLERS,
    ),
    ModelFile(
        name="control_v11f1e_sd15_tile_fp16.safetensors", folder="controlnet", licence=CONTROLNET, size=722_601_104,
        repo="comfyanonymous/ControlNet-v1-1_fp16_safetensors", path="control_v11f1e_sd15_tile_fp16.safetensors",
        sha256="2f31868eedb243a77932e3c63907a6ba0a2058b6d65b5c27b89ee1b7f618ea33", sha256_source=INSTALLERS,
    ),
    ModelFile(
        name="v3_sd15_sparsectrl_rgb.ckpt", folder="controlnet", licence=APACHE, about="about 2.0 GB",
        repo="guoyww/animatediff", path="v3_sd15_sparsectrl_rgb.ckpt",
    ),
    ModelFile(
        name="v3_sd15_sparsectrl_scribble.ckpt", folder="controlnet", licence=APACHE, about="about 2.0 GB",
        repo="guoyww/animatediff", path="v3_sd15_sparsectrl_scribble.ckpt",
    ),
    # faces and clothes
    ModelFile(
        name="CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors", folder="clip_vision", licence=APACHE, size=2_528_373_448,
        repo="h94/IP-Adapter", path="models/image_encoder/model.safetensors",
        other_names=("clip-vision_vit-h.safetensors", "clip_vision_h14.safetensors"),
        sha256="6ca9667da1ca9e0b0f75e46bb030f7e011f44f86cbfb8d5a36590fcd7507b030", sha256_source=KRITA,
    ),
    ModelFile(
        name="ip-adapter_sd15.safetensors", folder="ipadapter", licence=APACHE, size=44_642_768,
        repo="h94/IP-Adapter", path="models/ip-adapter_sd15.safetensors",
        sha256="289b45f16d043d0bf542e45831f971dcdaabe18b656f11e86d9dfba7e9ee3369", sha256_source=KRITA,
    ),
    ModelFile(
        name="ip-adapter_sd15_light_v11.bin", folder="ipadapter", licence=APACHE, about="about 45 MB",
        repo="h94/IP-Adapter", path="models/ip-adapter_sd15_light_v11.bin",
        sha256="350b63a57847c163e2e984b01090f85ffe60eaae20f32b2b2c9e1ccc7ddd972b", sha256_source=SWARM,
    ),
    ModelFile(
        name="ip-adapter-plus_sd15.safetensors", folder="ipadapter", licence=APACHE, size=98_183_288,
        repo="h94/IP-Adapter", path="models/ip-adapter-plus_sd15.safetensors",
        sha256="a1c250be40455cc61a43da1201ec3f1edaea71214865fb47f57927e06cbe4996", sha256_source=SWARM,
    ),
    ModelFile(
        name="ip-adapter-plus-face_sd15.safetensors", folder="ipadapter", licence=APACHE, size=98_183_288,
        repo="h94/IP-Adapter", path="models/ip-adapter-plus-face_sd15.safetensors",
        sha256="1c9edc21af6f737dc1d6e0e734190e976cfacf802d6b024b77aa3be922f7569b", sha256_source=SWARM,
    ),
    ModelFile(
        name="ip-adapter-full-face_sd15.safetensors", folder="ipadapter", licence=APACHE, size=43_592_352,
        repo="h94/IP-Adapter", path="models/ip-adapter-full-face_sd15.safetensors",
        sha256="f4a17fb643bf876235a45a0e87a49da2855be6584b28ca04c62a97ab5ff1c6f3", sha256_source=SWARM,
    ),
    ModelFile(
        name="ip-adapter-faceid_sd15.bin", folder="ipadapter", licence=RESEARCH, size=96_740_574,
        repo="h94/IP-Adapter-FaceID", path="ip-adapter-faceid_sd15.bin",
        sha256="201344e22e6f55849cf07ca7a6e53d8c3b001327c66cb9710d69fd5da48a8da7", sha256_source=SWARM,
    ),
    ModelFile(
        name="ip-adapter-faceid-plus_sd15.bin", folder="ipadapter", licence=RESEARCH, about="about 157 MB",
        repo="h94/IP-Adapter-FaceID", path="ip-adapter-faceid-plus_sd15.bin",
        sha256="252fb53e0d018489d9e7f9b9e2001a52ff700e491894011ada7cfb471e0fadf2", sha256_source=SWARM,
    ),
    ModelFile(
        name="ip-adapter-faceid-plusv2_sd15.bin", folder="ipadapter", licence=RESEARCH, size=156_558_509,
        repo="h94/IP-Adapter-FaceID", path="ip-adapter-faceid-plusv2_sd15.bin",
        sha256="26d0d86a1d60d6cc811d3b8862178b461e1eeb651e6fe2b72ba17aa95411e313", sha256_source=KRITA,
    ),
    ModelFile(
        name="ip-adapter-faceid-portrait-v11_sd15.bin", folder="ipadapter", licence=RESEARCH, size=64_586_623,
        repo="h94/IP-Adapter-FaceID", path="ip-adapter-faceid-portrait-v11_sd15.bin",
        sha256="a48cb4f89ed18e02c6000f65aa9efec452e87eaed4a1bc9fcf4a460c8d0e3bc6", sha256_source=SWARM,
    ),
    ModelFile(
        name="w600k_r50.onnx", folder="insightface", subfolder="models/buffalo_l", licence=RESEARCH, size=174_383_860,
        repo="https://github.com/deepinsight/insightface/releases/tag/v0.7", path="",
        sha256="4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43", sha256_source=INSTALLERS,
    ),
    # Wan, for core's Wan-Animate and SCAIL nodes
    ModelFile(
        name="wan2.2_animate_14B_bf16.safetensors", folder="diffusion_models", licence=APACHE, about="about 35 GB",
        repo="Comfy-Org/Wan_2.2_ComfyUI_Repackaged",
        path="split_files/diffusion_models/wan2.2_animate_14B_bf16.safetensors",
    ),
    ModelFile(
        name="Wan21-14B-SCAIL-preview_comfy_bf16.safetensors", folder="diffusion_models", licence="MIT",
        about="size on its page", repo="Kijai/WanVideo_comfy", path="SCAIL/Wan21-14B-SCAIL-preview_comfy_bf16.safetensors",
    ),
    ModelFile(
        name="lightx2v_I2V_14B_480p_cfg_step_distill_rank64_bf16.safetensors", folder="loras", licence=SEE_PAGE,
        size=738_005_744, repo="Kijai/WanVideo_comfy",
        path="Lightx2v/lightx2v_I2V_14B_480p_cfg_step_distill_rank64_bf16.safetensors",
        sha256="85c4a61c30e0497aa44b91d93a893b624708461a56fe5485183b28fa07e2dfb3", sha256_source=INSTALLERS,
    ),
    ModelFile(
        name="umt5_xxl_fp8_e4m3fn_scaled.safetensors", folder="text_encoders", licence=SEE_PAGE, size=6_735_906_897,
        repo="Comfy-Org/Wan_2.1_ComfyUI_repackaged",
        path="split_files/text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors",
        sha256="c3355d30191f1f066b26d93fba017ae9809dce6c627dda5f6a66eaa651204f68", sha256_source=INSTALLERS,
    ),
    ModelFile(
        name="clip_vision_h.safetensors", folder="clip_vision", licence=SEE_PAGE, size=1_264_219_396,
        repo="Comfy-Org/Wan_2.1_ComfyUI_repackaged", path="split_files/clip_vision/clip_vision_h.safetensors",
        sha256="64a7ef761bfccbadbaa3da77366aac4185a6c58fa5de5f589b42a65bcc21f161", sha256_source=INSTALLERS,
    ),
    ModelFile(
        name="wan_2.1_vae.safetensors", folder="vae", licence=SEE_PAGE, size=253_815_318,
        repo="Comfy-Org/Wan_2.2_ComfyUI_Repackaged", path="split_files/vae/wan_2.1_vae.safetensors",
        sha256="2fc39d31359a4b0a64f55876d8ff7fa8d780956ae2cb13463b0223e15148976b", sha256_source=INSTALLERS,
    ),
    # reading videos
    ModelFile(
        name="yolox_l.onnx", folder="dwpose", licence=SEE_PAGE, size=216_746_733, repo="yzd-v/DWPose", path="yolox_l.onnx",
        sha256="7860ae79de6c89a3c1eb72ae9a2756c0ccfbe04b7791bb5880afabd97855a411", sha256_source=INSTALLERS,
    ),
    ModelFile(
        name="dw-ll_ucoco_384.onnx", folder="dwpose", licence=SEE_PAGE, size=134_399_116, repo="yzd-v/DWPose",
        path="dw-ll_ucoco_384.onnx",
        sha256="724f4ff2439ed61afb86fb8a1951ec39c6220682803b4a8bd4f598cd913b1843", sha256_source=INSTALLERS,
    ),
    ModelFile(
        name="ZoeD_M12_N.pt", folder="zoedepth", licence="MIT", about="about 1.4 GB", repo="lllyasviel/Annotators",
        path="ZoeD_M12_N.pt",
    ),
    # finishing
    ModelFile(
        name="film_net_fp16.safetensors", folder="frame_interpolation", licence=SEE_PAGE,
        about="size on its page", repo="Comfy-Org/frame_interpolation", path="frame_interpolation/film_net_fp16.safetensors",
    ),
    ModelFile(
        name="RealESRGAN_x4plus.safetensors", folder="upscale_models", licence=SEE_PAGE,
        about="size on its page", repo="Comfy-Org/Real-ESRGAN_repackaged", path="RealESRGAN_x4plus.safetensors",
    ),
)  # fmt: skip

BY_NAME: dict[str, ModelFile] = {name: file for file in FILES for name in file.names}
BY_SHA256: dict[str, ModelFile] = {file.sha256: file for file in FILES if file.sha256}
