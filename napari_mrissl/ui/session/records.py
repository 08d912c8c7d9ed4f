"""What a session file says: plain data, checked part by part, so that one bad part stays alone."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.segmentation.prompts import PromptClass

VERSION = 1
LARGEST = 16 << 20
"""Bytes beyond which a session file is refused: real ones have a few thousand."""

_MOST = 1000

Name = Annotated[str, Field(max_length=1000)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Triple = tuple[FiniteFloat, FiniteFloat, FiniteFloat]
Color = tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
Numbers = Annotated[tuple[FiniteFloat, ...], Field(max_length=20)]
Row = Annotated[tuple[FiniteFloat, ...], Field(min_length=4, max_length=4)]


class _Part(BaseModel):
    # Keys of a later version are none of ours.
    model_config = ConfigDict(frozen=True, extra="ignore")


class ScanReference(_Part):
    """A scan by what it is, not by where it lies.

    Attributes
    ----------
    identity
        Of the volume.
    frame
        Which 3-D array of its file.
    name
        To speak of it.
    sample
        Key of the sample scan it is, if it has no file.
    """

    identity: Sha256
    frame: int = Field(default=0, ge=0, lt=1 << 20)
    name: Name = "scan"
    sample: Name | None = None


class Look(_Part):
    """How a layer is shown; None for what its kind of layer does not have."""

    name: Name
    visible: bool = True
    opacity: FiniteFloat = Field(default=1.0, ge=0, le=1)
    blending: Name = "translucent"
    affine: tuple[Row, Row, Row, Row] | None = None
    contrast_limits: tuple[FiniteFloat, FiniteFloat] | None = None
    colormap: Name | None = None
    gamma: FiniteFloat | None = None
    rendering: Name | None = None
    interpolation2d: Name | None = None
    interpolation3d: Name | None = None
    contour: int | None = Field(default=None, ge=0, le=100)
    brush_size: FiniteFloat | None = Field(default=None, gt=0, le=1000)
    colors: dict[int, Color] | None = Field(default=None, max_length=_MOST)


class LayerRecord(_Part):
    """One layer of ours.

    Attributes
    ----------
    kind
        What is on the scan's grid: the scan itself, labels, or clicks.
    scan
        Whose grid it is.
    look
        How it is shown.
    role
        What the layer is to the panel "Click segmentation", if anything.
    voxels, dtype
        Checksum and type of the labels kept beside the session; None while the labels are
        the scan's own voxels.
    features
        Columns of label names.
    clicks
        R, A, S in mm and a label each.
    classes
        Of clicks and scribbles.
    made
        How a segmentation was made.
    """

    kind: Literal["image", "labels", "clicks"]
    scan: ScanReference
    look: Look
    role: Name | None = None
    voxels: Sha256 | None = None
    dtype: Literal["|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8"] | None = None
    features: dict[str, Annotated[list[int | FiniteFloat | str], Field(max_length=100_000)]] = {}
    clicks: tuple[tuple[FiniteFloat, FiniteFloat, FiniteFloat, int], ...] = ()
    classes: tuple[PromptClass, ...] = ()
    made: dict[str, Any] | None = None


class ViewRecord(_Part):
    """The main viewer's sliders and camera, in napari's world (S, A, R) mm."""

    ndisplay: Literal[2, 3] = 2
    order: Annotated[tuple[int, ...], Field(max_length=20)] = ()
    point: Numbers = ()
    center: Triple | None = None
    zoom: FiniteFloat | None = Field(default=None, gt=0)
    angles: Triple | None = None
    convention: Name | None = None
    active: Name | None = None


class DockPlace(_Part):
    """Where a dock is: its side, its place among the groups there, and its size in pixels."""

    area: Literal["left", "right", "top", "bottom"] = "right"
    group: int = Field(default=0, ge=0, lt=100)
    across: bool = False
    front: bool = True
    shown: bool = True
    floating: bool = False
    size: tuple[int, int] = (0, 0)


class DockRecord(_Part):
    """One of our dock widgets: its title in the plugin menu, where it is, what it remembers."""

    title: Name
    place: DockPlace = DockPlace()
    state: dict[str, Any] = {}


class SessionRecord(_Part):
    """Everything that one window showed.

    Attributes
    ----------
    saved
        Local time.
    title
        As the user called it, when it was saved by hand.
    continues
        The earlier session that was brought back whole in this one.
    left_out
        Names of layers that cannot be brought back, and why, one sentence each.
    workspace
        Key of the workspace last opened.
    """

    saved: datetime
    software: Name = ""
    title: Name | None = None
    continues: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    layers: tuple[LayerRecord, ...] = ()
    left_out: tuple[Name, ...] = ()
    view: ViewRecord = ViewRecord()
    docks: tuple[DockRecord, ...] = ()
    workspace: Name | None = None

    @property
    def scans(self) -> int:
        """How many different scans there are."""
        return len({layer.scan.identity for layer in self.layers})

    def describe(self) -> str:
        """Scans and time, in a few words."""
        scans = f"{self.scans} scan" + ("s" if self.scans != 1 else "")
        said = f"{scans}, {self.saved.day} {self.saved:%b %H:%M}"
        return f"{printable(self.title)}: {said}" if self.title else said


def dump(record: SessionRecord) -> bytes:
    """The record as the content of a session file."""
    content = {"format": "napari-mrissl session", "version": VERSION}
    content |= record.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(content, allow_nan=False, indent=1).encode()


def parse(content: bytes, where: str = "session") -> tuple[SessionRecord, list[str]]:
    """A record, and one sentence about each part of the file that could not be understood.

    Raises
    ------
    MrisslError
        If the file as a whole is none.
    """
    if len(content) > LARGEST:
        raise MrisslError("too large for a session file", where=where, expected="at most 16 MiB")
    try:
        found = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise MrisslError("not JSON", where=where, expected="a session file") from error
    if not isinstance(found, dict) or found.get("format") != "napari-mrissl session":
        raise MrisslError("not a session file", where=where)
    if found.get("version") != VERSION:
        raise MrisslError("session of another version", where=where, expected=f"{VERSION}")
    problems: list[str] = []
    parts: dict[str, Any] = {}
    for key, model in (("layers", LayerRecord), ("docks", DockRecord)):
        parts[key] = tuple(_each(found.pop(key, ()), model, key, problems))
    view = _one(found.pop("view", {}), ViewRecord, "the view", problems)
    try:
        record = SessionRecord.model_validate(found)
    except ValidationError as error:
        field = error.errors()[0]["loc"]
        raise MrisslError(
            "a field is wrong", where=where, expected=f"a session's {'.'.join(map(str, field))}"
        ) from error
    return record.model_copy(update={**parts, "view": view or ViewRecord()}), problems


def _each(found: Any, model: type[_Part], key: str, problems: list[str]) -> list[Any]:
    if not isinstance(found, list) or len(found) > _MOST:
        if found:
            problems.append(f"The session's {key} could not be understood.")
        return []
    made = (_one(one, model, f"one of its {key}", problems) for one in found)
    return [one for one in made if one is not None]


def _one(found: Any, model: type[_Part], what: str, problems: list[str]) -> Any:
    try:
        return model.model_validate(found)
    except (ValidationError, RecursionError):
        problems.append(f"The session file is damaged: {what} could not be understood.")
        return None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
