"""What the panel's tabs say and show of the flight, the goal, the tokens and the pose read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_mrissl.errors import printable
from napari_mrissl.pretext.navigation.moves import apart
from napari_mrissl.ui.inspector.navigation import ghost
from napari_mrissl.ui.inspector.navigation.picture import Sides, grey
from napari_mrissl.ui.inspector.navigation.sides import is_flipped, other_side

if TYPE_CHECKING:
    from napari_mrissl.ui.inspector.navigation.panel import NavigationPanel
    from napari_mrissl.ui.inspector.navigation.work import Alike, Loaded, Token

TABS = IMAGINE, FIND, LATENTS = range(3)

_NO_DYNAMICS = (
    "This run is a tokenizer: it cannot imagine. Train a run of the method dynamics that begins "
    "from it; its latents can be looked at."
)
_OTHER_SCAN = "The navigator shows another scan: choose that one above to see its tokens."
_NO_CONTRAST = (0.0, 1.0)


def allow(panel: NavigationPanel) -> None:
    """Which buttons there is something to do for."""
    loaded, control, fitting = panel.loaded, panel.control, panel.fitting.running
    dreams = loaded is not None and loaded.opened.imagination is not None
    panel.imagine_tab.allow(
        ready=dreams,
        flying=control.active,
        steps=0 if control.flight is None else control.flight.steps,
        probed=panel.probe is not None,
    )
    panel.imagine_tab.fit.setEnabled(loaded is not None and not fitting)
    panel.find_tab.allow(
        there=panel.slice_state.volume is not None,
        ready=dreams and panel.goals.ready,
        goal=panel.goals.goal is not None,
        searching=panel.goals.searching,
        found=dreams and panel.goals.can_fly,
        undo=panel.slice_state.can_undo,
    )


def wanted_looks(panel: NavigationPanel) -> tuple[bool, bool]:
    """Whether the true slice is looked at, and whether in colours."""
    latents = panel.tabs.currentIndex() == LATENTS
    reads = panel.probe is not None and not panel.control.active
    own = panel.slice_state.source is panel.layer
    return own and (latents or reads), latents


def show_flight(panel: NavigationPanel) -> None:
    """The newest moment of the imagined flight, or that there is none."""
    flight, state, tab = panel.control.flight, panel.slice_state, panel.imagine_tab
    if flight is not None:
        tab.show_flight(
            flight,
            other_side(state, flight.now.pose),
            panel.limits,
            panel.control.waited_ms,
            flipped=is_flipped(state),
        )
    elif panel.loaded is not None and panel.loaded.opened.imagination is None:
        tab.clear(_NO_DYNAMICS)
    elif not panel.control.active:
        tab.clear()


def show_goal(panel: NavigationPanel) -> None:
    """Goal, and what was found."""
    goals, tab, state = panel.goals, panel.find_tab, panel.slice_state
    flipped = is_flipped(state)
    if goals.goal is None:
        tab.clear()
        return
    if goals.picture is None:
        tab.goal.clear()
    else:
        limits = panel.limits if goals.goal.layer is panel.layer else _NO_CONTRAST
        sides = Sides.of(other_side(state, goals.goal.pose))
        tab.goal.present(grey(goals.picture, limits, flipped=flipped), sides)
    if goals.found is None or goals.found_picture is None:
        tab.found.clear()
        words = "Searching in imagination." if goals.searching else "Go elsewhere, and press Find."
        tab.facts.setText(words)
        return
    sides = Sides.of(other_side(state, goals.found.pose))
    tab.found.present(grey(goals.found_picture, panel.limits, flipped=flipped), sides)
    tab.facts.setText(goals.words(panel.layer))


def show_seen(panel: NavigationPanel) -> None:
    """The true slice, its tokens, and which of them are alike."""
    look, state, tab = panel.look, panel.slice_state, panel.latent_tab
    if look.seen is None or panel.loaded is None or state.source is not panel.layer:
        tab.clear()
        if panel.loaded is not None and state.volume is not None:
            tab.facts.setText(_OTHER_SCAN if state.source is not panel.layer else "")
        return
    sides, flipped = Sides.of(other_side(state, look.seen.pose)), is_flipped(state)
    tab.show_seen(look.seen, sides, panel.limits, flipped=flipped)
    if look.alike and look.token is not None:
        tab.show_alike(look.alike, look.seen.pose, sides, panel.limits)
        tab.facts.setText(_words_of(look.alike, look.token, panel.loaded))
    else:
        tab.forget_place()


def _words_of(found: Sequence[Alike], token: Token, loaded: Loaded) -> str:
    """Which token was sought, and where the most similar ones are."""
    own = found[0]
    row, column = token.place
    best = f"the best here, {own.cosines[own.best]:.2f} at row {own.best[0] + 1}, column "
    best += f"{own.best[1] + 1}"
    if own.home:
        alone = own.cosines.copy()
        alone[row, column] = -2
        said = f"Token at row {row + 1}, column {column + 1}; "
        said += f"its nearest in this slice: {alone.max():.2f}."
    elif token.is_of(loaded):
        away = apart(token.pose, own.pose)
        said = f"Token of a slice {away.mm:.0f} mm and {away.degrees:.0f}° from here; {best}, lies "
        said += f"{token.mm_to(own.pose, own.best):.0f} mm from it."
    else:
        said = f"Token of {printable(token.scan) or 'another scan'}; {best}."
    if len(found) > 1:
        others = ", ".join(f"{printable(o.name)} {o.cosines.max():.2f}" for o in found[1:])
        said += f" Best in other scans at the same pose: {others}."
    return said


def show_read(panel: NavigationPanel) -> None:
    """Say, and draw, where the latents in view say the slice lies."""
    flight, seen, loaded = panel.control.flight, panel.look.seen, panel.loaded
    if flight is not None:
        read, pose, picture = flight.now.read, flight.now.pose, flight.now.imagined
    elif seen is not None:
        read, pose, picture = seen.read, seen.pose, seen.frame
    else:
        read = None
    if read is None or panel.probe is None or loaded is None:
        panel.imagine_tab.read.setText("")
        panel.ghost.hide()
        return
    panel.imagine_tab.read.setText(ghost.words_of(read, pose))
    layer = panel.layer
    if panel.imagine_tab.ghost.isChecked() and layer is not None and layer in panel.viewer.layers:
        panel.ghost.show(read, picture, loaded.scan.volume, layer)
    else:
        panel.ghost.hide()
