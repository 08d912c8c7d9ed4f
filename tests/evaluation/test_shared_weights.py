"""Weights to give to others: the network as it was trained, and all that is known of it."""

import json

import pytest
import torch

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.shared_weights import curves, share
from napari_mrissl.networks import weights
from napari_mrissl.networks.unet import UNetBackbone
from napari_mrissl.networks.weight_library import load_unet, weights_named
from napari_mrissl.training.card import weights_card
from napari_mrissl.training.known_scans import silent
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import RunSettings
from tests.evaluation.unet_runs import STEPS, unet_run


@pytest.fixture
def run(tmp_path):
    """A run of a small plain U-Net, with a head, in a folder whose name is private."""
    place = tmp_path / "secret place"
    place.mkdir()
    return unet_run(place / "run")


@pytest.mark.parametrize("half", [False, True])
def test_the_network_alone_is_written_and_works_the_same(tmp_path, run, half):
    written = share(run, tmp_path / "net.safetensors", half=half)
    ours, theirs = load_unet(weights_named(run.folder)), load_unet(written)
    assert written.size == weights_named(run.folder).size
    image = torch.rand(1, 1, 16, 16, 16)
    difference = float((ours(image) - theirs(image)).norm() / ours(image).norm())
    assert (0 < difference < 2e-3) if half else difference == 0
    stored, _ = weights.load(written.path)
    assert {str(t.dtype) for n, t in stored.items() if t.ndim == 5} == {
        "torch.float16" if half else "torch.float32"
    }


def test_the_card_tells_data_settings_steps_and_curves_and_no_place(tmp_path, run):
    about = "Shapes are procedural; templates: none."
    share(run, tmp_path / "net.safetensors", about=about, licence="CC0")
    card = weights.read_card(tmp_path / "net.safetensors")
    text = (tmp_path / "net.md").read_text(encoding="utf-8")
    assert (card["step"], card["licence"], card["data"]["about"]) == (STEPS, "CC0", about)
    assert card["network"] == {
        "kind": "unet", "in_channels": 1, "out_channels": 16, "width": 8, "depth": 2,
    }  # fmt: skip
    assert "width 8, sides halved 2 times" in text
    assert f"task: `{json.dumps(card['task'], sort_keys=True)}`" in text
    assert "- Learning rate: 0.002" in text
    assert "no scan of anybody" in text
    assert "| chance | |  | 2.5 |" in text
    assert "| held out | 100 | 0.6 | 0.625 |" in text
    for said in (text, json.dumps(card)):
        assert "secret place" not in said
        assert str(tmp_path) not in said


def test_the_card_of_painted_images_says_what_was_seen_and_where_it_began(tmp_path):
    settings = RunSettings.model_validate(
        {
            "method": "synthesis",
            "task": {"backbone": {"name": "unet", "width": 8}},
            "data": {
                "kind": "scans",
                "subjects": [
                    {"identity": "1" * 64, "subject": "subject-001", "labels": "2" * 64},
                    {"identity": "3" * 64, "subject": "subject-002", "labels": "3" * 64},
                ],
            },
        }
    )
    run = Run.create(tmp_path / "run", settings)
    state = {f"backbone.{n}": t for n, t in UNetBackbone(1, 8, 2).state_dict().items()}
    weights.save(run.folder / "weights.safetensors", state, weights_card(run.folder, 3))
    share(run, tmp_path / "net.safetensors")
    card = weights.read_card(tmp_path / "net.safetensors")
    assert card["preprocessing"] == {"kind": "percentile", "low": 0.0, "high": 99.99}
    seen = ["1" * 64, "2" * 64, "3" * 64]
    assert card["data"]["subjects"] == seen
    text = (tmp_path / "net.md").read_text(encoding="utf-8")
    assert "- Trained on: label maps" in text
    assert "no image of anybody" in text
    assert "- Started from: random ones" in text
    assert "Not all is known" not in text

    # Weights to begin with that are not there any more do not say what they saw.
    begun = Run.create(tmp_path / "begun", settings.model_copy(update={"initial": "ab" * 32}))
    weights.save(begun.folder / "weights.safetensors", state, weights_card(begun.folder, 3))
    share(begun, tmp_path / "begun.safetensors")
    card = weights.read_card(tmp_path / "begun.safetensors")
    assert ("subjects" in card["data"], card["seen_at_least"]) == (False, seen)
    assert silent(tmp_path / "begun.safetensors")
    assert not silent(tmp_path / "net.safetensors")
    text = (tmp_path / "begun.md").read_text(encoding="utf-8")
    assert "- Started from: weights abababababab" in text
    assert "Not all is known that they saw" in text


def test_curves_are_medians_of_stretches_and_count_a_repeated_step_once(run):
    found = curves(run.folder)
    assert len(found["training"]) == 40
    assert found["training"][-1]["step"] == STEPS
    # Steps 98, 99 and 100, of which the last was taken again.
    assert found["training"][-1]["tap13"] == pytest.approx(1 / 98, rel=1e-3)
    assert found["chance"] == {"tap13": 2.5}
    assert found["seconds"] == 50


def test_a_measured_table_is_part_of_the_card(tmp_path, run):
    table = tmp_path / "table.json"
    rows = [{"source": "contrast|ive", "shots": 1, "mean": 0.71234567, "difference": None}]
    table.write_text(json.dumps({"protocol": {"test": 40}, "rows": rows}), encoding="utf-8")
    share(run, tmp_path / "net.safetensors", measured=table)
    assert weights.read_card(tmp_path / "net.safetensors")["measured"]["rows"] == rows
    text = (tmp_path / "net.md").read_text(encoding="utf-8")
    assert "| source | shots | mean | difference |" in text
    assert "| contrast\\|ive | 1 | 0.7123 |  |" in text


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"rows": []}', '{"rows": [1]}', "[" * 9999])
def test_a_table_that_is_none_is_refused_and_nothing_is_written(tmp_path, run, content):
    table = tmp_path / "table.json"
    table.write_text(content, encoding="utf-8")
    with pytest.raises(MrisslError, match=r"table\.json"):
        share(run, tmp_path / "net.safetensors", measured=table)
    assert not list(tmp_path.glob("net.*"))


def test_names_that_do_not_suit_and_files_that_are_there_are_refused(tmp_path, run):
    with pytest.raises(MrisslError, match=r"ending in \.safetensors"):
        share(run, tmp_path / "net.pth")
    (tmp_path / "net.safetensors").write_bytes(b"mine")
    with pytest.raises(MrisslError, match="there already"):
        share(run, tmp_path / "net.safetensors")
    assert (tmp_path / "net.safetensors").read_bytes() == b"mine"


def test_what_is_too_large_to_ship_is_refused(tmp_path, run, monkeypatch):
    monkeypatch.setattr("napari_mrissl.evaluation.shared_weights.MOST_BYTES", 1000)
    with pytest.raises(MrisslError, match="store half precision"):
        share(run, tmp_path / "net.safetensors")
    assert not list(tmp_path.glob("net.*"))
