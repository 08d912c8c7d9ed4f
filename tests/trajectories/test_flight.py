"""Flights: on disk and back exactly, hostile files refused, poses in between."""

import json
import os

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories import (
    Flight,
    flight_info,
    flight_of,
    has_flight,
    pose_at,
    read_flight,
    write_flight,
)


def rows_of(flight):
    return np.array([pose.to_row() for pose in flight.poses])


def test_a_flight_comes_back_as_it_was(flight, tmp_path):
    path = write_flight(tmp_path / "new" / "flight", flight)
    assert path.name == "flight.jsonl"
    again = read_flight(tmp_path / "new" / "flight")
    assert again.identity == flight.identity
    assert again.info == flight.info
    np.testing.assert_array_equal(again.times_ns, flight.times_ns)
    assert again.times_ns.dtype == np.int64
    np.testing.assert_allclose(rows_of(again), rows_of(flight), rtol=0, atol=1e-15)
    assert len(again) == 30
    assert again.duration_s == pytest.approx((flight.times_ns[-1] - flight.times_ns[0]) / 1e9)


def test_nothing_is_overwritten_unless_asked(flight, tmp_path):
    write_flight(tmp_path, flight)
    before = (tmp_path / "flight.jsonl").read_bytes()
    with pytest.raises(MrisslError, match="flight already"):
        write_flight(tmp_path, flight)
    assert (tmp_path / "flight.jsonl").read_bytes() == before
    shorter = Flight(flight.identity, flight.poses[:3], flight.times_ns[:3], flight.info)
    write_flight(tmp_path, shorter, overwrite=True)
    assert len(read_flight(tmp_path)) == 3
    assert os.listdir(tmp_path) == ["flight.jsonl"]
    assert has_flight(tmp_path)
    assert not has_flight(tmp_path / "other")


def test_a_flight_tells_nothing_private(flight, tmp_path):
    text = write_flight(tmp_path / "secret-folder", flight).read_text()
    for private in ("PATIENT", "private", "secret", str(tmp_path), os.uname().nodename):
        assert private not in text
    header = json.loads(text.splitlines()[0])["header"]
    assert header["info"]["shape"] == [12, 11, 10]
    assert header["info"]["software"].startswith("napari-mrissl ")


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


def hostile(flight):
    """Changes to header or first record, each a reason to refuse."""
    row = flight.poses[0].to_row().tolist()
    for pose in (None, "x", [], row[:7], [*row, 1], [None, *row[1:]], ["0", *row[1:]],
                 [True, *row[1:]], [10**400, *row[1:]], [*row[:7], 0], [*row[:7], -5],
                 [*row[:3], 2, 0, 0, 0, row[7]], {"a": 1}):  # fmt: skip
        yield {}, {"pose": pose}
    yield {}, {}
    for header in ({"kind": "prompts"}, {"identity": "no"}, {"identity": 5}, {"identity": None},
                   {"info": []}, {"info": {"shape": [0, 1, 1]}}, {"info": {"shape": "big"}},
                   {"info": {"shape": [1, 1, 1.5]}}, {"info": {"spacing_mm": [1, 1]}},
                   {"info": {"spacing_mm": [1, 1, 1e400]}}, {"info": {"spacing_mm": [1, 1, -1]}},
                   {"info": {"affine": [[1, 2]]}}, {"info": {"affine": [[0] * 4] * 4}},
                   {"info": {"affine": [["a"] * 4] * 4}}, {"info": {"affine": None}},
                   {"info": {"affine": [[10**400] * 4] * 4}}):  # fmt: skip
        yield header, None


def test_hostile_flights_are_refused_in_a_sentence(flight, tmp_path):
    path = write_flight(tmp_path, flight)
    lines = path.read_text().splitlines()
    first, record = json.loads(lines[0]), json.loads(lines[1])
    for change, event in hostile(flight):
        header = first | {"header": first["header"] | change}
        changed = record if event is None else record | {"event": event}
        text = "\n".join([json.dumps(header), json.dumps(changed), *lines[2:]]) + "\n"
        path.write_text(text.replace("Infinity", "1e400"))
        with pytest.raises(MrisslError) as told:
            read_flight(tmp_path)
        assert "flight.jsonl" in str(told.value)
        assert len(str(told.value)) < 250


def test_numbers_that_overflow_are_refused(flight, tmp_path):
    path = write_flight(tmp_path, flight)
    text = path.read_text()
    number = json.dumps(flight.poses[0].fov)
    path.write_text(text.replace(number, "1e999", 1))
    with pytest.raises(MrisslError, match="line 2"):
        read_flight(tmp_path)


def test_huge_lines_are_refused(flight, tmp_path):
    path = write_flight(tmp_path, flight)
    with open(path, "a") as file:
        file.write('{"index":30,"t_ns":' + "1" * (1 << 21))
    with pytest.raises(MrisslError, match="longer than"):
        read_flight(tmp_path)


def test_no_flight_is_told(tmp_path):
    with pytest.raises(MrisslError, match="no flight here"):
        read_flight(tmp_path)


def test_a_folder_that_cannot_be_made_is_told(flight, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MrisslError):
        write_flight(tmp_path / "file" / "flight", flight)


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
