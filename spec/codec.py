#!/usr/bin/env python3
"""A second codec for Pinhole's packets and messages, written from terms.md and wire.md.

usage: codec.py DIRECTORY        replays the vectors in DIRECTORY
       codec.py decode KIND HEX  prints what the octets say; KIND is a vector type, such as Packet

It has no dependencies, and it decodes without encoding: it keeps the rules that [R-WIRE-020] comes to.
"""

import base64
import csv
import ipaddress
import json
import pathlib
import sys

SPEC = pathlib.Path(__file__).resolve().parent


def registry(name):
    with open(SPEC / "registries" / f"{name}.csv", newline="") as file:
        return list(csv.DictReader(file))


LIMITS = {row["name"]: int(row["value"]) for row in registry("limits") if row["value"].isdigit()}
PACKETS = {int(row["value"], 16): row["name"] for row in registry("packets") if row["status"] == "assigned"}
MESSAGES = {int(row["value"], 16): row["name"] for row in registry("messages") if row["status"] == "assigned"}
DIAL_BACK = 0x8002
EXTENSIONS = {int(row["value"], 16) for row in registry("extensions") if row["status"] == "assigned"}
WEAK = {bytes.fromhex(row["value"]) for row in registry("weak-keys")}


class Discard(Exception):
    """The name of a row of discards.csv."""


class Reader:
    """Octets that are taken off the front; what is missing is `missing`."""

    def __init__(self, octets, missing, mask=None):
        self.rest, self.missing, self.mask = octets, missing, mask

    def take(self, length):
        if len(self.rest) < length:
            raise Discard(self.missing)
        head, self.rest = self.rest[:length], self.rest[length:]
        return head

    def big_endian(self, length):
        return int.from_bytes(self.take(length), "big")

    def counted(self):
        return self.take(self.big_endian(2))


# --- bodies: a type is a function of a reader ---


def malformed(condition):
    if condition:
        raise Discard("body-malformed")


def octet(reader):
    return reader.take(1)[0]


def octets(length):
    return lambda reader: reader.take(length).hex()


def integer(bits):
    def read(reader):
        value = shift = 0
        while True:
            last = octet(reader)
            value += (last & 0x7F) << shift
            malformed(value >= 1 << bits)
            if last < 0x80:
                malformed(last == 0 and shift > 0)
                return value
            shift += 7

    return read


def text_integer(bits):
    return lambda reader: str(integer(bits)(reader))


def boolean(reader):
    value = octet(reader)
    malformed(value > 1)
    return value == 1


def option(of):
    return lambda reader: of(reader) if boolean(reader) else None


def elements(of, limit):
    def read(reader):
        count = integer(32)(reader)
        malformed(count > LIMITS[limit])
        return [of(reader) for _ in range(count)]

    return read


def octet_string(limit):
    return lambda reader: bytes(elements(octet, limit)(reader)).hex()


def endpoint(reader):
    family = octet(reader)
    malformed(family not in (4, 6))
    address, port = reader.take(4 if family == 4 else 16), reader.take(2)
    if reader.mask:
        address, port = (bytes(a ^ b for a, b in zip(part, reader.mask)) for part in (address, port))
    port = int.from_bytes(port, "big")
    if family == 4:
        return f"{ipaddress.IPv4Address(address)}:{port}"
    address = ipaddress.IPv6Address(address)
    malformed(address.ipv4_mapped is not None)
    return f"[{address}]:{port}"


def key(reader):
    value = reader.take(32)
    malformed(int.from_bytes(value, "little") >= 2**255 - 19 or value in WEAK)
    return base64.b32encode(value).decode().lower().rstrip("=")


def fields(reader, layout):
    return {name: of(reader) for name, of in layout}


VERSIONS = ("versions", elements(octet, "MAX_VERSIONS"))
LISTS = [("offered", elements(octet, "MAX_VERSIONS")), ("answered", elements(octet, "MAX_VERSIONS"))]
PRIVATE = ("private", elements(endpoint, "MAX_PRIVATE"))
CANDIDATES = ("candidates", elements(endpoint, "MAX_CANDIDATES"))
SESSION = ("session", octets(8))
CHANNEL = ("channel", option(octets(8)))
ROUND_TRIPS = [("own_round_trip", integer(32)), ("other_round_trip", integer(32))]
MESSAGE_1 = ("message_1", octet_string("MAX_MESSAGE_1"))
MESSAGE_2 = ("message_2", octet_string("MAX_MESSAGE_2"))
CHECK = [("nonce", octets(8)), ("observed", endpoint)]

FORECAST = [("allocation", octet), ("endpoint", endpoint), ("step", integer(16))]
ATTEMPT = [
    ("width", integer(16)),
    ("mapping", octet),
    CANDIDATES,
    ("forecast", option(lambda reader: fields(reader, FORECAST))),
]

CONTROL = {
    "PathCheck": CHECK,
    "PathReply": CHECK,
    "Acknowledge": [],
    "Refuse": [("code", octet)],
    "Refresh": [PRIVATE, ("policy", octet), ("disclose", boolean), ("relay", boolean), ("moved", boolean)],
    "Refreshed": [("lifetime", integer(16)), ("interval", integer(16)), ("observed", endpoint)],
    "Unregister": [],
    "Replaced": [],
    "Echo": [("after", octet)],
    "Connect": [("target", key), SESSION, ("transports", octet), VERSIONS, MESSAGE_1],
    "Introduced": [("transport", octet), CANDIDATES, CHANNEL, *ROUND_TRIPS],
    "Introduce": [
        ("initiator", key), SESSION, ("transport", octet), VERSIONS, CANDIDATES, CHANNEL, *ROUND_TRIPS, MESSAGE_1,
    ],
    "Answer": [MESSAGE_2],
    "Answered": [SESSION, CANDIDATES, MESSAGE_2],
    "Rejected": [SESSION, ("code", octet)],
    "RelayOpen": [SESSION, ("peer", key), ("transport", octet)],
    "RelayOpened": [("channel", octets(8))],
    "Select": [],
    "Attempt": [("number", integer(16)), ("strategy", octet), ("delay", integer(16)), *ATTEMPT],
    "Attempted": [("accepted", boolean), *ATTEMPT],
    "Close": [],
    "Finish": [("offset", text_integer(64))],
}
ACK = [("next", text_integer(64)), ("window", integer(32))]
PAYLOADS = {
    "Welcome": [("index", octets(4)), ("token", octets(16))],
    "Offer": [("index", octets(4)), VERSIONS, PRIVATE, ("mapping", octet)],
    "Acceptance": [("index", octets(4)), PRIVATE, ("mapping", octet)],
}
DISCOVERED = [
    VERSIONS,
    ("observed", endpoint),
    ("alternates", elements(endpoint, "MAX_ALTERNATES")),
    ("keys", elements(key, "MAX_SERVER_KEYS")),
    ("cookie", octets(16)),
]


def extensions(rest):
    reader, before, count, found = Reader(rest, "extension-malformed"), -1, 0, {}
    while reader.rest:
        kind = reader.big_endian(2)
        found[kind] = reader.counted()
        count += 1
        if kind <= before or count > LIMITS["MAX_EXTENSIONS"]:
            raise Discard("extension-malformed")
        if kind < 0x8000 and kind not in EXTENSIONS:
            raise Discard("extension-unknown")
        before = kind
    return found


def body(rest, layout):
    reader = Reader(rest, "body-malformed")
    found = fields(reader, layout)
    extensions(reader.rest)
    return found


# --- packets ---


def reserved(reader):
    if reader.take(2) != b"\0\0":
        raise Discard("reserved-not-zero")


def padding(rest):
    if any(rest):
        raise Discard("padding-not-zero")


def magic(reader):
    if reader.take(4) != b"PNCH":
        raise Discard("magic-wrong")
    return reader.take(16)


def discover(reader):
    transaction = magic(reader)
    inner = Reader(reader.rest, "body-malformed")
    found = fields(inner, [VERSIONS, ("reply_from", octet)])
    malformed(not found["versions"] or found["reply_from"] > 3)
    padding(inner.rest)
    return {"transaction": transaction.hex(), **found}


def discovered(reader):
    transaction = magic(reader)
    inner = Reader(reader.rest, "body-malformed", mask=transaction)
    found = fields(inner, DISCOVERED)
    malformed(not found["versions"] or not found["keys"])
    dial_back = extensions(inner.rest).get(DIAL_BACK, b"")
    found["dial_back"] = dial_back[0] if len(dial_back) == 1 else None
    return {"transaction": transaction.hex(), **found}


def register(reader):
    reserved(reader)
    found = {"index": reader.take(4).hex(), "cookie": reader.take(16).hex()}
    inner = Reader(reader.rest, "body-malformed")
    found |= fields(inner, LISTS)
    reader.rest = inner.rest
    found["message_1"] = reader.counted().hex()
    padding(reader.rest)
    return found


def registered(reader):
    reserved(reader)
    return {"index": reader.take(4).hex(), "message_2": reader.counted().hex(), "sealed": reader.rest.hex()}


def punch(reader):
    found = {"session": reader.take(8).hex(), "nonce": reader.take(8).hex(), "proof": reader.take(16).hex()}
    padding(reader.rest)
    return found


def punch_reply(reader):
    return {"session": reader.take(8).hex(), "message_2": reader.counted().hex(), "sealed": reader.rest.hex()}


def sealed(reader):
    reserved(reader)
    found = {"index": reader.take(4).hex(), "path": reader.big_endian(2), "number": str(reader.big_endian(6))}
    reader.take(16)
    return found


def relayed(reader):
    found = {"channel": reader.take(8).hex(), "packet": reader.rest.hex()}
    reader.take(1)
    return found


def reset(reader):
    return {"index": reader.take(4).hex(), "token": reader.take(16).hex()}


# shortest and longest as step 5 has them, then the fields
KINDS = {
    "Discover": (LIMITS["DISCOVER_SIZE"], LIMITS["DISCOVER_SIZE"], discover),
    "Discovered": (2, LIMITS["DISCOVER_SIZE"], discovered),
    "Register": (LIMITS["REGISTER_SIZE"], LIMITS["REGISTER_SIZE"], register),
    "Registered": (2, LIMITS["MAX_REGISTERED"], registered),
    "Punch": (LIMITS["PUNCH_SIZE"], LIMITS["PUNCH_SIZE"], punch),
    "PunchReply": (2, LIMITS["PUNCH_SIZE"], punch_reply),
    "Sealed": (16, LIMITS["MAX_PACKET"], sealed),
    "Relayed": (2, LIMITS["MAX_PACKET"], relayed),
    "Reset": (22, 22, reset),
}


def packet(data):
    if len(data) > LIMITS["MAX_PACKET"]:
        raise Discard("too-long")
    if len(data) < 2:
        raise Discard("too-short")
    if data[0] not in PACKETS:
        raise Discard("kind-unknown")
    name = PACKETS[data[0]]
    if data[1] != (0 if name in ("Discover", "Discovered") else LIMITS["VERSION"]):
        raise Discard("version-unsupported")
    shortest, longest, decode = KINDS[name]
    if len(data) < shortest:
        raise Discard("too-short")
    if len(data) > longest:
        raise Discard("too-long")
    return {"kind": name, **decode(Reader(data[2:], "too-short"))}


# --- messages ---


def message(reader):
    code = octet(reader)
    content = Reader(reader.counted(), "too-short")
    name = MESSAGES.get(code)
    if name == "Datagram":
        return {"kind": name, "octets": content.rest.hex()}
    if name == "Data":
        return {"kind": name, "offset": str(content.big_endian(8)), "octets": content.rest.hex()}
    if name == "Ack":
        return {"kind": name, **body(content.rest, ACK)}
    if code >= 0x80:
        return {"unknown": code}
    request = content.big_endian(4)
    if name is None:
        raise Discard("message-unexpected")
    return {"kind": name, "request": request, **body(content.rest, CONTROL[name])}


def messages(data):
    reader, found = Reader(data, "too-short"), []
    while True:
        found.append(message(reader))
        if not reader.rest:
            return found


def stream(data):
    packets, rest = [], data
    while len(rest) >= 2:
        length = int.from_bytes(rest[:2], "big")
        if length == 0:
            raise Discard("too-short")
        if length > LIMITS["MAX_PACKET"]:
            raise Discard("too-long")
        if len(rest) < 2 + length:
            break
        packets.append(rest[2 : 2 + length].hex())
        rest = rest[2 + length :]
    return {"packets": packets, "pending": len(rest)}


def public_key(data):
    malformed(len(data) != 32)
    return {"kind": "Key", "text": key(Reader(data, "body-malformed"))}


DECODERS = {"Packet": packet, "Messages": messages, "Stream": stream, "Key": public_key}
for payload, of in PAYLOADS.items():
    DECODERS[payload] = lambda data, payload=payload, of=of: {"kind": payload, **body(data, of)}


def outcome(decode, data):
    try:
        return {"result": "valid", "decoded": decode(data)}
    except Discard as discard:
        return {"result": "invalid", "error": str(discard)}


# --- vectors ---


def check(decode, test):
    """What is wrong with a test, or nothing."""
    data = bytes.fromhex(test["hex"])
    expected = {name: test[name] for name in ("result", "decoded", "error") if name in test}
    found = outcome(decode, data)
    if found != expected:
        return f"found {found}"
    if "canonical" in test:
        again = outcome(decode, bytes.fromhex(test["canonical"]))
        if again["result"] != "valid":
            return f"the canonical form: {again}"
    for first, last, verdict in test.get("prefixes", []):
        for length in range(first, last + 1):
            found = outcome(decode, data[:length])
            if found.get("error", "valid") != verdict:
                return f"the first {length} octets: {found}"
    return None


def replay(directory):
    passed = failed = 0
    for path in sorted(pathlib.Path(directory).glob("*.json")):
        for group in json.loads(path.read_text())["testGroups"]:
            decode = DECODERS.get(group["type"])
            if decode is None:
                continue
            for test in group["tests"]:
                wrong = check(decode, test)
                passed, failed = passed + (wrong is None), failed + (wrong is not None)
                if wrong:
                    print(f"{path.name} {test['tcId']} {test['comment']}: {wrong}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def main(arguments):
    if len(arguments) == 1:
        return replay(arguments[0])
    if len(arguments) == 3 and arguments[0] == "decode" and arguments[1] in DECODERS:
        print(json.dumps(outcome(DECODERS[arguments[1]], bytes.fromhex(arguments[2])), indent=1))
        return 0
    print(__doc__.strip(), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
