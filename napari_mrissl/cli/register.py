"""``mrissl register``: bring one scan onto another, or every pair of a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from napari_mrissl.cli.arguments import Flag, Whole
from napari_mrissl.cli.terminal import Progress, one_sentence, say, show, show_json
from napari_mrissl.errors import MrisslError

if TYPE_CHECKING:
    from napari_mrissl.registration.pair_files import Outcome, PairFiles
    from napari_mrissl.registration.settings import RegistrationSettings

_PRESETS = {
    "same-person": "same person",
    "smooth": "smooth",
    "mr-mr": "MR to MR",
    "mr-ct": "MR to CT",
}

_BESIDE = ("labels", "fixed_labels", "mask", "fixed_mask", "landmarks")

Range = Annotated[tuple[float, float] | None, Parameter(negative="")]


def register(
    fixed: Annotated[Path, Parameter(name="FIXED")],
    moving: Annotated[Path | None, Parameter(name="MOVING")] = None,
    /,
    *,
    out: Path,
    preset: Literal["same-person", "smooth", "mr-mr", "mr-ct"] = "same-person",
    initial: Literal["header", "centres", "moments", "landmarks"] | None = None,
    linear: Literal["none", "rigid", "affine"] | None = None,
    rigid_only: Flag = False,
    features: Literal["mind", "network", "both", "intensity"] | None = None,
    weights: str | None = None,
    channels: Whole | None = None,
    grid: Whole | None = None,
    search: Whole | None = None,
    iterations: Whole | None = None,
    smoothness: float | None = None,
    spacing: float | None = None,
    memory: float | None = None,
    fixed_window: Range = None,
    moving_window: Range = None,
    labels: Path | None = None,
    fixed_labels: Path | None = None,
    mask: Path | None = None,
    fixed_mask: Path | None = None,
    landmarks: Path | None = None,
    device: str | None = None,
    voxel_field: Flag = False,
    overwrite: Flag = False,
    json: Flag = False,
) -> None:
    """Register a moving scan to a fixed one; all results lie in one folder.

    It gets the moved image and labels, the displacement field (ITK and ANTs: LPS mm, from fixed to
    moving place), its inverse, the Jacobian determinant, the linear part as a 4x4 matrix in RAS
    mm, and all figures as JSON. All files are written or none.

    Parameters
    ----------
    fixed
        The scan that stays, or a CSV table with the columns fixed and moving, and any of name,
        labels, fixed_labels, mask, fixed_mask and landmarks: each pair gets a folder.
    moving
        The scan that is moved; left out for a table.
    out
        The folder for the results; new or empty.
    preset
        Where all other settings begin: same-person, smooth (slower, and closer where the
        displacement is smooth), mr-mr, or mr-ct (the fixed scan is the CT).
    initial
        Begin with the headers, the middles of both grids, centres of mass and axes, or a map that
        is fitted to the landmarks (whose error then is no measure of the result).
    linear
        What follows by mutual information: none, rigid or affine.
    rigid_only
        Stop after the linear alignment.
    features
        What the deformable part compares.
    weights
        Of the network: a name, a run, a file, or random.
    channels
        Reduce the features to so many by principal components; 0 keeps all.
    grid
        Voxels between the nodes of the search.
    search
        How many nodes the search looks each way.
    iterations
        Steps of the refinement.
    smoothness
        Of the field; larger is smoother.
    spacing
        Of the grid on which features are compared in mm; 0 takes the fixed scan's.
    memory
        GiB that the deformable part may take.
    fixed_window
        Two values that the fixed scan is clipped to, e.g. -450 450 for a CT.
    moving_window
        The same for the moving scan.
    labels
        Label map of the moving scan, moved with it.
    fixed_labels
        Label map of the fixed scan: Dice and HD95 are measured.
    mask
        Of the moving scan: nothing outside is compared.
    fixed_mask
        Of the fixed scan.
    landmarks
        CSV table with fixed_x, fixed_y, fixed_z, moving_x, moving_y, moving_z in RAS mm, as mrissl
        match writes them; their error is measured.
    device
        auto, cpu, cuda, cuda:1 ...
    voxel_field
        Also write the field in voxels, as scipy's map_coordinates wants it.
    overwrite
        Replace files that are in the folder.
    json
        Print one JSON object.
    """
    from napari_mrissl.registration.pair_files import PairFiles, register_pair
    from napari_mrissl.registration.settings import PRESETS

    settings = settings_from(
        PRESETS[_PRESETS[preset]],
        {
            "initial": initial,
            "linear": linear,
            "deformable": False if rigid_only else None,
            "features": features,
            "weights": weights,
            "channels": channels,
            "grid": grid,
            "search": search,
            "iterations": iterations,
            "smoothness": smoothness,
            "spacing_mm": spacing,
            "memory_gib": memory,
            "fixed_window": fixed_window,
            "moving_window": moving_window,
            "device": device,
        },
    )
    pair = PairFiles(fixed, moving or fixed, labels, fixed_labels, mask, fixed_mask, landmarks)
    if moving is None:
        _table(pair, out, settings, voxel_field, overwrite, json)
        return
    facts = register_pair(
        pair,
        out,
        settings,
        voxel_field=voxel_field,
        overwrite=overwrite,
        progress=Progress("registering"),
        note=lambda text: say(one_sentence(text)),
    )
    if json:
        show_json(facts)
    else:
        show(_lines(facts))


def _table(
    beside: PairFiles,
    out: Path,
    settings: RegistrationSettings,
    voxel_field: bool,
    overwrite: bool,
    json: bool,
) -> None:
    from napari_mrissl.registration.pair_files import read_table, register_pairs

    if beside.fixed.suffix.lower() != ".csv":
        raise MrisslError("no moving scan given", where="MOVING", expected="a second scan")
    given = [name for name in _BESIDE if getattr(beside, name) is not None]
    if given:
        raise MrisslError(
            f"--{given[0].replace('_', '-')} beside a table", expected=f"a column {given[0]}"
        )
    pairs = read_table(beside.fixed)

    def tell(outcome: Outcome) -> None:
        if outcome.error is not None:
            say(one_sentence(f"{outcome.name} left out: {outcome.error}"))

    outcomes = register_pairs(
        pairs,
        out,
        settings,
        voxel_field=voxel_field,
        overwrite=overwrite,
        progress=Progress(f"registering {len(pairs)} pair{'s' * (len(pairs) > 1)}"),
        tell=tell,
    )
    if json:
        show_json({one.name: one.facts or {"error": one.error} for one in outcomes})
    else:
        show({one.name: _summary(one) for one in outcomes})
    failed = sum(one.error is not None for one in outcomes)
    if failed:
        raise MrisslError(
            f"{failed} of {len(pairs)} pairs could not be registered",
            remedy="the lines above say why",
        )


def settings_from(begin: RegistrationSettings, chosen: dict[str, Any]) -> RegistrationSettings:
    """Settings that begin with others; what is None stays as it is there.

    Raises
    ------
    MrisslError
        If a value is none for its option.
    """
    from pydantic import ValidationError

    from napari_mrissl.registration.settings import RegistrationSettings

    given = {name: value for name, value in chosen.items() if value is not None}
    content = begin.model_dump() | given
    try:
        return RegistrationSettings.model_validate(content)
    except ValidationError as reasons:
        first = reasons.errors(include_url=False)[0]
        field = str(first["loc"][0]).removesuffix("_mm").removesuffix("_gib").replace("_", "-")
        raise MrisslError(
            f"{first['input']!r}: {first['msg'].removeprefix('Value error, ')}", where=f"--{field}"
        ) from reasons


def _lines(facts: dict[str, Any]) -> dict[str, object]:
    lines: dict[str, object] = {
        "largest displacement": f"{facts['largest_displacement_mm']:.2f} mm",
        "folds": f"{100 * facts['fold_share']:.3g} %",
        "inverse, error left": f"{facts['inverse_left_mm']:.2g} mm",
        "seconds": f"{facts['seconds']['all']:.1f}",
    }
    for state, scores in facts.get("labels", {}).items():
        if scores:
            overlap = sum(one["dice"] for one in scores.values()) / len(scores)
            distance = sum(one["hd95_mm"] for one in scores.values()) / len(scores)
            lines[f"labels {state}"] = f"Dice {overlap:.3f}, HD95 {distance:.2f} mm"
    for state, errors in facts.get("landmarks", {}).items():
        lines[f"landmarks {state}"] = (
            f"{errors['mean_mm']:.2f} mm, at most {errors['largest_mm']:.2f} mm"
        )
    return lines


def _summary(outcome: Outcome) -> str:
    if outcome.facts is None:
        return "left out"
    return ", ".join(f"{name} {value}" for name, value in _lines(outcome.facts).items())
