"""Where patches come from, against poses and scipy; what lies there, against torch's sampling."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from napari_mrissl.geometry import Pose, apply_action
from napari_mrissl.networks.slice_moves import latents_at, origins, patch_centers

GRID = 6


def test_centers_are_those_of_pixels():
    pose = Pose.from_normal_up((0, 0, 0), (0, 0, 1), (0, 1, 0), 1.0)
    pixels = pose.grid(GRID)
    places = patch_centers(GRID).numpy()
    for row in range(GRID):
        for column in range(GRID):
            world = pixels @ (0, row, column, 1)
            np.testing.assert_allclose(pose.rotation @ places[row, column], world[:3], atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_origins_are_places_of_the_next_pose_in_the_frame_of_this_one(seed):
    rng = np.random.default_rng(seed)
    pose = Pose.from_normal_up(rng.normal(size=3), rng.normal(size=3), rng.normal(size=3), 137.0)
    action = rng.normal(size=7) * (0.1, 0.1, 0.1, 0.6, 0.6, 0.6, 0.3)
    after = apply_action(pose, action)
    centers = patch_centers(GRID)
    found = origins(torch.from_numpy(action), centers).numpy()
    world = after.center + after.fov * centers.double().numpy() @ after.rotation.T
    wanted = (world - pose.center) @ pose.rotation / pose.fov
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_no_action_leaves_patches_where_they_are():
    centers = patch_centers(GRID)
    latents = torch.randn(2, 3, GRID, GRID, 4)
    places = origins(torch.zeros(2, 3, 7), centers)
    torch.testing.assert_close(places, centers.expand_as(places))
    torch.testing.assert_close(latents_at(latents, places), latents)


def test_places_keep_their_precision_where_networks_run_in_half():
    actions = 0.1 * torch.randn(3, 7, generator=torch.Generator().manual_seed(0))
    places = origins(actions, patch_centers(GRID))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(origins(actions, patch_centers(GRID)), places)
        assert not torch.equal(places @ places.mT, (places.double() @ places.double().mT).float())


def test_what_lies_between_patches_is_linear_and_beyond_the_edge_the_edge():
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(GRID, GRID))
    places = rng.uniform(-0.8, 0.8, (GRID, GRID, 3))
    found = latents_at(torch.from_numpy(latents)[..., None], torch.from_numpy(places))[..., 0]
    row = (0.5 - places[..., 1]) * GRID - 0.5
    column = (0.5 + places[..., 0]) * GRID - 0.5
    wanted = map_coordinates(latents, [row, column], order=1, mode="nearest")
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-9)
