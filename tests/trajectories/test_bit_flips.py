"""One bit flipped anywhere in a dataset is found, and the manifest falls back."""

import random
import shutil

import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories import Dataset, Recorder, repair, validate


@pytest.fixture
def recorded(dataset, volume, poses, clock):
    """A dataset with all kinds of files: manifests, episodes, an undone one, an open journal."""
    recorder = Recorder(dataset.folder, volume, columns={"cursor", "clicks"}, clock=clock)
    for pose in poses[:8]:
        recorder.pose(pose)
        recorder.cursor(pose.center)
        recorder.click(pose.center, 1)
    recorder.commit()
    dataset.undo_last()
    dataset.append(dataset.flight(0))
    dataset.undo_last()
    recorder = Recorder(dataset.folder, volume, clock=clock)
    for pose in poses[:8]:
        recorder.pose(pose)
    recorder.leave()
    # What redoing could not bring back is not part of the dataset any more.
    wanted = {f"{e.uid}-{e.sha256[:12]}.parquet" for e in dataset.undone}
    for path in (dataset.folder / "removed").iterdir():
        if path.name not in wanted:
            path.unlink()
    assert validate(dataset.folder).ok
    return dataset.folder


def flips(folder, copy, times, seed):
    dice = random.Random(seed)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    kinds = {path.parts[0] for path in files}
    assert kinds == {"dataset.json", "dataset.previous.json", "episodes", "open", "removed"}
    entries = Dataset.open(folder).entries
    missed = []
    for number in range(times):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        path = copy / files[number % len(files)]
        content = bytearray(path.read_bytes())
        place, bit = dice.randrange(len(content)), dice.randrange(8)
        content[place] ^= 1 << bit
        path.write_bytes(content)
        report = validate(copy)
        if report.ok:
            missed.append((path.name, place, bit))
        found = Dataset.open(copy)
        assert found.entries == entries
        if path.name == "dataset.json":
            # No episode is lost: those that the generation before lacks speak for themselves.
            assert "dataset.json" in found.notes[0]
        if path.parent.name == "episodes":
            which = next(n for n, e in enumerate(entries) if e.file.endswith(path.name))
            with pytest.raises(MrisslError, match="checksum"):
                found.flight(which)
        if number % 8 == 0:
            repair(copy)
            assert validate(copy).ok
    return missed


def test_flipped_bits_are_found(recorded, tmp_path):
    assert flips(recorded, tmp_path / "copy", 25, 1) == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_hundred_flipped_bits_are_found(recorded, tmp_path):
    assert flips(recorded, tmp_path / "copy", 200, 2) == []


def test_both_manifests_gone_the_episodes_tell(recorded):
    before = Dataset.open(recorded).entries
    for name in ("dataset.json", "dataset.previous.json"):
        (recorded / name).write_bytes(b"\0" * 500)
    found = Dataset.open(recorded)
    assert [entry.uid for entry in found.entries] == [entry.uid for entry in before]
    assert [entry.task for entry in found.entries] == [entry.task for entry in before]
    assert "the episodes themselves" in found.notes[0]
    assert repair(recorded).ok
    assert Dataset.open(recorded).notes == ()


def test_recording_goes_on_in_a_dataset_with_a_damaged_manifest(recorded, volume, poses):
    before = Dataset.open(recorded).entries
    (recorded / "dataset.json").write_bytes(b"{}")
    recorder = Recorder(recorded, volume)
    recorder.pose(poses[0])
    recorder.commit()
    found = Dataset.open(recorded)
    assert found.notes == ()
    assert found.entries[:-1] == before
    assert (recorded / "quarantine" / "dataset.json").read_bytes() == b"{}"
