"""BIDS motion: read by the layout with the standard library, and judged by the BIDS validator."""

import csv
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from peers import environment_with

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories.exchange import bids, formats


@pytest.fixture
def out(dataset, tmp_path):
    return formats.export("bids", dataset, tmp_path / "out")


def test_files_are_what_the_specification_says(out, dataset, stretches):
    described = json.loads((out / "dataset_description.json").read_text("utf-8"))
    assert described["DatasetType"] == "derivative"
    assert described["GeneratedBy"][0]["Name"] == "napari-mrissl"
    tables = sorted(out.glob("sub-*/motion/*_motion.tsv"))
    assert len(tables) == len(stretches)
    seen = set()
    for table in tables:
        sidecar = json.loads(table.with_suffix(".json").read_text("utf-8"))
        stretch = stretches[sidecar["NapariMrissl"]["stretch"]]
        seen.add(stretch.number)
        entities = dict(part.split("-") for part in table.name.split("_")[:-1])
        assert stretch.entry.identity.startswith(entities["sub"])
        assert table.parts[-3] == f"sub-{entities['sub']}"
        label = "".join(c for c in sidecar["TaskName"] if c.isalnum())
        assert label == entities["task"] == ("findtheball" if stretch.entry.task else "flight")
        assert entities["tracksys"] == "plane"
        assert sidecar["SamplingFrequency"] == 20
        with open(str(table).replace("_motion", "_channels"), encoding="utf-8") as file:
            channels = list(csv.DictReader(file, dialect="excel-tab"))
        assert [c["component"] for c in channels] == [
            "x", "y", "z", "quat_w", "quat_x", "quat_y", "quat_z", "n/a",
        ]  # fmt: skip
        assert [c["type"] for c in channels] == ["POS"] * 3 + ["ORNT"] * 4 + ["MISC"]
        assert [c["units"] for c in channels] == ["mm"] * 3 + ["n/a"] * 4 + ["mm"]
        lines = table.read_text("utf-8").splitlines()
        numbers = [[float(word) for word in line.split("\t")] for line in lines]
        np.testing.assert_array_equal(numbers, stretch.poses)
    assert seen == set(range(len(stretches)))


def test_what_is_exported_comes_back_bit_for_bit(out, stretches, tmp_path):
    found = formats.load("bids", out, tmp_path / "back")
    assert len(found) == len(stretches)
    for number, stretch in enumerate(stretches):
        np.testing.assert_array_equal(found.table(number)["pose"], stretch.poses)
        entry = found.entries[number]
        for name in ("identity", "task", "source", "policy", "seed", "volume", "hertz"):
            assert getattr(entry, name) == getattr(stretch.entry, name), name


def test_no_scan_is_needed(dataset, tmp_path):
    for path in tmp_path.glob("scan*"):
        path.unlink()
    assert len(formats.load("bids", formats.export("bids", dataset, tmp_path / "out"),
                            tmp_path / "back")) == 6  # fmt: skip


def test_tasks_and_scans_that_look_alike_get_labels_of_their_own():
    labels = bids.task_labels(["find it", "", "find-it", "!", "x" * 100])
    assert labels == {"find it": "findit", "": "flight", "find-it": "findit2", "!": "flight2",
                      "x" * 100: "x" * 60}  # fmt: skip
    alike = ["a" * 20 + "b" * 44, "a" * 20 + "c" * 44]
    assert sorted(bids.subject_labels(alike).values()) == ["a" * 20 + "b", "a" * 20 + "c"]


def as_others_write(out: Path, unit: str) -> None:
    """One flight of an export as another program would tell it: other order and unit."""
    keep = min(out.glob("sub-*/motion/*_motion.tsv"))
    sidecar = json.loads(keep.with_suffix(".json").read_text("utf-8"))
    folder = out / "sub-01" / "ses-a" / "motion"
    folder.mkdir(parents=True)
    stem = "sub-01_ses-a_task-look_tracksys-scanner"
    said = {"SamplingFrequency": 20, "TaskName": "look"}
    (folder / f"{stem}_motion.json").write_text(json.dumps(said), "utf-8")
    channels = Path(str(keep).replace("_motion", "_channels")).read_text("utf-8").splitlines()
    lines = [line.replace("\tmm", f"\t{unit}") for line in reversed(channels[1:])]
    text = "\n".join([channels[0], "t\tn/a\tLATENCY\tn/a\ts\tn/a", *lines]) + "\n"
    (folder / f"{stem}_channels.tsv").write_text(text, "utf-8")
    rows = np.loadtxt(keep, ndmin=2)[:, ::-1]
    scale = np.array([1.0, 1, 1, 1, 1, 1, 1, 1]) if unit == "mm" else np.array(
        [1e-3, 1, 1, 1, 1, 1e-3, 1e-3, 1e-3]
    )  # fmt: skip
    text = "\n".join("\t".join(map(repr, [0.5, *row])) for row in (rows * scale).tolist())
    (folder / f"{stem}_motion.tsv").write_text(text, "utf-8")
    assert sidecar["NapariMrissl"]["stretch"] == 0
    for other in out.glob("sub-*"):
        if other.name != "sub-01":
            shutil.rmtree(other)


@pytest.mark.parametrize("unit", ["mm", "m"])
def test_flights_of_others_are_found_by_their_channels(out, stretches, volumes, tmp_path, unit):
    first = min(
        out.glob("sub-*/motion/*_motion.json"),
        key=lambda path: json.loads(path.read_text("utf-8"))["NapariMrissl"]["stretch"],
    )
    stem = first.name.removesuffix("_motion.json")
    for path in [*out.glob("sub-*/motion/*")]:
        if not path.name.startswith(stem):
            path.unlink()
    as_others_write(out, unit)
    with pytest.raises(MrisslError, match="over which scan"):
        formats.load("bids", out, tmp_path / "back")
    found = formats.load("bids", out, tmp_path / "back", scans=volumes[:1])
    np.testing.assert_allclose(found.table(0)["pose"], stretches[0].poses, rtol=1e-14)
    assert (found.entries[0].task, found.entries[0].identity) == ("look", volumes[0].identity)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("_channels.tsv", "quat_w", "quat_v"),
        ("_channels.tsv", "qx\tquat_x", "qx\tquat_y"),
        ("_channels.tsv", "\tmm\t", "\tfoot\t"),
        ("_channels.tsv", None, None),
        ("_motion.json", "{", "["),
        ("_motion.json", '"SamplingFrequency": 20.0', '"SamplingFrequency": "often"'),
        ("_motion.json", '"SamplingFrequency": 20.0', '"SamplingFrequency": 0'),
        ("_motion.json", '"SamplingFrequency": 20.0', '"SamplingFrequency": 2' + 400 * "0"),
        ("_motion.json", '"SamplingFrequency": 20.0', '"SamplingFrequency": 2' + 5000 * "0"),
        ("_motion.json", '"identity": "', '"identity": "../'),
        ("_motion.json", '"affine": [', '"affine": [['),
        ("_motion.tsv", "\t", "\tn/a\t"),
        ("_motion.tsv", "\t", "\tnan\t"),
        ("_motion.tsv", "\t", "e200\t"),
        ("_motion.tsv", "\n", "\n1\n"),
        ("_motion.tsv", None, ""),
        ("_motion.tsv", None, "\n \n"),
        ("_motion.tsv", None, "/dev/zero"),
        ("_channels.tsv", "name\t", "what\t"),
        ("_channels.tsv", "cx", '"' + "c" * 200_000),
        ("_channels.tsv", "cx", "c\0x\t\x85"),
        ("_motion.json", "{", "[" * 100_000),
    ],
)
def test_a_dataset_that_lies_is_refused_in_a_sentence(out, tmp_path, name, old, new):
    for path in out.glob(f"sub-*/motion/*{name}"):
        text = path.read_text("utf-8")
        if old is None:
            path.unlink()
            if new == "/dev/zero":
                path.symlink_to(new)
            elif new is not None:
                path.write_text(new, "utf-8")
        else:
            assert old in text
            path.write_text(text.replace(old, new, 1), "utf-8")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(MrisslError):
        formats.load("bids", out, tmp_path / "back")
    assert sorted(tmp_path.iterdir()) == before


@pytest.fixture
def validator():
    yield from environment_with("MRISSL_BIDS", "bids-validator-deno==3.0.2")


def judged(validator: Path, folder: Path) -> list[str]:
    """Codes of the errors that the validator finds."""
    ran = subprocess.run(
        [validator / "bids-validator-deno", "--format", "json", folder],
        capture_output=True, encoding="utf-8", timeout=600, check=False,
    )  # fmt: skip
    issues = json.loads(ran.stdout)["issues"]["issues"]
    errors = [issue["code"] for issue in issues if issue["severity"] == "error"]
    assert bool(ran.returncode) == bool(errors)
    return errors


@pytest.mark.slow
@pytest.mark.timeout(4000)
def test_the_bids_validator_finds_no_error(out, validator):
    assert judged(validator, out) == []
    # Raw data are held to stricter rules than derivatives; and it does look at motion data.
    described = out / "dataset_description.json"
    described.write_text(described.read_text("utf-8").replace("derivative", "raw"), "utf-8")
    assert judged(validator, out) == []
    for path in out.glob("sub-*/motion/*_motion.json"):
        path.write_text(path.read_text("utf-8").replace("SamplingFrequency", "Rate"), "utf-8")
    assert "SIDECAR_KEY_REQUIRED" in judged(validator, out)
