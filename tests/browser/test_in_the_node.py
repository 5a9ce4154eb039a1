"""Pictures that our nodes show in themselves: the overlay of a fit, and strengths over the frames."""

import pytest

from .canvas import Canvas

pytestmark = pytest.mark.browser

# node: (type, widgets); link: from node and output, to node and input
NODES = {
    "clip": ("DreaMovingSampleClip", {"frames": 4, "size": 64}),
    "fit": ("DreaMovingFitPose", {}),
    "fit shown": ("PreviewAny", {}),
    "tiny": ("DreaMovingLoadTiny", {}),
    "keyframes": ("DreaMovingKeyframes", {"keyframes": "0:(0.0), 3:(1.0)", "frames": 4}),
    "strength": ("DreaMovingControlStrength", {}),
    "strength shown": ("PreviewAny", {}),
    "motion": ("DreaMovingApplyMotion", {}),
    "motion shown": ("PreviewAny", {}),
}
LINKS = [
    ("clip", "keypoints", "fit", "keypoints"),
    ("clip", "keypoints", "fit", "reference"),
    ("fit", "scale", "fit shown", "source"),
    ("tiny", "control_pose", "strength", "control_net"),
    ("keyframes", "values", "strength", "strength"),
    ("strength", "control_net", "strength shown", "source"),
    ("tiny", "MODEL", "motion", "model"),
    ("tiny", "motion_model", "motion", "motion_model"),
    ("motion", "model", "motion shown", "source"),
]
BUILD = """([nodes, links]) => {
    const graph = window.app.graph
    graph.clear()
    const made = {}
    Object.entries(nodes).forEach(([name, [kind, values]], place) => {
        const node = made[name] = window.LiteGraph.createNode(kind)
        graph.add(node)
        node.pos = [(place % 5) * 330, Math.floor(place / 5) * 480 + 60]
        for (const [widget, value] of Object.entries(values)) node.widgets.find(w => w.name === widget).value = value
    })
    for (const [from, output, to, input] of links)
        made[from].connect(made[from].findOutputSlot(output), made[to], made[to].findInputSlot(input))
    window.app.canvas.ds.scale = 0.7
    window.app.canvas.ds.offset = [60, 60]
    return Object.fromEntries(Object.entries(made).map(([name, node]) => [name, node.id]))
}"""
PICTURES = """id => {
    const node = window.app.graph.getNodeById(id)
    const drawn = window.LiteGraph.vueNodesMode
        ? [...document.querySelectorAll(`[data-node-id="${id}"] img`)]
        : node.imgs ?? []
    return drawn.filter(img => img.naturalWidth > 0).length
}"""


def test_an_overlay_and_changing_strengths_are_shown_in_their_nodes(canvas: Canvas, renderer: str) -> None:
    canvas.client.post("/free", {"free_memory": True})  # what is answered from the cache is not shown again
    ids = canvas.do(BUILD, [NODES, LINKS])
    canvas.run()

    drawing = [ids[name] for name in ("fit", "keyframes", "strength")]
    canvas.watch(
        lambda: all(canvas.do(PICTURES, node) == 1 for node in drawing), each=lambda: None, seconds=240
    )
    canvas.page.wait_for_timeout(500)
    canvas.picture(f"in the node ({renderer})")

    assert canvas.do(PICTURES, ids["motion"]) == 0, "plain numbers are not drawn"
    assert canvas.complaints == []
