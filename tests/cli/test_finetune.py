"""``mrissl finetune``: from two folders to a run, in words of one sentence where it cannot be."""

import json

import pytest

from napari_mrissl.cli import main
from napari_mrissl.training.run import Run
from tests.segmentation.finetuning.balls import write

SMALL = ["--weights", "scratch", "--preset", "tiny", "--set", "backbone.depth=3"]
SMALL += ["optimisation.threads=1", "data.workers=0"]


@pytest.fixture
def folders(tmp_path):
    write(tmp_path, 3)
    return ["--images", str(tmp_path / "images"), "--labels", str(tmp_path / "labels")]


def test_a_run_is_made_and_trained(folders, tmp_path, capsys):
    out = tmp_path / "run"
    words = ["finetune", *folders, "--subjects", "s0,s1", "--validation", "s2", "--out", str(out)]
    assert main([*words, *SMALL, "--steps", "3", "--seed", "5", "--json"]) == 0
    captured = capsys.readouterr()
    facts = json.loads(captured.out)
    assert (facts["state"], facts["step"]) == ("finished", 3)
    assert facts["terms"]["dice"]["validation_last"] is not None
    assert facts["terms"]["dice"]["chance"] is not None
    assert "2 scans to learn from, 1 to measure on" in captured.err
    run = Run.open(out)
    assert (run.settings.seed, run.settings.method) == (5, "finetune")
    assert [record.split for record in run.settings.data.subjects] == [
        "train",
        "train",
        "validation",
    ]
    card = (out / "model_card.md").read_text(encoding="utf-8")
    assert "trained on labelled scans" in card


def test_a_run_is_only_prepared(folders, tmp_path, capsys):
    out = tmp_path / "run"
    words = ["finetune", *folders, "--out", str(out), *SMALL, "--prepare", "--json"]
    assert main([*words, "--mode", "linear", "--native", "--steps", "7"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "queued", "step": 0, "steps": 7}
    task = Run.open(out).settings.task
    assert (task["mode"], task["spacing"], task["started_from"]) == ("linear", None, "scratch")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--subjects", "s9"], "no scan 's9'"),
        (["--mode", "half"], "mode: "),
        (["--weights", "none"], "'none' is not there"),
        (["--set", "nonsense=1"], "no setting 'nonsense'"),
        (["--subjects", "s0", "--validation", "s0"], "of the same subject"),
    ],
)
def test_what_does_not_fit_is_one_sentence_and_leaves_nothing(
    folders, tmp_path, capsys, words, said
):
    out = tmp_path / "run"
    base = SMALL[2:4] if "--weights" in words else SMALL[:4]
    assert main(["finetune", *folders, "--out", str(out), *base, *words]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in error
    assert error.count(". ") == 0
    assert not out.exists()
