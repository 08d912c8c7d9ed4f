"""What the studio does off the GUI thread: compile the engine, read templates, make samples."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.synthesis.engine import TITLES, Engine
from napari_mrissl.synthesis.label_maps import check_size
from napari_mrissl.synthesis.settings import EngineSettings
from napari_mrissl.synthesis.templates import Templates
from napari_mrissl.ui.jobs import Control
from napari_mrissl.ui.studio.sample import Request, Sample, make_sample

_SMALL = 16
_FEW = 5
_prepared = threading.Event()

Progress = Callable[[float], object]


@dataclass(frozen=True, eq=False)
class Source:
    """Where templates come from.

    Attributes
    ----------
    kind
        ``"procedural"``, ``"folder"`` or ``"layers"``.
    words
        E.g. ``"procedural shapes"``.
    load
        Reads them; gets a function to tell the fraction done.
    folder
        Of a folder, else None.
    """

    kind: str
    words: str
    load: Callable[[Progress], Templates]
    folder: Path | None = None


@dataclass(frozen=True, eq=False)
class Made:
    """A sample, and the pool that it was made with."""

    sample: Sample
    source: Source
    templates: Templates


@dataclass(frozen=True)
class Refused:
    """Why templates cannot be used, in one sentence."""

    sentence: str


def procedural() -> Source:
    """Shapes made by rule."""
    return Source("procedural", "procedural shapes", lambda _: _procedural_pool())


@lru_cache(maxsize=1)
def _procedural_pool() -> Templates:
    """Small, and always the same: made once in a process."""
    return Templates.procedural()


def from_folder(folder: str | Path) -> Source:
    """The label maps of a folder."""
    path = Path(folder)

    def load(progress: Progress) -> Templates:
        return Templates.from_folder(path, progress=progress)

    return Source("folder", f"folder {path.name}", load, path)


def from_layers(layers: list[Any]) -> Source:
    """The viewer's Labels layers, each on its own grid, as they are when they are read.

    Raises
    ------
    MrisslError
        If there are none, one is no 3-D label map, or one is too large.
    """
    if not layers:
        raise MrisslError(
            "the viewer has no Labels layer", remedy="open a label map or paint labels first"
        )
    maps = [_label_map(layer) for layer in layers]

    def load(progress: Progress) -> Templates:
        def each() -> Iterator[tuple[NDArray[Any], NDArray[np.float64]]]:
            for number, (data, spacing) in enumerate(maps):
                progress(number / len(maps))
                # Lazy data are computed one after the other, and not on the GUI thread.
                yield np.asarray(data), spacing

        return Templates.from_arrays(each(), names=names)

    names = [layer.name for layer in layers]
    count = len(layers)
    return Source("layers", f"{count} Labels layer{'s' if count > 1 else ''}", load)


def _label_map(layer: Any) -> tuple[Any, NDArray[np.float64]]:
    """Labels, maybe not computed yet, and the voxel size along each of their axes in mm."""
    from napari_mrissl.ui.layers import volume_of
    from napari_mrissl.ui.layers.foreign import layer_affine
    from napari_mrissl.ui.layers.lazy import RenderedLabels

    if isinstance(layer.data, RenderedLabels):
        # What is shown of an oblique map is a rendering; these are its own voxels.
        data, spacing = layer.data.labels, volume_of(layer).spacing
    else:
        affine, _ = layer_affine(layer)
        data = layer.data[0] if layer.multiscale else layer.data
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
    check_size(tuple(int(length) for length in data.shape), layer.name)
    return data, spacing


def make(
    control: Control,
    request: Request,
    source: Source,
    templates: Templates | None,
) -> Made | Refused:
    """Make a sample; templates are read first where none are given."""

    def tell(part: float) -> None:
        if control.cancelled():
            raise Cancelled
        control.progress(part, f"Reading templates: {source.words}")

    if templates is None:
        tell(0.0)
        try:
            templates = source.load(tell)
        except MrisslError as error:
            return Refused(str(error))
    prepare(control)
    if control.cancelled():
        raise Cancelled
    return Made(make_sample(request, templates, time.perf_counter), source, templates)


def prepare(control: Control) -> None:
    """Compile the engine's kernels, once in a process, by making small pairs of every kind."""
    if _prepared.is_set():
        return
    few = Templates.procedural(count=_FEW)
    steps = list(_steps())
    for number, (title, settings) in enumerate(steps):
        if control.cancelled():
            raise Cancelled
        control.progress(number / len(steps), f"Preparing the engine: {title}")
        Engine(few, settings).pair(0)
    _prepared.set()


def _steps() -> Iterator[tuple[str, EngineSettings]]:
    """Settings under which one more part of the engine acts for certain."""
    values: dict[str, Any] = EngineSettings.of_side(_SMALL).model_dump()
    chain = values["augmentation"]
    for stage in chain.values():
        stage["probability"] = 0.0
    values["ensemble"].update(mask_probability=0.0, envelope_probability=1.0)
    yield "labels", EngineSettings.model_validate(values)
    values["ensemble"]["mask_probability"] = 1.0
    yield "mask and envelope", EngineSettings.model_validate(values)
    for name in chain:
        chain[name]["probability"] = 1.0
        yield TITLES[name].lower(), EngineSettings.model_validate(values)
        chain[name]["probability"] = 0.0
