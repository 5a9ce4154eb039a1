"""Whether a clip is worth learning from: size, sharpness, exposure, motion; each a number with its bar. All bars are [ours]."""

from dataclasses import dataclass, field

import numpy as np

from ...preprocess.optional_packages import opencv
from .shots import shrunk

SIDE = 256  # pixels at which sharpness is looked at, so that 4K and VHS have one bar
STEP = 0.25  # seconds between the two pictures whose difference is motion
STILL_SIDE = 64  # pixels at which motion is looked at: noise is gone


@dataclass(frozen=True, kw_only=True)
class QualityBars:
    """What a clip must reach. `min_side` in pixels of the shorter side; brightness and motion in [0, 1]."""

    min_side: int = 256  # the smallest that a stage is trained at [DM §2.4.2]
    sharpness: float = 20.0  # variance of the Laplacian of grey levels
    darkest: float = 0.06  # mean brightness
    brightest: float = 0.94
    motion: float = 0.002  # mean difference of two pictures a quarter of a second apart


@dataclass(kw_only=True)
class Measuring:
    """Takes a clip's frames as they stream by; `figures` at the end. `rate` in frames per second; 0 for a picture."""

    rate: float
    side: int = 0
    _sharp: list[float] = field(default_factory=list)
    _bright: list[float] = field(default_factory=list)
    _moved: list[float] = field(default_factory=list)
    _before: np.ndarray | None = None
    _seen: int = 0

    def add(self, picture: np.ndarray) -> None:
        """One frame, `h w 3` uint8 RGB. Every quarter of a second is looked at."""
        every = max(1, round(STEP * self.rate))
        self._seen += 1
        if (self._seen - 1) % every:
            return
        cv2 = opencv()
        self.side = min(picture.shape[:2])
        grey = cv2.cvtColor(shrunk(picture, side=SIDE), cv2.COLOR_RGB2GRAY)
        self._sharp.append(float(cv2.Laplacian(grey, cv2.CV_64F).var()))
        self._bright.append(float(grey.mean()) / 255)
        small = cv2.resize(grey, (STILL_SIDE, STILL_SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
        if self._before is not None:
            self._moved.append(float(np.abs(small - self._before).mean()) / 255)
        self._before = small

    def figures(self) -> dict[str, float]:
        """Medians of sharpness and brightness, the mean of motion."""
        found = {"side": float(self.side), "sharpness": float(np.median(self._sharp))}
        found["brightness"] = float(np.median(self._bright))
        if self._moved:
            found["motion"] = float(np.mean(self._moved))
        return {name: round(value, 5) for name, value in found.items()}


def unfit(figures: dict[str, float], bars: QualityBars) -> str:
    """Why a clip with these figures is left out, with its number and the bar; "" when it is not."""
    if figures["side"] < bars.min_side:
        return f"too small: {figures['side']:.0f} pixels on the shorter side, the bar is {bars.min_side}"
    if figures["brightness"] < bars.darkest:
        return f"too dark: brightness {figures['brightness']:.3f}, the bar is {bars.darkest:g}"
    if figures["brightness"] > bars.brightest:
        return f"too bright: brightness {figures['brightness']:.3f}, the bar is {bars.brightest:g}"
    if figures["sharpness"] < bars.sharpness:
        return f"blurred: sharpness {figures['sharpness']:.1f}, the bar is {bars.sharpness:g}"
    if figures.get("motion", 1.0) < bars.motion:
        return f"still: motion {figures['motion']:.5f}, the bar is {bars.motion:g}"
    return ""
