"""``mrissl run script``: a script that trains a run on the nodes of a cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_mrissl.cli.arguments import Whole, within
from napari_mrissl.cli.terminal import say
from napari_mrissl.errors import MrisslError

_MOST = 10_000


def script(
    folder: Annotated[Path, Parameter(name="RUN")],
    /,
    *,
    nodes: Whole = 1,
    gpus: Whole = 1,
    cores: Whole = 8,
    time: str = "",
    partition: str = "",
    account: str = "",
    minutes: Whole = 5,
    out: Path | None = None,
) -> None:
    """Print a script for sbatch (SLURM) that trains a run on many GPUs until it is finished.

    Before a job's time is over the run stops with a checkpoint, and the job queues itself
    again; sbatch with the same script goes on with a run that was cancelled or that failed.

    Parameters
    ----------
    folder
        Folder of a run, which all nodes see under the same path; mrissl pretrain --prepare
        makes one.
    nodes
        How many nodes.
    gpus
        GPUs of each node; 0 for one process a node on its CPUs.
    cores
        Cores of the CPU for each process.
    time
        The longest a job may take, e.g. 12:00:00; without it as long as the partition allows.
    partition
        Of the cluster.
    account
        Of the cluster.
    minutes
        How long before a job's end the run is asked to stop: more than a step and a
        checkpoint take.
    out
        A new file for the script.
    """
    from napari_mrissl.training import index, slurm
    from napari_mrissl.volumes.atomic import write_text

    within("--nodes", nodes, 1, _MOST)
    within("--gpus", gpus, 0, 64)
    within("--cores", cores, 1, 1024)
    within("--minutes", minutes, 1, 24 * 60)
    run = index.remember(folder)
    request = slurm.Request(nodes, gpus, cores, time, partition, account, minutes)
    text = slurm.script(run, request)
    if out is None:
        sys.stdout.write(text)
        return
    if out.exists():
        raise MrisslError("is there already", where=out, remedy="choose another name for --out")
    if out.resolve().is_relative_to(run.folder.resolve()):
        raise MrisslError(
            "a script holds paths of this machine",
            where=out,
            expected="a place outside the run's folder",
        )
    write_text(out, text)
    say(f"sbatch {out} trains the run, and goes on with it")
