"""Settings of the two sides of a difference, from identities as contenders write them."""

import json

from evaluation.labelled_folder import make

from napari_mrissl.evaluation import fewshot, recipes
from napari_mrissl.evaluation.cells import Cell
from napari_mrissl.evaluation.contenders import FULL, LINEAR
from napari_mrissl.evaluation.fewshot import REFERENCES, FewShotSettings
from napari_mrissl.evaluation.labelled_scans import labelled_scans
from napari_mrissl.evaluation.trained_contenders import trained
from napari_mrissl.segmentation.finetuning import FinetuneSettings

ONE_SHOT = FewShotSettings(shots=(1,), draws=1, test=2, voxels=2000, decision="likeliest")


def full(tmp_path, word="scratch", source=None, shots=3, **settings):
    """A cell as a comparison of whole networks would make it."""
    own = FinetuneSettings(**settings)
    (one,) = trained((word,), own, tmp_path, lambda: None, lambda shots, draw: None)
    return Cell(source or one.name, shots, 0, 0, one.identity, FULL)


def said(*cells):
    return recipes.sentences(cells, REFERENCES)


def test_the_same_settings_say_nothing(tmp_path):
    scratch = full(tmp_path)
    assert said(scratch, full(tmp_path, "default")) == []
    # The preset's own numbers, said again; what is of the network or of speed alone.
    again = full(tmp_path, "default", steps=600, changes={"optimisation.threads": 1})
    assert said(scratch, again) == []
    shares = full(tmp_path, "default", changes={"task.backbone_rate": 0.1})
    assert said(scratch, shares) == []
    assert said(full(tmp_path, changes={"backbone.width": 16}), again) == []
    assert said(scratch, full(tmp_path, "monai")) == []


def test_other_settings_are_named_with_their_rows(tmp_path):
    scratch = full(tmp_path)
    for settings, wanted in (
        ({"steps": 300}, "steps 300, not 600"),
        ({"learning_rate": 0.001}, "learning_rate 0.001, not 0.006"),
        ({"preset": "gpu"}, "preset gpu, not cpu; "),
        ({"changes": {"spatial.degrees": "5"}}, "spatial.degrees 5, not 20"),
        ({"changes": {"optimisation.clip": 2.0}}, "clip 2, not as by default"),
    ):
        (one,) = said(scratch, full(tmp_path, "default", **settings))
        start = "contrastive (full, training scans: 3) was made with other settings than scratch"
        assert one.startswith(start), one
        assert wanted in one
        assert one.endswith("the difference is also one of settings.")
    # What has no reference has no difference.
    assert said(full(tmp_path, "default", steps=300)) == []
    assert said(full(tmp_path, shots=1), full(tmp_path, "default", steps=300)) == []


def test_rows_that_say_the_same_are_one_sentence(tmp_path):
    cells = [
        full(tmp_path, word, shots=shots, **({"steps": 9} if word == "default" else {}))
        for word in ("scratch", "default")
        for shots in (1, 3)
    ]
    (one,) = said(*cells)
    assert "contrastive (full, training scans: 1, 3)" in one


def test_heads_differ_in_voxels_and_decision():
    def head(source, voxels, decision, seed=0, draw=0):
        identity = f"{json.dumps({'a b': 1})} {voxels} {decision} 0"
        return Cell(source, 1, draw, seed, identity, LINEAR)

    assert said(head("filters", 10, "dice"), head("random", 10, "dice")) == []
    (one,) = said(head("filters", 10, "dice"), head("random", 20, "likeliest"))
    assert "decision dice, not likeliest; voxels 10, not 20" in one
    # The cells of one row, one for each random network, an earlier call stopped half way.
    (one,) = said(head("random", 10, "dice"), head("random", 20, "dice", seed=1))
    assert one == (
        "The cells of random (linear, training scans: 1) were made with several settings: "
        "voxels 10 and 20."
    )


def test_a_folder_with_both_says_so_in_its_table(tmp_path, monkeypatch):
    """Nothing is refused: rows of other settings may be added, and the table says it."""
    monkeypatch.setenv("MRISSL_CACHE_DIR", str(tmp_path / "cache"))
    scans = labelled_scans(make(tmp_path / "labelled", 4))
    out = tmp_path / "out"
    table = out / "table.md"
    fewshot.compare(out, ("random",), scans, ONE_SHOT)
    fewshot.compare(out, ("filters",), scans, ONE_SHOT)
    assert "other settings" not in table.read_text("utf-8")
    fewer = ONE_SHOT.model_copy(update={"voxels": 1000})
    rows = fewshot.compare(out, ("filters",), scans, fewer)
    assert any(row.difference is not None for row in rows)
    assert (
        "filters (linear, training scans: 1) was made with other settings than random, which it "
        "is compared with: voxels 1000, not 2000; the difference is also one of settings."
    ) in table.read_text("utf-8")


def test_identities_of_others_are_no_recipe():
    for identity in ("x", "{", "[]", '{"steps": 3}'):
        assert recipes.recipe_of(Cell("net", 1, 0, 0, identity, FULL)) is None
    assert recipes.recipe_of(Cell("net", 1, 0, 0, "x", LINEAR)) is None
    assert said(Cell("net", 1, 0, 0, "x", LINEAR), Cell("random", 1, 0, 0, "y", LINEAR)) == []
