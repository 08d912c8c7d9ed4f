"""The tutorials run, from a fresh process, and do what they say."""

import itertools
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from napari_mrissl.assets import asset
from napari_mrissl.cli import main
from napari_mrissl.evaluation.seen_scans import seen_by, seen_of
from napari_mrissl.geometry import relative_action
from napari_mrissl.pretext.navigation.imagination import Imagination
from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.segmentation import read_prompts
from napari_mrissl.slicing import policies
from napari_mrissl.training.run import Run
from napari_mrissl.training.scaling import gradient_bytes_of
from napari_mrissl.trajectories import Dataset
from napari_mrissl.volumes import write_image
from napari_mrissl.volumes.samples import mni152, phantom
from tests.training.cluster import asked_of

TUTORIALS = Path(__file__).resolve().parents[1] / "tutorials"


def run(name: str, folder: Path, *words: str) -> str:
    command = [sys.executable, TUTORIALS / name, folder, *words]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_first_flight(tmp_path):
    said = run("first_flight.py", tmp_path / "made")
    saved = nib.load(tmp_path / "made" / "segmentation.nii.gz")
    source = mni152(2)
    np.testing.assert_array_equal(saved.affine, source.stored.affine)
    assert saved.shape == source.stored.shape
    assert set(np.unique(np.asarray(saved.dataobj))) == {1, 2, 3, 4}
    scores = [float(line.split(": ")[1]) for line in said.splitlines() if line.startswith("Dice")]
    assert len(scores) == 3
    assert np.mean(scores[:2]) >= 0.8
    flights = Dataset.open(tmp_path / "made" / "flights")
    assert [entry.frames for entry in flights.entries] == [40]
    assert flights.flight(0).identity == source.identity
    assert (tmp_path / "made" / "flight.gif").stat().st_size > 10_000


@pytest.mark.gui
def test_record_a_dataset(tmp_path):
    said = run("record_a_dataset.py", tmp_path)
    dataset = Dataset.open(tmp_path / "dataset")
    found = [(entry.source, entry.task, entry.identity) for entry in dataset.entries]
    head, block = mni152(2).identity, phantom().identity
    assert found == [
        ("recorded", "look around", head),
        ("spline", "a smooth tour", head),
        ("policy", "free walk", block),
    ]
    assert [entry.frames for entry in dataset.entries[1:]] == [61, 60]
    # Where the hand ended is in the recording.
    flown = policies.generate(mni152(2), "rotate", 12, 1)[-1]
    recorded = np.array([pose.to_row() for pose in dataset.flight(0).poses])
    assert np.abs(recorded - flown.to_row()).max(axis=1).min() < 1e-9
    assert "windows of (8, 64, 64), 7 actions each" in said
    info = json.loads((tmp_path / "lerobot" / "meta" / "info.json").read_text("utf-8"))
    assert info["total_episodes"] == 3
    assert info["total_frames"] == sum(entry.frames for entry in dataset.entries)


def test_the_shipped_flight_is_the_one_the_tutorial_composes(tmp_path):
    run("fly_a_path.py", tmp_path / "made")
    made, shipped = (Dataset.open(p).flight(0) for p in (tmp_path / "made", asset("demo/flight")))
    np.testing.assert_array_equal(made.times_ns, shipped.times_ns)
    np.testing.assert_allclose(
        [p.to_row() for p in made.poses], [p.to_row() for p in shipped.poses], atol=1e-9
    )


def test_from_no_data_to_training_data(tmp_path):
    said = run("from_no_data_to_training_data.py", tmp_path, "48")
    for name, (width, height) in {"stages.png": (10, 3), "heads.png": (4, 2)}.items():
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (width * 180, height * 198), name
            colors = np.asarray(picture.convert("RGB")).reshape(-1, 3)
            assert len(np.unique(colors, axis=0)) > 100, name
    for kind, count in (("heads", 2), ("ensembles", 4)):
        table = json.loads((tmp_path / kind / "subjects.json").read_text("utf-8"))
        assert len(table["subjects"]) == 2
        images = sorted((tmp_path / kind / "images").iterdir())
        assert [nib.load(path).shape for path in images] == [(48, 48, 48)] * count
        assert len(list((tmp_path / kind / "labels").iterdir())) == 2
    assert "mni152-01 for train" in said


def test_pretrain_and_look(tmp_path):
    said = run("pretrain_and_look.py", tmp_path, "tiny", "3")
    summary = Run.open(tmp_path / "vectorpose").summary()
    assert (summary["state"], summary["step"]) == ("finished", 3)
    report = json.loads((tmp_path / "inspection" / "report.json").read_text("utf-8"))
    for name in ("position_error_mm", "orientation_accuracy", "r_error"):
        line = f"{name}: {report[name]:.3f}, by chance {report[f'chance_{name}']:.3f}"
        assert line in said
    assert report["crops"] == 16


def test_from_a_laptop_to_a_cluster(tmp_path):
    said = run("from_a_laptop_to_a_cluster.py", tmp_path, "8", "4", "2")
    assert "one process: finished at step 4" in said
    assert "two processes: finished at step 8" in said
    looked = [line for line in said.splitlines() if line.startswith("seen from outside: ")]
    assert len(looked) >= 2
    trained = Run.open(tmp_path / "run")
    assert trained.settings.optimisation.steps == trained.state().checkpoint == 8
    script = (tmp_path / "job.sh").read_text("utf-8")
    asked = asked_of(script)
    assert (asked["nodes"], asked["gpus-per-node"], asked["time"]) == ("4", "2", "12:00:00")
    assert said.count("#SBATCH --nodes=4") == 1
    # A row for every method in both tables, with the bytes of its own gradients.
    for name in TASKS.keys() - {"scratch"}:
        megabytes = gradient_bytes_of(name, "gpu") / 1e6
        assert said.count(f"| {name} | {megabytes:.2f} |") == 2
    assert said.count("this run on 512: ") == 1


def test_guided_by_body_coordinates(tmp_path):
    said = run("guided_by_body_coordinates.py", tmp_path, "tiny", "2")
    for method in ("coordinates", "diffusion"):
        summary = Run.open(tmp_path / method).summary()
        assert (summary["state"], summary["step"]) == ("finished", 2)
    where, what = (
        json.loads((tmp_path / f"report_{method}" / "report.json").read_text("utf-8"))
        for method in ("coordinates", "diffusion")
    )
    for name in ("spearman_superior", "error_mm"):
        line = f"{name}: {where[name]:.3f}, by chance {where[f'chance_{name}']:.3f}"
        assert line in said
    for ratio, losses in what["guides"].items():
        assert f"at {ratio} dB by chance" in said
        assert f"told true {losses['true']:.3f}, off {losses['off']:.3f}" in said


def test_register_two_scans(tmp_path):
    said = run("register_two_scans.py", tmp_path)
    before, rigid, after = (
        float(mm) for mm in re.search(
            r"error by the headers (.+) mm, after the rigid alignment (.+) mm, "
            r"after the deformable one (.+) mm", said
        ).groups()
    )  # fmt: skip
    assert 9 < before < 11
    assert after < 0.5 * rigid < 1
    facts = json.loads((tmp_path / "result" / "registration.json").read_text("utf-8"))
    assert facts["labels"]["after"]["2"]["dice"] > 0.93
    assert float(re.search(r"SimpleITK differs by (\S+)", said)[1]) < 1e-5
    first = float(re.search(r"most of them agree with is (\S+) mm off", said)[1])
    assert first < before / 2
    assert float(re.search(r"to the other scan: Dice (\S+)", said)[1]) > 0.9
    for name in ("before.png", "after.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (4 * 98, 4 * 116)


def test_find_the_plane(tmp_path):
    pytest.importorskip("gymnasium")
    pytest.importorskip("h5py")
    said = run("find_the_plane.py", tmp_path, "3", "20", "2").splitlines()
    told = {line.split(":")[0]: line for line in said}
    ends = {name: float(told[name].split()[1]) for name in ("random", "learned", "knowing")}
    assert ends["knowing"] < 0.1 < ends["random"]
    flights = Dataset.open(tmp_path / "flights")
    assert [entry.policy for entry in flights.entries] == ["learned"] * 2 + ["knowing"] * 2
    metadata = tmp_path / "minari" / "mrissl" / "flights-v0" / "data" / "metadata.json"
    assert json.loads(metadata.read_text("utf-8"))["total_episodes"] == 4


def test_does_the_network_know_where_it_is(tmp_path):
    said = run("does_the_network_know_where_it_is.py", tmp_path, "tiny", "2")
    summary = Run.open(tmp_path / "observable").summary()
    assert (summary["state"], summary["step"]) == ("finished", 2)
    for part in ("gap", "chunks", "routes"):
        report = json.loads((tmp_path / part / "report.json").read_text("utf-8"))
        for name in ("mae_mm", "chunk_accuracy", "route_end_error_mm"):
            line = f"{name}: {report[name]:.3f}, by chance {report[f'chance_{name}']:.3f}"
            assert line in said
    assert "chunk_accuracy of raw_intensity: " in said
    # Of answers that can contradict themselves, and after two steps do.
    shown = json.loads((tmp_path / "routes" / "report.json").read_text("utf-8"))["shown"]
    assert shown["antisymmetry_mm"] > 0.01
    assert f"there and back: {shown['antisymmetry_mm']:.2f} mm" in said
    assert "0 by construction, of gaps: diagonal_mm, antisymmetry_mm" in said
    text = (TUTORIALS / "does_the_network_know_where_it_is.py").read_text("utf-8")
    assert "never saw" not in text


def test_imagine_slices(tmp_path):
    said = run("imagine_slices.py", tmp_path, "tiny", "2", "6")
    for method in ("tokenizer", "dynamics"):
        summary = Run.open(tmp_path / method).summary()
        assert (summary["state"], summary["step"]) == ("finished", 2)
    # What the film shows is what the run imagines of that flight.
    head = mni152(2)
    poses = policies.generate(head, "walk", 6, 3)
    mind = Imagination.open(tmp_path / "dynamics")
    mind.begin(head, poses[0])
    for before, after in itertools.pairwise(poses[:5]):
        mind.step(relative_action(before, after))
    assert f"after 4 steps: latent error {mind.latent_error():.3f}" in said
    with Image.open(tmp_path / "imagined.gif") as film:
        assert film.n_frames == 6


def test_features_of_your_mri(tmp_path):
    said = run("features_of_your_mri.py", tmp_path, "random")
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert set(report) == {"filter bank", "network"}
    for name, found in report.items():
        assert f"{name}: same voxel {found['found']:.3f} (chance {found['chance']:.3f})" in said
        assert found["chance"] == 0.001
    assert report["filter bank"]["found"] > 10 * 0.001
    with Image.open(tmp_path / "colours.png") as picture:
        colors = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert len(np.unique(colors, axis=0)) > 1000
    for source in ("random", "filters", "intensity"):
        assert f"| {source} | 1 | " in said


@pytest.mark.slow
def test_features_of_your_own_scan(tmp_path):
    scan = phantom()
    write_image(tmp_path / "scan.nii.gz", scan.data, scan)
    run("features_of_your_mri.py", tmp_path / "made", "random", tmp_path / "scan.nii.gz")
    report = json.loads((tmp_path / "made" / "report.json").read_text("utf-8"))
    assert report["filter bank"]["found"] > 10 * report["filter bank"]["chance"]


def test_from_ten_clicks_to_every_scan(tmp_path):
    said = run("from_ten_clicks_to_every_scan.py", tmp_path, "scratch", "2")
    clicks = read_prompts(tmp_path / "clicks" / "brain_1.json")
    assert len(clicks.points) == 10
    assert [one.name for one in clicks.classes] == [
        "grey matter", "white matter", "CSF", "background"
    ]  # fmt: skip
    made = Run.open(tmp_path / "run")
    assert (made.summary()["state"], made.summary()["step"]) == ("finished", 2)
    (line,) = (line for line in said.splitlines() if line.startswith("mrissl finetune "))
    words = shlex.split(line)[1:]
    words[words.index("--out") + 1] = str(tmp_path / "again")
    assert main([*words, "--prepare"]) == 0
    assert Run.open(tmp_path / "again").settings == made.settings
    # The network learned from no truth: what prediction wrote tells the brain it has seen.
    told = seen_of([tmp_path / "network"], tmp_path / "truth", seen_by([tmp_path / "run"]))
    assert [path.name for path in told] == ["brain_1.nii.gz"]
    # Background of the clicks is 0, as in the truth.
    assert [entry["label"] for entry in made.settings.task["classes"]] == [0, 1, 2, 3]
    assert len(made.settings.data.subjects) == 1
    means = {}
    for name in ("clicks_alone", "network"):
        for number in range(1, 5):
            file = f"brain_{number}.nii.gz"
            scan, true, found = (nib.load(tmp_path / f / file) for f in ("images", "truth", name))
            np.testing.assert_allclose(found.affine, scan.affine)
            a, b = np.asarray(true.dataobj), np.asarray(found.dataobj)
            scores = [2 * ((a == k) & (b == k)).sum() / ((a == k).sum() + (b == k).sum())
                      for k in (1, 2, 3)]  # fmt: skip
            title = f"brain_{number}" + (", clicked" if number == 1 else "")
            numbers = " | ".join(f"{one:.3f}" for one in [*scores, np.mean(scores)])
            assert f"| {name} | {title} | {numbers} |" in said
            means[name, number] = np.mean(scores)
    assert means["clicks_alone", 1] > 0.6
    network, alone = (
        np.mean([means[name, number] for number in (2, 3, 4)])
        for name in ("network", "clicks_alone")
    )
    assert f"network {network:.3f}, clicks alone {alone:.3f}" in said
    table = json.loads((tmp_path / "evaluation" / "table.json").read_text("utf-8"))
    assert table
    with Image.open(tmp_path / "segmentations.png") as picture:
        colors = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert {(230, 85, 13), (253, 208, 73), (49, 130, 189)} <= {tuple(c) for c in colors.tolist()}
