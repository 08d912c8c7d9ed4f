"""A child that trains nothing, but lives and dies in a chosen way: no torch, so it starts fast."""

import ctypes
import faulthandler
import os
import signal
import subprocess
import sys
import time

from napari_mrissl.errors import MrisslError
from napari_mrissl.training.control import Control
from napari_mrissl.training.events import EventWriter
from napari_mrissl.training.run import Run


def steps(events, control, seconds=0.02):
    """Steps as long as nobody says stop."""
    step, paused = 0, False
    while True:
        command = control.poll()
        if command == "stop":
            events.state("stopping")
            events.state("stopped")
            return
        if command == "pause":
            paused = True
            events.state("paused")
        if command == "resume":
            paused = False
            events.state("running")
        if not paused:
            step += 1
            events.step(step, 1 / step, {"loss": 1 / step}, seconds=seconds, waiting=0.0)
        events.beat()
        time.sleep(seconds)


def live(events, control, how, run_folder):
    if how == "obey":
        steps(events, control)
    elif how == "deaf":
        # As a long step in native code: nothing is polled, and a gentle signal is not heard.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        # As those of torchrun: in a session of its own.
        words = [sys.executable, "-c", "import time; time.sleep(600)"]
        child = subprocess.Popen(words, start_new_session=True)
        events.warning(f"child {child.pid}")
        time.sleep(600)
    elif how == "saving":
        # A disk on which a checkpoint takes its time.
        while control.poll() != "stop":
            time.sleep(0.01)
        partial = run_folder / "checkpoints" / ".mrissl-0123456789abcdef.tmp"
        partial.mkdir(parents=True)
        time.sleep(1.0)
        partial.rmdir()
        events.state("stopped", "saved")
    elif how == "exit":
        os._exit(3)
    elif how == "segfault":
        ctypes.string_at(0)
    elif how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "hang":
        events.beat(1.0)
        time.sleep(600)
    elif how == "raise":
        raise RuntimeError("secret /home/somebody")
    elif how == "refuse":
        raise MrisslError("is odd", where="scan")


def main():
    folder, how = sys.argv[1:]
    faulthandler.enable()
    if how == "early":
        sys.stderr.write("mrissl: the data cannot be found.\n")
        sys.exit(2)
    run = Run.open(folder)
    with run.claim(), EventWriter(run.folder) as events:
        events.state("running")
        events.step(1, 1.0, {"loss": 1.0}, seconds=0.1, waiting=0.0)
        live(events, Control(run.folder), how, run.folder)


if __name__ == "__main__":
    main()
