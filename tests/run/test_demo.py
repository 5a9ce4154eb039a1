"""The demo's seed goes into the graph that runs and into the workflow that the video carries."""

import pytest
from dreamoving.dreamoving_core.batch.client import Step
from dreamoving.tools.demo import DEMO_SEED, describe, with_seed, workflow_with_seed


def test_the_seed_goes_wherever_the_graph_has_the_demos_and_nowhere_else() -> None:
    inputs = {"seed": DEMO_SEED, "noise_seed": DEMO_SEED, "steps": DEMO_SEED, "other": ["1", DEMO_SEED]}
    graph = {
        "1": {"class_type": "A", "inputs": inputs},
        "2": {"class_type": "B", "inputs": {"seed": DEMO_SEED + 1}},
    }

    changed = with_seed(graph, 99)

    assert changed["1"]["inputs"] == {
        "seed": 99,
        "noise_seed": 99,
        "steps": DEMO_SEED,
        "other": ["1", DEMO_SEED],
    }
    assert changed["2"] == graph["2"]
    assert graph["1"]["inputs"]["seed"] == DEMO_SEED  # the input is left as it was


def test_the_workflow_gets_the_seed_only_before_its_control() -> None:
    nodes = [{"id": 1, "widgets_values": [DEMO_SEED, "fixed", DEMO_SEED, 4]}, {"id": 2}]

    changed = workflow_with_seed({"nodes": nodes, "version": 0.4}, 99)

    assert [node["widgets_values"] for node in changed["nodes"]] == [[99, "fixed", DEMO_SEED, 4], []]
    assert changed["version"] == 0.4


@pytest.mark.parametrize(
    ("step", "words"),
    [(Step(node="1", value=3, total=20), "Dance: 3/20"), (Step(node="2"), "B"), (Step(node="1:9"), "Dance")],
)
def test_progress_is_told_by_the_title_of_the_node(step: Step, words: str) -> None:
    graph = {
        "1": {"class_type": "A", "inputs": {}, "_meta": {"title": "Dance"}},
        "2": {"class_type": "B", "inputs": {}},
    }

    assert describe(step, graph) == words
