import struct
import unittest

import magpie
import smooth
from magpie.testing import opened, received

UP = {"__name__": "up"}
LATENCY = {"__name__": "latency_seconds", "job": "shop"}


class TestSmooth(unittest.TestCase):
    def test_others_go_on_as_they_are(self):
        with opened(smooth.Smooth, {"match": "latency_.*"}) as c:
            samples = c.derive().process(received((UP, 1), (LATENCY, 3), at=100.0))
            self.assertEqual(1, samples.value("up"))
            self.assertEqual(3, samples.value("latency_seconds:smooth", job="shop"))
            self.assertEqual([], samples.find("latency_seconds"))
            self.assertEqual({100.0}, {s.time for s in samples})

    def test_a_sample_counts_half_after_its_half_life(self):
        with opened(smooth.Smooth, {"match": "latency_.*", "half_life": "10s"}) as c:
            work = c.derive()
            work.process(received((LATENCY, 4), at=100.0))
            self.assertAlmostEqual(2, work.process(received((LATENCY, 0), at=110.0)).value("latency_seconds:smooth"))

    def test_what_is_unusual_stands_out_and_what_is_not_does_not(self):
        with opened(smooth.Smooth, {"match": "latency_.*", "half_life": "1m"}) as c:
            work = c.derive()
            for i in range(30):
                usual = work.process(received((LATENCY, 1 + i % 3 / 10), at=100.0 + i)).value("latency_seconds:unusual")
            self.assertLess(abs(usual), 3)
            self.assertGreater(work.process(received((LATENCY, 9), at=200.0)).value("latency_seconds:unusual"), 20)

    def test_it_goes_on_from_its_memory(self):
        with opened(smooth.Smooth, {"match": "latency_.*"}) as c:
            one, batch = c.derive(), received((LATENCY, 1), at=100.0)
            one.process(batch)
            two = c.derive(one.snapshot())
            later = received((LATENCY, 5), at=130.0)
            self.assertEqual(one.process(later), two.process(later))
            self.assertEqual([], two.process(later), "what comes twice counts once")

    def test_its_memory_has_a_bound_and_old_series_make_room(self):
        with opened(smooth.Smooth, {"match": ".*", "most": 1, "half_life": "1s"}) as c:
            work = c.derive()
            work.process(received((LATENCY, 1), at=100.0))
            self.assertEqual(1, work.process(received((UP, 1), at=101.0)).value("up"))
            self.assertEqual(1, work.process(received((UP, 1), at=1000.0)).value("up:smooth"))

    def test_a_series_that_ends_ends_what_was_made_of_it(self):
        with opened(smooth.Smooth, {"match": "latency_.*"}) as c:
            samples = c.derive().process(received((UP, magpie.STALE_NAN), (LATENCY, magpie.STALE_NAN)))
            self.assertEqual(["latency_seconds:smooth", "latency_seconds:unusual", "up"], sorted(s.name for s in samples))
            self.assertEqual({struct.pack("d", magpie.STALE_NAN)}, {struct.pack("d", s.value) for s in samples})

    def test_what_is_no_expression_is_refused(self):
        with self.assertRaises(magpie.Problem), opened(smooth.Smooth, {"match": "("}):
            pass


if __name__ == "__main__":
    unittest.main()
