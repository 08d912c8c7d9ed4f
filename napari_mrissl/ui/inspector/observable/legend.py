"""How the lines in the viewer are drawn, in words: colours alone are hard to read as text."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_mrissl.ui.inspector.observable.boxes import COLORS


def legend(*entries: tuple[str, str], dashed: tuple[str, ...] = ()) -> QLabel:
    """A line for each kind, in its colour, and what it is.

    Parameters
    ----------
    entries
        Names of layers, with words.
    dashed
        Those whose lines are broken.
    """
    label = QLabel(
        "&nbsp; ".join(
            f'<span style="color:{COLORS[name]}"><b>{"╍" if name in dashed else "━"}</b></span>'
            f"&nbsp;{words.replace(' ', '&nbsp;')}"
            for name, words in entries
        )
    )
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setWordWrap(len(entries) > 3)
    label.setToolTip("How lines are drawn in the viewer")
    return label
