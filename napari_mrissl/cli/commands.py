"""The tree of commands; what a command needs is imported when it runs."""

from __future__ import annotations

from cyclopts import App

from napari_mrissl import __version__
from napari_mrissl.cli.benchmark import vectorpose_ablation
from napari_mrissl.cli.benchmark_clicks import clicks_needed
from napari_mrissl.cli.benchmark_diffusion import diffusion_arms
from napari_mrissl.cli.benchmark_features import frozen_features
from napari_mrissl.cli.benchmark_fewshot import few_shot
from napari_mrissl.cli.benchmark_navigation import navigation_arms
from napari_mrissl.cli.benchmark_observable import observable_arms
from napari_mrissl.cli.benchmark_plane import standard_plane
from napari_mrissl.cli.cluster import script
from napari_mrissl.cli.demo import demo
from napari_mrissl.cli.evaluate import evaluate
from napari_mrissl.cli.features import features
from napari_mrissl.cli.finetune import finetune
from napari_mrissl.cli.info import info
from napari_mrissl.cli.inspect import navigation, vectorpose
from napari_mrissl.cli.inspect_diffusion import coordinates, diffusion
from napari_mrissl.cli.inspect_observable import chunks, gap, routes
from napari_mrissl.cli.match import match
from napari_mrissl.cli.pack import pack
from napari_mrissl.cli.predict import predict
from napari_mrissl.cli.pretrain import pretrain
from napari_mrissl.cli.register import register
from napari_mrissl.cli.replay import render, replay
from napari_mrissl.cli.run import list_runs, resume, show_run, stop, wait
from napari_mrissl.cli.segment import segment
from napari_mrissl.cli.slices import cut
from napari_mrissl.cli.synthesize import ensembles, heads
from napari_mrissl.cli.trajectory import (
    clean,
    export,
    generate,
    import_,
    inspect,
    repair,
    validate,
)
from napari_mrissl.cli.transfer import transfer
from napari_mrissl.cli.weights import export_weights, import_file, list_weights, verify


def application() -> App:
    """The application ``mrissl`` with all its commands."""
    app = App(
        name="mrissl",
        help="Look at, slice, fly through and segment 3D MRI. Coordinates are world RAS mm.",
        version=f"napari-mrissl {__version__}",
        help_format="plaintext",
        suppress_keyboard_interrupt=False,
    )
    app.command(info, name="info")
    app.command(cut, name="slice")
    app.command(segment, name="segment")
    app.command(features, name="features")
    app.command(evaluate, name="evaluate")
    trajectory = App(
        name="trajectory",
        help="Datasets of flights through scans: make, describe, replay, check, mend, export.",
    )
    trajectory.command(generate, name="generate")
    trajectory.command(inspect, name="info")
    trajectory.command(replay, name="replay")
    trajectory.command(render, name="render")
    trajectory.command(validate, name="validate")
    trajectory.command(repair, name="repair")
    trajectory.command(clean, name="clean")
    trajectory.command(export, name="export")
    trajectory.command(import_, name="import")
    app.command(trajectory)
    synthesize = App(
        name="synthesize",
        help="Training data with labels: painted heads, or pairs of views of label ensembles.",
    )
    synthesize.command(heads, name="heads")
    synthesize.command(ensembles, name="ensembles")
    app.command(synthesize)
    run = App(name="run", help="Trainings: list, show, resume and stop them, also on a cluster.")
    run.command(list_runs, name="list")
    run.command(show_run, name="show")
    run.command(resume, name="resume")
    run.command(stop, name="stop")
    run.command(wait, name="wait")
    run.command(script, name="script")
    app.command(run)
    app.command(pack, name="pack")
    app.command(pretrain, name="pretrain")
    app.command(finetune, name="finetune")
    app.command(predict, name="predict")
    app.command(register, name="register")
    app.command(match, name="match")
    app.command(transfer, name="transfer")
    examined = App(name="inspect", help="What a pretrained network knows of a scan, beside chance.")
    examined.command(vectorpose, name="vectorpose")
    examined.command(navigation, name="navigation")
    examined.command(gap, name="gap")
    examined.command(routes, name="routes")
    examined.command(coordinates, name="coordinates")
    examined.command(diffusion, name="diffusion")
    examined.command(chunks, name="chunks")
    app.command(examined)
    benchmark = App(name="benchmark", help="Comparisons on equal terms, as tables.")
    benchmark.command(vectorpose_ablation, name="vectorpose")
    benchmark.command(frozen_features, name="features")
    benchmark.command(clicks_needed, name="clicks")
    benchmark.command(few_shot, name="fewshot")
    benchmark.command(navigation_arms, name="navigation")
    benchmark.command(standard_plane, name="plane")
    benchmark.command(observable_arms, name="observable")
    benchmark.command(diffusion_arms, name="diffusion")
    app.command(benchmark)
    weights = App(name="weights", help="Trained networks: list, import, verify and export them.")
    weights.command(list_weights, name="list")
    weights.command(import_file, name="import")
    weights.command(verify, name="verify")
    weights.command(export_weights, name="export")
    app.command(weights)
    app.command(demo, name="demo")
    return app
