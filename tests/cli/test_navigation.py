"""Runs of slice navigation on the command line: inspected, as features, as a policy's eyes."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from slice_networks import dynamics_file, tokenizer_file

from napari_mrissl.evaluation.navigation import cloning, plane_benchmark
from napari_mrissl.networks import weights
from napari_mrissl.volumes import read

POSE = ("position_mm", "angle_degrees", "log_fov_r2", "plane_accuracy")
PICTURES = ("psnr_mask_0", "ssim_mask_0", "psnr_mask_75", "ssim_mask_75")
WORLD = (
    "latent_error_1", "latent_error_4", "latent_error_8", "psnr_1", "psnr_8", "ssim_4",
    "shuffle_ratio", "shuffle_ratio_walk", "below_copied",
)  # fmt: skip


def test_a_report_on_dynamics_holds_every_number_beside_chance(run, scan, tmp_path):
    out, file = tmp_path / "report", dynamics_file(tmp_path / "run")
    words = ("inspect", "navigation", file, scan.path, "--slices", 20, "--flights", 2)
    ran = run(*words, "--out", out, "--json")
    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    assert facts == json.loads((out / "report.json").read_text(encoding="utf-8"))
    for name in (*POSE, *PICTURES, *WORLD):
        assert np.isfinite(facts[name]), name
        assert np.isfinite(facts[f"chance_{name}"]), name
    assert facts["identity"] == read(scan.path).identity
    assert "this very scan" in facts["pose_probe"]
    for name in POSE:
        assert np.isfinite(facts[f"box_{name}"]), name
        assert facts[f"chance_box_{name}"] == facts[f"chance_{name}"]
    assert facts["cycle_error"] > 0
    assert facts["chance_cycle_error"] == 0
    assert "copies" in facts["cycle"]
    figures = sorted(path.name for path in out.glob("*.png"))
    assert figures == [
        "drift.png", "flight_rotate.png", "flight_scroll.png", "flight_walk.png",
        "tokens_axial.png", "tokens_coronal.png", "tokens_sagittal.png",
    ]  # fmt: skip
    for name in figures:
        with Image.open(out / name) as picture:
            assert np.asarray(picture).std() > 5
    text = (out / "report.json").read_text(encoding="utf-8")
    assert scan.path.name not in text
    assert str(tmp_path) not in text
    again = run(*words, "--out", tmp_path / "again")
    assert again.code == 0
    assert (tmp_path / "again" / "report.json").read_text("utf-8") == text
    assert f"(chance {facts['chance_position_mm']:.4g})" in again.out


def test_a_report_on_a_tokenizer_has_no_numbers_of_dynamics(run, scan, tmp_path):
    out = tmp_path / "report"
    file = tokenizer_file(tmp_path / "run")
    ran = run("inspect", "navigation", file, scan.path, "--slices", 20, "--out", out, "--json")
    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    for name in (*POSE, *PICTURES):
        assert np.isfinite(facts[f"chance_{name}"]), name
    assert not [name for name in facts if name in WORLD or "cycle" in name]
    assert not (out / "drift.png").exists()


@pytest.mark.parametrize(
    ("said", "expected", "line"),
    [
        ("this", True, "yes: its numbers are not those of a new scan"),
        ("other", False, "no"),
        ("nothing", None, "the weights do not say"),
    ],
)
def test_a_report_says_whether_the_scan_was_trained_on(run, scan, tmp_path, said, expected, line):
    seen = {"this": [read(scan.path).identity], "other": ["a" * 64]}
    listed = {"seen": seen[said]} if said in seen else {}
    file, out = tokenizer_file(tmp_path / "run", **listed), tmp_path / "report"
    ran = run("inspect", "navigation", file, scan.path, "--slices", 20, "--out", out)
    assert ran.code == 0, ran.err
    facts = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert facts["trained_on"] is expected
    (told,) = [one for one in ran.out.splitlines() if one.startswith("trained on this scan")]
    assert told.endswith(f"  {line}")


def test_other_networks_are_refused(refused, scan, tmp_path):
    file = tokenizer_file(tmp_path)
    state, card = weights.load(file)
    other = tmp_path / "other.safetensors"
    weights.save(other, state, {**card, "method": "vectorpose"})
    out = tmp_path / "out"
    assert "vectorpose" in refused("inspect", "navigation", other, scan.path, "--out", out)
    assert "vectorpose" in refused("benchmark", "plane", other, "--out", out)
    assert "--flights" in refused(
        "inspect", "navigation", file, scan.path, "--out", out, "--flights", 1
    )
    assert not out.exists()


def test_features_of_a_run_like_any_others(run, refused, scan, tmp_path):
    file, out = tokenizer_file(tmp_path / "run"), tmp_path / "features.zarr"
    ran = run("features", scan.path, "--weights", file, "--out", out, "--json")
    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    assert facts["shape"] == [6, *read(scan.path).shape]
    assert facts["features"]["kind"] == "slices"
    assert str(tmp_path) not in ran.out
    other = tmp_path / "other.zarr"
    said = refused("features", scan.path, "--weights", file, "--out", other, "--layer", 3)
    assert "tap" in said
    assert not other.exists()


@pytest.mark.parametrize("filters", [(), ("--features", "intensity")])
def test_clicks_on_features_of_a_run(run, scan, tmp_path, filters):
    file, out = tokenizer_file(tmp_path / "run"), tmp_path / "labels.nii.gz"
    volume = read(scan.path)
    middle = np.array(volume.shape) // 2
    lines = ["x,y,z,label"]
    for index, label in ((middle, 1), ((2, 2, 2), 2), ((3, 2, 4), 2)):
        place = volume.affine[:3, :3] @ np.array(index) + volume.affine[:3, 3]
        lines.append(",".join(f"{value:.4f}" for value in place) + f",{label}")
    prompts = tmp_path / "prompts.csv"
    prompts.write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = ("segment", scan.path, "--prompts", prompts, "--out", out, "--weights", file)
    ran = run(*words, *filters, "--json")
    assert ran.code == 0, ran.err
    chosen = json.loads(ran.out)["settings"]["features"]
    network = chosen["network"] if filters else chosen
    assert network["kind"] == "slices"
    assert out.exists()


def test_a_policy_is_compared_with_answers_that_nobody_learned(run, refused, tmp_path, monkeypatch):
    file, out = tokenizer_file(tmp_path / "run"), tmp_path / "out"
    words = ("benchmark", "plane", file, "--heads", 1, "--each", 1, "--test", 1, "--steps", 20)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(plane_benchmark, "on_head", interrupted)
        ran = run(*words, "--out", out)
    assert ran.code == 130
    assert "goes on from there" in ran.err
    assert not (out / "plane.md").exists()
    # What was flown and learned is not flown and learned again.
    monkeypatch.setattr(cloning, "cloned", None)
    ran = run(*words, "--out", out, "--json")
    assert ran.code == 0, ran.err
    ways = json.loads(ran.out)["ways"]
    monkeypatch.setattr(plane_benchmark, "on_head", None)
    assert run(*words, "--out", out, "--json").out == ran.out
    assert list(ways) == [
        "policy", "fixed_world", "volume_centre", "principal_axes", "mirror_symmetry"
    ]  # fmt: skip
    with (out / "plane.csv").open(encoding="utf-8", newline="") as file_:
        rows = {row["way"]: row for row in csv.DictReader(file_)}
    for way, numbers in ways.items():
        assert numbers["mm_mean"] == pytest.approx(float(rows[way]["mm"]), abs=1e-3)
        assert 0 <= numbers["degrees_mean"] <= 90
    assert weights.read_card(out / "policy.safetensors")["method"] == "plane_policy"
    assert "| policy |" in (out / "plane.md").read_text(encoding="utf-8")
    # The demonstrations are a dataset like any other.
    assert json.loads(run("trajectory", "info", out / "demonstrations", "--json").out)
    assert "other steps" in refused(*words[:-1], 21, "--out", out)
    assert "there already" in refused(*words, "--out", file.parent)
    assert list(file.parent.iterdir()) == [file]
