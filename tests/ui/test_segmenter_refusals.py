"""A disk that refuses, a cache that is too small: said once, and the panel goes on."""

import errno
import os

import pytest
from ui.segmenter_actions import CENTER, SHELL, ball, docked, said, settle, shown

from napari_mrissl.trajectories import journal
from napari_mrissl.ui.layers import add_volume
from napari_mrissl.ui.segmenter.journal import find_unfinished

pytestmark = pytest.mark.gui


@pytest.fixture
def panel(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    add_volume(viewer, ball())
    return docked(viewer, qtbot)


@pytest.fixture
def complaints(panel):
    heard = []
    panel.controller.said.connect(lambda kind, text: heard.append(text) if kind == "error" else 0)
    return heard


def test_features_that_fail_are_not_tried_again_and_again(panel, complaints, qtbot, monkeypatch):
    monkeypatch.setenv("MRISSL_FEATURE_CACHE_GIB", "1e-6")
    panel.add_click(CENTER, 1)
    panel.add_click(SHELL, 2)
    settle(panel, qtbot)
    qtbot.wait(500)
    settle(panel, qtbot)
    assert 1 <= len(complaints) <= 2
    assert "the cache may take" in complaints[0]
    monkeypatch.setenv("MRISSL_FEATURE_CACHE_GIB", "1")
    panel.segment()
    settle(panel, qtbot)
    assert set(shown(panel).ravel()) == {1, 2}


def test_a_disk_that_refuses_marks_is_said_and_taken_up_later(
    panel, complaints, qtbot, monkeypatch
):
    identity = panel.controller.session.identity
    panel.add_click(CENTER, 1)

    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(journal, "_write", refuse)
        panel.add_click(SHELL, 2)
        qtbot.waitUntil(lambda: bool(complaints), timeout=5000)
    assert "not being kept on disk" in complaints[0]
    assert "No space left" in complaints[0]
    settle(panel, qtbot)
    assert len(panel.clicks_layer.data) == 2
    assert set(shown(panel).ravel()) == {1, 2}
    # Room again: the next mark starts a journal that holds them all.
    panel.add_click((2.0, 0.0, 0.0), 1)
    settle(panel, qtbot)
    panel.shut_down()
    assert len(find_unfinished(identity).prompts.points) == 3
    assert "error" not in said(panel).lower()
