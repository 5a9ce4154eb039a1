"""Random motion models for the small host, and the same U-Net with the blocks built in, as the reference."""

import copy

import torch
from small_host import randomise, small_model
from torch import nn

# SD1.5's places by number [AD]: container, position of the block in it
DOWN = ((1, 2), (2, 2), (4, 2), (5, 2), (7, 2), (8, 2), (10, 1), (11, 1))
UP = ((0, 1), (1, 1), (2, 1), (3, 2), (4, 2), (5, 2), (6, 2), (7, 2), (8, 2), (9, 2), (10, 2), (11, 2))


def small_motion(host, *, seed=3, zero=False, stored_rows=None, dtype=None, **settings):
    """A LoadedMotion that fits `host`; `zero` as at the start of training; `stored_rows` limits its positions."""
    from dreamoving.dreamoving_core.bridge.insertion import fitting_config
    from dreamoving.dreamoving_core.bridge.motion import load_motion

    config = fitting_config(host, **settings)
    return load_motion(
        motion_weights(config, seed=seed, zero=zero, stored_rows=stored_rows), config, dtype=dtype
    )


def motion_weights(config, *, seed=3, zero=False, stored_rows=None):
    from dreamoving.dreamoving_core.models.motion import MotionModel
    from dreamoving.dreamoving_core.models.temporal import sinusoid

    weights = MotionModel(config).state_dict()
    if not zero:
        weights = randomise(weights, seed=seed)
    if stored_rows is not None:
        for key in [k for k in weights if k.endswith("to_q.weight")]:
            rows = 0.9 * sinusoid(stored_rows, weights[key].shape[0])
            weights[key.replace("to_q.weight", "pos_encoder.pe")] = rows
    return weights


class BuiltIn(nn.Module):
    def __init__(self, block, num_frames):
        super().__init__()
        self.block = block
        self.num_frames = num_frames

    def forward(self, hidden):
        return self.block(hidden, num_frames=self.num_frames)


def built_in_model(motion, *, num_frames=None, seed=0, state_dict=None):
    """A MODEL like `small_model(seed=seed)` whose U-Net owns a copy of these blocks for good.

    Without `num_frames` they count the frames of each call, as windows of unequal length need.
    """
    model = small_model(seed=seed)
    if state_dict is not None:
        model.model.diffusion_model.load_state_dict(state_dict)
    unet = model.model.diffusion_model
    blocks = copy.deepcopy(motion.patcher.model)
    places = [(unet.input_blocks[i], at, blocks.down(n)) for n, (i, at) in enumerate(DOWN)]
    places += [(unet.output_blocks[i], at, blocks.up(n)) for n, (i, at) in enumerate(UP)]
    places += [(unet.middle_block, 2, blocks.mid())] if blocks.mid() else []
    inside = [BuiltIn(block, num_frames) for _, _, block in places]
    for (container, position, _), block in zip(places, inside, strict=True):
        container.insert(position, block)

    def count(executor, x, timesteps, context, y, control, options, **kwargs):
        for block in inside:
            block.num_frames = x.shape[0] // len(options["cond_or_uncond"])
        return executor(x, timesteps, context, y, control, options, **kwargs)

    if num_frames is None:
        model.add_wrapper_with_key("diffusion_model", "count", count)
    return model


class Calls(list):
    """What the first motion block was called with, in order."""

    def __init__(self, motion):
        motion.patcher.model.down(0).register_forward_pre_hook(self.note, with_kwargs=True)

    def note(self, module, args, kwargs):
        self.append(kwargs | {"batch": args[0].shape[0]})


def weights_of(model):
    """A copy of the base network's tensors under their names, as any other user of the checkpoint sees them."""
    return {key: value.clone() for key, value in model.model.state_dict().items()}


def same_weights(model, before):
    now = model.model.state_dict()
    return now.keys() == before.keys() and all(torch.equal(now[key], before[key]) for key in now)
