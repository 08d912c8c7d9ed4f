"""Flights: poses and actions by scipy's rotations, frames by scipy's interpolation, one scale."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose, apply_action
from napari_mrissl.pretext.navigation import recorded
from napari_mrissl.pretext.navigation.flights import Flights, FlownPoses, cut, frames_of
from napari_mrissl.pretext.navigation.on_device import DeviceScans
from napari_mrissl.pretext.navigation.settings import ACTION_SCALE, KINDS, FlightSettings
from napari_mrissl.pretext.navigation.tokenizer import Tokenizer
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.pretext.task import SampleKey
from napari_mrissl.slicing.policies import PolicySettings
from napari_mrissl.volumes import Volume
from tests.pretext.navigation.small import Smooth, smooth, tokenizer_settings
from tests.pretext.restoring import batch_of


def flown(count=12, **settings):
    """Flights of some keys."""
    flights = Flights(FlightSettings(**settings))
    return [flights.draw(Smooth(), SampleKey(3, 0, number)) for number in range(count)]


def only(kind):
    """Settings for flights of one kind."""
    return {name: float(name == kind) for name in KINDS}


def test_weights_are_those_of_the_policies():
    assert FlightSettings().weights == PolicySettings().weights
    with pytest.raises(ValidationError, match="no kind of flight"):
        FlightSettings(**only("none"))


def test_a_flight_follows_from_its_key():
    for one, same in zip(flown(4), flown(4), strict=True):
        assert (one.kind, one.poses, one.number) == (same.kind, same.poses, same.number)
    assert len({one.poses for one in flown(6)}) == 6


def test_actions_lead_from_each_frame_to_the_next_as_scipy_rotates():
    for flight in flown():
        rows, actions = flight.rows, flight.actions
        turned = Rotation.from_quat(rows[:, [4, 5, 6, 3]])
        steps = (turned[:-1].inv() * turned[1:]).as_rotvec()
        assert np.abs(actions[:, 3:6] - steps).max() < 1e-7
        moved = turned[:-1].inv().apply(np.diff(rows[:, :3], axis=0)) / rows[:-1, 7:]
        assert np.abs(actions[:, :3] - moved).max() < 1e-9
        assert np.abs(actions[:, 6] - np.diff(np.log(rows[:, 7]))).max() < 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_move_within_their_ranges(kind):
    """The ranges of our definition, for flights of 8 frames."""
    moving = {"scroll": [2], "rotate": [3, 4], "zoom": [6], "pan": [0, 1], "walk": range(7)}
    for flight in flown(8, **only(kind)):
        assert flight.kind == kind
        actions = flight.actions
        assert len(actions) == 7
        still = np.delete(actions, list(moving[kind]), axis=1)
        assert still.size == 0 or np.abs(still).max() < 1e-6
        moved = np.abs(actions).max(1) > 1e-6
        fov = flight.poses[0].fov / flight.scan.volume.extent.max()
        assert 0.5 - 1e-9 <= fov <= 1.25 + 1e-9
        if kind == "rotate":
            degrees = np.degrees(np.linalg.norm(actions[moved, 3:6], axis=1))
            assert ((degrees > 2 - 1e-6) & (degrees < 8 + 1e-6)).all()
        elif kind == "pan":
            way = np.linalg.norm(actions[moved, :2], axis=1)
            assert ((way > 0.02 - 1e-9) & (way < 0.06 + 1e-9)).all()
        elif kind == "zoom":
            assert (np.abs(actions[:, 6]) * 7 < np.log(2) + 1e-9).all()
        elif kind == "scroll":
            normal = flight.poses[0].normal
            assert np.degrees(np.arccos(np.abs(normal).max())) < 15 + 1e-6
            volume = flight.scan.volume
            sides = float((np.abs(normal @ volume.affine[:3, :3]) * volume.shape).sum())
            way = np.abs(actions[moved, 2]) * flight.poses[0].fov * 7 / sides
            assert ((way > 0.2 - 1e-6) & (way < 1 + 1e-6)).all()


def by_scipy(scan, pose, size):
    """A frame, pixel by pixel as the definition says."""
    volume = scan.volume
    steps = (np.arange(size) + 0.5) / size - 0.5
    right, up = pose.rotation[:, 0], pose.rotation[:, 1]
    places = (
        pose.center - pose.fov * steps[:, None, None] * up + pose.fov * steps[None, :, None] * right
    )
    homogeneous = np.concatenate([places, np.ones((size, size, 1))], axis=2)
    index = (homogeneous @ np.linalg.inv(volume.affine).T)[..., :3]
    inside = ((index >= -0.5 - 1e-6) & (index <= np.array(volume.shape) - 0.5 + 1e-6)).all(axis=2)
    values = map_coordinates(
        volume.slope * volume.data.astype(np.float64) + volume.intercept,
        np.moveaxis(index, 2, 0),
        order=1,
        mode="nearest",
    )
    grey = np.clip((values - scan.low) / (scan.high - scan.low), 0, 1)
    return np.where(inside, grey, 0), inside


def test_frames_are_those_of_scipy():
    for flight in flown(4):
        frames, valid = frames_of(flight, 24)
        assert frames.dtype == np.float32
        for number, pose in enumerate(flight.poses):
            expected, inside = by_scipy(flight.scan, pose, 24)
            assert np.array_equal(valid[number], inside)
            assert np.abs(frames[number] - expected).max() < 1e-4


def test_each_frame_is_what_the_action_before_it_leads_to():
    """Rendered at the pose that an action gives: with the actions one frame off it is another."""
    wrong = []
    for flight in flown(6, **only("walk")):
        frames, _ = frames_of(flight, 24)
        for step, action in enumerate(flight.actions):
            led = apply_action(flight.poses[step], action)
            expected, _ = by_scipy(flight.scan, led, 24)
            assert np.abs(frames[step + 1] - expected).max() < 1e-4
            other = flight.actions[(step + 1) % len(flight.actions)]
            missed, _ = by_scipy(flight.scan, apply_action(flight.poses[step], other), 24)
            wrong.append(np.abs(frames[step + 1] - missed).max())
    assert np.median(wrong) > 1e-2


def test_grey_values_are_scaled_for_the_volume_not_for_a_slice():
    """A dark end and a bright end of one volume stay dark and bright."""
    ramp = np.arange(40, dtype=np.float32)[:, None, None] * np.ones((1, 40, 40), np.float32)
    volume = Volume.from_stored(ramp, np.eye(4))
    scan = Scan(volume, *volume.value_range(), "ramp", volume.identity)
    poses = tuple(
        Pose.from_normal_up((x, 20, 20), (1, 0, 0), (0, 0, 1), 20) for x in (5.0, 20.0, 35.0)
    )
    assert np.allclose(
        np.array([cut(scan, (pose,), 8)[0].mean() for pose in poses]),
        [(x - scan.low) / (scan.high - scan.low) for x in (5, 20, 35)],
        atol=1e-4,
    )


def test_no_numbers_are_outside():
    data = np.ones((20, 20, 20), np.float32)
    data[8:12] = np.nan
    volume = Volume.from_stored(data, np.eye(4))
    scan = Scan(volume, 0.0, 2.0, "holes", volume.identity)
    pose = Pose.from_normal_up((9.5, 9.5, 9.5), (0, 0, 1), (0, 1, 0), 16)
    other = Pose.from_normal_up((9.5, 9.5, 9.5), (1, 0, 0), (0, 0, 1), 16)
    for one in (pose, other):
        frames, valid = cut(scan, (one,), 16)
        assert np.isfinite(frames).all()
        assert (frames[~valid] == 0).all()
        assert np.allclose(frames[valid], 0.5)
    assert not cut(scan, (pose,), 16)[1].all() or not cut(scan, (other,), 16)[1].all()


def test_one_look_for_all_frames_of_a_flight():
    """A recoloured flight that stands still shows the same picture in every frame."""
    flights = Flights(FlightSettings(frames=4, recoloured=1.0))
    looks = [flights.recolouring(SampleKey(0, 0, n)) for n in range(40)]
    assert all(look is not None for look in looks)
    assert len(set(looks)) > 20
    changed = next(look for look in looks if look.bias is not None and look.gamma != 1)
    scan = smooth(0)
    pose = Flights(FlightSettings()).fly(scan, "pan", 1, 0)[0]
    still = FlownPoses(scan, 0, "pan", (pose,) * 4, changed)
    plain = FlownPoses(scan, 0, "pan", (pose,) * 4, None)
    frames, valid = frames_of(still, 24)
    assert np.ptp(frames, axis=0).max() == 0
    assert np.abs(frames - frames_of(plain, 24)[0]).max() > 0.02
    assert (frames[~valid] == 0).all()
    assert frames.min() >= 0
    assert frames.max() <= 1
    assert not any(Flights(FlightSettings()).recolouring(SampleKey(0, 0, n)) for n in range(40))


def test_a_bias_field_is_that_of_the_engine():
    """Over a whole volume, slice by slice, against the engine's own planes."""
    from napari_mrissl.pretext.navigation.appearance import Recolouring, recolour
    from napari_mrissl.synthesis.operations import legendre_planes

    side = 12
    rng = np.random.default_rng(0)
    volume = Volume.from_stored(np.zeros((side,) * 3, np.uint8), np.eye(4))
    coefficients = tuple(rng.uniform(-0.1, 0.1, 20))
    cubic, rows = legendre_planes(coefficients, side)
    expected = np.exp(np.einsum("syk,kx->syx", cubic, rows))
    for s in range(side):
        middle = (side - 1) / 2
        pose = Pose.from_normal_up((middle, middle, s), (0, 0, 1), (0, 1, 0), side)
        grey = np.full((1, side, side), 0.4, np.float32)
        found = recolour(grey, Recolouring(1.0, coefficients), volume, [pose], side)[0]
        # Rows of a slice run against up, here the second axis.
        assert np.allclose(found[::-1], np.clip(0.4 * expected[s], 0, 1), atol=1e-5)


@pytest.mark.parametrize("recoloured", [0.0, 1.0])
def test_frames_cut_on_the_device_are_the_same(recoloured):
    here = Tokenizer(tokenizer_settings(recoloured=recoloured))
    there = Tokenizer(tokenizer_settings(recoloured=recoloured, on_device=True))
    expected, found = (batch_of(task, Smooth(), 2, 6) for task in (here, there))
    assert expected["image"].shape == (6, 3, 2, 32, 32)
    assert (found["image"] - expected["image"]).abs().max() < 1e-3
    assert torch.equal(found["valid"], expected["valid"])
    assert torch.equal(found["hidden"], expected["hidden"])


def test_scans_on_the_device_keep_their_type_and_stay_within_their_bound():
    one, other = smooth(0), smooth(1)
    scans = DeviceScans(one.volume.data.nbytes)
    cpu = torch.device("cpu")
    first = scans.voxels(one, cpu)
    assert first.dtype == torch.int16
    assert scans.voxels(one, cpu) is first
    scans.voxels(other, cpu)
    assert scans.nbytes == other.volume.data.nbytes
    assert scans.voxels(one, cpu) is not first


def test_actions_are_scaled_by_about_their_spread():
    actions = np.concatenate([flight.actions for flight in flown(60)])
    ratio = actions.std(axis=0) / np.array(ACTION_SCALE)
    assert (ratio > 0.4).all(), ratio
    assert (ratio < 2.5).all(), ratio


def test_recorded_flights_are_flown_in_place_of_policies(tmp_path, monkeypatch):
    from napari_mrissl.trajectories.scan_index import remember

    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "data"))
    scans = [smooth(0), smooth(1)]
    stretches = {
        scan.identity: tuple(
            np.stack([p.to_row() for p in Flights(FlightSettings()).fly(scan, "walk", n, n)])
            for n in (6, 9)
        )
        for scan in scans
    }
    sha256 = recorded.save(tmp_path / "flights.safetensors", stretches, 4.0)
    remember(sha256, tmp_path / "flights.safetensors")
    flights = Flights(FlightSettings(frames=5, recorded=sha256))
    windows = set()
    for number in range(150):
        flight = flights.draw(Smooth(count=2), SampleKey(0, 0, number))
        assert flight.kind == "recorded"
        own = stretches[flight.scan.identity]
        places = [
            (k, first)
            for k, rows in enumerate(own)
            for first in range(len(rows) - 4)
            if np.abs(rows[first : first + 5] - flight.rows).max() < 1e-9
        ]
        assert len(places) >= 1
        windows.add((flight.number, *places[0]))
    # Two windows of one stretch and five of the other, over two scans.
    assert len(windows) == 14
    with pytest.raises(MrisslError, match="no recorded flight"):
        flights.draw(Smooth(first=2, count=1), SampleKey(0, 0, 0))
    recorded.known.cache_clear()
    (tmp_path / "flights.safetensors").write_bytes(b"other")
    with pytest.raises(MrisslError, match="missing or others"):
        flights.draw(Smooth(count=2), SampleKey(0, 0, 0))


def test_an_action_of_another_flight_is_of_a_kind_that_is_flown():
    columns = {"pan": [0, 1], "zoom": [6], "scroll": [2]}
    weights = {**dict.fromkeys(KINDS, 0.0), "stack": 1.0}
    for kind, own in columns.items():
        flights = Flights(FlightSettings(frames=4, **{**weights, kind: 1.0}))
        actions = np.array([flights.action(smooth(0), (0, number)) for number in range(12)])
        others = np.delete(actions, own, axis=1)
        assert np.abs(others).max() < 1e-9 < np.abs(actions[:, own]).max(axis=1).min()
        # Each by its seed, and each another one.
        assert np.array_equal(flights.action(smooth(0), (0, 5)), actions[5])
        assert len(np.unique(actions.round(9), axis=0)) == 12
    mixed = Flights(FlightSettings(frames=4))
    actions = np.array([mixed.action(smooth(0), (0, number)) for number in range(40)])
    # Scrolls, rotations, zooms and pans: some have nothing of what others have.
    assert ((np.abs(actions) > 1e-9).any(axis=0)).all()
    assert ((np.abs(actions) < 1e-9).any(axis=0)).all()
