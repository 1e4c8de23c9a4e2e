#!/usr/bin/env python3
"""Which pairs of NATs reach each other by which technique, derived from the definitions of RFC 4787 (reachability.md).

usage: reachability.py             writes reachability.json beside this file
       reachability.py --check     fails when that file is not what would be written
       reachability.py explain A B [udp|tcp]
                                   shows the derivation for two sides, such as ei-ad-mapping-random
       reachability.py load        shows what a client does that competes for ports

It has no dependencies and shares no code with the simulator, which is tested against what it writes.
"""

import csv
import fractions
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


# --- guesses, from first principles ---
#
# Here endpoints have ports, since a guess is about a port. A random port is a name that nobody else knows.


def limit(name):
    """A limit of the protocol: a number, or several."""
    with open(HERE / "registries" / "limits.csv", newline="") as rows:
        values = {row["name"]: row["value"] for row in csv.DictReader(rows)}[name].split()
    return int(values[0]) if len(values) == 1 else [int(value) for value in values]


class Nat:
    """A NAT with its ports. A socket is the number of its local port; the one that faces the server is MAIN."""

    def __init__(self, owner, side, first):
        self.owner, self.side, self.next = owner, side, first
        self.ports, self.rows, self.drawn = {}, {}, 0

    def key(self, remote):
        return {EI: None, AD: remote[0], APD: remote}[self.side.mapping]

    def send(self, socket, remote):
        key = socket, self.key(remote)
        if key not in self.ports:
            self.ports[key] = self.allocate(socket)
        self.rows.setdefault(self.ports[key], []).append((socket, remote))
        return self.owner, self.ports[key]

    def allocate(self, socket):
        if self.side.allocation in (None, "preserving") and socket not in self.rows:
            return socket
        if self.side.allocation == "sequential":
            self.next += 1
            return self.next - 1
        self.drawn += 1
        return f"random {self.drawn}"

    def reset(self, socket, remote):
        """A RST passes, either way. The port is free when it ends the last session there."""
        if self.side.reaction != "reset-forgotten":
            return
        key = socket, self.key(remote)
        port = self.ports[key]
        self.rows[port].remove((socket, remote))
        if not self.rows[port]:
            del self.rows[port], self.ports[key]

    def admits(self, source, destination):
        rows = self.rows.get(destination[1], [])
        if not rows:
            return False
        if self.side.permission == "endpoint":
            rows = [row for all in self.rows.values() for row in all if row[0] == rows[0][0]]
        wanted = {EI: lambda remote: True, AD: lambda remote: remote[0] == source[0], APD: lambda remote: remote == source}
        return any(wanted[self.side.filtering](remote) for _, remote in rows)


MAIN, SPARE, SAMPLES = 1234, 5000, (6001, 6002, 6003)
TO_SERVER = (SERVER, 1234)


def nats(a, b):
    """Both NATs after the registrations, by the ports that face the server."""
    pair = {"A": Nat("A", a, 62000), "B": Nat("B", b, 31000)}
    return pair, {owner: nat.send(MAIN, TO_SERVER) for owner, nat in pair.items()}


def forecast(nat, public):
    """The endpoint that the other side is to send to, and the step; none where the ports follow no rule."""
    if nat.side.mapping == EI:
        return public, 0
    ports = [nat.send(socket, TO_SERVER)[1] for socket in SAMPLES]
    if ports == list(SAMPLES):
        return (nat.owner, SPARE), 0
    if any(isinstance(port, str) for port in ports):
        return None
    step = ports[1] - ports[0]
    return (nat.owner, ports[-1] + step), step


def meet(pair, shots, say):
    """Whether a shot of each side comes from where the other's goes to, and both are let in. All are repeated
    by the same mappings, so which of them leaves first makes no difference."""
    ways = {owner: [(pair[owner].send(socket, to), to) for socket, to in shots[owner]] for owner in "AB"}
    for source, to in ways["A"]:
        if (to, source) in ways["B"] and pair["B"].admits(source, to) and pair["A"].admits(to, source):
            say(f"{source[0]}:{source[1]} <-> {to[0]}:{to[1]} (of {len(ways['A'])} and {len(ways['B'])} shots)")
            return True
    return False


def udp_low_ttl(a, b, say=lambda line: None):
    """Each side sends from a socket that the server saw to where the server saw the other's. It is tried
    between stable mappings only."""
    pair, _ = nats(a, b)
    seen = {owner: nat.send(SAMPLES[-1], TO_SERVER) for owner, nat in pair.items()}
    if a.mapping != EI or b.mapping != EI:
        return False
    return meet(pair, {owner: [(SAMPLES[-1], seen[OTHER[owner]])] for owner in "AB"}, say)


def udp_predicted(a, b, say=lambda line: None, width=1, stolen=(0, 0)):
    """Both sides sample, others take ports, and both shoot as prediction.md says ("Who sends what")."""
    if a.mapping == b.mapping == EI:
        return False
    pair, public = nats(a, b)
    told = {owner: forecast(nat, public[owner]) for owner, nat in pair.items()}
    if None in told.values():
        say("ports that follow no rule are not predicted")
        return False
    shots = {}
    for owner, taken in zip("AB", stolen):
        own, other = pair[owner].side, pair[OTHER[owner]].side
        pair[owner].next += taken
        (endpoint, step), own_step = told[OTHER[owner]], told[owner][1]
        ports = [(endpoint[0], endpoint[1] + step * at) for at in range(width)] if step else [endpoint]
        aims = width > 1 and step and own_step and own.mapping == other.mapping == APD
        if own.mapping == EI:
            shots[owner] = [(MAIN, port) for port in ports]
        elif other.mapping == EI or (own_step == 0 and not aims):
            shots[owner] = [(SPARE, endpoint)]
        elif aims and owner == "A":
            shots[owner] = [(SPARE + at, ports[-1]) for at in range(width)]
        else:
            shots[owner] = [(SPARE, port) for port in ports]
    return meet(pair, shots, say)


def udp_birthday(a, b, say=lambda line: None):
    """Whether a hit is a path: the stable side tried the port that one of the other's sockets has."""
    if (a.mapping == EI) == (b.mapping == EI):
        return False
    stable, dependent = ("A", "B") if a.mapping == EI else ("B", "A")
    pair, public = nats(a, b)
    if forecast(pair[dependent], public[dependent]) is not None:
        return False
    hit = pair[dependent].send(SPARE, public[stable])
    return meet(pair, {dependent: [(SPARE, public[stable])], stable: [(MAIN, hit)]}, say)


def missed(ports, sockets, tries):
    """The chance that none of so many different ports is among so many others: C(N - m, n) / C(N, n)."""
    chance = fractions.Fraction(1)
    for tried in range(tries):
        chance *= fractions.Fraction(ports - sockets - tried, ports - tried)
    return max(chance, fractions.Fraction(0))


def birthday_hits(sockets):
    return 1 - missed(65536 - limit("LOWEST_PORT"), sockets, limit("BIRTHDAY_PORTS"))


def counted_is_as_drawn():
    """The form of the birthday method beside all the ways to draw few ports."""
    ports, sockets, tries = 7, 2, 3
    ways = list(itertools.combinations(range(ports), sockets))
    misses = sum(not set(way) & set(range(tries)) for way in ways)
    assert fractions.Fraction(misses, len(ways)) == missed(ports, sockets, tries)


def tcp_low_ttl(a, b, say=lambda line: None):
    """Both first SYNs die between the NATs, which meanwhile let in what comes next."""
    if a.mapping != EI or b.mapping != EI:
        return False
    return tcp_plain(a, b, say)


def tcp_sequential(a, b, say=lambda line: None):
    """B's SYN is spent to open its NAT; then A dials, and B no more. A asked for the session, so it proposes."""
    if a.mapping != EI or b.mapping != EI:
        return False
    tables, known = introduced(a, b)
    (to_a,), (to_b,) = known["B"], known["A"]
    source = tables["B"].send(to_a)
    if tables["A"].admits(source, to_a):
        say(f"B -> A: SYN {show(source)} -> {show(to_a)} arrives and is answered")
        return True
    answered = a.reaction != "drop"
    if answered and b.reaction == "reset-forgotten":
        say("NAT A answers B's SYN with a RST, and NAT B forgets what B opened")
        tables["B"].rows[source].discard(to_a)
    source = tables["A"].send(to_b)
    arrives = tables["B"].admits(source, to_b)
    say(f"A -> B: SYN {show(source)} -> {show(to_b)} {'arrives' if arrives else 'is not let in'}")
    return arrives


def tcp_close(a, b, say=lambda line: None):
    """Both connect to the server's other port from a port of their own, are told how they are seen, and end that
    with a RST. Then B's SYN is spent, and A dials, as in `tcp_sequential`."""
    if a.mapping == b.mapping == EI:
        return False
    pair, _ = nats(a, b)
    seen = {owner: nat.send(SPARE, TO_SERVER) for owner, nat in pair.items()}
    for nat in pair.values():
        nat.reset(SPARE, TO_SERVER)
    source = pair["B"].send(SPARE, seen["A"])
    say(f"B -> A: SYN {source[0]}:{source[1]} -> {seen['A'][0]}:{seen['A'][1]}")
    if a is PUBLIC or pair["A"].admits(source, seen["A"]):
        if pair["A"].send(SPARE, source) == seen["A"]:
            return True
    elif a.reaction != "drop":
        pair["B"].reset(SPARE, seen["A"])
    source = pair["A"].send(SPARE, seen["B"])
    say(f"A -> B: SYN {source[0]}:{source[1]} -> {seen['B'][0]}:{seen['B'][1]}")
    if b is not PUBLIC and not pair["B"].admits(source, seen["B"]):
        return False
    return pair["B"].send(SPARE, source) == seen["B"]


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


def tcp_predicted(a, b, say=lambda line: None):
    """As over UDP, with dials that cross on the way: neither SYN meets a NAT that its own side has not opened."""
    return udp_predicted(a, b, say)


def both_stable_rule(a, b):
    return a.mapping == b.mapping == EI


def udp_predicted_rule(a, b):
    dependent = [side for side in (a, b) if side.mapping != EI]
    return bool(dependent) and all(side.allocation != "random" for side in dependent)


def udp_birthday_rule(a, b):
    dependent = [side for side in (a, b) if side.mapping != EI]
    return len(dependent) == 1 and dependent[0].allocation == "random"


def tcp_sequential_rule(a, b):
    refused = a.filtering != EI and a.reaction != "drop"
    lost = refused and b.filtering != EI and b.reaction == "reset-forgotten"
    return both_stable_rule(a, b) and not lost


def seen_again(side):
    """Whether the next connection from a port has the endpoint of the one that was reset."""
    forgets = side.reaction == "reset-forgotten"
    return side is PUBLIC or (forgets and side.allocation == "preserving") or (not forgets and side.mapping == EI)


def tcp_close_rule(a, b):
    if a.mapping == b.mapping == EI:
        return False
    if PUBLIC in (a, b):
        return True
    lets_in = a.filtering == EI and a.reaction != "reset-forgotten"
    if lets_in and a.mapping == EI:
        return True
    forgets = b.reaction == "reset-forgotten"
    refused = a.reaction != "drop" and not lets_in
    stays = seen_again(b) and not (forgets and refused)
    return stays and (APD not in (b.mapping, b.filtering) or seen_again(a))


def stolen_rule(a, b, width, stolen):
    """How many ports others may take between the samples and the shots (prediction.md, "Who sends what")."""
    follows = [side.mapping != EI and side.allocation == "sequential" for side in (a, b)]
    taken = [count if follow else 0 for count, follow in zip(stolen, follows)]
    # A side with address-dependent mapping has one port for all that it sends to, which the other side sweeps.
    if all(follows) and APD in (a.mapping, b.mapping):
        return sum(taken) < width
    return max(taken) < width


def stolen_is_as_counted():
    """The rule for stolen ports beside the shots themselves."""
    kinds = [PUBLIC] + [Side(mapping, APD, "mapping", "sequential") for mapping in (AD, APD)]
    for a, b in itertools.product(kinds, kinds):
        if a is b is PUBLIC:
            continue
        for width, *stolen in itertools.product((1, 2, 5), range(7), range(7)):
            derived = udp_predicted(a, b, width=width, stolen=stolen)
            assert derived == stolen_rule(a, b, width, stolen), (a.name(), b.name(), width, stolen)


# --- techniques ---

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


def loads():
    """What a client does that competes for ports: see reachability.md, "Competing clients"."""
    windows = limit("WINDOWS")
    # So many ports are taken between the samples and the shots, on average, at equal intervals.
    means = sorted({mean for width in windows for mean in (width - 0.75, width - 0.5, width - 0.25)})
    predicted = [
        {"width": width, "taken": mean, "probability": min(max(width - mean, 0), 1)} for width in windows for mean in means
    ]
    sockets = [limit("BIRTHDAY_SOCKETS") >> halved for halved in range(5)]
    birthday = [{"sockets": count, "probability": round(float(birthday_hits(count)), 6)} for count in sockets]
    return {"predicted": predicted, "birthday": birthday}


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


def explain(names, transport):
    known = {side.name(): side for side in SIDES[transport]}
    for name in names:
        if name not in known:
            sys.exit(f"{name} is not a side over {transport}; one is {SIDES[transport][-1].name()}")
    a, b = (known[name] for name in names)
    for technique, (derive, _) in TECHNIQUES[transport].items():
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
        case ["explain", a, b, ("udp" | "tcp") as transport]:
            explain((a, b), transport)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
