"""Windows, flips, grids and memory of a prediction, by networks whose answer is known."""

import itertools

import numpy as np
import pytest
import small_segmenters
import torch
from small_segmenters import Bands, StandIn, nearest_band, volume_of
from torch import nn

from napari_mrissl.errors import MrisslError
from napari_mrissl.metrics import dice
from napari_mrissl.segmentation import torch_prediction
from napari_mrissl.segmentation.prediction import Cancelled, PredictionSettings, Predictor
from napari_mrissl.segmentation.regridding import network_shape, resized
from napari_mrissl.segmentation.torch_prediction import NetworkPass, mirrored_axes, window_count


def smooth(shape, seed=0):
    """A smooth image with values from 0 to 1."""
    axes = np.meshgrid(*(np.linspace(0, 3, n) for n in shape), indexing="ij")
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    waves = sum(np.sin(2 * axis + p) for axis, p in zip(axes, phase, strict=True))
    return ((waves - waves.min()) / np.ptp(waves)).astype(np.float32)


def predict(segmenter, volume, **settings):
    return Predictor(segmenter, PredictionSettings(**settings)).predict(volume)


class Neighbours(nn.Module):
    """A convolution with fixed weights: what lies outside a window changes it."""

    def __init__(self, classes=3):
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Conv3d(1, classes, 3, padding=1)
        nn.init.normal_(self.layer.weight, std=1.0)

    def forward(self, image):
        return self.layer(image)


def test_windows_are_blended_as_a_plain_loop_blends_them():
    image = smooth((24, 20, 16))
    module = Neighbours()
    found = predict(StandIn(module), volume_of(image), window=8, overlap=0.5, probabilities=True)
    offsets = np.arange(8) - 3.5
    bell = np.exp(-(offsets**2) / 2)  # standard deviation: an eighth of eight
    weight = np.maximum(bell[:, None, None] * bell[:, None] * bell, 1e-3)
    total, weights = np.zeros((3, *image.shape)), np.zeros(image.shape)
    for corner in itertools.product(*(range(0, side - 7, 4) for side in image.shape)):
        box = tuple(slice(c, c + 8) for c in corner)
        with torch.no_grad():
            logits = module(torch.from_numpy(image[box].copy())[None, None])[0].double().numpy()
        shares = np.exp(logits) / np.exp(logits).sum(axis=0)
        total[(slice(None), *box)] += weight * shares
        weights[box] += weight
    expected = total / weights
    np.testing.assert_allclose(found.probabilities, expected, atol=2e-6)
    np.testing.assert_allclose(found.probabilities.sum(axis=0), 1, atol=1e-5)
    clear = np.sort(expected, axis=0)[-1] - np.sort(expected, axis=0)[-2] > 1e-4
    np.testing.assert_array_equal(found.labels[clear], expected.argmax(axis=0)[clear])


@pytest.mark.parametrize("shape", [(16, 16, 16), (7, 35, 51), (1, 9, 30), (5, 1, 1)])
@pytest.mark.parametrize("settings", [{}, {"window": 8}, {"flips": "all", "window": 12}])
def test_a_network_that_looks_at_single_voxels_gives_the_same_however_it_is_applied(
    shape, settings
):
    values = np.random.default_rng(0).random(shape).astype(np.float32)
    found = predict(StandIn(), volume_of(values), **settings)
    assert found.labels.shape == shape
    assert found.labels.dtype == np.uint8
    np.testing.assert_array_equal(found.labels, nearest_band(values))


def test_values_beyond_the_limits_and_no_values_are_taken_as_in_training():
    values = np.random.default_rng(0).random((8, 8, 8)).astype(np.float32) * 300 - 100
    values[0, 0, 0], values[1, 1, 1] = np.nan, np.inf
    found = predict(StandIn(ends=(-50.0, 150.0)), volume_of(values))
    expected = nearest_band(np.where(np.isfinite(values), (values + 50) / 200, 0))
    np.testing.assert_array_equal(found.labels, expected)


class Slope(nn.Module):
    """Two classes: whether values rise along one axis, which a mirror turns round."""

    def __init__(self, axis):
        super().__init__()
        self.axis = axis + 2

    def forward(self, image):
        rise = 20 * torch.gradient(image, dim=self.axis)[0]
        return torch.cat([-rise, rise], dim=1)


def shares(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_safe_flips_are_those_of_training_and_never_left_right(axis):
    ramp = np.zeros((8, 8, 8), np.float32)
    ramp += np.linspace(0, 1, 8, dtype=np.float32).reshape(
        [-1 if a == axis else 1 for a in (0, 1, 2)]
    )
    segmenter = StandIn(Slope(axis), {0: "falls", 1: "rises"}, mirrored=(0, 1, 2))
    plain = predict(segmenter, volume_of(ramp), flips="none", probabilities=True).probabilities
    assert (plain[1] > 0.99).all()
    safe = predict(segmenter, volume_of(ramp), flips="safe", probabilities=True).probabilities
    every = predict(segmenter, volume_of(ramp), flips="all", probabilities=True).probabilities
    # A mirrored ramp falls: half of the copies say so where they are asked.
    np.testing.assert_allclose(every[1], 0.5, atol=1e-5)
    np.testing.assert_allclose(safe[1], plain[1] if axis == 2 else 0.5, atol=1e-5)
    untrained = StandIn(Slope(axis), {0: "falls", 1: "rises"}, mirrored=())
    kept = predict(untrained, volume_of(ramp), flips="safe", probabilities=True).probabilities
    np.testing.assert_array_equal(kept, plain)


def test_all_flips_are_the_mean_over_eight_mirrored_copies():
    image = smooth((8, 12, 16))
    module = Neighbours()
    found = predict(StandIn(module), volume_of(image), flips="all", probabilities=True)
    expected = np.zeros((3, *image.shape))
    for count in range(4):
        for axes in itertools.combinations(range(3), count):
            with torch.no_grad():
                turned = torch.from_numpy(np.flip(image, axes).copy())[None, None]
                logits = module(turned)[0].numpy()
            expected += np.flip(shares(logits), [a + 1 for a in axes]) / 8
    np.testing.assert_allclose(found.probabilities, expected, atol=2e-6)
    assert len(mirrored_axes("all", ())) == 7
    assert mirrored_axes("safe", (0, 1, 2)) == [(2,), (3,), (2, 3)]


def test_the_networks_grid_is_the_one_simpleitk_resamples_to():
    sitk = pytest.importorskip("SimpleITK")
    image = smooth((12, 15, 10))
    volume = volume_of(image, (2.5, 1.0, 0.8))
    shape = network_shape(volume, (1.25, 1.0, 0.4))
    assert shape == (24, 15, 20)
    scan = sitk.GetImageFromArray(image)
    scan.SetSpacing((0.8, 1.0, 2.5))
    filters = sitk.ResampleImageFilter()
    filters.SetSize(shape[::-1])
    filters.SetOutputSpacing((0.4, 1.0, 1.25))
    # Outer faces stay: the first centre moves by half the change of a voxel.
    filters.SetOutputOrigin(((0.4 - 0.8) / 2, 0.0, (1.25 - 2.5) / 2))
    filters.SetUseNearestNeighborExtrapolator(True)
    expected = sitk.GetArrayFromImage(filters.Execute(scan))
    found = resized(image, shape)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert resized(image, image.shape) is image


def test_labels_come_back_from_another_grid_with_their_volume():
    fine = np.stack(np.meshgrid(*(np.arange(n) + 0.5 for n in (24, 60, 60)), indexing="ij"), -1)
    distance = np.linalg.norm((fine - (12, 30, 30)) * (2.5, 1.0, 1.0), axis=-1)
    values = 1 / (1 + np.exp((distance - 20) / 0.8)).astype(np.float32)
    segmenter = StandIn(Bands((0.0, 1.0)), {0: "background", 1: "ball"}, spacing=(1.0, 1.0, 1.0))
    seen = segmenter.module.seen
    found = predict(segmenter, volume_of(values, (2.5, 1.0, 1.0)))
    # After the small image by which memory is measured.
    assert seen[1:] == [(60, 60, 60)]
    truth = (distance <= 20).astype(np.uint8)
    assert dice(found.labels, truth, (1,))[1] >= 0.97
    assert found.volumes_ml[1] == pytest.approx(truth.sum() * 2.5 / 1000, rel=0.02)
    assert found.volumes_ml[1] == pytest.approx(4 / 3 * np.pi * 20**3 / 1000, rel=0.02)
    assert sum(found.voxels.values()) == truth.size
    coarse = StandIn(Bands((0.0, 1.0)), {0: "background", 1: "ball"}, spacing=(2.5, 2.0, 2.0))
    assert dice(predict(coarse, volume_of(values, (2.5, 1.0, 1.0))).labels, truth, (1,))[1] >= 0.97


def test_channels_stand_for_classes_in_their_order():
    values = np.random.default_rng(3).random((8, 8, 8)).astype(np.float32)
    found = predict(StandIn(classes={300: "a", 0: "b", 7: "c"}), volume_of(values))
    assert found.labels.dtype == np.uint16
    np.testing.assert_array_equal(found.labels, np.array([300, 0, 7])[nearest_band(values)])
    assert list(found.voxels) == [300, 0, 7]
    assert found.voxels[300] == (nearest_band(values) == 0).sum()


def test_cancelling_ends_it_between_two_windows():
    segmenter = StandIn()
    settings = PredictionSettings(window=4, overlap=0.0)
    said = []

    def progress(part, step):
        said.append(part)

    with pytest.raises(Cancelled):
        Predictor(segmenter, settings).predict(
            volume_of(smooth((16, 16, 16))), progress, lambda: len(said) >= 5
        )
    assert len(segmenter.module.seen) == 5
    assert said == sorted(said)
    assert said[-1] < 0.1


def test_progress_ends_at_one():
    said = []
    Predictor(StandIn(), PredictionSettings(window=8)).predict(
        volume_of(smooth((20, 9, 33))), lambda part, step: said.append(part)
    )
    assert said == sorted(said)
    assert said[-1] == 1.0
    assert len(said) == 1 + window_count((20, 12, 36), (8, 8, 8), 0.5)


def test_the_largest_window_that_memory_allows_is_taken(monkeypatch):
    values = smooth((16, 16, 16))
    for gib, largest in ((8, 16), (0, 4)):
        monkeypatch.setattr(NetworkPass, "_free", lambda self, gib=gib: gib << 30)
        segmenter = StandIn()
        found = predict(segmenter, volume_of(values))
        np.testing.assert_array_equal(found.labels, nearest_band(values))
        # The first image is the small one by which memory is measured.
        assert set(segmenter.module.seen[1:]) == {(largest,) * 3}


def test_maps_that_are_alive_together_are_counted():
    chain = nn.Sequential(nn.Conv3d(1, 8, 1), nn.Conv3d(8, 8, 1), nn.Conv3d(8, 3, 1))
    measured = NetworkPass(StandIn(chain), PredictionSettings())._measured()
    # At the second layer its input and its result: twice eight numbers of four bytes.
    assert measured == pytest.approx(64, rel=0.15)


def test_windows_of_its_training_that_do_not_fit_are_smaller(monkeypatch):
    class Normalised(Bands):
        def __init__(self):
            super().__init__()
            self.norm = nn.GroupNorm(1, 1)

    monkeypatch.setattr(NetworkPass, "_free", lambda self: 0)
    segmenter = StandIn(Normalised(), patch=(512, 512, 512))
    values = smooth((12, 8, 8))
    np.testing.assert_array_equal(
        predict(segmenter, volume_of(values)).labels, nearest_band(values)
    )
    assert set(segmenter.module.seen[1:]) == {(4, 4, 4)}


def test_a_network_that_normalises_by_the_image_gets_windows_of_its_training():
    class Normalised(Bands):
        def __init__(self):
            super().__init__()
            self.norm = nn.GroupNorm(1, 1)

    segmenter = StandIn(Normalised(), patch=(8, 16, 32))
    predict(segmenter, volume_of(smooth((20, 20, 9))))
    # The first image is the small one by which memory is measured.
    assert set(segmenter.module.seen[1:]) == {(8, 16, 32)}
    predict(asked := StandIn(Normalised()), volume_of(smooth((20, 20, 9))), window=64)
    assert asked.module.seen[1:] == [(20, 20, 16)]


def test_what_cannot_be_predicted_is_one_sentence(monkeypatch):
    plain = volume_of(smooth((8, 8, 8)))
    with pytest.raises(MrisslError, match="all voxels have the same value"):
        predict(StandIn(), volume_of(np.full((8, 8, 8), 0.3, np.float32)))
    with pytest.raises(MrisslError, match="all voxels have the same value"):
        predict(StandIn(ends=(5.0, 9.0)), plain)
    with pytest.raises(MrisslError, match="3 channels; expected one for each of 2 classes"):
        predict(StandIn(classes={0: "a", 1: "b"}), plain)
    with pytest.raises(MrisslError, match="values that are not finite"):
        predict(StandIn(Bands(sharpness=float("nan"))), plain)
    with pytest.raises(MrisslError, match="'tpu' is not on this machine"):
        predict(StandIn(), plain, device="tpu")
    with pytest.raises(MrisslError, match="'cuda:99' is not on this machine"):
        predict(StandIn(), plain, device="cuda:99")
    with pytest.raises(MrisslError, match="voxels at the network's spacing"):
        predict(StandIn(spacing=(1e-4, 1e-4, 1e-4)), plain)
    with pytest.raises(MrisslError, match="expected whole numbers from 0"):
        Predictor(StandIn(classes={}))

    def full(*arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr(torch_prediction, "sliding_window_inference", full)
    with pytest.raises(MrisslError, match="memory of the device does not suffice"):
        predict(StandIn(), plain)
    many = StandIn(classes={label: str(label) for label in range(60_000)})
    large = volume_of(smooth((512, 8, 8)))
    monkeypatch.setattr("psutil.virtual_memory", lambda: _Memory(8 << 30))
    with pytest.raises(MrisslError, match=r"60000 classes on 512 x 8 x 8 voxels take 14\.6 GiB"):
        predict(many, large)


class _Memory:
    """What psutil says of memory."""

    def __init__(self, available):
        self.available = available


def test_a_saved_finetuning_predicts(tmp_path):
    from napari_mrissl.segmentation.finetuning import SavedSegmenter

    segmenter = SavedSegmenter.load(small_segmenters.saved(tmp_path / "w.safetensors"))
    volume = volume_of(smooth((17, 21, 10)))
    found = predict(segmenter, volume, probabilities=True)
    low, high = segmenter.limits(volume)
    image = np.clip((volume.data - low) / (high - low), 0, 1)
    # 17 x 21 x 10 to multiples of 4, zeros evenly at both ends.
    padded = np.pad(image, ((1, 2), (1, 2), (1, 1)))
    with torch.no_grad():
        logits = segmenter.network()(torch.from_numpy(padded)[None, None])[0]
    expected = shares(logits.double().numpy())[:, 1:18, 1:22, 1:11]
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-4)
    assert len(np.unique(found.labels)) > 1
