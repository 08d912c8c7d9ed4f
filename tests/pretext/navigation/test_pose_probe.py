"""The pose probe: right where latents hold the pose, at chance where they hold nothing."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.geometry import Pose
from napari_mrissl.networks.slice_tokenizer import SliceTokenizer
from napari_mrissl.pretext.navigation.imagination import Limits
from napari_mrissl.pretext.navigation.open_network import OpenNetwork
from napari_mrissl.pretext.navigation.pose_probe import PoseProbe, pose_of, targets_of
from napari_mrissl.pretext.navigation.settings import FlightSettings
from tests.imagined import STACKS
from tests.pretext.navigation.small import SHAPE, smooth


@pytest.fixture
def network():
    torch.manual_seed(0)
    return OpenNetwork(SliceTokenizer(SHAPE), FlightSettings(frames=4), Limits(True, 100, 900))


def test_latents_that_hold_the_pose_are_read_without_error(network, monkeypatch):
    def told(scan, poses, cancelled=None, progress=None):
        rows = targets_of(list(poses)) @ np.random.default_rng(0).normal(size=(10, 128))
        return rows.reshape(len(poses), 4, 4, 8).astype(np.float32)

    monkeypatch.setattr(network, "encode", told)
    probe = PoseProbe.fit(network, smooth(0), 120)
    assert probe.held_out.mm < 0.5
    assert probe.held_out.degrees < 0.5
    assert probe.chance.mm > 5
    assert probe.chance.degrees > 20
    wanted = network.places(smooth(0), 1, 99)[0]
    found = probe.read(told(None, [wanted])[0])
    np.testing.assert_allclose(found.center, wanted.center, atol=1)
    assert (probe.places, probe.identity) == (96, smooth(0).identity)


def test_noise_says_nothing_of_the_pose(network, monkeypatch):
    rng = np.random.default_rng(1)
    monkeypatch.setattr(
        network,
        "encode",
        lambda scan, poses, *_: rng.normal(size=(len(poses), 4, 4, 8)).astype(np.float32),
    )
    probe = PoseProbe.fit(network, smooth(0), 120)
    assert probe.held_out.mm > 0.8 * probe.chance.mm
    assert probe.held_out.degrees > 0.8 * probe.chance.degrees


def test_the_nearest_pose_is_that_of_scipy_and_poses_stay_themselves():
    rng = np.random.default_rng(2)
    turn = Rotation.random(random_state=rng).as_matrix()
    pose = Pose(rng.normal(size=3), turn, 150.0)
    row = targets_of([pose])[0]
    np.testing.assert_allclose(pose_of(row).to_row(), pose.to_row(), atol=1e-9)
    row[3:9] *= 1.7
    np.testing.assert_allclose(pose_of(row).rotation, turn, atol=1e-9)
    row[3:9] += rng.normal(0, 20, 6)
    found = pose_of(row).rotation
    np.testing.assert_allclose(found.T @ found, np.eye(3), atol=1e-9)
    assert np.linalg.det(found) == pytest.approx(1)
    # No rotation near it has axes closer to the given ones.
    given = row[3:9].reshape(2, 3).T / 100
    least = np.linalg.norm(found[:, :2] - given)
    for _ in range(50):
        near = found @ Rotation.from_rotvec(rng.normal(0, 0.05, 3)).as_matrix()
        assert np.linalg.norm(near[:, :2] - given) >= least - 1e-9


def test_a_fit_tells_how_far_it_is_and_ends_when_told(network):
    told = []
    PoseProbe.fit(network, smooth(1), 48, progress=told.append)
    assert told == sorted(told)
    assert told[-1] <= 1
    with pytest.raises(Cancelled):
        PoseProbe.fit(network, smooth(1), 48, cancelled=lambda: True)
    with pytest.raises(MrisslError, match="40 or more"):
        PoseProbe.fit(network, smooth(1), 10)


def test_a_run_that_never_flew_is_probed_where_others_fly(network):
    flights = FlightSettings(frames=4, **STACKS)
    static = OpenNetwork(network.backbone, flights, network.limits)
    places = static.places(smooth(0), 40, 3)
    assert places == network.places(smooth(0), 40, 3)
    assert PoseProbe.fit(static, smooth(0), 48).tested == 10


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ({**STACKS, "pan": 0.1, "zoom": 0.3}, {"pan": 0.25, "zoom": 0.75}),
        (STACKS, {"scroll": 0.35, "rotate": 0.2, "zoom": 0.1, "pan": 0.1, "walk": 0.25}),
    ],
)
def test_places_are_of_the_kinds_that_were_flown(network, monkeypatch, kinds, expected):
    flown = []
    one = OpenNetwork(network.backbone, FlightSettings(**kinds), network.limits)
    monkeypatch.setattr(one._flown, "fly", lambda scan, kind, *_: flown.append(kind) or [None])
    one.places(smooth(0), 4000, 3)
    shares = {kind: flown.count(kind) / 4000 for kind in set(flown)}
    assert shares == pytest.approx(expected, abs=0.03)
