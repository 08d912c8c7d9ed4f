"""mrissl inspect vectorpose: numbers beside chance, a table, figures; nothing on refusal."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from napari_mrissl.networks import weights
from napari_mrissl.volumes import read
from tests.inspected import EDGE_MM, shared_run

CROPS = 6
BESIDE = (
    "position_error_mm",
    "scale_ratio",
    "scale_ratio_error",
    "orientation_accuracy",
    "r_error",
    "theta_error",
    "phi_error",
)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    return shared_run(tmp_path_factory)


def test_a_report_holds_every_error_beside_chance(pretrained, scan, run, tmp_path):
    out = tmp_path / "report"
    words = ("inspect", "vectorpose", pretrained, scan.path, "--crops", CROPS, "--seed", 3)
    ran = run(*words, "--out", out, "--json")
    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    assert facts == json.loads((out / "report.json").read_text(encoding="utf-8"))
    for name in BESIDE:
        assert np.isfinite(facts[name])
        assert np.isfinite(facts[f"chance_{name}"])
    assert facts["crops"] == CROPS
    assert facts["identity"] == read(scan.path).identity
    assert facts["trained_on"] is False  # it began from nothing, and its run lists all it saw
    assert set(facts["controls"]["inverted_input"]) == set(BESIDE)
    # The same numbers, from the table of crops alone.
    with (out / "crops.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == CROPS
    errors = [float(row["position_error_mm"]) for row in rows]
    assert facts["position_error_mm"] == pytest.approx(np.median(errors), abs=1e-3)
    ratios = [float(row["scale_ratio"]) for row in rows]
    assert facts["scale_ratio"] == pytest.approx(np.median(ratios), abs=1e-4)
    right = [row["element"] == row["predicted_element"] for row in rows]
    assert facts["orientation_accuracy"] == pytest.approx(np.mean(right))
    assert [int(row["orientation_right"]) for row in rows] == right
    edges = [float(row["edge_mm"]) for row in rows]
    assert min(edges) >= 0.5 * EDGE_MM
    assert max(edges) <= 1.5 * EDGE_MM + 1e-3
    # Centres of crops lie in the scan, in world mm.
    index = np.array([[float(row[f"{axis}_mm"]) for axis in "xyz"] for row in rows])
    index = np.c_[index, np.ones(len(index))] @ np.linalg.inv(scan.affine).T
    assert (index[:, :3] > 0).all()
    assert (index[:, :3] < np.array(scan.values.shape)).all()
    figures = sorted(path.name for path in out.glob("*.png"))
    assert {"arrows_0.png", "restored_0.png", "sweep_S.png", "sweep_A.png"} <= set(figures)
    for name in figures:
        with Image.open(out / name) as picture:
            assert np.asarray(picture).std() > 5
    text = (out / "report.json").read_text(encoding="utf-8")
    assert scan.path.name not in text
    assert str(pretrained) not in text
    # The same seed gives the same report, as lines for people too.
    again = run(*words, "--out", tmp_path / "again")
    assert again.code == 0
    assert (tmp_path / "again" / "crops.csv").read_bytes() == (out / "crops.csv").read_bytes()
    assert f"(chance {facts['chance_position_error_mm']:.4g})" in again.out
    assert "trained on this scan" in again.out


def test_nothing_is_written_when_it_is_refused(pretrained, scan, refused, tmp_path):
    out = tmp_path / "report"
    empty = tmp_path / "empty"
    empty.mkdir()
    other = tmp_path / "other.safetensors"
    state, card = weights.load(pretrained / "weights.safetensors")
    weights.save(other, state, {**card, "method": "masked"})
    unknown = tmp_path / "unknown.safetensors"
    weights.save(unknown, state, {k: v for k, v in card.items() if k != "preprocessing"})
    words = ("--out", out, "--crops", 2)
    assert "no weights yet" in refused("inspect", "vectorpose", empty, scan.path, *words)
    assert "not there" in refused("inspect", "vectorpose", tmp_path / "x", scan.path, *words)
    assert "masked" in refused("inspect", "vectorpose", other, scan.path, *words)
    assert "prepared" in refused("inspect", "vectorpose", unknown, scan.path, *words)
    assert "could not be read" in refused("inspect", "vectorpose", scan.path, scan.path, *words)
    assert "nothing.nii" in refused(
        "inspect", "vectorpose", pretrained, tmp_path / "nothing.nii", *words
    )
    assert "1 to" in refused(
        "inspect", "vectorpose", pretrained, scan.path, "--out", out, "--crops", 0
    )
    assert not out.exists()
    kept = sorted(tmp_path.iterdir())
    assert "there already" in refused(
        "inspect", "vectorpose", pretrained, scan.path, "--out", empty
    )
    assert sorted(tmp_path.iterdir()) == kept
    assert list(empty.iterdir()) == []
