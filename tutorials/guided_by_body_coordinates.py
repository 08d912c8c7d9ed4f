"""Where in the body is this voxel, and what belongs there? Body coordinates that guide diffusion.

Painted heads are enough to try it. With the tiny preset both networks are trained within some
minutes and know little; take ``cpu`` for some hours, or ``gpu``, to see something:
python tutorials/guided_by_body_coordinates.py my_folder [preset] [steps] [scan ...]
"""

# %% [markdown]
# ## Two networks, one after the other
# The first learns three coordinates for every voxel: two places of one body get coordinates as
# far apart as the places are, whatever crop they are seen in. No labels are needed: the header
# of a scan says how many millimetres lie between two places. Then it is frozen, and the second
# learns to take noise out of patches, while it is told their coordinates.

# %%
import json
import sys
from pathlib import Path

from napari_mrissl.cli import main

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "guided")
preset = sys.argv[2] if len(sys.argv) > 2 else "tiny"
steps = ["--steps", sys.argv[3]] if len(sys.argv) > 3 else []
scans = sys.argv[4:] or ["heads"]
folder.mkdir(parents=True, exist_ok=True)
coordinates, diffusion = folder / "coordinates", folder / "diffusion"
begun = {"coordinates": (coordinates, []), "diffusion": (diffusion, ["--init", str(coordinates)])}
for method, (run, init) in begun.items():
    command = ["pretrain", method, "--data", *scans, "--preset", preset, *steps, *init]
    # What is there already, say of another machine, is taken as it is.
    if not run.exists() and main([*command, "--out", str(run)]):
        sys.exit(f"the run of {method} did not end well: see above")

# %% [markdown]
# ## Ask the first about a real head
# It is the MNI152 template, and painted heads are that template's anatomy: its shape is nothing
# new to the network, only its grey values are. A number alone says nothing: beside it is what
# knowing nothing is worth, and the same network untrained. Name a second scan with ``--other``,
# and each point is also found again in that one, beside an affine alignment of the two.

# %%
from napari_mrissl.volumes.samples import mni152  # noqa: E402
from napari_mrissl.volumes.writing import write_image  # noqa: E402

head = mni152(2)
scan = folder / "mni152.nii.gz"
if not scan.exists():
    write_image(scan, head.data, head)


def inspected(method: str, *words: str) -> dict:
    """The report on the run of a method."""
    out = folder / f"report_{method}"
    if main(["inspect", method, str(folder / method), str(scan), *words, "--out", str(out)]):
        sys.exit("the inspection did not end well: see above")
    found: dict = json.loads((out / "report.json").read_text("utf-8"))
    return found


where = inspected("coordinates", "--points", "200")
for name in ("spearman_right", "spearman_anterior", "spearman_superior", "error_mm", "match_mm"):
    untrained = where["controls"]["untrained"][name]
    print(f"{name}: {where[name]:.3f}, by chance {where[f'chance_{name}']:.3f}, "
          f"untrained {untrained:.3f}")  # fmt: skip

# %% [markdown]
# ## Ask the second what it sees behind noise
# Its loss at five signal-to-noise ratios, beside the best that can be done voxel by voxel, and
# what becomes of it when the network is told nothing, or coordinates of another place. If all
# four are alike, coordinates guide nothing.

# %%
what = inspected("diffusion", "--patches", "4", "--steps", "4")
for ratio, losses in what["guides"].items():
    guides = ("true", "off", "shifted", "shuffled")
    told = ", ".join(f"{guide} {losses[guide]:.3f}" for guide in guides)
    print(f"at {ratio} dB by chance {what[f'chance_loss_{ratio}_db']:.3f}; told {told}")

# %% [markdown]
# ## In the viewer
# Open the Inspector and choose the run *coordinates*: the tab *Map* draws colours, lines of the
# same coordinate, arrows along which it rises, and where it folds; a click in *Same place* is
# found again in another scan, with the error beside an affine alignment. Of the run *diffusion*,
# *Denoise* shows a patch behind noise, *Steps* its way out of noise with a slider of its own,
# *Guidance* what coordinates change, *Seams* where patches do not agree, and *Probe* the
# features of the decoder.
