"""``mrissl inspect gap``, ``routes``, ``chunks`` and ``benchmark observable``, on real runs."""

import json

import nibabel
import numpy as np
import pytest

from napari_mrissl.networks import weights
from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.training.building import settings_for
from napari_mrissl.training.loop import fit
from napari_mrissl.training.run import Run
from tests.pretext.vectorpose.scans import Held, scan_of

SMALL = ("view.edge_mm=12", "view.body=0", "checkpoint.validate_every=0")


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A run of two steps."""
    return _trained(tmp_path_factory.mktemp("observable"))


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory):
    """The same on shuffled targets."""
    return _trained(tmp_path_factory.mktemp("shuffled"), shuffled=True)


def _trained(folder, **more):
    changes = dict(change.split("=") for change in SMALL)
    changes |= {"steps": 2, "batch": 2, "workers": 0, "device": "cpu", "images_every": 0}
    changes |= more
    noise = np.random.default_rng(0).random((40, 36, 44))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MRISSL_DATA_DIR", str(folder / "data"))
        run = Run.create(folder / "run", settings_for("observable", None, "tiny", changes))
        state = fit(run, TASKS, Held([scan_of(noise, (1.0, 1.5, 1.2))]), None)
    assert state.name == "finished"
    return folder / "run"


@pytest.mark.parametrize("part", ["gap", "routes", "chunks"])
def test_a_report_is_written_and_printed(pretrained, scan, run, tmp_path, part):
    out = tmp_path / "report"
    words = ("inspect", part, pretrained, scan.path, "--sets", 2, "--views", 4, "--out", out)
    ran = run(*words, "--json")
    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    text = (out / "report.json").read_text(encoding="utf-8")
    assert facts == json.loads(text)
    for name in ("mae_mm", "spearman", "chunk_accuracy"):
        assert np.isfinite(facts[name])
        assert np.isfinite(facts[f"chance_{name}"])
    assert scan.path.name not in text
    assert str(pretrained) not in text
    assert (out / "matrix.png").is_file()
    assert facts["trained_on"] is False


def test_lines_for_people_and_refusals(pretrained, shuffled, scan, run, refused, tmp_path):
    words = ("inspect", "gap", pretrained, scan.path, "--sets", 1, "--views", 3, "--rows", 3)
    ran = run(*words, "--out", tmp_path / "report", "--shuffled", shuffled)
    assert ran.code == 0, ran.err
    assert "(chance" in ran.out
    assert "shuffled run" in ran.out
    assert "mae mm of untrained best" in ran.out
    out = tmp_path / "other"
    # A run is no control of itself.
    said = refused(*words, "--out", out, "--shuffled", pretrained)
    assert "not trained on shuffled targets" in said
    state, card = weights.load(pretrained / "weights.safetensors")
    other = tmp_path / "other.safetensors"
    weights.save(other, state, {**card, "method": "masked"})
    assert "masked" in refused("inspect", "gap", other, scan.path, "--out", out)
    assert "2 to" in refused("inspect", "gap", pretrained, scan.path, "--out", out, "--views", 1)
    assert "there already" in refused(*words, "--out", tmp_path / "report")
    assert not out.exists()


def test_all_arms_and_controls_in_one_table(run, tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(2):
        values = np.random.default_rng(number).integers(0, 200, (20, 22, 24)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / f"{number}.nii.gz")
    words = ["--data", folder, "--out", tmp_path / "out", "--preset", "tiny", "--steps", 1]
    words += ["--batch", 2, "--samples", 4, "--device", "cpu", "--json"]
    for change in SMALL:
        words += ["--set", change]
    ran = run("benchmark", "observable", *words)
    assert ran.code == 0, ran.err
    table = json.loads(ran.out)
    assert list(table) == [
        "coarse",
        "chunks",
        "vectors",
        "routes",
        "vectors_edge",
        "routes_edge",
        "shuffled",
        "untrained",
        "untrained_best",
        "raw_intensity",
    ]
    assert set(table["coarse"]) == {"axis", "norm", "gap_mm"}
    assert set(table["routes_edge"]) - set(table["routes"]) == {"loop", "antisymmetry"}
    assert set(table["raw_intensity"]) == {"chunk_error"}
    assert table["routes"]["gap_mm"]["chance"] == table["untrained"]["gap_mm"]["chance"] > 0
    assert "| raw_intensity | 0 |" in (tmp_path / "out" / "ablation.md").read_text(encoding="utf-8")
