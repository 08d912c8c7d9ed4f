"""The manifest: what it says comes back, and whatever was changed in it is refused."""

import hashlib
import json

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.packs.manifest import Manifest, PackEntry

UUID = "0123456789abcdef" * 2


def entry(number: int = 1, **changes: object) -> PackEntry:
    said = {
        "identity": f"{number:064x}",
        "values": f"{number + 1000:064x}",
        "name": f"scan-{number:06d}",
        "subject": f"subject-{number}",
        "shape": (70, 80, 90),
        "dtype": "int16",
        "affine": ((0.1 + 0.2, 0.0, 0.0, -1 / 3), (0.0, 1e-7, 1.0, 0.0), (0.0, 0.0, 2.0, 5e300)),
        "slope": 0.1,
        "intercept": -1024.0,
        "window": (0.5, 99.25),
        "bytes": 1000,
        "sha256": "ab" * 32,
    }
    return PackEntry.model_validate(said | changes)


def written(lines: list[dict[str, object]], **head: object) -> bytes:
    """A manifest of any lines whose checksum fits."""
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    first = {"format": "napari-mrissl pack", "version": 1, "uuid": UUID, "volumes": len(lines)}
    first |= {"sha256": hashlib.sha256(body).hexdigest()} | head
    return json.dumps(first).encode() + b"\n" + body


def refusal(content: bytes) -> str:
    with pytest.raises(MrisslError) as told:
        Manifest.parse(content, "pack, manifest.jsonl")
    said = str(told.value)
    assert "\n" not in said
    assert said.isprintable()
    assert len(said) < 300
    return said


def test_all_that_was_said_comes_back_to_the_last_digit() -> None:
    labels = entry(2, role="labels", name="labels-000001")
    scan = entry(1, labels=labels.identity, split="test", ct=True, frames=3, disputed=True)
    made = Manifest(UUID, (scan, labels))
    assert Manifest.parse(made.dump(), "here") == made
    assert np.array_equal(Manifest.parse(made.dump(), "here").entries[0].matrix, scan.matrix)
    assert Manifest.parse(Manifest(UUID).dump(), "here").entries == ()


def test_any_changed_byte_is_refused() -> None:
    content = Manifest(UUID, (entry(1), entry(2))).dump()
    rng = np.random.default_rng(0)
    uuid = content.index(UUID.encode())
    for place in rng.permutation(len(content))[:400].tolist():
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(8))
        if uuid <= place < uuid + 32:
            # The name of the pack itself is under no checksum: another one is another pack.
            continue
        try:
            found = Manifest.parse(bytes(changed), "here")
        except MrisslError:
            continue
        # A space within the first line, or a digit's case, means the same.
        assert found == Manifest.parse(content, "here")


@pytest.mark.parametrize("length", [0, 1, 100, 300, -1])
def test_a_manifest_that_was_cut_off_is_refused(length) -> None:
    refusal(Manifest(UUID, (entry(1), entry(2))).dump()[:length])


def test_what_it_is_not_is_said() -> None:
    good = [json.loads(entry(k).line()) for k in (1, 2)]
    assert "version 2; expected version 1" in refusal(written(good, version=2))
    assert "no manifest" in refusal(written(good, format="a dataset"))
    assert "no manifest" in refusal(b"[" * 100_000)
    assert "checksum" in refusal(written(good, sha256="0" * 64))
    assert "uuid" in refusal(written(good, uuid="../../etc"))
    assert "2 volumes where it says 3" in refusal(written(good, volumes=3))
    assert "how many" in refusal(written(good, volumes=True))
    assert "twice" in refusal(written([good[0], good[0]]))
    assert "too long" in refusal(written([good[0], good[1] | {"name": "a" * 5000}]))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("identity", "../" * 21 + "a"),
        ("identity", "A" * 64),
        ("name", "Doe^John"),
        ("name", "/home/user/scan"),
        ("subject", "\x1b[2J"),
        ("shape", [0, 1, 1]),
        ("shape", [1 << 40, 1, 1]),
        ("shape", [10, 10]),
        ("shape", [10.5, 10, 10]),
        ("dtype", "object"),
        ("dtype", "|V8"),
        ("affine", [[1, 0, 0, float("nan")]] * 3),
        ("slope", 0.0),
        ("slope", float("inf")),
        ("bytes", -1),
        ("role", "weights"),
        ("path", "/home/user"),
    ],
)
def test_every_field_is_checked(field, value) -> None:
    assert "line 2" in refusal(written([json.loads(entry(1).line()) | {field: value}]))


def test_a_label_map_must_be_there_and_fit() -> None:
    labels = json.loads(entry(2, role="labels").line())
    scan = json.loads(entry(1, labels=f"{2:064x}").line())
    assert Manifest.parse(written([scan, labels]), "here").entries[0].labels == f"{2:064x}"
    for wrong in ([scan], [scan, labels | {"role": "scan"}], [scan, labels | {"shape": [1, 1, 1]}]):
        assert "label map of scan-000001" in refusal(written(wrong))
