"""Machines of a cluster, as far as torchrun can tell: agents that meet over a network.

On loopback they differ by their agents alone; in network namespaces each has an address of
its own at one end of a wire.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_WIRE = "wire"


@dataclass(frozen=True)
class Host:
    """One machine: its address, the words that run a command on it, and its environment."""

    address: str = "127.0.0.1"
    words: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def agents(hosts: Sequence[Host], module: Sequence[str], port: int) -> list[subprocess.Popen[str]]:
    """Start torchrun on each host, with one process of a module; the first host is met."""
    begun = []
    for number, host in enumerate(hosts):
        words = [*host.words, sys.executable, "-m", "torch.distributed.run"]
        words += [f"--nnodes={len(hosts)}", "--nproc-per-node=1", f"--local-addr={host.address}"]
        words += ["--rdzv-backend=c10d", "--rdzv-id=run"]
        # Else torchrun looks whether a name of this machine has the address.
        words += [f"--rdzv-conf=is_host={int(number == 0)}"]
        words += [f"--rdzv-endpoint={hosts[0].address}:{port}", "-m", *module]
        begun.append(started(words, host.environment))
    return begun


def started(
    words: Sequence[str], environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """A command in a session of its own, with one thread a process; see `ended`."""
    usual = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        words,
        cwd=ROOT,
        env={**usual, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    )


def ended(groups: Sequence[subprocess.Popen[str]], limit: float) -> list[tuple[int, str]]:
    """Exit codes and what was said, once all have ended; those that hang are killed."""
    try:
        said = [group.communicate(timeout=limit)[0] for group in groups]
    except subprocess.TimeoutExpired:
        for group in groups:
            with suppress(ProcessLookupError):
                os.killpg(group.pid, signal.SIGKILL)
        text = "\n".join(group.communicate()[0][-3000:] for group in groups)
        raise AssertionError(f"the processes hang: {text}") from None
    return [(group.returncode, text) for group, text in zip(groups, said, strict=True)]


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def wired() -> Iterator[list[Host] | None]:
    """Two network namespaces joined by a wire, for a block; None where that is forbidden."""
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        yield None
        return
    with _namespace(["unshare", "-Urn"]) as first:
        if first is None:
            yield None
            return
        with _namespace([*_into(first), "unshare", "-n"]) as second:
            yield None if second is None else _joined(first, second)


def _into(pid: int) -> tuple[str, ...]:
    """The words that run a command in the namespaces of a process."""
    return ("nsenter", "-t", str(pid), "-U", "-n", "--preserve-credentials")


@contextmanager
def _namespace(words: Sequence[str]) -> Iterator[int | None]:
    """The id of a process in a namespace of its own, for a block."""
    held = subprocess.Popen(
        [*words, "sh", "-c", "echo ready; exec sleep 900"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    )
    assert held.stdout is not None
    try:
        yield held.pid if held.stdout.readline() == "ready\n" else None
    finally:
        held.kill()
        held.communicate()


def _joined(first: int, second: int) -> list[Host] | None:
    places = [_into(pid) for pid in (first, second)]
    peer = ["peer", "name", _WIRE, "netns", str(second)]
    steps = [[*places[0], "ip", "link", "add", _WIRE, "type", "veth", *peer]]
    for number, place in enumerate(places, 1):
        steps += [
            [*place, "ip", "addr", "add", f"10.77.0.{number}/24", "dev", _WIRE],
            [*place, "ip", "link", "set", _WIRE, "up"],
            [*place, "ip", "link", "set", "lo", "up"],
        ]
    for step in steps:
        if subprocess.run(step, capture_output=True, check=False).returncode:
            return None
    return [
        Host(f"10.77.0.{number}", place, {"GLOO_SOCKET_IFNAME": _WIRE})
        for number, place in enumerate(places, 1)
    ]
