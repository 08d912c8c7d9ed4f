"""Words planted wherever a patient, user or place may be named never reach what is shared."""

import base64
import contextlib
import gzip
import io
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from flight_datasets import walk
from PIL import Image
from planted import MACHINE, PLACES, everything, leaks, plant, token

from napari_mrissl.cli import main

SCANS = ("nifti", "nrrd", "mha", "mgz", "dicom")


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Scans that name their patient everywhere, on a machine that names its user."""
    for name in ("USER", "LOGNAME", "USERNAME", "SUDO_USER", "MAIL"):
        monkeypatch.setenv(name, token("user"))
    for name in ("HOSTNAME", "COMPUTERNAME", "HOST"):
        monkeypatch.setenv(name, token("host"))
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "PWD"):
        monkeypatch.setenv(name, str(tmp_path / token("home")))
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / token("data directory")))
    monkeypatch.setattr("socket.gethostname", lambda: token("host"))
    monkeypatch.setattr("platform.node", lambda: token("host"))
    return plant(tmp_path)


@pytest.fixture
def shared(planted, tmp_path: Path) -> Path:
    """A folder for what is going to be shared; those above it name somebody."""
    folder = planted["nifti"].parent / "to share"
    folder.mkdir()
    return folder


def command(*words: object) -> str:
    """Run a command and return what it printed on stdout."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main([str(word) for word in words]) == 0
    return out.getvalue()


def test_there_are_enough_places():
    assert len(PLACES) >= 40
    assert len({token(place) for place in PLACES}) == len(PLACES)


def test_the_search_finds_what_was_planted(planted, tmp_path):
    found = leaks(everything(tmp_path), tmp_path)
    assert set(found) == set(PLACES) - set(MACHINE)
    assert leaks(os.environ["HOME"].encode(), tmp_path) == ["home", f"path {tmp_path.name}"]


@pytest.mark.parametrize(
    "way", ["parquet", "metadata", "png", "npz", "hdf5", "attribute", "gzip", "utf16", "base64"]
)
def test_the_search_finds_a_word_that_is_packed(tmp_path, way):
    word, path = token("patient name"), tmp_path / "file"
    picture = io.BytesIO()
    Image.fromarray(np.frombuffer(word.encode(), np.uint8)[None]).save(picture, "PNG")
    if way == "parquet":
        # Inside a list of structs, packed by parquet itself.
        column = pa.array([[{"x": word}]] * 50)
        pq.write_table(pa.table({"a": column}), path, compression="zstd", use_dictionary=False)
    elif way == "metadata":
        table = pa.table({"a": [1]}).replace_schema_metadata({"entry": json.dumps([word])})
        pq.write_table(table, path)
    elif way == "png":
        cell = {"bytes": picture.getvalue(), "path": "a.png"}
        pq.write_table(pa.table({"a": [cell]}), path, compression="zstd")
    elif way == "npz":
        with open(path, "wb") as file:
            np.savez_compressed(file, a=np.array([word] * 9))
    elif way in ("hdf5", "attribute"):
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            letters = np.frombuffer(word.encode() * 9, np.uint8)
            made = file.create_dataset("a", data=letters * (way == "hdf5"), compression="gzip")
            made.attrs["a"] = word if way == "attribute" else ""
    elif way == "gzip":
        path.write_bytes(gzip.compress(word.encode() * 9))
    elif way == "utf16":
        path.write_bytes(word.encode("utf-16-be"))
    else:
        path.write_bytes(base64.b64encode(b"ab" + word.encode() + b"cd"))
    # Parquet keeps a copy of its schema in base64.
    expected = {"base64": ["coded"], "metadata": ["", "coded"]}.get(way, [""])
    found = leaks(everything(tmp_path))
    assert [where.partition(", ")[2] for where in found] == expected
    assert all(where.startswith("patient name") for where in found)


def test_what_commands_make_names_nobody(planted, shared, tmp_path):
    scan, prompts = planted["nifti"], planted["prompts"]
    printed = command("segment", scan, "--prompts", prompts, "--out", shared / "s.nii.gz", "--json")
    (shared / "segment.json").write_text(printed, "utf-8")
    (shared / "info.json").write_text(command("info", scan, "--json"), "utf-8")
    plane = "--center 0 0 0 --normal 0 0 1 --up 0 1 0 --fov 40 --size 32 --out"
    for name in ("b.npy", "b.png", "b.nii.gz"):
        command("slice", scan, *plane.split(), shared / name)
    content = everything(shared)
    assert len(content) > 10_000
    assert leaks(content, tmp_path) == []


def test_datasets_and_what_is_made_of_them_name_nobody(planted, shared, tmp_path, caplog):
    caplog.set_level("DEBUG")
    flights = shared / "flights"
    for number, kind in enumerate(SCANS):
        words = ("--policy", "walk", "--frames", 8, "--seed", number, "--task", "find the ball")
        command("trajectory", "generate", planted[kind], "--out", flights, *words)
    for name in ("info", "validate", "repair"):
        printed = command("trajectory", name, flights, "--json")
        (shared / f"{name}.json").write_text(printed, "utf-8")
    for name in ("a.gif", "a.npy", "a.npz"):
        command("trajectory", "replay", flights, "--out", shared / name, "--size", 16)
    command("trajectory", "render", flights, "--out", shared / "frames", "--size", 16)
    words = ("--to", "lerobot", "--out", shared / "lerobot", "--size", 24)
    command("trajectory", "export", flights, *words)
    for name in ("bids", "webdataset"):
        words = ("--to", name, "--out", shared / name, "--size", 24)
        command("trajectory", "export", flights, *words)
    command("trajectory", "import", shared / "bids", "--from", "bids", "--out", shared / "back")
    (shared / "log.txt").write_text(caplog.text, "utf-8")
    content = everything(shared)
    assert len(content) > 100_000
    assert leaks(content, tmp_path) == []
    # What the user wrote is there, and it alone.
    assert b"find the ball" in content


def test_packs_name_nobody(planted, shared, tmp_path, caplog):
    caplog.set_level("DEBUG")
    table = shared.parent / "table.csv"
    rows = [f"{planted[kind]},{token('patient name')}" for kind in SCANS]
    table.write_text("path,subject\n" + "\n".join(rows), "utf-8")
    for words in (("--out", shared / "pack"), ("--out", shared / "pack", "--json")):
        (shared / "pack.json").write_text(command("pack", table, *words), "utf-8")
    (shared / "info.json").write_text(command("info", shared / "pack", "--json"), "utf-8")
    (shared / "check.json").write_text(command("pack", "--check", shared / "pack"), "utf-8")
    (shared / "log.txt").write_text(caplog.text, "utf-8")
    assert len(list((shared / "pack").rglob("c.0.0.0"))) == len(SCANS)
    content = everything(shared)
    assert len(content) > 10_000
    assert leaks(content, tmp_path) == []


def test_exports_to_hdf5_name_nobody(planted, shared, tmp_path):
    pytest.importorskip("h5py")
    for number, kind in enumerate(SCANS):
        words = ("--policy", "walk", "--frames", 8, "--seed", number, "--task", "find the ball")
        command("trajectory", "generate", planted[kind], "--out", tmp_path / "flights", *words)
    for name, out in (("hdf5", "a.h5"), ("minari", "minari")):
        words = ("--to", name, "--out", shared / out, "--size", 24)
        command("trajectory", "export", tmp_path / "flights", *words)
    words = ("--from", "hdf5", "--out", shared / "back")
    command("trajectory", "import", shared / "a.h5", *words)
    content = everything(shared)
    assert len(content) > 40_000
    assert leaks(content, tmp_path) == []
    assert b"find the ball" in content


def test_recordings_name_nobody_finished_open_or_discarded(planted, shared, tmp_path, caplog):
    from napari_mrissl.errors import MrisslError
    from napari_mrissl.trajectories import Dataset, Recorder
    from napari_mrissl.volumes import read

    caplog.set_level("DEBUG")
    flights = shared / "flights"
    columns = {"cursor", "window", "clicks", "layers"}
    for number, kind in enumerate(SCANS):
        volume = read(planted[kind])
        recorder = Recorder(flights, volume, columns=columns, frame_size=12)
        for pose in walk(volume, 5, number):
            recorder.pose(pose)
            recorder.cursor(pose.center)
            recorder.click(pose.center, 2)
            recorder.window(0, 100)
        with pytest.raises(MrisslError):
            recorder.layers({token("layer"): True})
        recorder.layers({f"image:{volume.identity[:12]}": True, "labels:1": False})
        # One of each: listed, undone, cut off, discarded.
        if kind == "mha":
            recorder.leave()
        elif kind == "mgz":
            recorder.discard()
        else:
            recorder.commit()
    dataset = Dataset.open(flights)
    dataset.undo_last()
    dataset.set_task("find the ball")
    (shared / "log.txt").write_text(caplog.text, "utf-8")
    names = {path.parent.name for path in flights.rglob("*") if path.is_file()}
    assert names >= {"episodes", "open", "removed", "flights"}
    content = everything(shared)
    assert len(content) > 10_000
    assert leaks(content, tmp_path) == []


def test_damaged_datasets_repaired_name_nobody(planted, shared, tmp_path):
    flights = shared / "flights"
    for seed in range(3):
        words = ("--policy", "walk", "--frames", 8, "--seed", seed)
        command("trajectory", "generate", planted["nifti"], "--out", flights, *words)
    first, second, _ = sorted((flights / "episodes").iterdir())
    second.write_bytes(second.read_bytes()[:-50])
    (flights / "dataset.json").write_bytes(b"{}")
    (shared / "repair.json").write_text(command("trajectory", "repair", flights, "--json"), "utf-8")
    assert leaks(everything(shared), tmp_path) == []
    assert first.exists()


def test_what_the_library_makes_names_nobody(planted, shared, tmp_path):
    from napari_mrissl.segmentation import SegmentSettings, read_prompts, segment, write_prompts
    from napari_mrissl.volumes import read, write_image, write_labels

    volume = read(planted["nifti"])
    prompts = read_prompts(planted["prompts"])
    for name in ("p.json", "p.csv"):
        write_prompts(shared / name, prompts)
    result = segment(volume, prompts, SegmentSettings())
    (shared / "metadata.json").write_text(json.dumps(result.metadata), "utf-8")
    for suffix in (".nii.gz", ".nii", ".mgz", ".nrrd", ".mha"):
        write_labels(shared / f"labels{suffix}", result.labels, volume)
        write_image(shared / f"image{suffix}", volume.data, volume)
    write_labels(shared / "named.nii.gz", result.labels, volume, names={1: "dark", 2: "bright"})
    content = everything(shared)
    assert len(content) > 100_000
    assert leaks(content, tmp_path) == []
