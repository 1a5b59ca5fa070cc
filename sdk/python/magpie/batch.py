"""What a source fills: samples of series, which it may name each time or remember by ref."""

from __future__ import annotations

import datetime
import math
import threading
import time
from array import array
from typing import TYPE_CHECKING, Any, Callable, Mapping

from .errors import Panic, Problem, as_problem, is_bug, recover
from .histogram import Exemplar, Histogram
from .record import Record, Wire
from .series import DURATION, NAME, SCRAPED, UP, Family, Labels, Metric, sorted_labels, valid

if TYPE_CHECKING:
    from .codec.encoder import Layout

NO_REF = 0xFFFFFFFF
"""Names no series: what ``define`` gives when the component is over its limit_series."""

_BAD_REF = NO_REF - 1  # given for labels that the wire does not take
_FORGET_AFTER = 16  # emissions that a series may be absent before its ref is retired
_MAX_CHECKPOINT = 1 << 20

Time = float | datetime.datetime
"""Unix seconds, or a datetime that knows its zone."""


def to_ms(t: Time) -> int:
    """Unix milliseconds."""
    return round((t.timestamp() if isinstance(t, datetime.datetime) else t) * 1000)


class Scope:
    """What the batches of one component share: labels, the allocation of refs, limits and counts."""

    def __init__(self, job: str = "", labels: Mapping[str, str] | None = None, instance: str = "", limit: int = 0, own: bool = False) -> None:
        self.base = {} if own else {**(labels or {}), "job": job}
        self.instance = None if own else instance
        self.limit = limit
        self.live = 0
        self.next = 0
        self.lock = threading.Lock()
        self.dropped: dict[str, int] = {}
        self.errors: dict[str, int] = {}
        self.last: Problem | None = None

    def batch(self) -> "Batch":
        return Batch(self, self.instance)

    def allocate(self) -> int:
        with self.lock:
            if self.limit > 0:
                if self.live >= self.limit:
                    return NO_REF
                self.live += 1
            self.next += 1
            return self.next - 1

    def free(self, n: int) -> None:
        with self.lock:
            if self.limit > 0:
                self.live -= n

    def drop(self, reason: str, n: int = 1) -> None:
        with self.lock:
            self.dropped[reason] = self.dropped.get(reason, 0) + n

    def fail(self, error: BaseException) -> None:
        """Counts an error by whom it blames, and keeps it as the last one."""
        p = as_problem(error)
        with self.lock:
            self.errors[p.blame] = self.errors.get(p.blame, 0) + 1
            self.last = p


class _Entry:
    """A series in a batch's dictionary."""

    __slots__ = ("ref", "cycle")

    def __init__(self, ref: int, cycle: int) -> None:
        self.ref = ref
        self.cycle = cycle


class Batch:
    """The unit that flows. ``collect`` gets one that is valid only during the call; a source with a rhythm of its own makes
    them with ``out.batch()``. One thread at a time uses it, but for ``target``.

    ``time`` is when samples set without a time of their own were taken, in Unix seconds; None: now. ``whole`` says that each
    emission lists everything there is: a series that was in the last one and is not in this goes stale. It holds for
    ``collect``; others may set it."""

    def __init__(self, scope: Scope, instance: str | None) -> None:
        self.time: Time | None = None
        self.whole = False
        self.deadline = math.inf  # of time.monotonic
        self._scope = scope
        base = dict(scope.base)
        if instance is not None and not base.get("instance"):
            base["instance"] = instance
        self._base: Labels = sorted_labels(base)
        self._sets: dict[tuple[Metric, tuple[str, ...]], _Entry] = {}
        self._series: dict[Labels, _Entry] = {}
        self._cycle = 0
        self._tracked = array("I")
        self._misuse: Problem | None = None
        self._lock = threading.Lock()  # of targets: they may be collected side by side
        self._targets: dict[str, "Batch"] = {}
        self._used = False
        self._owned: set[int] | None = None  # of a target: all its refs, to be retired with it
        self.layouts: list[Layout] = []  # the codec's: what it last told the other side
        self.base_ms = 0
        self._empty()

    def _empty(self) -> None:
        self.defined: list[tuple[int, Labels, Family | None]] = []
        self.refs = array("I")
        self.values = array("d")
        self.times: list[int | None] | None = None
        self.histograms: list[tuple[int, Histogram, int | None]] = []
        self.exemplars: list[tuple[int, float, Labels, int | None]] = []
        self.records: list[tuple[int, Wire, int | None]] = []
        self.stales: list[int] = []
        self.retired: list[int] = []
        self.kept: bytes | None = None

    def remaining(self) -> float:
        """Seconds left of the component's timeout, for what waits for somebody else; never quite 0, which means for ever to
        some."""
        return max(0.001, self.deadline - time.monotonic())

    # ---- Samples

    def set(self, metric: Metric, value: float, *labels: Any) -> None:
        """Sets a declared metric; labels are the values of its label names, in order. A wrong number of them is an error that
        names the metric and fails the collection."""
        entry = self._sets.get((metric, labels))
        if entry is None:
            entry = self._set_first(metric, labels)
            if entry is None:
                return
        entry.cycle = self._cycle
        self.put(entry.ref, value)

    def _set_first(self, metric: Metric, labels: tuple[Any, ...]) -> _Entry | None:
        if len(labels) != len(metric.labels):
            if self._misuse is None:
                self._misuse = Problem(f"metric {metric.family.name} has {len(metric.labels)} labels {list(metric.labels)}, and was set with {len(labels)} values")
            return None
        values = tuple("" if v is None else str(v) for v in labels)
        entry = self._sets.get((metric, values))
        if entry is None:
            entry = _Entry(self.define({NAME: metric.family.name, **dict(zip(metric.labels, values))}, metric.family), self._cycle)
            if entry.ref < _BAD_REF:  # otherwise asked again next time: there may be room then
                self._sets[metric, values] = entry
        return entry

    def series(self, labels: Mapping[str, str], family: Family | None = None) -> int:
        """The ref of a series, which is defined on first use. Where the caller can remember the ref, ``define`` is cheaper."""
        key = sorted_labels(labels)
        entry = self._series.get(key)
        if entry is None:
            entry = _Entry(self._define(key, family), self._cycle)
            if entry.ref < _BAD_REF:
                self._series[key] = entry
        entry.cycle = self._cycle
        return entry.ref

    def define(self, labels: Mapping[str, str], family: Family | None = None) -> int:
        """Gives a series a ref of its own, to be used with this batch until it is retired. The SDK adds job, instance and the
        labels of the block; a label of the same name becomes exported_<name>. Labels that the wire does not take give a ref
        that names nothing: its samples are counted as dropped."""
        return self._define(sorted_labels(labels), family)

    def _define(self, labels: Labels, family: Family | None) -> int:
        if not valid(labels):
            return _BAD_REF
        ref = self._scope.allocate()
        if ref == NO_REF:
            return ref
        if self._base:
            all = dict(labels)
            for name, value in self._base:
                if name in all:
                    exported = "exported_" + name
                    while exported in all:
                        exported = "exported_" + exported
                    all[exported] = all[name]
                all[name] = value
            labels = sorted_labels(all)
        self.defined.append((ref, labels, family))
        if self._owned is not None:
            self._owned.add(ref)
        return ref

    def put(self, ref: int, value: float) -> None:
        """Adds a sample taken at the batch's time."""
        if ref >= _BAD_REF:
            self._refuse(ref)
            return
        self.values.append(value)
        self.refs.append(ref)
        if self.times is not None:
            self.times.append(None)

    def put_many(self, refs: array, values: array) -> None:
        """Adds a column of samples taken at the batch's time: ``array("I")`` of refs and ``array("d")`` of values. For sources
        with many series: a sample costs a fraction of what ``put`` costs."""
        if len(refs) != len(values):
            raise ValueError(f"{len(refs)} refs and {len(values)} values")
        if len(refs) and max(refs) >= _BAD_REF:
            for ref, value in zip(refs, values):
                self.put(ref, value)
            return
        self.refs.extend(refs)
        self.values.extend(values)
        if self.times is not None:
            self.times.extend([None] * len(refs))

    def put_at(self, ref: int, value: float, t: Time) -> None:
        """Adds a sample with a time of its own. Such samples do not go stale by being absent."""
        if ref >= _BAD_REF:
            self._refuse(ref)
            return
        if self.times is None:
            self.times = [None] * len(self.refs)
        self.values.append(value)
        self.refs.append(ref)
        self.times.append(to_ms(t))

    def put_histogram(self, ref: int, h: Histogram, t: Time | None = None) -> None:
        """Adds a native histogram. One that is not valid is counted as dropped."""
        if ref >= _BAD_REF:
            self._refuse(ref)
            return
        try:
            h.check()
        except (ValueError, TypeError):
            self._scope.drop("invalid_histogram")
            return
        self.histograms.append((ref, h, None if t is None else to_ms(t)))

    def put_exemplar(self, ref: int, e: Exemplar) -> None:
        """Adds an exemplar to a series of the batch."""
        if ref >= _BAD_REF:
            return  # its sample is counted
        labels = e.wire_labels()
        if labels is None:
            self._scope.drop("invalid_exemplar")
            return
        self.exemplars.append((ref, e.value, labels, None if e.time is None else to_ms(e.time)))

    def log(self, ref: int, r: Record) -> None:
        """Adds a line of a log, or an event, to a series. Records count as samples do; they never go stale. One whose attributes
        break the rules is counted as dropped."""
        if ref >= _BAD_REF:
            self._refuse(ref)
            return
        wire = r.wire()
        if wire is None:
            self._scope.drop("invalid_record")
            return
        self.records.append((ref, wire, r.time_ns))

    def _refuse(self, ref: int) -> None:
        self._scope.drop("limit_series" if ref == NO_REF else "invalid_labels")

    def stale(self, *refs: int) -> None:
        """Marks series as gone at the batch's time, but keeps their refs."""
        self.stales.extend(refs)

    def retire(self, *refs: int) -> None:
        """Frees refs that will not be used again."""
        self.retired.extend(refs)
        self._scope.free(len(refs))
        if self._owned is not None:
            self._owned.difference_update(refs)

    def checkpoint(self, value: bytes) -> None:
        """Says where the source is, with what the batch holds: it becomes durable together with that, or not at all. The next
        opening of the component finds it in ``host.checkpoint``. At most 1 MiB."""
        if len(value) > _MAX_CHECKPOINT:
            self._misuse = Problem(f"a checkpoint of {len(value)} bytes, and the most is {_MAX_CHECKPOINT}")
            self._scope.fail(self._misuse)
            return
        self.kept = bytes(value)

    def reject(self, reason: str, n: int = 1) -> None:
        """Counts samples that came to a source and were not taken, by reason: a few fixed words, which become a label."""
        self._scope.drop(reason, n)

    def __len__(self) -> int:
        return len(self.refs) + len(self.histograms) + len(self.records)

    # ---- Targets

    def target(self, address: str) -> "Target":
        """Collects one of several targets of a component:

            with out.target("db1:5432") as t:
                t.set(connections, …)

        Its series carry instance = address, and its ``up``, duration and number of samples are set at the end. An exception
        ends the with block, sets ``up`` to 0, and is the target's alone. A target that is not collected in a cycle goes stale.
        Safe to use in several threads for different addresses."""
        with self._lock:
            t = self._targets.get(address)
            if t is None:
                t = Batch(self._scope, address.encode("utf-8", "replace").decode())
                t._owned = set()
                self._targets[address] = t
            t._used = True
        t.time, t.deadline = self.time, self.deadline
        return Target(t, address)

    def attempt(self, what: str, collect: Callable[[], object]) -> Problem | None:
        """Collects into the batch: counts the error, and sets the target's own metrics. The SDK's."""
        start, error = time.perf_counter(), None
        try:
            recover(what, collect)
        except Exception as e:
            error = as_problem(e)
        return self.settle(error, start)

    def settle(self, error: Problem | None, start: float) -> Problem | None:
        """The end of an attempt that began at start."""
        if self._misuse is not None:
            error, self._misuse = error or self._misuse, None
        if error is not None:
            self._scope.fail(error)
        if self._targets:
            return error  # the targets have theirs
        n = len(self)
        self.set(UP, 0 if error else 1)
        self.set(DURATION, time.perf_counter() - start)
        self.set(SCRAPED, n)
        return error

    # ---- The end of a cycle; the SDK's

    def seal(self, encode: Callable[["Batch"], None]) -> None:
        """Settles times, finds what went stale, and hands the batch and those of its targets to be encoded."""
        for address, t in list(self._targets.items()):
            t.whole = self.whole
            if self.whole and not t._used:
                t.time = self.time
                t.retire(*sorted(t._owned or ()))  # _find_stale marks them first
                del self._targets[address]
            t._used = False
            t._seal_one(encode)
        self._seal_one(encode)

    def _seal_one(self, encode: Callable[["Batch"], None]) -> None:
        self.base_ms = to_ms(time.time() if self.time is None else self.time)
        if self.whole:
            self._find_stale()
        self._cycle += 1
        if self._cycle % _FORGET_AFTER == 0:
            self._sweep()
        try:
            encode(self)
        finally:
            self._empty()

    def _listed(self) -> array:
        """The samples at the batch's own time: what the next whole emission has to list again."""
        if self.times is None:
            refs = self.refs
        else:
            refs = array("I", (r for r, t in zip(self.refs, self.times) if t is None or t == self.base_ms))
        here = [r for r, _, t in self.histograms if t is None or t == self.base_ms]
        return refs + array("I", here) if here else refs

    def _find_stale(self) -> None:
        now = self._listed()
        if now == self._tracked:
            return
        here = set(now)
        self.stales.extend(r for r in self._tracked if r not in here)
        self._tracked = now[:]

    def _sweep(self) -> None:
        """Retires the series of the dictionary that were absent for long: it bounds it to what was seen of late."""
        for entries in (self._sets, self._series):
            gone = [(key, e.ref) for key, e in entries.items() if self._cycle - e.cycle > _FORGET_AFTER]
            for key, ref in gone:
                del entries[key]  # type: ignore[arg-type]
                self.retire(ref)


class Target:
    """The with block of ``Batch.target``."""

    __slots__ = ("batch", "address", "start")

    def __init__(self, batch: Batch, address: str) -> None:
        self.batch = batch
        self.address = address
        self.start = 0.0

    def __enter__(self) -> Batch:
        self.start = time.perf_counter()
        return self.batch

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: Any) -> bool:
        p = None if error is None else Panic(self.address, error) if is_bug(error) else as_problem(error)
        self.batch.settle(p, self.start)
        return error is None or isinstance(error, Exception)
