"""Presets of the data engine: what comes back, what is refused, what stays on disk."""

import json

import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.synthesis import EngineSettings
from napari_mrissl.synthesis import presets as kept


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path))
    return tmp_path / "engine_presets"


def changed(**ensemble) -> EngineSettings:
    values = EngineSettings().model_dump()
    values["ensemble"].update(ensemble)
    return EngineSettings.model_validate(values)


def test_what_is_saved_comes_back_exactly(folder):
    settings = changed(side=96, mask_probability=1 / 3, scale=(0.25, 0.7), warp_scales=(4, 64))
    assert kept.list_presets() == (kept.PUBLISHED,)
    assert not folder.exists()
    name = kept.save_preset("  my  /heads:\n2 ", settings)
    assert name == "my heads 2"
    assert kept.save_preset("Äther", EngineSettings()) == "Äther"
    assert kept.list_presets() == (kept.PUBLISHED, "my heads 2", "Äther")
    assert kept.load_preset(name) == settings
    assert kept.load_preset(kept.PUBLISHED) == EngineSettings()
    stored = json.loads((folder / "my heads 2.json").read_text("utf-8"))
    assert stored["settings"]["ensemble"]["scale"] == [0.25, 0.7]
    assert {path.name for path in folder.iterdir()} == {"my heads 2.json", "Äther.json"}


def test_replaced_and_removed_ones_are_set_aside(folder):
    kept.save_preset("a", changed(side=64))
    kept.save_preset("a", changed(side=96))
    kept.remove_preset("a")
    assert kept.list_presets() == (kept.PUBLISHED,)
    sides = [
        json.loads((folder / "removed" / f"a.{n}.json").read_text("utf-8"))["settings"]["ensemble"][
            "side"
        ]
        for n in (1, 2)
    ]
    assert sides == [64, 96]
    with pytest.raises(MrisslError, match=r"a\.json: could not be removed"):
        kept.remove_preset("a")


@pytest.mark.parametrize("name", ["", " .. ", "../..", "\0", "published", "PUBLISHED ", "NUL"])
def test_names_that_cannot_be_used(name, folder):
    with pytest.raises(MrisslError, match="preset"):
        kept.save_preset(name, EngineSettings())
    assert not folder.exists()


def test_no_name_leads_out_of_the_folder(folder):
    for name in ("../../escape", "/etc/x", "a" * 500, "C:\\x"):
        saved = kept.save_preset(name, EngineSettings())
        assert (folder / f"{saved}.json").resolve().parent == folder.resolve()
        assert kept.load_preset(saved) == EngineSettings()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("\udcff", "no JSON"),
        ("[]", "another kind of file"),
        ('{"format": "something"}', "another kind of file"),
        ('{"format": "napari-mrissl engine preset"}', "Settings"),
        (" " * (1 << 20) + "{}", "more than 1 MiB"),
    ],
)
def test_damaged_files_are_one_sentence(text, sentence, folder):
    folder.mkdir()
    path = folder / "bad.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    before = path.read_bytes()
    with pytest.raises(MrisslError, match=sentence) as caught:
        kept.load_preset("bad")
    assert "\n" not in str(caught.value)
    assert str(folder) not in str(caught.value)
    assert path.read_bytes() == before


def test_wrong_values_are_named_by_their_field(folder):
    name = kept.save_preset("one", EngineSettings())
    path = folder / "one.json"
    content = json.loads(path.read_text("utf-8"))
    content["settings"]["augmentation"]["gibbs"]["alpha"] = [0.5, 0.2]
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(
        MrisslError, match=r"one\.json: Alpha \(share\): the lower limit 0.5 is above"
    ):
        kept.load_preset(name)
    with pytest.raises(MrisslError, match="no preset 'two'; expected Published or one"):
        kept.load_preset("two")
