"""``mrissl benchmark features``: what frozen features are worth on labelled scans, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter, Token

from napari_mrissl.cli.arguments import Flag, Names, Whole, listed, whole_number
from napari_mrissl.cli.terminal import Progress, resumable, say, say_file, show_json
from napari_mrissl.errors import MrisslError


def _whole_numbers(kind: Any, tokens: Any) -> tuple[int, ...]:
    parts = listed(kind, tokens)
    return tuple(whole_number(kind, [Token(value=part)]) for part in parts)


Numbers = Annotated[tuple[int, ...], Parameter(converter=_whole_numbers, n_tokens=1, negative="")]


def frozen_features(
    *,
    weights: Names,
    data: Path,
    out: Path,
    shots: Numbers = (1, 3, 10),
    draws: Whole = 3,
    test: Whole = 40,
    voxels: Whole = 30_000,
    decision: Literal["dice", "likeliest"] = "dice",
    seed: Whole = 0,
    json: Flag = False,
) -> None:
    """Frozen features and a linear head on labelled scans: Dice on test scans, for each source.

    Ctrl-C stops; the same command goes on from there, and further weights, shots or draws are
    added to what is done. table.csv, table.md and table.json give mean, spread over draws, and
    95 % intervals over subjects.

    Parameters
    ----------
    weights
        Comma-separated: names of weights, runs or files of weights, and the words random (a new
        network of the size of the first, three seeds), filters and intensity. Behind weights or
        random, +scales adds features of the coarser levels of the network's decoder; behind a run
        of diffusion +5dB or +t150 chooses the noise, and +zeroed tells it no coordinates; behind
        one of coordinates +intensity adds grey values.
    data
        A folder with images and labels, whose files have the same names.
    out
        The folder of the comparison.
    shots
        Numbers of training scans, e.g. 1,3,10.
    draws
        How often training scans are drawn.
    test
        Test scans; one of each subject, never drawn from.
    voxels
        Of each training scan, drawn evenly.
    decision
        How scores become labels: background taken back by the amount that gives the best Dice
        on the training voxels, or the likeliest class, which misses what is small.
    seed
        Of split, draws and voxels.
    json
        Print the table as JSON.
    """
    from dataclasses import asdict

    from pydantic import ValidationError

    from napari_mrissl.evaluation import frozen, frozen_sources
    from napari_mrissl.evaluation.labelled_scans import labelled_scans

    try:
        settings = frozen.FrozenSettings(
            shots=shots, draws=draws, test=test, voxels=voxels, decision=decision, seed=seed
        )
    except ValidationError as reasons:
        first = reasons.errors(include_url=False)[0]
        place = f"--{first['loc'][0]}"
        raise MrisslError(f"{first['input']!r}: {first['msg']}", where=place) from reasons
    # What is wrong with the words is said before scans are read.
    sources = frozen_sources.named(weights)
    reading = Progress("reading labelled scans")
    scans = labelled_scans(data, reading)
    if scans.left_out:
        say(f"{scans.left_out} further scans of the same subjects, or copies, are left out")
    with resumable():
        rows = frozen.compare(out, sources, scans, settings, tell=say)
    if json:
        show_json({"rows": [asdict(row) for row in rows]})
        return
    from napari_mrissl.evaluation.score_tables import TABLE_FOR_PEOPLE

    say_file(out / TABLE_FOR_PEOPLE)
