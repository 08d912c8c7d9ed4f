"""Checkpoints of a run: each a folder that is committed whole, checked by sha256 when read.

A checkpoint is written into a temporary folder beside, synced, and given its name at the
end, with ``commit.json`` that lists every file and its sha256. The newest few and the best
are kept. A damaged newest one is passed over for the one before.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights
from napari_mrissl.training.committed import (
    GROUP,
    STATE,
    SUFFIX,
    Checkpoint,
    best,
    checksum,
    digest,
    newest,
    opened,
    why,
)
from napari_mrissl.training.layout import (
    CHECKPOINTS,
    COMMIT,
    WEIGHTS,
    committed_steps,
    remove_remains,
    step_folder,
)
from napari_mrissl.volumes.atomic import sync_folder, write_text

if TYPE_CHECKING:
    import torch

__all__ = ["Checkpoint", "best", "check_space", "newest", "recover", "save"]

_SPARE = 2.2
"""Free disk, in checkpoints: the next one is written before an old one goes."""


def save(
    run_folder: str | Path,
    step: int,
    tensors: Mapping[str, Mapping[str, torch.Tensor]],
    plain: Mapping[str, Any],
    *,
    best: bool,
    keep: int,
    told: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Commit a checkpoint, then let ``weights.safetensors`` be its weights and drop old ones.

    Parameters
    ----------
    run_folder
        Of the run.
    step
        How many optimiser steps are done.
    tensors
        By group and name: ``weights``, ``optimizer`` and so on. Where there is a group
        ``average`` of the same names as ``weights``, it becomes ``weights.safetensors``.
    plain
        All else that going on needs, JSON-able.
    best
        Whether it is the best so far.
    keep
        How many of the newest stay, at least 2, besides the best.
    told
        What the cards of the weights are to say besides, JSON-able.

    Raises
    ------
    MrisslError
        If the disk refuses; the checkpoints before are as they were.
    """
    from napari_mrissl.training.card import weights_card

    run_folder = Path(run_folder)
    size = _size(tensors)
    _check_free(run_folder, int(1.02 * size) + (1 << 20), size)
    folder = step_folder(run_folder, step)
    partial = run_folder / CHECKPOINTS / f".mrissl-{secrets.token_hex(8)}.tmp"
    try:
        committed = _readable(folder)
        # Whole, it is what would be written again: training on from it reached its own step.
        if committed is None:
            partial.parent.mkdir(exist_ok=True)
            partial.mkdir()
            card = {**weights_card(run_folder, step), **(told or {})}
            _fill(partial, card, step, tensors, plain, best=best)
            if folder.exists():
                _drop(folder)
            os.rename(partial, folder)
            sync_folder(folder.parent)
            committed = opened(folder)
        _finish(run_folder, committed, keep)
    except OSError as error:
        raise MrisslError(
            f"could not be written ({why(error)})",
            where=f"checkpoint of step {step}",
            expected="a writable folder with enough space",
            remedy="free some space; resume goes on from the checkpoint before",
        ) from error
    finally:
        if partial.exists():
            shutil.rmtree(partial, ignore_errors=True)
    return committed


def recover(run_folder: str | Path) -> tuple[Checkpoint | None, list[str]]:
    """As `newest`, for the process that goes on: tidies up and puts its weights in place.

    Raises
    ------
    MrisslError
        If the disk refuses.
    """
    run_folder = Path(run_folder)
    remove_remains(run_folder)
    found, warnings = newest(run_folder)
    if found is not None:
        try:
            _place_weights(run_folder, found)
        except OSError as error:
            raise MrisslError(f"could not be written ({why(error)})", where=WEIGHTS) from error
    return found, warnings


def check_space(run_folder: str | Path, checkpoint_bytes: int) -> None:
    """Refuse to start where the disk would be full after two checkpoints.

    Raises
    ------
    MrisslError
        If less than 2.2 times a checkpoint is free.
    """
    _check_free(Path(run_folder), int(_SPARE * checkpoint_bytes), checkpoint_bytes)


def _check_free(run_folder: Path, needed: int, checkpoint_bytes: int) -> None:
    try:
        free = shutil.disk_usage(run_folder).free
    except OSError as error:
        raise MrisslError(
            f"disk could not be looked at ({why(error)})", where=run_folder
        ) from error
    if free < needed:
        raise MrisslError(
            f"{_mib(free)} free on the disk",
            where=run_folder,
            expected=f"{_mib(needed)}, as a checkpoint has {_mib(checkpoint_bytes)}",
            remedy="free some space, or choose another folder",
        )


def _fill(
    partial: Path,
    card: Mapping[str, Any],
    step: int,
    tensors: Mapping[str, Mapping[str, torch.Tensor]],
    plain: Mapping[str, Any],
    *,
    best: bool,
) -> None:
    files = {}
    for group, state in tensors.items():
        if not GROUP.fullmatch(group):
            raise ValueError(f"group {group!r}")
        name = group + SUFFIX
        weights.save(partial / name, state, {**card, "group": group})
        files[name] = digest(partial / name)
    try:
        text = json.dumps(dict(plain), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise MrisslError(f"state is no JSON ({error})", where=f"step {step}") from error
    write_text(partial / STATE, text)
    files[STATE] = digest(partial / STATE)
    content = {
        "format": "napari-mrissl checkpoint",
        "version": 1,
        "step": step,
        "best": best,
        "files": {name: {"sha256": sha, "bytes": size} for name, (sha, size) in files.items()},
    }
    write_text(partial / COMMIT, json.dumps({**content, "checksum": checksum(content)}))


def _finish(run_folder: Path, committed: Checkpoint, keep: int) -> None:
    _place_weights(run_folder, committed)
    steps = committed_steps(run_folder)
    # Nothing newer can be whole, or this run would have gone on from it.
    for step in [s for s in steps if s > committed.step]:
        if _readable(step_folder(run_folder, step)) is None:
            _drop(step_folder(run_folder, step))
            steps.remove(step)
    kept = set(steps[-max(2, keep) :])
    kept |= set([s for s in steps if _says_best(step_folder(run_folder, s))][-1:])
    for step in steps:
        if step not in kept:
            _drop(step_folder(run_folder, step))


def _place_weights(run_folder: Path, checkpoint: Checkpoint) -> None:
    """Let ``weights.safetensors`` be those of a checkpoint; a second name, where that goes."""
    source = checkpoint.exported
    if source is None:
        return
    target = run_folder / WEIGHTS
    with contextlib.suppress(OSError):
        if os.path.samefile(source, target):
            return
    temporary = run_folder / f".mrissl-{secrets.token_hex(8)}.tmp"
    try:
        try:
            os.link(source, temporary)
        except OSError:
            # Not every file system can give a file a second name.
            shutil.copyfile(source, temporary)
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(temporary, target)
        sync_folder(run_folder)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def _drop(folder: Path) -> None:
    """Remove a checkpoint; without its commit, what a crash leaves of it is no checkpoint."""
    with contextlib.suppress(FileNotFoundError):
        (folder / COMMIT).unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _readable(folder: Path) -> Checkpoint | None:
    if not (folder / COMMIT).is_file():
        return None
    try:
        found = opened(folder)
        found.verify()
    except MrisslError:
        return None
    return found


def _says_best(folder: Path) -> bool:
    try:
        return opened(folder).best
    except MrisslError:
        return False


def _size(tensors: Mapping[str, Mapping[str, torch.Tensor]]) -> int:
    return sum(t.numel() * t.element_size() for group in tensors.values() for t in group.values())


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
