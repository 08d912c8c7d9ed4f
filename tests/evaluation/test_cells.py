"""Cells are made once, whole, and only for the comparison they belong to."""

import dataclasses

import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.cells import CELLS, Cell, Grid

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
