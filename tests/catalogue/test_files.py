import re

import pytest
from dreamoving.dreamoving_core.catalogue.files import BY_NAME, BY_SHA256, FILES, ModelFile
from dreamoving.dreamoving_core.catalogue.stories import STORIES
from dreamoving.dreamoving_core.weights.ip_adapter_variants import KNOWN


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_a_person_needs_to_know_of_a_file_is_there(file):
    assert file.folder
    assert file.licence
    assert file.page.startswith("https://")
    assert file.size or file.about
    assert not file.path or file.url == f"{file.page}/resolve/main/{file.path}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_digest_never_stands_without_its_source(file):
    assert (file.sha256 is None) == (file.sha256_source == "")
    assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)


def test_names_and_digests_are_each_of_one_file():
    assert len(BY_NAME) == sum(len(file.names) for file in FILES)
    assert len(BY_SHA256) == sum(file.sha256 is not None for file in FILES)


def test_the_loader_that_goes_by_digests_knows_the_catalogues():
    names = {"plus": "ip-adapter-plus_sd15", "plus-face": "ip-adapter-plus-face_sd15", "FaceID-Plus": "ip-adapter-faceid-plus_sd15",
             "FaceID-Plus v2": "ip-adapter-faceid-plusv2_sd15"}  # fmt: skip

    assert {digest: BY_SHA256[digest].name.rsplit(".", 1)[0] for digest in KNOWN} == {
        digest: names[variant] for digest, variant in KNOWN.items()
    }
    assert set(KNOWN.values()) == set(names)


@pytest.mark.parametrize(
    ("size", "about", "words"),
    [
        (2_528_373_448, "", "2.53 GB"),
        (44_642_768, "", "45 MB"),
        (None, "about 1.8 GB", "about 1.8 GB"),
        (None, "", "unknown"),
    ],
)
def test_sizes_are_in_the_units_of_download_pages(size, about, words):
    file = ModelFile(name="x", folder="x", repo="a/b", path="x", licence="MIT", size=size, about=about)

    assert file.size_words == words


@pytest.mark.parametrize("story", STORIES)
def test_a_story_asks_for_each_file_once_and_for_its_base_model_first(story):
    names = [asked.name for asked in STORIES[story]]
    folders = [asked.file.folder for asked in STORIES[story]]

    assert len(set(names)) == len(names)
    assert folders.count("checkpoints") == ("animatediff_models" in folders)
    assert "checkpoints" not in folders or folders[0] == "checkpoints"


def test_the_tiny_demo_needs_nothing():
    assert STORIES["Tiny demo"] == ()
