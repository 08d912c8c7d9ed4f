"""Body coordinates of heads never seen are learned, and with them noise is found better.

Distances on held-out bodies are compared with answers that know no anatomy, and noise with the
best that a denoiser can do that takes each voxel by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_mrissl.evaluation.guidance import arms, losses
from napari_mrissl.networks import weights
from napari_mrissl.pretext.coordinates.body_axes import BodyAxes
from napari_mrissl.pretext.coordinates.inspection import Inspector, chance
from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.training import initial
from napari_mrissl.training.building import settings_for
from napari_mrissl.training.layout import WEIGHTS
from napari_mrissl.training.loop import fit
from napari_mrissl.training.measuring import Worth, held_out_worth
from napari_mrissl.training.run import Run
from tests.pretext.vectorpose.scans import Held, scan_of

# What trains is traced in other tests.
pytestmark = pytest.mark.untraced
SIDE = 40
BODIES = range(6)
HELD_OUT = range(100, 103)
COORDINATES = {
    "crop.side": 16,
    "crop.spacing": [0.8, 1.4],
    "crop.pairs": 3,
    "crop.jitter": 0.0,
    "crop.masked": 0.0,
    "scale_mm": 25.0,
    "optimisation.learning_rate": 4e-3,
    "workers": 0,
    "batch": 2,
    "device": "cpu",
}
DIFFUSION = {"patch.side": 16, "patch.voxel_mm": 1.0, "workers": 0, "batch": 4, "device": "cpu"}

LONG = {"optimisation.steps": 700, "optimisation.learning_rate": 3e-3}


def _body(who: int, contrast: float = 1.0) -> Scan:
    """Stripes that turn finer and brighter towards one end of each axis, each person's own."""
    rng = np.random.default_rng(who)
    s, a, r = np.indices((SIDE,) * 3) / SIDE
    grey = 0.15 + 0.6 * s * rng.uniform(0.9, 1.1)
    grey = grey + 0.12 * np.sin(40 * a * (0.3 + a)) + 0.12 * (r > 0.5) * np.cos(60 * r)
    grey = 0.5 + contrast * (grey + rng.normal(0, 0.01, grey.shape) - 0.5)
    return scan_of(grey.clip(0, 1), name=f"person-{who}")


def _run(
    folder: Path,
    method: str,
    changes: dict[str, Any],
    source: Path | None = None,
    contrast: float = 1.0,
) -> Run:
    settings = settings_for(method, None, "tiny", changes)
    if source is None:
        run = Run.create(folder, settings)
    else:
        path, sha256 = initial.weights_file(source)
        run = Run.create(folder, initial.begun_from(settings, path, sha256))
        initial.keep(run, path)
    bodies = _subjects(BODIES, contrast)
    state = fit(run, TASKS, bodies, None, initial=initial.of(run))
    assert state.name == "finished"
    return run


def _subjects(people: range, contrast: float = 1.0) -> Held:
    return Held([_body(who, contrast) for who in people])


def _worth(run: Run) -> dict[str, Worth]:
    return held_out_worth(run, TASKS, _subjects(HELD_OUT), 64)


def _below(worth: Worth) -> float:
    assert worth.below_chance is not None
    return worth.below_chance


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("objective", ["distance", "order"])
def test_coordinates_of_unseen_bodies_are_learned(tmp_path: Path, objective: str) -> None:
    # These bodies are 40 mm long, a fifth of a head: order is as sure over a fifth of the way.
    changes = {**COORDINATES, "steps": 250, "objective": objective, "slope": 0.1, "even": 0.1}
    run = _run(tmp_path / "run", "coordinates", changes)
    worth = _worth(run)
    assert _below(worth[objective]) > 0.25
    assert _below(worth["distance_mm"]) > 0.15
    axes = BodyAxes.from_plain(weights.read_card(run.folder / WEIGHTS)["body_axes"])
    assert axes.error_mm < 10, "a point anywhere in a body is 19 mm from its middle"
    network = Inspector.open(run.folder)
    for who in HELD_OUT:
        body = _body(who)
        located = network.locate(body, network.body_points(body, 500, 0))
        found, guessed = network.measure(located), chance(located)
        print(f"{objective}, person {who}: {found}, chance {guessed}")
        assert found["error_mm"] < guessed["error_mm"]
        for axis in ("right", "anterior", "superior"):
            assert found[f"spearman_{axis}"] > guessed[f"spearman_{axis}"] + 0.3


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nothing_is_learned_from_the_places_of_others(tmp_path: Path) -> None:
    run = _run(tmp_path / "run", "coordinates", {**COORDINATES, "steps": 250, "shuffled": True})
    assert -0.5 < _below(_worth(run)["distance"]) < 0.05


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_noise_is_found_better_than_voxel_by_voxel(tmp_path: Path, prediction: str) -> None:
    first = _run(tmp_path / "coordinates", "coordinates", {**COORDINATES, "steps": 20})
    changes = {**DIFFUSION, "optimisation.steps": 400, "prediction": prediction}
    run = _run(tmp_path / "run", "diffusion", changes, first.folder)
    assert _below(_worth(run)["denoise"]) > 0.1


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_guidance_is_judged_by_runs_of_equal_length(tmp_path: Path) -> None:
    # Of dark grey bodies hardly more than the noise is seen at the lower ratios.
    striking = 3.0
    changes = {**COORDINATES, "steps": 250}
    first = _run(tmp_path / "coordinates", "coordinates", changes, contrast=striking)
    told = {arms.GUIDED: "true", arms.NONE: "none", arms.SHUFFLED: "shuffled"}
    known = {}
    for name, coordinates in told.items():
        changes = {**DIFFUSION, **LONG, "coordinates": coordinates}
        source = None if name == arms.NONE else first.folder
        run = _run(tmp_path / name, "diffusion", changes, source, striking)
        held_out = _subjects(HELD_OUT, striking)
        known[name] = losses.measured(run.folder / WEIGHTS, held_out, 16, 0)
    gaps = losses.gaps(known)
    for ratio, floor in known[arms.GUIDED].floors.items():
        found = {name: float(one.own(ratio).mean()) for name, one in known.items()}
        worth = {
            f"{name}, {key}": one.value / found[arms.GUIDED]
            for name, own in gaps.items()
            for key, one in own.items()
            if key.endswith(f"_{ratio}_db")
        }
        print(f"{ratio} dB: losses {found}, floors {floor}, gaps as shares {worth}")
        for name, loss in found.items():
            assert loss < floor["voxelwise"], f"{name} at {ratio} dB"
        no_gain = gaps[arms.SHUFFLED][f"gap_unguided_{ratio}_db"].value
        assert no_gain < 0.02 * found[arms.NONE], f"shuffled coordinates at {ratio} dB"
