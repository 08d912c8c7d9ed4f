"""Weights by name, run and file become those of a backbone; scratch draws one."""

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights
from napari_mrissl.networks.settings import BackboneSettings
from napari_mrissl.networks.unet_layout import UNetSize
from napari_mrissl.segmentation.finetuning.starting import backbone_arrays, start_of

SIZE = UNetSize(width=8, depth=2)
SCALE = {"kind": "percentile", "low": 1.0, "high": 99.0}


def state(size=SIZE, prefix=""):
    rng = np.random.default_rng(0)
    return {
        prefix + name: rng.standard_normal(shape).astype(np.float32)
        for name, shape in size.shapes().items()
    }


def file(path, content, card):
    weights.save_arrays(path, content, card)
    return path


def test_a_plain_u_net_is_known_by_its_shapes(tmp_path):
    given = state()
    path = file(tmp_path / "net.safetensors", given, {"preprocessing": SCALE})
    start = start_of(str(path))
    assert start.backbone == BackboneSettings(name="unet", width=8, depth=3)
    assert start.preprocessing.model_dump() == SCALE
    found = backbone_arrays(start)
    assert set(found) == {f"backbone.{name}" for name in given}
    np.testing.assert_array_equal(found["backbone.model.0.weight"], given["model.0.weight"])


def test_a_run_s_weights_say_which_network_they_are_of_and_heads_are_left_out(tmp_path):
    content = {"backbone.a": np.ones(3, np.float16), "head.b": np.ones(2, np.float32)}
    network = {"name": "residual_unet", "width": 16, "depth": 4}
    card = {"method": "vectorpose", "task": {"backbone": network}, "preprocessing": SCALE}
    (tmp_path / "run").mkdir()
    file(tmp_path / "run" / "weights.safetensors", content, card)
    start = start_of(str(tmp_path / "run"))
    assert start.backbone == BackboneSettings(**network)
    assert start.name.startswith("vectorpose ")
    assert str(tmp_path) not in repr(start)
    found = backbone_arrays(start)
    assert list(found) == ["backbone.a"]
    assert found["backbone.a"].dtype == np.float32


def test_imported_weights_go_by_their_name(tmp_path, monkeypatch):
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path))
    (tmp_path / "weights").mkdir()
    file(tmp_path / "weights" / "mine.safetensors", state(), {})
    start = start_of("mine")
    assert (start.name, start.preprocessing) == ("mine", None)
    assert start.backbone.stride == 4


def test_scratch_is_a_network_without_weights():
    start = start_of("scratch")
    assert start.path is None
    assert start.backbone.name == "unet"
    assert backbone_arrays(start) == {}


def test_scratch_differs_from_the_shipped_weights_in_nothing_but_its_numbers():
    shipped, scratch = start_of("default"), start_of("scratch")
    assert shipped.path is not None
    assert scratch.backbone == shipped.backbone
    assert scratch.preprocessing == shipped.preprocessing


def test_what_does_not_fit_is_said(tmp_path):
    with pytest.raises(MrisslError, match="'nothing' is not there"):
        start_of("nothing")
    odd = file(tmp_path / "odd.safetensors", state(UNetSize(width=12, depth=2)), {})
    with pytest.raises(MrisslError, match="a network of width 12 and depth 2"):
        start_of(str(odd))
    spoiled = state()
    spoiled["model.0.weight"][0, 0, 0, 0, 0] = np.nan
    start = start_of(str(file(tmp_path / "nan.safetensors", spoiled, {})))
    with pytest.raises(MrisslError, match="not finite"):
        backbone_arrays(start)
