"""Every method: found without torch, with presets that hold, and a task that trains."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from napari_mrissl.pretext.info import PRESETS
from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.training.building import settings_for

CASES = [(name, preset) for name, info in TASKS.items() for preset in info.presets]


def test_lists_of_methods_import_no_heavy_package():
    script = (
        "import json, sys; from napari_mrissl.pretext.registry import TASKS;"
        "[info.settings.model_json_schema() for info in TASKS.values()];"
        "print(json.dumps([n for n in ('torch', 'numba', 'monai', 'scipy') if n in sys.modules]))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True
    )
    assert json.loads(found.stdout) == []


def test_names_are_keys_and_the_controls_are_there():
    assert {"reconstruction", "masked", "scratch", "vectorpose"} <= set(TASKS)
    for name, info in TASKS.items():
        assert info.name == name
        assert info.description.endswith(".")
        assert set(PRESETS) <= set(info.presets)


@pytest.mark.parametrize(("name", "preset"), CASES)
def test_a_preset_is_settings_of_a_run(name, preset):
    settings = settings_for(name, preset=preset)
    task = TASKS[name].settings.model_validate(settings.task)
    again = TASKS[name].settings.model_validate_json(task.model_dump_json())
    assert again == task
    optimisation = settings.optimisation
    assert optimisation.warmup < optimisation.steps
    assert preset != "tiny" or optimisation.precision == "float32"


@pytest.mark.parametrize("name", TASKS)
def test_every_setting_has_a_title_and_a_description(name):
    missing = []
    models = [TASKS[name].settings]
    while models:
        model = models.pop()
        for field, info in model.model_fields.items():
            if not (info.title and info.description):
                missing.append(f"{model.__name__}.{field}")
            if hasattr(info.annotation, "model_fields"):
                models.append(info.annotation)
    assert not missing


@pytest.mark.parametrize("name", TASKS)
def test_the_class_is_of_the_method_and_names_its_backbone(name):
    info = TASKS[name]
    settings = info.settings(backbone={"width": 8, "depth": 3})
    task = info.load()(settings)
    assert task.info is info
    names = [parameter for parameter, _ in task.network().named_parameters()]
    assert any(parameter.startswith("backbone.") for parameter in names)


@pytest.mark.parametrize("name", TASKS)
def test_weights_follow_from_torch_and_nothing_else(name):
    info = TASKS[name]
    task = info.load()(info.settings(backbone={"width": 8, "depth": 3}))
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(task.network().state_dict())
    first, same, other = states
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
    shared = {tensor.untyped_storage().data_ptr() for tensor in first.values()}
    assert len(shared) == len(first), "safetensors cannot save tensors that share memory"
    assert np.isfinite(sum(float(tensor.double().sum()) for tensor in first.values()))
