"""The folder of a report on the observable tasks: JSON, a table as CSV, figures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from napari_mrissl.evaluation.observable import Report
from napari_mrissl.pretext.observable import chunks
from napari_mrissl.pretext.observable.gaps import CHANNELS
from napari_mrissl.pretext.observable.observations import ChunkView, GapMatrix, RouteView
from napari_mrissl.trajectories.new_folder import new_folder
from napari_mrissl.volumes.atomic import write_text

REPORT = "report.json"
MATRIX, ROWS, ROUTES, CHUNKS = "matrix.csv", "rows.csv", "routes.csv", "chunks.csv"
_DRAWN = 6


def write(report: Report, folder: Path) -> list[str]:
    """Write report, tables and figures into a new folder, whole or not at all.

    Returns
    -------
    list of str
        The names of its files.

    Raises
    ------
    MrisslError
        If the folder is there already, or the disk refuses.
    """
    from napari_mrissl.evaluation import observable_figures as figures

    with new_folder(folder) as made:
        text = json.dumps(report.numbers, indent=2, sort_keys=True, allow_nan=False)
        write_text(made / REPORT, text + "\n")
        write_text(made / MATRIX, matrix_table(report.matrix))
        figures.matrices(report.matrix).save(made / "matrix.png")
        figures.scatter(report.matrix).save(made / "scatter.png")
        if report.rows is not None:
            write_text(made / ROWS, matrix_table(report.rows))
            figures.matrices(report.rows).save(made / "rows.png")
        if report.routes:
            write_text(made / ROUTES, route_table(report.routes))
            figures.routes(report.scan, report.routes[:_DRAWN]).save(made / "routes.png")
        if report.chunks:
            write_text(made / CHUNKS, chunk_table(report.chunks))
            figures.chunk_boxes(report.scan, report.chunks[:_DRAWN]).save(made / "chunks.png")
    return sorted(path.name for path in folder.iterdir())


def matrix_table(matrix: GapMatrix) -> str:
    """CSV, a line for each cell: both middles in world RAS mm, gaps along the scan's axes."""
    places = matrix.views.centers_world
    head = ["i", "j"]
    head += [f"{end}_{axis}_mm" for end in ("from", "to") for axis in "xyz"]
    head += [f"{kind}_{axis}_mm" for kind in ("true", "predicted") for axis in CHANNELS]
    channels = [matrix.channel(axis) for axis in CHANNELS]
    lines = []
    for i in range(len(matrix)):
        for j in range(len(matrix)):
            values = [*places[i], *places[j]]
            values += [one[kind][i, j] for kind in (0, 1) for one in channels]
            lines.append([i, j, *(f"{value:.4f}" for value in values)])
    return _csv(head, lines)


def route_table(walked: Sequence[RouteView]) -> str:
    """CSV, a line for each route."""
    lines = [
        [
            "-".join(map(str, one.order)),
            f"{one.end_error_mm:.4f}",
            "" if one.drift_mm is None else f"{one.drift_mm:.4f}",
        ]
        for one in walked
    ]
    return _csv(["route", "end_error_mm", "loop_drift_mm"], lines)


def chunk_table(seen: Sequence[ChunkView]) -> str:
    """CSV, a line for each pair of views: cosines of the six pairs of chunks, and verdicts."""
    pairs = [f"{kind}_{a}{b}" for kind in ("cosine", "raw") for a, b in chunks.SIX]
    head = ["i", "j", *pairs, "adjacent_right", "distant_right", "separate"]
    lines = []
    for one in seen:
        values = [
            f"{matrix[a, b]:.6f}" for matrix in (one.similarity, one.raw) for a, b in chunks.SIX
        ]
        verdicts = (one.adjacent_right, one.distant_right, one.separate)
        lines.append([one.i, one.j, *values, *map(int, verdicts)])
    return _csv(head, lines)


def _csv(head: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(lines)
    return text.getvalue()
