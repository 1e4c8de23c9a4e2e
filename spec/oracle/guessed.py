"""Who meets where a port has to be known beforehand, by the definitions and in closed form.

Here endpoints have ports, since a guess is about a port. A random port is a name that nobody else knows.
"""

from oracle.sides import AD, APD, EI, OTHER, PUBLIC, SERVER


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


def tcp_predicted(a, b, say=lambda line: None):
    """As over UDP, with dials that cross on the way: neither SYN meets a NAT that its own side has not opened."""
    return udp_predicted(a, b, say)


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


def udp_predicted_rule(a, b):
    dependent = [side for side in (a, b) if side.mapping != EI]
    return bool(dependent) and all(side.allocation != "random" for side in dependent)


def udp_birthday_rule(a, b):
    dependent = [side for side in (a, b) if side.mapping != EI]
    return len(dependent) == 1 and dependent[0].allocation == "random"


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
