"""Kernels appear in the background: first slices do not wait and processes end cleanly."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from napari_mrissl.slicing import compiled, prepare

_ROOT = Path(__file__).resolve().parents[2]
# For tests that need no cold cache.
SHARED = {"NUMBA_CACHE_DIR": os.environ["NUMBA_CACHE_DIR"]}
_RENDER = """
import sys
import numpy as np
from napari_mrissl.geometry import Pose
from napari_mrissl.slicing import compiled, prepare, render
from napari_mrissl.volumes.volume import Volume
volume = Volume.from_stored(np.ones((32, 32, 32), np.int16), np.eye(4))
pose = Pose(volume.center, np.eye(3), 40.0)
"""


def run(code, tmp_path, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "kernels")} | environment,
        cwd=_ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_importing_is_light(tmp_path):
    heavy = "numba scipy torch nibabel SimpleITK napari pydantic skimage sklearn qtpy"
    code = "import sys; import napari_mrissl.slicing, napari_mrissl.trajectories\n"
    code += f"print([m for m in {heavy.split()} if m in sys.modules])"
    assert run(code, tmp_path).strip() == "[]"


def test_one_slice_starts_no_compiler(tmp_path):
    code = (
        _RENDER
        + "render(volume, pose, 16)\nprint('numba' in sys.modules, compiled._background.thread)"
    )
    assert run(code, tmp_path).strip() == "False None"


def test_first_slices_with_a_cold_cache_do_not_wait(tmp_path):
    code = _RENDER + (
        "prepare()\n"
        "first = render(volume, pose, 16)\n"
        "print(len(compiled._background.ready), end=' ')\n"
        "compiled._background.wait(('linear', 'i2'))\n"
        "later = render(volume, pose, 16)\n"
        "assert (first.values == later.values).all() and (first.valid == later.valid).all()\n"
        "print(('linear', 'i2') in compiled._background.ready)"
    )
    assert run(code, tmp_path).strip() == "0 True"
    assert list((tmp_path / "kernels").rglob("*.nbi"))


@pytest.mark.parametrize(
    "attempt", [0, 1, 2, 5, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 4, 6, 7, 8, 9))]
)
def test_leaving_while_kernels_come_is_clean(attempt, tmp_path):
    # Half of them with nothing in the cache, so that the compiler is at work.
    code = (
        _RENDER + f"import time\nprepare()\nrender(volume, pose, 16)\ntime.sleep({attempt} * 0.07)"
    )
    run(code, tmp_path, **(SHARED if attempt % 2 else {}))


def test_a_large_batch_waits_for_its_kernel(tmp_path):
    code = _RENDER + "render(volume, pose, 2048)\nprint(list(compiled._background.ready)[:1])"
    assert run(code, tmp_path, **SHARED).strip() == "[('linear', 'i2')]"


def test_an_unwritable_cache_is_no_obstacle(tmp_path):
    (tmp_path / "kernels").write_text("not a folder", "utf-8")
    code = _RENDER + (
        "prepare()\nkernel = compiled._background.wait(('linear', 'i2'))\n"
        "print(kernel is not None, render(volume, pose, 8).values[4, 4])"
    )
    assert run(code, tmp_path).strip() == "True 1.0"


def test_a_forked_child_renders(tmp_path):
    code = _RENDER + (
        "import os, warnings\n"
        "compiled._background.want((('linear', 'i2'),), first=True)\n"
        "compiled._background.wait(('linear', 'i2'))\n"
        "render(volume, pose, 512)\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    render(volume, pose, 512); prepare(); os._exit(7)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    assert run(code, tmp_path, **SHARED).strip() == "7"


def test_without_a_compiler_numpy_serves(monkeypatch, caplog):
    background = compiled._Background()
    monkeypatch.setattr(compiled, "_background", background)
    monkeypatch.setitem(sys.modules, "napari_mrissl.slicing.kernels", None)
    prepare()
    assert background.wait(("linear", "i2")) is None
    with background.changed:
        background.changed.wait_for(lambda: background.thread is None)
    assert "numpy renders instead" in caplog.text
    assert compiled.kernel("linear", np.dtype("i2"), 10**9) is None


def test_what_is_in_use_comes_first(monkeypatch):
    order = []
    entered, proceed = threading.Event(), threading.Event()

    def slowly(name):
        order.append(name)
        entered.set()
        proceed.wait()
        return lambda: None

    background = compiled._Background()
    monkeypatch.setattr(background, "_compiled", slowly)
    background.want((("linear", "u1"), ("linear", "u2")))
    entered.wait()
    background.want((("nearest", "f4"),), first=True)
    background.want((("linear", "u2"),), first=True)
    background.want((("linear", "u2"),))
    proceed.set()
    for name in (("nearest", "f4"), ("linear", "u2"), ("linear", "u1")):
        assert background.wait(name) is not None
    assert order == [("linear", "u1"), ("linear", "u2"), ("nearest", "f4")]
    background.want((("linear", "u1"),))
    assert background.thread is None or not background.wanted
