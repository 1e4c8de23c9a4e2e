"""How often a guess hits, with and without others that take ports (reachability.md, "Competing clients")."""

import fractions
import itertools

from oracle.guessed import udp_predicted
from oracle.sides import AD, APD, EI, PUBLIC, Side, limit


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


def loads():
    """What a client does that competes for ports: see reachability.md, "Competing clients"."""
    windows = limit("WINDOWS")
    sockets = [limit("BIRTHDAY_SOCKETS") >> halved for halved in range(5)]
    birthday = [{"sockets": count, "probability": round(float(birthday_hits(count)), 6)} for count in sockets]
    # Over TCP a peer agrees to no width above the second.
    return {"predicted": taken(windows), "tcp-predicted": taken(windows[:2]), "birthday": birthday}


def taken(windows):
    """So many ports are taken between the samples and the shots, on average, at equal intervals."""
    means = sorted({mean for width in windows for mean in (width - 0.75, width - 0.5, width - 0.25)})
    return [
        {"width": width, "taken": mean, "probability": min(max(width - mean, 0), 1)} for width in windows for mean in means
    ]
