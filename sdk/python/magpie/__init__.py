"""The SDK for plugins of Magpie in Python.

A plugin is a program that hands what it offers to ``main``. What it offers is a class with a decorator for its kind; a
dataclass is the schema of the block that an ops team writes:

    import time, urllib.request
    from dataclasses import dataclass
    import magpie

    latency = magpie.gauge("http_check_latency_seconds", "Time until the response header arrived.", "code")

    @dataclass
    class Config:
        url: str = magpie.attr("Address to request.", check="url")

    @magpie.source(Config)
    class Check:
        def __init__(self, config, host):
            self.config = config

        def collect(self, out):
            start = time.monotonic()
            try:
                with urllib.request.urlopen(self.config.url, timeout=out.remaining()) as answer:
                    out.set(latency, time.monotonic() - start, answer.status)
            except OSError as e:
                raise magpie.target(e)  # the target's fault, not the plugin's

    if __name__ == "__main__":
        magpie.main("http_check", "0.1.0", Check)

``python -m magpie pack`` makes one executable file of it, which goes into a plugin directory under its name. Any number of
components of a type live in one process. The SDK keeps their clock, fills their configuration, catches their exceptions, and
gives each target ``up``, ``scrape_duration_seconds`` and ``scrape_samples_scraped``.

An exception is an error that blames the plugin, a TimeoutError the target; ``target``, ``permanent``, ``retry_after``, ``at``
and ``fix`` say more. Python's own exceptions that mean a bug (TypeError, KeyError, AttributeError, … but not ValueError or
OSError) are panics: logged with their stack, and after five in a row a source is left alone, and no other component.

    kinds.py      the decorators, and what each kind has to do
    config.py     attributes, blocks, defaults, checks        units.py   durations, sizes, secrets
    batch.py      what a source fills                         series.py  metrics and labels
    query.py      what a store answers
    received.py   what a sink is handed                       notification.py
    errors.py     problems                                    host.py    what a component can ask of the daemon
    testing.py    a component in a test, without a daemon     pack.py    one file of a plugin
"""

from .batch import NO_REF, Batch
from .codec.frame import STALE_NAN
from .config import Mistake, attr, block, label
from .errors import Full, Problem, Remarks, at, fix, permanent, retry_after, target
from .histogram import CUSTOM_BUCKETS, Exemplar, Histogram
from .host import Host, SourceSettings
from .kinds import DEGRADED, FAILED, OK, Derivation, Discovered, Emitter, Finder, discovery, notifier, processor, sample_processor, sink, source, stream_source
from .process import main
from .notification import Alert, Notification
from .query import QueryError, Result, ResultSeries
from .received import Received, Sample
from .record import LEVELS, Record
from .series import Family, Metric, counter, gauge, untyped
from .units import Bytes, Duration, Secret
from .version import VERSION as __version__

__all__ = [
    "Alert", "Batch", "Bytes", "CUSTOM_BUCKETS", "DEGRADED", "Derivation", "Discovered", "Duration", "Emitter", "Exemplar", "FAILED", "Family",
    "Finder", "Full", "LEVELS", "Histogram", "Host", "Metric", "Mistake", "NO_REF", "Notification", "OK", "Problem", "QueryError", "Received", "Record", "Remarks", "Result", "ResultSeries",
    "STALE_NAN", "Sample", "Secret", "SourceSettings", "__version__", "at", "attr", "block", "counter", "discovery", "fix", "gauge",
    "label", "main", "notifier", "permanent", "processor", "retry_after", "sample_processor", "sink", "source", "stream_source", "target", "untyped",
]  # fmt: skip
