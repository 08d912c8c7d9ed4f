"""HDF5 files that a full disk ends with a sentence."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_mrissl.trajectories.exchange.optional import needed


class _Target(io.FileIO):
    """A file that takes everything, and remembers when the disk no longer did.

    What HDF5 cannot write it tries to write again whenever something of the file is closed,
    and in the end it crashes: from the first refusal on, all of it is thrown away.
    """

    error: OSError | None = None

    def write(self, content: Any, /) -> int:
        rest = memoryview(content).cast("B")
        size = len(rest)
        while len(rest) and self.error is None:
            try:
                rest = rest[super().write(rest) :]
            except OSError as error:
                self.error = error
        return size

    def truncate(self, size: int | None = None, /) -> int:
        if self.error is None:
            try:
                return super().truncate(size)
            except OSError as error:
                self.error = error
        return size or 0

    def check(self) -> None:
        """Raise what the disk said."""
        if self.error is not None:
            raise self.error


@contextmanager
def new_hdf5(path: Path, **options: Any) -> Iterator[tuple[Any, Callable[[], None]]]:
    """An ``h5py.File`` to fill, and what is to be called now and then: it raises a refusal.

    Raises
    ------
    MrisslError
        If h5py is not installed.
    OSError
        If the disk refuses.
    """
    h5py = needed("h5py", "exports")
    with _Target(path, "w+") as target:
        try:
            with h5py.File(target, "w", **options) as file:
                yield file, target.check
        except Exception as error:
            # What h5py makes of a refusal names places in memory.
            if target.error is not None and error is not target.error:
                raise target.error from error
            raise
        target.check()
