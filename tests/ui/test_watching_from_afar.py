"""The panel's parts follow a copy of a run that another machine trains."""

import os
import time
from types import SimpleNamespace

import numpy as np
import pytest

from napari_mrissl.pretext.task import Shown
from napari_mrissl.training import heartbeat
from napari_mrissl.training.events import EventWriter
from napari_mrissl.training.run import Run
from napari_mrissl.ui.pretraining.follower import Follower
from napari_mrissl.ui.pretraining.run_box import RunBox
from tests.training.synced import Sync
from tests.training.toy import toy_settings

pytestmark = pytest.mark.gui


@pytest.fixture
def far(tmp_path, monkeypatch):
    """A run that is trained as if on another machine, and how it is copied here."""
    run = Run.create(tmp_path / "run", toy_settings())
    with run.claim(), EventWriter(run.folder) as events:
        events.state("running")
        events.step(1, 1.0, {"a": 1.0}, seconds=0.1)
        monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "data of the viewer"))
        yield events, Sync(run.folder, tmp_path / "copy", 0.0, in_place=False)


def test_a_copied_run_is_followed_and_left_as_it_is(far, qtbot, monkeypatch):
    events, sync = far
    # The viewer's clock is an hour ahead.
    ahead = SimpleNamespace(time=lambda: time.time() + 3600, monotonic=time.monotonic)
    monkeypatch.setattr(heartbeat, "time", ahead)
    sync.all()
    before = sync.facts()
    follower = Follower()
    box = RunBox(follower)
    qtbot.addWidget(box)
    try:
        follower.follow(sync.target)
        qtbot.waitUntil(lambda: follower.state is not None, timeout=60_000)
        assert (follower.state.name, follower.state.unsure) == ("running", True)
        assert box.state.text() == "Running on another machine"
        assert "last sign of life" in box.reason.text()
        assert box.stop.isEnabled()
        assert sync.facts() == before
        events.step(2, 0.5, {"a": 0.5}, seconds=0.1)
        os.utime(events.folder / "heartbeat")
        sync.all()
        before = sync.facts()
        qtbot.waitUntil(lambda: follower.state.alive, timeout=60_000)
        qtbot.waitUntil(lambda: follower.history.step == 2, timeout=60_000)
        assert box.reason.text() == ""
        assert sync.facts() == before
        events.state("finished")
        sync.all()
        qtbot.waitUntil(lambda: follower.state.name == "finished", timeout=60_000)
        qtbot.waitUntil(lambda: not follower.following, timeout=60_000)
    finally:
        follower.close()


def test_pictures_that_are_copied_after_the_news_of_them_are_shown(far, qtbot, tmp_path):
    events, sync = far
    follower = Follower()
    shown = []
    follower.pictured.connect(lambda picture, image: shown.append(picture.step))
    try:
        for number in (1, 2):
            events.image(number, Shown("seen", np.zeros((1, 5, 8), np.float32), ("a",)))
            (newest,) = events.folder.glob(f"images/step_*{number}_seen.png")
            newest.rename(tmp_path / newest.name)
            if number == 2:
                events.state("finished")
            sync.all()
            follower.follow(sync.target)
            if number == 2:
                qtbot.waitUntil(lambda: follower.state.name == "finished", timeout=60_000)
            qtbot.waitUntil(lambda n=number: newest_step(follower) == n, timeout=60_000)
            qtbot.wait(500)
            assert shown == [1][: number - 1]
            (tmp_path / newest.name).rename(newest)
            sync.all()
            qtbot.waitUntil(lambda n=number: shown == [1, 2][:n], timeout=60_000)
        qtbot.waitUntil(lambda: not follower.following, timeout=60_000)
    finally:
        follower.close()


def newest_step(follower):
    picture = follower.history.pictures.get("seen")
    return picture.step if picture else 0
