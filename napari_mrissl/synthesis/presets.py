"""Named settings of the data engine, kept as JSON for the studio and for training."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from napari_mrissl.directories import data_directory, made_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.synthesis.settings import EngineSettings
from napari_mrissl.volumes.atomic import write_atomically

PUBLISHED = "Published"
"""The preset that is always there: the faithful defaults."""

_FORMAT = "napari-mrissl engine preset"
_SUFFIX = ".json"
_LONGEST_NAME = 60
_LARGEST_FILE = 1 << 20
# Windows keeps these for devices.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def presets_directory() -> Path:
    """Folder of the user's presets, one JSON file each."""
    return data_directory() / "engine_presets"


def clean_name(name: str) -> str:
    """The name as it is kept: letters, digits, spaces, ``-``, ``_``, ``.``; at most 60.

    Raises
    ------
    MrisslError
        If nothing is left, or the name is that of the built-in preset.
    """
    kept = re.sub(r"[^\w\s.-]", " ", unicodedata.normalize("NFC", name))
    cleaned = " ".join(kept.split())[:_LONGEST_NAME].strip(" .")
    if not any(letter.isalnum() for letter in cleaned) or _RESERVED.fullmatch(cleaned):
        raise MrisslError(
            f"the name {name[:_LONGEST_NAME]!r}", where="preset", expected="letters or digits"
        )
    if cleaned.casefold() == PUBLISHED.casefold():
        raise MrisslError(
            f"the name {PUBLISHED}",
            where="preset",
            expected="another one",
            remedy="the published settings stay as they are",
        )
    return cleaned


def list_presets() -> tuple[str, ...]:
    """Names of all presets: the published one, then the user's in alphabetical order."""
    folder = presets_directory()
    names = [path.stem for path in folder.glob(f"*{_SUFFIX}")] if folder.is_dir() else []
    return (PUBLISHED, *sorted(names, key=str.casefold))


def load_preset(name: str) -> EngineSettings:
    """The settings of this name, e.g. for training.

    Raises
    ------
    MrisslError
        If there is no such preset, or its file is damaged.
    """
    if name == PUBLISHED:
        return EngineSettings()
    path = _path(name)
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_FILE + 1)
    except FileNotFoundError:
        raise MrisslError(
            f"no preset {name[:_LONGEST_NAME]!r}", expected=" or ".join(list_presets())
        ) from None
    except OSError as error:
        raise MrisslError(
            f"could not be read ({error.strerror or type(error).__name__})", where=path
        ) from error
    if len(text) > _LARGEST_FILE:
        raise MrisslError("more than 1 MiB", where=path, expected="a preset of the data engine")
    try:
        content = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise MrisslError("no JSON", where=path, expected="a preset of the data engine") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise MrisslError("another kind of file", where=path, expected=_FORMAT)
    try:
        return EngineSettings.model_validate(content.get("settings"))
    except ValidationError as error:
        raise MrisslError(explained(error), where=path) from error


def save_preset(name: str, settings: EngineSettings) -> str:
    """Keep settings under a name, in place of what was there; returns the name as kept.

    What was there is set aside in the folder ``removed``.

    Raises
    ------
    MrisslError
        If the name cannot be used, or the file cannot be written; then all is as before.
    """
    kept = clean_name(name)
    folder = made_directory(presets_directory())
    content = {"format": _FORMAT, "name": kept, "settings": settings.model_dump(mode="json")}
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    path = folder / (kept + _SUFFIX)
    if path.exists():
        _write(_free_place(kept), _read_bytes(path))
    _write(path, text.encode())
    return kept


def remove_preset(name: str) -> None:
    """Set a preset aside in the folder ``removed``.

    Raises
    ------
    MrisslError
        If there is no such preset of the user, or it cannot be moved.
    """
    path = _path(clean_name(name))
    try:
        path.rename(_free_place(path.stem))
    except OSError as error:
        raise MrisslError(
            f"could not be removed ({error.strerror or type(error).__name__})", where=path
        ) from error


def explained(error: ValidationError) -> str:
    """What is wrong with settings first, as a field's title and a reason."""
    first = error.errors()[0]
    model, title = EngineSettings, ""
    for part in first["loc"]:
        field = getattr(model, "model_fields", {}).get(part)
        if field is not None:
            title, model = field.title or str(part), field.annotation
        elif isinstance(part, str) and not title:
            title = part
    reason = first["msg"].removeprefix("Value error, ")
    return f"{title or 'Settings'}: {reason[:1].lower()}{reason[1:]}"


def _path(name: str) -> Path:
    return presets_directory() / (clean_name(name) + _SUFFIX)


def _free_place(stem: str) -> Path:
    folder = made_directory(presets_directory() / "removed")
    number = 1
    while (folder / f"{stem}.{number}{_SUFFIX}").exists():
        number += 1
    return folder / f"{stem}.{number}{_SUFFIX}"


def _write(path: Path, content: bytes) -> None:
    def write(file: BinaryIO) -> None:
        file.write(content)

    write_atomically(path, write)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MrisslError(
            f"could not be read ({error.strerror or type(error).__name__})", where=path
        ) from error
