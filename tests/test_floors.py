"""What importing costs: no torch anywhere, and below the methods no heavy package at all."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "napari", "qtpy", "PyQt6", "vispy", "SimpleITK", "nilearn", "catboost", "vtk")
ON_DEMAND = (*HEAVY, "numba", "sklearn", "skimage", "pandas", "matplotlib", "h5py", "gymnasium")
LIGHT = ("geometry", "volumes", "packs", "slicing", "trajectories")


def modules_after(script: str, *words: str) -> set[str]:
    """Top-level packages that a fresh process has imported after a script."""
    ending = "\nimport json, sys; print(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    found = subprocess.run(
        [sys.executable, "-c", script + ending, *words],
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=120,
    )
    return set(json.loads(found.stdout.splitlines()[-1]))


@pytest.mark.parametrize("package", LIGHT)
def test_the_lower_floors_import_nothing_heavy(package):
    assert not modules_after(f"import napari_mrissl.{package}") & set(ON_DEMAND)


def test_no_floor_outside_ui_imports_torch_or_qt():
    names = (
        "metrics features segmentation registration synthesis networks pretext training "
        "cli assets directories"
    )
    floors = (*LIGHT, *names.split())
    script = "\n".join(f"import napari_mrissl.{name}" for name in floors)
    assert not modules_after(script) & set(HEAVY)


def test_commands_and_an_open_scan_import_no_torch(tmp_path):
    import nibabel
    import numpy as np

    path = tmp_path / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 5, 6), np.uint8), np.eye(4)), path)
    script = (
        "import sys, napari_mrissl; from napari_mrissl.cli import main;"
        "assert main(['--help']) == 0; assert main(['info', sys.argv[1]]) == 0;"
        "assert main(['slice', '--help']) == 0"
    )
    assert not modules_after(script, str(path)) & {"torch", "napari", "qtpy", "PyQt6", "catboost"}
