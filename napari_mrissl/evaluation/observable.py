"""A report on a network of the observable tasks and a scan: numbers beside chance, and controls."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_mrissl import __version__
from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.observable_controls import (
    CONTROLS,
    Numbers,
    best_of,
    check_null,
    mean_of,
)
from napari_mrissl.pretext.observable import chunks
from napari_mrissl.pretext.observable.ablation import UNTRAINED_DRAWS
from napari_mrissl.pretext.observable.consistency import spearman
from napari_mrissl.pretext.observable.gaps import AXES, off_diagonal
from napari_mrissl.pretext.observable.observations import ChunkView, GapMatrix, RouteView
from napari_mrissl.pretext.observable.views import Views
from napari_mrissl.pretext.subjects import Scan

if TYPE_CHECKING:
    from napari_mrissl.pretext.observable.inspection import Inspector

Part = Literal["gap", "routes", "chunks"]
Progress = Callable[[float], object]
Floats = NDArray[np.float64]

_VIEWS = 5


@dataclass(frozen=True, eq=False)
class Report:
    """What is written.

    Attributes
    ----------
    scan
        The scan that it is about.
    part
        Which of the three sub-tasks is drawn.
    numbers
        JSON-ready; holds no name of a file, folder or person.
    matrix
        Of random views: of the vector head for routes, else of the gap head.
    rows
        Of equidistant views along S; only for gaps.
    routes
        Over few of the views; only for routes.
    chunks
        Of the views' pairs; only for chunks.
    """

    scan: Scan
    part: Part
    numbers: dict[str, Any]
    matrix: GapMatrix
    rows: GapMatrix | None = None
    routes: tuple[RouteView, ...] = ()
    chunks: tuple[ChunkView, ...] = ()


def examine(
    network: Inspector,
    scan: Scan,
    part: Part = "gap",
    *,
    views: int = 8,
    rows: int = 32,
    sets: int = 16,
    seed: int = 0,
    shuffled: Inspector | None = None,
    progress: Progress = lambda part: None,
) -> Report:
    """Measure a network on sets of five random views of a scan, and draw one part of it.

    Parameters
    ----------
    network
        Trained.
    scan
        Prepared by `evaluation.weights.scan_for` with the network's card.
    part
        What is drawn; numbers are the same for all.
    views, rows
        Random views, and equidistant ones along S, that are drawn.
    sets, seed
        How many sets of views are measured, and of which draw.
    shuffled
        A network trained on shuffled targets, as one more control.
    progress
        Is told the share that is done; what it raises ends the work.

    Raises
    ------
    MrisslError
        If the network was not trained for this part, or the null control was trained on its
        own places, or has other views, chunks or scale.
    """
    settings = network.settings
    _check(network, part)
    if shuffled is not None:
        check_null(network, shuffled)
    drawn = [network.draw(scan, _VIEWS, seed, number) for number in range(sets)]
    draws = UNTRAINED_DRAWS
    share = 0.8 / (1 + draws + (shuffled is not None))
    own = measure(network, scan, drawn, lambda one: progress(share * one))
    numbers = _about(network, scan, sets, seed) | own | chance(drawn, own)
    fresh = [
        measure(
            network.untrained(seed, number),
            scan,
            drawn,
            partial(_within, progress, share * (1 + number), share),
        )
        for number in range(draws)
    ]
    controls = {"untrained": mean_of(fresh), "untrained_best": best_of(fresh)}
    if shuffled is not None:
        within = partial(_within, progress, share * (1 + draws), share)
        controls["shuffled_run"] = measure(shuffled, scan, drawn, within)
    if settings.chunks:
        numbers["chunk_pairs"] = _pairs(network, drawn)
        controls["raw_intensity"] = raw_intensity(network, scan, drawn)
    numbers |= {"controls": controls, "about_controls": CONTROLS.format(draws=draws)}
    report = _drawn(network, scan, part, numbers, views, rows, seed)
    progress(1.0)
    return report


def _pairs(network: Inspector, drawn: Sequence[Views]) -> dict[str, int]:
    """How many pairs of views the accuracies of chunks are of."""
    plans = [network.task.plan(views) for views in drawn]
    separate = sum(int((one.kept & one.separate).sum()) for one in plans)
    kept = sum(int(one.kept.sum()) for one in plans)
    return {"all": kept, "separate": separate, "sharing": kept - separate}


def _within(progress: Progress, done: float, share: float, part: float) -> None:
    progress(done + share * part)


def measure(
    network: Inspector,
    scan: Scan,
    drawn: Sequence[Views],
    progress: Progress = lambda part: None,
) -> Numbers:
    """What a network's answers on sets of views are worth: errors in mm, ranks, accuracies.

    ``mae_mm`` is the mean absolute error along the axes, of gaps of different views, and
    ``spearman`` the rank correlation of their lengths; what was not learned is left out.
    ``chunk_accuracy`` is of all pairs of views that are far enough apart, ``_separate`` of those
    whose chunks share no voxel, ``_sharing`` of the others; None where there is no such pair.
    """
    settings = network.settings
    gaps: list[GapMatrix] = []
    vectors: list[GapMatrix] = []
    seen: list[ChunkView] = []
    walked: list[RouteView] = []
    for number, views in enumerate(drawn):
        progress(number / len(drawn))
        found = network.features(scan, views, dense=settings.chunks)
        gaps.append(network.matrix(found))
        if settings.vectors:
            vectors.append(network.matrix(found, "vectors"))
            walked += network.routes(found)
        if settings.chunks:
            seen += network.chunks(scan, found)
    numbers = _of_matrices(gaps)
    if vectors:
        numbers |= {f"vector_{name}": value for name, value in _of_matrices(vectors).items()}
        numbers["route_end_error_mm"] = _mean([one.end_error_mm for one in walked])
        drifts = [one.drift_mm for one in walked if one.drift_mm is not None]
        numbers["loop_drift_mm"] = _mean(drifts)
    if settings.chunks:
        near, apart = [one.adjacent_right for one in seen], [one.separate for one in seen]
        numbers |= _accuracies(near, apart)
        numbers |= {
            "distant_chunk_accuracy": _mean([float(one.distant_right) for one in seen]),
            "chunk_accuracy_of_six": _mean([float(one.adjacent_right_of_six) for one in seen]),
        }
    return numbers


def raw_intensity(network: Inspector, scan: Scan, drawn: Sequence[Views]) -> Numbers:
    """Accuracies of correlated grey values on the same chunks; the network looks at nothing."""
    seen = [pair for views in drawn for pair in network.raw(scan, views)]
    near = [chunks.verdicts(alike)[0] for alike, _ in seen]
    apart = [separate for _, separate in seen]
    numbers = _accuracies(near, apart)
    numbers["distant_chunk_accuracy"] = _mean([float(chunks.verdicts(one)[1]) for one, _ in seen])
    of_six = [float(chunks.verdicts(one, chunks.SIX)[0]) for one, _ in seen]
    return numbers | {"chunk_accuracy_of_six": _mean(of_six)}


def _accuracies(right: Sequence[Any], separate: Sequence[bool]) -> Numbers:
    """Of all pairs of views, of those whose chunks share no voxel, and of the others."""
    both = list(zip(map(float, right), separate, strict=True))
    return {
        "chunk_accuracy": _mean([one for one, _ in both]),
        "chunk_accuracy_separate": _mean([one for one, apart in both if apart]),
        "chunk_accuracy_sharing": _mean([one for one, apart in both if not apart]),
    }


def chance(drawn: Sequence[Views], own: Numbers) -> dict[str, float]:
    """What each of a network's numbers is worth for one that learned nothing, as ``chance_``.

    Errors are those of the best constants for these very views; a rank correlation is 0, and
    of the pairs of chunks, four of different views or all six, one is guessed.
    """
    true = np.concatenate([_others(views.gaps_mm) for views in drawn])
    lengths = np.linalg.norm(true, axis=1)
    error = np.abs(true - np.median(true, axis=0))
    base = {
        "mae_mm": float(error.mean()),
        "norm_mae_mm": float(np.abs(lengths - np.median(lengths)).mean()),
        "spearman": 0.0,
        **{f"mae_mm_{name}": float(error[:, axis].mean()) for axis, name in enumerate(AXES)},
        **{f"spearman_{name}": 0.0 for name in AXES},
    }
    found = {**base, **{f"vector_{name}": value for name, value in base.items()}}
    # All ends are equally likely: a route that leads nowhere misses by its gap.
    found["route_end_error_mm"] = float(lengths.mean())
    accuracies = ("", "_separate", "_sharing")
    found |= dict.fromkeys((f"chunk_accuracy{pairs}" for pairs in accuracies), chunks.CHANCE)
    found["distant_chunk_accuracy"] = chunks.CHANCE
    found["chunk_accuracy_of_six"] = chunks.CHANCE_OF_SIX
    return {f"chance_{name}": value for name, value in found.items() if own.get(name) is not None}


def _of_matrices(matrices: Sequence[GapMatrix]) -> Numbers:
    predicted, true = (
        np.concatenate([_others(one) for one in each])
        for each in (
            [matrix.predicted_mm for matrix in matrices],
            [matrix.true_mm for matrix in matrices],
        )
    )
    error = np.abs(predicted - true)
    lengths, true_lengths = (np.linalg.norm(one, axis=1) for one in (predicted, true))
    numbers: Numbers = {
        "mae_mm": float(error.mean()),
        "norm_mae_mm": float(np.abs(lengths - true_lengths).mean()),
        "spearman": _known(spearman(lengths, true_lengths)),
    }
    for axis, name in enumerate(AXES):
        numbers[f"mae_mm_{name}"] = float(error[:, axis].mean())
        numbers[f"spearman_{name}"] = _known(spearman(predicted[:, axis], true[:, axis]))
    return numbers


def _drawn(
    network: Inspector,
    scan: Scan,
    part: Part,
    numbers: dict[str, Any],
    views: int,
    rows: int,
    seed: int,
) -> Report:
    """What is shown of one part, with the numbers of what is shown."""
    shown = network.draw(scan, views, seed)
    found = network.features(scan, shown, dense=part == "chunks")
    matrix = network.matrix(found, "vectors" if part == "routes" else "gaps")
    numbers = {**numbers, "shown": matrix.consistency.plain()}
    if part == "routes":
        few = network.features(scan, network.at(scan, shown.centers_mm[:_VIEWS]))
        return Report(scan, part, numbers, matrix, routes=network.routes(few))
    if part == "chunks":
        return Report(scan, part, numbers, matrix, chunks=network.chunks(scan, found))
    along = network.matrix(network.features(scan, network.row(scan, rows)))
    layouts = {source: matrix.layout(source) for source in ("vectors", "norm")}
    numbers["layout"] = {
        source: {
            "error_mm": one.error_mm,
            "chance_error_mm": one.chance_mm,
            "stress": one.stress,
            # Differences of places, and their lengths, are explained by those places.
            "zero_by_construction": ["stress"] if matrix.closed else [],
        }
        for source, one in layouts.items()
    }
    numbers["rows"] = along.consistency.plain()
    return Report(scan, part, numbers, matrix, rows=along)


def _check(network: Inspector, part: Part) -> None:
    settings = network.settings
    if (part == "routes" and not settings.vectors) or (part == "chunks" and not settings.chunks):
        raise MrisslError(
            f"this run was not trained for {part}",
            where="observable",
            remedy="train one with vectors and chunks",
        )


def _about(network: Inspector, scan: Scan, sets: int, seed: int) -> dict[str, Any]:
    settings = network.settings
    return {
        "software": f"napari-mrissl {__version__}",
        "method": "observable",
        "run": network.card.get("run"),
        "step": network.card.get("step"),
        "shuffled_targets": bool(network.card.get("shuffled", False)),
        "identity": scan.identity,
        "preprocessing": network.card.get("preprocessing"),
        "view": settings.view.model_dump(mode="json"),
        "vector_head": settings.vector_head if settings.vectors else None,
        "views_of_a_set": _VIEWS,
        "sets": sets,
        "seed": seed,
    }


def _others(gaps: Floats) -> Floats:
    """(V (V - 1), 3) of different views."""
    return gaps[off_diagonal(len(gaps))]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
