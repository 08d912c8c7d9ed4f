"""From a laptop to a cluster: one run, trained by one process, by two, and by many GPUs.

Without a cluster it ends with the script that one would be given, and with what scaling to
512 GPUs would cost on paper. It takes a minute or two on a laptop:
python tutorials/from_a_laptop_to_a_cluster.py my_folder [steps] [nodes] [gpus]
"""

# %% [markdown]
# ## One process
# A run is a folder. Its batch is that of all processes together, so that the folder means
# the same wherever it is trained: here a batch of 8 for 1, 2, 4 or 8 processes. `--prepare`
# writes only the folder; that is what goes to a cluster.

# %%
import os
import subprocess
import sys
import time
from pathlib import Path

from napari_mrissl.cli import main
from napari_mrissl.training.run import Run

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "cluster")
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 40
nodes, gpus = (sys.argv[3:5] + ["2", "4"][len(sys.argv[3:5]) :])[:2]
folder.mkdir(parents=True, exist_ok=True)
run = folder / "run"
words = ["pretrain", "vectorpose", "--preset", "tiny", "--steps", str(steps // 2)]
if main([*words, "--device", "cpu", "--out", str(run)]):
    sys.exit("the run did not end well: see above")
before = Run.open(run).state()
print(f"one process: {before.name} at step {before.step}")

# %% [markdown]
# ## Two processes go on
# Samples are a function of seed, step and number, and losses are sums over all processes:
# two go on where one stopped, to the weights that one alone would have come to, but for
# rounding. `mrissl run resume --processes 2` starts torchrun; this is its own command.

# %%
mrissl = [sys.executable, "-m", "napari_mrissl.cli"]
more = ["run", "resume", str(run), "--steps", str(steps), "--processes", "2"]
environment = {**os.environ, "OMP_NUM_THREADS": "1"}
training = subprocess.Popen([*mrissl, *more], env=environment)  # noqa: S603 our own words

# %% [markdown]
# ## Look at it from another process
# Nobody is asked and nobody is disturbed: whoever sees the folder reads the events, and the
# panel *Pretraining* does the same. On a disk that machines share, or in a copy (`rsync -a`
# every minute), it works too; only news counts there, as clocks may differ.

# %%
watched, seen = Run.open(run), -1
while training.poll() is None:
    state = watched.state()
    if state.step != seen:
        seen = state.step
        print(f"seen from outside: {state.name}, step {state.step} of {state.steps}", flush=True)
    time.sleep(0.2)
if training.wait():
    sys.exit("the run did not end well: see above")
after = watched.summary()
print(f"two processes: {after['state']} at step {after['step']}")

# %% [markdown]
# ## Hand it to a cluster
# The script asks SLURM for nodes, lets the first be met by all others, stops the run with a
# checkpoint before time is over, and queues itself again until the run is finished. If a
# process is killed, the job ends with its rank, and sbatch with the same script goes on.
# Nodes share the run's folder and the data directory.

# %%
job = folder / "job.sh"
job.unlink(missing_ok=True)
words = ["run", "script", str(run), "--nodes", nodes, "--gpus", gpus, "--time", "12:00:00"]
if main([*words, "--out", str(job)]):
    sys.exit("no script could be written: see above")
print(job.read_text("utf-8").partition("\n\n")[0])

# %% [markdown]
# ## What 512 GPUs would cost, on paper
# Weak scaling: every GPU has the batch that one has alone, and a step ends when gradients are
# added up. Of G bytes of gradients a ring of n GPUs sends 2 (n - 1) / n G through each link:
#
# * sending = 2 (n - 1) / n G / bandwidth + 2 (n - 1) latency
# * step = time of one GPU + what of the sending the backward pass does not hide
# * efficiency = time of one GPU / step
#
# Gradients are counted from the networks of the preset `gpu`; the time of a step is yours to
# measure (`mrissl run show`). Reading scans, the slowest node of all, and the few values that
# losses gather are not in it, so this is what a cluster can reach at most.

# %%
from napari_mrissl.pretext.registry import TASKS  # noqa: E402
from napari_mrissl.training.scaling import (  # noqa: E402
    Cluster,
    gradient_bytes_of,
    scaled,
    table,
)

network = Cluster()
print(
    f"{network.gpus_per_node} GPUs a node, {network.inside / 1e9:.0f} GB/s inside, "
    f"{network.between / 1e9:.0f} GB/s between nodes, {1e6 * network.latency:.0f} us a turn"
)
sizes = {name: gradient_bytes_of(name, "gpu") for name in TASKS if name != "scratch"}
for seconds in (0.5, 0.05):
    print(f"\nefficiency (and with nothing hidden; time of sending), step of {seconds:g} s")
    print(table(seconds, sizes))

# %% [markdown]
# The same for the run above, with the time of its own step, as if each process were a GPU.

# %%
own = 1 / after["steps_per_second"]
size = gradient_bytes_of("vectorpose", "tiny")
for count in (8, 64, 512):
    found = scaled(own, size, count)
    print(
        f"this run on {count}: step {1e3 * found.step:.1f} ms, efficiency {found.efficiency:.3f}, "
        f"with nothing hidden {found.worst:.3f}"
    )
