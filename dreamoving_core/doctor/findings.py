"""From what there is to what it means and what to do about it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .packages import OPENCV, PACKAGES, RUNTIMES, Package, canonical, numbers
from .surroundings import READ_ONLY, Surroundings

Mark = Literal["ok", "lacks", "WRONG"]
PYTHONS = ((3, 10), (3, 13))
CUDA_OF_NEWEST = "13"  # of onnxruntime-gpu 1.31.1, seen in its build_and_package_info.py
COMFYUI = "0.30.0"  # what the pack is tested with
ACCELERATED = ("CUDAExecutionProvider", "DmlExecutionProvider", "CoreMLExecutionProvider", "ROCMExecutionProvider",
    "MIGraphXExecutionProvider", "OpenVINOExecutionProvider", "TensorrtExecutionProvider")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report. `lacks` leaves something out that a person may not want; `WRONG` breaks something."""

    mark: Mark
    subject: str
    found: str
    means: str = ""
    mend: str = ""


def findings(here: Surroundings) -> list[Finding]:
    """Everything worth saying, in the order in which it is mended."""
    return [
        *python_and_comfyui(here),
        *torch(here),
        *(finding for package in PACKAGES for finding in one_package(package, here)),
        *runtime(here),
        *opencv(here),
        *folders(here),
    ]


def pip(here: Surroundings, words: str) -> str:
    """A command for this very Python."""
    executable = f'"{here.executable}"' if " " in here.executable else here.executable
    return f"{executable} -m pip {words}"


def python_and_comfyui(here: Surroundings) -> Iterator[Finding]:
    version = numbers(here.python)[:2]
    known = PYTHONS[0] <= version <= PYTHONS[1]
    yield Finding(
        mark="ok" if known else "WRONG",
        subject="Python",
        found=f"{here.python} on {here.system}, {here.executable}",
        means="" if known else "The pack and ComfyUI's packages are for Python 3.10 to 3.13.",
        mend="" if known else "start ComfyUI with a Python of that range",
    )
    if here.comfyui_at is None:
        yield Finding(
            mark="lacks",
            subject="ComfyUI",
            found="not found",
            means="Its version and its folders could not be looked at.",
            mend="set COMFYUI_PATH to ComfyUI's folder, or put the pack into its custom_nodes",
        )
        return
    old = numbers(here.comfyui) < numbers(COMFYUI)
    yield Finding(
        mark="WRONG" if old else "ok",
        subject="ComfyUI",
        found=f"{here.comfyui or 'of unknown version'}, {here.comfyui_at}",
        means=f"The pack is tested with {COMFYUI}; nodes may be missing or fail." if old else "",
        mend="update ComfyUI" if old else "",
    )


def torch(here: Surroundings) -> Iterator[Finding]:
    version = here.versions.get("torch", "")
    if not version:
        yield Finding(
            mark="WRONG",
            subject="torch",
            found="missing in this Python",
            means="ComfyUI cannot run with it: this is not ComfyUI's Python, or ComfyUI is not installed yet.",
            mend="start the Doctor with ComfyUI's own Python",
        )
        return
    cuda = here.torch_cuda
    yield Finding(
        mark="ok", subject="torch", found=version + (f", for CUDA {cuda}" if cuda else ", for the CPU")
    )
    if here.torchaudio_cuda and cuda and here.torchaudio_cuda != cuda:
        yield Finding(
            mark="WRONG",
            subject="torchaudio",
            found=f"{here.versions.get('torchaudio', '')} is for CUDA {here.torchaudio_cuda}, torch for {cuda}",
            means="ComfyUI stops when it starts: the two must be for the same CUDA.",
            mend=pip(here, '"torch<2.15"'.join(("install ", " torchvision torchaudio"))),
        )


def one_package(package: Package, here: Surroundings) -> Iterator[Finding]:
    there = [name for name in (package.name, *package.others) if canonical(name) in here.versions]
    install = pip(here, f'install "{package.requirement}"')
    if not there:
        yield Finding(mark="lacks", subject=package.name, found="missing", means=package.means, mend=install)
        return
    version = here.versions[canonical(there[0])]
    named = version if there[0] == package.name else f"{version}, as {there[0]}"
    if reason := here.broken.get(package.module):
        words = f"install --force-reinstall --no-deps {there[0]}=={version}"
        yield Finding(
            mark="WRONG",
            subject=package.name,
            found=f"{named}, but it does not start: {reason}",
            means=package.means,
            mend=pip(here, words),
        )
    elif numbers(version) < numbers(package.at_least):
        yield Finding(
            mark="WRONG",
            subject=package.name,
            found=f"{named}; {package.at_least} or newer is needed",
            means=package.means,
            mend=install,
        )
    else:
        yield Finding(mark="ok", subject=package.name, found=named)


def runtime(here: Surroundings) -> Iterator[Finding]:
    """onnxruntime's flavours share their files; pip does not know it."""
    there = [name for name in RUNTIMES if name in here.versions]
    if not there or "onnxruntime" in here.broken:
        return
    best, fast = there[0], [name for name in here.providers if name in ACCELERATED]
    found = f"{', '.join(here.providers) or 'no providers'}; the files are {here.runtime or 'of an unknown package'}"
    if best != "onnxruntime" and here.runtime == "onnxruntime":
        yield Finding(
            mark="WRONG",
            subject="onnxruntime",
            found=found,
            means=f"{best} is installed, but onnxruntime was written over it: Pose Extract runs on the CPU, and so does every "
            "other pack's ONNX model.",
            mend=pip(here, f"install --force-reinstall --no-deps {best}=={here.versions[best]}"),
        )
        return
    ours, theirs = here.runtime_cuda.split(".")[0], here.torch_cuda.split(".")[0]
    if best == "onnxruntime-gpu" and ours and theirs and ours != theirs:
        yield Finding(
            mark="WRONG",
            subject="onnxruntime-gpu",
            found=f"for CUDA {here.runtime_cuda}, torch is for CUDA {here.torch_cuda}",
            means="Its CUDA libraries are not those that torch brings: it falls back to the CPU.",
            mend=pip(here, f"install onnxruntime-gpu==... , a release whose notes name CUDA {theirs}"),
        )
        return
    if fast:
        yield Finding(mark="ok", subject="providers", found=found)
        return
    yield Finding(
        mark="lacks" if here.nvidia else "ok",
        subject="providers",
        found=found,
        means="Poses are extracted on the CPU, a few frames per second." if here.nvidia else "",
        mend=gpu_runtime(here) if here.nvidia else "",
    )


def gpu_runtime(here: Surroundings) -> str:
    """The command for NVIDIA; the index's newest release is for one CUDA alone."""
    major = here.torch_cuda.split(".")[0]
    install = pip(here, "install onnxruntime-gpu")
    return (
        install
        if major in ("", CUDA_OF_NEWEST)
        else f"{install}==... , a release whose notes name CUDA {major}"
    )


def opencv(here: Surroundings) -> Iterator[Finding]:
    """OpenCV's packages share one folder: of one version they get along, of two they break each other."""
    there = {name: here.versions[name] for name in OPENCV if name in here.versions}
    if len(there) < 2:
        return
    listed = ", ".join(f"{name} {version}" for name, version in there.items())
    newest = max(there.values(), key=numbers)
    if len(set(there.values())) == 1:
        yield Finding(
            mark="ok",
            subject="OpenCV",
            found=f"{listed}; one version, so they get along. Do not uninstall one of them.",
        )
        return
    yield Finding(
        mark="WRONG",
        subject="OpenCV",
        found=listed,
        means="They share one folder; which version runs depends on which was installed last.",
        mend=pip(here, "install " + " ".join(f"{name}=={newest}" for name in there)),
    )


def folders(here: Surroundings) -> Iterator[Finding]:
    for folder in here.folders:
        counted = f", {folder.files} file{'s' * (folder.files != 1)}" if folder.files >= 0 else ""
        bad = (
            folder.state == READ_ONLY and folder.files < 0
        )  # models may lie where only an administrator writes
        yield Finding(
            mark="WRONG" if bad else "ok",
            subject=folder.name,
            found=f"{folder.path}, {folder.state}{counted}",
            means="Results cannot be saved there." if bad else "",
            mend="give your user the right to write into it, or start ComfyUI with another --base-directory"
            if bad
            else "",
        )
