"""Flights in memory: what is none is refused; poses in between."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories import Flight, flight_info, flight_of, pose_at


def test_a_flight_of_a_policy_has_a_steady_rate(volume, poses):
    flight = flight_of(volume, poses, hertz=25, policy="walk")
    np.testing.assert_array_equal(np.diff(flight.times_ns), 40_000_000)
    assert flight.info["policy"] == "walk"
    assert len(flight_of(volume, [])) == 0
    assert flight_of(volume, []).duration_s == 0
    with pytest.raises(MrisslError, match="rate"):
        flight_of(volume, poses, hertz=0)


@pytest.mark.parametrize(
    ("identity", "times"),
    [
        ("abc", [0, 1]),
        ("G" * 64, [0, 1]),
        (None, [0, 1]),
        ("a" * 64, [0]),
        ("a" * 64, [1, 0]),
        ("a" * 64, [-1, 0]),
        ("a" * 64, [0.0, 1.0]),
    ],
)
def test_what_is_no_flight_is_refused(identity, times, poses):
    with pytest.raises(MrisslError):
        Flight(identity, poses[:2], np.array(times), {})


def test_poses_in_between_are_those_of_slerp(flight):
    times = flight.times_ns
    turns = [Rotation.from_matrix(pose.rotation) for pose in flight.poses]
    for n in np.flatnonzero(np.diff(times)):
        for part in (0.0, 0.25, 0.9):
            t_ns = times[n] + part * (times[n + 1] - times[n])
            pose = pose_at(flight, t_ns)
            start, end = flight.poses[n], flight.poses[n + 1]
            expected = Slerp([0, 1], Rotation.concatenate(turns[n : n + 2]))(part)
            np.testing.assert_allclose(pose.rotation, expected.as_matrix(), atol=1e-9)
            np.testing.assert_allclose(
                pose.center, (1 - part) * start.center + part * end.center, atol=1e-9
            )
            assert np.log(pose.fov) == pytest.approx(
                (1 - part) * np.log(start.fov) + part * np.log(end.fov)
            )


def test_the_ends_are_held(flight):
    assert pose_at(flight, -5) == flight.poses[0]
    assert pose_at(flight, 1e18) == flight.poses[-1]
    empty = Flight(flight.identity, [], np.array([]), flight.info)
    with pytest.raises(MrisslError, match="no poses"):
        pose_at(empty, 0)


def test_info_is_json(volume):
    assert json.loads(json.dumps(flight_info(volume))) == flight_info(volume)
