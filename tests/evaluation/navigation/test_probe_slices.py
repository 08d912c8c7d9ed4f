"""Slices for probes: what is said of them is what was cut."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from napari_mrissl.evaluation.navigation.probe_slices import Amounts, draw
from napari_mrissl.geometry import Pose, apply_action
from napari_mrissl.pretext.navigation.flights import Flights, cut
from napari_mrissl.pretext.navigation.settings import KINDS, FlightSettings
from napari_mrissl.slicing.foreground import Foreground
from tests.pretext.navigation.small import Smooth, smooth

AMOUNTS = Amounts(subjects=2, slices=6, pairs=3)
SIZE = 16


class Labelled(Smooth):
    """Scans whose labels are thirds along the first axis."""

    def scan(self, number):
        """The scan of a person."""
        scan = super().scan(number)
        labels = np.zeros(scan.volume.shape, np.uint8)
        third = scan.volume.shape[0] // 3
        labels[third : 2 * third], labels[2 * third :] = 4, 9
        return replace(scan, labels=labels)


@pytest.fixture(scope="module")
def slices():
    return draw(Labelled(), AMOUNTS, SIZE, seed=3)


def poses_of(slices):
    middles = [Foreground.of(smooth(k).volume).box.mean(axis=0) for k in (0, 1)]
    return [
        Pose(place + middles[person], rotation, fov)
        for place, person, rotation, fov in zip(
            slices.places, slices.subjects, slices.rotations, slices.fovs, strict=True
        )
    ]


def test_images_and_labels_are_those_of_the_poses(slices):
    poses = poses_of(slices)
    assert len(poses) == 2 * (6 + 4 * 3)
    for number in (0, 7, 20, 35):
        scan = Labelled().scan(int(slices.subjects[number]))
        grey, valid = cut(scan, (poses[number],), SIZE)
        np.testing.assert_allclose(slices.images[number, 0], grey[0], atol=1e-4)
        assert np.array_equal(slices.images[number, 1] > 0, valid[0])
        places = poses[number].grid(SIZE)
        i, j = np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij")
        world = np.einsum("xk,kij->xij", places[:3], np.stack([0 * i, i, j, 0 * i + 1.0]))
        to_index = scan.volume.to_index
        index = np.einsum("xk,kij->xij", to_index[:3, :3], world) + to_index[:3, 3, None, None]
        expected = ndimage.map_coordinates(scan.labels, index, order=0, mode="nearest")
        inside = slices.images[number, 1] > 0
        agree = slices.labels[number][inside] == expected[inside]
        assert agree.mean() > 0.98


def test_pairs_are_what_they_say(slices):
    poses = poses_of(slices)
    for (first, second), action in zip(slices.moved, slices.actions, strict=True):
        again = apply_action(poses[first], action)
        np.testing.assert_allclose(again.to_row(), poses[second].to_row(), atol=1e-6)
        assert np.linalg.norm(action) > 0
    for (first, second), later in zip(slices.ordered, slices.later, strict=True):
        way = poses[second].center - poses[first].center
        along = way @ poses[first].normal
        assert (along > 0) == later
        assert np.linalg.norm(way) == pytest.approx(abs(along), rel=1e-6)
        assert 0.02 <= abs(along) / poses[first].fov <= 0.10 + 1e-9
    assert set(slices.subjects[slices.singles]) == {0, 1}
    assert len(slices.singles) == 12


def test_planes_are_the_nearest_ones(slices):
    normals = np.abs(slices.rotations[:, :, 2])
    # Along z is axial, along y coronal, along x sagittal.
    assert np.array_equal(slices.planes, 2 - normals.argmax(axis=1))


def test_the_same_seed_draws_the_same_and_another_does_not(slices):
    again = draw(Labelled(), AMOUNTS, SIZE, seed=3)
    assert np.array_equal(again.images, slices.images)
    other = draw(Labelled(), AMOUNTS, SIZE, seed=4)
    assert not np.array_equal(other.places, slices.places)
    assert draw(Smooth(), AMOUNTS, SIZE, seed=3).labels is None


def test_stacks_are_axis_aligned_slices_of_all_of_the_scan():
    only = dict.fromkeys(KINDS, 0.0) | {"stack": 1.0}
    flights = Flights(FlightSettings(frames=5, **only))
    scan = smooth(1)
    axes = scan.volume.affine[:3, :3] / scan.volume.spacing
    found = set()
    for seed in range(16):
        poses = flights.fly(scan, "stack", 5, seed)
        along = np.abs(poses[0].normal @ axes)
        axis = int(along.argmax())
        found.add(axis)
        assert along[axis] == pytest.approx(1.0)
        index = np.stack([scan.volume.to_index @ np.append(pose.center, 1) for pose in poses])
        levels = index[:, axis]
        np.testing.assert_allclose(levels, np.rint(levels), atol=1e-6)
        assert len(set(np.rint(levels).astype(int))) == 5
        assert {pose.fov for pose in poses} == {float(scan.volume.extent.max())}
        assert all(Foreground.of(scan.volume).fraction(pose) >= 0.1 for pose in poses)
    assert found == {0, 1, 2}
