"""Processes of this machine train a run: ``python -m napari_mrissl.cli.processes N -m MODULE ...``.

It is torchrun, but for where they meet: in files that only this user can read, where torchrun
by itself listens on all interfaces for whoever comes, and believes him.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence

from napari_mrissl.training.whereabouts import (
    MEETING,
    PROCESS_VARIABLE,
    meeting_place,
    new_word,
)

_LOOPBACK = {"linux": "lo", "darwin": "lo0"}


def main(arguments: Sequence[str]) -> None:
    """Start so many processes of a module, and end with them."""
    from torch.distributed.run import main as torchrun

    count, *module = arguments
    place = meeting_place(os.environ.get(PROCESS_VARIABLE) or new_word())
    place.mkdir(mode=0o700)
    os.environ[MEETING] = str(place / "processes")
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    if sys.platform in _LOOPBACK:
        for library in ("GLOO", "NCCL"):
            os.environ[f"{library}_SOCKET_IFNAME"] = _LOOPBACK[sys.platform]
    agents = ["--rdzv-backend=c10d", "--rdzv-conf=store_type=file", "--local-addr=127.0.0.1"]
    agents += [f"--rdzv-endpoint={place / 'agents'}"]
    try:
        torchrun(["--nnodes=1", f"--nproc-per-node={count}", *agents, *module])
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
