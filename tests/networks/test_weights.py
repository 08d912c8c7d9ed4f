import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "weights.safetensors"
    shared = torch.arange(6.0)
    state = {
        "a": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "turned": torch.arange(6).reshape(2, 3).T,
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "none": torch.empty(0),
        "yes": torch.tensor([True, False]),
        "tied": shared,
        "tied too": shared,
    }
    card = {"method": "x", "preprocessing": {"low": 0.5}, "ü": [1, None, True]}
    weights.save(path, state, card)
    found, said = weights.load(path)
    assert said == card
    assert weights.read_card(path) == card
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_the_same_tensors_and_card_are_the_same_bytes(tmp_path):
    state = {f"model.{number}.weight": torch.full((2,), float(number)) for number in range(20)}
    card = {"b": 1, "a": {"d": 2, "c": 3}}
    found = set()
    for number in range(5):
        path = tmp_path / f"{number}.safetensors"
        weights.save(path, dict(sorted(state.items(), reverse=number % 2 == 1)), card)
        found.add(path.read_bytes())
    assert len(found) == 1


def test_another_reader_finds_the_same_numbers(tmp_path):
    from safetensors.numpy import load_file

    path = tmp_path / "weights.safetensors"
    weights.save(path, {"a": torch.arange(6.0).reshape(2, 3)}, {})
    np.testing.assert_array_equal(load_file(path)["a"], np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize("card", [{"a": float("nan")}, {"a": object()}, {"a": "x" * (1 << 23)}])
def test_a_card_that_is_no_json_is_refused_and_the_old_file_stays(tmp_path, card):
    path = tmp_path / "weights.safetensors"
    weights.save(path, {"a": torch.ones(2)}, {"old": True})
    before = path.read_bytes()
    with pytest.raises(MrisslError, match="card"):
        weights.save(path, {"a": torch.zeros(2)}, card)
    assert path.read_bytes() == before


def test_other_preprocessing_is_refused():
    card = {"preprocessing": {"kind": "window", "low": -100.0}}
    weights.check_preprocessing(card, {"kind": "window", "low": -100.0}, "weights")
    for wanted in ({"kind": "percentile", "low": 0.5}, {"kind": "window", "low": -99.0}):
        with pytest.raises(MrisslError, match=r"preprocessing kind window, low -100\.0"):
            weights.check_preprocessing(card, wanted, "weights")
    with pytest.raises(MrisslError, match="unknown"):
        weights.check_preprocessing({}, {"kind": "window"}, "weights")


def test_the_card_is_read_without_torch(tmp_path):
    path = tmp_path / "weights.safetensors"
    weights.save(path, {"a": torch.ones(2)}, {"method": "x"})
    words = (
        "import sys; from napari_mrissl.networks.weights import read_card; "
        "print(read_card(sys.argv[1])['method'], 'torch' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", words, str(path)], capture_output=True, check=True, encoding="utf-8"
    ).stdout
    assert said.split() == ["x", "False"]


def test_arrays_and_tensors_are_written_and_read_alike(tmp_path):
    path = tmp_path / "weights.safetensors"
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.int64(7).reshape(())}
    weights.save_arrays(path, arrays, {"step": 3})
    state, card = weights.load(path)
    assert card == {"step": 3}
    assert {name: tensor.tolist() for name, tensor in state.items()} == {
        name: array.tolist() for name, array in arrays.items()
    }
    weights.save(path, state, card)
    again = weights.load_arrays(path)
    assert {name: array.tolist() for name, array in again.items()} == {
        name: array.tolist() for name, array in arrays.items()
    }
    path.write_bytes(b"no safetensors")
    with pytest.raises(MrisslError, match="could not be read"):
        weights.load_arrays(path)


def test_files_carry_a_digest_of_their_tensors_that_no_card_changes(tmp_path):
    first, other, bare = (tmp_path / f"{name}.safetensors" for name in ("first", "other", "bare"))
    tensors = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor(7)}
    weights.save(first, tensors, {"x": "1"})
    weights.save(other, tensors, {"y": [2, 3]})
    wanted = hashlib.sha256()
    for name, kind, shape, content in (
        ("a", "I64", [], np.int64(7).tobytes()),
        ("b", "F32", [2, 3], np.arange(6, dtype="<f4").tobytes()),
    ):
        wanted.update(json.dumps([name, kind, shape, len(content)]).encode() + content)
    for path in (first, other):
        assert wanted.hexdigest().encode() in path.read_bytes()
        assert weights.has_digest(path)
    assert weights.read_card(first) == {"x": "1"}
    # A file of an earlier version has none, and its numbers are taken as they are.
    metadata = {"napari-mrissl": json.dumps({"x": "1"})}
    safetensors_torch.save_file(tensors, bare, metadata)
    assert not weights.has_digest(bare)
    assert weights.load(bare)[1] == {"x": "1"}


@pytest.mark.parametrize("load", [weights.load, weights.load_arrays, weights.has_digest])
def test_numbers_that_are_others_than_those_written_are_refused(tmp_path, load):
    path = tmp_path / "one.safetensors"
    weights.save(path, {"a": torch.ones(4)}, {})
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(MrisslError, match="numbers are not those that were written"):
        load(path)
