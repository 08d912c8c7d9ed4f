"""Tokens planted wherever a patient, user or place may be named never reach what is shared."""

import contextlib
import gzip
import io
import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from napari_mrissl.cli import main

SHAPE = (36, 40, 20)


def token(place: str) -> str:
    """A word that can only come from one place."""
    return f"CANARY{place}X7"


PLACES = (
    "descrip", "auxfile", "dbname", "intent", "extension", "comment", "sidecar", "sidecarkey",
    "filename", "folder", "parent", "promptsname", "user", "host", "home",
)  # fmt: skip


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scan that names its patient in every field and in its path."""
    monkeypatch.setenv("USER", token("user"))
    monkeypatch.setenv("LOGNAME", token("user"))
    monkeypatch.setenv("HOSTNAME", token("host"))
    monkeypatch.setenv("HOME", str(tmp_path / token("home")))
    monkeypatch.setattr("socket.gethostname", lambda: token("host"))
    monkeypatch.setattr("platform.node", lambda: token("host"))
    folder = tmp_path / token("parent") / token("folder")
    folder.mkdir(parents=True)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    voxels = np.where(x**2 + y**2 + z**2 < 0.5, 400, 20).astype(np.int16)
    voxels += (30 * np.sin(11 * x) * np.cos(7 * y)).astype(np.int16)
    affine = np.diag([-1.1, 1.2, 2.0, 1.0])
    affine[:3, 3] = (20, -24, -20)
    image = nibabel.Nifti1Image(voxels, affine)
    image.header["descrip"] = token("descrip").encode()
    image.header["aux_file"] = token("auxfile").encode()[:23]
    image.header["db_name"] = token("dbname").encode()[:17]
    image.header["intent_name"] = token("intent").encode()[:15]
    image.header.extensions.append(
        nibabel.nifti1.Nifti1Extension("comment", token("comment").encode())
    )
    image.header.extensions.append(
        nibabel.nifti1.Nifti1Extension(4, token("extension").encode() * 3)
    )
    path = folder / f"{token('filename')}.nii.gz"
    nibabel.save(image, path)
    sidecar = {"PatientName": token("sidecar"), token("sidecarkey"): 1}
    path.with_name(f"{token('filename')}.json").write_text(json.dumps(sidecar))
    inside = [(0, 0, 0), (4, 3, 2), (-5, 2, 1), (3, -6, -3)]
    outside = [(-17, -20, -16), (17, 20, 15), (-16, 19, 14), (16, -19, -15)]
    rows = [f"{a},{b},{c},2" for a, b, c in inside] + [f"{a},{b},{c},1" for a, b, c in outside]
    (folder / f"{token('promptsname')}.csv").write_text("x,y,z,label\n" + "\n".join(rows) + "\n")
    return path


def everything(folder: Path) -> bytes:
    """All bytes of all files, gunzipped too, with their names below the folder."""
    found = io.BytesIO()
    for path in sorted(folder.rglob("*")):
        found.write(str(path.relative_to(folder)).encode() + b"\n")
        if path.is_file():
            content = path.read_bytes()
            found.write(content)
            if content[:2] == b"\x1f\x8b":
                found.write(gzip.decompress(content))
    return found.getvalue()


def leaks(content: bytes, planted: Path) -> list[str]:
    """Names of the planted tokens, and of anything like this machine's path, in some bytes."""
    # Short fields were cut, so a token counts from its first eleven letters.
    words = {place: token(place)[:11] for place in PLACES}
    words["path"] = str(planted.parents[2])
    flat = content.replace(b"\0", b"")
    encodings = ("utf-8", "utf-16-le")
    return [
        name for name, word in words.items() if any(word.encode(e) in content for e in encodings)
        or word.encode() in flat
    ]  # fmt: skip


def command(*words: object) -> str:
    """Run a command and return what it printed on stdout."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main([str(word) for word in words]) == 0
    return out.getvalue()


def test_the_search_would_find_them(planted):
    found = leaks(everything(planted.parents[1]), planted)
    expected = set(PLACES) - {"parent", "user", "host", "home"}
    assert expected <= set(found)
    assert leaks(os.environ["HOME"].encode(), planted) == ["home", "path"]


def test_what_commands_make_names_nobody(planted, tmp_path):
    out = tmp_path / "shared"
    out.mkdir()
    prompts = planted.with_name(f"{token('promptsname')}.csv")
    printed = command("segment", planted, "--prompts", prompts, "--out", out / "s.nii.gz", "--json")
    (out / "segment.json").write_text(printed)
    (out / "info.json").write_text(command("info", planted, "--json"))
    words = ("--policy", "walk", "--frames", 8, "--seed", 1)
    command("trajectory", "generate", planted, "--out", out / "flight", *words)
    (out / "flight.json").write_text(command("trajectory", "info", out / "flight", "--json"))
    for name in ("a.gif", "a.npy"):
        command("trajectory", "replay", out / "flight", "--out", out / name, "--size", 16)
    plane = "--center 0 0 0 --normal 0 0 1 --up 0 1 0 --fov 40 --size 32 --out"
    for name in ("b.npy", "b.png", "b.nii.gz"):
        command("slice", planted, *plane.split(), out / name)
    content = everything(out)
    assert len(content) > 10_000
    assert leaks(content, planted) == []


def test_what_the_library_makes_names_nobody(planted, tmp_path):
    from napari_mrissl.geometry import Pose
    from napari_mrissl.segmentation import SegmentSettings, read_prompts, segment, write_prompts
    from napari_mrissl.trajectories import FlightRecorder
    from napari_mrissl.volumes import read, write_image, write_labels

    out = tmp_path / "shared"
    out.mkdir()
    volume = read(planted)
    recorder = FlightRecorder(out / "flight", volume)
    for step in range(5):
        recorder.record(Pose.from_normal_up((0, 0, step), (0, 0, 1), (0, 1, 0), 40))
    recorder.stop()
    prompts = read_prompts(planted.with_name(f"{token('promptsname')}.csv"))
    for name in ("p.json", "p.csv"):
        write_prompts(out / name, prompts)
    result = segment(volume, prompts, SegmentSettings())
    (out / "metadata.json").write_text(json.dumps(result.metadata))
    for suffix in (".nii.gz", ".nii", ".mgz", ".nrrd", ".mha"):
        write_labels(out / f"labels{suffix}", result.labels, volume)
        write_image(out / f"image{suffix}", volume.data, volume)
    write_labels(out / "named.nii.gz", result.labels, volume, names={1: "dark", 2: "bright"})
    content = everything(out)
    assert len(content) > 100_000
    assert leaks(content, planted) == []
