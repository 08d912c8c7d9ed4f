"""Run folders made to do harm: shown or refused in one sentence, and nothing outside is touched."""

import hashlib
import json
import os
import shutil
import struct
import time

import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.training import checkpoints, control, index, launch, whereabouts
from napari_mrissl.training.events import EventTail, EventWriter
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import RunSettings
from napari_mrissl.trajectories.journal_lines import sealed

torch = pytest.importorskip("torch")

ESCAPE = "\x1b]0;owned\x07\x1b[31m"


@pytest.fixture
def run(tmp_path):
    """A run with a checkpoint, and a secret beside it."""
    made = Run.create(tmp_path / "run", RunSettings(method="scratch"))
    groups = {"weights": {"a": torch.ones(3)}}
    checkpoints.save(made.folder, 1, groups, {"step": 1}, best=True, keep=2)
    with EventWriter(made.folder) as events:
        events.checkpoint(1, True)
        events.state("stopped")
    (tmp_path / "secret").write_text("secret", "utf-8")
    return made


def tree(folder):
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path)] = os.readlink(path)
        elif path.stat().st_size > 1 << 30:
            found[str(path)] = path.stat().st_size
        elif path.is_file():
            found[str(path)] = path.read_bytes()
    return found


def refused(folder):
    before = tree(folder.parent)
    with pytest.raises(MrisslError) as told:
        Run.open(folder)
    said = str(told.value)
    assert said.count("\n") == 0
    assert said.isprintable()
    assert len(said) < 500
    assert str(folder) not in said
    assert "secret" not in said
    assert tree(folder.parent) == before
    return said


SETTINGS = {
    "method": ["../evil", "os.system", "Scratch", "", "a" * 99, "a\n", 5, None, ["scratch"]],
    "version": [2, "1", None],
    "device": [5, ["cpu"]],
    "seed": [-1, "x", 1.5, None],
    "initial": ["../weights", "a" * 63, "a" * 65, "x" + "a" * 64],
    "_target_": ["os.system"],
    "py/object": ["os.system"],
    "optimisation": [{"steps": 0}, {"steps": "many"}, {"batch": -1}, {"compile": "os"}, []],
    "checkpoint": [{"every": 0}, {"keep": 1}, {"path": "/etc"}],
    "data": [
        {"kind": "pickle"},
        {"subjects": [{"identity": "../" + "a" * 64, "subject": "x"}]},
        {"subjects": [{"identity": "a" * 64, "subject": "x" * 65}]},
        {"subjects": [{"identity": "a" * 64, "subject": "x", "path": "/etc/passwd"}]},
    ],
}


@pytest.mark.parametrize(("name", "value"), [(k, v) for k, vs in SETTINGS.items() for v in vs])
def test_settings_that_nobody_wrote(run, name, value):
    path = run.folder / "settings.json"
    content = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**content, name: value}), "utf-8")
    assert "settings.json" in refused(run.folder)


@pytest.mark.parametrize("file", ["settings.json", "run.json"])
@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 100, b"[" * 100_000, b"{}" * 10, b"\x80\x04cos\nsystem\n", b"!!python/object:os"],
)
def test_files_that_are_no_json(run, file, content):
    (run.folder / file).write_bytes(content)
    assert file in refused(run.folder)


@pytest.mark.parametrize("file", ["settings.json", "run.json"])
def test_files_that_are_no_files(run, file, tmp_path):
    path = run.folder / file
    path.unlink()
    refused(run.folder)
    os.mkfifo(path)
    refused(run.folder)
    path.unlink()
    path.symlink_to("/dev/zero")
    refused(run.folder)
    path.unlink()
    path.symlink_to(tmp_path / "secret")
    refused(run.folder)
    path.unlink()
    path.mkdir()
    refused(run.folder)


def test_a_file_of_many_gigabytes_is_not_read(run):
    os.truncate(run.folder / "settings.json", 1 << 36)
    began = time.monotonic()
    assert "larger than" in refused(run.folder)
    assert time.monotonic() - began < 10


def test_identities_that_lead_elsewhere(run):
    path = run.folder / "run.json"
    content = json.loads(path.read_text("utf-8"))
    for uuid in ("../../x", "a" * 31, "a" * 32 + "\n", "A" * 32, None):
        path.write_text(json.dumps({**content, "uuid": uuid}), "utf-8")
        refused(run.folder)
        assert whereabouts.recall(str(uuid)) is None


EVENTS = [
    b'{"n":0,"t":0,"type":"state","name":"owned"}',
    b'{"n":0,"t":0,"type":"image","step":1,"name":"x","file":"../secret.png","tiles":1,"columns":1}',
    b'{"n":0,"t":0,"type":"image","step":1,"name":"x","file":"/etc/x.png","tiles":1,"columns":1}',
    b'{"n":0,"t":0,"type":"image","step":1,"name":"x","file":"a.png","tiles":1e9,"columns":1}',
    b'{"n":0,"t":0,"type":"step","step":-1,"total":1,"terms":{}}',
    b'{"n":0,"t":0,"type":"step","step":1e300,"total":1,"terms":{}}',
    b'{"n":0,"t":NaN,"type":"step","step":1,"total":1,"terms":{}}',
    b'{"n":0,"t":0,"type":"step","step":1,"total":Infinity,"terms":{}}',
    b'{"n":0,"t":0,"type":"step","step":1,"total":1,"terms":{"' + b"x" * 500 + b'":1}}',
    b'{"n":0,"t":0,"type":"warning","text":"' + b"x" * 5000 + b'"}',
    b'{"n":0,"t":0,"type":"warning","text":["x"]}',
    b'{"n":0,"t":0,"type":"pickle","data":"gASVCg=="}',
    b"[" * 50_000 + b"}",
    b"5}",
    b"\xff\xfe\x00}",
]


@pytest.mark.parametrize("number", range(len(EVENTS)))
def test_events_that_nobody_wrote_are_left_out(run, number):
    # With a checksum that is right, whatever the line says, as an attacker would write it.
    line = sealed(EVENTS[number].decode("latin-1"))
    with open(run.folder / "events.jsonl", "ab") as file:
        file.write(line)
    tail = EventTail(run.folder)
    before = len(tail.poll())
    assert tail.damaged >= 1
    assert before == 3
    assert run.state().name == "stopped"
    assert run.summary()["warnings"]


def test_an_endless_line_and_a_pipe_are_not_read_for_long(run):
    path = run.folder / "events.jsonl"
    os.truncate(path, 1 << 36)
    began = time.monotonic()
    assert len(EventTail(run.folder).poll()) == 3
    assert time.monotonic() - began < 10
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(MrisslError, match="no regular file"):
        EventTail(run.folder).poll()
    with pytest.raises(MrisslError, match="no regular file"):
        run.state()


def test_texts_reach_no_terminal_as_they_are(run, capsys):
    from napari_mrissl.cli import main

    line = {"n": 9, "t": 0, "type": "warning", "text": ESCAPE}
    with open(run.folder / "events.jsonl", "ab") as file:
        file.write(sealed(json.dumps(line)))
        line = {"n": 10, "t": 0, "type": "step", "step": 1, "total": 1, "terms": {ESCAPE: 1}}
        file.write(sealed(json.dumps(line)))
        line = {"n": 11, "t": 0, "type": "state", "name": "failed", "reason": ESCAPE}
        file.write(sealed(json.dumps(line)))
    moved = run.folder.rename(run.folder.with_name(ESCAPE))
    for words in (["show", str(moved)], ["show", str(moved), "--json"], ["list"]):
        assert main(["run", *words]) == 0
        said = capsys.readouterr()
        assert "\x1b" not in said.out + said.err
        assert "\x07" not in said.out + said.err
    with Run.open(moved).claim():
        pass
    card = (moved / "model_card.md").read_text("utf-8")
    assert "\x1b" not in card


def test_markdown_of_others_stays_text(run):
    path = run.folder / "run.json"
    content = json.loads(path.read_text("utf-8"))
    notes = ["<script>x</script>", "[click](http://127.0.0.1)", "![x](x)", "# Title"]
    path.write_text(json.dumps({**content, "notes": notes}), "utf-8")
    with Run.open(run.folder).claim():
        pass
    card = (run.folder / "model_card.md").read_text("utf-8")
    assert "\\<script" in card
    assert "\\[click\\]" in card
    assert "- \\# Title" in card


def canonical(content):
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


FILES = [
    "../../../secret", "/etc/passwd", "\\\\host\\share", "state.json/../../secret", "x.pt",
    "weights.pkl", "state.json\0", "WEIGHTS.safetensors", ".safetensors", "a b.safetensors",
    "sub/weights.safetensors", "", ESCAPE, "pipe:touch owned.safetensors",
]  # fmt: skip


@pytest.mark.parametrize("file", FILES)
def test_a_checkpoint_that_lists_other_files(run, file, tmp_path):
    folder = run.folder / "checkpoints" / "step_000000001"
    content = json.loads((folder / "commit.json").read_text("utf-8"))
    del content["checksum"]
    secret = (tmp_path / "secret").read_bytes()
    facts = {"sha256": hashlib.sha256(secret).hexdigest(), "bytes": len(secret)}
    content["files"][file] = facts
    checksum = hashlib.sha256(canonical(content)).hexdigest()
    (folder / "commit.json").write_text(json.dumps({**content, "checksum": checksum}), "utf-8")
    before = tree(tmp_path)
    found, warnings = checkpoints.newest(run.folder)
    assert found is None
    assert len(warnings) == 1
    assert warnings[0].isprintable()
    assert "no file of a checkpoint" in warnings[0]
    assert tree(tmp_path) == before


def test_a_checkpoint_that_leads_elsewhere_by_a_link(run, tmp_path):
    folder = run.folder / "checkpoints" / "step_000000001"
    shutil.copyfile(folder / "weights.safetensors", tmp_path / "outside")
    (folder / "weights.safetensors").unlink()
    (folder / "weights.safetensors").symlink_to(tmp_path / "outside")
    found, warnings = checkpoints.newest(run.folder)
    assert found is None
    assert len(warnings) == 1


@pytest.mark.parametrize(
    "name",
    ["events.jsonl", "heartbeat", "log.txt", "model_card.md", "settings.json", "run.json",
     "weights.safetensors", "process.json", "images", "checkpoints", "control.json",
     ".mrissl-0123456789abcdef.tmp", "checkpoints/step_000000009", "images/step_000000001_x.png"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_written_does_not_lie_elsewhere(run, tmp_path, name, kind):
    outside = tmp_path / "outside"
    path = run.folder / name
    path.parent.mkdir(exist_ok=True)
    if path.is_dir():
        path.rename(outside)
    elif path.exists():
        shutil.copyfile(path, outside)
        path.unlink()
    else:
        outside.mkdir()
        (outside / "commit.json").write_text("precious", "utf-8")
    if kind == "link":
        path.symlink_to(outside)
    else:
        os.mkfifo(path)
    before = tree(tmp_path)
    said = r"(a link, a pipe or a device|is no regular file)"
    with pytest.raises(MrisslError, match=said), run.claim():
        pass
    with pytest.raises(MrisslError, match=said):
        launch.start(run.folder)
    with pytest.raises(MrisslError, match=said):
        run.extend(5000)
    assert tree(tmp_path) == before


def test_a_heartbeat_process_or_command_of_others_is_harmless(run):
    for name in ("heartbeat", "process.json", "control.json"):
        path = run.folder / name
        path.unlink(missing_ok=True)
        path.symlink_to("/dev/zero")
    assert run.state().name == "stopped"
    assert control.pending(run.folder) is None
    for name in ("heartbeat", "process.json", "control.json"):
        (run.folder / name).unlink()
        (run.folder / name).write_bytes(b"[" * 5000)
    assert run.state().name == "stopped"
    assert control.pending(run.folder) is None


def test_a_word_of_another_process_ends_none(run):
    """The folder alone can name no process: only this user's own directory does."""
    with EventWriter(run.folder) as events:
        events.state("running")
        events.beat()
    (run.folder / "process.json").write_text(
        json.dumps({"process": "0" * 16, "pid": os.getpid()}), "utf-8"
    )
    state = launch.stop(run.folder, patience=0.1)
    assert not state.here


def test_an_index_of_others_is_left_out(run, tmp_path):
    folder = whereabouts.output_file(run.identity.uuid).parent
    (folder / f"{'b' * 32}.json").write_bytes(b"[" * 50_000)
    (folder / f"{'c' * 32}.json").write_text(json.dumps({"path": "/etc"}), "utf-8")
    (folder / f"{'d' * 32}.json").write_text(json.dumps({"path": "\0"}), "utf-8")
    (folder / "../x.json").write_text("{}", "utf-8")
    assert [one.identity.uuid for one in index.runs()] == [run.identity.uuid]


def test_weights_with_a_length_of_a_terabyte_do_not_take_the_run_down(run):
    content = struct.pack("<Q", 1 << 40) + b"{}"
    (run.folder / "weights.safetensors").write_bytes(content)
    assert run.summary()["state"] == "stopped"
