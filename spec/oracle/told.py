"""Who meets by the endpoints that the server told and those that are learned, by their definitions and in closed form.

An endpoint is ("S",), or (owner, key): the external endpoint that the side `owner` has towards every remote
endpoint with that key. The key is what its mapping looks at: nothing, the address, or the whole endpoint.
Endpoints of a side with address-and-port-dependent mapping thus contain the endpoint that they are for.
"""

from oracle.sides import AD, APD, EI, OTHER, SERVER


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


def both_stable_rule(a, b):
    return a.mapping == b.mapping == EI


def tcp_sequential_rule(a, b):
    refused = a.filtering != EI and a.reaction != "drop"
    lost = refused and b.filtering != EI and b.reaction == "reset-forgotten"
    return both_stable_rule(a, b) and not lost
