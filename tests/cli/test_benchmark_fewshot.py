"""``mrissl benchmark fewshot``: from the words to the files."""

import csv
import json

import pytest
from evaluation.labelled_folder import make

FIXED = {"--shots": "1", "--draws": "2", "--test": "2", "--voxels": "1000"}


@pytest.fixture
def words(tmp_path):
    """A small comparison on four labelled scans, with changes."""
    data = make(tmp_path / "data", 4)

    def made(**changes):
        options = FIXED | {f"--{name}": value for name, value in changes.items()}
        flat = [word for pair in options.items() for word in pair]
        return ["benchmark", "fewshot", "--data", data, "--out", tmp_path / "out", *flat]

    return made


def test_features_in_one_table_with_all_measures(run, words, tmp_path):
    given = words(weights="intensity")
    ran = run(*given, "--json")
    assert ran.code == 0, ran.err
    rows = json.loads(ran.out)["rows"]
    assert {row["measure"] for row in rows} == {
        "dice",
        "hd95_mm",
        "nsd",
        "volume_difference_ml",
        "absolute_volume_difference_ml",
    }
    assert {(row["mode"], row["draws"], row["subjects"]) for row in rows} == {("linear", 2, 2)}
    out = tmp_path / "out"
    written = list(csv.DictReader((out / "table.csv").read_text("utf-8").splitlines()))
    assert len(written) == len(rows) == 5 * 3
    for ending in ("md", "tex", "json", "png"):
        assert (out / f"table.{ending}").exists()
    again = run(*given)
    assert again.code == 0
    assert "of 2:" not in again.err, "nothing is made again"
    assert "| linear | intensity | 1 | " in again.err


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"weights": "nonsense"}, "'nonsense' is not there"),
        ({"weights": "scratch"}, "choose --mode full"),
        ({"weights": "filters", "mode": "full"}, "cannot be trained as a whole"),
        ({"mode": "other"}, "mode"),
        ({"shots": "3"}, "--shots: 3 training scans"),
        ({"steps": "0"}, "--steps"),
        ({"tolerance": "-1"}, "--tolerance"),
        ({"test": "4"}, "--test: 4 of 4 subjects"),
    ],
)
def test_a_wrong_word_is_refused_before_a_folder_is_made(
    refused, words, tmp_path, change, sentence
):
    assert sentence in refused(*words(**{"weights": "intensity", **change}))
    assert not (tmp_path / "out").exists()
