"""A box to choose a layer from, whose name keeps both its ends where there is little room."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QPaintEvent
from qtpy.QtWidgets import QComboBox, QStyle, QStyleOptionComboBox, QStylePainter

_MOST_WIDTH = 600


class NameBox(QComboBox):
    """A combo box that leaves out the middle of a long name; its list shows names whole."""

    def shown_name(self) -> str:
        """The chosen name as it fits."""
        option = self._option()
        part = QStyle.SubControl.SC_ComboBoxEditField
        control = QStyle.ComplexControl.CC_ComboBox
        room = self.style().subControlRect(control, option, part, self).width() - 2
        elided = Qt.TextElideMode.ElideMiddle
        return self.fontMetrics().elidedText(self.currentText(), elided, room)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the box, and the name as it fits."""
        option = self._option()
        option.currentText = self.shown_name()
        painter = QStylePainter(self)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()

    def showPopup(self) -> None:
        """Open the list, as wide as its longest name."""
        names = self.view()
        names.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        bar = self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent)
        wanted = max(self.width(), names.sizeHintForColumn(0) + bar)
        names.setMinimumWidth(min(wanted, _MOST_WIDTH))
        super().showPopup()

    def _option(self) -> QStyleOptionComboBox:
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        return option
