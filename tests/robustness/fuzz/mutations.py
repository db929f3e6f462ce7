"""Mutate bytes: each input follows from its number, so that it can be reproduced."""

import struct

import numpy as np

# Where programs that read sizes and counts go wrong.
NUMBERS = (0, 1, 127, 128, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
# What texts are made of: YAML, JSON and tables.
WORDS = (
    b"\n", b"\r", b"\0", b'"', b"'", b",", b": ", b"- ", b"{", b"}", b"[", b"]", b"&a ", b"*a",
    b"!!python/object/apply:os.system", b"<<: *a", b"<script>", b"\xff\xfe", b"\xed\xa0\x80",
    b"NaN", b"Infinity", b"-1", b"1e999", b"1e-05", b"9" * 400, b"[" * 400, b"null", b"../../x",
)  # fmt: skip
MOST_AT_ONCE = 4


def mutated(seeds: list[bytes], number: int, *, seed: int) -> bytes:
    """Return one of the seeds, spoiled in one to four places."""
    rng = np.random.default_rng([seed, number])
    content = bytearray(seeds[number % len(seeds)])
    for _ in range(int(rng.integers(1, MOST_AT_ONCE + 1))):
        kind = KINDS[int(rng.integers(len(KINDS)))]
        # Half of all mutations are near the start, where the sizes are.
        reach = min(len(content), 64) if rng.random() < 0.5 else len(content)
        kind(content, int(rng.integers(reach + 1)), rng)
    return bytes(content)


def _flip(content: bytearray, at: int, rng: np.random.Generator) -> None:
    if at < len(content):
        content[at] ^= 1 << int(rng.integers(8))


def _number(content: bytearray, at: int, rng: np.random.Generator) -> None:
    order = "<>"[int(rng.integers(2))]
    size = "HI"[int(rng.integers(2))]
    value = NUMBERS[int(rng.integers(len(NUMBERS)))]
    new = struct.pack(order + size, value % 2 ** (16 if size == "H" else 32))
    content[at : at + len(new)] = new


def _word(content: bytearray, at: int, rng: np.random.Generator) -> None:
    content[at:at] = WORDS[int(rng.integers(len(WORDS)))]


def _noise(content: bytearray, at: int, rng: np.random.Generator) -> None:
    content[at:at] = rng.bytes(int(rng.integers(1, 32)))


def _cut(content: bytearray, at: int, _rng: np.random.Generator) -> None:
    del content[at:]


def _gap(content: bytearray, at: int, rng: np.random.Generator) -> None:
    del content[at : at + int(rng.integers(1, 64))]


def _repeat(content: bytearray, at: int, rng: np.random.Generator) -> None:
    content[at:at] = content[at : at + int(rng.integers(1, 256))]


KINDS = (_flip, _flip, _flip, _number, _number, _word, _noise, _cut, _gap, _repeat)
