"""A real ComfyUI with its real page, in Debian's Chromium. `python run.py test browser`; never in the default suite.

The screenshots of a run are left in `out/browser`.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing

import pytest
from dreamoving.dreamoving_core.batch.client import Client
from dreamoving.dreamoving_core.batch.server import ServerSettings, running_server
from one_server import PACK_NAME, ROOT, server_settings

from .canvas import Canvas

PICTURES = ROOT / "out" / "browser"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Without a GPU, drawing the canvas through an emulated one takes most of the time.
FLAGS = ["--no-sandbox", "--mute-audio", "--disable-gpu"]
RENDERERS = {"classic": False, "vue": True}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerSettings]:
    base = tmp_path_factory.mktemp("comfyui")
    settings = server_settings(base)
    with running_server(settings):
        yield settings


@pytest.fixture(scope="session")
def client(server: ServerSettings) -> Client:
    return Client(server.url, timeout=300.0)


@pytest.fixture(scope="session")
def browser() -> Iterator:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="pip install -r requirements-browser.txt", exc_type=ImportError
    )
    chromium = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if chromium is None:
        pytest.fail("No Chromium: `apt install chromium`, or name one in CHROMIUM.")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def blank(browser, client: Client) -> Iterator[Canvas]:
    """A page of a test's own, not visited yet."""
    with closing(new_canvas(browser, client)) as canvas:
        yield canvas


def new_canvas(browser, client: Client) -> Canvas:
    """With the settings of somebody who has used ComfyUI before."""
    page = browser.new_page(viewport={"width": 1600, "height": 900})
    canvas = Canvas(page, client, pack=PACK_NAME, pictures=PICTURES)
    canvas.settings(TutorialCompleted=True, Locale="en", VueNodes_Enabled=False)
    return canvas


@pytest.fixture(params=RENDERERS, scope="module")
def renderer(request: pytest.FixtureRequest) -> str:
    """ComfyUI draws nodes in two ways; artists use both."""
    return request.param


@pytest.fixture(scope="module")
def visited(browser, client: Client, renderer: str) -> Iterator[Canvas]:
    """One page for the tests of a file: it takes longest to load."""
    with closing(new_canvas(browser, client)) as canvas:
        canvas.settings(VueNodes_Enabled=RENDERERS[renderer])
        canvas.visit()
        assert canvas.do("() => window.LiteGraph.vueNodesMode") is RENDERERS[renderer]
        yield canvas


@pytest.fixture
def canvas(visited: Canvas) -> Canvas:
    visited.forget()
    return visited
