"""What other packs rely on, without them: their names and their ways into ComfyUI's slots. With them: tests/peers."""

import pytest
import torch
from comfy.ldm.modules.attention import optimized_attention
from dreamoving.dreamoving_core.bridge.content_guider import (
    apply_content_guider,
    load_content_guider,
    numbered_widths,
)
from dreamoving.dreamoving_core.bridge.windows import WindowSettings, with_windows
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.models.content_guider import (
    BranchConfig,
    ContentGuider,
    ContentGuiderConfig,
    ImageTokens,
    metadata_from_config,
)
from dreamoving.dreamoving_core.models.token_encoders import EncoderConfig
from small_control import FRAMES, SIZE, apply, fresh_model, pictures, video_control
from small_host import randomise, sample_latents
from small_motion import small_motion


def guided(model):
    encoder = EncoderConfig(kind="clip_linear", feature_width=24, context_dim=64, tokens=4)
    config = ContentGuiderConfig(
        face=BranchConfig(encoder=encoder), sites=numbered_widths(model.model.diffusion_model)
    )
    weights = randomise(ContentGuider(config).state_dict(), seed=4)
    tokens = torch.randn(1, 4, 64, generator=torch.Generator().manual_seed(5))
    face = ImageTokens(branch="face", positive=tokens, negative=None)
    return apply_content_guider(model, load_content_guider(weights, metadata_from_config(config)), face=face)


def with_shorter_name(model):
    """Every cross-attention replaced under its block's name alone, as IPAdapter_plus does."""
    model = model.clone()

    def twice(q, k, v, extra_options):
        return 2 * optimized_attention(q, k, v, extra_options["n_heads"])

    for block in [
        *(("input", i) for i in range(1, 9)),
        *(("output", i) for i in range(3, 12)),
        ("middle", 0),
    ]:
        model.set_model_attn2_replace(twice, *block)
    return model


def sample(model, **options):
    return sample_latents(model, frames=FRAMES, size=SIZE, **options)


def test_a_patch_that_names_only_the_block_acts_whether_it_comes_before_or_after_the_guider():
    model = fresh_model()
    before, after = guided(with_shorter_name(model)), with_shorter_name(guided(model))

    assert torch.equal(sample(after), sample(before))
    assert not torch.allclose(sample(after), sample(guided(model)))
    assert not torch.allclose(sample(after), sample(with_shorter_name(model)))


def names_while_running(control, *, fail=False):
    """Whether `sub_idxs` stood on the applied control during the run, and after it."""
    prompts = apply(control, pictures())
    applied = prompts[0][0][1]["control"]
    model, seen = fresh_model(), []

    def look(apply_model, call):
        seen.append(hasattr(applied, "sub_idxs"))
        if fail:
            raise RuntimeError("broken on purpose")
        return apply_model(call["input"], call["timestep"], **call["c"])

    model.set_model_unet_function_wrapper(look)
    if fail:
        with pytest.raises(RuntimeError, match="on purpose"):
            sample_latents(model, *prompts, frames=FRAMES, size=SIZE)
    else:
        sample_latents(model, *prompts, frames=FRAMES, size=SIZE)
    return all(seen) and bool(seen), hasattr(applied, "sub_idxs")


@pytest.mark.parametrize("fail", [False, True], ids=["success", "error"])
def test_a_video_controlnet_says_that_it_follows_windows_only_while_a_run_lasts(fail):
    """AnimateDiff-Evolved wants the name in a run; Advanced-ControlNet takes what has it outside for its own."""
    control = video_control()

    assert not hasattr(control, "sub_idxs")
    assert names_while_running(control, fail=fail) == (True, False)


class EvolvedSettings:
    """What AnimateDiff-Evolved attaches to a model, as far as it says whether its own windows are on."""

    def __init__(self, context_length):
        self.context_options = self
        self.context_length = context_length


def test_evolved_motion_in_our_windows_is_refused_in_words():
    model = with_windows(fresh_model(), WindowSettings(context_length=4, context_overlap=1))
    model.set_additional_models("ADE", [small_motion(model).patcher])

    with pytest.raises(InputError, match="AnimateDiff-Evolved's motion models cannot work in ComfyUI's"):
        sample(model)


def test_two_kinds_of_windows_are_refused_in_words_and_evolved_sampling_alone_is_not():
    model = with_windows(fresh_model(), WindowSettings(context_length=4, context_overlap=1))
    expected = sample(model)
    model.set_attachments("ADE_params", EvolvedSettings(None))

    assert torch.equal(sample(model), expected)

    model.set_attachments("ADE_params", EvolvedSettings(4))
    with pytest.raises(InputError, match="use Evolved Sampling's context options alone"):
        sample(model)
