"""Record a dataset of flights: fly, draw a smooth path, let a policy fly, read it all back.

Three episodes over two scans, through the widgets a user has, in under half a minute. It
opens a window; without a display run it under xvfb-run:
python tutorials/record_a_dataset.py my_folder
"""

# %% [markdown]
# ## Open two scans, the slice navigator and the flight recorder
# In napari both are under *Plugins > MRI self-supervised learning*.

# %%
import sys
from pathlib import Path

import napari
import numpy as np

from napari_mrissl.geometry import Pose, apply_action
from napari_mrissl.slicing import policies
from napari_mrissl.trajectories import Dataset, lerobot
from napari_mrissl.trajectories.frames import Scans
from napari_mrissl.trajectories.windows import Windows
from napari_mrissl.ui.demo import settle, wait_until
from napari_mrissl.ui.layers import add_volume
from napari_mrissl.volumes.samples import mni152, phantom

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "flights")
head, block = mni152(resolution=2), phantom()
viewer = napari.Viewer(title="record a dataset")
head_layer, block_layer = add_volume(viewer, head), add_volume(viewer, block)
_, navigator = viewer.window.add_plugin_dock_widget("napari-mrissl", "Slice navigator")
_, recorder = viewer.window.add_plugin_dock_widget("napari-mrissl", "Flight recorder")
navigator.choose_layer(head_layer)


def done() -> None:
    """Wait until what was recorded or made is on disk."""
    wait_until(lambda: not recorder.busy and not recorder.deck.saving, "the recorder")
    print(recorder.message.text())


# %% [markdown]
# ## Choose a dataset
# A dataset is a folder: one parquet file an episode, and a manifest with their checksums.
# It is made with the first recording.

# %%
deck = recorder.deck
deck.choose_dataset(folder / "dataset")
done()

# %% [markdown]
# ## Record a flight
# *Record*, fly, *Stop*. Here two policies move the slice instead of your hand; whatever
# moves it is recorded, sampled 20 times a second from what was on the screen.

# %%
deck.task = "look around"
deck.record()
for policy in ("scroll", "rotate"):
    for pose in policies.generate(head, policy, frames=12, seed=1):
        navigator.pose = pose
        settle(0.05)
deck.stop_recording()
done()

# %% [markdown]
# ## Draw a smooth path
# Key poses are slices you found worth passing through. The flight through them is smooth:
# velocity and acceleration are continuous. *Fly the spline* shows it, *Record as episode*
# keeps it.

# %%
deck.task = "a smooth tour"
middle = np.array([0.0, -20, 10])
for away, normal in (
    ((0, 0, -30), (0, 0, 1)),
    ((0, 0, 25), (0, -0.5, 1)),
    ((0, 15, 0), (0, -1, 0.2)),
):
    up = (0, 1, 0) if abs(normal[2]) > 0.5 else (0, 0, 1)
    key_pose = Pose.from_normal_up(middle + away, normal, up, fov=200)
    recorder.maker.key_poses.add(key_pose)
recorder.maker.through_key_poses(seconds=3, keep=True)
done()

# %% [markdown]
# ## Let a policy fly, over the other scan
# The same seed gives the same flight.

# %%
navigator.choose_layer(block_layer)
deck.task = "free walk"
recorder.maker.by_policy("walk", frames=60, seed=7, keep=True)
done()
viewer.close()

# %% [markdown]
# ## Look at the dataset
# The scans are known by identity; no voxel, no path and no name of a file is in it.

# %%
dataset = Dataset.open(folder / "dataset")
for number, entry in enumerate(dataset.entries):
    print(
        f"episode {number}: {entry.source}, {entry.task!r}, {entry.frames} frames, "
        f"{entry.duration_s:.1f} s, scan {entry.identity[:12]}"
    )
table = dataset.table(1)
print("columns:", ", ".join(f"{name} {np.shape(values)}" for name, values in table.items()))

# %% [markdown]
# ## Read windows of frames and actions back
# Frames are rendered again from the scans, at any size. Scans opened from files are found
# by their identity; these samples are handed over.

# %%
scans = Scans([head, block])
windows = Windows(dataset, length=8, size=64, scans=scans)
window = next(one for one in windows if one.episode == 1)
print(f"{len(windows)} windows of {window.frames.shape}, {window.actions.shape[0]} actions each")
after = apply_action(Pose.from_row(window.poses[0]), window.actions[0])
print(f"the action leads to the next pose: {np.abs(after.to_row() - window.poses[1]).max():.1e}")

# %% [markdown]
# ## Export
# LeRobot v3.0 is what world-model and robot-learning code reads.

# %%
lerobot.export(dataset, folder / "lerobot", size=64, scans=scans)
made = sorted(p.relative_to(folder).as_posix() for p in (folder / "lerobot").rglob("*.json"))
print("exported:", ", ".join(made))
