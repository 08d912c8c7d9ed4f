"""What background jobs do, called as plain functions: no viewer, no thread."""

import nibabel
import numpy as np
import pytest
from ui.segmenter_actions import CENTER, SHELL, ball

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.segmentation import SegmentSettings, segment
from napari_mrissl.trajectories.scan_index import remember
from napari_mrissl.ui.segmenter import work
from napari_mrissl.ui.segmenter.planes import axis_planes
from napari_mrissl.ui.segmenter.presets import PRESETS
from napari_mrissl.ui.segmenter.state import PromptState

CLASSES = PRESETS["Object / background"]
SETTINGS = SegmentSettings()


class Recorder:
    """A control that notes what it is told."""

    def __init__(self, stop_after=None):
        self.told, self.sent, self.stop_after = [], [], stop_after

    def progress(self, fraction, text=""):
        self.told.append((fraction, text))

    def send(self, message):
        self.sent.append(message)

    def cancelled(self):
        return self.stop_after is not None and len(self.sent) >= self.stop_after


@pytest.fixture
def volume():
    return ball()


@pytest.fixture
def marked(volume):
    state = PromptState(volume, CLASSES)
    state.set_clicks(((*CENTER, 1), (*SHELL, 2)))
    return state.snapshot()


def test_features_are_found_again_when_a_scan_is_opened(volume):
    first = work.open_scan(volume, SETTINGS, Recorder())
    assert first.stack is None
    assert first.identity == volume.identity
    assert first.needed.disk_bytes > 0
    stack = work.compute_features(volume, SETTINGS, Recorder())
    again = work.open_scan(volume, SETTINGS, Recorder())
    assert (again.stack.data == stack.data).all()


def test_planes_come_first_and_the_segmenter_is_kept(volume, marked):
    stack, kept = work.compute_features(volume, SETTINGS, Recorder()), {}
    planes = axis_planes(volume.affine, volume.shape, (3, 4, 5), 1)
    control = Recorder()
    done = work.segment_view_first(kept, volume, stack, SETTINGS, marked, planes, control)
    assert [len(group) for group in control.sent] == [1, 2]
    prompts = marked.prompts(volume.identity)
    assert (done.result.labels == segment(volume, prompts, SETTINGS).labels).all()
    assert done.labels == (1, 2)
    assert (control.sent[0][0][1] == done.result.labels[:, 4:5]).all()
    segmenter = kept[SETTINGS]
    work.segment_view_first(kept, volume, stack, SETTINGS, marked, planes, Recorder())
    assert kept[SETTINGS] is segmenter
    with pytest.raises(Cancelled):
        work.segment_view_first(kept, volume, stack, SETTINGS, marked, planes, Recorder(1))
    again = work.replay_record(volume, done.result.metadata, Recorder())
    assert (again.labels == done.result.labels).all()


def test_labels_are_never_written_over_the_scan(volume, tmp_path):
    scan = tmp_path / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(volume.to_stored(volume.data), volume.stored.affine), scan)
    before = scan.read_bytes()
    remember(volume.identity, scan)
    labels = np.ones(volume.shape, np.uint8)
    with pytest.raises(MrisslError, match="the scan itself"):
        work.save_labels(scan, labels, volume, CLASSES, True, Recorder())
    assert scan.read_bytes() == before
    path = work.save_labels(tmp_path / "l.nii.gz", labels, volume, CLASSES, False, Recorder())
    assert (np.asarray(nibabel.load(path).dataobj) == 1).all()


def test_loaded_clicks_say_when_they_are_of_another_scan(volume, marked, tmp_path):
    path = work.save_prompts(tmp_path / "clicks.json", marked, Recorder())
    prompts, remark = work.load_prompts(path, volume, Recorder())
    assert (len(prompts.points), remark) == (2, "")
    assert work.load_prompts(path, ball(seed=9), Recorder())[1].strip() == (
        "They were placed on another scan."
    )
    outside = tmp_path / "outside.csv"
    outside.write_text("x,y,z,label\n0,0,0,1\n900,0,0,2\n", "utf-8")
    assert "1 of them lie outside" in work.load_prompts(outside, volume, Recorder())[1]
