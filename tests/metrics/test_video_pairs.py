"""Videos beside the true ones: figures along the estimated flow and under a mask are those of the whole clip."""

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.metrics.clip_files import ClipFiles, moments
from dreamoving.dreamoving_core.metrics.fidelity import background_error, color_error, psnr
from dreamoving.dreamoving_core.metrics.flicker import delta_flicker, motion_amplitude
from dreamoving.dreamoving_core.metrics.judges import Judges
from dreamoving.dreamoving_core.metrics.optical_flow import followed
from dreamoving.dreamoving_core.metrics.sharpness import sharpness
from dreamoving.dreamoving_core.metrics.video_pairs import compare
from dreamoving.dreamoving_core.metrics.warp import warp_error
from dreamoving.dreamoving_core.procdance.clip import ClipSpec, render_clip
from metrics.picture_folders import write_pictures


@pytest.fixture
def dance(tmp_path):
    """A drawn dancer as the truth, a noisy copy as the result, and who is where; the folders, and what is in them."""
    truth = render_clip(ClipSpec(seed=3, num_frames=4, size=64))
    noise = 0.1 * torch.randn(truth.images.shape, generator=torch.Generator().manual_seed(0))
    ours = (truth.images + noise).clamp(0, 1)
    mask = truth.mask.clone()
    mask[2] = False  # out of sight for a moment
    mask[3, :30] = False
    grey = torch.where(mask, 0.9, 0.1)  # as a codec leaves it
    clips = {"ours": ours, "true": truth.images, "mask": grey[..., None].expand_as(ours)}
    for name, clip in clips.items():
        write_pictures(tmp_path / name, clip)
    eight_bits = {name: (clip * 255).round() / 255 for name, clip in clips.items()}
    return tmp_path, eight_bits["ours"], eight_bits["true"], mask


def test_figures_under_a_mask_frame_by_frame_are_those_of_the_whole_clip(dance):
    folder, ours, true, mask = dance

    found, _ = compare(ClipFiles(clip=folder / "ours", truth=folder / "true", mask=folder / "mask"), Judges())

    wanted = {
        "psnr_person": psnr(ours, true, mask),
        "person_error": color_error(ours, true, mask),
        "background_error": background_error(ours, true, mask),
        "sharpness_person": sharpness(ours, mask=mask),
        "motion_amplitude_person": motion_amplitude(ours, mask=mask),
        "delta_flicker_person": delta_flicker(ours, true, mask=mask),
    }
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=1e-4)


def test_the_warp_error_is_the_whole_clips_along_the_truths_flow(dance):
    folder, ours, true, mask = dance

    found, _ = compare(ClipFiles(clip=folder / "ours", truth=folder / "true", mask=folder / "mask"), Judges())

    steps = [followed(true[i], true[i + 1]) for i in range(3)]
    flow = torch.cat([*(flow[:1] for flow, _ in steps), torch.zeros(1, 64, 64, 2)])
    seen = torch.cat([seen for _, seen in steps])
    own = warp_error(true, flow, seen)
    assert found["warp_error"] == pytest.approx(warp_error(ours, flow, seen), rel=1e-4)
    assert found["warp_error_person"] == pytest.approx(warp_error(ours, flow, seen, mask=mask), rel=1e-4)
    assert found["warp_ratio"] == pytest.approx(found["warp_error"] / own, rel=1e-4)
    assert found["warp_ratio"] > 2  # noise does not move along


def test_a_truth_beside_itself_is_as_steady_as_itself(dance):
    folder = dance[0]

    found, notes = compare(ClipFiles(clip=folder / "true", truth=folder / "true"), Judges())

    assert found["warp_ratio"] == 1
    assert not any("warp" in note for note in notes)


def test_a_mask_counts_without_a_truth_for_what_the_clip_tells_by_itself(dance):
    folder, ours, _, mask = dance

    found, notes = compare(ClipFiles(clip=folder / "ours", mask=folder / "mask"), Judges())

    assert set(found) == {
        "sharpness", "sharpness_person", "motion_amplitude", "motion_amplitude_person"
    }  # fmt: skip
    assert found["sharpness_person"] == pytest.approx(sharpness(ours, mask=mask), rel=1e-4)
    assert notes == []


def test_half_bright_is_the_person_and_less_is_not(tmp_path):
    grey = torch.full((1, 4, 4, 3), 127 / 255)
    grey[0, 0] = 128 / 255
    write_pictures(tmp_path / "mask", grey)

    person = next(moments(ClipFiles(clip=tmp_path / "mask", mask=tmp_path / "mask"))).person

    assert person.sum(dim=1).tolist() == [4, 0, 0, 0]


def test_a_mask_that_shows_nobody_is_refused_and_one_without_a_background_is_told(dance):
    folder, ours, _, _ = dance
    write_pictures(folder / "black", torch.zeros_like(ours))
    write_pictures(folder / "white", torch.ones_like(ours))
    pair = {"clip": folder / "ours", "truth": folder / "true"}

    with pytest.raises(InputError, match=r"black shows nobody.*must be white on black"):
        compare(ClipFiles(**pair, mask=folder / "black"), Judges())
    found, notes = compare(ClipFiles(**pair, mask=folder / "white"), Judges())

    assert "background_error" not in found
    assert found["psnr_person"] == pytest.approx(found["psnr"])
    assert any("white is white everywhere, so there is no background_error" in note for note in notes)


def test_pictures_too_small_for_a_flow_have_no_warp_error_and_it_is_said(tmp_path):
    for name in ("ours", "true"):
        write_pictures(tmp_path / name, torch.rand(2, 8, 8, 3))

    found, notes = compare(ClipFiles(clip=tmp_path / "ours", truth=tmp_path / "true"), Judges())

    assert "warp_error" not in found
    assert any("The warp error is left out: it needs frames of at least 12 pixels" in note for note in notes)
