"""Policies: who knows the truth reaches it, what was shown is learned, files are what they say."""

import numpy as np
import pytest
import torch

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.navigation import cloning, demonstrations
from napari_mrissl.evaluation.navigation.demonstrations import (
    LIMITS,
    clipped,
    demonstrated,
    frames_shown,
    record,
    start_of,
)
from napari_mrissl.evaluation.navigation.plane_benchmark import on_head
from napari_mrissl.evaluation.navigation.plane_heads import displaced_head
from napari_mrissl.evaluation.navigation.standard_plane import PLAIN, Plane, apart
from napari_mrissl.geometry import Pose, apply_action, relative_action
from napari_mrissl.networks import weights

CARD = {"preprocessing": {"kind": "percentile", "low": 0.5, "high": 99.5}}


@pytest.fixture(scope="module")
def heads():
    return [displaced_head(1, number, 32) for number in range(2)]


def test_actions_are_clipped_in_their_own_direction():
    action = np.array([0.3, 0.4, 0.0, 0.01, 0.02, 0.0, -0.5])
    found = clipped(action)
    np.testing.assert_allclose(found[:3], [0.018, 0.024, 0.0])
    np.testing.assert_allclose(found[3:6], action[3:6])
    assert found[6] == -LIMITS[6]


def test_who_knows_the_truth_reaches_it(heads):
    for head in heads:
        # It sees nothing, but keeps count of where its own steps have led.
        place = [start_of(head.volume)]

        def act(image, head=head, place=place):
            action = relative_action(place[0], head.target)
            place[0] = apply_action(place[0], clipped(action))
            return action

        (found,) = [one for one in on_head(head, 0, {"knows": act}, 16, CARD, 60)
                    if one.way == "knows"]  # fmt: skip
        assert found.mm < 1e-6
        assert found.degrees < 1e-4
        assert found.steps < 60


def test_who_stays_ends_where_it_began(heads):
    found = {one.way: one for one in on_head(heads[0], 0, {"stays": lambda image: np.zeros(7)},
                                             16, CARD, 30)}  # fmt: skip
    assert set(found) == {"stays", *PLAIN}
    assert found["stays"].steps == 2
    assert found["stays"].mm == pytest.approx(found["volume_centre"].mm)
    assert found["stays"].degrees == pytest.approx(found["volume_centre"].degrees, abs=1e-4)


def test_demonstrations_are_a_dataset_of_flights_to_the_plane(heads, tmp_path):
    dataset = record(tmp_path / "flights", heads, 2, seed=0)
    assert len(dataset) == 4
    shown = frames_shown(dataset)
    assert len(shown) == 4 * demonstrations.FRAMES
    for head in heads:
        own = [one for one in shown if one.identity == head.volume.identity]
        last = own[demonstrations.FRAMES - 1]
        away = apart(Plane.of_pose(last.pose), head.plane, head.middle)
        assert away == pytest.approx((0, 0), abs=1e-3)
        np.testing.assert_allclose(last.action, 0, atol=1e-6)
        for one in own[: demonstrations.FRAMES]:
            expected = clipped(relative_action(one.pose, head.target))
            np.testing.assert_allclose(one.action, expected, atol=1e-4)
    text = "".join(p.read_text("utf-8") for p in (tmp_path / "flights").glob("*.json"))
    assert str(tmp_path) not in text


def test_demonstrations_come_closer(heads):
    poses = demonstrated(heads[1], 0)
    away = [apart(Plane.of_pose(pose), heads[1].plane, heads[1].middle) for pose in poses]
    assert away[-1] == pytest.approx((0, 0), abs=1e-5)
    assert away[-2][0] <= away[0][0] + 1
    assert demonstrated(heads[1], 0) == poses


def test_a_policy_learns_what_rows_tell_and_closes_the_loop():
    """Rows that are the way itself: cloning has to find the clipped action, and then the pose."""
    rng = np.random.default_rng(0)
    ways = rng.uniform(-1, 1, (3000, 7)) * [0.2, 0.2, 0.2, 0.5, 0.5, 0.5, 0.2]
    policy = cloning.cloned(ways, np.stack([clipped(way) for way in ways]), steps=400, seed=0)
    with torch.no_grad():
        found = policy(torch.from_numpy(ways[:200].astype(np.float32))).numpy()
    expected = np.stack([clipped(way) for way in ways[:200]])
    assert np.abs((found - expected) / LIMITS).mean() < 0.25
    target = Pose.from_normal_up((5, -3, 2), (1, 0.2, 0.1), (0, 0, 1), 150.0)
    pose = Pose.from_normal_up((20, 5, -8), (1, -0.1, 0.2), (0, 0.1, 1), 160.0)
    for _ in range(40):
        way = relative_action(pose, target).astype(np.float32)
        with torch.no_grad():
            pose = apply_action(pose, clipped(policy(torch.from_numpy(way[None]))[0].numpy()))
    assert np.linalg.norm(pose.center - target.center) < 4
    assert np.degrees(np.arccos(pose.normal @ target.normal)) < 5


def test_training_follows_its_seed_and_leaves_other_draws_alone():
    rng = np.random.default_rng(0)
    rows, actions = rng.normal(size=(50, 4)), rng.normal(size=(50, 7)) * 0.01
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, same = (cloning.cloned(rows, actions, 5, seed=2) for _ in range(2))
    assert torch.equal(torch.rand(1), expected)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, same.state_dict()[name])


def test_a_file_gives_the_same_policy_and_names_its_features(tmp_path):
    rng = np.random.default_rng(0)
    policy = cloning.cloned(rng.normal(size=(50, 4)), rng.normal(size=(50, 7)) * 0.01, 5)
    path = tmp_path / "policy.safetensors"
    cloning.save(path, policy, "a" * 64, {"frames": 50})
    rows = torch.randn(3, 4)
    assert torch.equal(cloning.load(path, "a" * 64)(rows), policy(rows))
    with pytest.raises(MrisslError, match="other weights"):
        cloning.load(path, "b" * 64)
    state, card = weights.load(path)
    weights.save(path, state, {**card, "method": "tokenizer"})
    with pytest.raises(MrisslError, match="expected a policy"):
        cloning.load(path)
    weights.save(path, state, {**card, "network": {"features": 5, "width": 256}})
    with pytest.raises(MrisslError, match="do not fit"):
        cloning.load(path)


def test_crossing_slices_share_their_middle_and_stand_on_each_other():
    pose = Pose.from_normal_up((5, -3, 2), (1, 0.2, 0.1), (0, 0, 1), 150.0)
    own, about_right, about_up = cloning.crossing(pose)
    np.testing.assert_allclose(own.to_row(), pose.to_row(), atol=1e-9)
    for one in (about_right, about_up):
        np.testing.assert_allclose(one.center, pose.center)
        assert one.fov == pose.fov
    right, up, normal = pose.rotation.T
    np.testing.assert_allclose(np.abs(about_right.rotation.T @ right), [1, 0, 0], atol=1e-9)
    np.testing.assert_allclose(np.abs(about_right.normal @ up), 1)
    np.testing.assert_allclose(np.abs(about_up.normal @ right), 1)
    assert abs(about_up.normal @ normal) < 1e-9


class Means:
    """Features of a slice: its mean grey value."""

    def pooled(self, images):
        return images[:, 0].mean(axis=(1, 2))[:, None]


def test_rows_hold_the_features_of_all_three_slices():
    images = np.random.default_rng(0).random((4, 3, 2, 8, 8)).astype(np.float32)
    rows = cloning.row_of(Means(), images)
    np.testing.assert_allclose(rows, images[:, :, 0].mean(axis=(2, 3)), rtol=1e-6)
