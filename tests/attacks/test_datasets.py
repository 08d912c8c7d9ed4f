"""Datasets made to do harm: each is refused in one sentence, and nothing outside is touched."""

import hashlib
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories import Dataset, Recorder, flight_of, repair, validate
from napari_mrissl.volumes import Volume

VOLUME = Volume.from_stored(np.zeros((6, 6, 6), np.uint8), np.eye(4))


def canonical(content):
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def write_manifest(folder: Path, content: dict, name: str = "dataset.json") -> None:
    """A manifest whose checksum is right, whatever it says, as an attacker would write it."""
    content.pop("checksum", None)
    checksum = hashlib.sha256(canonical(content)).hexdigest()
    body = canonical(content)
    (folder / name).write_bytes(b'{"checksum":"' + checksum.encode() + b'",' + body[1:])


def manifest_of(folder: Path) -> dict:
    return json.loads((folder / "dataset.json").read_bytes())


@pytest.fixture
def folder(tmp_path):
    """A good dataset with two episodes, and a secret beside it."""
    dataset = Dataset.create(tmp_path / "set")
    for n in range(2):
        poses = [Pose(np.array([float(k), n, 0]), np.eye(3), 50.0) for k in range(5)]
        dataset.append(flight_of(VOLUME, poses, 20), task="look")
    shutil.copy(dataset.folder / dataset.entries[0].file, tmp_path / "secret.parquet")
    return dataset.folder


def record(folder):
    recorder = Recorder(folder, VOLUME)
    try:
        recorder.pose(Pose(np.zeros(3), np.eye(3), 50.0))
        recorder.commit()
    finally:
        recorder.leave()


def tree(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def refused(folder: Path, use=Dataset.open) -> str:
    """What is said, in one short sentence; nothing on disk may change."""
    before = tree(folder.parent)
    with pytest.raises(MrisslError) as told:
        use(folder)
    said = str(told.value)
    assert said.count("\n") == 0
    assert said.isprintable()
    assert len(said) < 300
    assert str(folder) not in said
    assert tree(folder.parent) == before
    return said


def test_a_manifest_written_so_is_read_when_it_is_good(folder):
    write_manifest(folder, manifest_of(folder))
    assert len(Dataset.open(folder)) == 2


FILES = [
    "../secret.parquet", "episodes/../../secret.parquet", "/etc/passwd", "//host/share/x.parquet",
    "\\\\host\\share\\x.parquet", "C:\\x.parquet", "episodes\\episode_000000.parquet",
    "episodes/episode_000000.parquet\0.txt", "episodes/\x1b[31mepisode_000000.parquet",
    "episodes/CON", "episodes/NUL.parquet", "/dev/zero", "/dev/stdin", "episodes/LPT1",
    "~/x.parquet", "file:///etc/passwd", "http://127.0.0.1/x", "$(id).parquet", "", ".",
    "episodes/",
    "episodes/./episode_000000.parquet", "episodes//episode_000000.parquet",
    "episodes/episode_000000.parquet/", "episodes/episode_000001.parquet",
    "episodes/episode_٠٠٠٠٠٠.parquet", "episodes/episode_000000.parquet\n",
]  # fmt: skip


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_leads_elsewhere(folder, file):
    content = manifest_of(folder)
    content["episodes"][0]["file"] = file
    write_manifest(folder, content)
    said = refused(folder)
    assert "dataset.json" in said
    assert "passwd" not in said
    assert refused(folder, validate)
    assert refused(folder, repair)


@pytest.mark.parametrize("value", [None, 5, ["x"], {"a": 1}, True])
def test_a_file_that_is_no_text(folder, value):
    content = manifest_of(folder)
    content["episodes"][0]["file"] = value
    write_manifest(folder, content)
    refused(folder)


BAD = {
    "sha256": ["x", 5, "A" * 64, "a" * 63],
    "bytes": [-1, 1.5, "1", 1 << 60, True],
    "uid": ["../" + "a" * 29, "A" * 32, "", None],
    "episode_index": [-1, 0.5, 7],
    "first_index": [-1, 1 << 60],
    "frames": [0, -5, 1 << 60, 2.0],
    "hertz": [0, -1, 1e9, "20", None],
    "duration_s": [-1, "x"],
    "cut_s": [-1, None],
    "task_index": [9, -1, 0.0],
    "task": ["\x1b]0;owned\x07", "a\u202eb", "x" * 2000, 5, "a\nb", "other"],
    "software": ["\x1b[2J", 7, "y" * 2000],
    "source": ["pickle", None, ["recorded"]],
    "policy": ["\x00", 5, "p" * 2000],
    "seed": [1.5, "1", 1 << 70],
    "columns": [["../x"], "pose", [5], ["pose"] * 30],
    "layers": [["PATIENT.nii"], ["image:" + "g" * 12], "x", ["labels:1"] * 70],
    "frame_size": [0, -1, 1 << 20, 2.5],
    "statistics": [[], {"x": 1}, {"pose": {}}, {"pose": {"min": "x"}}],
    "content": ["", None, "z" * 64],
    "volume": [
        None,
        {},
        {"identity": "x", "frame": 0, "shape": [1, 1, 1], "spacing_mm": [1, 1, 1], "affine": []},
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(k, v) for k, vs in BAD.items() for v in vs])
def test_an_entry_that_no_recorder_writes(folder, name, value):
    content = manifest_of(folder)
    content["episodes"][0][name] = value
    write_manifest(folder, content)
    assert "dataset.json" in refused(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [10**9, 10**9, 10**10]}, {"shape": [1, 1]}, {"spacing_mm": [0, 1, 1]},
        {"affine": [[0] * 4] * 4}, {"affine": "x"}, {"frame": -1}, {"identity": "../../x"},
        {"path": "/home/x"},
    ],
)  # fmt: skip
def test_a_volume_that_cannot_be(folder, change):
    content = manifest_of(folder)
    content["episodes"][0]["volume"] |= change
    write_manifest(folder, content)
    refused(folder)


def test_fields_too_many_or_too_few(folder):
    good = manifest_of(folder)
    for change in ({"extra": 1}, {"__class__": "os.system"}):
        content = json.loads(json.dumps(good))
        content["episodes"][0] |= change
        write_manifest(folder, content)
        refused(folder)
        write_manifest(folder, good | change)
        refused(folder)
    for name in ("hertz", "tasks", "episodes", "removed"):
        write_manifest(folder, {k: v for k, v in good.items() if k != name})
        refused(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"hertz": 0}, {"hertz": 1e12}, {"tasks": "look"}, {"tasks": ["\x1b[0m"]}, {"tasks": [5]},
        {"episodes": {}}, {"removed": [5]}, {"format": "other"}, {"version": 99},
        {"software": ["x"]},
    ],
)  # fmt: skip
def test_a_head_that_is_not_ours(folder, change):
    write_manifest(folder, manifest_of(folder) | change)
    refused(folder)


def test_an_episode_listed_twice_or_out_of_order(folder):
    good = manifest_of(folder)["episodes"]
    for episodes in (good + good, good[::-1], [good[0], good[1] | {"uid": good[0]["uid"]}]):
        write_manifest(folder, manifest_of(folder) | {"episodes": episodes})
        refused(folder)


def test_json_made_to_exhaust(folder):
    def sealed(body: bytes) -> bytes:
        checksum = hashlib.sha256(b"{" + body).hexdigest().encode()
        return b'{"checksum":"' + checksum + b'",' + body

    bombs = [
        b'"episodes":' + b"[" * 200_000,
        b'"episodes":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'"episodes":[' + b"[]," * 6_000_000 + b"[]]}",
        b'"hertz":' + b"9" * 100_000 + b"}",
        b'"hertz":NaN}',
        b'"hertz":1e999,"episodes":[]}',
        b'"a":"' + b"x" * (1 << 26) + b'"}',
    ]
    for bomb in bombs:
        (folder / "dataset.json").write_bytes(sealed(bomb))
        refused(folder)


def test_a_manifest_that_is_a_link(folder, tmp_path):
    (folder / "dataset.json").rename(tmp_path / "elsewhere.json")
    (folder / "dataset.json").symlink_to(tmp_path / "elsewhere.json")
    assert "leads out" in refused(folder)
    assert "leads out" in refused(folder, lambda f: Recorder(f, VOLUME))
    (folder / "dataset.json").unlink()
    (folder / "dataset.json").symlink_to("/dev/zero")
    refused(folder)


def test_a_previous_manifest_that_is_a_link_is_not_written_through(folder, tmp_path):
    target = tmp_path / "precious.json"
    target.write_text("mine", "utf-8")
    (folder / "dataset.previous.json").unlink()
    (folder / "dataset.previous.json").symlink_to(target)
    with pytest.raises(MrisslError, match="leads out"):
        Dataset.open(folder).undo_last()
    assert target.read_text("utf-8") == "mine"


def test_an_episode_that_is_a_link(folder, tmp_path):
    path = folder / "episodes" / "episode_000000.parquet"
    path.rename(tmp_path / "copy.parquet")
    path.symlink_to(tmp_path / "copy.parquet")
    assert "leads out" in refused(folder, lambda f: Dataset.open(f).flight(0))
    assert any("leads out" in problem for problem in validate(folder).problems)


@pytest.mark.parametrize("name", ["episodes", "open", "removed"])
def test_a_folder_that_is_a_link(folder, tmp_path, name):
    outside = tmp_path / "outside"
    if (folder / name).exists():
        (folder / name).rename(outside)
    else:
        outside.mkdir()
    (folder / name).symlink_to(outside)
    before = tree(outside)

    def use(place):
        dataset = Dataset.open(place)
        dataset.flight(0)
        dataset.unfinished()
        dataset.undo_last()

    with pytest.raises(MrisslError, match="leads out"):
        use(folder)
    if name != "removed":
        with pytest.raises(MrisslError, match="leads out"):
            record(folder)
        with pytest.raises(MrisslError, match="leads out"):
            repair(folder)
    assert tree(outside) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("name", ["dataset.json", "episodes/episode_000000.parquet"])
def test_a_pipe_is_not_waited_for(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    signal.alarm(30)
    try:
        refused(folder, lambda f: Dataset.open(f).flight(0))
    finally:
        signal.alarm(0)


def test_an_episodes_own_metadata_is_no_more_trusted_than_the_manifest(folder):
    import pyarrow.parquet as pq

    path = folder / "episodes" / "episode_000001.parquet"
    table = pq.read_table(path)
    entry = json.loads(pq.read_metadata(path).metadata[b"napari_mrissl.entry"])
    for name, values in BAD.items():
        if name == "task_index":  # counts in the manifest's tasks; a file alone has none
            continue
        text = canonical(entry | {name: values[0]}).decode()
        with pq.ParquetWriter(path, table.schema) as writer:
            writer.write_table(table)
            checksum = hashlib.sha256(text.encode()).hexdigest()
            writer.add_key_value_metadata(
                {"napari_mrissl.entry": text, "napari_mrissl.sha256": checksum}
            )
        for manifest in ("dataset.json", "dataset.previous.json"):
            (folder / manifest).unlink(missing_ok=True)
        dataset = Dataset.open(folder)
        # Put together anew from the episodes: the good one is in, the bad one is not.
        assert len(dataset) == 1
        assert all(note.isprintable() for note in dataset.notes)


def test_a_file_that_says_it_has_more_rows_than_it_has(folder):
    content = manifest_of(folder)
    content["episodes"][1]["frames"] = 10**12
    write_manifest(folder, content)
    refused(folder, lambda f: Dataset.open(f).flight(1))


def test_a_parquet_that_expands_without_end(folder):
    """Five rows promised, four million there: seen in the footer, before anything is read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "episodes" / "episode_000000.parquet"
    table = pq.read_table(path)
    zeros = pa.table(
        {"timestamp": pa.array(np.zeros(4_000_000)).dictionary_encode().cast(pa.float64())}
    )
    pq.write_table(zeros, path, compression="zstd")
    assert path.stat().st_size < 1 << 20
    assert len(table) == 5
    content = manifest_of(folder)
    content["episodes"][0] |= {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "bytes": path.stat().st_size,
    }
    write_manifest(folder, content)
    assert "4000000 frames" in refused(folder, lambda f: Dataset.open(f).flight(0))


def test_a_journal_that_lies(folder, tmp_path):
    from napari_mrissl.trajectories.journal import journal_bytes
    from napari_mrissl.trajectories.journal_lines import Record

    (folder / "open").mkdir()
    path = folder / "open" / f"{'b' * 32}.jsonl"
    info = manifest_of(folder)["episodes"][0]["volume"].copy()
    info.pop("identity")
    good = {"kind": "recording", "info": info, "hertz": 20.0, "columns": [],
            "frame_size": None, "task": "look"}  # fmt: skip
    pose = {"pose": [0.0, 0, 0, 1, 0, 0, 0, 50]}
    path.write_bytes(journal_bytes(good, [Record(0, 0, pose)], path))
    assert len(Dataset.open(folder).unfinished()) == 1
    changes = [{"kind": "prompts"}, {"info": None}, {"hertz": 1e30},
               {"columns": ["../x"]}, {"frame_size": 10**9}, {"task": None},
               {"info": info | {"affine": [[0]]}}]  # fmt: skip
    for change in changes:
        path.write_bytes(journal_bytes(good | change, [Record(0, 0, pose)], path))
        assert Dataset.open(folder).unfinished() == []
        assert not validate(folder).ok
    for event in (
        {"identity": "/etc/passwd"},
        {"identity": [1]},
        {"pose": ["x"] * 8},
        {"layers": {"/home/x": True}},
        {"click": [1, 2, 3, 1e400]},
    ):
        text = journal_bytes(good, [Record(0, 0, pose)], path)
        bad = json.dumps({"index": 1, "t_ns": 1, "event": event}).replace("Infinity", "1e400")
        import zlib

        body = bad[:-1].encode()
        path.write_bytes(text + body + b',"crc32":"%08x"}\n' % zlib.crc32(body))
        assert Dataset.open(folder).unfinished() == []
        assert not validate(folder).ok
    path.unlink()
    (tmp_path / "secret.jsonl").write_bytes(journal_bytes(good, [Record(0, 0, pose)], path))
    path.symlink_to(tmp_path / "secret.jsonl")
    assert Dataset.open(folder).unfinished() == []
