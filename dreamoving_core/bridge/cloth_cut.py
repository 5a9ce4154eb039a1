"""Cut Cloth inside ComfyUI: picture by picture, with progress and a way to stop."""

from collections.abc import Mapping, Sequence

import comfy.model_management
from torch import Tensor

from ..preprocess.cloth_cut import ClothCut, ClothCutSettings, cut_cloth
from ..preprocess.pose_clip import read_clip
from ..preprocess.pose_track import main_person
from .progress import Progress
from .reference_images import checked_images


def cut_cloth_of(
    images: Tensor,
    settings: ClothCutSettings,
    *,
    mask: Tensor | None = None,
    keypoints: Sequence[Mapping] | None = None,
) -> ClothCut:
    """Clothes of the person who counts in the poses: the only one, else the largest. Raises InputError, see `cut_cloth`."""
    pictures = checked_images(images, name="cloth")
    poses = None if keypoints is None else main_person(read_clip(keypoints))
    bar = Progress(len(pictures), unit="pictures")

    def on_picture() -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update(1)

    return cut_cloth(pictures, settings, mask=mask, poses=poses, on_picture=on_picture)
