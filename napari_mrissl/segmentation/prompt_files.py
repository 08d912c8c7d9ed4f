"""Prompts on disk: CSV with x, y, z, label or JSON with classes."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from napari_mrissl.errors import MrisslError
from napari_mrissl.segmentation.prompts import PromptPoint, Prompts

_FORMAT, _VERSION = "napari-mrissl prompts", 1
_COLUMNS = ["x", "y", "z", "label"]
_MOST_BYTES = 64 * 2**20


def read_prompts(path: str | Path) -> Prompts:
    """Prompts from a CSV or JSON file.

    Raises
    ------
    MrisslError
        If the file is neither, naming the line or field.
    """
    path = Path(path)
    text = _text(path)
    return _from_json(text, path) if path.suffix.lower() == ".json" else _from_csv(text, path)


def write_prompts(path: str | Path, prompts: Prompts) -> None:
    """Write prompts as CSV (positions and labels) or JSON (everything), by suffix.

    Raises
    ------
    MrisslError
        If the suffix is neither ``.csv`` nor ``.json``.
    """
    from napari_mrissl.volumes.atomic import write_text

    path = Path(path)
    match path.suffix.lower():
        case ".csv":
            rows = "".join(f"{p.x!r},{p.y!r},{p.z!r},{p.label}\n" for p in prompts.points)
            write_text(path, ",".join(_COLUMNS) + "\n" + rows)
        case ".json":
            write_text(path, to_json(prompts))
        case suffix:
            raise MrisslError(f"suffix {suffix!r}", where=path, expected=".csv or .json")


def to_json(prompts: Prompts) -> str:
    """The JSON document of some prompts, one point per line."""
    document = {"format": _FORMAT, "version": _VERSION, **prompts.model_dump(mode="json")}
    points = document.pop("points")
    head = json.dumps(document, indent=1, ensure_ascii=False)[:-2]
    lines = ",\n".join("  " + json.dumps(point) for point in points)
    return f'{head},\n "points": [\n{lines}\n ]\n}}\n'


def _text(path: Path) -> str:
    if os.path.exists(path) and not os.path.isfile(path):
        raise MrisslError("not a file", where=path, expected="a CSV or JSON file")
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except OSError as reason:
        raise MrisslError(
            f"cannot be read ({reason.strerror})", where=path, expected="a CSV or JSON file"
        ) from reason
    if len(raw) > _MOST_BYTES:
        raise MrisslError("more than 64 MiB", where=path, expected="a file of prompts")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as reason:
        raise MrisslError("not text in UTF-8", where=path, expected="CSV or JSON") from reason


def _from_csv(text: str, path: Path) -> Prompts:
    rows = csv.reader(io.StringIO(text))
    points: list[PromptPoint] = []
    lines: list[int] = []
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if rows.line_num == 1:
                if [c.lower() for c in cells] != _COLUMNS:
                    raise MrisslError(
                        f"header {','.join(cells)[:80]!r}", where=path, expected="x,y,z,label"
                    )
            elif any(cells):
                points.append(_csv_point(cells, path, rows.line_num))
                lines.append(rows.line_num)
    except csv.Error as reason:
        raise MrisslError(
            f"line {rows.line_num}: {reason}", where=path, expected="comma-separated values"
        ) from reason
    if not points:
        raise MrisslError("no prompts", where=path, expected="lines of x,y,z,label")
    return _validated({"points": points}, path, lines)


def _csv_point(cells: list[str], path: Path, line: int) -> PromptPoint:
    try:
        x, y, z, label = cells
        return PromptPoint(float(x), float(y), float(z), int(label))
    except ValueError:
        raise MrisslError(
            f"line {line}: {','.join(cells)[:80]!r}",
            where=path,
            expected="three numbers in mm and a whole label from 1 to 255",
        ) from None


def _from_json(text: str, path: Path) -> Prompts:
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError) as reason:
        raise MrisslError(f"not JSON ({reason})", where=path, expected="prompts") from reason
    if not isinstance(document, dict) or document.pop("format", None) != _FORMAT:
        raise MrisslError("not a prompt file", where=path, expected=f'"format": "{_FORMAT}"')
    version = document.pop("version", None)
    if version != _VERSION:
        raise MrisslError(
            f"version {version!r}"[:80], where=path, expected=f"{_VERSION}", remedy="update"
        )
    return _validated(document, path)


def _validated(document: dict[str, Any], path: Path, lines: list[int] | None = None) -> Prompts:
    try:
        return Prompts.model_validate(document)
    except ValidationError as reasons:
        first = reasons.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "prompts"
        if lines is not None and len(first["loc"]) == 3:
            place = f"line {lines[int(first['loc'][1])]}, {first['loc'][-1]}"
        raise MrisslError(f"{place}: {first['msg']}", where=path) from reasons
