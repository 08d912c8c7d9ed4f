import json
import sys
import time
from pathlib import Path

import pytest

from napari_mrissl.cli import main
from napari_mrissl.training import launch, whereabouts
from napari_mrissl.training.events import EventWriter
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import RunSettings

FAKE = Path(__file__).resolve().parents[1] / "training" / "fake_child.py"


@pytest.fixture
def training(tmp_path):
    """A run that was stopped after two of 100 steps."""
    settings = RunSettings.model_validate({"method": "scratch", "optimisation": {"steps": 100}})
    run = Run.create(tmp_path / "my run", settings)
    with run.claim(), EventWriter(run.folder) as events:
        events.state("running")
        events.chance({"r": 0.5})
        events.step(1, 0.75, {"r": 0.75}, seconds=0.5, waiting=0.25)
        events.step(2, 0.25, {"r": 0.25}, seconds=0.5, waiting=0.25)
        events.state("stopped")
    return run


def test_no_runs_yet(capsys):
    assert main(["run", "list"]) == 0
    assert "no runs yet" in capsys.readouterr().err
    assert main(["run", "show"]) == 2
    assert "no runs on this machine yet" in capsys.readouterr().err


def test_the_list(training, capsys):
    assert main(["run", "list"]) == 0
    line = capsys.readouterr().out
    for word in ("my run", "scratch", "stopped", "step 2 of 100"):
        assert word in line
    assert main(["run", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["runs"]
    assert row["folder"] == str(training.folder)
    assert (row["state"], row["step"], row["steps"]) == ("stopped", 2, 100)


def test_a_run_as_json(training, capsys):
    assert main(["run", "show", str(training.folder), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["state"], facts["step"]) == ("stopped", 2)
    assert facts["terms"]["r"] == {
        "last": 0.25,
        "best": 0.25,
        "chance": 0.5,
        "validation_last": None,
        "validation_best": None,
    }
    assert facts["waiting_share"] == 0.5


def test_a_run_for_people_is_the_newest_one(training, capsys):
    assert main(["run", "show"]) == 0
    said = capsys.readouterr().out
    assert "my run" in said
    assert "last 0.25, best 0.25, chance 0.5" in said


def test_a_run_that_was_copied_here_is_found_again(training, tmp_path, capsys):
    moved = training.folder.rename(tmp_path / "moved")
    assert main(["run", "show", str(moved)]) == 0
    capsys.readouterr()
    assert main(["run", "list"]) == 0
    assert "moved" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stop"], "is stopped; expected a running run"),
        (["resume", "--steps", "0"], "0 steps"),
        (["resume", "--processes", "0"], "--processes"),
    ],
)
def test_what_cannot_be_is_said(training, words, said, capsys):
    assert main(["run", *words]) == 2
    assert said in capsys.readouterr().err
    assert training.state().name == "stopped"


def test_a_folder_that_is_no_run(tmp_path, capsys):
    assert main(["run", "show", str(tmp_path)]) == 2
    assert "has no settings.json" in capsys.readouterr().err


def test_resume_and_stop_from_the_command_line(training, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", str(FAKE.parents[2]))
    words = [sys.executable, str(FAKE), str(training.folder), "obey"]
    monkeypatch.setattr(launch, "child_command", lambda folder, processes: words)
    try:
        assert main(["run", "resume", "--background", "--steps", "200"]) == 0
        assert "goes on in process" in capsys.readouterr().err
        end = time.monotonic() + 60
        while training.state().name != "running":
            assert time.monotonic() < end
            time.sleep(0.02)
        assert main(["run", "resume"]) == 2
        assert "already" in capsys.readouterr().err
        assert main(["run", "stop", str(training.folder)]) == 0
        assert "stopped at step" in capsys.readouterr().err
    finally:
        known = whereabouts.recall(training.identity.uuid)
        whereabouts.end(known)
        while whereabouts.alive(known):
            time.sleep(0.01)
    assert Run.open(training.folder).settings.optimisation.steps == 200


def test_a_run_that_fails_while_it_is_followed_ends_the_command(training, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", str(FAKE.parents[2]))
    words = [sys.executable, str(FAKE), str(training.folder), "refuse"]
    monkeypatch.setattr(launch, "child_command", lambda folder, processes: words)
    assert main(["run", "resume"]) == 2
    assert "scan: is odd" in capsys.readouterr().err
