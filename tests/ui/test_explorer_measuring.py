"""What measurements of the explorer leave behind, and how their curves are told apart."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
from explorer_actions import anatomy
from pydantic import BaseModel

from napari_mrissl.features import Estimate, cache, cached, compute, register_source
from napari_mrissl.features.drift import Drift, Series
from napari_mrissl.ui.explorer import measure_work
from napari_mrissl.ui.explorer.drift_page import DriftInputs, DriftPage
from napari_mrissl.ui.explorer.measure_work import Called, Drifted


class Cubes(BaseModel):
    """Settings of features that go through the cache, as those of networks do."""

    kind: str = "cubes"


class CubesSource:
    """The value of a voxel and its cube."""

    name, version, settings = "cubes", 1, Cubes()

    def channel_names(self):
        return "value", "cube"

    def estimate(self, volume):
        return Estimate(0, 8 * volume.data.size, 1.0)

    def compute_into(self, volume, out, progress=None, cancelled=None):
        out[0] = volume.data
        out[1] = out[0] ** 3


@pytest.fixture
def cubes(monkeypatch, tmp_path):
    monkeypatch.setenv("MRISSL_CACHE_DIR", str(tmp_path))
    register_source(Cubes, lambda _: CubesSource())
    monkeypatch.setattr(measure_work, "compute_apart", compute)
    return Cubes()


def entries():
    return list(cache._root().iterdir())


@pytest.mark.parametrize("kept", [False, True])
def test_features_of_changed_scans_do_not_stay_in_the_cache(cubes, kept):
    volume = anatomy("bright")
    if kept:
        compute(volume, cubes)
    control = SimpleNamespace(progress=lambda *_: None, cancelled=lambda: False)
    series = Series(change="noise", steps=2)
    found = measure_work.drift(
        control, lambda: cubes, lambda: volume, series, Called("Cubes", "bright", True)
    )
    assert found.result.drift[-1] > found.result.drift[0]
    assert len(entries()) == int(kept)
    assert (cached(volume, cubes) is not None) == kept


@pytest.mark.gui
def test_curves_of_other_scans_and_comparisons_stay_beside_each_other(qtbot):
    inputs = DriftInputs()
    page = DriftPage(inputs)
    for widget in (inputs, page):
        qtbot.addWidget(widget)

    def curve(scan, standardised, last):
        drift = Drift("noise", np.array([0, 0.2]), np.array([0, last]), 1.0, 500)
        return Drifted(Called("MIND", scan, standardised), drift)

    for scan in ("mine", "other"):
        for standardised in (False, True):
            page.add(curve(scan, standardised, 0.1))
    page.add(curve("mine", True, 0.7))
    assert len(page.curves) == 4
    assert page.curves[-1].result.drift[-1] == 0.7
    lines = list(csv.DictReader(page.table.splitlines()))
    keys = {(line["comparison"], line["scan"], line["strength"]) for line in lines}
    assert len(keys) == len(lines) == 8
    assert "mine" not in page.table
    legend = page.plot.legend.text()
    assert "MIND: other" in legend
    assert "MIND, standardised: mine" in legend
    page.shut_down()


@pytest.mark.gui
def test_what_a_series_takes_is_said_before(qtbot):
    inputs = DriftInputs()
    qtbot.addWidget(inputs)
    inputs.take(Series(steps=5))
    assert inputs.cost.text() == "Features are computed 7 times."
    inputs.show_seconds(20.0)
    assert inputs.cost.text() == "Features are computed 7 times: about 140 s."
    inputs.steps.setValue(8)
    assert inputs.cost.text() == "Features are computed 10 times: about 200 s."
