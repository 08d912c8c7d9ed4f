"""What commands ask for alike that measure a network on a scan, and how they say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from napari_mrissl.cli.arguments import Flag, Frame, Whole, within
from napari_mrissl.cli.files import open_scan

if TYPE_CHECKING:
    from napari_mrissl.pretext.subjects import Scan

_TRAINED_ON = "trained_on"

Run = Annotated[Path, Parameter(name="RUN")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Examination:
    """Where to, and with what.

    Parameters
    ----------
    out
        The new folder of the report.
    seed
        Of all that is drawn; the same seed gives the same report.
    device
        auto, cpu, cuda, cuda:1 ...
    frame
        Which frame of a file with several, from 0; without it the first.
    json
        Print one JSON object: what report.json holds.
    """

    out: Path
    seed: Whole = 0
    device: str = "cpu"
    frame: Frame = None
    json: Flag = False

    def begin(self, *runs: Path | None) -> dict[str, Any]:
        """The card of the first run, after all that can be refused before a scan is read.

        Raises
        ------
        MrisslError
            If the folder is there already, or a run cannot be read.
        """
        from napari_mrissl.evaluation.weights import card_of
        from napari_mrissl.trajectories.new_folder import check_new_folder

        within("--seed", self.seed, 0, 2**31 - 1)
        check_new_folder(self.out)
        first, *_ = [card_of(run) for run in runs if run is not None]
        return first

    def found_device(self) -> str:
        """The device that was asked for."""
        from napari_mrissl.training.collective import device_of

        return str(device_of(self.device))

    def read(self, scan: Path, card: Mapping[str, Any]) -> Scan:
        """A scan, prepared as the card says."""
        from napari_mrissl.evaluation.weights import scan_for

        return scan_for(open_scan(scan, self.frame), dict(card))


def known_to(run: Path, scan: Scan) -> dict[str, bool | None]:
    """Whether a run was trained on the scan, for its report; null where the weights do not say.

    What is measured on a scan that the network knows says nothing of others.
    """
    from napari_mrissl.evaluation.weights import weights_of
    from napari_mrissl.training.known_scans import saw

    return {_TRAINED_ON: saw(weights_of(run), scan.volume)}


def whether_known(numbers: Mapping[str, Any]) -> dict[str, object]:
    """A line of what `known_to` found."""
    said = {True: "yes: its numbers are not those of a new scan", False: "no"}
    return {"trained on this scan": said.get(numbers[_TRAINED_ON], "the weights do not say")}


def beside_chance(numbers: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Lines of numbers that have a chance level, with it."""
    return {
        f"{prefix}{name}".replace("_", " "): (
            f"{_shown(value)} (chance {_shown(numbers[f'chance_{name}'])})"
        )
        for name, value in numbers.items()
        if f"chance_{name}" in numbers
    }


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
