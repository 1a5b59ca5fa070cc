"""The smallest plugin: how many entries a directory has."""

import os
from dataclasses import dataclass

import magpie

entries = magpie.gauge("hello_directory_entries", "Files and directories in a directory.")


@dataclass
class Config:
    path: str = magpie.attr("Directory to count.", default="/tmp")


@magpie.source(Config)
class Hello:
    """Counts the entries of a directory."""

    def __init__(self, config, host):
        self.path = config.path

    def collect(self, out):
        out.set(entries, len(os.listdir(self.path)))


if __name__ == "__main__":
    magpie.main("hello_python", "0.1.0", Hello)
