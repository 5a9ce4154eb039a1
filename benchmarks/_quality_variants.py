"""The variants of the quality benchmark: what is changed in the demo's graph, and what the truth then is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ..dreamoving_core.tiny import files as tiny_files
from . import _quality_graphs as graphs
from ._quality_graphs import Files, Graph
from ._quality_truth import Subject, drawn_once, other_scene

OTHER_DANCE = 500_009  # added to a clip's seed: another dance by the same person
ALPHAS = (0.25, 0.5, 0.75)  # 0 is the variant "text", 1 the variant "base"
GALLERY = 192  # faces, where a recogniser is asked: among 24, hair and skin alone find the right one
GROUPS = (
    "full", "control", "content", "caption", "modes", "alpha", "motion16", "motion64", "depth", "style", "expression",
    "poses", "peer", "identity",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Case:
    """One clip and one noise. `others`: the seeds of all clips, this one's included."""

    seed: int
    noise_seed: int
    index: int
    others: tuple[int, ...]

    @property
    def gallery(self) -> tuple[int, ...]:
        """Many more people than there are clips."""
        return (*self.others, *range(self.others[-1] + 1, self.others[0] + GALLERY))

    @property
    def somebody_else(self) -> int:
        return self.others[(self.index + 1) % len(self.others)]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A name for the figures; a graph and a truth for each case. `judge`: what is looked up beside the scorecard."""

    name: str
    group: str
    frames: int
    change: Callable[[Graph, Case], Graph] = lambda graph, case: graph
    shot: str = "whole"
    style: int = 0  # of the truth
    drawn: int = 0  # style of the driving clip, its references and its caption
    noise: str = ""  # "": as the demo
    judge: tuple[str, ...] = ()  # "scene", "references", "gallery"
    few: bool = False  # a row beside the bars: on some clips only, from one noise
    truth: Callable[[Subject, Case], Subject] = lambda subject, case: subject

    @property
    def key(self) -> str:
        return f"{self.name}/{self.frames}"

    def graph(self, base: Graph, case: Case) -> Graph:
        shown = graphs.clip_of(
            base,
            seed=case.seed,
            noise_seed=case.noise_seed,
            frames=self.frames,
            shot=self.shot,
            style=self.drawn,
            noise=self.noise,
        )
        return self.change(shown, case)

    def subject(self, case: Case) -> Subject:
        own = Subject(seed=case.seed, frames=self.frames, shot=self.shot, style=self.style)
        return drawn_once(self.truth(own, case))

    def asked(self, case: Case) -> Subject:
        """Whose pictures the result should show: without any, those that a swap would ask for."""
        return drawn_once(swapped(self.subject(case), case)) if self.name == "text" else self.subject(case)


def swapped(subject: Subject, case: Case) -> Subject:
    return replace(subject, clothes_seed=case.somebody_else, face_seed=case.somebody_else)


def in_other_scene(subject: Subject, case: Case) -> Subject:
    return replace(subject, scene=other_scene(subject.moments[0].scene, case.index))


def other_caption(graph: Graph, case: Case, *, frames: int) -> Graph:
    return graphs.prompted(graph, in_other_scene(Subject(seed=case.seed, frames=frames), case).caption)


def other_references(graph: Graph, case: Case) -> Graph:
    return graphs.references(graph, face=case.somebody_else, cloth=case.somebody_else)


def other_guider(graph: Graph, case: Case, *, folder: Path, identity: bool) -> Graph:
    """Another Content Guider, shown somebody else's pictures."""
    return graphs.with_guider(other_references(graph, case), folder, identity=identity)


def alphas(graph: Graph, case: Case, *, face: float, cloth: float) -> Graph:
    return graphs.strengths(graph, face=face, cloth=cloth)


def plain(change: Callable[[Graph], Graph]) -> Callable[[Graph, Case], Graph]:
    """A change that does not depend on the case."""
    return lambda graph, case: change(graph)


def in_windows_of_16(graph: Graph) -> Graph:
    return graphs.in_windows(graph, 16)


def applied(first: graphs.Change, second: graphs.Change, graph: Graph) -> Graph:
    """Both changes, one after the other."""
    return second(first(graph))


def still_variants(frames: int) -> Iterator[Variant]:
    """What the issue asks without naming a length: on the first `frames` frames of each clip."""
    new = partial(Variant, frames=frames)
    yield new(name="base", group="content", judge=("scene", "references"))
    yield new(
        name="control_off",
        group="control",
        change=plain(lambda g: graphs.changed(g, {graphs.CONTROL: {"strength": 0.0}})),
    )
    yield new(
        name="wrong_pose",
        group="control",
        change=lambda g, case: graphs.driven_by(g, case.seed + OTHER_DANCE),
    )
    yield new(name="face_only", group="content", change=partial(alphas, face=1.0, cloth=0.0))  # cloth off
    yield new(name="cloth_only", group="content", change=partial(alphas, face=0.0, cloth=1.0))  # face off
    yield new(
        name="text",
        group="content",
        change=partial(alphas, face=0.0, cloth=0.0),
        judge=("scene", "references"),
    )
    yield new(name="swapped", group="content", change=other_references, truth=swapped, judge=("references",))
    yield new(
        name="other_caption",
        group="caption",
        change=partial(other_caption, frames=frames),
        truth=in_other_scene,
        judge=("scene",),
    )
    yield new(name="image_only", group="modes", change=plain(lambda g: graphs.prompted(g, "")))
    for alpha in ALPHAS:
        yield new(name=f"alpha_{alpha:g}", group="alpha", change=partial(alphas, face=alpha, cloth=alpha))
    yield new(name="depth", group="depth", change=plain(graphs.depth))
    yield new(name="pose_depth", group="depth", change=plain(graphs.pose_and_depth))
    yield new(
        name="other_reference_style", group="style", change=plain(lambda g: graphs.references(g, style=1))
    )
    yield new(name="true_keypoints", group="poses", change=plain(graphs.true_keypoints))


def motion_variants(frames: int, noise: str, control: Path) -> Iterator[Variant]:
    """Motion blocks on and off from the same noise; `noise` "" is the demo's own, another kind a row beside it."""
    mark, long = f"_{noise}" if noise else "", frames > 16
    new = partial(Variant, frames=frames, group=f"motion{frames}", noise=noise, few=bool(noise))
    yield new(name=f"motion_on{mark}")
    yield new(name=f"motion_off{mark}", change=plain(graphs.without_motion))
    if not noise:
        without = plain(lambda g: graphs.control_without_motion(g, control))
        yield new(name="control_motion_off", few=long, change=without)
    if long and not noise:
        yield new(name="motion_windows", few=True, change=plain(in_windows_of_16))


def file_variants(frames: int, noise: str, given: Files, folder: Path) -> Iterator[Variant]:
    """What needs a file beside Tiny, which is in `folder`. `noise`: the kind that the demo does not use."""
    for name, path in given.motions:
        seed, blocks = name.startswith("seed"), partial(graphs.with_motion_file, path=path)
        new = partial(Variant, few=not seed)  # a training seed has a bar, others are rows beside it
        yield new(name=f"motion_{name}", group="motion16", frames=16, change=plain(blocks))
        beside = partial(new, noise=noise, few=True)
        yield beside(name=f"motion_{name}_{noise}", group="motion16", frames=16, change=plain(blocks))
        yield new(name=f"motion_{name}", group="motion64", frames=64, change=plain(blocks))
        for way, change in (("windows", in_windows_of_16), ("stretch", graphs.stretched)):
            if not seed:
                put = partial(applied, blocks, change)
                yield new(name=f"motion_{name}_{way}", group="motion64", frames=64, change=plain(put))
    if given.stage3:
        yield Variant(
            name="face_stage3", group="expression", frames=frames, shot="face",
            change=plain(lambda g: graphs.with_motion_file(g, given.stage3)),
        )  # fmt: skip
    if given.style_lora:
        # prompt and driving clip in the other style, references in the one that the Content Guider knows
        yield Variant(
            name="other_base", group="style", frames=frames, style=1, drawn=1,
            change=plain(lambda g: graphs.with_lora(graphs.references(g, style=0), given.style_lora)),
        )  # fmt: skip
    for name, other in (("identity", given.identity), ("clip_only", given.clip_only)):
        if other:
            change = partial(other_guider, folder=other, identity=name == "identity")
            yield Variant(
                name=name,
                group="identity",
                frames=frames,
                shot="face",  # a face of twelve pixels has no identity but its colours
                change=change,
                truth=swapped,
                judge=("gallery",),
            )
    if given.peer:
        wired = plain(partial(graphs.as_peers, folder=given.peer, tiny=folder))
        new = partial(Variant, group="peer", frames=frames, change=wired)
        yield new(name="peer", judge=("scene", "references"))
        yield new(name="face_peer", shot="face")
        yield new(name=f"peer_{noise}", noise=noise, few=True)


def all_variants(*, frames: int, clip_frames: int, noise: str, given: Files, folder: Path) -> list[Variant]:
    """Every variant. `frames`: of those whose length is ours to choose; `noise`: the kind that the demo does not use."""
    control = folder / tiny_files.CONTROL_POSE
    found = [Variant(name="full", group="full", frames=clip_frames, judge=("scene", "references"))]
    found += still_variants(frames)
    for length in (16, 64):
        for kind in ("", noise):
            found += motion_variants(length, kind, control)
    still = plain(graphs.without_motion)
    found += [
        Variant(name="face", group="expression", frames=frames, shot="face"),
        Variant(name="face_motion_off", group="expression", frames=frames, shot="face", change=still),
    ]
    return [*found, *file_variants(frames, noise, given, folder)]
