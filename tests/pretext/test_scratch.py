"""No pretraining: a step of the optimiser leaves the drawn weights as they are."""

import torch

from napari_mrissl.networks.backbones import build
from napari_mrissl.networks.settings import BackboneSettings
from napari_mrissl.pretext.scratch import Scratch
from napari_mrissl.pretext.scratch_settings import ScratchSettings
from napari_mrissl.pretext.task import SampleKey
from tests.pretext.painted import Blobs

BACKBONE = BackboneSettings(width=8, depth=3)


def test_a_step_changes_nothing_but_every_weight_takes_part():
    task = Scratch(ScratchSettings(backbone=BACKBONE))
    torch.manual_seed(4)
    network = task.network()
    torch.manual_seed(4)
    drawn = build(BACKBONE).state_dict()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0)
    sample = task.sample(Blobs(), SampleKey(0, 0, 0))
    batch = {name: torch.from_numpy(array)[None] for name, array in sample.arrays.items()}
    terms = task.losses(network, batch, None)
    assert terms["untrained"].total.item() == 0
    terms["untrained"].total.backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    optimizer.step()
    for name, tensor in network.backbone.state_dict().items():
        torch.testing.assert_close(tensor, drawn[name], rtol=0, atol=0)


def test_there_is_no_chance_value():
    assert Scratch(ScratchSettings(backbone=BACKBONE)).chance(Blobs(), 0) == {}
