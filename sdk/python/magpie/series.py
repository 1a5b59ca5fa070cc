"""Series and metrics: what samples belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

NAME = "__name__"
"""The label that holds a series' metric name."""

TYPES = ("unknown", "gauge", "counter", "histogram", "summary", "info", "stateset", "gaugehistogram")
"""The metric types, in the order of the wire contract."""

# Limits of a series, as the wire has them; 32 labels are left for those of the block.
MAX_LABELS, MAX_NAME, MAX_VALUE, MAX_SERIES = 256, 1 << 10, 64 << 10, 256 << 10

Labels = tuple[tuple[str, str], ...]
"""Labels in the order of their names, without empty values."""


@dataclass(frozen=True)
class Family:
    """What the series of one metric share: the name without suffixes such as _bucket, type, unit and help."""

    name: str
    type: str = "unknown"
    unit: str = ""
    help: str = ""


class Metric:
    """A declared metric: documented, typed, with fixed label names. Declare metrics at the top of the module."""

    __slots__ = ("family", "labels")

    def __init__(self, family: Family, labels: tuple[str, ...]) -> None:
        self.family = family
        self.labels = labels

    def __repr__(self) -> str:
        return f"<{self.family.type} {self.family.name}>"


DECLARED: list[Metric] = []
"""All metrics that were declared in this process: the catalogue in Describe."""


def _declare(name: str, help: str, kind: str, labels: tuple[str, ...]) -> Metric:
    m = Metric(Family(name, kind, "", help), labels)
    DECLARED.append(m)
    return m


def gauge(name: str, help: str, *labels: str) -> Metric:
    """Declares a metric that goes up and down. The name ends in the unit (http_latency_seconds)."""
    return _declare(name, help, "gauge", labels)


def counter(name: str, help: str, *labels: str) -> Metric:
    """Declares a metric that only grows, but for resets. The name ends in _total."""
    return _declare(name, help, "counter", labels)


def untyped(name: str, help: str, *labels: str) -> Metric:
    """Declares a metric whose source does not say what it is."""
    return _declare(name, help, "unknown", labels)


UP = Metric(Family("up", "gauge", "", "1 if the target was collected, 0 if that failed."), ())
DURATION = Metric(Family("scrape_duration_seconds", "gauge", "seconds", "How long collecting the target took."), ())
SCRAPED = Metric(Family("scrape_samples_scraped", "gauge", "", "The number of samples that the target gave."), ())


def sorted_labels(labels: Mapping[str, str]) -> Labels:
    """Labels in the wire's order. Python compares texts as UTF-8 does."""
    return tuple(sorted((n, v) for n, v in labels.items() if v != ""))


def valid(labels: Labels, most: int = MAX_LABELS - 32) -> bool:
    """Whether the wire takes the labels: UTF-8, names not empty, and their number and sizes."""
    size = 0
    try:
        for name, value in labels:
            n, v = len(name.encode()), len(value.encode())
            size += n + v
            if n == 0 or n > MAX_NAME or v > MAX_VALUE:
                return False
    except (UnicodeEncodeError, AttributeError):
        return False
    return len(labels) <= most and size <= MAX_SERIES


def series_text(labels: Mapping[str, str]) -> str:
    """Labels as PromQL writes a series."""
    inner = ", ".join('%s="%s"' % (n, v.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")) for n, v in sorted(labels.items()) if n != NAME)
    return labels.get(NAME, "") + ("{" + inner + "}" if inner else "")
