"""A plugin that offers every kind, for the tests of this SDK."""

import dataclasses
import os
import time
from dataclasses import dataclass

import magpie

level = magpie.gauge("every_level", "What the block says.", "name")
calls = magpie.counter("every_calls_total", "How often it was collected.")


@dataclass
class Rule:
    """A nested block with a label."""

    name: str = magpie.label("What it is called.")
    port: int = magpie.attr("A port.", check="min=1,max=65535")
    tags: list[str] = magpie.attr("Words.", default=["a", "b"])


@dataclass
class Config:
    value: float = magpie.attr("What to show.", default=1.5, change="live")
    wait: magpie.Duration = magpie.attr("How long a collection takes.", default="0s")
    size: magpie.Bytes = magpie.attr("A size.", default="1MiB", was="bytes")
    token: magpie.Secret | None = magpie.attr("A secret.")
    fails: str = magpie.attr("How to fail.", default="", check="oneof= open target key plain at nonutf full")
    headers: dict[str, str] = magpie.attr("A map.", default={})
    rule: list[Rule] = magpie.block("Rules.")

    def validate(self, remarks):
        for i, r in enumerate(self.rule):
            if r.port == 22:
                remarks.error(f"rule[{i}].port", "port 22 is reserved")
        if self.value > 100:
            remarks.warn("value", "that is much")


@magpie.source(Config, job="every", doc="Shows what its block says.")
class Every:
    def __init__(self, config, host):
        if config.fails == "open":
            raise magpie.at("rule[0].port", magpie.fix(magpie.permanent(f"no such port {config.token}"), "Take another."))
        self.config, self.host, self.calls, self.found = config, host, 0, []
        host.progress("opening")
        host.log.info("opened with %s", config.token, extra={"rules": len(config.rule)})

    def collect(self, out):
        self.calls += 1
        out.set(calls, self.calls)
        time.sleep(self.config.wait)
        match self.config.fails:
            case "target":
                raise magpie.target(f"nobody answers after {out.remaining() > 0}")
            case "key":
                {}["missing"]
            case "plain":
                raise ValueError("that is no number")
            case "nonutf":
                out.put(out.series({"__name__": "bad", "x": "\udcff"}), 1)
                out.set(level, 1)
        for name in [r.name for r in self.config.rule] or ["none"]:
            out.set(level, self.config.value, name)
        for t in self.found:
            with out.target(t.address) as one:
                one.set(level, len(t.labels), "target")
                if t.address == "down:1":
                    raise TimeoutError("no answer")

    def set_targets(self, targets):
        self.found = targets

    def reconfigure(self, config):
        if config.value < 0:
            raise magpie.at("value", "less than nothing")
        self.config = config

    def probe(self):
        if self.config.fails == "target":
            raise magpie.target("it is not there")

    def health(self):
        return magpie.DEGRADED if self.config.fails else magpie.OK, f"collected {self.calls} times"


@magpie.stream_source(Config, name="pushed")
class Pushed:
    """Pushes what it is told to, and goes on where it was."""

    def __init__(self, config, host):
        self.config, self.host = config, host
        self.at = int(host.checkpoint or 0)

    def stream(self, out):
        b = out.batch()
        ref = b.define({"__name__": "pushed", "pid": str(os.getpid())})
        while not out.wait(0.02):
            self.at += 1
            b.put_at(ref, self.at, time.time())
            b.checkpoint(str(self.at).encode())
            out.emit(b)
            out.flush()
            self.host.status(magpie.OK, f"pushed {self.at}")


@magpie.processor(name="drop_dev")
class DropDev:
    """Drops what is of development, and says where the rest was."""

    def __init__(self, config, host):
        pass

    def map_series(self, labels):
        if labels.get("env") == "dev":
            return None
        if labels.get("env") == "broken":
            raise KeyError("env")
        return {**labels, "seen": "python", "env": ""}


@magpie.sink(Config, name="lines", histograms=True, exemplars=True)
class Lines:
    """Writes lines into a file in its directory."""

    def __init__(self, config, host):
        self.path = os.path.join(host.directory(), "lines")
        self.config, self.tries = config, 0

    def write(self, batch):
        self.tries += 1
        if self.config.fails == "full" and self.tries < 3:
            raise magpie.retry_after(OSError("no room"), 0.05)
        with open(self.path, "a") as f:
            for i, s in batch.samples():
                if s.labels.get("drop"):
                    batch.drop(i, "unwanted")
                elif s.labels.get("refuse"):
                    raise magpie.permanent("never")
                else:
                    print(batch.id, s.name, s.histogram.count if s.histogram else s.value, round(s.time * 1000), file=f)
            for series, e in batch.exemplars():
                print("exemplar", series.name, e.labels, e.value, file=f)


@magpie.notifier(Config, name="note")
class Note:
    """Remembers what it was told."""

    def __init__(self, config, host):
        self.config, self.host = config, host

    def notify(self, n):
        if self.config.fails:
            raise magpie.permanent(magpie.target("they hung up"))
        if n.title.startswith("ask "):
            r = self.host.query(n.title[4:], start=10, end=20, step=5)
            return f"{r.type} {[(s.labels, s.points) for s in r.series]} {r.warnings}"
        before = self.host.get("last")
        self.host.put("last", n.title.encode())
        return f"{n.status} {n.alerts[0].value} {n.alerts[0].starts_at.isoformat()} after {(before or b'').decode()}"


@magpie.discovery(name="static")
class Static:
    """Finds two targets, and then a third."""

    def __init__(self, config, host):
        pass

    def discover(self, out):
        found = [magpie.Discovered("a:1", {"__meta_x": "1"}), magpie.Discovered("b:2")]
        out.found(found)
        if not out.wait(0.05):
            out.found([*found, dataclasses.replace(found[1], address="c:3")])
        out.wait(1e6)


if __name__ == "__main__":
    print("a stray print")
    magpie.main("every", "1.2.3", Every, Pushed, DropDev, Lines, Note, Static)
