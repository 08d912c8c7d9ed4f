"""What was opened and closed is gone (bar G6): objects, widgets, threads, files; and in numbers.

The default count is small and looks at what is left. The full one, 200 times in a process
of its own beside napari doing the same without us, looks at the process's memory too.
"""

import collections
import gc
import json
import os
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from qtpy.QtWidgets import QApplication

from napari_mrissl.directories import data_directory
from napari_mrissl.pretext.task import Shown
from napari_mrissl.registration import RegistrationSettings
from napari_mrissl.training.building import settings_for
from napari_mrissl.training.events import EventWriter
from napari_mrissl.training.run import Run
from napari_mrissl.ui.layers import add_volume
from napari_mrissl.volumes import Volume
from tests.coordinated import coordinates_run, diffusion_run

# All of it is opened in other tests too.
pytestmark = [pytest.mark.gui, pytest.mark.untraced]

DOCKS = (
    "Slice navigator",
    "Flight recorder",
    "Slice views",
    "Click segmentation",
    "Data engine studio",
    "Pretraining",
    "Inspector",
    "Feature explorer",
    "Finetuning",
    "Registration",
)
# napari keeps the last state of every background job for its activity list. Ours hold no
# scan, layer or panel any more by then.
KEPT_BY_NAPARI = {"_Task", "Control", "_Relay"}
CYCLES = 200
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - only looked at


def scan(number: int, side: int = 24) -> Volume:
    """A scan that no other one is equal to."""
    voxels = np.indices((side,) * 3, np.float32).sum(axis=0) + number
    return Volume.from_stored(voxels, np.diag([2, 2, 2, 1.0]), name=f"scan {number}")


def alive() -> collections.Counter:
    """Objects of ours and layers of napari's, by type; widgets, threads, files, children."""
    gc.collect()
    found = collections.Counter()
    for one in gc.get_objects():
        home = type(one).__module__
        if isinstance(home, str) and home.startswith(("napari_mrissl.", "napari.layers.")):
            found[f"{home}.{type(one).__qualname__}"] += type(one).__name__ not in KEPT_BY_NAPARI
    process = psutil.Process()
    found["widgets"] = len(QApplication.allWidgets())
    # Python 3.11 lists threads of Qt's pool for good, although they end when idle for 30 s.
    living = {thread.id for thread in process.threads()}
    found["threads"] = sum(one.native_id in living for one in threading.enumerate())
    found["files"] = process.num_fds()
    found["children"] = len(process.children(recursive=True))
    found["shared memory"] = len(list(SHARED_MEMORY.glob(f"*{os.getpid()}*")))
    return found


def settled(qtbot, widgets=()) -> None:
    """Let everything that was started end, and everything closed be deleted."""
    for widget in widgets:
        if hasattr(widget, "busy"):
            qtbot.waitUntil(lambda widget=widget: not widget.busy, timeout=60_000)
    # Drawn once; the panel looks for a navigator twice a second.
    qtbot.wait(60)
    QApplication.sendPostedEvents(None, 52)  # what was to be deleted later
    gc.collect()


def grown(before: collections.Counter, after: collections.Counter) -> dict[str, int]:
    return {name: after[name] - before[name] for name in after if after[name] > before[name]}


def watch(qtbot, cycle, count: int, patience: int = 60_000, first: int = 2) -> dict[str, int]:
    """What is there more of after ``count`` cycles than after the ``first`` ones.

    For ``patience`` ms it may become less by itself.
    """
    for number in range(first):
        cycle(number)
    settled(qtbot)
    before = alive()
    for number in range(first, first + count):
        cycle(number)
    settled(qtbot)
    more: dict[str, int] = {}

    def nothing_more() -> bool:
        more.clear()
        more.update(grown(before, alive()))
        return not more

    try:
        # Workers of pools and writers end a little later than what they did.
        qtbot.waitUntil(nothing_more, timeout=patience)
    except qtbot.TimeoutError:
        return more
    return {}


def test_volumes_leave_nothing(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)

    def cycle(number: int) -> None:
        layer = add_volume(viewer, scan(number))
        qtbot.wait(10)
        viewer.dims.ndisplay = 3 if number % 2 else 2
        viewer.layers.remove(layer)

    assert watch(qtbot, cycle, 10) == {}


def open_and_close(viewer, qtbot, names, number: int) -> None:
    """A scan and docks beside each other, each used, all closed again."""
    add_volume(viewer, scan(number))
    opened = [viewer.window.add_plugin_dock_widget("napari-mrissl", name) for name in names]
    widgets = [widget for _, widget in opened]
    for widget in widgets:
        use(widget)
    settled(qtbot, widgets)
    for dock, _ in opened:
        viewer.window.remove_dock_widget(dock)
    while viewer.layers:
        viewer.layers.pop()


def test_docks_leave_nothing(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    cycle = partial(open_and_close, viewer, qtbot, DOCKS)
    # One leftover of one dock is already too many.
    assert watch(qtbot, cycle, 1, first=1) == {}


def look_at_coordinates(inspector) -> None:
    """All drawings, and a place found in another scan."""
    panel = inspector.panel
    for box in (panel.map_tab.arrows, panel.map_tab.folds):
        box.setChecked(True)
    panel.pick((22.0, 22.0, 22.0))
    wait_for(lambda: not inspector.busy)
    assert panel.found is not None


def look_at_diffusion(inspector) -> None:
    """A strip, guides and seams."""
    panel = inspector.panel
    panel.steps_tab.count.setValue(2)
    panel.guidance_tab.count.setValue(2)
    for work in (panel.draw_strip, panel.compare, panel.map_seams):
        work()
        wait_for(lambda: not inspector.busy)
    assert panel.strip is not None
    assert panel.seams is not None


@pytest.mark.parametrize(
    ("make", "look"),
    [(coordinates_run, look_at_coordinates), (diffusion_run, look_at_diffusion)],
    ids=["coordinates", "diffusion"],
)
def test_panels_of_methods_leave_nothing(make_napari_viewer, qtbot, tmp_path, make, look):
    viewer, run = make_napari_viewer(show=True), make(tmp_path / "run")

    def cycle(number: int) -> None:
        for scan_number in (2 * number, 2 * number + 1):
            add_volume(viewer, scan(scan_number))
        dock, inspector = viewer.window.add_plugin_dock_widget("napari-mrissl", "Inspector")
        inspector.load(run)
        wait_for(lambda: inspector.panel is not None and inspector.panel.loaded is not None)
        wait_for(lambda: not inspector.busy)
        look(inspector)
        settled(qtbot, [inspector])
        viewer.window.remove_dock_widget(dock)
        while viewer.layers:
            viewer.layers.pop()

    assert watch(qtbot, cycle, 1, first=1) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", DOCKS)
def test_each_dock_alone_leaves_nothing(make_napari_viewer, qtbot, name):
    viewer = make_napari_viewer(show=True)
    cycle = partial(open_and_close, viewer, qtbot, [name])
    assert watch(qtbot, cycle, 10) == {}


def use(widget) -> None:
    """Something that starts the dock's work and makes its layers."""
    if hasattr(widget, "add_click"):
        widget.add_click((10, 10, 10), 1)
        widget.add_click((30, 30, 30), 2)
        widget.segment()
    elif hasattr(widget, "use_layers"):
        widget.add_to_viewer()
        widget.use_layers()
    elif hasattr(widget, "open_run"):
        widget.open_run(finished_run())
        until = time.monotonic() + 60
        while not widget.run_box.curves.plots and time.monotonic() < until:
            QApplication.processEvents()
            widget.run_box.refresh()
    elif hasattr(widget, "exploration"):
        explore(widget)
    elif hasattr(widget, "registering"):
        register(widget)
    elif hasattr(widget, "state"):
        widget.state.move([0, 0, 0.1, 0.2, 0, 0, 0])


def explore(widget) -> None:
    """Features computed, a click answered, colours shown and a histogram drawn."""
    wait_for(lambda: not widget.busy)
    widget.scans.choose_source("intensity")
    widget.compute()
    wait_for(lambda: not widget.busy)
    widget.match_tab.tool.setChecked(True)
    widget.exploration.pick((10.0, 10.0, 10.0))
    widget.exploration.showing.show_colours()
    widget.meter_tab.side.setCurrentIndex(0)
    widget.measure()
    wait_for(lambda: not widget.busy)


def register(widget) -> None:
    """The scan brought onto a second one with landmarks, and every view switched on."""
    wait_for(lambda: not widget.busy)
    there = widget.pair.side("fixed").scan
    voxels = np.roll(np.asarray(there.data), 1, axis=0)
    add_volume(widget.viewer, Volume.from_stored(voxels, np.diag([2, 2, 2, 1.0]), name="other"))
    widget.settings_box.show_settings(
        RegistrationSettings(linear="none", features="intensity", iterations=2, search=1)
    )
    for side in ("fixed", "moving"):
        widget.landmarks_box.buttons[side].click()
        widget.pair.side(side).points.add((10.0, 10.0, 10.0))
    widget.register()
    wait_for(lambda: not widget.busy)
    # Closed in the midst of placing.
    widget.landmarks_box.buttons["fixed"].click()
    assert widget.result is not None, widget.status.message.text()
    for box in (*widget.views_tab.boxes.values(), widget.views_tab.cursor):
        box.setChecked(True)
    widget.views_tab.flicker.click()
    widget.viewing.cursor.point_at((10.0, 10.0, 10.0))
    wait_for(lambda: not widget.busy)


def wait_for(state) -> None:
    until = time.monotonic() + 60
    while not state() and time.monotonic() < until:
        QApplication.processEvents()
        time.sleep(0.005)


def finished_run() -> Path:
    """A run with a curve and a picture, made once in this user's data directory."""
    folder = data_directory() / "finished"
    if folder.exists():
        return folder
    Run.create(folder, settings_for("reconstruction", None, "tiny"))
    with EventWriter(folder) as events:
        events.state("running")
        events.chance({"restoration": 0.3})
        for step in range(1, 6):
            events.step(step, 1 / step, {"restoration": 1 / step}, seconds=0.1)
        events.image(5, Shown("restored", np.zeros((2, 8, 8), np.float32), ("a", "b")))
        events.state("finished")
    return folder


def test_a_leak_would_be_seen(make_napari_viewer, qtbot):
    viewer, held = make_napari_viewer(), []

    def cycle(number: int) -> None:
        held.append(add_volume(viewer, scan(number)))
        viewer.layers.remove(held[-1])

    # Held for good: a second is enough to see that it does not go.
    found = watch(qtbot, cycle, 2, patience=1_000)
    assert found["napari_mrissl.volumes.volume.Volume"] == 2


def measured(what: str, folder: Path) -> dict:
    """What a process of its own says after 200 cycles of opening and closing."""
    script = Path(__file__).with_name("open_and_close.py")
    words = [sys.executable, script, what, str(CYCLES)]
    done = subprocess.run(
        words, cwd=folder, capture_output=True, encoding="utf-8", timeout=3000, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.timeout(7000)
@pytest.mark.parametrize(
    ("bare", "ours"),
    [("image", "volume"), ("labels", "Click segmentation"), ("plane", "Slice navigator"),
     ("canvas", "Flight recorder"), ("canvas", "Slice views")],
)  # fmt: skip
def test_memory_grows_no_more_than_naparis_own(bare, ours, tmp_path):
    theirs, found = measured(bare, tmp_path), measured(ours, tmp_path)
    print(f"{CYCLES} times: {bare} of napari {theirs}; {ours} {found}")
    for name in ("threads", "files", "children", "widgets"):
        assert found[name] <= 0, (name, found)
    assert found["megabytes"] <= 1.1 * max(theirs["megabytes"], 0) + 5
