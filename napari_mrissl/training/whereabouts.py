"""What only this machine knows of runs: where they lie, and which process trains them.

A run's folder holds a random word that names its last process; this user's data directory
ties the word to a process id. So no host, path or process id enters what is shared, and a
run that was given to another machine is never mistaken for one that died here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import socket
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_mrissl.directories import data_directory, made_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories.contained import read_bytes
from napari_mrissl.volumes.atomic import write_text

PROCESS_VARIABLE = "MRISSL_RUN_PROCESS"
"""Environment variable that holds the word of a process, for itself and all it starts."""

MEETING = "MRISSL_MEETING"
"""Environment variable with the file in which the processes of a run on one machine meet."""

TOLD = "mrissl: "
"""What a line of a process's own output begins with when it says why it ended."""

_PROCESS_FILE = "process.json"
_UUID = re.compile(r"[0-9a-f]{32}")
_WORD = re.compile(r"[0-9a-f]{16}")
_MOST_BYTES = 1 << 16
_CLOCK_SECONDS = 2.0

_children: dict[str, subprocess.Popen[bytes]] = {}
"""Processes that this one started, by their word: only their parent learns how they ended."""


@cache
def this_host() -> str:
    """A name for this machine that tells it from others, for the data directory only."""
    machine = b""
    # Of the machines of a cluster some are copies, with one number for all.
    with contextlib.suppress(OSError):
        machine = Path("/etc/machine-id").read_bytes()
    return hashlib.sha256(machine + socket.gethostname().encode()).hexdigest()[:16]


class Whereabouts(BaseModel):
    """One run, as this machine knows it.

    Attributes
    ----------
    path
        Its folder.
    process
        The word of the process that last trained it here, or None.
    pid, began
        Of that process; ``began`` in seconds since 1970, as the system tells it.
    exit_code
        Of the process, where it is known; negative for a signal.
    host
        Hash of the machine that wrote this: a data directory may be shared by several.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    path: str
    process: str | None = None
    pid: int | None = None
    began: float = 0.0
    exit_code: int | None = None
    host: str = Field(default_factory=lambda: this_host())

    def lies_at(self, folder: Path) -> bool:
        """Whether a folder is the run's own, and not a copy of it; it may have been moved."""
        try:
            return os.path.samefile(self.path, folder)
        except OSError:
            return True

    def holds(self, word: str | None) -> bool:
        """Whether the process of this word is, or was, one of this very machine."""
        return word is not None and self.process == word and self.host == this_host()


def new_word() -> str:
    """A random name for a process."""
    return secrets.token_hex(8)


def meeting_place(word: str) -> Path:
    """The folder in which the processes that one of this word starts meet."""
    return Path(tempfile.gettempdir()) / f"mrissl-{word}"


def process_word(folder: Path) -> str | None:
    """The word of the process that the run was last given to, on whichever machine."""
    try:
        word = json.loads(read_bytes(folder / _PROCESS_FILE, 4096))["process"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return word if isinstance(word, str) and _WORD.fullmatch(word) else None


def write_process_word(folder: Path, word: str) -> None:
    """Give the run to a process.

    Raises
    ------
    WriteError
        If the disk refuses.
    """
    write_text(folder / _PROCESS_FILE, json.dumps({"process": word}))


def note(uuid: str, known: Whereabouts) -> None:
    """Remember a run on this machine.

    Raises
    ------
    MrisslError
        If the data directory cannot be written, or the run's path is no text.
    """
    check_text(known.path)
    made_directory(_folder())
    write_text(_folder() / f"{uuid}.json", known.model_dump_json())


def check_text(path: str) -> None:
    """Refuse a path with bytes that are no text: what notes where runs lie cannot hold it.

    Raises
    ------
    MrisslError
        If it is so.
    """
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise MrisslError(
            "has letters that are no text",
            where=Path(path),
            expected="a folder whose path is UTF-8",
            remedy="choose another name, or rename the folder",
        ) from error


def recall(uuid: str) -> Whereabouts | None:
    """What this machine knows of a run; an entry that cannot be read counts as none."""
    if not _UUID.fullmatch(uuid):
        return None
    try:
        content = read_bytes(_folder() / f"{uuid}.json", _MOST_BYTES)
        return Whereabouts.model_validate_json(content)
    except (OSError, ValidationError, ValueError):
        return None


def drop(uuid: str) -> None:
    """Know nothing of a run any more; its folder is not touched.

    Raises
    ------
    MrisslError
        If the disk refuses.
    """
    path = _folder() / f"{uuid}.json"
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise MrisslError(
            f"{path.name} cannot be removed ({error.strerror})", where="data directory"
        ) from error


def known_runs() -> list[str]:
    """The runs this machine knows, by uuid."""
    try:
        names = os.listdir(_folder())
    except FileNotFoundError:
        return []
    return sorted(n[:-5] for n in names if n.endswith(".json") and _UUID.fullmatch(n[:-5]))


def output_file(uuid: str) -> Path:
    """Where the process's own output goes: it may hold paths, so it is not in the run."""
    return made_directory(_folder()) / f"{uuid}.log"


def keep_words(uuid: str, sentence: str) -> None:
    """Note why a run ended, where its own folder can no longer be written.

    Raises
    ------
    MrisslError
        If the data directory cannot be written either.
    """
    write_text(output_file(uuid), f"{TOLD}{sentence}\n")


def forget_words(uuid: str) -> None:
    """Take away what an earlier process of a run said."""
    with contextlib.suppress(OSError):
        output_file(uuid).unlink()


def adopt(word: str, child: subprocess.Popen[bytes]) -> None:
    """Keep a child, so that its end is noticed."""
    _children[word] = child


def alive(known: Whereabouts) -> bool:
    """Whether the process of a run lives; a number that the system gave again does not count."""
    if known.pid is None or known.process is None:
        return False
    child = _children.get(known.process)
    if child is not None:
        return child.poll() is None
    if known.pid == os.getpid():
        # A run trained in this process holds its lock; without it, training is over.
        return False
    try:
        process = psutil.Process(known.pid)
        same = abs(process.create_time() - known.began) < _CLOCK_SECONDS
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def exit_code(known: Whereabouts) -> int | None:
    """How the process ended, where this machine knows."""
    child = _children.get(known.process or "")
    return child.poll() if child is not None else known.exit_code


def began(pid: int) -> float:
    """When a process began, in seconds since 1970 as the system tells it; 0 if it is gone."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def end(known: Whereabouts) -> None:
    """End the process of a run at once, with all that it started; harmless if they are gone."""
    for process in _family(known):
        with contextlib.suppress(psutil.Error):
            process.kill()


def _family(known: Whereabouts) -> list[psutil.Process]:
    """The process of a run and those it started, in whichever group or session they are."""
    found: dict[int, psutil.Process] = {}
    if alive(known) and known.pid is not None:
        with contextlib.suppress(psutil.Error):
            first = psutil.Process(known.pid)
            found = {one.pid: one for one in (first, *first.children(recursive=True))}
    # Those of torchrun have sessions of their own, and outlive a launcher that was killed.
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if known.process and process.environ().get(PROCESS_VARIABLE) == known.process:
                found[process.pid] = process
    found.pop(os.getpid(), None)
    return list(found.values())


def _folder() -> Path:
    return data_directory() / "runs"
