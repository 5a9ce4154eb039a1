"""What a socket brings as frames: an IMAGE, or a core VIDEO that is read from its file as it is needed."""

from fractions import Fraction

from comfy_api.latest import Input, InputImpl
from torch import Tensor

from ..video.clip_file import FileClip
from ..video.playback import Clip, ImageClip
from ..video.sound import Sound, check_audio


def open_clip(frames: Tensor | Input.Video) -> Clip:
    """IMAGE and VIDEOs made of tensors as they are in memory; every other VIDEO stays on disk."""
    if isinstance(frames, Tensor):
        return ImageClip(frames)
    if isinstance(frames, InputImpl.VideoFromComponents):
        return ImageClip(frames.get_components().images)
    start, duration = frames.get_active_trim_window()
    return FileClip(frames.get_stream_source(), start=start, duration=duration)


def own_frame_rate(frames: Tensor | Input.Video) -> Fraction | None:
    """The rate that a VIDEO brings; an IMAGE has none."""
    return None if isinstance(frames, Tensor) else Fraction(frames.get_frame_rate())


def own_sound(frames: Tensor | Input.Video, clip: Clip) -> Sound | None:
    """The sound that a VIDEO brings."""
    if isinstance(clip, FileClip):
        return clip.sound
    audio = None if isinstance(frames, Tensor) else frames.get_components().audio
    return None if audio is None else check_audio(audio)


def frame_size(frames: Tensor | Input.Video) -> tuple[int, int]:
    """Width and height."""
    if isinstance(frames, Tensor):
        return frames.shape[2], frames.shape[1]
    return frames.get_dimensions()
