"""``mrissl features``: a zarr store with geometry and identities, and nothing private."""

import json

import numpy as np
import pytest

from napari_mrissl import features
from napari_mrissl.features import NetworkSettings
from napari_mrissl.networks import UNet3d, weights
from napari_mrissl.volumes import read

zarr = pytest.importorskip("zarr")


@pytest.fixture
def network(tmp_path):
    """A small network in a folder with a telling name."""
    folder = tmp_path / "Dr Smith"
    folder.mkdir()
    path = folder / "mine.safetensors"
    weights.save(path, UNet3d(width=4, depth=2).state_dict(), {"method": "made for a test"})
    return path


def test_a_store_holds_the_features_and_what_is_needed_to_use_them(scan, network, run, tmp_path):
    out = tmp_path / "features.zarr"
    ran = run("features", scan.path, "--weights", network, "--out", out, "--json")
    assert ran.code == 0, ran.err
    volume = read(scan.path)
    settings = NetworkSettings(weights=network)
    stack = features.compute(volume, settings)
    group = zarr.open_group(out, mode="r")
    assert group.metadata.zarr_format == 3
    found = group["0"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:], stack.data)
    about = group.attrs["mrissl"]
    np.testing.assert_array_equal(about["affine"], volume.affine)
    assert about["scan"] == volume.identity
    assert about["features"]["weights"] == settings.weights
    assert about["channels"] == list(stack.names)
    (scales,) = group.attrs["ome"]["multiscales"]
    assert [axis["name"] for axis in scales["axes"]] == ["c", "z", "y", "x"]
    (dataset,) = scales["datasets"]
    spacing = dataset["coordinateTransformations"][0]["scale"]
    np.testing.assert_allclose(spacing, [1, *volume.spacing])
    assert dataset["path"] == "0"
    facts = json.loads(ran.out)
    assert facts["shape"] == list(stack.data.shape)
    assert "voxels" in ran.err or "cache" in ran.err


def test_nothing_private_is_in_it(scan, network, run, tmp_path):
    out = tmp_path / "features.zarr"
    assert run("features", scan.path, "--weights", network, "--out", out).code == 0
    content = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    for word in ("Smith", "mine", "scan.nii", str(tmp_path)):
        assert word.encode() not in content


def test_half_precision_and_a_layer(scan, network, run, tmp_path):
    out = tmp_path / "half.zarr"
    words = ("--half", "--layer", 24, "--normalise", "none")
    ran = run("features", scan.path, "--weights", network, "--out", out, *words)
    assert ran.code == 0, ran.err
    settings = NetworkSettings(weights=network, tap=24, normalise="none")
    expected = features.compute(read(scan.path), settings).data
    found = zarr.open_group(out, mode="r")["0"]
    assert found.dtype == np.float16
    np.testing.assert_allclose(found[:], expected, rtol=2e-3, atol=1e-3)
    assert "\n16 " not in ran.out
    assert "channels" in ran.out


def test_what_is_in_the_cache_is_not_estimated_again(scan, network, run, tmp_path):
    words = ("features", scan.path, "--weights", network, "--out")
    first = run(*words, tmp_path / "one.zarr")
    assert "s on two cores" in first.err
    again = run(*words, tmp_path / "two.zarr")
    assert "taken from the cache" in again.err
    assert "s on two cores" not in again.err
    # 16 features of 44 x 52 x 26 voxels, 4 bytes each.
    room = 16 * 44 * 52 * 26 * 4 / 2**30
    assert f"at most {room:.3g} GiB for the store" in again.err
    assert f"at most {room:.3g} GiB for the store" in first.err
    half = run(*words, tmp_path / "half.zarr", "--half")
    assert f"at most {room / 2:.3g} GiB for the store" in half.err


def test_bfloat16_is_asked_for_and_left_to_gpus(scan, network, refused, run, tmp_path, monkeypatch):
    words = ("features", scan.path, "--weights", network, "--out", tmp_path / "f.zarr")
    assert "float16" in refused(*words, "--precision", "float16")
    chosen = []

    def noting(source, volume, out, *given):
        chosen.append(source.settings.precision)
        out[:] = 1

    monkeypatch.setattr("napari_mrissl.features.torch_network.compute_into", noting)
    assert run(*words, "--precision", "bfloat16").code == 0
    assert chosen == ["bfloat16"]


def test_what_is_there_stays(scan, network, run, refused, tmp_path):
    out = tmp_path / "features.zarr"
    out.mkdir()
    (out / "kept").write_text("kept", encoding="utf-8")
    words = ("features", scan.path, "--weights", network, "--out")
    assert "is there already" in refused(*words, out)
    assert [path.name for path in out.iterdir()] == ["kept"]
    assert "expected .zarr" in refused(*words, tmp_path / "features.nii")
    assert "folder is not there" in refused(*words, tmp_path / "none" / "f.zarr")
    assert not list(tmp_path.glob(".mrissl*"))


def test_wrong_wishes_are_one_sentence(scan, network, refused, tmp_path):
    words = ("features", scan.path, "--out", tmp_path / "f.zarr", "--weights")
    assert "'nobody' is not there" in refused(*words, "nobody")
    assert "expected one of 13, 17, 24, 37" in refused(*words, network, "--layer", 5)
    assert "is no range" in refused(*words, network, "--window", 5, 5)
    (tmp_path / "w.safetensors").write_bytes(b"nonsense")
    assert "could not be read" in refused(*words, tmp_path / "w.safetensors")
    assert not (tmp_path / "f.zarr").exists()


def test_an_interrupted_write_leaves_nothing(scan, network, run, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zarr.Group.create_array", full)
    out = tmp_path / "features.zarr"
    ran = run("features", scan.path, "--weights", network, "--out", out)
    assert ran.code == 2
    assert "No space left" in ran.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Dr Smith", "scan.nii.gz"]
