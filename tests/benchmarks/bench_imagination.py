"""An imagined step with cached keys and values, beside a full pass; and from hand to picture.

``xvfb-run -a python tests/benchmarks/bench_imagination.py [--quick]``

Networks of the presets tiny and cpu with random weights; the volume is 192^3. A step is dynamics
and decoder; what compares it with the truth is a cut and the encoder. The peer is what a model
without a cache does: all frames of the context again, for each step. From hand to picture: the
panel's real widgets, from a move of the navigator's pose until the imagined picture is drawn,
everything beside it included.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from measure import Table, measure, save  # first: it says how idle threads wait
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication

from napari_mrissl.geometry import Pose, apply_action
from napari_mrissl.networks import weights
from napari_mrissl.pretext.navigation.dynamics import Dynamics
from napari_mrissl.pretext.navigation.imagination import Imagination, Limits
from napari_mrissl.pretext.navigation.settings import DYNAMICS, DynamicsSettings
from napari_mrissl.pretext.settings import Settings
from napari_mrissl.ui.inspector import Inspector
from napari_mrissl.ui.layers import add_volume
from napari_mrissl.volumes.volume import Volume

ACTION = np.array([0.01, 0.0, 0.05, 0.02, 0.02, 0.0, 0.0])
PRESETS = ("tiny", "cpu")


def volume() -> Volume:
    """192^3 voxels of 1 mm, int16, smooth noise."""
    coarse = np.random.default_rng(0).random((48, 48, 48), np.float32)
    fine = coarse.repeat(4, 0).repeat(4, 1).repeat(4, 2)
    return Volume.from_stored((1000 * fine).astype(np.int16), np.eye(4), name="noise")


def network(preset: str) -> tuple[torch.nn.Module, Settings]:
    """Dynamics of a preset with random weights."""
    torch.manual_seed(0)
    settings = DynamicsSettings.model_validate(DYNAMICS.presets[preset]["task"])
    made = Dynamics(settings).network().eval()
    torch.nn.init.normal_(made.dynamics.out[1].weight, std=0.1)
    return made, settings


def steps(preset: str, rounds: int) -> Table:
    """Milliseconds of the parts of a step, at a context that is as full as it gets."""
    made, settings = network(preset)
    mind = Imagination(made, Limits(window=False, low=0.5, high=99.5))
    scan = mind.scan(volume())
    start = Pose(scan.volume.center, np.eye(3), float(scan.volume.extent.max()))
    mind.begin(scan, start)
    context = mind.context
    for _ in range(context - 2):
        mind.step(ACTION)
    # The step that is measured is the last for which nothing is forgotten.
    frames = torch.from_numpy(np.stack([one.latents for one in mind.frames]))[None]
    actions = torch.from_numpy(np.tile(ACTION.astype(np.float32), (1, frames.shape[1], 1)))

    @torch.no_grad()
    def full(_: int) -> np.ndarray:
        found, _past = made.imagine(frames, actions)
        return made.backbone.decode(found[:, -1])[0].clamp(0, 1).numpy()

    candidates = {
        "step with cached keys and values": lambda _: mind.fork().step(ACTION).image,
        "full pass over the context": full,
        "cut and encode the true slice": lambda n: mind.encode(
            scan, [apply_action(start, n / rounds * ACTION)]
        ),
    }
    title = f"Imagined step, preset {preset}: {settings.backbone.size}^2, context {context}"
    rows = measure(candidates, rounds=rounds, warm_up=5)
    return Table(title, rows, "step with cached keys and values")


def hand_to_picture(application: QApplication, preset: str, rounds: int) -> dict[str, float]:
    """Milliseconds from a move to the drawn picture: median, and 90th percentile."""
    made, settings = network(preset)
    with tempfile.TemporaryDirectory() as folder:
        card = {
            "method": "dynamics",
            "task": settings.model_dump(mode="json"),
            "preprocessing": {"kind": "percentile", "low": 0.5, "high": 99.5},
        }
        weights.save(Path(folder) / "weights.safetensors", made.state_dict(), card)
        viewer = ViewerModel()
        add_volume(viewer, volume())
        inspector = Inspector(viewer)
        inspector.resize(430, 660)
        inspector.show()
        inspector.load(folder)
        _until(application, lambda: inspector.panel is not None and inspector.panel.loaded)
        panel = inspector.panel
        panel.imagine()
        _until(application, lambda: panel.control.flight is not None)
        found = []
        for number in range(rounds):
            if panel.control.flight.full:
                panel.control.restart()
                _until(application, lambda: panel.control.flight is not None)
            before = panel.control.flight.steps
            panel.slice_state.move(ACTION if number % 2 else -ACTION)
            started = time.perf_counter()
            _until(application, lambda before=before: panel.control.flight.steps > before)
            panel.imagine_tab.repaint()
            found.append(1e3 * (time.perf_counter() - started))
            _until(application, lambda: not panel.flying.running)
        inspector.shut_down()
    return {"median": float(np.median(found)), "p90": float(np.percentile(found, 90))}


def _until(application: QApplication, true) -> None:
    end = time.monotonic() + 120
    while not true():
        application.processEvents()
        # As an event loop that waits: one that spins would take the interpreter from the job.
        time.sleep(0.0005)
        if time.monotonic() > end:
            raise TimeoutError("nothing came of it")


def main(application: QApplication) -> None:
    """Measure and print."""
    quick = "--quick" in sys.argv
    tables = [steps(preset, 10 if quick else 60) for preset in PRESETS]
    for preset, table in zip(PRESETS, tables, strict=True):
        waited = hand_to_picture(application, preset, 10 if quick else 60)
        table.notes.append(
            f"from hand to picture, all beside it included: median {waited['median']:.1f} ms, "
            f"90th percentile {waited['p90']:.1f} ms"
        )
    save("imagination", tables, torch_threads=torch.get_num_threads())


if __name__ == "__main__":
    # Held here: jobs are waited for when the program ends, and Qt has to be there for that.
    running = QApplication([])
    main(running)
