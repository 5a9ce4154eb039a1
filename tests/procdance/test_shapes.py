import math

import pytest
import torch
from dreamoving.dreamoving_core.procdance.draw import Canvas, Ink

SIZE = 64


def painted(draw, *, size: int = SIZE) -> torch.Tensor:
    """Coverage of one white shape on black, `h w`."""
    canvas = Canvas(
        torch.zeros(1, size, size, 3), outline=torch.zeros(1), cel=torch.zeros(1, dtype=torch.bool)
    )
    draw(canvas, Ink(colour=torch.ones(1, 3), label=1, round=torch.ones(1), shading=0.0))
    return canvas.finished()[0][0, ..., 0]


def points(*places: tuple[float, float]) -> torch.Tensor:
    return torch.tensor([[(x, y, 0.5) for x, y in places]], dtype=torch.float64)


def radii(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def test_a_ball_covers_the_area_of_its_circle():
    centre = points((30.3, 31.8))

    cover = painted(lambda canvas, ink: canvas.cones(centre, centre, radii(12.4), radii(12.4), ink))

    assert cover.sum().item() == pytest.approx(math.pi * 12.4**2, rel=0.003)


def test_a_capsule_covers_a_rectangle_and_two_half_circles_at_any_angle():
    for angle in (0.0, 0.4, 1.3, 2.9):
        step = (20 * math.cos(angle), 20 * math.sin(angle))
        start, end = (
            points((32 - step[0] / 2, 32 - step[1] / 2)),
            points((32 + step[0] / 2, 32 + step[1] / 2)),
        )

        cover = painted(lambda canvas, ink, a=start, b=end: canvas.cones(a, b, radii(5.0), radii(5.0), ink))

        assert cover.sum().item() == pytest.approx(math.pi * 25 + 20 * 10, rel=0.005)


def test_a_cone_is_the_hull_of_its_two_balls():
    start, end, first, last = (20.0, 20.0), (44.0, 40.0), 12.0, 5.0
    grid = torch.arange(SIZE) + 0.5
    y, x = torch.meshgrid(grid, grid, indexing="ij")
    inside = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    for i in range(400):  # the union of many balls between them
        part = i / 399
        cx, cy = start[0] + part * (end[0] - start[0]), start[1] + part * (end[1] - start[1])
        inside |= (x - cx) ** 2 + (y - cy) ** 2 <= (first + part * (last - first)) ** 2

    cover = painted(
        lambda canvas, ink: canvas.cones(points(start), points(end), radii(first), radii(last), ink)
    )

    assert ((cover > 0.5) != inside).sum() <= 4


def test_a_cone_whose_one_ball_swallows_the_other_is_the_large_ball():
    small, large = points((30, 32)), points((33, 32))

    cover = painted(lambda canvas, ink: canvas.cones(small, large, radii(4.0), radii(14.0), ink))

    assert cover.sum().item() == pytest.approx(math.pi * 14**2, rel=0.01)


def test_a_polygon_has_the_shoelace_area_and_rounding_grows_it():
    corners = ((12, 14), (50, 10), (40, 30), (54, 52), (16, 44))  # not convex
    area = 0.5 * abs(
        sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(corners, corners[1:] + corners[:1], strict=True))
    )
    shape = points(*corners)

    sharp = painted(lambda canvas, ink: canvas.polygon(shape, radii(0.0)[0], ink))
    grown = painted(lambda canvas, ink: canvas.polygon(shape, radii(2.0)[0], ink))

    assert sharp.sum().item() == pytest.approx(area, rel=0.005)
    assert (grown > 0.5).sum() > (sharp > 0.5).sum() + 150
    assert bool(((sharp > 0.5) <= (grown > 0.5)).all())


def test_an_ellipse_has_its_area_and_a_cut_halves_it():
    centre = points((32, 32))[:, 0]
    axes = torch.tensor([[[15.0, 8.0], [-4.0, 7.5]]], dtype=torch.float64)
    below = (centre[:, :2], torch.tensor([[0.0, 1.0]], dtype=torch.float64))

    whole = painted(lambda canvas, ink: canvas.ellipse(centre, axes, ink))
    half = painted(lambda canvas, ink: canvas.ellipse(centre, axes, ink, below=below))

    assert whole.sum().item() == pytest.approx(math.pi * (15 * 7.5 + 8 * 4), rel=0.01)
    assert half.sum().item() == pytest.approx(whole.sum().item() / 2, rel=0.01)
    assert half[33:].sum() == 0


def test_edges_are_soft_over_one_pixel():
    centre = points((32, 32))

    row = painted(lambda canvas, ink: canvas.cones(centre, centre, radii(10.25), radii(10.25), ink))[32]

    assert ((row > 0) & (row < 1)).sum() == 2


def test_shapes_beyond_the_border_are_clipped_and_those_outside_cost_nothing():
    corner, outside = points((0, 0)), points((-40, 90))

    quarter = painted(lambda canvas, ink: canvas.cones(corner, corner, radii(20.0), radii(20.0), ink))
    nothing = painted(lambda canvas, ink: canvas.cones(outside, outside, radii(20.0), radii(20.0), ink))

    assert quarter.sum().item() == pytest.approx(math.pi * 100, rel=0.01)
    assert nothing.sum() == 0
