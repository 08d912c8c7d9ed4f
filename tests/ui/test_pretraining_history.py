"""Curves of bounded size, and what events add up to."""

import math

import numpy as np
import pytest

from napari_mrissl.training.event_types import EVENTS
from napari_mrissl.ui.pretraining.history import History, Series
from napari_mrissl.ui.pretraining.run_box import duration
from napari_mrissl.ui.pretraining.start_box import estimated, free_folder


def step(number, total, seconds=0.5, waiting=0.1, **terms):
    return EVENTS.validate_python(
        {"type": "step", "n": number, "t": 1.0, "step": number, "total": total,
         "terms": terms or {"a": total}, "seconds": seconds, "waiting": waiting,
         "samples_per_second": 8.0, "memory": 1024}
    )  # fmt: skip


def event(kind, **values):
    return EVENTS.validate_python({"type": kind, "n": 0, "t": 5.0, **values})


def test_a_curve_of_any_length_keeps_its_form_in_few_points():
    series = Series()
    values = np.cos(np.arange(20_000) / 3000)
    for number, value in enumerate(values):
        series.add(number, value)
    steps, kept = series.points()
    assert len(steps) == len(series) <= 2049
    assert np.all(np.diff(steps) > 0)
    np.testing.assert_allclose(kept, np.cos(steps / 3000), atol=1e-4)
    assert (series.last, series.best) == (values[-1], values.min())
    # All values count the same: the mean stays.
    assert abs(kept.mean() - values.mean()) < 2e-3


def test_what_is_no_number_is_no_point():
    series = Series()
    series.add(1, 0.5)
    series.add(2, math.nan)
    assert len(series) == 1
    assert math.isnan(series.last)
    assert series.best == 0.5


def test_events_add_up():
    history = History()
    history.add(event("state", name="running"))
    history.add(event("chance", terms={"a": 0.3, "b": None}))
    for number in range(1, 9):
        history.add(step(number, 1 / number, a=0.5 / number, b=0.1))
    history.add(event("validation", step=8, total=0.2, terms={"a": 0.25}))
    image = {"file": "step_000000008_x.png", "tiles": 2, "columns": 2, "captions": ("x", "y")}
    history.add(event("image", step=8, name="x", **image))
    history.add(event("checkpoint", step=8, best=True))
    history.add(event("warning", text="two scans left out"))
    assert history.step == 8
    assert set(history.curves) == {"a", "b"}
    assert (history.curves["a"].chance, history.curves["b"].chance) == (0.3, None)
    assert history.curves["a"].training.last == 0.5 / 8
    np.testing.assert_array_equal(history.curves["a"].validation.points(), [[8], [0.25]])
    assert (history.pictures["x"].step, history.pictures["x"].captions) == (8, ("x", "y"))
    assert history.seconds_per_step == 0.5
    assert history.waiting == pytest.approx(0.2)
    assert history.seconds_left(28) == 10.0
    assert [line.text for line in history.lines] == [
        "running", "step 8, held out: a 0.25", "step 8: saved, the best so far",
        "warning: two scans left out",
    ]  # fmt: skip


def test_steps_done_again_after_a_kill_replace_those_before():
    history = History()
    for number in range(1, 11):
        history.add(step(number, 1.0))
    for number in range(6, 9):
        history.add(step(number, 2.0))
    steps, values = history.total.training.points()
    np.testing.assert_array_equal(steps, np.arange(1, 9))
    np.testing.assert_array_equal(values, [1] * 5 + [2] * 3)
    assert history.step == 8


def test_a_loss_that_is_no_number_and_unknown_times():
    history = History()
    history.add(step(1, None, seconds=None, waiting=None, a=None))
    assert math.isnan(history.total.training.last)
    assert math.isnan(history.seconds_per_step)
    assert math.isnan(history.waiting)
    assert len(history.total.training) == 0


def test_words_for_times_estimates_and_folders(tmp_path):
    assert [duration(s) for s in (40, 720, 12_000)] == ["40 s", "12 min", "3 h 20 min"]
    found = {
        "parameters": 2_500_000, "memory_bytes": 3 << 30, "seconds_per_step": 0.5,
        "checkpoint_bytes": 30_000_000, "measured": True,
    }  # fmt: skip
    text = estimated(found, 2400, 1 << 30)
    for words in ("Measured: 2.5 M", "3 GiB of memory", "1 GiB for decoded", "20 min in all"):
        assert words in text
    refused = estimated({"parameters": 1, "reason": "needs 9 GiB, 4 GiB are free"}, 10, 0)
    assert "needs 9 GiB" in refused
    assert free_folder(tmp_path, "masked").name == "masked-001"
    (tmp_path / "masked-001").mkdir()
    assert free_folder(tmp_path, "masked-001").name == "masked-002"
