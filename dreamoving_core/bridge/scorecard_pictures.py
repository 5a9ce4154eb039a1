"""What a scorecard shows: a plot of each figure over the frames, and the frames where it is worst."""

from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..metrics.scorecard import MEASURES, Scorecard
from ..metrics.scorecard_text import number
from ..video.pixels import rgb, to_bytes
from ..video.playback import Clip
from .frame_plot import GROUND, TEXT, plot_over_frames

BAR = 26  # pixels above a frame, for words
LEAST_WIDTH = 256  # pixels, so that the words are read: smaller frames are shown larger, by whole numbers


def scorecard_plot(card: Scorecard) -> Tensor:
    """`1 h w 3` in [0, 1]: one panel per figure that was measured, its worst frames marked."""
    panels = []
    for name, figure in card.figures.items():
        if figure.value is not None:
            title = f"{name}: {number(figure.value)} {MEASURES[name].unit}"
            panels.append(plot_over_frames({title: figure.series}, marks=figure.worst))
    return (
        torch.cat(panels, dim=1)
        if panels
        else words_alone("Nothing could be measured in a clip of one frame.")
    )


def worst_pictures(clip: Clip, card: Scorecard) -> Tensor:
    """`n h w 3`: the worst frames of each figure, with its name, value and the frame's number above. Reads the clip again."""
    wanted = [
        (frame, f"{name} {number(figure.series[frame])}, frame {frame}")
        for name, figure in card.figures.items()
        for frame in figure.worst
    ]
    wanted = wanted or [(0, "no frame stands out")]
    chosen = dict(picked(clip, {frame for frame, _ in wanted}))
    return torch.stack([labelled(chosen[frame], words) for frame, words in wanted])


def picked(clip: Clip, frames: set[int]) -> Iterator[tuple[int, Tensor]]:
    """Some frames of a clip by their number, read no further than the last of them."""
    for number_, frame in enumerate(clip.forward()):
        if number_ in frames:
            yield number_, rgb(frame)
        if number_ >= max(frames):
            return


def labelled(frame: Tensor, words: str) -> Tensor:
    """A frame `h w 3`, enlarged where it is small, below a bar with words."""
    picture = Image.fromarray(to_bytes(frame, number=1))
    times = -(-LEAST_WIDTH // picture.width)
    picture = picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    canvas = Image.new("RGB", (picture.width, picture.height + BAR), GROUND)
    canvas.paste(picture, (0, BAR))
    font = ImageFont.load_default(14)
    ImageDraw.Draw(canvas).text((8, BAR / 2), words, fill=TEXT, font=font, anchor="lm")
    return as_tensor(canvas)


def words_alone(words: str) -> Tensor:
    """`1 h w 3`: a plot where there is nothing to plot."""
    canvas = Image.new("RGB", (512, 64), GROUND)
    ImageDraw.Draw(canvas).text((256, 32), words, fill=TEXT, font=ImageFont.load_default(14), anchor="mm")
    return as_tensor(canvas)[None]


def as_tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255.0)
