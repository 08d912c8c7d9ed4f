"""The filter bank's channels, and features on disk: kept, evicted, damaged, killed, full."""

import json
import logging
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from napari_mrissl import features
from napari_mrissl.directories import cache_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.features import Cancelled, FilterBankSettings, cache, filters
from napari_mrissl.volumes import Volume

AFFINE = np.array([[0, 0, 1.5, -10], [-0.8, 0, 0, 20], [0, 1.0, 0, 5], [0, 0, 0, 1]])
EVERYTHING = FilterBankSettings(
    groups=("intensity", "gaussian", "gradient", "hessian", "mind", "coordinates")
)


def a_volume(seed=0, shape=(12, 10, 9)):
    return Volume.from_stored(np.random.default_rng(seed).integers(0, 99, shape, np.int16), AFFINE)


def entries():
    return sorted(p for p in (cache_directory() / "features").iterdir())


def test_every_channel_is_the_filter_its_name_says():
    volume = a_volume()
    stack = features.compute(volume, EVERYTHING)
    image = filters.normalised(volume)
    channel = dict(zip(stack.names, stack.data, strict=True))
    assert len(channel) == 1 + 2 * 5 + 12 + 3
    np.testing.assert_array_equal(channel["intensity"], image)
    for scale in EVERYTHING.scales_mm:
        smoothed = filters.gaussian(image, scale, volume.spacing)
        np.testing.assert_array_equal(channel[f"gaussian {scale:g} mm"], smoothed)
        np.testing.assert_array_equal(
            channel[f"gradient {scale:g} mm"],
            filters.gradient_magnitude(smoothed, scale, volume.spacing),
        )
        for name, expected in zip(
            ("least", "middle", "most"),
            filters.hessian_eigenvalues(smoothed, scale, volume.spacing),
            strict=True,
        ):
            np.testing.assert_array_equal(channel[f"hessian {scale:g} mm {name}"], expected)
    np.testing.assert_array_equal(channel["mind 3"], filters.mind_ssc(image, volume.spacing)[3])
    place = volume.affine @ (4, 5, 6, 1)
    np.testing.assert_allclose([channel[k][4, 5, 6] * 100 for k in "xyz"], place[:3], rtol=1e-5)


def test_channels_do_not_depend_on_the_others():
    volume = a_volume()
    whole = features.compute(volume, EVERYTHING)
    for groups in (("gradient",), ("hessian",), ("gaussian", "mind")):
        part = features.compute(volume, FilterBankSettings(groups=groups))
        for name, data in zip(part.names, part.data, strict=True):
            np.testing.assert_array_equal(data, whole.data[whole.names.index(name)])


def test_no_coordinates_by_default():
    names = features.source_for(FilterBankSettings()).channel_names()
    assert not {"x", "y", "z"} & set(names)
    assert 10 <= len(names) <= 24


@pytest.mark.parametrize(
    "wrong",
    [
        {"scales_mm": ()},
        {"scales_mm": (0.0,)},
        {"scales_mm": (float("nan"),)},
        {"groups": ()},
        {"groups": ("edges",)},
        {"sigma": 1},
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        FilterBankSettings(**wrong)


def test_progress_rises_to_one_and_names_filters():
    steps = []
    features.compute(a_volume(), FilterBankSettings(), lambda f, name: steps.append((f, name)))
    parts = [f for f, _ in steps]
    assert parts == sorted(parts)
    assert parts[-1] == 1.0
    assert any("hessian" in name for _, name in steps)


def test_found_again_read_only_and_not_computed_again(monkeypatch):
    volume = a_volume()
    first = features.compute(volume, FilterBankSettings())
    monkeypatch.setattr(filters, "normalised", None)
    again = features.compute(volume, FilterBankSettings())
    np.testing.assert_array_equal(first.data, again.data)
    assert again.identity == volume.identity
    assert not again.data.flags.writeable
    assert features.cached(a_volume(1), FilterBankSettings()) is None
    assert features.cached(volume, FilterBankSettings(scales_mm=(1.5,))) is None


def test_cancel_leaves_nothing():
    asked = []

    def after_a_while():
        asked.append(1)
        return len(asked) > 5

    with pytest.raises(Cancelled):
        features.compute(a_volume(), FilterBankSettings(), cancelled=after_a_while)
    assert entries() == []


@pytest.mark.parametrize(
    "damage",
    ["json", "list", "edited", "forged", "no json", "short", "header", "shape", "empty", "bit"],
)
def test_a_damaged_entry_is_computed_again(damage, caplog):
    volume = a_volume()
    before = np.array(features.compute(volume, FilterBankSettings()).data)
    (folder,) = entries()
    array, entry = folder / "features.npy", folder / "entry.json"
    match damage:
        case "json":
            entry.write_text(entry.read_text("utf-8")[:-20], "utf-8")
        case "edited":
            content = json.loads(entry.read_text("utf-8"))
            entry.write_text(json.dumps(content | {"identity": "0" * 64}), "utf-8")
        case "list":
            entry.write_text("[]", "utf-8")
        case "forged":
            content = json.loads(entry.read_text("utf-8"))
            entry.write_text(json.dumps(content | {"shape": [2**40] * 4}), "utf-8")
        case "shape":
            head = array.read_bytes()
            start = head.index(b"'shape': (")
            array.write_bytes(head.replace(head[start : start + 12], b"'shape': (99"))
        case "bit":
            content = bytearray(array.read_bytes())
            content[len(content) // 2] ^= 1
            array.write_bytes(content)
        case "no json":
            entry.unlink()
        case "short":
            os.truncate(array, array.stat().st_size - 100)
        case "header":
            array.write_bytes(b"x" + array.read_bytes()[1:])
        case "empty":
            array.write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert features.cached(volume, FilterBankSettings()) is None
    assert "damaged" in caplog.text
    np.testing.assert_array_equal(features.compute(volume, FilterBankSettings()).data, before)


def test_the_least_recently_used_are_evicted(monkeypatch):
    size = features.estimate(a_volume(), FilterBankSettings()).disk_bytes
    monkeypatch.setenv("MRISSL_FEATURE_CACHE_GIB", str(2.5 * size / 2**30))
    volumes = [a_volume(seed) for seed in range(3)]
    now = time.time()
    for age, volume in zip((200, 300), volumes[:2], strict=True):
        features.compute(volume, FilterBankSettings())
        newest = max(entries(), key=lambda p: (p / "entry.json").stat().st_mtime)
        os.utime(newest / "entry.json", (now - age, now - age))
    features.compute(volumes[2], FilterBankSettings())
    kept = [features.cached(v, FilterBankSettings()) is not None for v in volumes]
    assert kept == [True, False, True]


def test_features_larger_than_the_limit_are_refused_before_starting(monkeypatch):
    monkeypatch.setenv("MRISSL_FEATURE_CACHE_GIB", "1e-6")
    with pytest.raises(MrisslError, match="the cache may take"):
        features.compute(a_volume(), FilterBankSettings())
    assert entries() == []


@pytest.mark.parametrize("text", ["many", "-1", "0", "nan"])
def test_a_wrong_limit_is_named(monkeypatch, text):
    monkeypatch.setenv("MRISSL_FEATURE_CACHE_GIB", text)
    with pytest.raises(MrisslError, match="MRISSL_FEATURE_CACHE_GIB"):
        features.cache_limit_bytes()


def test_a_full_disk_is_said_before_starting(monkeypatch):
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(MrisslError, match="free are"):
        features.compute(a_volume(), FilterBankSettings())
    assert entries() == []


def test_a_disk_that_fills_meanwhile_is_an_error_not_a_crash(monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "posix_fallocate", full)
    with pytest.raises(MrisslError, match="No space left"):
        features.compute(a_volume(), FilterBankSettings())
    assert entries() == []


KILLED = """
import os, signal, sys, numpy as np
from napari_mrissl import features
from napari_mrissl.volumes import Volume
volume = Volume.from_stored(
    np.random.default_rng(0).integers(0, 99, (12, 10, 9), np.int16), np.array({affine})
)
def progress(part, name):
    if part > {part}:
        os.kill(os.getpid(), signal.SIGKILL)
features.compute(volume, features.FilterBankSettings(), progress)
"""


@pytest.mark.parametrize("part", [0.2, 0.9])
def test_a_killed_job_leaves_nothing_that_is_read(part):
    code = KILLED.format(affine=AFFINE.tolist(), part=part)
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=120)
    assert done.returncode == -9
    assert len(entries()) == 1
    volume = a_volume()
    assert features.cached(volume, FilterBankSettings()) is None
    stack = features.compute(volume, FilterBankSettings())
    np.testing.assert_array_equal(stack.data[0], filters.normalised(volume))
    assert len(entries()) == 1  # what the killed job left is gone


def test_estimates_are_sane():
    volume = a_volume(shape=(40, 40, 40))
    small = features.estimate(volume, FilterBankSettings(groups=("intensity",)))
    large = features.estimate(volume, EVERYTHING)
    stack = features.compute(volume, EVERYTHING)
    assert stack.data.nbytes <= large.disk_bytes <= stack.data.nbytes + 8192
    assert small.disk_bytes < large.disk_bytes
    assert 0 < small.seconds < large.seconds < 60
    assert large.ram_bytes >= 4 * volume.data.size


def test_clearing():
    features.compute(a_volume(), FilterBankSettings())
    features.clear_cache()
    assert entries() == []


class Doubled(BaseModel):
    factor: float = 2.0


class DoubledSource:
    name, version = "doubled", 1

    def __init__(self, settings):
        self.settings = settings

    def channel_names(self):
        return ("doubled",)

    def estimate(self, volume):
        return features.Estimate(0, 4 * volume.data.size, 0.0)

    def compute_into(self, volume, out, progress=None, cancelled=None):
        out[0] = self.settings.factor * volume.data


def test_another_source_plugs_in(monkeypatch):
    from napari_mrissl.features import source

    monkeypatch.setattr(source, "_factories", dict(source._factories))
    with pytest.raises(MrisslError, match="Doubled"):
        features.compute(a_volume(), Doubled())
    features.register_source(Doubled, DoubledSource)
    volume = a_volume()
    stack = features.compute(volume, Doubled(factor=3.0))
    np.testing.assert_array_equal(stack.data[0], 3 * volume.data)


def test_the_limit_is_the_preferred_one_unless_the_environment_says_otherwise(monkeypatch):
    monkeypatch.setattr(cache, "_limit_gib", 8.0)
    assert cache.cache_limit_bytes() == 8 * 2**30
    features.set_cache_limit(2.5)
    assert cache.cache_limit_bytes() == 2.5 * 2**30
    monkeypatch.setenv("MRISSL_FEATURE_CACHE_GIB", "1")
    assert cache.cache_limit_bytes() == 2**30


@pytest.mark.parametrize("scales", [(1, 1), (1, 1.0000001)])
def test_scales_that_are_the_same_are_refused(scales):
    with pytest.raises(ValidationError, match="two scales are the same"):
        FilterBankSettings(scales_mm=scales)


def test_values_scaled_differently_have_their_own_features():
    voxels = np.random.default_rng(5).integers(0, 99, (8, 9, 10)).astype(np.int16)
    settings = FilterBankSettings(groups=("intensity",))
    plain, turned = (Volume.from_stored(voxels, np.eye(4), slope=slope) for slope in (1.0, -2.0))
    assert plain.identity == turned.identity
    first, second = (features.compute(v, settings).data[0].ravel() for v in (plain, turned))
    assert np.corrcoef(first, second)[0, 1] < -0.9


def test_half_precision_voxels_get_features():
    voxels = np.random.default_rng(5).random((8, 9, 10)).astype(np.float16)
    volume = Volume.from_stored(voxels, np.eye(4))
    assert volume.data.dtype == np.float32
    assert np.isfinite(features.compute(volume, FilterBankSettings()).data).all()
