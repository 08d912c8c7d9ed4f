"""The comparison of arms: what is said of it, and what its rows are; nothing is trained."""

import json

import pytest

from napari_mrissl.evaluation.navigation import benchmark, probing, tables
from napari_mrissl.evaluation.navigation.arms import FULL, arms
from napari_mrissl.evaluation.navigation.probing import Measure
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


def test_rows_are_probed_with_as_many_numbers_as_the_narrowest_has(tmp_path, monkeypatch):
    runs = arms({"kind": "heads"}, "tiny", {"backbone.latent": "6"})
    assert benchmark.components(runs) == 6
    narrow = arms({"kind": "heads"}, "tiny", {"backbone.latent": "48"})
    assert benchmark.components(narrow) == narrow[FULL].settings.task["dynamics"]["width"]
    monkeypatch.setattr(cohort, "subjects", lambda settings, part: Smooth())
    probed = []

    def noted(encoder, train, test, components):
        probed.append((type(encoder).__name__, components))
        return {}

    monkeypatch.setattr(probing, "probe", noted)
    monkeypatch.setattr(benchmark, "trained", lambda *given: {})
    monkeypatch.setattr(benchmark.plans, "COMPARED", ())
    monkeypatch.setattr(benchmark.plans, "budgets", lambda runs: {})
    benchmark.compare(tmp_path, runs, lambda run: None, SETTINGS)
    assert probed == [
        ("BoxEncoder", 6), ("PixelEncoder", 6), ("NetworkEncoder", 6), ("NetworkEncoder", 6)
    ]  # fmt: skip


def test_the_table_for_people_shows_each_simple_answer_and_each_kind():
    dynamics = {
        "latent_4": Measure(0.5, chance=0.6),
        "copied_latent_4": Measure(0.9),
        "straight_latent_4": Measure(0.8, 0.7, 0.9, subjects=3),
        "moved_latent_4": Measure(0.6),
        "ssim_4": Measure(0.75),
        "shuffle_ratio_pan": Measure(1.5, chance=1.3),
        "moved_shuffle_ratio_pan": Measure(1.2),
        "remembered_shuffle_ratio_pan": Measure(1.3),
    }
    rows = {"pixels": {"position_mm": Measure(9.0)}, "dynamics": dynamics}
    text = tables.markdown(rows, {}, "about")
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[:-2]]
    table = {line[0]: dict(zip(lines[0], line, strict=True)) for line in lines}
    assert list(table)[-4:] == ["copied", "straight", "moved", "remembered"]
    columns = "latent error 4", "SSIM 4", "shuffle ratio, pan"
    assert [table["chance"][one] for one in columns] == ["0.6", "", "1.3"]
    assert [table["dynamics"][one] for one in columns] == ["0.5", "0.75", "1.5"]
    assert [table["copied"][one] for one in columns] == ["0.9", "", ""]
    assert [table["straight"][one] for one in columns] == ["0.8 (0.7 to 0.9)", "", ""]
    assert [table["moved"][one] for one in columns] == ["0.6", "", "1.2"]
    assert [table["remembered"][one] for one in columns] == ["", "", "1.3"]
    without = tables.markdown({"pixels": {"position_mm": Measure(9.0)}}, {}, "about")
    assert "copied" not in without
