"""Positions rebuilt from distances and vectors, laid over the true ones."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.spatial.transform import Rotation

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.observable.gaps import gap_matrix
from napari_mrissl.pretext.observable.layout import by_distances, by_vectors, laid_over, layout


@pytest.fixture
def points():
    return np.random.default_rng(0).normal(size=(8, 3)) * (40, 50, 70)


def test_true_matrices_give_true_places(points):
    for source in ("norm", "vectors"):
        found = layout(gap_matrix(points), points, source)
        np.testing.assert_allclose(found.points_mm, points, atol=1e-6)
        assert found.stress < 1e-9
        assert found.error_mm < 1e-6


def test_distances_survive_classical_scaling(points):
    found = by_distances(squareform(pdist(points)))
    np.testing.assert_allclose(pdist(found), pdist(points))
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-9)


def test_vectors_are_fitted_by_least_squares(points):
    noisy = gap_matrix(points) + np.random.default_rng(1).normal(size=(8, 8, 3))
    rows, wanted = [], []
    for i in range(8):
        for j in range(8):
            row = np.zeros(8)
            row[j] += 1
            row[i] -= 1
            rows.append(row)
            wanted.append(noisy[i, j])
    # The shortest of the solutions, which are the same but for their middle.
    solved = np.linalg.lstsq(np.array(rows), np.array(wanted), rcond=None)[0]
    np.testing.assert_allclose(by_vectors(noisy), solved, atol=1e-9)


def test_turned_and_mirrored_places_are_laid_over_unless_told_not_to(points):
    turned = points @ Rotation.from_euler("xyz", (0.4, -1.1, 2.0)).as_matrix() * (1, 1, -1) + 30
    np.testing.assert_allclose(laid_over(turned, points, turn=True), points, atol=1e-9)
    moved = laid_over(points + 9, points, turn=False)
    np.testing.assert_allclose(moved, points, atol=1e-9)
    assert np.abs(laid_over(turned, points, turn=False) - points).max() > 5


def _rms(off):
    return np.sqrt((off**2).sum(axis=1).mean())


@pytest.mark.parametrize("views", [3, 4, 6, 8])
def test_chance_of_distances_is_turned_onto_the_true_places_as_well(views):
    """By SciPy's own alignment, over other deals than the layout's."""
    rng = np.random.default_rng(views)
    true = rng.uniform(-40, 40, (views, 3))
    middle = true - true.mean(axis=0)
    found = {source: layout(gap_matrix(true), true, source) for source in ("norm", "vectors")}
    assert found["vectors"].chance_mm == pytest.approx(_rms(middle))
    dealt = []
    for _ in range(400):
        mixed = rng.permutation(middle)
        turned = mixed @ Rotation.align_vectors(middle, mixed)[0].as_matrix().T
        mirrored = mixed * (-1, 1, 1)
        other = mirrored @ Rotation.align_vectors(middle, mirrored)[0].as_matrix().T
        dealt.append(min(_rms(turned - middle), _rms(other - middle)))
    wanted = min(np.mean(dealt), _rms(middle))
    assert found["norm"].chance_mm == pytest.approx(wanted, rel=0.08)
    if views < 6:
        assert found["norm"].chance_mm < 0.8 * _rms(middle)


def test_scale_errors_stay_and_contradictions_are_stress(points):
    half = layout(gap_matrix(points) / 2, points)
    np.testing.assert_allclose(half.points_mm - points.mean(0), (points - points.mean(0)) / 2)
    assert half.stress < 1e-9
    same = np.broadcast_to([3.0, 0, 4], (8, 8, 3))
    odd = layout(same, points)
    assert odd.stress == pytest.approx(1)
    np.testing.assert_allclose(odd.points_mm, np.broadcast_to(points.mean(0), (8, 3)))
    with pytest.raises(MrisslError, match="square"):
        layout(np.zeros((3, 4, 3)), points[:3])
