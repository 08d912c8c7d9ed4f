"""A prepared run is whole or not there, keeps its labels itself, and names nobody."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights
from napari_mrissl.segmentation.finetuning import (
    FinetuneSettings,
    LabelClass,
    LabelledInput,
    chosen_settings,
    place_labels,
    prepare,
)
from napari_mrissl.training import initial
from napari_mrissl.training.card import weights_card
from napari_mrissl.training.data.scans import ScanSubjects
from napari_mrissl.training.known_scans import silent
from napari_mrissl.training.run import Run
from tests.segmentation.finetuning.balls import arrays, save, tiny, write
from tests.segmentation.finetuning.test_starting import SCALE, state

FIVE_SCALES = {"backbone.name": "unet", "backbone.width": 8, "backbone.depth": 5}
ROOT = Path(__file__).resolve().parents[3]


def test_the_run_holds_labels_as_they_were(tmp_path):
    inputs = write(tmp_path, 2)
    classes = (LabelClass(label=2, name="core", color="#ff0000"),)
    run = prepare(tiny(classes=classes), inputs, tmp_path / "run")
    assert run.state().name == "queued"
    task = run.settings.task
    assert [entry["name"] for entry in task["classes"]] == ["background", "class 1", "core"]
    save(inputs[0].labels, np.zeros_like(arrays(0)[1]))
    subjects = ScanSubjects(run.settings.data.subjects, run.settings.data)
    for number in range(2):
        scan = subjects.scan(number)
        np.testing.assert_array_equal(scan.labels, arrays(number)[1].transpose(2, 1, 0))
        # Of the file as it was read, not of another type.
        assert scan.identity == run.settings.data.subjects[number].identity


def test_a_run_that_was_moved_finds_its_labels_again(tmp_path, monkeypatch):
    run = prepare(tiny(), write(tmp_path, 1), tmp_path / "run")
    shutil.move(run.folder, tmp_path / "moved")
    run = Run.open(tmp_path / "moved")
    with pytest.raises(MrisslError, match="not known on this machine"):
        ScanSubjects(run.settings.data.subjects, run.settings.data)
    place_labels(run)
    assert ScanSubjects(run.settings.data.subjects, run.settings.data).scan(0).labels.any()


def test_weights_that_do_not_say_what_they_saw_stay_silent(tmp_path):
    inputs = write(tmp_path, 2)
    theirs, told = tmp_path / "theirs.safetensors", tmp_path / "told.safetensors"
    weights.save_arrays(theirs, state(), {"method": "theirs", "preprocessing": SCALE})
    saw = {"data": {"subjects": ["3" * 64]}, "preprocessing": SCALE}
    weights.save_arrays(told, state(), saw)
    runs = {}
    for path in (theirs, told):
        settings = FinetuneSettings(weights=str(path), preset="tiny", device="cpu")
        runs[path] = prepare(settings, inputs[:1], tmp_path / path.stem)
    card = initial.card_of(runs[told])
    assert card["seen"] == ["3" * 64]
    assert not silent(runs[told].folder)
    assert not any("do not say" in note for note in runs[told].identity.notes)
    assert "seen" not in initial.card_of(runs[theirs])
    assert silent(runs[theirs].folder)
    assert sum("do not say what they were trained on" in n for n in runs[theirs].identity.notes)

    # Nor does what begins from the run in turn, which names its own scan.
    folder = runs[theirs].folder
    weights.save_arrays(
        folder / "weights.safetensors", state(prefix="backbone."), weights_card(folder, 1)
    )
    settings = FinetuneSettings(weights=str(folder), preset="tiny", device="cpu")
    again = prepare(settings, inputs[1:], tmp_path / "again")
    own = {record.identity for record in runs[theirs].settings.data.subjects}
    assert own <= set(initial.card_of(again)["seen_at_least"])
    assert "seen" not in initial.card_of(again)
    assert silent(again.folder)


def test_nothing_is_left_of_a_refused_run_and_nothing_is_written_over(tmp_path):
    inputs = write(tmp_path, 1)
    before = sorted(tmp_path.rglob("*"))
    bad = replace(inputs[0], labels=arrays(0)[1])
    for settings, given, said in (
        (tiny(), [bad], "array of shape"),
        (tiny(weights="nothing"), inputs, "is not there"),
        (tiny(patch=(17, 16, 16)), inputs, "do not suit this network"),
        (tiny(changes={"nonsense": 1}), inputs, "no setting 'nonsense'"),
        (tiny(changes={"backbone.width": 9}), inputs, "multiple of 8"),
    ):
        with pytest.raises(MrisslError, match=said):
            prepare(settings, given, tmp_path / "run")
        assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / "run").mkdir()
    with pytest.raises(MrisslError, match="is there already"):
        prepare(tiny(), inputs, tmp_path / "run")


def test_no_file_of_the_run_says_where_anything_was(tmp_path):
    folder = tmp_path / "hospital_of_anna"
    inputs = [replace(one, subject="anna_kowalska") for one in write(folder, 1)]
    run = prepare(tiny(), inputs, tmp_path / "run")
    for path in run.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"anna" not in content
            assert str(tmp_path).encode() not in content


def test_weights_travel_with_the_run_and_frozen_ones_say_how_scans_are_scaled(tmp_path):
    path = tmp_path / "net.safetensors"
    weights.save_arrays(path, state(), {"preprocessing": SCALE})
    inputs = write(tmp_path, 1)
    settings = FinetuneSettings(weights=str(path), preset="cpu", mode="linear", backbone_rate=0.3)
    run = prepare(settings, inputs, tmp_path / "run")
    path.unlink()
    assert run.settings.data.preprocessing.model_dump() == SCALE
    assert run.settings.task["backbone"] == {"name": "unet", "width": 8, "depth": 3}
    assert run.settings.task["backbone_rate"] == 0.3
    kept = weights.load_arrays(run.folder / "initial.safetensors")
    np.testing.assert_array_equal(kept["backbone.model.0.weight"], state()["model.0.weight"])
    found = initial.of(run)
    assert set(found) == set(kept)
    weights.save_arrays(path, state(), {})
    wider = settings.model_copy(update={"changes": {"backbone.width": 16}})
    with pytest.raises(MrisslError, match="another network than that of the weights"):
        prepare(wider, inputs, tmp_path / "other")


def test_crops_follow_the_scans_up_to_what_a_machine_can_hold(tmp_path):
    small = write(tmp_path, 1)
    usual = FinetuneSettings(weights="scratch", changes=FIVE_SCALES)
    run = prepare(usual, small, tmp_path / "small")
    # (S, A, R) of 16, 20 and 18 voxels; the network of five scales wants 32 at least.
    assert run.settings.task["patch"] == [32, 32, 32]
    assert run.settings.task["spacing"] == [1.0, 1.0, 1.0]
    voxels, labels = arrays(3, (20, 70, 50))
    long = LabelledInput(
        save(tmp_path / "long.nii.gz", voxels, np.diag([2.0, 1, 1, 1])),
        save(tmp_path / "long_labels.nii.gz", labels, np.diag([2.0, 1, 1, 1])),
    )
    run = prepare(usual, [long], tmp_path / "long")
    assert run.settings.task["patch"] == [64, 64, 32]
    assert run.settings.task["spacing"] == [1.0, 1.0, 2.0]
    fine = usual.model_copy(update={"spacing": (1.0, 1.0, 1.0)})
    run = prepare(fine, [long], tmp_path / "fine")
    assert run.settings.task["patch"] == [64, 64, 48]
    native = usual.model_copy(update={"spacing": "native"})
    assert prepare(native, [long], tmp_path / "native").settings.task["spacing"] is None


def test_remarks_count_and_name_no_file(tmp_path):
    inputs = write(tmp_path, 2)
    few = np.where(arrays(1)[1] == 2, 1, arrays(1)[1]).astype(np.uint8)
    inputs[1] = replace(inputs[1], labels=save(tmp_path / "few.nii.gz", few))
    run = prepare(tiny(), inputs, tmp_path / "run")
    (said,) = (note for note in run.identity.notes if "class number 2" in note)
    assert said.endswith("labelled voxels in 1 of 2 training scans")


def test_wrong_settings_are_one_sentence():
    with pytest.raises(MrisslError, match="mode"):
        chosen_settings({"mode": "half"})
    with pytest.raises(MrisslError, match="steps"):
        chosen_settings({"steps": 0})


def test_preparing_imports_no_torch(tmp_path):
    (given,) = write(tmp_path, 1)
    script = (
        "import json, sys; from pathlib import Path;"
        "from napari_mrissl.segmentation import finetuning as f;"
        "image, labels, out = map(Path, sys.argv[1:]);"
        "s = f.FinetuneSettings(weights='scratch', preset='tiny', changes={'backbone.depth': 3});"
        "f.prepare(s, [f.LabelledInput(image, labels)], out);"
        "print(json.dumps([n for n in ('torch', 'monai', 'napari') if n in sys.modules]))"
    )
    words = [sys.executable, "-c", script, given.image, given.labels, tmp_path / "run"]
    found = subprocess.run(
        list(map(str, words)), cwd=ROOT, capture_output=True, encoding="utf-8", check=True
    )
    assert json.loads(found.stdout) == []
