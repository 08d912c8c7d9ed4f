"""Cells are made once, whole, and only for the comparison they belong to."""

import dataclasses
import json

import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.cells import CELLS, Cell, Grid, Made

PLAN = [Cell("net", shots, draw, 0, "abc") for shots in (1, 3) for draw in range(2)]
SCORES = {"subject": {1: 0.25, 2: 1.0}}


class Work:
    """Counts what it makes; stops at a cell when told to."""

    def __init__(self, stop_at=None):
        self.made, self.stop_at = [], stop_at

    def __call__(self, cell):
        if cell == self.stop_at:
            raise KeyboardInterrupt
        self.made.append(cell)
        return SCORES


def grid(folder, **changes):
    return Grid(folder, {"seed": 0, "labels": [1, 2], **changes}, "mrissl benchmark ...")


def test_what_is_finished_is_not_made_again(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        grid(tmp_path).fill(PLAN, Work(PLAN[2]))
    assert len(list((tmp_path / CELLS).iterdir())) == 2
    again = Work()
    found = grid(tmp_path).fill(PLAN, again)
    assert again.made == PLAN[2:]
    assert found == dict.fromkeys(PLAN, SCORES)
    more = Work()
    other = dataclasses.replace(PLAN[0], identity="other weights")
    grid(tmp_path).fill([*PLAN, other], more)
    assert more.made == [other]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"cell": 3}', b"[" * 100_000, b"\xff\xfe", b'{"dice": {}}']
)
def test_a_damaged_cell_is_made_again(tmp_path, content):
    grid(tmp_path).fill(PLAN, Work())
    (tmp_path / CELLS / PLAN[1].name).write_bytes(content)
    work = Work()
    assert grid(tmp_path).fill(PLAN, work) == dict.fromkeys(PLAN, SCORES)
    assert work.made == [PLAN[1]]


def test_a_cell_under_another_ones_name_is_made_again(tmp_path):
    grid(tmp_path).fill(PLAN, Work())
    one, other = (tmp_path / CELLS / cell.name for cell in PLAN[:2])
    other.write_bytes(one.read_bytes())
    work = Work()
    grid(tmp_path).fill(PLAN, work)
    assert work.made == [PLAN[1]]


def test_another_comparison_is_refused_and_left_as_it_was(tmp_path):
    grid(tmp_path).fill(PLAN, Work())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(MrisslError, match="other labels, seed"):
        grid(tmp_path, seed=1, labels=[1])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    (tmp_path / "protocol.json").write_bytes(b"{")
    with pytest.raises(MrisslError, match="cannot be read"):
        grid(tmp_path)


def test_names_are_safe_and_different():
    odd = [Cell(name, 1, 0, 0, "x") for name in ("../../a", "a/b", "a b", "ä" * 300, "a\0b")]
    names = [cell.name for cell in odd]
    assert len(set(names)) == len(names)
    assert all(len(name) < 120 and "/" not in name and ".." not in name for name in names)


def test_a_cell_keeps_all_measures_and_how_it_was_made(tmp_path):
    made = Made(SCORES, {"hd95_mm": {"subject": {1: 2.5, 2: 0.0}}}, {"steps": 40, "rate": 1e-3})
    cell = Cell("net", 1, 0, 3, "abc", "full")
    found = grid(tmp_path).fill_whole([cell], lambda _: made)
    assert found == grid(tmp_path).fill_whole([cell], Work()) == {cell: made}
    assert list(made.measures()) == ["dice", "hd95_mm"]
    content = json.loads((tmp_path / CELLS / cell.name).read_text("utf-8"))
    assert content["command"] == "mrissl benchmark ..."
    assert content["cell"]["seed"] == 3
    assert content["how"]["steps"] == 40
    assert content["minutes"] == round(content["seconds"] / 60, 2)
    other = dataclasses.replace(cell, mode="linear")
    assert grid(tmp_path).made(other) is None


def test_cells_of_the_first_format_are_read(tmp_path):
    """As that version wrote them, under the name that it gave them."""
    made = grid(tmp_path)
    name = "net_seed0_1shots_draw0_c22a77288a.json"
    assert PLAN[0].name == name
    content = {
        "format": 1, "software": "napari-mrissl 0.1.0", "command": "mrissl benchmark ...",
        "cell": {"source": "net", "shots": 1, "draw": 0, "seed": 0, "identity": "abc"},
        "seconds": 0.5, "dice": {"subject": {"1": 0.25, "2": 1.0}},
    }  # fmt: skip
    (tmp_path / CELLS / name).write_text(json.dumps(content), encoding="utf-8")
    work = Work()
    assert made.fill_whole(PLAN[:1], work) == {PLAN[0]: Made(SCORES)}
    assert not work.made


def test_all_whole_cells_are_found_again(tmp_path):
    one = grid(tmp_path)
    assert one.cells() == {}
    one.fill(PLAN, Work())
    (tmp_path / CELLS / PLAN[1].name).write_bytes(b"{")
    (tmp_path / CELLS / "other.json").write_bytes((tmp_path / CELLS / PLAN[0].name).read_bytes())
    assert set(one.cells()) == {PLAN[0], *PLAN[2:]}
