#!/usr/bin/env python3
"""Which pairs of NATs reach each other by which technique, derived from the definitions of RFC 4787 (reachability.md).

usage: reachability.py             writes reachability.json beside this file
       reachability.py --check     fails when that file is not what would be written
       reachability.py explain A B [udp|tcp [TECHNIQUE]]
                                   shows the derivation for two sides, such as ei-ad-mapping-random
       reachability.py load        shows what a client does that competes for ports

It has no dependencies and shares no code with the simulator, which is tested against what it writes.
"""

import json
import pathlib
import sys

from oracle.chances import birthday_hits, counted_is_as_drawn, loads, stolen_is_as_counted
from oracle.guessed import tcp_close, tcp_close_rule, tcp_predicted, udp_birthday, udp_birthday_rule
from oracle.guessed import udp_low_ttl, udp_predicted, udp_predicted_rule
from oracle.sides import REACTIONS, limit, sides
from oracle.told import both_stable_rule, tcp_low_ttl, tcp_plain, tcp_plain_rule, tcp_sequential
from oracle.told import tcp_sequential_rule, udp_plain, udp_plain_rule

HERE = pathlib.Path(__file__).resolve().parent

# In the order in which they are tried.
TECHNIQUES = {
    "udp": {
        "plain": (udp_plain, udp_plain_rule),
        "low-ttl": (udp_low_ttl, both_stable_rule),
        "predicted": (udp_predicted, udp_predicted_rule),
        "birthday": (udp_birthday, udp_birthday_rule),
    },
    "tcp": {
        "plain": (tcp_plain, tcp_plain_rule),
        "low-ttl": (tcp_low_ttl, both_stable_rule),
        "tcp-sequential-keep": (tcp_sequential, tcp_sequential_rule),
        "tcp-predicted": (tcp_predicted, udp_predicted_rule),
        "tcp-sequential-close": (tcp_close, tcp_close_rule),
    },
}
OPTIONAL = ("birthday",)
# Prediction comes before it, and where that does not reach a pair its samples found random ports, with which
# nothing more is tried.
UNLESS = {"tcp-sequential-close": "tcp-predicted"}
SIDES = {"udp": list(sides((None,))), "tcp": list(sides(REACTIONS))}


def described():
    """What holds of each technique wherever it applies."""
    names = dict.fromkeys(name for techniques in TECHNIQUES.values() for name in techniques)
    hits = {"birthday": birthday_hits(limit("BIRTHDAY_SOCKETS"))}
    return {
        name: {"default": name not in OPTIONAL, "probability": round(float(hits.get(name, 1)), 6)}
        | ({"unless": UNLESS[name]} if name in UNLESS else {})
        for name in names
    }


def reaching(transport, a, b):
    """The techniques that make a pair direct, each derived twice."""
    found = []
    for name, (derive, rule) in TECHNIQUES[transport].items():
        derived = derive(a, b)
        assert derived == rule(a, b), (transport, name, a.name(), b.name(), derived)
        found += [name] * derived
    return tuple(found)


def build():
    counted_is_as_drawn()
    stolen_is_as_counted()
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    outcomes = {(): "-"}
    transports = {}
    for transport, known in SIDES.items():
        rows = {}
        for a in known:
            row = ""
            for b in known:
                found = reaching(transport, a, b)
                if found not in outcomes:
                    outcomes[found] = next(letters)
                row += outcomes[found]
            rows[a.name()] = row
        transports[transport] = rows
    return {
        "about": "Which techniques make a pair of NATs direct: reachability.md. Written by reachability.py.",
        "techniques": described(),
        "outcomes": {letter: list(techniques) for techniques, letter in outcomes.items()},
        "loads": loads(),
        "transports": transports,
    }


def text():
    return json.dumps(build(), indent=1) + "\n"


def explain(names, transport, only=None):
    known = {side.name(): side for side in SIDES[transport]}
    for name in names:
        if name not in known:
            sys.exit(f"{name} is not a side over {transport}; one is {SIDES[transport][-1].name()}")
    if only not in (None, *TECHNIQUES[transport]):
        sys.exit(f"{only} is no technique over {transport}: {', '.join(TECHNIQUES[transport])}")
    a, b = (known[name] for name in names)
    for technique, (derive, _) in TECHNIQUES[transport].items():
        if only not in (None, technique):
            continue
        print(f"{technique}: {'direct' if derive(a, b, print) else 'not direct'}")


def show_loads():
    for technique, rows in loads().items():
        print(technique)
        for row in rows:
            print("    " + ", ".join(f"{name} {value}" for name, value in row.items()))


def main(arguments):
    target = HERE / "reachability.json"
    match arguments:
        case []:
            target.write_text(text())
        case ["--check"]:
            if not target.exists() or target.read_text() != text():
                sys.exit("reachability.json is not what reachability.py derives: run it without --check")
        case ["load"]:
            show_loads()
        case ["explain", a, b]:
            explain((a, b), "udp")
        case ["explain", a, b, ("udp" | "tcp") as transport, *technique] if len(technique) < 2:
            explain((a, b), transport, *technique)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
