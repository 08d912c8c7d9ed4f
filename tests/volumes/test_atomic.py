"""Files are whole or not there at all, whatever fails and when."""

import errno
import os
import stat

import nibabel as nib
import numpy as np
import pytest
from geometries import numbered

from napari_mrissl.volumes import Volume, write_labels
from napari_mrissl.volumes.atomic import write_atomically, write_text
from napari_mrissl.volumes.errors import WriteError

OLD = b"the old content"
PARTS = [b"a" * 1000, b"b" * 100_000, b"c" * 10]
NEW = b"".join(PARTS)


def write_parts(file):
    for part in PARTS:
        file.write(part)


def failing(monkeypatch, name, at, code):
    """Let the n-th call of an ``os`` function fail."""
    original, calls = getattr(os, name), iter(range(1, 100))

    def broken(*args, **keywords):
        if next(calls) == at:
            raise OSError(code, os.strerror(code))
        return original(*args, **keywords)

    monkeypatch.setattr(os, name, broken)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS])
@pytest.mark.parametrize(
    ("name", "at"), [("open", 1), ("open", 2), ("fsync", 1), ("fsync", 2), ("replace", 1)]
)
def test_any_failing_call_leaves_old_or_new_whole(tmp_path, monkeypatch, name, at, code):
    path = tmp_path / "file"
    path.write_bytes(OLD)
    with monkeypatch.context() as patch:
        failing(patch, name, at, code)
        with pytest.raises(WriteError, match="file: could not be written") as caught:
            write_atomically(path, write_parts)
    assert os.strerror(code) in str(caught.value)
    # Only after the rename, when the folder's own sync fails, is the new one there.
    after_rename = (name, at) in {("open", 2), ("fsync", 2)}
    assert path.read_bytes() == (NEW if after_rename else OLD)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "full"), RuntimeError("bug"), KeyboardInterrupt()]
)
@pytest.mark.parametrize("at", range(4))
def test_a_failing_write_leaves_the_old_file(tmp_path, error, at):
    path = tmp_path / "file"
    path.write_bytes(OLD)

    def write(file):
        for part in PARTS[:at]:
            file.write(part)
        raise error

    expected = WriteError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        write_atomically(path, write)
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_told(tmp_path):
    volume = Volume.from_stored(numbered(), np.eye(4), name="scan")
    path = tmp_path / "labels.nii"
    write_labels(path, volume.data, volume)
    before = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        failing(patch, "fsync", 1, errno.ENOSPC)
        with pytest.raises(WriteError, match="free some space"):
            write_labels(path, volume.data * 0, volume, overwrite=True)
    assert path.read_bytes() == before
    np.testing.assert_array_equal(np.asarray(nib.load(path).dataobj), numbered())


def test_folders_that_cannot_be_synced_do_not_matter(tmp_path, monkeypatch):
    failing(monkeypatch, "fsync", 2, errno.EINVAL)
    write_atomically(tmp_path / "file", write_parts)
    assert (tmp_path / "file").read_bytes() == NEW


def test_text_is_utf8_and_links_stay_links(tmp_path):
    write_text(tmp_path / "real.txt", "Größe 5 µm\n")
    assert (tmp_path / "real.txt").read_bytes() == "Größe 5 µm\n".encode()
    (tmp_path / "link.txt").symlink_to("real.txt")
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text("utf-8") == "new"


def test_a_new_file_obeys_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.parametrize("name", ["ü ñ 漢字.json", "a b c", ";$(touch x).json", "n" * 200, "-rf"])
def test_unusual_names(tmp_path, name):
    write_text(tmp_path / name, "x")
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_missing_folder_is_one_sentence(tmp_path):
    with pytest.raises(WriteError, match="No such file"):
        write_text(tmp_path / "missing" / "file", "x")
