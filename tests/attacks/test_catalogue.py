"""Bar X1: artefacts made to do harm, each opened as its victim would, by a command.

Each must be refused by a sentence that names it, and nothing in it may run: a canary that
all of them try to make must not be there. Variations of single fields are in the other
files of this folder.
"""

import hashlib
import io
import json
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest

from napari_mrissl.cli import main
from napari_mrissl.cli.child import main as child
from napari_mrissl.geometry import Pose
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import RunSettings
from napari_mrissl.trajectories import Dataset, flight_of
from napari_mrissl.volumes import Volume

torch = pytest.importorskip("torch")

ESCAPE = "\x1b]0;owned\x07\x1b[2J"


class Harm:
    """Makes the canary when it is unpickled."""

    def __init__(self, canary):
        self.canary = str(canary)

    def __reduce__(self):
        return (open, (self.canary, "w"))


class Bench:
    """A place to plant artefacts in: a good run, dataset, scan and list that they spoil."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.canary = folder / "canary"
        self.secret = folder / "secret"
        self.secret.write_text("secret", "utf-8")
        self.command = f"touch {self.canary}"
        self.pickled = pickle.dumps(Harm(self.canary))

    def file(self, name, content):
        path = self.folder / "planted" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def run(self, **settings):
        """A run whose settings say what nobody wrote."""
        run = Run.create(self.folder / "run", RunSettings(method="masked"))
        path = run.folder / "settings.json"
        content = json.loads(path.read_text("utf-8"))
        path.write_text(json.dumps({**content, **settings}), "utf-8")
        return run.folder

    def run_with(self, name, content):
        folder = self.run()
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    def dataset(self, **entry):
        """A dataset whose manifest was sealed again after its first entry was changed."""
        volume = Volume.from_stored(np.zeros((6, 6, 6), np.uint8), np.eye(4))
        made = Dataset.create(self.folder / "set")
        made.append(flight_of(volume, [Pose(np.zeros(3), np.eye(3), 50.0)], 20))
        content = json.loads((made.folder / "dataset.json").read_bytes())
        del content["checksum"]
        content["episodes"][0] |= entry
        body = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
        checksum = hashlib.sha256(body).hexdigest().encode()
        sealed = b'{"checksum":"' + checksum + b'",' + body[1:]
        (made.folder / "dataset.json").write_bytes(sealed)
        return made.folder

    def scan(self, name):
        path = self.folder / "planted" / name
        path.parent.mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)), path)
        return path

    def zipped(self):
        """An archive whose one member would be unpacked outside."""
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("../../canary", "owned")
        return content.getvalue()

    def tarred(self):
        """A link to the folder above, and a file to be written through it."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w:gz") as archive:
            link = tarfile.TarInfo("out")
            link.type, link.linkname = tarfile.SYMTYPE, str(self.folder)
            archive.addfile(link)
            canary = tarfile.TarInfo("out/canary")
            canary.size = 5
            archive.addfile(canary, io.BytesIO(b"owned"))
        return content.getvalue()

    def safetensors(self, tensors, data, card="{}"):
        text = json.dumps({"__metadata__": {"napari-mrissl": card}, **tensors}).encode()
        return struct.pack("<Q", len(text)) + text + data


def tensor(low, high):
    return {"dtype": "F32", "shape": [(high - low) // 4], "data_offsets": [low, high]}


def torch_saved(bench):
    content = io.BytesIO()
    torch.save({"a": Harm(bench.canary)}, content)
    return content.getvalue()


def object_array(bench):
    content = io.BytesIO()
    np.save(content, np.array([Harm(bench.canary)], object), allow_pickle=True)
    return content.getvalue()


def link(path, target):
    path.unlink()
    path.symlink_to(target)
    return path


def linked_manifest(bench):
    folder = bench.dataset()
    link(folder / "dataset.json", bench.secret)
    (folder / "dataset.previous.json").unlink(missing_ok=True)
    return folder


def linked_episode(bench):
    folder = bench.dataset()
    link(next((folder / "episodes").iterdir()), bench.secret)
    return folder


def linked_settings(bench):
    folder = bench.run()
    link(folder / "settings.json", bench.secret)
    return folder


YAML = "!!python/object/apply:os.system ['{}']\n"
TARGET = {"_target_": "os.system", "command": "touch canary"}

# What it is: how the victim opens it, and how it is made.
ARTEFACTS = {
    "weights: a pickle": ("weights", lambda b: b.file("weights.safetensors", b.pickled)),
    "weights: a checkpoint of torch": (
        "weights", lambda b: b.file("weights.safetensors", torch_saved(b))),
    "weights: an array of objects": (
        "weights", lambda b: b.file("weights.safetensors", object_array(b))),
    "weights: a zip that leaves its folder": (
        "weights", lambda b: b.file("weights.safetensors", b.zipped())),
    "weights: tensors that overlap": (
        "weights", lambda b: b.file("w.safetensors", b.safetensors(
            {"a": tensor(0, 8), "b": tensor(4, 12)}, bytes(12)))),
    "weights: a dotted path of a class as card": (
        "weights", lambda b: b.file("w.safetensors", b.safetensors(
            {"a": tensor(0, 8)}, bytes(8), card="os.system"))),
    "weights: a header of an exabyte": (
        "weights", lambda b: b.file("w.safetensors", struct.pack("<Q", 1 << 60) + b"{}")),
    "run: a pickle as settings": ("run", lambda b: b.run_with("settings.json", b.pickled)),
    "run: a pickle as identity": ("run", lambda b: b.run_with("run.json", b.pickled)),
    "run: a dotted path of a class as method": ("run", lambda b: b.run(method="os.system")),
    "run: a class to instantiate": ("run", lambda b: b.run(**TARGET)),
    "run: a class to instantiate for its data": ("run", lambda b: b.run(data=TARGET)),
    "run: a tag of YAML": (
        "run", lambda b: b.run_with("settings.json", YAML.format(b.command))),
    "run: brackets without end": (
        "run", lambda b: b.run_with("settings.json", b'{"task":' + b"[" * 1_000_000)),
    "run: settings that lead elsewhere by a link": ("run", linked_settings),
    "trained run: a dotted path of a class as network": (
        "train", lambda b: b.run(task={"backbone": {"name": "os.system"}})),
    "trained run: a class to instantiate as network": (
        "train", lambda b: b.run(task={"backbone": TARGET})),
    "dataset: a pickle as manifest": (
        "dataset", lambda b: b.file("dataset.json", b.pickled).parent),
    "dataset: a file above it": ("dataset", lambda b: b.dataset(file="../secret")),
    "dataset: a file by its whole path": (
        "dataset", lambda b: b.dataset(file=str(b.secret))),
    "dataset: a file on another machine": (
        "dataset", lambda b: b.dataset(file="\\\\host\\share\\x.parquet")),
    "dataset: a command for a file": (
        "dataset", lambda b: b.dataset(file=f"pipe:{b.command}")),
    "dataset: a manifest that leads elsewhere by a link": ("dataset", linked_manifest),
    "dataset: an episode that leads elsewhere by a link": ("check", linked_episode),
    "dataset: a terminal's commands as a task": ("dataset", lambda b: b.dataset(task=ESCAPE)),
    "scan: a pickle": ("scan", lambda b: b.file("scan.nii", b.pickled)),
    "scan: an array of objects": ("scan", lambda b: b.file("scan.nii.gz", object_array(b))),
    "scan: a zip that leaves its folder": ("scan", lambda b: b.file("scan.nii", b.zipped())),
    "scan: a tar with a link and a file through it": (
        "scan", lambda b: b.file("scan.nii.gz", b.tarred())),
    "scan: an inner file elsewhere": (
        "scan", lambda b: b.file("a.mhd", "NDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\n"
                                 "ElementDataFile = ../secret\n")),
    "data: a command as address": ("data", lambda b: f"pipe:{b.command}"),
    "data: an address of the network": ("data", lambda b: "http://127.0.0.1/scan.nii.gz"),
    "data: a list with a command": (
        "data", lambda b: b.file("scans.txt", f"pipe:{b.command}\n")),
    "data: a table with a command": (
        "data", lambda b: b.file("scans.csv", f"path,subject\n$({b.command}),x\n")),
    "data: a table that is a pickle": ("data", lambda b: b.file("scans.csv", b.pickled)),
    "clicks: a pickle": ("clicks", lambda b: b.file("clicks.json", b.pickled)),
    "clicks: a tag of YAML": (
        "clicks", lambda b: b.file("clicks.json", YAML.format(b.command))),
}  # fmt: skip


def words_of(kind, planted, bench):
    """The command by which somebody opens an artefact."""
    prepare = ["--out", bench.folder / "new run", "--prepare"]
    if kind == "clicks":
        target = bench.folder / "new.nii.gz"
        return ["segment", bench.scan("s.nii"), "--prompts", planted, "--out", target]
    return {
        "weights": ["pretrain", "masked", "--init", planted, *prepare],
        "run": ["run", "show", planted],
        "dataset": ["trajectory", "info", planted],
        "check": ["trajectory", "validate", planted],
        "scan": ["info", planted],
        "data": ["pretrain", "masked", "--data", planted, *prepare],
    }[kind]


def test_there_are_enough_of_them():
    assert len(ARTEFACTS) >= 25
    assert sum("pickle" in name or "objects" in name for name in ARTEFACTS) >= 5


@pytest.mark.parametrize("name", ARTEFACTS)
def test_an_artefact_is_refused_by_name_and_runs_nothing(name, tmp_path, monkeypatch, capsys):
    bench = Bench(tmp_path)
    monkeypatch.chdir(tmp_path)
    kind, make = ARTEFACTS[name]
    planted = make(bench)
    if kind == "train":
        code = child([str(planted)])
    else:
        code = main([str(word) for word in words_of(kind, planted, bench)])
    said = capsys.readouterr()
    assert code == 2
    sentence = said.err.strip().splitlines()[-1]
    assert sentence.isprintable()
    assert len(sentence) < 500
    assert "Traceback" not in said.err
    assert "unexpected" not in sentence
    assert not bench.canary.exists()
    assert not list(tmp_path.rglob("canary"))
    assert bench.secret.read_text("utf-8") == "secret"
    assert not (tmp_path / "new run").exists()
    assert str(tmp_path) not in sentence


@pytest.mark.parametrize("name", [f"scan{ESCAPE}", "scan;$(touch canary)", "scan`touch canary`"])
def test_a_name_is_only_a_name(name, tmp_path, monkeypatch, capsys):
    bench = Bench(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["info", str(bench.scan(f"{name}.nii"))]) == 0
    said = capsys.readouterr()
    assert all(line.isprintable() for line in (said.out + said.err).splitlines())
    assert not bench.canary.exists()


def test_the_canary_of_a_pickle_would_be_seen(tmp_path):
    bench = Bench(tmp_path)
    pickle.loads(bench.pickled).close()  # noqa: S301 our own
    assert bench.canary.exists()
