"""Answers that learned nothing: what geometry alone says of actions, beside what a network does."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from napari_mrissl.geometry import Pose
from napari_mrissl.networks.slice_memory import remembered
from napari_mrissl.pretext.navigation.dynamics import Dynamics
from napari_mrissl.pretext.navigation.flights import FlownPoses
from napari_mrissl.pretext.navigation.imagination import Imagination, Limits
from napari_mrissl.pretext.navigation.rollout import measure
from napari_mrissl.pretext.task import SampleKey
from tests.pretext.navigation.small import SHAPE, Smooth, dynamics_settings, smooth

KINDS = ("walk", "pan", "zoom")


def drawn():
    """A task, and a network whose dynamics are as drawn: it copies."""
    task = Dynamics(dynamics_settings())
    torch.manual_seed(0)
    return task, task.network()


def shaded(**flights):
    """As `drawn`, with small patches whose latents move with what is shown."""
    fine = SHAPE.model_copy(update={"patch": 2})
    task = Dynamics(dynamics_settings(**flights).model_copy(update={"backbone": fine}))
    network = task.network()
    network.backbone.encode = shades
    return task, network


def flown(task, kind, count=3):
    return [
        FlownPoses(smooth(n), n, kind, task.flights.fly(smooth(n), kind, 10, n), None)
        for n in range(count)
    ]


def normed(latents):
    spread = np.sqrt(latents.var(-1, keepdims=True) + 1e-5)
    return (latents - latents.mean(-1, keepdims=True)) / spread


def shades(image):
    """Latents that move with what is shown: waves of the mean grey value of each patch."""
    grey = torch.nn.functional.avg_pool2d(image[:, 0], 2)
    return torch.cos(torch.arange(1, 9) * grey[..., None])


def by_hand(latents, start, end):
    """Latents (grid, grid, C) of a slice, where patches of another one lie in its plane."""
    grid = latents.shape[0]
    index = np.stack(np.meshgrid(0, range(grid), range(grid), indexing="ij"), -1).reshape(-1, 3)
    pixels = end.grid(grid)
    world = index @ pixels[:3, :3].T + pixels[:3, 3]
    back = np.linalg.inv(start.grid(grid))
    _, row, column = back[:3, :3] @ world.T + back[:3, 3:]
    found = [map_coordinates(one, [row, column], order=1, mode="nearest")
             for one in latents.astype(np.float64).transpose(2, 0, 1)]  # fmt: skip
    return normed(np.stack(found, -1).reshape(latents.shape))


def test_moved_latents_lie_where_poses_say():
    task, network = drawn()
    imagination = Imagination(network, Limits(window=False, low=0.5, high=99.5))
    flights = flown(task, "walk", 2)
    found = measure(imagination, flights)["walk"]
    trues = [imagination.encode(one.scan, one.poses) for one in flights]
    for horizon in (1, 4, 8):
        far = [np.abs(by_hand(true[1], one.poses[1], one.poses[1 + horizon]) - true[1 + horizon])
               for one, true in zip(flights, trues, strict=True)]  # fmt: skip
        assert found.errors[horizon]["moved"].latent == pytest.approx(np.mean(far), rel=1e-3)
    near = [np.abs(by_hand(true[t], one.poses[t], one.poses[t + 1]) - true[t + 1]).mean()
            for one, true in zip(flights, trues, strict=True) for t in range(9)]  # fmt: skip
    assert found.moved_error == pytest.approx(np.mean(near), rel=1e-3)


def test_a_network_that_merely_moves_latents_is_no_better_than_its_chance():
    task, network = shaded()
    with torch.no_grad():
        network.dynamics.out[1].bias[-2] = 1
    imagination = Imagination(network, Limits(window=False, low=0.5, high=99.5))
    flights = [one for kind in KINDS for one in flown(task, kind)]
    measured = measure(imagination, flights)
    for kind, found in measured.items():
        assert found.shuffle_ratio == pytest.approx(found.moved_shuffle_ratio, rel=1e-3), kind
        assert found.below_copied == pytest.approx(found.moved_below_copied, rel=1e-3), kind
        one = found.errors[1]
        assert one["imagined"] == pytest.approx(one["moved"], rel=1e-3), kind
    # Memory alone, likewise.
    with torch.no_grad():
        network.dynamics.out[1].bias[-2:] = torch.tensor([0.0, 1.0])
    for kind, found in measure(imagination, flights, ()).items():
        assert found.next_error == pytest.approx(found.remembered_error, rel=1e-3), kind
        assert found.shuffle_ratio == pytest.approx(found.remembered_shuffle_ratio, rel=1e-3), kind
        assert not found.errors
    # It does heed actions, which shows why a ratio of one is not what it has to beat.
    assert measured["pan"].moved_shuffle_ratio > 1.2


@pytest.mark.parametrize(("kind", "turns"), [("pan", 0.0), ("scroll", 1.0)])
def test_chance_of_training_knows_what_geometry_says(kind, turns):
    weights = dict.fromkeys(("scroll", "rotate", "zoom", "pan", "walk"), 0.0)
    task, network = shaded(**weights | {kind: 1.0}, turns=turns)
    chance = task.chance_with(network, Smooth(), 0)
    near, known, far, copied = [], [], [], []
    for number in range(64):
        key = SampleKey(0, -1, number)
        sample = task.sample(Smooth(), key)
        batch = {name: torch.from_numpy(array)[None] for name, array in sample.arrays.items()}
        true = network.latents(task.prepare(batch, [key])["image"])[0].numpy()
        poses = [Pose.from_row(row) for row in sample.record["poses"]]
        near += [np.abs(by_hand(true[t], poses[t], poses[t + 1]) - true[t + 1]).mean()
                 for t in range(3)]  # fmt: skip
        told = torch.from_numpy(sample.arrays["actions"])[None]
        recalled = remembered(torch.from_numpy(true)[None, :-1], told)[0].numpy()
        known.append(np.abs(recalled - true[1:]).mean())
        far.append(np.abs(by_hand(true[0], poses[0], poses[2]) - true[2]).mean())
        copied.append(np.abs(true[0] - true[2]).mean())
    assert chance["next"] == pytest.approx(min(np.mean(near), np.mean(known)), rel=1e-3)
    assert (np.mean(near) < np.mean(known)) == (kind == "pan")
    assert chance["next"] < 0.97 * chance["copied"]
    assert chance["rollout"] == pytest.approx(min(np.mean(far), np.mean(copied)), rel=1e-3)
    assert (np.mean(far) < np.mean(copied)) == (kind == "pan")
