"""One navigator state for each viewer: navigators and slice views show the same place."""

from __future__ import annotations

import weakref
from typing import Any

from napari_mrissl.ui.navigator.state import NavigatorState
from napari_mrissl.ui.preferences import preferences

# Both sides weak: a state lives as long as a widget shows it, and no viewer is kept alive.
_states: dict[int, tuple[weakref.ref[Any], weakref.ref[NavigatorState]]] = {}


def real_viewer(viewer: Any) -> Any:
    """The viewer itself, where a plugin was handed a proxy of it."""
    return getattr(viewer, "__wrapped__", viewer)


def shared_state(viewer: Any) -> NavigatorState | None:
    """The state that a widget on this viewer already shows, or None."""
    real = real_viewer(viewer)
    held = _states.get(id(real))
    if held is None or held[0]() is not real:
        return None
    return held[1]()


def state_of(viewer: Any) -> NavigatorState:
    """The viewer's state, made in the preferred convention when there is none; hold on to it."""
    state = shared_state(viewer)
    if state is None:
        state = NavigatorState()
        state.set_convention(preferences().convention)
        real = real_viewer(viewer)
        _states[id(real)] = weakref.ref(real), weakref.ref(state)
        weakref.finalize(state, _states.pop, id(real), None)
    return state
