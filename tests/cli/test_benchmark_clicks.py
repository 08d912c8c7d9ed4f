"""``mrissl benchmark clicks``: from the words to the files."""

import json

import pytest
from evaluation.labelled_folder import make

FIXED = {"--clicks": "4", "--scans": "2", "--draws": "1"}


@pytest.fixture
def words(tmp_path):
    """A small comparison on three labelled scans, with changes."""
    data = make(tmp_path / "data", 3)

    def made(**changes):
        options = FIXED | {f"--{name}": value for name, value in changes.items()}
        flat = [word for pair in options.items() for word in pair]
        return ["benchmark", "clicks", "--data", data, "--out", tmp_path / "out", *flat]

    return made


def test_features_and_ways_in_one_table(run, words, tmp_path):
    given = words(features="filters,intensity", next="suggested,random")
    ran = run(*given, "--json")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert {(row["source"], row["next"]) for row in report["rows"]} == {
        (source, chosen)
        for source in ("filters", "intensity")
        for chosen in ("suggested", "random")
    }
    for row in report["rows"]:
        assert row["scans"] == 2
        assert row["low"] <= row["mean"] <= row["high"]
    assert len(list((tmp_path / "out" / "cells").iterdir())) == 2 * 2 * 2
    again = run(*given)
    assert again.code == 0
    assert "sessions" not in again.err, "nothing is made again"
    assert "| filters | suggested | " in again.err
    assert "suggested clicks" in again.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"features": "nonsense"}, "'nonsense' is not there"),
        ({"next": "nowhere"}, "--next"),
        ({"clicks": "0"}, "--clicks"),
        ({"scans": "4"}, "--scans: 4 of 3 subjects"),
        ({"draws": "0"}, "--draws"),
        ({"classifier": "best"}, "--classifier: 'best'"),
    ],
)
def test_a_wrong_word_is_refused_before_a_folder_is_made(
    refused, words, tmp_path, change, sentence
):
    assert sentence in refused(*words(**{"features": "filters", **change}))
    assert not (tmp_path / "out").exists()
