"""What the Comfy Registry reads of the pack, through ComfyUI's own parser."""

import fnmatch
import re
import subprocess
from pathlib import Path

import pytest
from dreamoving.dreamoving_core.errors import SetupError
from dreamoving.tools.registry import BANNER, ICON, completed, registry

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
NAMES = {"publisher": "some-one", "repository": "some-one/comfy-dance", "branch": "v1.0.0"}


def read(folder: Path):
    from comfy_config.config_parser import extract_node_configuration

    return extract_node_configuration(str(folder))


def test_comfyui_reads_name_version_licence_and_requirement(tmp_path):
    (tmp_path / "pyproject.toml").write_text(TEXT, encoding="utf-8")
    found = read(tmp_path)

    assert found.project.name == "dreamoving"
    assert re.fullmatch(r"\d+\.\d+\.\d+", found.project.version)
    assert found.project.license.file == "LICENSE"
    assert found.project.supported_comfyui_version == ">=0.30.0"
    assert found.tool_comfy.display_name == "DreaMoving"
    assert found.tool_comfy.web is None  # WEB_DIRECTORY serves the pages, under the folder's name


def test_the_completed_file_has_all_that_the_registry_wants(tmp_path):
    (tmp_path / "pyproject.toml").write_text(completed(TEXT, **NAMES), encoding="utf-8")
    found = read(tmp_path)

    assert found.tool_comfy.publisher_id == "some-one"
    assert found.project.urls.repository == "https://github.com/some-one/comfy-dance"
    assert found.tool_comfy.icon == f"https://raw.githubusercontent.com/some-one/comfy-dance/v1.0.0/{ICON}"
    assert found.tool_comfy.display_name == "DreaMoving"
    assert found.project.version == read_version()


def read_version():
    return re.search(r'^version = "([^"]+)"', TEXT, re.MULTILINE)[1]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"publisher": "@me"}, "The publisher must be lower-case letters, digits and dashes, got '@me'"),
        ({"publisher": ""}, "got ''"),
        ({"repository": "https://github.com/a/b"}, "The repository must be owner/name on GitHub"),
    ],
)
def test_names_that_the_registry_would_refuse_are_refused_in_words(names, message):
    with pytest.raises(SetupError, match=message):
        completed(TEXT, **{**NAMES, **names})


def test_a_tag_that_is_not_the_version_is_refused_and_nothing_is_written(tmp_path):
    (tmp_path / "pyproject.toml").write_text(TEXT, encoding="utf-8")
    words = ["--publisher", "a", "--repository", "a/b", "--tag"]

    with pytest.raises(SetupError, match=r"The tag is v9.9.9, but pyproject.toml says \d"):
        registry(tmp_path, [*words, "v9.9.9"])
    assert (tmp_path / "pyproject.toml").read_text(encoding="utf-8") == TEXT
    assert registry(tmp_path, [*words, f"v{read_version()}"]) == 0
    with pytest.raises(SetupError, match="names a publisher or a repository already"):
        registry(tmp_path, words[:-1])


def test_no_system_is_claimed_on_which_it_was_not_run():
    systems = re.findall(r'"(?:Operating System|Environment) :: ([^"]+)"', TEXT)

    assert systems == ["POSIX :: Linux"]
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        assert set(re.findall(r"runs-on: (\S+)", workflow.read_text(encoding="utf-8"))) == {"ubuntu-latest"}


def test_icon_and_banner_have_the_registrys_sizes():
    from PIL import Image

    with Image.open(ROOT / ICON) as icon, Image.open(ROOT / BANNER) as banner:
        assert icon.width == icon.height <= 400
        assert banner.width * 9 == banner.height * 21
    assert (ROOT / ICON).stat().st_size + (ROOT / BANNER).stat().st_size < 400_000


def test_the_archive_leaves_out_tests_and_keeps_what_comfyui_serves_and_run_py_needs():
    lines = (ROOT / ".comfyignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.splitlines()
    if not listed:
        pytest.skip("not a git checkout")

    def left_out(path: str) -> bool:
        return any(
            path.startswith(pattern) if pattern.endswith("/") else fnmatch.fnmatch(path, pattern)
            for pattern in patterns
        )

    kept = [path for path in listed if not left_out(path)]
    tops = {path.split("/")[0] for path in kept}
    assert {
        "nodes",
        "dreamoving_core",
        "web",
        "locales",
        "workflows",
        "tools",
        "benchmarks",
        "run.py",
    } <= tops
    assert not tops & {"tests", ".github", ".ci"}
    assert all(any(left_out(path) and path.startswith(p.rstrip("/")) for path in listed) for p in patterns)
