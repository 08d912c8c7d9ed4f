"""The dynamics: earlier frames know nothing of later ones, and steps come to the full pass."""

import pytest
import torch

from napari_mrissl.networks.settings import DynamicsShape, TokenizerShape
from napari_mrissl.networks.slice_dynamics import FINEST, Draft, SliceDynamics
from napari_mrissl.networks.slice_memory import remembered
from napari_mrissl.networks.slice_moves import carried
from napari_mrissl.networks.transformer import normed

SLICES = TokenizerShape(size=24, patch=8, width=16, depth=1, heads=2, latent=5)
SHAPE = DynamicsShape(width=16, depth=2, heads=2, context=6)
SCALE = (0.5, 1, 1, 1, 1, 1, 2)
FRAMES = 5


def network(*, drafts=False, follows=True):
    torch.manual_seed(0)
    shape = SHAPE.model_copy(update={"follows": follows})
    made = SliceDynamics(shape, SLICES, SCALE, drafts=drafts)
    # As it begins, it copies: then nothing could be told apart.
    torch.nn.init.normal_(made.out[1].weight)
    for block in made.blocks:
        torch.nn.init.normal_(block.condition.weight, std=0.3)
    return made.eval()


@pytest.fixture
def flights():
    generator = torch.Generator().manual_seed(1)
    latents = normed(torch.randn((2, FRAMES, 3, 3, 5), generator=generator))
    return latents, torch.randn((2, FRAMES, 7), generator=generator)


def test_a_new_network_copies(flights):
    torch.manual_seed(0)
    found = SliceDynamics(SHAPE, SLICES, SCALE)(*flights)
    assert found.shape == flights[0].shape
    assert torch.allclose(found, flights[0], atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("changed", range(FRAMES))
@pytest.mark.parametrize("what", ["frame", "action"])
def test_nothing_earlier_depends_on_what_comes_later(flights, changed, what):
    made = network()
    latents, actions = flights
    other = (latents.clone(), actions.clone())
    other[what == "action"][:, changed] += 1
    before, after = made(latents, actions), made(*other)
    assert torch.equal(before[:, :changed], after[:, :changed])
    for later in range(changed, FRAMES):
        assert (before[:, later] - after[:, later]).abs().max() > 1e-4


@torch.no_grad()
def test_single_steps_come_to_the_full_pass(flights):
    made = network()
    whole = made(*flights)
    past, found = None, []
    for step in range(FRAMES):
        one, past = made.extend(*(part[:, step : step + 1] for part in flights), past)
        found.append(one)
        assert past.frames == step + 1
    assert torch.allclose(torch.cat(found, 1), whole, atol=1e-5)
    # Several at once after others, too.
    first, past = made.extend(*(part[:, :2] for part in flights))
    rest, past = made.extend(*(part[:, 2:] for part in flights), past)
    assert torch.allclose(torch.cat([first, rest], 1), whole, atol=1e-5)
    assert past.frames == FRAMES


@torch.no_grad()
def test_where_patches_come_from_is_the_same_for_any_scale(flights):
    made = network()
    latents, actions = flights
    seen = []
    made.moved_in.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    made(latents, actions)
    made.action_scale *= 2
    made(latents, actions)
    assert len(seen) == 2
    assert torch.equal(*seen)


@torch.no_grad()
def test_a_share_of_one_follows_a_patch_and_of_none_copies(flights):
    made = network()
    latents, actions = flights
    torch.nn.init.zeros_(made.out[1].weight)
    # A third of the slice to its right: one patch of three.
    actions = torch.zeros_like(actions)
    actions[..., 0] = 1 / 3
    assert torch.allclose(made(latents, actions), latents, atol=1e-4)
    made.out[1].bias[-2] = 1
    found = made(latents, actions)
    assert torch.allclose(found[..., :2, :], latents[..., 1:, :], atol=1e-4)


@torch.no_grad()
def test_a_second_share_takes_what_is_remembered(flights):
    made = network()
    latents, actions = flights
    torch.nn.init.zeros_(made.out[1].weight)
    made.out[1].bias[-1] = 1
    found = made(latents, actions)
    assert torch.allclose(found, remembered(latents, actions), atol=1e-4)
    assert not torch.allclose(found, carried(latents, actions), atol=1e-2)


@torch.no_grad()
def test_without_following_nothing_is_sampled(flights):
    made = network(follows=False)
    assert made.moved_in is None
    assert made.out[1].out_features == SLICES.latent
    assert made(*flights).shape == flights[0].shape


@torch.no_grad()
def test_predictions_are_layer_normed(flights):
    found = network()(*flights)
    assert found.mean(-1).abs().max() < 1e-5
    assert (found.var(-1, correction=0) - 1).abs().max() < 1e-3


@torch.no_grad()
def test_actions_are_scaled(flights):
    made = network(follows=False)
    latents, actions = flights
    before = made(latents, actions)
    made.action_scale *= 2
    assert torch.allclose(made(latents, 2 * actions), before, atol=1e-6)
    assert "action_scale" in made.state_dict()


def test_more_frames_than_the_context_are_refused(flights):
    made = network()
    latents, actions = (torch.cat([part, part], 1) for part in flights)
    with pytest.raises(ValueError, match="context of 6"):
        made(latents, actions)


@torch.no_grad()
def test_drafts_are_heeded_where_the_network_takes_them(flights):
    made = network(drafts=True)
    latents, actions = flights
    size = torch.zeros((2, FRAMES), dtype=torch.long)
    draft = Draft(torch.randn_like(latents), size, size)
    before = made(latents, actions, draft)
    for other in (
        draft._replace(latents=-draft.latents),
        draft._replace(level=size + FINEST - 1),
        draft._replace(size=size + 3),
    ):
        assert (made(latents, actions, other) - before).abs().max() > 1e-4
