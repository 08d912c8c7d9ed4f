"""Losses of denoisers on held-out subjects, beside their floors; what guidance is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.evaluation.guidance.arms import GUIDED, NONE, SHUFFLED
from napari_mrissl.evaluation.navigation.probing import Measure
from napari_mrissl.pretext.subjects import Subjects

Floats = NDArray[np.float64]

_TRUE, _OFF = "true", "off"


@dataclass(frozen=True, eq=False)
class Losses:
    """Mean squared errors of one denoiser.

    Attributes
    ----------
    by_guide
        (subjects,) losses by ratio in dB, then by what the network is told; means over the scans
        of a subject.
    floors
        By ratio: ``voxelwise`` and ``wiener``, of the patches of the training.
    """

    by_guide: Mapping[str, Mapping[str, Floats]]
    floors: Mapping[str, Mapping[str, float]]

    def plain(self) -> dict[str, Any]:
        """As plain data; `from_plain` takes it back."""
        losses = {
            ratio: {guide: values.tolist() for guide, values in one.items()}
            for ratio, one in self.by_guide.items()
        }
        return {"losses": losses, "floors": {r: dict(one) for r, one in self.floors.items()}}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Losses:
        """The losses of what `plain` gave.

        Raises
        ------
        KeyError, TypeError, ValueError
            If fields are missing or of another form.
        """
        losses = {
            ratio: {guide: np.array(values, np.float64) for guide, values in one.items()}
            for ratio, one in plain["losses"].items()
        }
        return cls(losses, {ratio: dict(one) for ratio, one in plain["floors"].items()})

    def own(self, ratio: str) -> Floats:
        """(subjects,) losses of the network as it was trained to be told."""
        guides = self.by_guide[ratio]
        return guides[_TRUE] if _TRUE in guides else guides[_OFF]

    def measures(self) -> dict[str, Measure]:
        """``loss_15_db`` and so on beside the voxel-wise floor, and ``wiener_15_db``."""
        found = {}
        for ratio in self.by_guide:
            floor = self.floors[ratio]
            values = self.own(ratio)
            found[f"loss_{ratio}_db"] = Measure.of(values, np.array([floor["voxelwise"]]))
            found[f"wiener_{ratio}_db"] = Measure(floor["wiener"])
        return found


def measured(
    weights: Path, subjects: Subjects, patches: int, seed: int, device: str = "cpu"
) -> Losses:
    """Losses at all ratios; the same patches and noise for all denoisers of one patch size.

    Parameters
    ----------
    weights
        Of a run of the method diffusion.
    subjects
        Held out.
    patches
        Of each of them.
    seed
        Of patches and noise.
    device
        Where the network runs.

    Raises
    ------
    MrisslError
        If the weights are of another method, or their card has no moments.
    """
    from napari_mrissl.pretext.diffusion.inspection import RATIOS_DB, Inspector

    network = Inspector.open(weights, device)
    values: dict[str, dict[str, list[float]]] = {f"{ratio:g}": {} for ratio in RATIOS_DB}
    people = []
    for number in range(len(subjects)):
        scan = subjects.scan(number)
        people.append(scan.subject)
        drawn = network.draw(scan, patches, seed + number)
        for ratio in RATIOS_DB:
            for guide, loss in network.losses(drawn, ratio).items():
                values[f"{ratio:g}"].setdefault(guide, []).append(loss)
    floors = {f"{ratio:g}": dict(network.optima(ratio)) for ratio in RATIOS_DB}
    losses = {
        ratio: {guide: _by_person(one, people) for guide, one in guides.items()}
        for ratio, guides in values.items()
    }
    return Losses(losses, floors)


def _by_person(values: list[float], people: list[str]) -> Floats:
    _, where = np.unique(people, return_inverse=True)
    found: Floats = np.bincount(where, values) / np.bincount(where)
    return found


def gaps(known: Mapping[str, Losses]) -> dict[str, dict[str, Measure]]:
    """How much lower losses of networks with coordinates are, in pairs of subjects; 0 is chance.

    ``unguided`` is beside the arm that was trained without coordinates; ``off``, ``shifted`` and
    ``shuffled`` are beside the same network that is told less, or what is wrong. Of the arm that
    was trained on shuffled coordinates there is the first alone.

    Parameters
    ----------
    known
        Of arms by name.
    """
    found: dict[str, dict[str, Measure]] = {}
    for name in (GUIDED, SHUFFLED):
        own = found[name] = {}
        for ratio, guides in known[name].by_guide.items():
            others = {"unguided": known[NONE].own(ratio)}
            if name == GUIDED:
                others |= {guide: values for guide, values in guides.items() if guide != _TRUE}
            for other, values in others.items():
                gap = values - guides[_TRUE]
                own[f"gap_{other}_{ratio}_db"] = Measure.of(gap, np.zeros(1))
    return found
