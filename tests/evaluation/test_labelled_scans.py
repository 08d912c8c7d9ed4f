"""Which scans count, whose they are, and how they are split and drawn."""

import nibabel
import numpy as np
import pytest
from evaluation.labelled_folder import make, save, voxels

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.labelled_scans import drawn, labelled_scans


def test_scans_and_labels_are_paired_by_name(tmp_path):
    found = labelled_scans(make(tmp_path, 3))
    assert found.labels == (1, 2)
    assert found.left_out == 0
    identities = [scan.identity for scan in found.scans]
    assert identities == sorted(identities)
    read = {}
    for scan in found.scans:
        volume, labels = scan.read()
        assert labels.shape == volume.shape
        # In the ball of label 2 values are brightest, on whatever axes they are.
        means = [volume.data[labels == k].mean() for k in (0, 1, 2)]
        assert means == pytest.approx([100, 300, 500], abs=10)
        read[scan.identity] = np.bincount(labels.reshape(-1)).tolist()
    wanted = [np.bincount(voxels(number)[1].reshape(-1)).tolist() for number in range(3)]
    assert sorted(read.values()) == sorted(wanted)


def test_one_scan_of_each_person_counts(tmp_path):
    for number, name in enumerate(("sub-01_run-1", "sub-01_run-2", "sub-02", "sub-03")):
        save(tmp_path, name, *voxels(number))
    # A copy of sub-03's values under another name, with another header.
    save(tmp_path, "sub-04", *voxels(3), affine=np.diag([2.0, 2, 2, 1]))
    found = labelled_scans(tmp_path)
    assert len(found.scans) == 3
    assert found.left_out == 2


def test_names_of_files_decide_nothing(tmp_path):
    one = labelled_scans(make(tmp_path / "one", 6))
    for number in range(6):
        save(tmp_path / "two", f"renamed_{9 - number}", *voxels(number))
    two = labelled_scans(tmp_path / "two")
    assert one.fingerprint == two.fingerprint

    def identities(scans):
        return [scan.identity for scan in scans]

    assert [identities(part) for part in one.split(2, 0)] == [
        identities(part) for part in two.split(2, 0)
    ]


def test_the_test_scans_are_never_drawn_and_draws_are_nested(tmp_path):
    found = labelled_scans(make(tmp_path, 8))
    splits = set()
    for seed in range(4):
        test, pool = found.split(3, seed)
        assert len(test) == 3
        assert not {s.identity for s in test} & {s.identity for s in pool}
        assert len({s.identity for s in (*test, *pool)}) == 8
        splits.add(tuple(scan.identity for scan in test))
        draws = [drawn(pool, 3, draw, seed) for draw in range(5)]
        assert len({tuple(s.identity for s in draw) for draw in draws}) > 1
        for number, draw in enumerate(draws):
            assert len({scan.identity for scan in draw}) == 3
            assert drawn(pool, 1, number, seed) == draw[:1]
    assert len(splits) > 1
    with pytest.raises(MrisslError, match="1 to 7"):
        found.split(8, 0)
    with pytest.raises(MrisslError, match="1 to 5"):
        drawn(found.split(3, 0)[1], 6, 0, 0)


def test_other_labels_are_another_set(tmp_path):
    before = labelled_scans(make(tmp_path, 2)).fingerprint
    values, labels = voxels(1)
    labels[0, 0, 0] = 1
    save(tmp_path, "person_001", values, labels)
    assert labelled_scans(tmp_path).fingerprint != before


def test_what_does_not_fit_is_said_with_the_name_of_the_file(tmp_path):
    make(tmp_path, 2)
    path = tmp_path / "labels" / "person_001.nii.gz"
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(MrisslError, match=r"person_001\.nii\.gz: has no label map"):
        labelled_scans(tmp_path)
    nibabel.save(nibabel.Nifti1Image(np.ones((20, 20, 19), np.uint8), np.eye(4)), path)
    with pytest.raises(MrisslError, match="another grid"):
        labelled_scans(tmp_path)
    nibabel.save(nibabel.Nifti1Image(np.full((20, 20, 20), 0.5, np.float32), np.eye(4)), path)
    with pytest.raises(MrisslError, match="no whole numbers"):
        labelled_scans(tmp_path)
    path.write_bytes(kept[:-40])
    with pytest.raises(MrisslError, match="person_001"):
        labelled_scans(tmp_path)
    with pytest.raises(MrisslError, match="side by side"):
        labelled_scans(tmp_path / "images")
