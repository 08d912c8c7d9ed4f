"""``mrissl benchmark features``: the table of frozen features, from the words to the files."""

import csv
import json

import pytest
import small_networks
from cyclopts import Token
from evaluation.labelled_folder import make

from napari_mrissl.cli.arguments import listed

FIXED = {"--shots": "1,2", "--draws": "2", "--test": "3", "--voxels": "4000"}


@pytest.fixture
def words(tmp_path):
    """A small comparison on six labelled scans, with changes."""
    data = make(tmp_path / "data", 6)

    def made(**changes):
        options = FIXED | {f"--{name}": value for name, value in changes.items()}
        flat = [word for pair in options.items() for word in pair]
        return ["benchmark", "features", "--data", data, "--out", tmp_path / "out", *flat]

    return made


def test_networks_filters_and_grey_values_in_one_table(run, words, tmp_path):
    name = small_networks.imported(tmp_path, "tiny")
    given = words(weights=f"{name},random,filters,intensity")
    ran = run(*given, "--json")
    assert ran.code == 0, ran.err
    rows = json.loads(ran.out)["rows"]
    sources = dict.fromkeys(row["source"] for row in rows)
    assert list(sources) == ["tiny", "random", "filters", "intensity"]
    assert {(row["source"], row["draws"]) for row in rows} == {
        ("tiny", 2), ("random", 6), ("filters", 2), ("intensity", 2),
    }  # fmt: skip
    for row in rows:
        assert 0 <= row["low"] <= row["mean"] <= row["high"] <= 1
        assert row["subjects"] == 3
        assert (row["difference"] is None) == (row["source"] == "random")
    mean = {row["source"]: row["mean"] for row in rows if (row["shots"], row["label"]) == (2, "1")}
    assert mean["filters"] > 0.8
    out = tmp_path / "out"
    assert len(list((out / "cells").iterdir())) == 3 * 4 + 3 * 4
    written = list(csv.DictReader((out / "table.csv").read_text("utf-8").splitlines()))
    assert len(written) == len(rows) == 4 * 2 * 3
    again = run(*given)
    assert again.code == 0
    assert "of 24" not in again.err, "nothing is made again"
    assert "| filters | 1 | " in again.err


def test_a_network_is_compared_with_random_ones_of_its_size(tmp_path):
    from napari_mrissl.evaluation import frozen_sources

    path = small_networks.save(tmp_path / "weights.safetensors")
    sources = frozen_sources.named(["random", str(path)])
    assert [source.seed for source in sources] == [0, 1, 2, 0]
    assert {(s.settings.width, s.settings.depth) for s in sources[:3]} == {(2, 2)}
    assert str(tmp_path) not in "".join(s.name + s.identity for s in sources)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"weights": "nonsense"}, "'nonsense' is not there"),
        ({"shots": "0,1"}, "--shots: 0 training scans"),
        ({"shots": "4"}, "--shots: 4 training scans"),
        ({"shots": "1,x"}, "shots"),
        ({"test": "6"}, "--test: 6 of 6 subjects"),
        ({"draws": "0"}, "--draws"),
        ({"voxels": "1"}, "--voxels"),
        ({"decision": "other"}, "decision"),
    ],
)
def test_a_wrong_word_is_refused_before_a_folder_is_made(
    refused, words, tmp_path, change, sentence
):
    assert sentence in refused(*words(**{"weights": "filters", **change}))
    assert not (tmp_path / "out").exists()


def test_lists_may_be_given_in_parts():
    assert listed(None, [Token(value="a, b"), Token(value="c")]) == ("a", "b", "c")
    with pytest.raises(ValueError, match="no name"):
        listed(None, [Token(value=" , ")])
