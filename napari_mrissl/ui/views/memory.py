"""What the session keeps of the slice views, and how it is taken up again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mrissl.ui.pictures.cuts import LABEL_STYLES
from napari_mrissl.ui.views.pane import PANE_KINDS
from napari_mrissl.ui.views.presenter import MODES

if TYPE_CHECKING:
    from napari_mrissl.ui.views.widget import SliceViews


def state_of_views(views: SliceViews) -> dict[str, Any]:
    """Mode, rate, labels, the pane shown alone, and zoom and pan of each pane, as JSON has it."""
    cameras = {
        kind: {
            "zoom": pane.camera.zoom,
            "center": None
            if pane.camera.center is None
            else [float(number) for number in pane.camera.center],
        }
        for kind, pane in views.panes.items()
        if kind != "free"
    }
    return {
        "mode": views.presenter.mode,
        "hertz": views.presenter.hertz,
        "labels": views.presenter.style,
        "alone": views.grid.alone,
        "cameras": cameras,
    }


def take_state(views: SliceViews, state: Any) -> list[str]:
    """Set what is usable; a sentence for each thing that is not. Unknown things are ignored."""
    if not isinstance(state, dict):
        return ["What was kept of the slice views is unreadable."]
    problems: list[str] = []
    bar = views.bar
    for key, box, known in (
        ("mode", bar.mode_box, MODES),
        ("labels", bar.style_box, LABEL_STYLES),
    ):
        if key in state:
            if state[key] in known:
                bar.choose(box, state[key])
            else:
                problems.append(f"There is no {key} {state[key]!r}.")
    if "hertz" in state:
        hertz = _number(state["hertz"])
        if hertz is not None and hertz > 0:
            bar.rate.setValue(hertz)
        else:
            problems.append(f"{state['hertz']!r} is no flicker rate.")
    if "alone" in state:
        if state["alone"] is None or state["alone"] in PANE_KINDS:
            views.maximise(state["alone"])
        else:
            problems.append(f"There is no slice {state['alone']!r}.")
    cameras = state.get("cameras", {})
    if not isinstance(cameras, dict):
        return [*problems, "The kept zoom is unreadable."]
    for kind, kept in cameras.items():
        if kind in views.panes and kind != "free" and not _take_camera(views, kind, kept):
            problems.append(f"The kept zoom of the {kind} slice is unreadable.")
    views.presenter.request()
    return problems


def _take_camera(views: SliceViews, kind: str, kept: Any) -> bool:
    if not isinstance(kept, dict):
        return False
    zoom, center = _number(kept.get("zoom")), kept.get("center")
    if zoom is None or not 0.01 < zoom < 1000:
        return False
    if center is not None:
        numbers = [_number(n) for n in center] if isinstance(center, list) else []
        if len(numbers) != 3 or None in numbers:
            return False
        center = np.array(numbers, np.float64)
    camera = views.panes[kind].camera
    camera.zoom, camera.center = zoom, center
    return True


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        return None
    return float(value)
