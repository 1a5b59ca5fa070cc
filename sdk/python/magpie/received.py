"""What a sink is handed."""

from __future__ import annotations

from typing import Iterator, NamedTuple

from .codec.decoder import Run, Series
from .histogram import Exemplar, Histogram
from .record import Record
from .series import Family


class Sample(NamedTuple):
    """One sample; its time is in Unix seconds. With a histogram or a record, the sample is that and not the value."""

    labels: dict[str, str]
    value: float
    time: float
    histogram: Histogram | None
    family: Family | None
    record: Record | None = None

    @property
    def name(self) -> str:
        return self.labels.get("__name__", "")


class Received:
    """A batch that a sink reads. The labels belong to the SDK: copy them before changing them.

    ``id`` is the key for idempotence: the same samples come again under the same id after a failure. ``runs`` are the columns,
    for sinks that are in a hurry."""

    def __init__(self, id: int, runs: list[Run]) -> None:
        self.id = id
        self.runs = runs
        self._length = sum(len(r.refs) for r in runs)
        self._dropped: dict[int, str] = {}

    def __len__(self) -> int:
        return self._length

    def samples(self) -> Iterator[tuple[int, Sample]]:
        """All samples with their numbers, for ``drop``."""
        i = 0
        for run in self.runs:
            series = run.origin.series
            for k, ref in enumerate(run.refs):
                s: Series = series[ref]
                t = (run.base if run.times is None else run.times[k]) / 1000
                h = None if run.histograms is None else run.histograms[k]
                r = None if run.records is None else run.records[k]
                if r is not None:
                    t = (r.time_ns or 0) / 1e9
                yield i, Sample(s.labels, 0.0 if run.values is None else run.values[k], t, h, s.family, r)
                i += 1

    def exemplars(self) -> Iterator[tuple[Series, Exemplar]]:
        """All exemplars with their series."""
        for run in self.runs:
            for ref, e in run.exemplars or ():
                yield run.origin.series[ref], e

    def drop(self, i: int, reason: str) -> None:
        """Rejects sample i for a reason such as "out_of_order"; the rest is acknowledged. Reasons are few fixed words: they
        become a label."""
        self._dropped[i] = reason

    def take_dropped(self) -> dict[str, int]:
        """Counts the dropped samples by reason and clears them: the SDK's."""
        counts: dict[str, int] = {}
        for reason in self._dropped.values():
            counts[reason] = counts.get(reason, 0) + 1
        self._dropped = {}
        return counts
