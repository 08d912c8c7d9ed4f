"""Where a run is asked to look: the newest wish, and nothing of what is none."""

import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.training.looking import look_at, look_of


def test_the_newest_wish_is_read_and_leaves_no_other_file(tmp_path):
    assert look_of(tmp_path) is None
    look_at(tmp_path, {"axis": 1})
    look_at(tmp_path, {"axis": 2, "at_mm": [1.5, -2.0, 3.0]})
    assert look_of(tmp_path) == {"axis": 2, "at_mm": [1.5, -2.0, 3.0]}
    assert look_of(tmp_path) is not None
    assert [path.name for path in tmp_path.iterdir()] == ["look.json"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 4000, b" " * 5000])
def test_what_is_no_wish_is_none(tmp_path, content):
    (tmp_path / "look.json").write_bytes(content)
    assert look_of(tmp_path) is None


def test_a_folder_that_is_gone_is_said(tmp_path):
    with pytest.raises(MrisslError, match="could not be written"):
        look_at(tmp_path / "gone", {})
