import os
import tempfile
import unittest

import inventory
import magpie
from magpie.testing import opened, remarks


class TestInventory(unittest.TestCase):
    def file(self, text):
        f = tempfile.NamedTemporaryFile("w", delete=False, suffix=".csv", encoding="utf-8")
        self.addCleanup(os.unlink, f.name)
        with f:
            f.write(text)
        return f.name

    def test_series_get_what_is_known_of_their_machine(self):
        path = self.file("host,owner,room\ndb1,Zoë,A 2\ndb2,,B\n")
        with opened(inventory.Inventory, {"file": path}) as c:
            ask = c.impl.map_series
            self.assertEqual({"instance": "db1:9100", "owner": "Zoë", "room": "A 2"}, ask({"instance": "db1:9100"}))
            self.assertEqual({"instance": "db2", "room": "mine"}, ask({"instance": "db2", "room": "mine"}))
            self.assertEqual({"instance": "db3"}, ask({"instance": "db3"}))
            self.assertEqual({}, ask({}))

    def test_only_what_is_asked_for_and_only_what_is_known(self):
        path = self.file("name,owner,room\ndb1,Zoë,A 2\n")
        with opened(inventory.Inventory, {"file": path, "column": "name", "label": "node", "add": ["room"], "drop_unknown": True}) as c:
            self.assertEqual({"node": "db1", "room": "A 2"}, c.impl.map_series({"node": "db1"}))
            self.assertIsNone(c.impl.map_series({"node": "db9"}))

    def test_a_small_inventory_stands_in_the_configuration(self):
        with opened(inventory.Inventory, {"table": "host,owner\ndb1,Zoë\n"}) as c:
            self.assertEqual("Zoë", c.impl.map_series({"instance": "db1:1"})["owner"])
        self.assertEqual([": the inventory is in a file or in a table: write one of them"], remarks(inventory.Inventory))
        self.assertEqual(1, len(remarks(inventory.Inventory, {"file": "x", "table": "y"})))

    def test_mistakes_are_said_where_they_are(self):
        for config, path in (({"file": "/nonexistent"}, ("file",)), ({"file": self.file("a,b\n"), "column": "host"}, ("column",)), ({"file": self.file("host\n"), "add": ["owner"]}, ("add",))):
            with self.assertRaises(magpie.Problem) as caught, opened(inventory.Inventory, config):
                pass
            self.assertEqual(("config", path), (caught.exception.blame, caught.exception.path))


if __name__ == "__main__":
    unittest.main()
