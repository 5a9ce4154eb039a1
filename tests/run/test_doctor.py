"""The Doctor: environments with one thing wrong each, handed to it, and the Python that runs this as it is."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from dreamoving.dreamoving_core.doctor.findings import findings
from dreamoving.dreamoving_core.doctor.packages import PACKAGES, canonical, numbers
from dreamoving.dreamoving_core.doctor.report import is_well, report
from dreamoving.dreamoving_core.doctor.surroundings import (
    NOT_YET,
    READ_ONLY,
    WRITABLE,
    Folder,
    Surroundings,
    look_around,
    written,
)
from dreamoving.tools.environment import read_requirements

ROOT = Path(__file__).resolve().parents[2]
WELL = Surroundings(
    python="3.11.7",
    executable="/opt/python",
    system="Linux x86_64",
    versions={
        "torch": "2.14.1", "torchaudio": "2.11.0", "opencv-python": "5.0.0.93", "onnxruntime": "1.31.1", "insightface": "2.1",
        "onnx": "1.23.2", "open-clip-torch": "3.3.0", "controlnet-aux": "0.0.10", "scipy": "1.17.1", "transformers": "5.23.0",
    },
    comfyui="0.30.0",
    comfyui_at=Path("/srv/ComfyUI"),
    torch_cuda="13.0",
    torchaudio_cuda="13.0",
    runtime="onnxruntime",
    providers=("AzureExecutionProvider", "CPUExecutionProvider"),
    folders=[Folder(name="output", path=Path("/srv/ComfyUI/output"), state=WRITABLE)],
)  # fmt: skip


def having(*without: str, **versions: str) -> dict[str, str]:
    """WELL's packages without some, and with others."""
    kept = {name: version for name, version in WELL.versions.items() if name not in without}
    return {**kept, **{canonical(name): version for name, version in versions.items()}}


def said_of(here: Surroundings, mark: str):
    return [finding for finding in findings(here) if finding.mark == mark]


def test_nothing_is_said_of_what_is_well():
    found = findings(WELL)

    assert {finding.mark for finding in found} == {"ok"}
    assert is_well(found)
    assert report(found).startswith("All is well.\n")


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_a_missing_package_is_named_with_what_it_means_and_the_command_for_this_python(package):
    here = replace(WELL, versions=having(*(canonical(n) for n in (package.name, *package.others))))

    (finding,) = said_of(here, "lacks")

    assert (finding.subject, finding.found, finding.means) == (package.name, "missing", package.means)
    assert finding.mend == f'/opt/python -m pip install "{package.requirement}"'
    assert is_well(findings(here))  # it is optional


def test_the_packages_are_those_of_the_requirements_with_their_bounds():
    asked = read_requirements([ROOT / "requirements.txt"])

    assert set(asked) <= {package.requirement for package in PACKAGES}


def test_another_package_with_the_same_module_is_as_good():
    here = replace(WELL, versions=having("opencv-python", **{"opencv-python-headless": "4.11.0.86"}))

    (finding,) = [f for f in findings(here) if f.subject == "opencv-python"]

    assert (finding.mark, finding.found) == ("ok", "4.11.0.86, as opencv-python-headless")


WRONG = {
    "an old package": (
        {"versions": having(insightface="0.7.3")},
        ("insightface", "0.7.3; 1.0.1 or newer is needed", 'install "insightface>=1.0.1"'),
    ),
    "a package that does not start": (
        {"broken": {"cv2": "it has no version, as after another OpenCV was uninstalled"}},
        ("opencv-python", "does not start", "install --force-reinstall --no-deps opencv-python==5.0.0.93"),
    ),
    "CUDA written over": (
        {"versions": having(**{"onnxruntime-gpu": "1.31.1"}), "runtime": "onnxruntime"},
        ("onnxruntime", "the files are onnxruntime", "install --force-reinstall --no-deps onnxruntime-gpu==1.31.1"),
    ),
    "another CUDA than torch's": (
        {
            "versions": having(**{"onnxruntime-gpu": "1.31.1"}), "runtime": "onnxruntime-gpu", "runtime_cuda": "13.0",
            "torch_cuda": "12.8", "torchaudio_cuda": "12.8", "providers": ("CUDAExecutionProvider", "CPUExecutionProvider"),
        },
        ("onnxruntime-gpu", "for CUDA 13.0, torch is for CUDA 12.8", "a release whose notes name CUDA 12"),
    ),
    "two versions of OpenCV": (
        {"versions": having(**{"opencv-python-headless": "4.11.0.86"})},
        ("OpenCV", "opencv-python 5.0.0.93, opencv-python-headless 4.11.0.86",
            "install opencv-python==5.0.0.93 opencv-python-headless==5.0.0.93"),
    ),
    "torch and torchaudio apart": (
        {"torch_cuda": "13.2"},
        ("torchaudio", "2.11.0 is for CUDA 13.0, torch for 13.2", 'install "torch<2.15" torchvision torchaudio'),
    ),
    "an old ComfyUI": ({"comfyui": "0.3.64"}, ("ComfyUI", "0.3.64", "update ComfyUI")),
    "a new Python": ({"python": "3.14.0"}, ("Python", "3.14.0", "a Python of that range")),
    "another Python than ComfyUI's": ({"versions": having("torch")}, ("torch", "missing", "ComfyUI's own Python")),
    "a folder without rights": (
        {"folders": [Folder(name="output", path=Path("/srv/out"), state=READ_ONLY)]},
        ("output", "cannot be written", "give your user the right"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_broken_is_said_once_with_the_command_that_mends_it(case):
    change, (subject, found, mend) = WRONG[case]
    here = replace(WELL, **change)

    (finding,) = said_of(here, "WRONG")

    assert finding.subject == subject
    assert found in finding.found
    assert mend in finding.mend
    assert finding.means
    assert not is_well(findings(here))
    assert f"mend   {finding.mend}" in report(findings(here))


def test_two_openv_packages_of_one_version_get_along_and_the_report_says_not_to_uninstall_one():
    here = replace(WELL, versions=having(**{"opencv-python-headless": "5.0.0.93"}))

    assert is_well(findings(here))
    assert "Do not uninstall one of them" in report(findings(here))


def test_a_graphics_card_that_is_not_used_is_said_and_one_that_is_not_there_is_not():
    assert said_of(WELL, "lacks") == []

    (finding,) = said_of(replace(WELL, nvidia=True), "lacks")
    assert finding.mend == "/opt/python -m pip install onnxruntime-gpu"

    (finding,) = said_of(replace(WELL, nvidia=True, torch_cuda="12.8", torchaudio_cuda="12.8"), "lacks")
    assert "CUDA 12" in finding.mend


def test_a_python_with_a_space_in_its_path_is_quoted():
    here = replace(WELL, executable="C:/My Tools/python.exe", versions=having("scipy"))

    assert said_of(here, "lacks")[0].mend.startswith('"C:/My Tools/python.exe" -m pip')


def test_versions_compare_by_numbers():
    assert numbers("4.10.1") > numbers("4.9")
    assert numbers("2.14.1+cu130") == (2, 14, 1)
    assert numbers("1.0rc1") == (1, 0)


# ---- looking


def look(tmp_path, **changes):
    return look_around(**{"comfyui": None, "folders": {}, "models": {}, "distributions": dict, **changes})


def test_modules_that_do_not_load_are_told_from_those_that_are_missing(tmp_path):
    def load(name):
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file")
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    here = look(tmp_path, load=load)

    assert dict(here.broken) == {"cv2": "ImportError: libGL.so.1: cannot open shared object file"}


def test_an_opencv_that_was_half_removed_is_noticed(tmp_path):
    here = look(
        tmp_path, load=lambda name: SimpleNamespace(get_available_providers=lambda: ["CPUExecutionProvider"])
    )

    assert "no version" in here.broken["cv2"]
    assert here.providers == ("CPUExecutionProvider",)


def test_folders_are_writable_not_made_yet_or_closed(tmp_path):
    (tmp_path / "models" / "deep").mkdir(parents=True)
    for name in ("a.safetensors", "deep/b.onnx"):
        (tmp_path / "models" / name).touch()
    (tmp_path / "file").touch()
    folders = {"output": tmp_path, "temp": tmp_path / "new" / "temp", "input": tmp_path / "file" / "input"}

    here = look(tmp_path, folders=folders, models={"dwpose": [tmp_path / "models"], "none": []})

    assert [(f.name, f.state, f.files) for f in here.folders] == [
        ("output", WRITABLE, -1),
        ("temp", NOT_YET, -1),
        ("input", READ_ONLY, -1),
        ("models/dwpose", WRITABLE, 2),
    ]


def test_what_a_module_says_of_itself_is_read_without_running_it(tmp_path):
    file = tmp_path / "version.py"
    file.write_text(
        "raise SystemExit\ncuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n__version__ = \"2\"\n"
    )

    assert [written(file, name) for name in ("cuda", "hip", "__version__", "other")] == ["13.0", "", "2", ""]
    assert written(tmp_path / "none.py", "cuda") == ""


def test_this_python_is_seen_as_pip_sees_it(tmp_path):
    here = look_around(comfyui=Path(os.environ["COMFYUI_PATH"]), folders={}, models={})

    import torch

    assert (
        here.versions["torch"] == torch.__version__.split("+")[0]
        or here.versions["torch"] == torch.__version__
    )
    assert here.torch_cuda == (torch.version.cuda or "")
    assert here.executable == sys.executable
    assert here.comfyui


# ---- the command


def doctor(*words, **environ):
    command = [sys.executable, *words, str(ROOT / "run.py"), "doctor"]
    return subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, check=False)


def test_the_command_runs_in_a_python_with_nothing_installed():
    done = doctor("-S", "-E")  # no site-packages at all

    assert done.returncode == 1
    assert "torch                  missing in this Python" in done.stdout
    for package in PACKAGES:
        assert f'pip install "{package.requirement}"' in done.stdout
    assert "Traceback" not in done.stderr


def test_the_command_changes_nothing_and_names_the_comfyui_that_it_looked_at():
    before = set(ROOT.iterdir())

    done = doctor()

    assert f"0.30.0, {os.environ['COMFYUI_PATH']}" in done.stdout or os.environ["COMFYUI_PATH"] in done.stdout
    assert set(ROOT.iterdir()) == before


def test_a_comfyui_that_is_not_there_does_not_stop_it(tmp_path):
    done = doctor(COMFYUI_PATH=str(tmp_path / "gone"))

    assert "ComfyUI was not found: COMFYUI_PATH is" in done.stdout
    assert "torch" in done.stdout
