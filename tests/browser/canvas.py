"""ComfyUI's own page in a browser, as far as the tests touch it: settings, graphs, runs, and what the page complains of."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dreamoving.dreamoving_core.batch.client import Client

READY = (
    "() => window.app?.extensionManager && window.app.isGraphReady && window.app.graph && window.LiteGraph"
)
SLOW_MS = 300_000  # a machine with nothing but a shared core
# What the page itself asks of the internet: the size of a missing model, the versions of packs.
ELSEWHERE = re.compile(r"huggingface\.co|civitai\.|github\.com|api\.comfy\.org|missingModelDownload")


class Canvas:
    """One page. `complaints` are the console's errors and uncaught exceptions since the last `forget`."""

    def __init__(self, page, client: Client, *, pack: str, pictures: Path) -> None:
        self.page, self.client, self.pack, self.pictures = page, client, pack, pictures
        self.complaints: list[str] = []
        page.set_default_timeout(SLOW_MS)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))

    def _on_console(self, message) -> None:
        said = f"{message.text} ({message.location.get('url', '')})"
        if message.type == "error" and not ELSEWHERE.search(said):
            self.complaints.append(said)

    def close(self) -> None:
        self.page.close()

    def forget(self) -> None:
        self.complaints.clear()

    def settings(self, **values: Any) -> None:
        for name, value in values.items():
            self.client.post(f"/api/settings/Comfy.{name.replace('_', '.')}", value)

    def visit(self) -> None:
        self.page.goto(self.client.url)
        self.page.wait_for_function(READY)
        self.page.wait_for_timeout(500)

    def do(self, script: str, argument: Any = None) -> Any:
        return self.page.evaluate(script, argument)

    def command(self, name: str) -> None:
        self.do("name => window.app.extensionManager.command.execute(name)", name)

    def picture(self, name: str) -> None:
        self.pictures.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=self.pictures / f"{name}.jpg", type="jpeg", quality=80)

    def open_template(self, name: str) -> None:
        """What a click on the template's card does, without the dialog."""
        self.do(
            """async ([pack, name]) => {
                const path = [pack, `${name}.json`].map(encodeURIComponent).join("/")
                const answer = await fetch(`/api/workflow_templates/${path}`)
                if (!answer.ok) throw new Error(`${answer.status} for ${path}`)
                await window.app.loadGraphData(await answer.json(), true, true, name)
            }""",
            [self.pack, name],
        )
        self.page.wait_for_timeout(1500)  # the page looks for missing models after the graph is there

    def errors_shown(self) -> dict[str, str]:
        """The groups of the page's error panel ("missing-node", "missing-model", ...) and their text; empty without errors."""
        overlay, tab = self.page.get_by_test_id("error-overlay"), self.page.get_by_test_id("panel-tab-errors")
        if overlay.is_visible():
            self.page.get_by_test_id("error-overlay-see-errors").click()
            tab.wait_for()
        elif not tab.is_visible():
            return {}
        tab.click()
        self.page.wait_for_timeout(500)
        groups = self.page.locator(
            "[data-testid^=error-group-]:not([data-testid=error-group-display-message])"
        )
        return {
            group.get_attribute("data-testid").removeprefix("error-group-"): group.inner_text()
            for group in groups.all()
        }

    def graph(self) -> dict[str, Any]:
        """The graph of the canvas, as it would be saved."""
        return json.loads(self.do("() => JSON.stringify(window.app.graph.serialize())"))

    def node_id(self, kind: str) -> int:
        return self.do("kind => window.app.graph.nodes.find(node => node.type === kind).id", kind)

    def select(self, node: int) -> None:
        self.do(
            """id => {
                const node = window.app.graph.getNodeById(id)
                window.app.canvas.deselectAll()
                window.app.canvas.selectNode(node)
                window.app.canvas.centerOnNode(node)
            }""",
            node,
        )
        self.page.wait_for_timeout(300)

    def run(self) -> None:
        self.page.get_by_test_id("queue-button").click()

    def watch(self, until: Callable[[], bool], *, each: Callable[[], None], seconds: float) -> None:
        """Calls `each` some times a second until `until` holds."""
        for _ in range(int(seconds * 4)):
            each()
            if until():
                return
            self.page.wait_for_timeout(250)
        raise AssertionError(f"nothing came in {seconds:.0f} s")

    def drop(self, name: str, content: bytes, kind: str) -> None:
        """Drops a file onto the canvas."""
        transfer = self.page.evaluate_handle(
            """([name, content, kind]) => {
                const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0))
                const transfer = new DataTransfer()
                transfer.items.add(new File([bytes], name, { type: kind }))
                return transfer
            }""",
            [name, base64.b64encode(content).decode(), kind],
        )
        for event in ("dragenter", "dragover", "drop"):
            where = {"dataTransfer": transfer, "clientX": 600, "clientY": 500}
            self.page.dispatch_event("#graph-canvas", event, where)
