"""What a user reads when something is wrong."""

from pathlib import Path

import pytest

from napari_mrissl.directories import cache_directory, data_directory
from napari_mrissl.errors import MrisslError


def test_a_sentence_says_where_what_expected_and_what_to_do():
    error = MrisslError(
        "sform is singular", where="scan.nii", expected="three axes", remedy="fix the header"
    )
    assert str(error) == "scan.nii: sform is singular; expected three axes; fix the header."
    assert (error.found, error.where, error.expected, error.remedy) == (
        "sform is singular", "scan.nii", "three axes", "fix the header",
    )  # fmt: skip


def test_only_the_name_of_a_file_is_shown():
    assert str(MrisslError("is empty", where=Path("/home/jane/doe.nii"))) == "doe.nii: is empty."


def test_control_characters_do_not_reach_the_terminal():
    said = str(MrisslError("is empty", where="\x1b[31mred\x07.nii"))
    assert said.isprintable()
    assert "red" in said


def test_directories_are_made_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("MRISSL_CACHE_DIR", str(tmp_path / "a" / "cache"))
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "b"))
    assert cache_directory() == tmp_path / "a" / "cache"
    assert data_directory() == tmp_path / "b"
    assert cache_directory().is_dir()
    assert data_directory().is_dir()


def test_a_directory_that_cannot_be_made_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", "utf-8")
    monkeypatch.setenv("MRISSL_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(MrisslError, match=r"^file: folder could not be made .*MRISSL_CACHE_DIR"):
        cache_directory()


def test_directories_default_to_the_users_own(tmp_path, monkeypatch):
    monkeypatch.delenv("MRISSL_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "napari-mrissl"
