"""Changes to files: of their words, their bytes, and of what lies behind a digest."""

import functools
import gzip
import hashlib
import io
import json
import lzma
import random
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from samples import Kind

ODD = [
    "nan", "inf", "-inf", "1e308", "-1e308", "1e-308", "1e999", "0", "-0", "-1", "1", "2", "9223372036854775807",
    "18446744073709551616", "4294967296", "99999999999999999999999", "1e5", "0x10", "", " ", '"', "'", "=", ":",
    ",", "[", "]", "{", "}", "\\", "\0", "\t", "\r", "\n", "T", "F", "true", "null", "None", "é", "😀", "Xx", "D",
    "R", "S:1", "R:3", "pos:R:3", "R:999999999999", "Lattice", "Properties", "--help", "%s", "a" * 300, "9" * 400,
]  # fmt: skip


def damaged_text(rng: random.Random, text: str) -> str:
    """The text after one to four changes of its lines, words and characters."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        lines = text.split("\n")
        k = rng.randrange(len(lines))
        words = [m.span() for m in re.finditer(r"[^\s=:\",\[\]{}]+", text)]
        match rng.randrange(9):
            case 0 | 1 | 2 if words:
                start, end = rng.choice(words)
                text = text[:start] + rng.choice(ODD) + text[end:]
            case 3:
                at = rng.randrange(len(text) + 1)
                text = text[:at] + rng.choice(ODD) + text[at + rng.randrange(3) :]
            case 4:
                text = "\n".join(lines[:k] + lines[k + 1 :])
            case 5:
                text = "\n".join(lines[:k] + [lines[k]] * rng.choice([2, 2, 50]) + lines[k + 1 :])
            case 6:
                j = rng.randrange(len(lines))
                lines[j], lines[k] = lines[k], lines[j]
                text = "\n".join(lines)
            case 7:
                text = text[: rng.randrange(len(text) + 1)]
            case _ if len(words) > 1:
                (a, b), (c, d) = sorted(rng.sample(words, 2))
                text = text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:]
    return text


def damaged_bytes(rng: random.Random, content: bytes) -> bytes:
    """The bytes after a few flips, cuts, repeats or changed lengths."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        if not changed:
            break
        # The beginning, where lengths and names are, as often as all the rest.
        at = rng.randrange(min(len(changed), rng.choice([64, len(changed)])))
        match rng.randrange(6):
            case 0 | 1:
                changed[at] ^= 1 << rng.randrange(8)
            case 2:
                changed[at : at + 8] = struct.pack("<Q", rng.choice([0, 1, 2**31, 2**32, 2**63 - 1, 2**64 - 1]))
            case 3:
                del changed[at : at + rng.choice([1, 8, 1000])]
            case 4:
                changed[at:at] = changed[at : at + rng.choice([1, 8, 1000])]
            case _:
                del changed[at:]
    return bytes(changed)


def damaged_numbers(rng: random.Random, content: bytes) -> bytes:
    """Some float64 replaced."""
    changed = bytearray(content)
    odd = [float("nan"), float("inf"), -1.0, 0.0, 1e308, -1e-308, 0.5, 3.0, 2.0**53]
    for _ in range(rng.choice([1, 1, 5, 100])):
        if len(changed) >= 8:
            at = 8 * rng.randrange(len(changed) // 8)
            changed[at : at + 8] = struct.pack("<d", rng.choice(odd))
    return bytes(changed)


def resealed(rng: random.Random, content: bytes) -> bytes:
    """A file of ours with other metadata, names, shapes or numbers, and a digest that fits them."""
    (length,) = struct.unpack("<Q", content[:8])
    header, arrays = json.loads(content[8 : 8 + length]), content[8 + length :]
    header["__metadata__"].pop("digest")
    if rng.random() < 0.4:
        arrays = damaged_numbers(rng, arrays)
    else:
        metadata, key = header["__metadata__"], rng.choice(sorted(header["__metadata__"]))
        match rng.randrange(4):
            case 0:
                del metadata[key]
            case 1 | 2:
                metadata[key] = damaged_text(rng, metadata[key])
            case _:
                names = sorted(name for name in header if name != "__metadata__")
                a, b = rng.choice(names), rng.choice(names)
                header[a]["shape"], header[b]["shape"] = header[b]["shape"], header[a]["shape"]

    def encoded() -> bytes:
        text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        head = text.encode("utf-8", "surrogatepass")
        head += b" " * (-len(head) % 8)
        return struct.pack("<Q", len(head)) + head + arrays

    header["__metadata__"]["digest"] = hashlib.sha256(encoded()).hexdigest()
    return encoded()


def damaged_npz(rng: random.Random, content: bytes) -> bytes:
    """A packed file of arrays, one of which is damaged."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(members))
    members[name] = damaged_npy(rng, members[name])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, member in members.items():
            archive.writestr(zipfile.ZipInfo(name), member)
    return packed.getvalue()


def damaged_npy(rng: random.Random, content: bytes) -> bytes:
    """An array with another header, or other numbers."""
    (length,) = struct.unpack("<H", content[8:10])
    head, numbers = content[10 : 10 + length], content[10 + length :]
    if rng.random() < 0.3:
        return content[: 10 + length] + damaged_numbers(rng, numbers)
    head = damaged_text(rng, head.decode("latin-1")).encode("utf-8")[:60000]
    return content[:8] + struct.pack("<H", len(head)) + head + numbers


def damaged(rng: random.Random, kind: Kind, name: str, content: bytes) -> tuple[bytes, bool]:
    """The content changed, and whether any use of it must be refused or be that of the sound file."""
    if kind.sealed:
        if rng.random() < 0.5:
            return resealed(rng, content), False
        return damaged_bytes(rng, content), True
    raw = rng.random() < 0.2
    pack: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
        ".gz": (gzip.decompress, functools.partial(gzip.compress, mtime=0)),
        ".xz": (lzma.decompress, lzma.compress),
    }
    suffix = Path(name).suffix
    if raw or suffix == ".zst":
        return damaged_bytes(rng, content), False
    if suffix == ".npz":
        return damaged_npz(rng, content), False
    if suffix == ".npy":
        return damaged_npy(rng, content), False
    unpack, repack = pack.get(suffix, (bytes, bytes))
    return repack(damaged_text(rng, unpack(content).decode()).encode("utf-8", "surrogatepass")), False
