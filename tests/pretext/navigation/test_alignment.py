"""The action told with a frame is the one that leads from it to the next, everywhere.

In this world a slice is a picture of its own pose, latents are that pose, and the network,
set by hand, says where actions lead: half of its tokens go on from the newest frame, the
other half from the oldest one that is looked back on, by all actions since. So there is no
error at all with the right actions, and there is one as soon as they are those of the frame
before or after.
"""

import types

import numpy as np
import pytest
import torch

from napari_mrissl.geometry import Pose, apply_action
from napari_mrissl.pretext.navigation import flights, imagination, rollout
from napari_mrissl.pretext.navigation.dynamics import Dynamics
from napari_mrissl.pretext.navigation.flights import Flights, FlownPoses
from napari_mrissl.pretext.navigation.imagination import Imagination, Limits
from napari_mrissl.pretext.navigation.pose_probe import pose_of, targets_of
from napari_mrissl.pretext.navigation.rollout import measure
from napari_mrissl.pretext.navigation.settings import KINDS, FlightSettings
from napari_mrissl.pretext.task import SampleKey
from tests.pretext.navigation.small import SHAPE, Smooth, dynamics_settings, smooth
from tests.pretext.restoring import batch_of, terms_of

NUMBERS, CONTEXT = 10, 7
NOTHING = 1e-5
ONLY_WALKS = {**dict.fromkeys(KINDS, 0.0), "walk": 1.0}


def written(poses):
    """Numbers (K, 10) in 0 to 1 that tell poses."""
    return (0.5 + targets_of(list(poses)) / 2000).astype(np.float32)


def read(numbers):
    """The pose that they tell."""
    return pose_of(2000 * (np.asarray(numbers, np.float64) - 0.5))


def after(numbers, *actions):
    """What actions make of them, one after the other."""
    pose = read(numbers)
    for action in actions:
        pose = apply_action(pose, np.asarray(action, np.float64))
    return written([pose])[0]


def pictures(scan, poses, size, recolouring=None):
    """Slices that show nothing but their pose."""
    grey = np.zeros((len(poses), size, size), np.float32)
    grey[:, 0, :NUMBERS] = written(poses)
    return grey, np.ones(grey.shape, bool)


def latents(image):
    """(B, T, 4, 4, 10) of pictures (B, T, 2, N, N): the same in all tokens."""
    return image[:, :, 0, 0, :NUMBERS][:, :, None, None].expand(-1, -1, 4, 4, -1).clone()


def decoded(tokens):
    """Pictures (B, N, N) of latents (B, 4, 4, 10): means of the tokens."""
    found = torch.zeros(len(tokens), SHAPE.size, SHAPE.size)
    found[:, 0, :NUMBERS] = tokens.mean((1, 2))
    return found


def extended(told, actions, past=None, draft=None):
    """The network: see the module."""
    told, actions = told.numpy(), actions.numpy()
    before = types.SimpleNamespace(frames=0, oldest=None, flown=None) if past is None else past
    oldest = told[:, :1] if past is None else before.oldest
    flown = actions if past is None else np.concatenate([before.flown, actions], 1)
    assert before.frames + told.shape[1] <= CONTEXT
    found = np.empty_like(told)
    for one, step in np.ndindex(told.shape[:2]):
        found[one, step, :2] = after(told[one, step, 0, 0], actions[one, step])
        since = flown[one, : before.frames + step + 1]
        found[one, step, 2:] = after(oldest[one, 0, 3, 3], *since)
    frames = before.frames + told.shape[1]
    return torch.from_numpy(found), types.SimpleNamespace(frames=frames, oldest=oldest, flown=flown)


@pytest.fixture
def world(monkeypatch):
    """A task, and its network."""
    for module in (flights, imagination, rollout):
        monkeypatch.setattr(module, "cut", pictures)

    def made(objective="l1", **changes):
        shape = SHAPE.model_copy(update={"latent": NUMBERS})
        settings = dynamics_settings(objective, frames=8, **ONLY_WALKS)
        settings = settings.model_copy(update={"backbone": shape, **changes})
        task = Dynamics(settings)
        network = task.network()
        network.latents, network.dynamics.extend = latents, extended
        network.backbone.decode = decoded
        return task, network

    return made


@pytest.fixture
def flown():
    """Two flights of ten frames."""
    fly = Flights(FlightSettings(frames=10)).fly
    return [FlownPoses(smooth(n), n, "walk", fly(smooth(n), "walk", 10, n), None) for n in range(2)]


def apart(first, second):
    return float(np.abs(np.asarray(first) - np.asarray(second)).mean())


@pytest.mark.parametrize(
    ("objective", "terms"),
    [("l1", ("next", "rollout")), ("mse", ("next", "rollout")), ("shortcut", ("finest",))],
)
def test_what_is_trained_has_no_error_with_the_actions_of_samples(world, objective, terms):
    task, network = world(objective, rollout=1 if objective == "shortcut" else 5)
    batch = batch_of(task, Smooth(), 0, 4)
    right = terms_of(task, network, batch)
    nothing = NOTHING if objective == "l1" else NOTHING**2
    # Half steps of shortcut forcing agree with whole ones: both are told the same actions.
    assert all(right[term] < nothing for term in right if term != "copied")
    for shift in (1, -1):
        wrong = terms_of(task, network, {**batch, "actions": batch["actions"].roll(shift, 1)})
        for term in terms:
            assert wrong[term] > 20 * max(right[term], nothing)
    if objective == "l1":
        rows = np.stack([rows_of(task, number) for number in range(4)])
        assert right["copied"] == pytest.approx(apart(rows[:, 1:], rows[:, :-1]), rel=1e-3)


def rows_of(task, number):
    """The poses of a sample."""
    record = task.sample(Smooth(), SampleKey(0, 0, number)).record
    return written([Pose.from_row(row) for row in record["poses"]])


def test_what_is_shown_of_training_is_flown_with_the_actions_of_samples(world):
    task, network = world()
    shown = task.show(network, batch_of(task, Smooth(), 0, 2))[0]
    assert shown.captions[7:9] == ("true 7", "imagined 0")
    for first in (0, 16):
        true, imagined = shown.tiles[first : first + 8], shown.tiles[first + 8 : first + 16]
        assert np.abs(imagined - true).max() < NOTHING
        assert np.abs(true[1:] - true[:-1]).max() > 100 * NOTHING


def test_errors_are_none_with_true_actions_and_those_of_loops_with_others(world, flown):
    _, network = world()
    found = measure(Imagination(network, Limits(window=True, low=0, high=1)), flown)["walk"]
    rows = [written(flight.poses) for flight in flown]
    actions = [flight.actions for flight in flown]
    for horizon in (1, 4, 8):
        assert found.errors[horizon]["imagined"].latent < NOTHING
        assert found.errors[horizon]["imagined"].psnr > 80
        copied = np.mean([apart(one[1], one[1 + horizon]) for one in rows])
        assert found.errors[horizon]["copied"].latent == pytest.approx(copied, rel=1e-3)
    assert found.next_error < NOTHING
    copied = np.mean([apart(one[1:], one[:-1]) for one in rows])
    assert found.copied_error == pytest.approx(copied, rel=1e-3)
    # With the actions of the other flight: windows of as many frames as are looked back on.
    wrong = []
    for one, other in ((0, 1), (1, 0)):
        for frame in range(9):
            first = frame - frame % CONTEXT
            newest = after(rows[one][frame], actions[other][frame])
            oldest = after(rows[one][first], *actions[other][first : frame + 1])
            true = rows[one][frame + 1]
            wrong.append((apart(newest, true) + apart(oldest, true)) / 2)
    assert found.shuffled_error == pytest.approx(np.mean(wrong), rel=1e-3)
    assert found.shuffle_ratio == pytest.approx(np.mean(wrong) / found.next_error)
    assert found.shuffle_ratio > 100
    assert found.below_copied < 0.01


@pytest.mark.parametrize("known", [1, 3])
def test_an_imagined_flight_is_where_its_actions_lead(world, known):
    _, network = world()
    poses = Flights(FlightSettings()).fly(smooth(0), "walk", 24, 5)
    mind = Imagination(network, Limits(window=True, low=0, high=1))
    mind.begin(smooth(0), poses[:known])
    rows = written(poses)
    for step, action in enumerate(flights.actions_of(poses)[known - 1 :], known):
        shown = mind.step(action)
        assert np.abs(shown.latents - rows[step]).max() < NOTHING
        assert np.abs(written([shown.pose])[0] - rows[step]).max() < NOTHING
        assert mind.latent_error() < NOTHING
    # A flight with the same actions one frame late ends elsewhere.
    late = Imagination(network, Limits(window=True, low=0, high=1))
    late.begin(smooth(0), poses[0])
    for action in np.roll(flights.actions_of(poses), 1, axis=0)[:8]:
        shown = late.step(action)
    assert np.abs(shown.latents - rows[8]).max() > 20 * NOTHING
