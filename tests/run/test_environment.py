"""Which Python everything runs with. The environments here are real ones; only their packages are small."""

import json
import re
import sys
import zipfile
from pathlib import Path

import pytest
from dreamoving.dreamoving_core.errors import SetupError
from dreamoving.tools.environment import (
    OURS,
    STAMP,
    Requirements,
    find_python,
    make_venv,
    missing,
    read_requirements,
    stamp_of,
    venv_python,
)

PYTHON = sys.version.split()[0]


def wheel(folder: Path, name: str, version: str = "1.0") -> str:
    """A wheel with one empty module; returns its path."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f'__version__ = "{version}"\n')
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path.as_posix()


def text(path: Path, content: str) -> Path:
    path.write_text(content + "\n")
    return path


def requirements(folder: Path, *lines: str, torch: str) -> Requirements:
    return Requirements(
        run=(text(folder / "requirements.txt", "\n".join(["# a comment", *lines])),), torch=torch
    )


def installed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("dreamo_*.py"))


def test_the_life_of_an_environment(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    """One test for all of it, because each new environment takes seconds."""
    folder = tmp_path / ".venv"
    (folder / "lib").mkdir(parents=True)
    (folder / OURS).touch()
    (folder / "lib" / "half_made.py").touch()
    first = requirements(tmp_path, torch=wheel(tmp_path, "dreamo_a"))
    assert stamp_of(folder) is None

    make_venv(folder, first)
    stamp = (folder / STAMP).stat().st_mtime_ns

    assert "Installing packages" in capfd.readouterr().err
    assert stamp_of(folder) == first.fingerprint()
    assert installed(folder) == ["dreamo_a.py"]
    assert not (folder / "lib" / "half_made.py").exists()

    impossible = Requirements(
        run=first.run, develop=(text(tmp_path / "dev.txt", "nothing-like-this"),), torch=first.torch
    )
    (folder / STAMP).write_text(json.dumps({"fingerprint": impossible.fingerprint(), "python": PYTHON}))
    assert find_python(tmp_path, impossible, develop=True) == venv_python(
        folder
    )  # found again: nothing is installed
    (folder / STAMP).write_text(json.dumps({"fingerprint": first.fingerprint(), "python": PYTHON}))
    assert stamp_of(folder) != impossible.fingerprint()

    second = requirements(tmp_path, wheel(tmp_path, "dreamo_b"), torch=first.torch)
    assert stamp_of(folder) != second.fingerprint()
    make_venv(folder, second)
    assert (folder / STAMP).stat().st_mtime_ns != stamp
    assert stamp_of(folder) == second.fingerprint()
    assert installed(folder) == ["dreamo_a.py", "dreamo_b.py"]

    absent = (tmp_path / "dreamo_c-1.0-py3-none-any.whl").as_posix()
    with pytest.raises(
        SetupError, match=r"pip could not install the packages: .*dreamo_c-1\.0.* Nothing was kept"
    ):
        make_venv(folder, requirements(tmp_path, absent, torch=first.torch))
    assert not folder.exists()


def test_an_environment_that_was_not_made_here_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()

    with pytest.raises(SetupError, match=r"\.venv was not made by run\.py, so nothing is installed into it"):
        make_venv(
            tmp_path / ".venv",
            requirements(tmp_path, torch=(tmp_path / "absent-1-py3-none-any.whl").as_posix()),
        )

    assert [path.name for path in (tmp_path / ".venv").rglob("*")] == ["bin", "python"]


def test_a_stamp_without_its_python_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / STAMP).write_text(json.dumps({"fingerprint": "f", "python": "3"}))
    assert stamp_of(tmp_path) is None

    venv_python(tmp_path).parent.mkdir()
    venv_python(tmp_path).touch()
    assert stamp_of(tmp_path) == "f"


def test_this_python_is_used_when_it_has_what_is_needed(tmp_path: Path) -> None:
    """A newer or older release than ComfyUI pins will do, and so will one without what only development needs."""
    develop = text(tmp_path / "dev.txt", "nothing-like-this")
    run = text(tmp_path / "run.txt", 'numpy>=1.25\npackaging==0.1\nnothing-like-this; python_version < "3"')

    assert find_python(tmp_path, Requirements(run=(run,), develop=(develop,)), develop=False) == Path(
        sys.executable
    )
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(
    ("line", "lacking"),
    [
        ("nothing-like-this", r"PackageNotFoundError.*nothing-like-this"),
        ("numpy>=999", r"numpy>=999 is needed, \d.* is installed"),
    ],
)
def test_what_a_python_lacks_is_named(line: str, lacking: str) -> None:
    assert re.search(lacking, missing(Path(sys.executable), [line]))


def test_another_package_that_brings_the_same_module_may_stand_in() -> None:
    stand_in = {"no-such-package": ["nor-this", "pytest"]}

    assert missing(Path(sys.executable), ["no-such-package>=1"], alike=stand_in) == ""
    assert "is installed" in missing(Path(sys.executable), ["no-such-package>=1000"], alike=stand_in)
    assert "no-such-package" in missing(Path(sys.executable), ["no-such-package>=1"])


def test_comments_and_options_are_not_requirements(tmp_path: Path) -> None:
    file = tmp_path / "r.txt"
    file.write_text("# a\nnumpy>=1  # why\n\n-r other.txt\n--pre\nx @ https://example.org/x#egg=x\n")

    assert read_requirements([file]) == ["numpy>=1", "x @ https://example.org/x#egg=x"]
