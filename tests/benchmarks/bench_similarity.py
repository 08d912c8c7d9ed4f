"""Similarity of one voxel to all others, and the time from a click to the slice shown.

``xvfb-run -a python tests/benchmarks/bench_similarity.py [--quick]``

Needs a display with OpenGL for the second table. 256^3 voxels with 16 float32 channels
(``--quick``: 160^3), memory-mapped as the cache has them. The floor is reading all of them.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import Row, Table, measure, save  # first: it says how idle threads wait

from napari_mrissl.features.similarity import Compared, prepare
from napari_mrissl.features.similarity_kernels import BLOCK, read_all
from napari_mrissl.slicing.threads import over_rows, threads
from napari_mrissl.volumes.volume import Volume

CHANNELS = 16
SHOWN_MS, OVER_READ, PATIENCE = 50.0, 1.3, 5.0


def features(path: Path, side: int) -> np.ndarray:
    """(16, side, side, side) smooth-ish noise on disk, mapped read-only."""
    rng = np.random.default_rng(0)
    written = np.lib.format.open_memmap(path, "w+", np.float32, (CHANNELS, side, side, side))
    for channel in written:
        channel[:] = rng.standard_normal((side, side, side), np.float32) + 0.3
    written.flush()
    del written
    return np.load(path, mmap_mode="r")


def kernels(data: np.ndarray, volume: Volume, rounds: int) -> list[Table]:
    """The volume against reading and against what others would write; the three slices."""
    side = len(volume.data)
    made = Compared.of(data, volume)
    rng = np.random.default_rng(1)
    voxels = rng.integers(0, side, (rounds + 4, 3))
    flat, out = made.data.reshape(CHANNELS, -1), np.empty(volume.shape, np.float32)
    sums = np.empty(-(-flat.shape[1] // BLOCK), np.float32)
    normed = flat * made.inverse.reshape(-1)

    def read(_: int) -> None:
        over_rows(lambda a, b: read_all(flat, sums, a, b), len(sums), flat.shape[1])

    def ours(number: int) -> np.ndarray:
        return made.whole(made.at(voxels[number]), out)[0].reshape(-1)[::1009].copy()

    def numpy_product(number: int) -> np.ndarray:
        return (made.at(voxels[number]) @ normed)[::1009]

    candidates = {
        "reading the features": read,
        "ours, best match included": ours,
        "numpy q @ F, normalised before": numpy_product,
    }
    try:
        import torch
    except ModuleNotFoundError:
        pass
    else:
        torch.set_num_threads(threads())
        tensor = torch.from_numpy(normed)
        raw = torch.from_numpy(np.array(flat))

        def torch_product(number: int) -> np.ndarray:
            return (torch.from_numpy(made.at(voxels[number])) @ tensor).numpy()[::1009]

        def torch_cosine(number: int) -> np.ndarray:
            query = raw[:, np.ravel_multi_index(voxels[number], volume.shape)]
            return torch.cosine_similarity(query[:, None], raw, dim=0).numpy()[::1009]

        candidates["torch q @ F, normalised before"] = torch_product
        candidates["torch.cosine_similarity"] = torch_cosine
    rows = measure(
        candidates, rounds=rounds, reference="ours, best match included", seconds_each=15
    )
    tables = [
        Table(
            f"one voxel to all, {side}^3 x {CHANNELS}",
            rows,
            "reading the features",
            ["products need a normalised copy of all features, which ours does not"],
        )
    ]

    def plane(axis: int):
        ranges = [range(side)] * 3

        def run(number: int) -> None:
            voxel = voxels[number % len(voxels)]
            at = int(voxel[axis])
            ranges[axis] = range(at, at + 1)
            made.box(made.at(voxel), tuple(ranges))

        return run

    slices = {name: plane(axis) for axis, name in enumerate(("axial", "coronal", "sagittal"))}
    tables.append(Table("one slice", measure(slices, rounds=3 * rounds, warm_up=3)))
    return tables


def clicks(data: np.ndarray, volume: Volume, rounds: int) -> tuple[Table, Table]:
    """From a click to the layer's data, to a drawn frame, and to the whole volume.

    In each of the three views, beside drawing a frame for a refreshed layer whose data did not
    change: what napari and the graphics take by themselves.
    """
    import napari
    from qtpy.QtOpenGLWidgets import QOpenGLWidget
    from qtpy.QtWidgets import QApplication

    from napari_mrissl.features import FeatureStack, FilterBankSettings
    from napari_mrissl.ui import docks
    from napari_mrissl.ui.explorer import FeatureExplorer
    from napari_mrissl.ui.explorer.explored import Explored, Place
    from napari_mrissl.ui.layers import add_volume, show_view

    viewer = napari.Viewer()
    viewer.window.resize(1366, 768)
    layer = add_volume(viewer, volume)
    panel = FeatureExplorer(viewer)
    viewer.window.add_dock_widget(panel, name="Feature explorer")
    application = QApplication.instance()

    def settle() -> None:
        while panel.busy:
            application.processEvents()
        for _ in range(5):
            application.processEvents()

    settle()
    names = tuple(str(n) for n in range(CHANNELS))
    stack = FeatureStack(data, names, "benchmark", FilterBankSettings())
    held = panel.exploration
    held.explored = [Explored(layer, volume, stack, Compared.of(data, volume))]
    held.changed.emit()
    panel.match_tab.tool.setChecked(True)
    canvas = docks.main_window(viewer).centralWidget().findChildren(QOpenGLWidget)[0]
    rng = np.random.default_rng(2)

    def click() -> None:
        side = len(volume.data)
        s, a, r = (int(v) for v in rng.integers(side // 4, 3 * side // 4, 3))
        held.ask(Place(layer.name, held.explored[0].world_of((s, a, r))))

    drawn: list[float] = []
    canvas.frameSwapped.connect(lambda: drawn.append(time.perf_counter()))

    def frame(start: float) -> float:
        """Seconds from a start to the next frame, as the event loop comes to it."""
        drawn.clear()
        while not drawn and time.perf_counter() - start < PATIENCE:
            application.processEvents()
        return (drawn or [np.inf])[0] - start

    shown, whole = {}, {}
    for view in ("axial", "coronal", "sagittal"):
        show_view(viewer, view)
        settle()
        floors, times, ends, painted = [], [], [], []
        for _ in range(rounds):
            start = time.perf_counter()
            layer.refresh(thumbnail=False, highlight=False, extent=False)
            floors.append(frame(start))
            settle()
            start = time.perf_counter()
            click()
            times.append(time.perf_counter() - start)
            painted.append(frame(start))
            while panel.busy:
                application.processEvents()
            ends.append(time.perf_counter() - start)
            settle()
        shown[f"{view}: cosines in the layer"] = times
        shown[f"{view}: frame drawn"] = painted
        shown[f"{view}: frame drawn, scan unchanged"] = floors
        whole[view] = ends
    viewer.close()

    def rows(taken: dict[str, list[float]]) -> list[Row]:
        made = []
        for name, seconds in taken.items():
            low, middle, high = np.percentile(1e3 * np.array(seconds[1:]), (10, 50, 90))
            made.append(Row(name, float(middle), float(low), float(high), len(seconds) - 1))
        return made

    note = ["frames: software GL where there is no GPU; the scan unchanged is their floor"]
    return Table("click to the slice", rows(shown), notes=note), Table(
        "click to the whole volume and its best match, in the layer", rows(whole)
    )


def main() -> None:
    """Measure, write the tables, and say which bars are missed."""
    quick = "--quick" in sys.argv
    side, rounds = (160, 5) if quick else (256, 15)
    prepare()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("MRISSL_DATA_DIR", f"{folder}/data")
        os.environ.setdefault("MRISSL_CACHE_DIR", f"{folder}/cache")
        data = features(Path(folder) / "features.npy", side)
        values = (50 * np.clip(np.asarray(data[0]) + 2, 0, 5)).astype(np.uint8)
        affine = np.eye(4)[[2, 1, 0, 3]]
        volume = Volume.from_stored(values, affine, name="noise")
        tables = [*kernels(data, volume, rounds), *clicks(data, volume, rounds)]
        del data
    found, slices, shown, _ = tables
    medians = {row.name: row.median_ms for row in (*found.rows, *slices.rows, *shown.rows)}
    over = medians["ours, best match included"] / medians["reading the features"]
    slowest = max(row.median_ms for row in slices.rows)
    views = [row.name.partition(":")[0] for row in shown.rows[::3]]
    in_layer = max(medians[f"{view}: cosines in the layer"] for view in views)
    painted = max(medians[f"{view}: frame drawn"] for view in views)
    # What a click adds to a frame that is drawn anyway.
    own = max(
        medians[f"{view}: frame drawn"] - medians[f"{view}: frame drawn, scan unchanged"]
        for view in views
    )
    facts = {"times the reading": round(over, 2), "slowest slice ms": round(slowest, 1)}
    facts |= {
        "click to data in the layer ms": round(in_layer, 1),
        "click to frame ms": round(painted, 1),
        "more than a frame of the unchanged scan ms": round(own, 1),
    }
    save(Path(__file__).stem, tables, threads=threads(), **facts)
    missed = [
        text
        for bad, text in (
            (over > OVER_READ, f"volume {over:.2f} x reading > {OVER_READ}"),
            (
                painted > SHOWN_MS,
                f"click to frame {painted:.0f} ms > {SHOWN_MS:.0f} ({own:.0f} ms its own)",
            ),
        )
        if bad
    ]
    if missed and not quick:
        raise SystemExit("bars missed: " + "; ".join(missed))


if __name__ == "__main__":
    main()
