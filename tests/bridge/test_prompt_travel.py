"""Prompt travel: every frame sees its own prompt, in every sampler, window and beside every other part."""

import pytest
import torch
from small_host import sample_latents, small_model
from small_motion import small_motion

FRAMES = 6
TEXT = "0: a beach | 4: a forest"


@pytest.fixture(scope="module")
def tiny():
    from dreamoving.dreamoving_core.bridge.tiny_files import load_tiny

    return load_tiny()


@pytest.fixture(scope="module")
def clip(tiny):
    return tiny.clip  # 64 numbers per token, as the small model wants them


def travel(clip, text, **settings):
    from dreamoving.dreamoving_core.bridge.prompt_travel import travel

    return travel(clip, text, **{"num_frames": FRAMES, **settings})


def encode(clip, text):
    """CLIP Text Encode."""
    from nodes import CLIPTextEncode

    return CLIPTextEncode().encode(clip, text)[0]


def distance(found, expected):
    """The largest difference, as a share of the largest number; a wrong prompt gives 0.06 in these tests."""
    return float((found - expected).abs().max() / expected.abs().max())


def errors():
    from dreamoving.dreamoving_core import errors

    return errors


def repeated(conditioning, frames=FRAMES):
    """The same prompt for every frame, in the form that a travel has."""
    return [[tokens.repeat(frames, 1, 1), dict(extra)] for tokens, extra in conditioning]


@pytest.mark.parametrize("text", ["0: a beach", "0: a beach | 4: a beach", "3: a beach"])
def test_one_prompt_throughout_is_clip_text_encode_bit_for_bit(clip, text):
    ((tokens, extra),) = travel(clip, text)
    ((expected, wanted),) = encode(clip, "a beach")

    assert torch.equal(tokens, expected)
    assert torch.equal(extra["pooled_output"], wanted["pooled_output"])


def test_every_frame_sees_its_prompt_and_what_lies_between_is_mixed_linearly(clip):
    beach, forest = (encode(clip, text)[0] for text in ("a beach", "a forest"))

    ((tokens, extra),) = travel(clip, TEXT)

    assert tokens.shape[0] == extra["pooled_output"].shape[0] == FRAMES
    assert torch.equal(tokens[0], beach[0][0])
    assert torch.equal(tokens[4], forest[0][0])
    assert torch.equal(tokens[5], forest[0][0])
    for frame, weight in ((1, 0.25), (2, 0.5), (3, 0.75)):
        mix = beach[0][0] * (1 - weight) + forest[0][0] * weight
        torch.testing.assert_close(tokens[frame], mix, rtol=0, atol=1e-6)


def test_hold_cuts_at_the_keyframe(clip):
    ((tokens, _),) = travel(clip, TEXT, between="hold")

    assert torch.equal(tokens[3], encode(clip, "a beach")[0][0][0])
    assert torch.equal(tokens[4], encode(clip, "a forest")[0][0][0])


def test_before_and_after_stand_around_every_prompt(clip):
    ((tokens, _),) = travel(clip, TEXT, before="a dancer", after="film grain")

    assert torch.equal(tokens[0], encode(clip, "a dancer, a beach, film grain")[0][0][0])
    assert torch.equal(tokens[5], encode(clip, "a dancer, a forest, film grain")[0][0][0])


def test_a_long_prompt_leaves_a_short_one_what_it_is_alone(clip):
    long = "forest " * 90  # more than one chunk of 75 tokens
    ((tokens, _),) = travel(clip, f"0: a beach | 1: {long}", between="hold")
    beach, forest = encode(clip, "a beach"), encode(clip, long)

    together = sample_latents(small_model(), [[tokens, {}]], frames=FRAMES, cfg=1.0)
    short_alone = sample_latents(small_model(), beach, frames=FRAMES, cfg=1.0)
    long_alone = sample_latents(small_model(), forest, frames=FRAMES, cfg=1.0)

    assert tokens.shape[1] == 154
    assert distance(together[:1], short_alone[:1]) < 1e-6
    assert distance(together[1:], long_alone[1:]) < 1e-6


def test_sampling_the_same_prompt_for_every_frame_is_sampling_it_once(clip):
    beach = encode(clip, "a beach")

    expected = sample_latents(small_model(), beach, frames=FRAMES)
    found = sample_latents(small_model(), repeated(beach), frames=FRAMES)

    assert distance(found, expected) < 1e-6


def test_the_sampler_shows_every_frame_its_prompt(clip):
    """Without motion frames do not know each other: each must be what its prompt alone makes of it."""
    way = travel(clip, TEXT, between="hold")

    clip_of_both = sample_latents(small_model(), way, frames=FRAMES)
    beach = sample_latents(small_model(), encode(clip, "a beach"), frames=FRAMES)
    forest = sample_latents(small_model(), encode(clip, "a forest"), frames=FRAMES)

    assert distance(clip_of_both[:4], beach[:4]) < 1e-6
    assert distance(clip_of_both[4:], forest[4:]) < 1e-6
    assert (beach - forest).abs().amax(dim=(1, 2, 3)).min() > 1e-3


def core_windows(model, *, anchor):
    from comfy_extras.nodes_context_windows import ContextWindowsManualNode

    return ContextWindowsManualNode.execute(
        model, 4, 2, "standard_static", 1, False, "pyramid", 0, False, causal_window_fix=anchor
    )[0]


def our_windows(model):
    from dreamoving.dreamoving_core.bridge.windows import WindowSettings, with_windows

    return with_windows(model, WindowSettings(context_length=4, context_overlap=2))


@pytest.mark.parametrize("kind", ["core", "core with its anchor frame", "ours"])
def test_every_context_window_sees_the_prompts_of_its_own_frames(clip, kind):
    """Frames do not know each other here, so windows must not show: any wrong prompt would."""
    text = "0: a beach | 5: a forest | 11: a city at night"
    way = travel(clip, text, num_frames=12)
    model = (
        our_windows(small_model()) if kind == "ours" else core_windows(small_model(), anchor="anchor" in kind)
    )

    whole = sample_latents(small_model(), way, frames=12)
    windowed = sample_latents(model, way, frames=12)

    assert distance(windowed, whole) < 1e-6


def test_our_sampler_and_windows_refuse_a_travel_of_another_length(clip):
    from dreamoving.dreamoving_core.bridge.sampling import SamplingSettings, sample_video

    way, latent = travel(clip, TEXT), {"samples": torch.zeros(12, 4, 8, 8)}
    negative = encode(clip, "")

    message = "Prompt Travel was made for 6 frames, but the clip has 12. Set frames in Prompt Travel to 12"
    with pytest.raises(errors().InputError, match=message):
        sample_video(
            small_model(), latent, positive=way, negative=negative, settings=SamplingSettings(steps=1)
        )
    with pytest.raises(errors().InputError, match=message):
        sample_latents(our_windows(small_model()), way, frames=12)


def test_apply_motion_refuses_a_travel_of_another_length_under_the_stock_sampler(clip):
    from dreamoving.dreamoving_core.bridge.motion import apply_motion, without_motion

    moving = apply_motion(small_model(), small_motion(small_model()))

    with pytest.raises(errors().InputError, match="made for 6 frames, but the clip has 8"):
        sample_latents(moving, travel(clip, TEXT), frames=8)
    sample_latents(without_motion(moving), travel(clip, TEXT), frames=8, steps=1)  # core's own way: no word


def test_the_content_guider_guides_every_frame_beside_its_own_prompt(tiny):
    from dreamoving.dreamoving_core.bridge.content_guider import apply_content_guider
    from dreamoving.dreamoving_core.bridge.reference_images import encode_images

    picture = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    face, _ = encode_images(tiny.content_guider, tiny.clip_vision, picture, branch="face")
    guided = apply_content_guider(tiny.model, tiny.content_guider, face=face, alpha_f="0:(0.5), 5:(1.5)")
    size = {"frames": FRAMES, "size": 16, "negative": encode(tiny.clip, "")}

    found = sample_latents(guided, travel(tiny.clip, TEXT, between="hold"), **size)
    beach = sample_latents(guided, encode(tiny.clip, "a beach"), **size)
    forest = sample_latents(guided, encode(tiny.clip, "a forest"), **size)
    unguided = sample_latents(tiny.model, travel(tiny.clip, TEXT, between="hold"), **size)

    assert distance(found[:4], beach[:4]) < 1e-6
    assert distance(found[4:], forest[4:]) < 1e-6
    assert (found - unguided).abs().amax(dim=(1, 2, 3)).min() > 1e-2


def test_control_follows_the_clip_while_the_prompts_travel(tiny):
    from nodes import ControlNetApplyAdvanced

    poses = torch.rand(FRAMES, 128, 128, 3, generator=torch.Generator().manual_seed(1))
    blank = encode(tiny.clip, "")

    def run(positive):
        pair = ControlNetApplyAdvanced().apply_controlnet(
            positive, blank, tiny.control_pose, poses, 1.0, 0.0, 1.0
        )
        return sample_latents(tiny.model, *pair, frames=FRAMES, size=16)

    found, forest = run(travel(tiny.clip, TEXT, between="hold")), run(encode(tiny.clip, "a forest"))

    assert found.isfinite().all()
    assert (found[:4] - forest[:4]).abs().amax(dim=(1, 2, 3)).min() > 1e-3


def test_a_missing_text_encoder_is_named():
    with pytest.raises(errors().InputError, match="needs a text encoder, got none"):
        travel(None, TEXT)


def test_other_models_text_encoders_are_refused_in_words():
    class Strange:
        def tokenize(self, text):
            return text

        def encode_from_tokens_scheduled(self, tokens):
            return [[torch.zeros(1, 4, 8), {"pooled_output": None, "attention_mask": torch.ones(1, 4)}]]

    with pytest.raises(errors().InputError, match="this one gives attention_mask as well"):
        travel(Strange(), TEXT)
