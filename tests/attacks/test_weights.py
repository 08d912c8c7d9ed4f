"""Our own weights files made to do harm: each is refused in one sentence, nothing in it runs."""

import json
import os
import pickle
import struct
import zipfile

import pytest

from napari_mrissl.networks import weights
from tests.attacks.harm import Harm, refusal

torch = pytest.importorskip("torch")


def raw(header, data=b"", length=None):
    """A safetensors file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def with_card(header, card="{}", data=bytes(8)):
    return raw({"__metadata__": {"napari-mrissl": card}, **header}, data)


FILES = {
    "empty": b"",
    "short": b"\x01\x02",
    "length of 2^63": struct.pack("<Q", 1 << 63) + b"{}",
    "length of a GiB": struct.pack("<Q", 1 << 30) + b"{}",
    "no JSON": raw(b"{nonsense"),
    "deep JSON": raw(b"[" * 100_000),
    "a list": raw([]),
    "a number": raw(5),
    "no metadata": raw({"a": tensor()}, bytes(8)),
    "metadata a list": raw({"__metadata__": [], "a": tensor()}, bytes(8)),
    "card no text": raw({"__metadata__": {"napari-mrissl": 5}}),
    "card no JSON": with_card({"a": tensor()}, "{"),
    "card a list": with_card({"a": tensor()}, "[]"),
    "card NaN": with_card({"a": tensor()}, '{"a": NaN}'),
    "card deep": with_card({"a": tensor()}, '{"a":' * 50 + "1" + "}" * 50),
    "card very deep": with_card({"a": tensor()}, "[" * 50_000),
    "card huge": with_card({"a": tensor()}, '{"a":"' + "x" * (5 << 20) + '"}'),
    "overlapping tensors": with_card({"a": tensor(), "b": tensor(offsets=(4, 12))}, data=bytes(12)),
    "tensors with a hole": with_card({"a": tensor(offsets=(8, 16))}, data=bytes(16)),
    "offsets backwards": with_card({"a": tensor(offsets=(8, 0))}),
    "offsets outside": with_card({"a": tensor(offsets=(0, 1 << 40), shape=(1 << 38,))}),
    "negative offset": with_card({"a": tensor(offsets=(-8, 0))}),
    "shape too large": with_card({"a": tensor(shape=(1 << 31, 1 << 31, 1 << 31))}),
    "shape of another size": with_card({"a": tensor(shape=(3,))}),
    "negative shape": with_card({"a": tensor(shape=(-2,))}),
    "unknown type": with_card({"a": tensor(dtype="OBJECT")}),
    "data missing": with_card({"a": tensor()}, data=b""),
    "data too long": with_card({"a": tensor()}, data=bytes(800)),
    "class path": raw({"__metadata__": {"napari-mrissl": "os.system"}, "a": tensor()}, bytes(8)),
}


def refused(path, use=weights.load):
    return refusal(use, path, longest=400)


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_refused(tmp_path, name):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(FILES[name])
    assert "could not be read" in refused(path)
    assert "could not be read" in refused(path, weights.check)


def test_the_same_file_without_harm_is_read(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(with_card({"a": tensor()}))
    assert weights.load(path)[0]["a"].tolist() == [0.0, 0.0]
    weights.check(path)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_is_never_opened(tmp_path, protocol):
    canary = tmp_path / "canary"
    path = tmp_path / "weights.safetensors"
    path.write_bytes(pickle.dumps(Harm(canary), protocol))
    refused(path)
    assert not canary.exists()


def test_a_checkpoint_of_torch_is_never_opened(tmp_path):
    canary = tmp_path / "canary"
    path = tmp_path / "weights.safetensors"
    torch.save({"a": Harm(canary)}, path)
    assert zipfile.is_zipfile(path)
    refused(path)
    assert not canary.exists()


def test_pipes_devices_and_folders_are_not_waited_for(tmp_path):
    pipe = tmp_path / "pipe.safetensors"
    os.mkfifo(pipe)
    refused(pipe)
    device = tmp_path / "device.safetensors"
    device.symlink_to("/dev/zero")
    refused(device)
    refused(tmp_path)
    refused(tmp_path / "nothing.safetensors")
    refused(tmp_path / "\x1b[31m.safetensors")
