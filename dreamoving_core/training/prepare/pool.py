"""Several videos at once, each in a process of its own; results come in the order of the videos, not of their ends."""

import multiprocessing
import runpy
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import torch

from ...errors import SetupError
from .sources import Source
from .video import Record, WorkSettings, work_on

CHILD = Path(__file__).with_name("child.py")
AHEAD = 2  # files per process that are begun before the first one is taken


def worked(
    sources: Sequence[Source], folder: Path, settings: WorkSettings, *, jobs: int
) -> Iterator[tuple[Source, list[Record]]]:
    """Each file with its records; one process needs no other."""
    if jobs <= 1 or len(sources) <= 1:
        for source in sources:
            yield source, work_on(source, folder / source.name, settings)
        return
    package = __package__.rsplit(".", 3)[0]
    names = {"PACK_NAME": package, "PACK_ROOT": str(CHILD.parents[3])}
    pool = ProcessPoolExecutor(
        max_workers=min(jobs, len(sources)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=runpy.run_path,
        initargs=(str(CHILD), names, "__main__"),
    )
    try:
        yield from in_order(pool, sources, folder, settings, ahead=AHEAD * jobs)
    except BrokenProcessPool as error:
        raise SetupError(
            f"A process of prepare was ended from outside ({error}); most often memory was short. Start it again with fewer "
            "--jobs: what is done stays done."
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def work_apart(source: Source, folder: Path, settings: WorkSettings) -> list[Record]:
    """`work_on` in a process that has nothing else to do."""
    torch.set_num_threads(settings.threads)
    return work_on(source, folder, settings)


def in_order(
    pool: ProcessPoolExecutor, sources: Sequence[Source], folder: Path, settings: WorkSettings, *, ahead: int
) -> Iterator[tuple[Source, list[Record]]]:
    """Hands out files a little ahead of the one that is waited for."""
    waiting: deque[tuple[Source, Future]] = deque()
    left = iter(sources)
    for source in left:
        waiting.append((source, pool.submit(work_apart, source, folder / source.name, settings)))
        if len(waiting) < ahead:
            continue
        first, future = waiting.popleft()
        yield first, future.result()
    while waiting:
        first, future = waiting.popleft()
        yield first, future.result()
