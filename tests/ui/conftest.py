"""Marker phantoms of known geometry, in every stored orientation."""

from __future__ import annotations

import gc
import itertools
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from npe2 import PluginManifest
from numpy.typing import NDArray
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication
from scipy.spatial.transform import Rotation
from tracing import untraced

import napari_mrissl
from napari_mrissl.volumes.volume import Volume

sys.path.insert(0, str(Path(__file__).parent))

SPACINGS = {"isotropic": (2.0, 2.0, 2.0), "anisotropic": (0.5, 0.7, 5.0)}
EXTENT = 56.0
CENTER = np.array([11.0, -7.0, 23.0])
MARKERS = {"L": (250, (-15.0, 0, 0)), "A": (170, (0, 15.0, 0)), "S": (110, (0, 0, 15.0))}
RADIUS = 7.0
TILT_AXIS = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)


@dataclass(frozen=True)
class Geometry:
    """One way to store a scan: axis order, axis directions, spacing, tilt."""

    order: tuple[int, int, int]
    signs: tuple[int, int, int]
    spacing: str
    degrees: float

    @property
    def shape(self) -> tuple[int, int, int]:
        s, a, r = (round(EXTENT / mm) for mm in SPACINGS[self.spacing])
        return s, a, r

    @property
    def affine(self) -> NDArray[np.float64]:
        """Index to RAS mm, built by hand: the grid is centred at `CENTER`."""
        linear = np.zeros((3, 3))
        for axis, (world, sign) in enumerate(zip(self.order, self.signs, strict=True)):
            linear[world, axis] = sign * SPACINGS[self.spacing][axis]
        linear = Rotation.from_rotvec(np.radians(self.degrees) * TILT_AXIS).as_matrix() @ linear
        affine = np.eye(4)
        affine[:3, :3] = linear
        affine[:3, 3] = CENTER - linear @ ((np.array(self.shape) - 1) / 2)
        return affine


def _world_of_voxels(geometry: Geometry) -> NDArray[np.float64]:
    index = np.stack(np.meshgrid(*(np.arange(n) for n in geometry.shape), indexing="ij"), -1)
    return index @ geometry.affine[:3, :3].T + geometry.affine[:3, 3]


@pytest.fixture(autouse=True)
def plugin(plugin_settings, npe2pm):
    """Our plugin alone, registered, with preferences that no other test and no user sees."""
    npe2pm.register(PluginManifest.from_file(Path(napari_mrissl.__file__).parent / "napari.yaml"))
    return npe2pm


@pytest.fixture(scope="session")
def geometries() -> list[Geometry]:
    """48 orientations x two spacings x straight and 17 degrees oblique."""
    return [
        Geometry(order, signs, spacing, degrees)
        for spacing in SPACINGS
        for degrees in (0.0, 17.0)
        for order in itertools.permutations((0, 1, 2))
        for signs in itertools.product((1, -1), repeat=3)
    ]


@pytest.fixture(scope="session")
def make_geometry() -> Callable[..., Geometry]:
    return lambda order=(0, 1, 2), signs=(1, 1, 1), spacing="isotropic", degrees=0.0: Geometry(
        order, signs, spacing, degrees
    )


@pytest.fixture(scope="session")
def marker_volume() -> Callable[[Geometry], Volume]:
    """A ball with a bright marker on the patient's left, others anterior and superior."""

    def make(geometry: Geometry) -> Volume:
        away = _world_of_voxels(geometry) - CENTER
        voxels = np.where(np.linalg.norm(away, axis=-1) < 26, 40, 0).astype(np.uint8)
        for value, offset in MARKERS.values():
            voxels[np.linalg.norm(away - offset, axis=-1) < RADIUS] = value
        return Volume.from_stored(voxels, geometry.affine, name="markers")

    return make


@pytest.fixture(scope="session")
def wave() -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """A smooth function of world mm without any symmetry."""

    def value(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y, z = np.moveaxis(np.asarray(points) - CENTER, -1, 0)
        return np.sin(x / 5 + 0.3) + np.cos(y / 7 - 0.2 * z) + np.sin((x + 2 * y - z) / 9)

    return value


@pytest.fixture(scope="session")
def wave_volume(wave) -> Callable[[Geometry], Volume]:
    def make(geometry: Geometry) -> Volume:
        values = wave(_world_of_voxels(geometry)).astype(np.float32)
        return Volume.from_stored(values, geometry.affine, name="wave")

    return make


@pytest.fixture
def no_warnings() -> Callable:
    """Turn every warning into an error, but for one of scikit-image inside napari."""

    @contextmanager
    def strictly() -> Iterator[None]:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # napari's label colours are converted from CIE-LAB, some out of gamut.
            warnings.filterwarnings("ignore", message="Conversion from CIE-LAB")
            yield

    return strictly


@pytest.fixture(scope="session")
def imports_frozen():
    """Leave what is imported out of every garbage collection: each test makes two.

    What is younger is collected by itself less often. Of three tests with a navigator that
    takes 3.1 s of processor time instead of 7.3 s, of 27 s in all.
    """
    import napari._qt.qt_main_window  # noqa: F401 - all that a viewer imports

    before = gc.get_threshold()
    gc.set_threshold(20_000, 20, 20)
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.fixture
def make_napari_viewer(make_napari_viewer, imports_frozen):
    """Napari's fixture; widgets of ours that a test took out of their docks, and holds, end first.

    Without that they would be leaks to napari's check: pytest keeps the values of fixtures
    until the last of them is torn down. `test_leaks` looks at what docks leave behind.
    """
    before = set(QApplication.topLevelWidgets())

    def make(*words, **options):
        # Nothing of ours runs in it, but a second of napari's Python.
        with untraced():
            return make_napari_viewer(*words, **options)

    yield make
    for widget in set(QApplication.topLevelWidgets()) - before:
        if type(widget).__module__.startswith("napari_mrissl."):
            # A canvas inside is napari's, and held by what the test still holds of ours.
            getattr(widget, "shut_down", _nothing)()
            widget.deleteLater()
    del before
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    # Where the test closed its viewer itself, napari collects only what is young.
    gc.collect()


def _nothing() -> None:
    return None


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    """A shown viewer with one small scan."""
    from navigator_actions import small_volume

    from napari_mrissl.ui.layers import add_volume

    viewer = make_napari_viewer_proxy(show=True)
    add_volume(viewer, small_volume())
    return viewer


@pytest.fixture
def scan_model(qapp):
    """A viewer without a window, with one small scan: panes need no canvas of napari's."""
    from napari.components import ViewerModel
    from navigator_actions import small_volume

    from napari_mrissl.ui.layers import add_volume

    viewer = ViewerModel()
    add_volume(viewer, small_volume())
    return viewer


@pytest.fixture
def views(viewer, qtbot):
    """Slice views of it in a window of their own, drawn once."""
    from views_actions import open_views

    views = open_views(viewer, qtbot)
    yield views
    views.shut_down()


@pytest.fixture
def navigator(viewer, qtbot):
    """A navigator docked in it, with its first slice drawn."""
    from napari_mrissl.ui.navigator import SliceNavigator

    navigator = SliceNavigator(viewer)
    viewer.window.add_dock_widget(navigator, name="Slice navigator")
    qtbot.waitUntil(lambda: navigator.view.valid.any())
    qtbot.wait(50)
    return navigator


@pytest.fixture
def canvas(navigator):
    """What mouse and keys are sent to."""
    return navigator.view.canvas
