"""Searching a slice in imagination: it arrives in a known world, is seeded, and can be ended."""

import itertools

import numpy as np
import pytest
import torch

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.geometry import Pose, apply_action
from napari_mrissl.pretext.navigation.dynamics import Dynamics
from napari_mrissl.pretext.navigation.imagination import Imagination, Limits
from napari_mrissl.pretext.navigation.moves import apart, reach_of
from napari_mrissl.pretext.navigation.pose_probe import pose_of, targets_of
from napari_mrissl.pretext.navigation.search import search
from napari_mrissl.pretext.navigation.search_settings import SearchSettings
from tests.pretext.navigation.small import dynamics_settings, smooth

LIMITS = Limits(window=False, low=0.5, high=99.5)


class Known(Imagination):
    """A world whose latents are the pose itself, and whose dynamics know what actions do."""

    class _Network(torch.nn.Module):
        def __init__(self, settings):
            super().__init__()
            self.settings = settings
            self.none = torch.nn.Parameter(torch.zeros(1))

        def imagine(self, latents, actions, past=None):
            rows = latents[:, 0, 0].double().numpy()[:, 0]
            ends = [
                row_of(apply_action(pose_of(targets(row)), action))
                for row, action in zip(rows, actions[:, 0].double().numpy(), strict=True)
            ]
            return torch.tensor(np.array(ends)).float()[:, None, None, None], None

    def __init__(self):
        super().__init__(self._Network(dynamics_settings()), LIMITS)

    def encode(self, volume, poses):
        return np.array([row_of(pose) for pose in poses], np.float32)[:, None, None]


def row_of(pose):
    return targets_of([pose])[0] / 60


def targets(row):
    return np.asarray(row) * 60


def test_a_search_in_a_known_world_arrives():
    world, scan = Known(), smooth(0)
    start = Pose(scan.volume.center, np.eye(3), 60.0)
    goal = Pose(start.center + np.array([3.0, -4.0, 12.0]), np.eye(3), 60.0)
    wanted = world.encode(scan, [goal])[0]
    found = search(world, scan, start, wanted, SearchSettings(candidates=64, rounds=6))
    assert list(found.distances) == sorted(found.distances, reverse=True)
    assert found.distances[-1] < 0.25 * found.distances[0]
    assert np.linalg.norm(found.pose.center - goal.center) < 5
    # The actions are those that lead there, one within reach after the other.
    pose = start
    for action, after in zip(found.actions, found.poses[1:], strict=True):
        pose = apply_action(pose, action)
        assert apart(pose, after).mm < 1e-9
    reach = reach_of(dynamics_settings().flights)
    assert (np.abs(found.actions) <= reach + 1e-12).all()
    assert len(found.poses) == len(found.actions) + 1


def imagination():
    torch.manual_seed(0)
    network = Dynamics(dynamics_settings()).network()
    torch.nn.init.normal_(network.dynamics.out[1].weight, std=0.1)
    return Imagination(network, LIMITS)


QUICK = SearchSettings(plans=2, steps=3, candidates=8, rounds=2)


def test_the_same_seed_gives_the_same_flight_and_never_a_worse_slice():
    scan = smooth(0)
    start = Pose(scan.volume.center, np.eye(3), 70.0)
    mind = imagination()
    goal = mind.encode(scan, [Pose(start.center + np.array([0, 0, 15.0]), np.eye(3), 70.0)])[0]
    told = []
    first = search(mind, scan, start, goal, QUICK, progress=told.append)
    again = search(mind, scan, start, goal, QUICK)
    assert np.array_equal(first.actions, again.actions)
    assert told == sorted(told)
    assert told[-1] == 1
    assert all(b < a for a, b in itertools.pairwise(first.distances))
    # What is said of the end is true of the end.
    end = mind.encode(scan, [first.pose])[0]
    assert first.distances[-1] == pytest.approx(np.abs(end - goal).mean(), rel=1e-5)
    assert mind.frames == ()


def test_a_search_stays_within_the_scan():
    world, scan = Known(), smooth(0)
    start = Pose(scan.volume.center, np.eye(3), 60.0)
    away = world.encode(scan, [Pose(start.center + np.array([0, 0, 500.0]), np.eye(3), 60.0)])[0]
    found = search(world, scan, start, away, SearchSettings(plans=12, candidates=32))
    for pose in found.poses:
        index = scan.volume.to_index @ [*pose.center, 1]
        assert (index[:3] >= -0.5).all()
        assert (index[:3] <= np.array(scan.volume.shape) - 0.5).all()


def test_a_goal_of_another_network_is_refused_and_a_search_can_be_ended():
    mind, scan = imagination(), smooth(0)
    start = Pose(scan.volume.center, np.eye(3), 70.0)
    with pytest.raises(MrisslError, match="goal of shape"):
        search(mind, scan, start, np.zeros((2, 2, 8)), QUICK)
    with pytest.raises(Cancelled):
        search(mind, scan, start, np.zeros((4, 4, 8)), QUICK, cancelled=lambda: True)
