"""An artist's own videos, judged end to end on drawn dancers; the page needs nothing else and runs nothing."""

import argparse
import base64
import json
import re
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
import torch
from dreamoving.benchmarks._real_inputs import as_long, image_encoder, pose_reader, reference_picture
from dreamoving.benchmarks.real import made_by, main, read_graph
from dreamoving.dreamoving_core.batch.server import running_server
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.metrics.scorecard import MEASURES
from dreamoving.dreamoving_core.preprocess.keypoints import encode_pose_keypoint
from dreamoving.dreamoving_core.preprocess.pose_clip import read_clip
from dreamoving.dreamoving_core.procdance.clip import ClipSpec
from dreamoving.dreamoving_core.procdance.sample import driven_clip
from dreamoving.dreamoving_core.video.encode import encode_video
from one_server import ROOT, server_settings
from PIL import Image

FRAMES = 16
EVIL = "dim & <script>alert(1).mp4"  # a name that would run, were it not escaped
WINDOWS = ["--context-length", "6", "--context-overlap", "0"]


class Reader(HTMLParser):
    """Every tag of a page with its attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A driving clip, what a perfect model makes of it, the same dimmed after frame 6, and a face."""
    folder = tmp_path_factory.mktemp("mine")
    clip = driven_clip(ClipSpec(seed=7, split="held_out", num_frames=FRAMES, size=128))
    dim = clip.truth.images.clone()
    dim[6:] *= 0.7
    for name, frames in {"driving.mp4": clip.driving, "good.mp4": clip.truth.images, EVIL: dim}.items():
        encode_video(folder / name, frames, format="mp4", frame_rate=12)
    Image.fromarray((clip.truth.face_reference * 255).byte().numpy()).save(folder / "face.png")
    return folder


@pytest.fixture(scope="module")
def written(folder, tmp_path_factory):
    """The page and the figures of both videos."""
    out = tmp_path_factory.mktemp("out")
    words = ["--video", str(folder / "good.mp4"), str(folder / EVIL), "--reference", str(folder / "face.png")]
    words += ["--driving", str(folder / "driving.mp4"), "--tiny", *WINDOWS, "--out", str(out)]

    assert main(words) == 0

    return out


def test_figures_are_a_flat_map_and_tell_the_better_video(written):
    report = json.loads((written / "figures.json").read_text())

    figures = report["figures"]
    assert set(figures) == {f"{video}/{name}" for video in ("good.mp4", EVIL) for name in MEASURES}
    assert all(isinstance(value, float) for value in figures.values())
    assert figures["good.mp4/colour_drift"] < 1 < 5 < figures[f"{EVIL}/colour_drift"]
    assert figures["good.mp4/window_seams"] < 2 < figures[f"{EVIL}/window_seams"]
    assert figures["good.mp4/pose_error"] < 0.03
    assert [video["frames"] for video in report["videos"]] == [FRAMES, FRAMES]


def test_the_page_is_one_file_that_fetches_nothing_and_runs_nothing(written):
    text = (written / "index.html").read_text(encoding="utf-8")
    found = Reader(text)

    assert not {tag for tag, _ in found.tags} & {"script", "link", "iframe", "object", "form", "a"}
    sources = [value for _, attrs in found.tags for name, value in attrs.items() if name in ("src", "href")]
    assert all(re.match(r"data:image/(png|jpeg);base64,", source) for source in sources)
    assert "default-src 'none'" in next(a["content"] for t, a in found.tags if "http-equiv" in a)
    assert not re.search(r"https?://|url\(|onerror", text)
    assert EVIL in "".join(found.words)


def test_the_page_shows_plots_worst_frames_and_no_folder_of_this_computer(written, folder):
    text = (written / "index.html").read_text(encoding="utf-8")
    images = [attrs["src"].split(",")[1] for tag, attrs in Reader(text).tags if tag == "img"]

    sizes = [Image.open(BytesIO(base64.b64decode(data))).size for data in images]
    worst = sum(
        len(d["worst"])
        for v in json.loads((written / "figures.json").read_text())["videos"]
        for d in v["details"].values()
    )
    assert sizes.count((512, 5 * 224)) == 2, "a plot of five panels for each video"
    assert len(images) == 1 + 2 * (6 + 1) + worst
    assert str(folder) not in text
    assert str(folder) not in (written / "figures.json").read_text()


def test_one_video_alone_is_judged_without_anything_else_and_says_what_lacks(folder, tmp_path, capsys):
    assert main(["--video", str(folder / "good.mp4"), "--out", str(tmp_path)]) == 0

    report = json.loads((tmp_path / "figures.json").read_text())
    assert set(report["figures"]) == {"flicker", "colour_drift"}
    told = capsys.readouterr().out
    for word in ("--reference", "--driving", "--context-length"):
        assert f"say {word}" in told


def test_a_slower_dance_is_brought_to_the_videos_frame_rate_and_a_longer_one_is_cut(folder):
    clip = driven_clip(ClipSpec(seed=7, split="held_out", num_frames=5, size=128))
    poses = read_clip(encode_pose_keypoint(clip.truth.keypoints, width=128, height=128))

    cut, told = as_long(poses, 3)
    filled, _ = as_long(poses, 7)

    assert told == "the dance has 5 frames at this rate, the video 3: the first 3 count"
    assert (cut.points == poses.points[:3]).all()
    assert not filled.seen[5:].any()
    assert as_long(poses, 5)[1] == ""


def test_what_is_wrong_with_the_files_is_said_in_a_line(folder, tmp_path, capsys):
    broken = tmp_path / "graph.json"
    broken.write_text('{"nodes": [], "links": []}')
    (tmp_path / "no.png").write_text("no picture")
    (tmp_path / "good.mp4").write_bytes((folder / "good.mp4").read_bytes())

    cases = {
        ("--video", str(tmp_path / "none.mp4")): "There is no file",
        ("--video", str(tmp_path / "good.mp4"), str(folder / "good.mp4")): "Two videos are called good.mp4",
        (
            "--video",
            str(folder / "good.mp4"),
            "--reference",
            str(tmp_path / "no.png"),
        ): "cannot be read as a picture",
        ("--graph", str(broken)): "no graph in API format. Export it with Workflow > Export",
    }
    for words, said in cases.items():
        assert main([*words, "--out", str(tmp_path / "out")]) == 1
        assert said in capsys.readouterr().err

    with pytest.raises(InputError, match="no image encoder 'mine'"):
        image_encoder("mine")
    with pytest.raises(InputError, match="cannot be read as a graph"):
        read_graph(tmp_path / "none.json")
    with pytest.raises(SystemExit):
        main([])


def test_a_reference_is_read_upright(tmp_path):
    picture = Image.new("RGB", (4, 2), "red")
    exif = picture.getexif()
    exif[0x0112] = 6  # a camera held upright
    picture.save(tmp_path / "turned.jpg", exif=exif)

    assert reference_picture(tmp_path / "turned.jpg").shape == (1, 4, 2, 3)
    assert reference_picture(None) is None


def test_without_detectors_the_reason_names_the_folder(monkeypatch):
    from dreamoving.benchmarks import _real_inputs as inputs

    monkeypatch.setattr(inputs, "detector_files", lambda: [inputs.TINY])
    options = argparse.Namespace(driving=Path("dance.mp4"), tiny=False, detector=None, pose_model=None)

    assert "no detectors in models/dwpose" in pose_reader(options)


@pytest.mark.slow
def test_a_graph_is_run_on_a_server_and_what_it_saves_is_judged(folder, tmp_path):
    graph = json.loads((ROOT / "workflows" / "tiny" / "16_evaluation.json").read_text())
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(graph))
    settings = server_settings(tmp_path / "comfyui")

    with running_server(settings):
        assert main(["--graph", str(path), "--server", settings.url, "--out", str(tmp_path / "out")]) == 0
        for node in graph.values():
            if node["class_type"] == "DreaMovingVideoCombine":
                node["inputs"]["save_output"] = False
        path.write_text(json.dumps(graph))
        with pytest.raises(InputError, match=r"mine.json ran, but saved no video"):
            made_by(path, settings.url, tmp_path)

    report = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert report["videos"][0]["frames"] == 12
    assert report["figures"]["flicker"] > 0
    assert torch.isfinite(torch.tensor(list(report["figures"].values()))).all()
