"""The plain U-Net serves the older methods too, and says which crops it needs."""

import pytest
import torch
from pydantic import ValidationError

from napari_mrissl.networks.weight_library import load_unet, weights_named
from napari_mrissl.networks.weights import save
from napari_mrissl.pretext.masked import Masked
from napari_mrissl.pretext.masked_settings import MaskedSettings
from napari_mrissl.pretext.reconstruction_settings import ReconstructionSettings
from napari_mrissl.pretext.vectorpose.network import VectorPoseNetwork
from napari_mrissl.pretext.vectorpose.settings import VectorPoseSettings
from tests.pretext.painted import Blobs
from tests.pretext.restoring import batch_of

UNET = {"backbone": {"name": "unet", "width": 8, "depth": 3}, "crop": {"side": 16, "edge_mm": 60}}


def test_a_masked_autoencoder_trains_it_and_its_weights_are_those_of_the_network(tmp_path):
    task = Masked(MaskedSettings.model_validate({**UNET, "patch": 4}))
    network = task.network()
    terms = task.losses(network, batch_of(task, Blobs(), 0, 2), None)
    terms["hidden"].total.backward()
    assert all(bool(p.grad.any()) for p in network.backbone.parameters())
    save(tmp_path / "weights.safetensors", network.state_dict(), {"method": "masked"})
    found = load_unet(weights_named(tmp_path))
    image = torch.rand(1, 1, 16, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(found(image), network.eval().backbone(image)[-1])


@pytest.mark.parametrize("head", ["pooled", "spatial"])
def test_vectorpose_reads_vectors_from_its_deepest_maps(head):
    settings = VectorPoseSettings.model_validate({**UNET, "head": head})
    found = VectorPoseNetwork(settings).eval()(torch.rand(2, 1, 16, 16, 16))
    assert found["vectors"].shape == (2, 27)


@pytest.mark.parametrize("kind", [VectorPoseSettings, MaskedSettings, ReconstructionSettings])
@pytest.mark.parametrize(
    ("depth", "side", "said"), [(5, 16, "too small .* needs 32"), (6, 48, "a multiple of 32")]
)
def test_crops_that_do_not_suit_it_are_refused(kind, depth, side, said):
    backbone = {"name": "unet", "width": 8, "depth": depth}
    with pytest.raises(ValidationError, match=said):
        kind.model_validate({"backbone": backbone, "crop": {"side": side}})
