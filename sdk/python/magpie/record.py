"""Lines of logs, and events."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .series import MAX_NAME, Labels, sorted_labels, valid

LEVELS = {"trace": 1, "debug": 5, "info": 9, "warn": 13, "error": 17, "fatal": 21}
"""The first level of each range, as OpenTelemetry has them; 0 where it is not known, 24 the last one."""

MAX_TEXT, MAX_ATTRIBUTES, MAX_LEVEL = 256 << 10, 64 << 10, 24
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(slots=True)
class Record:
    """A line of a log, or an event if it has a name. It belongs to a series, whose labels say where it comes from: __name__,
    such as "log", and those that it is found by. What differs from record to record is an attribute. A level is a number, 1 to
    24, or a word of LEVELS. Without a time it has the batch's."""

    text: str
    level: int | str = 0
    attributes: dict[str, str] = field(default_factory=dict)
    name: str = ""  # of an event, such as "process.restarted"
    time_ns: int | None = None  # Unix nanoseconds

    def wire(self) -> "Wire | None":
        """The record as it goes out: a text that is too long is cut, what is no UTF-8 in it is replaced. None if its
        attributes, its name or its level break the rules."""
        level = LEVELS.get(self.level, -1) if isinstance(self.level, str) else self.level
        attributes: Labels = tuple(sorted(self.attributes.items()))
        text = _SURROGATES.sub("\ufffd", self.text)
        if len(text) * 4 > MAX_TEXT and len(data := text.encode()) > MAX_TEXT:
            text = data[:MAX_TEXT].decode("utf-8", "ignore")
        if not 0 <= level <= MAX_LEVEL or not valid(attributes) or _SURROGATES.search(self.name) or len(self.name.encode()) > MAX_NAME:
            return None
        if sum(len(n.encode()) + len(v.encode()) for n, v in attributes) > MAX_ATTRIBUTES:
            return None
        return level, self.name, text, attributes


Wire = tuple[int, str, str, Labels]
"""Level, name, text and attributes, in the wire's order."""
