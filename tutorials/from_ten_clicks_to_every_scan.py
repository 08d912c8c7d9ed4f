"""From ten clicks to every scan: click in one scan, teach a network, segment and measure all.

Makes four brains of the MNI152 template, so that the truth is known, and starts from the weights
that ship, if there are any; it takes about a minute on two idle cores:
python tutorials/from_ten_clicks_to_every_scan.py my_folder [weights] [steps]
where weights are a name of `mrissl weights list`, the folder of a run, or ``scratch``.
"""

# %% [markdown]
# ## Four brains
# Of different shape, contrast and brightness, as if of four people and scanners. One template
# is behind all of them, so expect less of real scans: these only show how it works.

# %%
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from napari_mrissl.evaluation import drawing, robot
from napari_mrissl.evaluation.reports import OURS, report
from napari_mrissl.evaluation.segmentations import score_folders
from napari_mrissl.features import FilterBankSettings, compute
from napari_mrissl.features.recolouring import Recolouring, recoloured
from napari_mrissl.networks.weight_library import DEFAULT, SHIPPED_DEFAULT, names
from napari_mrissl.segmentation import Prompts, SegmentSettings, write_prompts
from napari_mrissl.segmentation.finetuning import (
    SCRATCH,
    FinetuneSettings,
    SavedSegmenter,
    finetune,
    labelled_pairs,
)
from napari_mrissl.segmentation.many_scans import predict_scans, scans_of
from napari_mrissl.segmentation.several_scans import PromptedScan, beliefs
from napari_mrissl.synthesis.deformation import DeformationSettings, Sampler, draw_deformation
from napari_mrissl.synthesis.head_templates import cubic_affine, cubic_volume
from napari_mrissl.training.card import seen_in
from napari_mrissl.volumes import read, write_image, write_labels
from napari_mrissl.volumes.samples import TISSUE_NAMES, mni152, mni152_tissues

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "from_ten_clicks")
shipped = DEFAULT if SHIPPED_DEFAULT in names() else SCRATCH
weights = sys.argv[2] if len(sys.argv) > 2 else shipped
steps = int(sys.argv[3]) if len(sys.argv) > 3 else 100
images, truth, clicked = folder / "images", folder / "truth", folder / "clicks"
alone, network = folder / "clicks_alone", folder / "network"
for place in (images, truth, clicked, alone):
    place.mkdir(parents=True, exist_ok=True)

SIDE, SPACING = 64, 3.0
brain, tissues = mni152(resolution=2), mni152_tissues(resolution=2)
grid = cubic_affine(brain.center, SIDE, SPACING)
for number, gamma in enumerate((1.0, 0.7, 1.4, 1.2), 1):
    shape = draw_deformation(np.random.default_rng(number), DeformationSettings())
    sampler = Sampler(brain.to_index, grid, SIDE, shape)
    head = cubic_volume(sampler.linear(brain.data), grid, f"brain_{number}")
    scan = recoloured(head, Recolouring(gamma=gamma, bias=0.3, noise=0.03, seed=number))
    write_image(images / f"brain_{number}.nii.gz", scan.data, scan, overwrite=True)
    labels = sampler.nearest(tissues.data)
    write_labels(truth / f"brain_{number}.nii.gz", labels, scan, overwrite=True)
scans = [read(path) for path in scans_of([images])]
known = [read(truth / f"brain_{number}.nii.gz").data for number in range(1, 5)]

# %% [markdown]
# ## Ten clicks
# In the first brain only. A robot stands in for you: it knows the truth, clicks once in each
# tissue and outside, and then always where the result is most wrong. After every click the
# classifier of *Click segmentation* answers, from a filter bank. One more click may make it worse.

# %%
bank = FilterBankSettings()
stacks = [compute(scan, bank) for scan in scans]
scene = robot.Scene.of(scans[0], stacks[0], known[0], tuple(TISSUE_NAMES))
session = robot.click_through(scene, SegmentSettings(features=bank), 10, robot.largest_error)
clicks = robot.named(session.prompts, TISSUE_NAMES)
write_prompts(clicked / "brain_1.json", clicks)
curve = ", ".join(f"{value:.2f}" for value in session.curve)
print(f"mean Dice in brain 1 after each click: {curve}")

# %% [markdown]
# ## The same ten clicks in every scan, without a network
# What a network must beat: the classifier that learned from the clicks, asked about the other
# brains too.

# %%
prompts = [clicks, *[Prompts()] * (len(scans) - 1)]
prompted = [PromptedScan(*one) for one in zip(scans, stacks, prompts, strict=True)]
background = [one.label for one in clicks.classes if one.is_background]
for number, belief in enumerate(beliefs(prompted), 1):
    labels = np.where(np.isin(belief.labels, background), 0, belief.labels)
    write_labels(alone / f"brain_{number}.nii.gz", labels, scans[number - 1], overwrite=True)

# %% [markdown]
# ## Finetune
# The network learns from what the clicks made of brain 1, faults included, with the clicks
# themselves on top, and from nothing of the others. Augmentation turns and recolours every crop:
# that is what may carry over to other scanners. Clicks alone, without a label map, can be
# learned from too; that was not measured here.
# The learning rate and this way to use the clicks were chosen after seeing scores on these very
# brains, so the numbers below flatter it: they show how it works, not how well.
# In the viewer this is the panel *Finetuning*; the line for the terminal is printed below.

# %%
labelled = labelled_pairs(images, alone, prompts=clicked, subjects=["brain_1"])
rate, patch = 5e-3, (32, 32, 32)
settings = FinetuneSettings(
    weights=weights, preset="cpu", steps=steps, learning_rate=rate, patch=patch
)
run = finetune(settings, labelled, folder / "run")
print(f"{steps} steps from {weights}; the same in a terminal:")
print(
    f"mrissl finetune --images {images} --labels {alone} --prompts {clicked} --subjects brain_1 "
    f"--weights {weights} --preset cpu --steps {steps} --learning-rate {rate:g} "
    f"--set patch={','.join(map(str, patch)).join('[]')} --out {folder / 'run'}"
)

# %% [markdown]
# ## Every scan
# `mrissl predict my_folder/run my_folder/images --out my_folder/network --names same` also marks
# the scan that the network has seen.

# %%
predict_scans(
    SavedSegmenter.load(run), scans_of([images]), network, names="same", seen=seen_in(run)
)

# %% [markdown]
# ## Measure
# The brain that was clicked in is left out of the comparison: the robot had seen its truth.
# `mrissl evaluate --pred my_folder/network --truth my_folder/truth --run my_folder/run` leaves it
# out too.

# %%
scored = {name: score_folders(folder / name, truth) for name in ("clicks_alone", "network")}
print("\n| Dice | brain |", " | ".join(TISSUE_NAMES.values()), "| mean |")
print("|---|---|" + "---|" * (len(TISSUE_NAMES) + 1))
for name, found in scored.items():
    for subject, values in found.measures()["dice"].items():
        # Each brain is a subject with one scan.
        brain_name = found.names[subject] + (", clicked" if subject == found.subjects[0] else "")
        numbers = [*values.values(), np.mean(list(values.values()))]
        print(f"| {name} | {brain_name} |", " | ".join(f"{v:.3f}" for v in numbers), "|")
unseen = {name: found.without("brain_1") for name, found in scored.items()}
compared = report(unseen["network"], unseen["clicks_alone"])
compared.write(folder / "evaluation")
row = next(
    one for one in compared.rows if (one.source, one.measure, one.label) == (OURS, "dice", "mean")
)
print(
    f"\nbrains never clicked in: network {row.mean:.3f}, clicks alone "
    f"{unseen['clicks_alone'].mean_dice:.3f}, difference {row.difference:+.3f} "
    f"({row.difference_low:+.3f} to {row.difference_high:+.3f})"
)
print("Three brains made of one template allow no claim about yours: measure on your own scans.")

# %% [markdown]
# ## Look
# A slice of each brain, its truth, and both results. The viewer opens all label maps as layers.

# %%
COLORS = np.array([(0, 0, 0), (230, 85, 13), (253, 208, 73), (49, 130, 189)], np.uint8)
titles = ("scan", "truth", "clicks alone", "network")
rows = []
for number, scan in enumerate(scans, 1):
    # An axial slice, front upwards.
    grey = scan.data[SIDE // 2, ::-1] / np.percentile(scan.data, 99.5)
    tiles = [drawing.grey(grey, (192, 192))]
    for place in (truth, alone, network):
        labels = read(place / f"brain_{number}.nii.gz").data[SIDE // 2, ::-1]
        tiles.append(Image.fromarray(COLORS[labels]).resize((192, 192), Image.Resampling.NEAREST))
    rows.append(drawing.row(tiles, [f"brain {number}: {title}" for title in titles]))
picture = drawing.column(rows)
picture.save(folder / "segmentations.png")
print(f"segmentations.png: {picture.width} x {picture.height} pixels")
