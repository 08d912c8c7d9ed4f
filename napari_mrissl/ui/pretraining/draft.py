"""A run that is not started yet: method, preset and what was changed of it. No Qt in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from napari_mrissl.pretext.info import PRESETS, TaskInfo, TaskSettings
from napari_mrissl.synthesis.heads import HeadSettings
from napari_mrissl.synthesis.settings import EngineSettings
from napari_mrissl.training.building import settings_for
from napari_mrissl.training.settings import RunSettings

KINDS = ("heads", "ensembles", "scans")


@dataclass(frozen=True)
class Draft:
    """What the form shows.

    Attributes
    ----------
    preset
        What `settings` began as.
    settings
        Of the run, without subjects: scans are looked for when the run is started.
    """

    preset: str
    settings: RunSettings

    @property
    def method(self) -> str:
        """Name of the task."""
        return self.settings.method

    @property
    def kind(self) -> str:
        """Where samples come from: one of `KINDS`."""
        return self.settings.data.kind

    def with_task(self, task: TaskSettings) -> Draft:
        """The same with other settings of the method."""
        return self._with(task=task.model_dump(mode="json"))

    def with_engine(self, engine: BaseModel) -> Draft:
        """The same with other settings of the data engine."""
        return self._with_data(engine=engine.model_dump(mode="json"))

    def with_kind(self, kind: str, registry: Mapping[str, TaskInfo]) -> Draft:
        """The same on other data; the engine's settings are those of the preset again."""
        engine = begun(self.method, self.preset, kind, registry).settings.data.engine
        return self._with_data(kind=kind, engine=engine)

    def with_run(self, settings: RunSettings) -> Draft:
        """The same with all else of a run's settings taken from others."""
        kept = {"kind": self.kind, "engine": self.settings.data.engine}
        data = settings.data.model_copy(update=kept)
        update = {"method": self.method, "task": self.settings.task, "data": data}
        return Draft(self.preset, settings.model_copy(update=update))

    def with_device(self, device: str) -> Draft:
        """The same on another device."""
        return self._with(device=device)

    def task(self, registry: Mapping[str, TaskInfo]) -> TaskSettings:
        """The method's own settings."""
        return registry[self.method].settings.model_validate(self.settings.task)

    @property
    def engine(self) -> BaseModel | None:
        """The data engine's settings; None for scans."""
        model = {"heads": HeadSettings, "ensembles": EngineSettings}.get(self.kind)
        return model.model_validate(self.settings.data.engine) if model else None

    def _with(self, **changes: Any) -> Draft:
        return Draft(self.preset, self.settings.model_copy(update=changes))

    def _with_data(self, **changes: Any) -> Draft:
        return self._with(data=self.settings.data.model_copy(update=changes))


def begun(method: str, preset: str, kind: str, registry: Mapping[str, TaskInfo]) -> Draft:
    """A method's preset with nothing changed, on one kind of data.

    Presets say the side of painted heads; ensembles take it over.
    """
    settings = settings_for(method, {"kind": kind}, preset, registry=registry)
    engine = settings.data.engine
    whole: BaseModel | None = None
    if kind == "heads":
        whole = HeadSettings.model_validate(engine)
    elif kind == "ensembles":
        whole = EngineSettings.of_side(engine.get("side", HeadSettings().side))
    engine = whole.model_dump(mode="json") if whole else {}
    return Draft(preset, settings)._with_data(engine=engine)


def first(registry: Mapping[str, TaskInfo]) -> Draft:
    """What a new panel shows."""
    return begun(next(iter(registry)), PRESETS[1], KINDS[0], registry)


def usable(preset: object, settings: object, registry: Mapping[str, TaskInfo]) -> Draft | None:
    """A draft out of plain data, as a session keeps it; None where it is none."""
    try:
        draft = Draft(str(preset), RunSettings.model_validate(settings))
        if draft.method not in registry or preset not in registry[draft.method].presets:
            return None
        draft.task(registry)
        draft.engine  # noqa: B018 - validated as well
    except ValueError:
        return None
    return draft._with_data(subjects=())
