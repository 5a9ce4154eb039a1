"""What motion blocks are: attention over frames at each position. Reference: AnimateDiff's architecture, in plain torch."""

import math

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError, WeightsError
from dreamoving.dreamoving_core.models.motion import MotionModel, MotionModule, config_from_state_dict
from dreamoving.dreamoving_core.models.temporal import MotionConfig, Positions, sinusoid

SMALL = MotionConfig(down=((32, 32), (64,)), mid=64, up=((64,), (32, 32)))


def motion_module(*, channels=32, trained=True, seed=0, **settings):
    torch.manual_seed(seed)
    module = MotionModule(channels, MotionConfig(**settings))
    if trained:
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return module.eval()


def video(*, frames=4, channels=32, size=3, videos=1, seed=1):
    return torch.randn(videos * frames, channels, size, size, generator=torch.Generator().manual_seed(seed))


def largest_difference(a, b):
    return ((a - b).abs().max() / b.abs().max()).item()


# ---- invariants


@pytest.mark.parametrize("norm_mode", ["frame", "clip"])
def test_a_new_module_changes_nothing_bit_for_bit(norm_mode):
    frames = video()

    assert torch.equal(motion_module(trained=False, norm_mode=norm_mode)(frames, num_frames=4), frames)


@torch.no_grad()
def test_effect_zero_leaves_a_trained_module_out_bit_for_bit():
    frames = video()

    assert torch.equal(motion_module()(frames, num_frames=4, effect=0.0), frames)
    assert not torch.equal(motion_module()(frames, num_frames=4), frames)


@torch.no_grad()
def test_a_changed_pixel_reaches_its_own_position_in_every_frame_and_no_other():
    module = motion_module()
    module.temporal_transformer.norm = (
        torch.nn.Identity()
    )  # group norm mixes positions by design; attention must not
    before = video()
    after = before.clone()
    after[1, :, 2, 0] += 1.0

    changed = (module(after, num_frames=4) - module(before, num_frames=4)).abs().amax(dim=1) > 1e-6

    expected = torch.zeros(4, 3, 3, dtype=torch.bool)
    expected[:, 2, 0] = True
    assert torch.equal(changed, expected)


@pytest.mark.parametrize("norm_mode", ["frame", "clip"])
@torch.no_grad()
def test_videos_in_a_batch_do_not_see_each_other(norm_mode):
    module = motion_module(norm_mode=norm_mode)
    first, second = video(seed=1), video(seed=2)

    together = module(torch.cat([first, second]), num_frames=4)

    alone = torch.cat([module(first, num_frames=4), module(second, num_frames=4)])
    assert largest_difference(together, alone) <= 1e-6


@torch.no_grad()
def test_the_order_of_frames_matters():
    module, frames, order = motion_module(), video(), torch.tensor([2, 0, 3, 1])

    shuffled = module(frames[order], num_frames=4)

    assert largest_difference(shuffled, module(frames, num_frames=4)[order]) > 1e-2


@torch.no_grad()
def test_the_order_of_positions_does_not_matter():
    module, frames = motion_module(), video()

    flipped = module(frames.flip(-1), num_frames=4)

    assert largest_difference(flipped, module(frames, num_frames=4).flip(-1)) <= 1e-6


@pytest.mark.parametrize("norm_mode", ["frame", "clip"])
@pytest.mark.parametrize("grad", [False, True])
def test_the_chunk_size_does_not_change_the_result(norm_mode, grad):
    module, frames = motion_module(norm_mode=norm_mode), video(frames=6, size=8, videos=2)
    with torch.set_grad_enabled(grad):
        whole = module(frames, num_frames=6)
        module.temporal_transformer.chunk_bytes = 5 * 16 * 6 * 32 * 4  # five of 128 positions at a time

        chunked = module(frames, num_frames=6)

    assert module.temporal_transformer.sequences_per_chunk(6, frames.new_zeros(1, 6, 32)) == 5
    assert largest_difference(chunked, whole) <= 1e-5


def test_a_cpu_works_in_chunks_that_its_allocator_hands_out_again():
    transformer, sequence = motion_module().temporal_transformer, 16 * 16 * 320 * 4

    assert transformer.sequences_per_chunk(16, torch.zeros(1, 16, 320)) == 2**24 // sequence
    assert transformer.sequences_per_chunk(16, torch.zeros(1, 16, 320, device="meta")) == 2**28 // sequence


def test_no_chunk_is_larger_than_attention_kernels_take():
    transformer = motion_module().temporal_transformer

    assert transformer.sequences_per_chunk(1, torch.zeros(1, 1, 32)) <= 2**15


@torch.no_grad()
def test_a_single_frame_works():
    assert motion_module()(video(frames=1), num_frames=1).isfinite().all()


@torch.no_grad()
def test_the_input_is_never_written_to():
    frames = video(frames=1, size=2)  # the layout in which no copy is needed
    before = frames.clone()

    motion_module(norm_mode="clip")(frames, num_frames=1)

    assert torch.equal(frames, before)


@torch.no_grad()
def test_the_group_norm_spans_one_frame_or_the_whole_clip():
    frames = video()
    louder = frames.clone()
    louder[3] *= 10

    def first_frame_moves(norm_mode):
        transformer = motion_module(norm_mode=norm_mode).temporal_transformer
        tokens = [transformer.normalise(x, 4)[:, 0] for x in (frames, louder)]
        return largest_difference(*tokens) > 1e-3

    assert not first_frame_moves("frame")
    assert first_frame_moves("clip")


@torch.no_grad()
def test_effect_blends_and_may_differ_from_frame_to_frame():
    module, frames = motion_module(), video(videos=2)
    full = module(frames, num_frames=4)

    half = module(frames, num_frames=4, effect=0.5)
    each = module(frames, num_frames=4, effect=torch.tensor([0.0, 1.0, 0.5, 0.0]))

    assert largest_difference(half, (frames + full) / 2) <= 1e-6
    wanted = torch.lerp(frames, full, torch.tensor([0.0, 1.0, 0.5, 0.0] * 2)[:, None, None, None])
    assert largest_difference(each, wanted) <= 1e-6


@torch.no_grad()
def test_scale_multiplies_the_keys_of_each_frame():
    module, frames = motion_module(), video()
    louder = motion_module()
    for attention in louder.temporal_transformer.transformer_blocks[0].attention_blocks:
        attention.to_k.weight *= 1.3

    scaled = module(frames, num_frames=4, scale=1.3)
    each = module(frames, num_frames=4, scale=torch.full((4,), 1.3))
    uneven = module(frames, num_frames=4, scale=torch.tensor([1.3, 1.3, 1.3, 0.5]))

    wanted = louder(frames, num_frames=4)
    assert largest_difference(scaled, wanted) <= 1e-6
    assert largest_difference(each, wanted) <= 1e-6
    assert largest_difference(uneven, wanted) > 1e-3


# ---- positions


def test_position_rows_follow_the_formula():
    rows = sinusoid(70, 8)[0]

    for position in (0, 1, 31, 69):
        for pair in range(4):
            angle = position * 10000 ** (-2 * pair / 8)
            assert rows[position, 2 * pair].item() == pytest.approx(math.sin(angle), abs=1e-5)
            assert rows[position, 2 * pair + 1].item() == pytest.approx(math.cos(angle), abs=1e-5)


@torch.no_grad()
def test_clips_longer_than_the_table_continue_the_formula():
    frames = video(frames=40)

    short, long = motion_module(positions=8), motion_module(positions=128)

    assert torch.equal(short(frames, num_frames=40), long(frames, num_frames=40))


def with_positions(state_dict, rows):
    table = {}
    for key, value in state_dict.items():
        table[key] = value
        if key.endswith("to_q.weight"):
            table[key.replace("to_q.weight", "pos_encoder.pe")] = rows(value.shape[0])
    return table


def test_stored_rows_of_the_formula_are_not_kept():
    model = MotionModel(SMALL)
    keys = set(model.state_dict())

    model.load_state_dict(with_positions(model.state_dict(), lambda c: sinusoid(24, c).half()))

    assert model.max_frames() is None
    assert set(model.state_dict()) == keys


@torch.no_grad()
def test_stored_rows_that_differ_are_used_and_saved():
    model = MotionModel(SMALL)
    stored = with_positions(model.state_dict(), lambda c: sinusoid(24, c) * 0.5)
    model.load_state_dict(stored)
    attention = model.down(0).temporal_transformer.transformer_blocks[0].attention_blocks[0]

    assert model.max_frames() == 24
    assert torch.equal(attention.pos_encoder(5, like=torch.zeros(1)), sinusoid(24, 32)[:, :5] * 0.5)
    assert set(model.state_dict()) == set(stored)


def test_more_frames_than_stored_rows_is_refused_with_both_numbers():
    model = MotionModel(SMALL)
    model.load_state_dict(with_positions(model.state_dict(), lambda c: sinusoid(24, c) * 0.5))

    with pytest.raises(InputError, match=r"up to 24 frames at once, got 25.*context windows"):
        model.down(0)(video(frames=25), num_frames=25)


def test_stored_rows_of_another_width_are_refused():
    model = MotionModel(SMALL)

    with pytest.raises(
        WeightsError, match=r"positions are 16 wide where its weights are 32 \(down_blocks.*download it again"
    ):
        model.load_state_dict(with_positions(model.state_dict(), lambda c: sinusoid(24, c // 2)))


# ---- parity


@torch.no_grad()
@pytest.mark.parametrize("num_attentions", [1, 2])
def test_one_module_equals_animatediffs_in_plain_torch(num_attentions):
    module = motion_module(num_attentions=num_attentions)
    w = {k.removeprefix("temporal_transformer."): v for k, v in module.state_dict().items()}
    frames = video(frames=5, videos=2)

    def layer_norm(x, name):
        centred = x - x.mean(-1, keepdim=True)
        return (
            centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * w[name + ".weight"]
            + w[name + ".bias"]
        )

    def sequence(x):  # f c, one position
        x = x @ w["proj_in.weight"].T + w["proj_in.bias"]
        for n in range(num_attentions):
            block = "transformer_blocks.0."
            y = layer_norm(x, f"{block}norms.{n}") + sinusoid(5, 32)[0]
            q, k, v = (y @ w[f"{block}attention_blocks.{n}.to_{name}.weight"].T for name in "qkv")
            heads = []
            for head in range(8):
                part = slice(4 * head, 4 * head + 4)
                heads.append((q[:, part] @ k[:, part].T / math.sqrt(4)).softmax(-1) @ v[:, part])
            out = f"{block}attention_blocks.{n}.to_out.0."
            x = x + torch.cat(heads, -1) @ w[out + "weight"].T + w[out + "bias"]
        y = layer_norm(x, "transformer_blocks.0.ff_norm")
        value, gate = (
            y @ w["transformer_blocks.0.ff.net.0.proj.weight"].T
            + w["transformer_blocks.0.ff.net.0.proj.bias"]
        ).chunk(2, -1)
        y = value * gate * 0.5 * (1 + torch.erf(gate / math.sqrt(2)))
        x = x + y @ w["transformer_blocks.0.ff.net.2.weight"].T + w["transformer_blocks.0.ff.net.2.bias"]
        return x @ w["proj_out.weight"].T + w["proj_out.bias"]

    expected = frames.clone()
    for start in (0, 5):
        clip = frames[start : start + 5]
        normed = (clip - clip.mean((-1, -2), keepdim=True)) / (
            clip.var((-1, -2), correction=0, keepdim=True) + 1e-6
        ).sqrt()
        normed = (
            normed * w["norm.weight"][:, None, None] + w["norm.bias"][:, None, None]
        )  # 32 groups of one channel
        for row in range(3):
            for column in range(3):
                expected[start : start + 5, :, row, column] += sequence(normed[:, :, row, column])

    assert largest_difference(module(frames, num_frames=5), expected) <= 1e-5


@torch.no_grad()
def test_one_module_normalised_over_the_clip_equals_the_one_of_diffusers():
    transformers = pytest.importorskip("diffusers.models.unets.unet_motion_model")
    module = motion_module(channels=64, norm_mode="clip")
    oracle = transformers.AnimateDiffTransformer3D(
        num_attention_heads=8, attention_head_dim=8, in_channels=64, cross_attention_dim=None, attention_bias=False,
        activation_fn="geglu", positional_embeddings="sinusoidal", num_positional_embeddings=32, double_self_attention=True,
    )  # fmt: skip
    names = {"temporal_transformer.": "", "attention_blocks.0": "attn1", "attention_blocks.1": "attn2"}
    names |= {"norms.0": "norm1", "norms.1": "norm2", "ff_norm": "norm3"}
    weights = {}
    for key, value in module.state_dict().items():
        for ours, theirs in names.items():
            key = key.replace(ours, theirs)
        weights[key] = value
    missing, unexpected = oracle.load_state_dict(weights, strict=False)
    assert not unexpected
    assert all(key.endswith("pos_embed.pe") for key in missing)
    frames = video(frames=6, channels=64, videos=2) * torch.linspace(0.2, 3, 12)[:, None, None, None]

    expected = oracle(frames, num_frames=6)

    assert largest_difference(module(frames, num_frames=6), expected) <= 1e-5
    assert largest_difference(motion_module(channels=64)(frames, num_frames=6), expected) > 1e-2


# ---- gradients


@pytest.mark.parametrize("norm_mode", ["frame", "clip"])
def test_one_module_passes_gradcheck(norm_mode):
    module = motion_module(norm_mode=norm_mode).double()
    module.temporal_transformer.chunk_bytes = 16 * 2 * 32 * 8  # one position at a time
    frames = video(frames=2, size=2).double()[:, :, :1].requires_grad_()  # 2 x 32 x 1 x 2
    some = [p for name, p in module.named_parameters() if "norm" in name or "proj_out.bias" in name]

    def run(frames, *parameters):
        return module(frames, num_frames=2).tanh()[:, ::7]

    assert torch.autograd.gradcheck(run, (frames, *some), fast_mode=False, atol=1e-7)


def test_checkpointing_changes_no_gradient():
    gradients = []
    for checkpointing in (False, True):
        module = motion_module()
        module.temporal_transformer.checkpointing = checkpointing
        module(video(), num_frames=4).square().sum().backward()
        gradients.append([p.grad for p in module.parameters()])

    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_a_module_made_and_run_in_inference_mode_leaves_nothing_behind_that_training_cannot_use():
    with torch.inference_mode():
        made = motion_module().state_dict()
        table = motion_module(trained=False)
    module = motion_module()
    with torch.inference_mode():
        module(video(), num_frames=4)

    module(video(), num_frames=4).sum().backward()

    tables = [b for b in table.buffers() if b.ndim == 3]
    assert made
    assert len(tables) == 2
    assert not any(b.is_inference() for b in tables)
    assert not any(b.is_inference() for b in module.buffers())


# ---- files


def test_keys_and_their_number_are_those_of_animatediff_files():
    v2 = MotionModel(MotionConfig(down=((32,) * 2,) * 4, mid=32, up=((32,) * 3,) * 4)).state_dict()
    v3 = MotionModel(MotionConfig(down=((32,) * 2,) * 4, up=((32,) * 3,) * 4)).state_dict()
    sparse = MotionModel(MotionConfig(down=((32,) * 2,) * 4, up=(), num_attentions=1)).state_dict()

    assert (len(v2), len(v3), len(sparse)) == (546, 520, 152)
    assert (
        "mid_block.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.1.to_out.0.bias"
        in v2
    )
    assert "up_blocks.3.motion_modules.2.temporal_transformer.transformer_blocks.0.ff.net.0.proj.weight" in v3


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        MotionConfig(down=((32, 32), (64,)), up=((64,), (32, 32))),
        MotionConfig(down=((32,),), mid=64, up=(), num_attentions=1),
    ],
)
def test_the_layout_is_read_back_from_the_keys(config):
    assert config_from_state_dict(MotionModel(config).state_dict()) == config


def test_stored_rows_widen_the_table():
    stored = with_positions(MotionModel(SMALL).state_dict(), lambda c: sinusoid(200, c))

    assert config_from_state_dict(stored).positions == 200


def test_a_file_without_motion_is_named():
    with pytest.raises(WeightsError, match=r"down_blocks\.0\.motion_modules.*found 1 keys.*AnimateDiff"):
        config_from_state_dict({"input_blocks.0.0.weight": torch.zeros(1)})


def test_slots_are_numbered_in_running_order():
    model = MotionModel(SMALL)

    assert [model.down(i).channels for i in range(3)] == [32, 32, 64]
    assert [model.up(i).channels for i in range(3)] == [64, 32, 32]
    assert model.mid().channels == 64
    assert MotionModel(MotionConfig(down=((32,),), up=())).mid() is None


# ---- clips longer than the positions


def test_a_squeezed_clip_has_the_formulas_values_at_equal_steps_up_to_the_last_position():
    positions = Positions(8, 128)

    rows = positions(9, like=torch.zeros(1), span=5)

    whole = sinusoid(5, 8)
    assert torch.allclose(rows[:, ::2], whole, atol=1e-6)
    angle = 0.5 / 10000 ** (torch.arange(4) / 4)
    assert torch.allclose(rows[0, 1, 0::2], angle.sin(), atol=1e-6)
    assert torch.allclose(rows[0, 1, 1::2], angle.cos(), atol=1e-6)
    assert torch.equal(positions(5, like=torch.zeros(1), span=5), whole)


def test_stored_rows_are_interpolated_between_neighbours():
    positions = Positions(4, 128)
    stored = torch.arange(12.0).reshape(1, 3, 4)
    positions.load_state_dict({"pe": stored}, strict=False)

    rows = positions(5, like=torch.zeros(1), span=32)

    assert torch.equal(rows, torch.stack([stored[0, 0] + 2 * i for i in range(5)])[None])
