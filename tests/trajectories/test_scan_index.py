"""The scan index: tolerant of vanished files, strict about identities, private."""

import json
import os

import pytest

from napari_mrissl.directories import data_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories import locate, remember

ONE, OTHER = "1" * 64, "a" * 64


def test_scans_are_found_again(tmp_path, monkeypatch):
    first, second = tmp_path / "Ünïcode scan.nii.gz", tmp_path / "folder"
    first.write_text("", "utf-8")
    second.mkdir()
    remember(ONE, first)
    remember(OTHER, second)
    assert locate(ONE) == first
    assert locate(OTHER) == second
    monkeypatch.chdir(tmp_path)
    remember(ONE, "folder")
    assert locate(ONE) == second
    assert all(entry.is_relative_to(data_directory()) for entry in data_directory().rglob("*"))


def test_a_vanished_scan_is_unknown(tmp_path):
    scan = tmp_path / "scan.nii"
    scan.write_text("", "utf-8")
    remember(ONE, scan)
    scan.unlink()
    assert locate(ONE) is None
    assert locate(OTHER) is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"path": 3}', '{"path": "\\u0000"}', "[" * 10000, "\udcff"],
)
def test_a_damaged_entry_is_unknown_and_can_be_replaced(content, tmp_path):
    remember(ONE, tmp_path)
    (entry,) = (data_directory() / "scans").iterdir()
    entry.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert locate(ONE) is None
    remember(ONE, tmp_path)
    assert locate(ONE) == tmp_path


def test_names_that_are_no_text_survive(tmp_path):
    scan = tmp_path / os.fsdecode(b"scan\xff.nii")
    try:
        scan.write_text("", "utf-8")
    except OSError:
        pytest.skip("this file system takes no such names")
    remember(ONE, scan)
    assert locate(ONE) == scan
    assert json.loads(next((data_directory() / "scans").iterdir()).read_text("utf-8"))


@pytest.mark.parametrize("identity", ["", "../../etc/passwd", "A" * 64, "1" * 63, "1" * 64 + "\n"])
def test_what_is_no_identity_is_refused(identity, tmp_path):
    with pytest.raises(MrisslError, match="identity"):
        remember(identity, tmp_path)
    with pytest.raises(MrisslError, match="identity"):
        locate(identity)
    assert not (data_directory() / "scans").exists()


def test_an_unwritable_place_is_told(tmp_path):
    (data_directory() / "scans").write_text("not a folder", "utf-8")
    with pytest.raises(MrisslError):
        remember(ONE, tmp_path)
