"""The graphs of the quality benchmark: each variant changes what its name says, and nothing else."""

import copy
from pathlib import Path

import pytest
from dreamoving.benchmarks import _quality_graphs as graphs
from dreamoving.benchmarks import graph as graph_module
from dreamoving.benchmarks._quality_graphs import Files
from dreamoving.benchmarks._quality_truth import Subject
from dreamoving.benchmarks._quality_variants import Case, all_variants
from dreamoving.dreamoving_core.bridge.content_guider import numbered_widths
from dreamoving.dreamoving_core.bridge.trainable import new_base, new_content_guider
from dreamoving.dreamoving_core.procdance.scene import HELD_OUT_SCENES
from dreamoving.dreamoving_core.tiny import files
from dreamoving.dreamoving_core.tiny.config import TinyConfig
from dreamoving.dreamoving_core.weights.content_guider import content_guider_metadata
from dreamoving.dreamoving_core.weights.io import write_weights

CASE = Case(seed=6001, noise_seed=3, index=1, others=(6000, 6001, 6002))


@pytest.fixture(scope="module")
def base():
    return graph_module.load_graph()


def found_variants(**files):
    variants = all_variants(
        frames=16, clip_frames=32, noise="shared", given=Files(**files), folder=Path("tiny")
    )
    return {variant.key: variant for variant in variants}


def resolved(graph, node_id="", output=0):
    """The tree below a node, free of the nodes' names: equal trees are sampled equally."""
    node = graph[node_id or graphs.find(graph, "VAEDecode")]
    inputs = {
        name: resolved(graph, value[0], value[1]) if graph_module.is_link(value) else value
        for name, value in node["inputs"].items()
    }
    return node["class_type"], output, inputs


def different(graph, other, path=""):
    """Where two trees differ: {path of class names and inputs: the other's value}."""
    if not (isinstance(graph, tuple) and isinstance(other, tuple)):
        return {} if graph == other else {path: other}
    if graph[:2] != other[:2]:
        return {path: other[:2]}
    found = {}
    for name in sorted({*graph[2], *other[2]}):
        here = f"{graph[0]}.{name}"
        found |= different(graph[2].get(name), other[2].get(name), here)
    return found


def changes(base, variant):
    shown = graphs.clip_of(
        base, seed=6001, noise_seed=3, frames=variant.frames, shot=variant.shot, noise=variant.noise
    )
    return different(resolved(shown), resolved(variant.graph(base, CASE)))


def test_every_variant_has_its_own_name_and_leaves_the_demo_as_it_is(base):
    before = copy.deepcopy(base)
    listed = all_variants(frames=16, clip_frames=32, noise="shared", given=Files(), folder=Path("tiny"))

    for variant in listed:
        variant.graph(base, CASE)

    assert base == before
    assert len({variant.key for variant in listed}) == len(listed)


def test_clip_noise_and_length_are_the_cases_own(base):
    shown = found_variants()["full/32"].graph(base, CASE)

    clip, sampler = (shown[graphs.find(shown, kind)]["inputs"] for kind in (graphs.CLIP, graphs.SAMPLER))
    assert (clip["seed"], clip["frames"], clip["split"]) == (6001, 32, "held_out")
    assert (sampler["seed"], sampler["frames"], sampler["noise"]) == (3, 32, "independent")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("base/16", {}),
        ("motion_on/16", {}),
        ("control_off/16", {"ControlNetApplyAdvanced.strength": 0.0}),
        ("face_only/16", {"DreaMovingApplyContentGuider.alpha_c": 0.0}),
        ("cloth_only/16", {"DreaMovingApplyContentGuider.alpha_f": 0.0}),
        (
            "text/16",
            {"DreaMovingApplyContentGuider.alpha_f": 0.0, "DreaMovingApplyContentGuider.alpha_c": 0.0},
        ),
        (
            "alpha_0.25/16",
            {"DreaMovingApplyContentGuider.alpha_f": 0.25, "DreaMovingApplyContentGuider.alpha_c": 0.25},
        ),
        ("image_only/16", {"CLIPTextEncode.text": ""}),
        ("motion_off/16", {"DreaMovingApplyMotion.strength": 0.0}),
        ("motion_off_shared/64", {"DreaMovingApplyMotion.strength": 0.0}),
        ("motion_windows/64", {"DreaMovingSampler.context_length": 16}),
        ("other_reference_style/16", {"DreaMovingSampleClip.style": "outlined"}),
        ("wrong_pose/16", {"DreaMovingSampleClip.dance_seed": 506_010}),
        ("swapped/16", {"DreaMovingSampleClip.seed": 6002}),
    ],
)
def test_a_variant_changes_what_its_name_says_and_nothing_else(base, name, expected):
    assert changes(base, found_variants()[name]) == expected


def test_the_other_noise_is_the_only_difference_between_the_two_kinds(base):
    variants = found_variants()
    independent, shared = (
        variants[name].graph(base, CASE) for name in ("motion_on/16", "motion_on_shared/16")
    )

    assert different(resolved(independent), resolved(shared)) == {"DreaMovingSampler.noise": "shared"}


def test_swapped_pictures_leave_the_driving_clip_and_the_prompt(base):
    shown = found_variants()["swapped/16"].graph(base, CASE)
    before = graphs.clip_of(base, seed=6001, noise_seed=3, frames=16)

    for kind in ("Prompt", graphs.DRAWN):
        assert resolved(shown, graphs.find(shown, kind)) == resolved(before, graphs.find(before, kind))


def test_another_caption_is_a_held_out_scene_that_is_not_the_clips_own(base):
    variant = found_variants()["other_caption/16"]
    own, asked = Subject(seed=6001, frames=16).moments[0].scene, variant.subject(CASE).moments[0].scene

    assert asked != own
    assert (asked.place, asked.light) in HELD_OUT_SCENES
    assert changes(base, variant) == {"CLIPTextEncode.text": variant.subject(CASE).caption}


def test_depth_takes_the_place_of_the_poses_or_stands_behind_them(base):
    alone, both = (found_variants()[f"{name}/16"].graph(base, CASE) for name in ("depth", "pose_depth"))

    def controls(graph):
        node = graph[graphs.find(graph, graphs.SAMPLER)]["inputs"]["positive"][0]
        while graph[node]["class_type"] == graphs.CONTROL:
            inputs = graph[node]["inputs"]
            yield inputs["control_net"][1], graph[inputs["image"][0]]["class_type"], inputs["strength"]
            node = inputs["positive"][0]

    assert list(controls(alone)) == [(6, graphs.CLIP, 1.0)]
    assert list(controls(both)) == [(6, graphs.CLIP, 0.5), (5, graphs.DRAWN, 1.0)]
    sampler = both[graphs.find(both, graphs.SAMPLER)]["inputs"]
    assert sampler["positive"][0] == sampler["negative"][0]


def test_a_found_pose_is_doubled_with_its_whole_chain_and_the_true_one_takes_its_place(base):
    found = copy.deepcopy(base)
    clip, drawn = graphs.find(found, graphs.CLIP), graphs.find(found, graphs.DRAWN)
    found["detector"] = {"class_type": "LoadDetector", "inputs": {}}
    found["found"] = {
        "class_type": "ExtractPose",
        "inputs": {"images": [clip, 0], "detector": ["detector", 0]},
    }
    found[drawn]["inputs"]["keypoints"] = ["found", 0]

    other, true = graphs.driven_by(found, 99), graphs.true_keypoints(found)

    assert different(resolved(found), resolved(other)) == {"DreaMovingSampleClip.dance_seed": 99}
    picture = other[graphs.find(other, graphs.CONTROL)]["inputs"]["image"][0]
    keypoints = other[picture]["inputs"]["keypoints"][0]
    assert other[keypoints]["inputs"]["detector"] == ["detector", 0]
    assert true[drawn]["inputs"]["keypoints"] == [clip, graphs.KEYPOINTS]


def test_files_of_the_command_line_replace_one_part_each(base):
    given = {"stage3": Path("s3"), "motions": (("stage2", Path("s2")),), "style_lora": Path("lora")}
    variants = found_variants(**given)

    assert {"motion_stage2/16", "motion_stage2/64", "face_stage3/16", "other_base/16"} <= set(variants)
    moving = variants["motion_stage2/64"].graph(base, CASE)
    assert resolved(moving, graphs.find(moving, graphs.MOTION))[2]["motion_model"] == (
        "BenchLoadMotion",
        0,
        {"path": "s2"},
    )
    for way, expected in (
        ("stretch", {"DreaMovingApplyMotion.positions": "stretch"}),
        ("windows", {"DreaMovingSampler.context_length": 16}),
    ):
        other = variants[f"motion_stage2_{way}/64"].graph(base, CASE)
        assert different(resolved(moving), resolved(other)) == expected
    seeds = found_variants(motions=(("seed1", Path("s1")), ("stage2", Path("s2"))))
    assert [seeds[f"motion_{name}/64"].few for name in ("seed1", "stage2")] == [False, True]
    assert [seeds[f"motion_{name}/16"].few for name in ("seed1", "seed1_shared", "on", "on_shared")] == [
        False,
        True,
        False,
        True,
    ]
    noises = [seeds[f"motion_seed1{kind}/16"].graph(base, CASE) for kind in ("", "_shared")]
    assert different(*map(resolved, noises)) == {"DreaMovingSampler.noise": "shared"}
    styled = variants["other_base/16"].graph(base, CASE)
    lora = styled[graphs.find(styled, graphs.MOTION)]["inputs"]["model"]
    assert styled[lora[0]]["inputs"] == {"model": ["2", 0], "clip": ["2", 1], "path": "lora"}
    pictures = styled[styled[graphs.find(styled, "DreaMovingEncodeFace")]["inputs"]["image"][0]]["inputs"]
    assert (pictures["style"], styled[graphs.find(styled, graphs.CLIP)]["inputs"]["style"]) == (
        "soft",
        "outlined",
    )
    assert variants["other_base/16"].subject(CASE).style == 1


def test_the_supplement_is_compared_with_the_same_training_without_it(base):
    variants = found_variants(identity=Path("with"), clip_only=Path("without"))
    found, plain = (variants[f"{name}/16"].graph(base, CASE) for name in ("identity", "clip_only"))

    difference = different(resolved(plain), resolved(found))
    folder, face = Path("with"), found[graphs.find(found, graphs.ENCODE_FACE)]
    assert set(difference.values()) == {str(folder / files.CONTENT_GUIDER), ("BenchEncodeFace", 0)}
    assert face["inputs"]["recogniser"] == str(folder / files.FACE_RECOGNISER)
    shown = graphs.clip_of(base, seed=6001, noise_seed=3, frames=16, shot="face")
    swapped = different(resolved(shown), resolved(plain))
    assert swapped["DreaMovingSampleClip.seed"] == CASE.somebody_else
    assert ("BenchLoadGuider", 0) in swapped.values()
    assert variants["identity/16"].subject(CASE).face_seed == CASE.somebody_else


@pytest.fixture
def peers(tmp_path):
    """A folder with the baseline's Content Guider, which has one branch."""
    config = TinyConfig()
    sites = numbered_widths(new_base(config).diffusion_model)
    guider = new_content_guider(config, sites=sites, one_branch=True)
    metadata = content_guider_metadata(guider.config)
    write_weights(tmp_path / files.CONTENT_GUIDER, guider.state_dict(), metadata=metadata)
    return tmp_path


def test_the_peers_wiring_has_one_branch_and_motion_of_its_folder_and_none_in_the_control(base, peers):
    graph = found_variants(peer=peers)["peer/16"].graph(base, CASE)

    motion = resolved(graph, graphs.find(graph, graphs.MOTION))[2]["motion_model"]
    guider = graph[graphs.find(graph, graphs.GUIDER)]["inputs"]
    face = resolved(graph, graphs.find(graph, graphs.ENCODE_FACE))[2]
    assert motion == ("BenchLoadMotion", 0, {"path": str(peers / files.MOTION)})
    assert [name for name in guider if name.endswith("_tokens")] == ["face_tokens"]
    assert face["content_guider"] == ("BenchLoadGuider", 0, {"path": str(peers / files.CONTENT_GUIDER)})
    assert (face["combine"], face["image"][0], len(face["image"][2])) == ("concat", "ImageBatch", 2)
    for control in (Path("tiny") / files.CONTROL_POSE, peers / files.CONTROL_POSE):  # its own if it has one
        graph = found_variants(peer=peers)["peer/16"].graph(base, CASE)
        shown = resolved(graph, graphs.find(graph, graphs.CONTROL))[2]["control_net"]
        assert shown == ("BenchLoadControl", 0, {"path": str(control), "motion_blocks": "off"})
        (peers / files.CONTROL_POSE).touch()


def test_another_tiny_changes_the_loader_alone(base):
    changed = graphs.with_tiny(base, Path("mine"))

    assert changed[graphs.find(base, graphs.LOADER)]["inputs"] == {"folder": "mine"}
    assert {i for i in base if changed[i] != base[i]} == {graphs.find(base, graphs.LOADER)}
    assert graphs.find(changed, "BenchLoadTiny") == graphs.find(changed, graphs.LOADER)
    assert graphs.find(graphs.with_tiny(changed, Path("another")), graphs.LOADER) == graphs.find(
        base, graphs.LOADER
    )
    assert graphs.depth(changed)[graphs.find(changed, graphs.CONTROL)]["inputs"]["control_net"][1] == 6
