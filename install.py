"""Installs what the pack needs beside ComfyUI, into the Python that starts it: `python install.py`.

ComfyUI-Manager starts it after it has gone through requirements.txt, line by line. Started alone it does both. It changes
nothing that is installed already, takes the packages one at a time, and never fails: what could not be installed is said,
and the pack works without it. docs/decisions.md tells why it is needed. Standard library only.
"""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).absolute().parent
PLAIN = "onnxruntime"
# All of them write the same files as onnxruntime; whichever is written last is there, whatever pip believes.
FLAVOURS = ("onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-rocm", "onnxruntime-migraphx",
    "onnxruntime-qnn", "onnxruntime-cann")  # fmt: skip
OPENCV = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)


def say(text: str) -> None:
    sys.stdout.write(f"[DreaMoving] {text}\n")
    sys.stdout.flush()


def name_of(requirement: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s<>=!~;\[]", requirement.strip(), maxsplit=1)[0]).lower()


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, enough to compare it with a lower bound."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[+a-z-]", version, maxsplit=1)[0]))


def installed() -> dict[str, str]:
    """Name and version of everything in this Python."""
    importlib.invalidate_caches()
    found = {}
    for one in importlib.metadata.distributions():
        name = one.metadata["Name"]
        if name and one.version:
            found.setdefault(name_of(name), one.version)
    return found


def requirements(file: Path) -> list[str]:
    """The lines of requirements.txt without comments."""
    lines = (line.split("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def is_met(requirement: str, have: dict[str, str]) -> bool:
    found = have.get(name_of(requirement))
    bound = re.search(r">=\s*([\w.]+)", requirement)
    return found is not None and (bound is None or numbers(found) >= numbers(bound.group(1)))


class Installer:
    """pip, or uv where there is no pip, with every installed package held at its version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        own = [sys.executable, *(["-s"] if sys.flags.no_user_site else []), "-m"]
        self.uv = importlib.util.find_spec("pip") is None
        if not self.uv:
            self.command = [*own, "pip"]
            self.quiet = ["--quiet", "--no-input", "--disable-pip-version-check"]
        else:
            uv = shutil.which("uv")
            self.command = [uv, "pip"] if uv else [*own, "uv", "pip"]
            self.quiet = ["--quiet", "--python", sys.executable]

    def run(self, action: str, *words: str) -> str:
        """What went wrong, in the installer's own words; "" when all went well."""
        command = [*self.command, action, *self.quiet, *words]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False,
                stdin=subprocess.DEVNULL)  # fmt: skip
        except OSError as error:
            return str(error)
        said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        told = [line for line in said if line.lower().startswith(("error", "×"))] or said[-1:]
        return "" if done.returncode == 0 else " ".join(told)[:600] or f"exit status {done.returncode}"

    def frozen(self, besides: tuple[str, ...] = ()) -> list[str]:
        """Options that hold everything at its version, `besides` excepted; all OpenCVs at that of the first one."""
        have = installed()
        held = {name: version for name, version in have.items() if name not in besides}
        there = [held[name] for name in OPENCV if name in held]
        if there:
            held = {**dict.fromkeys((n for n in OPENCV if n not in besides), there[0]), **held}
        file = self.folder / "constraints.txt"
        valid = (f"{name}=={version}" for name, version in sorted(held.items()) if re.match(r"\d", version))
        file.write_text("\n".join(valid) + "\n", encoding="utf-8")
        return ["-c", str(file)]


# ---- onnxruntime: one set of files, several packages


def runtime_folder() -> Path | None:
    """Where onnxruntime's files lie; found without importing it."""
    spec = importlib.util.find_spec(PLAIN)
    return (
        Path(next(iter(spec.submodule_search_locations)))
        if spec and spec.submodule_search_locations
        else None
    )


def flavour_on_disk(folder: Path | None) -> str:
    """Which package the files are of, as they say themselves; "" when they do not."""
    file = folder / "capi" / "build_and_package_info.py" if folder else None
    text = file.read_text(encoding="utf-8") if file and file.is_file() else ""
    match = re.search(r"package_name\s*=\s*['\"]([\w-]+)", text)
    return match.group(1) if match else ""


def overwritten(have: dict[str, str]) -> str:
    """The accelerated flavour whose files plain onnxruntime has written over; "" when there is none."""
    flavour = next((name for name in FLAVOURS if name in have), "")
    return flavour if flavour and flavour_on_disk(runtime_folder()) == PLAIN else ""


def put_aside(folder: Path) -> Path:
    """The accelerated runtime's files under a second name on the same disk, by links where that goes."""
    aside = Path(tempfile.mkdtemp(prefix=".onnxruntime-", dir=folder.parent))

    def link(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)

    shutil.copytree(folder, aside / PLAIN, copy_function=link, ignore=shutil.ignore_patterns("__pycache__"))
    return aside


def put_back(aside: Path, folder: Path) -> None:
    """The files that were put aside, over whatever has been written since."""
    for file in (aside / PLAIN).rglob("*"):
        target = folder / file.relative_to(aside / PLAIN)
        if file.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file, target)


def restore(flavour: str, version: str, pip: Installer) -> None:
    """Write an accelerated runtime's files again. The replacement is fetched before anything is taken away."""
    again = f"{flavour}=={version}"
    mend = f"{Path(sys.executable).name} -m pip install --force-reinstall --no-deps {again}"
    if pip.uv:
        problem = pip.run("install", "--reinstall", "--no-deps", again)
    else:
        problem = pip.run("download", "--no-deps", "--only-binary", ":all:", "--dest", str(pip.folder), again)
        wheels = sorted(pip.folder.glob("onnxruntime*.whl"))
        if not problem and wheels:
            if not same_build(wheels[0], flavour):
                say(f"{again} was another build than the one on your index, perhaps for another CUDA.")
            # found by name, so that pip does not take note of a file that will be gone
            found = ("--no-index", "--find-links", str(pip.folder), again)
            problem = pip.run("install", "--force-reinstall", "--no-deps", *found)
    if problem or overwritten(installed()):
        say(
            f"{flavour} was written over by onnxruntime, so the GPU is not used. Mend it with: {mend} ({problem})"
        )
    else:
        say(f"{flavour} {version}: its files were written over by onnxruntime, and are back.")


def same_build(wheel: Path, flavour: str) -> bool:
    """Whether a wheel's record is the one of the package that was installed."""
    import zipfile

    with zipfile.ZipFile(wheel) as archive:
        fresh = next(archive.read(name) for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
    old = importlib.metadata.distribution(flavour).read_text("RECORD") or ""
    native = re.compile(r"^(onnxruntime/capi/onnxruntime_pybind11_state[^,]*),(sha256=[^,]*)", re.MULTILINE)
    return set(native.findall(fresh.decode())) <= set(native.findall(old))


# ---- the work


def install_missing(pip: Installer, lines: list[str]) -> None:
    """One package at a time, so that one that cannot be had does not keep the others away."""
    for line in lines:
        have = installed()
        name = name_of(line)
        if is_met(line, have):
            say(f"{name} {have[name]}: is there")
            continue
        problem = pip.run("install", *pip.frozen(besides=(name,)), line)
        if problem:
            say(
                f"{name}: left out. The rest of the pack works without it; run.py doctor tells what does not. ({problem})"
            )
        else:
            say(f"{name} {installed().get(name, '')}: installed")


def level_opencv(pip: Installer) -> None:
    """OpenCV's packages share one folder, so that they must be of one version."""
    have = {name: version for name, version in installed().items() if name in OPENCV}
    if len(set(have.values())) < 2:
        return
    newest = max(have.values(), key=numbers)
    for version in (newest, min(have.values(), key=numbers)):
        wanted = [f"{name}=={version}" for name in have]
        if not (problem := pip.run("install", *pip.frozen(besides=OPENCV), *wanted)):
            say(f"OpenCV: {' and '.join(have)} are both {version} now")
            return
    say(f"OpenCV: {', '.join(f'{n} {v}' for n, v in have.items())} share one folder and differ. ({problem})")


def main() -> int:
    aside = folder = None
    with tempfile.TemporaryDirectory(prefix="dreamoving-") as scratch:
        pip = Installer(Path(scratch))
        have = installed()
        try:
            flavour = next((name for name in FLAVOURS if name in have), "")
            if lost := overwritten(have):
                restore(lost, have[lost], pip)
            elif flavour and PLAIN not in have and (folder := runtime_folder()):
                aside = put_aside(folder)  # insightface brings plain onnxruntime, over these very files
            # Pose Extract needs a runtime also where insightface, which brings one, cannot be had
            install_missing(pip, [*([] if flavour else [PLAIN]), *requirements(ROOT / "requirements.txt")])
            level_opencv(pip)
        except Exception as error:  # whatever it is, the pack stays; the Doctor will say what lacks
            say(f"stopped early: {type(error).__name__}: {error}")
        finally:
            if aside is not None and folder is not None:
                put_back(aside, folder)
                shutil.rmtree(aside, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
