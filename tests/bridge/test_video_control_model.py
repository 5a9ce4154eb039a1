"""The Video ControlNet's network: gradients as training needs them, and other people's ControlNets as the yardstick."""

import copy

import pytest
import torch
from einops import rearrange, repeat
from small_control import control_model, distance, motion_config, with_zero_motion
from small_host import randomise, small_config

CLIPS, FRAMES, SIZE = 2, 3, 4


def batch(*, clips=CLIPS, frames=FRAMES, size=SIZE, dtype=torch.float32):
    """Latents, timesteps, context and control pictures of some clips."""
    generator = torch.Generator().manual_seed(0)
    n = clips * frames
    latents = torch.randn(n, 4, size, size, generator=generator, dtype=dtype)
    timesteps = torch.tensor([900.0, 300.0])[:clips].repeat_interleave(frames)
    context = torch.randn(n, 7, 64, generator=generator, dtype=dtype)
    control_frames = torch.rand(n, 3, 8 * size, 8 * size, generator=generator, dtype=dtype)
    return latents, timesteps, context, control_frames


def flat(residuals):
    return [*residuals["output"], *residuals["middle"]]


def gradients(loss, network):
    names, parameters = zip(*network.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))


def built_in(network, num_frames):
    """ComfyUI's own ControlNet class and forward, with the same motion blocks as layers of its containers."""
    import comfy.cldm.cldm
    import comfy.ops

    class Slot(torch.nn.Module):
        def __init__(self, motion):
            super().__init__()
            self.motion = motion

        def forward(self, hidden):
            return self.motion(hidden, num_frames=num_frames)

    config = small_config().unet_config()
    config.pop("out_channels")
    stock = comfy.cldm.cldm.ControlNet(**config, hint_channels=3, operations=comfy.ops.disable_weight_init)
    stock.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("motion.")})
    motion = copy.deepcopy(network.motion)
    names = {}
    for slot, index in enumerate((1, 2, 4, 5, 7, 8, 10, 11)):
        block = stock.input_blocks[index]
        names[f"input_blocks.{index}.{len(block)}.motion."] = (
            f"motion.down_blocks.{slot // 2}.motion_modules.{slot % 2}."
        )
        block.append(Slot(motion.down(slot)))
    stock.middle_block.insert(2, Slot(motion.mid()))
    names |= {
        "middle_block.2.motion.": "motion.mid_block.motion_modules.0.",
        "middle_block.3.": "middle_block.2.",
    }
    return stock, names


def renamed(values, names):
    for old, new in names.items():
        values = {new + k.removeprefix(old) if k.startswith(old) else k: v for k, v in values.items()}
    return values


@pytest.mark.parametrize("checkpointing", [False, True])
def test_outputs_and_gradients_are_those_of_a_network_with_the_blocks_built_in(checkpointing):
    from dreamoving.dreamoving_core.models.video_controlnet import run_checkpointed, run_directly

    network = control_model(motion_config())
    stock, names = built_in(network, FRAMES)
    latents, timesteps, context, control_frames = batch()
    target = torch.randn(CLIPS * FRAMES, 128, 1, 1, generator=torch.Generator().manual_seed(1))

    features = network.encode_hint(control_frames)
    ours = flat(
        network(
            latents,
            timesteps,
            context,
            hint_features=features,
            num_frames=FRAMES,
            run_block=run_checkpointed if checkpointing else run_directly,
        )
    )
    theirs = flat(stock(latents, control_frames, timesteps, context))
    loss, wanted = (
        sum(x.square().mean() for x in tensors) + (tensors[-1] * target).mean() for tensors in (ours, theirs)
    )
    found, expected = gradients(loss, network), renamed(gradients(wanted, stock), names)

    assert all(distance(a, b) < 1e-6 for a, b in zip(ours, theirs, strict=True))
    assert found.keys() == expected.keys()
    worst = max(distance(found[key], expected[key]) for key in expected if expected[key].norm() > 1e-8)
    assert worst < 1e-6
    assert all(
        value.norm() > 0 for key, value in found.items() if key.startswith("motion.") and "to_k" not in key
    )


def test_one_hint_pass_serves_several_noise_levels_with_the_same_gradients():
    network, levels = control_model(motion_config()), 3
    latents, _, context, control_frames = batch()
    noisy = repeat(latents, "n c h w -> (k n) c h w", k=levels) * 1.5
    timesteps = torch.tensor([900.0, 500.0, 100.0]).repeat_interleave(CLIPS * FRAMES)
    context = repeat(context, "n t d -> (k n) t d", k=levels)

    once = flat(
        network(
            noisy, timesteps, context, hint_features=network.encode_hint(control_frames), num_frames=FRAMES
        )
    )
    again = network.encode_hint(repeat(control_frames, "n c h w -> (k n) c h w", k=levels))
    each = flat(network(noisy, timesteps, context, hint_features=again, num_frames=FRAMES))
    found, expected = (
        gradients(sum(x.square().mean() for x in tensors), network) for tensors in (once, each)
    )

    assert all(distance(a, b) < 1e-6 for a, b in zip(once, each, strict=True))
    assert max(distance(found[key], expected[key]) for key in expected if expected[key].norm() > 1e-6) < 1e-5


def test_a_small_network_passes_gradcheck_in_float64():
    config = {
        **small_config().unet_config(),
        "channel_mult": (1,),
        "num_res_blocks": [1],
        "transformer_depth": [1],
    }
    network = control_model(
        motion_config(down=((32,),), mid=32), unet_config=config, dtype=torch.float64
    ).double()
    latents, timesteps, context, _ = batch(clips=1, frames=2, size=2, dtype=torch.float64)
    features = torch.randn(2, 32, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    weight = network.motion.down(0).temporal_transformer.proj_in.weight

    def residuals(latents, features, context, weight):
        values = {"motion.down_blocks.0.motion_modules.0.temporal_transformer.proj_in.weight": weight}
        options = {"hint_features": features, "num_frames": 2}
        return tuple(
            flat(torch.func.functional_call(network, values, (latents, timesteps, context), options))
        )

    inputs = [x.detach().clone().requires_grad_() for x in (latents, features, context, weight)]

    assert torch.autograd.gradcheck(residuals, inputs, fast_mode=True)


def test_the_encoder_of_pictures_does_not_depend_on_the_chunk():
    network = control_model()
    control_frames = batch()[3]

    whole = network.encode_hint(control_frames, chunk=100)

    assert distance(network.encode_hint(control_frames, chunk=1), whole) < 1e-5
    assert distance(network.encode_hint(control_frames, chunk=4), whole) < 1e-5


def test_videos_of_a_batch_do_not_see_each_other_and_frames_do():
    network = control_model(motion_config())
    latents, timesteps, context, control_frames = batch()

    def residual(pictures):
        with torch.no_grad():
            features = network.encode_hint(pictures, chunk=1)
            out = network(latents, timesteps, context, hint_features=features, num_frames=FRAMES)["middle"][0]
        return rearrange(out, "(b f) c h w -> b f c h w", b=CLIPS)

    changed = control_frames.clone()
    changed[0] = 1 - changed[0]  # frame 0 of clip 0
    difference = (residual(changed) - residual(control_frames)).abs().amax(dim=(2, 3, 4))

    assert difference[0].min() > 1e-4
    assert difference[1].max() < 1e-5


def test_the_layout_of_dreamoving_tiny_gets_a_block_per_level():
    from dreamoving.dreamoving_core.tiny.config import TinyConfig

    network = control_model(
        motion_config(down=((64,), (64,), (128,)), mid=128), unet_config=TinyConfig().unet_config()
    )
    latents, timesteps, context, control_frames = batch(size=8)

    residuals = network(
        latents, timesteps, context, hint_features=network.encode_hint(control_frames), num_frames=FRAMES
    )

    assert network.slot_widths() == [64, 64, 128]
    assert len(residuals["output"]) == len(network.input_blocks) == 6
    assert all(torch.isfinite(x).all() for x in flat(residuals))


def diffusers_weights(model, ldm_keys):
    """A random diffusers ControlNet, and the same numbers under ComfyUI's names by ComfyUI's own maps."""
    import comfy.utils

    state_dict = {k: v for k, v in randomise(model.state_dict(), seed=4).items() if "pos_embed" not in k}
    model.load_state_dict(state_dict, strict=False)
    names = comfy.utils.unet_to_diffusers(small_config().unet_config())
    names |= {"controlnet_mid_block." + s: "middle_block_out.0." + s for s in ("weight", "bias")}
    for suffix in ("weight", "bias"):
        names |= {f"controlnet_down_blocks.{i}.{suffix}": f"zero_convs.{i}.0.{suffix}" for i in range(12)}
        names[f"controlnet_cond_embedding.conv_in.{suffix}"] = f"input_hint_block.0.{suffix}"
        names[f"controlnet_cond_embedding.conv_out.{suffix}"] = f"input_hint_block.14.{suffix}"
        names |= {
            f"controlnet_cond_embedding.blocks.{i}.{suffix}": f"input_hint_block.{2 * i + 2}.{suffix}"
            for i in range(6)
        }
    converted = {names[key]: value for key, value in state_dict.items() if key in names}
    assert {key for key in state_dict if key not in names} == {
        key for key in state_dict if "motion_modules" in key
    }
    assert converted.keys() == {key for key in ldm_keys if not key.startswith("motion.")}
    return state_dict, converted


SMALL_DIFFUSERS = {
    "block_out_channels": (32, 64, 128, 128),
    "cross_attention_dim": 64,
    "conditioning_channels": 3,
    "norm_num_groups": 32,
}


def test_without_motion_it_equals_diffusers_controlnet():
    diffusers = pytest.importorskip("diffusers")
    network = control_model()
    theirs = diffusers.ControlNetModel(**SMALL_DIFFUSERS, attention_head_dim=small_config().num_heads).eval()
    _, converted = diffusers_weights(theirs, network.state_dict())
    network.load_state_dict(converted)
    latents, timesteps, context, control_frames = batch()

    with torch.no_grad():
        skips, middle = theirs(latents, timesteps, context, control_frames, return_dict=False)
        features = network.encode_hint(control_frames)
        ours = network(latents, timesteps, context, hint_features=features, num_frames=FRAMES)

    assert max(distance(a, b) for a, b in zip(flat(ours), [*skips, middle], strict=True)) < 1e-5


def test_with_motion_it_equals_diffusers_sparse_controlnet():
    """Its motion blocks have one attention, normalise over the clip, and stand in the same eight slots; it has none in
    the middle and drops the noisy latents."""
    diffusers = pytest.importorskip("diffusers")
    from dreamoving.dreamoving_core.weights.keymaps import from_motion_adapter, split_motion_keys

    network = control_model(motion_config(mid=None, num_attentions=1, norm_mode="clip"))
    theirs = diffusers.SparseControlNetModel(
        **SMALL_DIFFUSERS,
        attention_head_dim=small_config().num_heads,  # heads, in spite of its name
        concat_conditioning_mask=False,
        use_simplified_condition_embedding=False,
    ).eval()
    state_dict, converted = diffusers_weights(theirs, network.state_dict())
    motion = from_motion_adapter(split_motion_keys(state_dict)[0])
    network.load_state_dict(converted | {f"motion.{key}": value for key, value in motion.items()})
    latents, _, context, control_frames = batch()
    timesteps = torch.tensor([900, 300])

    def ours():
        times = timesteps.float().repeat_interleave(FRAMES)
        features = network.encode_hint(control_frames)
        return flat(
            network(torch.zeros_like(latents), times, context, hint_features=features, num_frames=FRAMES)
        )

    with torch.no_grad():
        video = rearrange(torch.zeros_like(latents), "(b f) c h w -> b c f h w", b=CLIPS)
        pictures = rearrange(control_frames, "(b f) c h w -> b c f h w", b=CLIPS)
        skips, middle = theirs(video, timesteps, context, pictures, return_dict=False)
        moving = ours()
        network.load_state_dict(with_zero_motion(network.state_dict()))
        still = ours()

    assert max(distance(a, b) for a, b in zip(moving, [*skips, middle], strict=True)) < 1e-5
    assert distance(still[-1], middle) > 1e-2
