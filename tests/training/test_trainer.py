"""The loop: a run that is cut is the uninterrupted run to the last bit, and how samples are shared out does not matter."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError, MissingPackageError
from dreamoving.dreamoving_core.training.draws import sample_generator
from dreamoving.dreamoving_core.training.run_log import RunLog
from dreamoving.dreamoving_core.training.schedule import Schedule
from dreamoving.dreamoving_core.training.trainer import Trainer, new_accelerator
from torch import nn
from training.small_run import small_run

SCRIPT = str(Path(__file__).with_name("small_run.py"))


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        error = (self.layer(x) - x[:, :2]).square().mean()
        return error, {"error": error.detach()}


def toy(folder, *, steps, samples=4, seed=0, accelerator=None, told=None, **settings):
    def source(_step, generators):
        return (torch.stack([torch.randn(3, generator=generator) for generator in generators]),)

    schedule = Schedule(
        **{"steps": steps, "learning_rate": 0.1, "warmup": 2, "checkpoint_every": 5} | settings
    )
    return Trainer(
        "toy",
        Toy(),
        schedule=schedule,
        source=source,
        samples=samples,
        folder=folder,
        accelerator=accelerator or new_accelerator(device="cpu"),
        seed=seed,
        settings=told,
    )


def advance(run, count):
    for _ in range(count):
        run.advance()
    return run


def assert_same(found, expected):
    """To the last bit."""
    assert found.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in found.items())


def whole(tensors):
    return torch.cat([t.detach().flatten() for t in tensors.values()])


def test_forty_steps_are_twenty_a_kill_and_twenty_to_the_last_bit(tmp_path):
    straight = small_run(tmp_path / "straight", steps=40, checkpoint_every=40)
    command = [sys.executable, SCRIPT, str(tmp_path / "cut"), "40", "1", "20"]

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        for line in first.stdout:
            if line.split() == ["step", "23"]:  # three whole steps beyond the checkpoint are lost
                first.kill()
    assert first.returncode == -9
    cut = torch.load(tmp_path / "cut" / "toy.pt")["step"]
    again = subprocess.run(command, capture_output=True, text=True, timeout=600)

    assert cut == 20
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("step 20")
    assert_same(torch.load(tmp_path / "cut" / "learned-0.pt"), straight.learners)
    expected, saved = torch.load(straight.checkpoint), torch.load(tmp_path / "cut" / "toy.pt")
    assert expected["step"] == saved["step"] == 40
    for part in ("learners", "ema"):
        assert_same(saved[part], expected[part])
    moments = expected["optimizer"]["state"]
    assert saved["optimizer"]["state"].keys() == moments.keys()
    for number, state in saved["optimizer"]["state"].items():
        assert_same(state, moments[number])


def test_two_processes_of_the_launcher_are_one_with_twice_the_accumulation(tmp_path):
    # multi_gpu means torch's launcher; --cpu would want MPI. Which device it is, the script says.
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    launch += ["--num_cpu_threads_per_process", "1", "--main_process_port", "0"]
    both = subprocess.run(
        [*launch, SCRIPT, str(tmp_path), "10", "1", "10"], capture_output=True, text=True, timeout=600
    )
    assert both.returncode == 0, both.stderr
    first, second = (torch.load(tmp_path / f"learned-{rank}.pt") for rank in (0, 1))

    alone = small_run(tmp_path / "alone", steps=10, accumulate=2, checkpoint_every=10)

    assert_same(second, first)
    start = small_run(tmp_path / "start", steps=0)
    expected, found = (
        whole(torch.load(path)["learners"]) for path in (alone.checkpoint, tmp_path / "toy.pt")
    )
    moved = (expected - whole(start.learners)).norm() / expected.norm()
    assert (found - expected).norm() / expected.norm() <= 1e-5
    assert moved > 1e-2


def test_accumulating_passes_is_one_larger_pass(tmp_path):
    parts = advance(toy(tmp_path / "parts", steps=20, samples=2, accumulate=3), 6)

    at_once = advance(toy(tmp_path / "at once", steps=20, samples=6), 6)

    assert torch.allclose(whole(parts.learners), whole(at_once.learners), rtol=1e-5)


def test_a_checkpoint_is_whole_or_the_one_before_it(tmp_path, monkeypatch):
    run = advance(toy(tmp_path, steps=20), 3)
    run.save()
    advance(run, 3)

    def disk_full(_value, path):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", disk_full)
    with pytest.raises(OSError, match="No space left"):
        run.save()

    assert toy(tmp_path, steps=20).step == 3


@pytest.mark.parametrize("ema_decay", [0.9, 0.0])
def test_after_the_last_step_the_learners_hold_their_averages_where_there_are_any(tmp_path, ema_decay):
    run = toy(tmp_path, steps=6, ema_decay=ema_decay)
    plain = advance(toy(tmp_path / "plain", steps=6), 6)

    run.run()

    last = {name: p.detach().clone() for name, p in run.learners.items()}
    assert torch.equal(whole(last), whole(plain.learners)) == (not ema_decay)
    assert all(torch.equal(last[name], value) for name, value in run.ema.values.items())


def test_the_log_has_a_line_for_the_last_step_and_the_time_left(tmp_path, caplog):
    caplog.set_level("INFO")

    toy(tmp_path, steps=21).run()

    _, *lines = [json.loads(line) for line in (tmp_path / "toy.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [20, 21]
    assert {"loss", "grad_norm", "error", "seconds"} <= lines[0].keys()
    assert "toy 21/21" in caplog.text
    assert "0 s left" in caplog.text


def test_tensorboard_gets_the_same_curves(tmp_path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log = RunLog(tmp_path, "toy", steps=40, tensorboard=True)
    for step in (20, 40):
        log.write(step, {"loss": torch.tensor(step / 10)})
    log.close()

    found = reader.EventAccumulator(str(tmp_path / "tensorboard" / "toy"))
    found.Reload()

    assert [(event.step, event.value) for event in found.Scalars("loss")] == [(20, 2.0), (40, 4.0)]


def test_without_tensorboard_the_option_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)

    with pytest.raises(MissingPackageError, match="pip install tensorboard"):
        RunLog(tmp_path, "toy", steps=1, tensorboard=True)


def test_previews_are_asked_for_every_so_many_steps(tmp_path):
    run, asked = toy(tmp_path, steps=7, preview_every=3), []
    run.preview = asked.append

    run.run()

    assert asked == [3, 6]


def test_a_run_that_blows_up_says_so_and_keeps_its_last_good_checkpoint(tmp_path):
    run = toy(tmp_path, steps=10)
    advance(run, 5)
    run.save()
    with torch.no_grad():
        run.learners["layer.weight"].fill_(float("nan"))

    with pytest.raises(
        InputError, match=r"The loss of stage 'toy' is nan at step 10\. Its last checkpoint is kept"
    ):
        run.run()

    assert toy(tmp_path, steps=10).step == 5


@pytest.fixture
def fp16(monkeypatch):
    """A toy whose gradients Accelerate scales as it does for fp16; the numbers are a CPU's, which knows no other scaler."""

    def scaled_toy(folder, *, scale, **settings):
        made = new_accelerator(device="cpu")
        made.scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=3)
        run = toy(folder, accelerator=made, **settings)
        monkeypatch.setattr(made, "native_amp", True)
        monkeypatch.setattr(type(made), "mixed_precision", "fp16")
        return run

    return scaled_toy


def test_an_fp16_run_is_resumed_with_its_scale_and_is_the_uninterrupted_one(fp16, tmp_path):
    straight = advance(fp16(tmp_path / "straight", steps=20, scale=4.0), 8)
    first = advance(fp16(tmp_path / "cut", steps=20, scale=4.0), 4)
    first.save()

    again = advance(fp16(tmp_path / "cut", steps=20, scale=1.0), 4)

    assert first.accelerator.scaler.get_scale() == 8.0  # grew after three steps
    assert again.accelerator.scaler.state_dict() == straight.accelerator.scaler.state_dict()
    assert torch.equal(whole(again.learners), whole(straight.learners))


def test_a_checkpoint_from_before_scalers_were_kept_goes_on(fp16, tmp_path):
    advance(toy(tmp_path, steps=20), 2).save()
    saved = torch.load(tmp_path / "toy.pt")
    del saved["scaler"]
    torch.save(saved, tmp_path / "toy.pt")

    again = fp16(tmp_path, steps=20, scale=4.0)

    assert (again.step, again.accelerator.scaler.get_scale()) == (2, 4.0)


def test_an_fp16_step_whose_gradients_overflow_is_left_out_and_the_run_goes_on(fp16, tmp_path):
    run = fp16(tmp_path, steps=2, scale=1e37, checkpoint_every=1)
    with torch.no_grad():
        run.learners["layer.weight"].fill_(1000.0)
    before = whole(run.learners)

    figures = run.advance()

    assert not torch.isfinite(figures["grad_norm"])
    assert torch.equal(whole(run.learners), before)
    run.run()
    assert toy(tmp_path, steps=2).step == 2


def test_an_fp16_run_that_blows_up_is_stopped_all_the_same(fp16, tmp_path):
    run = fp16(tmp_path, steps=2, scale=4.0, checkpoint_every=1)
    nowhere, nan = torch.tensor(1.0), torch.tensor(float("nan"))

    with pytest.raises(InputError, match="The loss of stage 'toy' is nan"):
        run.refuse_nonsense({"loss": nan, "grad_norm": nowhere})
    run.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=0.5)
    with pytest.raises(InputError, match="The grad_norm of stage 'toy' is nan"):
        run.refuse_nonsense({"loss": nowhere, "grad_norm": nan})


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    run = advance(toy(tmp_path, steps=10), 1)
    run.save()
    saved = torch.load(tmp_path / "toy.pt")
    saved["learners"].pop("layer.bias")
    torch.save(saved, tmp_path / "toy.pt")

    with pytest.raises(InputError, match="holds 1 learning tensors, this stage has 2"):
        toy(tmp_path, steps=10)


def test_randomness_depends_on_seed_stage_step_and_sample_alone():
    def draw(**place):
        return torch.randn(3, generator=sample_generator(**place))

    first = draw(seed=0, stage="base", step=5, sample=2)

    assert torch.equal(first, draw(seed=0, stage="base", step=5, sample=2))
    for other in ({"seed": 1}, {"stage": "motion"}, {"step": 6}, {"sample": 3}):
        assert not torch.equal(first, draw(**{"seed": 0, "stage": "base", "step": 5, "sample": 2} | other))


@pytest.mark.parametrize("decay", ["cosine", "constant"])
def test_the_learning_rate_rises_to_its_value_and_falls_to_a_tenth_or_stays(decay):
    schedule = Schedule(steps=100, learning_rate=1.0, warmup=10, decay=decay)

    rates = [schedule.rate(step) for step in range(100)]

    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.1 if decay == "cosine" else 1.0, abs=1e-3)
    assert all(a < b for a, b in itertools.pairwise(rates[:10]))


def test_without_accelerate_training_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)

    with pytest.raises(MissingPackageError, match="pip install accelerate"):
        new_accelerator()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one here")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="There is no CUDA device here"):
        new_accelerator(device="cuda")
