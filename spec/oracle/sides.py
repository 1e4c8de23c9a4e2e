"""The sides of a pair: what a NAT does, in the words of RFC 4787 (reachability.md, "The pairs")."""

import csv
import itertools
import pathlib

SPEC = pathlib.Path(__file__).resolve().parent.parent

EI, AD, APD = "ei", "ad", "apd"
MAPPINGS = FILTERINGS = (EI, AD, APD)
PERMISSIONS = ("mapping", "endpoint")
ALLOCATIONS = ("preserving", "sequential", "random")
REACTIONS = ("drop", "reset-kept", "reset-forgotten")
SERVER = "S"
OTHER = {"A": "B", "B": "A"}


class Side:
    """One NAT with its peer; a public peer is one that maps nothing and filters nothing."""

    def __init__(self, mapping, filtering, permission, allocation, reaction=None):
        self.mapping, self.filtering = mapping, filtering
        self.permission, self.allocation, self.reaction = permission, allocation, reaction

    def name(self):
        if self.allocation is None:
            return "public"
        return "-".join(filter(None, (self.mapping, self.filtering, self.permission, self.allocation, self.reaction)))


PUBLIC = Side(EI, EI, "mapping", None)


def sides(reactions):
    yield PUBLIC
    for fields in itertools.product(MAPPINGS, FILTERINGS, PERMISSIONS, ALLOCATIONS, reactions):
        yield Side(*fields)


def limit(name):
    """A limit of the protocol: a number, or several."""
    with open(SPEC / "registries" / "limits.csv", newline="") as rows:
        values = {row["name"]: row["value"] for row in csv.DictReader(rows)}[name].split()
    return int(values[0]) if len(values) == 1 else [int(value) for value in values]
