"""The memory of the deformable part: it stays under the option, and the least is told."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from warped_pairs import cube_affine

from napari_mrissl.errors import MrisslError
from napari_mrissl.registration import RegistrationSettings
from napari_mrissl.registration.planning import plan
from napari_mrissl.volumes import Volume

LEAST = RegistrationSettings.model_fields["memory_gib"].metadata[0].ge

_RESET = Path("/proc/self/clear_refs")

_CHILD = """
import sys
from pathlib import Path
import numpy as np
from scipy import ndimage
from napari_mrissl.registration import RegistrationSettings, register
from napari_mrissl.volumes import Volume

def kib(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))

def head(side):
    values = np.random.default_rng(0).normal(size=[side // 8] * 3)
    values = ndimage.zoom(values, 8, order=1).astype(np.float32)
    return [Volume.from_stored(v, np.eye(4)) for v in (values, np.roll(values, 3, 0))]

settings = RegistrationSettings(
    linear="none", features=sys.argv[1], memory_gib=float(sys.argv[2]), iterations=2, device="cpu"
)
register(*head(48), settings)
scans = head(112)
before = kib("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
found = register(*scans, settings)
print(kib("VmHWM") - before, found.spacing_mm)
"""


@pytest.mark.skipif(not _RESET.exists(), reason="the system does not tell a process's peak")
@pytest.mark.parametrize("features", ["mind", "intensity"])
def test_the_peak_stays_under_the_option_where_it_bites(features):
    command = [sys.executable, "-c", _CHILD, features, str(LEAST)]
    told = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.split()
    taken, spacing = int(told[0]) * 2**10, float(told[1])
    assert spacing > 1.04
    assert taken <= LEAST * 2**30


def scan(side: int) -> Volume:
    return Volume.from_stored(np.zeros((side,) * 3, np.uint8), cube_affine(side))


@pytest.mark.parametrize(("search", "side"), [(3, 70), (8, 40)])
def test_the_least_memory_does_for_the_grid_that_is_promised(search, side):
    grid, needed = plan(scan(160), RegistrationSettings(memory_gib=LEAST, search=search))
    assert min(grid.shape) >= side
    assert needed.ram_bytes <= LEAST * 2**30


def test_a_refusal_says_what_would_do():
    asked = RegistrationSettings(memory_gib=LEAST, grid=11, adam_grid=12)
    with pytest.raises(MrisslError, match="suffice") as refusal:
        plan(scan(64), asked)
    told = re.search(r"at least ([0-9.]+) GiB", str(refusal.value))
    assert told is not None
    enough = float(told[1])
    grid, needed = plan(scan(64), asked.model_copy(update={"memory_gib": enough}))
    assert grid.shape == (264, 264, 264)
    assert 0.99 * enough * 2**30 <= needed.ram_bytes <= enough * 2**30
    with pytest.raises(MrisslError, match="suffice"):
        plan(scan(64), asked.model_copy(update={"memory_gib": 0.99 * enough}))
