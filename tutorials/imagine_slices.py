"""A network that flies through a head by itself: train it, let it imagine, and see where it errs.

Painted heads are enough to try it. With the tiny preset both networks are trained within two
minutes and know little; take ``cpu`` for an hour, or ``gpu``, to see something:
python tutorials/imagine_slices.py my_folder [preset] [steps] [frames] [scan ...]
"""

# %% [markdown]
# ## Two networks, one after the other
# A tokenizer learns to fill in hidden patches of slices. Then it is frozen, and dynamics learn
# which tokens an action leads to: seven numbers that shift, turn and zoom the slice.

# %%
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from napari_mrissl.cli import main

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "imagined")
preset = sys.argv[2] if len(sys.argv) > 2 else "tiny"
steps = ["--steps", sys.argv[3]] if len(sys.argv) > 3 else []
frames = int(sys.argv[4]) if len(sys.argv) > 4 else 13
scans = sys.argv[5:] or ["heads"]
folder.mkdir(parents=True, exist_ok=True)
tokenizer, dynamics = folder / "tokenizer", folder / "dynamics"
begun = {"tokenizer": (tokenizer, []), "dynamics": (dynamics, ["--init", str(tokenizer)])}
for method, (run, init) in begun.items():
    command = ["pretrain", method, "--data", *scans, "--preset", preset, *steps, *init]
    # What is there already, say of another machine, is taken as it is.
    if not run.exists() and main([*command, "--out", str(run)]):
        sys.exit(f"the run of the {method} did not end well: see above")

# %% [markdown]
# ## Flying in imagination
# The network gets one true slice of a scan that it never saw, and then actions alone. Whatever
# it shows after that, no scanner has seen: beside it is the slice that is really there.

# %%
from napari_mrissl.geometry import relative_action  # noqa: E402
from napari_mrissl.pretext.navigation.imagination import Imagination  # noqa: E402
from napari_mrissl.slicing import policies  # noqa: E402
from napari_mrissl.volumes.samples import mni152  # noqa: E402

head = mni152(2)
poses = policies.generate(head, "walk", frames, 3)
imagination = Imagination.open(dynamics)
imagination.begin(head, poses[0])
first = imagination.frame.latents
shown, drift, kept = [], [0.0], [0.0]
for number, pose in enumerate(poses):
    if number:
        imagination.step(relative_action(poses[number - 1], pose))
        drift.append(imagination.latent_error())
        true = imagination.encode(head, [pose])[0]
        kept.append(float(np.abs(first - true).mean()))
    shown.append((imagination.true_frame(), imagination.frame.image))
for step in (1, 4, 8):
    if step < frames:
        print(
            f"after {step} steps: latent error {drift[step]:.3f}, first slice kept {kept[step]:.3f}"
        )

# %% [markdown]
# ## What the errors are worth
# The same first step with other actions: only if these are worse does the network heed where it
# is flown.

# %%
imagination.begin(head, poses[0])
action = relative_action(poses[0], poses[1])
for name, told in {"true": action, "zero": 0 * action, "reversed": -action}.items():
    fork = imagination.fork()
    found = fork.step(told).latents
    error = float(np.abs(found - imagination.encode(head, [poses[1]])[0]).mean())
    print(f"{name} action: {error:.3f}")

# %% [markdown]
# ## A film
# True, imagined, and the difference; below, how the latents come away from the true ones.

# %%
SIDE, GAP, CURVE, ORANGE, GREEN = 128, 8, 90, (255, 146, 43), (64, 192, 87)
highest = max(*drift, *kept, 1e-6)


def curve(values: list[float]) -> list[tuple[float, float]]:
    """Points of a line below the pictures."""
    across = (3 * SIDE + 2 * GAP - 20) / max(1, frames - 1)
    bottom = SIDE + 20 + CURVE - 8
    return [(10 + n * across, bottom - (CURVE - 20) * v / highest) for n, v in enumerate(values)]


film = []
for number, (true, imagined) in enumerate(shown):
    page = Image.new("RGB", (3 * SIDE + 2 * GAP, SIDE + 20 + CURVE), (24, 26, 31))
    draw = ImageDraw.Draw(page)
    word = "start: true" if number == 0 else f"IMAGINED, step {number}"
    pictures = (("scan", true), (word, imagined), ("error x 2", 2 * np.abs(true - imagined)))
    for place, (caption, values) in enumerate(pictures):
        grey = Image.fromarray((255 * np.clip(values, 0, 1)).astype(np.uint8))
        left = place * (SIDE + GAP)
        page.paste(grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGB"), (left, 20))
        color = ORANGE if place == 1 else (222, 226, 230)
        draw.text((left + 2, 4), caption, fill=color)
        draw.rectangle(
            (left, 20, left + SIDE - 1, SIDE + 19), outline=color, width=1 + (place == 1)
        )
    for values, color in ((drift, ORANGE), (kept, GREEN)):
        if number:
            draw.line(curve(values)[: number + 1], fill=color, width=2)
    draw.text((10, SIDE + 24), "latent error: imagined", fill=ORANGE)
    draw.text((150, SIDE + 24), "first slice kept", fill=GREEN)
    film.append(page.quantize(32, kmeans=3, dither=Image.Dither.NONE))
film[0].save(folder / "imagined.gif", save_all=True, append_images=film[1:], duration=300, loop=0)
print(f"{folder / 'imagined.gif'}: {len(film)} frames")

# %% [markdown]
# ## In the viewer
# Open the Inspector, choose the run *dynamics*, and press *Imagine*: then the navigator's mouse
# and keys fly it.
