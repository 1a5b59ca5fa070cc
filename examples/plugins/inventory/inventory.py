"""A processor that adds what an inventory knows of a machine to its series: owner, room, contract.

The inventory is a CSV file, as every CMDB exports one. A column is matched with a label, without its port if it has one; the
other columns become labels. The file is read when the component opens: a processor of series answers the same for the same
series, and a new file comes with a change of the block, such as its revision.
"""

import csv
import io
from dataclasses import dataclass

import magpie


@dataclass
class Config:
    file: str | None = magpie.attr("CSV file with a line of names at its top.")
    table: str | None = magpie.attr("The same as a text, in the place of a file.")
    column: str = magpie.attr("Column that names the machine.", default="host")
    label: str = magpie.attr("Label that names the machine; what follows a colon in it is left out.", default="instance")
    add: list[str] = magpie.attr("Columns that become labels; none: all others.", default=[])
    drop_unknown: bool = magpie.attr("Drop series of machines that are not in the file.", default=False)
    revision: str = magpie.attr("Anything: a change of it reads the file again.", default="")

    def validate(self, remarks):
        if (self.file is None) == (self.table is None):
            remarks.error("" if self.file is None else "table", "the inventory is in a file or in a table: write one of them")


@magpie.processor(Config)
class Inventory:
    """Adds what an inventory knows of a machine to its series."""

    def __init__(self, config, host):
        self.config = config
        self.machines = self.read()
        host.log.info("read the inventory", extra={"machines": len(self.machines)})

    def read(self):
        c, machines = self.config, {}
        try:
            with io.StringIO(c.table) if c.file is None else open(c.file, newline="", encoding="utf-8") as f:
                rows = csv.DictReader(f)
                names = rows.fieldnames or []
                for attribute, wanted in (("column", [c.column]), ("add", c.add)):
                    for name in wanted:
                        if name not in names:
                            raise magpie.at(attribute, magpie.fix(f"{c.file or 'the table'} has no column {name}", f"Its columns are {', '.join(names)}."))
                add = c.add or [n for n in names if n != c.column]
                for row in rows:
                    machines[row[c.column]] = {n: row[n] for n in add if row[n]}
        except (OSError, ValueError, csv.Error) as e:
            raise magpie.at("table" if c.file is None else "file", e) from e
        return machines

    def map_series(self, labels):
        machine = labels.get(self.config.label, "")
        known = self.machines.get(machine) or self.machines.get(machine.rpartition(":")[0])
        if known is None:
            return None if self.config.drop_unknown else labels
        return {**known, **labels}  # what the series says itself stays


if __name__ == "__main__":
    magpie.main("inventory", "0.1.0", Inventory)
