"""What the manifest promises: samples, commands, menus and preferences."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from napari.settings import get_plugin_settings
from npe2 import PluginManifest

import napari_mrissl
from napari_mrissl.errors import MrisslError
from napari_mrissl.ui import commands, samples
from napari_mrissl.ui.layers import add_volume, edge_letters, volume_of
from napari_mrissl.ui.preferences import Preferences, preferences

MANIFEST = Path(napari_mrissl.__file__).parent / "napari.yaml"


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_file(MANIFEST)


def test_npe2_validates_the_manifest():
    program = "from npe2.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, "validate", str(MANIFEST)],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "valid" in done.stdout


def test_manifest_and_preferences_have_the_same_defaults(manifest):
    declared = {
        key: prop.default
        for group in manifest.contributions.configurations.values()
        for key, prop in group.properties.items()
    }
    assert declared == Preferences().model_dump()


def test_formats_of_manifest_and_package_agree(manifest):
    from napari_mrissl.volumes import READABLE_SUFFIXES, WRITABLE_SUFFIXES

    (reader,) = manifest.contributions.readers
    assert {p.lstrip("*") for p in reader.filename_patterns} <= set(READABLE_SUFFIXES)
    for writer in manifest.contributions.writers:
        assert set(writer.filename_extensions) <= set(WRITABLE_SUFFIXES)


def test_preferences_are_those_of_napari():
    settings = get_plugin_settings("napari-mrissl")
    assert preferences() == Preferences()
    settings.display.convention = "radiological"
    settings.computing.threads = 2
    assert preferences() == Preferences(convention="radiological", threads=2)


def test_a_changed_preference_turns_open_viewers(make_geometry, marker_volume):
    viewer = ViewerModel()
    add_volume(viewer, marker_volume(make_geometry()))
    display = get_plugin_settings("napari-mrissl").display
    assert "".join(edge_letters(viewer).values()) == "LRPA"
    display.convention = "radiological"
    assert "".join(edge_letters(viewer).values()) == "RLPA"
    assert viewer.canvas.overlays["patient_left"].text == "R"
    display.letters = False
    assert not viewer.canvas.overlays["patient_left"].visible
    viewer.scene.camera.orientation2d = ("down", "left")
    display.convention = "neurological"
    assert str(viewer.scene.camera.orientation2d[0]) == "down"


@pytest.mark.parametrize("key", ["mni152_2mm", "mni152_tissues_2mm", "phantom"])
def test_samples_open(key, no_warnings):
    viewer = ViewerModel()
    with no_warnings():
        layers = viewer.open_sample("napari-mrissl", key)
    assert isinstance(layers[0], Image)
    assert all(volume_of(layer) is not None for layer in layers)
    if key == "mni152_tissues_2mm":
        assert isinstance(layers[1], Labels)
        assert list(layers[1].features["name"]) == [
            "background",
            "grey matter",
            "white matter",
            "CSF",
        ]


def test_the_sample_at_1_mm_is_the_template():
    ((data, settings, kind),) = samples.mni152()
    assert (data.shape, kind) == ((189, 233, 197), "image")
    assert np.allclose(settings["scale"], 1)


def test_commands_without_a_window_say_so():
    with pytest.raises(MrisslError, match="window"):
        commands.view_axial()


@pytest.mark.gui
def test_commands_turn_the_current_viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.open_sample("napari-mrissl", "phantom")
    commands.view_sagittal()
    assert "".join(edge_letters(viewer).values()) == "PAIS"
    commands.toggle_convention()
    assert "".join(edge_letters(viewer).values()) == "APIS"
    commands.toggle_convention()
    commands.view_coronal()
    assert "".join(edge_letters(viewer).values()) == "LRIS"
    commands.view_axial()
    assert "".join(edge_letters(viewer).values()) == "LRPA"


@pytest.mark.gui
def test_a_file_opened_in_a_window_is_upright(make_napari_viewer, tmp_path):
    import nibabel as nib

    voxels = np.random.default_rng(8).normal(size=(12, 13, 14)).astype(np.float32)
    nib.save(nib.Nifti1Image(voxels, np.diag([-1, 1, 1, 1.0])), tmp_path / "scan.nii")
    viewer = make_napari_viewer(show=True)
    viewer.open(tmp_path / "scan.nii", plugin="napari-mrissl")
    orientation = tuple(str(o) for o in viewer.scene.camera.orientation)
    assert orientation == ("towards", "up", "right")
