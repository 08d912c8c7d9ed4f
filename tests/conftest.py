"""Every test gets its own cache and data directories; compiled kernels are shared.

With several workers (``-n 2``) each has a screen of its own, and a test marked ``alone``
runs while the others wait.
"""

import fcntl
import importlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from tracing import give_to_children, take_from_children, trace_no_more, untraced

SHARED = Path(tempfile.gettempdir()) / f"mrissl-test-kernels-{os.getuid()}"
os.environ.setdefault("NUMBA_CACHE_DIR", str(SHARED))
EVERYWHERE = ("monai.networks.nets", "napari._qt.qt_main_window", "nilearn.image", "SimpleITK")
"""What takes longest to import, and is imported by every worker."""


def pytest_configure(config: pytest.Config) -> None:
    """Look after what is traced, and open a worker's own screen.

    On a shared one, a popup holds the other worker's mouse.
    """
    # What is started in the background ignores Ctrl-C, and tests press it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    working = hasattr(config, "workerinput")
    if config.getoption("numprocesses", None) and not working:
        # It only hands out tests, with the children's variable for its workers.
        trace_no_more()
        return
    config.traces_children = take_from_children()
    if working and sys.gettrace() is not None:
        with untraced():
            for name in EVERYWHERE:
                importlib.import_module(name)
    if not working or "MRISSL_TEST_SCREENS" not in os.environ:
        return
    reading, writing = os.pipe()
    # It ends after this process: a client whose screen goes away first aborts.
    words = ["setpriv", "--pdeathsig", "TERM", "Xvfb", "-displayfd", str(writing)]
    words += ["-screen", "0", "1600x1000x24", "-nolisten", "tcp"]
    config.screen = subprocess.Popen(words, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as said:
        number = said.readline().strip()
    if not number:
        raise pytest.UsageError("Xvfb did not start")
    os.environ["DISPLAY"] = f":{number}"
    os.environ.pop("XAUTHORITY", None)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item):
    """Run a test marked ``alone`` beside no other one of the workers."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    with _turn(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextmanager
def _turn(*, alone: bool) -> Iterator[None]:
    SHARED.mkdir(exist_ok=True)
    with (SHARED / "turnstile").open("wb") as turnstile, (SHARED / "floor").open("wb") as floor:
        # Whoever wants to be alone holds the turnstile until the floor is empty.
        fcntl.flock(turnstile, fcntl.LOCK_EX)
        fcntl.flock(floor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(turnstile, fcntl.LOCK_UN)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item):
    """Do not trace what is marked ``untraced``."""
    if item.get_closest_marker("untraced") is None:
        return (yield)
    with untraced():
        return (yield)


@pytest.fixture
def traced_children(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace child processes too: for what runs in no other place."""
    give_to_children(monkeypatch, request.config.traces_children)


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders that nobody has had; pytest's own look at all others before each new one."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def own_directories(homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep caches, journals and indexes of tests away from the user's."""
    home = next(homes)
    home.mkdir()
    monkeypatch.setenv("MRISSL_CACHE_DIR", str(home / "cache"))
    monkeypatch.setenv("MRISSL_DATA_DIR", str(home / "data"))
