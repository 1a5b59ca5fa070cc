"""What a sink reads: packets into runs of samples, with the series that they belong to."""

from __future__ import annotations

from array import array
from typing import Iterator, NamedTuple

from ..histogram import Exemplar, Histogram
from ..record import Record
from ..series import MAX_VALUE, Family
from .bodies import Cursor, read_defs, read_entries, read_exemplar, read_families, read_histogram, read_record
from .frame import (
    ABSENT, COLUMNS, DEFS, END, EXEMPLARS, FAMILIES, HISTOGRAMS, LAYOUT, RECORDS, RETIRE, STALE, STALE_NAN, STREAM, TIMES, VALUES,
    Frame, Malformed, f64s, pad8, read_frames, u32s,
)  # fmt: skip


class Series(NamedTuple):
    """A series as it is defined: its labels, the name among them, and the family that it belongs to."""

    labels: dict[str, str]
    family: Family | None

    @property
    def name(self) -> str:
        return self.labels.get("__name__", "")


class Origin:
    """A component whose samples a sink receives, from its opening to its end. Refs are small and dense within it. ``data`` is
    the sink's own, such as its native references by ref."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.data: object = None
        self.series: dict[int, Series] = {}
        self.families: dict[int, Family] = {}
        self.layouts: dict[int, tuple[int, array, array | None]] = {}  # n, refs, which entries they are (None: all)


class Run(NamedTuple):
    """A stretch of samples of one component, as columns: sample i is values[i], or histograms[i], or records[i], of series
    refs[i]. A run of exemplars has no samples. Times are Unix milliseconds, None: all at base."""

    origin: Origin
    base: int
    refs: array
    values: array | None
    times: list[int] | None = None
    histograms: list[Histogram] | None = None
    exemplars: list[tuple[int, Exemplar]] | None = None
    records: list[Record] | None = None


class Forgotten(NamedTuple):
    """Series that will not come again; refs None: none of the origin's."""

    origin: Origin
    refs: list[int] | None


class Decoder:
    """Reads the packets that one sink gets and keeps what they define."""

    def __init__(self) -> None:
        self._origins: dict[int, Origin] = {}

    def decode(self, frames: bytes | memoryview) -> tuple[list[Run], list[Forgotten]]:
        """Reads a packet's frames. What is forgotten is to be told, and then given to ``forget``, when the runs are used."""
        runs: list[Run] = []
        forgotten: list[Forgotten] = []
        for f in read_frames(frames):
            kind, o = f.header.kind, self._origins.get(f.header.stream)
            if kind == STREAM:
                if o is None:  # a second one of the same number, after a reconnection, keeps what is there
                    try:
                        address = Cursor(f.body).text(MAX_VALUE)
                    except Malformed:
                        address = ""
                    self._origins[f.header.stream] = Origin(address)
                continue
            if o is None:
                raise Malformed(f"kind {kind} for stream {f.header.stream}, which is not open")
            if kind == FAMILIES:
                o.families.update(read_families(f))
            elif kind == DEFS:
                for d in read_defs(f):
                    o.series[d.ref] = Series(dict(d.labels), o.families.get(d.family))
            elif kind == LAYOUT:
                refs = u32s(f.body[: 4 * f.header.n])
                o.layouts[f.header.layout] = (len(refs), *_known(o, refs))
            elif kind in (VALUES, COLUMNS, STALE):
                runs += _floats(o, f)
            elif kind in (HISTOGRAMS, EXEMPLARS, RECORDS):
                runs += _entries(o, f)
            elif kind == RETIRE:
                forgotten.append(Forgotten(o, list(u32s(f.body[: 4 * f.header.n]))))
            elif kind == END:
                forgotten.append(Forgotten(o, None))
                del self._origins[f.header.stream]
        return runs, forgotten


def forget(forgotten: list[Forgotten]) -> None:
    """Frees what was forgotten."""
    for f in forgotten:
        for ref in f.refs or ():
            f.origin.series.pop(ref, None)


def _known(o: Origin, refs: array) -> tuple[array, array | None]:
    """The refs without those that nothing defines, the dropped ones among them, and which entries they are."""
    keep = array("I", (i for i, ref in enumerate(refs) if ref in o.series))
    if len(keep) == len(refs):
        return refs, None
    return array("I", (refs[i] for i in keep)), keep


def _floats(o: Origin, f: Frame) -> Iterator[Run]:
    h, b, n = f.header, f.body, f.header.n
    if h.kind == STALE:
        refs, _ = _known(o, u32s(b[: 4 * n]))
        if refs:
            yield Run(o, h.base, refs, array("d", [STALE_NAN]) * len(refs))
        return
    absent = 0
    if h.kind == COLUMNS:
        refs, keep = _known(o, u32s(b[: 4 * n]))
        b = b[pad8(4 * n) :]
    else:
        layout = o.layouts.get(h.layout)
        if layout is None or layout[0] != n:
            raise Malformed(f"{n} values for layout {h.layout} of stream {h.stream}, which has {layout[0] if layout else 0}")
        _, refs, keep = layout
        if h.flags & ABSENT:
            size = (n + 63) // 64 * 8
            absent, b = int.from_bytes(b[:size], "little"), b[size:]
    values = f64s(b[: 8 * n])
    times = [h.base + t for t in u32s(b[8 * n : 12 * n])] if h.flags & TIMES else None
    if keep is not None:
        values = array("d", (values[i] for i in keep))
        times = times and [times[i] for i in keep]
    if absent:
        entries = keep if keep is not None else range(n)
        here = [k for k, i in enumerate(entries) if not absent >> i & 1]
        refs, values = array("I", (refs[k] for k in here)), array("d", (values[k] for k in here))
        times = times and [times[k] for k in here]
    if refs:
        yield Run(o, h.base, refs, values, times)


def _entries(o: Origin, f: Frame) -> Iterator[Run]:
    h, b, n = f.header, f.body, f.header.n
    refs, b = u32s(b[: 4 * n]), b[pad8(4 * n) :]
    times = None
    if h.flags & TIMES:
        times, b = u32s(b[: 4 * n]), b[pad8(4 * n) :]
    entries = read_entries(Cursor(b), n)
    at = [h.base + t for t in times] if times is not None else [h.base] * n
    if h.kind == HISTOGRAMS:
        all = [read_histogram(e) for e in entries]
        keep = [i for i in range(n) if refs[i] in o.series]
        if keep:
            yield Run(o, h.base, array("I", (refs[i] for i in keep)), None, None if times is None else [at[i] for i in keep], [all[i] for i in keep])
        return
    if h.kind == RECORDS:
        records = [read_record(e) for e in entries]
        for r, ms in zip(records, at):
            r.time_ns = ms * 10**6 + (r.time_ns or 0)
        keep = [i for i in range(n) if refs[i] in o.series]
        if keep:
            yield Run(o, h.base, array("I", (refs[i] for i in keep)), None, [at[i] for i in keep], None, None, [records[i] for i in keep])
        return
    exemplars = []
    for i, e in enumerate(map(read_exemplar, entries)):
        e.time = at[i] / 1000
        if refs[i] in o.series:
            exemplars.append((refs[i], e))
    if exemplars:
        yield Run(o, h.base, array("I"), array("d"), None, None, exemplars)
