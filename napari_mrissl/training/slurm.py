"""A script for SLURM that trains a run on the nodes of a cluster, again and again if need be."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from napari_mrissl.directories import data_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.training.batches import shares
from napari_mrissl.training.run import Run

_TIME = re.compile(r"\d+|\d+:\d\d(:\d\d)?|\d+-\d+(:\d\d){0,2}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,:@+-]{0,99}")
_FIRST_PORT, _PORTS = 20_000, 10_000
_LEAST_MINUTES = 5
"""That a job is to have for its start and some steps."""


@dataclass(frozen=True)
class Request:
    """What is asked of the cluster.

    Attributes
    ----------
    nodes, gpus
        How many nodes, and GPUs on each; without GPUs one process a node trains on its CPUs.
    cores
        Of the CPU, for each process.
    time
        The longest that one job may take, as SLURM writes it, e.g. ``12:00:00``; empty for the
        partition's own limit.
    partition, account
        Of the cluster; empty for the user's own.
    minutes
        How long before the time is over the run is asked to stop: more than its longest step
        and a checkpoint take.
    """

    nodes: int = 1
    gpus: int = 1
    cores: int = 8
    time: str = ""
    partition: str = ""
    account: str = ""
    minutes: int = 5

    @property
    def processes(self) -> int:
        """How many train together."""
        return self.nodes * max(1, self.gpus)


def script(run: Run, request: Request, environment: Mapping[str, str] = os.environ) -> str:
    """The text of an sbatch script that trains a run, and goes on with it in the next job.

    The first node is met by the agents of all nodes. Before the time is over the run is asked
    to stop after its running step, and the job queues itself again until the run has ended.

    Parameters
    ----------
    run
        In a folder that all nodes see under the same path.
    request
        What is asked of the cluster.
    environment
        Of this process: where data and caches lie goes into the script.

    Raises
    ------
    MrisslError
        If a word is none that SLURM knows, or the batch cannot be shared.
    """
    _check(run, request)
    quoted = shlex.quote(str(run.folder))
    python = shlex.quote(sys.executable)
    lines = ["#!/bin/bash", *_asked(run, request), "", "set -u", f"run={quoted}"]
    lines += [f"python={python}", *_places(environment), _body(run, request)]
    return "\n".join(lines)


def _check(run: Run, request: Request) -> None:
    for name, value in (("partition", request.partition), ("account", request.account)):
        if value and not _WORD.fullmatch(value):
            raise MrisslError(repr(value), where=f"--{name}", expected="a name without spaces")
    if request.time and not _TIME.fullmatch(request.time):
        raise MrisslError(
            repr(request.time), where="--time", expected="minutes, hours:minutes:seconds or 1-12:00"
        )
    longest = _seconds(request.time) if request.time else None
    if longest is not None and longest < 60 * (request.minutes + _LEAST_MINUTES):
        raise MrisslError(
            repr(request.time),
            where="--time",
            expected=f"at least {request.minutes + _LEAST_MINUTES} minutes, as the run is asked to "
            f"stop {request.minutes} minutes (--minutes) before",
        )
    if not str(run.folder).isprintable():
        raise MrisslError("has letters that no script can hold", where=run.folder)
    options = run.settings.optimisation
    shares(options.batch, options.accumulation, 0, request.processes)


def _seconds(time: str) -> int:
    """A time as SLURM writes it: minutes, minutes:seconds, or from days or hours down."""
    days, dash, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if dash:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
    elif len(parts) == 3:
        hours, minutes, seconds = parts
    else:
        hours, (minutes, seconds) = 0, (*parts, 0)[:2]
    return ((24 * int(days or 0) + hours) * 60 + minutes) * 60 + seconds


def _asked(run: Run, request: Request) -> list[str]:
    asked = {
        "job-name": f"mrissl-{run.settings.method}",
        "nodes": str(request.nodes),
        "ntasks-per-node": "1",
        "cpus-per-task": str(request.cores * max(1, request.gpus)),
    }
    if request.gpus:
        asked["gpus-per-node"] = str(request.gpus)
    chosen = {"time": request.time, "partition": request.partition, "account": request.account}
    asked |= {name: value for name, value in chosen.items() if value}
    asked["signal"] = f"B:USR1@{60 * request.minutes}"
    # What the processes say may hold paths: it goes where the job is submitted, not to the run.
    asked |= {"output": "mrissl-%j.log", "open-mode": "append"}
    return [f"#SBATCH --{name}={value}" for name, value in asked.items()] + ["#SBATCH --requeue"]


def _places(environment: Mapping[str, str]) -> list[str]:
    """Scans are found through the data directory, which all nodes are to share."""
    places = {"MRISSL_DATA_DIR": str(data_directory())}
    if "MRISSL_CACHE_DIR" in environment:
        places["MRISSL_CACHE_DIR"] = environment["MRISSL_CACHE_DIR"]
    return [f"export {name}={shlex.quote(place)}" for name, place in places.items()]


def _body(run: Run, request: Request) -> str:
    # Two runs that share a first node must not meet at one port.
    number = int(hashlib.sha256(run.identity.uuid.encode()).hexdigest()[:8], 16)
    port = _FIRST_PORT + number % _PORTS
    return f"""export run python port={port}
export SRUN_CPUS_PER_TASK="${{SLURM_CPUS_PER_TASK:-1}}"

# shellcheck disable=SC2317,SC2329
ask() {{
    "$python" -m napari_mrissl.cli run stop "$run" --ask
}}
is() {{
    "$python" -m napari_mrissl.cli run show "$run" --json | grep -q "\\"state\\": \\"$1\\""
}}

# USR1 comes when the time is nearly over, TERM when somebody ends the job.
late=0
trap 'heard=1; late=1; ask' USR1
trap 'heard=1; ask' TERM

if [ "${{SLURM_RESTART_COUNT:-0}}" -gt 0 ] && is running; then
    # A node was lost: what is left of the last job has to fall silent first.
    "$python" -m napari_mrissl.cli run wait "$run" --seconds 3600
fi

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export first

# One agent a node; those of the others meet that of the first.
# shellcheck disable=SC2016
srun --kill-on-bad-exit=1 bash -c 'exec "$python" -m torch.distributed.run \\
    --nnodes "$SLURM_JOB_NUM_NODES" --nproc-per-node {max(1, request.gpus)} \\
    --rdzv-id "$SLURM_JOB_ID-${{SLURM_RESTART_COUNT:-0}}" --rdzv-backend c10d \\
    --rdzv-endpoint "$first:$port" --rdzv-conf "is_host=$((SLURM_NODEID == 0))" \\
    -m napari_mrissl.cli.child "$run"' &
step=$!

# A signal ends the waiting, not the step.
heard=1
while [ "$heard" -eq 1 ]; do
    heard=0
    wait "$step"
    code=$?
done

if [ "$late" -eq 1 ] && [ "$code" -eq 0 ] && is stopped; then
    echo "out of time: the job queues again, and the run goes on from its checkpoint"
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""
