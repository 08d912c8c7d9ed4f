"""Features of networks: prepared, padded, windowed, cached by identity, refused in a sentence."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_mrissl import features
from napari_mrissl.directories import cache_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.features import Cancelled, NetworkSettings, source_for
from napari_mrissl.features import torch_network as passes
from napari_mrissl.features.network import PERCENTILES
from napari_mrissl.networks import UNet3d, weights
from napari_mrissl.networks.unet_layout import UNetSize
from napari_mrissl.networks.weight_library import load_unet
from napari_mrissl.volumes import Volume

SIZE = UNetSize(1, 16, 4, 2)
SMALL = {"weights": "random", "width": 4, "depth": 2}


@pytest.fixture(autouse=True)
def no_network_of_before(monkeypatch):
    monkeypatch.setattr(passes, "_ready", None)


def a_volume(shape=(18, 21, 13), seed=0, affine=None):
    voxels = np.random.default_rng(seed).integers(-50, 900, shape).astype(np.int16)
    return Volume.from_stored(voxels, np.eye(4) if affine is None else affine)


def a_file(folder, name="w.safetensors", seed=0, width=4):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = UNet3d(width=width, depth=2).state_dict()
    path = folder / name
    weights.save(path, state, {"method": "made for a test"})
    return path


def entries():
    return sorted((cache_directory() / "features").iterdir())


def prepared(volume, low=0.0, high=99.99):
    """The image and its padding, by numpy alone."""
    ends = np.percentile(volume.data, (low, high))
    image = (volume.data - ends[0]) / (ends[1] - ends[0])
    sides = [max(-(-n // 4) * 4, 8) for n in image.shape]
    before = [(side - n) // 2 for side, n in zip(sides, image.shape, strict=True)]
    margins = [(b, side - n - b) for b, side, n in zip(before, sides, image.shape, strict=True)]
    padded = np.pad(image, margins, "reflect")
    crop = tuple(slice(b, b + n) for b, n in zip(before, image.shape, strict=True))
    return padded.astype(np.float32), crop


def by_hand(volume, settings, network=None):
    """Features by the plain network on the padded image, cropped."""
    network = network or load_unet(None, settings.seed, size=SIZE)
    image, crop = prepared(volume)
    batch = torch.from_numpy(image)[None, None]
    if settings.tap is None:
        found = network(batch)[0]
    else:
        coarse = network.forward_taps(batch, (settings.tap,))[1][0]
        found = functional.interpolate(coarse, batch.shape[2:], mode="trilinear")[0]
    return found.numpy()[(slice(None), *crop)]


@pytest.mark.parametrize("shape", [(18, 21, 13), (16, 8, 12), (1, 9, 30), (3, 2, 5)])
def test_features_are_those_of_the_plain_network_padded_by_mirrors(shape):
    volume = a_volume(shape)
    settings = NetworkSettings(**SMALL, normalise="none", seed=4)
    stack = features.compute(volume, settings)
    expected = by_hand(a_volume(shape), settings)
    assert stack.data.shape == (16, *volume.shape)
    np.testing.assert_allclose(stack.data, expected, atol=1e-4 * expected.std())
    assert stack.names[3] == "feature 3"
    assert stack.settings == settings


def test_voxels_are_normalised_as_asked():
    volume = a_volume()
    raw = features.compute(volume, NetworkSettings(**SMALL, normalise="none")).data
    unit = features.compute(volume, NetworkSettings(**SMALL)).data
    np.testing.assert_allclose(unit, raw / np.linalg.norm(raw, axis=0), atol=1e-5)
    standard = features.compute(volume, NetworkSettings(**SMALL, normalise="standardised")).data
    np.testing.assert_allclose(standard, (raw - raw.mean(0)) / raw.std(0), atol=1e-3)


@pytest.mark.parametrize("tap", [13, 17, 24, 37])
def test_layers_come_to_the_grid_of_the_volume(tap):
    settings = NetworkSettings(**SMALL, tap=tap, normalise="none")
    stack = features.compute(a_volume(), settings)
    expected = by_hand(a_volume(), settings)
    np.testing.assert_allclose(stack.data, expected, atol=1e-4 * expected.std())
    assert stack.names[0] == f"layer {tap} feature 0"


@pytest.mark.parametrize("tap", [None, 24])
def test_windows_are_blended_by_their_distance_from_the_middle(monkeypatch, tap):
    volume = a_volume((40, 20, 26))
    settings = NetworkSettings(**SMALL, tap=tap, normalise="none")
    monkeypatch.setattr(passes, "_available", lambda fast: 1)
    stack = features.compute(volume, settings)
    network = load_unet(None, 0, size=SIZE)
    image, crop = prepared(volume)
    plan = source_for(settings).plan
    side = plan.window_side(volume.shape, 1)
    level = 2**plan.level
    total = np.zeros((plan.channels, *(n // level for n in image.shape)))
    weight = np.zeros(total.shape[1:])
    places = list(itertools.product(*plan.windows(volume.shape, side)))
    assert len(places) > 4
    for place in places:
        box = tuple(slice(p, p + side) for p in place)
        batch = torch.from_numpy(image[box])[None, None]
        found = network(batch) if tap is None else network.forward_taps(batch, (tap,))[1][0]
        coarse = tuple(slice(p // level, (p + side) // level) for p in place)
        own = np.ones(found.shape[2:])
        for axis, count in enumerate(own.shape):
            distance = (np.arange(count) - (count - 1) / 2) / (0.25 * count)
            own *= np.exp(-0.5 * distance**2).reshape([-1 if a == axis else 1 for a in range(3)])
        total[(slice(None), *coarse)] += own * found[0].numpy()
        weight[coarse] += own
    blended = total / weight
    if tap is not None:
        fine = torch.from_numpy(blended)[None]
        blended = functional.interpolate(fine, image.shape, mode="trilinear")[0].numpy()
    expected = blended[(slice(None), *crop)]
    np.testing.assert_allclose(stack.data, expected, atol=1e-4 * expected.std())
    whole = by_hand(volume, settings)
    assert np.corrcoef(whole.ravel(), expected.ravel())[0, 1] > 0.9


def test_values_beyond_the_percentiles_and_without_a_number():
    voxels = np.random.default_rng(0).random((16, 16, 16)).astype(np.float32)
    voxels[3, 4, 5] = np.nan
    found = features.compute(
        Volume.from_stored(voxels, np.eye(4)), NetworkSettings(**SMALL, window=(0.2, 0.8))
    )
    assert np.isfinite(found.data).all()
    clipped = Volume.from_stored(np.clip(np.nan_to_num(voxels), 0.2, 0.8), np.eye(4))
    # NaN becomes 0 of the scaled image, which is 0.2 of the scan.
    other = features.compute(clipped, NetworkSettings(**SMALL, window=(0.2, 0.8)))
    np.testing.assert_allclose(found.data, other.data, atol=1e-5)


@pytest.mark.parametrize(
    ("method", "preparation", "chosen", "expected"),
    [
        ("masked", ("percentile", 0.5, 99.5), {}, {"percentiles": (0.5, 99.5)}),
        ("masked", ("window", -160.0, 240.0), {}, {"window": (-160.0, 240.0)}),
        ("masked", ("window", -160.0, 240.0), {"percentiles": (1, 99)}, {"percentiles": (1, 99)}),
        # Its images were painted: the card's percentiles are of nothing it saw.
        ("synthesis", ("percentile", 0.5, 99.5), {}, {"percentiles": PERCENTILES}),
        ("masked", ("percentile", 99.0, 1.0), {}, {"percentiles": PERCENTILES}),
        ("masked", None, {}, {"percentiles": PERCENTILES}),
    ],
)
def test_a_scan_is_prepared_as_in_training(tmp_path, method, preparation, chosen, expected):
    card = {"method": method}
    if preparation is not None:
        card["preprocessing"] = dict(zip(("kind", "low", "high"), preparation, strict=True))
    path = tmp_path / "net.safetensors"
    weights.save(path, load_unet(None, 0, size=SIZE).state_dict(), card)
    found = features.compute(a_volume(), NetworkSettings(weights=path, **chosen))
    same = features.compute(a_volume(), NetworkSettings(weights=path, **expected))
    np.testing.assert_array_equal(found.data, same.data)
    wanted = {"percentiles": None, "window": None} | expected
    known = source_for(NetworkSettings(weights=path, **chosen)).settings
    assert {name: getattr(known, name) for name in wanted} == wanted


@pytest.mark.parametrize("value", [0, 7])
def test_a_constant_scan_is_refused(value):
    volume = Volume.from_stored(np.full((9, 9, 9), value, np.int16), np.eye(4))
    with pytest.raises(MrisslError, match="all voxels have the same value"):
        features.compute(volume, NetworkSettings(**SMALL))
    assert entries() == []


def test_bfloat16_is_refused_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MrisslError, match="expected a GPU"):
        features.compute(a_volume(), NetworkSettings(**SMALL, precision="bfloat16"))


def test_cancel_leaves_nothing_and_the_next_call_works():
    asked = []

    def soon():
        asked.append(1)
        return len(asked) > 4

    with pytest.raises(Cancelled):
        features.compute(a_volume(), NetworkSettings(**SMALL), cancelled=soon)
    assert entries() == []
    steps = []
    features.compute(a_volume(), NetworkSettings(**SMALL), lambda f, name: steps.append(f))
    assert steps == sorted(steps)
    assert steps[-1] == 1.0


def test_a_place_is_remembered_but_not_told(tmp_path):
    secret = tmp_path / "Jane Doe"
    secret.mkdir()
    path = a_file(secret)
    settings = NetworkSettings(weights=str(path), normalise="none")
    assert settings == NetworkSettings(weights=path, normalise="none")
    assert len(settings.weights) == 64
    assert NetworkSettings.model_validate_json(settings.model_dump_json()) == settings
    volume = a_volume()
    stack = features.compute(volume, settings)
    told = settings.model_dump_json() + (entries()[0] / "entry.json").read_text(encoding="utf-8")
    assert "Jane" not in told
    assert path.name not in told
    state = weights.load(path)[0]
    network = UNet3d(width=4, depth=2).eval().requires_grad_(False)
    network.load_state_dict(state)
    expected = by_hand(volume, settings, network)
    np.testing.assert_allclose(stack.data, expected, atol=1e-4 * expected.std())


def test_the_cache_knows_weights_by_their_content(tmp_path):
    path = a_file(tmp_path)
    volume = a_volume()
    stack = features.compute(volume, NetworkSettings(weights=path))
    same = tmp_path / "the same.safetensors"
    same.write_bytes(path.read_bytes())
    assert features.cached(volume, NetworkSettings(weights=same)) is not None
    before = np.array(stack.data)
    a_file(tmp_path, seed=1)
    changed = NetworkSettings(weights=path)
    assert features.cached(volume, changed) is None
    assert np.abs(features.compute(volume, changed).data - before).max() > 0.01


def test_weights_that_changed_or_went_are_said(tmp_path):
    path = a_file(tmp_path)
    settings = NetworkSettings(weights=path)
    a_file(tmp_path, seed=1)
    with pytest.raises(MrisslError, match="has changed since it was chosen"):
        features.compute(a_volume(), settings)
    path.unlink()
    with pytest.raises(MrisslError, match="not on this machine"):
        features.compute(a_volume(), settings)
    with pytest.raises(MrisslError, match="is not there"):
        NetworkSettings(weights=path)
    with pytest.raises(MrisslError, match="'nobody' is not there"):
        source_for(NetworkSettings(weights="nobody"))


def test_networks_for_several_channels_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    weights.save(path, UNet3d(2, width=4, depth=2).state_dict(), {})
    with pytest.raises(MrisslError, match="images of 2 channels"):
        source_for(NetworkSettings(weights=path))


@pytest.mark.parametrize(
    "wrong",
    [
        {"normalise": "max"},
        {"percentiles": (50, 50)},
        {"window": (10, -10)},
        {"precision": "float16"},
        {"weights": ""},
        {"layer": 3},
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="validation error"):
        NetworkSettings(**wrong)


def test_remarks_about_long_voxels_and_ct():
    source = source_for(NetworkSettings(**SMALL))
    assert source.remarks(a_volume()) == ()
    (long,) = source.remarks(a_volume(affine=np.diag([0.5, 0.5, 3, 1])))
    assert "3 x 0.5 x 0.5 mm" in long
    generator = np.random.default_rng(0)
    ct = np.where(generator.random((20, 20, 20)) < 0.5, -1000, 40).astype(np.int16)
    (found,) = source.remarks(Volume.from_stored(ct, np.eye(4)))
    assert "CT" in found
    assert "mrissl features" in found
    windowed = source_for(NetworkSettings(**SMALL, window=(-450, 450)))
    assert windowed.remarks(Volume.from_stored(ct, np.eye(4))) == ()


def test_estimates_grow_with_the_volume():
    small, large = (
        features.estimate(a_volume((side,) * 3), NetworkSettings(**SMALL)) for side in (16, 64)
    )
    assert all(one < other for one, other in zip(small, large, strict=True))
    assert small.disk_bytes >= 4 * 16 * 16**3


def test_naming_estimating_and_looking_up_import_no_torch(tmp_path):
    path = a_file(tmp_path)
    script = f"""
import sys
import numpy as np
from napari_mrissl import features
from napari_mrissl.volumes import Volume
volume = Volume.from_stored(np.arange(512, dtype=np.int16).reshape(8, 8, 8), np.eye(4))
settings = features.NetworkSettings(weights={str(path)!r})
source = features.source_for(settings)
assert len(source.channel_names()) == 16 and source.remarks(volume) == ()
assert features.estimate(volume, settings).ram_bytes > 0
assert features.cached(volume, settings) is None
assert "torch" not in sys.modules
sys.modules["torch"] = None
try:
    features.compute(volume, settings)
except ValueError as reason:
    print(reason)
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True
    )
    assert 'pip install "napari-mrissl[train]"' in ran.stdout


def test_cache_entries_name_identities(tmp_path):
    path = a_file(tmp_path)
    volume = a_volume()
    settings = NetworkSettings(weights=path)
    features.compute(volume, settings)
    entry = json.loads((entries()[0] / "entry.json").read_text(encoding="utf-8"))
    assert entry["identity"] == volume.identity
    assert entry["settings"]["weights"] == settings.weights
