"""One video or picture to finished files in a work folder: what a process of `prepare` does.

Of each clip NAME: NAME.mp4, NAME.pose.json, NAME.depth.mp4, NAME.face.png, NAME.cloth.png, NAME.key.jpg, and last
NAME.record.json; a clip with a record is done, so that a run that was cut goes on after it.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image
from torch import Tensor

from ...errors import DreaMovingError, MissingPackageError
from ...preprocess.pose_clean import clean_clip
from ...preprocess.pose_clip import read_clip
from ...preprocess.pose_track import main_person
from ...video.clip_file import FileClip
from ...video.encode import encode_video
from ...video.pixels import eight_bits, to_floats
from ..dances import as_bytes
from .dances import of_dance
from .people import PeopleBars, company, key_frame, references, unfit_company
from .plan import PlannedClip, PlanSettings, ShortShot, plan_clips
from .quality import Measuring, QualityBars, unfit
from .shots import find_cuts, shrunk
from .sources import Source
from .tools import Tools, ToolSettings, open_tools, write_depth, write_pose

CRF = 14  # [ours] of the clips: nothing to see, a sixth of lossless
Record = dict[str, Any]
# what a damaged or foreign file may raise; a full disk or a missing package stops the run
OF_A_FILE = (DreaMovingError, av.error.FFmpegError, ValueError, RuntimeError, Image.UnidentifiedImageError)


@dataclass(frozen=True, kw_only=True)
class WorkSettings:
    """Everything that decides what comes out of a video. `short_side`: larger clips are shrunk to it, pixels."""

    plan: PlanSettings = field(default_factory=PlanSettings)
    quality: QualityBars = field(default_factory=QualityBars)
    people: PeopleBars = field(default_factory=PeopleBars)
    tools: ToolSettings = field(default_factory=ToolSettings)
    short_side: int = 720
    threads: int = 1  # of each process, where there are several


def work_on(source: Source, folder: Path, settings: WorkSettings) -> list[Record]:
    """Records of all clips, and of the whole file as the last one. What is wrong with the file is told there."""
    folder.mkdir(parents=True, exist_ok=True)
    tools = open_tools(settings.tools)  # a wrong model file stops the run, not one video after the other
    records, told, note = [], "", ""
    try:
        if source.seed is not None:
            records = [drawn_dance(source, folder, settings)]
        elif source.is_picture:
            records = [of_picture(source, folder, settings, tools)]
        else:
            records, note = of_video(source, folder, settings, tools)
    except MissingPackageError:
        raise
    except OF_A_FILE as error:
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise
        told = str(error) or type(error).__name__
    return [*records, {"video": source.shown, "bytes": source.size, "reason": told, "note": note}]


def of_video(source: Source, folder: Path, settings: WorkSettings, tools: Tools) -> tuple[list[Record], str]:
    """Records of the clips, and what is wrong with the file's end."""
    video = FileClip(str(source.path))
    rate = Fraction(video.frame_rate)
    cuts, frames = find_cuts(video.pictures(), rate)
    clips, short = plan_clips(cuts, frames, rate, settings.plan)
    stream = Frames(video.pictures())
    records = [of_short_shot(source, shot) for shot in short]
    for _, group in groupby(clips, key=lambda clip: clip.references):
        shot = list(group)
        done = [finished(folder, clip_name(source, clip)) for clip in shot]
        if not all(done):
            done = list(of_shot(source, shot, stream, folder, settings, tools, rate))
        records += done
    return sorted(records, key=lambda record: record["start"]), video.damage


def of_short_shot(source: Source, shot: ShortShot) -> Record:
    reason = f"shot too short: {shot.usable:.1f} s between transitions, a clip needs {shot.needed:.1f} s"
    return {"video": source.shown, "start": shot.start, "frames": shot.stop - shot.start, "reason": reason}


class Frames:
    """A video's frames, once, in order; those of `wanted` are kept while they pass."""

    def __init__(self, pictures: Iterator[np.ndarray]) -> None:
        self._pictures, self.position = pictures, 0
        self.wanted: tuple[int, ...] = ()
        self.kept: dict[int, np.ndarray] = {}

    def until(self, stop: int) -> Iterator[np.ndarray]:
        """The frames before `stop` that have not passed yet."""
        for picture in islice(self._pictures, max(0, stop - self.position)):
            if self.position in self.wanted:
                self.kept[self.position] = picture
            self.position += 1
            yield picture

    def skip(self, stop: int) -> None:
        for _ in self.until(stop):
            pass


def of_shot(
    source: Source,
    shot: list[PlannedClip],
    stream: Frames,
    folder: Path,
    settings: WorkSettings,
    tools: Tools,
    rate: Fraction,
) -> Iterator[Record]:
    """Clips of one shot are cut first: some of its references come after them."""
    stream.wanted, stream.kept, figures = shot[0].references, {}, []
    for clip in shot:
        stream.skip(clip.start)
        measuring = Measuring(rate=float(rate))

        def pictures(stop: int = clip.stop, measuring: Measuring = measuring) -> Iterator[Tensor]:
            for picture in stream.until(stop):
                measuring.add(picture)
                yield to_floats(fitted(picture, settings.short_side))

        path = folder / f"{clip_name(source, clip)}.mp4"
        encode_video(path, pictures(), format="mp4", frame_rate=rate, crf=CRF, preset="fast")
        figures.append(measuring.figures())
    stream.skip(max(stream.wanted, default=-1) + 1)
    crops = {}
    if tools.extractor is not None and not all(unfit(found, settings.quality) for found in figures):
        crops = references(stream.kept, tools.extractor, settings.people)
    for clip, found in zip(shot, figures, strict=True):
        record: Record = {"video": source.shown, "clip": clip_name(source, clip)}
        record |= {"start": clip.start, "frames": clip.stop - clip.start, "rate": str(rate)}
        yield judged(record | found, folder, settings, tools, crops)


def judged(
    record: Record, folder: Path, settings: WorkSettings, tools: Tools, crops: dict[str, Any]
) -> Record:
    """Fills in what is known of a clip that has been cut, writes what lies beside it, and its record last."""
    name = record["clip"]
    path = folder / f"{name}.mp4"
    reason, poses = unfit(record, settings.quality), None
    if not reason and tools.extractor is not None:
        poses = read_clip(tools.extractor.extract(FileClip(str(path)).pictures()))
        record |= company(poses)
        reason = unfit_company(record, settings.people)
    if reason:
        path.unlink()
        return written(record | {"reason": reason}, folder)
    if poses is not None:
        write_pose(folder / f"{name}.pose.json", clean_clip(main_person(poses)))
    record["key_frame"] = key_frame(poses, record["frames"])
    shown = next(islice(FileClip(str(path)).pictures(), record["key_frame"], None))
    save_picture(shown, folder / f"{name}.key.jpg", kind="JPEG")
    for part, crop in crops.items():
        save_picture(as_bytes(crop.picture).numpy(), folder / f"{name}.{part}.png", kind="PNG")
        record[f"{part}_frame"] = crop.frame
    if tools.depth is not None:
        write_depth(folder / f"{name}.depth.mp4", FileClip(str(path)), tools.depth, rate=record["rate"])
    return written(record | {"reason": ""}, folder)


def of_picture(source: Source, folder: Path, settings: WorkSettings, tools: Tools) -> Record:
    """A picture of stage 1: it is its own reference, as in IP-Adapter's training."""
    if record := finished(folder, source.name):
        return record
    picture = eight_bits(next(FileClip(str(source.path)).pictures()))
    measuring = Measuring(rate=0)
    measuring.add(picture)
    record = {"video": source.shown, "clip": source.name, "start": 0, "frames": 1, **measuring.figures()}
    reason = unfit(record, settings.quality)
    if not reason and tools.extractor is not None:
        record |= company(read_clip(tools.extractor.extract([picture])))
        reason = unfit_company(record, settings.people)
    if not reason and tools.extractor is not None:
        crops = references({0: picture}, tools.extractor, settings.people)
        for part, crop in crops.items():
            save_picture(as_bytes(crop.picture).numpy(), folder / f"{source.name}.{part}.png", kind="PNG")
            record[f"{part}_frame"] = 0
        reason = "" if "face" in crops else "no face was found"  # [DM §2.4.1] filters these
    if reason:
        return written(record | {"reason": reason}, folder)
    shutil.copyfile(source.path, folder / f"{source.name}{source.path.suffix.lower()}")
    save_picture(picture, folder / f"{source.name}.key.jpg", kind="JPEG")
    return written(record | {"reason": "", "key_frame": 0}, folder)


def drawn_dance(source: Source, folder: Path, settings: WorkSettings) -> Record:
    """A clip of ProcDance with its truth; nothing has to be found out or judged."""
    if record := finished(folder, source.name):
        return record
    record = of_dance(source, folder, seconds=settings.plan.seconds[0], short_side=settings.short_side)
    for part, picture in record.pop("pictures").items():
        kind, suffix = ("JPEG", "jpg") if part == "key" else ("PNG", "png")
        save_picture(as_bytes(picture).numpy(), folder / f"{source.name}.{part}.{suffix}", kind=kind)
    return written(record, folder)


def clip_name(source: Source, clip: PlannedClip) -> str:
    return f"{source.name}_{clip.number:04d}"


def fitted(picture: np.ndarray, short_side: int) -> np.ndarray:
    """`h w 3` with a shorter side of at most `short_side`, and even sides, which the codec wants."""
    small = shrunk(picture, side=short_side)
    height, width = small.shape[:2]
    return np.ascontiguousarray(small[: height - height % 2 or 1, : width - width % 2 or 1])


def save_picture(picture: np.ndarray, path: Path, *, kind: str) -> None:
    Image.fromarray(picture).save(path, format=kind, quality=92)


def finished(folder: Path, name: str) -> Record | None:
    """The record of a clip that an earlier run finished."""
    path = folder / f"{name}.record.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def written(record: Record, folder: Path) -> Record:
    """The record, in its file, whole or not at all."""
    path = folder / f"{record['clip']}.record.json"
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record), encoding="utf-8")
    os.replace(part, path)
    return record
