"""A run of the smallest DreaMoving on noise, in this process or as a script of its own (started by test_trainer.py).

As a script: `small_run.py FOLDER STEPS ACCUMULATE CHECKPOINT_EVERY` says each step that it begins and leaves
`learned-RANK.pt`.
"""

import importlib
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def source_of(frames):
    """What each generator draws is one clip; all clips of a pass go together."""
    import torch
    from dreamoving.dreamoving_core.training.batch import Batch

    def source(step, generators):
        sys.stdout.write(f"step {step}\n")
        sys.stdout.flush()

        def drawn(make):
            return torch.stack([make(generator) for generator in generators])

        def normal(*shape):
            return drawn(lambda g: torch.randn(shape, generator=g))

        def pixels(*shape):
            return drawn(lambda g: torch.randint(0, 256, shape, generator=g, dtype=torch.uint8))

        batch = Batch(
            latents=normal(frames, 4, 4, 4),
            control=pixels(frames, 3, 32, 32),
            control_kind="pose",
            person=pixels(frames, 4, 4),
            face=normal(65, 32),
            cloth=normal(65, 32),
            token_ids=torch.arange(3 * 77).reshape(3, 77),
            caption=drawn(lambda g: torch.randint(1, 3, (), generator=g)),
        )
        return batch, generators

    return source


def small_run(folder, *, steps, accumulate=1, checkpoint_every=20):
    """A trainer of every part that steps can move, after its run."""
    from dreamoving.dreamoving_core.training.objective import Objective
    from dreamoving.dreamoving_core.training.schedule import Schedule
    from dreamoving.dreamoving_core.training.trainer import Trainer, new_accelerator
    from training.small_trainee import small_networks

    module = small_networks().trainee(Objective(noise_levels=1), motion=True)
    module.requires_grad_(True)
    module.text.text_projection.requires_grad_(False)  # a pooled output, which SD1.5 never uses
    schedule = Schedule(
        steps=steps,
        learning_rate=1e-3,
        warmup=2,
        accumulate=accumulate,
        checkpoint_every=checkpoint_every,
        ema_decay=0.9,
    )
    trainer = Trainer(
        "toy",
        module,
        schedule=schedule,
        source=source_of(frames=2),
        samples=1,
        folder=Path(folder),
        accelerator=new_accelerator(device="cpu"),
    )
    trainer.run()
    return trainer


def main(folder, steps, accumulate, checkpoint_every):
    sys.path += [str(TESTS), str(TESTS / "training")]
    importlib.import_module("conftest")  # finds ComfyUI and loads the pack
    import torch

    trainer = small_run(
        folder, steps=int(steps), accumulate=int(accumulate), checkpoint_every=int(checkpoint_every)
    )
    learned = {name: p.detach() for name, p in trainer.learners.items()}
    torch.save(learned, Path(folder) / f"learned-{trainer.accelerator.process_index}.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
