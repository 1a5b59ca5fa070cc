import threading
import unittest
from array import array

import magpie
from magpie.codec.packer import Closed, Packer
from magpie.component import next_tick
from magpie.errors import Panic, as_problem, parse_path, path_text, recover
from magpie.testing import opened, received

level = magpie.gauge("batch_level", "For these tests.", "name", "code")


def source(collect, **more):
    body = {"__init__": lambda self, config, host: setattr(self, "host", host), "collect": lambda self, out: collect(out), **more}
    return magpie.source(doc="A test.")(type("Source", (), body))


class TestBatch(unittest.TestCase):
    def test_texts_and_numbers_are_label_values_and_the_same_ones_one_series(self):
        def collect(out):
            out.set(level, 1, "a", 200)
            out.set(level, 2, "a", "200")
            out.set(level, 3, None, True)

        with opened(source(collect)) as c:
            samples = c.collect()
            self.assertIsNone(c.error)
            self.assertEqual([1, 2], [s.value for s in samples.find("batch_level", name="a", code="200")])
            self.assertEqual(3, samples.value("batch_level", code="True"))
            self.assertEqual(1, samples.value("up", job="test", instance="testhost"))
            self.assertEqual(3, samples.value("scrape_samples_scraped"))

    def test_a_wrong_number_of_labels_fails_the_collection_and_keeps_the_rest(self):
        def collect(out):
            out.set(level, 1)
            out.set(level, 2, "a", "b")

        with opened(source(collect)) as c:
            samples = c.collect()
            self.assertIn("batch_level has 2 labels ['name', 'code'], and was set with 0 values", str(c.error))
            self.assertEqual((2, 0), (samples.value("batch_level"), samples.value("up")))

    def test_what_is_no_number_is_an_error_and_leaves_no_half_of_a_sample(self):
        def collect(out):
            out.set(level, 1, "a", "b")
            out.set(level, "many", "c", "d")

        with opened(source(collect)) as c:
            samples = c.collect()
            self.assertIsInstance(c.error, Panic)
            self.assertEqual(1, samples.value("batch_level"))

    def test_columns_are_put_as_they_are(self):
        def collect(out):
            refs = array("I", (out.define({"__name__": "m", "i": str(i)}) for i in range(100)))
            out.put_many(refs, array("d", range(100)))
            out.put_many(array("I", [refs[0], magpie.NO_REF]), array("d", [1, 2]))
            with self.assertRaises(ValueError):
                out.put_many(refs, array("d"))

        with opened(source(collect)) as c:
            self.assertEqual([*range(100), 1], [s.value for s in c.collect().find("m")])
            self.assertEqual({"limit_series": 1}, c.dropped)

    def test_targets_fail_each_for_itself_and_go_stale_when_they_are_gone(self):
        targets = ["a:1", "b:1", "c:1"]

        def one(out, address):
            with out.target(address) as t:
                t.set(level, 1, address, "")
                if address == "b:1":
                    raise ConnectionRefusedError("nobody there")
                if address == "c:1":
                    {}["bug"]

        def collect(out):
            threads = [threading.Thread(target=one, args=(out, a)) for a in targets]
            for t in threads:
                t.start()
            for t in threads:
                t.join()

        with opened(source(collect)) as c:
            samples = c.collect()
            self.assertEqual([1, 0, 0], [samples.value("up", instance=a) for a in targets])
            self.assertEqual([1, 1, 1], [samples.value("batch_level", instance=a) for a in targets])
            self.assertEqual([], samples.find("up", instance="testhost"))
            self.assertEqual({"plugin": 2}, c.component.scope.errors)
            del targets[1:]
            samples = c.collect()
            self.assertEqual(1, samples.value("up", instance="a:1"))
            gone = samples.find("up", instance="b:1") + samples.find("up", instance="c:1")
            self.assertEqual(2, len(gone))
            self.assertTrue(all(s.value != s.value for s in gone))

    def test_a_dictionary_is_bounded_by_what_is_seen(self):
        n = 0

        def collect(out):
            nonlocal n
            for _ in range(100):
                n += 1
                out.set(level, n, str(n), "")

        with opened(source(collect)) as c:
            for _ in range(100):
                c.collect()
            self.assertLess(c.component.scope.live, 4000)

    def test_the_time_that_is_left_is_never_nothing(self):
        left = []
        with opened(source(lambda out: left.append(out.remaining())), source=magpie.SourceSettings(timeout=-5)) as c:
            c.collect()
        self.assertEqual([0.001], left)

    def test_state_and_checkpoints_are_kept(self):
        def collect(out):
            out.put(out.define({"__name__": "m"}), 1)
            out.checkpoint(b"x" * (2 << 20))

        with opened(source(collect), checkpoint=b"before") as c:
            self.assertEqual(b"before", c.host.checkpoint)
            self.assertIsNone(c.host.get("k"))
            c.host.put("k", b"v")
            self.assertEqual(b"v", c.host.get("k"))
            c.collect()
            self.assertIn("a checkpoint of 2097152 bytes", str(c.error))


class TestRecords(unittest.TestCase):
    def test_lines_come_to_a_sink_as_they_were_but_for_what_is_too_long_or_no_utf8(self):
        def collect(out):
            ref = out.define({"__name__": "log", "filename": "x"})
            out.log(ref, magpie.Record("line", "warn", {"pid": "7"}, time_ns=1_700_000_000_123_456_789))
            out.log(ref, magpie.Record("a\udcffb" + "ü" * 200_000))
            out.log(ref, magpie.Record("x", "loud"))

        with opened(source(collect)) as c:
            lines = [s.record for s in c.collect(at=5.0).find("log")]
            self.assertEqual(magpie.Record("line", 13, {"pid": "7"}, "", 1_700_000_000_123_456_789), lines[0])
            self.assertEqual(("a\ufffdb", 5 * 10**9), (lines[1].text[:3], lines[1].time_ns))
            self.assertTrue((256 << 10) - 2 < len(lines[1].text.encode()) <= 256 << 10)
            self.assertEqual({"invalid_record": 1}, c.dropped)


class TestReceived(unittest.TestCase):
    def test_a_sink_drops_by_number(self):
        batch = received(({"__name__": "a"}, 1), ({"__name__": "b"}, 2), at=5.0)
        self.assertEqual([("a", 1, 5.0), ("b", 2, 5.0)], [(s.name, s.value, s.time) for _, s in batch.samples()])
        batch.drop(1, "no")
        self.assertEqual(({"no": 1}, {}), (batch.take_dropped(), batch.take_dropped()))


class TestPacker(unittest.TestCase):
    def test_it_lingers_flushes_and_closes(self):
        p = Packer(1, 0.01, 1 << 20)
        self.assertTrue(p.fill(lambda p: p.add(bytes(40))))
        self.assertEqual(72, len(p.next(lambda: False)))  # after its linger
        p.fill(lambda p: p.add(bytes(40)))
        flushed = threading.Event()
        t = threading.Thread(target=lambda: (p.flush(), flushed.set()))
        t.start()
        self.assertEqual(72, len(p.next(lambda: False)))
        self.assertFalse(flushed.is_set())
        p.ack(7)  # was never sent
        p.ack(2)
        t.join(10)
        self.assertTrue(flushed.is_set())
        p.close()
        self.assertIsNone(p.next(lambda: False))
        for call in (p.flush, lambda: p.fill(lambda p: None)):
            with self.assertRaises(Closed):
                call()

    def test_without_credit_it_waits_or_says_so(self):
        p = Packer(1, 10, 100)
        p.fill(lambda p: p.add(bytes(80)))
        self.assertFalse(p.fill(lambda p: p.add(bytes(80)), wait=False))
        stopped = iter([False, True])
        self.assertFalse(p.fill(lambda p: p.add(bytes(80)), stop=lambda: next(stopped)))
        p.ack(p.cut())
        self.assertTrue(p.fill(lambda p: p.add(bytes(80)), wait=False))


class TestErrors(unittest.TestCase):
    def test_problems_are_made_of_each_other(self):
        p = magpie.at("a[0].b", magpie.fix(magpie.permanent(OSError("no")), "Do."))
        self.assertEqual(("no", "config", True, ("a", 0, "b"), "Do."), (str(p), p.blame, p.permanent, p.path, p.fix))
        p = magpie.retry_after("busy", 3)
        self.assertEqual((3, "target"), (p.retry_after, p.blame))
        self.assertEqual("target", as_problem(TimeoutError("late")).blame)
        self.assertEqual("KeyError: 'x'", str(as_problem(KeyError("x"))))

    def test_paths_are_read_as_they_are_written(self):
        for path in ("a", "a.b[3].c", 'headers["A \\"b\\\\"].x', ""):
            self.assertEqual(path, path_text(parse_path(path)))
        with self.assertRaises(ValueError):
            parse_path("a[b]")

    def test_bugs_are_told_from_what_the_world_answers(self):
        class FromALibrary(LookupError):
            pass

        def raising(e):
            def f():
                raise e

            return f

        for e, bug in ((KeyError("x"), True), (SystemExit(1), True), (RecursionError(), True), (ValueError("x"), False), (OSError("x"), False), (FromALibrary("x"), False), (magpie.target("x"), False)):
            with self.assertRaises(magpie.Problem) as caught:
                recover("here", raising(e))
            self.assertEqual(bug, isinstance(caught.exception, Panic), e)


class TestClock(unittest.TestCase):
    def test_the_next_tick_is_at_the_phase_of_the_address(self):
        for interval in (0.25, 15, 37, 3600):
            one, two = next_tick("source.a.b", interval, 1_700_000_000.5), next_tick("source.a.c", interval, 1_700_000_000.5)
            self.assertNotEqual(one, two)
            self.assertTrue(0 < one - 1_700_000_000.5 <= interval + 1e-6)
            self.assertAlmostEqual(one + interval, next_tick("source.a.b", interval, one), places=3)
