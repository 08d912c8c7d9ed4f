"""Reports on the observable tasks: the same numbers from the tables, controls, figures."""

from __future__ import annotations

import csv
import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation import observable, observable_arms, observable_figures
from napari_mrissl.evaluation.observable_files import write
from napari_mrissl.pretext.observable import chunks
from napari_mrissl.pretext.observable.ablation import ARMS
from napari_mrissl.pretext.observable.inspection import Inspector, untrained_network
from napari_mrissl.pretext.observable.network import ObservableNetwork
from napari_mrissl.pretext.observable.settings import ObservableSettings
from napari_mrissl.pretext.observable.task import Observable
from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.pretext.task import SampleKey
from napari_mrissl.training.data import cohort
from napari_mrissl.training.measuring import _NOT_A_STEP, worth
from tests.pretext.painted import Blobs, blob

SETTINGS = ObservableSettings.model_validate(
    {
        "backbone": {"width": 8, "depth": 3},
        "view": {"side": 16, "edge_mm": 30.0},
        "width": 8,
        "vector_head": "edge",
    }
)


CONTRADICTIONS = {"diagonal_mm", "antisymmetry_mm", "triangle_violations"}


@pytest.fixture(scope="module")
def network() -> Inspector:
    torch.manual_seed(3)
    return Inspector(SETTINGS, ObservableNetwork(SETTINGS), {"run": "x", "preprocessing": None})


def _rows(path: os.PathLike) -> list[dict[str, float | str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("part", ["gap", "routes", "chunks"])
def test_a_report_holds_every_number_beside_chance(network, part, tmp_path) -> None:
    scan = blob(0)
    told: list[float] = []
    report = observable.examine(
        network, scan, part, views=5, rows=6, sets=2, seed=1, progress=told.append
    )
    files = write(report, tmp_path / "out")
    assert told == sorted(told)
    assert told[-1] == 1
    numbers = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    for name in ("mae_mm", "spearman", "chunk_accuracy", "vector_mae_mm", "route_end_error_mm"):
        assert np.isfinite(numbers[name])
        assert np.isfinite(numbers[f"chance_{name}"])
    assert set(numbers["controls"]) == {"untrained", "untrained_best", "raw_intensity"}
    accuracies, pairs = (
        ("chunk_accuracy_separate", "chunk_accuracy_sharing"),
        numbers["chunk_pairs"],
    )
    for name in accuracies:
        assert all(name in control for control in numbers["controls"].values())
    assert pairs["separate"] + pairs["sharing"] == pairs["all"] > 0
    parts = [(numbers[n] or 0) * pairs[n.rsplit("_")[-1]] for n in accuracies]
    assert sum(parts) == pytest.approx(numbers["chunk_accuracy"] * pairs["all"])
    mean, best = (numbers["controls"][name] for name in ("untrained", "untrained_best"))
    assert best["mae_mm"] < mean["mae_mm"]
    assert best["spearman"] > mean["spearman"]
    assert best["chunk_accuracy"] > mean["chunk_accuracy"]
    # Never trained: no better than the best constant.
    assert numbers["mae_mm"] > 0.9 * numbers["chance_mae_mm"]
    assert numbers["loop_drift_mm"] > 0
    # Gaps without a bias cannot contradict themselves; vectors of the edge head can.
    zero = set(numbers["shown"]["zero_by_construction"])
    own = {name: numbers["shown"][name] for name in CONTRADICTIONS}
    if part == "routes":
        assert not zero
        assert own["diagonal_mm"] > 0
        assert own["antisymmetry_mm"] > 0
    else:
        assert zero == CONTRADICTIONS
        assert max(own.values()) < 1e-4
    if part == "gap":
        for one in numbers["layout"].values():
            assert one["zero_by_construction"] == ["stress"]
            assert one["stress"] < 1e-4
            assert one["chance_error_mm"] > 0
    cells = _rows(tmp_path / "out" / "matrix.csv")
    assert len(cells) == 25
    errors = [
        abs(float(cell[f"predicted_{axis}_mm"]) - float(cell[f"true_{axis}_mm"]))
        for cell in cells
        if cell["i"] != cell["j"]
        for axis in "RAS"
    ]
    shown = numbers["shown"]["mae_mm_by_axis"]
    assert np.mean(errors) == pytest.approx(np.mean([shown[axis] for axis in "RAS"]), abs=1e-3)
    for cell in cells:
        ends = [[float(cell[f"{end}_{axis}_mm"]) for axis in "xyz"] for end in ("from", "to")]
        length = np.linalg.norm(np.subtract(*ends))
        assert float(cell["true_norm_mm"]) == pytest.approx(length, abs=1e-3)
    wanted = {
        "gap": {"rows.csv", "rows.png"},
        "routes": {"routes.csv", "routes.png"},
        "chunks": {"chunks.csv", "chunks.png"},
    }[part]
    assert set(files) == wanted | {"report.json", "matrix.csv", "matrix.png", "scatter.png"}
    for name in files:
        if name.endswith(".png"):
            with Image.open(tmp_path / "out" / name) as picture:
                assert np.asarray(picture).std() > 5
    if part == "routes":
        routes = _rows(tmp_path / "out" / "routes.csv")
        assert len(routes) == 120
        assert all(float(one["loop_drift_mm"]) > 0 for one in routes)
    if part == "chunks":
        for one in _rows(tmp_path / "out" / "chunks.csv"):
            cosines = {
                (a, b): float(one[f"cosine_{a}{b}"]) for a, b in ((0, 1), (0, 3), (1, 2), (2, 3))
            }
            best = max(cosines, key=cosines.__getitem__)
            assert int(one["adjacent_right"]) == (best == chunks.ADJACENT)


def test_the_same_seed_gives_the_same_report(network) -> None:
    first, again, other = (
        observable.examine(network, blob(0), "gap", views=3, rows=3, sets=1, seed=seed).numbers
        for seed in (4, 4, 5)
    )
    assert first == again
    assert first["mae_mm"] != other["mae_mm"]


def test_neighbouring_seeds_measure_other_views(network, monkeypatch) -> None:
    sets: dict[int, list[bytes]] = {}
    coarse = SETTINGS.model_copy(update={"chunks": False, "vectors": False, "routes": False})
    small = Inspector(coarse, ObservableNetwork(coarse))
    for seed in (4, 5):
        seen: list[bytes] = []

        def noted(network, scan, drawn, progress=None, seen=seen):
            seen += [views.centers_mm.tobytes() for views in drawn]
            return {}

        monkeypatch.setattr(observable, "measure", noted)
        observable.examine(small, blob(0), "gap", views=2, rows=2, sets=3, seed=seed)
        sets[seed] = seen[:3]
    assert len({*sets[4], *sets[5]}) == 6


def test_the_untrained_control_is_of_several_draws(network) -> None:
    """One draw of weights may be twice as good as another: the best is what is to be beaten."""
    scan = blob(0)
    controls = observable.examine(network, scan, "gap", views=3, rows=3, sets=1, seed=2).numbers[
        "controls"
    ]
    drawn = [network.draw(scan, 5, 2)]
    found = [observable.measure(network.untrained(2, n), scan, drawn) for n in range(5)]
    for name in ("mae_mm", "chunk_accuracy", "vector_spearman"):
        values = [one[name] for one in found]
        assert len(set(values)) > 1
        assert controls["untrained"][name] == pytest.approx(np.mean(values))
        best = min(values) if name == "mae_mm" else max(values)
        assert controls["untrained_best"][name] == best
    assert controls["untrained"]["loop_drift_mm"] > controls["untrained_best"]["loop_drift_mm"]
    # Neighbouring seeds share no draw.
    weights = {
        float(network.untrained(seed, n)._network.gap_head.axis.weight.detach().sum())
        for seed in (2, 3)
        for n in range(5)
    }
    assert len(weights) == 10


def test_a_report_on_what_was_not_learned_is_refused(network, tmp_path) -> None:
    coarse = SETTINGS.model_copy(update={"chunks": False, "vectors": False, "routes": False})
    other = Inspector(coarse, ObservableNetwork(coarse))
    for part in ("routes", "chunks"):
        with pytest.raises(MrisslError, match=f"not trained for {part}"):
            observable.examine(other, blob(0), part, sets=1)
    report = observable.examine(other, blob(0), "gap", views=3, rows=3, sets=1)
    assert "chunk_accuracy" not in report.numbers
    assert "raw_intensity" not in report.numbers["controls"]
    large = SETTINGS.model_copy(update={"view": SETTINGS.view.model_copy(update={"edge_mm": 50.0})})
    null = {"shuffled": True}
    for changed, said in (
        (large, "other views"),
        (SETTINGS.model_copy(update={"chunk": 0.5}), "other chunks"),
        (SETTINGS.model_copy(update={"chunks": False}), "other chunks"),
        (SETTINGS.model_copy(update={"pool": True}), "other chunks"),
        (SETTINGS.model_copy(update={"scale_mm": 50.0}), "other scale"),
    ):
        stranger = Inspector(changed, ObservableNetwork(changed), null)
        with pytest.raises(MrisslError, match=said):
            observable.examine(network, blob(0), "gap", sets=1, shuffled=stranger)
    for card in ({}, {"shuffled": False}, {"shuffled": "no"}):
        with pytest.raises(MrisslError, match="not trained on shuffled targets"):
            observable.examine(
                network,
                blob(0),
                "gap",
                sets=1,
                shuffled=Inspector(SETTINGS, network._network, card),
            )


def test_controls_are_measured_on_the_samples_of_the_arms() -> None:
    task = Observable(SETTINGS)
    untrained, best, raw = observable_arms.controls(task, Blobs(), 6, 0)
    assert [arm.name for arm in (untrained, best, raw)] == [
        "untrained",
        "untrained_best",
        "raw_intensity",
    ]
    assert untrained.terms["gap_mm"].chance == best.terms["gap_mm"].chance is not None
    draws = [
        worth(task, untrained_network(SETTINGS, 0, n), Blobs(), 6, 0)["chunk_error"].value
        for n in range(5)
    ]
    assert untrained.terms["chunk_error"].value == pytest.approx(np.mean(draws))
    assert best.terms["chunk_error"].value == min(draws) < np.mean(draws)
    wrong = pairs = 0
    for number in range(6):
        arrays = task.sample(Blobs(), SampleKey(0, _NOT_A_STEP, number)).arrays
        for pair, (i, j) in enumerate(((0, 1), (0, 2), (1, 2))):
            if not arrays["kept"][pair]:
                continue
            cut = []
            for view, (z, y, x) in zip((i, j, i, j), arrays["starts"][pair], strict=True):
                cut.append(arrays["image"][view, z : z + 12, y : y + 12, x : x + 12].ravel())
            alike = np.corrcoef(cut)
            best = max(((0, 1), (0, 3), (2, 1), (2, 3)), key=lambda two: alike[two])
            wrong += best != (0, 1)
            pairs += 1
    assert raw.terms["chunk_error"].value == pytest.approx(wrong / pairs)


def test_arms_differ_in_their_tasks_alone() -> None:
    runs = observable_arms.arms(None, "tiny", {"steps": 7})
    assert list(runs) == [*ARMS, "shuffled"]
    assert [run.shuffled for run in runs.values()] == [False] * 6 + [True]
    assert runs["shuffled"].task == runs["routes"].task
    assert runs["vectors_edge"].task == {**runs["routes_edge"].task, "routes": False}
    # Neither the head nor routes change together with the other.
    assert runs["vectors_edge"].task == {**runs["vectors"].task, "vector_head": "edge"}
    changed = {"chunks", "vectors", "routes", "vector_head"}
    plain = [{k: v for k, v in run.task.items() if k not in changed} for run in runs.values()]
    assert all(one == plain[0] for one in plain)
    assert {run.optimisation.steps for run in runs.values()} == {7}


def test_the_ablation_of_heads_says_whose_anatomy_is_held_out(tmp_path, monkeypatch) -> None:
    """Under the table with all controls."""
    runs = observable_arms.arms({"kind": "heads"}, "tiny", {"steps": 1})

    def none_trained(folder, arms, registry, train, samples, tell):
        return []

    monkeypatch.setattr(observable_arms.ablation, "ablate", none_trained)
    monkeypatch.setattr(cohort, "subjects", lambda settings, part: Blobs())
    monkeypatch.setattr(observable_arms, "controls", lambda *given: [])
    observable_arms.compare(tmp_path, runs, TASKS, lambda run: None, samples=1)
    text = (tmp_path / "ablation.md").read_text(encoding="utf-8")
    assert "Note: heads for validation have the same MNI152 anatomy" in text


def test_heat_maps_are_white_at_zero_and_black_at_nothing() -> None:
    signed = np.asarray(observable_figures.heat(np.array([[-2.0, 0], [1, 2]]), -2, 2, 2))
    assert (signed[0, 1] == 255).all()
    assert signed[0, 0, 2] > signed[0, 0, 0]
    assert signed[1, 1, 0] > signed[1, 1, 2]
    grey = np.asarray(observable_figures.heat(np.array([[0.0, 4], [2, 1]]), 0, 4, 2))
    np.testing.assert_array_equal(grey[0, :, 0], [0, 255])
