"""Commands of napari's own menus: anatomical views and the left-right convention."""

from __future__ import annotations

from napari import current_viewer

from napari_mrissl.errors import MrisslError
from napari_mrissl.ui.layers import convention_of, orient_camera, show_view, toggle_readings
from napari_mrissl.ui.preferences import CONVENTIONS


def view_axial() -> None:
    """Show the current viewer's axial view."""
    show_view(_viewer(), "axial")


def view_coronal() -> None:
    """Show the current viewer's coronal view."""
    show_view(_viewer(), "coronal")


def view_sagittal() -> None:
    """Show the current viewer's sagittal view."""
    show_view(_viewer(), "sagittal")


def toggle_convention() -> None:
    """Change the current viewer between the neurological and the radiological convention."""
    viewer = _viewer()
    orient_camera(viewer, CONVENTIONS[convention_of(viewer) == CONVENTIONS[0]])


def toggle_banner() -> None:
    """Hide or show the banner about scans that programs put in different places."""
    if not toggle_readings(_viewer()):
        from napari.utils.notifications import show_info

        show_info("All programs put the scans in this viewer in the same place.")


def _viewer():
    viewer = current_viewer()
    if viewer is None:
        raise MrisslError("no napari window is open", remedy="open a scan first")
    return viewer
