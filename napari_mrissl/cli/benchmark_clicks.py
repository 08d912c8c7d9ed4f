"""``mrissl benchmark clicks``: how many clicks a segmentation takes, as a table and curves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_mrissl.cli.arguments import Flag, Names, Whole, listed
from napari_mrissl.cli.terminal import Progress, resumable, say, say_file, show_json
from napari_mrissl.errors import MrisslError

Following = Annotated[
    tuple[str, ...], Parameter(name="--next", converter=listed, n_tokens=1, negative="")
]


def clicks_needed(
    *,
    features: Names,
    data: Path,
    out: Path,
    following: Following = ("largest-error", "suggested", "random", "by-class"),
    clicks: Whole = 20,
    scans: Whole = 20,
    draws: Whole = 3,
    classifier: str = "fast",
    seed: Whole = 0,
    json: Flag = False,
) -> None:
    """A robot user clicks through labelled scans: Dice after each click, and clicks to a Dice.

    It has the classifier of the viewer, and knows the truth. Ctrl-C stops; the same command
    goes on from there, and further features or ways to choose places are added to what is done.
    table.csv, table.md and table.json count the clicks to a Dice of 0.7, 0.8 and 0.85,
    differences.csv compares scan by scan, curves.csv and curves.png show each click.

    Parameters
    ----------
    features
        Comma-separated: the words filters and intensity, names of weights, runs or files of
        weights, and random (a new network of the size of the first, three seeds).
    data
        A folder with images and labels, whose files have the same names.
    out
        The folder of the comparison.
    following
        Comma-separated ways to choose places after a first click in each class: largest-error
        (in the middle of what is most wrong), suggested (where labelling next is proposed),
        random (anywhere) and by-class (anywhere in a class drawn first).
    clicks
        In each scan, the first ones included.
    scans
        How many; one of each subject.
    draws
        How often what is drawn by chance is tried.
    classifier
        A classifier by name.
    seed
        Of the choice of scans, and of chance.
    json
        Print the tables as JSON.
    """
    from dataclasses import asdict

    from pydantic import ValidationError

    from napari_mrissl.evaluation import click_tables, frozen_sources
    from napari_mrissl.evaluation.clicks import ClickSettings, compare
    from napari_mrissl.evaluation.labelled_scans import labelled_scans
    from napari_mrissl.segmentation.classifiers import CLASSIFIERS

    if classifier not in CLASSIFIERS:
        known = ", ".join(CLASSIFIERS)
        raise MrisslError(f"{classifier!r}", where="--classifier", expected=f"one of {known}")
    try:
        settings = ClickSettings.model_validate(
            {
                "following": following,
                "clicks": clicks,
                "scans": scans,
                "draws": draws,
                "classifier": classifier,
                "seed": seed,
            }
        )
    except ValidationError as reasons:
        first = reasons.errors(include_url=False)[0]
        place = {"following": "--next"}.get(str(first["loc"][0]), f"--{first['loc'][0]}")
        raise MrisslError(f"{first['input']!r}: {first['msg']}", where=place) from reasons
    # What is wrong with the words is said before scans are read.
    sources = frozen_sources.named(features)
    found = labelled_scans(data, Progress("reading labelled scans"))
    if found.left_out:
        say(f"{found.left_out} further scans of the same subjects, or copies, are left out")
    with resumable():
        report = compare(out, sources, found, settings, tell=say)
    if json:
        show_json(asdict(report))
        return
    say_file(out / click_tables.TABLE_FOR_PEOPLE)
