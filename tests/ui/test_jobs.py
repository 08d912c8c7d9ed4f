"""Background jobs: progress, cancel, newest wins, queues, errors in one sentence."""

import logging
import threading
import time

import pytest
from qtpy.QtCore import QThread

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.ui.jobs import JobRunner


@pytest.fixture
def runner(qtbot):
    runner = JobRunner()
    yield runner
    runner.close()
    qtbot.waitUntil(lambda: not runner.running)


def until_cancelled(control):
    deadline = time.monotonic() + 20
    while not control.cancelled():
        time.sleep(0.002)
        if time.monotonic() > deadline:
            raise TimeoutError("never told to stop")
    raise Cancelled


def test_a_result_arrives_on_the_gui_thread_after_messages(qtbot, runner):
    seen = []

    def note(what):
        seen.append((what, QThread.currentThread() is runner.thread()))

    def work(control):
        assert QThread.currentThread() is not runner.thread()
        control.send("first")
        control.send("second")
        return "result"

    with qtbot.waitSignal(runner.idle):
        runner.start(work, title="Working", done=note, received=note)
        assert runner.running
    assert seen == [("first", True), ("second", True), ("result", True)]
    assert not runner.running


def test_progress_is_thinned_out_but_its_end_is_told(qtbot, runner):
    told = []
    runner.progressed.connect(lambda fraction, text: told.append((fraction, text)))

    def work(control):
        for n in range(1001):
            control.progress(n / 1000, "counting")

    with qtbot.waitSignal(runner.idle):
        runner.start(work, title="Counting")
    assert told[-1] == (1.0, "counting")
    assert len(told) < 100


def test_a_newer_job_cancels_the_older_and_never_runs_beside_it(qtbot, runner):
    done, running, together = [], threading.Semaphore(1), []

    def work(name, last=False):
        def run(control):
            if not running.acquire(blocking=False):
                together.append(name)
            try:
                if not last:
                    until_cancelled(control)
            finally:
                running.release()
            return name

        return run

    for n in range(5):
        runner.start(work(n), title=str(n), done=done.append)
    with qtbot.waitSignal(runner.idle):
        runner.start(work("last", last=True), title="last", done=done.append)
    assert done == ["last"]
    assert together == []


def test_an_older_job_that_ends_anyway_delivers_nothing(qtbot, runner):
    begun, go, done = threading.Event(), threading.Event(), []

    def stubborn(control):
        begun.set()
        go.wait(20)
        control.send("stale")
        return "stale"

    runner.start(stubborn, title="old", done=done.append, received=done.append)
    qtbot.waitUntil(begun.is_set)
    runner.start(lambda control: "new", title="new", done=done.append)
    go.set()
    qtbot.waitUntil(lambda: not runner.running)
    assert done == ["new"]


def test_cancel_is_said_once_and_nothing_is_delivered(qtbot, runner):
    done = []
    runner.start(until_cancelled, title="long", done=done.append)
    with qtbot.waitSignal(runner.cancelled):
        runner.cancel()
    qtbot.waitUntil(lambda: not runner.running)
    assert done == []


def test_a_queue_finishes_what_it_began(qtbot, runner):
    done = []
    for n in range(4):
        runner.start(lambda control, n=n: n, title=str(n), done=done.append, queue=True)
    qtbot.waitUntil(lambda: not runner.running)
    assert done == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MrisslError("no", where="clicks.csv"), "clicks.csv: no."),
        (OSError("disk\nfull"), "Saving failed: disk (details in Help > Show logs)."),
        (KeyError(), "Saving failed: KeyError (details in Help > Show logs)."),
        (MemoryError(), "Saving needs more memory than is free; choose fewer features."),
    ],
)
def test_errors_are_one_sentence_and_the_traceback_goes_to_the_log(
    qtbot, runner, caplog, error, words
):
    def work(control):
        raise error

    caplog.set_level(logging.ERROR, "napari_mrissl")
    with qtbot.waitSignal(runner.failed) as failed:
        runner.start(work, title="Saving")
    assert failed.args == [words]
    qtbot.waitUntil(lambda: not runner.running)
    assert bool(caplog.records) != isinstance(error, MrisslError)


def test_an_error_of_the_receiver_is_said_too(qtbot, runner):
    def refuse(result):
        raise MrisslError("this layer is gone")

    with qtbot.waitSignal(runner.failed) as failed:
        runner.start(lambda control: 1, title="x", done=refuse)
    assert failed.args == ["this layer is gone."]
    qtbot.waitUntil(lambda: not runner.running)


def test_closed_it_delivers_nothing_and_takes_nothing(qtbot):
    runner, done = JobRunner(), []
    runner.start(until_cancelled, title="long", done=done.append)
    runner.close()
    runner.start(lambda control: 1, title="late", done=done.append)
    qtbot.waitUntil(lambda: not runner.running)
    assert done == []


def test_done_may_start_the_next_job(qtbot, runner):
    done = []

    def again(result):
        done.append(result)
        if result < 3:
            runner.start(lambda control: result + 1, title="next", done=again)

    runner.start(lambda control: 1, title="first", done=again)
    qtbot.waitUntil(lambda: len(done) == 3 and not runner.running)


@pytest.mark.gui
def test_closing_the_viewer_stops_a_job(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    ended = threading.Event()

    def work(control):
        try:
            until_cancelled(control)
        finally:
            ended.set()

    runner = JobRunner()
    begun = []
    runner.started.connect(begun.append)
    runner.start(work, title="Long work")
    qtbot.wait(50)
    viewer.close()
    assert ended.wait(5)
    qtbot.waitUntil(lambda: not runner.running)
    assert begun == ["Long work"]
