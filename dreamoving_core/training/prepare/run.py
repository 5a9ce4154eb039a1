"""A folder of videos to a training set: files side by side as `folder_items.py` reads them, a manifest, a report.

Processes turn videos into clips; this one writes captions, encodes, and puts finished clips into the set, in the order
of the videos, so that neither the number of processes nor an interruption shows in the result.
"""

import logging
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from .cache import Cache
from .captions import Captions
from .manifest import Manifest, key
from .pool import worked
from .report import FOLDER as REPORT
from .report import KEYS, write_report
from .sources import Source
from .video import Record, WorkSettings

log = logging.getLogger(__name__)

WORK = ".work"


@dataclass(frozen=True, kw_only=True)
class PrepareRun:
    """One set in `out`; `cache` is None where the trainer is to encode."""

    out: Path
    settings: WorkSettings
    captions: Captions = field(default_factory=Captions)
    cache: Cache | None = None
    jobs: int = 1

    def run(self, sources: list[Source]) -> list[str]:
        """Prepares what is not done yet; the report in words."""
        manifest = Manifest(self.out)
        for source in sources:
            before = manifest.videos.get(source.shown)
            if before is not None and before != source.size:
                log.warning("%s has changed since it was prepared; its clips stay as they were", source.shown)
        left = [source for source in sources if source.shown not in manifest.videos]
        if len(left) < len(sources):
            log.info("%d of %d files are done already", len(sources) - len(left), len(sources))
        (self.out / REPORT / KEYS).mkdir(parents=True, exist_ok=True)
        began, done, total = time.monotonic(), 0, sum(source.size for source in left)
        for number, (source, records) in enumerate(
            worked(left, self.out / WORK, self.settings, jobs=self.jobs), start=1
        ):
            self.take(source, records, manifest)
            done += source.size
            seconds = (time.monotonic() - began) / max(1, done) * (total - done)
            log.info(
                "%d/%d %s: %s; %s left", number, len(left), source.shown, told(records), minutes(seconds)
            )
        if self.cache is not None:
            self.cache.close()
        shutil.rmtree(self.out / WORK, ignore_errors=True)
        return write_report(self.out, manifest.lines)

    def take(self, source: Source, records: list[Record], manifest: Manifest) -> None:
        """Puts one file's clips into the set, each with its line; the file's own line comes last."""
        work = self.out / WORK / source.name
        for record in records:
            if "start" in record and key(record) in manifest.clips:
                continue
            if "clip" in record and not record["reason"]:
                record = self.taken(source, record, work)
            manifest.add(record)
        shutil.rmtree(work, ignore_errors=True)

    def taken(self, source: Source, record: Record, work: Path) -> Record:
        """Caption, embeddings, and every file in its place. What an earlier run moved already is found there."""
        name = record["clip"]
        picture = REPORT + "/" + KEYS + f"/{name}.jpg"
        move(work / f"{name}.key.jpg", self.out / picture)
        for path in sorted(work.glob(f"{name}.*")):
            if not path.name.endswith((".record.json", ".part")):
                move(path, self.out / path.name)
        text, by = record.get("caption_text", ""), record.get("caption", "")
        if not text:
            text, by = self.captions(source, self.out / picture)
        if text:
            part = self.out / f"{name}.txt.part"
            part.write_text(text + "\n", encoding="utf-8")
            os.replace(part, self.out / f"{name}.txt")
        if self.cache is not None:
            files = {part: self.out / f"{name}.{part}.png" for part in ("face", "cloth")}
            files = {part: path for part, path in files.items() if path.is_file()}
            files["source"] = self.out / f"{name}{'.mp4' if 'rate' in record else source.path.suffix.lower()}"
            self.cache.add(name, files, caption=text, clip="rate" in record)
        return record | {"caption": by, "caption_text": text}


def move(path: Path, to: Path) -> None:
    """Unless an earlier run did."""
    if path.exists() or not to.exists():
        os.replace(path, to)


def told(records: list[Record]) -> str:
    """One file in a few words."""
    if reason := records[-1]["reason"]:
        return f"left out: {reason}"
    clips = [record for record in records if "start" in record]
    kept = sum(not record["reason"] for record in clips)
    return f"{kept} kept, {len(clips) - kept} left out"


def minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
