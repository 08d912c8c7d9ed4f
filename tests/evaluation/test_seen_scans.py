"""Scans that a run learned from are told by their label maps, sidecars and subjects."""

import json

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.seen_scans import seen_by, seen_of
from napari_mrissl.evaluation.segmentations import score_folders
from napari_mrissl.networks import weights
from napari_mrissl.networks.weight_library import load_unet
from napari_mrissl.segmentation.finetuning import (
    FinetuneTaskSettings,
    labelled_pairs,
    prepare,
)
from napari_mrissl.segmentation.finetuning.network import SegmentationNetwork
from napari_mrissl.training.card import weights_card
from napari_mrissl.training.known_scans import silent
from napari_mrissl.training.run import Run
from napari_mrissl.volumes import read
from tests.networks.foreign_weights import SMALL
from tests.segmentation.finetuning.balls import arrays, save, tiny

NAMES = ("sub-01_ses-1", "sub-01_ses-2", "sub-02_ses-1", "sub-03_ses-1")


@pytest.fixture
def folder(tmp_path):
    """Two scans of one subject and two others, with labels 17 and 53, and predictions."""
    for who, name in enumerate(NAMES):
        voxels, labels = arrays(who)
        save(tmp_path / "images" / f"{name}.nii.gz", voxels)
        numbers = np.array([0, 17, 53], np.int16)[labels]
        for part in ("truth", "pred"):
            save(tmp_path / part / f"{name}.nii.gz", numbers)
    return tmp_path


def run_on(folder, *names, **given):
    """A run that learned from scans of the folder, by their truth if nothing else is given."""
    given = given or {"labels": folder / "truth"}
    pairs = labelled_pairs(folder / "images", **given, subjects=names)
    return prepare(tiny(), pairs, folder / "run").folder


def seen(folder, run):
    found = seen_of([folder / "pred"], folder / "truth", seen_by([run]))
    return sorted(path.name.removesuffix(".nii.gz") for path in found)


def test_a_label_map_tells_its_scan_and_the_others_of_its_subject(folder):
    run = run_on(folder, "sub-01_ses-1.nii.gz", "sub-03_ses-1.nii.gz")
    # The run keeps label maps with numbers of its own.
    kept = [np.unique(read(path).data).tolist() for path in (run / "labels").iterdir()]
    assert kept == [[0, 1, 2]] * 2
    assert seen(folder, run) == [NAMES[0], NAMES[1], NAMES[3]]
    found = score_folders(
        folder / "pred",
        folder / "truth",
        seen=seen_of([folder / "pred"], folder / "truth", seen_by([run])),
    )
    assert ([*found.names.values()], found.left_out) == ([NAMES[2]], 3)


def test_numbers_and_headers_do_not_hide_a_scan(folder):
    run = run_on(folder, "sub-02_ses-1.nii.gz")
    labels = np.array([4, 9, 1], np.float32)[arrays(2)[1]]
    affine = np.diag([1.0, 1, 1, 1])
    affine[:3, 3] = 7
    for part in ("truth", "pred"):
        save(folder / part / f"{NAMES[2]}.nii.gz", labels, affine)
    assert seen(folder, run) == [NAMES[2]]


def test_where_clicks_were_learned_from_the_sidecar_tells(folder):
    clicks = "x,y,z,label\n9,10,8,2\n1,1,1,1\n"
    (folder / "clicks").mkdir()
    (folder / "clicks" / f"{NAMES[2]}.csv").write_text(clicks, encoding="utf-8")
    run = run_on(folder, "sub-02_ses-1.nii.gz", prompts=folder / "clicks")
    assert seen(folder, run) == []
    for name in NAMES:
        identity = read(folder / "images" / f"{name}.nii.gz").identity
        path = folder / "pred" / f"{name}.json"
        path.write_text(json.dumps({"Scan": identity}), encoding="utf-8")
    assert seen(folder, run) == [NAMES[2]]
    (folder / "pred" / "facts").mkdir()
    path.rename(folder / "pred" / "facts" / path.name.replace(".json", ".nii.gz.json"))
    same = folder / "pred" / "facts" / f"{NAMES[2]}.nii.gz.json"
    (folder / "pred" / f"{NAMES[2]}.json").rename(same)
    assert seen(folder, run) == [NAMES[2]]
    same.unlink()
    for content in ("{", "[]", '{"Scan": 3}'):
        (folder / "pred" / f"{NAMES[2]}.json").write_text(content, encoding="utf-8")
        assert seen(folder, run) == []


def test_what_predict_says_counts_without_a_run(folder):
    assert seen_of([folder / "pred"], folder / "truth", frozenset()) == frozenset()
    for name, said in zip(NAMES, (True, False, None, "true"), strict=True):
        path = folder / "pred" / f"{name}.json"
        path.write_text(json.dumps({"SeenInTraining": said}), encoding="utf-8")
    found = seen_of([folder / "pred"], folder / "truth", frozenset())
    # The other session of that subject too.
    assert found == {folder / "truth" / f"{name}.nii.gz" for name in NAMES[:2]}


def test_what_does_not_say_what_it_saw_is_refused(folder):
    path = folder / "net.safetensors"
    weights.save(path, load_unet(None, 0, size=SMALL).state_dict(), {"method": "theirs"})
    with pytest.raises(MrisslError, match="does not say what it was trained on"):
        seen_by([path])
    with pytest.raises(MrisslError, match="is not there"):
        seen_by([folder / "nothing"])


def test_a_start_that_says_nothing_is_told_to_the_end(folder, capsys):
    from napari_mrissl.cli import main

    def said(*words):
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert code == 0, err
        return out, err

    theirs = folder / "theirs.safetensors"
    weights.save(theirs, load_unet(None, 0, size=SMALL).state_dict(), {"method": "theirs"})
    run = folder / "run"
    words = ("--images", folder / "images", "--labels", folder / "truth", "--out", run)
    more = ("--subjects", f"{NAMES[2]}.nii.gz", "--preset", "tiny", "--prepare")
    _, err = said("finetune", *words, *more, "--weights", theirs)
    assert "do not say what they were trained on" in err
    settings = FinetuneTaskSettings.model_validate(Run.open(run).settings.task)
    weights.save(
        run / "weights.safetensors",
        SegmentationNetwork(settings).state_dict(),
        weights_card(run, 1),
    )
    assert silent(run)

    # Given to others, and taken in by them.
    said("weights", "export", run, "--out", folder / "given.safetensors")
    assert silent(folder / "given.safetensors")
    assert "Not all is known that they saw" in (folder / "given.md").read_text(encoding="utf-8")
    said("weights", "import", folder / "given.safetensors", "--name", "taken")
    assert silent("taken")

    scans = [folder / "images" / f"{name}.nii.gz" for name in NAMES[2:]]
    out = folder / "out"
    text, err = said("predict", run, *scans, "--out", out, "--names", "same", "--json")
    assert "scans that are not marked may have been seen" in err
    found = json.loads(text)
    assert found["training_unknown"] is True
    assert [one["seen_in_training"] for one in found["scans"]] == [True, None]
    for given in ((), ("--run", run)):
        words = ("evaluate", "--pred", out, "--truth", folder / "truth", *given)
        text, _ = said(*words, "--json", "--out", folder / "tables")
        found = json.loads(text)
        assert (found["training_unknown"], found["scans"]) == (True, 1)
        _, err = said(*words)
        assert "does not say what it was trained on" in err
        table = (folder / "tables" / "table.md").read_text(encoding="utf-8")
        assert "does not say what it was trained on" in table
    text, _ = said("evaluate", "--pred", folder / "pred", "--truth", folder / "truth", "--json")
    assert json.loads(text)["training_unknown"] is False


def test_the_command_leaves_them_out_and_says_how_many(folder, capsys):
    from napari_mrissl.cli import main

    run = run_on(folder, "sub-01_ses-1.nii.gz")
    words = ["evaluate", "--pred", folder / "pred", "--truth", folder / "truth"]
    assert main([str(word) for word in (*words, "--run", run, "--json")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["scans"], found["left_out_as_seen"]) == (2, 2)
    assert main([str(word) for word in (*words, "--run", run)]) == 0
    assert "2 further scans are left out" in capsys.readouterr().err
    assert main([str(word) for word in (*words, "--json")]) == 0
    assert json.loads(capsys.readouterr().out)["scans"] == 4
    for name in NAMES[2:]:
        (folder / "pred" / f"{name}.nii.gz").unlink()
    words += ["--against", folder / "pred", "--run", run, "--run", run]
    assert main([str(word) for word in words]) == 2
    assert "all 2 scans, or others of their subjects, were seen" in capsys.readouterr().err
