"""Who judges identity, and what a scorecard draws."""

import math

import pytest
import torch
from dreamoving.dreamoving_core.bridge.frame_plot import BOTTOM, LEFT, RIGHT, SIZE, TOP, plot_over_frames
from dreamoving.dreamoving_core.bridge.scorecard import likeness_to
from dreamoving.dreamoving_core.bridge.scorecard_pictures import BAR, labelled, scorecard_plot, worst_pictures
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.metrics.scorecard import Figure, Scorecard
from dreamoving.dreamoving_core.preprocess.face_identity import Face
from dreamoving.dreamoving_core.video.playback import ImageClip
from small_vision import pictures, vision


class Colours:
    """A "recogniser" to whom a picture's mean colour is who it is; a dark picture has no face."""

    name = "colours"

    def largest_face(self, picture):
        if picture.max() < 0.1:
            return None
        return Face(keypoints=None, identity=torch.nn.functional.normalize(picture.mean(dim=(0, 1)), dim=0))


def plain(red, green, blue, count=1):
    return torch.tensor([red, green, blue]).expand(count, 16, 16, 3)


def card(**series):
    figures = {
        name: Figure(value=1.0, how="so", series=tuple(values), worst=worst)
        for name, (values, worst) in series.items()
    }
    return Scorecard(num_frames=8, width=16, height=16, figures=figures)


def test_faces_are_judged_by_the_cosine_to_the_mean_of_the_references():
    references = torch.cat([plain(1.0, 0.0, 0.0), plain(0.0, 1.0, 0.0)])

    likeness = likeness_to(references, face_recogniser=Colours(), clip_vision=None)

    assert likeness.name == "faces by colours"
    assert likeness.judge(plain(0.5, 0.0, 0.0)[0]) == pytest.approx(0.5)
    assert likeness.judge(plain(0.0, 0.0, 1.0)[0]) == pytest.approx(0.0)
    assert math.isnan(likeness.judge(plain(0.0, 0.0, 0.0)[0]))


def test_without_a_recogniser_whole_pictures_are_judged_and_the_same_picture_is_one():
    picture, other = pictures(2)[:1], pictures(2)[1:]

    likeness = likeness_to(picture, face_recogniser=None, clip_vision=vision())

    assert likeness.name == "whole pictures by CLIP"
    assert likeness.judge(picture[0]) == pytest.approx(1.0, abs=1e-5)
    assert likeness.judge(other[0]) < 0.9999


def test_what_lacks_is_said():
    assert "connect a picture" in likeness_to(None, face_recogniser=Colours(), clip_vision=None)
    assert "Load Face Recogniser" in likeness_to(pictures(), face_recogniser=None, clip_vision=None)


def test_a_reference_without_a_face_and_an_encoder_without_embeddings_are_refused():
    other = vision()
    other.model_type = "dinov2"

    with pytest.raises(InputError, match="No face was found in reference picture 2 of 2"):
        likeness_to(
            torch.cat([plain(1.0, 0.0, 0.0), plain(0.0, 0.0, 0.0)]),
            face_recogniser=Colours(),
            clip_vision=None,
        )
    with pytest.raises(InputError, match="clip_vision is dinov2"):
        likeness_to(pictures(), face_recogniser=None, clip_vision=other)


def test_a_plot_has_a_gap_where_nothing_is_known_and_a_ring_where_it_is_marked():
    values = [1.0, 1.0, math.nan, math.nan, 1.0, 1.0, 1.0]

    plot = plot_over_frames({"x": values}, marks=(5,))[0]

    red, _, blue = plot[TOP - 6 : SIZE[1] - BOTTOM].unbind(-1)
    width = SIZE[0] - LEFT - RIGHT
    columns = [LEFT + round(frame / 6 * width) for frame in range(7)]
    drawn = ((blue > 0.6) & (blue - red > 0.2)).any(dim=0)
    assert [bool(drawn[c - 3 : c + 4].any()) for c in (columns[0] + 20, columns[2], columns[3], columns[6] - 20)] == [
        True, False, False, True,
    ]  # fmt: skip
    ringed = ((red > 0.7) & (red - blue > 0.2)).any(dim=0)
    assert ringed[columns[5] - 8 : columns[5] + 8].any()
    assert not ringed[: columns[5] - 20].any()


def test_the_plot_has_a_panel_per_figure_and_the_worst_frames_come_with_words():
    clip = torch.zeros(8, 16, 24, 3)
    clip[5], clip[2] = 1.0, 0.5
    two = card(flicker=([0.0] * 5 + [0.3, 0.0, 0.0], (5,)), pose_error=([0.0, 0.0, 0.2] + [0.0] * 5, (2, 0)))

    frames = worst_pictures(ImageClip(clip), two)

    assert scorecard_plot(two).shape == (1, 2 * SIZE[1], SIZE[0], 3)
    assert frames.shape == (3, 11 * 16 + BAR, 11 * 24, 3), (
        "small frames are shown 11 times as large: 256 pixels and more"
    )
    assert [round(float(frame[BAR:].mean()), 2) for frame in frames] == [1.0, 0.5, 0.0]
    assert all((frame[:BAR] > 0.5).any() for frame in frames), "words are light"


def test_nothing_to_show_is_still_a_picture():
    empty = Scorecard(num_frames=1, width=16, height=16, figures={"flicker": Figure(value=None, how="short")})

    assert scorecard_plot(empty).shape[0] == 1
    assert (
        worst_pictures(ImageClip(torch.zeros(1, 16, 16, 3)), empty).shape
        == labelled(torch.zeros(16, 16, 3), "")[None].shape
    )
