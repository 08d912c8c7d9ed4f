"""Small packs for tests, a file system that counts what is read of it, and a server of files."""

from __future__ import annotations

import http.server
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np
from fsspec import AbstractFileSystem, register_implementation
from scipy import ndimage

from napari_mrissl.packs import Pack, PackWriter
from napari_mrissl.training.data.facts import measured
from napari_mrissl.volumes import Volume

TURNED = np.array([[0, 0, -1.1, 40], [-1.0, 0, 0, 20], [0, 1.5, 0.1, -30], [0, 0, 0, 1]])


def volume_of(seed: int, shape: tuple[int, int, int] = (150, 70, 130), dtype="i2") -> Volume:
    """A smooth scan with noise, with axes permuted, oblique and scaled."""
    rng = np.random.default_rng(seed)
    coarse = rng.random([max(2, n // 10) for n in shape])
    smooth = ndimage.zoom(coarse, np.array(shape) / coarse.shape, order=1)
    voxels = (90 * smooth + rng.normal(0, 2, shape)).clip(0, 120).astype(dtype)
    return Volume.from_stored(voxels, TURNED, slope=0.5, intercept=-3.0)


def pack_of(folder: Path, *volumes: Volume) -> Pack:
    """A pack of volumes in memory."""
    writer = PackWriter(folder)
    entries = []
    for number, volume in enumerate(volumes, 1):
        facts = measured(volume)
        said = {"name": f"scan-{number:06d}", "subject": f"subject-{number}"}
        entries.append(writer.write(volume, said | {"values": facts.values, "ct": facts.ct}))
    writer.commit(entries)
    return Pack.open(folder)


class Counting(AbstractFileSystem):
    """Local files under ``counted://``; every read is noted, and some can fail."""

    protocol = "counted"
    cachable = False
    reads: ClassVar[list[tuple[str, int]]] = []
    failures: ClassVar[list[Exception]] = []

    def info(self, path, **_):
        self.reads.append((path, 0))
        return {"name": path, "size": os.path.getsize(path), "type": "file"}

    def cat_file(self, path, start=None, end=None, **_):
        if self.failures:
            raise self.failures.pop()
        with open(path, "rb") as file:
            file.seek(start or 0)
            content = file.read(-1 if end is None else end - (start or 0))
        self.reads.append((path, len(content)))
        return content


register_implementation("counted", Counting)


@contextmanager
def counted() -> Iterator[list[tuple[str, int]]]:
    """Files and bytes read within the block, by way of ``counted://``."""
    Counting.reads.clear()
    try:
        yield Counting.reads
    finally:
        Counting.failures.clear()


class _Server(http.server.ThreadingHTTPServer):
    # Of more requests at once than wait in line, each comes a second late.
    request_queue_size = 128


class _Ranges(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        if not self.refuses():
            super().do_HEAD()

    def refuses(self) -> bool:
        """Whether this request is one of those that a busy server does not serve."""
        if not self.server.first:
            return False
        answer = self.server.first.pop()
        if answer:
            self.send_error(answer)
        else:
            self.close_connection = True
        return True

    def do_GET(self):
        if self.refuses():
            return
        said = self.headers.get("Range", "")
        if not said or not self.server.ranges:
            super().do_GET()
            return
        time.sleep(self.server.delay)
        path = self.translate_path(self.path)
        first, last = (int(part) for part in said.removeprefix("bytes=").split("-"))
        try:
            with open(path, "rb") as file:
                file.seek(first)
                content = file.read(last - first + 1)
        except OSError:
            self.send_error(404)
            return
        self.server.sent.append(len(content))
        self.send_response(206)
        size = os.path.getsize(path)
        self.send_header("Content-Range", f"bytes {first}-{first + len(content) - 1}/{size}")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@contextmanager
def served(
    folder: Path, *, ranges: bool = True, delay: float = 0.0, first: list[int] | None = None
) -> Iterator[tuple[str, list[int]]]:
    """A folder behind ``http://`` on this machine: its URL, and bytes of ranges that were sent.

    Every range comes ``delay`` seconds late, as from far away. The ``first`` requests are
    answered with these numbers, taken from the end, and for 0 not at all.
    """

    def handler(*words):
        return _Ranges(*words, directory=str(folder))

    server = _Server(("127.0.0.1", 0), handler)
    server.ranges, server.sent, server.delay = ranges, [], delay
    server.first = first if first is not None else []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", server.sent
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
