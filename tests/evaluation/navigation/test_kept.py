"""Measures are read again only where they are whole and of the same things."""

import pytest

from napari_mrissl.evaluation.navigation.kept import keep, kept


def test_measures_come_back_for_the_same_key_alone(tmp_path):
    place = tmp_path / "measured" / "one.json"
    keep(place, {"weights": "a", "seed": 1}, {"mm": 2.5})
    assert kept(place, {"seed": 1, "weights": "a"}, dict) == {"mm": 2.5}
    assert kept(place, {"weights": "b", "seed": 1}, dict) is None
    assert kept(tmp_path / "none.json", {}, dict) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": {}}', '{"key": {}, "measures": 3}'])
def test_what_is_damaged_is_made_again(tmp_path, content):
    place = tmp_path / "one.json"
    place.write_text(content, encoding="utf-8")
    assert kept(place, {}, dict) is None
