import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.training import control


def test_each_request_is_seen_once_and_the_newest_wins(tmp_path):
    seen = control.Control(tmp_path)
    assert seen.poll() is None
    control.request(tmp_path, "pause")
    assert seen.poll() == "pause"
    assert seen.poll() is None
    control.request(tmp_path, "resume")
    control.request(tmp_path, "pause")
    assert seen.poll() == "pause"
    assert [path.name for path in tmp_path.iterdir()] == ["control.json"]


def test_a_stop_stays_until_the_next_start(tmp_path):
    control.request(tmp_path, "stop")
    control.request(tmp_path, "resume")
    assert control.pending(tmp_path) == "stop"
    assert control.Control(tmp_path).poll() == "stop"
    control.forget(tmp_path)
    assert control.pending(tmp_path) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'"stop"', b'{"command":"stop"}', b'{"command":["stop"],"id":"a"}',
     b'{"command":"rm -rf","id":"a"}', b"[" * 4000, b'{"command":"stop","id":"' + b"a" * 9999],
)  # fmt: skip
def test_what_is_no_command_is_none(tmp_path, content):
    (tmp_path / "control.json").write_bytes(content)
    assert control.Control(tmp_path).poll() is None


def test_a_folder_that_is_gone_is_said(tmp_path):
    with pytest.raises(MrisslError, match="could not be written"):
        control.request(tmp_path / "gone", "stop")
