"""Chunks lie along the gap, which those of the authors' code do not, and never cross."""

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.observable import chunks
from napari_mrissl.pretext.observable.gaps import gap_matrix

VOLUME, VIEW, CHUNK = np.array([256, 320, 320]), 96, 48


def _gaps(rng: np.random.Generator, count: int, views: int = 3) -> np.ndarray:
    """Gaps (count, V, V, 3) in voxels of views of 96 that start at whole voxels of a scan."""
    return gap_matrix(rng.integers(0, VOLUME - VIEW + 1, (count, views, 3)).astype(np.float64))


def _offsets_of_the_code(gaps: np.ndarray, room: float) -> np.ndarray:
    """The authors' code for arXiv:2509.05967: the least over views, for each coordinate."""
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(gaps == 0, np.inf, room / np.abs(gaps))
    shares = shares.min(axis=-3, keepdims=True)
    return np.where(np.isfinite(shares), shares, 0) * gaps


def _degrees(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    cosine = (a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


@pytest.mark.parametrize(("views", "degrees"), [(3, 18.5), (4, 14.6), (5, 12.9)])
def test_offsets_point_along_the_gap_where_the_code_is_many_degrees_off(views, degrees):
    gaps = _gaps(np.random.default_rng(views), 600, views)
    room = (VIEW - CHUNK) / 2
    first, second = np.triu_indices(views, 1)
    direction = gaps[:, first, second]
    ours = chunks.offsets(direction, np.full(3, room))
    assert _degrees(ours, direction).max() < 1e-4
    # Rounded to voxels still within a few degrees.
    assert _degrees(np.rint(ours), direction).mean() < 2
    theirs = _offsets_of_the_code(gaps, room)[:, first, second]
    known = np.linalg.norm(theirs, axis=-1) > 0
    assert _degrees(theirs, direction)[known].mean() == pytest.approx(degrees, abs=1)
    # As far as the view allows, and no farther.
    np.testing.assert_allclose(np.abs(ours).max(-1), room)


def test_overlapping_pairs_are_dropped_and_others_face_each_other():
    rng = np.random.default_rng(1)
    dropped = total = 0
    for gaps in _gaps(rng, 300):
        plan = chunks.plan(gaps, (VIEW,) * 3, (CHUNK,) * 3)
        centers = {0: np.zeros(3), 1: gaps[0, 1], 2: gaps[0, 2]}
        for (i, j), starts, of_view, kept in zip(
            plan.pairs, plan.starts, plan.of_view, plan.kept, strict=True
        ):
            assert (starts >= 0).all()
            assert (starts + CHUNK <= VIEW).all()
            way = gaps[i, j]
            room = (VIEW - CHUNK) / 2
            crosses = 2 * room > np.abs(way).max()
            assert kept == (not crosses)
            total += 1
            dropped += crosses
            middles = [
                centers[view] + start + CHUNK / 2 - VIEW / 2
                for view, start in zip(of_view, starts, strict=True)
            ]
            if kept:
                near = np.linalg.norm(middles[0] - middles[1])
                far = np.linalg.norm(middles[2] - middles[3])
                assert near < np.linalg.norm(way) < far
    assert 0.02 < dropped / total < 0.15


def test_views_at_one_place_have_no_direction_and_are_dropped():
    plan = chunks.plan(np.zeros((2, 2, 3)), (16,) * 3, (12,) * 3)
    assert not plan.kept.any()
    np.testing.assert_array_equal(plan.starts, 2)


def test_slabs_have_chunks_of_their_own_shape():
    gaps = gap_matrix(np.array([[0.0, 0, 0], [40, 0, 0]]))
    plan = chunks.plan(gaps, (8, 32, 32), (6, 24, 24))
    np.testing.assert_array_equal(plan.starts[0, :, 0], [2, 0, 0, 2])
    np.testing.assert_array_equal(plan.starts[0, :, 1:], 4)
    with pytest.raises(MrisslError, match="chunks of"):
        chunks.plan(gaps, (8, 32, 32), (8, 24, 24))


def test_chunks_that_share_voxels_are_known():
    """By counting voxels of each pair of chunks that lie in both."""
    rng, seen, view_side, chunk = np.random.default_rng(5), set(), 16, 12
    for _ in range(40):
        # Whole voxels, so that those of both views coincide.
        centers = rng.integers(-20, 21, (3, 3)).astype(float)
        plan = chunks.plan(gap_matrix(centers), (view_side,) * 3, (chunk,) * 3)
        for pair in np.flatnonzero(plan.kept):
            boxes = []
            for view, start in zip(plan.of_view[pair], plan.starts[pair], strict=True):
                lower = centers[view] + start
                boxes.append([set(range(int(low), int(low) + chunk)) for low in lower])
            shared = [
                all(one & other for one, other in zip(boxes[a], boxes[b], strict=True))
                for a, b in ((0, 1), (0, 3), (2, 1), (2, 3))
            ]
            assert plan.separate[pair] == (not any(shared))
            seen.add(bool(plan.separate[pair]))
    assert seen == {False, True}


def test_verdicts_are_on_chunks_of_different_views():
    alike = np.eye(4)
    alike[0, 1] = alike[1, 0] = 0.9
    alike[2, 3] = alike[3, 2] = -0.4
    # Both chunks of one view: nearer than those that face each other, as a rule.
    alike[0, 2] = alike[2, 0] = 0.95
    near, far = chunks.verdicts(alike)
    assert near
    assert far
    assert not chunks.verdicts(alike, chunks.SIX)[0]
    alike[0, 3] = alike[3, 0] = 0.99
    assert not chunks.verdicts(alike)[0]
    assert not chunks.verdicts(np.ones((4, 4)))[0], "a tie is no answer"
    # A guess is right in one of four cases, or of six.
    noise = np.random.default_rng(2).normal(size=(6000, 4, 4))
    assert chunks.verdicts(noise)[0].mean() == pytest.approx(1 / 4, abs=0.02)
    assert chunks.verdicts(noise, chunks.SIX)[0].mean() == pytest.approx(1 / 6, abs=0.02)
    assert (chunks.CHANCE, chunks.CHANCE_OF_SIX) == (1 / 4, 1 / 6)


def test_by_place_adjacent_chunks_are_nearest_but_for_those_of_one_view():
    """Why the question is not asked among all six pairs."""
    fooled = total = 0
    for gaps in _gaps(np.random.default_rng(3), 100):
        plan = chunks.plan(gaps, (VIEW,) * 3, (CHUNK,) * 3)
        for pair in np.flatnonzero(plan.kept):
            centers = np.array([np.zeros(3), gaps[0, 1], gaps[0, 2]])
            middles = centers[plan.of_view[pair]] + plan.starts[pair]
            near = -np.linalg.norm(middles[:, None] - middles, axis=-1)
            assert chunks.verdicts(near) == (True, True)
            fooled += not chunks.verdicts(near, chunks.SIX)[0]
            total += 1
    assert fooled > 0.3 * total
