"""The demo: from a scan to a saved segmentation, through the widgets a user has."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mrissl import __version__
from napari_mrissl.assets import asset
from napari_mrissl.errors import MrisslError
from napari_mrissl.metrics import dice
from napari_mrissl.segmentation import Segmentation, read_prompts
from napari_mrissl.trajectories import Dataset, Flight, flight_info, open_or_create
from napari_mrissl.trajectories.movies import write_movie
from napari_mrissl.ui.layers import add_volume, to_napari
from napari_mrissl.volumes.atomic import write_text
from napari_mrissl.volumes.samples import TISSUE_NAMES, mni152, mni152_tissues
from napari_mrissl.volumes.volume import Volume

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_mrissl.ui.navigator import SliceNavigator
    from napari_mrissl.ui.segmenter import PromptSegmenter

PLUGIN = "napari-mrissl"
_WINDOW = (1600, 960)
_PATIENCE_SECONDS = 600


def run(out: Path, headless: bool = False, resolution: int = 1) -> dict[str, Any]:
    """Replay the shipped flight, apply the shipped clicks, segment, and save all of it.

    Parameters
    ----------
    out
        Folder for ``screenshot.png``, ``flight.gif``, ``segmentation.nii.gz``,
        ``metrics.json`` and the dataset ``flights/``; what an earlier demo left there is
        replaced, but its dataset gets an episode more.
    headless
        Close the window at the end instead of leaving it to the user.
    resolution
        1 or 2 mm MNI152 template.

    Returns
    -------
    dict
        What ``metrics.json`` holds.

    Raises
    ------
    MrisslError
        If there is no display, the folder cannot be written, or a step fails.
    """
    _need_display()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MrisslError(
            f"folder could not be made ({error.strerror})", where=out, remedy="give another --out"
        ) from error
    import napari

    volume = mni152(resolution)
    viewer = napari.Viewer(title="napari-mrissl demo")
    try:
        metrics = _main_job(viewer, volume, out)
    except BaseException:
        viewer.close()
        raise
    write_text(out / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    _tell(metrics, out)
    if headless:
        viewer.close()
    else:
        napari.run()
    return metrics


def open_widgets(viewer: Viewer) -> tuple[SliceNavigator, PromptSegmenter]:
    """Both dock widgets as the plugin menu opens them; the newest tab is in front."""
    _, segmenter = viewer.window.add_plugin_dock_widget(PLUGIN, "Click segmentation")
    _, navigator = viewer.window.add_plugin_dock_widget(PLUGIN, "Slice navigator")
    return navigator, segmenter


def _main_job(viewer: Viewer, volume: Volume, out: Path) -> dict[str, Any]:
    viewer.window.resize(*_WINDOW)
    layer = add_volume(viewer, volume)
    navigator, segmenter = open_widgets(viewer)
    navigator.choose_layer(layer)

    flight = _over(volume, Dataset.open(asset("demo/flight")).flight(0))
    open_or_create(out / "flights").append(flight, task="look around")
    write_movie(out / "flight.gif", volume, flight, 256, overwrite=True)
    navigator.deck.set_flight(flight)
    navigator.deck.replay()
    wait_until(lambda: not navigator.deck.replaying, "the flight to be replayed")

    clicks = asset("demo/clicks.json")
    began = time.monotonic()
    result = _segmented(segmenter, clicks)
    seconds = time.monotonic() - began
    segmenter.save_segmentation(out / "segmentation.nii.gz", overwrite=True)
    wait_until(lambda: not segmenter.busy, "the segmentation to be saved")

    metrics = _measured(volume, result, len(read_prompts(clicks).points), seconds)
    _arrange(viewer, navigator, segmenter)
    settle()
    viewer.screenshot(str(out / "screenshot.png"), canvas_only=False, flash=False)
    return metrics


def _arrange(viewer: Viewer, navigator: SliceNavigator, segmenter: PromptSegmenter) -> None:
    """The plane in 3D within the head, seen from its own side; the result on the slice."""
    navigator.parentWidget().raise_()
    for layer in (segmenter.result_layer, segmenter.clicks_layer):
        if layer is not None:
            layer.visible = False
    scan = viewer.layers[0]
    scan.rendering, scan.blending, scan.opacity = "attenuated_mip", "additive", 0.6
    viewer.dims.ndisplay = 3
    pose = navigator.pose
    towards = -(pose.rotation @ (0.62, 0.34, 0.70))
    viewer.scene.camera.set_view_direction(
        view_direction=tuple(to_napari(towards)), up_direction=tuple(to_napari(pose.up))
    )
    viewer.scene.camera.zoom *= 0.9


def _segmented(segmenter: PromptSegmenter, clicks: Path) -> Segmentation:
    """Load clicks in the panel, press Segment, and wait for the whole volume."""
    controller = segmenter.controller
    results: list[Segmentation] = []
    said: list[str] = []

    def note(kind: str, sentence: str) -> None:
        if kind == "error":
            said.append(sentence)

    segmenter.segmented.connect(results.append)
    controller.said.connect(note)
    wait_until(lambda: not segmenter.busy, "the scan to be read")
    segmenter.load_prompts(clicks)
    controller.segment()
    expected = len(read_prompts(clicks).points)

    def complete() -> bool:
        if said:
            raise MrisslError(said[0].rstrip("."), where="demo")
        done = results and len(results[-1].metadata["prompts"]["points"]) == expected
        return bool(done) and not segmenter.busy

    wait_until(complete, "the segmentation")
    return results[-1]


def _measured(volume: Volume, result: Segmentation, clicks: int, seconds: float) -> dict[str, Any]:
    truth = mni152_tissues(2 if volume.spacing[0] > 1.5 else 1).data
    scores = dice(result.labels, truth, labels=tuple(TISSUE_NAMES))
    return {
        "scan": volume.name,
        "identity": volume.identity,
        "clicks": clicks,
        "dice": {TISSUE_NAMES[label]: round(value, 4) for label, value in scores.items()},
        "mean_dice_grey_white": round((scores[1] + scores[2]) / 2, 4),
        "seconds_clicks_to_volume": round(seconds, 2),
        "settings": result.metadata["settings"],
        "software": f"napari-mrissl {__version__}",
    }


def _over(volume: Volume, flight: Flight) -> Flight:
    """The shipped poses as a flight over this very volume."""
    if flight.identity == volume.identity:
        return flight
    info = flight_info(volume, policy=flight.info.get("policy"))
    return Flight(volume.identity, flight.poses, flight.times_ns, info)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Let the window live until a condition holds.

    Raises
    ------
    MrisslError
        If it does not hold after ten minutes.
    """
    from qtpy.QtCore import QEventLoop, QTimer

    deadline = time.monotonic() + _PATIENCE_SECONDS
    loop = QEventLoop()
    tick = QTimer()
    tick.setInterval(20)
    tick.timeout.connect(loop.quit)
    tick.start()
    while not condition():
        if time.monotonic() > deadline:
            raise MrisslError(f"gave up waiting for {what}", where="demo")
        loop.exec()


def settle(seconds: float = 0.5) -> None:
    """Let the window draw itself."""
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > until, "the window to be drawn")


def _need_display() -> None:
    if sys.platform != "linux" or os.environ.get("QT_QPA_PLATFORM"):
        return
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise MrisslError(
            "no display to open the window on",
            remedy='run xvfb-run -a -s "-screen 0 1600x1000x24" mrissl demo --headless',
        )


def _tell(metrics: dict[str, Any], out: Path) -> None:
    """Five lines on stderr: what was made and where."""
    scores = ", ".join(f"{name} {value:.3f}" for name, value in metrics["dice"].items())
    seconds, clicks = metrics["seconds_clicks_to_volume"], metrics["clicks"]
    flight = f"{out / 'flight.gif'}, {out / 'flights'}"
    made = {
        f"Flight through the {metrics['scan']}, replayed": flight,
        f"Segmentation from {clicks} clicks in {seconds} s": out / "segmentation.nii.gz",
        "Dice against nilearn's tissue maps": scores,
        "Screenshot of the window": out / "screenshot.png",
        "All figures and settings": out / "metrics.json",
    }
    sys.stderr.write("".join(f"{what}: {where}\n" for what, where in made.items()))
