"""A recording process killed at random: nothing acknowledged is lost, the rest up to a second."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")

SCRIPT = Path(__file__).resolve().parents[1] / "recorder_kills.py"


def killed(folder, kills, seed):
    done = subprocess.run(
        [sys.executable, SCRIPT, folder / "set", str(kills), str(seed)],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60 + 20 * kills,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    print(report)
    return report


def check(report, kills):
    assert report["wrong"] == []
    assert sum(report["killed_while"].values()) == kills
    # Kills fell both into flights and into what is done about them.
    assert len(report["killed_while"]) >= 2
    assert report["episodes"] > 0


def test_kills_lose_nothing_that_was_acknowledged(tmp_path):
    check(killed(tmp_path, 25, 1), 25)


@pytest.mark.slow
@pytest.mark.timeout(4000)
def test_two_hundred_kills_lose_nothing_that_was_acknowledged(tmp_path):
    check(killed(tmp_path, 200, 2), 200)
