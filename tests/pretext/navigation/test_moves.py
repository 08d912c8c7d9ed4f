"""Moves in steps of a trained size: they arrive, no step is too long, and distances are right."""

import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_mrissl.geometry import Pose, apply_action, relative_action
from napari_mrissl.pretext.navigation.flights import Flights
from napari_mrissl.pretext.navigation.moves import (
    apart,
    between,
    effort,
    next_pose,
    reach_of,
    same_place,
    within,
)
from napari_mrissl.pretext.navigation.settings import FlightSettings
from tests.pretext.navigation.small import smooth


def pose(seed):
    rng = np.random.default_rng(seed)
    turn = Rotation.random(random_state=rng).as_matrix()
    return Pose(rng.normal(0, 40, 3), turn, float(rng.uniform(60, 250)))


REACH = reach_of(FlightSettings(frames=8))


@pytest.mark.parametrize("seed", range(6))
def test_every_step_is_within_reach_and_the_last_arrives(seed):
    start, end = pose(seed), pose(100 + seed)
    whole, reached, steps = effort(start, end, REACH), start, 0
    while reached != end and steps < 300:
        following = next_pose(reached, end, REACH)
        action = relative_action(reached, following)
        assert (np.abs(action) <= REACH * (1 + 1e-6)).all()
        flown = apply_action(reached, action)
        assert np.abs(flown.to_row() - following.to_row()).max() < 1e-6
        reached, steps = following, steps + 1
    assert reached == end
    # Not far from the fewest steps there can be.
    assert whole / 3 <= steps <= 4 * whole


def test_halfway_is_halfway_by_scipy():
    start, end = pose(3), pose(4)
    half = between(start, end, 0.5)
    first, last = (Rotation.from_matrix(one.rotation) for one in (start, end))
    turn = (first.inv() * last).as_rotvec()
    expected = (first * Rotation.from_rotvec(turn / 2)).as_matrix()
    np.testing.assert_allclose(half.rotation, expected, atol=1e-9)
    np.testing.assert_allclose(half.center, (start.center + end.center) / 2)
    assert half.fov == pytest.approx(np.sqrt(start.fov * end.fov))
    away = apart(start, end)
    assert away.mm == pytest.approx(np.linalg.norm(start.center - end.center))
    assert away.degrees == pytest.approx(np.degrees(np.linalg.norm(turn)))
    assert away.zoom == pytest.approx(end.fov / start.fov)


@pytest.mark.parametrize("kind", ["pan", "rotate", "zoom"])
def test_training_flights_have_actions_of_that_size(kind):
    """What one step may be at most is no more than a training flight's steps come to."""
    flights = Flights(FlightSettings(frames=8))
    poses = [flights.fly(smooth(0), kind, 8, seed) for seed in range(30)]
    actions = np.array([relative_action(a, b) for f in poses for a, b in itertools.pairwise(f)])
    largest = np.abs(actions).max(axis=0)
    columns = {"pan": [0, 1], "rotate": [3, 4], "zoom": [6]}[kind]
    # A pan and a rotation have a direction in the plane; no number of it is larger.
    assert (REACH[columns] >= 0.9 * largest[columns]).all()
    assert (REACH[columns] <= 1.6 * largest[columns]).all()


def test_an_action_within_reach_stays_and_a_longer_one_keeps_its_direction():
    action = np.array([0.01, 0.0, 0.1, 0.0, 0.05, 0.0, 0.02])
    np.testing.assert_array_equal(within(action, np.full(7, 0.1)), action)
    reach = np.array([0.1, 0.1, 0.05, 0.1, 0.1, 0.1, 0.005])
    np.testing.assert_allclose(within(-action, reach), -action / 4)
    np.testing.assert_array_equal(within(np.zeros(7), reach), np.zeros(7))


def test_the_same_place_is_one_but_for_rounding():
    start = pose(5)
    turned = Pose(start.center + 1e-9, start.rotation.copy(), start.fov)
    assert same_place(start, turned)
    for axis in range(7):
        assert not same_place(start, apply_action(start, 1e-4 * np.eye(7)[axis]))
