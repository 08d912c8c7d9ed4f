"""From clicks to slices and to the whole volume (K5), beside CatBoost and forests.

Run with ``python tests/benchmarks/bench_clicks.py``. All classifiers see the same cached
features of the MNI152 T1 at 1 mm and the same 600 labelled voxels; Dice is the mean over
grey and white matter and five seeds with ten random truth clicks a class, on every eighth
slice. Rivals run as convpaint (CatBoost) and FeatureForest (random forest of 450 trees,
depth 9) run them: `predict` on rows of features.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
from measure import Table, measure, save

from napari_mrissl import features
from napari_mrissl.features import FilterBankSettings
from napari_mrissl.geometry import apply_affine
from napari_mrissl.metrics import dice
from napari_mrissl.segmentation import InstantSegmenter, Prompts, SegmentSettings
from napari_mrissl.segmentation.classifiers import CLASSIFIERS
from napari_mrissl.segmentation.prompts import labelled_voxels
from napari_mrissl.slicing.threads import threads
from napari_mrissl.volumes import samples

SEEDS = range(5)
EVERY = 8
LABELS = (1, 2, 3, 4)
OURS = ("fast", "logistic", "lda")
SLOW_PARTS = {"CatBoost 100 x 5": 1 / 8, "random forest 100": 1 / 8, "forest 450 x 9": 1 / 64}


def catboost() -> Any:
    """Convpaint's default."""
    from catboost import CatBoostClassifier

    return CatBoostClassifier(
        iterations=100, depth=5, random_seed=0, verbose=False, allow_writing_files=False,
        thread_count=threads(),
    )  # fmt: skip


def forest(trees: int, depth: int | None) -> Callable[[], Any]:
    """A random forest of scikit-learn on all threads."""

    def make() -> Any:
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(trees, max_depth=depth, n_jobs=threads(), random_state=0)

    return make


RIVALS = {
    "CatBoost 100 x 5": catboost,
    "random forest 100": forest(100, None),
    "forest 450 x 9": forest(450, 9),
}


class Ours:
    """One of our classifiers."""

    def __init__(self, name: str, volume: Any, stack: Any) -> None:
        settings = SegmentSettings(features=stack.settings, classifier=name)
        self.segmenter = InstantSegmenter(volume, stack, settings)
        self.volume = volume

    def fit(self, prompts: Prompts) -> None:
        self.segmenter.fit(prompts)

    def slices(self) -> list[np.ndarray]:
        shown = []
        for axis in range(3):
            shape = [1 if a == axis else n for a, n in enumerate(self.volume.shape)]
            affine = self.volume.affine.copy()
            affine[:3, 3] += affine[:3, axis] * (self.volume.shape[axis] // 2)
            shown.append(self.segmenter.predict_plane(affine, tuple(shape)))
        return shown

    def whole(self) -> np.ndarray:
        return self.segmenter.predict_volume().labels

    def part(self) -> np.ndarray:
        return self.whole()[::EVERY]


class Rival:
    """An estimator with fit and predict on rows."""

    def __init__(self, name: str, volume: Any, stack: Any) -> None:
        self.make, self.volume, self.data = RIVALS[name], volume, stack.data
        self.count = round(len(volume.data) * SLOW_PARTS[name])

    def fit(self, prompts: Prompts) -> None:
        voxels = labelled_voxels(self.volume, prompts)
        rows = np.ascontiguousarray(self.data[(slice(None), *voxels.indices.T)].T)
        self.estimator = self.make().fit(rows, voxels.labels)

    def predict(self, data: np.ndarray) -> np.ndarray:
        rows = np.ascontiguousarray(data.reshape(len(data), -1).T)
        return self.estimator.predict(rows).astype(np.uint8).reshape(data.shape[1:])

    def slices(self) -> list[np.ndarray]:
        return [
            self.predict(np.take(self.data, n // 2, axis + 1))
            for axis, n in enumerate(self.volume.shape)
        ]

    def whole(self) -> np.ndarray:
        return self.predict(self.data[:, : self.count])

    def part(self) -> np.ndarray:
        return np.stack(
            [self.predict(self.data[:, s]) for s in range(0, len(self.volume.data), EVERY)]
        )


def clicks(volume: Any, truth: np.ndarray, seed: int, per_class: int) -> Prompts:
    """Random voxels of each class, from the truth."""
    rng = np.random.default_rng(seed)
    chosen = [rng.choice(np.flatnonzero(truth == k), per_class, False) for k in LABELS]
    index = np.stack(np.unravel_index(np.concatenate(chosen), truth.shape), axis=1)
    return Prompts.from_arrays(apply_affine(volume.affine, index), np.repeat(LABELS, per_class))


def main() -> None:
    """Measure, print and save."""
    os.environ["MRISSL_CACHE_DIR"] = tempfile.mkdtemp(prefix="mrissl-bench-")
    volume = samples.mni152(1)
    truth = samples.mni152_tissues(1).data
    truth = np.where(truth == 0, 4, truth).astype(np.uint8)
    settings = FilterBankSettings()

    def feature_pass(round_: int) -> None:
        features.clear_cache()
        features.compute(volume, settings)

    passes = measure({"filter bank": feature_pass}, rounds=3, warm_up=1)
    stack = features.compute(volume, settings)
    candidates: dict[str, Ours | Rival] = {n: Ours(n, volume, stack) for n in OURS}
    candidates |= {name: Rival(name, volume, stack) for name in RIVALS}

    notes = {}
    for name, candidate in candidates.items():
        scores = []
        for seed in SEEDS:
            candidate.fit(clicks(volume, truth, seed, 10))
            scores += dice(candidate.part(), truth[::EVERY], (1, 2)).values()
        notes[name] = f"Dice {np.mean(scores):.3f}"
    alone = InstantSegmenter(
        volume,
        features.compute(volume, FilterBankSettings(groups=("intensity",))),
        SegmentSettings(features=FilterBankSettings(groups=("intensity",))),
    )
    scores = []
    for seed in SEEDS:
        labels = alone.fit(clicks(volume, truth, seed, 10)).predict_volume().labels
        scores += dice(labels[::EVERY], truth[::EVERY], (1, 2)).values()

    many = clicks(volume, truth, 0, 150)

    def fitting(candidate: Ours | Rival) -> Callable[[int], None]:
        return lambda round_: candidate.fit(many)

    def clicking(candidate: Ours | Rival) -> Callable[[int], None]:
        def run(round_: int) -> None:
            candidate.fit(many)
            candidate.slices()

        return run

    def whole(candidate: Ours | Rival) -> Callable[[int], None]:
        def run(round_: int) -> None:
            candidate.whole()

        return run

    tables = [Table("Feature pass, nothing cached", passes)]
    tables[0].notes.append(f"{len(stack.names)} channels, {volume.data.size / 1e6:.1f} M voxels")
    for title, make, rounds in (
        ("Fit to 600 voxels", fitting, 9),
        ("Click to three slices: fit, then axial, coronal and sagittal", clicking, 9),
        ("Whole volume 197 x 233 x 189", whole, 5),
    ):
        parts = SLOW_PARTS if make is whole else None
        runs = {name: make(candidate) for name, candidate in candidates.items()}
        rows = measure(runs, rounds=rounds, warm_up=1, notes=notes, parts=parts)
        tables.append(Table(title, rows, baseline="CatBoost 100 x 5"))
    tables[-1].notes.append(f"intensity alone, fast classifier: Dice {np.mean(scores):.3f}")
    about = {"threads": threads(), "classifiers by name": ", ".join(CLASSIFIERS)}
    save("bench_clicks", tables, **about)
    features.clear_cache()


if __name__ == "__main__":
    main()
