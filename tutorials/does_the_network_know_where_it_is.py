"""Does the network know where it is? Ask it how far apart two views of a head are.

Painted heads are enough to try it. The tiny preset ends within a minute and learns little; take
``cpu`` for an hour, or ``gpu``, to see something:
python tutorials/does_the_network_know_where_it_is.py my_folder [preset] [steps] [scan ...]
"""

# %% [markdown]
# ## Three questions about views of one scan
# How far is it from this view to that one, along R, A and S (gaps)? Which parts of them face
# each other (chunks)? Where do the steps of a route lead (vectors)? No labels are needed: the
# header of a scan says how many millimetres lie between any two places in it.

# %%
import json
import sys
from pathlib import Path

from napari_mrissl.cli import main

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "places")
preset = sys.argv[2] if len(sys.argv) > 2 else "tiny"
steps = ["--steps", sys.argv[3]] if len(sys.argv) > 3 else []
scans = sys.argv[4:] or ["heads"]
folder.mkdir(parents=True, exist_ok=True)
run = folder / "observable"
# The edge head asks about pairs of views, so its answers can contradict each other.
command = ["pretrain", "observable", "--data", *scans, "--preset", preset, *steps]
command += ["--set", "vector_head=edge"]
if main([*command, "--out", str(run)]):
    sys.exit("the run did not end well: see above")

# %% [markdown]
# ## Ask about a real head
# It is the MNI152 template, and painted heads are that template's anatomy, deformed and
# recoloured: after training on them its shape is nothing new to the network, only its grey
# values are. Ask about a scan of a person who was not trained on to learn what it knows of
# others. Each command writes figures, tables and a report. A number alone says nothing: beside
# it is what the best constant answer is worth, which needs no network at all.

# %%
from napari_mrissl.volumes.samples import mni152  # noqa: E402
from napari_mrissl.volumes.writing import write_image  # noqa: E402

head = mni152(2)
scan = folder / "mni152.nii.gz"
if not scan.exists():
    write_image(scan, head.data, head)
reports = {}
for part in ("gap", "chunks", "routes"):
    out = folder / part
    if main(["inspect", part, str(run), str(scan), "--sets", "8", "--out", str(out)]):
        sys.exit("the inspection did not end well: see above")
    reports[part] = json.loads((out / "report.json").read_text("utf-8"))
report = reports["gap"]
for name in ("mae_mm", "spearman", "chunk_accuracy", "route_end_error_mm"):
    if report.get(name) is not None:
        print(f"{name}: {report[name]:.3f}, by chance {report[f'chance_{name}']:.3f}")

# %% [markdown]
# ## What the same network says without training
# Its layout alone, with weights as they were drawn; and of chunks, the correlation of grey
# values. Chunks that face each other look alike: only what is better than this was learned.

# %%
for control, values in report["controls"].items():
    for name in ("mae_mm", "chunk_accuracy"):
        if values.get(name) is not None:
            print(f"{name} of {control}: {values[name]:.3f}")

# %% [markdown]
# ## Answers that contradict themselves
# From here to there is as far as from there to here, and two sides of a triangle are longer
# than the third: a network that breaks this is wrong, whatever the truth is. The gap head
# cannot break it, as its gaps are differences of places: of it these numbers are 0 by
# construction, before any training. Of the edge head's vectors, which a report on routes
# shows, they were learned or they were not.

# %%
print("0 by construction, of gaps:", ", ".join(report["shown"]["zero_by_construction"]))
shown = reports["routes"]["shown"]
print(f"from a view to itself: {shown['diagonal_mm']:.2f} mm")
print(f"there and back: {shown['antisymmetry_mm']:.2f} mm")
print(f"triangles that cannot be: {100 * shown['triangle_violations']:.0f} %")
for place in shown["reliability"]:
    print(
        f"{place['pairs']} pairs {place['true_mm']:.0f} mm apart: said to be "
        f"{place['predicted_mm']:.0f} mm"
    )

# %% [markdown]
# ## In the viewer
# Open the Inspector, choose the run *observable*, and click a cell of the matrix: both views
# are framed in the scan, with a true and a predicted arrow between them. The tab *Slices* asks
# about all slices of the scan at once; a click flies there. *Check* says what is above in
# plain words, and warns of what usually goes wrong.
#
# The null control is the same run with places of other samples (`--shuffled`): if it gets
# below chance, the measurement leaks, and the figures above mean nothing.
