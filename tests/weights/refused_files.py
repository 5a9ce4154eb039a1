"""Damaged and foreign files, written as they turn up in people's model folders. Big ones are sparse: headers are real."""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save

from .public_files import ip_adapter_file, module_shapes, motion_file, motion_shapes

AGAIN = "Download it again"
PAGE = r"\.safetensors (file|version)"


@dataclass(frozen=True, kw_only=True)
class Refused:
    """`write` makes the file; every loader's refusal must say `what` it is and, after that, `next` to do."""

    write: Callable[[Path], None]
    what: str
    next: str
    loaders: tuple[str, ...] = ("motion", "control", "guider")


# ---- whole files, to be damaged


def motion() -> dict:
    return dict(whole_motion())


@cache
def whole_motion() -> dict:
    return motion_file(rows=24, widths=(32, 64))


def motion_bytes(**changes) -> bytes:
    return save({**motion(), **changes})


def checkpoint_bytes(content, **options) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def changed(key, change) -> dict:
    tensors = motion()
    tensors[key] = change(tensors[key])
    return tensors


def without(*keys) -> dict:
    return {key: value for key, value in motion().items() if not key.startswith(keys)}


def with_value(tensors, value) -> dict:
    """One number of the last tensor replaced."""
    key = list(tensors)[-1]
    tensors[key] = tensors[key].clone()
    tensors[key].view(-1)[-1] = value
    return tensors


FIRST = "down_blocks.0.motion_modules.0.temporal_transformer."

# ---- ways to write


def plain(content: bytes):
    return lambda path: path.write_bytes(content)


def made(make: Callable[[], bytes]):
    """Written when asked for: nothing is built while tests are collected."""
    return lambda path: path.write_bytes(make())


def part_of(make: Callable[[], bytes], share: float | int):
    def write(path):
        content = make()
        path.write_bytes(content[: int(len(content) * share) if isinstance(share, float) else share])

    return write


def header(entries: dict, *, data: int = 0, length: int | None = None) -> Callable[[Path], None]:
    """A safetensors file with this very header and `data` bytes of nothing behind it."""
    text = json.dumps(entries).encode()
    size = (len(text) if length is None else length).to_bytes(8, "little")

    def write(path):
        with path.open("wb") as file:
            file.write(size + text)
            file.truncate(8 + len(text) + data)

    return write


def sparse(shapes: dict, *, dtype="F16", width=2) -> Callable[[Path], None]:
    """A whole safetensors file of these shapes, full of zeros that take no room on the disk."""
    entries, offset = {}, 0
    for key, shape in shapes.items():
        size = width
        for n in shape:
            size *= n
        entries[key] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    return header(entries, data=offset)


def torn_zip(path: Path) -> None:
    """A checkpoint with a stretch of its middle overwritten: a bad disk, a bad download."""
    content = bytearray(checkpoint_bytes(motion()))
    middle = len(content) // 2
    content[middle : middle + 4096] = b"\xff" * 4096
    path.write_bytes(content)


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("README.txt", "Thank you!")
        file.writestr("model/mm.safetensors", motion_bytes())


def program(path: Path) -> None:
    class Twice(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * x

    torch.jit.save(torch.jit.trace(Twice(), torch.zeros(1)), str(path))


# ---- pickles that want to run something


class Call:
    """Unpickled by a careless program, it calls `function`."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def marker(path: Path) -> Path:
    """What the code in the pickles would write."""
    return path.with_name("the code was run")


def coded(wrap: Callable[[Call], object] = lambda call: call, *, protocol=2, container="pickle"):
    def write(path):
        content = wrap(Call(os.system, f"echo run > '{marker(path)}'"))
        if container == "zip":
            torch.save(content, path, pickle_protocol=protocol)
        elif container == "legacy":
            torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
        else:
            path.write_bytes(pickle.dumps(content, protocol=protocol))

    return write


def opened(path: Path) -> None:
    """Unpickles a file of `coded` as a careless program does."""
    pickle.loads(path.read_bytes())


def module(path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), path)


# ---- foreign networks, at their true sizes

ATTN2 = "transformer_blocks.0.attn2.to_k.weight"
SDXL_MOTION = motion_shapes(widths=(320, 640, 1280))
FLUX = {f"double_blocks.{i}.img_attn.qkv.weight": (9216, 3072) for i in range(19)} | {
    f"single_blocks.{i}.linear1.weight": (21504, 3072) for i in range(38)
}
WAN = {f"blocks.{i}.self_attn.q.weight": (5120, 5120) for i in range(40)}
SDXL_CHECKPOINT = {f"model.diffusion_model.input_blocks.{i}.1.{ATTN2}": (1280, 2048) for i in range(4, 9)} | {
    "model.diffusion_model.label_emb.0.0.weight": (1280, 2816),
    "conditioner.embedders.0.weight": (49408, 768),
}
SD15_CHECKPOINT = {f"model.diffusion_model.input_blocks.{i}.1.{ATTN2}": (320, 768) for i in (1, 2)} | {
    "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": (49408, 768)
}
SDXL_CONTROL = {
    "controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3),
    f"down_blocks.1.attentions.0.{ATTN2}": (640, 2048),
    "controlnet_down_blocks.0.weight": (320, 320, 1, 1),
    "add_embedding.linear_1.weight": (1280, 2816),
}
FLUX_CONTROL = {"controlnet_x_embedder.weight": (3072, 64), "controlnet_blocks.0.weight": (3072, 3072)}
KOHYA = {
    f"lora_unet_down_blocks_{i}_attentions_0_proj_in.lora_{way}.weight": (8, 320)
    for i in range(3)
    for way in ("down", "up")
}
VAE = {
    "encoder.conv_in.weight": (128, 3, 3, 3),
    "decoder.conv_in.weight": (512, 4, 3, 3),
    "quant_conv.weight": (8, 8, 1, 1),
}
TEXT = {"text_model.embeddings.token_embedding.weight": (49408, 768)}
VISION = {"vision_model.embeddings.class_embedding": (1280,), "visual_projection.weight": (1024, 1280)}
IP_SDXL = {f"ip_adapter.{n}.to_{kv}_ip.weight": (640, 2048) for n in (1, 3) for kv in "kv"} | {
    "image_proj.proj.weight": (8192, 1280)
}
HOTSHOT = {k.replace("motion_modules", "temporal_attentions"): v for k, v in SDXL_MOTION.items()}
LITE = {"lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.down.0.weight": (32, 640)}
T2I = {"body.0.block1.weight": (320, 320, 3, 3), "conv_in.weight": (320, 192, 3, 3)}
HALF_A_BLOCK = {k: v for k, v in module_shapes("down_blocks.0.motion_modules.0", 64).items() if "ff" not in k}


def ours(**metadata) -> bytes:
    return save(
        motion(), metadata={"format": "dreamoving.motion", "format_version": "1", "config": "{}", **metadata}
    )


def guider(change=lambda tensors: tensors, **sizes) -> bytes:
    return save(change(ip_adapter_file(**sizes)))


MOTION, GUIDER = ("motion",), ("guider",)

FILES: dict[str, Refused] = {
    # cut
    "empty": Refused(write=plain(b""), what=r"is empty \(0 bytes\)", next=AGAIN),
    "one byte": Refused(write=plain(b"\x10"), what=r"only 1 bytes: the download was cut", next=AGAIN),
    "cut inside the length": Refused(write=part_of(motion_bytes, 7), what="only 7 bytes", next=AGAIN),
    "cut before the header": Refused(write=part_of(motion_bytes, 8), what="only 8 bytes", next=AGAIN),
    "cut after one byte of the header": Refused(write=part_of(motion_bytes, 9), what="truncated inside its header", next=AGAIN),
    "cut inside the header": Refused(write=part_of(motion_bytes, 4000), what="truncated inside its header", next=AGAIN),
    "cut in the first tensors": Refused(write=part_of(motion_bytes, 0.1), what=r"truncated: [\d,]+ bytes of [\d,]+", next=AGAIN),
    "cut in the middle": Refused(write=part_of(motion_bytes, 0.5), what=r"truncated: [\d,]+ bytes of [\d,]+", next=AGAIN),
    "cut by one byte": Refused(write=part_of(motion_bytes, -1), what=r"truncated: [\d,]+ bytes of [\d,]+", next=AGAIN),
    "a byte too many": Refused(write=made(lambda: motion_bytes() + b"\0"), what="1 bytes too many", next=AGAIN),
    "checkpoint, four bytes": Refused(write=part_of(lambda: checkpoint_bytes(motion()), 4), what="damaged", next=AGAIN),
    "checkpoint, half": Refused(write=part_of(lambda: checkpoint_bytes(motion()), 0.5), what="truncated or damaged", next=AGAIN),
    "checkpoint without its end": Refused(write=part_of(lambda: checkpoint_bytes(motion()), -100), what="truncated or damaged", next=AGAIN),
    "checkpoint with a torn middle": Refused(write=torn_zip, what="NaN or infinity", next=AGAIN, loaders=MOTION),
    "old checkpoint, half": Refused(
        write=part_of(lambda: checkpoint_bytes(motion(), _use_new_zipfile_serialization=False), 0.5),
        what="truncated or damaged", next=AGAIN,
    ),
    # headers that lie
    "a header of nine exabytes": Refused(write=header({"a": 1}, length=2**63), what=r"header claims \d+ bytes", next=AGAIN),
    "a header that is no JSON": Refused(write=plain((40).to_bytes(8, "little") + b"{" + b"x" * 39), what="header cannot be read", next=AGAIN),
    "a header without offsets": Refused(write=header({"a": {"dtype": "F32", "shape": [1]}}), what="header cannot be read", next=AGAIN),
    "a header of lists": Refused(write=header({"a": [[[]]]}), what="header cannot be read", next=AGAIN),
    "a header that promises more than it has": Refused(
        write=header({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}, data=4), what="damaged", next=AGAIN,
    ),
    "a header with overlapping tensors": Refused(
        write=header({k: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for k in "ab"}, data=4), what="damaged", next=AGAIN,
    ),
    "a negative shape": Refused(
        write=header({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, data=4), what="damaged", next=AGAIN,
    ),
    "a header without shapes": Refused(
        write=header({"a": {"dtype": "F32", "data_offsets": [0, 4]}}, data=4), what="header makes no sense", next=AGAIN,
    ),
    "a header with a list for a word": Refused(
        write=header({"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}}, data=4), what="header makes no sense", next=AGAIN,
    ),
    "metadata that are no words": Refused(
        write=header({"__metadata__": {"k": 1}, "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, data=4), what="metadata are not words", next=AGAIN,
    ),
    # numbers
    "an unknown kind of number": Refused(
        write=header({"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}, data=1), what="as F4, which is not supported", next="fp16",
    ),
    "8-bit whole numbers": Refused(
        write=made(lambda: save({k: v.to(torch.int8) for k, v in motion().items()})), what=r"as int8, expected are floating", next="fp16", loaders=MOTION,
    ),
    "64-bit whole numbers": Refused(
        write=made(lambda: checkpoint_bytes({k: v.long() for k, v in motion().items()})), what=r"as int64", next="fp16", loaders=MOTION,
    ),
    "yes and no": Refused(
        write=made(lambda: guider(lambda t: {k: v > 0 for k, v in t.items()})), what=r"as bool", next="fp16", loaders=GUIDER,
    ),
    "complex numbers": Refused(
        write=made(lambda: checkpoint_bytes({k: v.to(torch.complex64) for k, v in motion().items()})), what=r"as complex64", next="fp16", loaders=MOTION,
    ),
    "NaN": Refused(write=made(lambda: save(with_value(motion(), float("nan")))), what="NaN or infinity in", next=AGAIN, loaders=MOTION),
    "infinity in half precision": Refused(
        write=made(lambda: save(with_value({k: v.half() for k, v in motion().items()}, float("-inf")))), what="NaN or infinity in", next=AGAIN, loaders=MOTION,
    ),
    "NaN in a checkpoint": Refused(
        write=made(lambda: checkpoint_bytes({"state_dict": with_value(motion(), float("nan"))})), what="NaN or infinity in", next=AGAIN, loaders=MOTION,
    ),
    "NaN in an IP-Adapter": Refused(
        write=made(lambda: guider(lambda t: with_value(t, float("nan")))), what="NaN or infinity in", next=AGAIN, loaders=GUIDER,
    ),
    "NaN in eight bits": Refused(
        write=made(lambda: save({k: v.to(torch.float8_e4m3fn) for k, v in with_value(motion(), float("nan")).items()})), what="NaN or infinity", next=AGAIN, loaders=MOTION,
    ),
    # tensors
    "one tensor missing": Refused(write=made(lambda: save(without(FIRST + "proj_in.bias"))), what=r"1 tensors missing .*proj_in\.bias.*, 0 unexpected", next=AGAIN, loaders=MOTION),
    "a block missing": Refused(write=made(lambda: save(without(FIRST))), what="does not fit", next=AGAIN, loaders=MOTION),
    "one tensor too many": Refused(
        write=made(lambda: motion_bytes(**{FIRST + "gate": torch.zeros(1)})), what=r"0 tensors missing, 1 unexpected \(.*gate\)", next=AGAIN, loaders=MOTION,
    ),
    "a tensor of another shape": Refused(
        write=made(lambda: save(changed(FIRST + "transformer_blocks.0.ff.net.2.weight", lambda t: t.T.contiguous()))), what="1 of another shape", next=AGAIN, loaders=MOTION,
    ),
    "positions of another width": Refused(
        write=made(lambda: save(changed(FIRST + "transformer_blocks.0.attention_blocks.0.pos_encoder.pe", lambda t: t[:, :, :5].clone()))),
        what="positions .* have shape", next=AGAIN, loaders=MOTION,
    ),
    "two motion models in one": Refused(
        write=made(lambda: save(motion() | {"ema." + k: v.clone() for k, v in motion().items()})), what="motion blocks of 2 networks", next="Choose", loaders=MOTION,
    ),
    "half a block": Refused(write=sparse(HALF_A_BLOCK), what="motion", next="Load|Choose|Download"),
    "an IP-Adapter with a site missing": Refused(
        write=made(lambda: guider(lambda t: {k: v for k, v in t.items() if ".31." not in k}, width=768)), what="for 15 cross-attentions", next=AGAIN, loaders=GUIDER,
    ),
    "an IP-Adapter with a tensor too many": Refused(
        write=made(lambda: guider(lambda t: t | {"image_proj.more.weight": torch.zeros(1)})), what="unexpected", next=AGAIN, loaders=GUIDER,
    ),
    # our own, damaged
    "from the future": Refused(write=made(lambda: ours(format_version="2")), what="format version 2", next="Update DreaMoving", loaders=MOTION),
    "a config that is no JSON": Refused(write=made(lambda: ours(config="{")), what="not valid JSON", next="Download the file again", loaders=MOTION),
    "a config that makes no sense": Refused(
        write=made(lambda: ours(config='{"num_heads": "many"}')), what="num_heads 'many'", next="Update DreaMoving", loaders=MOTION,
    ),
    # texts and pictures
    "a web page": Refused(write=plain(b"<!DOCTYPE html><html><head><title>Sign in</title>"), what=r"web page \(HTML\)", next="Download the file itself"),
    "a web page with a mark before it": Refused(write=plain(b"\xef\xbb\xbf\n<html lang=en>"), what=r"web page \(HTML\)", next="Download the file itself"),
    "a Git LFS pointer": Refused(
        write=plain(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1673262583\n"), what="Git LFS pointer", next="Run `git lfs pull`",
    ),
    "a server's error": Refused(write=plain(b'{"error": "Repository not found"}'), what="JSON text", next="Download the .safetensors file"),
    "a server's word": Refused(write=plain(b"Access to model h94/IP-Adapter is restricted."), what="neither a safetensors file nor", next="Look for the .safetensors"),
    "a GGUF file": Refused(write=plain(b"GGUF\x03\0\0\0" + bytes(64)), what="GGUF", next="Look for"),
    "a picture": Refused(write=plain(b"\x89PNG\r\n\x1a\n" + bytes(64)), what="neither a safetensors file nor", next="Look for the .safetensors"),
    "an archive": Refused(write=archive, what="ZIP archive .*README.txt", next="Unpack it"),
    # code
    "a pickle with code": Refused(write=coded(), what="run Python code", next=PAGE),
    "an old pickle with code": Refused(write=coded(protocol=0), what="neither a safetensors file nor", next=PAGE),
    "code among tensors": Refused(write=coded(lambda call: {**motion(), "hook": call}, container="zip"), what="run Python code", next=PAGE),
    "code among tensors, old": Refused(write=coded(lambda call: {**motion(), "hook": call}, container="legacy"), what="run Python code", next=PAGE),
    "code in a trainer's wrapper": Refused(write=coded(lambda call: {"state_dict": motion(), "callbacks": [call]}, container="zip"), what="run Python code", next=PAGE),
    "a whole network": Refused(write=module, what="run Python code", next=PAGE),
    "a TorchScript program": Refused(write=program, what="TorchScript", next=PAGE),
    "a list": Refused(write=made(lambda: checkpoint_bytes([1, 2])), what="holds a list", next="Use another|Look for|Choose"),
    "settings without tensors": Refused(write=made(lambda: checkpoint_bytes({"lr": 0.1})), what="no tensors", next=PAGE),
    "more memory than there is": Refused(write=made(lambda: pickle.dumps(Call(bytearray, 1 << 60), protocol=2)), what="memory|damaged", next="Close|Look|Download"),
    # other networks
    "an SDXL motion model": Refused(write=sparse(SDXL_MOTION), what="an SDXL motion model", next="Choose the SD1.5 version"),
    "Hotshot-XL": Refused(write=sparse(HOTSHOT), what="Hotshot-XL", next="Choose the SD1.5 version"),
    "an SDXL checkpoint": Refused(write=sparse(SDXL_CHECKPOINT), what="an? .*SDXL checkpoint", next="Choose the SD1.5 version"),
    "an SDXL ControlNet": Refused(write=sparse(SDXL_CONTROL), what="an SDXL ControlNet", next="Choose the SD1.5 version"),
    "an SDXL IP-Adapter": Refused(write=sparse(IP_SDXL), what="an SDXL IP-Adapter", next="Choose the SD1.5 version"),
    "an SD1.5 checkpoint": Refused(write=sparse(SD15_CHECKPOINT), what="a whole checkpoint", next="load it with the stock Load Checkpoint"),
    "Flux": Refused(write=sparse(FLUX), what="Flux", next="Choose the SD1.5 version"),
    "a Flux ControlNet": Refused(write=sparse(FLUX_CONTROL), what="Flux", next="Choose the SD1.5 version"),
    "Wan": Refused(write=sparse(WAN), what="video transformer", next="Choose the SD1.5 version"),
    "a LoRA": Refused(write=sparse(KOHYA), what="LoRA", next="Load it with the stock Load LoRA"),
    "LLLite": Refused(write=sparse(LITE), what="LLLite", next="Choose the SD1.5 version"),
    "a T2I-Adapter": Refused(write=sparse(T2I), what="T2I-Adapter", next="Load ControlNet Model"),
    "a VAE": Refused(write=sparse(VAE), what="a VAE", next="Put it in models/vae"),
    "a text encoder": Refused(write=sparse(TEXT), what="a text encoder", next="Put it in models/text_encoders"),
    "an image encoder": Refused(write=sparse(VISION), what="an image encoder", next="Put it in models/clip_vision"),
    "an embedding": Refused(write=sparse({"emb_params": (4, 768)}), what="textual inversion", next="Put it in models/embeddings"),
    "an old embedding": Refused(
        write=made(lambda: checkpoint_bytes({"string_to_param": {"*": torch.zeros(4, 768)}, "name": "dancer"})), what="textual inversion", next="Put it in models/embeddings",
    ),
    "nobody knows what": Refused(write=sparse({"foo": (3,)}), what="kind that DreaMoving does not know .*foo", next="Check that it is"),
}  # fmt: skip
