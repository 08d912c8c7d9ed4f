"""Planes in closed form, heads whose truth agrees with their voxels, answers that find it."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_mrissl.evaluation.navigation import standard_plane as planes
from napari_mrissl.evaluation.navigation.plane_heads import displaced_head, fitted_plane
from napari_mrissl.evaluation.navigation.standard_plane import Plane, apart
from napari_mrissl.geometry import Pose
from napari_mrissl.volumes import Volume

SIDE = 48


@pytest.fixture(scope="module")
def head():
    return displaced_head(3, 5, SIDE)


def mirrored(turn, shift):
    """A volume that is its own mirror image across a known plane, and the plane."""
    rng = np.random.default_rng(0)
    axes = np.arange(48) - 23.5
    x, y, z = np.meshgrid(axes, axes, axes, indexing="ij")
    world = np.stack([x, y, z]).reshape(3, -1) * 2.0
    turned = turn.inv().apply(world.T - shift)
    noise = ndimage.gaussian_filter(rng.random((60, 60, 60)), 3)
    noise = (noise - noise.min()) / np.ptp(noise)
    index = np.array([np.abs(turned[:, 0]), turned[:, 1] + 60, turned[:, 2] + 60]) / 2.0
    grey = ndimage.map_coordinates(noise, index, order=1, mode="nearest")
    inside = (turned / (22, 30, 26)) ** 2
    values = np.where(inside.sum(axis=1) < 1, 0.4 + grey, 0).reshape(48, 48, 48)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -47.0
    volume = Volume.from_stored(values.astype(np.float32), affine, name="mirrored")
    return volume, Plane.of(shift, turn.as_matrix()[:, 0])


def test_distance_and_angle_in_closed_form():
    true = Plane.of((0, 0, 0), (1, 0, 0))
    middle = np.array([4.0, 10.0, -20.0])
    assert apart(Plane.of((0, 5, 5), (-2, 0, 0)), true, middle) == (0.0, 0.0)
    assert apart(Plane.of((7, 5, 5), (1, 0, 0)), true, middle) == (7.0, 0.0)
    # Turned by 30 degrees about z through the origin: at (0, 10, -20) it is 10 sin 30 away.
    found = Plane.of((0, 0, 3), (np.cos(np.pi / 6), np.sin(np.pi / 6), 0))
    assert apart(found, true, middle) == pytest.approx((5.0, 30.0))
    pose = Pose.from_normal_up((1, 2, 3), (0, 0, 2), (0, 1, 0), 50.0)
    assert Plane.of_pose(pose).distance_mm((9, 9, 9)) == pytest.approx(6.0)


def test_a_plane_is_fitted_to_what_lies_near_it():
    turn = Rotation.from_rotvec([0.1, 0.4, -0.2])
    places = np.random.default_rng(0).uniform(-60, 60, (5000, 3))
    x = 1.1 * (turn.inv().apply(places)[:, 0] - 6.0)
    found = fitted_plane(places, x)
    mm, degrees = apart(found, Plane.of(turn.apply([6, 0, 0]), turn.apply([1, 0, 0])), np.zeros(3))
    assert mm < 1e-9
    assert degrees < 1e-4


def test_heads_are_displaced_by_what_they_say_and_no_further():
    heads = [displaced_head(0, number, 32) for number in range(4)]
    for head in heads:
        assert 0 <= head.moved_mm <= 30
        assert 0 <= head.turned_degrees <= 30
        angle = np.degrees(np.arccos(abs(head.plane.normal[0])))
        # Scale and shear turn the plane a little more.
        assert angle < head.turned_degrees + 6
        assert apart(Plane.of_pose(head.target), head.plane, head.middle) == pytest.approx(
            (0, 0), abs=1e-5
        )
    assert len({head.volume.identity for head in heads}) == 4
    again = displaced_head(0, 2, 32)
    assert again.volume.identity == heads[2].volume.identity


def test_the_true_plane_is_the_one_across_which_a_head_is_alike(head):
    """The template is symmetric; so the truth has to be a better mirror than planes nearby."""
    points, values = planes._sample(head.volume)

    def alike(mm, degrees):
        turn = Rotation.from_rotvec(np.radians(degrees) * head.target.up)
        normal = turn.apply(head.plane.normal)
        return planes._alike(
            head.volume, Plane.of(head.target.center + mm * normal, normal), points, values
        )

    best = alike(0, 0)
    assert best > 0.6
    for mm, degrees in ((6, 0), (-6, 0), (0, 8), (0, -8)):
        assert best > alike(mm, degrees) + 0.02, (mm, degrees)


def test_symmetry_is_found_where_there_is_one():
    turn, shift = Rotation.from_rotvec([0.05, 0.2, -0.25]), np.array([6.0, -3.0, 2.0])
    volume, true = mirrored(turn, shift)
    mm, degrees = apart(planes.mirror_symmetry(volume), true, shift)
    assert mm < 0.7
    assert degrees < 1.5
    rough = apart(planes.principal_axes(volume), true, shift)
    assert rough[1] < 20


def test_plain_answers_by_hand():
    volume, _ = mirrored(Rotation.identity(), np.zeros(3))
    moved = Volume.from_stored(np.ones((3, 4, 5), np.float32) * np.arange(5), np.diag([2, 2, 2, 1]))
    assert planes.fixed_world(moved).distance_mm((3, 8, 8)) == 3.0
    # The middle of three voxels of 2 mm from 0 on lies at 2 mm.
    assert planes.volume_centre(moved).distance_mm((3, 8, 8)) == pytest.approx(1.0)
    mm, degrees = apart(planes.principal_axes(volume), Plane.of((0, 0, 0), (1, 0, 0)), np.zeros(3))
    assert mm < 1.0
    assert degrees < 5
