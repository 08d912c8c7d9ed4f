"""A pretended SLURM: what a batch script calls, as small shell programs."""

import os
import subprocess
import sys
from pathlib import Path

SRUN = """#!/bin/bash
# Each node runs the words after the options; signals go to all, and one code comes back.
while [ "${1#--}" != "$1" ]; do shift; done
pids=()
for ((node = 0; node < SLURM_JOB_NUM_NODES; node++)); do
    SLURM_NODEID=$node SLURM_PROCID=$node MRISSL_DATA_DIR="$MRISSL_DATA_DIR/$node" "$@" &
    pids+=($!)
done
trap 'kill -TERM "${pids[@]}"' TERM
code=0
for pid in "${pids[@]}"; do wait "$pid" || code=$?; done
exit $code
"""
SCONTROL = """#!/bin/bash
if [ "$1" = show ]; then
    for ((node = 0; node < SLURM_JOB_NUM_NODES; node++)); do echo 127.0.0.1; done
else
    echo "$*" >> "$CLUSTER/requeued"
fi
"""


def pretend(folder: Path) -> None:
    """Put the programs of a cluster into a folder."""
    for name, text in {"srun": SRUN, "scontrol": SCONTROL}.items():
        (folder / name).write_text(text, "utf-8")
        (folder / name).chmod(0o755)


def submitted(script: Path, folder: Path, nodes: int, restarts: int = 0) -> subprocess.Popen[str]:
    """Run a script as a job; SLURM would itself send it signals."""
    environment = {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "CLUSTER": str(folder),
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "OMP_NUM_THREADS": "1",
        "SLURM_JOB_ID": "17",
        "SLURM_JOB_NUM_NODES": str(nodes),
        "SLURM_JOB_NODELIST": f"node[1-{nodes}]",
        "SLURM_CPUS_PER_TASK": "1",
        "SLURM_RESTART_COUNT": str(restarts),
    }
    return subprocess.Popen(
        ["bash", str(script)],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    )


def asked_of(script: str) -> dict[str, str]:
    """The options that a script gives to sbatch."""
    marked = [line[len("#SBATCH --") :] for line in script.splitlines() if line[:7] == "#SBATCH"]
    return {name: value for name, _, value in (line.partition("=") for line in marked)}


PYTHON = f"""#!{sys.executable}
import os, sys, time
from pathlib import Path

place = Path(os.environ["CLUSTER"])
words = sys.argv[1:]
with open(place / "called", "a") as file:
    file.write(" ".join(words) + "\\n")
if "--ask" in words:
    (place / "asked").touch()
elif "wait" in words:
    (place / "waited").touch()
elif "show" in words:
    lost = os.environ.get("LOST") and not (place / "waited").exists()
    ended = "stopped" if (place / "asked").exists() else "finished"
    print('{{"state": "' + ("running" if lost else ended) + '"}}')
elif os.environ.get("TRAINS") == "long":
    while not (place / "asked").exists():
        time.sleep(0.02)
"""
"""Does as python does with our modules, without any training."""
