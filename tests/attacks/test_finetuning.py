"""Bad labels, hostile networks, and processes killed in the middle of finetuning and predicting.

Whatever is given, the answer is one sentence and nothing on disk, or a correct segmentation.
"""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest

pytest.importorskip("torch")

import small_segmenters

from napari_mrissl.cli import main
from napari_mrissl.metrics import dice
from napari_mrissl.networks import weights
from napari_mrissl.segmentation.finetuning import SavedSegmenter, go_on
from tests.segmentation.finetuning.balls import SHAPE, arrays, save, write

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--weights", "scratch", "--preset", "tiny", "--device", "cpu"]
SMALL += ["--set", "backbone.depth=3", "optimisation.threads=1", "data.workers=0"]
QUIET = ["appearance.noise=0", "appearance.chain.bias.probability=0", "checkpoint.images_every=0"]
SECONDS = 280
"""Of patience with a child process; a busy machine takes long to import torch."""


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def answered(tmp_path, capsys):
    """Give a command; returns the one sentence it was refused with, or "" if it was done."""

    def command(*words: object) -> str:
        before = tree(tmp_path)
        capsys.readouterr()
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        if code == 0:
            return ""
        sentence = said.err.strip().splitlines()[-1].removeprefix("mrissl: ")
        assert code == 2
        assert "Traceback" not in said.err
        assert sentence.isprintable()
        assert sentence.endswith(".")
        assert ". " not in sentence.replace("e.g. ", "")
        assert str(tmp_path) not in sentence
        assert tree(tmp_path) == before
        return sentence

    return command


def shifted(folder):
    affine = np.eye(4)
    affine[0, 3] = 0.5
    save(folder / "labels" / "s0.nii.gz", arrays(0)[1], affine)


def stretched(folder):
    save(folder / "labels" / "s0.nii.gz", arrays(0)[1], np.diag([1.0, 1, 1.1, 1]))


def shorter(folder):
    save(folder / "labels" / "s0.nii.gz", arrays(0)[1][:-1])


def fractions(folder):
    save(folder / "labels" / "s0.nii.gz", arrays(0)[1] * np.float32(0.5))


def scaled_fractions(folder):
    path = save(folder / "labels" / "s0.nii", arrays(0)[1])
    (folder / "labels" / "s0.nii.gz").unlink()
    raw = bytearray(path.read_bytes())
    raw[112:120] = np.array([0.3, 0.0], "<f4").tobytes()
    path.write_bytes(raw)


def no_numbers(folder):
    labels = arrays(0)[1].astype(np.float32)
    labels[0, 0, 0] = np.nan
    save(folder / "labels" / "s0.nii.gz", labels)


def negative(folder):
    save(folder / "labels" / "s0.nii.gz", arrays(0)[1].astype(np.int16) - 1)


def huge(folder):
    save(folder / "labels" / "s0.nii.gz", arrays(0)[1].astype(np.int32) * 100_000)


def grey_values(folder):
    """The scan itself as its label map."""
    voxels = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
    save(folder / "labels" / "s0.nii.gz", voxels)


def nothing(folder):
    for name in ("s0", "s1"):
        save(folder / "labels" / f"{name}.nii.gz", np.zeros(SHAPE, np.uint8))


def colours(folder):
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    save(folder / "labels" / "s0.nii.gz", np.zeros(SHAPE, kind))


def complex_numbers(folder):
    save(folder / "labels" / "s0.nii.gz", arrays(0)[1].astype(np.complex64))


def truncated(folder):
    path = folder / "labels" / "s0.nii.gz"
    path.write_bytes(path.read_bytes()[:-30])


def text(folder):
    (folder / "labels" / "s0.nii.gz").write_text("labels", encoding="utf-8")


def absent(folder):
    for path in (folder / "labels").iterdir():
        path.unlink()


def empty_scan(folder):
    (folder / "images" / "s0.nii.gz").write_bytes(b"")


def flat_scan(folder):
    save(folder / "images" / "s0.nii.gz", np.full(SHAPE, 300, np.float32))


BAD = {
    shifted: "another grid",
    stretched: "another grid",
    shorter: "another grid",
    fractions: "no label",
    scaled_fractions: "no label",
    no_numbers: "no label",
    negative: "the label -1",
    huge: "the label 200000",
    grey_values: "different labels",
    nothing: "one class only",
    colours: "(RGB colours)",
    complex_numbers: "(complex numbers)",
    truncated: "ends too early",
    text: "sizeof_hdr is 1700946284",
    absent: "no scan has a label map",
    empty_scan: "s0.nii.gz: empty",
    flat_scan: "all voxels have the same value",
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_bad_labels_are_one_sentence_and_no_run(tmp_path, answered, spoil):
    write(tmp_path, 2)
    spoil(tmp_path)
    words = ["--images", tmp_path / "images", "--labels", tmp_path / "labels"]
    said = answered("finetune", *words, "--out", tmp_path / "run", *SMALL)
    assert BAD[spoil]
    assert BAD[spoil] in said
    assert not (tmp_path / "run").exists()


PROMPTS = {
    "outside": ("x,y,z,label\n900,0,0,1\n0,900,0,2\n", "inside the scan"),
    "one class": ("x,y,z,label\n9,9,9,1\n3,3,3,1\n", "one class only"),
    "no numbers": (
        "x,y,z,label\n9,9,nan,1\n3,3,3,2\n",
        "line 2, z: Input should be a finite number",
    ),
    "label 0": ("x,y,z,label\n9,9,9,0\n3,3,3,2\n", "line 2, label: Input should be greater"),
    "no table": ("nonsense", "header 'nonsense'"),
    "nothing": ("x,y,z,label\n", "no prompts"),
}


@pytest.mark.parametrize("name", PROMPTS)
def test_bad_prompts_are_one_sentence_and_no_run(tmp_path, answered, name):
    content, expected = PROMPTS[name]
    image = save(tmp_path / "scan.nii.gz", arrays(0)[0])
    prompts = tmp_path / "clicks.csv"
    prompts.write_text(content, encoding="utf-8")
    words = ["--images", image, "--prompts", prompts, "--out", tmp_path / "run"]
    said = answered("finetune", *words, *SMALL)
    assert expected
    assert expected in said
    assert not (tmp_path / "run").exists()


def test_a_class_absent_in_one_scan_and_one_of_a_single_voxel_do_no_harm(tmp_path, answered):
    write(tmp_path, 4)
    for name, change in (("s0", {2: 1}), ("s1", {1: 1})):
        path = tmp_path / "labels" / f"{name}.nii.gz"
        labels = np.asanyarray(nibabel.load(path).dataobj).copy()
        for label, instead in change.items():
            labels[labels == label] = instead
        if name == "s1":
            labels[0, 0, 0] = 9
        save(path, labels)
    words = ["--images", tmp_path / "images", "--labels", tmp_path / "labels"]
    words += ["--subjects", "s0,s1,s2", "--out", tmp_path / "run", *SMALL, *QUIET]
    assert answered("finetune", *words, "--steps", "60") == ""
    scans = [tmp_path / "images" / f"s{n}.nii.gz" for n in (0, 3)]
    words = ["predict", tmp_path / "run", *scans, "--out", tmp_path / "out", "--names", "same"]
    assert answered(*words) == ""
    found = np.asanyarray(nibabel.load(tmp_path / "out" / "s3.nii.gz").dataobj)
    assert set(np.unique(found)) <= {0, 1, 2, 9}
    truth = arrays(3)[1]
    # Whatever it makes of the inner ball, which one scan denies: the whole is found.
    assert dice(found > 0, truth > 0, (1,))[1] > 0.5
    assert set(SavedSegmenter.load(tmp_path / "run").classes) == {0, 1, 2, 9}


def test_scribbles_on_one_slice_give_labels_in_three_dimensions(tmp_path, answered):
    voxels, labels = arrays(0)
    image = save(tmp_path / "scan.nii.gz", voxels)
    middle = SHAPE[2] // 2
    rng = np.random.default_rng(0)
    with open(tmp_path / "clicks.csv", "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["x", "y", "z", "label"])
        for label in (0, 1, 2):
            places = rng.permutation(np.argwhere(labels[:, :, middle] == label))[:40]
            # The affine is the identity: indices along R, A, S are millimetres.
            rows.writerows([x, y, middle, label + 1] for x, y in places)
    words = ["--images", image, "--prompts", tmp_path / "clicks.csv", "--out", tmp_path / "run"]
    assert answered("finetune", *words, *SMALL, *QUIET, "--steps", "60") == ""
    words = ["predict", tmp_path / "run", image, "--out", tmp_path / "out", "--names", "same"]
    assert answered(*words) == ""
    found = np.asanyarray(nibabel.load(tmp_path / "out" / "scan.nii.gz").dataobj)
    assert found.shape == SHAPE
    assert set(np.unique(found)) <= {1, 2, 3}
    away = np.abs(np.arange(SHAPE[2]) - middle) >= 2
    assert dice(found[..., away] > 1, labels[..., away] > 0, (1,))[1] > 0.5


def child(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )


def killed_once(process: subprocess.Popen[str], condition) -> bool:
    """Kill a process as soon as something holds; False if it had ended before."""
    end = time.monotonic() + SECONDS
    while process.poll() is None and not condition():
        assert time.monotonic() < end, "too late"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


@pytest.mark.timeout(900)
def test_a_killed_finetuning_goes_on_to_the_same_network(tmp_path, answered):
    write(tmp_path, 2)
    words = ["--images", tmp_path / "images", "--labels", tmp_path / "labels", *SMALL]
    words += ["--steps", "12", "--set", "checkpoint.every=3", "checkpoint.images_every=3"]
    for name in ("whole", "killed"):
        assert answered("finetune", *words, "--out", tmp_path / name, "--prepare") == ""
    killed = tmp_path / "killed"
    inputs = {name: content for name, content in tree(tmp_path).items() if "s0" in name}
    process = child("-m", "napari_mrissl.cli.child", killed)
    assert killed_once(process, lambda: list(killed.glob("checkpoints/step_*/commit.json")))
    # What was committed can be used at once, and the run goes on from there.
    assert 3 <= SavedSegmenter.load(killed).card["step"] <= 12
    first, second = (SavedSegmenter.load(go_on(tmp_path / name)) for name in ("whole", "killed"))
    assert first.card["step"] == second.card["step"] == 12
    one, other = weights.load(first.path)[0], weights.load(second.path)[0]
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert tensor.equal(other[name]), name
    assert not list(tmp_path.rglob("*.tmp"))
    assert {name: tree(tmp_path)[name] for name in inputs} == inputs


@pytest.mark.timeout(900)
def test_a_killed_prediction_leaves_whole_label_maps_and_goes_on(tmp_path, answered):
    network = small_segmenters.saved(tmp_path / "network.safetensors")
    write(tmp_path, 6)
    out = tmp_path / "killed"
    words = ["predict", network, tmp_path / "images", "--out"]
    process = child("-m", "napari_mrissl.cli", *words, out)
    killed_once(process, lambda: list(out.glob("**/*_dseg.nii.gz")))
    for path in out.glob("**/*_dseg.nii.gz"):
        assert nibabel.load(path).get_fdata().shape == SHAPE
        assert path.with_name(path.name.replace(".nii.gz", ".tsv")).exists()
    assert answered(*words, out, "--missing") == ""
    assert answered(*words, tmp_path / "whole") == ""
    done = {name: content for name, content in tree(out).items() if not name.endswith(".tmp")}
    assert done == tree(tmp_path / "whole")


def altered(path, change):
    state, known = weights.load(path)
    change(state, known)
    weights.save(path, state, known)


HOSTILE = {
    "another method": lambda s, c: c.update(method="vectorpose"),
    "no method": lambda s, c: c.pop("method"),
    "no settings": lambda s, c: c.pop("task"),
    "no classes": lambda s, c: c["task"].update(classes=[]),
    "a class twice": lambda s, c: c["task"].update(classes=[{"label": 1, "name": "a"}] * 3),
    "a label of millions": lambda s, c: c["task"]["classes"][2].update(label=10**9),
    "more classes than outputs": lambda s, c: c["task"]["classes"].append(
        {"label": 8, "name": "more"}
    ),
    "a network that fills the memory": lambda s, c: c["task"].update(
        backbone={"name": "unet", "width": 128, "depth": 6}, patch=[64, 64, 64]
    ),
    "a spacing of a micrometre": lambda s, c: c["task"].update(spacing=[1e-3] * 3),
    "a spacing that is none": lambda s, c: c["task"].update(spacing=[0, 1, 1]),
    "a dotted path": lambda s, c: c["task"].update(backbone={"name": "os.system"}),
    "no numbers": lambda s, c: s["head.layer.weight"].fill_(float("nan")),
    "a tensor less": lambda s, c: s.pop("head.layer.weight"),
    "no preprocessing": lambda s, c: c.pop("preprocessing"),
    "a window upside down": lambda s, c: c["preprocessing"].update(low=99.0, high=1.0),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_networks_made_to_do_harm_are_one_sentence(tmp_path, answered, name):
    network = small_segmenters.saved(tmp_path / "network.safetensors")
    altered(network, HOSTILE[name])
    image = save(tmp_path / "scan.nii.gz", arrays(0)[0])
    words = ["predict", network, image, "--out", tmp_path / "out"]
    began = time.monotonic()
    assert answered(*words)
    assert time.monotonic() - began < SECONDS
    assert not list(tmp_path.glob("out/**/*_dseg.nii.gz"))


def test_names_of_classes_reach_no_terminal_table_or_path_as_they_are(tmp_path, capsys):
    names = {0: "background", 1: "../../\x1b]0;owned\x07", 2: "a\tb\n3\tc"}
    network = small_segmenters.saved(tmp_path / "network.safetensors", names)
    image = save(tmp_path / "in" / "scan.nii.gz", arrays(0)[0])
    out = tmp_path / "out"
    words = ["predict", network, image, "--out", out, "--probabilities"]
    assert main([str(word) for word in words]) == 0
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    table = next(out.glob("**/*_dseg.tsv")).read_text(encoding="utf-8")
    assert "\x1b" not in table
    assert [line.count("\t") for line in table.splitlines()] == [2, 2, 2, 2]
    inside = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.relative_to(tmp_path).parts[0] for path in inside} == {
        "network.safetensors",
        "in",
        "out",
    }
    json.loads(next(out.glob("**/*_dseg.json")).read_text(encoding="utf-8"))
