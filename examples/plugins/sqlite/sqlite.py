"""A source that asks a SQLite database: each query is a metric, its columns are labels but for the one called value.

Applications on one machine keep what matters in such files: orders, jobs, mails to be sent. Each collection opens the file
read-only, so that a database which is moved or replaced is found, and a writer never waits for it; a query that is not done
when the component's timeout is over is interrupted.
"""

import contextlib
import pathlib
import sqlite3
import time
from dataclasses import dataclass

import magpie


@dataclass
class Query:
    """A query block."""

    metric: str = magpie.label("Name of the metric.")
    sql: str = magpie.attr("SELECT with a column called value; the others become labels.")
    help: str = magpie.attr("What the metric says.", default="")
    type: str = magpie.attr("Whether it only grows.", default="gauge", check="oneof=gauge counter")
    max_rows: int = magpie.attr("More rows than that are an error.", default=1000, check="min=1,max=100000")


@dataclass
class Config:
    path: str = magpie.attr("The database's file.")
    query: list[Query] = magpie.block("A query, and the metric that it makes.")

    def validate(self, remarks):
        for i, q in enumerate(self.query):
            if not q.metric.isascii() or not q.metric.isidentifier():
                remarks.error(f"query[{i}].metric", f"{q.metric!r} is no name of a metric: use letters, digits and underscores")
            if not sqlite3.complete_statement(q.sql + ";"):
                remarks.error(f"query[{i}].sql", "the statement has no end: a quote or a comment is open")
        if not self.query:
            remarks.warn("", "without a query it tells up and nothing else")


@magpie.source(Config, job="sqlite")
class Sqlite:
    """Asks a SQLite database: each query is a metric."""

    def __init__(self, config, host):
        self.config, self.host = config, host
        self.families = [magpie.Family(q.metric, q.type, "", q.help) for q in config.query]

    def connect(self, deadline):
        try:
            db = sqlite3.connect(pathlib.Path(self.config.path).absolute().as_uri() + "?mode=ro", uri=True, timeout=max(0.0, deadline - time.monotonic()))
        except sqlite3.OperationalError as e:
            raise magpie.target(magpie.fix(f"{self.config.path}: {e}", "Give the path of a file that Magpie may read.")) from e
        db.set_progress_handler(lambda: time.monotonic() > deadline or self.host.stopping, 10_000)
        return contextlib.closing(db)

    def probe(self):
        with self.connect(time.monotonic() + 5) as db:
            for i, q in enumerate(self.config.query):
                self.ask(db, i, f"EXPLAIN {q.sql}")

    def ask(self, db, i, sql):
        """Runs a query; what is wrong with it is said at its place in the configuration."""
        try:
            return db.execute(sql)
        except sqlite3.OperationalError as e:
            if getattr(e, "sqlite_errorname", "") in ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_INTERRUPT", "SQLITE_IOERR", "SQLITE_CANTOPEN"):
                raise magpie.target(e) from e
            raise magpie.at(f"query[{i}].sql", e) from e
        except (sqlite3.Error, sqlite3.Warning) as e:
            raise magpie.target(e) from e

    def collect(self, out):
        with self.connect(out.deadline) as db:
            failed = None
            for i, q in enumerate(self.config.query):
                try:
                    self.rows(out, db, i, q)
                except magpie.Problem as e:
                    failed = failed or e  # the other queries may be well
            if failed:
                raise failed

    def rows(self, out, db, i, q):
        cursor = self.ask(db, i, q.sql)
        names = [c[0] for c in cursor.description or ()]
        if "value" not in names:
            raise magpie.at(f"query[{i}].sql", f"it has the columns {', '.join(names) or '(none)'}, and one has to be called value")
        at = names.index("value")
        try:
            rows = cursor.fetchmany(q.max_rows + 1)
        except sqlite3.Error as e:
            raise magpie.target(e) from e
        if len(rows) > q.max_rows:
            raise magpie.at(f"query[{i}].max_rows", f"the query has more than {q.max_rows} rows")
        for row in rows:
            if not isinstance(row[at], (int, float)):
                out.reject("not_a_number")
                continue
            labels = {name: "" if v is None else str(v) for name, v in zip(names, row) if name != "value"}
            out.put(out.series({**labels, "__name__": q.metric}, self.families[i]), row[at])


if __name__ == "__main__":
    magpie.main("sqlite", "0.1.0", Sqlite)
