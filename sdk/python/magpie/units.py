"""Durations, sizes and secrets, as HCL writes them."""

from __future__ import annotations

import math
import re
from typing import Any


class Duration(float):
    """A time in seconds, written ``"15s"``, ``"1m30s"`` or ``"30d"`` in HCL."""

    @classmethod
    def parse(cls, text: str) -> "Duration":
        return cls(_nanoseconds(text) / 1e9)


class Bytes(int):
    """A size in bytes, written ``"256MiB"`` or ``"10kB"`` in HCL."""

    @classmethod
    def parse(cls, text: str) -> "Bytes":
        m = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(KiB|MiB|GiB|TiB|kB|MB|GB|TB|B)\s*", text)
        size = float(m[1]) * _SIZES[m[2]] if m else -1.0
        if not 0 <= size <= 2**62 or size != math.trunc(size):
            raise ValueError(f'{text!r} is not a size: write a number and a unit, such as "256MiB" or "10kB"')
        return cls(size)


_SIZES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}

_TIMES = {
    "ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
    "d": 86400 * 10**9, "w": 7 * 86400 * 10**9, "y": 365 * 86400 * 10**9,
}  # fmt: skip


def _nanoseconds(text: str) -> int:
    rest = text.strip()
    if rest == "0":
        return 0
    sign, digits = (-1, rest[1:]) if rest.startswith("-") else (1, rest)
    parts = re.findall(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d|w|y)", digits)
    if not parts or "".join(n + u for n, u in parts) != digits:
        raise ValueError(f'{text!r} is not a duration: write a number and a unit, such as "15s", "1m30s" or "30d"')
    return sign * round(sum(float(n) * _TIMES[u] for n, u in parts))


class Secret:
    """A value that no log, plan or error shows. ``reveal`` gives it to the one place that needs it."""

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return self._value != ""

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "(sensitive)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "(sensitive)"

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not to be copied elsewhere")
