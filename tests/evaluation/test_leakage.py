"""Scans that something was trained on are told by identity, by subject and by values."""

import dataclasses

import nibabel
import pytest
from evaluation.labelled_folder import make, save, voxels

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.frozen import plain_source
from napari_mrissl.evaluation.frozen_sources import named
from napari_mrissl.evaluation.labelled_scans import labelled_scans
from napari_mrissl.evaluation.leakage import refuse_overlap
from napari_mrissl.networks import weight_library, weights
from napari_mrissl.networks.weight_library import load_unet
from napari_mrissl.training.card import weights_card
from napari_mrissl.training.known_scans import silent, trained_on
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import DataSettings, RunSettings, SubjectRecord
from napari_mrissl.trajectories.scan_index import remember
from napari_mrissl.volumes import read
from tests.networks.foreign_weights import SMALL

SOURCE = plain_source("intensity")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The user's own folders."""
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "home"))
    monkeypatch.setenv("MRISSL_CACHE_DIR", str(tmp_path / "cache"))


def run_on(folder, path, *, split="train"):
    """A run that lists one scan, which this machine knows."""
    identity = read(path).identity
    remember(identity, path)
    record = SubjectRecord(identity=identity, subject="subject-001", split=split)
    data = DataSettings(kind="scans", subjects=(record,))
    return Run.create(folder, RunSettings(method="toy", data=data)).folder


def refused(run, tested):
    known = trained_on(run)
    try:
        refuse_overlap([dataclasses.replace(SOURCE, known=known)], tested)
    except MrisslError:
        return True
    return False


def test_a_test_scan_is_told_by_its_identity_also_where_it_was_held_out(tmp_path, home):
    scans = labelled_scans(make(tmp_path / "data", 2)).scans
    for split in ("train", "validation"):
        run = run_on(tmp_path / split, scans[0].image, split=split)
        assert refused(run, scans[:1])
        assert not refused(run, scans[1:])


def test_another_scan_of_a_test_subject_is_told(tmp_path, home):
    for number, name in enumerate(("sub-01_run-1", "sub-01_run-2", "sub-02")):
        save(tmp_path / "data", name, *voxels(number))
    scans = labelled_scans(tmp_path / "data").scans
    assert len(scans) == 2
    for number in (1, 2):
        place = tmp_path / "data" / "images" / f"sub-01_run-{number}.nii.gz"
        run = run_on(tmp_path / str(number), place)
        assert sorted(refused(run, [scan]) for scan in scans) == [False, True]


def test_a_copy_with_another_header_is_told_by_its_values(tmp_path, home):
    scans = labelled_scans(make(tmp_path / "data", 2)).scans
    image = nibabel.load(scans[0].image)
    affine = image.affine.copy()
    affine[0, 3] += 5
    copy = tmp_path / "copy.nii"
    nibabel.save(nibabel.Nifti1Image(image.get_fdata().astype("int16"), affine), copy)
    assert read(copy).identity != scans[0].identity
    run = run_on(tmp_path / "run", copy)
    assert refused(run, scans[:1])
    assert not refused(run, scans[1:])
    # Another file at its place says nothing of the scan that was there.
    nibabel.save(nibabel.load(scans[1].image), copy)
    assert not refused(run, scans)


def net(path, card):
    """A file of weights."""
    weights.save(path, load_unet(None, 0, size=SMALL).state_dict(), card)
    return path


def test_what_says_nothing_gives_nothing(tmp_path, home):
    assert trained_on("nothing") == frozenset()
    assert trained_on(tmp_path / "weights.safetensors") == frozenset()
    odd = {"method": "x", "data": {"subjects": ["../x", 7, ["a" * 64]]}, "seen": "b" * 64}
    assert trained_on(net(tmp_path / "odd.safetensors", odd)) == frozenset()


@pytest.mark.parametrize("name", ["weights.safetensors", "checkpoints/step-1/average.safetensors"])
def test_a_file_inside_a_run_is_that_run(tmp_path, home, name):
    scans = labelled_scans(make(tmp_path / "data", 2)).scans
    place = run_on(tmp_path / "run", scans[0].image) / name
    place.parent.mkdir(parents=True, exist_ok=True)
    net(place, {"method": "toy"})
    assert refused(place, scans[:1])
    assert not refused(place, scans[1:])


def test_files_that_were_exported_say_what_they_saw(tmp_path, home, monkeypatch):
    scans = labelled_scans(make(tmp_path / "data", 2)).scans
    card = {"method": "synthesis", "data": {"subjects": [scans[0].identity]}}
    path = net(tmp_path / "contrastive.safetensors", card)
    monkeypatch.setattr(weight_library, "asset", lambda name: tmp_path)
    for place in (path, str(path), "contrastive", "default"):
        assert refused(place, scans[:1]), place
        assert not refused(place, scans[1:]), place
    # The sources of a comparison ask for it, whatever they are given.
    for word in (str(path), "default"):
        (source,) = named([word])
        assert scans[0].identity in source.known


def test_what_the_first_weights_saw_goes_on_in_all_later_ones(tmp_path, home):
    scans = labelled_scans(make(tmp_path / "data", 3)).scans
    first = Run.open(run_on(tmp_path / "first", scans[0].image))
    begun = net(tmp_path / "begun.safetensors", weights_card(first.folder, 1))
    second = Run.open(run_on(tmp_path / "second", scans[1].image))
    (second.folder / "initial.safetensors").write_bytes(begun.read_bytes())
    third = net(tmp_path / "third.safetensors", weights_card(second.folder, 1))
    for place in (second.folder, third):
        assert refused(place, scans[:1])
        assert refused(place, scans[1:2])
        assert not refused(place, scans[2:])


def test_a_label_map_that_was_painted_from_tells_its_scan(tmp_path, home):
    scans = labelled_scans(make(tmp_path / "data", 2)).scans
    run = run_on(tmp_path / "run", scans[0].labels)
    assert refused(run, scans[:1])
    assert not refused(run, scans[1:])


def test_what_does_not_say_what_it_saw_is_told_from_what_saw_nothing(tmp_path, home):
    scans = labelled_scans(make(tmp_path / "data", 2)).scans
    run = run_on(tmp_path / "run", scans[0].image)
    of_run = net(tmp_path / "of_run.safetensors", weights_card(run, 1))
    listed = net(tmp_path / "listed.safetensors", {"method": "x", "data": {"subjects": []}})
    drawn = net(tmp_path / "drawn.safetensors", {"method": "scratch", "data": "ensembles"})
    inside = net(run / "weights.safetensors", {"method": "toy"})
    for place in (run, of_run, listed, drawn, inside, "default"):
        assert not silent(place), place
    lost = {**weights_card(run, 1), "run": "0" * 32}
    for number, card in enumerate(
        (lost, {"method": "theirs"}, {"data": "ensembles", "initial": "x"})
    ):
        assert silent(net(tmp_path / f"silent{number}.safetensors", card)), card
