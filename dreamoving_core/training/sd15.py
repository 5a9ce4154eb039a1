"""One of the paper's stages on Stable Diffusion 1.5: from files to networks, and from networks to files."""

import logging
import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from ..bridge.noise_schedule import scheduled
from ..bridge.trainable_sd15 import (
    FrozenEncoders,
    load_base,
    load_vision,
    trainable_control,
    trainable_guider,
    trainable_motion,
)
from ..bridge.video_controlnet import video_controlnet_state_dict
from ..errors import InputError
from ..file_digest import sha256_of
from ..models.content_guider import ContentGuider
from ..models.motion import MotionModel
from ..preprocess.face_identity import load_face_recogniser
from ..weights.content_guider import content_guider_metadata
from ..weights.formats import provenance
from ..weights.io import write_weights
from ..weights.motion import MotionInfo, motion_metadata
from .export import half
from .stages import Stage
from .stages_sd15 import BATCH
from .trainee import DreaMovingTrainee

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Files:
    """What a training starts from. What is None is made new, or is not needed."""

    base: Path
    motion: Path | None = None
    control: Path | None = None
    content_guider: Path | None = None
    clip_vision: Path | None = None
    face_recogniser: Path | None = None  # a folder, as Load Face Recogniser takes it

    def __post_init__(self) -> None:
        for name, path in vars(self).items():
            if path is not None and not path.exists():
                raise InputError(f"There is no {path}. Check --{name.replace('_', '-')}.")

    def parents(self) -> list[dict[str, str]]:
        """The weights that the result descends from, for its header."""
        starts = (self.base, self.motion, self.control, self.content_guider)
        return [{"name": path.name, "sha256": sha256_of(path)} for path in starts if path is not None]


@dataclass(frozen=True, kw_only=True)
class Sd15Networks:
    """The networks of a stage; those that it does not use are None."""

    trainee: DreaMovingTrainee
    encoders: FrozenEncoders
    motion_info: MotionInfo | None = None


def build(stage: Stage, files: Files) -> Sd15Networks:
    """Read the files and make what the stage needs; only what it learns requires gradients."""
    refuse_gaps(stage, files)
    base, clip, vae = load_base(files.base)
    if stage.betas == "linear":
        base.model_sampling = scheduled(base.model_sampling, "linear")
    motion, info = trainable_motion(files.motion, base) if stage.motion else (None, None)
    controls = {}
    for kind in dict.fromkeys(kind for kind in stage.controls if kind != "none"):
        from_motion = stage.init == "control from motion"
        controls[kind] = trainable_control(files.control, base, motion, from_motion=from_motion)
    encoders, guider = encoders_of(files, stage, base, clip, vae), None
    if stage.guidance:
        guider = trainable_guider(
            files.content_guider,
            base,
            feature_width=encoders.vision.config["hidden_size"],
            recogniser=encoders.recogniser,
        )
    trainee = DreaMovingTrainee(
        base=base,
        text=None,
        guider=guider,
        controls=controls,
        motion=motion,
        objective=stage.objective,
        checkpointing=stage.checkpointing,
        norms_across_frames=info is not None and info.unet_norms == "clip",
    )
    trainee.requires_grad_(False)
    for parameter in stage.learners(trainee).values():
        parameter.requires_grad_(True)
    return Sd15Networks(trainee=trainee, encoders=encoders, motion_info=info)


def encoders_of(files: Files, stage: Stage, base: nn.Module, clip, vae) -> FrozenEncoders:
    encoders = FrozenEncoders(base=base, clip=clip, vae=vae)
    if not stage.guidance:
        return encoders
    folder = files.face_recogniser
    recogniser = None if folder is None else load_face_recogniser(folder, name=folder.name)
    return replace(encoders, vision=load_vision(files.clip_vision), recogniser=recogniser)


def refuse_gaps(stage: Stage, files: Files) -> None:
    """InputError for files without which the paper's stage makes no sense."""
    needed = []
    if stage.guidance and files.clip_vision is None:
        needed.append("--clip-vision: OpenCLIP ViT-H/14, as ip-adapter's image encoder")
    if stage.motion and stage.name != "long_frame" and files.motion is None:
        needed.append("--motion: the motion model of the stage long_frame")
    if stage.name == "expression" and files.control is None:
        needed.append("--control: the Video ControlNet of the stage video_control")
    if needed:
        raise InputError(f"The stage {stage.name} needs {'; '.join(needed)}.")


def departures(stage: Stage, files: Files, *, processes: int) -> list[str]:
    """Where a run will not be the paper's, in words, and how it would be."""
    told, batch = [], stage.clips * stage.schedule.accumulate * processes
    if stage.name == "content_guider" and batch < BATCH:
        passes = math.ceil(BATCH / (stage.clips * processes))
        told.append(
            f"a step sees {batch} pictures, the paper's {BATCH}. For its batch start 8 processes with accelerate launch "
            f"(docs/training.md, Several GPUs), or give --set accumulate={passes}, which takes {passes} passes a step"
        )
    if stage.name == "content_guider" and files.face_recogniser is None:
        told.append(
            "without --face-recogniser the paper's ArcFace supplement is not trained: who a face is comes from the image "
            "encoder alone. Give the folder of a pack, such as insightface's buffalo_l"
        )
    if stage.name == "long_frame" and files.motion is None:
        told.append(
            "without --motion the motion blocks start new, where the paper's start from AnimateDiff's, and its steps are "
            "for those. Give a motion model, such as mm_sd_v15.ckpt"
        )
    return told


def export(
    networks: Sd15Networks, stage: Stage, folder: Path, *, files: Files, steps: int, data: str, license: str
) -> list[Path]:
    """What the stage learned, as files that the loaders read, in half precision."""
    trainee, written = networks.trainee, []
    extra = provenance(
        license=license,
        parents=files.parents(),
        training_data=data,
        training_steps=steps,
        title=f"DreaMoving {stage.name}",
    )
    if "motion." in stage.learns:
        norms = networks.motion_info.unet_norms if networks.motion_info else "frame"
        written.append(write_motion(trainee.motion, folder, stage, norms=norms, extra=extra))
    if "controls." in stage.learns:
        for kind, control in trainee.controls.items():
            path = folder / f"dreamoving_{stage.name}_{kind}.safetensors"
            state_dict, metadata = video_controlnet_state_dict(control, extra=extra)
            written.append(written_weights(path, state_dict, metadata))
    if "guider." in stage.learns:
        written.append(write_guider(trainee.guider, folder, stage, extra=extra))
    return written


def write_motion(
    motion: MotionModel, folder: Path, stage: Stage, *, norms: str, extra: dict[str, str]
) -> Path:
    betas = "linear" if stage.betas == "linear" else "scaled_linear"
    metadata = motion_metadata(
        motion.config, betas=betas, unet_norms=norms, trained_frames=stage.frames, extra=extra
    )
    return written_weights(folder / f"dreamoving_{stage.name}.safetensors", motion.state_dict(), metadata)


def write_guider(guider: ContentGuider, folder: Path, stage: Stage, *, extra: dict[str, str]) -> Path:
    metadata = content_guider_metadata(guider.config, extra=extra)
    return written_weights(folder / f"dreamoving_{stage.name}.safetensors", guider.state_dict(), metadata)


def written_weights(path: Path, state_dict: dict[str, torch.Tensor], metadata: dict[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_weights(path, half(state_dict), metadata=metadata)
    log.info("wrote %s", path)
    return path
