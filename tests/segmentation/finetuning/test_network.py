"""What is frozen stays, what is trained changes, at the rates that were asked for."""

import pytest
import torch

from napari_mrissl.segmentation.finetuning.network import SegmentationNetwork
from napari_mrissl.segmentation.finetuning.task import Finetune
from napari_mrissl.segmentation.finetuning.task_settings import FinetuneTaskSettings
from napari_mrissl.training.optimisation import optimiser, set_rate
from napari_mrissl.training.settings import OptimisationSettings


def settings(mode="full", **changes) -> FinetuneTaskSettings:
    backbone = {"name": "unet", "width": 8, "depth": 3}
    return FinetuneTaskSettings(mode=mode, backbone=backbone, patch=(8, 8, 8), **changes)


def stepped(network: SegmentationNetwork) -> dict[str, bool]:
    """Whether each tensor of the state changed in a step."""
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimizer = optimiser(network, OptimisationSettings(learning_rate=0.1))
    network.train()
    logits = network(torch.randn(2, 1, 8, 8, 8))
    logits.square().mean().backward()
    optimizer.step()
    return {n: not torch.equal(t, before[n]) for n, t in network.state_dict().items()}


@pytest.mark.parametrize("mode", ["linear", "nonlinear"])
def test_a_frozen_backbone_stays_with_its_running_statistics(mode):
    torch.manual_seed(0)
    changed = stepped(SegmentationNetwork(settings(mode)))
    assert not any(value for name, value in changed.items() if name.startswith("backbone."))
    assert all(value for name, value in changed.items() if name.startswith("head."))


def test_all_of_it_is_trained_otherwise():
    torch.manual_seed(0)
    changed = stepped(SegmentationNetwork(settings()))
    assert all(changed.values()), [name for name, value in changed.items() if not value]


def test_a_linear_head_does_not_see_how_long_features_are():
    torch.manual_seed(0)
    network = SegmentationNetwork(settings("linear")).eval()
    image = torch.randn(1, 1, 16, 8, 8)
    with torch.no_grad():
        features = network.backbone(image)[-1]
        expected = features / features.norm(dim=1, keepdim=True) * 4
        weight, bias = network.head.layer.weight[:, :, 0, 0, 0], network.head.layer.bias
        wanted = torch.einsum("kc,nczyx->nkzyx", weight, expected) + bias.view(1, -1, 1, 1, 1)
        torch.testing.assert_close(network(image), wanted, rtol=1e-4, atol=1e-5)


def test_the_backbone_has_its_share_of_the_rate():
    task = Finetune(settings(backbone_rate=0.25))
    network = task.network()
    optimizer = optimiser(network, OptimisationSettings(weight_decay=0.1), task.rates)
    set_rate(optimizer, 0.02)
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    for name, parameter in network.named_parameters():
        assert rates[id(parameter)] == (0.005 if name.startswith("backbone.") else 0.02)
        assert decays[id(parameter)] == (0.1 if parameter.ndim > 1 else 0.0)
    assert len(rates) == len(list(network.parameters()))
