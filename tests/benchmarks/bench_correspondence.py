"""How far matches by features lie from the truth, on pairs of two contrasts with a known warp.

``python tests/benchmarks/bench_correspondence.py [--quick]``

Label templates of 64^3 are warped by up to 6 mm and painted twice, as in `bench_registration`.
Of places of the body in one scan the match in the other is found, among all places of its body;
chance is one of these drawn at random, and leaving a place where it is costs what the warp moves.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from measure import Row, Table, measure, save  # first: it says how idle threads wait

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from warped_pairs import WarpedPair, warped_pair

from napari_mrissl.geometry import apply_affine
from napari_mrissl.registration.correspondence import mutual_landmarks
from napari_mrissl.registration.described import Described, described
from napari_mrissl.registration.match_files import errors
from napari_mrissl.registration.match_settings import MatchSettings

_STEP = 97
"""Of the voxels of the body, every so manieth is asked for."""

CANDIDATES = {
    "weights that ship, all scales": MatchSettings(),
    "weights that ship, output": MatchSettings(decoder=False),
    "random network, all scales": MatchSettings(weights="random"),
    "MIND-SSC": MatchSettings(features="mind"),
}


def known(pair: WarpedPair) -> np.ndarray:
    """(N, 2, 3) places of the body in both scans, RAS mm."""
    index = np.argwhere(pair.fixed_labels > 0)[::_STEP]
    places = apply_affine(pair.fixed.affine, index)
    return np.stack([places, places + pair.truth[tuple(index.T)]], axis=1)


def both(pair: WarpedPair, settings: MatchSettings) -> tuple[Described, Described]:
    """Both scans with features; the body is what has labels."""
    one = described(pair.fixed, settings, 1.0, pair.fixed_labels > 0)
    return one, described(pair.moving, settings, 1.0, pair.moving_labels > 0)


def said(pairs: list[WarpedPair], settings: MatchSettings) -> str:
    """Errors of matches and of mutual landmarks, as means over pairs."""
    found, marks = [], []
    for pair in pairs:
        scans = both(pair, settings)
        found.append(errors(known(pair), *scans, settings))
        points = mutual_landmarks(*scans, settings).points
        index = tuple(np.rint(apply_affine(pair.fixed.to_index, points[:, 0])).astype(int).T)
        away = np.linalg.norm(points[:, 0] + pair.truth[index] - points[:, 1], axis=1)
        marks.append((len(points), away.mean(), np.median(away)))
    mean = {name: np.mean([one[name] for one in found]) for name in found[0]}
    count, landmark_mean, landmark_median = np.mean(marks, axis=0)
    return (
        f"mean {mean['mean_mm']:.2f}, median {mean['median_mm']:.2f} mm, within 5 mm "
        f"{100 * mean['within_5_mm']:.0f} %; surest third mean "
        f"{mean['surest_third_mean_mm']:.2f} mm; chance mean {mean['chance_mean_mm']:.2f} mm, "
        f"within 5 mm {100 * mean['chance_within_5_mm']:.0f} %; {count:.0f} mutual landmarks: "
        f"mean {landmark_mean:.2f}, median {landmark_median:.2f} mm"
    )


def main() -> None:
    """Measure and save."""
    quick = "--quick" in sys.argv
    pairs = [warped_pair(index) for index in range(1 if quick else 4)]
    notes = {name: said(pairs, settings) for name, settings in CANDIDATES.items()}
    # Features are in the cache by now: what is timed is the search.
    scans = {name: both(pairs[0], settings) for name, settings in CANDIDATES.items()}
    searches = {
        name: lambda n, name=name: len(mutual_landmarks(*scans[name], CANDIDATES[name])) == 0
        for name in CANDIDATES
    }
    rows: list[Row] = measure(searches, rounds=1 if quick else 3, warm_up=0, seconds_each=60)
    for row in rows:
        row.note = notes[row.name]
    shifts = [np.diff(known(pair), axis=1)[:, 0] for pair in pairs]
    moved = np.mean([np.linalg.norm(one, axis=1).mean() for one in shifts])
    table = Table("Mutual landmarks of a pair of 64^3", rows)
    table.notes.append(f"left where it is: mean error {moved:.2f} mm")
    save("bench_correspondence", [table])


if __name__ == "__main__":
    main()
