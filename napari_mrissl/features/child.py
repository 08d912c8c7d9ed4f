"""The process that computes features beside the viewer: ``python -m napari_mrissl.features.child``.

It answers in lines of JSON, and stops when its standard input ends: with its parent, at the latest.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.apart import handed_over
from napari_mrissl.features.cache import compute
from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.features.settings import feature_settings

_NICE = 5


def main(folder: Path) -> int:
    """Compute what a folder asks for into the cache; 0, 2 with one sentence, or 3 when stopped."""
    stopped = threading.Event()
    threading.Thread(target=wait_for_end, args=(stopped,), daemon=True).start()
    if hasattr(os, "nice"):  # the viewer is drawn first
        os.nice(_NICE)
    try:
        volume, settings = handed_over(folder)
        compute(volume, feature_settings(settings), _tell, stopped.is_set)
    except Cancelled:
        return 3
    except MrisslError as reason:
        answer({"error": str(reason)})
        return 2
    answer({"done": True})
    return 0


def wait_for_end(stopped: threading.Event) -> None:
    """Set an event when standard input ends, as when the parent does."""
    # Not through sys.stdin: its lock would be held when the interpreter ends.
    while os.read(0, 1):
        continue
    stopped.set()


def _tell(part: float, step: str) -> None:
    answer({"part": part, "step": step})


def answer(content: dict[str, object]) -> None:
    """Say something to the parent: a line of JSON."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
