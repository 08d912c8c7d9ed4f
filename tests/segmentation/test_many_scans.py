"""Segmentations of many scans as files: names, failures, what is there already, interruptions."""

import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from small_segmenters import CLASSES, Bands, StandIn, nearest_band

from napari_mrissl.errors import MrisslError
from napari_mrissl.segmentation import many_scans
from napari_mrissl.segmentation.many_scans import predict_scans, scans_of
from napari_mrissl.segmentation.prediction import Cancelled, PredictionSettings
from napari_mrissl.segmentation.prediction_files import facts_beside, table_text, target_of
from napari_mrissl.training.known_scans import with_values
from napari_mrissl.trajectories.scan_index import remember
from napari_mrissl.volumes import read

BASE = "sub-a/anat/sub-a_space-orig_desc-mrissl_dseg"


def scan_at(path: Path, seed=0, shape=(9, 11, 8)) -> np.ndarray:
    """A NIfTI file with stored axes L, S, A; returns its voxels."""
    values = np.random.default_rng(seed).random(shape).astype(np.float32)
    affine = np.array([[-2.0, 0, 0, 5], [0, 0, 1.5, -3], [0, 1, 0, 7], [0, 0, 0, 1]])
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return values


@pytest.fixture
def folder(tmp_path):
    """Two scans."""
    scan_at(tmp_path / "in" / "a.nii.gz", 0)
    scan_at(tmp_path / "in" / "b.nii.gz", 1)
    return tmp_path / "in"


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def labels_in(path: Path) -> np.ndarray:
    return np.asanyarray(nibabel.load(path).dataobj)


def test_bids_derivatives_of_a_folder(folder, tmp_path):
    out = tmp_path / "out"
    values = scan_at(folder / "a.nii.gz", 5)
    settings = PredictionSettings(probabilities=True)
    found = predict_scans(
        StandIn(),
        scans_of([folder]),
        out,
        settings,
        model={"sha256": "f" * 64},
        colors={1: "#ff0000"},
    )
    assert [outcome.state for outcome in found] == ["done", "done"]
    image = nibabel.load(out / f"{BASE}.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), nearest_band(values))
    np.testing.assert_allclose(image.affine, nibabel.load(folder / "a.nii.gz").affine)
    assert image.get_data_dtype() == np.uint8
    assert image.header["intent_code"] == 1002
    table = (out / f"{BASE}.tsv").read_text(encoding="utf-8")
    assert table == "index\tname\tcolor\n0\tbackground\tn/a\n1\tgrey\t#ff0000\n2\tbright\tn/a\n"
    facts = json.loads((out / f"{BASE}.json").read_text(encoding="utf-8"))
    assert facts["Model"] == {"sha256": "f" * 64}
    assert facts["Scan"] == found[0].identity
    voxel = 2 * 1.5 * 1 / 1000
    for row in facts["Volumes"]:
        expected = (nearest_band(values) == row["index"]).sum() * voxel
        assert row["ml"] == pytest.approx(expected)
        assert found[0].volumes_ml[row["index"]] == pytest.approx(expected)
    maps = [
        nibabel.load(out / f"sub-a/anat/sub-a_space-orig_label-{n}_desc-mrissl_probseg.nii.gz")
        for n in ("grey", "bright")
    ]
    grey, bright = (one.get_fdata() for one in maps)
    nothing = 1 - grey - bright
    expected = np.stack([nothing, grey, bright]).argmax(axis=0)
    np.testing.assert_array_equal(labels_in(out / f"{BASE}.nii.gz"), expected)
    description = json.loads((out / "dataset_description.json").read_text(encoding="utf-8"))
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "napari-mrissl"
    # Nothing of where or who, but for the names of files that were asked for.
    for path, content in tree(out).items():
        assert str(tmp_path).encode() not in content, path
    assert len(tree(out)) == 2 * 5 + 1


def test_names_of_the_scans_are_kept(folder, tmp_path):
    values = scan_at(folder / "c.nii", 2)
    out = tmp_path / "out"
    settings = PredictionSettings(probabilities=True)
    predict_scans(StandIn(), scans_of([folder]), out, settings, names="same")
    assert sorted(tree(out)) == [
        "a.nii.gz",
        "b.nii.gz",
        "c.nii",
        *(f"facts/{name}.json" for name in ("a.nii.gz", "b.nii.gz", "c.nii")),
        "labels.tsv",
        *(f"probabilities/{name}_label-{k}.nii.gz" for name in "abc" for k in (1, 2)),
    ]
    np.testing.assert_array_equal(labels_in(out / "c.nii"), nearest_band(values))


@pytest.mark.parametrize(
    ("scan", "expected"),
    [
        (
            "sub-01_ses-2_acq-mprage_run-1_T1w.nii.gz",
            "sub-01/ses-2/anat/sub-01_ses-2_acq-mprage_run-1_space-orig_desc-mrissl_dseg.nii.gz",
        ),
        (
            "x/sub-1_space-MNI152_desc-preproc_T1w.nii",
            "sub-1/anat/sub-1_space-MNI152_desc-mrissl_dseg.nii.gz",
        ),
        ("hippo_003.mha", "sub-hippo003/anat/sub-hippo003_space-orig_desc-mrissl_dseg.nii.gz"),
        ("sub-07/anat/t1.nii", "sub-07/anat/sub-07_acq-t1_space-orig_desc-mrissl_dseg.nii.gz"),
        ("sub-lab/a/b/c/t1.nii", "sub-t1/anat/sub-t1_space-orig_desc-mrissl_dseg.nii.gz"),
        ("脳.nii.gz", "sub-29e5afdf/anat/sub-29e5afdf_space-orig_desc-mrissl_dseg.nii.gz"),
    ],
)
def test_bids_names(scan, expected):
    assert target_of(Path(scan), "bids", CLASSES).labels == Path(expected)


def test_words_for_classes_are_their_names_where_these_differ():
    def words(names):
        target = target_of(Path("a.nii"), "bids", dict(enumerate(names)))
        return [path.name.split("_")[2] for path in target.probabilities.values()]

    assert words(["background", "left side", "right side"]) == ["label-leftside", "label-rightside"]
    assert words(["background", "left side", "Left-side"]) == ["label-1", "label-2"]
    assert words(["background", "海", "馬"]) == ["label-1", "label-2"]


def test_a_name_cannot_break_the_table():
    text = table_text({1: "a\tb\n9\tc", 2: "", 3: "\x1b[31m"}, {})
    rows = [line.split("\t") for line in text.splitlines()]
    assert [len(row) for row in rows] == [3, 3, 3, 3]
    assert rows[2][1] == "n/a"
    assert text.isascii()
    assert "\x1b" not in text


def test_one_bad_scan_does_not_stop_the_others(folder, tmp_path):
    out = tmp_path / "out"
    (folder / "a2.nii.gz").write_bytes((folder / "a.nii.gz").read_bytes()[:-20])
    flat = nibabel.Nifti1Image(np.zeros((5, 5, 5), np.uint8), np.eye(4))
    nibabel.save(flat, folder / "a3.nii")
    (folder / "a4.mha").write_text("nonsense", encoding="utf-8")
    told, parts = [], []
    found = predict_scans(
        StandIn(),
        scans_of([folder]),
        out,
        tell=told.append,
        progress=lambda part, step: parts.append(part),
    )
    assert [o.state for o in found] == ["done", "failed", "failed", "failed", "done"]
    assert told == found
    assert parts == sorted(parts)
    for outcome, said in zip(found[1:4], ("a2", "a3", "a4"), strict=True):
        assert outcome.error.startswith(said)
        assert outcome.labels is None
        assert str(tmp_path) not in outcome.error
    assert len(list(out.rglob("*_dseg.nii.gz"))) == 2
    alone = predict_scans(StandIn(), [folder / "b.nii.gz"], tmp_path / "alone")
    assert (out / found[4].labels).read_bytes() == (
        tmp_path / "alone" / alone[0].labels
    ).read_bytes()


def test_results_that_are_there_are_refused_skipped_or_replaced(folder, tmp_path):
    out = tmp_path / "out"
    scans = scans_of([folder])
    predict_scans(StandIn(), scans[:1], out)
    before = tree(out)
    with pytest.raises(MrisslError, match="1 of 2 results are there already"):
        predict_scans(StandIn(), scans, out)
    assert tree(out) == before
    other = StandIn(Bands((0.0, 0.2, 0.4)))
    skipped = predict_scans(other, scans, out, existing="skip")
    assert [outcome.state for outcome in skipped] == ["skipped", "done"]
    assert {name: tree(out)[name] for name in before} == before
    replaced = predict_scans(other, scans, out, existing="replace")
    assert [outcome.state for outcome in replaced] == ["done", "done"]
    assert tree(out)[f"{BASE}.nii.gz"] != before[f"{BASE}.nii.gz"]


def test_cancelling_keeps_what_is_done_and_the_rest_can_follow(folder, tmp_path):
    out = tmp_path / "out"
    scans = scans_of([folder])
    told = []
    with pytest.raises(Cancelled):
        predict_scans(StandIn(), scans, out, tell=told.append, cancelled=lambda: bool(told))
    assert [outcome.state for outcome in told] == ["done"]
    assert (out / f"{BASE}.nii.gz").exists()
    assert not list(out.rglob("*sub-b*"))
    predict_scans(StandIn(), scans, out, existing="skip")
    whole = tmp_path / "whole"
    predict_scans(StandIn(), scans, whole)
    assert tree(out) == tree(whole)


def test_a_full_disk_leaves_no_label_map_and_the_others_go_on(folder, tmp_path, monkeypatch):
    out = tmp_path / "out"
    replaces = os.replace

    def full(source, target, **options):
        if str(target).endswith("sub-a_space-orig_desc-mrissl_dseg.nii.gz"):
            raise OSError(28, "No space left on device")
        replaces(source, target, **options)

    monkeypatch.setattr(os, "replace", full)
    found = predict_scans(StandIn(), scans_of([folder]), out)
    assert [outcome.state for outcome in found] == ["failed", "done"]
    assert "No space left on device" in found[0].error
    assert not (out / f"{BASE}.nii.gz").exists()
    assert not list(out.rglob("*.tmp"))
    monkeypatch.undo()
    predict_scans(StandIn(), scans_of([folder]), out, existing="skip")
    assert (out / f"{BASE}.nii.gz").exists()


def test_memory_that_does_not_suffice_for_one_scan(folder, tmp_path, monkeypatch):
    real = many_scans.read

    def read(path):
        if path.name == "a.nii.gz":
            raise MemoryError
        return real(path)

    monkeypatch.setattr(many_scans, "read", read)
    found = predict_scans(StandIn(), scans_of([folder]), tmp_path / "out")
    assert [outcome.state for outcome in found] == ["failed", "done"]
    assert "memory does not suffice" in found[0].error


def test_what_would_fail_for_all_is_refused_before_any_work(folder, tmp_path):
    segmenter = StandIn()
    scans = scans_of([folder])
    scan_at(tmp_path / "more" / "A.nii.gz")
    inside = tree(tmp_path)

    def refused(*words, **options):
        with pytest.raises(MrisslError) as told:
            predict_scans(segmenter, *words, **options)
        assert tree(tmp_path) == inside
        return str(told.value)

    both = refused([*scans, tmp_path / "more" / "A.nii.gz"], tmp_path / "out")
    assert "a.nii.gz and A.nii.gz would both be written" in both
    assert "a scan lies where" in refused(scans, folder, names="same", existing="replace")
    assert "folder is not there" in refused(scans, tmp_path / "none" / "out")
    assert "is a file" in refused(scans, folder / "a.nii.gz")

    def missing():
        raise MrisslError("is not there", where="weights")

    segmenter.loaded = missing
    assert "weights: is not there" in refused(scans, tmp_path / "out")
    segmenter.loaded = lambda: None
    foreign = {"Name": "raw", "BIDSVersion": "1.10.0"}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "dataset_description.json").write_text(
        json.dumps(foreign), encoding="utf-8"
    )
    inside = tree(tmp_path)
    assert "dataset of something else" in refused(scans, tmp_path / "out")
    assert not segmenter.module.seen


@pytest.mark.parametrize("names", ["bids", "same"])
def test_a_scan_that_the_network_knew_is_marked(folder, tmp_path, names):
    scans = scans_of([folder])
    known = frozenset({read(scans[0]).identity})
    for name, seen, untold, wanted in (
        ("yes", known, False, [True, False]),
        ("no", frozenset(), False, [None] * 2),
        ("partly", known, True, [True, None]),
    ):
        found = predict_scans(
            StandIn(), scans, tmp_path / name, names=names, seen=seen, untold=untold
        )
        assert [outcome.seen for outcome in found] == wanted
        for scan, outcome, known_here in zip(scans, found, wanted, strict=True):
            (path,) = (
                one for one in facts_beside(tmp_path / name / outcome.labels) if one.exists()
            )
            facts = json.loads(path.read_text(encoding="utf-8"))
            assert facts["Scan"] == read(scan).identity
            assert facts.get("SeenInTraining") == known_here
            assert ("SeenInTraining" in facts) == bool(seen)


def description(folder: Path) -> dict:
    return json.loads((folder / "dataset_description.json").read_text(encoding="utf-8"))


def dataset(root: Path, doi: object, changes: str | None = None) -> Path:
    """A raw BIDS dataset with a scan, of one who says more than has to be passed on."""
    scan = root / "sub-01" / "ses-1" / "anat" / "sub-01_ses-1_T1w.nii.gz"
    scan_at(scan)
    facts = {"Name": "Jane Roe's scans", "BIDSVersion": "1.10.0", "DatasetDOI": doi}
    facts["ReferencesAndLinks"] = ["file:///home/jane/scans"]
    (root / "dataset_description.json").write_text(json.dumps(facts), encoding="utf-8")
    if changes is not None:
        (root / "CHANGES").write_text(changes, encoding="utf-8")
    return scan


def test_the_dataset_of_the_scans_is_named_by_its_doi(tmp_path):
    out = tmp_path / "out"
    published = dataset(
        tmp_path / "jane",
        "doi:10.18112/openneuro.ds000114.v1.0.1",
        "1.0.1 2018-03-27\n  - Names of jane\n\n1.0.0 2017-01-01\n  - First\n",
    )
    predict_scans(StandIn(), [published], out)
    one = {"DOI": "doi:10.18112/openneuro.ds000114.v1.0.1", "Version": "1.0.1"}
    assert description(out)["SourceDatasets"] == [one]
    assert "jane" not in json.dumps(description(out)).lower()
    # Of another dataset into the same folder: both are its sources, each once.
    further = dataset(tmp_path / "other", "https://doi.org/10.5281/zenodo.1234")
    other = further.rename(further.with_name("sub-02_T1w.nii.gz"))
    predict_scans(StandIn(), [published, other], out, existing="replace")
    assert description(out)["SourceDatasets"] == [one, {"DOI": "doi:10.5281/zenodo.1234"}]


@pytest.mark.parametrize("doi", [None, "", 7, "file:///home/jane", "jane@clinic", "10.1/x y"])
def test_what_is_no_doi_is_not_passed_on(tmp_path, doi):
    predict_scans(StandIn(), [dataset(tmp_path / "jane", doi, "1.0.0 2017\n")], tmp_path / "out")
    assert "SourceDatasets" not in description(tmp_path / "out")


def test_a_description_that_cannot_be_read_stops_nothing(tmp_path):
    scan = dataset(tmp_path / "jane", "doi:10.5281/zenodo.1234")
    for content in (b"{", b"[1]", b"\xff\xfe", b'{"DatasetDOI": "doi:10.5281/zenodo.1'):
        (tmp_path / "jane" / "dataset_description.json").write_bytes(content)
        found = predict_scans(StandIn(), [scan], tmp_path / "out", existing="replace")
        assert [one.state for one in found] == ["done"]
        assert "SourceDatasets" not in description(tmp_path / "out")


def test_a_copy_of_a_known_scan_with_another_header_is_marked(tmp_path):
    scan, copy = tmp_path / "scan.nii", tmp_path / "copy.nii"
    values = np.random.default_rng(0).integers(0, 90, (16, 16, 16)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), scan)
    nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), np.diag([2.0, 2, 2, 1])), copy)
    identity = read(scan).identity
    assert identity != read(copy).identity
    remember(identity, scan)
    known = with_values(frozenset({identity}))
    found = predict_scans(StandIn(), [copy], tmp_path / "out", names="same", seen=known)
    assert [outcome.seen for outcome in found] == [True]
