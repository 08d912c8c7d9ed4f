"""Where to label next: beside a brute force, and what users count on."""

import itertools

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import FeatureStack, FilterBankSettings
from napari_mrissl.segmentation import Prompts, suggestions
from napari_mrissl.segmentation.suggestions import Candidate, Place, suggest
from napari_mrissl.volumes import Volume

SHAPE = (12, 10, 8)


def oblique():
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", (14, -8, 5), degrees=True).as_matrix() * (2, 1, 1.5)
    affine[:3, 3] = (-20, 30, 5)
    return affine


def volume(seed=0, affine=None, shape=SHAPE):
    # Stored as (R, A, S), which is turned around.
    voxels = np.random.default_rng(seed).integers(0, 500, shape[::-1]).astype(np.int16)
    return Volume.from_stored(voxels, np.eye(4) if affine is None else affine)


def candidate(scan, channels, uncertainty, prompts=None):
    data = np.ascontiguousarray(channels, np.float32)
    names = tuple(f"channel {n}" for n in range(len(data)))
    stack = FeatureStack(data, names, scan.identity, FilterBankSettings())
    return Candidate(scan, stack, uncertainty.astype(np.float32), prompts or Prompts())


def two_kinds(scan):
    """A scan whose halves look different: the first is larger, both are equally uncertain."""
    kind = np.zeros(scan.shape)
    kind[: scan.shape[0] // 3] = 1
    return candidate(scan, kind[None], np.full(scan.shape, 0.5))


def voxel_of(scan, found):
    return tuple(np.rint(scan.to_index @ [*found.place[1:], 1])[:3].astype(int))


def test_the_score_is_that_of_brute_force():
    rng = np.random.default_rng(1)
    scan = volume(shape=(5, 6, 7))
    channels = gaussian_filter(rng.normal(size=(3, *scan.shape)), (0, 1, 1, 1)) + 4
    uncertainty = rng.random(scan.shape)
    marked = [(1, 2, 3), (4, 4, 4)]
    world = [(scan.affine @ [*voxel, 1])[:3] for voxel in marked]
    prompts = Prompts.from_arrays(world, [1, 2])
    found = suggest([candidate(scan, channels, uncertainty, prompts)])
    smooth = gaussian_filter(uncertainty.astype(np.float32), 1 / scan.spacing, mode="nearest")
    voxels = list(itertools.product(*map(range, scan.shape)))
    rows = np.array([channels[(slice(None), *voxel)] for voxel in voxels])
    rows = rows / rows.std(axis=0)
    need = np.array([smooth[voxel] for voxel in voxels])
    squares = np.array([[((a - b) ** 2).sum() for b in rows] for a in rows])
    width = np.quantile(squares, suggestions._NEAREST)
    at = [voxels.index(voxel) for voxel in marked]
    unmet = [
        need[j] * (1 - max(np.exp(-squares[j, k] / 2 / width) for k in at))
        for j in range(len(voxels))
    ]
    part = [
        sum(np.exp(-squares[i, j] / 2 / width) * unmet[j] for j in range(len(voxels))) / need.sum()
        for i in range(len(voxels))
    ]
    score = [0 if i in at else need[i] * part[i] for i in range(len(voxels))]
    best = int(np.argmax(score))
    assert voxel_of(scan, found) == voxels[best]
    assert found.score == pytest.approx(score[best], rel=1e-4)
    assert found.representativeness == pytest.approx(part[best], rel=1e-4)
    assert found.uncertainty == pytest.approx(need[best], rel=1e-4)


def test_what_stands_for_more_comes_first_and_then_what_looks_otherwise():
    scan = volume()
    first = suggest([two_kinds(scan)])
    assert voxel_of(scan, first)[0] >= 4, "two thirds of the scan look like this"
    assert first.representativeness == pytest.approx(2 / 3, abs=0.1)
    one = two_kinds(scan)
    answered = Prompts.from_arrays([first.place[1:]], [1])
    second = suggest([Candidate(scan, one.stack, one.uncertainty, answered)])
    assert voxel_of(scan, second)[0] < 4
    assert "50% uncertain" in first.why


def test_what_is_certain_is_never_suggested():
    scan = volume()
    uncertainty = np.zeros(SHAPE)
    uncertainty[8:, 6:, :3] = 0.9
    found = suggest([candidate(scan, np.ones((1, *SHAPE)), uncertainty)])
    s, a, r = voxel_of(scan, found)
    assert s >= 7
    assert a >= 5
    assert r <= 3
    assert suggest([candidate(scan, np.ones((1, *SHAPE)), np.zeros(SHAPE))]) is None
    assert suggest([]) is None


def test_a_skip_is_accepted_and_stays_accepted():
    scan = volume()
    one = two_kinds(scan)
    skipped = []
    for _ in range(4):
        found = suggest([one], skipped)
        if found is None:
            break
        for place in skipped:
            apart = np.linalg.norm(np.subtract(found.place[1:], place[1:]))
            assert apart >= suggestions._SKIPPED_MM - 1e-6
        skipped.append(found.place)
    assert len(skipped) >= 2
    other = Place("0" * 64, *skipped[0][1:])
    assert suggest([one], [other]) == suggest([one]), "a skip in another scan changes nothing"
    far = Place(scan.identity, 1e5, 0.0, 0.0)
    assert suggest([one], [far]) == suggest([one])


def test_the_same_each_time_and_from_the_scan_that_needs_it():
    sure, unsure = volume(1), volume(2, oblique())
    rng = np.random.default_rng(3)
    parts = [
        candidate(scan, rng.normal(size=(2, *scan.shape)), np.full(scan.shape, level))
        for scan, level in ((sure, 0.05), (unsure, 0.6))
    ]
    found = suggest(parts)
    assert found.place.scan == unsure.identity
    assert suggest(parts) == found
    assert suggest(parts[::-1]).place == found.place
    inside = unsure.to_index @ [*found.place[1:], 1]
    assert ((inside[:3] >= -0.5) & (inside[:3] <= np.array(unsure.shape) - 0.5)).all()


@pytest.mark.parametrize("affine", [None, "oblique"])
@pytest.mark.parametrize(
    ("axis", "plane", "normal"),
    [(0, "axial", (0, 0, 1)), (1, "coronal", (0, -1, 0)), (2, "sagittal", (1, 0, 0))],
)
def test_the_plane_is_the_one_that_shows_most_uncertainty(axis, plane, normal, affine):
    scan = volume(affine=oblique() if affine else np.diag([1.5, 2, 1, 1]))
    uncertainty = np.full(scan.shape, 0.01)
    middle = tuple(n // 2 for n in scan.shape)
    uncertainty[tuple(middle[k] if k == axis else slice(None) for k in range(3))] = 0.8
    found = suggest([candidate(scan, np.ones((1, *scan.shape)), uncertainty)])
    assert found.plane == plane
    np.testing.assert_allclose(found.pose.normal, normal, atol=1e-12)
    np.testing.assert_allclose(found.pose.center, found.place[1:])
    assert found.pose.fov == pytest.approx(scan.extent.max())
    assert voxel_of(scan, found)[axis] == middle[axis]


def test_strange_input_is_refused_or_survived():
    scan = volume()
    one = two_kinds(scan)
    with pytest.raises(MrisslError, match="different features"):
        suggest([one, candidate(volume(5), np.ones((2, *SHAPE)), np.ones(SHAPE))])
    with pytest.raises(MrisslError, match="belong to another scan"):
        Candidate(volume(6), one.stack, one.uncertainty)
    with pytest.raises(MrisslError, match="uncertainty of shape"):
        Candidate(scan, one.stack, one.uncertainty[1:])
    odd = one.uncertainty.copy()
    odd[0, 0, 0] = np.nan
    assert suggest([Candidate(scan, one.stack, odd)]) is not None
    thin = volume(shape=(1, 9, 1))
    assert suggest([candidate(thin, np.ones((1, *thin.shape)), np.ones(thin.shape))]) is not None


def test_voxels_are_spread_over_all_of_a_large_scan():
    voxels = suggestions._evenly((100, 90, 3), 2000)
    assert 1500 < len(voxels) < 3500
    assert (voxels.min(axis=0) <= (12, 12, 2)).all()
    assert (voxels.max(axis=0) >= (88, 78, 0)).all()
    assert (voxels < (100, 90, 3)).all()
    assert len(suggestions._evenly((3, 3, 3), 10_000)) == 27
