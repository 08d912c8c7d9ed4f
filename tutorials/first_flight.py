"""First flight: open a scan, fly through it, keep the flight, click, segment, save.

Everything the viewer does, as a script of a few calls. It uses the MNI152 template at
2 mm, so it runs anywhere in under a minute:  python tutorials/first_flight.py my_folder
"""

# %% [markdown]
# ## Open a scan
# Any NIfTI, MGH, NRRD or MetaImage file or DICOM folder becomes a `Volume` by
# `napari_mrissl.volumes.read(path)`; here we take the template that is always at hand.

# %%
import sys
from pathlib import Path

import numpy as np

from napari_mrissl.geometry import Pose, apply_action, apply_affine, relative_action
from napari_mrissl.metrics import dice
from napari_mrissl.segmentation import PromptClass, Prompts, segment, write_prompts
from napari_mrissl.slicing import policies, render
from napari_mrissl.trajectories import flight_of, open_or_create
from napari_mrissl.trajectories.movies import write_movie
from napari_mrissl.volumes import write_labels
from napari_mrissl.volumes.samples import TISSUE_NAMES, mni152, mni152_tissues

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "first_flight")
folder.mkdir(parents=True, exist_ok=True)
volume = mni152(resolution=2)
print(f"{volume.name}: {volume.shape} voxels of {volume.spacing} mm along (S, A, R)")

# %% [markdown]
# ## Cut a slice
# A pose is a square plane in world RAS mm. This one is axial, seen from above, so the
# patient's right is on the right of the image: right = up x normal.

# %%
axial = Pose.from_normal_up(center=(0, -18, 20), normal=(0, 0, 1), up=(0, 1, 0), fov=220)
values, valid = render(volume, axial, size=256)
print(f"axial slice: {values.shape}, {valid.mean():.0%} of the pixels inside the scan")

# %% [markdown]
# ## Move
# An action is seven numbers in the slice's own frame: three shifts (fractions of the
# field of view), three rotations (radians), one log zoom. The action between two poses
# is known exactly, which is what slice navigation learns from.

# %%
oblique = apply_action(axial, [0, 0, 0.05, np.radians(20), 0, 0, np.log(0.8)])
print("action back:", np.round(relative_action(oblique, axial), 3))

# %% [markdown]
# ## Fly, and keep the flight
# A policy flies by itself; the same seed gives the same flight. Flights are episodes of
# a dataset: a folder with poses, actions and the scan's identity, never a path or a voxel.

# %%
poses = policies.generate(volume, policy="walk", frames=40, seed=7)
dataset = open_or_create(folder / "flights")
dataset.append(flight_of(volume, poses, dataset.hertz, policy="walk", seed=7), task="look around")
flight = dataset.flight(-1)
write_movie(folder / "flight.gif", volume, flight, size=128, overwrite=True)
print(f"{len(flight)} poses, {flight.duration_s:.1f} s")

# %% [markdown]
# ## Click
# Ten random places per tissue stand in for your clicks. Nothing is trained beforehand:
# a filter bank describes each voxel, and a small classifier learns from the clicks.

# %%
truth = mni152_tissues(resolution=2)
draw = np.random.default_rng(0)
classes = tuple(
    PromptClass(label=label, name=name, color=color)
    for (label, name), color in zip(
        {**TISSUE_NAMES, 4: "background"}.items(),
        ("#e6550d", "#fdd049", "#3182bd", "#31a354"),
        strict=True,
    )
)
places, labels = [], []
for one in classes:
    candidates = np.argwhere(truth.data == (one.label % 4))
    places.append(apply_affine(volume.affine, draw.choice(candidates, size=10, replace=False)))
    labels += [one.label] * 10
clicks = Prompts.from_arrays(np.concatenate(places), labels, classes)
write_prompts(folder / "clicks.json", clicks)

# %% [markdown]
# ## Segment, measure, save
# The label map is written on the scan's own grid, voxel for voxel.

# %%
result = segment(volume, clicks)
scores = dice(result.labels, truth.data, labels=TISSUE_NAMES)
for label, score in scores.items():
    print(f"Dice of {TISSUE_NAMES[label]}: {score:.3f}")
saved = write_labels(folder / "segmentation.nii.gz", result.labels, volume, overwrite=True)
print(f"saved {saved.name}")
