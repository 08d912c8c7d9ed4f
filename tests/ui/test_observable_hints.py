"""Hints on failures of the observable tasks, from matrices that fail in one known way."""

from types import SimpleNamespace

import numpy as np
import pytest

from napari_mrissl.pretext.observable.gaps import gap_matrix
from napari_mrissl.pretext.observable.observations import GapMatrix
from napari_mrissl.pretext.observable.views import Views
from napari_mrissl.ui.inspector.observable import hints
from napari_mrissl.ui.inspector.observable.choice import Choice
from napari_mrissl.ui.inspector.observable.dealt import dealt
from napari_mrissl.ui.inspector.observable.work import RowsSeen, ViewsSeen

PLACES = np.random.default_rng(5).uniform(-70, 70, (8, 3))
LOADED = SimpleNamespace(
    scan=SimpleNamespace(volume=SimpleNamespace(spacing=np.ones(3))),
    network=SimpleNamespace(inspector=SimpleNamespace(card={})),
)


def views_of(places, edge=10.0):
    return Views("x", (160, 160, 160), np.eye(4)[[2, 1, 0, 3]], places, np.full(3, edge),
                 (4, 4, 4), 100.0)  # fmt: skip


def seen(predicted, *, places=PLACES, edge=10.0, lagging=False, images=None):
    matrix = GapMatrix(views_of(places, edge), predicted)
    images = np.full((len(places), 4, 4, 4), 0.5, np.float32) if images is None else images
    return ViewsSeen(Choice(len(places), lagging=lagging), images, {"gaps": matrix})


def said(*words, loaded=LOADED, **options):
    return " ".join(hints.view_hints(seen(*words, **options), "gaps", loaded))


def test_a_network_that_knows_is_told_nothing():
    assert said(gap_matrix(PLACES)) == ""


def test_air_overlap_and_thick_slices():
    images = np.full((8, 4, 4, 4), 0.5, np.float32)
    images[[2, 6]] = 0.0
    assert "Almost empty views (2, 6)" in said(gap_matrix(PLACES), images=images)
    near = PLACES.copy()
    near[1] = near[0] + 4
    assert said(gap_matrix(near), places=near).startswith("1 pairs of views overlap")
    thick = SimpleNamespace(
        scan=SimpleNamespace(volume=SimpleNamespace(spacing=np.array([5.0, 0.7, 0.5]))),
        network=SimpleNamespace(inspector=SimpleNamespace(card={"shuffled": True})),
    )
    found = said(gap_matrix(PLACES), loaded=thick)
    assert "Voxels of 5 x 0.7 x 0.5 mm" in found
    assert "shuffled targets" in found


def test_scale_sides_bias_and_chance():
    assert "in order but 0.50 times as long" in said(0.5 * gap_matrix(PLACES))
    folded = PLACES.copy()
    folded[:, 0] = np.abs(folded[:, 0])
    assert "Left and right are confused" in said(gap_matrix(folded))
    apart = gap_matrix(PLACES) + np.array([3.0, 0, 4.0])
    found = said(apart)
    assert "A view is 5.0 mm from itself: the gap head has a bias" in found
    views = seen(gap_matrix(PLACES))
    views.matrices["vectors"] = GapMatrix(views_of(PLACES), apart, closed=False)
    found = " ".join(hints.view_hints(views, "vectors", LOADED))
    assert "A view is 5.0 mm from itself: nothing but training holds the edge head" in found
    assert "bias" not in found
    assert "no better than the best constant" in said(0 * gap_matrix(PLACES))


@pytest.mark.parametrize("views", [3, 4, 6, 8, 12])
def test_noise_is_hardly_ever_taken_for_confused_sides(views):
    rng = np.random.default_rng(views)
    told = 0
    for _ in range(150):
        places, noise = rng.uniform(-70, 70, (2, views, 3))
        told += "Left and right" in said(gap_matrix(noise), places=places)
    # One in fifty by chance; of three or four views nothing can be known.
    assert told <= (7 if views > 4 else 0)


@pytest.mark.parametrize("views", [6, 12])
def test_folded_sides_are_found_among_few_views(views):
    places = np.random.default_rng(2).uniform(-70, 70, (views, 3))
    folded = places.copy()
    folded[:, 0] = np.abs(folded[:, 0])
    assert "Left and right are confused" in said(gap_matrix(folded), places=places)


def test_a_cross_is_named_only_where_the_slow_copy_looks():
    late = PLACES.copy()
    late[0] += (40, -30, 0)
    assert "A cross in the errors" in said(gap_matrix(late), lagging=True)
    assert "cross" not in said(gap_matrix(late))


def test_a_row_whose_gaps_turn_back_is_named():
    places = np.zeros((16, 3))
    places[:, 2] = np.linspace(-60, 60, 16)

    def of(predicted):
        true = GapMatrix(views_of(places), gap_matrix(places))
        matrices = {"gaps": GapMatrix(views_of(places), predicted), "vectors": true}
        row = RowsSeen(2, matrices)
        # It is said of the head that is shown.
        assert hints.row_hints(row, "vectors") == []
        swapped = RowsSeen(2, {"gaps": true, "vectors": matrices["gaps"]})
        assert hints.row_hints(swapped, "vectors") == hints.row_hints(row, "gaps")
        return hints.row_hints(row, "gaps")

    assert of(gap_matrix(places)) == []
    again = places.copy()
    again[:, 2] = 30 * np.sin(places[:, 2] / 15)
    assert "along S predicted gaps shrink again" in of(gap_matrix(again))[0]


def test_chance_of_a_matrix_is_that_of_its_gaps_dealt_out():
    matrix = GapMatrix(views_of(PLACES), gap_matrix(PLACES))
    chance = dealt(matrix)
    assert dealt(matrix) == chance
    mean = np.linalg.norm(matrix.true_mm, axis=-1).mean()
    assert chance.diagonal_mm == pytest.approx(mean, rel=0.3)
    # Two independent vectors in a sum: their squares add up.
    size = np.sqrt(2 * np.mean(np.sum(matrix.true_mm**2, axis=-1)))
    assert 0.6 * size < chance.antisymmetry_mm < size
    assert 0 < chance.triangle_violations < 1
