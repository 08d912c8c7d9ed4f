"""What export writes: NIfTI that others read, a table without names, whole files only."""

import json

import nibabel
import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.synthesis import Engine, EngineSettings
from napari_mrissl.synthesis.export import export_ensembles, export_heads
from napari_mrissl.synthesis.head_templates import subjects_of_folder
from napari_mrissl.synthesis.heads import Heads, HeadSettings
from tests.synthesis.label_heads import write_label_heads


@pytest.fixture
def heads(tmp_path):
    subjects = subjects_of_folder(write_label_heads(tmp_path / "maps", 2))
    return Heads(subjects, HeadSettings(side=32), seed=4)


def test_heads_are_read_back_by_nibabel(heads, tmp_path):
    out, parts = tmp_path / "out", []
    export_heads(heads, 3, out, progress=parts.append)
    assert parts == sorted(parts)
    assert parts[-1] == 1
    table = json.loads((out / "subjects.json").read_text("utf-8"))
    assert [row["subject"] for row in table["subjects"]] == ["head-01", "head-02", "head-01"]
    assert table["settings"]["side"] == 32
    # Names of files can be names of people.
    assert not [word for word in ("Doe", str(tmp_path)) if word in str(table)]
    for index, row in enumerate(table["subjects"]):
        made = heads.head(index)
        image, labels = (nibabel.load(out / kind / row["file"]) for kind in ("images", "labels"))
        assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
        np.testing.assert_array_equal(image.affine, labels.affine)
        np.testing.assert_array_equal(np.asarray(labels.dataobj), made.labels.transpose(2, 1, 0))
        values = np.asarray(image.dataobj)
        assert values.dtype == np.uint8
        assert np.abs(values / 255 - made.image.data.transpose(2, 1, 0)).max() <= 0.5 / 255 + 1e-6
        # The left hemisphere lies where x is smaller, by nibabel's own affine.
        left, right = (
            nibabel.affines.apply_affine(
                labels.affine, np.argwhere(np.isin(np.asarray(labels.dataobj), pair))
            ).mean(axis=0)
            for pair in ((2, 3), (41, 42))
        )
        assert left[0] < right[0] - 15


def test_nothing_is_replaced(heads, tmp_path):
    out = tmp_path / "out"
    (out / "labels").mkdir(parents=True)
    (out / "labels" / "head_000001.nii.gz").write_bytes(b"mine")
    with pytest.raises(MrisslError, match=r"head_000001.nii.gz: file is there already"):
        export_heads(heads, 2, out)
    assert [path.name for path in out.rglob("*.*")] == ["head_000001.nii.gz"]
    with pytest.raises(MrisslError, match="folder is not there"):
        export_heads(heads, 2, tmp_path / "no" / "where")


def test_an_interrupted_export_leaves_whole_files_and_their_table(heads, tmp_path):
    def stop(part):
        if part > 0.5:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        export_heads(heads, 3, out, progress=stop)
    names = ["head_000000.nii.gz", "head_000001.nii.gz"]
    table = json.loads((out / "subjects.json").read_text("utf-8"))
    assert [row["file"] for row in table["subjects"]] == names
    for kind in ("images", "labels"):
        assert sorted(path.name for path in (out / kind).iterdir()) == names


def test_ensembles(pool, tmp_path):
    engine = Engine(pool, EngineSettings.of_side(32), seed=6)
    export_ensembles(engine, 2, tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "subjects.json").read_text("utf-8"))["subjects"]
    for index, row in enumerate(rows):
        pair = engine.pair(index)
        assert row["kind"] == pair.kind
        labels = nibabel.load(tmp_path / "out" / "labels" / row["file"])
        assert labels.header.get_zooms() == (4, 4, 4)
        np.testing.assert_array_equal(np.asarray(labels.dataobj), pair.labels.transpose(2, 1, 0))
        for view, values in enumerate(pair.views_as_bytes()):
            name = row["file"].replace(".nii", f"_view{view}.nii")
            image = nibabel.load(tmp_path / "out" / "images" / name)
            np.testing.assert_array_equal(np.asarray(image.dataobj), values.transpose(2, 1, 0))
