"""What the job behind "Where to label next" does, called as a plain function."""

import pytest
from ui.segmenter_actions import CENTER, SHELL, ball

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import compute
from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.segmentation import SegmentSettings
from napari_mrissl.ui.segmenter.presets import PRESETS
from napari_mrissl.ui.segmenter.state import PromptState
from napari_mrissl.ui.segmenter.suggesting import OpenScan, suggest_next

SETTINGS = SegmentSettings()


class Control:
    """Notes how far it is said to be."""

    def __init__(self, *, stop_at=2.0):
        self.told, self.stop_at = [], stop_at

    def progress(self, fraction, text=""):
        self.told.append(fraction)

    def cancelled(self):
        return bool(self.told) and self.told[-1] >= self.stop_at


def marked(volume, *clicks):
    state = PromptState(volume, PRESETS["Object / background"])
    state.set_clicks(clicks)
    return state.snapshot()


@pytest.fixture
def scan():
    """A scan with a click of each class, and its features."""
    volume = ball()
    stack = compute(volume, SETTINGS.features)
    return OpenScan(lambda: volume, stack, marked(volume, (*CENTER, 1), (*SHELL, 2)))


def refused():
    raise MrisslError("not a scan")


def test_scans_without_features_are_left_out_and_one_opened_twice_counts_once(scan):
    other = ball("other", seed=3)
    compute(other, SETTINGS.features)
    none = ball("none", seed=4)
    asked = [
        scan, scan._replace(marked=None), OpenScan(lambda: none), OpenScan(refused),
        OpenScan(lambda: other),
    ]  # fmt: skip
    control = Control()
    found = suggest_next(asked, SETTINGS, (), control)
    assert (found.looked_at, found.left_out) == (2, 2)
    assert found.scan in (0, 4)
    assert asked[found.scan].read().identity == found.suggestion.place.scan
    assert control.told == sorted(control.told)
    assert 0 <= control.told[0] <= control.told[-1] <= 1
    seen = set()
    skipped = []
    for _ in range(30):
        found = suggest_next(asked, SETTINGS, skipped, Control())
        seen.add(found.scan)
        skipped.append(found.suggestion.place)
        if len(seen) == 2:
            break
    assert seen == {0, 4}


def test_marks_of_all_scans_count_together(scan):
    volume, other = scan.read(), ball("other", seed=3)
    stack = compute(other, SETTINGS.features)
    first = scan._replace(marked=marked(volume, (*CENTER, 1)))
    second = OpenScan(lambda: other, stack, marked(other, (*SHELL, 2)))
    assert suggest_next([first, second], SETTINGS, (), Control()).looked_at == 2
    with pytest.raises(MrisslError, match="prompts of 1 classes"):
        suggest_next([first], SETTINGS, (), Control())


@pytest.mark.parametrize("stop_at", [0.0, 0.4, 0.84])
def test_a_cancelled_job_ends(scan, stop_at):
    with pytest.raises(Cancelled):
        suggest_next([scan], SETTINGS, (), Control(stop_at=stop_at))
