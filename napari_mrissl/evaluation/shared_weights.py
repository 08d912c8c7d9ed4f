"""The network of a run as one small file to give to others, and its model card.

The card says how the network was trained and what was measured with it; the same is written
as Markdown for people beside it. Neither names a person, a folder or a machine.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.features.network import PAINTED, PERCENTILES
from napari_mrissl.networks.weight_library import WeightFile, weights_named
from napari_mrissl.networks.weights import read_card, save
from napari_mrissl.training.card import SEEN_AT_LEAST, seen, subject_counts, tells
from napari_mrissl.training.events import ChanceEvent, EventTail, StepEvent, ValidationEvent
from napari_mrissl.training.known_scans import UNTOLD
from napari_mrissl.volumes.atomic import write_text

if TYPE_CHECKING:
    import torch

    from napari_mrissl.training.run import Run
    from napari_mrissl.training.settings import RunSettings

MOST_BYTES = 15_000_000
"""Of a file that ships."""

E = TypeVar("E")

LICENCE = "BSD-3-Clause"
SUFFIX = ".safetensors"

_POINTS = 40
_MOST_TABLE = 1 << 20
_LONGEST_TEXT = 2000
_SEEN = {
    "ensembles": "label ensembles drawn by the data engine; no scan of anybody",
    "heads": "heads painted from tissue maps by the data engine; no scan of anybody",
    "maps": "label maps, from which the data engine paints images; no image of anybody",
    "scans": "scans",
}


def share(
    run: Run,
    out: Path,
    *,
    half: bool = False,
    measured: Path | None = None,
    licence: str = LICENCE,
    about: str = "",
) -> WeightFile:
    """Write the network of a run, without its heads, and what is known of it.

    Parameters
    ----------
    run
        One that trained a plain U-Net.
    out
        The file; Markdown of the same name comes beside it.
    half
        Whether convolutions are stored in half precision; normalisation never is.
    measured
        A table that ``mrissl benchmark features`` wrote as JSON.
    licence, about
        Of the weights; a sentence or two on the data, such as where templates come from.

    Raises
    ------
    MrisslError
        If the run has no such network, the file is there already, would be larger than what
        ships, or the table is none.
    """
    if out.suffix != SUFFIX:
        raise MrisslError("is no name of weights", where=out, expected=f"a name ending in {SUFFIX}")
    for place in (out, out.with_suffix(".md")):
        if place.exists():
            raise MrisslError("is there already", where=place, remedy="choose another name")
    source = weights_named(run.folder)
    card = described(run, source, _measured(measured), licence, about) | {"half": half}
    state = _stored(source, half=half)
    size = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if size > MOST_BYTES:
        raise MrisslError(
            f"would have {size / 1e6:.1f} MB",
            where=out,
            expected=f"at most {MOST_BYTES / 1e6:.0f} MB",
            remedy="store half precision" if not half else "train a smaller network",
        )
    save(out, state, card)
    write_text(out.with_suffix(".md"), markdown(card))
    return weights_named(out)


def described(
    run: Run,
    source: WeightFile,
    measured: Mapping[str, Any] | None,
    licence: str,
    about: str,
) -> dict[str, Any]:
    """The card: data, settings, steps, curves, what was measured; JSON-able."""
    settings = run.settings
    inside = read_card(source.path)
    data = settings.data
    # Hashes of contents: they tell what was seen and name nobody.
    known, whole = sorted(seen(run)), tells(run)
    card: dict[str, Any] = {
        "method": settings.method,
        "step": inside.get("step"),
        "steps": settings.optimisation.steps,
        "seed": settings.seed,
        "shuffled": settings.shuffled,
        "initial": settings.initial,
        "network": {"kind": "unet", **vars(source.size)},
        "preprocessing": _preprocessing(settings),
        "task": settings.task,
        "optimisation": settings.optimisation.model_dump(mode="json"),
        "data": {
            "kind": data.kind,
            "what": _trained_on(settings),
            "about": printable(about)[:_LONGEST_TEXT],
            "engine": data.engine,
            **subject_counts(settings),
            **({"subjects": known} if whole else {}),
        },
        **({} if whole else {SEEN_AT_LEAST: known}),
        "licence": printable(licence)[:200],
        "curves": curves(run.folder),
        "measured": dict(measured) if measured else None,
        "run": run.identity.uuid,
        "created": run.identity.created,
        "software": run.identity.software,
        "environment": run.identity.environment,
        "trained_as": source.identity,
    }
    return json.loads(json.dumps(card, allow_nan=False))  # type: ignore[no-any-return]


def _preprocessing(settings: RunSettings) -> dict[str, Any]:
    if settings.method == PAINTED:
        low, high = PERCENTILES
        return {"kind": "percentile", "low": low, "high": high}
    return settings.data.preprocessing.model_dump(mode="json")


def _trained_on(settings: RunSettings) -> str:
    kind = "maps" if settings.method == PAINTED and settings.data.kind == "scans" else None
    return _SEEN[kind or settings.data.kind]


def curves(folder: Path) -> dict[str, Any]:
    """Loss terms over steps as medians of up to 40 stretches; held-out values; chance; seconds.

    Raises
    ------
    MrisslError
        If the events cannot be read.
    """
    steps: dict[int, StepEvent] = {}
    held_out: dict[int, ValidationEvent] = {}
    chance: dict[str, float] = {}
    for event in EventTail(folder).poll():
        # After a resume some steps were taken again; the later ones count.
        if isinstance(event, StepEvent):
            steps[event.step] = event
        elif isinstance(event, ValidationEvent):
            held_out[event.step] = event
        elif isinstance(event, ChanceEvent):
            chance |= {name: value for name, value in event.terms.items() if value is not None}
    taken = [steps[number] for number in sorted(steps)]
    measured = [held_out[number] for number in sorted(held_out)]
    return {
        "training": [_point(part) for part in _stretches(taken)],
        "held_out": [_point(part) for part in _stretches(measured)],
        "chance": {name: _rounded(value) for name, value in chance.items()},
        "seconds": round(sum(event.seconds or 0.0 for event in taken), 1),
    }


def markdown(card: Mapping[str, Any]) -> str:
    """The card for people."""
    return "\n".join(_lines(card)) + "\n"


def _measured(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        if path.stat().st_size > _MOST_TABLE:
            raise MrisslError("is too long", where=path, expected="a table of a benchmark")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, MrisslError):
            raise
        raise MrisslError(
            "could not be read", where=path, expected="a table of a benchmark as JSON"
        ) from error
    rows = content.get("rows") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise MrisslError("has no rows", where=path, expected="a table of a benchmark as JSON")
    return {"protocol": content.get("protocol"), "rows": rows}


def _stored(source: WeightFile, *, half: bool) -> dict[str, torch.Tensor]:
    import torch

    from napari_mrissl.networks.weight_library import load_unet

    state = load_unet(source).state_dict()
    if not half:
        return state
    # Statistics of a normalisation may leave the range of half precision, and cost nothing.
    found = {n: t.half() if t.ndim == 5 else t for n, t in state.items()}
    if not all(bool(torch.isfinite(tensor).all()) for tensor in found.values()):
        raise MrisslError(
            "leave the range of half precision", where="weights", remedy="store them in full"
        )
    return found


def _stretches(events: Sequence[E]) -> Iterator[Sequence[E]]:
    count = min(_POINTS, len(events))
    for number in range(count):
        yield events[number * len(events) // count : (number + 1) * len(events) // count]


def _point(events: Sequence[StepEvent | ValidationEvent]) -> dict[str, Any]:
    """The last step of a stretch, and the median of each term over it."""
    names = dict.fromkeys(name for event in events for name in event.terms)
    terms: dict[str, float] = {}
    for name in ("total", *names):
        values = [event.total if name == "total" else event.terms.get(name) for event in events]
        known = [value for value in values if value is not None]
        if known:
            terms[name] = _rounded(statistics.median(known))
    return {"step": events[-1].step, **terms}


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


def _lines(card: Mapping[str, Any]) -> Iterator[str]:
    network, data, options = card["network"], card["data"], card["optimisation"]
    yield f"# Model card: {_plain(card['method'])}"
    yield ""
    yield (
        "Weights of a network that gives features of every voxel of a 3D medical image. For "
        "research; not a medical device. They were measured only as far as this card says."
    )
    yield from _section("Network")
    yield (
        f"The plain U-Net of arXiv:2411.02372, drawn and trained anew: {network['out_channels']} "
        f"features, width {network['width']}, sides halved {network['depth']} times"
        + (", convolutions stored in half precision." if card["half"] else ".")
    )
    preparation = card["preprocessing"]
    yield ""
    yield (
        f"Grey values are scaled so that {preparation['kind']} {preparation['low']:g} becomes 0 "
        f"and {preparation['high']:g} becomes 1."
    )
    yield from _section("Data and licence")
    yield from _items({"Licence": card["licence"], "Trained on": data["what"]})
    if data["about"]:
        yield f"- {_plain(data['about'])}"
    yield from _section("Training")
    yield from _items(
        {
            "Steps": f"{card['step']} of {card['steps']}",
            "Seconds": card["curves"]["seconds"],
            "Seed": card["seed"],
            "Started from": f"weights {card['initial'][:12]}" if card["initial"] else "random ones",
            "Labels shuffled (null control)": "yes" if card["shuffled"] else "no",
            **{
                name.replace("_", " ").capitalize(): options[name]
                for name in ("batch", "learning_rate", "betas", "weight_decay", "precision")
                if name in options
            },
            "Machine": ", ".join(f"{n} {v}" for n, v in card["environment"].items()),
            "Software": ", ".join(f"{n} {v}" for n, v in card["software"].items()),
        }
    )
    if SEEN_AT_LEAST in card:
        yield f"- Not all is known that they saw: {UNTOLD}"
    yield f"- Settings of the task: {_code(card['task'])}"
    yield f"- Settings of the data engine, where not its own: {_code(data['engine'])}"
    yield from _section("Curves")
    yield from _curve_table(card["curves"])
    yield from _section("Measured")
    yield from _measured_table(card["measured"])


def _curve_table(found: Mapping[str, Any]) -> Iterator[str]:
    parts = [
        (name, found[key]) for name, key in (("training", "training"), ("held out", "held_out"))
    ]
    terms = list(dict.fromkeys(n for _, points in parts for p in points for n in p if n != "step"))
    if not terms:
        yield "None yet."
        return
    yield f"| | step | {' | '.join(map(_plain, terms))} |"
    yield "|---" * (len(terms) + 2) + "|"
    chance = " | ".join(_number(found["chance"].get(name)) for name in terms)
    yield f"| chance | | {chance} |"
    for name, points in parts:
        for point in points:
            values = " | ".join(_number(point.get(term)) for term in terms)
            yield f"| {name} | {point['step']} | {values} |"


def _measured_table(measured: Mapping[str, Any] | None) -> Iterator[str]:
    if measured is None:
        yield "Nothing yet."
        return
    heads = list(dict.fromkeys(name for row in measured["rows"] for name in row))
    yield f"| {' | '.join(_plain(str(head)) for head in heads)} |"
    yield "|---" * len(heads) + "|"
    for row in measured["rows"]:
        yield f"| {' | '.join(_number(row.get(head)) for head in heads)} |"
    if measured.get("protocol") is not None:
        yield ""
        yield f"Protocol: {_code(measured['protocol'])}"


def _section(title: str) -> Iterator[str]:
    yield from ("", f"## {title}", "")


def _items(values: Mapping[str, object]) -> Iterator[str]:
    for name, value in values.items():
        yield f"- {_plain(name)}: {_plain(str(value))}"


def _number(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else _plain(str(value))


def _code(content: object) -> str:
    """JSON as Markdown shows code: as it is, so that only the mark of its end is taken out."""
    return f"`{printable(json.dumps(content, sort_keys=True)).replace('`', '?')}`"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: it may come from a file of somebody else."""
    return re.sub(r"([\\`*\[\]<>|#!])", r"\\\1", printable(text))
