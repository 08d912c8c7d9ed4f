"""Features computed in a process of their own, so that torch never enters the viewer's.

Importing torch holds the interpreter for seconds, and its memory comes back only when a process
ends. What needs no torch is computed here, in the caller's thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

import numpy as np
from pydantic import BaseModel

from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.features.cache import (
    cache_limit_bytes,
    cached,
    clear_unfinished,
    compute,
    read_back,
    scratch_folder,
)
from napari_mrissl.features.cancel import Cancelled, IsCancelled, Progress
from napari_mrissl.features.filter_bank import FilterBankSettings
from napari_mrissl.features.source import FeatureStack
from napari_mrissl.volumes import Volume

VOXELS, REQUEST = "voxels.npy", "request.json"
_MODULE = "napari_mrissl.features.child"
_LOOK_SECONDS = 0.05
_PATIENCE_SECONDS = 5.0
# Asked of torch's allocator before its first allocation: first calls are half as long.
_HUGE_PAGES = {"THP_MEM_ALLOC_ENABLE": "1"}


def compute_apart(
    volume: Volume,
    settings: BaseModel,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> FeatureStack:
    """As `compute`, in a child process unless the features need no torch or are cached.

    Raises
    ------
    Cancelled
        If `cancelled` answered True; nothing is left on disk.
    MrisslError
        As `compute`, or if the process ends without an answer.
    """
    found = cached(volume, settings)
    if found is not None:
        return found
    if isinstance(settings, FilterBankSettings):
        return compute(volume, settings, progress, cancelled)

    def told(line: dict[str, Any]) -> None:
        if progress is not None and "part" in line:
            progress(float(line["part"]), str(line.get("step", "")))

    limit = {"MRISSL_FEATURE_CACHE_GIB": repr(cache_limit_bytes() / 2**30)}
    with scratch_folder() as folder:
        hand_over(folder, volume, settings.model_dump(mode="json"))
        run_child(_MODULE, folder, told, cancelled, limit)
    return read_back(volume, settings)


def hand_over(folder: Path, volume: Volume, settings: Mapping[str, Any]) -> None:
    """Write a volume and settings where a child process finds them by `handed_over`.

    Raises
    ------
    MrisslError
        If the disk does not take them.
    """
    try:
        np.save(folder / VOXELS, volume.data, allow_pickle=False)
        content = {
            "affine": volume.affine.tolist(),
            "slope": volume.slope,
            "intercept": volume.intercept,
            "identity": volume.identity,
            "settings": dict(settings),
        }
        (folder / REQUEST).write_text(json.dumps(content), encoding="utf-8")
    except OSError as error:
        raise MrisslError(
            f"the scan could not be handed over ({error.strerror or type(error).__name__})",
            where="feature cache",
            remedy="free some disk space or set MRISSL_CACHE_DIR",
        ) from error


def run_child(
    module: str,
    folder: Path,
    told: Callable[[dict[str, Any]], object],
    cancelled: IsCancelled | None = None,
    environment: Mapping[str, str] | None = None,
    work: str = "computes features",
    remedy: str = "with little memory, choose a smaller scan or the filter bank",
) -> None:
    """Run ``python -m module folder``, which answers in lines of JSON, and wait for its end.

    Parameters
    ----------
    module
        Ends when its standard input does; its last line has ``done`` or ``error``.
    folder
        Of what was handed over.
    told
        Gets every other line.
    cancelled
        Asked now and then.
    environment
        Variables beside those of this process.
    work, remedy
        What it does, and what to do where the process ends without a word, as for want of memory.

    Raises
    ------
    Cancelled
        If `cancelled` answered True; the process is gone then.
    MrisslError
        The process's own sentence, or that it ended without one.
    """
    said: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
    complaints: list[str] = []
    with subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", module, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        # Not the folder we happen to be in is searched for modules.
        env={**_HUGE_PAGES, **os.environ, "PYTHONSAFEPATH": "1", **(environment or {})},
    ) as child:
        readers = (
            threading.Thread(target=_read_answers, args=(child.stdout, said), daemon=True),
            threading.Thread(target=_read_complaints, args=(child.stderr, complaints), daemon=True),
        )
        for reader in readers:
            reader.start()
        try:
            answer = _last_answer(said, told, cancelled)
        finally:
            _end(child)
            for reader in readers:
                reader.join()
    if "done" in answer:
        return
    if "error" in answer:
        raise MrisslError(printable(str(answer["error"])).rstrip("."))
    # An interpreter that cannot even begin names itself with its whole path.
    last = "".join(complaints).strip().rpartition("\n")[2]
    reason = printable(last.removeprefix(f"{sys.executable}: "))[:300]
    raise MrisslError(
        f"the process that {work} ended with code {child.returncode}"
        + (f" ({reason})" if reason else ""),
        remedy=remedy,
    )


def _last_answer(
    said: SimpleQueue[dict[str, Any] | None],
    told: Callable[[dict[str, Any]], object],
    cancelled: IsCancelled | None,
) -> dict[str, Any]:
    """What the child says last; nothing if it ends without a word."""
    answer: dict[str, Any] = {}
    while True:
        if cancelled is not None and cancelled():
            raise Cancelled
        try:
            line = said.get(timeout=_LOOK_SECONDS)
        except Empty:
            continue
        if line is None:
            return answer
        if "done" in line or "error" in line:
            answer = line
        else:
            told(line)


def _read_answers(stream: IO[str] | None, said: SimpleQueue[dict[str, Any] | None]) -> None:
    for line in stream or ():
        # A library that prints is no answer.
        with contextlib.suppress(ValueError):
            content = json.loads(line)
            if isinstance(content, dict):
                said.put(content)
    said.put(None)


def _read_complaints(stream: IO[str] | None, complaints: list[str]) -> None:
    complaints.extend(stream or ())


def _end(child: subprocess.Popen[str]) -> None:
    """Let a child that still runs remove what it wrote, and then do without it."""
    if child.stdin is not None:
        # Its sign to stop, as is the death of this process.
        with contextlib.suppress(OSError):
            child.stdin.close()
    try:
        child.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        # It had no time for that.
        clear_unfinished()


def handed_over(folder: Path) -> tuple[Volume, dict[str, Any]]:
    """The child's side: the volume, and its features' settings as they were dumped.

    Raises
    ------
    MrisslError
        If what was handed over cannot be read, or is another scan.
    """
    try:
        content = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
        voxels = np.load(folder / VOXELS, mmap_mode="r", allow_pickle=False)
        volume = Volume.from_stored(
            voxels,
            np.array(content["affine"], np.float64),
            copy=False,
            slope=float(content["slope"]),
            intercept=float(content["intercept"]),
        )
        whole = volume.identity == content["identity"]
        settings = dict(content["settings"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MrisslError("the scan that was handed over cannot be read") from error
    if not whole:
        raise MrisslError("the scan that was handed over is another one")
    return volume, settings
