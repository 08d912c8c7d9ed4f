"""The slice-by-slice matrix of a scan: 64 x 64 gaps from one look at each of 64 views.

``python tests/benchmarks/bench_observable.py [--quick]``

A network of the size of the preset ``cpu``, whose weights are drawn: what it answers does not
change how long it takes. The bar is 2 s for the matrix where the views were looked at before.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from measure import Table, measure, save
from scipy import ndimage

from napari_mrissl.pretext.observable.inspection import Inspector
from napari_mrissl.pretext.observable.network import ObservableNetwork
from napari_mrissl.pretext.observable.settings import ObservableSettings
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.training.building import settings_for
from napari_mrissl.volumes import Volume

VIEWS, EXTENT, THREADS = 64, 192, 2
BAR_MS = 2000.0


def scan_of(extent: int) -> Scan:
    """Smooth noise, as int16."""
    rng = np.random.default_rng(0)
    smooth = ndimage.zoom(rng.random((extent // 8,) * 3), 8, order=1)
    volume = Volume.from_stored((smooth * 1000).astype(np.int16), np.eye(4))
    return Scan(volume, 0.0, 1000.0, "subject-001", volume.identity)


def main() -> None:
    """Measure and write the table."""
    quick = "--quick" in sys.argv
    torch.set_num_threads(THREADS)
    scan = scan_of(EXTENT)
    settings = ObservableSettings.model_validate(settings_for("observable", None, "cpu").task)
    torch.manual_seed(0)
    network = ObservableNetwork(settings)
    inspector = Inspector(settings, network)
    views = inspector.row(scan, VIEWS)
    inspector.features(scan, views)

    def first(number: int) -> Any:
        fresh = Inspector(settings, network)
        return fresh.matrix(fresh.features(scan, views)).channel("norm")

    def again(number: int) -> Any:
        return inspector.matrix(inspector.features(scan, views)).channel("norm")

    def numbers(number: int) -> Any:
        return inspector.matrix(inspector.features(scan, views)).consistency

    work = {
        "first look at all views": first,
        "matrix of views looked at before": again,
        "the same with its consistency": numbers,
    }
    rows = measure(work, rounds=3 if quick else 15)
    table = Table(f"{VIEWS} x {VIEWS} gaps", rows, notes=[f"bar of the second row: {BAR_MS:g} ms"])
    save("observable", [table])


if __name__ == "__main__":
    main()
