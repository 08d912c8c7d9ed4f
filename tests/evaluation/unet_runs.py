"""A finished run of a plain U-Net, made without training."""

from pathlib import Path

import torch

from napari_mrissl.networks import weights
from napari_mrissl.networks.unet import UNetBackbone
from napari_mrissl.training.card import weights_card
from napari_mrissl.training.events import EventWriter
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import RunSettings

STEPS = 100


def unet_run(folder: Path) -> Run:
    """A run that did 100 steps, the last of them twice, with a head beside its backbone."""
    settings = RunSettings.model_validate(
        {
            "method": "scratch",
            "task": {"backbone": {"name": "unet", "width": 8, "depth": 3}},
            "data": {"kind": "ensembles", "engine": {"side": 16}},
            "optimisation": {"steps": STEPS, "learning_rate": 0.002},
        }
    )
    run = Run.create(folder, settings)
    with run.claim(), EventWriter(run.folder) as events:
        events.chance({"tap13": 2.5})
        for step in range(1, STEPS + 1):
            events.step(step, 2 / step, {"tap13": 1 / step}, seconds=0.5)
        events.validation(STEPS, 0.6, {"tap13": 0.625})
        events.step(STEPS, 0.25, {"tap13": 0.125}, seconds=0.5)
        events.state("finished")
    torch.manual_seed(0)
    state = {f"backbone.{n}": t for n, t in UNetBackbone(1, 8, 2).state_dict().items()}
    # Larger than what half precision holds: normalisation is never stored in it.
    state["backbone.model.1.running_var"] += 1e6
    state["heads.0.weight"] = torch.ones(3)
    weights.save(run.folder / "weights.safetensors", state, weights_card(run.folder, STEPS))
    return run
