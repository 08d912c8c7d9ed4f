"""What tables say of how their cells were made, beside what cells came to."""

import hashlib
import json

import pytest
from evaluation.unet_runs import STEPS, unet_run

from napari_mrissl.evaluation import how_made
from napari_mrissl.evaluation.cells import Cell, Grid, Made
from napari_mrissl.evaluation.finetuning_runs import minutes_of
from napari_mrissl.evaluation.frozen_sources import named
from napari_mrissl.evaluation.score_tables import as_csv, rows_of
from napari_mrissl.networks import weights
from napari_mrissl.networks.weight_library import load_unet
from tests.networks.foreign_weights import SMALL

SCORES = {"a": {1: 0.6, 2: 0.2}, "b": {1: 0.8, 2: 0.4}}


def found(*hows, identity="x", source="net"):
    return {
        Cell(source, 1, draw, 0, identity, "full"): Made(SCORES, how=how)
        for draw, how in enumerate(hows)
    }


def rows(cells):
    told = how_made.with_facts(rows_of(cells, (1, 2)), cells)
    return {row.label: row for row in told}


def test_rows_say_how_they_were_made():
    how = {"steps": 40, "learning_rate": 1e-3, "minutes": 2.0, "tuning_minutes": 7.0}
    told = rows(
        found(
            how | how_made.empty_in_one({1: 1, 2: 2}),
            how | {"minutes": 4.0} | how_made.empty_in_one({1: 0, 2: 3}),
        )
    )
    for row in told.values():
        assert (row.steps, row.learning_rate) == (40, 1e-3)
        assert (row.minutes, row.tuning_minutes) == (3.0, 7.0)
    assert {label: row.empty_in_one for label, row in told.items()} == {"1": 1, "2": 5, "mean": 6}
    head, first = as_csv(list(told.values())).splitlines()[:2]
    assert head.endswith("steps,learning_rate,minutes,tuning_minutes,empty_in_one")
    assert first.endswith(",40,0.001,3,7,1")


def test_what_cells_of_before_do_not_say_is_left_open():
    """As the first cells of this format were: steps, and no minutes of training."""
    new = {"steps": 40, "minutes": 2.0} | how_made.empty_in_one({1: 1, 2: 0})
    cells = found({"steps": 20}, new)
    row = rows(cells)["mean"]
    assert (row.steps, row.learning_rate, row.minutes, row.empty_in_one) == (None,) * 4
    (said,) = how_made.sentences(cells)
    assert "1 times in all (of 1 cells that counted it)" in said
    assert how_made.sentences(found({})) == []


def test_weights_that_do_not_say_what_they_saw_are_named():
    cells = found({how_made.SILENT: True}) | found({}, source="other") | found({}, source="third")
    said = how_made.sentences(cells, {"third", "not shown"})
    assert [one.split(" does not say what it was trained on")[0] for one in said] == [
        "net", "third"
    ]  # fmt: skip


def test_another_network_than_that_from_scratch_is_named():
    def identity(name, **changes):
        return json.dumps({"backbone": {"name": name, "depth": 5}, "changes": changes})

    scratch = found({}, identity=identity("unet"), source="scratch")
    same = found({}, identity=identity("unet"), source="same")
    monai = found({}, identity='{"steps": 3}', source="monai")
    other = found({}, identity=identity("residual_unet"), source="residual 1a2b")
    assert how_made.sentences(scratch | same | monai) == []
    (said,) = how_made.sentences(scratch | same | other)
    assert said.startswith("residual 1a2b is another network than scratch")
    assert how_made.sentences(same | other) == []
    shallow = found({}, identity=identity("unet", **{"backbone.depth": 3}), source="scratch")
    assert len(how_made.sentences(shallow | same)) == 1


def test_a_cell_keeps_the_minutes_of_training_and_those_of_before_are_read(tmp_path):
    grid = Grid(tmp_path, {}, "mrissl ...")
    (cell,) = found({})
    grid.keep(cell, Made(SCORES, how={"minutes": 7.5}), 30.0)
    content = json.loads((tmp_path / "cells" / cell.name).read_text("utf-8"))
    assert (content["minutes"], content["seconds"]) == (7.5, 30.0)
    assert grid.made(cell).how == {"minutes": 7.5}
    grid.keep(cell, SCORES, 30.0)
    assert json.loads((tmp_path / "cells" / cell.name).read_text("utf-8"))["minutes"] == 0.5


def test_minutes_are_those_of_all_sessions_of_a_run(tmp_path):
    # One step was done twice, half a second each.
    assert minutes_of(unet_run(tmp_path / "run").folder) == pytest.approx(
        (STEPS + 1) * 0.5 / 60, abs=1e-4
    )
    assert minutes_of(tmp_path) == 0


def test_a_command_has_a_word_for_weights_that_have_no_name(tmp_path):
    path = tmp_path / "net.safetensors"
    weights.save(path, load_unet(None, 0, size=SMALL).state_dict(), {"method": "theirs"})
    run = unet_run(tmp_path / "run").folder
    digests = [hashlib.sha256(one.read_bytes()).hexdigest()[:12]
               for one in (path, run / "weights.safetensors")]  # fmt: skip
    words = (str(path), f"{run}+scales", "default", "contrastive+scales", "monai", "scratch")
    portable = [how_made.portable(word) for word in words]
    assert portable == [f"RUN-{digests[0]}", f"RUN-{digests[1]}+scales", *words[2:]]
    sources = named([f"{run}+scales", "random", "default"])
    assert [source.word for source in sources] == [
        f"RUN-{digests[1]}+scales", *["random"] * 3, "contrastive"
    ]  # fmt: skip
