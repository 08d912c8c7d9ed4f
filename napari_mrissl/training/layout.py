"""Names of the files in a run's folder, and the remains of interrupted writing."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

SETTINGS = "settings.json"
IDENTITY = "run.json"
CHECKPOINTS = "checkpoints"
WEIGHTS = "weights.safetensors"
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


def remove_remains(run_folder: Path) -> None:
    """Remove what processes that were killed while writing left behind."""
    for folder in (run_folder, run_folder / CHECKPOINTS, run_folder / "images"):
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
