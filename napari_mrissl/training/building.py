"""A run's settings from a method, data, a preset and single changes; the task they mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.info import TaskInfo
from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.pretext.task import Task
from napari_mrissl.training.settings import (
    CheckpointSettings,
    DataSettings,
    OptimisationSettings,
    RunSettings,
)

M = TypeVar("M", bound=BaseModel)

_PARTS: Mapping[str, type[BaseModel]] = {
    "optimisation": OptimisationSettings,
    "checkpoint": CheckpointSettings,
    "data": DataSettings,
}


def info_of(method: str, registry: Mapping[str, TaskInfo] = TASKS) -> TaskInfo:
    """What is known of a method.

    Raises
    ------
    MrisslError
        If there is no such method.
    """
    if method not in registry:
        raise MrisslError(f"method {method!r}", expected="one of " + ", ".join(registry))
    return registry[method]


def settings_for(
    method: str,
    data: DataSettings | Mapping[str, Any] | None = None,
    preset: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    registry: Mapping[str, TaskInfo] = TASKS,
) -> RunSettings:
    """The settings of a run, checked: defaults, then preset, then data, then single changes.

    Parameters
    ----------
    method
        Its name in the registry.
    data
        What to train on: of a model, the fields that were set.
    preset
        The name of one of the method's presets.
    overrides
        Values by key, e.g. ``{"optimisation.steps": 100}``. A key without a dot is looked up
        in the task's settings first, then among those of the optimiser, checkpoints, data
        and run. Texts are read as JSON where they are JSON.
    registry
        The methods there are.

    Raises
    ------
    MrisslError
        If a method, preset, key or value is none.
    """
    info = info_of(method, registry)
    if preset is not None and preset not in info.presets:
        raise MrisslError(f"preset {preset!r}", expected="one of " + ", ".join(info.presets))
    chosen: dict[str, Any] = {"method": method}
    if preset is not None:
        _merge(chosen, info.presets[preset])
    if isinstance(data, DataSettings):
        data = data.model_dump(mode="json", exclude_unset=True)
    _merge(chosen, {"data": data or {}})
    if chosen["data"].get("kind") == "scans":
        # A preset's engine has no part in a run on scans.
        chosen["data"] = {k: v for k, v in chosen["data"].items() if k not in ("engine", "heads")}
    for key, value in (overrides or {}).items():
        place = _place(key, info)
        for name in reversed(place):
            value = {name: value}
        _merge(chosen, _read(value))
    task = checked(info.settings, chosen.pop("task", {}), where=f"{method} settings")
    chosen["task"] = task.model_dump(mode="json")
    return checked(RunSettings, chosen, where="settings")


def knows(method: str, key: str, registry: Mapping[str, TaskInfo] = TASKS) -> bool:
    """Whether a key belongs to the settings of a method's runs, whatever its value.

    Raises
    ------
    MrisslError
        If there is no such method.
    """
    info = info_of(method, registry)
    try:
        _place(key, info)
    except MrisslError:
        return False
    return True


def checked(model: type[M], content: Any, where: str) -> M:
    """Plain data as a model.

    Raises
    ------
    MrisslError
        On the first field that is wrong.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or where
        said = str(first["msg"]).removeprefix("Value error, ")
        raise MrisslError(said, where=field, remedy=f"see the {where}") from error


def task_of(settings: RunSettings, registry: Mapping[str, TaskInfo] = TASKS) -> Task[Any]:
    """The task that a run is trained on; imports torch.

    Raises
    ------
    MrisslError
        If there is no such method, or it cannot have these settings.
    """
    info = info_of(settings.method, registry)
    return info.load()(checked(info.settings, settings.task, where=f"{settings.method} settings"))


def _place(key: str, info: TaskInfo) -> list[str]:
    """Where a key's value belongs, e.g. ``steps`` in ``["optimisation", "steps"]``."""
    first, *rest = names = key.strip().split(".")
    if first in info.settings.model_fields:
        return ["task", *names]
    if rest and first in ("task", *_PARTS):
        return names
    for part, model in _PARTS.items():
        if first in model.model_fields:
            return [part, *names]
    if first in RunSettings.model_fields and first not in ("version", "method", "task", *_PARTS):
        return names
    known = [*info.settings.model_fields]
    known += [name for model in _PARTS.values() for name in model.model_fields]
    raise MrisslError(f"no setting {key!r}", where="--set", expected="one of " + ", ".join(known))


def _read(value: Any) -> Any:
    """A text that is JSON as what it means, at any depth."""
    if isinstance(value, Mapping):
        return {name: _read(item) for name, item in value.items()}
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Put values in place, models' fields one by one."""
    for name, value in more.items():
        if isinstance(value, Mapping):
            inner = into.get(name)
            into[name] = dict(inner) if isinstance(inner, Mapping) else {}
            _merge(into[name], value)
        else:
            into[name] = value
