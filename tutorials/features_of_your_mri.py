"""Features of your MRI: what a network sees, whether another contrast changes it, what it is worth.

Takes the weights that ship, if there are any, and the MNI152 template at 2 mm, or your scan:
python tutorials/features_of_your_mri.py my_folder [weights] [scan]
where weights are a name of `mrissl weights list`, the folder of a run, ``default`` or ``random``.
"""

# %% [markdown]
# ## One anatomy, two appearances
# A second image of the same brain, whose every voxel is at the same place: bent in contrast,
# with a bias field and noise, as if another scanner had taken it. Real pairs work the same;
# here the truth is known to the voxel. `inverted=True` makes it much harder: the filter bank
# then finds nothing, and that is what contrastive pretraining is for.

# %%
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from napari_mrissl.cli import main
from napari_mrissl.features import FilterBankSettings, compute, estimate, source_for
from napari_mrissl.features.invariance import measure_invariance
from napari_mrissl.features.network import NetworkSettings
from napari_mrissl.features.projections import fit_projection
from napari_mrissl.features.recolouring import Recolouring, recoloured
from napari_mrissl.features.similarity import Compared, foreground_sample
from napari_mrissl.geometry import apply_affine
from napari_mrissl.networks.weight_library import SHIPPED_DEFAULT, names
from napari_mrissl.volumes import read
from napari_mrissl.volumes.samples import mni152, mni152_tissues

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "features_of_your_mri")
folder.mkdir(parents=True, exist_ok=True)
shipped = SHIPPED_DEFAULT if SHIPPED_DEFAULT in names() else "random"
weights = sys.argv[2] if len(sys.argv) > 2 else shipped
if len(sys.argv) > 3:
    # Of your scan only the grey values are known; tissues are not needed.
    brain, tissues = read(Path(sys.argv[3])), None
else:
    brain, tissues = mni152(resolution=2), mni152_tissues(resolution=2).data
change = Recolouring(gamma=1.4, bias=0.3, noise=0.02, seed=1)
other = recoloured(brain, change)

# %% [markdown]
# ## Features
# A source of features turns a scan into channels on its own grid. The filter bank is made
# of Gaussians and their derivatives and needs nothing; a network needs torch, which the viewer
# runs in a process of its own. Both are computed once for each scan, and kept. A random network is
# the control: whatever it achieves, training did not do (here a narrow one, to be quick).

# %%
sources = {
    "filter bank": FilterBankSettings(),
    "network": NetworkSettings(weights=weights, width=4),
}
stacks = {}
for name, settings in sources.items():
    needed = estimate(brain, settings)
    channels = len(source_for(settings).channel_names())
    print(f"{name}: {channels} channels, {needed.disk_bytes / 1e6:.0f} MB for each scan")
    stacks[name] = [compute(volume, settings).data for volume in (brain, other)]

# %% [markdown]
# ## Look
# Three principal components as red, green and blue, with one basis for both images: where
# the colours agree, the features do. In the viewer, *Feature explorer* shows the same, each
# channel by itself, and the layers on the way.

# %%
middle = brain.shape[0] // 2
rows = []
for name, pair in stacks.items():
    projection = fit_projection(
        list(zip((brain, other), pair, strict=True)), standardised=name == "filter bank"
    )
    rows.append(np.concatenate([projection.colours(data)[middle, ::-1] for data in pair], axis=1))
greys = [volume.data[middle, ::-1].astype(np.float32) for volume in (brain, other)]
scaled = [255 * np.clip(grey / np.percentile(grey, 99.5), 0, 1) for grey in greys]
rows.insert(0, np.repeat(np.concatenate(scaled, axis=1)[..., None], 3, axis=2).astype(np.uint8))
picture = Image.fromarray(np.concatenate(rows))
picture.save(folder / "colours.png")
print(f"colours.png: {picture.width} x {picture.height} pixels")

# %% [markdown]
# ## Click to correspond
# The voxel of the other image whose features are most alike, for one place, and how far it
# is from the truth. Then for a thousand places: how often the very same voxel is found, and
# what chance would be worth. Only what is far above chance was learned.

# %%
tissue = foreground_sample(brain)
voxel = np.array(np.unravel_index(tissue[len(tissue) // 2], brain.shape))
place = apply_affine(brain.affine, voxel)
report = {}
for name, (one, two) in stacks.items():
    plain = "standardised" if name == "filter bank" else "plain"
    query = Compared.of(one, brain, plain).at(voxel)
    _, match = Compared.of(two, other, plain).whole(query)
    away = np.linalg.norm(apply_affine(brain.affine, np.array(match.voxel)) - place)
    found = measure_invariance(
        one,
        two,
        tissue,
        brain.spacing,
        tissues,
        standardised=name == "filter bank",
    )
    print(f"{name}: best match of {np.round(place)} is {away:.0f} mm away")
    print(f"{name}: same voxel {found.found:.3f} (chance {found.chance_found:.3f})")
    if found.found_label is not None:
        print(f"{name}: same tissue {found.found_label:.3f} (chance {found.chance_label:.3f})")
    report[name] = {"found": found.found, "chance": found.chance_found, "away_mm": float(away)}

# %% [markdown]
# ## Click to segment
# *Click segmentation* takes either, or both: Settings, "Features by". On the command line it
# is `mrissl segment scan.nii.gz --prompts clicks.csv --weights NAME --out seg.nii.gz`.
#
# ## Does it help?
# The honest test is a table: a linear head on frozen features, from few labelled scans, on
# scans never seen, with random weights and plain grey values beside it. Here on four small
# painted heads, which only shows how it works; give your own folder of images and labels.

# %%
heads = folder / "heads"
if not heads.exists() and main(
    ["synthesize", "heads", "--count", "4", "--side", "32", "--seed", "3", "--out", str(heads)]
):
    sys.exit("the heads were not painted: see above")
words = ",".join([*([] if weights == "random" else [weights]), "random", "filters", "intensity"])
command = ["benchmark", "features", "--weights", words, "--data", str(heads)]
command += ["--shots", "1", "--draws", "1", "--test", "2", "--out", str(folder / "table")]
if main(command):
    sys.exit("the table was not made: see above")
print((folder / "table" / "table.md").read_text(encoding="utf-8"))
(folder / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
