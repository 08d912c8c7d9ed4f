"""Bring one scan onto another: two contrasts, a known warp, and what each figure means.

Nothing but a folder for the results is needed; your own two scans may be named instead:
python tutorials/register_two_scans.py my_folder [fixed.nii.gz moving.nii.gz]
"""

# %% [markdown]
# ## Two scans
# The fixed scan stays, the moving one is brought onto it. Without scans of your own they are
# made of the MNI152 template: the fixed one is bent by up to 6 mm, the moving one is flatter in
# contrast, brighter on one side, noisy, turned by 8 degrees and shifted, and the truth is known.

# %%
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from PIL import Image
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_mrissl.cli import main
from napari_mrissl.features.recolouring import Recolouring, recoloured
from napari_mrissl.registration.grids import Grid
from napari_mrissl.registration.transform import warped, warped_labels
from napari_mrissl.volumes import Volume, read, write_image
from napari_mrissl.volumes.samples import mni152, mni152_tissues

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "registered")
folder.mkdir(parents=True, exist_ok=True)
own = [Path(word) for word in sys.argv[2:4]]
fixed, moving = own or (folder / "fixed.nii.gz", folder / "moving.nii.gz")
labels = [] if own else [folder / f"{name}_labels.nii.gz" for name in ("fixed", "moving")]
bend = np.zeros((1, 1, 1, 3))
turn = np.eye(4)
if not own:
    head, tissues = mni152(2), mni152_tissues(2)
    grid = Grid.of(head)
    rng = np.random.default_rng(0)
    noise = (ndimage.gaussian_filter(rng.normal(size=grid.shape), 12) for _ in range(3))
    bend = np.stack(list(noise), axis=-1)
    bend *= 6 / np.linalg.norm(bend, axis=-1).max()
    turn[:3, :3] = Rotation.from_rotvec(np.radians([6, -4, 3])).as_matrix()
    turn[:3, 3] = 5, -4, 3
    other = recoloured(head, Recolouring(gamma=0.5, bias=0.3, noise=0.03))
    look = np.where(head.data > 0, other.data, 0).astype(np.float32)
    there = Volume.from_stored(look, turn @ head.affine, name="moving")
    write_image(fixed, warped(head, bend, grid), head)
    write_image(moving, look, there)
    write_image(labels[0], warped_labels(tissues.data, tissues, bend, grid), head)
    write_image(labels[1], tissues.data, there)


def run(*words: object) -> None:
    """A command of mrissl, which must end well."""
    if main([str(word) for word in words]):
        sys.exit("the command did not end well: see above")


# %% [markdown]
# ## One command
# First a rigid alignment by mutual information, then a displacement of every voxel: MIND-SSC
# descriptors, which do not ask what is bright, are compared by ConvexAdam. Scans of two people
# want ``--preset mr-mr``, an MR and a CT ``--preset mr-ct``. *Registration* in napari does the
# same with a picture of every step.

# %%
out = folder / "result"
known = ["--labels", labels[1], "--fixed-labels", labels[0]] if labels else []
run("register", fixed, moving, *known, "--out", out, "--overwrite")
facts = json.loads((out / "registration.json").read_text("utf-8"))
print(f"at most {facts['largest_displacement_mm']:.1f} mm from place to place")
print(f"{100 * facts['fold_share']:.2f} % of the voxels are folded: more than 1 % is a warning")

# %% [markdown]
# ## What it is worth
# The Dice of tissues before and after, and the error against the truth. Mind what is compared:
# "before" is what the headers say. The field lies on the fixed scan's grid in millimetres; ITK's
# axes point left and posterior, so two signs differ from those of NIfTI.

# %%
field = nib.load(out / "displacement.nii.gz")
moved_mm = np.squeeze(np.asarray(field.dataobj)) * [-1, -1, 1]
if not own:
    for stage, scores in facts["labels"].items():
        print(f"white matter {stage}: Dice {scores['2']['dice']:.3f}")
    inside = read(labels[0]).data > 0
    places = np.moveaxis(np.indices(grid.shape), 0, -1) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    truth = (places + bend) @ turn[:3, :3].T + turn[:3, 3] - places
    found = moved_mm.transpose(2, 1, 0, 3)

    def error(displacements: np.ndarray) -> float:
        """Mean distance from the truth in the brain, mm."""
        return float(np.linalg.norm(displacements - truth, axis=-1)[inside].mean())

    def linear_mm(matrix: list[list[float]]) -> np.ndarray:
        """The displacements of a 4x4 matrix in RAS mm."""
        linear = np.array(matrix)
        displaced: np.ndarray = places @ linear[:3, :3].T + linear[:3, 3] - places
        return displaced

    print(f"error by the headers {error(0 * truth):.2f} mm, after the rigid alignment "
          f"{error(linear_mm(facts['linear'])):.2f} mm, after the deformable one "
          f"{error(found):.2f} mm")  # fmt: skip

# %% [markdown]
# ## Look at it
# A checkerboard shows both scans in turn: borders must run on from square to square.


# %%
def checkerboard(name: str, path: Path) -> None:
    """The middle slice of the fixed scan and of another on its grid, in squares."""
    middle = []
    for scan in (nib.load(fixed), nib.load(path)):
        image = np.asarray(scan.dataobj, np.float32)
        part = image[:, :, image.shape[2] // 2].T[::-1]
        middle.append(np.clip(part / np.percentile(image[image > 0], 99), 0, 1))
    rows, columns = np.indices(middle[0].shape) // 12
    shown = np.where((rows + columns) % 2, *middle)
    picture = Image.fromarray(np.uint8(255 * shown))
    picture.resize((4 * picture.width, 4 * picture.height)).save(folder / name)


itk_fixed, itk_moving = (sitk.ReadImage(str(path), sitk.sitkFloat32) for path in (fixed, moving))
sitk.WriteImage(sitk.Resample(itk_moving, itk_fixed), str(folder / "before.nii.gz"))
checkerboard("before.png", folder / "before.nii.gz")
checkerboard("after.png", out / "moved.nii.gz")

# %% [markdown]
# ## Use the field elsewhere
# SimpleITK (and ANTs) take the file as it is, and come to the same image.

# %%
way = sitk.ReadImage(str(out / "displacement.nii.gz"), sitk.sitkVectorFloat64)
again = sitk.Resample(itk_moving, itk_fixed, sitk.DisplacementFieldTransform(way), sitk.sitkLinear)
ours = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "moved.nii.gz"), sitk.sitkFloat32))
apart = np.abs(sitk.GetArrayFromImage(again) - ours)
print(f"SimpleITK differs by {apart.mean() / ours.std():.1e} of the standard deviation")

# %% [markdown]
# ## Landmarks instead of a guess
# Where headers are of no use, places that are each other's match by learned features begin it.
# The error of landmarks that the alignment was fitted to is no measure of the result.

# %%
run("match", fixed, moving, "--out", folder / "matched", "--overwrite")
table = folder / "matched" / "landmarks.csv"
marks = np.genfromtxt(table, delimiter=",", names=True)
pairs = [np.stack([marks[f"{side}_{axis}"] for axis in "xyz"], axis=-1)
         for side in ("fixed", "moving")]  # fmt: skip
print(f"{len(marks)} landmarks")
if not own:
    index = np.rint((pairs[0] - grid.affine[:3, 3]) @ np.linalg.inv(grid.affine[:3, :3]).T)
    s, a, r = index.astype(int).T
    far = np.linalg.norm(pairs[0] + truth[s, a, r] - pairs[1], axis=-1)
    print(f"half of them within {np.median(far):.1f} mm of the truth")
begun = folder / "by_landmarks"
run("register", fixed, moving, "--initial", "landmarks", "--landmarks", table, "--rigid-only",
    "--out", begun, "--overwrite")  # fmt: skip
if not own:
    facts = json.loads((begun / "registration.json").read_text("utf-8"))
    first, last = (error(linear_mm(facts[name])) for name in ("initial", "linear"))
    print(f"the map that most of them agree with is {first:.2f} mm off, {last:.2f} mm after the "
          "rigid alignment that begins with it")  # fmt: skip

# %% [markdown]
# ## Carry labels over
# One labelled scan gives many others a first segmentation, to be corrected or learned from.

# %%
if labels:
    run("transfer", fixed, labels[0], moving, "--out", folder / "carried", "--overwrite")
    (carried,) = (folder / "carried").rglob("*_dseg.nii.gz")
    mask, truth_labels = read(carried).data, read(labels[1]).data
    both = (mask == 2) & (truth_labels == 2)
    score = 2 * both.sum() / ((mask == 2).sum() + (truth_labels == 2).sum())
    print(f"white matter carried to the other scan: Dice {score:.3f}")
