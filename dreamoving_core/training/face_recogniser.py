"""Stage 0, the face recogniser: a small ArcFace for drawn faces, as an ONNX file of insightface's format.

112 x 112 pixels in, a vector of 512 numbers out, of which only the direction counts. A person of ProcDance is a class;
its pictures show other poses, light and clothes. What the Content Guider's supplement reads. [DM §2.4.1]
"""

import io
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..bridge.trainable import IDENTITY
from ..errors import MissingPackageError
from .dances import DanceSet, as_floats
from .draws import rows_drawn, uniforms

SIZE = 112  # [ArcFace, arXiv 1801.07698]
MARGIN, SCALE = 0.5, 32.0  # [ArcFace] margin 0.5; its scale of 64 is for 85,000 classes [ours]
WIDTHS = (24, 48, 96, 128)


def downsampling(width_in: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width_in, width, 3, stride=2, padding=1), nn.GroupNorm(8, width), nn.SiLU()
    )


class FaceNetwork(nn.Module):
    """Pixels `b 3 112 112`, (x - 127.5) / 127.5 as insightface prepares them, to vectors `b 512`."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, *WIDTHS)
        self.blocks = nn.Sequential(*(downsampling(a, b) for a, b in itertools.pairwise(widths)))
        self.head = nn.Linear(WIDTHS[-1] * (SIZE // 16) ** 2, IDENTITY)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(self.blocks(pixels).flatten(1))


class ArcFaceLoss(nn.Module):
    """Angular margin over the people of the training set. [ArcFace]"""

    def __init__(self, people: int) -> None:
        super().__init__()
        self.network = FaceNetwork()
        self.centres = nn.Parameter(torch.randn(people, IDENTITY) * 0.01)

    def forward(self, pixels: Tensor, person: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """`pixels` `b 3 112 112`, `person` `b`."""
        device = self.centres.device
        pixels, person = pixels.to(device), person.to(device)
        cosine = functional.linear(
            functional.normalize(self.network(pixels)), functional.normalize(self.centres)
        )
        angle = cosine.clamp(-1 + 1e-6, 1 - 1e-6).acos()
        own = functional.one_hot(person, len(self.centres)).bool()
        logits = SCALE * torch.where(own, (angle + MARGIN).clamp(max=torch.pi).cos(), cosine)
        right = cosine.detach().argmax(1) == person
        return functional.cross_entropy(logits, person), {"right": right.float().mean()}


def face_pixels(pictures: Tensor) -> Tensor:
    """`n 3 h w` uint8 face references as the network takes them: they are framed on the face already."""
    resized = functional.interpolate(as_floats(pictures), (SIZE, SIZE), mode="bilinear", antialias=True)
    return (resized * 255 - 127.5) / 127.5


def face_source(
    faces: Tensor,
) -> Callable[[int, list[torch.Generator]], tuple[Tensor, Tensor]]:
    """`faces`: `n s 3 h w` uint8, s pictures of each of n people. Seen mirrored, moved, in other light, with noise."""

    def source(_step: int, generators: list[torch.Generator]) -> tuple[Tensor, Tensor]:
        person = rows_drawn(faces.shape[0], generators)
        pixels = face_pixels(faces[person, rows_drawn(faces.shape[1], generators)])
        u = uniforms(generators, 6)
        pixels = torch.where(u[:, 0, None, None, None] < 0.5, pixels.flip(-1), pixels)
        matrix = torch.zeros(len(pixels), 2, 3)
        matrix[:, 0, 0] = matrix[:, 1, 1] = 0.85 + 0.3 * u[:, 1]
        matrix[:, :, 2] = 0.2 * (u[:, 2:4] - 0.5)
        grid = functional.affine_grid(matrix, list(pixels.shape), align_corners=False)
        moved = functional.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
        light = 0.9 + 0.2 * u[:, 4]
        return moved * light[:, None, None, None], person

    return source


@torch.no_grad()
def identities(network: nn.Module, dances: DanceSet, *, chunk: int = 64) -> Tensor:
    """The unit vector `n 512` of each dancer's face reference."""
    device = next(network.parameters()).device
    parts = [network(face_pixels(some).to(device)) for some in dances.face.split(chunk)]
    return functional.normalize(torch.cat(parts), dim=-1).cpu()


def export_face_recogniser(network: nn.Module, path: Path) -> None:
    """The ONNX file: one input `n 3 112 112`, one output `n 512`, as insightface's recognisers have."""
    try:
        import onnx  # noqa: F401  (torch's exporter needs it and says so less clearly)
    except ImportError as error:
        raise MissingPackageError(
            f"Writing the face recogniser needs onnx, which is not installed ({error}). Install it with: "
            "python -m pip install onnx"
        ) from error
    network = network.cpu().eval()
    buffer = io.BytesIO()
    torch.onnx.export(
        network,
        (torch.zeros(1, 3, SIZE, SIZE),),
        buffer,
        input_names=["input.1"],
        output_names=["identity"],
        dynamic_axes={"input.1": {0: "n"}, "identity": {0: "n"}},
        opset_version=17,
        dynamo=False,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(buffer.getvalue())
    os.replace(part, path)
