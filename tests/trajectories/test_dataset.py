"""Datasets: episodes come back as they were, by pyarrow's own reading too, and can be undone."""

import hashlib
import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose, relative_action
from napari_mrissl.trajectories import (
    Dataset,
    Flight,
    flight_info,
    flight_of,
    open_or_create,
    validate,
)


def rows(poses):
    return np.array([pose.to_row() for pose in poses])


def tree(folder):
    """Every file of a folder with its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_flight_comes_back_as_it_was(volume, poses, tmp_path):
    for hertz in (20, 30, 7.3):
        dataset = open_or_create(tmp_path / str(hertz), hertz)
        flight = flight_of(volume, poses, hertz, policy="walk", seed=3)
        entry = dataset.append(flight, task="look around")
        again = Dataset.open(tmp_path / str(hertz)).flight(0)
        assert again.identity == flight.identity
        np.testing.assert_array_equal(again.times_ns, flight.times_ns)
        np.testing.assert_allclose(rows(again.poses), rows(poses), rtol=0, atol=1e-14)
        made = {"policy": "walk", "seed": 3, "task": "look around", "source": "policy"}
        assert again.info == flight.info | made
        assert (entry.policy, entry.seed, entry.frames) == ("walk", 3, 30)


def test_a_flight_at_another_rate_is_held_at_the_datasets(dataset, flight):
    table = dataset.table(0)
    times = flight.times_ns - flight.times_ns[0]
    for k, row in enumerate(table["pose"]):
        newest = np.flatnonzero(times <= min(k * 20_000_000, times[-1]))[-1]
        np.testing.assert_allclose(row, flight.poses[newest].to_row(), atol=1e-14)
    assert len(table["pose"]) == int(np.ceil(times[-1] / 20_000_000)) + 1


def test_the_columns_are_those_that_pyarrow_reads(dataset):
    at = 0
    for number, entry in enumerate(dataset.entries):
        path = dataset.folder / entry.file
        content = path.read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (entry.sha256, entry.bytes)
        found = pq.read_table(path)
        whole = ("frame_index", "episode_index", "index", "task_index")
        assert [(field.name, field.type) for field in found.schema] == [
            ("timestamp", pa.float64()),
            *((name, pa.int64()) for name in whole),
            ("pose", pa.list_(pa.float64(), 8)),
            ("action", pa.list_(pa.float64(), 7)),
        ]
        count = entry.frames
        assert found["frame_index"].to_pylist() == list(range(count))
        assert found["episode_index"].to_pylist() == [number] * count
        assert found["index"].to_pylist() == list(range(at, at + count))
        assert found["timestamp"].to_pylist() == [k / 50 for k in range(count)]
        assert {dataset.tasks[n] for n in found["task_index"].to_pylist()} == {entry.task}
        flown = [Pose.from_row(row) for row in found["pose"].to_pylist()]
        actions = found["action"].to_pylist()
        for k in range(count - 1):
            expected = relative_action(flown[k], flown[k + 1])
            np.testing.assert_allclose(actions[k], expected, rtol=0, atol=1e-9)
        assert actions[-1] == [0] * 7
        at += count
    assert at == sum(entry.frames for entry in dataset.entries)


def test_statistics_are_those_of_numpy(dataset):
    for number, entry in enumerate(dataset.entries):
        table = dataset.table(number)
        for name in ("timestamp", "pose", "action"):
            values = table[name].reshape(entry.frames, -1)
            found = entry.statistics[name]
            assert found["count"] == entry.frames
            for key, expected in (("min", values.min(0)), ("max", values.max(0)),
                                  ("mean", values.mean(0)), ("std", values.std(0))):  # fmt: skip
                np.testing.assert_allclose(found[key], expected, rtol=1e-9, atol=1e-12)


def test_the_manifest_can_be_checked_without_us(dataset):
    content = json.loads((dataset.folder / "dataset.json").read_bytes())
    checksum = content.pop("checksum")
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == checksum
    assert content["hertz"] == 50
    assert content["tasks"] == ["look around", "find it", ""]
    assert [entry["file"] for entry in content["episodes"]] == [
        f"episodes/episode_00000{n}.parquet" for n in range(3)
    ]
    before = json.loads((dataset.folder / "dataset.previous.json").read_bytes())
    assert before["episodes"] == content["episodes"][:2]


def test_an_episodes_file_holds_its_own_entry(dataset):
    for entry in dataset.entries:
        metadata = pq.read_metadata(dataset.folder / entry.file).metadata
        own = json.loads(metadata[b"napari_mrissl.entry"])
        listed = json.loads(entry.json)
        assert own == listed | {"sha256": "", "bytes": 0}


def test_undo_and_redo(dataset):
    entries = dataset.entries
    assert [dataset.undo_last() for _ in range(2)] == [entries[2], entries[1]]
    assert dataset.entries == Dataset.open(dataset.folder).entries == entries[:1]
    assert len(os.listdir(dataset.folder / "episodes")) == 1
    assert len(os.listdir(dataset.folder / "removed")) == 2
    assert validate(dataset.folder).ok
    again = Dataset.open(dataset.folder)
    assert again.undone == [entries[2], entries[1]]
    assert [again.redo_last() for _ in range(2)] == [entries[1], entries[2]]
    assert Dataset.open(dataset.folder).entries == entries
    assert os.listdir(dataset.folder / "removed") == []
    with pytest.raises(MrisslError, match="no episode to redo"):
        again.redo_last()
    assert validate(dataset.folder).ok
    for _ in range(3):
        again.undo_last()
    with pytest.raises(MrisslError, match="no episode to undo"):
        again.undo_last()


def test_a_new_episode_ends_redoing_but_deletes_nothing(dataset, flight):
    undone = dataset.undo_last()
    added = dataset.append(flight)
    assert (added.episode_index, added.file) == (undone.episode_index, undone.file)
    assert dataset.undone == []
    assert len(os.listdir(dataset.folder / "removed")) == 1
    dataset.undo_last()
    assert len(os.listdir(dataset.folder / "removed")) == 2
    assert dataset.redo_last() == added
    assert validate(dataset.folder).ok


def test_an_undone_episode_that_was_damaged_is_not_brought_back(dataset):
    entry = dataset.undo_last()
    path = next((dataset.folder / "removed").iterdir())
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(MrisslError, match="checksum"):
        dataset.redo_last()
    assert len(Dataset.open(dataset.folder)) == 2
    assert entry in dataset.undone


@pytest.mark.parametrize("number", [-1, 0])
def test_the_task_of_an_episode_can_be_changed(dataset, number):
    before = dataset.table(number)
    old = dataset.entries[number]
    entry = dataset.set_task("find the\nvessel", number)
    assert (entry.task, dataset.tasks[entry.task_index]) == ("find the vessel",) * 2
    again = Dataset.open(dataset.folder)
    assert again.entries[number] == entry
    table = again.table(number)
    assert set(table["task_index"]) == {entry.task_index}
    for name in set(table) - {"task_index"}:
        np.testing.assert_array_equal(table[name], before[name])
    assert validate(dataset.folder).ok
    assert len(os.listdir(dataset.folder / "removed")) == 1
    assert old.file != entry.file
    assert len(again) == 3


def test_every_column_survives_a_change_of_task(volume, poses, tmp_path, clock):
    from napari_mrissl.trajectories import Recorder

    columns = {"cursor", "window", "clicks", "layers"}
    recorder = Recorder(tmp_path, volume, columns=columns, frame_size=8, clock=clock)
    recorder.layers({"labels:1": True})
    for pose in poses:
        recorder.pose(pose)
        recorder.click(pose.center, 3)
        clock.wait(0.2)
        recorder.cursor(pose.center)
    recorder.commit()
    dataset = Dataset.open(tmp_path)
    before = dataset.table(0, dataset.entries[0].columns)
    dataset.set_task("other")
    after = dataset.table(0, dataset.entries[0].columns)
    assert before.pop("clicks") == after["clicks"]
    for name in set(before) - {"task_index"}:
        np.testing.assert_array_equal(before[name], after[name])
    assert validate(tmp_path).ok


def test_what_others_wrote_is_seen(dataset, flight):
    other = Dataset.open(dataset.folder)
    other.append(flight)
    assert len(dataset) == 3
    dataset.append(flight)
    assert len(dataset) == 5
    other.reload()
    assert other.entries == dataset.entries


def test_a_folder_with_other_things_is_left_alone(tmp_path, flight):
    (tmp_path / "mine.txt").write_text("x", "utf-8")
    before = tree(tmp_path)
    for make in (Dataset.create, open_or_create):
        with pytest.raises(MrisslError, match="not empty"):
            make(tmp_path)
    with pytest.raises(MrisslError, match="no dataset here"):
        Dataset.open(tmp_path)
    assert tree(tmp_path) == before
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / ".hidden").write_text("", "utf-8")
    Dataset.create(tmp_path / "new")
    with pytest.raises(MrisslError, match="a dataset already"):
        Dataset.create(tmp_path / "new")


def test_what_cannot_be_appended_is_told_and_changes_nothing(dataset, flight, volume):
    before = tree(dataset.folder)
    empty = Flight(volume.identity, [], np.array([], np.int64), flight_info(volume))
    nowhere = Flight(volume.identity, flight.poses, flight.times_ns, {})
    odd = Flight(volume.identity, flight.poses, flight.times_ns, flight.info | {"shape": [1]})
    for wrong, words in ((empty, {}), (nowhere, {}), (odd, {}), (flight, {"source": "magic"})):
        with pytest.raises(MrisslError):
            dataset.append(wrong, **words)
    with pytest.raises(MrisslError, match="no episode 3"):
        dataset.table(3)
    with pytest.raises(MrisslError, match="no episode 7"):
        dataset.set_task("x", 7)
    assert tree(dataset.folder) == before


def test_an_empty_dataset(tmp_path):
    dataset = Dataset.create(tmp_path, hertz=10)
    assert (len(dataset), dataset.hertz, dataset.tasks, dataset.entries) == (0, 10, (), [])
    assert Dataset.open(tmp_path).hertz == 10
    assert validate(tmp_path).ok


def test_reading_writes_nothing(dataset):
    before = tree(dataset.folder)
    again = Dataset.open(dataset.folder)
    for number in range(3):
        again.flight(number)
        again.verify(number, again=True)
    again.unfinished()
    validate(dataset.folder)
    assert tree(dataset.folder) == before


def test_a_thousand_episodes_open_and_grow(dataset, tmp_path):
    """Opening and adding must not cost more than a look at each entry."""
    from dataclasses import replace

    from napari_mrissl.trajectories import manifest

    first = dataset.entries[0]
    entries = [
        replace(
            first,
            uid=f"{n:032x}",
            episode_index=n,
            first_index=n * first.frames,
            file=f"episodes/episode_{n:06d}.parquet",
        )
        for n in range(1000)
    ]
    many = manifest.Manifest(50.0, dataset.tasks, tuple(entries))
    parsed = manifest.parsed(many.encoded(), tmp_path / "x")
    assert parsed.entries == many.entries
    assert len(many.encoded()) < manifest.LARGEST_BYTES / 10


def test_episodes_added_together_are_listed_at_the_end(dataset, flight):
    before = [entry.uid for entry in dataset.entries]
    with dataset.together():
        added = [dataset.append(flight, task=f"number {n}") for n in range(3)]
        # Whoever looks meanwhile sees none of them.
        assert [entry.uid for entry in Dataset.open(dataset.folder).entries] == before
    again = Dataset.open(dataset.folder)
    assert [entry.uid for entry in again.entries] == before + [entry.uid for entry in added]
    assert [entry.episode_index for entry in again.entries] == list(range(6))
    assert again.tasks[-3:] == ("number 0", "number 1", "number 2")
    assert validate(dataset.folder).ok
    dataset.append(flight)
    assert len(Dataset.open(dataset.folder)) == 7


def add_and_fail(dataset, flight):
    with dataset.together():
        dataset.append(flight)
        raise KeyError


def test_a_block_that_ends_badly_lists_nothing(dataset, flight):
    with pytest.raises(KeyError):
        add_and_fail(dataset, flight)
    assert len(Dataset.open(dataset.folder)) == 3
    # It can be written to as before, and the whole episode is found then.
    dataset.append(flight, task="later")
    again = Dataset.open(dataset.folder)
    assert (len(again), again.entries[-1].task) == (5, "later")
    assert validate(dataset.folder).ok
