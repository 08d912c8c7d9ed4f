"""Weights by name: shipped, imported, of runs, of files; the same numbers come back."""

import hashlib
import subprocess
import sys

import pytest
import torch

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weight_files, weight_library, weights
from napari_mrissl.networks.unet import UNet3d, UNetBackbone
from napari_mrissl.networks.unet_layout import UNetSize
from napari_mrissl.networks.weight_library import (
    available,
    import_weights,
    load_unet,
    unreadable,
    weights_named,
)
from tests.networks.foreign_weights import SMALL, saved, state


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """A library without shipped weights, in a folder of its own."""
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "data"))
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    monkeypatch.setattr(weight_library, "asset", lambda name: {"weights": shipped}[name])
    return shipped


def imported(tmp_path, name="net", seed=0):
    return import_weights(saved(tmp_path / f"{name}.pth", state(seed=seed)))


def test_imported_weights_are_found_by_name_and_load_as_they_were(tmp_path):
    file = imported(tmp_path)
    assert file.name == "net"
    assert file.size == SMALL
    assert file.identity == hashlib.sha256(file.path.read_bytes()).hexdigest()
    assert [one.name for one in available()] == ["net"]
    found = load_unet(weights_named("net"))
    assert isinstance(found, UNet3d)
    assert not found.training
    assert not any(parameter.requires_grad for parameter in found.parameters())
    for name, tensor in state().items():
        assert torch.equal(found.state_dict()[name], tensor)
    # What is kept has no trace of where it came from.
    assert str(tmp_path).encode() not in file.path.read_bytes()


def test_the_same_file_again_is_no_mistake_but_another_of_its_name_is(tmp_path):
    file = imported(tmp_path)
    before = file.path.read_bytes()
    assert imported(tmp_path).identity == file.identity
    with pytest.raises(MrisslError, match="name of other weights"):
        imported(tmp_path, seed=1)
    assert file.path.read_bytes() == before
    other = import_weights(tmp_path / "net.pth", "other")
    assert [one.name for one in available()] == ["net", "other"]
    assert not torch.equal(
        load_unet(other).state_dict()["model.0.weight"],
        load_unet(file).state_dict()["model.0.weight"],
    )


@pytest.mark.parametrize("name", ["default", "random", "../x", "a/b", "", ".hidden", "x" * 65])
def test_names_that_mean_something_else_are_refused(tmp_path, name):
    path = saved(tmp_path / "ä.pth", state())
    with pytest.raises(MrisslError, match="name"):
        import_weights(path, name)
    assert available() == []


def test_shipped_weights_are_the_default_and_half_precision_loads_as_float32(tmp_path, places):
    with pytest.raises(MrisslError, match="no weights ship"):
        weights_named("default")
    halves = {n: t.half() if t.is_floating_point() else t for n, t in state().items()}
    weights.save(places / "contrastive.safetensors", halves, {"method": "synthesis"})
    file = weights_named("default")
    assert (file.name, file.origin) == ("contrastive", "shipped")
    for name, tensor in load_unet(file).state_dict().items():
        assert tensor.dtype in (torch.float32, torch.int64)
        assert torch.equal(tensor, halves[name].to(tensor.dtype))
    path = saved(tmp_path / "contrastive.pth", state())
    with pytest.raises(MrisslError, match="name of other weights"):
        import_weights(path)


def test_weights_of_a_run_are_those_of_its_backbone(tmp_path):
    backbone = UNetBackbone(width=8, depth=2)
    run = tmp_path / "a patient's run"
    run.mkdir()
    with pytest.raises(MrisslError, match="no weights yet"):
        weights_named(run)
    tensors = {f"backbone.{n}": t for n, t in backbone.state_dict().items()}
    tensors["heads.13.weight"] = torch.ones(2)
    weights.save(run / "weights.safetensors", tensors, {"method": "synthesis", "step": 5})
    file = weights_named(str(run))
    assert file.origin == "run"
    assert file.name == f"synthesis {file.identity[:8]}"
    found = load_unet(file).state_dict()
    assert found.keys() == backbone.state_dict().keys()
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(found[name], tensor)


def test_other_networks_and_missing_files_are_refused_with_the_names_that_there_are(tmp_path):
    imported(tmp_path)
    with pytest.raises(MrisslError, match="expected one of net, a run or a file"):
        weights_named("nothing")
    with pytest.raises(MrisslError, match="mrissl weights import"):
        weights_named(tmp_path / "net.pth")
    weights.save(tmp_path / "else.safetensors", {"a": torch.ones(2)}, {"method": "x"})
    with pytest.raises(MrisslError, match="not the weights of a plain U-Net"):
        weights_named(tmp_path / "else.safetensors")


def test_a_file_that_changed_since_it_was_named_is_not_loaded(tmp_path):
    file = imported(tmp_path)
    weights.save(file.path, state(seed=2), {"method": "x"})
    with pytest.raises(MrisslError, match="changed meanwhile"):
        load_unet(file)
    load_unet(weights_named("net"))


def test_values_that_are_not_finite_are_refused(tmp_path):
    odd = state()
    odd["model.0.weight"][0] = torch.inf
    weights.save(tmp_path / "odd.safetensors", odd, {"method": "x"})
    with pytest.raises(MrisslError, match="not finite"):
        load_unet(weights_named(tmp_path / "odd.safetensors"))


def test_broken_files_in_the_library_are_told_and_can_be_imported_again(tmp_path):
    file = imported(tmp_path)
    broken = file.path.parent / "broken.safetensors"
    broken.write_bytes(b"nonsense")
    assert [one.name for one in available()] == ["net"]
    assert list(unreadable()) == ["broken"]
    assert "could not be read" in str(unreadable()["broken"])
    with pytest.raises(MrisslError, match="could not be read"):
        weights_named("broken")
    again = import_weights(tmp_path / "net.pth", "broken")
    assert load_unet(again).state_dict().keys() == state().keys()
    assert not unreadable()


def flipped(path):
    """Change one bit of the last tensor of a file."""
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def test_a_flipped_bit_is_found_and_the_same_import_mends_it(tmp_path):
    file = imported(tmp_path)
    before = file.path.read_bytes()
    flipped(file.path)
    with pytest.raises(MrisslError, match="numbers are not those that were written"):
        load_unet(weights_named("net"))
    assert imported(tmp_path).path.read_bytes() == before
    load_unet(weights_named("net"))


def test_only_what_the_library_read_is_published(tmp_path, monkeypatch):
    path = saved(tmp_path / "net.pth", state())
    blob = weight_files.git_blob(path.read_bytes())
    monkeypatch.setitem(weight_files.PUBLISHED, blob, "anatomix")
    file = import_weights(path)
    assert file.published == "anatomix"
    card = weights.read_card(file.path)
    # The same card in a file that anybody could have written.
    weights.save(tmp_path / "forged.safetensors", state(seed=1), card)
    assert weights_named(tmp_path / "forged.safetensors").published is None
    flipped(file.path)
    assert weights_named("anatomix").published is None


@pytest.mark.parametrize("name", [None, "anatomix", "Anatomix"])
def test_names_of_published_files_are_for_those_alone(tmp_path, name):
    path = saved(tmp_path / ("net.pth" if name else "anatomix.pth"), state())
    with pytest.raises(MrisslError, match="its hash is another"):
        import_weights(path, name)
    assert available() == []
    assert import_weights(path, "mine").published is None


def test_a_random_network_depends_on_its_seed_only():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (load_unet(None, seed, size=SMALL) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    states = [network.state_dict()["model.0.weight"] for network in (first, again, other)]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])
    assert load_unet(None).size == UNetSize()


def test_names_cards_and_sizes_need_no_torch(tmp_path):
    imported(tmp_path)
    words = (
        "import sys; from napari_mrissl.networks.weight_library import available, weights_named; "
        "print(weights_named('net').size.width, [one.name for one in available()][-1], "
        "'torch' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, check=True, encoding="utf-8"
    ).stdout
    assert said.split() == ["8", "net", "False"]
