"""Frames and packets: headers, bounds, the walk over them."""

from __future__ import annotations

import struct
import sys
from array import array
from typing import Iterable, Iterator, NamedTuple

HEADER_SIZE = 32
PACKET_HEADER = 32  # what stands before the frames in a packet
MAX_PACKET = 1 << 20
MAX_FRAME = MAX_PACKET - PACKET_HEADER

(DEFS, LAYOUT, VALUES, COLUMNS, STALE, RETIRE, CHECKPOINT, FAMILIES, STREAM, END, HISTOGRAMS, EXEMPLARS, RECORDS) = range(1, 14)

ABSENT, TIMES, CYCLE = 0x01, 0x02, 0x80
"""Flags: a bitmap precedes the values; times follow them; the last frame of a whole cycle."""

NO_REF = 0xFFFFFFFF
STALE_NAN = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
"""The value of a staleness marker, bit for bit Prometheus'."""

_HEADER = struct.Struct("<IBBHIIIIq")

# The least bytes of a histogram without buckets, an exemplar without labels and an empty record, their lengths included.
_LEAST = {HISTOGRAMS: 22, EXEMPLARS: 10, RECORDS: 6}


class Malformed(ValueError):
    """A packet that breaks a rule of the format: it is refused as a whole."""


class Header(NamedTuple):
    """A frame's header without its length."""

    kind: int
    flags: int = 0
    stream: int = 0
    layout: int = 0
    n: int = 0
    span: int = 0
    base: int = 0

    def pack(self, length: int) -> bytes:
        return _HEADER.pack(length, self.kind, self.flags, 0, self.stream, self.layout, self.n, self.span, self.base)


class Frame(NamedTuple):
    """A frame as it lies in a packet."""

    header: Header
    raw: memoryview
    body: memoryview


def pad8(n: int) -> int:
    """The next multiple of 8."""
    return (n + 7) & ~7


def frame(header: Header, *body: bytes | bytearray) -> bytes:
    """A whole frame, padded."""
    size = sum(map(len, body))
    length = HEADER_SIZE + pad8(size)
    return b"".join((header.pack(length), *body, bytes(length - HEADER_SIZE - size)))


def read_frames(frames: bytes | memoryview) -> Iterator[Frame]:
    """Walks over frames and checks headers, and that bodies are as long as their n says."""
    rest = memoryview(frames)
    while rest:
        if len(rest) < HEADER_SIZE:
            raise Malformed(f"{len(rest)} bytes left, and a header has {HEADER_SIZE}")
        length, kind, flags, _, stream, layout, n, span, base = _HEADER.unpack_from(rest)
        if length < HEADER_SIZE or length % 8 or length > len(rest) or length > MAX_FRAME:
            raise Malformed(f"its length is {length} with {len(rest)} bytes left")
        raw = rest[:length]
        body = raw[HEADER_SIZE:]
        if body_size(kind, flags, n) > len(body):
            raise Malformed(f"kind {kind} with {n} entries needs more bytes than {len(body)}")
        yield Frame(Header(kind, flags, stream, layout, n, span, base), raw, body)
        rest = rest[length:]


def body_size(kind: int, flags: int, n: int) -> int:
    """The least size of a body of n entries."""
    refs = pad8(4 * n)
    if kind in (LAYOUT, STALE, RETIRE):
        return refs
    if kind == DEFS:
        return 3 * n
    if kind == FAMILIES:
        return 5 * n
    if kind == VALUES:
        size = 8 * n + ((n + 63) // 64 * 8 if flags & ABSENT else 0)
    elif kind == COLUMNS:
        size = refs + 8 * n
    elif kind in _LEAST:
        size = refs + _LEAST[kind] * n
    else:
        return 0
    return size + (refs if flags & TIMES else 0)


# array's item sizes are the machine's: I is 4 bytes and d is 8 wherever CPython runs.


def u32s(data: bytes | memoryview) -> array:
    """A column of refs or times."""
    column = array("I", bytes(data))
    if sys.byteorder == "big":
        column.byteswap()
    return column


def f64s(data: bytes | memoryview) -> array:
    """A column of values; a NaN keeps its bits."""
    column = array("d", bytes(data))
    if sys.byteorder == "big":
        column.byteswap()
    return column


def column(typecode: str, values: Iterable[float]) -> bytes:
    """The bytes of a column."""
    a = values if isinstance(values, array) and values.typecode == typecode else array(typecode, values)
    if sys.byteorder == "big":
        a = array(typecode, a)
        a.byteswap()
    return a.tobytes()


class Packet(NamedTuple):
    """A Packet message, its frames in place."""

    epoch: int
    last_seq: int
    samples: int
    frames: memoryview


def uvarint(n: int) -> bytes:
    """LEB128, as in protobuf."""
    if n < 0x80:
        return bytes((n,))
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def packet_header(epoch: int, last_seq: int, samples: int, frames: int) -> bytes:
    """The 32 bytes before frames of so many bytes: the fields of Packet, with a pad that makes them 32 whatever the length is."""
    length = uvarint(frames)
    pad = 6 - len(length)
    return struct.pack("<BQBQBI", 0x09, epoch, 0x11, last_seq, 0x1D, samples) + bytes((0x72, pad)) + bytes(pad) + b"\x7a" + length


def parse_packet(data: bytes) -> Packet:
    """Reads a Packet message."""
    if len(data) > MAX_PACKET:
        raise Malformed(f"a packet of {len(data)} bytes, and the most is {MAX_PACKET}")
    view, at = memoryview(data), 0
    fixed = {1: 0, 2: 0, 3: 0}
    frames = view[:0]
    while at < len(view):
        number, kind, at = _tag(view, at)
        start, at = _value(view, at, number, kind, 0)
        if (number, kind) in ((1, 1), (2, 1), (3, 5)):
            fixed[number] = int.from_bytes(view[start:at], "little")
        elif (number, kind) == (15, 2):
            frames = view[start:at]
    return Packet(fixed[1], fixed[2], fixed[3], frames)


def _tag(b: memoryview, at: int) -> tuple[int, int, int]:
    """The number and the kind of a field, and where its value begins."""
    tag, at = _uvarint(b, at)
    if not 1 <= tag >> 3 < 1 << 29:
        raise Malformed("not a packet")
    return tag >> 3, tag & 7, at


def _value(b: memoryview, at: int, number: int, kind: int, depth: int) -> tuple[int, int]:
    """Where a field's value begins and ends; fields that nobody knows are passed over, groups too."""
    if kind == 0:
        return at, _uvarint(b, at)[1]
    if kind == 3 and depth < 100:
        start = at
        while True:
            inner, k, at = _tag(b, at)
            if k == 4 and inner == number:
                return start, at
            _, at = _value(b, at, inner, k, depth + 1)
    size = {1: 8, 5: 4}.get(kind)
    if kind == 2:
        size, at = _uvarint(b, at)
    if size is None or size > len(b) - at:
        raise Malformed("not a packet")
    return at, at + size


def _uvarint(b: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(b) and shift < 64:
        c = b[at]
        at += 1
        value |= (c & 0x7F) << shift
        if c < 0x80:
            if value >> 64:
                break
            return value, at
        shift += 7
    raise Malformed("a number is broken")
