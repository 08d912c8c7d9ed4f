"""The pretraining panel with real widgets and a process that writes a run's events."""

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from napari_mrissl.directories import data_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.training import launch
from napari_mrissl.training.run import Run
from napari_mrissl.ui import docks
from napari_mrissl.ui.pretraining import work
from napari_mrissl.ui.pretraining.data_box import Sources
from napari_mrissl.ui.pretraining.draft import begun
from napari_mrissl.ui.pretraining.widget import NEW, RUN, RUNS
from tests.training.cohorts import write_scan

pytestmark = pytest.mark.gui
WAIT = 180_000
TRAINER = Path(__file__).with_name("trainer.py")
ENDLESS = 100_000


def words(folder, processes):
    return [sys.executable, str(TRAINER), str(folder)]


@pytest.fixture
def quick_trainer(monkeypatch):
    """Runs are given to `trainer.py`; what it left running is ended."""
    monkeypatch.setitem(launch.start.__kwdefaults__, "command", words)
    monkeypatch.setattr(work, "devices", lambda control: [{"name": "cpu", "title": "CPU"}])
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    for run in work.index.runs():
        launch.stop(run.folder, 0.0)
    left = [c for c in psutil.Process().children(recursive=True) if c.pid not in before]
    for child in left:
        child.kill()
    psutil.wait_procs(left)


@pytest.fixture
def panel(make_napari_viewer_proxy, qtbot, quick_trainer):
    return opened(make_napari_viewer_proxy(show=True), qtbot)


def opened(viewer, qtbot):
    _, panel = docks.open_dock(viewer, "Pretraining")
    qtbot.waitUntil(lambda: not panel.busy, timeout=WAIT)
    return panel


def started(panel, qtbot, steps=ENDLESS):
    """A run of the restoration task, which does what is shown in the form."""
    panel.form.method.setCurrentIndex(panel.form.method.findData("reconstruction"))
    panel.form.preset.setCurrentIndex(panel.form.preset.findData("tiny"))
    panel.form.run_form.fields["optimisation.steps"].parts[0].setValue(steps)
    panel.start_box.start.click()
    qtbot.waitUntil(lambda: panel.follower.folder is not None, timeout=WAIT)
    reaches(panel, qtbot, "running", "finished")
    return panel.follower.folder


def reaches(panel, qtbot, *names):
    def there():
        return panel.follower.state is not None and panel.follower.state.name in names

    qtbot.waitUntil(there, timeout=WAIT)


def drawn(panel, qtbot, step):
    """Wait for the curve of a step."""

    def there():
        panel.run_box.refresh()
        plot = panel.run_box.curves.plots.get("restoration")
        steps, _ = plot.training.getData() if plot is not None else (None, None)
        return steps is not None and len(steps) and steps[-1] >= step

    qtbot.waitUntil(there, timeout=WAIT)


def test_from_the_form_to_live_curves_and_back(panel, qtbot):
    box, follower = panel.run_box, panel.follower
    assert panel.start_box.device.itemData(1) == "cpu"
    panel.start_box.device.setCurrentIndex(1)
    folder = started(panel, qtbot)
    assert folder.parent == data_directory() / "pretraining"
    assert Run.open(folder).settings.model_copy(update={"device": "auto"}) == (
        panel.form.draft.settings.model_copy(update={"device": "auto"})
    )
    assert Run.open(folder).settings.device == "cpu"
    assert panel.tabs.currentIndex() == RUN
    drawn(panel, qtbot, 12)
    plot = box.curves.plots["restoration"]
    assert plot.chance.isVisible()
    assert plot.chance.value() == 0.25
    assert len(plot.validation.getData()[0]) >= 1
    assert plot.values["training"] == follower.history.curves["restoration"].training.last
    qtbot.waitUntil(lambda: "restored" in box.pictures.shown, timeout=WAIT)
    assert "spoiled, restored, true" in box.pictures.shown["restored"].caption.text()
    assert "held out: restoration" in box.log.toPlainText()
    for part in ("samples/s", "s/step", "left", "waiting for data", "GiB"):
        assert part in box.pace.text()
    assert f"of {ENDLESS}" in box.progress.format()

    # The click is answered at once; the run answers after its step.
    box.pause.click()
    assert box.state.text().startswith("Pausing")
    assert not box.pause.isEnabled()
    reaches(panel, qtbot, "paused")
    assert box.state.text() == "Paused"
    assert box.resume.isEnabled()
    qtbot.waitUntil(lambda: not panel.busy, timeout=WAIT)
    paused_at = follower.history.step
    box.resume.click()
    assert box.state.text() == "Resuming"
    reaches(panel, qtbot, "running")
    qtbot.waitUntil(lambda: follower.history.step > paused_at + 3, timeout=WAIT)
    box.stop.click()
    assert box.state.text().startswith("Stopping")
    assert not box.stop.isEnabled()
    reaches(panel, qtbot, "stopped")
    assert box.state.text() == "Stopped"
    qtbot.waitUntil(lambda: not panel.busy and not follower.following, timeout=WAIT)
    stopped_at = follower.history.step
    box.resume.click()
    reaches(panel, qtbot, "running")
    qtbot.waitUntil(lambda: follower.history.step > stopped_at, timeout=WAIT)
    # A logarithmic axis takes its chance line along.
    box.curves.logarithmic.click()
    assert plot.chance.value() == pytest.approx(-0.60206)


def test_a_run_whose_process_only_leaves_is_waited_for(panel, qtbot, monkeypatch):
    monkeypatch.setenv("LINGERS", "3")
    first = started(panel, qtbot, steps=2)
    reaches(panel, qtbot, "finished")
    assert panel.follower.state.alive
    qtbot.waitUntil(lambda: not panel.busy, timeout=WAIT)
    panel.start_box.start.click()
    qtbot.waitUntil(lambda: panel.status.message.text().startswith("Waiting"), timeout=WAIT)
    qtbot.waitUntil(lambda: panel.follower.folder != first, timeout=WAIT)
    reaches(panel, qtbot, "running", "finished")


def test_one_run_at_a_time_and_found_again_in_a_second_viewer(
    panel, qtbot, make_napari_viewer_proxy
):
    folder = started(panel, qtbot)
    processes = len(psutil.Process().children())
    panel.tabs.setCurrentIndex(NEW)
    assert panel.start_box.folder.text() != str(folder)
    panel.start_box.start.click()
    panel.start_box.start.click()
    qtbot.waitUntil(lambda: not panel.busy, timeout=WAIT)
    assert panel.status.message.text() == (
        f"the run {folder.name} is being trained; stop it or wait until it has ended."
    )
    assert len(work.index.runs()) == 1
    assert len(psutil.Process().children()) == processes

    second = opened(make_napari_viewer_proxy(show=True), qtbot)
    qtbot.waitUntil(lambda: second.follower.alive, timeout=WAIT)
    assert second.follower.folder == folder
    assert "goes on" in second.status.message.text()
    drawn(second, qtbot, 3)
    second.start_box.start.click()
    qtbot.waitUntil(lambda: not second.busy, timeout=WAIT)
    assert "is being trained" in second.status.message.text()
    # What one stops, the other sees.
    second.run_box.stop.click()
    for one in (panel, second):
        reaches(one, qtbot, "stopped")
        assert one.run_box.state.text() == "Stopped"
    qtbot.waitUntil(lambda: not second.busy, timeout=WAIT)
    second.tabs.setCurrentIndex(RUNS)
    second.runs_box.refresh.click()
    qtbot.waitUntil(
        lambda: [one.state for one in second.runs_box.rows] == ["stopped"], timeout=WAIT
    )
    second.runs_box.select(folder)
    assert second.runs_box.selected.method == "reconstruction"
    second.runs_box.open.click()
    assert second.tabs.currentIndex() == RUN


def begun_in(viewer, qtbot):
    """A run that is trained, and what napari would say of it; the panel is not held."""
    panel = opened(viewer, qtbot)
    folder = started(panel, qtbot)
    qtbot.waitUntil(lambda: panel.follower.history.step > 0, timeout=WAIT)
    return folder, panel.closing_text


@pytest.mark.parametrize("choice", ["keep", "stop"])
def test_closing_napari_while_training(make_napari_viewer, qtbot, quick_trainer, choice):
    from napari.settings import get_plugin_settings

    get_plugin_settings("napari-mrissl").computing.training_at_close = choice
    viewer = make_napari_viewer(show=True)
    folder, question = begun_in(viewer, qtbot)
    run = Run.open(folder)
    # What napari asks before it closes says what will become of the run.
    assert {"keep": "goes on after", "stop": "is stopped when"}[choice] in question
    viewer.close()
    step = run.state().step
    if choice == "keep":
        qtbot.waitUntil(lambda: run.state().step > step + 5, timeout=WAIT)
        assert run.state().name == "running"
        again = opened(make_napari_viewer(show=True), qtbot)
        qtbot.waitUntil(lambda: again.follower.alive, timeout=WAIT)
        assert again.follower.folder == folder
    else:
        qtbot.waitUntil(lambda: not run.state().alive, timeout=WAIT)
        assert run.state().name == "stopped"


def test_a_closed_dock_stops_nothing(panel, qtbot):
    from napari.settings import get_plugin_settings

    get_plugin_settings("napari-mrissl").computing.training_at_close = "stop"
    folder = started(panel, qtbot)
    run = Run.open(folder)
    viewer = panel.viewer
    (dock,) = [dock for dock, one in docks.open_docks(panel.window()).values() if one is panel]
    viewer.window.remove_dock_widget(dock)
    step = run.state().step
    qtbot.waitUntil(lambda: run.state().step > step + 5, timeout=WAIT)
    assert run.state().name == "running"


def test_a_killed_process_is_a_failed_run_with_a_way_on(panel, qtbot):
    folder = started(panel, qtbot)
    drawn(panel, qtbot, 2)
    (child,) = [c for c in psutil.Process().children() if str(folder) in c.cmdline()]
    os.kill(child.pid, signal.SIGKILL)
    reaches(panel, qtbot, "failed")
    box = panel.run_box
    assert box.state.text() == "Failed"
    assert "killed" in box.reason.text()
    assert "resume" in box.reason.text()
    assert box.reason.isVisibleTo(box)
    assert not box.stop.isEnabled()
    # It is free to go on, and so is any other.
    box.resume.click()
    reaches(panel, qtbot, "running")


def test_a_finished_run_goes_on_with_more_steps(panel, qtbot):
    box = panel.run_box
    folder = started(panel, qtbot, steps=5)
    reaches(panel, qtbot, "finished")
    # Once its process is gone too.
    qtbot.waitUntil(lambda: box.further.isVisibleTo(box), timeout=WAIT)
    assert not box.resume.isEnabled()
    assert box.more.value() == 5
    box.more.setValue(7)
    box.go_on.click()
    assert not box.go_on.isEnabled()
    drawn(panel, qtbot, 12)
    qtbot.waitUntil(lambda: box.further.isVisibleTo(box), timeout=WAIT)
    state = Run.open(folder).state()
    assert (state.name, state.step, state.steps) == ("finished", 12, 12)
    assert box.progress.format() == "step 12 of 12"
    # One curve of both parts, no step twice.
    steps, _ = box.curves.plots["restoration"].training.getData()
    assert list(steps) == sorted(set(steps))
    assert steps[0] == 1


def test_a_run_is_forgotten_and_listed_again(panel, qtbot, tmp_path):
    folder = started(panel, qtbot)
    panel.tabs.setCurrentIndex(RUNS)
    listed(panel, qtbot, folder)
    panel.runs_box.select(folder)
    # One that is trained stays.
    assert not panel.runs_box.forget.isEnabled()
    panel.run_box.stop.click()
    reaches(panel, qtbot, "stopped")
    qtbot.waitUntil(lambda: not panel.busy, timeout=WAIT)
    panel.refresh_runs()
    qtbot.waitUntil(panel.runs_box.forget.isEnabled, timeout=WAIT)
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    reason = Run.open(folder).state().reason
    panel.runs_box.forget.click()
    listed(panel, qtbot)
    assert "off the list" in panel.status.message.text()
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == files
    panel.runs_box.back.click()
    listed(panel, qtbot, folder)
    assert not panel.runs_box.back.isEnabled()
    assert Run.open(folder).state().reason == reason
    # A run that is opened by its folder is listed too.
    panel.runs_box.select(folder)
    panel.runs_box.forget.click()
    listed(panel, qtbot)
    panel.runs_box.add_wanted.emit(str(folder))
    listed(panel, qtbot, folder)
    assert panel.follower.folder == folder


def listed(panel, qtbot, *folders):
    """Wait for the list to name just these runs."""

    def there():
        if panel.busy:
            return False
        if [one.folder for one in panel.runs_box.rows] == list(folders):
            return True
        panel.refresh_runs()
        return False

    qtbot.waitUntil(there, timeout=WAIT)


def test_what_cannot_be_is_said_in_one_sentence(panel, qtbot, tmp_path):
    box = panel.start_box
    panel.open_run(tmp_path)
    qtbot.waitUntil(lambda: panel.status.message.text() != "", timeout=WAIT)
    assert "expected the folder of a run" in panel.status.message.text()
    panel.tabs.setCurrentIndex(NEW)
    panel.data_box.kind.setCurrentIndex(panel.data_box.kind.findData("scans"))
    box.start.click()
    qtbot.waitUntil(lambda: not panel.busy, timeout=WAIT)
    assert "no scan is chosen" in panel.status.message.text()
    panel.data_box.kind.setCurrentIndex(0)
    (tmp_path / "taken").mkdir()
    box.folder.setText(str(tmp_path / "taken"))
    box.start.click()
    qtbot.waitUntil(lambda: not panel.busy, timeout=WAIT)
    assert "taken" in panel.status.message.text()
    panel.form.engine_form.fields["side"].edited.emit(-1)
    assert panel.status.message.text().endswith(".")
    box.start.click()
    assert "marked in the form" in panel.status.message.text()
    assert work.index.runs() == []


def test_a_session_keeps_the_form_and_the_run(panel, qtbot, tmp_path, make_napari_viewer_proxy):
    folder = started(panel, qtbot, steps=5)
    reaches(panel, qtbot, "finished")
    panel.data_box.kind.setCurrentIndex(panel.data_box.kind.findData("scans"))
    panel.data_box.add(str(tmp_path))
    state = panel.session_state()
    second = opened(make_napari_viewer_proxy(show=True), qtbot)
    second.restore_session(state)
    assert second.form.draft == panel.form.draft
    assert second.data_box.sources == panel.data_box.sources
    assert second.follower.folder == folder
    drawn(second, qtbot, 5)
    for wrong in (
        {"settings": {"method": "none"}}, {"paths": "x"}, {"folder": 3}, {"tab": 9},
        {"folder": str(tmp_path / "gone")}, {"initial": "a\0b"}, [],
    ):  # fmt: skip
        second.restore_session(wrong)
        assert second.status.message.text().startswith("Not restored, because not usable: ")
    assert second.form.draft == panel.form.draft


def test_the_workspace_and_no_torch(make_napari_viewer_proxy, qtbot, plugin, quick_trainer):
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.resize(1366, 768)
    plugin.commands.execute("napari-mrissl.workspace_pretrain")
    window = docks.main_window(viewer.__wrapped__)
    dock, panel = docks.open_docks(window)["Pretraining"]
    qtbot.waitUntil(lambda: not panel.busy, timeout=WAIT)
    assert not dock.visibleRegion().isEmpty()
    assert window.width() <= 1366
    assert panel.minimumSizeHint().width() <= 420


def test_the_process_that_is_asked_ends_with_the_question():
    class Cancelling:
        def __init__(self):
            self.looks = 0

        def cancelled(self):
            self.looks += 1
            return self.looks > 2

    before = len(psutil.Process().children())
    with pytest.raises(work.Cancelled):
        work.ask(Cancelling(), ["--devices"])
    assert len(psutil.Process().children()) == before
    Cancelling.cancelled = lambda self: False
    with pytest.raises(MrisslError, match="could not be read"):
        work.ask(Cancelling(), ["--estimate", "-"], "no settings")
    assert "cpu" in {one["name"] for one in work.devices(Cancelling())}


class Silent:
    """Stands in for a job: never cancelled, and nobody hears of its progress."""

    def progress(self, fraction, text=""):
        pass

    def cancelled(self):
        return False


def test_names_of_files_are_shown_but_stay_out_of_the_run(quick_trainer, tmp_path):
    scans = tmp_path / "scans"
    for name in ("DOE_JANE_1", "DOE_JANE_2", "ROE_JOHN"):
        write_scan(scans / f"{name}.nii", len(name))
    (scans / "DOE_JACK.nii").write_bytes(b"no scan at all")
    draft, sources = (
        begun("reconstruction", "tiny", "scans", TASKS),
        Sources("scans", (str(scans),)),
    )
    started = work.start(Silent(), draft, sources, tmp_path / "run")
    launch.stop(started.folder, 0.0)
    assert "DOE_JACK.nii" in " ".join(started.notes)
    assert "DOE_JANE_" in " ".join(started.notes)
    for word in ("copies, left out: 1", "files that could not be read: 1"):
        for name in ("run.json", "model_card.md"):
            assert word in (started.folder / name).read_text(encoding="utf-8")
    for path in started.folder.rglob("*"):
        assert not path.is_file() or b"DOE" not in path.read_bytes()
