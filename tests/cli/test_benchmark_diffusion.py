"""``mrissl benchmark diffusion``: six real runs, probes, one table; then nothing anew."""

import csv
import json

import nibabel
import numpy as np
import pytest
from evaluation.labelled_folder import make
from scipy import ndimage

from napari_mrissl.evaluation.guidance import benchmark
from napari_mrissl.evaluation.guidance.arms import COMPARED, CONTRASTIVE, DENOISERS
from napari_mrissl.networks import weights
from napari_mrissl.training.run import Run

TRAINED = [name for name in COMPARED if name != CONTRASTIVE]
"""Of scans without labels."""
CHANGES = (
    "crop.side=16", "crop.pairs=2", "crop.points=8", "crop.anywhere=4", "patch.side=16",
    "patch.voxel_mm=2.0", "patch.body=0.0", "checkpoint.validate_every=0",
    "checkpoint.images_every=0", "data.workers=0",
)  # fmt: skip


@pytest.fixture
def words(tmp_path):
    """Four small smooth scans of four people, two labelled ones, and little done with them."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(4):
        noise = np.random.default_rng(number).random((24, 26, 28))
        values = (4000 * ndimage.gaussian_filter(noise, 2.5)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 2, 2, 1])), folder / f"{number}.nii")
    make(tmp_path / "labelled", 2)
    words = ["benchmark", "diffusion", "--data", folder, "--out", tmp_path / "out"]
    words += ["--preset", "tiny", "--steps", 2, "--batch", 2, "--device", "cpu"]
    words += ["--shots", "1", "--draws", 1, "--test", 1, "--voxels", 400, "--patches", 2]
    return [*words, *(part for change in CHANGES for part in ("--set", change))]


def test_arms_are_trained_probed_and_compared_once(run, words, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark.probes, "GRID_DB", (10.0, 0.0))
    out = tmp_path / "out"
    labelled = ["--labelled", tmp_path / "labelled"]
    ran = run(*words, *labelled, "--json")
    assert ran.code == 0, ran.err
    table = json.loads(ran.out)
    assert table == json.loads((out / "table.json").read_text(encoding="utf-8"))
    rows = table["rows"]
    assert set(rows) == {
        *TRAINED, "guided_zeroed", "random", "coordinates", "intensity",
        "intensity_coordinates", "contrastive_shipped",
    }  # fmt: skip
    for name in TRAINED:
        assert table["budgets"][name] == {"steps": 2, "samples": 4}
    for name, row in rows.items():
        assert {"dice_linear_1", "dice_nonlinear_1"} <= set(row)
        assert 0 <= row["dice_linear_1"]["value"] <= 1
        assert 0 < row["dice_linear_1"]["chance"] < 0.2
        assert ("loss_0_db" in row) == (name in DENOISERS)
        assert ("gap_unguided_15_db" in row) == (name in ("guided", "shuffled_coordinates"))
        assert ("gap_off_15_db" in row) == (name == "guided")
    guided = rows["guided"]
    assert guided["loss_0_db"]["chance"] > guided["wiener_0_db"]["value"] > 0
    # What is paired is the difference of the means.
    apart = rows["no_coordinates"]["loss_0_db"]["value"] - guided["loss_0_db"]["value"]
    assert guided["gap_unguided_0_db"]["value"] == pytest.approx(apart)
    # All that is guided has the coordinates that were trained first.
    first, _ = weights.load(out / "coordinates" / "weights.safetensors")
    for name in ("guided", "shuffled_coordinates"):
        state, card = weights.load(out / name / "weights.safetensors")
        assert all(bool((state[k] == first[k]).all()) for k in first)
        assert (card["task"]["coordinates"] == "shuffled") == (name != "guided")
    assert Run.open(out / "plain_denoiser").settings.task["levels"] == "one"
    grid = json.loads((out / "probe_grid.json").read_text(encoding="utf-8"))
    assert (grid["ratios_db"], grid["levels"]) == ([10.0, 0.0], [0, 1])
    assert np.shape(grid["dice"]) == (2, 2)
    assert np.isfinite(grid["dice"]).all()
    with (out / "table.csv").open(encoding="utf-8", newline="") as file:
        own = {(r["row"], r["measure"]): float(r["value"]) for r in csv.DictReader(file)}
    for name, row in rows.items():
        for measure, one in row.items():
            assert own[name, measure] == pytest.approx(one["value"], rel=1e-4)
    text = (out / "table.md").read_text(encoding="utf-8")
    assert "| guided | 2 | 4 |" in text
    assert "| Wiener filter |" in text
    assert str(tmp_path) not in text + json.dumps(table)
    # The same command reads what is there; what was spoiled is measured again.
    (out / "measured" / "guided.json").write_text("{", encoding="utf-8")
    cell = next((out / "grid" / "cells").glob("*.json"))
    cell.unlink()
    again = run(*words, *labelled)
    assert again.code == 0, again.err
    said = again.err.splitlines()
    assert ": step" not in again.err
    measured = [line for line in said if line.endswith("losses on held-out subjects")]
    assert measured == ["mrissl: guided: losses on held-out subjects"]
    assert sum(" of 4: " in line for line in said) == 1
    assert not any(" of 14: " in line for line in said)


def test_without_labels_there_are_losses_alone(run, words, tmp_path):
    ran = run(*words, "--json")
    assert ran.code == 0, ran.err
    rows = json.loads(ran.out)["rows"]
    assert list(rows) == list(DENOISERS)
    assert not (tmp_path / "out" / "probe_grid.json").exists()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--set", "coordinates=none"], "same in all arms"),
        (["--set", "nonsense=3"], "no setting 'nonsense'"),
        (["--batch", "x"], "--batch"),
        (["--patches", "1"], "--patches"),
        (["--contrastive"], "scans without labels"),
        (["--shots", "0", "--labelled", "LABELLED"], "--shots"),
        (["--snr", "99"], "--snr"),
        (["--test", "2", "--labelled", "LABELLED"], "--test: 2 of 2"),
    ],
)
def test_what_cannot_be_compared_is_refused(refused, words, tmp_path, more, sentence):
    more = [tmp_path / "labelled" if word == "LABELLED" else word for word in more]
    at = words.index(more[0]) if more[0] in words and more[0] != "--set" else len(words)
    assert sentence in refused(*words[:at], *words[at + 2 :], *more)
    assert not (tmp_path / "out" / "guided").exists()
