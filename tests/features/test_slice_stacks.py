"""Features of a network for slices on a volume's own grid."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from slice_networks import SLICES, dynamics_file, tokenizer_file

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.frozen_sources import named
from napari_mrissl.features import Cancelled, SliceStackSettings, compute, source_for
from napari_mrissl.features.of_weights import settings_of
from napari_mrissl.features.settings import feature_settings, remarks_on
from napari_mrissl.features.slice_stacks import STACKS, stack_poses
from napari_mrissl.networks.slice_encoder import SliceEncoder
from napari_mrissl.slicing import render
from napari_mrissl.volumes import Volume

SPACING = (1.5, 1.0, 1.2)


@pytest.fixture(scope="module")
def volume():
    """Smooth, 20 x 28 x 24 voxels (S, A, R), 12 degrees oblique."""
    noise = np.random.default_rng(0).random((24, 28, 20))
    values = ndimage.gaussian_filter(noise, 3.5).astype(np.float32)
    turn = np.deg2rad(12)
    rotation = np.array(
        [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = rotation * SPACING[::-1]
    affine[:3, 3] = (5, -8, 3)
    return Volume.from_stored(values, affine, name="smooth")


class Middles:
    """An encoder that knows nothing but the grey value at the middle of each patch."""

    channels = 1

    def __init__(self, grid):
        self.grid = grid

    def parameters(self):
        yield torch.zeros(1)

    def tokens(self, image):
        patch = image.shape[-1] // self.grid
        grey = image[:, -1, 0]
        # The middle lies between four pixels.
        cut = grey.unfold(1, patch, patch).unfold(2, patch, patch)
        inner = slice(patch // 2 - 1, patch // 2 + 1)
        return cut[..., inner, inner].mean((-2, -1))[..., None]


def test_slices_of_a_stack_are_planes_of_the_volume(volume):
    for number, stack in enumerate(STACKS):
        level = volume.shape[number] // 2
        side = 21.0
        (pose,) = stack_poses(volume, stack, np.array([float(level)]), side)
        middle = (np.array(volume.shape) - 1) / 2
        rows, columns = ((1, 2), (0, 2), (0, 1))[number]
        pixels = ((np.arange(14) + 0.5) / 14 - 0.5) * side
        index = np.empty((3, 14, 14))
        index[number] = level
        index[rows] = (middle[rows] - pixels / volume.spacing[rows])[:, None]
        index[columns] = middle[columns] + pixels / volume.spacing[columns]
        expected = ndimage.map_coordinates(volume.data, index, order=1)
        found = render(volume, pose, 14)
        assert found.valid.mean() > 0.9
        np.testing.assert_allclose(found.values[found.valid], expected[found.valid], atol=1e-4)


def test_tokens_come_back_to_where_they_were_cut(volume, tmp_path, monkeypatch):
    from napari_mrissl.features import torch_slices

    settings = SliceStackSettings(
        weights=str(tokenizer_file(tmp_path)), normalise="none", joined="each"
    )
    source = source_for(settings)
    low, high = volume.value_range(0.5, 99.5)
    truth = ((volume.data - low) / (high - low)).clip(0, 1)
    monkeypatch.setattr(torch_slices, "_encoder", lambda source: Middles(4))
    out = np.empty((18, *volume.shape), np.float32)
    source.compute_into(volume, out)
    for stack in range(3):
        one = out[6 * stack]
        inner = (slice(4, -4),) * 3
        here = np.corrcoef(one[inner].ravel(), truth[inner].ravel())[0, 1]
        # A mistake of one axis, one sign or half a patch ends this.
        assert here > 0.8, STACKS[stack]
        for axis in range(3):
            for way in (-3, 3):
                moved = np.roll(truth, way, axis)[inner]
                assert here > np.corrcoef(one[inner].ravel(), moved.ravel())[0, 1]
    mean = np.zeros((6, *volume.shape), np.float32)
    source_for(settings.model_copy(update={"joined": "mean"})).compute_into(volume, mean)
    np.testing.assert_allclose(mean[0], out[[0, 6, 12]].mean(axis=0), atol=1e-5)


def test_features_by_a_loop_over_the_tokens(volume, tmp_path):
    path = dynamics_file(tmp_path)
    settings = settings_of(str(path), normalise="none", joined="each")
    stack = compute(volume, settings)
    assert stack.data.shape == (36, *volume.shape)
    assert stack.names[12] == "coronal feature 0"
    # In the coronal stack, at a voxel on a slice and between four tokens.
    source, encoder = source_for(settings), SliceEncoder.open(path)
    levels = source.levels(volume, 1)
    np.testing.assert_allclose(np.diff(levels), 28 / len(levels))
    assert abs(28 / len(levels) - SLICES["patch"] / 2) < 0.5
    side = source.side_mm(volume)
    assert side == pytest.approx(max(np.array(volume.shape) * SPACING))
    a = 13
    low, high = volume.value_range(0.5, 99.5)
    step = side / 8
    below = int(np.floor((a - levels[0]) / (levels[1] - levels[0])))
    part = (a - levels[below]) / (levels[1] - levels[0])
    voxel = np.array([9, a, 10])
    mm = (voxel - (np.array(volume.shape) - 1) / 2) * SPACING
    row, column = (side / 2 - mm[0]) / step - 0.5, (mm[2] + side / 2) / step - 0.5
    expected = np.zeros(12)
    for level, share in ((levels[below], 1 - part), (levels[below + 1], part)):
        (pose,) = stack_poses(volume, "coronal", np.array([level]), side)
        for i in (int(row), int(row) + 1):
            for j in (int(column), int(column) + 1):
                weight = (1 - abs(row - i)) * (1 - abs(column - j))
                down, across = (2 * (i % 2) - 1) * step / 2, (2 * (j % 2) - 1) * step / 2
                center = pose.center - down * pose.up + across * pose.right
                values, valid = render(volume, type(pose)(center, pose.rotation, pose.fov), 16)
                grey = np.where(valid, ((values - low) / (high - low)).clip(0, 1), 0)
                image = torch.from_numpy(np.stack([grey, valid]).astype(np.float32))
                token = encoder.tokens(image[None, None])[0, i // 2, j // 2].numpy()
                expected += share * weight * token
    np.testing.assert_allclose(stack.data[12:24, 9, a, 10], expected, atol=1e-4)


def test_lengths_names_and_cache(volume, tmp_path):
    settings = settings_of(str(tokenizer_file(tmp_path)))
    stack = compute(volume, settings)
    assert stack.data.shape == (SLICES["latent"], *volume.shape)
    np.testing.assert_allclose((stack.data**2).sum(axis=0), 1, atol=1e-4)
    assert compute(volume, settings).data.filename == stack.data.filename
    again = feature_settings(settings.model_dump(mode="json"))
    assert again == settings
    assert np.array_equal(compute(volume, again).data, stack.data)
    assert settings.weights in str(settings.model_dump())
    assert str(tmp_path) not in str(settings.model_dump())
    other = settings_of(str(tokenizer_file(tmp_path / "other", seed=1)))
    assert not np.allclose(compute(volume, other).data, stack.data, atol=1e-2)


def test_it_can_be_cancelled_and_tells_how_far_it_is(volume, tmp_path):
    settings = settings_of(str(tokenizer_file(tmp_path)))
    said = []
    compute(volume, settings, lambda part, step: said.append(part))
    assert said == sorted(said)
    assert said[-1] == 1.0
    with pytest.raises(Cancelled):
        compute(volume, settings.model_copy(update={"side": 0.5}), cancelled=lambda: True)


def test_refusals_are_sentences(volume, tmp_path):
    path = tokenizer_file(tmp_path)
    with pytest.raises(MrisslError, match="'tap' for these weights"):
        settings_of(str(path), tap=3)
    flat = Volume.from_stored(np.ones((8, 8, 8), np.float32), np.eye(4), name="flat")
    with pytest.raises(MrisslError, match="same value"):
        compute(flat, settings_of(str(path)))
    settings = settings_of(str(path))
    tokenizer_file(tmp_path, seed=3)
    with pytest.raises(MrisslError, match="has changed"):
        compute(volume, settings)
    (said,) = remarks_on(volume, settings_of(str(path), side=2.0))
    assert "15 voxels across" in said
    assert remarks_on(volume, settings_of(str(path))) == ()


def test_sources_of_a_comparison_follow_the_card(tmp_path):
    run = tokenizer_file(tmp_path / "run")
    words = [str(run), f"{run}+each", "random", "random+each", "intensity"]
    sources = named(words)
    assert [one.name.partition(" ")[0] for one in sources] == (
        ["tokenizer", "tokenizer"] + ["random"] * 3 + ["random+each"] * 3 + ["intensity"]
    )
    assert sources[1].name == f"{sources[0].name}+each"
    assert sources[1].settings.joined == "each"
    assert [one.seed for one in sources[2:8]] == [0, 1, 2, 0, 1, 2]
    assert sources[2].settings.slices.model_dump() == {**SLICES}
    assert len({one.identity for one in sources}) == len(sources)
    with pytest.raises(MrisslError, match="scales"):
        named([f"{run}+scales"])
