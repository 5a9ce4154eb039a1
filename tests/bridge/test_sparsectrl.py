"""SparseCtrl as a CONTROL_NET: pictures for a few frames, driven by ComfyUI's own nodes."""

import pytest
import torch
from dreamoving.dreamoving_core.bridge.sparse_frames import SparseFrames, parse_frames
from dreamoving.dreamoving_core.bridge.video_control import with_sparse_frames
from dreamoving.dreamoving_core.bridge.video_controlnet import (
    load_video_controlnet,
    video_controlnet_state_dict,
)
from dreamoving.dreamoving_core.errors import InputError, WeightsError
from dreamoving.dreamoving_core.weights.controlnet_keymap import from_diffusers_controlnet
from einops import rearrange
from small_control import FRAMES, SIZE, distance, fresh_model, pictures, plain, video_control
from small_host import randomise, sample_latents, small_config

SIZES = {"block_out_channels": (32, 64, 128, 128), "cross_attention_dim": 64, "attention_head_dim": 8}
LATENT_SCALE = 0.18215  # [SD15]


class HalfVae:
    """A VAE in closed form: a latent cell is the mean of its 8 x 8 pixels, in four channels."""

    def __init__(self, channels=4):
        self.channels, self.encoded = channels, []

    def encode(self, images):
        self.encoded.append(len(images))
        cells = torch.nn.functional.avg_pool2d(images.movedim(-1, 1), 8)
        return torch.cat([2 * cells - 1, cells[:, :1]], dim=1)[:, : self.channels]


def their_network(*, rgb):
    """diffusers' SparseCtrl with random weights, zero convolutions included."""
    diffusers = pytest.importorskip("diffusers")
    network = diffusers.SparseControlNetModel(
        **SIZES, conditioning_channels=4 if rgb else 3, use_simplified_condition_embedding=rgb
    ).eval()
    values = randomise(network.state_dict(), seed=6)
    values = {k: v * (2.5 if "cond_embedding" in k else 1) for k, v in values.items() if "pos_embed" not in k}
    network.load_state_dict(values, strict=False)
    return network


def sparse_control(*, rgb, network=None):
    """The same as a CONTROL_NET of ours; diffusers' norms average over the clip, which its tensors don't tell."""
    from dataclasses import replace

    from dreamoving.dreamoving_core.models.motion import config_from_state_dict

    network = network or their_network(rgb=rgb)
    tensors = {k: v.clone() for k, v in network.state_dict().items() if "pos_embed" not in k}
    renamed = from_diffusers_controlnet(tensors)
    motion = {k.removeprefix("motion."): v for k, v in renamed.items() if k.startswith("motion.")}
    config = replace(config_from_state_dict(motion), norm_mode="clip")
    return load_video_controlnet(renamed, unet_config=small_config().unet_config(), motion_config=config)


def placed(control, *numbers, spread=False):
    return with_sparse_frames(control, SparseFrames(numbers=numbers, spread=spread))


def prompts(control, images, *, vae=None, strength=1.0):
    """The two prompts after the stock Apply ControlNet node, with its VAE."""
    from small_host import conditioning

    import nodes

    node = nodes.ControlNetApplyAdvanced()
    return node.apply_controlnet(
        conditioning(), conditioning(seed=2), control, images, strength, 0.0, 1.0, vae=vae
    )


def run(control, images, *, vae=None, frames=FRAMES, model=None, **options):
    both = prompts(control, images, vae=vae)
    return sample_latents(
        model or fresh_model(), *both, **{"frames": frames, "size": SIZE, "steps": 1, **options}
    )


def residuals_of_one_call(control, images, *, vae=None, frames=FRAMES):
    """What a sampling step gets from the control, and what the step was: timesteps and context."""
    from comfy.patcher_extension import WrappersMP

    seen, model = [], fresh_model()

    def keep(executor, x, timesteps, context, y=None, control=None, *args, **kwargs):
        copied = {
            key: [None if t is None else t.clone() for t in control[key]] for key in ("output", "middle")
        }
        seen.append((copied, timesteps.clone(), context.clone()))
        return executor(x, timesteps, context, y, control, *args, **kwargs)

    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "test", keep)
    run(control, images, vae=vae, frames=frames, model=model, steps=1, cfg=1.0)
    (found,) = seen
    return found


@pytest.mark.parametrize("rgb", [True, False])
@pytest.mark.parametrize("places", [(0, -1), (2,)])
def test_its_residuals_are_those_of_diffusers_sparsectrl(rgb, places):
    network, vae = their_network(rgb=rgb), HalfVae()
    control = placed(sparse_control(rgb=rgb, network=network), *places)
    images = pictures(len(places))

    ours, timesteps, context = residuals_of_one_call(control, images, vae=vae)

    hint = rearrange(images, "f h w c -> f c h w")
    if rgb:
        hint = vae.encode(images) * LATENT_SCALE
    frames, mask = torch.zeros(FRAMES, *hint.shape[1:]), torch.zeros(FRAMES, 1, *hint.shape[2:])
    frames[list(places)], mask[list(places)] = hint, 1.0
    frames, mask = (rearrange(x, "f c h w -> 1 c f h w") for x in (frames, mask))
    with torch.no_grad():
        skips, middle = network(
            torch.randn(1, 4, FRAMES, SIZE, SIZE), timesteps[:1], context, frames, conditioning_mask=mask,
            return_dict=False,
        )  # fmt: skip
    pairs = zip([*ours["output"], *ours["middle"]], [*skips, middle], strict=True)
    assert max(distance(a, b) for a, b in pairs) < 1e-5


@pytest.mark.parametrize("rgb", [True, False])
def test_the_noisy_latents_do_not_reach_it(rgb):
    network = sparse_control(rgb=rgb).control_model
    channels, size = (5, SIZE) if rgb else (4, 8 * SIZE)
    features = network.encode_hint(torch.rand(FRAMES, channels, size, size))
    times, context = torch.full((FRAMES,), 500.0), torch.randn(FRAMES, 7, 64)

    with torch.no_grad():
        one, other = (
            network(
                torch.randn(FRAMES, 4, SIZE, SIZE), times, context, hint_features=features, num_frames=FRAMES
            )
            for _ in range(2)
        )

    assert torch.equal(one["middle"][0], other["middle"][0])


def test_a_picture_reaches_every_frame_and_its_place_matters():
    control, free = sparse_control(rgb=False), plain(steps=1)

    first, last = (run(placed(control, place), pictures(1)) for place in (0, -1))

    assert min(distance(first[f], free[f]) for f in range(FRAMES)) > 1e-3
    assert distance(first, last) > 1e-2


def test_strength_zero_is_no_control_bit_for_bit():
    both = prompts(sparse_control(rgb=False), pictures(1))
    both[0][0][1]["control"].strength = 0.0  # the stock node itself leaves out strength 0

    assert torch.equal(plain(None, *both, steps=1), plain(steps=1))


def test_without_the_node_picture_i_is_for_frame_i():
    control = sparse_control(rgb=False)

    assert torch.equal(run(control, pictures(2)), run(placed(control, 0, 1), pictures(2)))


def test_each_picture_goes_through_vae_and_encoder_once_in_a_run_and_again_in_the_next():
    control, vae, seen = placed(sparse_control(rgb=True), 0, -1), HalfVae(), []
    control.control_model.input_hint_block.register_forward_hook(
        lambda _m, args, _out: seen.append(len(args[0]))
    )

    run(control, pictures(2), vae=vae, steps=3)
    run(control, pictures(2), vae=vae, steps=1)

    assert vae.encoded == [2, 2]
    assert sum(seen) == 2 * (2 + 1)  # both pictures, and no picture


def windowed(model, *, length, overlap, anchor):
    from comfy_extras.nodes_context_windows import ContextWindowsManualNode

    return ContextWindowsManualNode.execute(
        model, length, overlap, "standard_static", 1, False, "pyramid", 0, False, causal_window_fix=anchor
    )[0]


@pytest.mark.parametrize("anchor", [True, False])
def test_every_context_window_gets_the_pictures_and_the_mask_of_its_own_frames(anchor):
    """Each window's features are those of its frames in the whole clip: a picture's on its frame, no picture's elsewhere."""
    control, given = placed(sparse_control(rgb=False), 1, 6), []
    images, network = pictures(2), control.control_model
    with torch.no_grad():
        hint = torch.cat([images.movedim(-1, 1), torch.ones(2, 1, 8 * SIZE, 8 * SIZE)], dim=1)
        whole = network.encode_hint(torch.zeros(10, 4, 8 * SIZE, 8 * SIZE))
        whole[[1, 6]] = network.encode_hint(hint)
    hook = network.register_forward_pre_hook(
        lambda _m, _args, kwargs: given.append(kwargs["hint_features"].clone()), with_kwargs=True
    )

    model = windowed(fresh_model(), length=4, overlap=1, anchor=anchor)
    run(control, images, model=model, frames=10, steps=1, cfg=1.0)
    hook.remove()

    windows = [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    if anchor:
        windows = [windows[0], [2, *windows[1]], [5, *windows[2]]]
    assert [len(features) for features in given] == [len(window) for window in windows]
    assert all(distance(g, whole[w]) < 1e-5 for g, w in zip(given, windows, strict=True))


def test_our_windows_do_not_ask_for_a_picture_per_frame():
    from dreamoving.dreamoving_core.bridge.windows import WindowSettings, with_windows

    model = with_windows(fresh_model(), WindowSettings(context_length=4, context_overlap=1))

    out = run(placed(sparse_control(rgb=False), 0, -1), pictures(2), model=model, frames=8, steps=1)

    assert torch.isfinite(out).all()
    with pytest.raises(InputError, match="names frame 9, but the video has 8 frames"):
        run(placed(sparse_control(rgb=False), 9), pictures(1), model=model, frames=8, steps=1)


def test_our_format_keeps_it_as_it_is():
    for rgb in (True, False):
        control = placed(sparse_control(rgb=rgb), 0, -1)
        state_dict, metadata = video_controlnet_state_dict(control)

        again = placed(load_video_controlnet(state_dict, metadata), 0, -1)

        same = (run(c, pictures(2), vae=HalfVae(), steps=1) for c in (control, again))
        assert torch.equal(*same)


def test_a_copy_keeps_the_frames_and_the_original_does_not_change():
    control = sparse_control(rgb=True)

    twin = placed(control, 3).copy()

    assert twin.settings.sparse_frames == SparseFrames(numbers=(3,))
    assert control.settings.sparse_frames == SparseFrames()
    assert twin.latent_format is control.latent_format is not None


# ---- where pictures stand


@pytest.mark.parametrize(
    ("frames", "pictures", "expected"),
    [
        (SparseFrames(), 3, [0, 1, 2]),
        (SparseFrames(spread=True), 1, [0]),
        (SparseFrames(spread=True), 2, [0, 15]),
        (SparseFrames(spread=True), 4, [0, 5, 10, 15]),
        (SparseFrames(spread=True), 16, list(range(16))),
        (SparseFrames(numbers=(4, -1, 0)), 3, [4, 15, 0]),
    ],
)
def test_pictures_stand_where_they_are_put(frames, pictures, expected):
    assert frames.places(pictures, 16) == expected


@pytest.mark.parametrize(
    ("frames", "pictures", "message"),
    [
        (SparseFrames(), 17, "got 17 pictures for a video of 16 frames. Give at most 16"),
        (SparseFrames(numbers=(0, 8)), 3, r"names 2 frames \(0, 8\), but Apply ControlNet got 3 pictures"),
        (
            SparseFrames(numbers=(16,)),
            1,
            "names frame 16, but the video has 16 frames: 0 to 15, or -1 to -16",
        ),
        (SparseFrames(numbers=(-17,)), 1, "names frame -17, but the video has 16 frames"),
        (SparseFrames(numbers=(15, -1)), 2, r"puts 2 pictures on frame 15 \(15, -1; .*Name each frame once"),
    ],
)
def test_places_that_do_not_fit_are_refused_with_the_numbers(frames, pictures, message):
    with pytest.raises(InputError, match=message):
        frames.places(pictures, 16)


def test_frames_are_read_from_text():
    assert parse_frames(" 0, 16,-1 ") == (0, 16, -1)
    assert parse_frames("0 4;+8") == (0, 4, 8)


@pytest.mark.parametrize("text", ["", "first", "0, 1.5", "0-8", "1" * 30])
def test_text_that_is_no_list_of_frames_is_refused(text):
    with pytest.raises(InputError, match="frames must be whole numbers with commas between them"):
        parse_frames(text)


# ---- refused


def test_more_pictures_than_frames_are_refused_in_the_run():
    with pytest.raises(InputError, match="got 4 pictures for a video of 3 frames"):
        run(sparse_control(rgb=False), pictures(4), frames=3)


def test_a_missing_vae_is_named():
    with pytest.raises(
        InputError, match=r"reads pictures through a VAE.*Connect the checkpoint's VAE to Apply ControlNet"
    ):
        run(sparse_control(rgb=True), pictures(1))


def test_a_vae_of_another_family_is_named():
    with pytest.raises(
        InputError, match=r"latents of shape \[1, 3, 4, 4\], this SparseCtrl reads \[1, 4, 4, 4\]"
    ):
        run(sparse_control(rgb=True), pictures(1), vae=HalfVae(channels=3))


def test_an_ordinary_controlnet_has_no_sparse_frames():
    with pytest.raises(
        InputError, match="is for SparseCtrl; this ControlNet wants a picture for every frame"
    ):
        placed(video_control(), 0)


def test_a_stem_of_another_kind_is_refused():
    from small_control import weights

    with pytest.raises(
        WeightsError,
        match="'x' reads control pictures of 6 channels through 8 convolutions; expected are 3 or 4",
    ):
        video_control(weights() | {"input_hint_block.0.weight": torch.zeros(16, 6, 3, 3)}, name="x")
