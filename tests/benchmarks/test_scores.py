"""What the demo's benchmark counts, on clips whose score is known, and the graphs that it compares."""

import copy
import math

import pytest
import torch
from dreamoving.benchmarks import demo, graph, scores

SEED = 1000
FRAMES = 4


@pytest.fixture(scope="module")
def truth():
    return scores.truth_of(SEED, frames=FRAMES)


@pytest.fixture(scope="module")
def base():
    return graph.load_graph()


def test_the_truth_itself_has_no_error_and_its_own_silhouette(truth):
    figures = scores.scorecard(truth.clip.images, truth, background=truth.background)

    assert figures["psnr"] == figures["psnr_person"] == math.inf
    for name in ("background_error", "cloth_error", "face_error", "flicker"):
        assert figures[name] == 0, name
    assert figures["pose_iou"] > 0.9
    assert figures["pose_iou_other_pose"] < figures["pose_iou"] - 0.2


def test_the_other_dance_is_told_from_the_right_one(truth):
    figures = scores.scorecard(truth.other_dance.images, truth, background=truth.background)

    assert figures["pose_iou_other_pose"] > 0.9
    assert figures["pose_iou"] < figures["pose_iou_other_pose"] - 0.2
    assert figures["psnr_person"] < 25
    assert figures["flicker"] > 0


def test_the_empty_scene_has_the_right_background_and_no_person(truth):
    empty = truth.background.expand_as(truth.clip.images)

    figures = scores.scorecard(empty, truth, background=truth.background)

    assert figures["pose_iou"] == 0
    assert figures["background_error"] == pytest.approx(0, abs=1 / 255)
    assert figures["cloth_error"] > 0.05


@pytest.mark.parametrize(
    ("parts", "figure", "untouched"),
    [(("top", "bottom"), "cloth_error", "face_error"), (("hair", "skin"), "face_error", "cloth_error")],
)
def test_a_wrong_colour_counts_by_how_wrong_it_is_and_only_in_its_part(truth, parts, figure, untouched):
    wrong = truth.clip.images.clone()
    part = truth.part(*parts)
    wrong[part] = 1 - wrong[part]
    by_hand = (wrong - truth.clip.images)[part].abs().double().mean()

    figures = scores.scorecard(wrong, truth, background=truth.background)

    assert part.any()
    assert figures[figure] == pytest.approx(float(by_hand), abs=1e-6)
    assert figures[untouched] == figures["background_error"] == 0


def test_parts_do_not_overlap_and_lie_on_the_person(truth):
    cloth, face = truth.part("top", "bottom"), truth.part("hair", "skin")

    assert not (cloth & face).any()
    assert not ((cloth | face) & ~truth.clip.mask).any()


def test_the_benchmark_draws_what_sample_clip_draws(base):
    runner = graph.GraphRunner()
    small = graph.changed(demo.with_seed(base, SEED), {"DreaMovingSampleClip": {"frames": 2}})
    expected = scores.truth_of(SEED, frames=2)

    drawn = runner.outputs(small, "DreaMovingSampleClip")

    assert torch.equal(drawn[7], expected.clip.images)
    assert drawn[5] == expected.clip.caption
    other = runner.outputs(demo.wrong_pose(small, SEED + scores.OTHER_DANCE), "Draw Pose")[0]
    again = graph.changed(small, {"DreaMovingSampleClip": {"dance_seed": SEED + scores.OTHER_DANCE}})
    assert torch.equal(other, runner.outputs(again, "Draw Pose")[0])
    assert not torch.equal(other, runner.outputs(small, "Draw Pose")[0])


def differences(one, other):
    """{(node, input): (before, after)} of the nodes that both graphs have."""
    return {
        (node, name): (value, other[node]["inputs"][name])
        for node, content in one.items()
        for name, value in content["inputs"].items()
        if other[node]["inputs"][name] != value
    }


def only_node(found, class_type):
    (node,) = [i for i, n in found.items() if n["class_type"] == class_type]
    return node


def test_another_seed_changes_the_clip_and_the_noise(base):
    clip, sampler = only_node(base, "DreaMovingSampleClip"), only_node(base, "DreaMovingSampler")

    assert differences(base, demo.with_seed(base, 1234)) == {
        (clip, "seed"): (base[clip]["inputs"]["seed"], 1234),
        (sampler, "seed"): (base[sampler]["inputs"]["seed"], 1234),
    }


def test_a_wrong_pose_comes_off_the_video_of_another_dance_and_of_nothing_else(base):
    changed = demo.wrong_pose(base, 4242)

    clip, extract = only_node(base, "DreaMovingSampleClip"), only_node(base, "DreaMovingPoseExtract")
    (other,) = changed.keys() - base.keys()
    assert differences(base, changed) == {(extract, "video"): ([clip, 8], [other, 8])}
    assert changed[other]["class_type"] == "DreaMovingSampleClip"
    assert changed[other]["inputs"] == base[clip]["inputs"] | {"dance_seed": 4242}


def test_swapped_references_are_face_and_clothes_of_another_seed_and_nothing_else(base):
    changed = demo.swapped_reference(base, 4242)

    clip = only_node(base, "DreaMovingSampleClip")
    face, cloth = only_node(base, "DreaMovingEncodeFace"), only_node(base, "DreaMovingEncodeCloth")
    (other,) = changed.keys() - base.keys()
    assert differences(base, changed) == {
        (face, "image"): ([clip, 3], [other, 3]),
        (cloth, "image"): ([clip, 4], [other, 4]),
    }
    assert changed[other]["inputs"] == base[clip]["inputs"] | {"seed": 4242}


@pytest.mark.parametrize(
    ("variant", "class_type", "name"),
    [
        ("no_control", "ControlNetApplyAdvanced", "strength"),
        ("cloth_off", "DreaMovingApplyContentGuider", "alpha_c"),
        ("face_off", "DreaMovingApplyContentGuider", "alpha_f"),
        ("motion_off", "DreaMovingApplyMotion", "strength"),
    ],
)
def test_a_variant_turns_off_one_strength(base, variant, class_type, name):
    changed = demo.variants(base, SEED)[variant]

    assert changed.keys() == base.keys()
    assert differences(base, changed) == {(only_node(base, class_type), name): (1.0, 0.0)}


def test_variants_leave_the_demo_as_it_is(base):
    before = copy.deepcopy(base)

    made = demo.variants(base, SEED)

    assert base == before == made["full"]
    assert demo.wrong_pose(base, SEED + scores.OTHER_DANCE) == made["wrong_pose"]
    assert demo.swapped_reference(base, SEED + scores.OTHER_PERSON) == made["swapped_reference"]


def test_a_change_for_a_node_that_is_not_there_names_those_that_are(base):
    with pytest.raises(KeyError, match=r"no node 'KSampler' in the graph; .*DreaMovingSampler"):
        graph.changed(base, {"KSampler": {"seed": 1}})


PICTURE = {
    "class_type": "EmptyImage",
    "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0xFF0000},
}


@pytest.fixture
def runner_and_calls():
    """A runner that counts what its nodes are asked."""
    runner, calls = graph.GraphRunner(), []

    def counted(node):
        class Counted(node):
            pass

        def run(self, **inputs):
            calls.append(node.__name__)
            return getattr(super(Counted, self), node.FUNCTION)(**inputs)

        setattr(Counted, node.FUNCTION, run)
        return Counted

    for name in ("EmptyImage", "ImageInvert"):
        runner.classes[name] = counted(runner.classes[name])
    return runner, calls


def inverted(source):
    return {"class_type": "ImageInvert", "inputs": {"image": [source, 0]}}


def test_a_graph_runs_each_node_once_per_distinct_input(runner_and_calls):
    runner, calls = runner_and_calls
    toy = {"1": PICTURE, "2": inverted("1"), "3": inverted("2"), "4": inverted("1")}

    back = runner.run(toy, "3")[0]
    assert calls == ["EmptyImage", "ImageInvert", "ImageInvert"]
    assert torch.equal(back, runner.run(toy, "1")[0])
    assert back[0, 0, 0].tolist() == [1, 0, 0]

    assert torch.equal(runner.run(toy, "4")[0], 1 - back)
    assert len(calls) == 3, "node 4 is asked what node 2 was asked"

    renumbered = {"9": PICTURE, "7": inverted("9")}
    runner.run(renumbered, "7")
    assert len(calls) == 3, "numbers are only names"

    blue = graph.changed(toy, {"EmptyImage": {"color": 0x0000FF}})
    assert runner.run(blue, "2")[0][0, 0, 0].tolist() == [1, 1, 0]
    assert calls[3:] == ["EmptyImage", "ImageInvert"]


def test_what_is_forgotten_runs_again_and_what_is_kept_does_not(runner_and_calls):
    runner, calls = runner_and_calls
    toy = {"1": PICTURE, "2": inverted("1")}

    runner.run(toy, "2")
    runner.forget(keep=("EmptyImage",))
    runner.run(toy, "2")

    assert calls == ["EmptyImage", "ImageInvert", "ImageInvert"]


def test_a_node_is_found_by_title_or_class_and_a_wrong_name_is_said(runner_and_calls):
    runner, _ = runner_and_calls
    toy = {"1": PICTURE | {"_meta": {"title": "Red"}}, "2": inverted("1")}

    assert torch.equal(runner.outputs(toy, "Red")[0], runner.outputs(toy, "EmptyImage")[0])
    with pytest.raises(KeyError, match="no node 'Green'"):
        runner.outputs(toy, "Green")
