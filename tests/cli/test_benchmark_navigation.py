"""``mrissl benchmark navigation``: seven real runs, probes, one table; then nothing anew."""

import csv
import json

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from napari_mrissl.evaluation.navigation.arms import COMPARED, DRAWN
from napari_mrissl.networks import weights
from napari_mrissl.training.run import Run

CHANGES = (
    "backbone.size=16", "backbone.patch=4", "backbone.width=16", "backbone.depth=1",
    "backbone.latent=6", "dynamics.width=16", "dynamics.depth=1", "dynamics.context=4",
    "flights.frames=3", "checkpoint.validate_every=0", "checkpoint.images_every=0",
    "data.workers=0",
)  # fmt: skip


@pytest.fixture
def words(tmp_path):
    """Three small smooth scans of three people, and how little is done with them."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).random((24, 26, 28))
        values = (4000 * ndimage.gaussian_filter(noise, 2.5)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(values, np.diag([3.0, 3, 3, 1])), folder / f"{number}.nii")
    words = ["--data", folder, "--out", tmp_path / "out", "--preset", "tiny", "--steps", 2]
    words += ["--batch", 2, "--device", "cpu", "--subjects", 2, "--slices", 12]
    return [*words, *(part for change in CHANGES for part in ("--set", change))]


def test_arms_are_trained_probed_and_compared_once(run, words, tmp_path):
    out = tmp_path / "out"
    ran = run("benchmark", "navigation", *words, "--json")
    assert ran.code == 0, ran.err
    table = json.loads(ran.out)
    assert table == json.loads((out / "table.json").read_text(encoding="utf-8"))
    assert list(table["rows"]) == ["box", "pixels", "random", DRAWN, *COMPARED]
    # Two steps of two flights with three slices each, twice.
    assert table["budgets"].pop(DRAWN) == {"steps": 2, "slices": 12}
    assert table["budgets"] == {name: {"steps": 4, "slices": 24} for name in COMPARED}
    for name, row in table["rows"].items():
        assert row["position_mm"]["chance"] > 0
        assert {"plane_accuracy", "order_accuracy", "moved_mm"} <= set(row)
        assert ("shuffle_ratio" in row) == (name in COMPARED[2:])
        assert ("psnr_mask_75" in row) == (name in COMPARED)
    places = {row["position_mm"]["chance"] for row in table["rows"].values()}
    assert len(places) == 1, "all rows are measured on the same slices"
    # All dynamics have the tokenizer that the first run made.
    tokenizer, _ = weights.load(out / "tokenizer" / "weights.safetensors")
    for name in COMPARED[2:]:
        state, card = weights.load(out / name / "weights.safetensors")
        assert all(bool((state[k] == tokenizer[k]).all()) for k in tokenizer)
        assert card["shuffled"] == (name == "dynamics_shuffled")
    assert Run.open(out / "static").settings.task["flights"]["stack"] == 1
    with (out / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    own = {(r["row"], r["measure"]): float(r["value"]) for r in rows}
    for name, row in table["rows"].items():
        for measure, one in row.items():
            assert own[name, measure] == pytest.approx(one["value"], rel=1e-4)
    text = (out / "table.md").read_text(encoding="utf-8")
    assert "| dynamics | 4 | 24 |" in text
    assert str(tmp_path) not in text + json.dumps(table)
    # The same command reads what is there; what was spoiled is measured again.
    spoiled = out / "measured" / "static.json"
    kept = spoiled.read_bytes()
    spoiled.write_text("{", encoding="utf-8")
    again = run("benchmark", "navigation", *words)
    assert again.code == 0, again.err
    assert ": step" not in again.err
    done = [
        line for line in again.err.splitlines() if line.endswith("measured on held-out subjects")
    ]
    assert done == ["mrissl: static: measured on held-out subjects"]
    assert spoiled.read_bytes() == kept
    other = run("benchmark", "navigation", *words, "--seed", 3)
    assert other.code == 2
    assert "other settings" in other.err


def test_wrong_settings_are_refused_before_anything_is_made(refused, words, tmp_path):
    assert "nonsense" in refused("benchmark", "navigation", *words, "--set", "nonsense=3")
    assert "flights" in refused("benchmark", "navigation", *words, "--set", "flights.walk=1")
    few = [2 if one == 12 else one for one in words]
    assert "--slices" in refused("benchmark", "navigation", *few)
    assert not (tmp_path / "out").exists()


def test_nothing_is_trained_where_nobody_is_held_out(refused, words, tmp_path):
    for number in (1, 2):
        (tmp_path / "scans" / f"{number}.nii").unlink()
    assert "no subject is held out" in refused("benchmark", "navigation", *words)
    assert not (tmp_path / "out").exists()
