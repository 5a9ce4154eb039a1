"""What `run.py train` says before it starts."""

from dreamoving.dreamoving_core.training.cli import budget
from dreamoving.dreamoving_core.training.stages import SCHEDULES, SECONDS_PER_STEP


def test_the_budget_names_every_stage_that_is_left_with_its_steps_and_minutes() -> None:
    said = budget(["decoder", "base"])

    for stage in ("decoder", "base"):
        minutes = SCHEDULES[stage].steps * SECONDS_PER_STEP[stage] / 60
        assert f"{stage} {SCHEDULES[stage].steps} steps ({minutes:.0f} min)" in said
    assert "expression" not in said
