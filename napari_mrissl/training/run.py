"""A run on disk: one folder that the panel, the commands, resume and a cluster share."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import re
import threading
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_mrissl import __version__
from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.training import control, whereabouts
from napari_mrissl.training.events import EventTail, EventWriter
from napari_mrissl.training.layout import IDENTITY, SETTINGS, check_ours, remove_remains
from napari_mrissl.training.settings import RunSettings
from napari_mrissl.training.sightings import Sightings, beats_by_its_own_clock
from napari_mrissl.training.states import ACTIVE, LastKnown, RunState, derive
from napari_mrissl.trajectories.contained import read_bytes
from napari_mrissl.trajectories.locks import DatasetLock, holder
from napari_mrissl.trajectories.new_folder import new_folder
from napari_mrissl.volumes.atomic import write_text

_MOST_BYTES = 1 << 24
M = TypeVar("M", bound=BaseModel)
_SOFTWARE = ("numpy", "torch", "safetensors", "monai", "numba")


class Identity(BaseModel):
    """What a run is, apart from its settings.

    Attributes
    ----------
    uuid
        Of the run.
    created
        UTC, ISO 8601.
    software
        Versions by name.
    environment
        System, kind of processor, Python, number of cores; nothing that names a machine.
    notes
        Lines of whoever made the run.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: str = Field(default="napari-mrissl run", pattern=r"^napari-mrissl run$")
    version: int = Field(default=1, ge=1, le=1)
    uuid: str = Field(pattern=r"^[0-9a-f]{32}$")
    created: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    software: dict[str, str] = {}
    environment: dict[str, str | int] = {}
    notes: tuple[str, ...] = ()


class Run:
    """A training on disk; open one with `create` or `open`.

    Attributes
    ----------
    folder
        Where it lies.
    identity
        See `Identity`.
    """

    def __init__(self, folder: Path, settings: RunSettings, identity: Identity) -> None:
        self.folder = folder
        self.identity = identity
        self._settings = settings
        self._tail = EventTail(folder)
        self._last = LastKnown()
        self._generation = 0
        self._sightings = Sightings()
        self._lock = threading.Lock()

    @classmethod
    def create(cls, folder: str | Path, settings: RunSettings, *, notes: Sequence[str] = ()) -> Run:
        """Make the folder of a new run, which is then queued; whole or not at all.

        Raises
        ------
        MrisslError
            If something of this name is there already, or the disk refuses.
        """
        from napari_mrissl.training import card

        path = Path(folder).absolute()
        if "\0" in str(path):
            raise MrisslError("is no name of a folder", where=path)
        whereabouts.check_text(str(path))
        identity = Identity(
            uuid=uuid.uuid4().hex,
            created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            software=_software(),
            environment={
                "system": platform.system(),
                "machine": platform.machine(),
                "python": platform.python_version(),
                "cores": os.cpu_count() or 1,
            },
            notes=tuple(printable(note)[:2000] for note in notes),
        )
        with new_folder(path) as partial:
            write_text(partial / SETTINGS, canonical(settings))
            write_text(partial / IDENTITY, _text(identity.model_dump(mode="json")))
            with EventWriter(partial) as events:
                events.state("queued")
            card.write(cls(partial, settings, identity))
        run = cls(path, settings, identity)
        whereabouts.note(identity.uuid, whereabouts.Whereabouts(path=str(path)))
        return run

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """A run that is there.

        Raises
        ------
        MrisslError
            If the folder is none, or its settings cannot be read.
        """
        path = Path(folder).absolute()
        settings = _read(path, SETTINGS, RunSettings)
        return cls(path, settings, _read(path, IDENTITY, Identity))

    @property
    def settings(self) -> RunSettings:
        """What was to be trained."""
        return self._settings

    def state(self) -> RunState:
        """Where the run is now; cheap enough to be asked a few times a second.

        Raises
        ------
        MrisslError
            If the events cannot be read.
        """
        with self._lock:
            lines = self._tail.lines()
            if self._tail.generation != self._generation:
                self._generation, self._last = self._tail.generation, LastKnown()
            self._last = self._last.after(lines)
            steps = self._settings.optimisation.steps
            return derive(self.folder, self.identity.uuid, steps, self._last, self._sightings)

    def trained_elsewhere(self) -> bool:
        """Whether another machine trains the run; for a process that is about to write into it.

        Raises
        ------
        MrisslError
            If the folder cannot be read or written.
        """
        state = self.state()
        if state.here or holder(self.folder):
            return False
        return state.active or (state.unsure and beats_by_its_own_clock(self.folder))

    def summary(self) -> dict[str, Any]:
        """JSON-ready facts: state, steps, every term with its chance value, speed, warnings."""
        from napari_mrissl.training.summaries import summary

        return summary(self)

    def extend(self, steps: int) -> None:
        """Let the run do so many steps in all.

        Raises
        ------
        MrisslError
            If a process has the run, or it has done more than that.
        """
        state = self.state()
        if state.active:
            raise MrisslError("is being trained", where=self.folder, remedy="stop it first")
        if steps < max(1, state.checkpoint):
            raise MrisslError(
                f"{steps} steps", where="steps", expected=f"at least {max(1, state.checkpoint)}"
            )
        optimisation = self._settings.optimisation.model_copy(update={"steps": steps})
        settings = self._settings.model_copy(update={"optimisation": optimisation})
        with self.alone():
            write_text(self.folder / SETTINGS, canonical(settings))
        self._settings = settings

    @contextlib.contextmanager
    def claim(self) -> Iterator[None]:
        """Train the run in this process for a block: nobody else can meanwhile.

        What an earlier process left half-written is removed, and a command that was meant for
        it is forgotten; at the end the model card is written again. Under ``torchrun`` only
        the first process claims the run.

        Raises
        ------
        MrisslError
            If another process has the run, be it on another machine.
        """
        word = os.environ.get(whereabouts.PROCESS_VARIABLE)
        launched = word is not None and word == whereabouts.process_word(self.folder)
        # A lock may not be seen on other machines that share the folder.
        if not launched and self.trained_elsewhere():
            raise MrisslError(
                "is being trained on another machine",
                where=self.folder,
                remedy="stop it there; if it is gone, mrissl run wait tells when to go on",
            )
        with self.alone():
            if not launched:
                word = whereabouts.new_word()
                control.forget(self.folder)
                self.give_to(word, os.getpid())
                whereabouts.forget_words(self.identity.uuid)
            remove_remains(self.folder)
            try:
                yield
            except BaseException as error:
                # Where the disk is full or gone, the error that led here is the one to be told.
                with contextlib.suppress(MrisslError):
                    self._left_by(error, launched=launched)
                with contextlib.suppress(MrisslError):
                    self._let_go(word, launched=launched)
                raise
            self._let_go(word, launched=launched)

    def _let_go(self, word: str | None, *, launched: bool) -> None:
        from napari_mrissl.training import card

        try:
            card.write(self)
        finally:
            if not launched:
                # This process goes on, but no longer with the run.
                self.give_to(word, None)

    def give_to(self, word: str | None, pid: int | None) -> None:
        """Note in the run and on this machine which process trains it from now on."""
        if word is not None and word != whereabouts.process_word(self.folder):
            whereabouts.write_process_word(self.folder, word)
        whereabouts.note(
            self.identity.uuid,
            whereabouts.Whereabouts(
                path=str(self.folder),
                process=word,
                pid=pid,
                began=whereabouts.began(pid) if pid is not None else 0.0,
            ),
        )

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes, and other threads of this one, out of the run for a block.

        Raises
        ------
        MrisslError
            If somebody has it, or the folder holds what no run does.
        """
        check_ours(self.folder)
        if holder(self.folder) == os.getpid():
            raise _busy(self.folder, os.getpid())
        try:
            lock = DatasetLock(self.folder)
        except MrisslError as error:
            pid = holder(self.folder)
            if pid is None:
                raise
            raise _busy(self.folder, pid) from error
        try:
            yield
        finally:
            lock.release()

    def _left_by(self, error: BaseException, *, launched: bool) -> None:
        """Say in the run why training ended, unless its loop has done so."""
        if self.state().name not in ACTIVE:
            return
        said = str(error).rstrip(".") if isinstance(error, MrisslError) else type(error).__name__
        try:
            with EventWriter(self.folder) as events:
                if isinstance(error, Exception):
                    events.state("failed", said)
                else:
                    events.state("stopped", "interrupted")
        except MrisslError:
            # What a child says goes to this machine's own file by itself.
            if not launched:
                whereabouts.keep_words(self.identity.uuid, said)


def _busy(folder: Path, pid: int) -> MrisslError:
    who = f" (process {pid})" if pid else ""
    return MrisslError(f"is being trained already{who}", where=folder)


def canonical(settings: RunSettings) -> str:
    """Settings as ``settings.json`` holds them: the same text for the same settings."""
    return _text(settings.model_dump(mode="json"))


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, indent=2, allow_nan=False) + "\n"


def _software() -> dict[str, str]:
    found = {"napari-mrissl": __version__}
    for name in _SOFTWARE:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _read(folder: Path, name: str, model: type[M]) -> M:
    expected = "the folder of a run"
    try:
        content = read_bytes(folder / name, _MOST_BYTES)
    except FileNotFoundError as error:
        raise MrisslError(f"has no {name}", where=folder, expected=expected) from error
    except (OSError, ValueError) as error:
        reason = str(error) if isinstance(error, MrisslError) else getattr(error, "strerror", None)
        raise MrisslError(
            f"{name} could not be read ({reason or type(error).__name__})",
            where=folder,
            expected=expected,
        ) from error
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])[:80]
        said = re.sub(r"\s+", " ", str(first["msg"]))[:120]
        raise MrisslError(
            f"{field + ': ' if field else ''}{said}",
            where=f"{printable(folder.name)[:80]}/{name}",
            expected=f"{name} as this version writes it",
            remedy="the run is damaged or of another version",
        ) from error
