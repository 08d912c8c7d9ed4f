"""Files of torch made to do harm: refused in one sentence, nothing in them runs, little is read."""

import io
import os
import pickle
import struct
import zipfile

import pytest

from napari_mrissl.networks import weight_files
from napari_mrissl.networks.weight_library import import_weights, weights_named
from tests.attacks.harm import Harm, refusal
from tests.networks.foreign_weights import state

torch = pytest.importorskip("torch")


def archive(members, compression=zipfile.ZIP_STORED):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as file:
        for name, member in members:
            file.writestr(name, member)
    return content.getvalue()


def good():
    content = io.BytesIO()
    torch.save(state(), content)
    return content.getvalue()


def members(content):
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return [(name, file.read(name)) for name in file.namelist()]


def with_pickle(code):
    return archive([("net/data.pkl", code), ("net/version", b"3\n")])


def flipped(at):
    content = bytearray(good())
    content[int(at * len(content))] ^= 1
    return bytes(content)


def doubled_member():
    with pytest.warns(UserWarning, match="Duplicate"):
        return archive([*members(good()), *members(good())[:1]])


def code(*parts):
    return b"\x80\x02" + b"".join(parts) + b"."


def named(module, name):
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def far_too_large():
    """A tensor of 2^40 elements over one: strides of 0 need no memory until it is copied."""
    content = io.BytesIO()
    tensors = state()
    tensors["model.0.weight"] = torch.zeros(1).expand(1 << 20, 1 << 20)
    torch.save(tensors, content)
    return content.getvalue()


def large_and_right():
    content = io.BytesIO()
    tensors = state()
    tensors["model.37.weight"] = torch.zeros(1).expand(1 << 30, 8, 3, 3, 3)
    torch.save(tensors, content)
    return content.getvalue()


FILES = {
    "empty": lambda: b"",
    "short": lambda: b"PK",
    "no zip after all": lambda: b"PK\x03\x04" + bytes(100),
    "a web page": lambda: b"<!DOCTYPE html><html></html>",
    "a pointer of LFS": lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "text": lambda: b"weights " * 100,
    "zeros": lambda: bytes(1000),
    "a bare pickle": lambda: pickle.dumps({"a": 1}),
    "header of 2^63": lambda: struct.pack("<Q", 1 << 63) + b"{}",
    "safetensors without data": lambda: struct.pack("<Q", 60) + b'{"a":{"dtype":"F32"}}',
    "an empty zip": lambda: archive([]) + b"",
    "a zip of texts": lambda: archive([("a.txt", b"x")]),
    "two pickles": lambda: archive([("a/data.pkl", code(b"N")), ("b/data.pkl", code(b"N"))]),
    "compressed": lambda: archive(members(good()), zipfile.ZIP_DEFLATED),
    "a bomb": lambda: archive(
        [("net/data.pkl", code(b"N")), ("net/data/0", bytes(1 << 26))], zipfile.ZIP_DEFLATED
    ),
    "many parts": lambda: archive([(f"net/data/{n}", b"") for n in range(5000)]),
    "one part twice": doubled_member,
    "cut": lambda: good()[: len(good()) // 2],
    "cut a little": lambda: good()[:-1],
    "a bit of the data": lambda: flipped(0.5),
    "parts missing": lambda: archive([m for m in members(good()) if not m[0].endswith("data/3")]),
    "index too long": lambda: with_pickle(code(b"N" * (2 << 20))),
    "index cut": lambda: with_pickle(members(good())[0][1][:-20]),
    "index of nothing": lambda: with_pickle(b""),
    "index of noise": lambda: with_pickle(bytes(range(256))),
    "index deep": lambda: with_pickle(code(b"]" * 100_000)),
    "os.system": lambda: with_pickle(code(named("os", "system"), b"U\x04true\x85R")),
    "builtins.eval": lambda: with_pickle(code(named("builtins", "eval"), b"U\x011\x85R")),
    "bytearray of a TiB": lambda: with_pickle(
        code(named("builtins", "bytearray"), b"\x8a\x06\x00\x00\x00\x00\x00\x01\x85R")
    ),
    "torch.hub": lambda: with_pickle(code(named("torch.hub", "load"), b")R")),
    "a name from the stack": lambda: with_pickle(b"\x80\x04\x8c\x02os\x8c\x06system\x93."),
    "an extension": lambda: with_pickle(code(b"\x82\x01")),
    "a number": lambda: with_pickle(code(b"K\x05")),
    "a list": lambda: with_pickle(code(b"]")),
    "itself": lambda: with_pickle(code(b"}q\x00U\x01ah\x00s")),
    "no persistent id": lambda: with_pickle(code(b"NQ")),
    "2^40 elements": far_too_large,
    "a last layer of 2^30": large_and_right,
}


def refused(path, read=weight_files.read_foreign):
    return refusal(read, path, longest=500)


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_refused(tmp_path, name):
    path = tmp_path / "net.pth"
    path.write_bytes(FILES[name]())
    refused(path)


def test_the_same_file_without_harm_is_read(tmp_path):
    path = tmp_path / "net.pth"
    path.write_bytes(archive(members(good())))
    assert weight_files.read_foreign(path).size.width == 8


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_pickle_that_does_harm_does_none(tmp_path, monkeypatch, protocol, wrapped):
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "data"))
    canary = tmp_path / "canary"
    path = tmp_path / "net.pth"
    if wrapped:
        torch.save({**state(), "x": Harm(canary)}, path, pickle_protocol=protocol)
    else:
        path.write_bytes(pickle.dumps(Harm(canary), protocol))
    said = refused(path)
    assert "names" in said or "pickle" in said or "more than tensors" in said
    refused(path, import_weights)
    refused(path, weights_named)
    assert not canary.exists()
    assert not list((tmp_path / "data").rglob("*.safetensors"))


def test_the_older_format_is_never_opened(tmp_path):
    canary = tmp_path / "canary"
    path = tmp_path / "net.pth"
    torch.save({"a": Harm(canary)}, path, _use_new_zipfile_serialization=False)
    assert "bare pickle" in refused(path)
    assert not canary.exists()


def test_two_directories_in_one_zip_do_not_hide_a_bomb(tmp_path):
    """Readers differ in which directory they believe; torch is given what was looked at."""
    bomb = archive([("net/data.pkl", code(b"N"))], zipfile.ZIP_DEFLATED)
    path = tmp_path / "net.pth"
    path.write_bytes(bomb + good())
    assert weight_files.read_foreign(path).size.width == 8
    path.write_bytes(good() + bomb)
    assert "compressed" in refused(path)


def test_pipes_devices_folders_and_giants_are_not_waited_for(tmp_path):
    pipe = tmp_path / "pipe.pth"
    os.mkfifo(pipe)
    assert "no regular file" in refused(pipe)
    device = tmp_path / "device.pth"
    device.symlink_to("/dev/zero")
    assert "no regular file" in refused(device)
    refused(tmp_path)
    refused(tmp_path / "nothing.pth")
    refused(tmp_path / "\x1b[31m.pth")
    giant = tmp_path / "giant.pth"
    with open(giant, "wb") as file:
        file.truncate(weight_files.MOST_BYTES + 1)
    assert "more than 400 MiB" in refused(giant)
