#!/usr/bin/env python3
"""Which pairs of NATs reach each other by plain punching, derived from the definitions of RFC 4787 (reachability.md).

usage: reachability.py             writes reachability.json beside this file
       reachability.py --check     fails when that file is not what would be written
       reachability.py explain A B [udp|tcp]
                                   shows the derivation for two sides, such as ei-ad-mapping-random

It has no dependencies and shares no code with the simulator, which is tested against what it writes.
"""

import itertools
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent

EI, AD, APD = "ei", "ad", "apd"
MAPPINGS = FILTERINGS = (EI, AD, APD)
PERMISSIONS = ("mapping", "endpoint")
ALLOCATIONS = ("preserving", "sequential", "random")
REACTIONS = ("drop", "reset-kept", "reset-forgotten")
SERVER = "S"


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


# --- from first principles ---
#
# An endpoint is ("S",), or (owner, key): the external endpoint that the side `owner` has towards every remote
# endpoint with that key. The key is what its mapping looks at: nothing, the address, or the whole endpoint.
# Endpoints of a side with address-and-port-dependent mapping thus contain the endpoint that they are for.


def external(owner, side, remote):
    """The endpoint that the packets of `owner` to `remote` come from."""
    return (owner, {EI: None, AD: remote[0], APD: remote}[side.mapping])


def depth(endpoint):
    return 1 + depth(endpoint[1]) if len(endpoint) == 2 and isinstance(endpoint[1], tuple) else 0


class Table:
    """The rows of a NAT: for each external endpoint the remote endpoints that were sent to from there."""

    def __init__(self, owner, side):
        self.owner, self.side, self.rows = owner, side, {}

    def send(self, remote):
        source = external(self.owner, self.side, remote)
        self.rows.setdefault(source, set()).add(remote)
        return source

    def admits(self, source, destination):
        if destination not in self.rows:
            return False
        if self.side.permission == "mapping":
            sessions = self.rows[destination]
        else:
            sessions = set().union(*self.rows.values())
        if self.side.filtering == EI:
            return True
        if self.side.filtering == AD:
            return any(session[0] == source[0] for session in sessions)
        return source in sessions


def introduced(a, b):
    """Both tables after the registrations, and the endpoints that the server tells."""
    tables = {"A": Table("A", a), "B": Table("B", b)}
    public = {owner: table.send((SERVER,)) for owner, table in tables.items()}
    return tables, {"A": {public["B"]}, "B": {public["A"]}}


OTHER = {"A": "B", "B": "A"}
DEPTH = 4


def udp_plain(a, b, say=lambda line: None):
    """Each side sends to every endpoint that it was told or that an authentic packet came from, again and
    again. Permissions only grow, so the order does not matter: the arrivals are a least fixed point."""
    tables, known = introduced(a, b)
    arrived = set()
    while True:
        before = len(arrived), sum(map(len, known.values()))
        for owner in "AB":
            for remote in sorted(known[owner], key=repr):
                tables[owner].send(remote)
        for owner in "AB":
            for remote in sorted(known[owner], key=repr):
                source = external(owner, tables[owner].side, remote)
                packet = (owner, source, remote)
                if packet in arrived or not tables[OTHER[owner]].admits(source, remote):
                    continue
                say(f"{owner} -> {OTHER[owner]}: {show(source)} -> {show(remote)} arrives")
                arrived.add(packet)
                # Two endpoint-and-port-dependent mappings name a further endpoint for each one that is
                # learned, for ever. None is symmetric: it would have to contain itself.
                if depth(source) < DEPTH:
                    known[OTHER[owner]].add(source)
        if before == (len(arrived), sum(map(len, known.values()))):
            break
    return any((OTHER[owner], remote, source) in arrived for owner, source, remote in arrived)


def tcp_plain(a, b, say=lambda line: None):
    """Each side dials the endpoint that it was told. A system answers a SYN to where it came from, and a
    dial takes an answer only from where it went to; nobody learns an endpoint from a SYN that failed."""
    tables, known = introduced(a, b)
    for owner in "AB":
        for remote in known[owner]:
            tables[owner].send(remote)
    direct = False
    for owner in "AB":
        for remote in known[owner]:
            other = tables[OTHER[owner]]
            source = external(owner, tables[owner].side, remote)
            if not other.admits(source, remote):
                continue
            answer = external(OTHER[owner], other.side, source)
            say(f"{owner} -> {OTHER[owner]}: SYN {show(source)} -> {show(remote)} arrives, answered from {show(answer)}")
            # The answer passes: the dial went to its source by the row that it comes back to.
            direct |= answer == remote
    return direct


def show(endpoint):
    if endpoint == (SERVER,):
        return SERVER
    owner, key = endpoint
    towards = "*" if key is None else key if isinstance(key, str) else show(key)
    return f"{owner}[{towards}]"


# --- the same in closed form ---


def lets_strangers_address(side):
    """Whether the endpoint that the server knows takes packets from an address that was sent to by another row."""
    return side.filtering == EI or (side.filtering == AD and side.permission == "endpoint")


def udp_plain_rule(a, b):
    if a.mapping == b.mapping == EI:
        return True
    if EI in (a.mapping, b.mapping):
        stable = a if a.mapping == EI else b
        return stable.filtering != APD
    if a.mapping == b.mapping == APD:
        return False
    if a.mapping == b.mapping:
        both = APD not in (a.filtering, b.filtering)
        return both and (lets_strangers_address(a) or lets_strangers_address(b))
    ad, apd = (a, b) if a.mapping == AD else (b, a)
    told = lets_strangers_address(apd) or (apd.filtering == AD and lets_strangers_address(ad))
    return ad.filtering != APD and told


def tcp_plain_rule(a, b):
    if EI not in (a.mapping, b.mapping):
        return False
    stable, other = (a, b) if a.mapping == EI else (b, a)
    return other.mapping == EI or stable.filtering != APD


# --- techniques ---

TECHNIQUES = {
    "udp": {"plain": (udp_plain, udp_plain_rule)},
    "tcp": {"plain": (tcp_plain, tcp_plain_rule)},
}
SIDES = {"udp": list(sides((None,))), "tcp": list(sides(REACTIONS))}


def reaching(transport, a, b):
    """The techniques that make a pair direct, each derived twice."""
    found = []
    for name, (derive, rule) in TECHNIQUES[transport].items():
        derived = derive(a, b)
        assert derived == rule(a, b), (transport, name, a.name(), b.name(), derived)
        found += [name] * derived
    return tuple(found)


def build():
    letters = iter("pqrstuvwxyz")
    outcomes = {(): "-"}
    transports = {}
    for transport, known in SIDES.items():
        rows = {}
        derived = {}
        for a in known:
            row = ""
            for b in known:
                # What the derivation does not look at does not change it.
                key = tuple((s.mapping, s.filtering, s.permission) for s in (a, b))
                if key not in derived:
                    derived[key] = reaching(transport, a, b)
                if derived[key] not in outcomes:
                    outcomes[derived[key]] = next(letters)
                row += outcomes[derived[key]]
            rows[a.name()] = row
        transports[transport] = rows
    return {
        "about": "Which techniques make a pair of NATs direct: reachability.md. Written by reachability.py.",
        "outcomes": {letter: list(techniques) for techniques, letter in outcomes.items()},
        "transports": transports,
    }


def text():
    return json.dumps(build(), indent=1) + "\n"


def explain(names, transport):
    known = {side.name(): side for side in SIDES[transport]}
    for name in names:
        if name not in known:
            sys.exit(f"{name} is not a side over {transport}; one is {SIDES[transport][-1].name()}")
    a, b = (known[name] for name in names)
    for technique, (derive, _) in TECHNIQUES[transport].items():
        print(f"{technique}: {'direct' if derive(a, b, print) else 'not direct'}")


def main(arguments):
    target = HERE / "reachability.json"
    match arguments:
        case []:
            target.write_text(text())
        case ["--check"]:
            if not target.exists() or target.read_text() != text():
                sys.exit("reachability.json is not what reachability.py derives: run it without --check")
        case ["explain", a, b]:
            explain((a, b), "udp")
        case ["explain", a, b, ("udp" | "tcp") as transport]:
            explain((a, b), transport)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
