"""The tokenizer of slices: patches where they belong, nothing of hidden ones, bounded latents."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from napari_mrissl.networks.settings import DynamicsShape, TokenizerShape
from napari_mrissl.networks.slice_tokenizer import SliceTokenizer, image_of, patches_of, pixels_of
from napari_mrissl.networks.transformer import Block, places_in_grid

SHAPE = TokenizerShape(size=32, patch=8, width=16, depth=2, decoder=1, heads=2, latent=6)


@pytest.fixture(scope="module")
def tokenizer():
    torch.manual_seed(0)
    return SliceTokenizer(SHAPE).eval()


@pytest.fixture
def image():
    return torch.rand((3, 2, 32, 32), generator=torch.Generator().manual_seed(1))


def test_patches_are_squares_row_by_row_and_go_back():
    image = torch.arange(2 * 2 * 12 * 12, dtype=torch.float32).reshape(2, 2, 12, 12)
    patches = patches_of(image, 4)
    for row in range(3):
        for column in range(3):
            square = image[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
            assert torch.equal(patches[:, 3 * row + column], square.flatten(1))
    assert torch.equal(image_of(patches_of(image[:, :1], 4), 4), image[:, 0])


def test_hidden_patches_are_pixels_as_kronecker_says():
    hidden = torch.rand((2, 3, 4, 4)) < 0.5
    expected = np.kron(hidden.numpy(), np.ones((5, 5), bool))
    assert np.array_equal(pixels_of(hidden, 5).numpy(), expected)


def test_what_is_hidden_cannot_be_seen(tokenizer, image):
    hidden = torch.zeros((3, 4, 4), dtype=torch.bool)
    hidden[0, 1, 2] = hidden[1] = True
    other = torch.where(pixels_of(hidden, 8)[:, None], torch.rand_like(image), image)
    with torch.no_grad():
        assert torch.equal(tokenizer.encode(image, hidden), tokenizer.encode(other, hidden))
        assert torch.equal(tokenizer(image, hidden), tokenizer(other, hidden))
        apart = (tokenizer.encode(image) - tokenizer.encode(other)).abs().amax((1, 2, 3))
    assert apart[0] > 0
    assert apart[1] > 0
    assert apart[2] == 0


def test_latents_lie_within_one_and_where_their_patches_are(tokenizer, image):
    with torch.no_grad():
        latents = tokenizer.encode(100 * image)
        assert latents.shape == (3, 4, 4, 6)
        assert (latents.abs() <= 1).all()
        assert tokenizer.decode(latents).shape == (3, 32, 32)
        # Each slice by itself: no other in the batch has a say.
        assert torch.allclose(tokenizer.encode(100 * image[1:2]), latents[1:2], atol=1e-6)
        changed = image.clone()
        changed[:, :, 8:16, 24:] += 1
        change = (tokenizer.encode(changed) - tokenizer.encode(image)).abs().sum((0, 3))
    assert change.argmax() == 1 * 4 + 3


def test_the_decoder_takes_latents_as_they_are_or_layer_normed(tokenizer, image):
    with torch.no_grad():
        latents = tokenizer.encode(image)
        normed = (latents - latents.mean(-1, keepdim=True)) / latents.std(
            -1, correction=0, keepdim=True
        )
        assert torch.allclose(tokenizer.decode(latents), tokenizer.decode(normed), atol=1e-3)


def test_places_of_patches_differ_and_are_sines():
    places = places_in_grid(4, 16)
    assert len(torch.unique(places, dim=0)) == 16
    assert places[4 * 2 + 3, 0] == pytest.approx(np.sin(2), abs=1e-6)
    assert places[4 * 2 + 3, 8] == pytest.approx(np.sin(3), abs=1e-6)


def test_attention_is_a_mean_over_what_a_token_sees():
    """Against the formula, written out for one head."""
    torch.manual_seed(0)
    block = Block(8, 1).double().eval()
    tokens = torch.randn((1, 5, 8), dtype=torch.float64)
    mask = torch.ones((5, 5), dtype=torch.bool).tril()
    with torch.no_grad():
        found, (key, value) = block(tokens, mask)
        query, k, v = block.attention(block.before_attention(tokens))[0].split(8, dim=1)
        assert torch.equal(key[0, 0], k)
        assert torch.equal(value[0, 0], v)
        scores = (query @ k.T / np.sqrt(8)).masked_fill(~mask, -np.inf)
        mixed = tokens[0] + block.joined(torch.softmax(scores, 1) @ v)
        expected = mixed + block.layers(block.before_layers(mixed))
    assert torch.allclose(found[0], expected, atol=1e-12)


@pytest.mark.parametrize(
    "wrong", [{"size": 30}, {"size": 16, "patch": 16}, {"width": 20, "heads": 3}]
)
def test_shapes_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValidationError):
        TokenizerShape(**wrong)


def test_a_width_is_shared_evenly_among_heads():
    with pytest.raises(ValidationError, match="cannot be shared"):
        DynamicsShape(width=20, heads=3)
