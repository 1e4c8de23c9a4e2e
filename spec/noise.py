#!/usr/bin/env python3
"""The handshakes, sealing and the proof of a Punch, written from security.md and punching.md.

usage: noise.py DIRECTORY   replays handshakes.json and sealing.json in DIRECTORY

For checking vectors only: nothing here takes care of timing.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import struct
import sys

P = 2**255 - 19


class Failed(Exception):
    pass


# --- X25519, RFC 7748 ---


def x25519(secret, public):
    k = int.from_bytes(bytes([secret[0] & 248]) + secret[1:31] + bytes([secret[31] & 127 | 64]), "little")
    x1 = int.from_bytes(public, "little") & ((1 << 255) - 1)
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a % P, c * b % P
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % P, x1 * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def public_key(secret):
    return x25519(secret, bytes([9] + [0] * 31))


def agree(secret, public):
    shared = x25519(secret, public)
    if shared == bytes(32):
        raise Failed
    return shared


# --- ChaCha20-Poly1305, RFC 8439 ---


def block(key, counter, nonce):
    start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574]
    start += struct.unpack("<8L", key) + (counter,) + struct.unpack("<3L", nonce)
    s = list(start)

    def quarter(a, b, c, d):
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & 0xFFFFFFFF
            v = s[z] ^ s[x]
            s[z] = (v << turn | v >> (32 - turn)) & 0xFFFFFFFF

    for _ in range(10):
        for column in range(4):
            quarter(column, 4 + column, 8 + column, 12 + column)
        for at in range(4):
            quarter(at, 4 + (at + 1) % 4, 8 + (at + 2) % 4, 12 + (at + 3) % 4)
    return struct.pack("<16L", *((a + b) & 0xFFFFFFFF for a, b in zip(s, start)))


def stream(key, nonce, data):
    pad = b"".join(block(key, 1 + n, nonce) for n in range((len(data) + 63) // 64))
    return bytes(a ^ b for a, b in zip(data, pad))


def tag(key, nonce, associated, ciphertext):
    one_time = block(key, 0, nonce)
    r = int.from_bytes(one_time[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    s = int.from_bytes(one_time[16:32], "little")
    data = b"".join(part + bytes(-len(part) % 16) for part in (associated, ciphertext))
    data += struct.pack("<QQ", len(associated), len(ciphertext))
    sum_ = 0
    for at in range(0, len(data), 16):
        sum_ = (sum_ + int.from_bytes(data[at : at + 16] + b"\x01", "little")) * r % ((1 << 130) - 5)
    return ((sum_ + s) % (1 << 128)).to_bytes(16, "little")


def encrypt(key, nonce, associated, plaintext):
    ciphertext = stream(key, nonce, plaintext)
    return ciphertext + tag(key, nonce, associated, ciphertext)


def decrypt(key, nonce, associated, data):
    if len(data) < 16 or tag(key, nonce, associated, data[:-16]) != data[-16:]:
        raise Failed
    return stream(key, nonce, data[:-16])


# --- Noise, revision 34 ---

PATTERNS = {
    "IK": ("Noise_IK_25519_ChaChaPoly_BLAKE2s", ("rs",), (("e", "es", "s", "ss"), ("e", "ee", "se"))),
    "KK": ("Noise_KK_25519_ChaChaPoly_BLAKE2s", ("is", "rs"), (("e", "es", "ss"), ("e", "ee", "se"))),
}


def blake2s(data):
    return hashlib.blake2s(data).digest()


def hkdf(chaining, material):
    def mac(key, data):
        return hmac.new(key, data, hashlib.blake2s).digest()

    temporary = mac(chaining, material)
    first = mac(temporary, b"\x01")
    return first, mac(temporary, first + b"\x02")


class Handshake:
    def __init__(self, pattern, initiator, prologue, secret, ephemeral, remote):
        name, before, self.messages = PATTERNS[pattern]
        self.initiator, self.s, self.e, self.rs, self.re = initiator, secret, ephemeral, remote, None
        self.h = self.ck = name.encode() + bytes(32 - len(name)) if len(name) <= 32 else blake2s(name.encode())
        self.key, self.n = None, 0
        self.mix_hash(prologue)
        for static in before:
            own = (static == "is") == initiator
            self.mix_hash(public_key(secret) if own else remote)

    def mix_hash(self, data):
        self.h = blake2s(self.h + data)

    def mix_key(self, material):
        (self.ck, self.key), self.n = hkdf(self.ck, material), 0

    def nonce(self):
        self.n += 1
        return bytes(4) + struct.pack("<Q", self.n - 1)

    def encrypt(self, data):
        out = data if self.key is None else encrypt(self.key, self.nonce(), self.h, data)
        self.mix_hash(out)
        return out

    def decrypt(self, data):
        out = data if self.key is None else decrypt(self.key, self.nonce(), self.h, data)
        self.mix_hash(data)
        return out

    def token(self, token):
        mine, theirs = token if self.initiator else token[::-1]
        self.mix_key(agree({"e": self.e, "s": self.s}[mine], {"e": self.re, "s": self.rs}[theirs]))

    def write(self, number, payload):
        out = b""
        for token in self.messages[number]:
            if token == "e":
                out += public_key(self.e)
                self.mix_hash(public_key(self.e))
            elif token == "s":
                out += self.encrypt(public_key(self.s))
            else:
                self.token(token)
        return out + self.encrypt(payload)

    def read(self, number, data):
        for token in self.messages[number]:
            if token == "e":
                self.re, data = data[:32], data[32:]
                if len(self.re) < 32:
                    raise Failed
                self.mix_hash(self.re)
            elif token == "s":
                self.rs, data = self.decrypt(data[:48]), data[48:]
            else:
                self.token(token)
        return self.decrypt(data)

    def split(self):
        return hkdf(self.ck, b"")


# --- Pinhole ---


def octets_of_key(text):
    return base64.b32decode(text.upper() + "====")


def prologue(said):
    def versions(name):
        return bytes([len(said[name]), *said[name]])

    if "session" in said:
        keys = octets_of_key(said["initiator"]) + octets_of_key(said["responder"])
        return b"pinhole kk" + bytes([1]) + bytes.fromhex(said["session"]) + keys + versions("versions")
    return b"pinhole ik" + bytes([1]) + versions("offered") + versions("answered")


def handshake(given):
    sides = []
    for name in ("initiator", "responder"):
        side = given[name]
        said = prologue(side["prologue_from"])
        assert said.hex() == side["prologue"], "the prologue"
        other = given["responder" if name == "initiator" else "initiator"]
        known = given["pattern"] == "KK" or name == "initiator"
        sides.append(
            Handshake(
                given["pattern"],
                name == "initiator",
                said,
                bytes.fromhex(side["secret"]),
                bytes.fromhex(side["ephemeral"]),
                octets_of_key(other["public"]) if known else None,
            )
        )
    a, b = sides
    payloads = [bytes.fromhex(given[name]["payload"]) for name in ("initiator", "responder")]
    message_1 = a.write(0, payloads[0])
    assert b.read(0, bytes.fromhex(given.get("message_1", message_1.hex()))) == payloads[0]
    message_2 = b.write(1, payloads[1])
    assert a.read(1, bytes.fromhex(given.get("message_2", message_2.hex()))) == payloads[1]
    assert a.split() == b.split()
    there, back = a.split()
    return {
        "initiator": base64.b32encode(b.rs).decode().lower().rstrip("="),
        "message_1": message_1.hex(),
        "message_2": message_2.hex(),
        "initiator_to_responder": there.hex(),
        "responder_to_initiator": back.hex(),
    }


def seal(given):
    counter = struct.pack(">Q", given["path"] << 48 | int(given["number"]))
    header = bytes([0x0A, 1, 0, 0]) + bytes.fromhex(given["index"]) + counter
    ciphertext = encrypt(bytes.fromhex(given["key"]), bytes(4) + counter, header, bytes.fromhex(given["plaintext"]))
    return {"packet": (header + ciphertext).hex()}


def open_(given):
    packet = bytes.fromhex(given["packet"])
    plaintext = decrypt(bytes.fromhex(given["key"]), bytes(4) + packet[8:16], packet[:16], packet[16:])
    return {"plaintext": plaintext.hex()}


def proof(given):
    return {"proof": blake2s(bytes.fromhex(given["message_1"]))[:16].hex()}


RUN = {
    "Handshake": (handshake, "handshake-failed"),
    "Seal": (seal, None),
    "Open": (open_, "decrypt-failed"),
    "Proof": (proof, None),
}


def main(arguments):
    if len(arguments) != 1:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    passed = failed = 0
    for path in sorted(pathlib.Path(arguments[0]).glob("*.json")):
        for group in json.loads(path.read_text())["testGroups"]:
            run, error = RUN.get(group["type"], (None, None))
            for test in group["tests"] if run else []:
                try:
                    found = (run(test["given"]), None)
                except Failed:
                    found = (None, error)
                good = found == (test.get("decoded"), test.get("error"))
                passed, failed = passed + good, failed + (not good)
                if not good:
                    print(f"{path.name} {test['tcId']} {test['comment']}: found {found}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
