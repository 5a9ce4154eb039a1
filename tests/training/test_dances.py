from dataclasses import fields, replace

import pytest
import torch
from dreamoving.dreamoving_core.bridge.trainable import token_ids
from dreamoving.dreamoving_core.preprocess.draw_pose import draw_keypoints
from dreamoving.dreamoving_core.procdance.clip import ClipSpec, render_clip
from dreamoving.dreamoving_core.training import stages
from dreamoving.dreamoving_core.training.autoencoder import crops
from dreamoving.dreamoving_core.training.batches import Batches
from dreamoving.dreamoving_core.training.dances import (
    TENSORS,
    DanceSet,
    as_bytes,
    as_floats,
    encode_pictures,
    person_cells,
)
from dreamoving.dreamoving_core.training.image_encoder import references_of
from dreamoving.dreamoving_core.training.rendering import CLASSES, COLOURS, SHOTS, clip_moments, draw_set
from einops import rearrange

SEEDS = [3, 7, 19, 24]  # whole, half and face shots
FRAMES = 2


def generators(count, *, first=0):
    return [torch.Generator().manual_seed(first + i) for i in range(count)]


def drawn_set(*, chunk):
    return draw_set([clip_moments(seed, num_frames=FRAMES) for seed in SEEDS], SEEDS, chunk=chunk)


@pytest.fixture(scope="module")
def dances():
    return drawn_set(chunk=3)  # a chunk ends in the middle of a clip


def rows_that_know_their_number(count, *, captions):
    """A set whose every tensor holds the number of its row."""
    numbers = torch.arange(count, dtype=torch.uint8)

    def filled(*shape):
        return numbers.reshape(count, *(1 for _ in shape)).expand(count, *shape).contiguous()

    return DanceSet(
        images=filled(1, 3, 16, 16),
        pose=filled(1, 3, 16, 16) + 100,
        depth=filled(1, 1, 16, 16) + 200,
        person=filled(1, 2, 2),
        face=filled(3, 8, 8),
        cloth=filled(3, 8, 8),
        caption=torch.arange(count) % len(captions),
        colours=filled(12).float(),
        kinds=filled(6).long(),
        captions=captions,
    )


def same(one, other):
    return one.captions == other.captions and all(
        torch.equal(getattr(one, name), getattr(other, name)) for name in TENSORS
    )


def test_a_set_comes_back_from_its_file_as_it_was(dances, tmp_path):
    dances.save(tmp_path / "clips.safetensors")

    assert same(DanceSet.load(tmp_path / "clips.safetensors"), dances)
    assert [path.name for path in tmp_path.iterdir()] == ["clips.safetensors"]
    assert {*TENSORS, "captions"} == {field.name for field in fields(DanceSet)}


def test_bytes_and_floats_are_each_others_inverse_and_out_of_range_is_cut():
    levels = torch.arange(256, dtype=torch.uint8)

    assert torch.equal(as_bytes(as_floats(levels)), levels)
    assert as_bytes(torch.tensor([-0.2, 1.3])).tolist() == [0, 255]


def test_a_cell_holds_the_share_that_the_person_covers():
    mask = torch.zeros(2, 16, 24, dtype=torch.bool)
    mask[0, :8, :8] = True  # one whole cell
    mask[0, 8:12, 16:20] = True  # a quarter of another
    mask[1, 15, 23] = True  # one pixel of 64

    cells = person_cells(mask)

    assert cells.dtype == torch.uint8
    assert cells.tolist() == [[[255, 0, 0], [0, 0, 64]], [[0, 0, 0], [0, 0, 4]]]


def picture_of_places(count, height, width):
    """Channels: row, column, number of the picture."""
    n, y, x = torch.meshgrid(*(torch.arange(size) for size in (count, height, width)), indexing="ij")
    return torch.stack([y, x, n], dim=1).to(torch.uint8)


@pytest.mark.parametrize("empty", [False, True])
def test_crops_stay_inside_and_show_the_picture_at_their_place(empty):
    height, width, size = 40, 56, 16
    images = picture_of_places(3, height, width)
    masks = torch.zeros(3, height, width, dtype=torch.bool)
    masks[:, [0, height - 1], [width - 1, 0]] = not empty  # two corners, where a crop could leave the picture

    squares = crops(images, masks, size=size, generators=generators(300))

    assert squares.shape == (300, 3, size, size)
    for square in (squares * 255).round().long():
        top, left, number = square[:, 0, 0].tolist()
        assert 0 <= top <= height - size
        assert 0 <= left <= width - size
        assert torch.equal(square, images[number, :, top : top + size, left : left + size].long())
    assert len(squares[:, 2].unique()) == 3


def test_three_of_four_crops_are_around_the_person():
    images = picture_of_places(1, 64, 64)
    masks = torch.zeros(1, 64, 64, dtype=torch.bool)
    masks[0, 32, 40] = True

    squares = crops(images, masks, size=8, generators=generators(1000))

    rows, columns = (squares[:, 0] * 255).round(), (squares[:, 1] * 255).round()
    hit = ((rows == 32) & (columns == 40)).flatten(1).any(dim=1)
    assert float(hit.float().mean()) == pytest.approx(0.75 + 0.25 / 64, abs=0.03)


def test_pictures_are_encoded_alike_in_chunks_of_any_size():
    pictures = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    latents = encode_pictures(lambda part: part.mean(dim=1, keepdim=True), pictures, chunk=2)

    assert torch.equal(latents, pictures.mean(dim=1, keepdim=True))


def batches_of(dances, stage):
    numbers = torch.arange(len(dances)).float()
    latents = numbers.reshape(-1, 1, 1, 1, 1).expand(-1, stage.frames, 4, 2, 2)
    features = {
        "face": (numbers + 0.25).reshape(-1, 1, 1).half(),
        "cloth": (numbers + 0.5).reshape(-1, 1, 1).half(),
    }
    return Batches(dances, stage, latents=latents, features=features)


def test_everything_in_a_batch_belongs_to_the_row_of_its_latents():
    captions = ("a dancer on a beach", "a dancer in a studio", "a dancer in a park at night")
    dances = rows_that_know_their_number(11, captions=captions)
    batches = batches_of(dances, stages.BASE)
    seen = set()

    for step in range(12):
        batch, _ = batches(step, generators(stages.BASE.clips, first=10 * step))
        rows = batch.latents[:, 0, 0, 0, 0].long()
        seen |= set(rows.tolist())

        assert len(rows) == stages.BASE.clips
        wanted = token_ids([captions[row % 3] for row in rows.tolist()])
        assert torch.equal(batch.token_ids[batch.caption], wanted)
        assert torch.equal(batch.token_ids[:1], token_ids([""]))
        assert int(batch.caption.min()) >= 1
        assert torch.equal(batch.person[:, 0, 0, 0].long(), rows)
        assert torch.equal(batch.face[:, 0, 0], rows + 0.25)
        assert torch.equal(batch.cloth[:, 0, 0], rows + 0.5)
        assert batch.control_kind == ("pose", "pose", "depth")[step % 3]
        offset = {"pose": 100, "depth": 200}[batch.control_kind]
        assert batch.control.shape == (len(rows), 1, 3, 16, 16)
        assert torch.equal(batch.control[:, 0, :, 0, 0].long(), (rows + offset)[:, None].expand(-1, 3))
    assert len(seen) == 11


def test_a_batch_depends_on_its_generators_alone_and_a_stage_without_control_says_so():
    dances = rows_that_know_their_number(9, captions=("one", "two"))
    batches = batches_of(dances, stages.changed(stages.LONG_FRAME, {"frames": 1}))

    drawn = [batches(5, generators(1, first=seed))[0] for seed in (1, 1, 2, 3, 4)]

    assert drawn[0].control_kind == "none"
    assert drawn[0].control is None
    assert drawn[0].face is None  # no image guidance either [DM §2.4.2]
    assert torch.equal(drawn[0].latents, drawn[1].latents)
    assert any(not torch.equal(drawn[0].latents, other.latents) for other in drawn[2:])


def test_a_step_sees_as_much_of_its_clips_as_its_turn_says_and_the_same_frames_of_everything():
    stage = stages.changed(
        stages.EXPRESSION, {"frames": 5, "lengths": [5, 2], "controls": ["depth"], "guidance": False}
    )
    frame = torch.arange(5, dtype=torch.uint8).reshape(1, 5, 1, 1, 1)
    dances = replace(
        rows_that_know_their_number(3, captions=("one",)),
        depth=frame.expand(3, 5, 1, 16, 16),
        person=frame[..., 0].expand(3, 5, 2, 2),
    )
    batches = Batches(dances, stage, latents=frame.float().expand(3, 5, 4, 2, 2), features={})
    starts = set()

    for step in range(40):
        batch, _ = batches(step, generators(2, first=10 * step))
        seen = batch.latents[:, :, 0, 0, 0].long()

        assert seen.shape == (2, 2 if step % 2 else 5)
        assert torch.equal(seen, seen[:, :1] + torch.arange(seen.shape[1]))
        assert torch.equal(batch.control[:, :, 2, 0, 0].long(), seen)
        assert torch.equal(batch.person[:, :, 0, 0].long(), seen)
        starts |= set(seen[:, 0].tolist()) if step % 2 else set()
    assert starts == {0, 1, 2, 3}


@pytest.mark.parametrize("row", range(len(SEEDS)))
def test_pictures_references_caption_and_truth_of_a_row_are_those_of_its_seed(dances, row):
    seed = SEEDS[row]
    clip = render_clip(ClipSpec(seed=seed, num_frames=FRAMES, shot=SHOTS[seed % len(SHOTS)]))

    def stored(pictures):
        return as_bytes(rearrange(pictures, "... h w c -> ... c h w"))

    assert torch.equal(dances.images[row], stored(clip.images))
    assert torch.equal(dances.pose[row], stored(draw_keypoints(clip.keypoints, width=128, height=128)))
    assert torch.equal(dances.depth[row, :, 0], as_bytes(clip.depth))
    assert torch.equal(dances.person[row], person_cells(clip.mask))
    assert torch.equal(dances.face[row], stored(clip.face_reference))
    assert torch.equal(dances.cloth[row], stored(clip.cloth_reference))
    assert dances.captions[dances.caption[row]] == clip.caption
    truth = clip.attributes
    colours = [value for branch in ("face", "cloth") for name in COLOURS[branch] for value in truth[name]]
    assert dances.colours[row].tolist() == pytest.approx(colours, abs=1e-7)
    assert dances.kinds[row].tolist() == [
        int(truth[name]) for branch in ("face", "cloth") for name in CLASSES[branch]
    ]


def test_each_branch_learns_its_own_colours_and_kinds(dances):
    rows = torch.tensor([2, 0])

    references = references_of(dances, rows)

    for branch, (pictures, colours, kinds) in references.items():
        assert torch.equal(pictures, getattr(dances, branch)[rows])
        assert colours.shape == (2, 6)
        assert kinds.shape == (2, len(CLASSES[branch]))
    split = [references[branch] for branch in ("face", "cloth")]
    assert torch.equal(torch.cat([part[1] for part in split], dim=1), dances.colours[rows])
    assert torch.equal(torch.cat([part[2] for part in split], dim=1), dances.kinds[rows])


def test_the_same_seeds_give_the_same_set_in_chunks_of_any_size(dances):
    assert same(dances, drawn_set(chunk=64))
