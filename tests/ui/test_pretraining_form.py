"""Forms of a new run: every setting of every method, there and back."""

from types import SimpleNamespace
from typing import Literal, get_args, get_origin

import pytest
from pydantic import BaseModel, ConfigDict, Field
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QInputDialog,
    QLineEdit,
    QPushButton,
)

from napari_mrissl.pretext.info import PRESETS
from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.training.building import settings_for
from napari_mrissl.training.data.packing import pack
from napari_mrissl.training.settings import RunSettings
from napari_mrissl.ui import fields
from napari_mrissl.ui.model_form import ModelForm
from napari_mrissl.ui.pretraining import work
from napari_mrissl.ui.pretraining.data_box import DataBox, Sources
from napari_mrissl.ui.pretraining.draft import KINDS, Draft, begun, usable
from napari_mrissl.ui.pretraining.form_box import FormBox
from tests.training.cohorts import write_scan

pytestmark = pytest.mark.gui


@pytest.fixture
def form(qtbot):
    form = FormBox(TASKS)
    qtbot.addWidget(form)
    return form


def type_again(field: fields.Field) -> None:
    """What a user does who types exactly what is shown."""
    if isinstance(field, fields.Numbers):
        for part in field.parts:
            part.valueChanged.emit(part.value())
    elif isinstance(field, fields.Flag):
        field.box.clicked.emit(field.box.isChecked())
    elif isinstance(field, fields.Choice):
        field.box.currentIndexChanged.emit(field.box.currentIndex())
    elif isinstance(field, fields.NumberList | fields.Words):
        field.line.editingFinished.emit()


def change(field: fields.Field) -> bool:
    """Another value, as a user gives it; False if there is none that is sure to be valid."""
    if isinstance(field, fields.Flag):
        field.box.click()
    elif isinstance(field, fields.Choice):
        field.box.setCurrentIndex((field.box.currentIndex() + 1) % field.box.count())
    elif isinstance(field, fields.Numbers):
        field.parts[-1].stepUp()
    else:
        return False
    return True


@pytest.mark.parametrize("method", TASKS)
def test_every_setting_there_and_back(form, method):
    form.method.setCurrentIndex(form.method.findData(method))
    for preset in TASKS[method].presets:
        form.preset.setCurrentIndex(form.preset.findData(preset))
        start = form.draft
        assert (start.method, start.preset) == (method, preset)
        # What the command line makes of the same words, but for the engine's own defaults.
        wanted = settings_for(method, None, preset)
        assert start.settings.model_copy(update={"data": wanted.data}) == wanted
        assert start.settings.data.engine["side"] == wanted.data.engine["side"]
        assert start.task(TASKS).model_dump(mode="json") == wanted.task
        for part in (form.task_form, form.run_form, form.engine_form):
            for field in part.fields.values():
                type_again(field)
        # Boxes show eight decimals, no more is lost by typing all of it again.
        near(form.draft.settings.model_dump(mode="json"), start.settings.model_dump(mode="json"))
        form.restore.click()
        assert form.draft == start


def test_presets_are_those_of_the_method(form):
    def offered():
        return [form.preset.itemData(place) for place in range(form.preset.count())]

    form.method.setCurrentIndex(form.method.findData("vectorpose"))
    assert offered() == list(TASKS["vectorpose"].presets)
    assert {"published_1", "published_2"} < set(offered())
    form.preset.setCurrentIndex(form.preset.findData("published_2"))
    plain = form.draft.settings.model_dump(mode="json")
    assert usable("published_2", plain, TASKS) == form.draft
    # Another method has none of that name, but undo brings it back.
    form.method.setCurrentIndex(form.method.findData("masked"))
    assert offered() == list(PRESETS)
    assert form.draft.preset == "cpu"
    form.undo.click()
    assert (form.draft.method, form.draft.preset) == ("vectorpose", "published_2")
    assert form.preset.currentData() == "published_2"


def near(found, wanted):
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for name in wanted:
            near(found[name], wanted[name])
    elif isinstance(wanted, list):
        for one, other in zip(found, wanted, strict=True):
            near(one, other)
    else:
        assert found == (pytest.approx(wanted, abs=1e-8) if type(wanted) is float else wanted)


@pytest.mark.parametrize("method", TASKS)
def test_each_edit_is_a_change_of_that_setting_alone_and_is_undone(form, method):
    form.method.setCurrentIndex(form.method.findData(method))
    start = form.draft
    refused = []
    form.invalid.connect(refused.append)
    changed = 0
    for prefix, part in (("task.", form.task_form), ("", form.run_form)):
        for path, field in part.fields.items():
            refused.clear()
            if not change(field):
                continue
            if refused:
                assert not form.valid
                assert form.draft == start
                part.show_settings(part.settings)
                continue
            found = {
                key for key, value in flat(form.draft.settings).items()
                if flat(start.settings).get(key) != value
            }  # fmt: skip
            assert found == {prefix + path}
            form.undo.click()
            assert form.draft == start
            form.redo.click()
            form.undo.click()
            changed += 1
    assert changed > 15


def flat(settings, prefix=""):
    found = {}
    for name, value in (
        settings.items() if isinstance(settings, dict) else settings.model_dump().items()
    ):
        if isinstance(value, dict):
            found.update(flat(value, f"{prefix}{name}."))
        else:
            found[prefix + name] = value
    return found


def test_every_control_has_a_label_and_a_tooltip(form):
    for method in TASKS:
        form.method.setCurrentIndex(form.method.findData(method))
        for part in (form.task_form, form.run_form, form.engine_form):
            for path, field in part.fields.items():
                assert field.toolTip(), path
                assert field.accessibleName(), path
    kinds = (QPushButton, QComboBox, QCheckBox, QLineEdit, QAbstractSpinBox)
    for kind in kinds:
        for one in form.findChildren(kind):
            owner = one.parent()
            assert one.toolTip() or owner.toolTip(), one


def test_kinds_of_data(form, qtbot):
    box = DataBox()
    qtbot.addWidget(box)
    for kind in KINDS:
        form.use_kind(kind)
        assert form.draft.kind == kind
        assert (form.draft.engine is None) == (kind == "scans")
        assert (form.engine_form is None) == (kind == "scans")
    box.kind.setCurrentIndex(box.kind.findData("scans"))
    box.add("b.nii", "a.nii", "b.nii")
    assert box.sources == Sources("scans", ("b.nii", "a.nii"))
    box.list.item(0).setSelected(True)
    box.remove.click()
    assert box.sources.paths == ("a.nii",)
    box.show_sources(Sources("heads", (), "maps"))
    assert box.sources == Sources("heads", (), "maps")
    box.own_maps.click()
    assert box.sources.label_maps == ""


def test_a_pack_elsewhere_is_typed_until_it_is_a_url(qtbot, monkeypatch):
    box = DataBox()
    qtbot.addWidget(box)
    box.show_sources(Sources("scans"))
    answers = [("bucket/pack", True), (" s3://bucket/pack ", True)]
    asked = []

    def answer(parent, title, said):
        asked.append(said)
        return answers.pop(0)

    monkeypatch.setattr(QInputDialog, "getText", answer)
    box.add_url.click()
    assert box.sources.paths == ("s3://bucket/pack",)
    assert "That is no URL" in asked[1]
    answers.append(("https://elsewhere/pack", False))
    box.add_url.click()
    assert box.sources.paths == ("s3://bucket/pack",)


def test_a_draft_out_of_plain_data():
    draft = begun("masked", "tiny", "ensembles", TASKS)
    plain = draft.settings.model_dump(mode="json")
    assert usable("tiny", plain, TASKS) == draft
    assert usable("huge", plain, TASKS) is None
    assert usable("tiny", {**plain, "method": "none"}, TASKS) is None
    assert usable("tiny", {**plain, "task": {"patch": "x"}}, TASKS) is None
    assert usable("tiny", "nonsense", TASKS) is None


class Inner(BaseModel):
    """Part of the model below."""

    model_config = ConfigDict(frozen=True)
    rate: float = Field(default=1e-5, gt=0, lt=1, title="Rate")


class Outer(BaseModel):
    """Every kind of field.

    Attributes
    ----------
    words
        Any text.
    """

    model_config = ConfigDict(frozen=True)
    words: str = "some"
    flag: bool = True
    number: int | None = Field(default=None, ge=3)
    one: Literal["only"] = "only"
    some: tuple[Literal["a", "b", "c"], ...] = ("a",)
    scales: tuple[float, ...] = (1.0, 2.5)
    inner: Inner = Inner()
    rest: dict = {}


def test_every_kind_of_field(qtbot):
    form = ModelForm(Outer(), skip=("rest",), titles={"inner": "Within"})
    qtbot.addWidget(form)
    told, refused = [], []
    form.edited.connect(told.append)
    form.invalid.connect(refused.append)
    assert set(form.fields) == {
        "words", "flag", "number", "some", "scales", "inner.rate"
    }  # fmt: skip
    assert form.fields["words"].toolTip() == "Any text."
    form.fields["flag"].box.click()
    form.fields["words"].line.setText("other")
    form.fields["words"].line.editingFinished.emit()
    number = form.fields["number"]
    assert not number.field.isEnabled()
    number.box.click()
    assert told[-1].number == 3
    number.field.parts[0].setValue(7)
    number.box.click()
    assert told[-1].number is None
    number.box.click()
    form.fields["some"].boxes["c"].click()
    rate = form.fields["inner.rate"].parts[0]
    assert rate.text() == "0.00001"
    rate.setValue(3e-5)
    assert told[-1] == Outer(
        words="other", flag=False, number=7, some=("a", "c"), inner=Inner(rate=3e-5)
    )
    scales = form.fields["scales"].line
    scales.setText("1, two")
    scales.editingFinished.emit()
    assert "'1, two' is no list of numbers" in refused[-1]
    assert not form.valid
    form.show_settings(Outer())
    assert form.valid
    assert scales.text() == "1.0, 2.5"
    form.fields["inner.rate"].edited.emit(2.0)
    assert refused[-1].startswith("Rate: ")
    assert form.settings == Outer()


def test_there_is_an_editor_for_all_settings_but_those_shown_elsewhere():
    """A field without an editor would not be shown, and nobody would notice."""
    elsewhere = {"data.engine", "data.subjects", "data.packs"}

    def missing(model, prefix=""):
        for name, info in model.model_fields.items():
            kind = fields.inner_type(info.annotation)
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from missing(kind, f"{prefix}{name}.")
                continue
            single = get_origin(kind) is Literal and len(get_args(kind)) == 1
            if not single and prefix + name not in elsewhere | {"task"}:
                try:
                    fields.field_for(info).deleteLater()
                except TypeError:
                    yield prefix + name

    for info in TASKS.values():
        assert list(missing(info.settings)) == []
    assert list(missing(RunSettings)) == []


def test_a_folder_that_is_a_pack_is_taken_like_one_with_scans(tmp_path):
    pytest.importorskip("zarr")
    made = pack([write_scan(tmp_path / f"{k}.nii", k) for k in (1, 2)], tmp_path / "pack")
    control = SimpleNamespace(cancelled=lambda: False, progress=lambda *_: None)
    draft = Draft("tiny", settings_for("masked", None, "tiny", {}))
    settings, *_ = work.made_settings(control, draft, Sources("scans", (str(tmp_path / "pack"),)))
    assert settings.data.packs == (made.uuid,)
    assert [record.identity for record in settings.data.subjects] == [
        entry.identity for entry in made.entries
    ]
