"""The batches of one source component into frames."""

from __future__ import annotations

from array import array
from typing import Callable, Iterable

from ..batch import Batch
from ..series import MAX_NAME, Family
from .bodies import AIM, SeriesDef, checkpoint_frames, defs_frames, exemplar_bytes, families_frame, histogram_bytes, record_bytes
from .frame import ABSENT, EXEMPLARS, HISTOGRAMS, LAYOUT, RECORDS, RETIRE, STALE, TIMES, VALUES, Header, column, frame, pad8, uvarint
from .packer import Packer

_MAX_RUN = 16384  # samples in one frame
_MAX_FAMILIES = 32768  # of one component; series beyond have none
_U32 = 2**32 - 1


class Layout:
    """A list of refs that the other side knows under a number."""

    __slots__ = ("id", "refs")

    def __init__(self, id: int) -> None:
        self.id = id
        self.refs = array("I")


class Encoder:
    """Turns the batches of one component into frames. It remembers which families, and with each batch which layouts, the
    other side knows."""

    def __init__(self, stream: int) -> None:
        self._stream = stream
        self._families: dict[Family, int] = {}
        self._layouts = 0

    def encode(self, p: Packer, b: Batch) -> None:
        """Packs one batch's columns."""
        self._define(p, b)
        self._runs(p, b)
        base = b.base_ms
        if b.histograms:
            entries = [(ref, base if t is None else t, histogram_bytes(h)) for ref, h, t in b.histograms]
            self._entries(p, HISTOGRAMS, entries)
        if b.exemplars:
            entries = [(ref, base if t is None else t, exemplar_bytes(v, labels)) for ref, v, labels, t in b.exemplars]
            self._entries(p, EXEMPLARS, entries)
        if b.records:
            times = [base * 10**6 if t is None else t for _, _, t in b.records]
            entries = [(ref, t // 10**6, record_bytes(t % 10**6, r)) for (ref, r, _), t in zip(b.records, times)]
            self._entries(p, RECORDS, entries)
        self._refs(p, Header(STALE, stream=self._stream, base=base), b.stales)
        self._refs(p, Header(RETIRE, stream=self._stream), b.retired)
        if b.kept is not None:
            for f in checkpoint_frames(self._stream, "source", b.kept):
                p.add_behind(f)

    def _define(self, p: Packer, b: Batch) -> None:
        if not b.defined:
            return
        families: list[tuple[int, Family]] = []
        defs = []
        for ref, labels, family in b.defined:
            number = 0
            if family is not None:
                number = self._families.get(family, 0)
                if not number and len(self._families) < _MAX_FAMILIES:
                    number = self._families[family] = len(self._families) + 1
                    families.append((number, Family(_clip(family.name), family.type, _clip(family.unit), _clip(family.help))))
            defs.append(SeriesDef(ref, number, labels))
        for at in range(0, len(families), 64):
            p.add(families_frame(self._stream, families[at : at + 64]))
        for f in defs_frames(self._stream, defs):
            p.add(f)

    def _runs(self, p: Packer, b: Batch) -> None:
        times = None if b.times is None else [b.base_ms if t is None else t for t in b.times]
        at = i = 0
        while at < len(b.refs):
            end = _split_at(at, len(b.refs), times)
            if i == len(b.layouts):
                self._layouts += 1
                b.layouts.append(Layout(self._layouts))
            part = slice(at, end)
            self._values(p, b.layouts[i], b.refs[part], b.values[part], times and times[part], b.base_ms)
            at, i = end, i + 1

    def _values(self, p: Packer, layout: Layout, refs: array, values: array, times: list[int] | None, base: int) -> None:
        """Writes a run as VALUES for its layout, which is sent first unless the run has the same series, or most of them in
        the same order, as last time."""
        flags, absent = 0, None
        if layout.refs != refs:
            absent = _absent(refs, layout.refs)
            if absent is None:
                layout.refs = refs
                self._refs(p, Header(LAYOUT, stream=self._stream, layout=layout.id), refs)
            else:
                flags |= ABSENT
        span = 0
        if times is not None:
            flags |= TIMES
            base = min(times)
            span = max(times) - base & _U32
            times = [t - base for t in times]
        samples, n = len(refs), len(layout.refs)
        bitmap = b""
        if absent is not None:
            bitmap, values, times = _spread(absent, n, values, times)
        body = [bitmap, column("d", values)]
        if times is not None:
            offsets = column("I", (t & _U32 for t in times))
            body += [offsets, bytes(pad8(len(offsets)) - len(offsets))]
        p.add(frame(Header(VALUES, flags, self._stream, layout.id, n, span, base), *body), samples)

    def _refs(self, p: Packer, h: Header, refs: array | list[int]) -> None:
        for at in range(0, len(refs), _MAX_RUN):
            part = refs[at : at + _MAX_RUN]
            p.add(frame(h._replace(n=len(part)), column("I", part)), len(part) if h.kind == STALE else 0)

    def _entries(self, p: Packer, kind: int, entries: list[tuple[int, int, bytes]]) -> None:
        """Writes entries as frames: a new one where one grows large or its times are too far apart."""
        at = 0
        while at < len(entries):
            lo = hi = entries[at][1]
            body, end = bytearray(), at
            while end < len(entries) and end - at < _MAX_RUN and len(body) < AIM:
                _, t, entry = entries[end]
                if max(hi, t) - min(lo, t) > _U32:
                    break
                lo, hi = min(lo, t), max(hi, t)
                body += uvarint(len(entry)) + entry
                end += 1
            part = entries[at:end]
            n = len(part)
            gap = bytes(pad8(4 * n) - 4 * n)
            head = column("I", (ref for ref, _, _ in part)) + gap
            if hi > lo:
                head += column("I", (t - lo for _, t, _ in part)) + gap
            h = Header(kind, TIMES if hi > lo else 0, self._stream, 0, n, hi - lo, lo)
            p.add(frame(h, head, body), 0 if kind == EXEMPLARS else n)
            at = end


def _split_at(at: int, end: int, times: list[int] | None) -> int:
    """Where a frame of a run ends: not too many samples, and times within 2³² ms of each other."""
    end = min(end, at + _MAX_RUN)
    if times is None:
        return end
    part = times[at:end]
    if max(part) - min(part) <= _U32:
        return end
    lo = hi = times[at]
    for i in range(at, end):
        lo, hi = min(lo, times[i]), max(hi, times[i])
        if hi - lo > _U32:
            return i
    return end


def _absent(refs: array, layout: array) -> list[int] | None:
    """Which entries of a layout the refs lack, if they are the others in order and at least three quarters; otherwise None."""
    if len(refs) > len(layout) or len(refs) < len(layout) - len(layout) // 4:
        return None
    absent, k = [], 0
    for i, ref in enumerate(layout):
        if k < len(refs) and refs[k] == ref:
            k += 1
        else:
            absent.append(i)
    return absent if k == len(refs) else None


def _spread(absent: list[int], n: int, values: Iterable[float], times: list[int] | None) -> tuple[bytes, list[float], list[int] | None]:
    """A run that lacks some series of its layout, with the bitmap that says which."""
    bits = bytearray((n + 63) // 64 * 8)
    gone = set(absent)
    for i in absent:
        bits[i // 8] |= 1 << i % 8
    fill: Callable[[Iterable], list] = lambda column: [0 if i in gone else next(rest) for rest in [iter(column)] for i in range(n)]
    return bytes(bits), fill(values), None if times is None else fill(times)


def _clip(s: str) -> str:
    """Cuts a text of a family to what the wire takes."""
    return s.encode("utf-8", "ignore")[:MAX_NAME].decode("utf-8", "ignore")
