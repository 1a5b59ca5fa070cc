"""What a notifier is handed: a group of alerts, as Alertmanager groups them."""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import dataclass
from typing import Any


@dataclass
class Alert:
    """One alert of a notification."""

    status: str  # firing, resolved
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime.datetime
    ends_at: datetime.datetime | None  # None while it fires
    generator_url: str
    fingerprint: str
    value: float


@dataclass
class Notification:
    """One message to one receiver."""

    group_key: str  # names the group; the same in all its notifications
    idempotency_key: str  # the same when this notification is tried again, or sent by another daemon
    status: str  # firing, resolved
    receiver: str  # address of the notifier
    group_labels: dict[str, str]
    common_labels: dict[str, str]
    common_annotations: dict[str, str]
    alerts: list[Alert]
    truncated: int  # alerts left out
    external_url: str
    title: str  # one line, rendered
    text: str  # the whole, rendered as plain text
    previous: str  # what the last notification of this group returned
    json: dict[str, Any]  # as it came

    @classmethod
    def parse(cls, data: bytes) -> "Notification":
        """Reads the daemon's JSON."""
        m = json.loads(data)
        return cls(
            m.get("GroupKey", ""), m.get("IdempotencyKey", ""), m.get("Status", ""), m.get("Receiver", ""), m.get("GroupLabels") or {},
            m.get("CommonLabels") or {}, m.get("CommonAnnots") or {}, [_alert(a) for a in m.get("Alerts") or []], m.get("Truncated", 0),
            m.get("ExternalURL", ""), m.get("Title", ""), m.get("Text", ""), (m.get("Previous") or {}).get("ID", ""), m,
        )  # fmt: skip


def _alert(m: dict[str, Any]) -> Alert:
    starts, ends = _time(m.get("StartsAt", "")), _time(m.get("EndsAt", ""))
    return Alert(
        m.get("Status", ""), m.get("Labels") or {}, m.get("Annotations") or {}, starts or datetime.datetime.fromtimestamp(0, datetime.timezone.utc),
        ends, m.get("GeneratorURL", ""), m.get("Fingerprint", ""), float(m.get("Value") or "nan"),
    )  # fmt: skip


def _time(text: str) -> datetime.datetime | None:
    """RFC 3339 with up to nine digits of a second; Go's zero time is none."""
    if not text or text.startswith("0001-"):
        return None
    return datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
