"""Exit codes, streams and interruptions, in-process and as real processes."""

import contextlib
import signal
import subprocess
import sys
import threading
from importlib.metadata import version

import pytest

import napari_mrissl.cli
from napari_mrissl.cli import main
from napari_mrissl.cli.terminal import Progress, one_sentence

MRISSL = [sys.executable, "-c", "import sys; from napari_mrissl.cli import main; sys.exit(main())"]


def process(*words, **options):
    return subprocess.run(
        [*MRISSL, *map(str, words)], capture_output=True, encoding="utf-8", timeout=120, **options
    )


def test_version_and_help(run):
    assert run("--version").out.split() == ["napari-mrissl", version("napari-mrissl")]
    text = run("--help").out
    for name in ("info", "slice", "segment", "trajectory", "demo"):
        assert name in text
    assert run().out == text
    for name in ("generate", "info", "replay"):
        assert name in run("trajectory", "--help").out
    assert "RAS mm" in run("slice", "--help").out


@pytest.mark.parametrize(
    "words",
    [
        ("bogus",),
        ("trajectory", "bogus"),
        ("info",),
        ("info", "a.nii", "b.nii"),
        ("info", "a.nii", "--bogus"),
        ("info", "a.nii", "--bogus=\x1b[31m3"),
        ("info", "--json"),
        ("slice", "a.nii"),
        ("segment", "a.nii", "--out", "b.nii.gz"),
        ("demo", "more"),
        ("demo", "--out"),
    ],
)
def test_parse_errors_are_one_sentence_and_code_2(refused, words):
    refused(*words)


def test_a_fault_of_ours_is_not_swallowed(scan, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("a fault")

    monkeypatch.setattr("napari_mrissl.volumes.read", broken)
    with pytest.raises(RuntimeError, match="a fault"):
        main(["info", str(scan.path)])


def test_a_fault_of_ours_ends_a_process_with_its_traceback(scan):
    fault = (
        "import sys, napari_mrissl.volumes as v; from napari_mrissl.cli import main\n"
        "def read(*a, **k): raise RuntimeError('a fault')\n"
        "v.read = read\nsys.exit(main())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", fault, "info", str(scan.path)],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert "RuntimeError: a fault" in ended.stderr


def test_codes_and_streams_of_real_processes(scan, tmp_path):
    good = process("info", scan.path, "--json", cwd=tmp_path)
    assert good.returncode == 0
    assert good.stdout.startswith("{")
    bad = process("info", tmp_path / "absent.nii", cwd=tmp_path)
    assert bad.returncode == 2
    assert bad.stdout == ""
    assert "absent.nii" in bad.stderr
    assert str(tmp_path) not in bad.stderr


def test_interrupt_is_quiet(scan, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_mrissl.volumes.read", interrupted)
    assert main(["info", str(scan.path)]) == 130
    assert capsys.readouterr() == ("", "")


def test_ctrl_c_ends_a_real_process_with_130(scan, tmp_path):
    # Poses enough for minutes, and a first sign on stderr once the flying has begun.
    words = ["trajectory", "generate", scan.path, "--out", tmp_path / "flights"]
    words += ["--policy", "walk", "--frames", "100000", "--seed", "1"]
    # A background job starts with Ctrl-C ignored, and its children inherit that.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command = [*MRISSL[:-1], heard + MRISSL[-1], *map(str, words)]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )
    first = child.stderr.read(1)
    # One was lost once, perhaps within a call back from C; people press again.
    for _ in range(3):
        child.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            out, err = child.communicate(timeout=30)
            break
    else:
        child.kill()
    assert child.returncode == 130
    assert out == ""
    assert first
    assert "Traceback" not in err
    assert not (tmp_path / "flights" / "dataset.json").exists()


def test_a_reader_that_has_seen_enough(scan):
    child = subprocess.Popen(
        [*MRISSL, "info", str(scan.path), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    child.stdout.close()
    _, err = child.communicate(timeout=60)
    assert child.returncode == 0
    assert b"BrokenPipe" not in err


def test_output_to_a_full_disk_is_said(scan):
    with open("/dev/full", "w", encoding="utf-8") as full:
        ended = subprocess.run(
            [*MRISSL, "info", str(scan.path)], stdout=full, stderr=subprocess.PIPE, encoding="utf-8"
        )
    assert ended.returncode == 2
    assert "could not be written (No space left on device)" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("One. Two.", "One; Two."),
        ("a\nb   c.", "a b c."),
        ("\x1b[2Jred", "?[2Jred."),
        ("scan.nii.gz: 1.5 mm. Expected 2.", "scan.nii.gz: 1.5 mm; Expected 2."),
    ],
)
def test_one_sentence(text, sentence):
    assert one_sentence(text) == sentence


def test_progress_says_each_quarter_once_from_any_thread(capsys):
    progress = Progress("working")

    def work():
        for step in range(101):
            progress(step / 100, "step\x1b")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ", 1)[1].split("%")[0] for line in lines] == [
        f"working: {part} " for part in (0, 25, 50, 75, 100)
    ]
    assert "\x1b" not in "".join(lines)


def test_the_demo_gets_what_was_asked_for(run, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")  # some display, so that none is made
    module = pytest.importorskip("napari_mrissl.ui.demo")
    monkeypatch.setattr(module, "run", lambda out, headless: asked.append((out, headless)))
    assert run("demo", "--out", tmp_path / "a", "--headless").code == 0
    assert run("demo").code == 0
    assert [headless for _, headless in asked] == [True, False]
    assert [out.name for out, _ in asked] == ["a", "demo_output"]


@pytest.mark.parametrize("ended", [0, 3])
def test_a_headless_demo_without_a_display_gets_a_virtual_one(run, monkeypatch, tmp_path, ended):
    from napari_mrissl.cli import demo

    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "xvfb-run").write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/words\nexit {ended}\n",
        "utf-8",
    )
    (tmp_path / "xvfb-run").chmod(0o755)
    monkeypatch.setattr(demo.shutil, "which", lambda name: str(tmp_path / name))
    monkeypatch.setattr(demo.sys, "platform", "linux")
    if ended:
        with pytest.raises(SystemExit):
            run("demo", "--headless", "--out", tmp_path / "a")
    else:
        assert run("demo", "--headless", "--out", tmp_path / "a").code == 0
    words = (tmp_path / "words").read_text("utf-8").split("\n")
    assert words[:3] == ["-a", "-s", "-screen 0 1600x1000x24"]
    assert words[4:9] == ["-m", "napari_mrissl.cli", "demo", "--headless", "--out"]


def test_the_demo_without_the_viewer(refused, monkeypatch):
    monkeypatch.setattr("napari_mrissl.cli.demo.find_spec", lambda name: None)
    assert 'pip install "napari-mrissl[app]"' in refused("demo")


def test_main_is_all_there_is_to_import():
    assert napari_mrissl.cli.__all__ == ["main"]
