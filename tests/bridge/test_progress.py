"""The time left, in words, on a clock of our own; and that the words go to the node that runs."""

import sys
from types import SimpleNamespace

import pytest
from dreamoving.dreamoving_core.bridge.progress import Progress, minutes, say_on_node


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def texts(seconds, *, unit="steps"):
    """What is said while updates come after so many seconds each."""
    clock, said = Clock(), []
    progress = Progress(len(seconds), unit=unit, clock=clock, say=said.append)
    for wait in seconds:
        clock.now += wait
        progress.update()
    return said


def test_the_time_left_follows_the_pace_of_the_steps_and_not_the_loading_before_them():
    assert texts([60.0, 2.0, 2.0, 2.0]) == [
        "1 of 4 steps, 3:00 left",  # nothing else is known yet
        "2 of 4 steps, 0:04 left",
        "3 of 4 steps, 0:02 left",
        "4 steps in 1:06",
    ]


def test_quick_work_is_done_without_words():
    assert texts([0.3] * 6) == []


def test_the_words_come_twice_a_second_at_most_and_the_end_is_always_told():
    said = texts([0.125] * 80, unit="frames")

    assert said[-1] == "80 frames in 0:10"
    assert len(said) == 17  # from the 2nd second to the 10th


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03")]
)
def test_times_are_written_as_on_a_player(seconds, text):
    assert minutes(seconds) == text


def test_the_words_go_to_the_node_that_runs(monkeypatch):
    from comfy_execution.utils import CurrentNodeContext

    sent = []
    server = SimpleNamespace(
        client_id="browser", send_progress_text=lambda text, node, sid: sent.append((text, node, sid))
    )
    module = SimpleNamespace(PromptServer=SimpleNamespace(instance=server))
    monkeypatch.setitem(sys.modules, "server", module)

    say_on_node("nobody runs")
    with CurrentNodeContext("prompt", "5:3"):
        say_on_node("half")

    assert sent == [("half", "5:3", "browser")]


def test_without_a_server_nothing_is_said(monkeypatch):
    from comfy_execution.utils import CurrentNodeContext

    monkeypatch.delitem(sys.modules, "server", raising=False)

    with CurrentNodeContext("prompt", "5"):
        say_on_node("half")

    assert "server" not in sys.modules  # looking for one must not load ComfyUI's server
