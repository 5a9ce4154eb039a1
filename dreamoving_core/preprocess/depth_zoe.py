"""ZoeDepth: metric depth of pictures, through transformers' network and with its authors' preparation. [Zoe]

A file of the authors or a folder as transformers writes it; no file runs code. Everything here is plain torch: where
the network runs, the bridge decides.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from ..errors import InputError, MissingPackageError, WeightsError
from ..weights.io import first_line, read_weights
from .depth_zoe_keys import authors_config, is_authors_file, public_name, renamed, unwrapped

RANGE_KEY = "dreamoving_depth_range"  # in config.json: the metres that white and black of a picture stand for
BORDER = 3.0  # [Zoe] the border's width is 3 times the root of half the side
SMALLEST = 8  # pixels; below that there is nothing to see
WEIGHTS = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True, kw_only=True)
class ZoeSettings:
    """How pictures are prepared; the defaults are the authors'. `height` and `width` are the network's, in pixels."""

    height: int = 384
    width: int = 512
    multiple: int = 32
    keep_aspect: bool = True
    pad: bool = True
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "ZoeSettings":
        """From a `preprocessor_config.json`; what is missing there is the authors'."""
        size = content.get("size", {})
        return cls(
            height=int(size.get("height", cls.height)),
            width=int(size.get("width", cls.width)),
            multiple=int(content.get("ensure_multiple_of", cls.multiple)),
            keep_aspect=bool(content.get("keep_aspect_ratio", cls.keep_aspect)),
            pad=bool(content.get("do_pad", cls.pad)),
            mean=tuple(content.get("image_mean", cls.mean)),
            std=tuple(content.get("image_std", cls.std)),
        )

    def as_json(self) -> dict[str, Any]:
        """The content of a `preprocessor_config.json`."""
        return {
            "image_processor_type": "ZoeDepthImageProcessor",
            "do_pad": self.pad,
            "do_resize": True,
            "do_rescale": True,
            "do_normalize": True,
            "size": {"height": self.height, "width": self.width},
            "ensure_multiple_of": self.multiple,
            "keep_aspect_ratio": self.keep_aspect,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
            "resample": 2,
        }

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width at which a picture is looked at: scaled as little as possible, whole patches."""
        tall, wide = self.height / height, self.width / width
        if self.keep_aspect:
            tall = wide = wide if abs(1 - wide) < abs(1 - tall) else tall

        def whole(side: float) -> int:
            return max(round(side / self.multiple), 1) * self.multiple

        return whole(tall * height), whole(wide * width)


@dataclass(frozen=True, kw_only=True)
class ZoeDepth:
    """A network with its settings. `depth_range` is (near, far) in metres where a file's pictures have a fixed range."""

    network: nn.Module
    settings: ZoeSettings
    name: str
    depth_range: tuple[float, float] | None = None


def prepare(pictures: Tensor, settings: ZoeSettings) -> Tensor:
    """`f h w c` in [0, 1], of which 3 channels count, to `f c h w` as the network takes them."""
    height, width = pictures.shape[1:3]
    if min(height, width) < SMALLEST:
        raise InputError(
            f"Depth needs pictures of at least {SMALLEST} x {SMALLEST} pixels, got {width} x {height}. Use a larger video."
        )
    x = rearrange(pictures[..., :3], "f h w c -> f c h w")
    across, down = borders(height, width, settings)
    if across or down:
        x = functional.pad(x, (across, across, down, down), mode="reflect")
    size = settings.network_size(*x.shape[-2:])
    if size != tuple(x.shape[-2:]):
        x = functional.interpolate(x, size, mode="bilinear", align_corners=True)
    mean, std = (x.new_tensor(values).reshape(1, 3, 1, 1) for values in (settings.mean, settings.std))
    return (x - mean) / std


def borders(height: int, width: int, settings: ZoeSettings) -> tuple[int, int]:
    """Mirrored pixels at the sides and above and below: without them the network errs at the edges."""
    if not settings.pad:
        return 0, 0
    across, down = (int(math.sqrt(side / 2) * BORDER) for side in (width, height))
    return min(across, width - 1), min(down, height - 1)


def restore(depth: Tensor, height: int, width: int, settings: ZoeSettings) -> Tensor:
    """The network's `f h w` at the size of the picture, without its borders."""
    across, down = borders(height, width, settings)
    whole = (height + 2 * down, width + 2 * across)
    if whole != tuple(depth.shape[-2:]):
        depth = functional.interpolate(depth[:, None], whole, mode="bicubic", align_corners=False)[:, 0]
    return depth[:, down : down + height, across : across + width]


@torch.no_grad()
def metric_depth(model: ZoeDepth, pictures: Tensor, *, mirror: bool = True) -> Tensor:
    """Metres `f h w` of `f h w c` in [0, 1]. `mirror` looks at the mirrored picture too and takes the mean [Zoe]."""
    height, width = pictures.shape[1:3]
    pixels = prepare(pictures, model.settings)
    depth = restore(model.network(pixels).predicted_depth, height, width, model.settings)
    if mirror:
        other = restore(model.network(pixels.flip(-1)).predicted_depth, height, width, model.settings)
        depth = (depth + other.flip(-1)) / 2
    return depth


def new_zoe(config: dict[str, Any]) -> nn.Module:
    """transformers' network of a `config.json`, untrained. Nothing is looked up or downloaded."""
    try:
        from transformers import ZoeDepthConfig, ZoeDepthForDepthEstimation
    except ImportError as error:
        raise MissingPackageError(
            f"Depth Extract needs the package transformers with ZoeDepth ({error}). Install it with `pip install "
            "'transformers>=4.50'`."
        ) from error
    return ZoeDepthForDepthEstimation(ZoeDepthConfig.from_dict(config)).eval()


def load_zoe(path: Path) -> ZoeDepth:
    """A model folder (config.json and weights) or a file of the authors. WeightsError for what is neither."""
    if path.is_dir():
        return load_folder(path)
    state_dict = unwrapped(read_weights(path).state_dict)
    if not is_authors_file(state_dict):
        raise WeightsError(
            f"'{path.name}' is no ZoeDepth file: none of its {len(state_dict)} tensors has the names of ZoeD_M12_N.pt. Use "
            "that file, or a folder with config.json and model.safetensors as on the page of Intel/zoedepth-nyu."
        )
    shapes = {key: tuple(tensor.shape) for key, tensor in state_dict.items()}
    network = new_zoe(authors_config(shapes, name=path.name))
    fill(network, renamed(state_dict), name=path.name)
    return ZoeDepth(network=network, settings=ZoeSettings(), name=path.name)


def load_folder(folder: Path) -> ZoeDepth:
    """As transformers writes it."""
    config = read_json(folder / "config.json")
    if config.get("model_type") != "zoedepth":
        raise WeightsError(
            f"The model in '{folder.name}' is '{config.get('model_type')}', not zoedepth. Choose a folder with a ZoeDepth "
            "model."
        )
    found = [folder / name for name in WEIGHTS if (folder / name).is_file()]
    if not found:
        raise WeightsError(
            f"'{folder.name}' has a config.json but no {' or '.join(WEIGHTS)}. Download it too."
        )
    processor = folder / "preprocessor_config.json"
    try:
        settings = ZoeSettings.from_json(read_json(processor) if processor.is_file() else {})
        network = new_zoe(config)
    except MissingPackageError:
        raise
    except Exception as error:  # each version of transformers refuses a config with errors of its own
        raise WeightsError(
            f"The JSON files in '{folder.name}' describe no ZoeDepth model ({first_line(error)}). Download "
            "the folder again."
        ) from error
    fill(network, read_weights(found[0]).state_dict, name=f"{folder.name}/{found[0].name}")
    span = config.get(RANGE_KEY)
    depth_range = (float(span[0]), float(span[1])) if span else None
    return ZoeDepth(network=network, settings=settings, name=folder.name, depth_range=depth_range)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. WeightsError for anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError(f"'{path.parent.name}' has no {path.name}. Download the whole folder.") from None
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"'{path.parent.name}/{path.name}' cannot be read ({error}). Download it again."
        ) from error
    if not isinstance(content, dict):
        raise WeightsError(f"'{path.parent.name}/{path.name}' holds no JSON object. Download it again.")
    return content


def fill(network: nn.Module, state_dict: Mapping[str, Tensor], *, name: str) -> None:
    """Put the weights into the network. WeightsError unless every tensor of the network is there in its shape."""
    given = {public_name(key): tensor for key, tensor in state_dict.items()}
    wanted = {key: public_name(key) for key in network.state_dict()}
    shapes = {wanted[key]: tensor.shape for key, tensor in network.state_dict().items()}
    missing = [key for key in shapes if key not in given]
    other = [key for key in shapes if key in given and given[key].shape != shapes[key]]
    if missing or other:
        shown = ", ".join((missing + other)[:3])
        raise WeightsError(
            f"'{name}' does not fit its network: {len(missing)} tensors are missing and {len(other)} have another shape "
            f"(such as {shown}), of {len(shapes)}. Download the file again, together with its config.json."
        )
    broken = next((key for key in shapes if not given[key].isfinite().all()), None)
    if broken:
        raise WeightsError(f"'{name}' holds numbers that are not finite in '{broken}'. Download it again.")
    network.load_state_dict({key: given[public] for key, public in wanted.items()})
