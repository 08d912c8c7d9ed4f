"""Checkpoints of a run: each a folder that is committed whole, checked by sha256 when read.

A checkpoint is written into a temporary folder beside, synced, and given its name at the
end, with ``commit.json`` that lists every file and its sha256. The newest few and the best
are kept. A damaged newest one is passed over for the one before.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights
from napari_mrissl.training.layout import (
    CHECKPOINTS,
    COMMIT,
    SETTINGS,
    WEIGHTS,
    committed_steps,
    remove_remains,
    step_folder,
)
from napari_mrissl.trajectories.contained import open_regular, read_bytes
from napari_mrissl.volumes.atomic import sync_folder, write_text

if TYPE_CHECKING:
    import torch

_STATE = "state.json"
_SUFFIX = ".safetensors"
_GROUP = re.compile(r"[a-z][a-z0-9_]{0,40}")
_SHA = re.compile(r"[0-9a-f]{64}")
_MOST_COMMIT = 1 << 16
_MOST_STATE = 1 << 24
_SPARE = 2.2
"""Free disk, in checkpoints: the next one is written before an old one goes."""

Tensors = dict[str, dict[str, "torch.Tensor"]]


@dataclass(frozen=True)
class Checkpoint:
    """One committed checkpoint.

    Attributes
    ----------
    folder
        Where it lies.
    step
        How many optimiser steps were done.
    best
        Whether it was the best so far when it was written.
    files
        sha256 and bytes by name.
    """

    folder: Path
    step: int
    best: bool
    files: Mapping[str, tuple[str, int]]

    @property
    def bytes(self) -> int:
        """Of all its files."""
        return sum(size for _, size in self.files.values())

    def verify(self) -> None:
        """Compare every file with its checksum.

        Raises
        ------
        MrisslError
            If one is missing or another.
        """
        for name, (sha256, size) in self.files.items():
            path = self.folder / name
            try:
                # A pipe or a device would be waited for; it is told before it is opened.
                open_regular(path).close()
                right = _digest(path) == (sha256, size)
            except OSError as error:
                raise _damaged(self.step, f"{name}: {_why(error)}") from error
            if not right:
                raise _damaged(self.step, f"{name} does not match its checksum")

    def load(self) -> tuple[Tensors, dict[str, Any]]:
        """All tensors, by group and name, and the plain state, verified.

        Raises
        ------
        MrisslError
            If it is damaged, or the run's settings now prepare scans in another way.
        """
        self.verify()
        tensors: Tensors = {}
        wanted = _preprocessing(self.folder.parent.parent)
        for name in self.files:
            if name == _STATE:
                continue
            tensors[name.removesuffix(_SUFFIX)], card = weights.load(self.folder / name)
            if wanted is not None:
                weights.check_preprocessing(card, wanted, f"checkpoint of step {self.step}")
        try:
            plain = json.loads(read_bytes(self.folder / _STATE, _MOST_STATE))
        except (OSError, ValueError, RecursionError) as error:
            raise _damaged(self.step, f"{_STATE}: {type(error).__name__}") from error
        return tensors, plain


def save(
    run_folder: str | Path,
    step: int,
    tensors: Mapping[str, Mapping[str, torch.Tensor]],
    plain: Mapping[str, Any],
    *,
    best: bool,
    keep: int,
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

    Raises
    ------
    MrisslError
        If the disk refuses; the checkpoints before are as they were.
    """
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
            _fill(partial, run_folder, step, tensors, plain, best=best)
            if folder.exists():
                _drop(folder)
            os.rename(partial, folder)
            sync_folder(folder.parent)
            committed = _opened(folder)
        _finish(run_folder, committed, keep)
    except OSError as error:
        raise MrisslError(
            f"could not be written ({_why(error)})",
            where=f"checkpoint of step {step}",
            expected="a writable folder with enough space",
            remedy="free some space; resume goes on from the checkpoint before",
        ) from error
    finally:
        if partial.exists():
            shutil.rmtree(partial, ignore_errors=True)
    return committed


def newest(run_folder: str | Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is whole, and a sentence for each newer one that is not."""
    return _first_whole(Path(run_folder), lambda _: True)


def best(run_folder: str | Path) -> tuple[Checkpoint | None, list[str]]:
    """The best checkpoint that is whole, and a sentence for each better one that is not."""
    return _first_whole(Path(run_folder), lambda checkpoint: checkpoint.best)


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
            raise MrisslError(f"could not be written ({_why(error)})", where=WEIGHTS) from error
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
            f"disk could not be looked at ({_why(error)})", where=run_folder
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
    run_folder: Path,
    step: int,
    tensors: Mapping[str, Mapping[str, torch.Tensor]],
    plain: Mapping[str, Any],
    *,
    best: bool,
) -> None:
    from napari_mrissl.training.card import weights_card

    card = weights_card(run_folder, step)
    files = {}
    for group, state in tensors.items():
        if not _GROUP.fullmatch(group):
            raise ValueError(f"group {group!r}")
        name = group + _SUFFIX
        weights.save(partial / name, state, {**card, "group": group})
        files[name] = _digest(partial / name)
    try:
        text = json.dumps(dict(plain), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise MrisslError(f"state is no JSON ({error})", where=f"step {step}") from error
    write_text(partial / _STATE, text)
    files[_STATE] = _digest(partial / _STATE)
    content = {
        "format": "napari-mrissl checkpoint",
        "version": 1,
        "step": step,
        "best": best,
        "files": {name: {"sha256": sha, "bytes": size} for name, (sha, size) in files.items()},
    }
    write_text(partial / COMMIT, json.dumps({**content, "checksum": _checksum(content)}))


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
    group = "average" if f"average{_SUFFIX}" in checkpoint.files else "weights"
    source = checkpoint.folder / (group + _SUFFIX)
    if source.name not in checkpoint.files:
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


def _first_whole(run_folder: Path, wanted: Any) -> tuple[Checkpoint | None, list[str]]:
    warnings: list[str] = []
    for step in reversed(committed_steps(run_folder)):
        try:
            checkpoint = _opened(step_folder(run_folder, step))
            if not wanted(checkpoint):
                continue
            checkpoint.verify()
        except MrisslError as error:
            warnings.append(str(error))
            continue
        return checkpoint, warnings
    return None, warnings


def _readable(folder: Path) -> Checkpoint | None:
    if not (folder / COMMIT).is_file():
        return None
    try:
        found = _opened(folder)
        found.verify()
    except MrisslError:
        return None
    return found


def _says_best(folder: Path) -> bool:
    try:
        return _opened(folder).best
    except MrisslError:
        return False


def _opened(folder: Path) -> Checkpoint:
    step = int(folder.name.rpartition("_")[2])
    try:
        content = json.loads(read_bytes(folder / COMMIT, _MOST_COMMIT))
        checksum = content.pop("checksum")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _damaged(step, f"{COMMIT} could not be read") from error
    if checksum != _checksum(content):
        raise _damaged(step, f"{COMMIT} does not match its checksum")
    files = content.get("files")
    if content.get("step") != step or not isinstance(files, dict) or _STATE not in files:
        raise _damaged(step, f"{COMMIT} is of another checkpoint")
    found = {}
    for name, facts in files.items():
        known = name == _STATE or (name.endswith(_SUFFIX) and _GROUP.fullmatch(name[:-12]))
        sha256 = facts.get("sha256") if isinstance(facts, dict) else None
        size = facts.get("bytes") if isinstance(facts, dict) else None
        if not known or not isinstance(sha256, str) or not _SHA.fullmatch(sha256):
            raise _damaged(step, f"{COMMIT} lists what is no file of a checkpoint")
        if type(size) is not int or size < 0 or (folder / name).is_symlink():
            raise _damaged(step, f"{COMMIT} lists what is no file of a checkpoint")
        found[name] = (sha256, size)
    return Checkpoint(folder, step, content.get("best") is True, found)


def _checksum(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _digest(path: Path) -> tuple[str, int]:
    # Read back from the disk: what is listed is what was written.
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size


def _preprocessing(run_folder: Path) -> dict[str, Any] | None:
    """What the run's settings say now; None for a checkpoint that lies in no run."""
    from napari_mrissl.training.run import Run

    if not (run_folder / SETTINGS).exists():
        return None
    return Run.open(run_folder).settings.data.preprocessing.model_dump(mode="json")


def _size(tensors: Mapping[str, Mapping[str, torch.Tensor]]) -> int:
    return sum(t.numel() * t.element_size() for group in tensors.values() for t in group.values())


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _damaged(step: int, found: str) -> MrisslError:
    return MrisslError(
        f"is damaged ({found})",
        where=f"checkpoint of step {step}",
        remedy="an earlier one is used where there is one",
    )
