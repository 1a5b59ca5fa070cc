"""A processor of samples that smooths what jumps: latencies, temperatures, lengths of queues.

Each series that is matched becomes two: NAME:smooth, a mean in which a sample's weight halves with every half-life of its age,
and NAME:unusual, how many standard deviations the newest sample is away from what was usual before it. All other series go on
as they are. The memory outlives the plugin and the daemon: it is kept with the output that was made of it.
"""

import json
import math
import re
from dataclasses import dataclass

import magpie

_MEANT = 10  # samples of a series before it is known what is usual


@dataclass
class Config:
    match: str = magpie.attr("Regular expression for the names of series to smooth; it is of the whole name.", check="regexp")
    half_life: magpie.Duration = magpie.attr("After it a sample has half of its weight.", default="5m", check="min=1s")
    most: int = magpie.attr("Series that are remembered; more go on as they are.", default=10000, check="min=1,max=100000")


@magpie.sample_processor(Config)
class Smooth:
    """Smooths series, and says how unusual their newest sample is."""

    def __init__(self, config, host):
        self.config = config
        self.match = re.compile(config.match)

    def derive(self, state):
        return Smoothing(self, json.loads(state) if state else {})


class Smoothing:
    """The work on one pipeline. A series' memory is the time of its last sample, mean, variance, and how many there were."""

    def __init__(self, of, memory):
        self.of = of
        self.memory = memory

    def process(self, batch, out):
        for _, s in batch.samples():
            made = self.smoothed(s)
            if made is None:
                out.put_at(out.series(s.labels, s.family), s.value, s.time)
            for suffix, value in made or ():
                out.put_at(out.series({**s.labels, "__name__": s.name + suffix}), value, s.time)

    def smoothed(self, s):
        """What a sample becomes; None if it is left alone."""
        if math.isinf(s.value) or not self.of.match.fullmatch(s.name):
            return None
        if math.isnan(s.value):  # its end, or no number: what was made of it ends, too
            return (":smooth", magpie.STALE_NAN), (":unusual", magpie.STALE_NAN)
        key = json.dumps(sorted(s.labels.items()))
        if key not in self.memory and len(self.memory) >= self.of.config.most:
            self.forget_older_than(s.time - 60 * self.of.config.half_life)
            if len(self.memory) >= self.of.config.most:
                return None
        at, mean, variance, n = self.memory.get(key, (s.time, s.value, 0.0, 0))
        if n and s.time <= at:
            return ()  # it came twice, or too late
        away = s.value - mean
        unusual = away / math.sqrt(variance) if n >= _MEANT and variance > 0 else 0.0
        weight = 1 - 0.5 ** ((s.time - at) / self.of.config.half_life)
        mean += weight * away
        variance = (1 - weight) * (variance + weight * away * away)
        self.memory[key] = (s.time, mean, variance, n + 1)
        return (":smooth", mean), (":unusual", unusual)

    def forget_older_than(self, at):
        self.memory = {key: m for key, m in self.memory.items() if m[0] >= at}

    def snapshot(self):
        return json.dumps(self.memory).encode()


if __name__ == "__main__":
    magpie.main("smooth", "0.1.0", Smooth)
