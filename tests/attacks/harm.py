"""What files made to do harm have in common: a canary, and what a refusal must be."""

import resource
from pathlib import Path

import pytest

from napari_mrissl.errors import MrisslError


class Harm:
    """Makes a canary when it is unpickled."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return (Path.touch, (self.canary,))


def refusal(read, path, longest):
    """What is said when a file is refused: one sentence, without its folder, in little memory."""
    allowed = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + (256 << 10)
    with pytest.raises(MrisslError) as told:
        read(path)
    said = str(told.value)
    assert said.count("\n") == 0
    assert said.isprintable()
    assert len(said) < longest
    assert str(path.parent) not in said
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < allowed
    return said
