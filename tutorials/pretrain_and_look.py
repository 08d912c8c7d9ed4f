"""Pretrain on your scans and look at what the network learned: VectorPOSE, from run to inspector.

Without a scan it trains on painted heads. The tiny preset ends within minutes and learns
little; take ``cpu`` for an hour, or ``gpu``, to see something:
python tutorials/pretrain_and_look.py my_folder [preset] [steps] [scan ...]
"""

# %% [markdown]
# ## A run is a folder
# `mrissl pretrain` and the panel *Pretraining* write the same folder: settings, events,
# checkpoints, weights, a model card. Ctrl-C ends it after the running step, and
# `mrissl run resume` goes on from the last checkpoint, to the very same weights.

# %%
import json
import sys
from pathlib import Path

from napari_mrissl.cli import main
from napari_mrissl.training.run import Run

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "pretraining")
preset = sys.argv[2] if len(sys.argv) > 2 else "tiny"
steps = ["--steps", sys.argv[3]] if len(sys.argv) > 3 else []
scans = sys.argv[4:] or ["heads"]
folder.mkdir(parents=True, exist_ok=True)
run = folder / "vectorpose"
command = ["pretrain", "vectorpose", "--data", *scans, "--preset", preset, *steps]
if main([*command, "--out", str(run)]):
    sys.exit("the run did not end well: see above")

# %% [markdown]
# ## Every number beside what chance is worth
# r, theta and phi are errors of nine vectors from a crop's centre and corners to the body
# axis: position, scale and orientation. Their chance value is the best constant answer.
# Only what is clearly below it on held-out subjects was learned.

# %%
for name, term in Run.open(run).summary()["terms"].items():
    numbers = {key: value for key, value in term.items() if value is not None}
    print(name, *(f"{key} {value:.3f}" for key, value in numbers.items()))

# %% [markdown]
# ## On a real scan that it never saw
# `mrissl inspect` draws crops of a scan, and asks the network where they lie. In the
# viewer, the Inspector shows the same with arrows in the scan, which you move yourself.

# %%
from napari_mrissl.volumes.samples import mni152  # noqa: E402
from napari_mrissl.volumes.writing import write_image  # noqa: E402

head = mni152(2)
scan = folder / "mni152.nii.gz"
if not scan.exists():
    write_image(scan, head.data, head)
words = ["inspect", "vectorpose", str(run), str(scan), "--crops", "16"]
if main([*words, "--out", str(folder / "inspection")]):
    sys.exit("the inspection did not end well: see above")
report = json.loads((folder / "inspection" / "report.json").read_text("utf-8"))
for name in (
    "position_error_mm",
    "orientation_accuracy",
    "r_error",
    "theta_error",
    "phi_error",
):
    print(f"{name}: {report[name]:.3f}, by chance {report[f'chance_{name}']:.3f}")

# %% [markdown]
# ## The null control
# The same run with targets of other samples (`--shuffled`) must not get below chance. If
# it does, the measurement leaks, and the figures above mean nothing.
