from contextlib import nullcontext
from dataclasses import replace

import comfy.model_base
import comfy.model_management
import pytest
import torch
from dreamoving.dreamoving_core.bridge.trainable import new_base
from dreamoving.dreamoving_core.training import stages, trainee
from dreamoving.dreamoving_core.training.batch import Batch
from dreamoving.dreamoving_core.training.networks import new_networks
from dreamoving.dreamoving_core.training.objective import Objective
from dreamoving.dreamoving_core.training.trainee import DreaMovingTrainee
from einops import rearrange
from training.small_trainee import CONFIG, small_batch, small_networks

KEEP_ALL = Objective(drop_text=0.0, drop_face=0.0, drop_cloth=0.0, drop_control=0.0)


def generators(clips=2):
    return [torch.Generator().manual_seed(3 + i) for i in range(clips)]


@pytest.fixture(scope="module")
def networks():
    return small_networks()


@pytest.mark.parametrize("name", [name for name in stages.STAGES if name != "style_lora"])  # test_lora.py
def test_only_what_a_stage_learns_gets_gradients(name, networks):
    stage = stages.STAGES[name]
    module = networks.trainee(replace(stage.objective, drop_control=0.0), motion=stage.motion)
    module.requires_grad_(False)
    learners = stage.learners(module)
    for parameter in learners.values():
        parameter.requires_grad_(True)

    for kind in dict.fromkeys(stage.controls):
        module(small_batch(frames=min(stage.frames, 4), kind=kind), generators())[0].backward()

    reached = {n for n, p in module.named_parameters() if p.grad is not None}
    module.zero_grad(set_to_none=True)
    assert reached == set(learners) - {
        "text.text_projection.weight"
    }  # CLIP's pooled output, which SD1.5 never uses


def gradients(module, batch):
    module.requires_grad_(True)
    module.zero_grad(set_to_none=True)
    loss, _ = module(batch, generators())
    loss.backward()
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("frames", [1, 3])
def test_copies_give_the_gradients_that_autograd_gives_when_it_guards_every_tensor(
    frames, networks, monkeypatch
):
    module = networks.trainee(KEEP_ALL, motion=frames > 1)
    batch = small_batch(frames=frames)
    ours = gradients(module, batch)

    monkeypatch.setattr(trainee, "copy_of_skip", lambda hidden, _options: hidden)
    monkeypatch.setattr(trainee, "saving_copies", nullcontext)
    # not allow_mutation_on_saved_tensors, which knows a tensor by its address and takes reused memory for the old one
    with torch.autograd.graph.saved_tensors_hooks(torch.clone, lambda copy: copy):
        guarded = gradients(module, batch)

    assert ours.keys() == guarded.keys()
    difference = torch.cat([(ours[name] - gradient).flatten() for name, gradient in guarded.items()])
    whole = torch.cat([gradient.flatten() for gradient in guarded.values()])
    assert difference.norm() / whole.norm() <= 1e-6


def test_without_copies_autograd_refuses(networks, monkeypatch):
    module = networks.trainee(KEEP_ALL, motion=False)
    monkeypatch.setattr(trainee, "copy_of_skip", lambda hidden, _options: hidden)

    with pytest.raises(RuntimeError, match="inplace"):
        gradients(module, small_batch())


def test_what_is_dropped_has_no_say(networks):
    goal = Objective(drop_text=1.0, drop_face=1.0, drop_cloth=1.0, drop_control=1.0)
    module = networks.trainee(goal, motion=False)
    batch = small_batch()
    other = small_batch(seed=9)
    changed = replace(
        batch, face=other.face, cloth=other.cloth, control=other.control, caption=batch.caption.flip(0)
    )

    with torch.no_grad():
        assert torch.equal(module(batch, generators())[0], module(changed, generators())[0])


def test_the_expression_stage_often_sees_what_guidance_subtracts(networks):
    module = networks.trainee(stages.STAGES["expression"].objective, motion=True)

    keep = module.draw_keeps(generators(400))

    nothing = ~(keep["text"] | keep["face"] | keep["cloth"])
    assert 0.2 < nothing.float().mean() < 0.3
    assert keep["control"].all()


@pytest.mark.parametrize("part", ["face", "cloth", "control", "caption"])
def test_what_is_kept_has_a_say(part, networks):
    module = networks.trainee(KEEP_ALL, motion=False)
    batch, other = small_batch(), small_batch(seed=9)
    value = batch.caption.flip(0) if part == "caption" else getattr(other, part)

    with torch.no_grad():
        first = module(batch, generators())[0]
        second = module(replace(batch, **{part: value}), generators())[0]

    assert not torch.equal(first, second)


def test_an_error_that_stays_costs_nothing_more_and_one_that_changes_does(networks):
    goal = replace(KEEP_ALL, person_weight=0.0, noise_levels=1)
    plain = networks.trainee(goal, motion=False)
    steady = networks.trainee(replace(goal, change_weight=4.0), motion=False)
    batch = small_batch(clips=2, frames=3)
    target = rearrange(batch.latents, "b f c h w -> (b f) c h w")
    sigmas = torch.ones(6)
    stays = target + torch.randn(2, 1, *target.shape[1:]).expand(-1, 3, -1, -1, -1).reshape(target.shape)
    swings = target + torch.tensor([1.0, -1.0, 0.0]).repeat(2).view(6, 1, 1, 1)

    def loss(module, denoised):
        return float(module.loss(denoised, target, sigmas, batch)[0])

    assert loss(steady, stays) == pytest.approx(loss(plain, stays), rel=1e-6)
    assert loss(steady, swings) == pytest.approx(5 * loss(plain, swings), rel=1e-6)


def test_the_loss_is_the_square_of_the_error_in_v(networks):
    module = networks.trainee(replace(KEEP_ALL, person_weight=0.0, noise_levels=1), motion=False)
    batch = small_batch(clips=2)
    target = rearrange(batch.latents, "b f c h w -> (b f) c h w")
    noise, v_error = torch.randn(2, *target.shape)
    sigmas = torch.tensor([0.7, 3.0])
    sigma = rearrange(sigmas, "n -> n 1 1 1")
    noisy = target + sigma * noise
    root = (sigma**2 + 1).sqrt()
    v = (noise - sigma * target) / root + v_error
    denoised = noisy / (sigma**2 + 1) - v * sigma / root

    loss, _ = module.loss(denoised, target, sigmas, batch)

    assert loss == pytest.approx(float(v_error.square().mean()), rel=1e-4)


def test_shared_noise_is_the_same_in_all_frames_of_a_clip_and_different_between_clips(networks):
    module = networks.trainee(replace(KEEP_ALL, shared_noise=1.0, noise_levels=2), motion=True)

    noise = module.draw_noise(small_batch(frames=3).latents, generators())

    clips = rearrange(noise, "(k b f) c h w -> k b f c h w", k=2, f=3)
    assert torch.equal(clips, clips[:, :, :1].expand_as(clips))
    assert not torch.equal(clips[0, 0], clips[0, 1])
    assert not torch.equal(clips[0, 0], clips[1, 0])


def test_a_share_of_shared_noise_may_stay_each_frames_own(networks):
    goal = replace(KEEP_ALL, shared_noise=1.0, own_noise=0.25, noise_levels=2)
    module, latents = networks.trainee(goal, motion=True), torch.zeros(2, 3, 4, 64, 64)

    noise = module.draw_noise(latents, generators())

    clips = rearrange(noise, "(k b f) c h w -> (k b) f (c h w)", k=2, f=3)
    for clip in clips:
        assert torch.corrcoef(clip) == pytest.approx(torch.full((3, 3), 0.75).fill_diagonal_(1), abs=0.02)
        assert clip.std() == pytest.approx(1, abs=0.02)
    assert torch.corrcoef(clips[:, 0])[0, 1:].abs().max() < 0.03  # another clip, another level: another noise


def test_training_does_not_depend_on_how_much_memory_is_free(networks, monkeypatch):
    """With little free memory ComfyUI's own attention works in place, which backward does not survive."""
    module, batch = networks.trainee(KEEP_ALL, motion=True), small_batch(frames=2)
    expected = gradients(module, batch)

    monkeypatch.setattr(
        comfy.model_management, "get_free_memory", lambda _device=None, both=False: (1, 1) if both else 1
    )

    found = gradients(module, batch)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def saved_bytes(module, batch):
    """What autograd keeps for backward, weights apart."""
    own = {p.untyped_storage().data_ptr() for p in module.parameters()}
    kept = {}

    def pack(tensor):
        if (place := tensor.untyped_storage().data_ptr()) not in own:
            kept[place] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss, _ = module(batch, generators())
    del loss
    return sum(kept.values())


@pytest.mark.parametrize("norms_across_frames", [False, True])
def test_checkpointing_gives_the_same_gradients_and_keeps_less(networks, norms_across_frames):
    batch = small_batch(frames=3)
    plain = networks.trainee(KEEP_ALL, motion=True)
    plain.norms_across_frames = norms_across_frames
    expected, whole = gradients(plain, batch), saved_bytes(plain, batch)

    module = networks.trainee(KEEP_ALL, motion=True, checkpointing=True)
    module.norms_across_frames = norms_across_frames
    found, kept = gradients(module, batch), saved_bytes(module, batch)
    networks.motion.set_checkpointing(False)

    assert found.keys() == expected.keys()
    difference = torch.cat([(found[name] - value).flatten() for name, value in expected.items()])
    assert difference.norm() / torch.cat([v.flatten() for v in expected.values()]).norm() <= 1e-6
    assert kept < 0.5 * whole


def test_the_unet_is_its_own_again_after_a_checkpointed_forward(networks):
    names = [name for name, _ in networks.base.named_modules()]

    networks.trainee(KEEP_ALL, motion=True, checkpointing=True)(small_batch(), generators())
    networks.motion.set_checkpointing(False)

    assert [name for name, _ in networks.base.named_modules()] == names


def test_min_snr_lowers_the_weight_of_clean_latents_alone(networks):
    sigmas = torch.tensor([0.05, 0.3, 2.0, 14.0])
    uniform = networks.trainee(KEEP_ALL, motion=False).loss_weights(sigmas)
    found = networks.trainee(replace(KEEP_ALL, weighting="min_snr"), motion=False).loss_weights(sigmas)

    # of v: min(snr, gamma) / (snr + 1), arXiv 2303.09556
    snr = 1 / sigmas.square()
    assert torch.allclose(found / uniform, snr.clamp(max=5) / (snr + 1))


def test_a_model_that_predicts_noise_is_trained_on_the_error_of_its_noise():
    base = new_base(CONFIG)
    base.model_sampling = comfy.model_base.model_sampling(base.model_config, comfy.model_base.ModelType.EPS)
    module = DreaMovingTrainee(
        base=base,
        text=None,
        guider=None,
        controls={},
        motion=None,
        objective=replace(KEEP_ALL, noise_levels=1),
    )
    target, noise, error = torch.randn(3, 4, 4, 4, 4)
    sigmas = torch.tensor([0.1, 0.7, 3.0, 12.0])
    sigma = rearrange(sigmas, "n -> n 1 1 1")
    denoised = base.model_sampling.calculate_denoised(sigmas, noise + error, target + sigma * noise)

    loss, _ = module.loss(denoised, target, sigmas, Batch(latents=target[None], caption=torch.ones(1)))

    assert loss == pytest.approx(float(error.square().mean()), rel=1e-3)


def test_each_clip_draws_the_same_whatever_stands_beside_it(networks):
    module = networks.trainee(replace(KEEP_ALL, noise_levels=2, drop_text=0.5), motion=False)
    latents = small_batch(clips=2).latents

    together = [f(generators()) for f in (module.draw_sigmas, lambda g: module.draw_noise(latents, g))]
    alone = [module.draw_sigmas(generators()[1:]), module.draw_noise(latents[1:], generators()[1:])]

    assert torch.equal(rearrange(together[0], "(k b) -> k b", b=2)[:, 1:].flatten(), alone[0])
    noise = rearrange(together[1], "(k b f) c h w -> k b f c h w", k=2, b=2)
    assert torch.equal(rearrange(noise[:, 1:], "k b f c h w -> (k b f) c h w"), alone[1])


def test_a_dropped_picture_shows_a_blank_one_where_the_file_knows_one(networks):
    module = networks.trainee(KEEP_ALL, motion=False)
    batch = replace(small_batch(), face_blank=torch.zeros(1, 65, 32))
    keep = {"face": torch.tensor([True, False])}

    tokens, strength = module.image_tokens("face", batch, keep)

    assert strength.tolist() == [1.0, 1.0]
    assert torch.equal(tokens[0], networks.guider.encode("face", batch.face)[0])
    assert torch.allclose(tokens[1], networks.guider.encode("face", batch.face_blank)[0], atol=1e-6)


def test_a_clip_without_clothes_gets_no_cloth_term(networks):
    module = networks.trainee(KEEP_ALL, motion=False)
    batch = replace(small_batch(), cloth_known=torch.tensor([True, False]))

    _, strength = module.image_tokens("cloth", batch, {"cloth": torch.tensor([True, True])})

    assert strength.tolist() == [1.0, 0.0]


def test_one_branch_sees_both_pictures(networks):
    torch.manual_seed(0)
    alone = new_networks(CONFIG, one_branch=True)
    alone.load(networks.state_dict())
    module = alone.trainee(KEEP_ALL, motion=False)
    keep = {name: torch.tensor([True, True]) for name in ("face", "cloth", "identity")}
    batch, other = small_batch(), small_batch(seed=9)

    with torch.no_grad():
        tokens, _ = module.image_tokens("face", batch, keep)
        none, _ = module.image_tokens("cloth", batch, keep)
        first = module(batch, generators())[0]
        second = module(replace(batch, cloth=other.cloth), generators())[0]

    expected = [networks.guider.encode("face", picture) for picture in (batch.face, batch.cloth)]
    assert torch.allclose(tokens, torch.cat(expected, dim=1), atol=1e-6)
    assert none is None
    assert not torch.equal(first, second)
