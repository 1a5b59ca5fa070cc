"""What a store answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .codec.bodies import read_histogram
from .errors import CONFIG, Problem
from .histogram import Histogram


class QueryError(Problem):
    """A mistake in an expression, between two of its bytes."""

    def __init__(self, start: int, end: int, text: str) -> None:
        super().__init__(text, blame=CONFIG, permanent=True)
        self.start = start
        self.end = end


@dataclass
class ResultSeries:
    """One series of a result: its labels, and points of a time in Unix seconds and a value or a native histogram."""

    labels: dict[str, str]
    points: list[tuple[float, float | Histogram]]


@dataclass
class Result:
    """The answer to a query. ``type`` is vector (one point a series), matrix, scalar (one series without labels) or string."""

    type: str
    series: list[ResultSeries] = field(default_factory=list)
    text: str = ""
    """Of a string."""
    warnings: list[str] = field(default_factory=list)
    """For the person who asked."""


def result(m: Any) -> Result:
    """Reads the message."""
    if m.HasField("mistake"):
        raise QueryError(m.mistake.start, m.mistake.end, m.mistake.text)
    out = Result(m.type, text=m.text, warnings=list(m.warnings))
    for s in m.series:
        points: list[tuple[float, float | Histogram]] = []
        for i, (t, value) in enumerate(zip(s.times_ms, s.values)):
            h = s.histograms[i] if i < len(s.histograms) else b""
            points.append((t / 1000, read_histogram(memoryview(h)) if h else value))
        out.series.append(ResultSeries({label.name: label.value for label in s.labels}, points))
    return out
