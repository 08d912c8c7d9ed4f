"""What the fields of a settings model are called, and what its docstring says about them."""

from __future__ import annotations

import inspect
import re

from pydantic import BaseModel


def title_of(name: str) -> str:
    """A field's name in words: ``scales_mm`` becomes ``Scales (mm)``."""
    words = re.sub(r" (mm|s|ms|gib)$", r" (\1)", name.replace("_", " "))
    return words[:1].upper() + words[1:]


def attribute_notes(model: type[BaseModel]) -> dict[str, str]:
    """What a numpy-form docstring says about each attribute, as plain sentences."""
    text = inspect.getdoc(model) or ""
    found = re.search(
        r"^(?:Attributes|Parameters)\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", text, re.M | re.S
    )
    notes: dict[str, str] = {}
    names: list[str] = []
    for line in found.group(1).splitlines() if found else ():
        if line and not line[0].isspace():
            names = [name.strip() for name in line.split(":")[0].split(",")]
        elif line.strip():
            plain = line.strip().replace("`", "")
            for name in names:
                notes[name] = f"{notes.get(name, '')} {plain}".strip()
    return notes
