"""Help clips that DreaMoving-Tiny samples: one input changed, everything else the demo's, but short and in six steps.

Clips are `f h w c`.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..dreamoving_core.bridge.content_guider import apply_content_guider
from ..dreamoving_core.bridge.motion import apply_motion
from ..dreamoving_core.bridge.prompt_travel import travel
from ..dreamoving_core.bridge.reference_images import encode_images
from ..dreamoving_core.bridge.sampling import SamplingSettings, empty_latents, sample_video
from ..dreamoving_core.bridge.tiny_files import Tiny, load_tiny
from ..dreamoving_core.bridge.video_control import with_frame_strength
from ..dreamoving_core.bridge.windows import WindowSettings, with_windows
from ..dreamoving_core.preprocess.draw_pose import draw_pose
from ..dreamoving_core.preprocess.keypoints import encode_pose_keypoint
from ..dreamoving_core.procdance.sample import DrivenClip, driven_clip
from ..tools.stories.tiny_demo import CFG, CFG_END
from .scores import demo_spec

SEED, SIZE, FRAMES = 7, 128, 6  # the demo's person
# as the demo's graph has them, in fewer steps
DEMO = {"steps": 6, "cfg": CFG, "cfg_end_percent": CFG_END, "noise": "independent"}


class TinyGraph:
    """The demo's graph as functions: whatever is not given is the demo's."""

    def __init__(self) -> None:
        self._made: dict[str, Tensor] = {}

    @cached_property
    def tiny(self) -> Tiny:
        return load_tiny()

    def driven(self, frames: int = FRAMES) -> DrivenClip:
        return driven_clip(demo_spec(SEED, frames=frames))

    def encode(self, text: str) -> list:
        """CLIP Text Encode."""
        return self.tiny.clip.encode_from_tokens_scheduled(self.tiny.clip.tokenize(text))

    def tokens(self, picture: Tensor, branch: str) -> Any:
        return encode_images(self.tiny.content_guider, self.tiny.clip_vision, picture[None], branch=branch)[0]

    def sampled(self, **changed: Any) -> Tensor:
        """A clip with these inputs changed; what was made before with the same numbers is taken again."""
        if not all(isinstance(value, (int, float, str)) for value in changed.values()):
            return self.sample(**changed)
        key = repr(sorted({**DEMO, "motion": 1.0, "scale": 1.0, "alpha_f": 1.0, "alpha_c": 1.0, "control": 1.0, **changed}.items()))  # fmt: skip
        if key not in self._made:
            self._made[key] = self.sample(**changed)
        return self._made[key]

    def sample(
        self,
        *,
        frames: int = FRAMES,
        motion: Any = 1.0,
        scale: Any = 1.0,
        alpha_f: Any = 1.0,
        alpha_c: Any = 1.0,
        control: Any = 1.0,
        mask: Tensor | None = None,
        positive: list | None = None,
        windows: WindowSettings | None = None,
        latent: dict | None = None,
        **sampling: Any,
    ) -> Tensor:
        """What `sampled` returns, made now."""
        from nodes import ControlNetApplyAdvanced

        tiny, clip = self.tiny, self.driven(frames)
        keypoints = encode_pose_keypoint(clip.truth.keypoints, width=SIZE, height=SIZE)
        poses = draw_pose(keypoints, width=SIZE, height=SIZE)
        model = apply_motion(tiny.model, tiny.motion, strength=motion, scale=scale)
        model = apply_content_guider(
            model, tiny.content_guider, alpha_f=alpha_f, alpha_c=alpha_c,
            face=self.tokens(clip.truth.face_reference, "face"), cloth=self.tokens(clip.truth.cloth_reference, "cloth"),
        )  # fmt: skip
        if windows is not None:
            model = with_windows(model, windows)
        pair = positive or self.encode(clip.truth.caption), self.encode("")
        if control != 0.0:
            steering = with_frame_strength(tiny.control_pose, control, mask=mask)
            pair = ControlNetApplyAdvanced().apply_controlnet(*pair, steering, poses, 1.0, 0.0, 1.0)
        latent = latent or empty_latents(model, width=SIZE, height=SIZE, num_frames=frames)
        settings = SamplingSettings(seed=SEED, **{**DEMO, **sampling})
        result = sample_video(
            model, latent, positive=pair[0], negative=pair[1], settings=settings, preview=False
        )
        return tiny.vae.decode(result["samples"]).float()

    def of(self, name: str, *values: Any, **others: Any) -> list[tuple[str, Tensor]]:
        """One tile per value of one input."""
        said = {"alpha_f": "alpha_f", "alpha_c": "alpha_c", "motion": "strength", "control": "strength"}
        return [
            (f"{said.get(name, name)} {value}", self.sampled(**{name: value}, **others)) for value in values
        ]


def denoised(graph: TinyGraph) -> list[tuple[str, Tensor]]:
    """Video to video: the driving clip's latents, changed more and more."""
    driving = graph.driven().driving
    latent = {"samples": graph.tiny.vae.encode(driving[..., :3])}
    changed = [(f"denoise {denoise}", graph.sampled(latent=latent, denoise=denoise)) for denoise in (0.5,)]
    return [("latent: the driving clip", driving), *changed]


def windowed(graph: TinyGraph) -> list[tuple[str, Tensor]]:
    """A clip in windows against the same clip at once."""
    length = {"frames": 12}
    without = WindowSettings(context_length=6, context_overlap=0)
    overlapping = WindowSettings(context_length=6, context_overlap=3)
    return [
        ("12 frames at once", graph.sampled(**length)),
        ("length 6, overlap 0", graph.sampled(**length, windows=without)),
        ("length 6, overlap 3", graph.sampled(**length, windows=overlapping)),
    ]


def travelled(graph: TinyGraph) -> list[tuple[str, Tensor]]:
    """The same dance while the place changes."""
    who = graph.driven().truth.caption.split(" on ")[0].split(" in ")[0]
    text = f"0: {who} on a beach by day | 5: {who} in a city street at night"
    return [
        (between, graph.sampled(positive=travel(graph.tiny.clip, text, num_frames=FRAMES, between=between)))
        for between in ("linear", "hold")
    ]


def masked(graph: TinyGraph) -> list[tuple[str, Tensor]]:
    """Control in the left half of the picture alone."""
    half = torch.zeros(1, SIZE, SIZE)
    half[..., : SIZE // 2] = 1.0
    shown = half[..., None].expand(-1, -1, -1, 3)
    return [
        ("no mask", graph.sampled()),
        ("mask", shown),
        ("with this mask", graph.sampled(mask=half)),
    ]


SAMPLED: dict[str, Callable[[TinyGraph], list[tuple[str, Tensor]]]] = {
    "alpha_f": lambda g: g.of("alpha_f", 0.0, 0.5, 1.0),
    "alpha_c": lambda g: g.of("alpha_c", 0.0, 0.5, 1.0),
    "control_strength": lambda g: g.of("control", 0.0, 1.0, "0:(1), 5:(0)"),
    "motion_strength": lambda g: g.of("motion", 0.0, 1.0),
    "noise": lambda g: g.of("noise", "independent", "shared"),
    "cfg": lambda g: g.of("cfg", 1.0, 2.0, 6.0),
    "cfg_end_percent": lambda g: g.of("cfg_end_percent", 1.0, 0.5, 0.2, cfg=6.0),
    "prompt_travel": travelled,
    "denoise": denoised,
    "steps": lambda g: g.of("steps", 2, 6, 12),
    "motion_scale": lambda g: g.of("scale", 1.0, 1.5),
    "control_mask": masked,
    "context_windows": windowed,
}
