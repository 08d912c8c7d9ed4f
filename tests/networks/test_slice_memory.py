"""What a flight remembers of places, against loops over poses and scipy, and where it must win."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from napari_mrissl.geometry import Pose, apply_action, invert_action
from napari_mrissl.networks import slice_memory
from napari_mrissl.networks.slice_memory import FADES, NEAR, RIDGE, recalled, remembered
from napari_mrissl.networks.slice_moves import carried, patch_centers
from napari_mrissl.networks.transformer import normed

GRID, LATENT, FRAMES = 5, 4, 6
CENTERS = patch_centers(GRID)


def flight(seed: int, spread: float = 0.03) -> tuple[list[Pose], torch.Tensor, torch.Tensor]:
    """Poses (one more than frames), random latents (1, F, ...) and actions (1, F, 7)."""
    rng = np.random.default_rng(seed)
    poses = [Pose.from_normal_up((3, 5, 7), (1, 2, 3), (0, 1, 0), 150.0)]
    actions = rng.normal(size=(FRAMES, 7)) * spread
    for action in actions:
        poses.append(apply_action(poses[-1], action))
    latents = rng.normal(size=(1, FRAMES, GRID, GRID, LATENT)).astype(np.float32)
    return poses, torch.from_numpy(latents), torch.from_numpy(actions.astype(np.float32))[None]


def by_hand(poses: list[Pose], latents: np.ndarray, newest: int) -> tuple[np.ndarray, np.ndarray]:
    """The line through what frames up to the newest show, place by place, by world coordinates."""
    after = poses[newest + 1]
    grid = after.grid(GRID)
    values = np.zeros((GRID, GRID, LATENT))
    told = np.zeros((GRID, GRID, 3))
    for row in range(GRID):
        for column in range(GRID):
            place = (grid @ (0, row, column, 1))[:3]
            shown, heights, offs, counts = [], [], [], []
            for number in range(newest, -1, -1):
                pose = poses[number]
                local = pose.rotation.T @ (place - pose.center) / pose.fov * GRID
                at = (GRID - 1) / 2 + np.array([-local[1], local[0]])
                beyond = at - at.clip(0, GRID - 1)
                shown.append([
                    map_coordinates(latents[number, ..., channel], at[:, None], order=1,
                                    mode="nearest")[0] for channel in range(LATENT)
                ])  # fmt: skip
                heights.append(local[2])
                offs.append(local[2] ** 2 + (beyond**2).sum())
                counts.append(-offs[-1] / (2 * NEAR**2) - FADES * (newest - number))
            shares = np.exp(np.array(counts) - max(counts))
            shares /= shares.sum()
            middle = shares @ heights
            apart = shares @ (np.array(heights) - middle) ** 2
            mean = shares @ np.array(shown)
            slope = (shares * (np.array(heights) - middle)) @ (np.array(shown) - mean)
            values[row, column] = mean - slope / (apart + RIDGE**2) * middle
            told[row, column] = middle, np.sqrt(apart), np.sqrt(shares @ offs)
    return values, told


@pytest.mark.parametrize("seed", range(4))
def test_what_is_recalled_is_a_line_through_what_frames_show_of_a_place(seed):
    poses, latents, actions = flight(seed)
    found = recalled(latents, actions, CENTERS, FRAMES)
    for newest in range(FRAMES):
        values, told = by_hand(poses, latents[0].numpy().astype(np.float64), newest)
        np.testing.assert_allclose(found.latents[0, newest].numpy(), values, atol=2e-4)
        np.testing.assert_allclose(found.told[0, newest].numpy(), told, atol=2e-3)


def test_frames_that_are_asked_after_are_the_newest():
    _, latents, actions = flight(0)
    whole = recalled(latents, actions, CENTERS, FRAMES)
    some = recalled(latents, actions, CENTERS, 2)
    torch.testing.assert_close(some.latents, whole.latents[:, -2:])
    torch.testing.assert_close(some.told, whole.told[:, -2:])


def test_no_frame_knows_of_later_ones():
    _, latents, actions = flight(1)
    found = recalled(latents, actions, CENTERS, FRAMES)
    latents[:, 4:], actions[:, 4:] = 9.0, 0.5
    again = recalled(latents, actions, CENTERS, FRAMES)
    torch.testing.assert_close(again.latents[:, :4], found.latents[:, :4])
    assert not torch.allclose(again.latents[:, 4:], found.latents[:, 4:])


def test_a_single_frame_remembers_what_moving_it_shows():
    _, latents, actions = flight(2)
    latents, actions = normed(latents[:, :1]), actions[:, :1]
    found, moved = remembered(latents, actions), carried(latents, actions)
    torch.testing.assert_close(found, moved, atol=1e-4, rtol=0)


def test_who_comes_back_finds_what_was_there():
    """Out along the normal and back again: copying shows the farthest slice, memory the first."""
    _, latents, _ = flight(3)
    latents = normed(latents[:, :3])
    out = np.array([0, 0, 0.1, 0, 0, 0, 0])
    actions = torch.from_numpy(np.stack([out, out, invert_action(2 * out)]).astype(np.float32))
    found = remembered(latents, actions[None])[:, -1]
    assert (found - latents[:, 0]).abs().max() < 0.02
    assert (latents[:, -1] - latents[:, 0]).abs().max() > 1


def test_who_turns_sees_on_from_both_sides():
    """Latents that grow along the normal are told beside the plane by two slices near it."""
    rng = np.random.default_rng(4)
    slope = rng.normal(size=LATENT)
    base = rng.normal(size=LATENT)
    poses = [Pose.from_normal_up((0, 0, 0), (0, 0, 1), (0, 1, 0), 100.0)]
    actions = np.zeros((3, 7))
    actions[0, 2], actions[1, 2], actions[2, 3] = 0.06, -0.03, 0.1
    for action in actions:
        poses.append(apply_action(poses[-1], action))
    shown = [base + pose.grid(GRID)[2, 3] / 100 * GRID * slope for pose in poses[:3]]
    latents = np.broadcast_to(np.array(shown)[:, None, None], (3, GRID, GRID, LATENT))
    found = recalled(
        torch.from_numpy(latents.astype(np.float32))[None],
        torch.from_numpy(actions.astype(np.float32))[None],
        CENTERS,
        1,
    ).latents[0, 0].numpy()  # fmt: skip
    grid = poses[3].grid(GRID)
    heights = np.array([[(grid @ (0, r, c, 1))[2] for c in range(GRID)] for r in range(GRID)])
    wanted = base + (heights / 100 * GRID)[..., None] * slope
    copied = np.abs(latents[-1] - wanted).mean()
    assert np.abs(found - wanted).mean() < 0.5 * copied


def test_gradients_are_finite_where_places_are_the_same():
    latents = torch.randn(1, 3, GRID, GRID, LATENT, requires_grad=True)
    slice_memory.recalled(latents, torch.zeros(1, 3, 7), CENTERS, 3).latents.sum().backward()
    assert torch.isfinite(latents.grad).all()
