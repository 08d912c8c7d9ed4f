"""The one family of errors a user can meet: what, where, expected, what to do."""

from __future__ import annotations

from pathlib import Path


def printable(text: str) -> str:
    """The text with ``?`` for what is no visible character.

    Names and texts come from files: terminal escapes, line ends, marks that turn the reading
    direction and undecodable bytes must not reach a terminal, a window or a log.
    """
    return "".join(c if c.isprintable() else "?" for c in text)


class MrisslError(ValueError):
    """Bad input, said in one sentence.

    Parameters
    ----------
    found
        What was found, e.g. ``"sform is singular"``.
    where
        The file or the field; only a file's *name* is shown, never its folder.
    expected
        What would have been right.
    remedy
        What the user can do about it.
    """

    def __init__(
        self,
        found: str,
        *,
        where: str | Path | None = None,
        expected: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.found = found
        self.where = where.name if isinstance(where, Path) else where
        self.expected = expected
        self.remedy = remedy
        sentence = f"{self.where}: {found}" if self.where else found
        if expected:
            sentence += f"; expected {expected}"
        if remedy:
            sentence += f"; {remedy}"
        super().__init__(printable(sentence).rstrip(".") + ".")
