"""Steps of a restoring task as the training loop takes them, for tests of several tasks."""

import numpy as np
import torch

from napari_mrissl.pretext.task import SampleKey


class Alone:
    """A world of one process."""

    rank = 0
    world_size = 1

    def gather(self, tensor):
        return tensor

    def sum(self, tensor):
        return tensor


def batch_of(task, subjects, step, count):
    """A prepared batch."""
    keys = [SampleKey(0, step, number) for number in range(count)]
    samples = [task.sample(subjects, key).arrays for key in keys]
    batch = {n: torch.from_numpy(np.stack([s[n] for s in samples])) for n in samples[0]}
    return task.prepare(batch, keys)


def terms_of(task, network, batch):
    """Values of the terms."""
    terms = task.losses(network, batch, Alone())
    return {
        name: float(term.total.detach()) / float(term.count)
        for name, term in terms.items()
        if term.count
    }


def train(task, subjects, *, steps, count=4, rate=3e-3):
    """A network after some steps of AdamW."""
    torch.manual_seed(0)
    network = task.network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate)
    for step in range(steps):
        terms = task.losses(network, batch_of(task, subjects, step, count), Alone())
        loss = sum(t.weight * t.total / t.count for t in terms.values() if t.weight)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return network.eval()
