"""Labels moved from one scan to others: where they end, what is refused, what goes on."""

import json

import nibabel
import numpy as np
import pytest
from turned_pairs import turned_pair

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import Cancelled
from napari_mrissl.geometry import apply_affine
from napari_mrissl.metrics import dice
from napari_mrissl.registration import RegistrationSettings
from napari_mrissl.segmentation.many_scans import label_scans, scans_of
from napari_mrissl.segmentation.prediction_files import facts_beside
from napari_mrissl.segmentation.transfer import Transfer

STILL = RegistrationSettings(linear="none", deformable=False)


def halves(volume, to_first):
    """Labels 3 and 7 of both halves of a ball about the first scan's origin."""
    index = np.stack(np.indices(volume.shape), axis=-1)
    places = apply_affine(to_first, apply_affine(volume.affine, index))
    ball = np.linalg.norm(places, axis=-1) < 14
    return np.where(ball, np.where(places[..., 0] < 0, 3, 7), 0).astype(np.int16)


@pytest.fixture(scope="module")
def pair():
    return turned_pair("PIR", 14, spacing=1.2)


def test_labels_end_on_the_scan_s_own_grid_where_its_body_is(pair):
    """The scan's axes are permuted, flipped and oblique, its voxels of another size."""
    settings = RegistrationSettings(initial="centres", linear="rigid", deformable=False)
    moved = Transfer(pair.fixed, halves(pair.fixed, np.eye(4)), settings).predict(pair.moving)
    truth = halves(pair.moving, np.linalg.inv(pair.truth))
    assert moved.labels.shape == pair.moving.shape
    assert moved.labels.dtype == np.uint8
    assert moved.classes == {0: "background", 3: "label 3", 7: "label 7"}
    assert min(dice(moved.labels, truth, [3, 7]).values()) > 0.9
    unmoved = Transfer(pair.fixed, halves(pair.fixed, np.eye(4)), STILL).predict(pair.moving)
    assert max(dice(unmoved.labels, truth, [3, 7]).values()) < 0.7
    for label in (3, 7):
        assert moved.volumes_ml[label] == pytest.approx(np.pi * 4 / 6 * 14**3 / 1000, rel=0.05)


def test_a_field_follows_and_names_are_kept():
    fixed = turned_pair().fixed
    labels = halves(fixed, np.eye(4))
    settings = RegistrationSettings(linear="none", iterations=5, search=1)
    moved = Transfer(fixed, labels, settings, {3: "left"}).predict(fixed)
    np.testing.assert_array_equal(moved.labels, labels)
    assert moved.classes[3] == "left"


def test_many_scans_go_on_after_a_bad_one_and_where_they_stopped(pair, tmp_path):
    transfer = Transfer(pair.fixed, halves(pair.fixed, np.eye(4)), STILL)
    scans = tmp_path / "in"
    scans.mkdir()
    for name, volume in (("a", pair.moving), ("c", pair.fixed)):
        image = nibabel.Nifti1Image(np.asarray(volume.data), volume.affine)
        nibabel.save(image, scans / f"{name}.nii")
    (scans / "b.nii").write_bytes(b"no scan")
    places = [scans / f"{name}.nii" for name in "abc"]
    out = tmp_path / "out"
    first = label_scans(transfer, places[:2], out, seen=transfer.known, model=transfer.facts)
    assert [one.state for one in first] == ["done", "failed"]
    assert "b.nii" in first[1].error
    written = out / first[0].labels
    before = written.read_bytes()
    again = label_scans(
        transfer, places, out, existing="skip", seen=transfer.known, model=transfer.facts
    )
    assert [one.state for one in again] == ["skipped", "failed", "done"]
    assert written.read_bytes() == before
    image = nibabel.load(written)
    np.testing.assert_allclose(image.affine, nibabel.load(places[0]).affine, atol=1e-5)
    facts = json.loads(facts_beside(written)[0].read_text("utf-8"))
    assert facts["Model"] == transfer.facts
    assert facts["SeenInTraining"] is False
    # The labelled scan itself is no measure of anything.
    assert again[2].seen is True
    with pytest.raises(MrisslError, match="there already"):
        label_scans(transfer, places[:1], out)
    assert len(scans_of([scans])) == 3


def test_what_is_cancelled_leaves_what_is_done(pair, tmp_path):
    transfer = Transfer(pair.fixed, halves(pair.fixed, np.eye(4)), STILL)
    path = tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti1Image(np.asarray(pair.moving.data), pair.moving.affine), path)
    told = []
    with pytest.raises(Cancelled):
        label_scans(
            transfer,
            [path, tmp_path / "b.nii"],
            tmp_path / "out",
            tell=told.append,
            cancelled=lambda: bool(told),
        )
    assert [one.state for one in told] == ["done"]
    assert (tmp_path / "out" / told[0].labels).exists()


def test_bad_labels_are_one_sentence(pair):
    scan = pair.fixed
    for labels, said in (
        (np.zeros(scan.shape, np.uint8), "nothing but 0"),
        (np.ones((3, 3, 3), np.uint8), "shape"),
        (halves(scan, np.eye(4)) - 1, "-1"),
        (np.arange(scan.data.size, dtype=np.int32).reshape(scan.shape), "at most"),
    ):
        with pytest.raises(MrisslError, match=said):
            Transfer(scan, labels)
    unknown = RegistrationSettings(features="network", weights="nope")
    with pytest.raises(MrisslError, match="nope"):
        Transfer(scan, halves(scan, np.eye(4)), unknown).prepare()
