"""The ways others resample slices, each as a small object: volume in, slices out.

All take planes (K, 3, 3): origin, row step and column step in voxels (s, a, r), and
include what a user of them has to compute per slice (coordinates, grids, transforms).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
import torch.nn.functional as functional
import vtk
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from napari_mrissl.slicing import gather
from napari_mrissl.slicing.threads import over_rows
from napari_mrissl.slicing.voxels import Voxels

Planes = NDArray[np.float64]


def coordinates(planes: Planes, size: int) -> NDArray[np.float64]:
    """Voxel coordinates (3, K, N, N) of all pixels."""
    steps = np.arange(size, dtype=np.float64)
    points = (
        planes[:, 0, :, None, None]
        + planes[:, 1, :, None, None] * steps[:, None]
        + planes[:, 2, :, None, None] * steps
    )
    return np.moveaxis(points, 1, 0)


class GatherOnly:
    """The floor: eight loads a pixel at known places, summed; no coordinates, no weights."""

    def __init__(self, data: NDArray[Any], planes: Planes, size: int) -> None:
        self.flat = data.reshape(-1)
        self.strides = tuple(step // data.itemsize for step in data.strides)
        below = np.clip(np.floor(coordinates(planes, size)).astype(np.int64), 0, data.shape[0] - 2)
        self.places = np.ascontiguousarray(np.tensordot(self.strides, below, 1).reshape(-1))
        self.sums = np.empty(self.places.size, np.float32)
        self.pixels = size * size

    def __call__(self, first: int, count: int) -> None:
        a, b = first * self.pixels, (first + count) * self.pixels
        s0, s1, _ = self.strides

        def run(start: int, stop: int) -> None:
            _gather_only(self.flat, self.places[a:b], s0, s1, self.sums[a:b], start, stop)

        over_rows(run, b - a, b - a)


@njit(nogil=True, fastmath=True)
def _gather_only(flat, places, s0, s1, sums, start, stop):
    for p in range(start, stop):
        n = places[p]
        sums[p] = (
            np.float32(flat[n])
            + np.float32(flat[n + 1])
            + np.float32(flat[n + s1])
            + np.float32(flat[n + s1 + 1])
            + np.float32(flat[n + s0])
            + np.float32(flat[n + s0 + 1])
            + np.float32(flat[n + s0 + s1])
            + np.float32(flat[n + s0 + s1 + 1])
        )


class Scipy:
    """`scipy.ndimage.map_coordinates`, order 1, float32 output; threads share the slices."""

    def __init__(self, data: NDArray[Any], threads: int = 1) -> None:
        self.data = data
        self.threads = threads
        self.pool = ThreadPoolExecutor(threads)

    def __call__(self, planes: Planes, size: int) -> NDArray[np.float32]:
        values = np.empty((len(planes), size, size), np.float32)

        def some(part: int) -> None:
            chosen = slice(part, None, self.threads)
            for k in range(len(planes))[chosen]:
                points = coordinates(planes[k : k + 1], size)[:, 0]
                map_coordinates(self.data, points, values[k], order=1, mode="nearest")

        list(self.pool.map(some, range(self.threads)))
        return values


class TorchGridSample:
    """`torch.nn.functional.grid_sample`, one 5-D call for all planes."""

    def __init__(self, data: NDArray[Any], *, convert_each_time: bool = False) -> None:
        stored = torch.from_numpy(data.copy())
        self.voxels = stored if convert_each_time else stored.float()
        self.sides = torch.tensor(data.shape, dtype=torch.float32)

    def __call__(self, planes: Planes, size: int) -> NDArray[np.float32]:
        corners = torch.from_numpy(planes).float()
        steps = torch.arange(size, dtype=torch.float32)
        points = (
            corners[:, 0, None, None]
            + corners[:, 1, None, None] * steps[:, None, None]
            + corners[:, 2, None, None] * steps[:, None]
        )
        grid = ((2 * points + 1) / self.sides - 1).flip(-1)[None]
        voxels = self.voxels.float()[None, None]
        return functional.grid_sample(voxels, grid, align_corners=False)[0, 0].numpy()


class SimpleItk:
    """`SimpleITK.Resample`, linear, one call a plane."""

    def __init__(self, data: NDArray[Any], threads: int) -> None:
        image = sitk.GetImageFromArray(data)
        self.resampler = sitk.ResampleImageFilter()
        self.resampler.SetInterpolator(sitk.sitkLinear)
        self.resampler.SetOutputPixelType(sitk.sitkFloat32)
        self.resampler.SetNumberOfThreads(threads)
        self.image = image

    def __call__(self, planes: Planes, size: int) -> NDArray[np.float32]:
        slices = []
        for plane in planes:
            # Index (s, a, r) is ITK's (z, y, x).
            origin, down, across = plane[:, ::-1]
            step = float(np.linalg.norm(across))
            directions = np.stack([across / step, down / step], axis=1)
            normal = np.cross(directions[:, 0], directions[:, 1])
            frame = np.column_stack([directions, normal])
            self.resampler.SetSize((size, size, 1))
            self.resampler.SetOutputSpacing((step, step, step))
            self.resampler.SetOutputOrigin(origin.tolist())
            self.resampler.SetOutputDirection(frame.ravel().tolist())
            slices.append(sitk.GetArrayFromImage(self.resampler.Execute(self.image))[0])
        return np.array(slices, np.float32)


class Vtk:
    """`vtkImageReslice`, linear, one call a plane."""

    def __init__(self, data: NDArray[Any], threads: int) -> None:
        self.kept = numpy_to_vtk(data.reshape(-1))
        image = vtk.vtkImageData()
        image.SetDimensions(*data.shape[::-1])
        image.GetPointData().SetScalars(self.kept)
        self.reslice = vtk.vtkImageReslice()
        self.reslice.SetInputData(image)
        self.reslice.SetInterpolationModeToLinear()
        self.reslice.SetOutputDimensionality(2)
        self.reslice.SetOutputScalarType(vtk.VTK_FLOAT)
        self.reslice.SetNumberOfThreads(threads)
        vtk.vtkSMPTools.Initialize(threads)
        self.axes = vtk.vtkMatrix4x4()
        self.reslice.SetResliceAxes(self.axes)

    def __call__(self, planes: Planes, size: int) -> NDArray[np.float32]:
        slices = []
        for plane in planes:
            origin, down, across = plane[:, ::-1]
            step = float(np.linalg.norm(across))
            x, y = across / step, down / step
            for row in range(3):
                for column, vector in enumerate((x, y, np.cross(x, y), origin)):
                    self.axes.SetElement(row, column, float(vector[row]))
            self.axes.Modified()
            self.reslice.SetOutputSpacing(step, step, 1)
            self.reslice.SetOutputOrigin(0, 0, 0)
            self.reslice.SetOutputExtent(0, size - 1, 0, size - 1, 0, 0)
            self.reslice.Update()
            scalars = self.reslice.GetOutput().GetPointData().GetScalars()
            slices.append(vtk_to_numpy(scalars).reshape(size, size).copy())
        return np.array(slices, np.float32)


class NumpyGather:
    """Our own numpy path, which serves until the kernels are ready."""

    def __init__(self, data: NDArray[Any]) -> None:
        self.voxels = Voxels.of(data)

    def __call__(self, planes: Planes, size: int) -> NDArray[np.float32]:
        values = np.empty((len(planes), size, size), np.float32)
        valid = np.empty(values.shape, bool)
        gather.gather_linear(self.voxels, planes, 1.0, 0.0, values, valid)
        return values
