"""Files of somebody else: what is read is what was saved, and only that."""

import shutil
import subprocess

import pytest
import safetensors.torch
import torch

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weight_files
from napari_mrissl.networks.unet import UNet3d
from napari_mrissl.networks.unet_layout import UNetSize
from napari_mrissl.networks.weight_files import described, git_blob, read_foreign
from tests.networks.foreign_weights import SMALL, saved, state


def same(found, expected):
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("size", [SMALL, UNetSize(2, 5, 8, 3)])
def test_a_state_dict_of_torch_is_read_whole(tmp_path, size):
    expected = state(size)
    found = read_foreign(saved(tmp_path / "net.pth", expected))
    same(found.state, expected)
    assert found.size == size
    assert found.published is None


def test_the_state_dict_of_a_module_is_read(tmp_path):
    """A module's own dictionary has versions of its layers as an attribute."""
    network = UNet3d(width=8, depth=2)
    found = read_foreign(saved(tmp_path / "net.pth", network.state_dict()))
    same(found.state, network.state_dict())


def test_safetensors_without_a_card_are_read(tmp_path):
    path = tmp_path / "net.safetensors"
    safetensors.torch.save_file(state(), path)
    found = read_foreign(path)
    assert {n: t.tolist() for n, t in found.state.items()} == {
        n: t.tolist() for n, t in state().items()
    }


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "_orig_mod.module."])
def test_prefixes_of_compiled_and_parallel_networks_are_taken_off(tmp_path, prefix):
    named = {prefix + name: tensor for name, tensor in state().items()}
    same(read_foreign(saved(tmp_path / "net.pth", named)).state, state())


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(tmp_path, kind):
    given = {n: t.to(kind) if t.is_floating_point() else t for n, t in state().items()}
    found = read_foreign(saved(tmp_path / "net.pth", given)).state
    same(found, {n: t.float() if t.is_floating_point() else t for n, t in given.items()})


def test_tensors_that_share_memory_are_read_as_they_are(tmp_path):
    given = state()
    given["model.1.bias"] = given["model.1.weight"]
    given["model.0.weight"] = given["model.0.weight"].transpose(3, 4)
    same(read_foreign(saved(tmp_path / "net.pth", given)).state, given)


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_the_hash_is_gits(tmp_path):
    path = saved(tmp_path / "net.pth", state())
    words = ["git", "hash-object", "--no-filters", str(path)]
    said = subprocess.run(words, capture_output=True, check=True, encoding="utf-8", cwd=tmp_path)
    assert git_blob(path.read_bytes()) == said.stdout.strip()
    assert read_foreign(path).git_blob == said.stdout.strip()


def test_a_published_file_is_known_by_its_hash(tmp_path, monkeypatch):
    path = saved(tmp_path / "net.pth", state())
    assert list(weight_files.PUBLISHED) == ["d13b2f335850a0a3a9042dcaf9a7181631098b80"]
    monkeypatch.setitem(weight_files.PUBLISHED, git_blob(path.read_bytes()), "published one")
    found = read_foreign(path)
    assert found.published == "published one"
    card = described(found)
    assert card["origin"]["licence"] == "MIT, (c) 2024 Neel Dey"
    assert card["network"] == {
        "kind": "unet", "in_channels": 1, "out_channels": 16, "width": 8, "depth": 2,
    }  # fmt: skip
    # One other bit, and it is nobody's.
    other = saved(tmp_path / "other.pth", state(seed=1))
    assert "licence" not in described(read_foreign(other))["origin"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("model.4.bias"), "model.4.bias is missing"),
        (lambda s: s.update({"model.99.bias": torch.ones(1)}), "model.99.bias is too many"),
        (lambda s: s.update({"model.4.bias": torch.ones(9)}), "model.4.bias has shape"),
        (lambda s: s.update({"model.0.weight": torch.ones(8, 1, 3, 3)}), "not its layers"),
        (lambda s: s.update({"model.4.bias": torch.ones(8, dtype=torch.int8)}), "CharStorage"),
        (lambda s: s.update({"model.4.bias": torch.ones(8, dtype=torch.int64)}), "type int64"),
        (
            lambda s: s.update({"model.4.bias": torch.ones(8, dtype=torch.complex64)}),
            "ComplexFloatStorage",
        ),
        (lambda s: s.update({"model.4.bias": torch.full((8,), torch.nan)}), "no numbers"),
        (lambda s: s.update({"model.4.running_var": -torch.ones(8)}), "no numbers"),
        (lambda s: s.update({"module.model.4.bias": torch.ones(8)}), "twice"),
        (lambda s: s.update({"model.4.bias": [1.0]}), "something else"),
        (lambda s: s.clear(), "0 tensors"),
    ],
)
def test_other_networks_are_refused_in_one_sentence(tmp_path, change, said):
    given = state()
    change(given)
    with pytest.raises(MrisslError, match=said) as told:
        read_foreign(saved(tmp_path / "net.pth", given))
    assert str(told.value).count("\n") == 0
    assert str(tmp_path) not in str(told.value)
    assert "net.pth" in str(told.value)


def test_the_later_published_network_without_normalisation_is_refused_by_name(tmp_path):
    """Its instance normalisation has no tensors, and its convolutions have a bias."""
    given = {n: t for n, t in state().items() if t.ndim == 5}
    with pytest.raises(MrisslError, match="plain U-Net"):
        read_foreign(saved(tmp_path / "dev.pth", given))


def test_a_whole_module_is_refused(tmp_path):
    with pytest.raises(MrisslError, match=r"names napari_mrissl\.networks\.unet"):
        read_foreign(saved(tmp_path / "net.pth", UNet3d(width=8, depth=2)))
