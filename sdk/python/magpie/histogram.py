"""Native histograms and exemplars."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .series import Labels, sorted_labels, valid

CUSTOM_BUCKETS = -53
"""The schema of a histogram whose bounds are in ``custom``."""

MAX_BUCKETS = 10_000  # and as many spans, and as many bounds
MAX_COUNT = 1 << 53
MAX_EXEMPLAR = 4 << 10  # bytes of labels

RESET_UNKNOWN, RESET_SEEN, RESET_NONE, NOT_COUNTER = range(4)
"""What is known of counter resets between a histogram and the one before it in its series."""


@dataclass(slots=True)
class Histogram:
    """A native histogram, as Prometheus has them: many buckets in one sample. Spans, (offset, length) each, say where the
    buckets are that are not empty; the offset of the first span is the index of its first bucket, of others the gap behind
    the span before. Counts are those of each bucket, not differences."""

    schema: int = 0
    zero_threshold: float = 0.0
    zero_count: float = 0.0
    count: float = 0.0
    sum: float = 0.0
    positive_spans: list[tuple[int, int]] = field(default_factory=list)
    negative_spans: list[tuple[int, int]] = field(default_factory=list)
    positive: list[float] = field(default_factory=list)
    negative: list[float] = field(default_factory=list)
    custom: list[float] = field(default_factory=list)
    float_counts: bool = False
    reset: int = RESET_UNKNOWN

    def check(self) -> None:
        """Raises ValueError where a histogram is not valid: by Prometheus' rules, and bounds on its size."""
        if self.schema != CUSTOM_BUCKETS and not -4 <= self.schema <= 8:
            raise ValueError(f"the schema is {self.schema}, and may be -4 to 8 or {CUSTOM_BUCKETS}")
        sizes = (len(self.positive_spans) + len(self.negative_spans), len(self.positive) + len(self.negative), len(self.custom))
        if max(sizes) > MAX_BUCKETS:
            raise ValueError(f"there are more than {MAX_BUCKETS} spans, buckets or bounds")
        if not 0 <= self.zero_threshold < math.inf:
            raise ValueError(f"the zero threshold is {self.zero_threshold}")
        if not 0 <= self.reset <= NOT_COUNTER:
            raise ValueError(f"the reset hint is {self.reset}")
        self._check_custom()
        _check_spans(self.positive_spans, len(self.positive))
        _check_spans(self.negative_spans, len(self.negative))
        self._check_counts()

    def _check_custom(self) -> None:
        if self.schema != CUSTOM_BUCKETS:
            if self.custom:
                raise ValueError("bounds belong to custom buckets only")
            return
        if self.zero_threshold or self.zero_count or self.negative_spans or self.negative:
            raise ValueError("custom buckets have neither a zero bucket nor negative buckets")
        last = -math.inf
        for bound in self.custom:
            if not last < bound < math.inf:
                raise ValueError(f"bound {bound} behind {last}: bounds rise and are finite")
            last = bound
        if any(offset < 0 for offset, _ in self.positive_spans):
            raise ValueError("a span begins before the first custom bucket")
        if sum(offset + length for offset, length in self.positive_spans) > len(self.custom) + 1:
            raise ValueError("spans reach beyond the bounds")

    def _check_counts(self) -> None:
        total = self.zero_count
        for c in (self.count, self.zero_count, *self.positive, *self.negative):
            if not (0 <= c < math.inf if self.float_counts else 0 <= c <= MAX_COUNT and c == math.trunc(c)):
                raise ValueError(f"a bucket has {c} observations")
        for c in (*self.positive, *self.negative):
            total += c
        if not self.float_counts and (total > self.count or total != self.count and not math.isnan(self.sum)):
            raise ValueError(f"{total} observations are in buckets, and there are {self.count}")


def _check_spans(spans: list[tuple[int, int]], buckets: int) -> None:
    at = n = 0
    for i, (offset, length) in enumerate(spans):
        if i > 0 and offset < 0:
            raise ValueError(f"span {i} begins before the one before it ends")
        at += offset + length
        n += length
        if length < 0 or at > 2**31 - 1 or not -(2**31) <= offset < 2**31:
            raise ValueError(f"span {i} ends at bucket {at}")
    if n != buckets:
        raise ValueError(f"the spans have {n} buckets, and there are {buckets}")


@dataclass(slots=True)
class Exemplar:
    """An example of what a series counts, such as the trace of one request. Without a time it has the batch's."""

    labels: dict[str, str]
    value: float
    time: float | None = None  # Unix seconds

    def wire_labels(self) -> Labels | None:
        """The labels in the wire's order; None if it does not take them."""
        pairs = sorted_labels(self.labels)
        if not valid(pairs) or sum(len(n.encode()) + len(v.encode()) for n, v in pairs) > MAX_EXEMPLAR:
            return None
        return pairs
