"""The comparison of arms: what is said of it, and what its rows are; nothing is trained."""

import json

import pytest

from napari_mrissl.evaluation.navigation import benchmark, tables
from napari_mrissl.evaluation.navigation.arms import arms
from napari_mrissl.training.data import cohort
from napari_mrissl.training.data.engine_subjects import remarks_on
from tests.pretext.navigation.small import Smooth

SETTINGS = benchmark.ProbeSettings(train_subjects=2, test_subjects=1, slices=8)


@pytest.fixture
def compared(tmp_path, monkeypatch):
    """Tables of arms that were neither trained nor measured."""
    monkeypatch.setattr(cohort, "subjects", lambda settings, part: Smooth())
    monkeypatch.setattr(benchmark, "trained", lambda *given: {})
    monkeypatch.setattr(benchmark, "_measured", lambda *given: {})

    def compare(data):
        (tmp_path / data).mkdir()
        runs = arms({"kind": data}, "tiny", {"steps": 2})
        benchmark.compare(tmp_path / data, runs, lambda run: None, SETTINGS)
        text = (tmp_path / data / tables.TABLE_FOR_PEOPLE).read_text(encoding="utf-8")
        plain = (tmp_path / data / tables.TABLE_AS_JSON).read_text(encoding="utf-8")
        return text, json.loads(plain), runs[benchmark.plans.START].settings.data

    return compare


def test_tables_say_when_held_out_heads_have_the_anatomy_of_the_others(compared):
    text, table, data = compared("heads")
    (note,) = remarks_on(data)
    assert text.endswith(f"\nNote: {note}.\n")
    assert table["how"]["notes"] == [note]
    text, table, _ = compared("ensembles")
    assert "Note" not in text
    assert table["how"]["notes"] == []
