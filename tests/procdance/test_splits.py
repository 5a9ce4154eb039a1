import hashlib

import pytest
from dreamoving.dreamoving_core.procdance.dance import ARM_POSES, sample_dance
from dreamoving.dreamoving_core.procdance.identity import (
    HAIR_COLOURS,
    HAIR_STYLES,
    NUM_HUES,
    PATTERNS,
    SKIN_TONES,
    sample_clothes,
    sample_person,
)
from dreamoving.dreamoving_core.procdance.scene import (
    HELD_OUT_SCENES,
    LIGHTS,
    PLACES,
    Scene,
    caption,
    sample_scene,
)
from dreamoving.dreamoving_core.procdance.seeds import VERSION, Draw

SEEDS = range(400)


def person_combination(seed: int, split: str) -> tuple:
    person = sample_person(seed, split)
    return person.skin_index, person.hair_index, person.hair_style


def clothes_combination(seed: int, split: str) -> tuple:
    clothes = sample_clothes(seed, split)
    return clothes.top_hue, clothes.bottom_hue, clothes.pattern


def scene_combination(seed: int, split: str) -> tuple:
    scene = sample_scene(seed, split)
    return scene.place, scene.light


@pytest.mark.parametrize("combination", [person_combination, clothes_combination, scene_combination])
def test_the_splits_share_no_combination(combination):
    train = {combination(seed, "train") for seed in SEEDS}
    held_out = {combination(seed, "held_out") for seed in SEEDS}

    assert not train & held_out


def test_the_splits_share_no_pair_of_arm_poses():
    train = {pair for seed in SEEDS for pair in sample_dance(seed, "train").pairs}
    held_out = {pair for seed in SEEDS for pair in sample_dance(seed, "held_out").pairs}

    assert not train & held_out
    assert len(train) == 108
    assert len(held_out) == 36


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_each_split_sees_every_single_tone_hue_style_pattern_and_arm_pose(split):
    people = [person_combination(seed, split) for seed in SEEDS]
    clothes = [clothes_combination(seed, split) for seed in SEEDS]
    poses = {pose for seed in SEEDS for pair in sample_dance(seed, split).pairs for pose in pair}

    assert [len({p[i] for p in people}) for i in range(3)] == [
        len(SKIN_TONES),
        len(HAIR_COLOURS),
        len(HAIR_STYLES),
    ]
    assert [len({c[i] for c in clothes}) for i in range(3)] == [NUM_HUES, NUM_HUES, len(PATTERNS)]
    assert len(poses) == len(ARM_POSES)


def test_training_sees_every_place_and_light_and_held_out_only_the_reserved_scenes():
    train = [scene_combination(seed, "train") for seed in SEEDS]
    held_out = {scene_combination(seed, "held_out") for seed in SEEDS}

    assert {place for place, _ in train} == set(PLACES)
    assert {light for _, light in train} == set(LIGHTS)
    assert held_out == set(HELD_OUT_SCENES)


def test_captions_differ_for_every_place_light_shot_and_style():
    captions = {
        caption(Scene(place=p, light=t), shot=shot, style=style)
        for p in PLACES
        for t in LIGHTS
        for shot in ("whole", "half", "face")
        for style in (0, 1)
    }

    assert len(captions) == len(PLACES) * len(LIGHTS) * 3 * 2
    assert "illustration of a person dancing on a beach at sunset, whole body" in captions


def test_a_choice_is_the_hash_of_version_key_and_name():
    digest = hashlib.blake2b(f"procdance/{VERSION}/person/train/7/skin 0".encode(), digest_size=8).digest()

    value = Draw("person", "train", 7).uniform("skin 0", 2.0, 4.0)

    assert value == 2.0 + 2.0 * (int.from_bytes(digest, "big") >> 11) / 2**53
