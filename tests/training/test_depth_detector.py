"""The trainer of Tiny's depth detector: what it draws, what it learns from, and the folder that it writes."""

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.preprocess.depth_zoe import load_zoe, metric_depth, new_zoe
from dreamoving.dreamoving_core.training.depth_detector import (
    FAR,
    NEAR,
    SIZE,
    compressed,
    depth_loss,
    draw_batch,
    draw_pool,
    start_weights,
    tiny_settings,
    tiny_zoe_config,
    train_depth,
)
from dreamoving.dreamoving_core.training.draws import sample_generator


@pytest.fixture(scope="module")
def pool():
    return draw_pool({128: 3, 256: 2})


def generators(step):
    return [sample_generator(seed=0, stage="depth", step=step, sample=i) for i in range(4)]


def test_pictures_of_both_sizes_come_as_the_detector_sees_them(pool):
    for step in (0, 7):  # 7: the large ones
        pixels, truth = draw_batch(pool, step, generators(step))

        assert pixels.shape == (4, 3, SIZE, SIZE)
        assert truth.shape == (4, SIZE, SIZE)
        assert pixels.min() >= -1
        assert pixels.max() <= 1
        assert truth.max() > 0.5


def test_a_mirrored_picture_keeps_its_depth_in_place(pool):
    pixels, truth = draw_batch(pool, 0, generators(0))
    both = torch.cat([pool[128][1], pool[128][1].flip(-1)]).float() / 255

    for one in truth:
        assert (both - one).abs().amax(dim=(1, 2)).min() < 1e-6
    again = draw_batch(pool, 0, generators(0))
    assert torch.equal(again[0], pixels)
    assert torch.equal(again[1], truth)


def test_compression_costs_more_at_a_low_quality(pool):
    picture = pool[128][0][0]
    errors = [(compressed(picture, q).float() - picture.float()).abs().mean() for q in (25, 95)]

    assert errors[0] > errors[1] > 0


def test_the_loss_is_zero_for_the_truth_alone_and_counts_the_person_more():
    truth = torch.zeros(1, 16, 16)
    truth[:, 4:12, 4:12] = 0.6

    assert depth_loss(truth, truth)[0] == 0
    person, wall = truth.clone(), truth.clone()
    person[:, 8, 8] += 0.1
    wall[:, 1, 1] += 0.1
    assert depth_loss(person, truth)[0] > depth_loss(wall, truth)[0] > 0


def test_untrained_bins_spread_over_the_range():
    network = new_zoe(tiny_zoe_config())
    start_weights(network)

    centres = torch.nn.functional.softplus(network.metric_head.seed_bin_regressor.conv2.bias)

    assert centres.min() < NEAR
    assert centres.max() > FAR
    assert centres.diff().min() > 0.2


def test_a_short_training_writes_a_folder_that_depth_extract_reads(tmp_path):
    pytest.importorskip("accelerate", reason="optional; for training")
    folder = train_depth(tmp_path / "run", export=tmp_path / "depth", steps=2, pictures={128: 2, 256: 2})

    model = load_zoe(folder)

    assert model.depth_range == (NEAR, FAR)
    assert model.settings == tiny_settings()
    assert metric_depth(model, torch.rand(1, 64, 48, 3)).shape == (1, 64, 48)
    size = (folder / "model.safetensors").stat().st_size
    assert size < 2_500_000
    with pytest.raises(InputError, match="at least 8 x 8"):
        metric_depth(model, torch.rand(1, 4, 4, 3))
