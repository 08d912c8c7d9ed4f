"""Three agents look for the mid-sagittal plane: one draws, one knows the way, one has learned.

It takes Gymnasium and h5py: pip install "napari-mrissl[gym]", and torch for the learned one:
python tutorials/find_the_plane.py my_folder [heads] [training steps] [test heads]
"""

# %% [markdown]
# ## The environment
# A head lies shifted and turned in its scan. A slice is flown through it by seven numbers: three
# shifts, three turns, one zoom. It ends by standing still; each step is worth by how much it
# came nearer to the plane that parts the two halves of the brain.

# %%
import sys
from pathlib import Path

import gymnasium
import numpy as np

from napari_mrissl.environments import SLICE_PLANE, agents

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "planes")
given = [int(word) for word in sys.argv[2:5]]
heads, steps, tests = given + [64, 2500, 8][len(given) :]
folder.mkdir(parents=True, exist_ok=True)
size = 48

# %% [markdown]
# ## Watching one that knows the way
# Many are flown side by side. Each step of the one that knows is shaken, so that ways back
# are seen too; what is kept is the slice and what would have been right there.

# %%
from napari_mrissl.environments.flying import limited  # noqa: E402
from napari_mrissl.evaluation.navigation.demonstrations import LIMITS  # noqa: E402
from napari_mrissl.geometry import Pose, relative_action  # noqa: E402

shown = gymnasium.make_vec(SLICE_PLANE, num_envs=heads, size=size, heads=heads, seed=0)
seen, info = shown.reset(seed=0)
rng = np.random.default_rng(0)
slices, answers = [], []
for step in range(60):
    scenes = [shown.unwrapped.scenes[number]() for number in info["scene"]]
    poses = [Pose.from_row(row) for row in info["pose"]]
    best = [relative_action(p, s.target) for p, s in zip(poses, scenes, strict=True)]
    slices.append(seen)
    answers.append(limited(np.array(best)))
    shaken = answers[-1] + rng.normal(size=(heads, 7)) * LIMITS * (1.5 * (step % 20 < 14))
    seen, _, _, _, info = shown.step(shaken)

# %% [markdown]
# ## Learning from what was seen
# A small network goes from 16 x 16 pixels of each of the three slices to the action. With
# features of a pretrained network in their place it learns more: that is `mrissl benchmark plane`,
# and `agents.learned` flies what it has learned.

# %%
from napari_mrissl.evaluation.navigation import cloning  # noqa: E402
from napari_mrissl.evaluation.navigation.encoders import PixelEncoder  # noqa: E402

pixels = PixelEncoder(patch=4)
rows = cloning.row_of(pixels, np.concatenate(slices))
answer = cloning.answer(cloning.cloned(rows, np.concatenate(answers), steps), pixels)
print(f"learned from {len(rows)} slices of {heads} heads")

# %% [markdown]
# ## Heads that nobody has seen
# Every agent flies over the same ones.

# %%
held_out = gymnasium.make(SLICE_PLANE, size=size, heads=tests, seed=1).unwrapped
start = [held_out.reset(options={"scene": n})[1] for n in range(tests)]
print(
    f"at the start: {np.mean([s['away_mm'] for s in start]):.1f} mm, "
    f"{np.mean([s['away_degrees'] for s in start]):.1f} degrees from the plane"
)
ways = {
    "random": agents.at_random(0),
    "learned": lambda seen, info: answer(seen),
    "knowing": agents.knowing(held_out),
}
flown = {
    name: [agents.fly(held_out, agent, scene=number) for number in range(tests)]
    for name, agent in ways.items()
}
for name, outcomes in flown.items():
    print(
        f"{name}: {np.mean([one.away_mm for one in outcomes]):.1f} mm, "
        f"{np.mean([one.away_degrees for one in outcomes]):.1f} degrees, "
        f"reward {np.mean([one.reward for one in outcomes]):.2f}"
    )

# %% [markdown]
# ## Flights for others
# What was flown is a dataset like any other: it can be replayed in the viewer, and exported for
# Minari, which offline reinforcement learning reads. Where Minari is installed its own
# `DataCollector` may be put around the environment as well.

# %%
from napari_mrissl.trajectories import Dataset  # noqa: E402
from napari_mrissl.trajectories.exchange import formats  # noqa: E402
from napari_mrissl.trajectories.frames import Scans  # noqa: E402

dataset = Dataset.create(folder / "flights", 8.0)
for name in ("learned", "knowing"):
    for one in flown[name]:
        dataset.append(one.flight(held_out, policy=name), task="find the mid-sagittal plane")
scans = Scans([held_out.scenes[number]().volume for number in range(tests)])
formats.export("minari", dataset, folder / "minari", size, scans=scans)
print(f"{len(dataset)} flights written; MINARI_DATASETS_PATH={folder / 'minari'}")
