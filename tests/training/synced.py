"""A run's folder as it comes to another machine: file by file, in any order, some only in part."""

from __future__ import annotations

import os
import random
from pathlib import Path

Facts = dict[str, tuple[bytes, int]]


class Sync:
    """Brings a copy up to date, badly.

    Parameters
    ----------
    source, target
        Folders.
    skew
        Seconds that times are wrong by in the copy.
    in_place
        Whether a file is overwritten as it comes, or put in place when it is there.
    """

    def __init__(self, source: Path, target: Path, skew: float, *, in_place: bool) -> None:
        self.source = source
        self.target = target
        self._skew_ns = int(1e9 * skew)
        self._in_place = in_place
        self._rng = random.Random(7)

    def part(self) -> None:
        """Bring some of the files, one of them perhaps only in part."""
        names = self._names()
        for name in names[: self._rng.randrange(1, len(names) + 1)]:
            whole = not self._in_place or self._rng.random() < 0.6
            self._bring(name, 1.0 if whole else self._rng.random())

    def all(self) -> None:
        """Bring all, and remove what is no longer there."""
        names = self._names()
        for name in names:
            self._bring(name, 1.0)
        for path in sorted(self.target.rglob("*"), reverse=True):
            if path.is_file() and str(path.relative_to(self.target)) not in names:
                path.unlink()
            elif path.is_dir() and not any(path.iterdir()):
                path.rmdir()

    def facts(self) -> Facts:
        """All that anybody who writes into the copy would change."""
        return {
            str(path.relative_to(self.target)): (
                path.read_bytes() if path.is_file() else b"",
                path.stat().st_mtime_ns,
            )
            for path in [self.target, *self.target.rglob("*")]
        }

    def _names(self) -> list[str]:
        found = [str(p.relative_to(self.source)) for p in self.source.rglob("*") if p.is_file()]
        self._rng.shuffle(found)
        return found

    def _bring(self, name: str, share: float) -> None:
        source, target = self.source / name, self.target / name
        content = source.read_bytes()
        beaten = source.stat().st_mtime_ns + self._skew_ns
        target.parent.mkdir(parents=True, exist_ok=True)
        written = target if self._in_place else target.with_name(f".{target.name}.Xy12")
        written.write_bytes(content[: round(share * len(content))])
        os.utime(written, ns=(beaten, beaten))
        if written != target:
            written.replace(target)
