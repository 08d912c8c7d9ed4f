"""``mrissl synthesize``: training data from label maps, or from nothing at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from napari_mrissl.cli.arguments import Flag, Whole, within
from napari_mrissl.cli.terminal import Progress, say, show_json
from napari_mrissl.errors import MrisslError

_MOST = 1_000_000


def heads(
    *,
    out: Path,
    count: Whole,
    side: Whole = 128,
    seed: Whole = 0,
    templates: Path | None = None,
    contrast: Literal["realistic", "random"] = "realistic",
    split: Literal["train", "test", "all"] = "all",
    json: Flag = False,
) -> None:
    """Paint whole heads with their labels.

    Writes OUT/images, OUT/labels and OUT/subjects.json, which says the subject of each
    head: split your data by it.

    Parameters
    ----------
    out
        The folder to write to, made if need be; no file in it is replaced.
    count
        How many heads; templates are used in turn.
    side
        Voxels along each side, a multiple of 16 from 16 to 512.
    seed
        The same seed gives the same heads.
    templates
        A folder with label maps in FreeSurfer's numbering; without it MNI152 and its
        tissues, deformed.
    contrast
        Grey values as in T1-, T2- or proton-density-weighted scans, or any.
    split
        Which templates to use: a quarter of them is for tests.
    json
        Print one JSON object: the table of subjects.
    """
    from napari_mrissl.synthesis.export import export_heads
    from napari_mrissl.synthesis.head_templates import subjects_of_folder, subjects_of_mni152
    from napari_mrissl.synthesis.heads import Heads, HeadSettings

    _check(count, side, seed)
    subjects = subjects_of_mni152() if templates is None else subjects_of_folder(templates)
    made = Heads(subjects, HeadSettings(side=side, contrast=contrast), seed, split)
    rows = export_heads(made, count, out, progress=Progress("painting heads"))
    used = {row["subject"] for row in rows}
    _report(f"{count} heads of {len(used)} subjects written", "heads", rows, json=json)


def ensembles(
    *,
    out: Path,
    count: Whole,
    side: Whole = 128,
    seed: Whole = 0,
    templates: Path | None = None,
    json: Flag = False,
) -> None:
    """Paint label ensembles, two views of each.

    Parameters
    ----------
    out
        The folder to write to, made if need be; no file in it is replaced.
    count
        How many pairs of views.
    side
        Voxels along each side, a multiple of 16 from 16 to 512.
    seed
        The same seed gives the same pairs.
    templates
        A folder with any label maps; without it shapes made by rule.
    json
        Print one JSON object: every drawn parameter.
    """
    from napari_mrissl.synthesis import Engine, EngineSettings, Templates
    from napari_mrissl.synthesis.export import export_ensembles

    _check(count, side, seed)
    if templates is None:
        pool = Templates.procedural()
    else:
        pool = Templates.from_folder(templates, progress=Progress("reading label maps"))
    engine = Engine(pool, EngineSettings.of_side(side), seed)
    rows = export_ensembles(engine, count, out, progress=Progress("painting ensembles"))
    _report(f"{count} pairs written", "ensembles", rows, json=json)


def _check(count: int, side: int, seed: int) -> None:
    within("--count", count, 1, _MOST)
    within("--seed", seed, 0, 2**63 - 1)
    if within("--side", side, 16, 512) % 16:
        raise MrisslError(f"{side}", where="--side", expected="a multiple of 16")


def _report(sentence: str, kind: str, rows: list[dict[str, Any]], *, json: bool) -> None:
    say(sentence)
    if json:
        show_json({"kind": kind, "count": len(rows), "subjects": rows})
