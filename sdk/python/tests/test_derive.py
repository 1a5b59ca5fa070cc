import json
import threading
import unittest
from unittest import mock

import magpie
from magpie import derive
from magpie.batch import Scope
from magpie.codec.bodies import checkpoint_frames, read_checkpoint, text
from magpie.codec.decoder import Decoder
from magpie.codec.encoder import Encoder
from magpie.codec.frame import CHECKPOINT, STREAM, Header, Malformed, frame, packet_header, read_frames
from magpie.codec.packer import Packer
from magpie.consume import Broken, Inbox
from magpie.received import Received
from magpie.testing import opened


@magpie.sample_processor()
class Sums:
    """Adds up the samples of each series."""

    def __init__(self, config, host):
        self.fails = []  # what the next calls of process raise

    def derive(self, state):
        return Sum(self, json.loads(state) if state else {})


class Sum:
    def __init__(self, of, sums):
        self.of, self.sums = of, sums

    def process(self, batch, out):
        if self.of.fails:
            out.put(out.series({"__name__": "half"}), 1)  # of a call that fails nothing is kept
            raise self.of.fails.pop(0)
        for i, s in batch.samples():
            if s.value < 0:
                batch.drop(i, "negative")
                continue
            self.sums[s.name] = self.sums.get(s.name, 0) + s.value
            out.put_at(out.series(s.labels), self.sums[s.name], s.time)

    def snapshot(self):
        return json.dumps(self.sums).encode()


def packet(frames, seq=1):
    return packet_header(1, seq, 0, len(frames)) + frames


def samples(*values):
    """A packet of a source's samples."""
    b, p = Scope(own=True).batch(), Packer(1, 3600, 1 << 30)
    b.time = 100.0
    for name, value in values:
        b.put(b.series({"__name__": name}), value)
    p.fill(lambda p: p.add(frame(Header(STREAM, stream=3), text("source.test.main"))))
    p.fill(lambda p: b.seal(lambda part: Encoder(3).encode(p, part)))
    p.cut()
    return p.next(lambda: False)


class TestDerive(unittest.TestCase):
    def work(self, state, packets, fails=()):
        """What a processor sends for these packets: the samples of stream 9, its state, and the last acknowledgement."""
        inbox = Inbox()
        first = packet(b"".join(checkpoint_frames(9, "state", state)))
        threading.Thread(target=inbox.read, args=([first, *packets],), daemon=True).start()
        with opened(Sums) as c, mock.patch.object(derive, "_SAVE_BYTES", 1):
            c.impl.fails.extend(fails)
            decoder, got, kept, ack = Decoder(), [], None, None
            decoder.decode(frame(Header(STREAM, stream=9), text("processor.test.main")))
            for up in derive.Derive(c.component, inbox, 9).run():
                for f in read_frames(up.derived):
                    if f.header.kind == CHECKPOINT:
                        key, kept = read_checkpoint(f)
                        self.assertEqual(("state", 9), (key, f.header.stream))
                if up.derived:
                    runs, _ = decoder.decode(up.derived)
                    got += [(s.name, s.value, s.time) for _, s in Received(1, runs).samples()]
                if up.HasField("ack"):
                    self.assertIsNotNone(kept, "the state comes before the acknowledgement")
                    ack = up.ack
        return got, kept, ack

    def test_output_state_and_acknowledgement_come_together(self):
        got, kept, ack = self.work(b'{"a": 5}', [samples(("a", 2), ("b", 1), ("c", -1))])
        self.assertEqual([("a", 7, 100), ("b", 1, 100)], got)
        self.assertEqual({"a": 7, "b": 1}, json.loads(kept))
        self.assertEqual((1, 2, {"negative": 1}), (ack.position, ack.stored, dict(ack.dropped)))

    def test_it_begins_without_a_state(self):
        self.assertEqual([("a", 2, 100)], self.work(b"", [samples(("a", 2))])[0])

    def test_a_batch_that_failed_comes_again_and_nothing_of_the_failure_is_kept(self):
        got, kept, ack = self.work(b"", [samples(("a", 2))], [OSError("not now")])
        self.assertEqual([("a", 2, 100)], got)
        self.assertEqual((1, {}), (ack.stored, dict(ack.dropped)))

    def test_a_batch_that_is_refused_is_counted(self):
        got, kept, ack = self.work(b"", [samples(("a", 2))], [magpie.permanent("never")])
        self.assertEqual(([], {"rejected": 1}), (got, dict(ack.dropped)))

    def test_a_bug_ends_the_stream(self):
        with self.assertRaisesRegex(Broken, "no such key"):
            self.work(b"", [samples(("a", 2))], [KeyError("no such key")])

    def test_a_state_that_cannot_be_read_ends_the_stream(self):
        with self.assertRaises(Broken):
            self.work(b"junk", [])

    def test_a_stream_begins_with_its_state(self):
        inbox = Inbox()
        threading.Thread(target=inbox.read, args=([samples(("a", 1))],), daemon=True).start()
        with opened(Sums) as c, self.assertRaises(Malformed):
            list(derive.Derive(c.component, inbox, 9).run())


if __name__ == "__main__":
    unittest.main()
