"""From no data at all to training data: every stage of the data engine, and painted heads.

Needs no scan, no label map and no network; it takes some seconds and writes two pictures
and a small training set:  python tutorials/from_no_data_to_training_data.py my_folder [side]
"""

# %% [markdown]
# ## Shapes out of nothing
# The engine paints with binary shapes. Label maps of any kind give them
# (`Templates.from_folder`); here there are none, so blobs, tubes and sheets made by rule
# stand in.

# %%
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from napari_mrissl.synthesis import Engine, EngineSettings, Templates
from napari_mrissl.synthesis.export import export_ensembles, export_heads
from napari_mrissl.synthesis.head_templates import subjects_of_folder, subjects_of_mni152
from napari_mrissl.synthesis.heads import Heads, HeadSettings

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "from_no_data")
side = int(sys.argv[2]) if len(sys.argv) > 2 else 96
folder.mkdir(parents=True, exist_ok=True)
shapes = Templates.procedural(seed=0)
print(f"{len(shapes)} shapes, {shapes.nbytes / 1e6:.1f} MB")

# %% [markdown]
# ## A picture of a slice
# Labels in colours, grey values in grey; each tile has a title.

# %%
TILE, TITLE = 176, 18
palette = np.random.default_rng(1).integers(60, 256, (256, 3)).astype(np.uint8)
palette[0] = 0


def tile(plane: np.ndarray, title: str) -> Image.Image:
    """One slice, S or A upwards, under its title."""
    if plane.dtype == np.float32:
        colors = np.repeat((255 * plane.clip(0, 1)).astype(np.uint8)[..., None], 3, axis=2)
    else:
        colors = palette[plane.astype(np.int64) % 256]
    picture = Image.new("RGB", (TILE, TILE + TITLE))
    slice_ = Image.fromarray(np.ascontiguousarray(colors[::-1])).resize((TILE, TILE), 0)
    picture.paste(slice_, (0, TITLE))
    ImageDraw.Draw(picture).text((3, 3), title, fill="white")
    return picture


def sheet(rows: list[list[Image.Image]], path: Path) -> None:
    """Rows of tiles as one PNG."""
    width, height = max(map(len, rows)) * (TILE + 4), len(rows) * (TILE + TITLE + 4)
    whole = Image.new("RGB", (width, height), (40, 40, 40))
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            whole.paste(picture, (x * (TILE + 4), y * (TILE + TITLE + 4)))
    whole.save(path, optimize=True)
    print(f"{path.name}: {whole.width} x {whole.height} pixels")


# %% [markdown]
# ## Every stage of one sample
# First the labels, which both views share: shapes, painted over each other, smoothed,
# and in two of three samples cut out by a deformed ball. Then, for each view on its own,
# grey values and the chain of scanner faults. A stage that did not act says so. We look
# for a sample with a mask and an envelope; the same index is always the same sample.

# %%
engine = Engine(shapes, EngineSettings.of_side(side), seed=11)
index = next(k for k in range(100) if engine.pair(k).kind == "enveloped")
stages = engine.stages(index)
middle = side // 2
rows: list[list[Image.Image]] = [[], [], []]
for stage in stages:
    title = stage.title if stage.view is None else f"{'AB'[stage.view]}: {stage.title}"
    title += "" if stage.active else " (not drawn)"
    # A single shape need not reach the middle: show where most of it is.
    cut = np.argmax((stage.array > 0).sum(axis=(1, 2))) if stage.name == "copy" else middle
    rows[0 if stage.view is None else 1 + stage.view].append(tile(stage.array[cut], title))
sheet(rows, folder / "stages.png")
print(f"sample {index}: {len(stages)} stages, {int(stages[7].array.max())} labels")

# %% [markdown]
# ## Painted heads
# The same stages over real anatomy: FreeSurfer label maps where you have them (a third
# argument), else MNI152 and its tissues. Realistic contrast has the order of tissues of
# common scans; random contrast has none, which teaches a network not to trust it.

# %%
subjects = subjects_of_folder(sys.argv[3]) if len(sys.argv) > 3 else subjects_of_mni152()
shown = subjects[:1]
rows = []
for contrast in ("realistic", "random"):
    head = Heads(shown, HeadSettings(side=side, contrast=contrast), seed=2).head(0)
    grey, labels = head.image.data, head.labels
    names = ("axial", "coronal", "sagittal")
    cuts = [grey[middle], grey[:, middle], grey[:, :, middle]]
    row = [tile(cut, f"{contrast}, {name}") for cut, name in zip(cuts, names, strict=True)]
    rows.append([*row, tile(labels[:, middle], "labels, coronal")])
sheet(rows, folder / "heads.png")

# %% [markdown]
# ## A training set on disk
# NIfTI images with their labels, and a table with the subject of each. Nothing needs
# these files, though: methods ask the engine for the next sample while they train. The
# command line does the same: `mrissl synthesize heads --count 100 --out heads --seed 1`.

# %%
export_ensembles(engine, 2, folder / "ensembles")
settings = HeadSettings(side=side)
table = export_heads(Heads(shown, settings, seed=1, split="train"), 2, folder / "heads")
for row in table:
    print(f"{row['file']}: {row['subject']} for {row['split']}, {row['spacing_mm']:.2f} mm")
