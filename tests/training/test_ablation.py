"""Arms at equal steps: resumed, measured on held-out subjects, written as tables."""

from __future__ import annotations

import csv
import threading

import numpy as np
import pytest
import torch

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights
from napari_mrissl.pretext.task import SampleKey
from napari_mrissl.training import ablation
from napari_mrissl.training.ablation import Stopped, ablate, markdown
from napari_mrissl.training.building import settings_for
from napari_mrissl.training.collective import Alone
from napari_mrissl.training.loop import fit
from napari_mrissl.training.measuring import Worth, held_out_worth
from napari_mrissl.training.run import Run
from tests.training.toy import REGISTRY, Blobs, Toy, ToySettings, toy_settings


@pytest.fixture(autouse=True)
def _blobs_are_held_out(monkeypatch):
    from napari_mrissl.training.data import cohort

    monkeypatch.setattr(cohort, "subjects", lambda settings, part: Blobs(2, first=50))


ARMS = {
    "narrow": toy_settings(optimisation={"steps": 6}),
    "wide": toy_settings(task={"width": 8}, optimisation={"steps": 6}),
}


def _train(run):
    return fit(run, REGISTRY, Blobs(), None)


def _never(run):
    raise AssertionError("a finished arm is trained again")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished ablation: its folder and arms."""
    from napari_mrissl.training.data import cohort

    folder = tmp_path_factory.mktemp("whole") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cohort, "subjects", lambda settings, part: Blobs(2, first=50))
        return folder, ablate(folder, ARMS, REGISTRY, _train, samples=20)


def test_arms_are_trained_once_and_tabled(whole):
    folder, arms = whole
    assert [arm.name for arm in arms] == ["narrow", "wide"]
    with open(folder / "ablation.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["arm"], row["term"]) for row in rows] == [
        (arm, term) for arm in ARMS for term in ("restored", "contrast", "metric")
    ]
    assert float(rows[0]["held_out"]) == pytest.approx(arms[0].terms["restored"].value, rel=1e-5)
    assert float(rows[0]["chance"]) == 0.1
    assert ablate(folder, ARMS, REGISTRY, _never, samples=20) == arms


def test_a_stopped_ablation_goes_on_where_it_was(tmp_path, whole):
    interrupted = threading.Event()
    interrupted.set()

    def stopped(run):
        return fit(run, REGISTRY, Blobs(), None, interrupted=interrupted)

    narrow = {"narrow": ARMS["narrow"]}
    with pytest.raises(Stopped, match="same command goes on"):
        ablate(tmp_path, narrow, REGISTRY, stopped)
    assert Run.open(tmp_path / "narrow").state().name == "stopped"
    assert ablate(tmp_path, narrow, REGISTRY, _train, samples=20) == whole[1][:1]


def test_nothing_is_trained_where_nobody_is_held_out(tmp_path, monkeypatch):
    from napari_mrissl.training.data import cohort

    known = {"train": Blobs(), "validation": None}
    monkeypatch.setattr(cohort, "subjects", lambda settings, part: known[part])
    with pytest.raises(MrisslError, match="no subject is held out"):
        ablate(tmp_path / "out", ARMS, REGISTRY, _never)
    assert not (tmp_path / "out").exists()


def test_other_settings_in_the_same_folder_are_refused(whole):
    folder, _ = whole
    before = (folder / ablation.TABLE).read_bytes()
    other = {"narrow": toy_settings(optimisation={"steps": 7})}
    with pytest.raises(MrisslError, match="other settings"):
        ablate(folder, other, REGISTRY, _never)
    assert (folder / ablation.TABLE).read_bytes() == before


def test_the_worth_of_a_term_is_its_sum_over_all_samples_by_its_count(whole):
    run = Run.open(whole[0] / "narrow")
    held_out = Blobs(3, first=70)
    found = held_out_worth(run, REGISTRY, held_out, samples=20, seed=5)
    task = Toy(ToySettings())
    network = task.network()
    network.load_state_dict(weights.load(run.folder / "weights.safetensors")[0])
    network.eval()
    total = count = 0.0
    for number in range(20):
        sample = task.sample(held_out, SampleKey(5, -1_000_000, number))
        batch = {n: torch.from_numpy(np.asarray(a))[None] for n, a in sample.arrays.items()}
        with torch.no_grad():
            term = task.losses(network, batch, Alone())["restored"]
        total += float(term.total)
        count += float(term.count)
    assert found["restored"].value == pytest.approx(total / count, rel=1e-5)


def test_below_chance_is_a_share_of_chance():
    assert Worth(0.08, 0.1).below_chance == pytest.approx(0.2)
    assert Worth(0.08, None).below_chance is None
    arm = ablation.Arm("one", 5, {"r": Worth(0.12, 0.15), "extra": Worth(2.0, None)})
    assert "| one | 5 | 0.1200 (-20 %) | 2.0000 |" in markdown([arm])


def test_tables_say_when_held_out_heads_have_the_anatomy_of_the_others():
    """Painted heads are deformations of one template: those held out are no other people."""
    arms = {
        name: settings_for("observable", {"kind": "heads"}, "tiny", {"steps": steps})
        for name, steps in (("one", 1), ("two", 2))
    }
    (note,) = ablation.notes_on(arms)
    assert "same MNI152 anatomy" in note
    row = ablation.Arm("one", 5, {"r": Worth(0.12, 0.15)})
    assert markdown([row], [note]).endswith(f"\nNote: {note}.\n")
    assert "Note" not in markdown([row])
    ensembles = settings_for("observable", {"kind": "ensembles"}, "tiny", {})
    assert ablation.notes_on({"one": ensembles}) == ()
