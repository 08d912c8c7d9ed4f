"""Prompts, their files, and the voxels they stand for."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from napari_mrissl.errors import MrisslError
from napari_mrissl.segmentation import (
    PromptClass,
    PromptPoint,
    Prompts,
    read_prompts,
    write_prompts,
)
from napari_mrissl.segmentation.prompts import labelled_voxels
from napari_mrissl.volumes import Volume

AFFINE = np.array([[0, 0, 1.5, -10], [-0.8, 0, 0, 20], [0, 1.0, 0, 5], [0, 0, 0, 1]])
PROMPTS = Prompts(
    points=((1.25, -2e-3, 3.0, 1), (0.1, 0.2, 0.3, 7, "scribble")),
    classes=(PromptClass(label=1, name='grau, "g"\nzwei', color="#00fF00"),),
    volume_identity="ab" * 32,
    description="ünï",
)


def test_classes_that_only_points_name_are_added_and_sorted():
    assert [c.label for c in PROMPTS.classes] == [1, 7]
    assert PROMPTS.classes[1] == PromptClass.default(7)
    assert PROMPTS.points[1] == PromptPoint(0.1, 0.2, 0.3, 7, "scribble")
    assert len({PromptClass.default(k).color for k in range(1, 11)}) == 10


@pytest.mark.parametrize(
    "wrong",
    [
        {"points": [(0, 0, 0, 0)]},
        {"points": [(0, 0, 0, 256)]},
        {"points": [(0, 0, 0, 1.5)]},
        {"points": [(0, float("nan"), 0, 1)]},
        {"points": [(0, 1e99, 0, 1)]},
        {"points": [(0, 0, 0, 1, "guess")]},
        {"points": [(0, 0, 1)]},
        {"volume_identity": "/home/someone"},
        {"classes": [{"label": 1, "name": "a", "color": "red"}]},
        {"classes": [{"label": 1, "name": "a", "color": "#112233"}] * 2},
        {"path": "x"},
    ],
)
def test_wrong_prompts_are_refused(wrong):
    with pytest.raises(ValidationError):
        Prompts.model_validate(wrong)


def test_json_holds_everything(tmp_path):
    write_prompts(tmp_path / "p.json", PROMPTS)
    assert read_prompts(tmp_path / "p.json") == PROMPTS
    document = json.loads((tmp_path / "p.json").read_text("utf-8"))
    assert document["format"] == "napari-mrissl prompts"
    assert document["version"] == 1


def test_csv_holds_positions_and_labels_exactly(tmp_path):
    write_prompts(tmp_path / "p.CSV", PROMPTS)
    lines = (tmp_path / "p.CSV").read_text("utf-8").splitlines()
    assert lines == ["x,y,z,label", "1.25,-0.002,3.0,1", "0.1,0.2,0.3,7"]
    again = read_prompts(tmp_path / "p.CSV")
    np.testing.assert_array_equal(again.positions, PROMPTS.positions)
    np.testing.assert_array_equal(again.labels, PROMPTS.labels)


def test_empty_prompts_are_written_as_json(tmp_path):
    write_prompts(tmp_path / "p.json", Prompts())
    assert read_prompts(tmp_path / "p.json") == Prompts()


@pytest.mark.parametrize(
    "text", ["x,y,z,label\n1,2,3,4\n", "\ufeffX, Y ,z,Label\r\n\r\n1.0,2e0, +3,4\r\n"]
)
def test_csv_as_spreadsheets_write_it(tmp_path, text):
    (tmp_path / "p.csv").write_bytes(text.encode())
    assert read_prompts(tmp_path / "p.csv").points == ((1.0, 2.0, 3.0, 4, "click"),)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "", "no prompts"),
        ("a.csv", "x,y,z,label\n", "no prompts"),
        ("a.csv", "1,2,3,4\n", "header"),
        ("a.csv", "x,y,z,label\n1,2,3,1\n1,2,x,1\n", "line 3"),
        ("a.csv", "x,y,z,label\n1,2,3\n", "line 2"),
        ("a.csv", "x,y,z,label\n1,2,3,1.5\n", "line 2"),
        ("a.csv", "x,y,z,label\n1,2,3,0\n", "line 2"),
        ("a.csv", "x,y,z,label\n1,2,3,1\n\n1,2,3,256\n", "line 4"),
        ("a.csv", "x,y,z,label\n1,2,nan,1\n", "line 2"),
        ("a.csv", "x,y,z,label\n1,2,inf,1\n", "line 2"),
        ("a.csv", "x,y,z,label\n1,2,3,1\x00\n", "line 2"),
        ("a.csv", b"\xff\xfe\x00\x01", "UTF-8"),
        ("a.json", "{", "JSON"),
        ("a.json", "[" * 100_000, "JSON"),
        ("a.json", "[]", "not a prompt file"),
        ("a.json", "{}", "not a prompt file"),
        ("a.json", '{"format": "napari-mrissl prompts"}', "version"),
        ("a.json", '{"format": "napari-mrissl prompts", "version": 2}', "version 2"),
        (
            "a.json",
            '{"format": "napari-mrissl prompts", "version": 1, "points": [[1, 2, 3, 4], [1]]}',
            "points.1",
        ),
        (
            "a.json",
            '{"format": "napari-mrissl prompts", "version": 1, "points": [[NaN, 2, 3, 4]]}',
            "points.0",
        ),
        ("a.json", '{"format": "napari-mrissl prompts", "version": 1, "x": 1}', "x"),
    ],
)
def test_wrong_files_are_named(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(MrisslError, match=says) as caught:
        read_prompts(path)
    assert "a." in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_missing_file_a_folder_and_another_suffix(tmp_path):
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(MrisslError, match=r"cannot be read|not a file"):
            read_prompts(path)
    with pytest.raises(MrisslError, match="suffix"):
        write_prompts(tmp_path / "p.txt", PROMPTS)
    assert list(tmp_path.iterdir()) == []


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(MrisslError, match="64 MiB"):
        read_prompts(path)


def test_the_nearest_voxel_and_the_newest_label():
    volume = Volume.from_stored(np.zeros((6, 7, 8), np.uint8), AFFINE)
    place = (volume.affine @ (3, 4, 2, 1))[:3]
    prompts = Prompts(
        points=[
            (*place, 1),
            (*(place + 0.3), 2),
            (*(place - 0.3), 3),
            (*(volume.affine @ (0, 0, 0, 1))[:3], 9),
            (500, 0, 0, 1),
        ]
    )
    voxels = labelled_voxels(volume, prompts)
    assert voxels.indices.tolist() == [[0, 0, 0], [3, 4, 2]]
    assert voxels.labels.tolist() == [9, 3]
    assert voxels.outside == 1


def test_arrays():
    prompts = Prompts.from_arrays([[1, 2, 3], [4, 5, 6]], [1, 2], kind="scribble")
    assert prompts.points[1] == (4.0, 5.0, 6.0, 2, "scribble")
    assert Prompts().positions.shape == (0, 3)


def test_a_click_wins_over_a_scribble_whichever_came_first():
    volume = Volume.from_stored(np.zeros((5, 5, 5), np.uint8), np.eye(4))
    click, stroke = (1, 2, 3, 1), (1, 2, 3, 2, "scribble")
    for points in ((click, stroke), (stroke, click)):
        assert labelled_voxels(volume, Prompts(points=points)).labels.tolist() == [1]
    newer = (1, 2, 3, 3)
    assert labelled_voxels(volume, Prompts(points=(click, newer, stroke))).labels.tolist() == [3]
