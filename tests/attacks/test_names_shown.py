"""Names and texts out of files never steer a terminal or turn the reading direction."""

import json

import nibabel as nib
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.notifications import notification_manager

from napari_mrissl.cli import main
from napari_mrissl.errors import MrisslError
from napari_mrissl.segmentation import read_prompts
from napari_mrissl.ui.layers import add_volume, volume_of
from napari_mrissl.ui.reader import read_layers
from napari_mrissl.volumes import ScanError, describe, read, write_labels

NAMES = {
    "terminal escape": "scan\x1b[2J\x1b]0;owned\x07",
    "line end": "scan\nmrissl: all is well",
    "carriage return": "scan\rclean",
    "reading direction": "scan\u202egz.exe",
    "isolates": "scan\u2066\u2069",
    "zero width": "sc\u200ban",
    "eight-bit control": "scan\x9b31m",
    "undecodable bytes": "scan\udcff\udcfe",
    "line separator": "scan\u2028next",
}
SHELL = "$(touch canary);`touch canary`|touch canary &' \" *"


def scan(folder, stem, voxels=None, **fields):
    path = folder / f"{stem}.nii"
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4) if voxels is None else voxels
    image = nib.Nifti1Image(voxels, None)
    for name, value in fields.items():
        image.header[name] = value
    nib.save(image, folder / "plain.nii")
    (folder / "plain.nii").rename(path)
    return path


def shown(text):
    """Whether every character of a text is one that a terminal shows as it is."""
    return all(line.isprintable() for line in text.splitlines())


@pytest.mark.parametrize("kind", NAMES)
def test_names_are_shown_escaped_in_the_terminal(tmp_path, kind, capsys):
    path = scan(tmp_path, NAMES[kind])
    for arguments, code in (
        (["info", str(path)], 0),
        (["info", str(path), "--json"], 0),
        (["info", str(path), "--frame", "7"], 2),
        (["info", f"{path}.gone"], 2),
    ):
        assert main(arguments) == code
        said = capsys.readouterr()
        assert shown(said.out)
        assert shown(said.err)
        assert "\nmrissl: all is well" not in said.err
    path.write_bytes(b"\x5c\x01\0\0" + bytes(400))
    assert main(["info", str(path)]) == 2
    assert shown(capsys.readouterr().err)


@pytest.mark.parametrize("kind", NAMES)
def test_names_are_shown_escaped_in_napari(tmp_path, kind):
    path = scan(tmp_path, NAMES[kind])
    with notification_manager:
        notification_manager.records.clear()
        ((_, settings, _),) = read_layers(str(path))
        messages = [record.message for record in notification_manager.records]
    assert settings["name"].isprintable()
    assert messages
    assert all(message.isprintable() for message in messages)
    viewer = ViewerModel()
    layer = add_volume(viewer, read(path))
    assert layer.name.isprintable()
    assert shown(viewer.canvas.overlays["readings"].text)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ScanError) as caught:
        read_layers(str(path))
    assert str(caught.value).isprintable()


def test_layer_names_of_others_are_escaped_in_our_sentences():
    layer = Image(np.zeros((3, 4, 5, 6)), name=NAMES["terminal escape"])
    with pytest.raises(MrisslError) as caught:
        volume_of(layer)
    assert str(caught.value).isprintable()


def test_texts_of_headers_are_escaped(tmp_path):
    escape = "\x1b[2J\u202e"
    head = f"NRRD0004\ntype: {escape}\ndimension: 3\nsizes: 2 2 2\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(head.encode())
    meta = f"ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = {escape}\n"
    (tmp_path / "a.mha").write_bytes(f"{meta}ElementDataFile = LOCAL\n".encode())
    (tmp_path / "b.mha").write_bytes(f"NDims = 3\n{escape}\n".encode())
    space = head.replace(escape, "uint8").replace("sizes", f"space: {escape}\nsizes")
    (tmp_path / "b.nrrd").write_bytes(space.encode() + bytes(8))
    for name in ("a.nrrd", "a.mha", "b.mha"):
        with pytest.raises(ScanError) as caught:
            read(tmp_path / name)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 600
    assert main(["info", str(tmp_path / "b.nrrd")]) == 0
    with notification_manager:
        notification_manager.records.clear()
        read_layers(str(tmp_path / "b.nrrd"))
        assert all(r.message.isprintable() for r in notification_manager.records)


def test_texts_that_are_not_shown_are_not_read(tmp_path):
    texts = {"descrip": b"\x1b[2J", "aux_file": b"../../x", "intent_name": b"\x1b[31m"}
    facts = json.dumps(describe(read(scan(tmp_path, "scan", **texts))))
    assert "1b" not in facts.replace("sha256", "") or "\\u001b" not in facts
    assert ".." not in facts


def test_shell_words_in_names_are_only_names(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = scan(tmp_path, SHELL.replace("/", ""))
    volume = read(path)
    assert main(["info", str(path)]) == 0
    capsys.readouterr()
    target = write_labels(tmp_path / f"{SHELL}.nii.gz", np.zeros(volume.shape, np.uint8), volume)
    assert read(target).data.shape == volume.shape
    assert not (tmp_path / "canary").exists()
    assert {file.name for file in tmp_path.iterdir()} == {path.name, target.name}


DETACHED = {
    "nhdr": "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nspace: LPS\nencoding: raw\n"
    "data file: {}\n\n",
    "mhd": "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\n"
    "ElementDataFile = {}\n",
}


@pytest.mark.parametrize("suffix", DETACHED)
@pytest.mark.parametrize(
    "name",
    [
        "../secret.raw", "{folder}/secret.raw", "sub/../../secret.raw", "..\\secret.raw",
        "\\\\host\\share\\secret.raw", "C:\\secret.raw", "/dev/zero", "~/secret.raw", ".", "..",
        "", "LIST", "secret%d.raw 1 9 1", "file:///dev/zero", "se\0cret.raw", "a" * 5000,
    ],
)  # fmt: skip
def test_headers_cannot_point_outside_their_folder(tmp_path, suffix, name):
    (tmp_path / "secret.raw").write_bytes(bytes(range(8)))
    inside = tmp_path / "inside"
    inside.mkdir()
    path = inside / f"a.{suffix}"
    path.write_bytes(DETACHED[suffix].format(name.replace("{folder}", str(tmp_path))).encode())
    with pytest.raises(ScanError) as caught:
        read(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_prompt_files_cannot_steer_a_terminal(tmp_path):
    for name, text in {
        "a.csv": "x,y,z,label\n1,2,\x1b[2J,1\n",
        "b.csv": "\x1b[2J\n",
        "c.json": '{"format": "\x1b[2J"}',
        "d.json": '{"format": "napari-mrissl prompts", "version": "\\u001b[2J"}',
        "e.json": '{"format": "napari-mrissl prompts", "version": 1, "\\u001b[2J": 1}',
    }.items():
        (tmp_path / name).write_text(text, "utf-8")
        with pytest.raises(MrisslError) as caught:
            read_prompts(tmp_path / name)
        assert str(caught.value).isprintable()
