"""Each stage of a label map against scipy, scikit-image and torch with the same parameters."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.filters import median
from skimage.morphology import ball

from napari_mrissl.synthesis import EnsembleSettings, Templates
from napari_mrissl.synthesis.compiled import CompiledOperations
from napari_mrissl.synthesis.ensemble import Placement, draw_ensemble, mask_nodes, place


@pytest.fixture
def run(pool) -> CompiledOperations:
    operations = CompiledOperations()
    operations.use(pool)
    return operations


def padded(mask: np.ndarray) -> np.ndarray:
    """Centred in 128 voxels where it is smaller, half of what lacks (rounded down) before."""
    missing = [max(0, 128 - n) for n in mask.shape]
    return np.pad(mask.astype(np.uint8), [(n // 2, n - n // 2) for n in missing])


@pytest.mark.parametrize("side", [48, 128])
def test_painting_is_scipys_affine_map_with_grid_wrap(pool, run, side):
    draw = draw_ensemble(1, 0, EnsembleSettings(side=side, templates=(6, 6)), len(pool))
    expected = np.zeros((side,) * 3, np.uint8)
    for label, placement in enumerate(draw.placements):
        moved = ndimage.affine_transform(
            padded(pool[placement.template]),
            np.array(placement.matrix) * 128 / side,
            placement.shift,
            output_shape=(side,) * 3,
            order=0,
            mode="grid-wrap",
        )
        expected[moved > 0] = label
    painted = run.paint(place(draw.placements, pool, side), side)
    assert len(np.unique(expected)) == 6
    # Voxels exactly between two of the template may fall to either side.
    assert np.count_nonzero(painted != expected) <= 2e-5 * expected.size


def test_a_template_larger_than_the_volume_is_not_cut():
    rng = np.random.default_rng(0)
    shape = ndimage.gaussian_filter(rng.normal(size=(150, 30, 141)), 3) > 0
    large = Templates.from_masks([shape])
    # Odd numbers, so that no coordinate lies halfway between two voxels.
    turned = ((0.0, 1.1037, 0.3011), (-0.9071, 0.2013, 0.0), (0.1039, -0.4057, -1.3019))
    placement = Placement(0, turned, (3.2049, -4.1083, 0.7027))
    run = CompiledOperations()
    run.use(large)
    painted = run.paint(place((placement, placement), large, 128), 128)
    expected = ndimage.affine_transform(
        padded(shape), np.array(turned), placement.shift, (128,) * 3, order=0, mode="grid-wrap"
    )
    assert 0.05 < expected.mean() < 0.95
    assert np.count_nonzero(painted != expected) <= 2e-5 * expected.size


def test_the_first_template_is_label_0_and_later_ones_lie_on_top(pool, run):
    still = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    everything = Templates.from_masks([np.ones((128,) * 3, bool), pool[0]])
    run.use(everything)
    placements = tuple(Placement(n, still, (0.0,) * 3) for n in (0, 0, 1))
    painted = run.paint(place(placements, everything, 128), 128)
    assert np.array_equal(painted == 2, padded(pool[0]) > 0)
    assert np.all(painted[painted != 2] == 1)


@pytest.mark.parametrize("labels", [2, 5, 41, 256])
def test_median_is_scikit_images(run, labels):
    rng = np.random.default_rng(labels)
    noise = ndimage.gaussian_filter(rng.normal(size=(48, 48, 48)), 2)
    volume = np.digitize(noise, np.quantile(noise, np.linspace(0, 1, labels + 1)[1:-1]))
    volume = volume.astype(np.uint8)
    volume[:16] = rng.integers(labels, size=(16, 48, 48))
    expected = median(volume)
    assert np.any(expected != volume)
    assert np.array_equal(run.median(volume.copy(), 3), expected)


@pytest.mark.parametrize("width", [1.0, 1.5, 2.0, 3.0, 4.0])
def test_envelope_is_dilation_without_erosion_by_a_ball(run, width):
    rng = np.random.default_rng(2)
    mask = ndimage.gaussian_filter(rng.normal(size=(32, 32, 32)), 3) > 0
    if width == int(width):
        footprint = ball(int(width))
    else:
        line = np.arange(-1, 2)
        footprint = line[:, None, None] ** 2 + line[:, None] ** 2 + line**2 <= width**2
    shell = ndimage.binary_dilation(mask, footprint)
    shell &= ~ndimage.binary_erosion(mask, footprint, border_value=1)
    labels = np.where(mask, 7, 3).astype(np.uint8)
    expected = np.where(shell, 8, labels)
    assert np.array_equal(run.envelope(labels, mask.astype(np.uint8), width), expected)


def test_merging_keeps_the_inside_and_frees_label_0(run):
    labels = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    mask = (labels % 2).astype(np.uint8)
    assert np.array_equal(run.merge(labels.copy(), mask), np.where(mask, labels + 1, 0))


@pytest.mark.parametrize("side", [32, 64])
def test_the_ball_is_warped_as_grid_sample_does(run, side):
    torch = pytest.importorskip("torch")
    settings = EnsembleSettings(side=side, mask_probability=1)
    draw = draw_ensemble(4, 1, settings, 3).mask
    shifts, start = torch.zeros(1, 3, side, side, side), 0
    for n in (16, 8, 4):
        field = torch.from_numpy(draw.coarse[:, start : start + n**3]).view(1, 3, n, n, n)
        shifts += torch.nn.functional.interpolate(field, size=(side,) * 3, mode="trilinear")
        start += n**3
    axes = [torch.arange(side, dtype=torch.float32)] * 3
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"))[None] + shifts
    z, y, x = np.ogrid[:side, :side, :side]
    away = sum((axis - middle) ** 2 for axis, middle in zip((z, y, x), draw.centre, strict=True))
    inside = torch.from_numpy((away <= draw.radius**2).astype(np.float32))
    grid = (2 * places / (side - 1) - 1).permute(0, 2, 3, 4, 1).flip(-1)
    expected = torch.nn.functional.grid_sample(
        inside[None, None], grid, "nearest", "reflection", align_corners=True
    )[0, 0].numpy()
    found = run.ball(mask_nodes(settings), draw.coarse, draw.centre, draw.radius, side)
    assert 0.02 < expected.mean() < 0.9
    # Coordinates between two voxels round either way.
    assert np.count_nonzero(found != expected) <= 1e-4 * expected.size
