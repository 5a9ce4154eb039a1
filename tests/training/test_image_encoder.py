"""Seeing the same person in another drawing style: what the loss measures, and what it moves."""

import pytest
import torch
from dreamoving.dreamoving_core.bridge.content_guider import numbered_widths
from dreamoving.dreamoving_core.bridge.trainable import new_base, new_content_guider, new_image_encoder
from dreamoving.dreamoving_core.tiny.config import TinyConfig
from dreamoving.dreamoving_core.training.dances import SHOTS
from dreamoving.dreamoving_core.training.image_encoder import StyleLoss
from dreamoving.dreamoving_core.training.rendering import danced, picture_pool, reference_pictures


@pytest.fixture(scope="module")
def pairs():
    """Face and clothes of six dancers in both styles."""
    firsts, seeds = [clip[0] for clip in danced(6, 1)], list(range(6))
    first, second = (reference_pictures(firsts, seeds, style=style) for style in (0, 1))
    return {branch: (first[branch][0], second[branch][0]) for branch in ("face", "cloth")}


@pytest.fixture
def loss():
    torch.manual_seed(0)
    config = TinyConfig()
    guider = new_content_guider(config, sites=numbered_widths(new_base(config).diffusion_model))
    return StyleLoss(new_image_encoder(config), guider)


def test_the_same_people_are_drawn_in_another_style(pairs):
    for first, second in pairs.values():
        assert first.shape == second.shape == (6, 3, 64, 64)
        own = (first.float() - second.float()).abs().mean(dim=(1, 2, 3))
        others = (first.float() - second.roll(1, 0).float()).abs().mean(dim=(1, 2, 3))
        assert own.gt(2).all()  # of 255: another drawing
        assert own.mean() < others.mean()  # of the same person


def test_pictures_of_the_first_style_cost_nothing_before_anything_is_learned(loss, pairs):
    _, figures = loss(pairs)

    for branch in ("face", "cloth"):
        assert figures[f"{branch}_known"] < 1e-9
        assert figures[f"{branch}_other"] > 1e-3


def test_a_few_steps_bring_the_other_style_nearer_by_the_image_encoder_alone(loss, pairs):
    learners = {name: p for name, p in loss.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(learners.values(), lr=3e-5)
    found = []
    for _ in range(15):
        total, figures = loss(pairs)
        found.append(float(figures["face_other"] + figures["cloth_other"]))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    assert all(name.startswith("vision.") for name in learners)
    assert found[-1] < 0.8 * found[0]


def test_a_pool_is_drawn_in_its_styles_in_turn():
    count = 2 * len(SHOTS)

    plain, mixed, other = (
        picture_pool(count=count, first_seed=0, styles=styles)[0] for styles in ((0,), (0, 1), (1,))
    )

    assert torch.equal(mixed[: len(SHOTS)], plain[: len(SHOTS)])
    assert torch.equal(mixed[len(SHOTS) :], other[len(SHOTS) :])
    assert not torch.equal(plain, other)
