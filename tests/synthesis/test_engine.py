"""Pairs: the same for the same seed and index, whatever the order, batch, threads or device."""

import hashlib
import json
import os
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.slicing.threads import set_threads
from napari_mrissl.synthesis import Engine, EngineSettings
from napari_mrissl.synthesis.ensemble import draw_ensemble
from napari_mrissl.synthesis.head_templates import subjects_of_folder
from napari_mrissl.synthesis.heads import Heads, HeadSettings
from tests.synthesis.label_heads import write_label_heads

SHARED = ["templates", "copy", "ensemble", "median"]
AFTER = ["foreground", "envelope"]
VIEW = ["mixture", "noise", "bias", "spike", "contrast", "smooth", "gibbs", "sharpen"]
VIEW += ["low_resolution", "final"]


def same(one, other) -> bool:
    return (
        np.array_equal(one.views, other.views)
        and np.array_equal(one.labels, other.labels)
        and one.record == other.record
    )


def test_a_pair_depends_on_seed_and_index_only(pool, engine):
    first = [engine.pair(index) for index in range(3)]
    again = Engine(pool, engine.settings, engine.seed)
    assert all(same(again.pair(index), first[index]) for index in (2, 0, 1))
    other = Engine(pool, engine.settings, engine.seed + 1).pair(0)
    assert not np.array_equal(other.labels, first[0].labels)
    assert not np.array_equal(first[1].labels, first[0].labels)


def test_threads_change_nothing(engine):
    several = [engine.pair(index) for index in range(3)]
    set_threads(1)
    try:
        assert all(same(engine.pair(index), pair) for index, pair in enumerate(several))
    finally:
        set_threads(None)


def test_pairs_made_at_the_same_time_are_the_same(engine):
    alone = [engine.pair(index) for index in range(6)]
    with ThreadPoolExecutor(4) as workers:
        together = list(workers.map(engine.pair, range(6)))
    assert all(same(one, other) for one, other in zip(alone, together, strict=True))


def test_another_process_with_one_thread_makes_the_same_pairs_and_heads(pool, engine, tmp_path):
    script = """
import sys
from pathlib import Path
from napari_mrissl.synthesis import Engine, EngineSettings, Templates
from napari_mrissl.synthesis.head_templates import subjects_of_folder
from napari_mrissl.synthesis.heads import Heads, HeadSettings
from tests.synthesis.test_engine import digest
engine = Engine(Templates.procedural(seed=5, count=40), EngineSettings.of_side(48), seed=3)
heads = Heads(subjects_of_folder(sys.argv[1]), HeadSettings(side=48), seed=2)
print(digest(engine, heads, reversed(range(3))))
"""
    maps = write_label_heads(tmp_path / "maps", 2)
    names = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, "1"), "PYTHONHASHSEED": "7"}
    words = [sys.executable, "-c", script, str(maps)]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        words, capture_output=True, encoding="utf-8", timeout=280, env=environment, cwd=root
    )
    assert done.returncode == 0, done.stderr
    heads = Heads(subjects_of_folder(maps), HeadSettings(side=48), seed=2)
    assert done.stdout.split()[-1] == digest(engine, heads, range(3))


def digest(engine: Engine, heads: Heads, indices) -> str:
    """Of all voxels of these pairs and heads, whatever the order."""
    found = {}
    for index in indices:
        pair, head = engine.pair(index), heads.head(index)
        found[index] = (pair.views, pair.labels, head.image.data, head.labels)
    whole = hashlib.sha256()
    for index in sorted(found):
        for array in found[index]:
            whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()


@pytest.mark.parametrize("side", [16, 80, 112])
def test_any_side_that_is_a_multiple_of_16(pool, side):
    pair = Engine(pool, EngineSettings.of_side(side), seed=1).pair(2)
    assert pair.views.shape == (2, side, side, side)
    assert np.isfinite(pair.views).all()
    assert len(np.unique(pair.labels)) > 5


@pytest.mark.parametrize("side", [0, 8, 40, 100, 528])
def test_other_sides_are_refused_in_a_sentence(side):
    with pytest.raises(MrisslError, match=f"a side of {side}; expected a multiple of 16"):
        EngineSettings.of_side(side)


def test_a_batch_holds_the_pairs_in_the_order_asked_for(engine):
    pytest.importorskip("torch")
    batch = engine.batch([4, 1])
    assert batch.views.shape == (2, 2, 48, 48, 48)
    for row, index in enumerate((4, 1)):
        pair = engine.pair(index)
        assert np.array_equal(batch.views[row].numpy(), pair.views)
        assert np.array_equal(batch.labels[row].numpy(), pair.labels)
        assert batch.kinds[row] == pair.kind
    assert batch.indices == (4, 1)


def test_views_are_in_0_to_1_and_the_record_is_plain_data(engine):
    pair = engine.pair(7)
    assert pair.views.dtype == np.float32
    assert pair.views.shape == (2, 48, 48, 48)
    for view in pair.views:
        assert (view.min(), view.max()) == (0, pytest.approx(1, abs=1e-6))
    assert not np.array_equal(*pair.views)
    assert pair.labels.dtype == np.uint8
    assert json.loads(json.dumps(pair.record))["index"] == 7
    assert np.array_equal(pair.views_as_bytes(), np.floor(pair.views * 255))


@pytest.mark.parametrize("kind", ["plain", "masked", "enveloped"])
def test_stages_lead_to_the_pair(pool, engine, kind):
    settings = engine.settings.ensemble
    index = next(
        i for i in range(99) if draw_ensemble(engine.seed, i, settings, len(pool)).kind == kind
    )
    stages, pair = engine.stages(index), engine.pair(index)
    balls = [] if kind == "plain" else ["ball", "mask"]
    assert [stage.name for stage in stages] == SHARED + balls + AFTER + 2 * VIEW
    by_name = {(stage.name, stage.view): stage for stage in stages}
    assert np.array_equal(by_name["envelope", None].array, pair.labels)
    for view in (0, 1):
        assert np.array_equal(by_name["final", view].array, pair.views[view])
    before = None
    for stage in stages:
        if not stage.active and before is not None:
            assert np.array_equal(stage.array, before.array), stage.name
        before = stage
    assert by_name["envelope", None].active == (kind == "enveloped")
    if kind != "plain":
        mask = by_name["mask", None].array > 0
        inside = by_name["foreground", None].array
        assert np.array_equal(inside > 0, mask)
        assert np.array_equal(inside[mask], by_name["median", None].array[mask] + 1)
    if kind == "enveloped":
        assert pair.labels.max() == inside.max() + 1
    assert pair.kind == kind


def test_a_range_of_one_stage_leaves_the_other_draws_alone(pool, engine):
    changed = engine.settings.model_dump()
    changed["augmentation"]["gibbs"]["probability"] = 0
    other = Engine(pool, EngineSettings.model_validate(changed), engine.seed)
    for index in range(3):
        one, two = engine.pair(index), other.pair(index)
        assert np.array_equal(one.labels, two.labels)
        for before, after in zip(one.record["views"], two.record["views"], strict=True):
            assert after["augmentation"] == before["augmentation"] | {"gibbs": None}
            assert after["appearance"] == before["appearance"]


def test_memory_stays_below_the_stated_bound(pool, engine):
    larger = Engine(pool, EngineSettings.of_side(96), seed=1)
    # Kernels are loaded when they are first called, which takes memory too.
    for index in range(6):
        larger.pair(index)
    tracemalloc.start()
    try:
        for index in range(6):
            larger.pair(index)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    stated = larger.memory_estimate() - pool.nbytes
    assert stated / 2 < peak < stated


def test_odd_requests_are_refused_in_a_sentence(pool, engine):
    with pytest.raises(MrisslError, match="index -1"):
        engine.pair(-1)
    torch = pytest.importorskip("torch")
    with pytest.raises(MrisslError, match="no device"):
        Engine(pool, engine.settings, device="nonsense")
    with pytest.raises(MrisslError, match="no index"):
        engine.batch([])
    if not torch.cuda.is_available():
        with pytest.raises(MrisslError, match="cuda"):
            Engine(pool, engine.settings, device="cuda")


def test_pairs_on_the_cpu_need_no_torch():
    script = """
import sys
from napari_mrissl.synthesis import Engine, EngineSettings, Templates
assert "numba" not in sys.modules
Engine(Templates.procedural(0, 5), EngineSettings.of_side(16)).pair(0)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=200)
