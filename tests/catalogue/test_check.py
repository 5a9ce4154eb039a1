import hashlib
from dataclasses import replace

import pytest
from dreamoving.dreamoving_core.catalogue.check import check, complete, report
from dreamoving.dreamoving_core.catalogue.files import ModelFile
from dreamoving.dreamoving_core.catalogue.graphs import Asked

CONTENT = b"twelve bytes"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
FILE = ModelFile(
    name="model.safetensors", folder="loras", repo="someone/something", path="model.safetensors", licence="MIT", size=12,
    sha256=DIGEST, sha256_source="a test", other_names=("renamed.safetensors",),
)  # fmt: skip
ASKED = Asked(
    name=FILE.name, folders=("loras", "dreamoving"), by="style", file=FILE, page=FILE.page, sha256=DIGEST, instead="any other"
)  # fmt: skip


@pytest.fixture
def roots(tmp_path):
    """Two folders of one kind, as extra_model_paths.yaml makes them, and one of ours."""
    folders = {"loras": [tmp_path / "loras", tmp_path / "elsewhere"], "dreamoving": [tmp_path / "dreamoving"]}
    for paths in folders.values():
        for path in paths:
            path.mkdir()
    return folders


def put(folder, name=FILE.name, content=CONTENT):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("place", ["loras", "elsewhere", "dreamoving"])
@pytest.mark.parametrize("name", ["model.safetensors", "SD1.5/model.safetensors", "renamed.safetensors"])
def test_a_file_is_found_wherever_comfyui_would(tmp_path, roots, place, name):
    path = put(tmp_path / place, name)

    found = check(ASKED, roots)

    assert (found.state, found.path) == ("present", path)


def test_a_file_that_is_nowhere_is_missing(roots):
    found = check(ASKED, roots)

    assert (found.state, found.path) == ("missing", None)
    assert check(ASKED, {}).state == "missing"


def test_a_cut_file_is_told_by_its_size_alone(roots):
    put(roots["loras"][0], content=CONTENT[:-1])

    assert check(ASKED, roots).state == "another size"


def test_a_file_of_the_right_size_and_other_content_is_told_when_asked(roots):
    put(roots["loras"][0], content=CONTENT[::-1])

    assert check(ASKED, roots).state == "present"
    assert check(ASKED, roots, verify=True).state == "another file"


def test_the_right_content_is_verified_in_either_case_of_letters(roots):
    put(roots["loras"][0])

    found = check(replace(ASKED, sha256=DIGEST.upper()), roots, verify=True)

    assert (found.state, found.verified) == ("present", True)
    assert not check(ASKED, roots).verified


def test_a_name_that_leads_out_of_the_folders_is_not_followed(tmp_path, roots):
    put(tmp_path, "secret.safetensors")
    outside = Asked(name="../secret.safetensors", folders=("loras",), by="x")

    assert check(outside, roots).state == "missing"


def test_windows_paths_of_other_peoples_graphs_are_understood(roots):
    put(roots["loras"][0], "SD1.5/mine.safetensors")

    assert check(Asked(name="SD1.5\\mine.safetensors", folders=("loras",), by="x"), roots).state == "present"


def test_the_report_says_of_a_missing_file_all_that_is_known(roots):
    text = report("Story", [check(ASKED, roots)])

    assert "Story: 1 of 1 files to see to" in text
    assert "MISSING" in text
    for known in (
        "models/loras/model.safetensors",
        "style",
        "0 MB",
        "MIT",
        FILE.page,
        FILE.url,
        DIGEST,
        "[a test]",
        "any other",
    ):
        assert known in text, known


def test_the_report_says_when_no_digest_or_page_is_known(roots):
    text = report("Story", [check(Asked(name="x.pt", folders=("vae",), by="x"), roots)])

    assert "no source for it is known" in text
    assert "ask whoever gave you this workflow" in text
    assert "unknown licence" in text


def test_the_report_is_short_about_what_is_there(roots):
    put(roots["loras"][0])
    found = [check(ASKED, roots, verify=True)]

    assert report("Story", found).splitlines() == [
        "Story: all 1 files are there",
        "  ok       models/loras/model.safetensors  (style; 0 MB; MIT, SHA-256 as known)",
    ]
    assert complete(found)


def test_the_report_says_what_to_do_about_a_file_that_differs(roots):
    put(roots["loras"][0], content=b"x")
    cut = check(ASKED, roots)
    put(roots["loras"][0], content=CONTENT[::-1])
    other = check(ASKED, roots, verify=True)

    assert "has 1 bytes, the public file 12: the download was cut" in report("Story", [cut])
    assert "another SHA-256 than the public file. Download it again" in report("Story", [other])
    assert not complete([cut])
    assert not complete([other])


def test_nothing_needed_is_nothing_missing():
    assert report("Tiny demo", []) == "Tiny demo: needs no model files."
    assert complete([])
