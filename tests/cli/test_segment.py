import json

import nibabel
import numpy as np
import pytest
import small_networks

from napari_mrissl.features import FilterBankSettings
from napari_mrissl.features.combined import CombinedSettings
from napari_mrissl.features.network import NetworkSettings
from napari_mrissl.segmentation import (
    Prompts,
    SegmentSettings,
    read_prompts,
    segment,
    write_prompts,
)
from napari_mrissl.segmentation.prompts import PromptClass
from napari_mrissl.volumes import read


def truth_clicks(scan, count=8, seed=0):
    """World positions with label 1 in the dark and 2 in the bright material."""
    generator = np.random.default_rng(seed)
    positions, labels = [], []
    for label, mask in ((1, scan.values < 60), (2, scan.values > 300)):
        voxels = np.argwhere(mask)
        chosen = voxels[generator.choice(len(voxels), count, replace=False)]
        positions += nibabel.affines.apply_affine(scan.affine, chosen).tolist()
        labels += [label] * count
    return positions, labels


@pytest.fixture
def clicks(scan, tmp_path):
    """A CSV of clicks in both materials."""
    path = tmp_path / "clicks.csv"
    rows = [f"{x},{y},{z},{label}" for (x, y, z), label in zip(*truth_clicks(scan), strict=True)]
    path.write_text("x,y,z,label\n" + "\n".join(rows) + "\n", "utf-8")
    return path


def test_labels_are_those_of_the_library_on_the_stored_grid(scan, clicks, run, tmp_path):
    out = tmp_path / "seg.nii.gz"
    ran = run("segment", scan.path, "--prompts", clicks, "--out", out, "--json")
    assert ran.code == 0, ran.err
    image = nibabel.load(out)
    volume = read(scan.path)
    wanted = segment(volume, read_prompts(clicks), SegmentSettings())
    found = np.asanyarray(image.dataobj)
    assert found.dtype.kind == "u"
    np.testing.assert_array_equal(found, volume.to_stored(wanted.labels))
    np.testing.assert_allclose(image.affine, scan.affine, atol=1e-5)
    bright = scan.values > 300
    dark = scan.values < 60
    assert (found[bright] == 2).mean() > 0.95
    assert (found[dark] == 1).mean() > 0.95


def test_json_tells_voxels_per_label(scan, clicks, run, tmp_path):
    out = tmp_path / "seg.nii.gz"
    ran = run("segment", scan.path, "--prompts", clicks, "--out", out, "--json")
    facts = json.loads(ran.out)
    assert ran.out.count("\n") == 1
    found = np.asanyarray(nibabel.load(out).dataobj)
    volume = read(scan.path)
    assert facts["identity"] == volume.identity
    assert facts["prompts"] == 16
    assert facts["prompts_outside"] == 0
    assert facts["seconds"] > 0
    voxel = abs(np.linalg.det(scan.affine[:3, :3])) / 1000
    for row in facts["labels"]:
        count = int((found == row["label"]).sum())
        assert row["voxels"] == count
        assert row["volume_ml"] == pytest.approx(count * voxel, rel=1e-4)
    assert sum(row["voxels"] for row in facts["labels"]) == found.size


def test_text_names_the_classes_of_the_viewers_file(scan, run, tmp_path):
    positions, labels = truth_clicks(scan)
    classes = (
        PromptClass(label=1, name="dark\x1b[31m", color="#102030"),
        PromptClass(label=2, name="bright", color="#ff0000"),
    )
    write_prompts(tmp_path / "p.json", Prompts.from_arrays(positions, labels, classes))
    words = ("--prompts", tmp_path / "p.json", "--out", tmp_path / "seg.nii")
    ran = run("segment", scan.path, *words)
    assert ran.code == 0, ran.err
    assert "2 bright" in ran.out
    assert "\x1b" not in ran.out
    assert "segmenting" in ran.err
    assert len(ran.out.splitlines()) == 2


def test_csv_and_the_viewers_json_give_the_same_voxels(scan, clicks, run, tmp_path):
    write_prompts(tmp_path / "p.json", read_prompts(clicks))
    for prompts, name in ((clicks, "a.nii.gz"), (tmp_path / "p.json", "b.nii.gz")):
        words = ("--prompts", prompts, "--out", tmp_path / name)
        assert run("segment", scan.path, *words).code == 0
    first, second = (nibabel.load(tmp_path / name).dataobj for name in ("a.nii.gz", "b.nii.gz"))
    np.testing.assert_array_equal(first, second)


def test_features_scales_and_classifier_reach_the_settings(scan, clicks, run, tmp_path):
    words = ("--features", "intensity, gaussian", "--scales", "1.5,3e0", "--classifier", "lda")
    out = tmp_path / "seg.nii.gz"
    ran = run("segment", scan.path, "--prompts", clicks, "--out", out, "--json", *words)
    assert ran.code == 0, ran.err
    settings = json.loads(ran.out)["settings"]
    assert settings["features"]["groups"] == ["intensity", "gaussian"]
    assert settings["features"]["scales_mm"] == [1.5, 3.0]
    assert settings["classifier"] == "lda"


def test_prompts_of_another_scan_are_refused(scan, refused, tmp_path):
    positions, labels = truth_clicks(scan)
    prompts = Prompts.from_arrays(positions, labels)
    foreign = prompts.model_copy(update={"volume_identity": "0" * 64})
    write_prompts(tmp_path / "p.json", foreign)
    words = ("--prompts", tmp_path / "p.json", "--out", tmp_path / "seg.nii")
    assert "another scan" in refused("segment", scan.path, *words)
    assert not (tmp_path / "seg.nii").exists()


@pytest.mark.parametrize(
    ("words", "needle"),
    [
        (("--features", "gaussian,bogus"), "--features"),
        (("--features", ","), "--features"),
        (("--scales", "1,x"), "--scales"),
        (("--scales", "nan"), "--scales"),
        (("--scales", "-1"), "--scales"),
        (("--scales", "0"), "--scales"),
        (("--classifier", "oracle"), "oracle"),
    ],
)
def test_unknown_settings_are_refused(scan, clicks, refused, tmp_path, words, needle):
    out = tmp_path / "seg.nii.gz"
    assert needle in refused("segment", scan.path, "--prompts", clicks, "--out", out, *words)
    assert not out.exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "x,y,z,label\n",
        "x,y,z\n1,2,3\n",
        "x,y,z,label\n1,2,3\n",
        "x,y,z,label\n1,2,nan,1\n1,2,3,2\n",
        "x,y,z,label\n1,2,3,0\n1,2,3,2\n",
        "x,y,z,label\n1,2,3,1.5\n1,2,3,2\n",
        "x,y,z,label\n1,2,3,one\n",
        "x,y,z,label\n1,2,3,1\n4,5,6,1\n",
        "x,y,z,label\n9999,0,0,1\n0,9999,0,2\n",
        "\x1b[31m,y,z,label\n",
        '{"points": []}',
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_prompts_that_are_none_are_refused(scan, refused, tmp_path, content, suffix):
    prompts = tmp_path / f"p{suffix}"
    prompts.write_text(content, "utf-8")
    out = tmp_path / "seg.nii.gz"
    refused("segment", scan.path, "--prompts", prompts, "--out", out)
    assert not out.exists()


def test_targets_that_must_not_be_written(scan, clicks, refused, run, tmp_path):
    before = scan.path.read_bytes()
    words = ("segment", scan.path, "--prompts", clicks, "--out")
    assert "the scan itself" in refused(*words, scan.path, "--overwrite")
    assert "folder" in refused(*words, tmp_path / "absent" / "seg.nii.gz")
    assert ".nii" in refused(*words, tmp_path / "seg.png")
    (tmp_path / "seg.nii.gz").write_bytes(b"mine")
    assert "--overwrite" in refused(*words, tmp_path / "seg.nii.gz")
    assert (tmp_path / "seg.nii.gz").read_bytes() == b"mine"
    assert run(*words, tmp_path / "seg.nii.gz", "--overwrite").code == 0
    assert nibabel.load(tmp_path / "seg.nii.gz").shape == scan.values.shape
    assert scan.path.read_bytes() == before


def test_a_network_is_chosen_by_name_or_file_alone_or_beside_filters(
    scan, clicks, run, refused, tmp_path
):
    path = small_networks.save(tmp_path / "private folder.safetensors")
    name = small_networks.imported(tmp_path, "tiny")
    words = ["segment", scan.path, "--prompts", clicks, "--json"]
    alone = run(*words, "--out", tmp_path / "1.nii.gz", "--weights", path)
    assert alone.code == 0, alone.err
    assert "private folder" not in alone.out
    assert json.loads(alone.out)["settings"]["features"]["kind"] == "network"
    both = run(*words, "--out", tmp_path / "2.nii.gz", "--weights", name, "--features", "intensity")
    assert both.code == 0, both.err
    volume = read(scan.path)
    for number, features in (
        (1, NetworkSettings(weights=name)),
        (2, CombinedSettings(
            filters=FilterBankSettings(groups=("intensity",)),
            network=NetworkSettings(weights=name),
        )),
    ):  # fmt: skip
        wanted = segment(volume, read_prompts(clicks), SegmentSettings(features=features))
        found = np.asanyarray(nibabel.load(tmp_path / f"{number}.nii.gz").dataobj)
        np.testing.assert_array_equal(found, volume.to_stored(wanted.labels))
    out = tmp_path / "3.nii.gz"
    said = refused(*words[:-1], "--out", out, "--weights", tmp_path / "gone.safetensors")
    assert "'gone.safetensors' is not there" in said
    assert str(tmp_path) not in said
    assert "'gone' is not there" in refused(*words[:-1], "--out", out, "--weights", "gone")
    assert not out.exists()
