"""Reads packets as hex, a line each, and prints for each what a sink would read in it: "refused", or a digest. The Go codec's
digests are compared with these (agree_test.go): of damaged packets too, the two codecs are to think the same."""

import hashlib
import struct
import sys

from magpie.codec.bodies import text
from magpie.codec.decoder import Decoder, forget
from magpie.codec.frame import STREAM, Header, Malformed, frame, parse_packet
from magpie.received import Received


def digest(message: bytes) -> str:
    decoder = Decoder()
    for stream in (1, 3):
        decoder.decode(frame(Header(STREAM, stream=stream), text("source.test.vector")))
    try:
        packet = parse_packet(message)
        runs, forgotten = decoder.decode(packet.frames)
    except Malformed:
        return "refused"
    batch, h, n = Received(packet.last_seq, runs), hashlib.sha256(), 0
    for _, s in batch.samples():
        n += 1
        add(h, s.labels, s.family, round(s.time * 1000) if s.record is None else s.record.time_ns // 10**6)
        if s.record is not None:
            r = s.record
            h.update(f"{r.level} {r.time_ns % 10**6} {r.name} {r.text}".encode())
            add(h, r.attributes, None, 0)
        elif s.histogram is None:
            h.update(struct.pack("<d", s.value))
        else:
            g = s.histogram
            h.update(struct.pack("<q4d", g.schema, g.zero_threshold, g.zero_count, g.count, g.sum))
            for spans in (g.positive_spans, g.negative_spans):
                for offset, length in spans:
                    h.update(struct.pack("<qq", offset, length))
            for side in (g.positive, g.negative, g.custom):
                h.update(struct.pack(f"<{len(side)}d", *side))
            h.update(bytes((g.float_counts, g.reset)))
    for series, e in batch.exemplars():
        n += 1
        add(h, series.labels, series.family, round(e.time * 1000))
        h.update(struct.pack("<d", e.value))
        add(h, e.labels, None, 0)
    for f in forgotten:
        h.update(b"forget" + b"".join(struct.pack("<I", ref) for ref in f.refs or ()))
    forget(forgotten)
    return f"{n} {h.hexdigest()}"


def add(h, labels, family, time):
    for name, value in sorted(labels.items()):
        h.update(name.encode() + b"\xff" + value.encode() + b"\xff")
    if family is not None:
        h.update(f"{family.name} {family.type} {family.unit} {family.help}".encode())
    h.update(struct.pack("<q", time if abs(time) < 10**15 else 0))  # a float holds no others to the millisecond


if __name__ == "__main__":
    for line in sys.stdin:
        print(digest(bytes.fromhex(line)), flush=True)
