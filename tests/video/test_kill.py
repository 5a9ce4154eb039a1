"""A run that is killed: no file under a final name, whatever the format."""

import subprocess
import sys
from pathlib import Path

from dreamoving.dreamoving_core.video.decode import read_frames
from dreamoving.dreamoving_core.video.encode import encode_video
from dreamoving.dreamoving_core.video.formats import FORMATS

from .clips import moving_bar

ROOT = Path(__file__).resolve().parents[2]
WRITER = """
import importlib.util, sys
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

root, folder, whole = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
spec = importlib.util.spec_from_file_location("dreamoving", root / "__init__.py", submodule_search_locations=[str(root)])
sys.modules["dreamoving"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["dreamoving"])
import torch
from dreamoving.dreamoving_core.video.encode import video_writer
from dreamoving.dreamoving_core.video.encoded import EncodeSettings
from dreamoving.dreamoving_core.video.formats import FORMATS

torch.set_num_threads(1)
with ExitStack() as writers:
    outputs = []
    for name, form in FORMATS.items():
        path = folder / ".".join(filter(None, (name, form.extension)))
        outputs.append(writers.enter_context(video_writer(path, EncodeSettings(format=form, frame_rate=Fraction(12)))))
    frame = 0
    while frame < whole or not whole:
        for output in outputs:
            output.write(torch.rand(64, 64, 3))
        frame += 1
        print(frame, flush=True)
"""


def start_writing(folder, *, frames):
    """A process that writes all formats at once; `frames` 0 is without end."""
    words = [sys.executable, "-c", WRITER, str(ROOT), str(folder), str(frames)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_a_process_that_is_killed_halfway_leaves_nothing_under_a_final_name(tmp_path):
    with start_writing(tmp_path, frames=0) as process:
        for line in process.stdout:
            if int(line) >= 80:  # by now every encoder has handed something over
                break
        process.kill()

    left = names(tmp_path)
    assert len(left) == len(FORMATS) - sum(row.container == "webp" for row in FORMATS.values())
    assert all(name.endswith(".part") for name in left)
    assert any(path.is_file() and path.stat().st_size > 10_000 for path in tmp_path.iterdir()), (
        "halfway, not at the start"
    )


def test_the_same_process_left_alone_ends_with_every_file_whole(tmp_path):
    with start_writing(tmp_path, frames=5) as process:
        assert process.wait() == 0

    assert not any(name.endswith(".part") for name in names(tmp_path))
    assert len(names(tmp_path)) == len(FORMATS)
    for path in tmp_path.iterdir():
        assert len(list(read_frames(path))) == 5


def test_a_killed_run_does_not_stand_in_the_way_of_the_next(tmp_path):
    (tmp_path / "a.mp4.part").write_bytes(b"half")
    (tmp_path / "b.part").mkdir()
    (tmp_path / "b.part" / "frame_00099.png").write_bytes(b"half")

    encode_video(tmp_path / "a.mp4", moving_bar(3), format="mp4", frame_rate=12)
    encode_video(tmp_path / "b", moving_bar(3), format="png sequence", frame_rate=12)

    assert names(tmp_path) == {"a.mp4", "b"}
    assert len(names(tmp_path / "b")) == 3
