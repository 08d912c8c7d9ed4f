"""Environments of their own in which other projects' programs run, each made when needed."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKS = Path(__file__).parent


def environment_with(variable: str, *requirements: str) -> Iterator[Path]:
    """The ``bin`` of an environment with some packages: a variable's, or one made here.

    Skips the test where it cannot be made.
    """
    if given := os.environ.get(variable):
        yield Path(given)
        return
    with tempfile.TemporaryDirectory() as home:
        subprocess.run([sys.executable, "-m", "venv", home], check=True, timeout=120)
        programs = Path(home) / "bin"
        install = [programs / "python", "-m", "pip", "install", "-q", *requirements]
        try:
            # What is importable here by a path of its own would count as installed there.
            ran = subprocess.run(
                install, timeout=3000, capture_output=True, encoding="utf-8", check=False,
                env={**os.environ, "PYTHONPATH": ""},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            pytest.skip(f"{requirements[0]} could not be installed in 50 minutes")
        if ran.returncode:
            pytest.skip(f"{requirements[0]} could not be installed: {ran.stderr[-300:]}")
        yield programs


def told_by(programs: Path, script: str, *words: object, **variables: str) -> dict:
    """What a script of these tests says on its last line, run in such an environment."""
    environment = {**os.environ, "PYTHONPATH": "", **variables}
    ran = subprocess.run(
        [programs / "python", CHECKS / script, *map(str, words)],
        capture_output=True, encoding="utf-8", timeout=600, env=environment, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout.splitlines()[-1])
