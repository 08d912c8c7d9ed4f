"""Smooth flights: through every key, continuous up to the acceleration, at the speed asked for."""

import itertools

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose, relative_action
from napari_mrissl.trajectories import spline


@pytest.fixture
def keys():
    rng = np.random.default_rng(4)
    return [
        Pose.from_normal_up(rng.normal(0, 40, 3), rng.normal(size=3), rng.normal(size=3), fov)
        for fov in (200, 150, 90, 180, 220)
    ]


def gaps(poses):
    """Actions in mm, radians and log zoom from pose to pose."""
    actions = [relative_action(a, b) for a, b in itertools.pairwise(poses)]
    return np.array([[*(a[:3] * p.fov), *a[3:]] for a, p in zip(actions, poses, strict=False)])


def test_it_goes_through_every_key(keys):
    poses = spline(keys, hertz=2000, seconds=5)
    assert len(poses) == 10_001
    assert (poses[0], poses[-1]) == (keys[0], keys[-1])
    centers = np.array([pose.center for pose in poses])
    for key in keys:
        # No pose further away can be as near as 2e-3 fields of view along each axis.
        near = np.linalg.norm(centers - key.center, axis=1) < 4e-3 * key.fov
        assert min(off(key, poses[number]) for number in np.flatnonzero(near)) < 2e-3


def off(key, pose):
    return np.abs(relative_action(key, pose)).max()


def test_it_is_smooth(keys):
    """Halving the step halves the velocity's change: no jump in the second derivative."""
    for rate in (500, 1000):
        poses = spline(keys, hertz=rate, seconds=5)
        velocity = np.array([pose.center for pose in poses])
        acceleration = np.diff(velocity, 2, axis=0) * rate**2
        jerk = np.abs(np.diff(acceleration, axis=0)).max()
        turning = gaps(poses)[:, 3:6] * rate
        turns = np.abs(np.diff(turning, axis=0)).max()
        if rate == 500:
            before = jerk, turns
    assert jerk < 0.6 * before[0]
    assert turns < 0.6 * before[1]


def test_two_keys_give_a_straight_way():
    a = Pose.from_normal_up((0, 0, 0), (0, 0, 1), (0, 1, 0), 100)
    b = Pose.from_normal_up((30, 0, 40), (0, 0, 1), (0, 1, 0), 100)
    poses = spline([a, a, b], hertz=10, speed=25)
    assert len(poses) == 21
    expected = np.linspace(0, 1, 21)[:, None] * [30, 0, 40]
    np.testing.assert_allclose([pose.center for pose in poses], expected, atol=1e-9)
    assert all(np.allclose(pose.rotation, a.rotation) for pose in poses)


def test_time_between_keys_is_in_proportion_to_the_way():
    keys = [Pose.from_normal_up((x, 0, 0), (0, 0, 1), (0, 1, 0), 100) for x in (0, 10, 40)]
    poses = spline(keys, hertz=100, seconds=4)
    np.testing.assert_allclose(poses[100].center, (10, 0, 0), atol=1e-9)


def test_a_turn_in_place_takes_time_too():
    a = Pose.from_normal_up((0, 0, 0), (0, 0, 1), (0, 1, 0), 100)
    b = Pose.from_normal_up((0, 0, 0), (1, 0, 0), (0, 1, 0), 100)
    assert len(spline([a, b], hertz=20)) > 20


@pytest.mark.parametrize(
    ("count", "words", "said"),
    [
        (1, {}, "two different key poses"),
        (2, {"seconds": 0}, "seconds is 0"),
        (2, {"speed": float("nan")}, "speed is nan"),
        (2, {"seconds": 1, "speed": 1}, "both"),
        (2, {"seconds": 1e9}, "poses"),
        (2, {"hertz": -1}, "hertz is -1"),
    ],
)
def test_what_cannot_be_flown_is_told(keys, count, words, said):
    with pytest.raises(MrisslError, match=said):
        spline(keys[:count], **{"hertz": 20, **words})
    with pytest.raises(MrisslError, match="two different"):
        spline([keys[0]] * 5, 20)
