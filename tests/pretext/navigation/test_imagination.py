"""Imagined flights: equal to the network's own full pass, undone, forked, and compared."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import apply_action
from napari_mrissl.networks import weights
from napari_mrissl.pretext.navigation.dynamics import Dynamics
from napari_mrissl.pretext.navigation.flights import FlownPoses, actions_of, cut
from napari_mrissl.pretext.navigation.imagination import Imagination, Limits
from napari_mrissl.pretext.navigation.rollout import derangement, measure
from napari_mrissl.training.building import settings_for
from tests.pretext.navigation.small import dynamics_settings, smooth

# Flights as long as the context, and what comes after.
SETTINGS = dynamics_settings(frames=9)
OTHER_SHAPE = {**SETTINGS.model_dump(mode="json"), "dynamics": {"width": 32}}
PREPROCESSING = {"kind": "percentile", "low": 0.5, "high": 99.5}


def network_of(**changes):
    """Dynamics that do not merely copy."""
    torch.manual_seed(0)
    network = Dynamics(SETTINGS.model_copy(update=changes)).network()
    torch.nn.init.normal_(network.dynamics.out[1].weight, std=0.1)
    return network


@pytest.fixture(scope="module")
def poses():
    return Dynamics(SETTINGS).flights.fly(smooth(0), "walk", 14, 5)


@pytest.fixture
def imagination():
    return Imagination(network_of(), Limits(window=False, low=0.5, high=99.5))


@torch.no_grad()
@pytest.mark.parametrize("known", [1, 3])
def test_steps_come_to_full_passes_over_all_frames(imagination, poses, known):
    actions = actions_of(poses)
    begun = imagination.begin(smooth(0), poses[:known])
    assert not begun.imagined
    network = imagination.network
    told = torch.from_numpy(actions.astype(np.float32))
    flight = torch.from_numpy(imagination.encode(smooth(0), poses[:known]))[None]
    for step in range(known - 1, 7):
        shown = imagination.step(actions[step])
        flight = torch.cat([flight, network.dynamics(flight, told[None, : step + 1])[:, -1:]], 1)
        assert np.abs(shown.latents - flight[0, -1].numpy()).max() < 1e-5
        assert shown.imagined
        assert np.abs(shown.pose.to_row() - poses[step + 1].to_row()).max() < 1e-6
        picture = network.backbone.decode(flight[:, -1])[0].clamp(0, 1).numpy()
        assert np.abs(shown.image - picture).max() < 1e-5
    assert len(imagination.frames) == 8


def test_longer_flights_look_back_on_the_newest_frames(imagination, poses):
    actions = actions_of(poses)
    imagination.begin(smooth(0), poses[0])
    for action in actions:
        shown = imagination.step(action)
        assert np.isfinite(shown.latents).all()
    assert len(imagination.frames) == 14
    # Beyond the context of 8, a step is what its last half comes to.
    before = torch.from_numpy(np.stack([one.latents for one in imagination.frames[5:9]]))
    with torch.no_grad():
        told = torch.from_numpy(actions[5:9].astype(np.float32))
        expected = imagination.network.dynamics(before[None], told[None])[0, -1]
    assert np.abs(imagination.frames[9].latents - expected.numpy()).max() < 1e-5


def test_it_looks_back_no_farther_than_in_training():
    short = Dynamics(dynamics_settings(frames=4)).network()
    assert short.settings.dynamics.context == 8
    assert Imagination(short, Limits(window=False, low=0.5, high=99.5)).context == 3


@pytest.mark.parametrize("preset", ["cpu", "gpu"])
def test_presets_train_all_of_the_context(preset):
    task = settings_for("dynamics", None, preset, {}).task
    assert task["flights"]["frames"] - 1 == task["dynamics"]["context"]


def test_back_is_as_if_a_step_had_not_been(imagination, poses):
    actions = actions_of(poses)
    imagination.begin(smooth(0), poses[0])
    first = imagination.step(actions[0])
    imagination.step(actions[5])
    assert imagination.back() is first
    again = imagination.step(actions[1])
    other = imagination.fork()
    other.begin(smooth(0), poses[0])
    other.step(actions[0])
    assert np.array_equal(other.step(actions[1]).latents, again.latents)
    imagination.back()
    imagination.back()
    with pytest.raises(MrisslError, match="no step to undo"):
        imagination.back()


def test_a_fork_flies_on_by_itself(imagination, poses):
    actions = actions_of(poses)
    imagination.begin(smooth(0), poses[0])
    imagination.step(actions[0])
    fork = imagination.fork()
    still = fork.step(np.zeros(7))
    assert len(imagination.frames) == 2
    moved = imagination.step(actions[1])
    assert np.abs(still.latents - moved.latents).max() > 1e-4
    assert len(fork.frames) == 3
    assert still.pose == apply_action(fork.frames[1].pose, np.zeros(7))


def test_true_slices_and_errors_are_those_of_the_scan(imagination, poses):
    scan = smooth(1)
    imagination.begin(scan, poses[0])
    assert imagination.latent_error() == pytest.approx(0, abs=1e-6)
    shown = imagination.step(actions_of(poses)[0])
    frame = cut(scan, (shown.pose,), 32)[0][0]
    assert np.array_equal(imagination.true_frame(), frame)
    true = imagination.encode(scan, [shown.pose])[0]
    assert imagination.latent_error() == pytest.approx(np.abs(true - shown.latents).mean())
    with pytest.raises(MrisslError, match="no flight was begun"):
        Imagination(imagination.network, Limits(window=True, low=0, high=1)).step(np.zeros(7))


def test_volumes_are_scaled_as_the_card_says(imagination):
    volume = smooth(0).volume
    scan = imagination.scan(volume)
    assert (scan.low, scan.high) == volume.value_range(0.5, 99.5)
    assert Limits(window=True, low=-5, high=7).of(volume) == (-5, 7)


def saved(path, network, **card):
    weights.save(
        path,
        network.state_dict(),
        {
            "method": "dynamics",
            "task": network.settings.model_dump(mode="json"),
            "preprocessing": PREPROCESSING,
            **card,
        },
    )
    return path


def test_weights_open_by_their_card_alone(tmp_path, poses):
    network = network_of()
    opened = Imagination.open(saved(tmp_path / "weights.safetensors", network))
    of_folder = Imagination.open(tmp_path)
    here = Imagination(network, Limits(window=False, low=0.5, high=99.5))
    frames = [
        one.begin(smooth(0).volume, poses[0]) and one.step(actions_of(poses)[0])
        for one in (opened, of_folder, here)
    ]
    assert np.array_equal(frames[0].latents, frames[2].latents)
    assert np.array_equal(frames[1].image, frames[2].image)
    assert (opened.size, opened.context) == (32, 8)


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ({"method": "tokenizer"}, "weights of tokenizer"),
        ({"task": {"backbone": {"width": "x"}}}, "card are damaged"),
        ({"task": OTHER_SHAPE}, "not those of their card"),
        ({"preprocessing": None}, "how scans are prepared"),
        ({"preprocessing": {"kind": "percentile", "low": 9, "high": 3}}, "how scans are prepared"),
    ],
)
def test_weights_of_something_else_are_refused(tmp_path, card, said):
    with pytest.raises(MrisslError, match=said):
        Imagination.open(saved(tmp_path / "weights.safetensors", network_of(), **card))


def flights(kind, count, frames=10):
    task = Dynamics(SETTINGS)
    scans = [smooth(number % 3) for number in range(count)]
    return [
        FlownPoses(scan, n % 3, kind, task.flights.fly(scan, kind, frames, n), None)
        for n, scan in enumerate(scans)
    ]


def test_errors_are_those_of_each_kind_and_horizon(imagination):
    measured = measure(imagination, [*flights("walk", 2), *flights("pan", 3)])
    assert set(measured) == {"walk", "pan"}
    walk = measured["walk"]
    assert (walk.flights, set(walk.errors)) == (2, {1, 4, 8})
    for horizon in (1, 4, 8):
        latent, squares, alike, copied, straight = [], [], [], [], []
        for flight in flights("walk", 2):
            scan, actions = flight.scan, actions_of(flight.poses)
            imagination.begin(scan, flight.poses[1])
            for step in range(1, horizon + 1):
                shown = imagination.step(actions[step])
            true = imagination.encode(scan, flight.poses)
            frame = cut(scan, (flight.poses[1 + horizon],), 32)[0][0]
            latent.append(np.abs(shown.latents - true[1 + horizon]).mean())
            squares.append(np.square(shown.image - frame).mean())
            alike.append(structural_similarity(shown.image, frame, data_range=1.0))
            copied.append(np.abs(true[1] - true[1 + horizon]).mean())
            line = true[1] + horizon * (true[1] - true[0])
            straight.append(np.abs(line - true[1 + horizon]).mean())
        found = walk.errors[horizon]
        assert found["imagined"].latent == pytest.approx(np.mean(latent), rel=1e-4)
        assert found["copied"].latent == pytest.approx(np.mean(copied), rel=1e-4)
        assert found["straight"].latent == pytest.approx(np.mean(straight), rel=1e-4)
        expected = peak_signal_noise_ratio(
            np.zeros(1), np.sqrt(np.mean(squares, keepdims=True)), data_range=1.0
        )
        assert found["imagined"].psnr == pytest.approx(expected, rel=1e-4)
        assert found["imagined"].ssim == pytest.approx(np.mean(alike), rel=1e-3)
    told = [actions_of(flight.poses) for flight in flights("walk", 2)]
    right, wrong, copied = [], [], []
    for flight, own, other in zip(flights("walk", 2), told, told[::-1], strict=True):
        true = torch.from_numpy(imagination.encode(flight.scan, flight.poses))
        for errors, actions in ((right, own), (wrong, other)):
            errors += [one_ahead(imagination, true, actions, frame) for frame in range(9)]
        copied += [float((true[n + 1] - true[n]).abs().mean()) for n in range(9)]
    assert walk.next_error == pytest.approx(np.mean(right), rel=1e-4)
    assert walk.shuffled_error == pytest.approx(np.mean(wrong), rel=1e-4)
    assert walk.copied_error == pytest.approx(np.mean(copied), rel=1e-4)
    assert walk.shuffle_ratio == pytest.approx(np.mean(wrong) / np.mean(right), rel=1e-4)
    assert walk.below_copied == pytest.approx(np.mean(right) / np.mean(copied), rel=1e-4)


@torch.no_grad()
def one_ahead(imagination, true, actions, frame):
    """Error of the frame after one, from all true ones of its window of eight."""
    first = 8 * (frame // 8)
    told = torch.from_numpy(actions[first : frame + 1].astype(np.float32))
    found = imagination.network.dynamics(true[None, first : frame + 1], told[None])[0, -1]
    return float((found - true[frame + 1]).abs().mean())


def test_a_network_without_actions_has_a_ratio_of_one():
    blind = Imagination(network_of(actions="zero"), Limits(window=False, low=0.5, high=99.5))
    assert measure(blind, flights("walk", 3))["walk"].shuffle_ratio == pytest.approx(1, abs=1e-6)


def test_an_untrained_network_is_as_good_as_copying():
    torch.manual_seed(0)
    copying = Imagination(Dynamics(SETTINGS).network(), Limits(window=False, low=0.5, high=99.5))
    found = measure(copying, flights("pan", 2))["pan"]
    assert found.below_copied == pytest.approx(1, abs=1e-3)
    assert found.errors[8]["imagined"].latent == pytest.approx(
        found.errors[8]["copied"].latent, rel=1e-3
    )


@pytest.mark.parametrize("contents", [b"ab", b"aabb", b"abac", b"abcabcdd", b"aaabcd"])
def test_flights_are_never_shuffled_onto_their_like(contents):
    texts = [bytes([one]) for one in contents]
    order = derangement(texts)
    assert sorted(order) == list(range(len(texts)))
    assert all(texts[number] != texts[other] for number, other in enumerate(order))


@pytest.mark.parametrize("contents", [b"", b"a", b"aa", b"aab"])
def test_flights_that_cannot_be_shuffled_are_refused(contents):
    with pytest.raises(MrisslError, match="same actions"):
        derangement([bytes([one]) for one in contents])


def test_short_flights_are_refused(imagination):
    with pytest.raises(MrisslError, match="a flight of 9 frames"):
        measure(imagination, flights("pan", 2, frames=9))
