"""Bodies made of numbers and texts: definitions, families, histograms, exemplars, records, checkpoints."""

from __future__ import annotations

import struct
from typing import Iterable, NamedTuple

from ..histogram import MAX_BUCKETS, MAX_COUNT, MAX_EXEMPLAR, Exemplar, Histogram
from ..record import MAX_ATTRIBUTES, MAX_LEVEL, MAX_TEXT, Record, Wire
from ..series import MAX_LABELS, MAX_NAME, MAX_VALUE, TYPES, Family, Labels
from .frame import CHECKPOINT, DEFS, FAMILIES, MAX_FRAME, Frame, Header, Malformed, frame, uvarint

AIM = 256 << 10  # bytes of definitions, histograms, exemplars or records in one frame
MAX_CHECKPOINT = 8 << 20
_MAX_PART = 512 << 10
_F64 = struct.Struct("<d")
_2F64 = struct.Struct("<dd")


class Cursor:
    """Reads numbers and texts one after another; what is wrong is Malformed."""

    __slots__ = ("b", "pos")

    def __init__(self, b: memoryview) -> None:
        self.b = b
        self.pos = 0

    def uvarint(self, limit: int) -> int:
        value = shift = 0
        b, at = self.b, self.pos
        while at < len(b) and shift < 70:
            c = b[at]
            at += 1
            value |= (c & 0x7F) << shift
            if c < 0x80:
                if value > limit:
                    break
                self.pos = at
                return value
            shift += 7
        raise Malformed(f"a number at byte {self.pos} is broken or above {limit}")

    def varint(self, limit: int) -> int:
        """A number in zigzag."""
        n = self.uvarint(2**64 - 1)
        v = n >> 1 if not n & 1 else -(n >> 1) - 1
        if not -limit - 1 <= v <= limit:
            raise Malformed(f"a number before byte {self.pos} is beyond {limit}")
        return v

    def byte(self) -> int:
        if self.pos >= len(self.b):
            raise Malformed("it ends early")
        self.pos += 1
        return self.b[self.pos - 1]

    def bytes(self, limit: int) -> memoryview:
        n = self.uvarint(limit)
        if n > len(self.b) - self.pos:
            raise Malformed(f"a text of {n} bytes does not fit")
        self.pos += n
        return self.b[self.pos - n : self.pos]

    def text(self, limit: int) -> str:
        try:
            return str(self.bytes(limit), "utf-8")
        except UnicodeDecodeError as e:
            raise Malformed("a text is not UTF-8") from e

    def f64(self) -> float:
        if len(self.b) - self.pos < 8:
            raise Malformed("it ends early")
        self.pos += 8
        return _F64.unpack_from(self.b, self.pos - 8)[0]

    def f64s(self, n: int) -> list[float]:
        if n > (len(self.b) - self.pos) // 8:
            raise Malformed(f"{n} numbers do not fit")
        self.pos += 8 * n
        return list(struct.unpack_from(f"<{n}d", self.b, self.pos - 8 * n))


def text(s: str) -> bytes:
    b = s.encode()
    return uvarint(len(b)) + b


def varint(n: int) -> bytes:
    return uvarint(n << 1 if n >= 0 else (-n << 1) - 1)


# ---- Definitions


class SeriesDef(NamedTuple):
    """A series under its ref, its family by number (0: unknown)."""

    ref: int
    family: int
    labels: Labels


def defs_frames(stream: int, defs: list[SeriesDef]) -> Iterable[bytes]:
    """DEFS frames of the definitions, as many as are needed."""
    at = 0
    while at < len(defs):
        symbols: dict[str, bytes] = {}  # the text's number as a uvarint
        texts, entries, start = bytearray(), bytearray(), at

        def symbol(s: str) -> bytes:
            number = symbols.get(s)
            if number is None:
                number = symbols[s] = uvarint(len(symbols))
                texts.extend(text(s))
            return number

        while at < len(defs) and (at == start or len(texts) + len(entries) < AIM):
            d = defs[at]
            entries += uvarint(d.ref) + uvarint(d.family) + uvarint(len(d.labels))
            for name, value in d.labels:
                entries += symbol(name) + symbol(value)
            at += 1
        yield frame(Header(DEFS, stream=stream, n=at - start), uvarint(len(symbols)), texts, entries)


def read_defs(f: Frame) -> list[SeriesDef]:
    """Decodes a DEFS frame."""
    c = Cursor(f.body)
    n = c.uvarint(len(f.body))
    symbols = [c.text(MAX_VALUE) for _ in range(n)]
    sizes = [len(s.encode()) for s in symbols]
    out = []
    for _ in range(f.header.n):
        ref = c.uvarint(2**32 - 2)
        family = c.uvarint(2**32 - 1)
        labels = []
        last = ""
        for _ in range(c.uvarint(MAX_LABELS)):
            name, value = c.uvarint(n), c.uvarint(n)
            if name >= n or value >= n:
                raise Malformed(f"a label uses symbol {max(name, value)} of {n}")
            if symbols[name] <= last or sizes[name] > MAX_NAME or not sizes[value]:
                raise Malformed(f"labels of ref {ref} are not sorted, or one is empty or too long")
            last = symbols[name]
            labels.append((last, symbols[value]))
        out.append(SeriesDef(ref, family, tuple(labels)))
    return out


def families_frame(stream: int, families: list[tuple[int, Family]]) -> bytes:
    """A FAMILIES frame; ids begin at 1."""
    body = b"".join(uvarint(i) + bytes((TYPES.index(f.type),)) + text(f.name) + text(f.unit) + text(f.help) for i, f in families)
    return frame(Header(FAMILIES, stream=stream, n=len(families)), body)


def read_families(f: Frame) -> list[tuple[int, Family]]:
    """Decodes a FAMILIES frame. A type that this version does not know is unknown."""
    c = Cursor(f.body)
    out = []
    for _ in range(f.header.n):
        number, kind = c.uvarint(2**32 - 1), c.byte()
        name, unit, help = c.text(MAX_NAME), c.text(MAX_NAME), c.text(MAX_VALUE)
        if number == 0:
            raise Malformed("a family has number 0")
        out.append((number, Family(name, TYPES[kind] if kind < len(TYPES) else TYPES[0], unit, help)))
    return out


# ---- Histograms, exemplars and records


def histogram_bytes(h: Histogram) -> bytes:
    """The bytes of an entry of HISTOGRAMS."""
    out = bytearray((h.reset << 1 | h.float_counts,))
    out += varint(h.schema) + _2F64.pack(h.sum, h.zero_threshold)
    if h.float_counts:
        out += _2F64.pack(h.count, h.zero_count)
    else:
        out += uvarint(int(h.count)) + uvarint(int(h.zero_count))
    for spans in (h.positive_spans, h.negative_spans):
        out += uvarint(len(spans))
        for offset, length in spans:
            out += varint(offset) + uvarint(length)
    out += uvarint(len(h.custom)) + struct.pack(f"<{len(h.custom)}d", *h.custom)
    for side in (h.positive, h.negative):
        if h.float_counts:
            out += struct.pack(f"<{len(side)}d", *side)
            continue
        last = 0
        for count in map(int, side):
            out += varint(count - last)
            last = count
    return bytes(out)


def read_histogram(entry: memoryview) -> Histogram:
    """Reads an entry and checks everything: what it takes is valid."""
    c = Cursor(entry)
    form = c.byte()
    if form >> 3:
        raise Malformed(f"a histogram has the form {form:#x}")
    h = Histogram(float_counts=bool(form & 1), reset=form >> 1)
    h.schema = c.varint(2**31 - 1)
    h.sum, h.zero_threshold = c.f64(), c.f64()
    if h.float_counts:
        h.count, h.zero_count = c.f64(), c.f64()
    else:
        h.count, h.zero_count = float(c.uvarint(MAX_COUNT)), float(c.uvarint(MAX_COUNT))
    h.positive_spans, positive = _spans(c)
    h.negative_spans, negative = _spans(c)
    h.custom = c.f64s(c.uvarint(MAX_BUCKETS))
    read = c.f64s if h.float_counts else lambda n: _counts(c, n)
    h.positive, h.negative = read(positive), read(negative)
    if c.pos != len(entry):
        raise Malformed(f"a histogram has {len(entry) - c.pos} bytes too many")
    try:
        h.check()
    except ValueError as e:
        raise Malformed(f"a histogram is not valid: {e}") from e
    return h


def _spans(c: Cursor) -> tuple[list[tuple[int, int]], int]:
    spans = [(c.varint(2**31 - 1), c.uvarint(MAX_BUCKETS)) for _ in range(c.uvarint(MAX_BUCKETS))]
    return spans, sum(length for _, length in spans)


def _counts(c: Cursor, n: int) -> list[float]:
    """Whole counts, each as its difference to the one before."""
    if n > len(c.b) - c.pos:
        raise Malformed(f"{n} buckets do not fit")
    out, last = [], 0
    for _ in range(n):
        last += c.varint(MAX_COUNT)
        if not 0 <= last <= MAX_COUNT:
            raise Malformed(f"a bucket has {last} observations")
        out.append(float(last))
    return out


def exemplar_bytes(value: float, labels: Labels) -> bytes:
    """The bytes of an entry of EXEMPLARS; its time stands beside it."""
    return _F64.pack(value) + _labels(labels)


def read_exemplar(entry: memoryview) -> Exemplar:
    """Reads an entry; its time is the caller's."""
    c = Cursor(entry)
    value = c.f64()
    labels = _read_labels(c, c.uvarint(MAX_LABELS), MAX_EXEMPLAR)
    if c.pos != len(entry) or len(entry) > 2 * MAX_EXEMPLAR:
        raise Malformed(f"an exemplar has {len(entry)} bytes, and {c.pos} are read")
    return Exemplar(labels, value)


def record_bytes(nanoseconds: int, r: Wire) -> bytes:
    """The bytes of an entry of RECORDS; the milliseconds of its time stand beside it."""
    level, name, line, attributes = r
    return bytes((level,)) + uvarint(nanoseconds) + text(name) + text(line) + _labels(attributes)


def read_record(entry: memoryview) -> Record:
    """Reads an entry; its time is what is beyond the milliseconds."""
    c = Cursor(entry)
    level, nanoseconds, name, line = c.byte(), c.uvarint(999_999), c.text(MAX_NAME), c.text(MAX_TEXT)
    n = c.uvarint(MAX_LABELS)
    if level > MAX_LEVEL:
        raise Malformed(f"a record has the level {level}")
    r = Record(line, level, _read_labels(c, n, MAX_ATTRIBUTES), name, nanoseconds)
    if c.pos != len(entry):
        raise Malformed(f"a record has {len(entry)} bytes, and {c.pos} are read")
    return r


def _labels(labels: Labels) -> bytes:
    return uvarint(len(labels)) + b"".join(text(n) + text(v) for n, v in labels)


def _read_labels(c: Cursor, n: int, most: int) -> dict[str, str]:
    """Labels that are sorted, without empty names, of at most so many bytes."""
    if n > (len(c.b) - c.pos) // 2:
        raise Malformed(f"{n} labels do not fit")
    labels: dict[str, str] = {}
    last, start = "", c.pos
    for _ in range(n):
        name, value = c.text(MAX_NAME), c.text(most)
        if name <= last:
            raise Malformed("labels are not sorted, or one is empty")
        labels[name] = value
        last = name
    if c.pos - start > most + 6 * n:
        raise Malformed(f"labels of {c.pos - start} bytes, and the most is {most}")
    return labels


def read_entries(c: Cursor, n: int) -> Iterable[memoryview]:
    """The n entries of a HISTOGRAMS, EXEMPLARS or RECORDS frame."""
    for _ in range(n):
        yield c.bytes(MAX_FRAME)


# ---- Checkpoints


def checkpoint_frames(stream: int, key: str, value: bytes) -> Iterable[bytes]:
    """The CHECKPOINT frames of a value."""
    parts = max(1, -(-len(value) // _MAX_PART))
    for i in range(parts):
        part = value[i * _MAX_PART : (i + 1) * _MAX_PART]
        yield frame(Header(CHECKPOINT, stream=stream, layout=i, n=parts), text(key), struct.pack("<I", len(part)), part)


def read_checkpoint(f: Frame) -> tuple[str, bytes]:
    """A part of a checkpoint: header.layout says which of header.n."""
    c = Cursor(f.body)
    key = c.text(64)
    if len(f.body) - c.pos >= 4:
        n = int.from_bytes(f.body[c.pos : c.pos + 4], "little")
        rest = f.body[c.pos + 4 :]
        if n <= len(rest) and f.header.layout < f.header.n <= MAX_CHECKPOINT // _MAX_PART:
            return key, bytes(rest[:n])
    raise Malformed(f"part {f.header.layout} of {f.header.n} of a checkpoint")
