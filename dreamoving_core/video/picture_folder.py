"""Frames as numbered PNG files in a folder of their own. The folder gets its name only when it is whole."""

import os
import shutil
from pathlib import Path
from types import TracebackType

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from ..errors import InputError
from .encoded import EncodedVideo, EncodeSettings
from .frame_bytes import NO_FRAMES, FrameBytes
from .pictures import FRAME_RATE

COMPRESSION = 4  # [ours] of 0 (fast) to 9 (small)


class PictureFolder:
    """A context manager like VideoWriter. The first picture carries the metadata."""

    def __init__(self, path: str | Path, settings: EncodeSettings):
        self.path = Path(path)
        self.part = self.path.with_name(self.path.name + ".part")
        self.settings = settings
        self._frames = FrameBytes(settings.format)

    def __enter__(self) -> "PictureFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ):
        try:
            if kind is None:
                self._finish()
        finally:
            shutil.rmtree(self.part, ignore_errors=True)

    def write(self, frames: Tensor) -> None:
        """Adds one frame `h w c`, or a batch `f h w c`."""
        for frame in frames if frames.ndim == 4 else (frames,):
            pixels = self._frames.take(frame)
            number, texts = self._frames.count, PngInfo()
            if number == 1:
                shutil.rmtree(self.part, ignore_errors=True)  # of a run that was killed under the same name
                self.part.mkdir(parents=True)
                texts.add_text(FRAME_RATE, str(self.settings.frame_rate))
                for key, text in (self.settings.metadata or {}).items():
                    texts.add_text(key, text)
            picture = Image.fromarray(pixels)
            picture.save(self.part / f"frame_{number:05}.png", compress_level=COMPRESSION, pnginfo=texts)

    def written(self) -> EncodedVideo:
        """What the finished folder holds."""
        return EncodedVideo(
            path=self.path,
            num_frames=self._frames.count,
            width=self._frames.width,
            height=self._frames.height,
            frame_rate=self.settings.frame_rate,
            has_audio=False,
        )

    def _finish(self) -> None:
        if not self._frames.count:
            raise InputError(NO_FRAMES)
        os.replace(self.part, self.path)
