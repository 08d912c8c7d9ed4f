"""Committed checkpoints: found, compared with their checksums, and loaded."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights
from napari_mrissl.training.layout import (
    COMMIT,
    SETTINGS,
    WEIGHTS,
    committed_steps,
    step_folder,
)
from napari_mrissl.trajectories.contained import open_regular, read_bytes

if TYPE_CHECKING:
    import torch

STATE = "state.json"
SUFFIX = ".safetensors"
GROUP = re.compile(r"[a-z][a-z0-9_]{0,40}")
_SHA = re.compile(r"[0-9a-f]{64}")
_MOST_COMMIT = 1 << 16
_MOST_STATE = 1 << 24
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

    @property
    def exported(self) -> Path | None:
        """The file of the weights that are used: averaged over steps, where they were."""
        names = (group + SUFFIX for group in ("average", "weights"))
        return next((self.folder / name for name in names if name in self.files), None)

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
                right = digest(path) == (sha256, size)
            except OSError as error:
                raise _damaged(self.step, f"{name}: {why(error)}") from error
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
            if name == STATE:
                continue
            tensors[name.removesuffix(SUFFIX)], card = weights.load(self.folder / name)
            if wanted is not None:
                weights.check_preprocessing(card, wanted, f"checkpoint of step {self.step}")
        try:
            plain = json.loads(read_bytes(self.folder / STATE, _MOST_STATE))
        except (OSError, ValueError, RecursionError) as error:
            raise _damaged(self.step, f"{STATE}: {type(error).__name__}") from error
        return tensors, plain


def newest(run_folder: str | Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is whole, and a sentence for each newer one that is not."""
    return _first_whole(Path(run_folder), lambda _: True)


def best(run_folder: str | Path) -> tuple[Checkpoint | None, list[str]]:
    """The best checkpoint that is whole, and a sentence for each better one that is not."""
    return _first_whole(Path(run_folder), lambda checkpoint: checkpoint.best)


def exported(run_folder: str | Path) -> Path | None:
    """The file of a run's weights: the run's own, or else that of its newest whole checkpoint.

    A run that was killed between a checkpoint and the copy of its weights has no other.
    """
    placed = Path(run_folder) / WEIGHTS
    if placed.is_file():
        return placed
    found, _ = newest(run_folder)
    return None if found is None else found.exported


def _first_whole(
    run_folder: Path, wanted: Callable[[Checkpoint], bool]
) -> tuple[Checkpoint | None, list[str]]:
    warnings: list[str] = []
    for step in reversed(committed_steps(run_folder)):
        try:
            checkpoint = opened(step_folder(run_folder, step))
            if not wanted(checkpoint):
                continue
            checkpoint.verify()
        except MrisslError as error:
            warnings.append(str(error))
            continue
        return checkpoint, warnings
    return None, warnings


def opened(folder: Path) -> Checkpoint:
    """The checkpoint in a folder, by its commit; its files are not checked.

    Raises
    ------
    MrisslError
        If the commit is damaged.
    """
    step = int(folder.name.rpartition("_")[2])
    try:
        content = json.loads(read_bytes(folder / COMMIT, _MOST_COMMIT))
        said = content.pop("checksum")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _damaged(step, f"{COMMIT} could not be read") from error
    if said != checksum(content):
        raise _damaged(step, f"{COMMIT} does not match its checksum")
    files = content.get("files")
    if content.get("step") != step or not isinstance(files, dict) or STATE not in files:
        raise _damaged(step, f"{COMMIT} is of another checkpoint")
    found = {}
    for name, facts in files.items():
        known = name == STATE or (name.endswith(SUFFIX) and GROUP.fullmatch(name[:-12]))
        sha256 = facts.get("sha256") if isinstance(facts, dict) else None
        size = facts.get("bytes") if isinstance(facts, dict) else None
        if not known or not isinstance(sha256, str) or not _SHA.fullmatch(sha256):
            raise _damaged(step, f"{COMMIT} lists what is no file of a checkpoint")
        if type(size) is not int or size < 0 or (folder / name).is_symlink():
            raise _damaged(step, f"{COMMIT} lists what is no file of a checkpoint")
        found[name] = (sha256, size)
    return Checkpoint(folder, step, content.get("best") is True, found)


def checksum(content: Mapping[str, Any]) -> str:
    """Of what a commit says."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def digest(path: Path) -> tuple[str, int]:
    """sha256 and bytes of a file."""
    # Read back from the disk: what is listed is what was written.
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size


def _preprocessing(run_folder: Path) -> dict[str, Any] | None:
    """What the run's settings say now; None for a checkpoint that lies in no run."""
    from napari_mrissl.training.run import Run

    if not (run_folder / SETTINGS).exists():
        return None
    return Run.open(run_folder).settings.data.preprocessing.model_dump(mode="json")


def why(error: OSError) -> str:
    """What the system says, in a few words."""
    return error.strerror or type(error).__name__


def _damaged(step: int, found: str) -> MrisslError:
    return MrisslError(
        f"is damaged ({found})",
        where=f"checkpoint of step {step}",
        remedy="an earlier one is used where there is one",
    )
