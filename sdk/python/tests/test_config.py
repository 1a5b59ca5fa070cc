import dataclasses
import json
import pickle
import unittest
from dataclasses import dataclass

import magpie
from magpie.config import fill, schema_of
from magpie.testing import remarks


@dataclass
class Inner:
    name: str = magpie.label("Its label.")
    from_: int = magpie.attr("A Python keyword without its underscore.")
    deep: "Deep | None" = magpie.block("One more.")


@dataclass
class Deep:
    size: magpie.Bytes = magpie.attr("A size.", default="1KiB")


@dataclass
class Config:
    plain: str = magpie.attr("A text.")
    flag: bool = magpie.attr("A switch.", default=True)
    ratio: float = magpie.attr("A ratio.", default=0.5)
    wait: magpie.Duration = magpie.attr("A time.", default="1m30s", check="min=1s")
    maybe: int | None = magpie.attr("Perhaps a number.")
    words: list[str] = magpie.attr("Words.", default=("a", "b"))
    times: dict[str, magpie.Duration] = magpie.attr("Times by name.", default={})
    token: magpie.Secret | None = magpie.attr("A secret.")
    needed: Deep = magpie.block("It must be there.")
    inner: list[Inner] = magpie.block("Any number.")
    not_ours: int = 7  # without a mark: the author's own

    def validate(self, remarks):
        if self.ratio > 1:
            remarks.error("ratio", "more than all")


class TestConfig(unittest.TestCase):
    def filled(self, **values):
        return fill(schema_of(Config), json.dumps({"plain": "x", **values}).encode())

    def test_defaults_are_set_and_values_have_their_types(self):
        c = self.filled()
        self.assertEqual(("x", True, 0.5, 90.0, None, ["a", "b"], {}, None, 1024, [], 7), (
            c.plain, c.flag, c.ratio, c.wait, c.maybe, c.words, c.times, c.token, c.needed.size, c.inner, c.not_ours))
        c = self.filled(wait=2_500_000_000, maybe=3, times={"x": 10**9}, token="s", inner=[{"name": "n", "from": 1, "deep": {"size": 5}}, {"from": 2}])
        self.assertIsInstance(c.wait, magpie.Duration)
        self.assertEqual((2.5, 3, {"x": 1.0}, "s", "n", 1, 5, "", None), (
            c.wait, c.maybe, c.times, c.token.reveal(), c.inner[0].name, c.inner[0].from_, c.inner[0].deep.size, c.inner[1].name, c.inner[1].deep))

    def test_the_schema_is_told_as_hcl_has_it(self):
        s = schema_of(Config)
        self.assertEqual(
            ["plain string required", "flag bool=true", "ratio number=0.5", "wait string/duration=1m30s", "maybe number/integer",
             "words list(string)=a b", "times map(string)/duration=", "token string"],
            [a.name + " " + a.type + ("/" + a.unit if a.unit else "") + ("" if a.default is None else "=" + a.default) + (" required" if a.required else "") for a in s.attributes],
        )
        self.assertEqual([("needed", False, True), ("inner", True, False)], [(b.name, b.many, b.required) for b in s.blocks])

    def test_what_does_not_fit_is_said_without_the_value(self):
        for values, path in (({"plain": 5}, "plain"), ({"flag": "canary"}, "flag"), ({"words": ["a", "canary", 1]}, "words[2]"), ({"times": {"canary": "x"}}, 'times["canary"]'),
                             ({"inner": [{}]}, "inner[0].from"), ({"needed": "canary"}, "needed"), ({"maybe": 1.5}, "maybe"), ({"ratio": True}, "ratio")):
            with self.assertRaises(magpie.Problem) as caught:
                self.filled(**values)
            self.assertTrue(str(caught.exception).startswith(path + " "), caught.exception)
            self.assertEqual(("config", True), (caught.exception.blame, caught.exception.permanent))
            if "times" not in path:
                self.assertNotIn("canary", str(caught.exception))

    def test_mistakes_of_an_author_name_the_field(self):
        def made(annotation, field, name="field"):
            return dataclasses.make_dataclass("C", [(name, annotation, field)])

        for cls, text in (
            (made(int, magpie.attr("x"), "timeout"), "core attribute"),
            (made(int, magpie.attr("")), "say in a sentence"),
            (made(int, magpie.attr("x", name="Not-this")), "is not a name"),
            (made(set, magpie.attr("x")), "cannot be written in HCL"),
            (made(int, magpie.attr("x", default="many")), "default"),
            (made(magpie.Duration, magpie.attr("x", default="5")), "is not a duration"),
            (made(int, magpie.attr("x", check="most=3")), "unknown check"),
            (made(int, magpie.attr("x", change="later")), "can be live, replace or exclusive"),
            (made(int, magpie.block("x")), "is not a dataclass"),
            (made(dict[int, str], magpie.attr("x")), "cannot be written in HCL"),
        ):
            with self.assertRaises(magpie.Mistake) as caught:
                schema_of(cls)
            self.assertIn(text, str(caught.exception))

    def test_validate_points_at_attributes(self):
        @magpie.sink(Config)
        class Sink:
            def __init__(self, config, host):
                pass

            def write(self, batch):
                pass

        self.assertEqual(["ratio: more than all"], remarks(Sink, {"plain": "x", "ratio": 2, "wait": "3s"}))


class TestUnits(unittest.TestCase):
    def test_durations_and_sizes_are_read_as_the_daemon_reads_them(self):
        for text, want in (("15s", 15), ("1m30s", 90), ("30d", 30 * 86400), ("1.5h", 5400), ("0", 0), ("-5s", -5), ("2w", 14 * 86400), ("1y", 365 * 86400), ("3us", 3e-6), ("1ms", 0.001)):
            self.assertEqual(want, magpie.Duration.parse(text))
        for text, want in (("256MiB", 256 << 20), ("10kB", 10_000), ("1.5 GiB", 3 << 29), ("0B", 0)):
            self.assertEqual(want, magpie.Bytes.parse(text))
        for parse, texts in ((magpie.Duration.parse, ("", "5", "s", "1x", "5s ago", "--5s")), (magpie.Bytes.parse, ("", "5", "-1B", "0.3B", "9e99TB", "1 mib"))):
            for text in texts:
                with self.assertRaises(ValueError, msg=text):
                    parse(text)

    def test_a_secret_shows_itself_to_nobody(self):
        s = magpie.Secret("canary")
        for text in (str(s), repr(s), f"{s}", "%s" % s, f"{s:>20}", str([s]), str({"a": s}), str(dataclasses.make_dataclass("D", ["x"])(s))):
            self.assertNotIn("canary", text)
        for copy in (lambda: pickle.dumps(s), lambda: json.dumps(s)):
            with self.assertRaises(TypeError):
                copy()
        self.assertEqual("canary", s.reveal())
        self.assertFalse(magpie.Secret())
