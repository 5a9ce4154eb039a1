"""What `run.py train` says before it starts."""

from dreamoving.dreamoving_core.training.cli import budget
from dreamoving.dreamoving_core.training.stages import SCHEDULES, SECONDS_PER_STEP
from dreamoving.dreamoving_core.training.tiny import TinyRun


def test_the_budget_names_every_stage_that_is_left_with_its_steps_and_minutes() -> None:
    said = budget(["decoder", "base"], {})

    for stage in ("decoder", "base"):
        minutes = SCHEDULES[stage].steps * SECONDS_PER_STEP[stage] / 60
        assert f"{stage} {SCHEDULES[stage].steps} steps ({minutes:.0f} min)" in said
    assert "expression" not in said


def test_the_budget_counts_the_steps_and_passes_of_the_settings():
    said = budget(["expression"], {"steps": 600, "accumulate": 2, "frames": 16})

    assert "expression 600 steps (68 min); about 68 minutes" in said


def test_with_nothing_left_the_budget_says_so():
    assert budget([], {}) == "budget: everything is done, nothing is left to train"


def test_a_whole_run_ends_with_the_style_and_trains_a_face_recogniser_only_where_it_is_wanted(tmp_path):
    plain, with_identity = (
        TinyRun(tmp_path, accelerator=None, identity=wanted).order() for wanted in (False, True)
    )

    assert plain[-2:] == ["image_styles", "style_lora"]
    assert [stage for stage in with_identity if stage not in plain] == ["face_recogniser"]
    assert set(SCHEDULES) - set(with_identity) == {"content_guider"}
