"""What each figure of `python -m dreamoving_core.metrics` means, for its help; docs/metrics.md has the same at length."""

FIGURES = {
    "psnr": "dB over all frames at once, on floats; higher is better",
    "ssim": "structural similarity, up to 1; higher is better",
    "lpips": "distance as AlexNet's features see it, from 0; lower is better",
    "delta_flicker": "change from frame to frame that the truth does not have, of white; lower is better",
    "warp_error": "change along the truth's flow, of white, which is estimated; lower is better",
    "warp_ratio": "the warp error by the truth's own; 1 is as steady as the truth",
    "sharpness": "difference between neighbouring pixels, of white",
    "sharpness_ratio": "the sharpness by the truth's; 1 is as sharp as the truth",
    "motion_amplitude": "change from frame to frame, of white",
    "motion_ratio": "the amplitude by the truth's; 1 is as lively as the truth",
    "psnr_person": "psnr where the mask is white; higher is better",
    "person_error": "difference in colour where the mask is white, of white; lower is better",
    "background_error": "difference in colour where the mask is black, of white; lower is better",
    "delta_flicker_person": "delta_flicker where the mask is white; lower is better",
    "warp_error_person": "warp_error where the mask is white; lower is better",
    "sharpness_person": "sharpness where the mask is white",
    "motion_amplitude_person": "motion_amplitude where the mask is white",
    "pose_error": "distance of the body's joints from the truth's, of the height; lower is better",
    "joints_found": "share of the truth's joints that were found at all; higher is better",
}


def told() -> str:
    """A line for each figure."""
    wide = max(len(name) for name in FIGURES) + 2
    return "\n".join(f"  {name:{wide}}{about}" for name, about in FIGURES.items())
