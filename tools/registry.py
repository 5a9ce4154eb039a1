"""`python run.py registry`: completes pyproject.toml for the Comfy Registry with what depends on where it is published.

The repository's address and the publisher are not known to the source; the workflow that publishes gives them.
"""

import argparse
import re
from pathlib import Path

from ..dreamoving_core.errors import SetupError
from .console import say

RAW = "https://raw.githubusercontent.com"
ICON, BANNER = "docs/icon.png", "docs/banner.png"


def completed(pyproject: str, *, publisher: str, repository: str, branch: str) -> str:
    """The text of pyproject.toml with PublisherId, Icon, Banner and the project's addresses.

    `repository` is `owner/name` on GitHub. Raises SetupError for names that the registry would refuse, and when the
    text has them already.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", publisher):
        raise SetupError(
            f"The publisher must be lower-case letters, digits and dashes, got {publisher!r}. "
            "It is the id of registry.comfy.org, without the @."
        )
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise SetupError(f"The repository must be owner/name on GitHub, got {repository!r}.")
    if re.search(r"^(PublisherId =|\[project\.urls\])", pyproject, re.MULTILINE):
        raise SetupError(
            "pyproject.toml names a publisher or a repository already. Start from the committed file."
        )
    here, raw = f"https://github.com/{repository}", f"{RAW}/{repository}/{branch}"
    comfy = f'[tool.comfy]\nPublisherId = "{publisher}"\nIcon = "{raw}/{ICON}"\nBanner = "{raw}/{BANNER}"\n'
    urls = (
        f'[project.urls]\nRepository = "{here}"\nDocumentation = "{here}/tree/{branch}/docs"\n'
        f'"Bug Tracker" = "{here}/issues"\n\n'
    )
    return pyproject.replace("[tool.comfy]\n", comfy, 1).replace(
        "[tool.setuptools.dynamic]", urls + "[tool.setuptools.dynamic]", 1
    )


def registry(root: Path, words: list[str]) -> int:
    """Write the completed pyproject.toml; a publishing machine throws it away afterwards."""
    parser = argparse.ArgumentParser(prog="run.py registry", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--publisher", required=True, help="id on registry.comfy.org")
    parser.add_argument("--repository", required=True, metavar="OWNER/NAME", help="on GitHub")
    parser.add_argument("--branch", default="main", help="where icon and banner are fetched from")
    parser.add_argument("--tag", help="refuse unless this tag is the version")
    arguments = parser.parse_args(words)
    file = root / "pyproject.toml"
    text = file.read_text(encoding="utf-8")
    version = re.search(r'^version = "([^"]+)"', text, re.MULTILINE)
    if arguments.tag and (version is None or arguments.tag.removeprefix("v") != version[1]):
        raise SetupError(
            f"The tag is {arguments.tag}, but pyproject.toml says {version[1] if version else 'nothing'}. "
            "Set the version first; a published version can never change."
        )
    names = {"publisher": arguments.publisher, "repository": arguments.repository, "branch": arguments.branch}
    file.write_text(completed(text, **names), encoding="utf-8", newline="\n")
    say(f"pyproject.toml is ready for {arguments.publisher}/{arguments.repository}.")
    return 0
