"""Processes of this machine train a run: ``python -m napari_mrissl.cli.processes N -m MODULE ...``.

It is torchrun, but for where they meet: in files that only this user can read, where torchrun
by itself listens on all interfaces for whoever comes, and believes him.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence

from napari_mrissl.training.whereabouts import MEETING

_LOOPBACK = {"linux": "lo", "darwin": "lo0"}


def main(arguments: Sequence[str]) -> None:
    """Start so many processes of a module, and end with them."""
    from torch.distributed.run import main as torchrun

    count, *module = arguments
    with tempfile.TemporaryDirectory(prefix="mrissl-") as place:
        os.environ[MEETING] = os.path.join(place, "processes")
        os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
        if sys.platform in _LOOPBACK:
            for library in ("GLOO", "NCCL"):
                os.environ[f"{library}_SOCKET_IFNAME"] = _LOOPBACK[sys.platform]
        agents = ["--rdzv-backend=c10d", "--rdzv-conf=store_type=file"]
        agents += [f"--rdzv-endpoint={os.path.join(place, 'agents')}", "--local-addr=127.0.0.1"]
        torchrun(["--nnodes=1", f"--nproc-per-node={count}", *agents, *module])


if __name__ == "__main__":
    main(sys.argv[1:])
