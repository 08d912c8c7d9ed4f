"""Names of the files in a run's folder, and the remains of interrupted writing."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

from napari_mrissl.errors import MrisslError

SETTINGS = "settings.json"
IDENTITY = "run.json"
CHECKPOINTS = "checkpoints"
WEIGHTS = "weights.safetensors"
IMAGES = "images"
CARD = "model_card.md"
COMMIT = "commit.json"

_STEP = re.compile(r"step_(\d{9})")
_REMAINS = re.compile(r"\.mrissl-[0-9a-f]{16}\.tmp")


def step_folder(run_folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return run_folder / CHECKPOINTS / f"step_{step:09d}"


def committed_steps(run_folder: Path) -> list[int]:
    """Steps with a checkpoint that was committed, ascending; its content is not checked."""
    try:
        names = os.listdir(run_folder / CHECKPOINTS)
    except OSError:
        return []
    steps = sorted(int(found[1]) for name in names if (found := _STEP.fullmatch(name)))
    return [step for step in steps if (step_folder(run_folder, step) / COMMIT).is_file()]


def being_saved(run_folder: Path) -> bool:
    """Whether a checkpoint is being written, or was when its process was killed."""
    try:
        return any(_REMAINS.fullmatch(name) for name in os.listdir(run_folder / CHECKPOINTS))
    except OSError:
        return False


def check_ours(run_folder: Path) -> None:
    """Refuse to write into a run that holds links, pipes or devices.

    What is written, cut or removed in a folder of somebody else must not lie elsewhere.

    Raises
    ------
    MrisslError
        If it does, or the folder cannot be read.
    """
    for folder in (run_folder, run_folder / CHECKPOINTS, run_folder / IMAGES):
        try:
            with os.scandir(folder) as entries:
                odd = [
                    entry.name
                    for entry in entries
                    if not entry.is_file(follow_symlinks=False)
                    and not entry.is_dir(follow_symlinks=False)
                ]
        except FileNotFoundError:
            continue
        except OSError as error:
            raise MrisslError(
                f"could not be read ({error.strerror or type(error).__name__})", where=folder
            ) from error
        if odd:
            raise MrisslError(
                f"{odd[0]} is a link, a pipe or a device",
                where=run_folder,
                expected="files and folders only",
                remedy="do not resume this run; it may be hostile",
            )


def remove_remains(run_folder: Path) -> None:
    """Remove what processes that were killed while writing left behind."""
    for folder in (run_folder, run_folder / CHECKPOINTS, run_folder / IMAGES):
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(folder):
                if _REMAINS.fullmatch(name):
                    _remove(folder / name)
    checkpoints = run_folder / CHECKPOINTS
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(checkpoints):
            # Without its commit it was on its way to be removed.
            if _STEP.fullmatch(name) and not (checkpoints / name / COMMIT).exists():
                _remove(checkpoints / name)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
