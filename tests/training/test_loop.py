import itertools

import pytest
import torch
from dreamoving.dreamoving_core.training.loop import Schedule, Trainer, step_generator
from torch import nn


def trainer(folder, *, steps, model=None):
    torch.manual_seed(0)
    model = model or nn.Linear(3, 2)

    def loss_of(_step, generator):
        x = torch.randn(4, 3, generator=generator)
        return (model(x) - x[:, :2]).square().mean(), {}

    schedule = Schedule(steps=steps, learning_rate=0.1, warmup=2, checkpoint_every=5)
    return Trainer("toy", dict(model.named_parameters()), schedule=schedule, loss_of=loss_of, folder=folder)


def advance(run, count):
    for _ in range(count):
        run.advance()


def test_a_run_that_is_cut_and_resumed_learns_exactly_what_an_uninterrupted_one_learns(tmp_path):
    whole = trainer(tmp_path / "whole", steps=20)
    advance(whole, 12)
    cut = trainer(tmp_path / "cut", steps=20)
    advance(cut, 7)
    cut.save()

    resumed = trainer(tmp_path / "cut", steps=20)
    advance(resumed, 5)

    assert resumed.step == 12
    for name, parameter in whole.learners.items():
        assert torch.equal(parameter, resumed.learners[name])
        assert torch.equal(whole.ema.values[name], resumed.ema.values[name])


def test_a_checkpoint_is_whole_or_the_one_before_it(tmp_path, monkeypatch):
    run = trainer(tmp_path, steps=20)
    advance(run, 3)
    run.save()
    advance(run, 3)

    def disk_full(_value, path):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", disk_full)
    with pytest.raises(OSError, match="No space left"):
        run.save()

    assert trainer(tmp_path, steps=20).step == 3


def test_after_the_last_step_the_learners_hold_their_averages(tmp_path):
    run = trainer(tmp_path, steps=6)

    run.run()

    assert all(torch.equal(p, run.ema.values[name]) for name, p in run.learners.items())


def test_randomness_depends_on_seed_stage_and_step_alone():
    def draw(**place):
        return torch.randn(3, generator=step_generator(**place))

    first = draw(seed=0, stage="base", step=5)

    assert torch.equal(first, draw(seed=0, stage="base", step=5))
    for other in ({"seed": 1}, {"stage": "motion"}, {"step": 6}):
        assert not torch.equal(first, draw(**{"seed": 0, "stage": "base", "step": 5} | other))


def test_the_learning_rate_rises_to_its_value_and_falls_to_a_tenth():
    schedule = Schedule(steps=100, learning_rate=1.0, warmup=10)

    rates = [schedule.rate(step) for step in range(100)]

    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)
    assert all(a < b for a, b in itertools.pairwise(rates[:10]))
