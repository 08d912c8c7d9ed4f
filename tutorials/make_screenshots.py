"""Rebuild the README's pictures, each of the widgets a user has, at work:  make shots.

``python tutorials/make_screenshots.py docs RUN`` takes a trained run of the observable tasks, of
dynamics, of body coordinates or of diffusion, and makes the pictures of its page in docs alone;
``docs FIXED MOVING`` those of registration, and ``docs FIXED MOVING FIXED_LABELS MOVING_LABELS``
that of its scores.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import napari
import numpy as np
from PIL import Image

from napari_mrissl.assets import asset
from napari_mrissl.cli import main as main_command
from napari_mrissl.features.recolouring import Recolouring, recoloured
from napari_mrissl.registration import PRESETS, RegistrationSettings
from napari_mrissl.segmentation.finetuning import FinetuneSettings
from napari_mrissl.synthesis.deformation import DeformationSettings, Sampler, draw_deformation
from napari_mrissl.synthesis.head_templates import cubic_affine, cubic_volume
from napari_mrissl.training.run import Run
from napari_mrissl.trajectories import Dataset, Flight, flight_info, open_or_create
from napari_mrissl.ui import demo, docks
from napari_mrissl.ui.inspector.diffusion import probe_grid
from napari_mrissl.ui.inspector.vectorpose.choice import CropChoice
from napari_mrissl.ui.layers import add_labels, add_volume, volume_of
from napari_mrissl.ui.registration.pair_box import FIXED, MOVING
from napari_mrissl.ui.workspaces import open_workspace
from napari_mrissl.volumes import read, write_image
from napari_mrissl.volumes.samples import TISSUE_NAMES, mni152, mni152_tissues

SMALL_SCREEN, WIDE_SCREEN = (1366, 768), (1600, 950)
MOST_BYTES = 200_000
STEPS = 80
"""Of the runs that are pictured: enough for curves, not for a network to be proud of."""

BRAIN_SIDE, BRAIN_SPACING = 64, 3.0


def opened(theme: str, size: tuple[int, int] = SMALL_SCREEN) -> Any:
    """A new window, as large as a small screen."""
    viewer = napari.Viewer()
    viewer.theme = theme
    viewer.window.resize(*size)
    demo.settle(0.2)
    return viewer


def panel_of(viewer: Any, title: str) -> Any:
    """The widget in an open dock."""
    return docks.open_dock(viewer, title)[1]


def shrink(path: Path, target: Path) -> None:
    """Store a picture of a window with 256 colours: it has few, and git keeps every version."""
    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(256, kmeans=2, dither=Image.Dither.NONE)
    few.save(target, optimize=True)


def shoot(viewer: Any, target: Path) -> None:
    """Store the window with 256 colours."""
    demo.settle(1.0)
    viewer.screenshot(str(target), canvas_only=False, flash=False)
    shrink(target, target)
    if target.stat().st_size > MOST_BYTES:
        sys.exit(f"{target.name} has {target.stat().st_size} bytes: more than {MOST_BYTES}")


def segmenter(target: Path) -> None:
    """The click panel after the demo's clicks."""
    viewer = opened("dark")
    layer = add_volume(viewer, mni152(2))
    navigator, panel = demo.open_widgets(viewer)
    navigator.choose_layer(layer)
    panel.load_prompts(asset("demo/clicks.json"))
    panel.controller.segment()
    demo.wait_until(lambda: panel.result_layer is not None, "the first labels")
    demo.wait_until(lambda: not panel.busy, "the segmentation")
    panel.parentWidget().raise_()
    shoot(viewer, target)
    viewer.close()


def slice_views(target: Path) -> None:
    """Four views of a scan with its tissues."""
    viewer = opened("dark")
    viewer.open_sample("napari-mrissl", "mni152_tissues")
    open_workspace(viewer, "look")
    demo.settle()
    views = panel_of(viewer, "Slice views")
    navigator = panel_of(viewer, "Slice navigator")
    navigator.state.go_to((-22.0, -18.0, 12.0))
    navigator.state.move([0, 0, 0, 0.35, 0.5, 0, 0])
    views.fit()
    # The help that napari gives for painting is not what the picture is about.
    viewer.layers.selection.active = viewer.layers["MNI152 T1 1 mm"]
    viewer.reset_view()
    shoot(viewer, target)
    viewer.close()


def recorder(target: Path, scratch: Path) -> None:
    """A dataset with flights, one of which is being replayed."""
    volume = mni152(1)
    flight = Dataset.open(asset("demo/flight")).flight(0)
    dataset = open_or_create(scratch / "flights")
    flown = Flight(volume.identity, flight.poses, flight.times_ns, flight_info(volume))
    for _ in range(3):
        dataset.append(flown, task="look around")
    viewer = opened("light")
    layer = add_volume(viewer, volume)
    open_workspace(viewer, "record")
    panel_of(viewer, "Slice navigator").choose_layer(layer)
    panel = panel_of(viewer, "Flight recorder")
    deck = panel.deck
    deck.choose_dataset(scratch / "flights")
    demo.wait_until(lambda: not panel.busy, "the dataset to be read")
    deck.select(1)
    demo.wait_until(lambda: deck.flight is not None, "the flight to be read")
    deck.replay()
    demo.wait_until(lambda: deck.progress > 0.4, "the replay")
    deck.stop_replay()
    viewer.reset_view()
    shoot(viewer, target)
    viewer.close()


def pretraining(target: Path) -> Path:
    """Live curves of a short run, whose folder is returned once it has ended."""
    viewer = opened("dark")
    add_volume(viewer, mni152(2))
    open_workspace(viewer, "pretrain")
    panel = panel_of(viewer, "Pretraining")
    demo.wait_until(lambda: not panel.busy, "the devices")
    form = panel.form
    form.method.setCurrentIndex(form.method.findData("vectorpose"))
    form.preset.setCurrentIndex(form.preset.findData("tiny"))
    fields = form.run_form.fields
    for name, value in (
        ("optimisation.steps", STEPS),
        ("checkpoint.validate_every", STEPS // 10),
        ("checkpoint.images_every", STEPS // 10),
    ):
        fields[name].parts[0].setValue(value)
    panel.start()
    follower = panel.follower
    demo.wait_until(lambda: follower.history.step >= 0.8 * STEPS, "the first curves")
    demo.wait_until(lambda: bool(panel.run_box.pictures.shown), "the first pictures")
    viewer.reset_view()
    shoot(viewer, target)
    demo.wait_until(lambda: follower.state.name == "finished", "the run")
    demo.wait_until(lambda: not panel.busy, "the list of runs")
    viewer.close()
    return follower.folder


def inspected(run: Path, size: tuple[int, int] = SMALL_SCREEN) -> tuple[Any, Any]:
    """A window with a head, and the Inspector that has looked at it with a run."""
    viewer = opened("dark", size)
    add_volume(viewer, mni152(2))
    open_workspace(viewer, "inspect")
    panel = panel_of(viewer, "Inspector")
    panel.load(run)
    demo.wait_until(lambda: panel.panel is not None, "the panel of the method")
    demo.wait_until(lambda: not panel.busy, "what it sees")
    return viewer, panel


def inspector(target: Path, run: Path) -> None:
    """A crop of a head, with its arrows."""
    viewer, panel = inspected(run)
    panel.panel.chosen.choose(CropChoice((-24.0, -30.0, 20.0), 1.2, 5))
    demo.wait_until(lambda: not panel.busy, "the other crop")
    panel.panel.go_to_crop()
    viewer.reset_view()
    shoot(viewer, target)
    viewer.close()


def observable(target: Path, scratch: Path) -> None:
    """The gap matrix of a short run, with the views of one cell in the scan."""
    run = scratch / "observable"
    words = ["pretrain", "observable", "--data", "heads", "--preset", "tiny"]
    if main_command([*words, "--steps", str(3 * STEPS), "--out", str(run)]):
        raise RuntimeError("the run did not end well")
    viewer, _ = views_of(run)
    shoot(viewer, target)
    viewer.close()


def views_of(run: Path) -> tuple[Any, Any]:
    """A window with a head, and eight views of it in the Inspector."""
    viewer, panel = inspected(run)
    viewer.dims.ndisplay = 3
    panel.panel.matrix_tab.count.setValue(8)
    demo.wait_until(lambda: not panel.busy, "more views")
    panel.panel.choose(panel.panel.choice.at(2, 5))
    demo.wait_until(lambda: not panel.busy, "the pair")
    return viewer, panel


def parts_of_observable(folder: Path, run: Path) -> None:
    """Every tab of the Inspector for a run of the observable tasks."""
    viewer, panel = views_of(run)
    for number, name in enumerate(("matrix", "slices", "layout", "routes", "chunks", "check")):
        panel.panel.tabs.setCurrentIndex(number)
        demo.wait_until(lambda: not panel.busy, name)
        shoot(viewer, folder / f"observable_{name}.png")
    viewer.close()


def parts_of_navigation(folder: Path, run: Path) -> None:
    """An imagined flight with its ghost plane, a slice that was sought, and tokens."""
    viewer, inspector = inspected(run, WIDE_SCREEN)
    panel, state = inspector.panel, inspector.panel.slice_state
    viewer.dims.ndisplay = 3
    panel.imagine_tab.fit.click()
    demo.wait_until(lambda: not inspector.busy, "the pose probe")
    panel.imagine_tab.ghost.setChecked(True)
    panel.imagine_tab.also.setCurrentText("zero and shuffled")
    panel.imagine_tab.start.click()
    demo.wait_until(lambda: panel.control.flight is not None, "the flight")
    for steps, action in enumerate([[0, 0, 0.04, 0, 0.06, 0, 0]] * 4 + [[0.04, 0, 0, 0, 0, 0, 0]]):
        state.move(action)
        demo.wait_until(lambda n=steps: panel.control.flight.steps > n, "a step")
        demo.settle(0.5)
    shoot(viewer, folder / "navigation_imagine.png")
    panel.imagine_tab.stop.click()
    panel.tabs.setCurrentIndex(1)
    panel.find_tab.mark.click()
    demo.wait_until(panel.find_tab.find.isEnabled, "the goal's slice")
    state.move([0, 0, 0.1, 0.15, 0, 0, 0])
    demo.settle(1.0)
    panel.find_tab.effort.setCurrentText("quick")
    panel.find_tab.find.click()
    demo.wait_until(lambda: panel.goals.found is not None, "the goal")
    demo.settle(5.0)
    shoot(viewer, folder / "navigation_find.png")
    panel.tabs.setCurrentIndex(2)
    tab = panel.latent_tab
    demo.wait_until(lambda: tab.colours.image is not None, "the tokens")
    tab.slice.clicked.emit(0.45, 0.45)
    demo.wait_until(lambda: tab.similar.image is not None, "what is alike")
    shoot(viewer, folder / "navigation_latents.png")
    viewer.close()


def parts_of_coordinates(folder: Path, run: Path) -> None:
    """Body coordinates of a head, as colours, lines and arrows."""
    viewer, inspector = inspected(run)
    viewer.window.remove_dock_widget(docks.open_dock(viewer, "Slice views")[0])
    inspector.panel.map_tab.arrows.setChecked(True)
    # In an axial plane this one rises along it.
    inspector.panel.map_tab.axis.setCurrentText("anterior")
    inspector.panel.map_tab.each.setValue(20)
    viewer.reset_view()
    shoot(viewer, folder / "coordinates_panel_dark.png")
    viewer.close()


def parts_of_diffusion(folder: Path, run: Path) -> None:
    """A patch behind noise, drawn out of it, by guide, and the seams of all patches."""
    viewer, inspector = inspected(run)
    viewer.window.remove_dock_widget(docks.open_dock(viewer, "Slice views")[0])
    panel = inspector.panel
    demo.wait_until(lambda: panel.seen is not None, "the patch")
    panel.place((0.0, -20.0, 10.0))
    demo.wait_until(lambda: not inspector.busy, "the patch that was placed")
    panel.go_to_patch()
    viewer.reset_view()
    shoot(viewer, folder / "diffusion_denoise_dark.png")
    works = {"steps": panel.draw_strip, "guidance": panel.compare, "seams": panel.map_seams}
    for number, (name, work) in enumerate(works.items(), 1):
        panel.tabs.setCurrentIndex(number)
        work()
        demo.wait_until(lambda: not inspector.busy, name)
        shoot(viewer, folder / f"diffusion_{name}_dark.png")
        if name == "steps":
            panel.steps_tab.remove.click()
    if (run.parent / probe_grid.FILE).exists():
        panel.seams_tab.remove.click()
        panel.tabs.setCurrentIndex(len(works) + 1)
        panel.open_table(run.parent)
        panel.show_features(2, 0)
        demo.wait_until(lambda: not inspector.busy, "the features of a cell")
        shoot(viewer, folder / "diffusion_probe_dark.png")
    viewer.close()


def registration(folder: Path, fixed: Path, moving: Path, *labels: Path) -> None:
    """Two scans before and after their registration; of labelled ones the table of scores."""
    viewer = opened("dark")
    shown = [add_volume(viewer, read(path)) for path in (fixed, moving)]
    marked = [
        add_labels(viewer, volume_of(scan), read(path).data, f"labels of {scan.name}")
        for scan, path in zip(shown, labels, strict=False)
    ]
    panel = panel_of(viewer, "Registration")
    tab, settings = panel.views_tab, PRESETS["same person"]
    for side, scan in zip((FIXED, MOVING), shown, strict=True):
        panel.pair.choose(side, "scan", scan)
    for side, layer in zip((FIXED, MOVING), marked, strict=False):
        panel.pair.choose(side, "labels", layer)
    viewer.dims.set_point(0, float(np.mean(shown[0].extent.world[:, 0])))

    def run(chosen: RegistrationSettings) -> None:
        panel.settings_box.show_settings(chosen)
        demo.wait_until(panel.start.isEnabled, "what the scans take")
        panel.start.click()
        demo.settle(0.5)
        demo.wait_until(lambda: not panel.busy, "the registration")

    def show(name: str, *boxes: str) -> None:
        panel.tabs.setCurrentIndex(2)
        for button in tab.boxes.values():
            button.setChecked(False)
        for box in boxes:
            tab.boxes[box].setChecked(True)
            demo.settle(0.5)
            demo.wait_until(lambda: not panel.busy, name)
        viewer.reset_view()
        shoot(viewer, folder / f"registration_{name}_dark.png")

    if labels:
        run(settings)
        panel.tabs.setCurrentIndex(3)
        viewer.reset_view()
        shoot(viewer, folder / "registration_scores_dark.png")
    else:
        run(settings.model_copy(update={"linear": "none", "deformable": False}))
        show("before", "checkerboard")
        run(settings)
        show("after", "checkerboard")
        tab.part.setCurrentText("the whole transform")
        show("field", "Jacobian determinant", "displacement")
    viewer.close()


def finetuning(target: Path, scratch: Path) -> None:
    """Three brains made of the template, and one of the two that were segmented by the third."""
    viewer = opened("dark")
    brain, tissues = mni152(resolution=2), mni152_tissues(resolution=2)
    grid = cubic_affine(brain.center, BRAIN_SIDE, BRAIN_SPACING)
    for number, gamma in enumerate((1.0, 0.7, 1.4), 1):
        shape = draw_deformation(np.random.default_rng(number), DeformationSettings())
        sampler = Sampler(brain.to_index, grid, BRAIN_SIDE, shape)
        head = cubic_volume(sampler.linear(brain.data), grid, f"brain {number}")
        look = Recolouring(gamma=gamma, bias=0.3, noise=0.03, seed=number)
        path = scratch / f"brain_{number}.nii.gz"
        made = recoloured(head, look)
        write_image(path, made.data, made)
        scan = read(path)
        add_volume(viewer, scan, name=f"brain {number}")
        if number == 1:
            labels = sampler.nearest(tissues.data).astype(np.uint8)
            words = {"index": [0, *TISSUE_NAMES], "name": ["background", *TISSUE_NAMES.values()]}
            add_labels(viewer, scan, labels, "tissues", features=words)
    viewer.layers.selection.active = viewer.layers["brain 2"]
    open_workspace(viewer, "finetune")
    panel = panel_of(viewer, "Finetuning")
    demo.wait_until(lambda: not panel.busy, "the scans")
    patch = (32, 32, 32)
    panel.start_box.show_settings(FinetuneSettings(preset="cpu", steps=3 * STEPS, patch=patch))
    panel.start()
    demo.wait_until(lambda: panel.scene.results.model is not None, "the finetuning")
    demo.wait_until(lambda: not panel.busy, "the segmentations")
    for one in viewer.layers:
        one.visible = one.name.endswith("brain 2")
    panel.results_box.tree.expandAll()
    viewer.reset_view()
    shoot(viewer, target)
    viewer.close()


def main(folder: Path, *given: Path) -> None:
    """All pictures, into a folder; or those of one trained run, or of a pair of scans."""
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        scratch = Path(made)
        # The lists of runs and datasets in the pictures are not the user's own.
        os.environ["MRISSL_DATA_DIR"] = str(scratch / "data")
        if len(given) > 1:
            registration(folder, *given)
            return
        if given:
            (run,) = given
            parts = {
                "observable": parts_of_observable,
                "dynamics": parts_of_navigation,
                "coordinates": parts_of_coordinates,
                "diffusion": parts_of_diffusion,
            }
            parts[Run.open(run).settings.method](folder, run)
            return
        demo.run(scratch, headless=True)
        shrink(scratch / "screenshot.png", folder / "demo.png")
        segmenter(folder / "segmenter_dark.png")
        slice_views(folder / "slice_views.png")
        recorder(folder / "recorder_light.png", scratch)
        run = pretraining(folder / "pretraining_dark.png")
        inspector(folder / "inspector_dark.png", run)
        observable(folder / "observable_dark.png", scratch)
        finetuning(folder / "finetuning_dark.png", scratch)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"), *map(Path, sys.argv[2:]))
