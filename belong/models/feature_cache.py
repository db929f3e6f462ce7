"""Cache the embeddings of images on disk between runs.

A second `fit`, another lambda, `clean` and `score` of known photos then need no pass of the
backbone, and give the same bytes. The key of an embedding is a hash of the pixels and of everything
else that it depends on: backbone, code, torch and processor. The file is an SQLite database in the
user's cache directory, which several processes may use. It is optional: if it cannot be read or
written, all embeddings are computed.

The environment variable BELONG_CACHE names another folder; `off` turns the cache off.
"""

import hashlib
import os
import platform
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache as once
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from belong.runtime import portable_math
from belong.runtime.fingerprint import sha256
from belong.runtime.text import on_stderr, printable

VARIABLE, OFF = "BELONG_CACHE", "off"
FILE = "vectors-1.sqlite"  # the name changes with the format of the rows
MAX_BYTES = 1 << 30  # about 180,000 images on EfficientNet-Lite0
KEPT_SHARE = 0.9  # share of these bytes that remains after a cleanup
AT_ONCE = 512  # images per write; an interruption loses at most this many
CHECK_BYTES = 8
WAIT_SECONDS = 10.0  # maximum waiting time for another process that writes
USE_SECONDS = 3600.0  # precision of the last use of a vector, so that reading seldom writes
VARIABLES_AT_ONCE = 500  # variables per statement; older versions of SQLite allow 999

TABLE = """
CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, used REAL NOT NULL, vector BLOB NOT NULL)
"""
INDEX = "CREATE INDEX IF NOT EXISTS by_use ON vectors (used)"


@dataclass(frozen=True)
class FeatureCache:
    """A file of vectors by key.

    Attributes:
        path: the file; it and its folder are created at the first use.
        max_bytes: maximum size; the least recently used vectors are removed first.
    """

    path: Path
    max_bytes: int = MAX_BYTES

    def find(self, keys: Sequence[bytes]) -> dict[bytes, np.ndarray]:
        """Return the cached vectors (v,) float32 by key."""
        rows: dict[bytes, np.ndarray] = {}

        def read(database: sqlite3.Connection) -> None:
            now, stale = time.time(), []
            for at in range(0, len(keys), VARIABLES_AT_ONCE):
                chunk = keys[at : at + VARIABLES_AT_ONCE]
                marks = ", ".join("?" * len(chunk))
                query = f"SELECT key, used, vector FROM vectors WHERE key IN ({marks})"  # noqa: S608
                for key, used_bytes, value in database.execute(query, chunk):
                    vector = _unpack(key, value)
                    if vector is not None:
                        rows[key] = vector
                        stale += [(now, key)] if abs(now - used_bytes) > USE_SECONDS else []
            with database:
                database.executemany("UPDATE vectors SET used = ? WHERE key = ?", stale)

        if self.path.is_file():
            self._use(read)
        return rows

    def keep(self, keys: Sequence[bytes], vectors: np.ndarray) -> None:
        """Store vectors (n, v) float32 under n keys; disk errors are ignored."""
        now = time.time()
        rows = [(key, now, _pack(key, row)) for key, row in zip(keys, vectors, strict=True)]

        def write(database: sqlite3.Connection) -> None:
            with database:
                database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
            self._make_room(database)

        self._use(write)

    def _make_room(self, database: sqlite3.Connection) -> None:
        size, free, pages = (
            database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_size", "freelist_count", "page_count")
        )
        used_bytes = (pages - free) * size  # free pages stay in the file for later rows
        if used_bytes > self.max_bytes:
            (count,) = database.execute("SELECT count(*) FROM vectors").fetchone()
            surplus = int(count * (1 - KEPT_SHARE * self.max_bytes / used_bytes)) + 1
            oldest = "SELECT key FROM vectors ORDER BY used LIMIT ?"
            with database:
                database.execute(f"DELETE FROM vectors WHERE key IN ({oldest})", (surplus,))  # noqa: S608

    def _use(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Open the file and call `work`; skip it if the file or the disk is not usable.

        Each use has its own connection, as threads and forked processes must not share one. The
        journal is SQLite's default, for the switch to a write-ahead log does not wait for others.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=WAIT_SECONDS)) as database:
                database.execute("PRAGMA synchronous = OFF")  # each vector has its own checksum
                database.execute(TABLE)
                database.execute(INDEX)
                work(database)
        except (OSError, sqlite3.OperationalError) as error:
            _say_once(
                f"{printable(self.path)}: the cache cannot be used ({error}); computing all vectors"
            )
        except sqlite3.DatabaseError as error:
            on_stderr(f"{printable(self.path)}: the cache is damaged ({error}); starting a new one")
            with suppress(OSError):
                for end in ("", "-journal"):
                    self.path.with_name(self.path.name + end).unlink(missing_ok=True)


def users_cache() -> FeatureCache | None:
    """Return the cache in the user's cache directory; None if turned off, or without a directory.

    The directory is BELONG_CACHE, or `belong` in XDG_CACHE_HOME or in ~/.cache
    (https://specifications.freedesktop.org/basedir-spec).
    """
    folder = os.environ.get(VARIABLE, "")
    if folder == OFF:
        return None
    if folder:
        return FeatureCache(Path(folder) / FILE)
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # relative paths are ignored, as the specification requires
        try:
            base = Path.home() / ".cache"
        except RuntimeError:  # the user has no home folder
            return None
    return FeatureCache(base / "belong" / FILE)


def cached(
    vectors_of: Callable[[Tensor], Tensor],
    images: Tensor,
    cache: FeatureCache | None,
    *,
    context: bytes,
) -> Tensor:
    """Return the vectors (n, v) float32 of images (n, ch, h, w) uint8, on the CPU.

    Args:
        vectors_of: images (m, ch, h, w) -> vectors (m, v); called with images that are not in the
            cache, each once. Its bytes for an image must not depend on the other images.
        images: on the CPU. Without images, `vectors_of` is called once.
        cache: the cache; None computes all vectors.
        context: the result of `context_of`.
    """
    if cache is None or not len(images):
        return vectors_of(images)
    parts = [_cached(vectors_of, part, cache, context) for part in images.split(AT_ONCE)]
    return torch.cat(parts)


def _cached(
    vectors_of: Callable[[Tensor], Tensor], images: Tensor, cache: FeatureCache, context: bytes
) -> Tensor:
    keys = [_key(context, image) for image in images.numpy()]
    known_vectors = cache.find(keys)
    missing = list(dict.fromkeys(key for key in keys if key not in known_vectors))  # each once
    if missing:
        rows = [keys.index(key) for key in missing]
        vectors = vectors_of(images if len(rows) == len(images) else images[rows]).numpy()
        cache.keep(missing, vectors)
        known_vectors |= zip(missing, vectors, strict=True)
    return torch.from_numpy(np.stack([known_vectors[key] for key in keys]))


def context_of(digest: str, device: torch.device) -> bytes:
    """Return all inputs, except the pixels, that the vectors of a backbone depend on."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    parts = (
        digest,
        torch.__version__,
        version("timm"),
        platform.machine(),
        torch.backends.cpu.get_cpu_capability(),
        portable_math.current(),
        str(torch.backends.mkldnn.enabled),
        gpu,
        _code(),
    )
    return "\n".join(parts).encode()


@once
def _code() -> str:
    """Return the hashes of the modules that compute vectors."""
    folder = Path(__file__).parent / "backbones"
    return " ".join(sha256(folder / name) for name in ("backbone.py", "merged_layers.py"))


def _key(context: bytes, image: np.ndarray) -> bytes:
    total = hashlib.blake2b(context, digest_size=32)
    total.update(f"{image.shape} {image.dtype}".encode())
    total.update(np.ascontiguousarray(image).data)
    return total.digest()


def _pack(key: bytes, vector: np.ndarray) -> bytes:
    content = np.ascontiguousarray(vector, dtype="<f4").tobytes()
    return _check(key, content) + content


def _unpack(key: bytes, value: bytes) -> np.ndarray | None:
    """Return the vector in a value; None if the value is damaged."""
    check, content = value[:CHECK_BYTES], value[CHECK_BYTES:]
    if check != _check(key, content):
        return None
    return np.frombuffer(content, dtype="<f4").astype(np.float32)


def _check(key: bytes, content: bytes) -> bytes:
    return hashlib.blake2b(content, key=key, digest_size=CHECK_BYTES).digest()


@once
def _say_once(text: str) -> None:
    on_stderr(text)
