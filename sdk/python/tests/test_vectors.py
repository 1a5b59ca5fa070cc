"""The Go codec and this one make the same bytes of the same batches, and read the same in the same bytes: the vectors in
sdk/wire/testdata, which the Go codec's tests write and check."""

import hashlib
import json
import pathlib
import struct
import unittest

from magpie.batch import Scope
from magpie.codec.bodies import text
from magpie.codec.decoder import Decoder, forget
from magpie.codec.encoder import Encoder
from magpie.codec.frame import STREAM, Header, Malformed, frame, parse_packet
from magpie.codec.packer import Packer
from magpie.histogram import Exemplar, Histogram
from magpie.received import Received
from magpie.record import Record
from magpie.series import Family

TESTDATA = pathlib.Path(__file__).parents[2] / "wire" / "testdata"


def number(text):
    """A float as the vectors write it: decimal, or its bits."""
    if text.startswith("0x"):
        return struct.unpack("<d", struct.pack("<Q", int(text, 16)))[0]
    return float(text or "0")


def bits(v):
    return struct.unpack("<Q", struct.pack("<d", v))[0]


def family(m):
    return m and Family(m["name"], m["type"], m.get("unit", ""), m.get("help", ""))


def histogram(m):
    floats = lambda name: [number(n) for n in m.get(name) or []]
    spans = lambda name: [tuple(pair) for pair in m.get(name) or []]
    return Histogram(
        m["schema"], number(m.get("zero_threshold", "")), number(m.get("zero_count", "")), number(m["count"]), number(m["sum"]),
        spans("positive_spans"), spans("negative_spans"), floats("positive"), floats("negative"), floats("custom"),
        m.get("float", False), m.get("reset", 0),
    )


def record(m):
    return Record(m["text"], m.get("level", 0), m.get("attributes") or {}, m.get("name", ""), m.get("time_ns"))


def do(o, b):
    """Carries an operation on a batch out."""
    op, at = o["op"], o.get("at_ms")
    at = None if at is None else at / 1000
    series = lambda: b.series(o.get("labels", {}), family(o.get("family")))
    if op == "define":
        series()
    elif op == "put" and at is None:
        b.put(series(), number(o.get("value", "")))
    elif op == "put":
        b.put_at(series(), number(o.get("value", "")), at)
    elif op == "histogram":
        b.put_histogram(series(), histogram(o["histogram"]), at)
    elif op == "exemplar":
        b.put_exemplar(series(), Exemplar(o.get("exemplar", {}), number(o.get("value", "")), at))
    elif op == "log":
        b.log(series(), record(o["record"]))
    elif op == "stale":
        b.stale(series())
    elif op == "retire":
        b.retire(series())
    elif op == "checkpoint":
        b.checkpoint(bytes.fromhex(o.get("hex", "")) * max(1, o.get("n", 0)))
    elif op == "many":
        for i in range(o["n"]):
            b.put(b.series({"__name__": o["name"], "i": str(i)}), i)
    else:
        raise ValueError(op)


def encode(v):
    """The packets of a vector of batches."""
    s, messages = v["source"], []
    scope = Scope(s["job"], s.get("labels"), s["instance"], s.get("limit_series", 0), s.get("own_labels", False))
    packer, encoder, b = Packer(0x0123456789ABCDEF, 3600, 1 << 30), Encoder(s["stream"]), scope.batch()
    sent = 0
    for cycle in v["cycles"]:
        b.time, b.whole = cycle["time_ms"] / 1000, cycle.get("whole", False)
        for o in cycle.get("do") or []:
            do(o, b)
        packer.fill(lambda p: b.seal(lambda part: encoder.encode(p, part)), cycle=b.whole)
        for _ in range(packer.cut() - sent):
            messages.append(packer.next(lambda: False))
            sent += 1
    return messages, scope.dropped


def read(decoder, message):
    """What a sink reads, as the vectors write it, with floats as their bits."""
    packet = parse_packet(message)
    runs, forgotten = decoder.decode(packet.frames)
    batch, out = Received(packet.last_seq, runs), []
    for _, s in batch.samples():
        value = s.histogram if s.histogram is not None else s.record if s.record is not None else bits(s.value)
        time = round(s.time * 1000) if s.record is None else s.record.time_ns // 10**6
        out.append((s.labels, s.family, time, plain(value), None))
    for series, e in batch.exemplars():
        out.append((series.labels, series.family, round(e.time * 1000), bits(e.value), e.labels))
    gone = [None if f.refs is None else f.refs for f in forgotten]
    forget(forgotten)
    return out, gone


def plain(v):
    """A histogram with its floats as bits."""
    if not isinstance(v, Histogram):
        return v
    floats = (v.zero_threshold, v.zero_count, v.count, v.sum, *v.positive, -1.0, *v.negative, -1.0, *v.custom)
    return (v.schema, [bits(f) for f in floats], v.positive_spans, v.negative_spans, v.float_counts, v.reset)


def wanted(m):
    if "record" in m:
        return (m["labels"], family(m.get("family")), m["time_ms"], record(m["record"]), None)
    value = plain(histogram(m["histogram"])) if "histogram" in m else bits(number(m.get("value", "")))
    return (m["labels"], family(m.get("family")), m["time_ms"], value, m.get("exemplar"))


class Vectors(unittest.TestCase):
    maxDiff = None

    def expect_read(self, decoder, want, message):
        if want.get("refused"):
            with self.assertRaises(Malformed):
                read(decoder, message)
            return
        got, gone = read(decoder, message)
        self.assertEqual([wanted(m) for m in want.get("read") or []], got[-100:])
        self.assertEqual(want.get("forgotten") or [], gone)

    def test_batches_are_encoded_to_these_bytes_and_read_again(self):
        vectors = json.loads((TESTDATA / "batches.json").read_text())
        self.assertGreater(len(vectors), 20)
        for v in vectors:
            with self.subTest(v["about"]):
                messages, dropped = encode(v)
                self.assertEqual(v.get("dropped") or {}, dropped)
                self.assertEqual(len(v["packets"]), len(messages))
                decoder = Decoder()
                decoder.decode(frame(Header(STREAM, stream=v["source"]["stream"]), text("source.test.vector")))
                for want, message in zip(v["packets"], messages):
                    if "hex" in want:
                        self.assertEqual(want["hex"], message.hex())
                    else:
                        self.assertEqual((want["size"], want["sha256"]), (len(message), hashlib.sha256(message).hexdigest()))
                    self.expect_read(decoder, want, message)

    def test_frames_are_read_as_these_samples_or_refused(self):
        vectors = json.loads((TESTDATA / "frames.json").read_text())
        self.assertGreater(len(vectors), 20)
        for v in vectors:
            with self.subTest(v["about"]):
                decoder = Decoder()
                for want in v["packets"]:
                    self.expect_read(decoder, want, bytes.fromhex(want["hex"]))


if __name__ == "__main__":
    unittest.main()
