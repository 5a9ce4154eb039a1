"""What `run.py demo` writes beside its video: a contact sheet with the truth, and a scorecard of the video file itself."""

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from ..dreamoving_core.bridge.tiny_files import load_tiny
from ..dreamoving_core.preprocess.draw_pose import draw_keypoints
from ..dreamoving_core.procdance.sample import driven_clip
from ..dreamoving_core.video.decode import read_frames
from ..dreamoving_core.video.layout import contact_sheet
from .scores import Truth, demo_spec, person_psnr, scorecard, truth_of


def result_frames(video: Path, *, size: int) -> Tensor:
    """The result `f h w c`: the rightmost square of a video that shows the poses to its left."""
    frames = torch.stack([frame.float() for frame in read_frames(video)])
    return frames[:, :size, -size:, :3]


def write_contact_sheet(path: Path, *, seed: int, result: Tensor, truth: Truth) -> None:
    """References, driving clip, poses, result and truth, row by row."""
    from PIL import Image

    clip = truth.clip
    spec = demo_spec(seed, frames=len(result))
    poses = draw_keypoints(clip.keypoints, width=spec.size, height=spec.size)
    sheet = contact_sheet(
        [
            ("References: face and clothes", torch.stack([clip.face_reference, clip.cloth_reference])),
            ("Driving clip: somebody else", driven_clip(spec).driving),
            ("True poses (the result followed those read off the driving clip)", poses),
            (f"Result of DreaMoving-Tiny: {clip.caption}", result),
            ("Truth", clip.images),
        ],
        cell_height=192,
    )
    Image.fromarray((sheet * 255).round().byte().numpy()).save(path)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="run.py bench demo_report", description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    size = demo_spec(args.seed, frames=1).size
    result = result_frames(args.video, size=size)
    truth = truth_of(args.seed, frames=len(result))
    vae = load_tiny().vae
    with torch.inference_mode():
        ceiling = vae.decode(vae.encode(truth.clip.images))
        background = vae.decode(vae.encode(truth.background[None]))[0]
    figures = scorecard(result, truth, background=background)
    figures["autoencoder_psnr_person"] = person_psnr(ceiling, truth)
    args.out.mkdir(parents=True, exist_ok=True)
    write_contact_sheet(args.out / "contact.png", seed=args.seed, result=result, truth=truth)
    report = {"figures": figures, "seed": args.seed, "frames": len(result), "prompt": truth.clip.caption}
    (args.out / "scorecard.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf8")
    for name, value in figures.items():
        print(f"{name:28} {value:8.4f}")
    return 0
