"""The Video ControlNet's forward over a network of plain torch layers: it needs nothing of ComfyUI."""

import pytest
import torch
from torch import nn


class Residual(nn.Module):
    """Looks like LDM's ResBlock: `in_layers`, `out_layers`, `updown`."""

    def __init__(self, width, *, updown=False):
        super().__init__()
        self.in_layers, self.out_layers = nn.Conv2d(width, width, 3, padding=1), nn.Identity()
        self.emb_layers, self.updown = nn.Linear(8, width), updown

    def forward(self, hidden, embedding, context):
        return hidden + self.in_layers(hidden) + self.emb_layers(embedding)[:, :, None, None]


class Attention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.to_context = nn.Linear(5, width)

    def forward(self, hidden, embedding, context):
        return hidden * (1 + self.to_context(context).mean(dim=1)[:, :, None, None])


class Plain(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, hidden, embedding, context):
        return self.layer(hidden)


class Block(nn.Sequential):
    def forward(self, hidden, embedding, context):
        for layer in self:
            hidden = layer(hidden, embedding, context)
        return hidden


class Network(nn.Module):
    """Convolution, ResBlock and attention, downsampling, ResBlock alone, middle."""

    def __init__(self, width=32):
        super().__init__()
        self.input_blocks = nn.ModuleList(
            [
                Block(Plain(nn.Conv2d(4, width, 3, padding=1))),
                Block(Residual(width), Attention(width)),
                Block(Plain(nn.Conv2d(width, width, 3, stride=2, padding=1))),
                Block(Residual(width)),
            ]
        )
        self.zero_convs = nn.ModuleList([Block(Plain(nn.Conv2d(width, width, 1))) for _ in range(4)])
        self.middle_block = Block(Residual(width), Attention(width), Residual(width))
        self.middle_block_out = Block(Plain(nn.Conv2d(width, width, 1)))
        self.input_hint_block = Block(Plain(nn.Conv2d(3, width, 8, stride=8)))


def forward():
    from dreamoving.dreamoving_core.models import video_controlnet

    return video_controlnet


def motion(*, mid=32):
    from dreamoving.dreamoving_core.models.motion import MotionConfig, MotionModel

    model = MotionModel(MotionConfig(down=((32,), (32,)), mid=mid, up=()))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model


def residuals(network, *, motion=None, frames=3, clips=2, **changes):
    torch.manual_seed(1)
    n = clips * frames
    inputs = {
        "latents": torch.randn(n, 4, 4, 4),
        "time_embedding": torch.randn(n, 8),
        "context": torch.randn(n, 2, 5),
        "hint_features": torch.randn(frames, 32, 4, 4),
    }
    inputs |= changes
    return forward().control_residuals(
        network, inputs.pop("latents"), motion=motion, num_frames=frames, **inputs
    )


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Network()


def test_motion_goes_after_residual_blocks_and_not_after_resamplers(network):
    blocks = [*network.input_blocks, Block(Residual(32, updown=True))]

    assert forward().motion_slots(blocks) == [1, 3]


def test_the_blocks_run_in_animatediffs_order(network):
    order, model = [], motion()
    names = {
        network.input_blocks[1][1]: "attention 1",
        model.down(0): "motion 1",
        network.zero_convs[1]: "zero 1",
        network.input_blocks[3][0]: "residual 3",
        model.down(1): "motion 3",
        network.zero_convs[3]: "zero 3",
        network.middle_block[1]: "attention mid",
        model.mid(): "motion mid",
        network.middle_block[2]: "last residual",
        network.middle_block_out: "zero mid",
    }
    for module, name in names.items():
        module.register_forward_hook(lambda *_, name=name: order.append(name))

    residuals(network, motion=model)

    assert order == list(names.values())


def test_there_is_one_residual_for_each_skip_and_one_for_the_middle(network):
    out = residuals(network, motion=motion())

    assert [tuple(x.shape) for x in out["output"]] == [
        (6, 32, 4, 4),
        (6, 32, 4, 4),
        (6, 32, 2, 2),
        (6, 32, 2, 2),
    ]
    assert [tuple(x.shape) for x in out["middle"]] == [(6, 32, 2, 2)]


def test_a_middle_of_one_residual_block_gets_its_motion_at_the_end(network):
    before, after = forward().split_middle(Block(Residual(32)))

    assert len(before) == 1
    assert len(after) == 0


def test_the_hint_joins_after_the_first_block_alone(network):
    hint = torch.randn(3, 32, 4, 4)

    without, with_hint = (
        residuals(network, hint_features=h)["output"][0] for h in (torch.zeros(1, 32, 4, 4), hint)
    )

    expected = (
        without
        + network.zero_convs[0][0].layer(hint).repeat(2, 1, 1, 1)
        - network.zero_convs[0][0].layer.bias[:, None, None]
    )
    assert torch.allclose(with_hint, expected, atol=1e-5)


@pytest.mark.parametrize("count", [1, 3, 6])
def test_features_of_one_frame_of_one_clip_and_of_all_clips_are_added_alike(network, count):
    one = torch.randn(1, 32, 4, 4)

    found = residuals(network, hint_features=one.expand(count, -1, -1, -1))["middle"][0]

    assert torch.equal(found, residuals(network, hint_features=one)["middle"][0])


def test_without_a_middle_motion_block_the_middle_is_the_image_networks(network):
    still, model = residuals(network), motion(mid=None)
    nn.init.zeros_(model.down(0).temporal_transformer.proj_out.weight)
    nn.init.zeros_(model.down(0).temporal_transformer.proj_out.bias)
    nn.init.zeros_(model.down(1).temporal_transformer.proj_out.weight)
    nn.init.zeros_(model.down(1).temporal_transformer.proj_out.bias)

    moved = residuals(network, motion=model)

    assert torch.equal(moved["middle"][0], still["middle"][0])
    assert all(torch.equal(a, b) for a, b in zip(moved["output"], still["output"], strict=True))


def test_checkpointing_keeps_less_and_gives_the_same_gradients(network):
    model = motion()

    def gradients(run_block):
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
            out = residuals(network, motion=model, run_block=run_block)
        loss = sum(x.square().sum() for x in [*out["output"], *out["middle"]])
        parameters = [p for p in [*network.parameters(), *model.parameters()] if p.requires_grad]
        return sum(kept), torch.autograd.grad(loss, parameters, allow_unused=True)

    all_kept, plain = gradients(forward().run_directly)
    few_kept, checkpointed = gradients(forward().run_checkpointed)

    assert few_kept < all_kept / 4
    for found, expected in zip(checkpointed, plain, strict=True):
        assert (found is None) == (expected is None)
        assert found is None or torch.equal(found, expected)


def test_control_pictures_are_encoded_frame_by_frame(network):
    frames = torch.rand(5, 3, 16, 16)

    features = forward().encode_control_frames(network.input_hint_block, frames, chunk=2)

    assert features.shape == (5, 32, 2, 2)
    assert torch.allclose(features, network.input_hint_block(frames, None, None), atol=1e-6)
