"""Forms of pydantic models: what is shown is what scripts set, or a reason why not."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field
from qtpy.QtWidgets import QLabel, QWidget

from napari_mrissl.segmentation import SegmentSettings
from napari_mrissl.ui.forms import SettingsForm

Length = Annotated[float, Field(gt=0, le=50)]


class Inner(BaseModel):
    """Inner settings.

    Attributes
    ----------
    scales_mm
        Widths of the ``Gaussian``,
        in millimetres.
    groups, others
        Kinds of filters.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["inner"] = "inner"
    groups: tuple[Literal["one", "two", "three"], ...] = ("one",)
    scales_mm: tuple[Length, ...] = Field((1.0, 2.0), min_length=1)
    others: tuple[int, ...] = (3,)


class Outer(BaseModel):
    """Outer settings."""

    model_config = ConfigDict(frozen=True)

    inner: Inner = Inner()
    method: Literal["fast", "slow"] = "fast"
    classifier: str = "ridge"
    depth: int = Field(4, ge=1, le=9, description="How deep")
    width_mm: Length = 1.5
    extra: bool = False


@pytest.fixture
def form(qtbot):
    form = SettingsForm(
        Outer(), choices={"classifier": ("ridge", "forest")}, labels={"inner.groups": "Filters"}
    )
    qtbot.addWidget(form)
    return form


def widget(form, path):
    return form.magic(path)


def test_it_shows_the_model_and_gives_it_back(form):
    assert form.settings == Outer()
    other = Outer(
        inner=Inner(groups=("two", "three"), scales_mm=(0.5, 3.0)),
        method="slow", classifier="forest", depth=7, width_mm=2.25, extra=True,
    )  # fmt: skip
    form.settings = other
    assert form.settings == other
    assert widget(form, "depth").value == 7
    assert widget(form, "inner.scales_mm").value == "0.5, 3"
    # What is shown makes the same model again.
    widget(form, "extra").value = False
    assert form.settings == other.model_copy(update={"extra": False})


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("depth", 9, {"depth": 9}),
        ("width_mm", 2.5, {"width_mm": 2.5}),
        ("method", "slow", {"method": "slow"}),
        ("classifier", "forest", {"classifier": "forest"}),
        ("extra", True, {"extra": True}),
        ("inner.scales_mm", "1; 4 , 8", {"inner": Inner(scales_mm=(1, 4, 8))}),
        ("inner.others", "5 6", {"inner": Inner(others=(5, 6))}),
    ],
)
def test_an_edit_is_told_once(qtbot, form, path, value, expected):
    told = []
    form.changed.connect(told.append)
    widget(form, path).value = value
    assert told == [Outer(**expected)]
    assert form.settings == told[0]


def test_words_are_chosen_by_check_boxes(form):
    form.magic("inner.groups", "three").value = True
    assert form.settings.inner.groups == ("one", "three")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1, x", "'1, x' is not a list of numbers such as 1, 2, 4."),
        ("-1", "Scales (mm): Input should be greater than 0."),
        ("99", "Scales (mm): Input should be less than or equal to 50."),
        ("", "Scales (mm): Tuple should have at least 1 item after validation, not 0."),
    ],
)
def test_a_bad_edit_is_one_sentence_and_changes_nothing(form, text, words):
    told, changed = [], []
    form.invalid.connect(told.append)
    form.changed.connect(changed.append)
    widget(form, "inner.scales_mm").value = text
    assert told == [words]
    assert changed == []
    assert form.settings == Outer()
    widget(form, "inner.scales_mm").value = "3"
    assert form.settings.inner.scales_mm == (3.0,)


def test_showing_other_settings_tells_nothing(form):
    told = []
    form.changed.connect(told.append)
    form.settings = Outer(depth=2, extra=True)
    assert told == []


def test_labels_and_tooltips_say_what_is_meant(form):
    labels = {label.text(): label.toolTip() for label in form.findChildren(QLabel)}
    assert labels["Scales (mm)"] == "Widths of the Gaussian, in millimetres."
    assert labels["Filters"] == "Kinds of filters."
    assert labels["Depth"] == "How deep"
    assert "Kind" not in labels
    for path in ("depth", "method", "inner.scales_mm", "inner.groups"):
        assert form.editor(path).toolTip()


def test_fields_can_be_left_out(qtbot):
    form = SettingsForm(Outer(depth=6), skip=("depth", "inner.groups"))
    qtbot.addWidget(form)
    assert not {label.text() for label in form.findChildren(QLabel)} & {"Depth", "Groups"}
    form.magic("extra").value = True
    assert form.settings == Outer(depth=6, extra=True)


def test_the_real_settings_make_a_form(qtbot):
    form = SettingsForm(SegmentSettings())
    qtbot.addWidget(form)
    form.magic("probability").value = True
    assert form.settings == SegmentSettings(probability=True)
    assert all(child.toolTip() for child in form.findChildren(QWidget, "value"))
