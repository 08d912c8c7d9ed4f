"""``mrissl benchmark plane``: a policy cloned from recorded flights, against plain answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_mrissl.cli.arguments import Flag, Whole, within
from napari_mrissl.cli.terminal import resumable, say, say_file, show_json

Run = Annotated[Path, Parameter(name="RUN")]


def standard_plane(
    run: Run,
    /,
    *,
    out: Path,
    flights: Path | None = None,
    heads: Whole = 24,
    each: Whole = 4,
    test: Whole = 12,
    steps: Whole = 2000,
    seed: Whole = 0,
    json: Flag = False,
) -> None:
    """Fly to the mid-sagittal plane of held-out heads by a policy cloned from recorded flights.

    Ctrl-C keeps what is done; the same command goes on from there. Heads are MNI152, deformed,
    recoloured and displaced by up to 30 mm and 30 degrees. plane.csv, .md and .json give distance
    and angle at the end, beside the fixed plane of the world, the middle of the volume, principal
    axes, and the best mirror symmetry.

    Parameters
    ----------
    run
        The folder of a run of the method tokenizer or dynamics, or a file of its weights: the
        policy reads its frozen features.
    out
        The folder of the comparison, new or of the same command before: demonstrations,
        policy.safetensors, what was measured of each head, and the tables.
    flights
        A dataset of recorded flights that each end on the plane, to be learned from instead of
        demonstrations.
    heads
        That demonstrations are flown over.
    each
        Demonstrations of each head.
    test
        Held-out heads; a later call may have more of them.
    steps
        Of the policy's training.
    seed
        Of heads, demonstrations and training.
    json
        Print the table as JSON.
    """
    from napari_mrissl.evaluation.weights import card_of
    from napari_mrissl.networks.slice_cards import slice_network

    for name, number, most in (
        ("--heads", heads, 10_000), ("--each", each, 1000), ("--test", test, 10_000),
        ("--steps", steps, 1_000_000),
    ):  # fmt: skip
        within(name, number, 1, most)
    within("--seed", seed, 0, 2**31 - 1)
    slice_network(card_of(run))
    from napari_mrissl.evaluation.navigation import plane_benchmark as benchmark
    from napari_mrissl.evaluation.navigation import plane_tables as tables

    settings = benchmark.PlaneSettings(heads=heads, each=each, test=test, steps=steps, seed=seed)
    with resumable():
        reached = benchmark.compare(run, out, settings, flights=flights, tell=say)
    if json:
        show_json({"ways": tables.summary(reached)})
        return
    say_file(out / tables.TABLE_FOR_PEOPLE)
