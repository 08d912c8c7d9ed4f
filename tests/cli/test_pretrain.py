"""``mrissl pretrain``: what it makes of its words, a run from scans, and what it refuses."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import nibabel
import numpy as np
import pytest

from napari_mrissl.cli.child import train
from napari_mrissl.networks import weights
from napari_mrissl.training.events import EventTail, StepEvent
from napari_mrissl.training.run import Run
from napari_mrissl.training.trainer import Trainer
from napari_mrissl.volumes import read
from tests.flight_datasets import dataset_over

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["crop.side=16", "crop.edge_mm=12", "crop.least_mean=0", "patch=4"]
SMALL += ["backbone.width=8", "backbone.depth=3", "checkpoint.validate_every=2"]
SETTINGS = [word for change in SMALL for word in ("--set", change)]


@pytest.fixture
def scans(tmp_path):
    """Three small scans of three people, whose names must not enter a run."""
    folder = tmp_path / "hospital"
    folder.mkdir()
    for number, name in enumerate(("Alice", "Bob", "Carol")):
        values = np.random.default_rng(number).integers(0, 200, (20, 22, 24)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / f"{name}.nii.gz")
    return folder


def test_a_run_from_a_folder_of_scans(run, scans, tmp_path):
    out = tmp_path / "run"
    words = ["--data", scans, "--out", out, "--steps", 3, "--batch", 2, "--seed", 7]
    ran = run("pretrain", "masked", *words, "--device", "cpu", *SETTINGS, "--json")
    assert ran.code == 0, ran.err
    assert "2 subjects to train on, 1 to validate on" in ran.err
    assert "step 3 of 3" in ran.err
    assert ran.err.endswith("finished at step 3 of 3\n")
    said = json.loads(ran.out)
    assert (said["state"], said["step"], said["steps"]) == ("finished", 3, 3)
    assert {"hidden", "seen"} <= set(said["terms"])
    assert said["terms"]["hidden"]["chance"] > 0
    assert said["terms"]["hidden"]["validation_last"] > 0
    settings = Run.open(out).settings
    assert settings.seed == 7
    assert settings.task["crop"]["side"] == 16
    assert settings.optimisation.batch == 2
    assert {record.subject for record in settings.data.subjects} == {
        "subject-001", "subject-002", "subject-003",
    }  # fmt: skip
    for path in out.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for word in (b"Alice", b"Bob", b"Carol", b"hospital", os.fsencode(str(tmp_path))):
                assert word not in content, path
    # The same words again give the same losses; the weights of this run can be begun from.
    again = tmp_path / "again"
    words[3] = again
    ran = run("pretrain", "masked", *words, "--device", "cpu", *SETTINGS, "--init", out)
    assert ran.code == 0, ran.err
    first, second = losses(out), losses(again)
    assert len(first) == len(second) == 3
    assert first[0] != second[0]
    assert Run.open(again).settings.initial is not None


def test_dynamics_from_a_tokenizer_over_recorded_flights(run, scans, tmp_path):
    """The tokenizer's shape and the flights come along; neither is needed any more."""
    volumes = [read(path) for path in sorted(scans.iterdir())]
    flights = dataset_over(tmp_path / "flights", volumes, (30, 30, 30))
    shape = {"size": 16, "patch": 4, "width": 8, "depth": 1, "decoder": 1, "heads": 2, "latent": 4}
    small = [f"--set=backbone.{name}={value}" for name, value in shape.items()]
    words = ["--data", scans, "--steps", 2, "--batch", 2, "--device", "cpu", "--json"]
    first, second = tmp_path / "tokenizer", tmp_path / "dynamics"
    ran = run("pretrain", "tokenizer", *words, *small, "--out", first)
    assert ran.code == 0, ran.err
    words += ["--set", "dynamics.width=8", "--set", "dynamics.depth=1", "--out", second]
    words += ["--set", "flights.frames=4", "--flights", flights.folder]
    ran = run("pretrain", "dynamics", *words)
    assert ran.code == 2
    assert "expected a run of the method tokenizer" in ran.err
    assert not second.exists()
    ran = run("pretrain", "dynamics", *words, "--init", first)
    assert ran.code == 0, ran.err
    assert {"next", "rollout", "copied"} <= set(json.loads(ran.out)["terms"])
    made = Run.open(second)
    assert made.settings.task["backbone"] == shape
    assert len(made.settings.task["flights"]["recorded"]) == 64
    for path in second.rglob("*"):
        if path.is_file():
            assert os.fsencode(str(tmp_path)) not in path.read_bytes(), path
    shutil.rmtree(first)
    shutil.rmtree(flights.folder)
    ran = run("run", "resume", second, "--steps", 3)
    assert ran.code == 0, ran.err
    assert made.state().step == 3


def losses(folder):
    return [event.total for event in EventTail(folder).poll() if isinstance(event, StepEvent)]


def test_a_run_can_be_prepared_for_another_machine(run, tmp_path):
    ran = run("pretrain", "masked", "--preset", "tiny", "--out", tmp_path / "run", "--prepare")
    assert ran.code == 0, ran.err
    prepared = Run.open(tmp_path / "run")
    assert prepared.state().name == "queued"
    assert "same MNI152 anatomy" in prepared.identity.notes[0]
    assert prepared.identity.notes[0] in ran.err


@pytest.mark.usefixtures("traced_children")
def test_ctrl_c_stops_with_a_checkpoint(scans, tmp_path):
    out = tmp_path / "run"
    words = ["pretrain", "masked", "--data", str(scans), "--out", str(out), "--steps", "100000"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(
        [sys.executable, "-m", "napari_mrissl.cli", *words, *SETTINGS, "--batch", "2"],
        env=environment,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        for line in child.stderr:
            if "step " in line:
                break
        child.send_signal(signal.SIGINT)
        rest = child.stderr.read()
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.wait()
        child.stderr.close()
    state = Run.open(out).state()
    assert "stopped at step" in rest
    assert state.name == "stopped"
    assert state.checkpoint == state.step > 0


@pytest.mark.slow
def test_two_processes(run, scans, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    words = ["--data", scans, "--out", tmp_path / "run", "--steps", 3, "--batch", 2]
    ran = run("pretrain", "masked", *words, *SETTINGS, "--processes", 2)
    assert ran.code == 0, ran.err
    assert ran.err.endswith("finished at step 3 of 3\n")


def test_the_seed_of_the_split_may_be_given_as_any_other_setting(run, scans, tmp_path):
    held_out = {}
    for name, words in {"none": [], "seed": ["--seed", 2], "set": ["--set", "seed=2"]}.items():
        words = ["--data", scans, "--out", tmp_path / name, *words, *SETTINGS, "--prepare"]
        ran = run("pretrain", "masked", *words)
        assert ran.code == 0, ran.err
        subjects = Run.open(tmp_path / name).settings.data.subjects
        held_out[name] = {one.identity for one in subjects if one.split == "validation"}
    assert held_out["set"] == held_out["seed"] != held_out["none"]


def test_synthesis_from_its_first_step_to_a_file_that_another_run_begins_from(
    run, tmp_path, monkeypatch
):
    out, file = tmp_path / "run", tmp_path / "net.safetensors"
    engine = ["data.engine.side=16", "data.workers=0", "samples=16"]
    words = ["pretrain", "synthesis", "--preset", "tiny", "--data", "ensembles", "--device", "cpu"]
    words += [word for change in engine for word in ("--set", change)]
    ran = run(*words, "--steps", 2, "--out", out, "--json")
    assert ran.code == 0, ran.err
    said = json.loads(ran.out)
    assert (said["state"], said["step"]) == ("finished", 2)
    assert {"tap13", "misplaced"} <= set(said["terms"])
    # On from its checkpoint, in this process.
    Run.open(out).extend(3)
    assert train(Run.open(out), threading.Event()).step == 3
    assert [event.step for event in EventTail(out).poll() if isinstance(event, StepEvent)] == [
        1, 2, 3,
    ]  # fmt: skip
    ran = run("weights", "export", out, "--out", file, "--half", "--json")
    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    assert (facts["method"], facts["steps"], facts["width"], facts["depth"]) == (
        "synthesis", 3, 8, 2,
    )  # fmt: skip
    assert run("weights", "verify", file).code == 0
    # What another run begins from, looked at before its first step.
    before = []
    step = Trainer.step

    def noting(self, *given):
        before.append({n: t.clone() for n, t in self.network.state_dict().items()})
        return step(self, *given)

    monkeypatch.setattr(Trainer, "step", noting)
    ran = run(*words, "--steps", 1, "--out", tmp_path / "on", "--init", file, "--seed", 5)
    assert ran.code == 0, ran.err
    exported, _ = weights.load(file)
    assert exported
    for name, tensor in exported.items():
        if not name.endswith("num_batches_tracked"):
            assert before[0][f"backbone.{name}"].equal(tensor.float()), name


def test_an_estimate_is_made_by_real_steps(run, scans):
    ran = run("pretrain", "masked", "--batch", 2, *SETTINGS, "--estimate", "--json")
    assert ran.code == 0, ran.err
    said = json.loads(ran.out)
    assert said["measured"]
    assert said["seconds_per_step"] > 0
    assert said["memory_bytes"] > 4 * 4 * said["parameters"]
    assert said["checkpoint_bytes"] >= 3 * 4 * said["parameters"]
    ran = run("pretrain", "masked", "--batch", 2, *SETTINGS, "--estimate")
    assert f"{said['parameters']:,}" in ran.out
    words = ["--data", scans, "--batch", 2, *SETTINGS, "--estimate", "--json"]
    on_scans = run("pretrain", "masked", *words)
    assert json.loads(on_scans.out)["data_bytes"] == 3 * 20 * 22 * 24 * 2
    assert said["data_bytes"] > 64 * 2**20


def test_bad_words_get_a_sentence(refused, scans, tmp_path):
    out = ["--out", tmp_path / "run"]
    assert "expected one of vectorpose" in refused("pretrain", "magic", *out)
    assert "--out: no folder" in refused("pretrain", "masked")
    assert "preset 'huge'" in refused("pretrain", "masked", "--preset", "huge", *out)
    assert "no setting 'speed'" in refused("pretrain", "masked", "--set", "speed=3", *out)
    assert "expected KEY=VALUE" in refused("pretrain", "masked", "--set", "speed", *out)
    assert "crop.side" in refused("pretrain", "masked", "--set", "crop.side=17", *out)
    assert "steps" in refused("pretrain", "masked", "--steps", "0", *out)
    assert "is there already" in refused("pretrain", "masked", "--out", scans)
    assert "scans to validate on" in refused("pretrain", "masked", "--validation", scans, *out)
    assert "--templates" in refused(
        "pretrain", "masked", "--data", scans, "--templates", scans, *out
    )
    assert "could not be read" in refused(
        "pretrain", "masked", "--init", tmp_path / "nowhere", *out
    )
    assert not (tmp_path / "run").exists()
