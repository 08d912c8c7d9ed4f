"""How training would scale to many GPUs: a model on paper, by what each step must send.

Data-parallel processes each have a batch of their own and add up their gradients. In a ring
every process sends and receives 2 (n - 1) / n times the gradients, and n processes take
2 (n - 1) turns (Patarasuk and Yuan, 2009, doi 10.1016/j.jpdc.2008.09.002). What of that
lies beside the backward pass costs no time; the rest makes the step longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from napari_mrissl.pretext.info import TaskInfo
from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.training.building import settings_for, task_of

BYTES_PER_GRADIENT = 4
"""Weights and gradients are float32 in every precision but double."""


@dataclass(frozen=True)
class Cluster:
    """The network of a cluster.

    Attributes
    ----------
    gpus_per_node
        They share their node's link to the others.
    inside, between
        Bytes a second that one node's ring carries in each direction, inside a node and
        between nodes. The defaults are a slow half of NVLink 3 and one link of 200 Gbit/s.
    latency
        Seconds that a turn of the ring takes at least.
    hidden
        Share of the step beside which gradients are sent: the backward pass, two thirds.
    """

    gpus_per_node: int = 8
    inside: float = 150e9
    between: float = 25e9
    latency: float = 15e-6
    hidden: float = 2 / 3


@dataclass(frozen=True)
class Scaled:
    """What the model says of a number of GPUs.

    Attributes
    ----------
    gpus
        How many.
    sending
        Seconds in which a step's gradients are added up.
    step
        Seconds a step takes, what is sent beside the backward pass not counted twice.
    efficiency, worst
        Samples a second of each GPU against those of one; ``worst`` if nothing is hidden.
    """

    gpus: int
    sending: float
    step: float
    efficiency: float
    worst: float


def scaled(
    seconds: float, gradient_bytes: float, gpus: int, cluster: Cluster | None = None
) -> Scaled:
    """Weak scaling: each GPU has as many samples as one alone.

    Parameters
    ----------
    seconds
        A step of one GPU takes.
    gradient_bytes
        That each GPU adds to those of the others; see `gradient_bytes_of`.
    gpus
        How many.
    cluster
        Without it one of the default links.

    Raises
    ------
    ValueError
        If a time or a number is not positive.
    """
    if seconds <= 0 or gradient_bytes < 0 or gpus < 1:
        raise ValueError(f"{seconds} s, {gradient_bytes} bytes, {gpus} GPUs")
    cluster = cluster or Cluster()
    carried = cluster.between if gpus > cluster.gpus_per_node else cluster.inside
    sending = 2 * (gpus - 1) / gpus * gradient_bytes / carried + 2 * (gpus - 1) * cluster.latency
    step = seconds + max(0.0, sending - cluster.hidden * seconds)
    return Scaled(gpus, sending, step, seconds / step, seconds / (seconds + sending))


def gradient_bytes_of(method: str, preset: str, registry: Mapping[str, TaskInfo] = TASKS) -> int:
    """Bytes of gradients of a step, counted from a method's network; none is filled with weights.

    Raises
    ------
    MrisslError
        If there is no such method or preset.
    """
    task = task_of(settings_for(method, preset=preset, registry=registry), registry)
    with torch.device("meta"):
        network = task.network()
    trained = sum(one.numel() for one in network.parameters() if one.requires_grad)
    return BYTES_PER_GRADIENT * trained


def table(seconds: float, sizes: Mapping[str, int], gpus: tuple[int, ...] = (8, 64, 512)) -> str:
    """The model's efficiencies as Markdown: a row for each network, a column for each number.

    Parameters
    ----------
    seconds
        A step of one GPU takes.
    sizes
        Bytes of gradients by name.
    gpus
        How many.
    """
    heads = "".join(f" {n} GPUs |" for n in gpus)
    lines = [f"| network | gradients, MB |{heads}", "|---|---|" + "---|" * len(gpus)]
    for name, size in sizes.items():
        found = [scaled(seconds, size, n) for n in gpus]
        cells = "".join(
            f" {one.efficiency:.3f} ({one.worst:.3f}, {1e3 * one.sending:.1f} ms) |"
            for one in found
        )
        lines.append(f"| {name} | {size / 1e6:.2f} |{cells}")
    return "\n".join(lines)
