"""Registration: its speed, the size of a whole head, and what it is worth on real pairs.

``python tests/benchmarks/bench_registration.py [--quick] [--parts speed head accuracy] [--json]``

Speed: ConvexAdam against a plain torch port of the published code. Both run on the same pairs of
64^3 with the same settings (nodes of 4 voxels looked at 3 each way, field nodes of 2 voxels, 80
steps) in one process. The port follows the code of arXiv:2203.04867 operation by operation, in
float32 as on a CPU it must. Head: 160 x 192 x 160 at 8 channels, with the most memory that was
taken. Accuracy: MIND, network, both and SimpleITK's B-splines on pairs of ``$MRISSL_DATA``
(``--pairs``, ``--methods``, ``--seeds``); left out without that folder.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from measure import OUTPUT, Row, Table, measure, save  # first: it says how idle threads wait

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from real_pairs import PAIRS, pairs_of
from registration_accuracy import METHODS, as_markdown, scores_of
from registration_accuracy import save as save_scores
from scipy import ndimage
from torch.nn import functional
from warped_pairs import WarpedPair, cube_affine, warped_pair

from napari_mrissl.metrics import dice
from napari_mrissl.registration import RegistrationSettings, estimate, register
from napari_mrissl.registration.grids import Grid
from napari_mrissl.registration.torch_descriptors import mind_ssc
from napari_mrissl.registration.transform import jacobian, warped_labels
from napari_mrissl.slicing.threads import threads
from napari_mrissl.volumes import Volume

GRID, REACH, FINE, STEPS, SMOOTHNESS = 4, 3, 2, 80, 1.25
PARTS = ("speed", "head", "accuracy")
WANTED, DICE_APART, HEAD_SECONDS = 5.0, 0.005, 60.0


def pooled(field: torch.Tensor, times: int) -> torch.Tensor:
    """Means over 3^3, as torch's pooling does them."""
    for _ in range(times):
        field = functional.avg_pool3d(field, 3, stride=1, padding=1)
    return field


def correlation(fixed: torch.Tensor, moving: torch.Tensor) -> torch.Tensor:
    """(K, Z, Y, X) smoothed squared differences of features (1, C, Z, Y, X)."""
    shape, side = fixed.shape[2:], 2 * REACH + 1
    around = functional.pad(moving, (REACH,) * 6)
    costs = torch.zeros((side**3, *shape))
    for k, (dz, dy, dx) in enumerate(np.ndindex(side, side, side)):
        there = around[:, :, dz : dz + shape[0], dy : dy + shape[1], dx : dx + shape[2]]
        costs[k] = pooled((fixed - there).pow(2).sum(1, keepdim=True), 2)[0, 0]
    return costs


def coupled(costs: torch.Tensor, mesh: torch.Tensor) -> torch.Tensor:
    """(1, 3, Z, Y, X) displacements in nodes, slice by slice as published."""
    shape = costs.shape[1:]
    best = costs.argmin(0)
    soft = pooled(mesh[:, best.view(-1)].view(1, 3, *shape), 1)
    for weight in (0.003, 0.01, 0.03, 0.1, 0.3, 1.0):
        for z in range(shape[0]):
            away = (mesh[:, :, None] - soft[:, :, z].reshape(3, 1, -1)).pow(2).sum(0)
            best[z] = (costs[:, z] + weight * away.view(-1, *shape[1:])).argmin(0)
        soft = pooled(mesh[:, best.view(-1)].view(1, 3, *shape), 1)
    return soft


def consistent(there: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
    """Fifteen steps of inverse consistency of normalised fields, x first."""
    shape = there.shape[2:]
    still = functional.affine_grid(torch.eye(3, 4)[None], (1, 1, *shape), align_corners=False)

    def at(field: torch.Tensor, move: torch.Tensor) -> torch.Tensor:
        places = still + move.permute(0, 2, 3, 4, 1)
        return functional.grid_sample(field, places, align_corners=False)

    for _ in range(15):
        there, back = 0.5 * (there - at(back, there)), 0.5 * (back - at(there, back))
    return there


def plain_port(fixed: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """(Z, Y, X, 3) displacements in voxels, from fixed to moving."""
    shape = fixed.shape
    with torch.no_grad():
        one, other = (mind_ssc(torch.from_numpy(i), 1, 2)[None] for i in (fixed, moving))
        coarse = [functional.avg_pool3d(features, GRID) for features in (one, other)]
        steps = torch.arange(-REACH, REACH + 1.0)
        mesh = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij")).view(3, -1)
        scale = (torch.tensor(coarse[0].shape[2:]).view(1, 3, 1, 1, 1) - 1) / 2
        both = [
            (coupled(correlation(a, b), mesh) / scale).flip(1) for a, b in (coarse, coarse[::-1])
        ]
        field = consistent(*both).flip(1) * scale * GRID
        field = functional.interpolate(field, size=shape, mode="trilinear")
        small = tuple(side // FINE for side in shape)
        field = functional.interpolate(field, size=small, mode="trilinear") / FINE
        one, other = (functional.avg_pool3d(features, FINE) for features in (one, other))
    parameters = field.clone().requires_grad_()
    optimiser = torch.optim.Adam([parameters], lr=1)
    still = functional.affine_grid(torch.eye(3, 4)[None], (1, 1, *small), align_corners=False)
    scale = (torch.tensor(small) - 1) / 2
    for _ in range(STEPS):
        optimiser.zero_grad()
        move = pooled(parameters, 3).permute(0, 2, 3, 4, 1)
        rough = sum((move.diff(dim=axis) ** 2).mean() for axis in (1, 2, 3))
        places = still + (move / scale).flip(-1)
        sampled = functional.grid_sample(other, places, align_corners=False)
        cost = (sampled - one).pow(2).mean(1).mean() * 12 + SMOOTHNESS * rough
        cost.backward()
        optimiser.step()
    whole = functional.interpolate(
        move.detach().permute(0, 4, 1, 2, 3) * FINE, size=shape, mode="trilinear"
    )
    return whole[0].permute(1, 2, 3, 0).numpy()


def port_field(pair: WarpedPair) -> np.ndarray:
    """The port's displacements in RAS mm."""
    voxels = plain_port(pair.fixed.data.copy(), pair.moving.data.copy())
    return (voxels @ pair.fixed.affine[:3, :3].T).astype(np.float32)


def our_field(pair: WarpedPair, **chosen: object) -> np.ndarray:
    """Ours."""
    settings = RegistrationSettings(linear="none", **chosen)
    return register(pair.fixed, pair.moving, settings).transform.displacements(Grid.of(pair.fixed))


def overlap(pair: WarpedPair, field: np.ndarray) -> float:
    """Mean Dice of the labels after a field."""
    moved = warped_labels(pair.moving_labels, pair.moving, field, Grid.of(pair.fixed))
    return float(np.mean(list(dice(moved, pair.fixed_labels).values())))


def head(side: tuple[int, int, int]) -> tuple[Volume, Volume]:
    """Two smooth scans of a head's size."""
    rng = np.random.default_rng(0)
    values = ndimage.zoom(rng.normal(size=[n // 8 for n in side]), 8, order=1).astype(np.float32)
    moved = np.roll(values, (3, -2, 4), (0, 1, 2))
    return tuple(Volume.from_stored(v, cube_affine(side[0])) for v in (values, moved))


def speed(quick: bool) -> Table:
    """Ours and the port."""
    torch.set_num_threads(threads())
    pairs = [warped_pair(index) for index in range(2 if quick else 4)]
    candidates = {
        "plain port of the published code": lambda n: port_field(pairs[n % len(pairs)]) is None,
        "ours": lambda n: our_field(pairs[n % len(pairs)]) is None,
        "ours, 8 channels": lambda n: our_field(pairs[n % len(pairs)], channels=8) is None,
    }
    rows = measure(candidates, rounds=2 if quick else 5, warm_up=1, seconds_each=120)
    made = {
        "plain port of the published code": port_field,
        "ours": our_field,
        "ours, 8 channels": lambda pair: our_field(pair, channels=8),
    }
    scores = {}
    for row in rows:
        fields = [made[row.name](pair) for pair in pairs]
        scores[row.name] = np.mean([overlap(p, f) for p, f in zip(pairs, fields, strict=True)])
        error = np.mean([p.error(f) for p, f in zip(pairs, fields, strict=True)])
        folds = max(
            (jacobian(f, Grid.of(p.fixed)) <= 0).mean() for p, f in zip(pairs, fields, strict=True)
        )
        row.note = f"Dice {scores[row.name]:.4f}, error {error:.2f} mm, folds {100 * folds:.2g} %"
    before = np.mean([p.error(0 * p.truth) for p in pairs])
    times = {row.name: row.median_ms for row in rows}
    port = "plain port of the published code"
    ratio = times[port] / times["ours"]
    apart = scores["ours"] - scores[port]
    table = Table("A pair of 64^3, MIND", rows, port)
    told = (
        f"ours {ratio:.1f} times as fast (wanted: {WANTED:g}), Dice {apart:+.4f} "
        f"(wanted: no more than {DICE_APART} lower)"
    )
    table.notes += [
        f"before: error {before:.2f} mm",
        told,
        f"{threads()} threads",
    ]
    return table


def whole_head(quick: bool) -> Table:
    """One registration of a head's size, in this process: time and memory."""
    side = (80, 96, 80) if quick else (160, 192, 160)
    fixed, moving = head(side)
    settings = RegistrationSettings(linear="none", channels=8)
    small = head((32, 32, 32))
    register(*small, settings)  # compiles
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin, used = time.perf_counter(), time.process_time()
    register(fixed, moving, settings)
    seconds, cores = time.perf_counter() - begin, time.process_time() - used
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    expected = estimate(fixed, settings)
    row = Row("8 channels, nodes of 4 voxels", 1e3 * seconds, 1e3 * seconds, 1e3 * seconds, 1)
    table = Table(f"{' x '.join(map(str, side))}", [row])
    table.notes += [
        (
            f"{seconds:.1f} s (wanted: {HEAD_SECONDS:g}), {cores:.1f} s of processors, "
            f"{threads()} threads; estimated {expected.seconds:.1f} s on one"
        ),
        (
            f"memory {(most - before) / 2**20:.2f} GiB more than before (estimated: "
            f"{expected.ram_bytes / 2**30:.2f}), at most {most / 2**20:.2f} with all libraries"
        ),
    ]
    return table


def accuracy(options: argparse.Namespace) -> dict[str, Any] | None:
    """Scores on real pairs; None without the data."""
    root = Path(os.environ.get("MRISSL_DATA", OUTPUT.parents[1] / "shared" / "data"))
    if not root.is_dir():
        print("accuracy: left out, since there is no $MRISSL_DATA", file=sys.stderr)
        return None
    scores = []
    for pair in pairs_of(root, options.pairs, 1 if options.quick else options.seeds):
        for score in scores_of(pair, options.methods):
            scores.append(score)
            print(as_markdown([score]).splitlines()[2], file=sys.stderr, flush=True)
    content = save_scores(scores, OUTPUT)
    if not options.json:
        print(as_markdown(scores))
    return content


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and fewer")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=PAIRS)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=3, help="displacements of the same person")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the tables")
    options = parser.parse_args()
    made = {"speed": speed, "head": whole_head}
    with contextlib.redirect_stdout(sys.stderr if options.json else sys.stdout):
        tables = [made[part](options.quick) for part in options.parts if part in made]
        if tables:
            save("bench_registration", tables)
    found = accuracy(options) if "accuracy" in options.parts else None
    if options.json:
        print(json.dumps({"tables": [asdict(table) for table in tables], "accuracy": found}))


if __name__ == "__main__":
    main()
