"""install.py in real environments. At first the packages are small, while their names and entanglements are real; at the
end they are ComfyUI's own, from the index. Each test starts pip many times, so that most of them are slow.
"""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INFO = "onnxruntime/capi/build_and_package_info.py"
NAMES = ("opencv-python", "open-clip-torch", "controlnet-aux", "insightface")


def wheel(folder: Path, name: str, version: str, files: dict[str, str], needs: tuple[str, ...] = ()) -> Path:
    """A wheel that pip takes for the real package."""
    base = f"{name.replace('-', '_')}-{version}"
    path = folder / f"{base}-py3-none-any.whl"
    metadata = [
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}",
        *(f"Requires-Dist: {n}" for n in needs),
    ]
    files = {
        **files,
        f"{base}.dist-info/METADATA": "\n".join(metadata) + "\n",
        f"{base}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in (*files, f"{base}.dist-info/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**files, f"{base}.dist-info/RECORD": record}.items():
            archive.writestr(file, text)
    return path


def runtime(folder: Path, name: str, *, build: str = "public") -> Path:
    files = {
        "onnxruntime/__init__.py": f"BUILD = '{build}'\n",
        INFO: f"package_name = '{name}'\n__version__ = '1.31.1'\n",
        "onnxruntime/capi/onnxruntime_pybind11_state.so": f"{name} {build}",
    }
    return wheel(folder, name, "1.31.1", files)


def opencv(folder: Path, name: str, version: str, *needs: str) -> Path:
    return wheel(folder, name, version, {"cv2/__init__.py": f"__version__ = '{version}'\n"}, needs)


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Path:
    """What the package index has."""
    folder = tmp_path_factory.mktemp("index")
    runtime(folder, "onnxruntime")
    runtime(folder, "onnxruntime-gpu")
    for name in ("opencv-python", "opencv-python-headless"):
        opencv(folder, name, "4.11.0.86", "numpy")
        opencv(folder, name, "5.0.0.93", "numpy>=2")
    for version in ("1.26.4", "2.4.6"):
        wheel(folder, "numpy", version, {"numpy.py": ""})
    wheel(folder, "open_clip_torch", "3.3.0", {"open_clip.py": ""})
    wheel(folder, "controlnet_aux", "0.0.10", {"controlnet_aux.py": ""}, ("opencv-python-headless", "numpy"))
    wheel(folder, "insightface", "2.1", {"insightface.py": ""}, ("onnxruntime", "opencv-python", "numpy"))
    return folder


@dataclass
class Place:
    """An environment of its own, the pack's two files beside it, and an index."""

    folder: Path
    index: Path

    @property
    def python(self) -> Path:
        return self.folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")

    @property
    def packages(self) -> Path:
        return next(self.folder.rglob("site-packages"))

    def run(self, *words: str, check: bool = True) -> str:
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "PYTHON"))}
        environ |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.index), "PIP_CONFIG_FILE": os.devnull}
        done = subprocess.run([str(self.python), *words], cwd=self.folder / "pack", env=environ, check=False,
            capture_output=True, text=True)  # fmt: skip
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def pip(self, *words: str) -> str:
        return self.run("-m", "pip", "--disable-pip-version-check", *words)

    def freeze(self) -> dict[str, str]:
        lines = self.pip("freeze").split()
        return dict(line.lower().replace("_", "-").split("==") for line in lines)

    def as_the_manager_does(self) -> str:
        """ComfyUI-Manager's order: each line of requirements.txt by pip, then install.py in the pack's folder."""
        for line in (self.folder / "pack" / "requirements.txt").read_text().splitlines():
            if line and not line.startswith("#"):
                self.pip("install", "-q", line)
        return self.run("install.py")

    def build_of_runtime(self) -> str:
        return (self.packages / "onnxruntime/capi/onnxruntime_pybind11_state.so").read_text()


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bare") / "env"
    venv.create(folder, with_pip=True, symlinks=sys.platform != "win32")
    return folder


@pytest.fixture
def place(bare, index, tmp_path) -> Place:
    shutil.copytree(bare, tmp_path / "env", symlinks=True)
    shutil.copytree(index, tmp_path / "index")
    (tmp_path / "env" / "pack").mkdir()
    for name in ("install.py", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path / "env" / "pack")
    found = Place(tmp_path / "env", tmp_path / "index")
    found.pip("install", "-q", "numpy==2.4.6")
    return found


@pytest.mark.slow
def test_alone_it_installs_everything_that_the_requirements_name_and_changes_nothing_else(place):
    said = place.run("install.py")

    after = place.freeze()
    assert set(NAMES) <= set(after)
    assert after["numpy"] == "2.4.6"
    assert after["opencv-python"] == after["opencv-python-headless"]
    assert "No broken requirements found" in place.pip("check")
    assert said.count("installed") >= 3

    again = place.run("install.py")
    assert again.count("is there") == len(NAMES) + 1  # and onnxruntime
    assert place.freeze() == after


def test_an_accelerated_onnxruntime_survives_the_managers_order(place):
    place.pip("install", "-q", "onnxruntime-gpu")
    place.pip("install", "-q", "insightface")
    assert place.build_of_runtime() == "onnxruntime public"  # this is what happens without install.py

    said = place.as_the_manager_does()

    assert place.build_of_runtime() == "onnxruntime-gpu public"
    assert "its files were written over by onnxruntime, and are back" in said
    assert place.freeze()["onnxruntime-gpu"] == "1.31.1"  # and not a path that is gone
    assert "No broken requirements found" in place.pip("check")
    place.pip("install", "-q", "insightface>=1.0.1")  # as the Manager's next update does
    assert place.build_of_runtime() == "onnxruntime-gpu public"


def test_alone_it_keeps_the_very_build_that_was_there_though_no_index_has_it(place, tmp_path):
    private = tmp_path / "private"
    private.mkdir()
    (place.index / "onnxruntime_gpu-1.31.1-py3-none-any.whl").unlink()
    runtime(private, "onnxruntime-gpu", build="for CUDA 12")
    place.pip("install", "-q", "--find-links", str(private), "onnxruntime-gpu")

    place.run("install.py")

    assert place.build_of_runtime() == "onnxruntime-gpu for CUDA 12"
    assert "insightface" in place.freeze()
    assert "No broken requirements found" in place.pip("check")
    assert not list(place.packages.glob(".onnxruntime-*"))


@pytest.mark.slow
def test_a_build_that_cannot_be_had_again_is_said_with_the_command(place, tmp_path):
    place.pip("install", "-q", "onnxruntime-gpu", "insightface")
    place.pip("install", "-q", "--force-reinstall", "--no-deps", "onnxruntime")
    (place.index / "onnxruntime_gpu-1.31.1-py3-none-any.whl").unlink()

    said = place.run("install.py")

    assert "so the GPU is not used. Mend it with:" in said
    assert "pip install --force-reinstall --no-deps onnxruntime-gpu==1.31.1" in said
    assert set(NAMES) <= set(place.freeze())  # the others were installed all the same


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["insightface", "controlnet_aux", "open_clip_torch", "opencv_python"])
def test_one_package_that_cannot_be_had_leaves_the_others(place, lost):
    for file in place.index.glob(f"{lost}-*.whl"):
        file.unlink()

    said = place.run("install.py")

    name = lost.replace("_", "-")
    assert f"{name}: left out. The rest of the pack works without it" in said
    without = {"opencv-python", "insightface"} if lost == "opencv_python" else {name}  # which needs it
    assert set(NAMES) - set(place.freeze()) == without
    assert "onnxruntime" in place.freeze()  # for Pose Extract, whatever became of insightface


@pytest.mark.slow
def test_an_environment_of_numpy_1_keeps_it_and_gets_an_opencv_that_fits(place):
    place.pip("install", "-q", "numpy==1.26.4")

    place.run("install.py")

    after = place.freeze()
    assert after["numpy"] == "1.26.4"
    assert after["opencv-python"] == after["opencv-python-headless"] == "4.11.0.86"
    assert "No broken requirements found" in place.pip("check")


@pytest.mark.slow
def test_opencvs_of_two_versions_become_one(place):
    place.pip("install", "-q", "--no-deps", "opencv-python==4.11.0.86", "opencv-python-headless==5.0.0.93")

    said = place.run("install.py")

    after = place.freeze()
    assert after["opencv-python"] == after["opencv-python-headless"] == "5.0.0.93"
    assert "are both 5.0.0.93 now" in said
    assert "5.0.0.93" in place.run("-c", "import cv2; print(cv2.__version__)")


@pytest.mark.slow
def test_a_python_without_pip_is_told_so_and_nothing_fails(place):
    for folder in place.packages.glob("pip*"):
        shutil.rmtree(folder)

    said = place.run("install.py")

    assert said.count("left out") == len(NAMES) + 1


# ---- the real thing: slow, from the index


def uv(tmp_path_factory) -> list[str]:
    """uv, whose cache makes a second environment cost nothing; from the index where it is not installed."""
    if found := shutil.which("uv"):
        return [found]
    folder = tmp_path_factory.mktemp("uv")
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), "uv"], check=True)
    return [str(folder / "bin" / "uv")]


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """An environment with all that ComfyUI's requirements bring, resolved today: about 6 GB."""
    folder = tmp_path_factory.mktemp("full")
    tool = [*uv(tmp_path_factory)]
    environ = {**os.environ, "UV_CACHE_DIR": str(folder / "cache")}
    if os.environ.get("UV_CACHE_DIR"):
        environ["UV_CACHE_DIR"] = os.environ["UV_CACHE_DIR"]
    environ.setdefault("SSL_CERT_FILE", os.environ.get("PIP_CERT", ""))
    if not environ["SSL_CERT_FILE"]:
        del environ["SSL_CERT_FILE"]
    env = folder / "env"
    requirements = Path(os.environ["COMFYUI_PATH"]) / "requirements.txt"
    subprocess.run([*tool, "venv", "--seed", "-q", "-p", sys.executable, str(env)], check=True, env=environ)
    subprocess.run(
        [*tool, "pip", "install", "-q", "-p", str(env / "bin" / "python"), "torch>=2.14,<2.15", "-r", str(requirements)],
        check=True, env=environ,
    )  # fmt: skip
    return env


def copy_of(env: Path, folder: Path) -> Path:
    """The same files under other names: pip takes files away before it writes, so that the first environment stays."""
    shutil.copytree(env, folder / "env", symlinks=True, copy_function=os.link)
    (folder / "env" / "pack").mkdir()
    for name in ("install.py", "requirements.txt"):
        shutil.copy(ROOT / name, folder / "env" / "pack")
    return folder / "env"


def call(env: Path, *words: str) -> str:
    done = subprocess.run(
        [str(env / "bin" / "python"), *words], cwd=env / "pack", check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def frozen(env: Path) -> dict[str, str]:
    lines = call(env, "-m", "pip", "freeze").splitlines()
    return dict(
        line.split("==") if "==" in line else (line, "") for line in lines if not line.startswith("#")
    )


PROVIDERS = "import onnxruntime; print(onnxruntime.get_available_providers())"
IMPORTS = "import torch, torchaudio, torchvision, cv2, insightface, open_clip, controlnet_aux; print(cv2.__version__)"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="links files")
@pytest.mark.parametrize("order", ["requirements, then install.py", "install.py alone"])
@pytest.mark.parametrize("gpu", [False, True], ids=["CPU", "onnxruntime-gpu"])
def test_a_real_environment_gains_packages_and_nothing_of_comfyui_changes(full, tmp_path, order, gpu):
    env = copy_of(full, tmp_path)
    if gpu:
        call(env, "-m", "pip", "install", "-q", "onnxruntime-gpu")
    before = frozen(env)

    if order.startswith("requirements"):
        call(env, "-m", "pip", "install", "-q", "-r", "requirements.txt")
    call(env, "install.py")

    after = frozen(env)
    assert {name: after.get(name) for name in before} == before
    assert set(NAMES) <= {name.lower().replace("_", "-") for name in after}
    assert "No broken requirements found" in call(env, "-m", "pip", "check")
    assert ("CUDAExecutionProvider" in call(env, "-c", PROVIDERS)) == gpu
    assert call(env, "-c", IMPORTS).strip()


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
@pytest.mark.parametrize(
    "system", ["x86_64-unknown-linux-gnu", "x86_64-pc-windows-msvc", "aarch64-apple-darwin"]
)
def test_the_resolver_adds_to_comfyuis_packages_and_changes_none(tmp_path_factory, tmp_path, version, system):
    tool = uv(tmp_path_factory)
    theirs = Path(os.environ["COMFYUI_PATH"]) / "requirements.txt"

    def resolved(*files: Path) -> dict[str, str]:
        wanted = tmp_path / "torch.in"
        wanted.write_text("torch>=2.14,<2.15\n")
        done = subprocess.run(
            [*tool, "pip", "compile", "-q", "--no-header", "--no-annotate", "--only-binary", ":all:",
             "--python-version", version, "--python-platform", system, str(wanted), *map(str, files)],
            check=False, capture_output=True, text=True,
            env={**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0"},  # torch 2.14 has wheels from there on
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return dict(line.split("==") for line in done.stdout.split())

    alone, both = resolved(theirs), resolved(theirs, ROOT / "requirements.txt")

    assert {name: both.get(name) for name in alone} == alone
    assert both["opencv-python"] == both["opencv-python-headless"]
    assert set(NAMES) <= set(both)
