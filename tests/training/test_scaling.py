import re

import pytest

from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.training.building import settings_for, task_of
from napari_mrissl.training.scaling import Cluster, gradient_bytes_of, scaled, table

SLOW = Cluster(gpus_per_node=8, inside=100.0, between=10.0, latency=0.0, hidden=0.0)


def ring(gpus, size, bandwidth):
    """Seconds of a ring all-reduce, turn by turn: n pieces go round twice, less one each."""
    return sum(size / gpus / bandwidth for _ in range(2) for _ in range(gpus - 1))


@pytest.mark.parametrize("gpus", [1, 2, 8, 9, 64])
def test_the_time_of_sending_is_that_of_a_ring(gpus):
    found = scaled(3.0, 50.0, gpus, SLOW)
    assert found.sending == pytest.approx(ring(gpus, 50.0, 100.0 if gpus <= 8 else 10.0))
    assert found.step == pytest.approx(3.0 + found.sending)
    assert found.efficiency == found.worst == pytest.approx(3.0 / found.step)


def test_what_lies_beside_the_backward_pass_costs_nothing():
    half = Cluster(8, 100.0, 10.0, 0.0, 0.5)
    assert scaled(10.0, 25.0, 64, half).efficiency == 1.0
    beyond = scaled(10.0, 50.0, 64, half)
    assert beyond.step == pytest.approx(10.0 + ring(64, 50.0, 10.0) - 5.0)
    assert beyond.worst < beyond.efficiency < 1.0


def test_every_turn_takes_its_time():
    late = Cluster(8, 100.0, 10.0, 0.25, 0.0)
    assert scaled(1.0, 0.0, 5, late).sending == pytest.approx(8 * 0.25)


@pytest.mark.parametrize("wrong", [(0.0, 1.0, 1), (1.0, -1.0, 1), (1.0, 1.0, 0)])
def test_what_is_no_training_is_refused(wrong):
    with pytest.raises(ValueError, match="GPUs"):
        scaled(*wrong)


@pytest.mark.parametrize("method", TASKS)
def test_gradients_are_counted_from_the_networks(method):
    network = task_of(settings_for(method, preset="tiny")).network()
    trained = [one for one in network.parameters() if one.requires_grad]
    assert gradient_bytes_of(method, "tiny") == sum(one.numel() * 4 for one in trained) > 0


def test_the_table_has_a_row_for_each_network_and_a_column_for_each_number():
    lines = table(0.2, {"a": 45_000_000, "b": 9_000_000}, (8, 512)).splitlines()
    assert lines[0] == "| network | gradients, MB | 8 GPUs | 512 GPUs |"
    assert lines[2].startswith("| a | 45.00 |")
    worst = [float(one) for one in re.findall(r"\(([\d.]+),", lines[2])]
    assert worst == [pytest.approx(scaled(0.2, 45e6, n).worst, abs=1e-3) for n in (8, 512)]
