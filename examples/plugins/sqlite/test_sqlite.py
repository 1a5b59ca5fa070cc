import contextlib
import os
import sqlite3
import tempfile
import unittest

import magpie
import sqlite as plugin
from magpie.testing import opened, remarks


class TestSqlite(unittest.TestCase):
    def setUp(self):
        d = tempfile.TemporaryDirectory()
        self.addCleanup(d.cleanup)
        self.path = os.path.join(d.name, "shop #1?.db")
        self.run_sql("CREATE TABLE orders (id INTEGER PRIMARY KEY, state TEXT, amount REAL)", "INSERT INTO orders (state, amount) VALUES ('open', 3), ('open', 4.5), ('sent', 1), (NULL, 9)")

    def run_sql(self, *statements):
        with contextlib.closing(sqlite3.connect(self.path)) as db, db:
            for s in statements:
                db.execute(s)

    def config(self, sql, **more):
        return {"path": self.path, "query": [{"metric": "orders", "sql": sql, **more}]}

    def test_rows_are_samples_and_columns_are_labels(self):
        with opened(plugin.Sqlite, self.config("SELECT state, count(*) AS value, sum(amount) AS total FROM orders GROUP BY state", help="Orders.")) as c:
            samples = c.collect()
            self.assertIsNone(c.error)
            self.assertEqual(2, samples.value("orders", state="open", total="7.5"))
            self.assertEqual("Orders.", samples.find("orders")[0].family.help)
            self.assertNotIn("state", samples.find("orders", total="9.0")[0].labels)
            self.assertEqual(1, samples.value("up"))
            self.run_sql("DELETE FROM orders WHERE state = 'sent'")
            gone = c.collect().find("orders", state="sent")
            self.assertTrue(gone[0].value != gone[0].value, "it goes stale")

    def test_mistakes_are_said_where_they_are(self):
        for sql, blame, path, text in (
            ("SELECT missing AS value FROM orders", "config", ("query", 0, "sql"), "no such column: missing"),
            ("SELECT count(*) FROM orders", "config", ("query", 0, "sql"), "one has to be called value"),
            ("DELETE FROM orders RETURNING 1 AS value", "config", ("query", 0, "sql"), "attempt to write a readonly database"),
            ("SELECT value FROM json_each('[1,2,3]')", "config", ("query", 0, "max_rows"), "more than 2 rows"),
        ):
            with opened(plugin.Sqlite, self.config(sql, max_rows=2)) as c:
                samples = c.collect()
                self.assertEqual((blame, path), (c.error.blame, c.error.path), sql)
                self.assertIn(text, str(c.error))
                self.assertEqual(0, samples.value("up"))

    def test_one_query_that_fails_does_not_hide_the_others(self):
        config = {"path": self.path, "query": [{"metric": "bad", "sql": "SELECT"}, {"metric": "good", "sql": "SELECT count(*) AS value FROM orders"}]}
        with opened(plugin.Sqlite, config) as c:
            samples = c.collect()
            self.assertEqual(("query", 0, "sql"), c.error.path)
            self.assertEqual((4, 0), (samples.value("good"), samples.value("up")))

    def test_what_is_no_number_is_counted(self):
        with opened(plugin.Sqlite, self.config("SELECT id, state AS value FROM orders")) as c:
            self.assertEqual([], c.collect().find("orders"))
            self.assertEqual({"not_a_number": 4}, c.dropped)

    def test_a_query_is_interrupted_at_the_timeout(self):
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS value FROM n"
        with opened(plugin.Sqlite, self.config(endless), source=magpie.SourceSettings(timeout=0.1)) as c:
            c.collect()
            self.assertEqual(("target", "OperationalError: interrupted"), (c.error.blame, str(c.error)))

    def test_a_database_that_is_not_there_is_the_targets_fault(self):
        with opened(plugin.Sqlite, {"path": self.path + "x", "query": []}) as c:
            c.collect()
            self.assertEqual("target", c.error.blame)
            self.assertIn("unable to open database file", str(c.error))
            self.assertFalse(os.path.exists(self.path + "x"))

    def test_the_configuration_is_checked_offline(self):
        self.assertEqual(
            ["query[0].metric: 'a-b' is no name of a metric: use letters, digits and underscores", "query[0].sql: the statement has no end: a quote or a comment is open"],
            remarks(plugin.Sqlite, {"path": "x", "query": [{"metric": "a-b", "sql": "SELECT 'x"}]}),
        )


if __name__ == "__main__":
    unittest.main()
