"""File systems of their own for tests, where this user may mount one."""

import os
import shutil
import subprocess
from pathlib import Path


class SmallDisk:
    """A file system of some megabytes in memory.

    Attributes
    ----------
    folder
        Where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Let somebody else take all that is left."""
        with open(self._filler, "wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        """Give it back."""
        self._filler.unlink()

    def protect(self, *, readonly: bool) -> None:
        """Let nobody write, root neither; nothing on it may be open for writing."""
        how = "ro" if readonly else "rw"
        subprocess.run(["mount", "-o", f"remount,{how}", self.folder], check=True)

    def take_away(self) -> None:
        """As a share whose server is gone: names lead nowhere, open files stay open."""
        subprocess.run(["umount", "--lazy", self.folder], check=True)


def mounted(folder: Path, megabytes: int = 40) -> SmallDisk | None:
    """A new small disk, or None where nobody may mount one."""
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return None
    words = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        return None
    return SmallDisk(folder)
