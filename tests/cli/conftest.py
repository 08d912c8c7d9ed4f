"""A small oblique, axis-permuted, anisotropic scan, and a way to run commands in-process."""

import gzip
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_mrissl.cli import main


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class StoredScan(NamedTuple):
    """A scan on disk with its truth."""

    path: Path
    values: NDArray[np.float64]  # as nibabel gives them
    affine: NDArray[np.float64]


def scan_affine() -> NDArray[np.float64]:
    """Stored axes near (P, S, L), 19 degrees oblique, 1.2 x 0.9 x 2 mm."""
    turned = Rotation.from_euler("xyz", (11, -9, 13), degrees=True).as_matrix()
    permuted = np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]], float)
    affine = np.eye(4)
    affine[:3, :3] = turned @ permuted * (1.2, 0.9, 2.0)
    affine[:3, 3] = (33.0, 28.0, -31.0)
    return affine


def smooth_voxels(shape: tuple[int, int, int]) -> NDArray[np.int16]:
    """Two materials with a smooth boundary and some texture."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    ball = 1 / (1 + np.exp(12 * (np.sqrt(x**2 + 0.8 * y**2 + 1.2 * z**2) - 0.6)))
    return np.rint(900 * ball + 60 * np.sin(9 * x) * np.cos(7 * y + z)).astype(np.int16)


@pytest.fixture
def scan(tmp_path: Path) -> StoredScan:
    """A scaled int16 NIfTI of 44 x 52 x 26 voxels."""
    path = tmp_path / "scan.nii.gz"
    stored = smooth_voxels((44, 52, 26))
    image = nibabel.Nifti1Image(stored, scan_affine())
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(0.5, -10)
    # The in-memory data are written as they are, so that slope and intercept are applied.
    raw = bytearray(image.to_bytes())
    raw[112:120] = np.array([0.5, -10], "<f4").tobytes()
    path.write_bytes(gzip.compress(bytes(raw)))
    back = nibabel.load(path)
    np.testing.assert_allclose(back.get_fdata(), 0.5 * stored - 10)
    return StoredScan(path, back.get_fdata(), back.affine)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run ``mrissl`` in this process."""

    def command(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        # While numba compiles, it may put back the streams of an earlier moment.
        for thread in threading.enumerate():
            if thread.name == "slicing kernels":
                thread.join()
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return command


@pytest.fixture
def refused(run: Callable[..., Ran]) -> Callable[..., str]:
    """Run a command that must be refused in one sentence; returns the sentence."""

    def command(*arguments: object) -> str:
        ran = run(*arguments)
        assert ran.code == 2, ran
        assert ran.out == ""
        said = ran.err.strip().splitlines()
        sentence = said[-1].removeprefix("mrissl: ")
        assert sentence.endswith((".", "?"))
        assert ". " not in sentence, "more than one sentence"
        assert sentence.isprintable()
        assert "Traceback" not in ran.err
        return sentence

    return command
