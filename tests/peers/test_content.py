"""The Content Guider and IPAdapter_plus: the same file, beside each other, and in AnimateDiff-Evolved's windows."""

import pytest
import torch
from peers.graph import (
    FRAMES,
    SIZE,
    evolved_windows,
    latents_of,
    our_guider,
    plus_adapter,
    relative_error,
)

ONE = 1e-5  # float32


@pytest.fixture
def other_image():
    return torch.rand(1, 224, 224, 3, generator=torch.Generator().manual_seed(4))


def test_the_same_file_guides_the_same_way(small, small_and_before, figures, encoder, image):
    ours = latents_of(our_guider(small, "base.safetensors", encoder, image))
    theirs = latents_of(plus_adapter(small, "base.safetensors", encoder, image))

    figures["IP-Adapter: Content Guider and IPAdapter_plus"] = relative_error(ours, theirs)
    assert relative_error(ours, theirs) < ONE
    assert relative_error(small_and_before[2], theirs) > 0.01


def test_the_middle_attention_is_the_whole_difference(small, figures, encoder, image):
    ours = latents_of(our_guider(small, "base_with_middle.safetensors", encoder, image))
    theirs = latents_of(plus_adapter(small, "base_with_middle.safetensors", encoder, image))

    figures["IP-Adapter: the middle attention, which IPAdapter_plus misses"] = relative_error(ours, theirs)
    assert relative_error(ours, theirs) > 10 * ONE


@pytest.mark.parametrize("last", ["ours", "theirs"])
def test_both_on_one_branch_are_two_adapters(small, figures, encoder, image, other_image, last):
    def ours(model):
        return our_guider(model, "base.safetensors", encoder, image, alpha=0.7)

    def theirs(model):
        return plus_adapter(model, "other.safetensors", encoder, other_image, weight=0.6)

    both = ours(theirs(small)) if last == "ours" else theirs(ours(small))
    expected = plus_adapter(small, "base.safetensors", encoder, image, weight=0.7)
    expected = latents_of(plus_adapter(expected, "other.safetensors", encoder, other_image, weight=0.6))

    figures[f"IP-Adapter: both on one branch, {last} last"] = relative_error(latents_of(both), expected)
    assert relative_error(latents_of(both), expected) < ONE


def test_masks_over_frames_follow_the_windows_of_evolved_sampling(small, figures, encoder, image):
    frames = FRAMES + 3
    mask = torch.linspace(0, 1, frames).reshape(-1, 1, 1).expand(frames, SIZE, SIZE).contiguous()
    moving = evolved_windows(small, length=4, overlap=2)
    ours = our_guider(moving, "base.safetensors", encoder, image, face_mask=mask)
    theirs = plus_adapter(moving, "base.safetensors", encoder, image, attn_mask=mask)

    error = relative_error(latents_of(ours, frames=frames), latents_of(theirs, frames=frames))
    figures["masks over frames in AnimateDiff-Evolved's windows"] = error
    assert error < ONE
