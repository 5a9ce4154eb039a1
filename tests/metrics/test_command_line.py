"""`python -m dreamoving_core.metrics`: figures of known pictures, and what is refused in words."""

import json
import math
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError, MissingPackageError, WeightsError
from dreamoving.dreamoving_core.metrics import __main__ as command
from dreamoving.dreamoving_core.metrics.clip_files import ClipFiles, clips_in, files_in
from dreamoving.dreamoving_core.metrics.fidelity import psnr, ssim
from dreamoving.dreamoving_core.metrics.figure_words import FIGURES
from dreamoving.dreamoving_core.metrics.flicker import delta_flicker, motion_amplitude
from dreamoving.dreamoving_core.metrics.judges import Judges
from dreamoving.dreamoving_core.metrics.lpips import BACKBONE, backbone_file, lpips, open_lpips, why_not
from dreamoving.dreamoving_core.metrics.sharpness import sharpness
from dreamoving.dreamoving_core.metrics.video_pairs import compare
from metrics.picture_folders import pictures, write_pictures
from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

ROOT = Path(__file__).resolve().parents[2]


def compared(clip, truth=None, mask=None):
    return compare(ClipFiles(clip=clip, truth=truth, mask=mask), Judges())


def test_the_figures_frame_by_frame_are_those_of_the_whole_clip(tmp_path):
    ours, true = pictures(tmp_path / "ours", seed=1), pictures(tmp_path / "true", seed=2)

    found, notes = compared(tmp_path / "ours", tmp_path / "true")

    del found["warp_error"], found["warp_ratio"]  # tests/metrics/test_video_pairs.py
    assert found.pop("sharpness_ratio") == pytest.approx(sharpness(ours) / sharpness(true))
    assert found.pop("motion_ratio") == pytest.approx(motion_amplitude(ours) / motion_amplitude(true))
    assert found == pytest.approx(
        {
            "sharpness": sharpness(ours),
            "motion_amplitude": motion_amplitude(ours),
            "delta_flicker": delta_flicker(ours, true),
            "psnr": psnr(ours, true),
            "ssim": ssim(ours, true),
        },
        rel=1e-5,
    )
    assert [note for note in notes if "LPIPS is left out" in note]


def test_a_clip_beside_itself_is_perfect_and_json_has_no_infinity(tmp_path):
    pictures(tmp_path / "ours")

    found = command.measured(tmp_path / "ours", tmp_path / "ours", judges=Judges())

    assert found["figures"]["psnr"] == math.inf
    assert found["figures"]["delta_flicker"] == 0
    assert found["figures"]["ssim"] == pytest.approx(1.0, abs=1e-5)
    assert json.loads(json.dumps(command.plain(found)))["figures"]["psnr"] is None


def test_without_a_truth_only_what_the_clip_itself_tells_is_told(tmp_path):
    clip = pictures(tmp_path / "ours")

    found, notes = compared(tmp_path / "ours")

    assert found == pytest.approx(
        {"sharpness": sharpness(clip), "motion_amplitude": motion_amplitude(clip)}, rel=1e-5
    )
    assert notes == []


def test_clips_are_paired_by_name_and_the_mean_is_over_clips(tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        pictures(tmp_path / "ours" / name, seed=seed)
        pictures(tmp_path / "true" / name, seed=seed, add=25 if name == "a" else 51)

    found = command.measured(tmp_path / "ours", tmp_path / "true", judges=Judges())

    assert found["clips"]["a"]["psnr"] == pytest.approx(-20 * math.log10(25 / 255), abs=1e-3)
    assert found["clips"]["b"]["psnr"] == pytest.approx(-20 * math.log10(51 / 255), abs=1e-3)
    psnrs = [figures["psnr"] for figures in (found["figures"], found["clips"]["a"], found["clips"]["b"])]
    assert psnrs[0] == pytest.approx((psnrs[1] + psnrs[2]) / 2)
    lines = [line.split() for line in command.table(found)]
    assert lines[0] == ["mean", "a", "b"]
    assert ["psnr", *(f"{value:.4f}" for value in psnrs)] in lines


def test_a_table_of_many_clips_shows_their_mean_alone():
    clips = {f"clip{number}": {"ssim": number / 10} for number in range(5)}

    lines = command.table({"figures": {"ssim": 0.2}, "clips": clips, "notes": ["a note"]})

    assert [line.split() for line in lines] == [["mean"], ["ssim", "0.2000"], ["a", "note"]]


def test_one_frame_has_no_flicker_and_small_frames_no_structural_similarity(tmp_path):
    pictures(tmp_path / "ours", frames=1, size=8)
    pictures(tmp_path / "true", frames=1, size=8, seed=1)

    found, notes = compared(tmp_path / "ours", tmp_path / "true")

    assert set(found) == {"sharpness", "sharpness_ratio", "psnr"}
    assert any("SSIM is left out" in note for note in notes)
    assert any("one frame alone" in note for note in notes)


def test_lpips_says_which_file_it_misses_and_where_it_belongs(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))

    assert f"into {tmp_path}" in why_not(512, 512)
    backbone_file().parent.mkdir()
    backbone_file().touch()
    assert why_not(512, 512) is None
    assert "at least 64 pixels, these are 40 x 512" in why_not(512, 40)


@pytest.fixture
def alexnet(tmp_path, monkeypatch):
    """An untrained AlexNet where torchvision keeps its trained one, no network, and how often it was built."""
    import torchvision

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(socket.socket, "connect", offline)
    build, built = torchvision.models.alexnet, []
    torch.manual_seed(0)
    weights = {
        name: value if name.startswith("features") else torch.zeros(()).expand(value.shape)  # a small file
        for name, value in build(weights=None).state_dict().items()
    }
    backbone_file().parent.mkdir(parents=True)
    torch.save(weights, backbone_file())
    monkeypatch.setattr(torchvision.models, "alexnet", lambda **words: (built.append(1), build(**words))[1])
    return built


def offline(*_):
    raise AssertionError("nothing may be downloaded")


def test_lpips_is_nothing_for_equal_clips_more_for_others_and_its_network_is_read_once(alexnet, tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        pictures(tmp_path / "ours" / name, seed=seed, size=64)
        pictures(tmp_path / "true" / name, seed=1, size=64)

    found = command.measured(tmp_path / "ours", tmp_path / "true", judges=Judges())

    assert found["clips"]["a"]["lpips"] == pytest.approx(0, abs=1e-7)
    assert found["clips"]["b"]["lpips"] > 0.01
    assert found["notes"] == []
    assert len(alexnet) == 1


def test_lpips_frame_by_frame_is_what_the_public_metric_says_of_the_clip(alexnet):
    ours, true = torch.rand(2, 3, 64, 80, 3)
    public = LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)
    metric = open_lpips()

    found = lpips(metric, ours, true)

    assert found.shape == (3,)
    assert float(found.mean()) == pytest.approx(
        float(public(ours.movedim(-1, 1), true.movedim(-1, 1))), rel=1e-4
    )
    assert metric.all_scores == []  # a long clip leaves nothing behind


def test_the_file_that_lpips_looks_for_is_the_one_that_torchvision_would_read():
    from torchvision.models import AlexNet_Weights

    assert AlexNet_Weights.DEFAULT.url.endswith(f"/{BACKBONE}")


@pytest.mark.parametrize("content", ["", "no network", {"features.0.weight": torch.zeros(1)}])
def test_a_damaged_network_of_lpips_is_told_with_its_place(alexnet, content):
    if isinstance(content, str):
        backbone_file().write_text(content)
    else:
        torch.save(content, backbone_file())

    with pytest.raises(WeightsError, match=r"alexnet-owt.*is damaged.*Fetch it again, or delete it"):
        open_lpips()


def test_without_its_package_lpips_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.image.lpip", None)

    with pytest.raises(MissingPackageError, match="pip install torchmetrics torchvision"):
        open_lpips()


def test_what_does_not_match_is_refused_in_words(tmp_path):
    pictures(tmp_path / "three"), pictures(tmp_path / "four", frames=4), pictures(tmp_path / "large", size=20)

    with pytest.raises(
        InputError, match=r"three ends after 3 frames, .*four goes on\. Cut both to one length"
    ):
        compared(tmp_path / "four", tmp_path / "three")
    with pytest.raises(InputError, match=r"three ends after 3 frames, .*four goes on"):
        compared(tmp_path / "three", tmp_path / "four")
    with pytest.raises(InputError, match=r"is 16 x 16 pixels and .*large 20 x 20"):
        compared(tmp_path / "three", tmp_path / "large")


def test_a_mask_of_another_length_or_size_is_refused_too(tmp_path):
    pictures(tmp_path / "three"), pictures(tmp_path / "two", frames=2), pictures(tmp_path / "large", size=20)

    with pytest.raises(InputError, match=r"two ends after 2 frames, .*three goes on"):
        compared(tmp_path / "three", tmp_path / "three", tmp_path / "two")
    with pytest.raises(InputError, match=r"three is 16 x 16 pixels and .*large 20 x 20"):
        compared(tmp_path / "three", None, tmp_path / "large")


def test_pictures_without_a_name_belong_to_the_one_video_beside_them(tmp_path):
    pictures(tmp_path / "ours"), pictures(tmp_path / "true" / "dance"), pictures(tmp_path / "masks" / "a")

    found = files_in(tmp_path / "ours", truth=tmp_path / "true", masks=tmp_path / "masks")

    assert found == {
        ".": ClipFiles(
            clip=tmp_path / "ours", truth=tmp_path / "true" / "dance", mask=tmp_path / "masks" / "a"
        )
    }


def test_folders_that_hold_nothing_or_too_much_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    pictures(tmp_path / "twice" / "a")
    (tmp_path / "twice" / "a.mp4").touch()
    pictures(tmp_path / "ours" / "a"), pictures(tmp_path / "ours" / "b"), pictures(tmp_path / "true" / "a")

    with pytest.raises(InputError, match="There is no folder"):
        clips_in(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no videos"):
        clips_in(tmp_path / "empty")
    with pytest.raises(InputError, match=r"holds 'a' twice: a and a\.mp4"):
        clips_in(tmp_path / "twice")
    with pytest.raises(
        InputError, match=r"has nothing called b\. What belongs together needs the same name; there are: a"
    ):
        files_in(tmp_path / "ours", truth=tmp_path / "true")


def test_the_command_writes_json_prints_a_table_and_refuses_without_a_traceback(tmp_path):
    pictures(tmp_path / "ours" / "a")
    words = [sys.executable, "-m", "dreamoving_core.metrics"]

    good = subprocess.run(
        [*words, str(tmp_path / "ours"), "--json", str(tmp_path / "found.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    bad = subprocess.run([*words, str(tmp_path / "nowhere")], cwd=ROOT, capture_output=True, text=True)

    assert good.returncode == 0, good.stderr
    assert "motion_amplitude" in good.stdout
    assert set(json.loads((tmp_path / "found.json").read_text())["clips"]) == {"a"}
    assert bad.returncode == 1
    assert bad.stderr.startswith("There is no folder")


def test_every_figure_is_told_in_the_help_and_in_the_documents(tmp_path, alexnet):
    write_pictures(tmp_path / "mask", torch.ones(3, 64, 64, 3) * (torch.arange(64) < 32)[:, None])
    pictures(tmp_path / "ours", size=64), pictures(tmp_path / "true", size=64, seed=1)
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")

    found, _ = compared(tmp_path / "ours", tmp_path / "true", tmp_path / "mask")

    joints = {"pose_error", "joints_found"}  # tests/metrics/test_pose_pairs.py
    assert set(found) | joints == set(FIGURES)
    for name, about in FIGURES.items():
        assert about in command.arguments().format_help()
        assert f"`{name}`" in page, name
