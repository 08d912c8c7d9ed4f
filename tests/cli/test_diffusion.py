"""``mrissl pretrain coordinates``, then ``diffusion`` from it, as commands."""

import json

import nibabel
import numpy as np
import pytest
from evaluation.labelled_folder import make
from scipy.spatial.transform import Rotation

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation import same_places
from napari_mrissl.networks import weights
from napari_mrissl.training.run import Run
from tests.pretext.coordinates.small import small_coordinates
from tests.pretext.diffusion.small import small_diffusion
from tests.pretext.navigation.test_resume import short, trained

COORDINATES = {"crop.side": 16, "crop.pairs": 2, "crop.points": 8, "crop.anywhere": 4}
PATCHES = {"patch.voxel_mm": 1.0, "patch.body": 0.0}


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    for number in range(2):
        values = np.random.default_rng(number).integers(0, 200, (20, 22, 24)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / f"{number}.nii.gz")
    return folder


def _words(method, scans, out, settings):
    words = ["pretrain", method, "--data", scans, "--out", out, "--preset", "tiny", "--steps", 2]
    words += ["--batch", 2, "--device", "cpu", "--json", "--set", "workers=0"]
    for name, value in settings.items():
        words += ["--set", f"{name}={value}"]
    return words


def test_diffusion_is_pretrained_from_coordinates(scans, run, refused, tmp_path):
    first = tmp_path / "coordinates"
    ran = run(*_words("coordinates", scans, first, COORDINATES))
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert set(found["terms"]) == {"total", "distance", "same", "distance_mm", "apart_mm"}
    assert len(weights.read_card(first / "weights.safetensors")["body_axes"]["matrix"]) == 3

    assert "coordinates" in refused(*_words("diffusion", scans, tmp_path / "none", PATCHES))
    words = _words("diffusion", scans, tmp_path / "diffusion", PATCHES)
    ran = run(*words, "--init", first)
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["terms"]["denoise"]["chance"] > 0
    settings = Run.open(tmp_path / "diffusion").settings
    assert settings.task["coordinates"] == "true"
    assert settings.optimisation.ema > 0
    # Steps of the option are the optimiser's, not those of the noise.
    assert (settings.optimisation.steps, settings.task["steps"]) == (2, 1000)

    alone = _words("diffusion", scans, tmp_path / "alone", {**PATCHES, "coordinates": "none"})
    assert "uses no other network" in refused(*alone, "--init", first)
    assert run(*alone).code == 0


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """Runs of both methods, of a few steps."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MRISSL_DATA_DIR", str(folder / "data"))
        first = trained(folder / "coordinates", short(small_coordinates()))
        settings = short(small_diffusion())
        second = trained(folder / "diffusion", settings, source=first.folder)
    return first.folder, second.folder


def _report(run, words, out):
    ran = run("inspect", *words, "--out", out, "--json")
    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    assert facts == json.loads((out / "report.json").read_text(encoding="utf-8"))
    return facts


def test_a_report_on_coordinates_holds_every_number_beside_chance(
    pretrained, scan, run, refused, tmp_path
):
    words = ("coordinates", pretrained[0], scan.path, "--points", 60)
    facts = _report(run, words, tmp_path / "report")
    names = ("spearman_right", "spearman_anterior", "spearman_superior", "error_mm", "match_mm")
    for name in names:
        assert np.isfinite(facts[name])
        assert np.isfinite(facts[f"chance_{name}"])
        assert np.isfinite(facts["controls"]["untrained"][name])
    assert 0 < facts["floor_match_mm"] <= facts["match_mm"]
    assert facts["trained_on"] is False
    text = (tmp_path / "report" / "points.csv").read_text(encoding="utf-8")
    assert len(text.splitlines()) == 61
    assert (tmp_path / "report" / "axes.png").is_file()
    again = run("inspect", *words, "--out", tmp_path / "again")
    assert again.code == 0
    assert f"(chance {facts['chance_error_mm']:.4g})" in again.out
    wrong = ("inspect", "coordinates", pretrained[1], scan.path, "--out", tmp_path / "other")
    assert "weights of diffusion" in refused(*wrong)


def test_points_are_found_in_another_scan_beside_an_alignment(pretrained, scan, run, tmp_path):
    turned = Rotation.from_euler("xyz", (3, -5, 8), degrees=True).as_matrix()
    truth = np.eye(4)
    truth[:3, :3], truth[:3, 3] = turned, (9.0, -6.0, 4.0)
    other = tmp_path / "other.nii.gz"
    nibabel.save(nibabel.Nifti1Image(scan.values, truth @ scan.affine), other)
    words = ("coordinates", pretrained[0], scan.path, "--points", 40, "--other", other)
    facts = _report(run, words, tmp_path / "report")
    assert facts["across_points"] + facts["across_outside"] == 40
    middle = scan.affine @ [22, 26, 13, 1]
    # Both are the same ball: the reference is the truth, to a fraction of a voxel.
    np.testing.assert_allclose((np.array(facts["alignment"]) @ middle)[:3],
                               (truth @ middle)[:3], atol=1.5)  # fmt: skip
    for name in ("across_median_mm", "across_p90_mm"):
        for prefix in ("", "chance_", "header_"):
            assert 0 < facts[f"{prefix}{name}"] < 100
    assert np.isfinite(facts["untrained_across_median_mm"])
    said = run("inspect", *words, "--out", tmp_path / "again").out
    assert f"(chance {facts['chance_across_p90_mm']:.4g})" in said
    assert f"median {facts['header_across_median_mm']:.4g}" in said
    assert "affine alignment" in said


def test_a_report_outlives_a_scan_that_cannot_be_compared(
    pretrained, scan, refused, tmp_path, monkeypatch
):
    def refuse(*given):
        raise MrisslError("only 3 of 40 points are in both scans", where="alignment")

    monkeypatch.setattr(same_places, "compare", refuse)
    words = ("inspect", "coordinates", pretrained[0], scan.path, "--points", 40)
    said = refused(*words, "--other", scan.path, "--out", tmp_path / "report")
    assert "3 of 40 points" in said
    facts = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    assert facts["points"] == 40


def test_a_report_on_diffusion_holds_floors_and_guides(pretrained, scan, run, tmp_path):
    words = ("diffusion", pretrained[1], scan.path, "--patches", 3, "--steps", 4)
    facts = _report(run, words, tmp_path / "report")
    assert len(facts["guides"]) == 5
    for ratio, losses in facts["guides"].items():
        name = f"loss_{ratio}_db"
        assert facts[name] == losses["true"]
        assert set(losses) == {"true", "off", "shifted", "shuffled"}
        assert 0 < facts[f"wiener_{name}"] < facts[f"chance_{name}"] < 1.01
    assert set(facts["drawn_apart"]) == {"true", "off", "shifted", "shuffled"}
    for name in ("guidance.png", "differences.png"):
        assert (tmp_path / "report" / name).is_file()
    assert str(tmp_path) not in (tmp_path / "report" / "report.json").read_text("utf-8")


def test_what_diffusion_needs_is_said(run, refused, tmp_path):
    words = ["pretrain", "diffusion", "--out", tmp_path / "run", "--set", "coordinates=none"]
    said = refused(*words, "--set", "joint=0.5")
    assert "need coordinates" in said
    assert not (tmp_path / "run").exists()


def test_features_of_both_methods_are_written(pretrained, scan, run, refused, tmp_path):
    first, second = pretrained

    def facts(name, *words):
        ran = run("features", scan.path, "--out", tmp_path / f"{name}.zarr", "--json", *words)
        assert ran.code == 0, ran.err
        return json.loads(ran.out)

    pyramid = facts("all", "--weights", second, "--snr", 5, "--normalise", "none")
    # Eight channels at full resolution, and sixteen below.
    assert pyramid["shape"][0] == 24
    assert pyramid["features"]["step"] == 161
    deepest = facts("one", "--weights", second, "--layer", 0, "--coordinates", "zeroed")
    assert (deepest["shape"][0], deepest["features"]["coordinates"]) == (16, "zeroed")
    assert facts("where", "--weights", first)["shape"][0] == 3
    assert facts("both", "--weights", first, "--intensity")["shape"][0] == 4
    out = ["--out", tmp_path / "none.zarr"]
    assert "snr_db" in refused("features", scan.path, "--weights", first, "--snr", 5, *out)
    assert "level 7" in refused("features", scan.path, "--weights", second, "--layer", 7, *out)
    assert "--snr" in refused("features", scan.path, "--weights", second, "--snr", 90, *out)


def test_a_finetuning_refuses_the_frozen_backbone_of_a_denoiser(pretrained, run, tmp_path):
    data = make(tmp_path / "labelled", 2)
    words = ["benchmark", "fewshot", "--weights", pretrained[1], "--data", data]
    ran = run(*words, "--out", tmp_path / "out", "--mode", "full", "--shots", 1, "--test", 1)
    assert ran.code != 0
    assert "frozen network of coordinates" in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
