"""Crops and points: what a crop shows at a point is what the scan holds there."""

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.coordinates import pairs
from napari_mrissl.pretext.coordinates.settings import PairSettings
from napari_mrissl.pretext.observable.sampling import Bodies
from napari_mrissl.slicing.foreground import Foreground
from tests.pretext.observable.scans import RAMP, ramp
from tests.pretext.painted import Blobs, blob

SETTINGS = PairSettings(side=16, spacing=(0.5, 1.5), pairs=5, points=40, anywhere=10)


def _drawn(scan, seed=0, settings=SETTINGS):
    return pairs.draw(np.random.default_rng(seed), scan, settings, Bodies())


@pytest.mark.parametrize("kind", ["upright", "permuted", "oblique"])
def test_crops_show_the_scan_where_points_are(kind):
    """A ramp through the world: grey values of crops, read at the places, tell where they are."""
    scan = ramp(kind)
    drawn = _drawn(scan)
    images = pairs.cut(scan, drawn)
    middle = (np.array(scan.volume.shape) - 1) / 2
    index = drawn.points_mm[..., ::-1] / scan.volume.spacing + middle
    affine = scan.volume.affine
    world = index @ affine[:3, :3].T + affine[:3, 3]
    expected = (world @ RAMP - scan.low) / (scan.high - scan.low)
    # By hand, of eight voxels each; a scan's last half voxel and a crop's are not between any.
    places = drawn.places
    inside = ((places > 0) & (places < 15)).all(axis=-1)
    inside &= ((index > 2) & (index < np.array(scan.volume.shape) - 3)).all(axis=-1)
    assert inside.mean() > 0.4
    lower = np.floor(places).astype(int)
    for crop in np.ndindex(2, 5):
        for point in np.flatnonzero(inside[crop]):
            corner, part = lower[crop][point], places[crop][point] - lower[crop][point]
            found = 0.0
            for z, y, x in np.ndindex(2, 2, 2):
                share = np.prod(np.where([z, y, x], part, 1 - part))
                found += share * images[crop][tuple(corner + np.array((z, y, x)))]
            assert found == pytest.approx(expected[crop][point], abs=2e-4)


def test_pairs_overlap_in_the_body_and_share_their_points():
    scan = blob(0)
    drawn = _drawn(scan)
    assert drawn.points_mm.shape == (2, 5, 50, 3)
    np.testing.assert_array_equal(drawn.points_mm[0, :, :40], drawn.points_mm[1, :, :40])
    assert not np.allclose(drawn.points_mm[0, :, 40:], drawn.points_mm[1, :, 40:])
    extent = np.array(scan.volume.shape) * scan.volume.spacing
    half = drawn.edges_mm / 2
    assert (np.abs(drawn.centers_mm) + half <= extent[::-1] / 2 + 1e-9).all()
    away = np.abs(drawn.points_mm - drawn.centers_mm[:, :, None])
    assert (away <= half[:, :, None] + 1e-9).all(), "every point lies in its crop"
    lengths = drawn.edges_mm / 16
    assert lengths.min() >= 0.5
    assert lengths.max() <= 1.5
    assert lengths.std(axis=2).min() > 0, "voxels have three edges"
    found = Foreground.of(scan.volume)
    middle = (np.array(scan.volume.shape) - 1) / 2
    index = drawn.points_mm[0, :, :40, ::-1] / scan.volume.spacing + middle
    world = index @ scan.volume.affine[:3, :3].T + scan.volume.affine[:3, 3]
    at = np.linalg.inv(found.affine)
    near = np.rint(world @ at[:3, :3].T + at[:3, 3]).astype(int)
    near = near.clip(0, np.array(found.mask.shape) - 1)
    body = found.mask[tuple(np.moveaxis(near, -1, 0))].mean()
    assert body > 0.75 > found.mask.mean() + 0.2


def test_what_is_drawn_follows_from_the_generator_alone():
    first, again = _drawn(blob(0), 3), _drawn(blob(0), 3)
    np.testing.assert_array_equal(first.points_mm, again.points_mm)
    assert not np.array_equal(first.points_mm, _drawn(blob(0), 4).points_mm)


def test_a_scan_shorter_than_crops_cuts_them_down():
    wide = PairSettings(side=64, spacing=(5.0, 5.0), pairs=2, points=4, anywhere=0)
    scan = blob(1)
    extent = np.array(scan.volume.shape) * scan.volume.spacing
    drawn = _drawn(scan, settings=wide)
    np.testing.assert_allclose(drawn.edges_mm, np.broadcast_to(extent[::-1], (2, 2, 3)))
    np.testing.assert_allclose(drawn.centers_mm, 0, atol=1e-9)


def test_crops_of_another_scan_are_refused():
    with pytest.raises(MrisslError, match="of another scan"):
        pairs.cut(Blobs().scan(1), _drawn(Blobs().scan(0)))


def test_a_share_of_blocks_is_black():
    images = np.ones((40, 16, 16, 16), np.float32)
    settings = PairSettings(side=16, masked=0.5, hidden=0.6)
    found = pairs.masked(np.random.default_rng(0), images, settings)
    black = 1 - found.mean(axis=(1, 2, 3))
    # 38 of 64 blocks, or none.
    assert set(np.round(black, 6)) == {0.0, round(38 / 64, 6)}
    assert 10 < (black > 0).sum() < 30
    blocks = found.reshape(40, 4, 4, 4, 4, 4, 4).mean(axis=(2, 4, 6))
    assert set(np.unique(blocks)) == {0.0, 1.0}
    assert images.min() == 1, "crops that were given are as they were"
