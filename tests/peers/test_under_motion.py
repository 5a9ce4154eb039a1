"""The Content Guider under AnimateDiff-Evolved's motion, IPAdapter_plus under ours: full-size, with the same files."""

import pytest
from peers.graph import evolved_motion, latents_of, our_guider, our_motion, plus_adapter, relative_error

ONE = 1e-4  # float32, through a random U-Net that makes rounding grow


@pytest.mark.parametrize("last", ["motion", "content"])
def test_the_guider_under_evolved_motion_is_ip_adapter_under_evolved_motion(
    base, figures, encoder, image, last
):
    if last == "motion":
        ours = evolved_motion(our_guider(base, "sd15.safetensors", encoder, image), "v3.safetensors")
    else:
        ours = our_guider(evolved_motion(base, "v3.safetensors"), "sd15.safetensors", encoder, image)
    theirs = evolved_motion(plus_adapter(base, "sd15.safetensors", encoder, image), "v3.safetensors")

    error = relative_error(latents_of(ours), latents_of(theirs))
    figures[f"Content Guider under AnimateDiff-Evolved's motion, {last} last"] = error
    assert error < ONE


@pytest.mark.parametrize("last", ["motion", "content"])
def test_ip_adapter_under_our_motion_is_ip_adapter_under_evolved_motion(base, figures, encoder, image, last):
    if last == "motion":
        ours = our_motion(plus_adapter(base, "sd15.safetensors", encoder, image), "v3.safetensors")
    else:
        ours = plus_adapter(our_motion(base, "v3.safetensors"), "sd15.safetensors", encoder, image)
    theirs = evolved_motion(plus_adapter(base, "sd15.safetensors", encoder, image), "v3.safetensors")

    error = relative_error(latents_of(ours), latents_of(theirs))
    figures[f"IPAdapter_plus under our motion, {last} last"] = error
    assert error < ONE
