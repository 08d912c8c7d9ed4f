"""Compiled kernels and tensors make the same stages, on the CPU and, where there is one, a GPU."""

import numpy as np
import pytest

from napari_mrissl.synthesis import Engine, EngineSettings, Templates
from napari_mrissl.synthesis.ensemble import draw_ensemble

torch = pytest.importorskip("torch")


def assert_same_stages(one: Engine, other: Engine, indices: list[int]) -> None:
    for index in indices:
        for a, b in zip(one.stages(index), other.stages(index), strict=True):
            assert (a.name, a.view, a.active, a.kind) == (b.name, b.view, b.active, b.kind)
            if a.kind == "labels":
                assert np.array_equal(a.array, b.array), a.name
            else:
                size = max(1.0, float(np.abs(a.array).max()))
                assert np.abs(a.array - b.array).max() <= 1e-5 * size, a.name


def one_of_each_kind(engine: Engine) -> list[int]:
    settings, count = engine.settings.ensemble, len(engine.templates)
    kinds = [draw_ensemble(engine.seed, index, settings, count).kind for index in range(40)]
    return [kinds.index(kind) for kind in ("plain", "masked", "enveloped")]


def test_tensors_on_the_cpu_equal_compiled_kernels(pool):
    from napari_mrissl.synthesis.torch_operations import TorchOperations

    settings = EngineSettings.of_side(16)
    engine = Engine(pool, settings, 3)
    other = Engine(pool, settings, 3, operations=TorchOperations("cpu"))
    assert_same_stages(engine, other, one_of_each_kind(engine))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_tensors_on_a_gpu_equal_compiled_kernels():
    pool, settings = Templates.procedural(1, 20), EngineSettings.of_side(64)
    cpu, gpu = Engine(pool, settings, 2), Engine(pool, settings, 2, device="cuda")
    assert_same_stages(cpu, gpu, one_of_each_kind(cpu))
    assert gpu.batch([0]).views.device.type == "cuda"
