"""The few-shot comparison on small labelled scans: every kind of contender, made in full."""

import dataclasses
import hashlib
import json
import re

import numpy as np
import pytest
from evaluation.labelled_folder import make

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation import fewshot, frozen, trained_contenders
from napari_mrissl.evaluation.cells import CELLS, Grid, Made
from napari_mrissl.evaluation.fewshot import FewShotSettings
from napari_mrissl.evaluation.labelled_scans import labelled_scans
from napari_mrissl.evaluation.score_rows import MEAN
from napari_mrissl.features import Cancelled
from napari_mrissl.networks import weights
from napari_mrissl.networks.unet_layout import OUT_CHANNELS, UNetSize
from napari_mrissl.networks.weight_library import load_unet

HEADS = FewShotSettings(shots=(1, 2), draws=2, test=2, voxels=2000, decision="likeliest")
TINY = {"backbone.depth": 3, "optimisation.threads": 1, "data.workers": 0}
FULL = FewShotSettings(
    shots=(1,), draws=1, test=2, mode="full", preset="tiny", steps=2, device="cpu",
    changes={"optimisation.threads": 1, "data.workers": 0},
)  # fmt: skip


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    return labelled_scans(make(tmp_path_factory.mktemp("labelled"), 6))


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The user's own folders."""
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "home"))
    monkeypatch.setenv("MRISSL_CACHE_DIR", str(tmp_path / "cache"))


def means(rows, measure="dice"):
    return {
        (row.mode, row.source, row.shots): row.mean
        for row in rows
        if (row.measure, row.label) == (measure, MEAN)
    }


def test_a_linear_cell_is_that_of_the_frozen_table(scans, tmp_path, home):
    """Both commands ask the same head the same question."""
    ours = means(fewshot.compare(tmp_path / "ours", ["intensity"], scans, HEADS))
    settings = frozen.FrozenSettings(
        shots=(1, 2), draws=2, test=2, voxels=2000, decision="likeliest"
    )
    rows = frozen.compare(tmp_path / "theirs", [frozen.plain_source("intensity")], scans, settings)
    theirs = {("linear", row.source, row.shots): row.mean for row in rows if row.label == MEAN}
    assert ours == theirs


def test_modes_share_a_folder_and_every_cell_says_how_it_was_made(scans, tmp_path, home):
    fewshot.compare(tmp_path, ["intensity"], scans, HEADS)
    nonlinear = HEADS.model_copy(update={"mode": "nonlinear", "shots": (2,), "draws": 1})
    rows = fewshot.compare(tmp_path, ["intensity"], scans, nonlinear)
    assert set(means(rows)) == {
        ("linear", "intensity", 1), ("linear", "intensity", 2), ("nonlinear", "intensity", 2)
    }  # fmt: skip
    assert all(value > 0.4 for value in means(rows).values())
    # Grey values tell these classes apart but for a few voxels.
    assert means(rows, "hd95_mm")["nonlinear", "intensity", 2] < 2
    assert 0.9 < means(rows, "nsd")["nonlinear", "intensity", 2] <= 1
    for path in (tmp_path / CELLS).iterdir():
        cell = json.loads(path.read_text("utf-8"))
        assert cell["command"].startswith("mrissl benchmark fewshot --weights intensity --data")
        assert f"--mode {cell['cell']['mode']}" in cell["command"]
        assert cell["how"]["seed"] == 0
        assert cell["minutes"] >= 0
        assert set(cell["how"]["empty_in_one"]) == {"1", "2"}
        assert set(cell["further"]) == {"hd95_mm", "nsd", "volume_difference_ml"}
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.parts[len(tmp_path.parts)] not in ("home", "cache"):
            content = path.read_bytes()
            assert b"person_" not in content
            assert str(scans.scans[0].image.parent.parent).encode() not in content


def test_it_goes_on_where_it_stopped(scans, tmp_path, home, monkeypatch):
    measured, calls = fewshot.measured, []

    def stopping(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return measured(*arguments)

    monkeypatch.setattr(fewshot, "measured", stopping)
    with pytest.raises(KeyboardInterrupt):
        fewshot.compare(tmp_path, ["intensity"], scans, HEADS)
    assert len(list((tmp_path / CELLS).iterdir())) == 2
    said = []
    rows = fewshot.compare(tmp_path, ["intensity"], scans, HEADS, tell=said.append)
    assert [line.split(":")[0] for line in said] == ["3 of 4", "4 of 4"]
    assert fewshot.compare(tmp_path, ["intensity"], scans, HEADS) == rows
    assert len(calls) == 5
    with pytest.raises(MrisslError, match="other tolerance_mm"):
        fewshot.compare(
            tmp_path, ["intensity"], scans, HEADS.model_copy(update={"tolerance_mm": 2.0})
        )


def test_other_settings_are_other_cells_and_the_table_shows_the_newest(scans, tmp_path, home):
    fewshot.compare(tmp_path, ["intensity"], scans, HEADS)
    few = HEADS.model_copy(update={"voxels": 100, "shots": (1,), "draws": 1})
    rows = fewshot.compare(tmp_path, ["intensity"], scans, few)
    assert set(means(rows)) == {("linear", "intensity", 1)}
    assert {row.draws for row in rows} == {1}
    assert len(list((tmp_path / CELLS).iterdir())) == 5


def test_the_spare_subject_is_neither_trained_on_nor_tested(scans):
    test, pool = scans.split(2, 0)
    for draw in range(6):
        for shots in (1, 2, 3):
            lesson = fewshot.lesson(pool, scans.labels, 0, shots, draw)
            used = {scan.identity for scan in (*lesson.training, *test)}
            assert len(lesson.training) == shots
            assert lesson.spare.identity not in used
        assert fewshot.lesson(pool, scans.labels, 0, 4, draw).spare is None


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Weights of a plain U-Net that can be finetuned."""
    path = tmp_path_factory.mktemp("weights") / "net.safetensors"
    state = load_unet(None, 3, size=UNetSize(1, OUT_CHANNELS, 8, 2)).state_dict()
    weights.save(path, state, {"method": "test"})
    return path


def test_whole_networks_are_trained_and_compared(scans, network, tmp_path, home):
    """Weights against the same network from scratch, whose rate and length are looked for."""
    scratch = FULL.model_copy(update={"changes": TINY})
    said = []
    fewshot.compare(tmp_path / "out", ["scratch"], scans, scratch, tell=said.append)
    grid_cells = [
        json.loads(path.read_text("utf-8")) for path in (tmp_path / "out" / CELLS).iterdir()
    ]
    tried = [cell for cell in grid_cells if cell["cell"]["mode"] == trained_contenders.TUNING]
    (final,) = (cell for cell in grid_cells if cell["cell"]["mode"] == "full")
    facts = [json.loads(cell["cell"]["identity"]) for cell in tried]
    # Three rates for two steps, and the best of them for twice and perhaps four times as many.
    assert sorted(fact["rate"] for fact in facts if fact["steps"] == 2) == pytest.approx(
        [5e-3 / 3, 5e-3, 1.5e-2]
    )
    assert {fact["steps"] for fact in facts} in ({2, 4}, {2, 4, 8})
    best = max(
        (cell for cell in tried if json.loads(cell["cell"]["identity"])["steps"] == 2),
        key=lambda cell: next(iter(cell["dice"].values()))["0"],
    )
    assert final["how"]["learning_rate"] == pytest.approx(best["how"]["learning_rate"])
    assert final["how"]["steps"] in {fact["steps"] for fact in facts}
    minutes = [cell["how"]["minutes"] for cell in tried]
    assert all(one > 0 for one in minutes)
    assert final["how"]["tuning_minutes"] == pytest.approx(sum(minutes), abs=1e-3)
    # The run of the cell is one of those that were tried: its steps are counted, not this call.
    assert final["minutes"] == final["how"]["minutes"] in minutes
    spare = fewshot.lesson(scans.split(2, 0)[1], scans.labels, 0, 1, 0).spare.identity
    assert {cell["how"]["spare"] for cell in tried} == {spare}
    assert spare not in final["dice"]
    rows = fewshot.compare(tmp_path / "out", [str(network)], scans, FULL)
    (name,) = {row.source for row in rows} - {"scratch"}
    (row,) = (r for r in rows if (r.source, r.measure, r.label) == (name, "dice", MEAN))
    assert row.difference == pytest.approx(row.mean - means(rows)["full", "scratch", 1])
    assert (row.steps, row.tuning_minutes) == (2, None)
    assert row.minutes > 0
    digest = hashlib.sha256(network.read_bytes()).hexdigest()[:12]
    commands = {
        cell["cell"]["source"]: cell["command"]
        for cell in map(
            json.loads, (path.read_text("utf-8") for path in (tmp_path / "out" / CELLS).iterdir())
        )
    }
    assert f"--weights RUN-{digest} --data" in commands[name]
    table = (tmp_path / "out" / "table.md").read_text("utf-8")
    assert f"{name} does not say what it was trained on" in table
    assert "scratch does not say" not in table
    assert "is another network than scratch" not in table
    assert re.search(r"empty in one of both maps \d+ times in all\.", table)
    assert not (tmp_path / "out" / "runs").exists()
    assert str(tmp_path) not in "".join(path.name for path in (tmp_path / "out").rglob("*"))


def test_a_trained_network_is_not_trained_again(scans, network, tmp_path, home, monkeypatch):
    from napari_mrissl.segmentation import finetuning

    finetune, calls = finetuning.finetune, []

    def counting(*arguments, **words):
        calls.append(1)
        return finetune(*arguments, **words)

    monkeypatch.setattr(finetuning, "finetune", counting)
    measured = fewshot.measured
    monkeypatch.setattr(fewshot, "measured", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        fewshot.compare(tmp_path / "out", [str(network)], scans, FULL)
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 1
    monkeypatch.setattr(fewshot, "measured", measured)
    fewshot.compare(tmp_path / "out", [str(network)], scans, FULL)
    assert len(calls) == 1


def test_it_is_cancelled_between_steps_and_goes_on(scans, network, tmp_path, home):
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) > 4

    with pytest.raises(Cancelled):
        fewshot.compare(tmp_path / "out", [str(network)], scans, FULL, cancelled=cancelled)
    assert not list((tmp_path / "out" / CELLS).iterdir())
    rows = fewshot.compare(tmp_path / "out", [str(network)], scans, FULL)
    assert len(means(rows)) == 1
    with pytest.raises(Cancelled):
        fewshot.compare(tmp_path / "heads", ["intensity"], scans, HEADS, cancelled=lambda: True)


def test_weights_of_a_run_that_saw_a_test_subject_are_refused(scans, network, tmp_path, home):
    """Its finetuning run, used as weights, knows the scans it was trained on."""
    from napari_mrissl.segmentation.finetuning import FinetuneSettings, LabelledInput, finetune

    test, pool = scans.split(2, 0)
    changes = FULL.changes
    for scan, refused in ((pool[0], False), (test[0], True)):
        run = finetune(
            FinetuneSettings(
                weights=str(network), preset="tiny", steps=1, device="cpu", changes=changes
            ),
            [LabelledInput(scan.image, scan.labels)],
            tmp_path / f"run {refused}",
        )
        contenders = trained_contenders.trained(
            (str(run),), fewshot._finetuning(FULL), tmp_path, lambda: None, lambda *_: None
        )
        assert scan.identity in contenders[0].known
        if refused:
            with pytest.raises(MrisslError, match="was pretrained on 1 of the 2 test scans"):
                fewshot.compare(tmp_path / "out", [str(run)], scans, FULL)
            assert not (tmp_path / "out").exists()


def test_the_reference_peer_learns(scans):
    from napari_mrissl.evaluation import monai_peer
    from napari_mrissl.evaluation.contenders import mean_dice

    _, pool = scans.split(2, 0)
    settings = monai_peer.PeerSettings(steps=40, width=4, learning_rate=5e-3, device="cpu")
    segment = monai_peer.train([pool[0].read()], scans.labels, settings)
    volume, truth = pool[1].read()
    found = segment(volume)
    assert found.shape == truth.shape
    assert set(np.unique(found)) <= {0, 1, 2}
    assert mean_dice(pool[1], segment, scans.labels) > 0.3
    again = monai_peer.train([pool[0].read()], scans.labels, settings)
    np.testing.assert_array_equal(again(volume), found)


@pytest.mark.parametrize(
    ("words", "changes", "sentence"),
    [
        (["filters"], {"mode": "full"}, "cannot be trained as a whole"),
        (["random"], {"mode": "full"}, "say scratch"),
        (["scratch"], {}, "choose --mode full or random"),
        (["monai"], {"mode": "nonlinear"}, "choose --mode full"),
        (["nonsense"], {"mode": "full"}, "'nonsense' is not there"),
        (["scratch"], {"mode": "full", "shots": (4,)}, "leave no subject to decide on"),
        (["intensity"], {"shots": (5,)}, "5 training scans"),
    ],
)
def test_words_that_make_no_sense_are_refused_first(scans, tmp_path, words, changes, sentence):
    with pytest.raises(MrisslError, match=sentence):
        fewshot.compare(tmp_path / "out", words, scans, HEADS.model_copy(update=changes))
    assert not (tmp_path / "out").exists()


def test_a_tried_cell_is_no_row_of_the_table(tmp_path):
    from napari_mrissl.evaluation.cells import Cell

    grid = Grid(tmp_path, {}, "")
    cell = Cell("scratch", 1, 0, 0, "x", "full")
    scores = {"subject": {1: 0.5}}
    grid.keep(cell, scores, 1.0)
    grid.keep(dataclasses.replace(cell, mode=trained_contenders.TUNING), scores, 1.0)
    assert fewshot.shown(grid, []) == {cell: Made(scores)}


def test_labels_empty_on_one_side_are_counted(scans):
    """Nothing is found: both labels, once for each test scan."""
    tested, _ = scans.split(2, 0)
    made = fewshot.measured(lambda volume: np.zeros(volume.shape, np.int32), tested, scans.labels)
    assert made.how == {"empty_in_one": {"1": 2, "2": 2}}
    assert {value for one in made.scores.values() for value in one.values()} == {0}
    truth = {scan.image: scan.read()[1] for scan in tested}
    right = iter(truth.values())
    made = fewshot.measured(lambda volume: next(right), tested, scans.labels)
    assert made.how == {"empty_in_one": {"1": 0, "2": 0}}


def test_a_labelled_scan_that_is_only_registered_has_a_row_of_its_own(scans, tmp_path, home):
    words = ["intensity", "transfer"]
    said = []
    rows = fewshot.compare(tmp_path / "out", words, scans, HEADS, tell=said.append)
    found = means(rows)
    # Of one scan alone, for each draw.
    assert ("registered", "transfer", 1) in found
    assert ("registered", "transfer", 2) not in found
    assert sum("transfer, 1 training scan" in line for line in said) == 2
    assert 0.4 < found["registered", "transfer", 1] <= 1
    (row,) = (r for r in rows if (r.source, r.measure, r.label) == ("transfer", "dice", MEAN))
    assert (row.draws, row.subjects, row.difference, row.minutes) == (2, 2, None, None)
    assert "moves the labels of the one training scan" in (tmp_path / "out/table.md").read_text(
        "utf-8"
    )
    cells = [json.loads(path.read_text("utf-8")) for path in (tmp_path / "out" / CELLS).iterdir()]
    own = [cell for cell in cells if cell["cell"]["source"] == "transfer"]
    assert all(cell["how"]["seconds_each"] > 0 for cell in own)
    said.clear()
    assert fewshot.compare(tmp_path / "out", words, scans, HEADS, tell=said.append) == rows
    assert not said


def test_a_transfer_needs_one_labelled_scan_among_the_shots(scans, tmp_path, home):
    several = HEADS.model_copy(update={"shots": (2,)})
    with pytest.raises(MrisslError, match="1 among them"):
        fewshot.compare(tmp_path / "out", ["transfer"], scans, several)
    assert not (tmp_path / "out").exists()
