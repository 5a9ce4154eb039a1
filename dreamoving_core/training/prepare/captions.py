"""What clips are said to show: people's own texts first, then a table, then a vision-language model on the key frame."""

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from ...errors import InputError, MissingPackageError, WeightsError
from ...weights.io import first_line
from .sources import Source

PROMPT = "Describe this frame in a detailed manner."  # [DM §2.1], without MiniGPT-v2's "[grounding]"
TOKENS = 77  # of the answer: what CLIP reads
NAMES = ("videoid", "file", "video", "filename", "contenturl")  # columns that tell the file, the surest first
TEXTS = ("name", "caption", "text")  # columns that hold the caption; WebVid's is called name


@dataclass(frozen=True, kw_only=True)
class Captions:
    """`table` maps stems of files to texts; `model` sees the key frame. Either may be missing."""

    table: dict[str, str] = field(default_factory=dict)
    model: Callable[[Image.Image], str] | None = None

    def __call__(self, source: Source, key_frame: Path) -> tuple[str, str]:
        """The caption and where it comes from: "text file", "table", "model", or "" for none at all."""
        if source.caption.is_file():
            words = " ".join(source.caption.read_text(encoding="utf-8", errors="replace").split())
            if words:
                return words, "text file"
        if words := self.table.get(source.path.stem, ""):
            return words, "table"
        if self.model is not None:
            with Image.open(key_frame) as picture:
                if words := " ".join(self.model(picture.convert("RGB")).split()):
                    return words, "model"
        return "", ""


def read_table(path: Path) -> dict[str, str]:
    """Stem of the file -> caption, of a CSV as WebVid's (videoid, contentUrl, page_dir, name) or with file and caption.

    InputError for a table without such columns.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The table {path} cannot be read ({error}). Save it as CSV in UTF-8.") from error
    columns = {name.strip().lower(): name for name in (rows[0] if rows else {}) if name}
    keys = [columns[name] for name in NAMES if name in columns]
    texts = [columns[name] for name in TEXTS if name in columns]
    if not keys or not texts:
        raise InputError(
            f"{path.name} has the columns {', '.join(columns) or 'of an empty file'}. Expected one of {', '.join(NAMES)} and "
            f"one of {', '.join(TEXTS)}, as WebVid's: videoid,contentUrl,duration,page_dir,name."
        )
    found: dict[str, str] = {}
    for row in rows:
        words = " ".join((row[texts[0]] or "").split())
        for key in keys if words else ():
            stem = Path((row[key] or "").strip()).stem if row[key] else ""
            if stem:
                found.setdefault(stem, words)
    return found


def load_captioner(folder: Path, *, prompt: str = PROMPT) -> Callable[[Image.Image], str]:
    """A vision-language model of transformers' format in a folder. Nothing is downloaded, no code of the folder runs.

    MissingPackageError without transformers, WeightsError for a folder that holds no such model.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingPackageError(
            f"--captions-model needs transformers ({error}). Install it with: python -m pip install transformers"
        ) from error
    kind = getattr(transformers, "AutoModelForImageTextToText", None) or transformers.AutoModelForVision2Seq
    if not (folder / "config.json").is_file():
        raise WeightsError(
            f"'{folder}' has no config.json. Give the folder of a vision-language model as transformers has it, with config, "
            "weights and processor, with --captions-model. Nothing is downloaded for you."
        )
    try:
        processor = transformers.AutoProcessor.from_pretrained(folder, local_files_only=True)
        model = kind.from_pretrained(folder, local_files_only=True, dtype="auto").eval()
    except Exception as error:  # each version of transformers refuses a folder with errors of its own
        raise WeightsError(
            f"'{folder.name}' cannot be read as a vision-language model ({first_line(error)}). Expected a folder that "
            "AutoProcessor and AutoModelForImageTextToText read, such as a BLIP's or a Qwen-VL's."
        ) from error
    return _captioner(processor, model, prompt)


def _captioner(processor: Any, model: Any, prompt: str) -> Callable[[Image.Image], str]:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)

    @torch.no_grad()
    def caption(picture: Image.Image) -> str:
        if getattr(processor, "chat_template", None):
            content = [{"type": "image", "image": picture}, {"type": "text", "text": prompt}]
            inputs = processor.apply_chat_template(
                [{"role": "user", "content": content}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
        else:  # BLIP and its like caption without being asked
            inputs = processor(images=picture, return_tensors="pt")
        inputs = inputs.to(device, model.dtype)
        answer = model.generate(**inputs, max_new_tokens=TOKENS, do_sample=False)[0]
        asked = inputs["input_ids"][0] if "input_ids" in inputs else answer[:0]
        if len(asked) and answer[: len(asked)].equal(asked):
            answer = answer[len(asked) :]
        return processor.decode(answer, skip_special_tokens=True)

    return caption
