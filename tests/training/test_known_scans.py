"""What weights say they were trained on, and what those say that they began from."""

import nibabel
import numpy as np
import pytest

from napari_mrissl.networks import weights
from napari_mrissl.training.card import seen_by, weights_card
from napari_mrissl.training.known_scans import is_among, saw, silent, trained_on, with_values
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import DataSettings, RunSettings, SubjectRecord
from napari_mrissl.trajectories.scan_index import remember
from napari_mrissl.volumes import read

ARRAYS = {"a": np.zeros(2, np.float32)}


def file(path, card):
    weights.save_arrays(path, ARRAYS, card)
    return path


def run_on(folder, number, start=None):
    """A run that lists one scan, with first weights if it began from some."""
    record = SubjectRecord(identity=f"{number}" * 64, subject="subject-001")
    settings = RunSettings(
        method="toy",
        data=DataSettings(kind="scans", subjects=(record,)),
        initial=None if start is None else "ab" * 32,
    )
    run = Run.create(folder, settings)
    if start is not None:
        (run.folder / "initial.safetensors").write_bytes(start.read_bytes())
    return run


def test_a_run_says_no_more_than_the_weights_it_began_from(tmp_path):
    told = file(tmp_path / "told.safetensors", {"method": "x", "data": {"subjects": []}})
    theirs = file(tmp_path / "theirs.safetensors", {"method": "theirs"})
    for start, expected in ((None, False), (told, False), (theirs, True)):
        place = tmp_path / f"from {start.stem if start else None}"
        place.mkdir()
        first = run_on(place / "first", 1, start)
        begun = file(place / "begun.safetensors", weights_card(first.folder, 1))
        second = run_on(place / "second", 2, begun)
        inside = file(second.folder / "weights.safetensors", weights_card(second.folder, 1))
        outside = file(place / "outside.safetensors", weights_card(second.folder, 1))
        for one in (first.folder, begun, second.folder, inside, outside):
            assert silent(one) is expected, (one, start)
        # What is known is told all the same.
        assert trained_on(outside) == {"1" * 64, "2" * 64}


def test_first_weights_that_are_gone_say_nothing(tmp_path):
    start = file(tmp_path / "told.safetensors", {"seen": []})
    run = run_on(tmp_path / "run", 1, start)
    assert not silent(run.folder)
    (run.folder / "initial.safetensors").unlink()
    assert silent(run.folder)


def test_a_list_that_may_lack_some_scans_counts_but_is_not_all(tmp_path):
    card = {"seen_at_least": ["3" * 64]}
    assert seen_by(card) == {"3" * 64}
    path = file(tmp_path / "part.safetensors", card)
    assert silent(path)
    assert trained_on(path) == {"3" * 64}
    assert not silent(tmp_path / "not there.safetensors")


@pytest.mark.parametrize("kind", [np.int16, np.float64])
def test_a_copy_with_another_header_is_among_those_known(tmp_path, kind):
    values = np.random.default_rng(0).integers(0, 90, (6, 7, 8))
    for name, shift, dtype in (("scan", 0, np.float32), ("copy", 5, kind)):
        affine = np.diag([1.0, 2, 3, 1])
        affine[0, 3] = shift
        nibabel.save(nibabel.Nifti1Image(values.astype(dtype), affine), tmp_path / f"{name}.nii")
    scan, copy = read(tmp_path / "scan.nii"), read(tmp_path / "copy.nii")
    assert scan.identity != copy.identity
    identities = frozenset({scan.identity})
    assert (is_among(scan, identities), is_among(copy, identities)) == (True, False)
    # Where this machine knows the scan, its values are known.
    remember(scan.identity, tmp_path / "scan.nii")
    known = with_values(identities)
    assert is_among(copy, known)
    told = file(tmp_path / "told.safetensors", {"seen": [scan.identity]})
    assert (saw(told, scan), saw(told, copy)) == (True, True)
    nibabel.save(nibabel.Nifti1Image((values + 1).astype(np.int16), np.eye(4)), tmp_path / "o.nii")
    other = read(tmp_path / "o.nii")
    assert not is_among(other, known)
    assert saw(told, other) is False
    part = file(tmp_path / "part.safetensors", {"seen_at_least": [scan.identity]})
    assert (saw(part, scan), saw(part, other)) == (True, None)
