"""Side by side is the same as one after the other, but for time."""

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.navigation.demonstrations import LIMITS

gymnasium = pytest.importorskip("gymnasium")
from napari_mrissl.environments import SLICE_PLANE  # noqa: E402
from napari_mrissl.environments import flying as flying_module  # noqa: E402
from napari_mrissl.environments.side_by_side import SlicePlanes  # noqa: E402

SIZE, COUNT = 12, 5


@pytest.fixture
def pair(heads):
    """Ours and Gymnasium's loop over single ones."""
    words = {"size": SIZE, "steps": 6, "scenes": heads}
    ours = gymnasium.make_vec(SLICE_PLANE, num_envs=COUNT, **words)
    loop = gymnasium.make_vec(SLICE_PLANE, num_envs=COUNT, vectorization_mode="sync", **words)
    assert isinstance(ours.unwrapped, SlicePlanes)
    assert isinstance(loop.unwrapped, gymnasium.vector.SyncVectorEnv)
    return ours, loop


def same(one, other):
    assert one.keys() == other.keys()
    for name, values in one.items():
        assert values.dtype == other[name].dtype, name
        np.testing.assert_allclose(values, other[name], atol=1e-9, err_msg=name)


def test_it_gives_what_single_ones_give_over_ends_and_new_beginnings(pair):
    ours, loop = pair
    assert ours.observation_space == loop.observation_space
    assert ours.action_space == loop.action_space
    assert ours.metadata["autoreset_mode"] == loop.metadata["autoreset_mode"]
    for seed in (7, [3, None, 5, 1, 1], None):
        (seen, info), (expected, told) = (env.reset(seed=seed) for env in pair)
        if seed == 7:
            np.testing.assert_array_equal(seen, expected)
            same(info, told)
    for env in pair:
        env.reset(seed=11)
    rng = np.random.default_rng(0)
    ends = np.zeros(2, int)
    for step in range(20):
        actions = np.float32(rng.normal(size=(COUNT, 7)) * LIMITS)
        # Some stand still, and end before the others are cut off.
        actions[:2] *= step % 4 < 2
        found, wanted = (env.step(actions) for env in pair)
        np.testing.assert_allclose(found[0], wanted[0], atol=1e-6)
        np.testing.assert_allclose(found[1], wanted[1], atol=1e-12)
        for k in (2, 3):
            np.testing.assert_array_equal(found[k], wanted[k])
            assert found[k].dtype == wanted[k].dtype
        same(found[4], wanted[4])
        assert found[0] in ours.observation_space
        ends += [found[2].sum(), found[3].sum()]
    assert (ends > 2).all()


def test_a_scan_is_rendered_once_for_all_that_fly_over_it(heads, monkeypatch):
    calls = []

    def counted(volume, poses, size, **given):
        calls.append(len(poses))
        return render(volume, poses, size, **given)

    render = flying_module.render
    monkeypatch.setattr(flying_module, "render", counted)
    planes = SlicePlanes(COUNT, SIZE, scenes=heads[:1])
    planes.reset(seed=0)
    assert calls == [3 * COUNT]
    planes.step(np.zeros((COUNT, 7)))
    assert calls == [3 * COUNT] * 2


def test_observations_of_one_step_are_not_changed_by_the_next(heads):
    planes = SlicePlanes(COUNT, SIZE, scenes=heads)
    seen, info = planes.reset(seed=0)
    kept, told = seen.copy(), {name: values.copy() for name, values in info.items()}
    planes.step(np.tile(LIMITS, (COUNT, 1)))
    planes.step(np.tile(LIMITS, (COUNT, 1)))
    np.testing.assert_array_equal(seen, kept)
    same(info, told)


def test_wishes_that_cannot_be_met_are_refused(heads):
    with pytest.raises(MrisslError, match="environments"):
        SlicePlanes(0, SIZE, scenes=heads)
    with pytest.raises(MrisslError, match="fewer, or smaller"):
        SlicePlanes(1 << 20, 4096, scenes=heads)
    planes = SlicePlanes(2, SIZE, scenes=heads)
    with pytest.raises(MrisslError, match="reset first"):
        planes.step(np.zeros((2, 7)))
    with pytest.raises(MrisslError, match="3 seeds"):
        planes.reset(seed=[1, 2, 3])
    planes.reset()
    with pytest.raises(MrisslError, match="seven finite"):
        planes.step(np.zeros((3, 7)))
    assert planes.render() is None
    pictures = SlicePlanes(2, SIZE, scenes=heads, render_mode="rgb_array")
    pictures.reset()
    assert [one.shape for one in pictures.render()] == [(SIZE, 3 * SIZE, 3)] * 2
