"""Painted heads: whole-head subjects with their labels, made from anatomical label maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_mrissl.errors import MrisslError
from napari_mrissl.synthesis.appearance import LABELS, AppearanceDraw, draw_appearance
from napari_mrissl.synthesis.augmentation import draw_augmentation
from napari_mrissl.synthesis.compiled import CompiledOperations
from napari_mrissl.synthesis.deformation import DeformationSettings, Sampler, draw_deformation
from napari_mrissl.synthesis.draws import generator
from napari_mrissl.synthesis.head_templates import (
    HeadTemplate,
    Split,
    Subject,
    cubic_affine,
    cubic_volume,
)
from napari_mrissl.synthesis.noise import draw_fields, nodes_of
from napari_mrissl.synthesis.operations import Scaled
from napari_mrissl.synthesis.settings import (
    Amount,
    AppearanceSettings,
    AugmentationSettings,
    BiasFieldSettings,
    ContrastSettings,
    GibbsSettings,
    LowResolutionSettings,
    Positive,
    Settings,
    SharpenSettings,
    SmoothSettings,
    SpikeSettings,
)
from napari_mrissl.synthesis.tissues import CONTRASTS, LOOKS, SOFT_TISSUE, structure_of
from napari_mrissl.synthesis.views import augmented
from napari_mrissl.volumes import Volume

_MARGIN = 1.06
_FAT_MM = 10.0
_FAT_SCALES = (8, 16)
_UNKNOWN = (40.0, 200.0)
_BYTES_PER_VOXEL = 24

_SCANNER = AugmentationSettings(
    bias=BiasFieldSettings(probability=1.0, coefficients=(-0.1, 0.1)),
    spike=SpikeSettings(probability=0.0),
    contrast=ContrastSettings(probability=0.5, gamma=(0.8, 1.25)),
    smooth=SmoothSettings(probability=1.0, sigma=(0.35, 0.65)),
    gibbs=GibbsSettings(probability=0.2, alpha=(0.0, 0.2)),
    sharpen=SharpenSettings(probability=0.0),
    low_resolution=LowResolutionSettings(probability=0.2, zoom=(0.6, 1.0)),
)


class HeadSettings(Settings):
    """How painted heads are shaped, coloured and degraded."""

    version: Literal[1] = 1
    side: Annotated[int, Field(ge=16, le=512, multiple_of=16)] = Field(
        default=128, title="Side", description="Voxels along each side; a multiple of 16."
    )
    spacing: Positive | None = Field(
        default=None,
        title="Spacing (mm)",
        description="Side of a voxel; without it the volume is just larger than the head.",
    )
    contrast: Literal["realistic", "random"] = Field(
        default="realistic",
        title="Contrast",
        description="Grey values as in T1-, T2- or proton-density-weighted scans, or any.",
    )
    noise: Amount = Field(
        default=(2.0, 10.0),
        title="Noise (of 255)",
        description="Range of the standard deviation of the noise, for realistic contrast.",
    )
    gamma: Amount = Field(
        default=(0.6, 1.6),
        title="Gamma of a real template",
        description="Range of the exponent that recolours MNI152, for realistic contrast.",
    )
    deformation: DeformationSettings = Field(default=DeformationSettings(), title="Deformation")
    appearance: AppearanceSettings = Field(default=AppearanceSettings(), title="Appearance")
    augmentation: AugmentationSettings = Field(default=_SCANNER, title="Augmentation")


@dataclass(frozen=True, eq=False)
class Head:
    """One painted subject.

    Attributes
    ----------
    image
        A `Volume`: grey values in [0, 1], float32 (S, A, R), S = A = R = side, on an upright
        cubic grid; its affine goes to the template's RAS mm.
    labels
        (S, A, R) uint16 on the same grid: the template's own label numbers, 0 outside.
    subject
        The key to split by, e.g. ``"head-03"`` or ``"mni152-03"``: all heads of one subject
        belong in the same part of any split.
    split
        ``"train"`` or ``"test"``, that of the subject.
    record
        Every drawn number but those that the seed gives, as plain data.
    """

    image: Volume
    labels: NDArray[np.uint16]
    subject: str
    split: Split
    record: dict[str, Any]

    def image_as_bytes(self) -> NDArray[np.uint8]:
        """(S, A, R) the image times 255, rounded."""
        values: NDArray[np.uint8] = np.rint(self.image.data * 255).astype(np.uint8)
        return values


class Heads:
    """Painted heads on the fly: the same for the same seed, index and subjects, in any order.

    With a folder of label maps named ``training_seg_01`` and so on, 01 to 09 are for
    training and 10 to 12 for tests::

        Heads(subjects_of_folder(folder), HeadSettings(side=64), seed=0, split="train")

    and without any, `subjects_of_mni152` gives ten subjects out of the packaged MNI152, 8
    for training and 2 for tests. ``heads.head(index)`` is made of subject number ``index``
    modulo the count of those in the split, so that successive indices go through all of
    them; shape, contrast and noise depend on seed and index alone, on no thread, process
    or head made before. No subject is in both splits, and no head of one split is ever
    made from a template of the other.

    Templates are read when they are first needed and kept: about 10 MB each for a head at
    1 mm. Calls from several threads at a time give the same heads.

    Parameters
    ----------
    subjects
        E.g. of `subjects_of_folder` or `subjects_of_mni152`.
    settings
        Defaults when left out.
    seed
        Any whole number.
    split
        ``"train"``, ``"test"`` or ``"all"``: which subjects to take.

    Raises
    ------
    MrisslError
        If no subject is in the split.
    """

    def __init__(
        self,
        subjects: Sequence[Subject],
        settings: HeadSettings | None = None,
        seed: int = 0,
        split: Split | Literal["all"] = "all",
    ) -> None:
        self.subjects = [s for s in subjects if split in ("all", s.split)]
        if not self.subjects:
            raise MrisslError(
                f"none of {len(subjects)} label maps is for {split}",
                where="split",
                remedy="give more label maps or another split",
            )
        self.settings = settings or HeadSettings()
        self.seed = seed
        self._read: dict[int, HeadTemplate] = {}
        self._run = CompiledOperations()

    def prepare(
        self, indices: Iterable[int], progress: Callable[[float], object] | None = None
    ) -> None:
        """Read the templates of these heads, so that a bad one is refused at once."""
        wanted = sorted({index % len(self.subjects) for index in indices})
        for done, number in enumerate(wanted):
            if progress is not None:
                progress(done / len(wanted))
            self._template(number)
        if progress is not None:
            progress(1.0)

    def memory_estimate(self) -> int:
        """Bytes that a head takes at most while it is made, the templates read included.

        24 bytes a voxel: 50 MB at a side of 128.
        """
        pool = sum(template.nbytes for template in self._read.values())
        return pool + _BYTES_PER_VOXEL * self.settings.side**3

    def head(self, index: int) -> Head:
        """The head of this index.

        Raises
        ------
        MrisslError
            If the index is negative or the template cannot be used.
        """
        if index < 0:
            raise MrisslError(f"index {index}", expected="a whole number >= 0")
        template = self._template(index % len(self.subjects))
        settings, seed = self.settings, self.seed
        side = settings.side
        step = settings.spacing or template.extent * _MARGIN / side
        affine = cubic_affine(template.center, side, step)
        move = draw_deformation(generator(seed, index, "head deformation"), settings.deformation)
        sampler = Sampler(template.to_index, affine, side, move)
        numbers = sampler.nearest(template.numbers)
        chain = draw_augmentation(seed, index, 0, settings.augmentation, side)
        if settings.contrast == "realistic" and template.image is not None:
            scaled, drawn = self._recoloured(index, sampler, template.image)
        else:
            scaled, drawn = self._painted(index, sampler, template, numbers)
        image = self._run.finish(augmented(self._run, scaled, chain))
        record = {
            "seed": seed,
            "index": index,
            "subject": template.subject,
            "split": template.split,
            "template": template.identity,
            "spacing_mm": step,
            "deformation": move.record(),
            "appearance": drawn,
            "augmentation": chain.record(),
        }
        return Head(
            cubic_volume(image, affine, f"head {index}"),
            template.labels.astype(np.uint16)[numbers],
            template.subject,
            template.split,
            record,
        )

    def _template(self, number: int) -> HeadTemplate:
        if number not in self._read:
            self._read[number] = self.subjects[number].load()
        return self._read[number]

    def _recoloured(
        self, index: int, sampler: Sampler, values: NDArray[np.uint8]
    ) -> tuple[Scaled, dict[str, Any]]:
        """A real template's own grey values, by a gamma curve and with noise."""
        rng = generator(self.seed, index, "head contrast")
        gamma = float(rng.uniform(*self.settings.gamma))
        noise = float(rng.uniform(*self.settings.noise))
        image = (sampler.linear(values) / np.float32(255)) ** np.float32(gamma)
        image += rng.standard_normal(image.shape, np.float32) * np.float32(noise / 255)
        np.maximum(image, 0, out=image)
        ends = float(image.min()), float(image.max())
        return Scaled(image, *ends), {"contrast": "t1", "gamma": gamma, "noise": noise}

    def _painted(
        self, index: int, sampler: Sampler, template: HeadTemplate, numbers: NDArray[np.uint8]
    ) -> tuple[Scaled, dict[str, Any]]:
        """Grey values by label: the engine's mixture and smooth noise."""
        settings = self.settings
        look = draw_appearance(self.seed, index, 0, settings.appearance)
        highest = len(template.labels) - 1
        if settings.contrast == "realistic":
            look, drawn = self._realistic(index, template, look)
            painted = self._with_fat(index, sampler, template, numbers)
        else:
            drawn, painted = {"contrast": "random", **look.record(0, highest)}, numbers
        scaled = self._run.mixture(painted, *look.tables(0), look.key)
        scales, amplitude = settings.appearance.noise_scales, settings.appearance.noise_amplitude
        return self._run.modulate(scaled, nodes_of(scales), look.coarse, amplitude), drawn

    def _realistic(
        self, index: int, template: HeadTemplate, look: AppearanceDraw
    ) -> tuple[AppearanceDraw, dict[str, Any]]:
        """Means by tissue; the left and the right of a structure have the same."""
        rng = generator(self.seed, index, "head contrast")
        contrast = CONTRASTS[int(rng.integers(len(CONTRASTS)))]
        noise = float(rng.uniform(*self.settings.noise))
        tissues = {name: rng.uniform(0.93, 1.07) for name in sorted(LOOKS)}
        means, stds = np.zeros(LABELS, np.float32), np.zeros(LABELS, np.float32)

        def paint(number: int, tissue: str, factor: float) -> None:
            values = LOOKS[tissue]
            means[number] = getattr(values, contrast) * tissues[tissue] * factor
            stds[number] = float(np.hypot(noise, values.spread))

        for number, (label, tissue) in enumerate(
            zip(template.labels.tolist(), template.tissues, strict=True)
        ):
            own = generator(self.seed, index, f"structure {structure_of(label)}")
            factor, level = own.uniform(0.97, 1.03), own.uniform(*_UNKNOWN)
            if tissue is None:
                means[number], stds[number] = level, noise
            else:
                paint(number, "muscle" if tissue == SOFT_TISSUE else tissue, factor)
        paint(len(template.labels), "fat", 1.0)
        values = means[: len(template.labels) + 1].tolist()
        changed = replace(look, means=means, stds=stds, skip_lowest=False)
        return changed, {"contrast": contrast, "noise": noise, "means": values}

    def _with_fat(
        self, index: int, sampler: Sampler, template: HeadTemplate, numbers: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        """Soft tissue near the skin becomes fat, with an uneven border."""
        soft = [k for k, tissue in enumerate(template.tissues) if tissue == SOFT_TISSUE]
        if not soft:
            return numbers
        rng = generator(self.seed, index, "head fat")
        _, coarse = draw_fields(rng, _FAT_SCALES, (0.7, 1.3))
        thickness = float(rng.uniform(0.7, 1.5)) * _FAT_MM
        place = np.isin(numbers, soft)
        coarser = np.diag([1 / template.depth_step] * 3 + [1.0]) @ sampler.to_index
        depth = replace(sampler, to_index=coarser).linear(template.depth)
        uneven = self._field(coarse[0], self.settings.side)
        fat = place & (depth + 0.3 * thickness * uneven < thickness)
        painted = numbers.copy()
        painted[fat] = len(template.labels)
        return painted

    def _field(self, coarse: NDArray[np.float32], side: int) -> NDArray[np.float32]:
        """The sum of upsampled noise fields: what `modulate` makes of ones."""
        flat = Scaled(np.ones((side,) * 3, np.float32), 0.0, 1.0)
        image: NDArray[np.float32] = self._run.modulate(flat, nodes_of(_FAT_SCALES), coarse, 1.0)[0]
        image -= 1
        return image
