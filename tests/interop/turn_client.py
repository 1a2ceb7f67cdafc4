"""A TURN client (RFC 8656) over UDP, for what coturn's tools do not do: many allocations, each looked after by itself."""
import hashlib
import hmac
import os
import socket
import struct
import zlib

COOKIE = b"\x21\x12\xa4\x42"
ALLOCATE, REFRESH, SEND, DATA, PERMIT = 0x003, 0x004, 0x016, 0x017, 0x008
SUCCESS, ERROR = 0x100, 0x110


def xored(address):
    host, port = address
    ip = bytes(a ^ b for a, b in zip(socket.inet_aton(host), COOKIE))
    return struct.pack("!BBH", 0, 1, port ^ 0x2112) + ip


def unxored(value):
    port = struct.unpack("!H", value[2:4])[0] ^ 0x2112
    return socket.inet_ntoa(bytes(a ^ b for a, b in zip(value[4:8], COOKIE))), port


def attribute(kind, value):
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


class Refused(Exception):
    def __init__(self, code):
        super().__init__(str(code))
        self.code = code


class TurnClient:
    """One allocation at most. Raises Refused with the code of what is refused."""

    def __init__(self, server, user, password, host="127.0.0.1"):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.connect(server)
        self.socket.settimeout(5)
        self.user, self.password = user, password
        self.realm = self.nonce = b""
        self.relay = None

    def close(self):
        self.socket.close()

    def allocate(self, lifetime=600):
        got = self.request(ALLOCATE, attribute(0x0019, bytes([17, 0, 0, 0])) + attribute(0x000D, struct.pack("!I", lifetime)))
        self.relay = unxored(got[0x0016])
        return self.relay

    def permit(self, peer):
        self.request(PERMIT, attribute(0x0012, xored(peer)))

    def release(self):
        self.request(REFRESH, attribute(0x000D, bytes(4)))

    def send(self, peer, data):
        body = attribute(0x0012, xored(peer)) + attribute(0x0013, data)
        self.socket.send(struct.pack("!HH", SEND, len(body)) + COOKIE + os.urandom(12) + body)

    def receive(self):
        """What a peer sent: (peer, data)."""
        while True:
            kind, _, found = self.read(self.socket.recv(2000))
            if kind == DATA:
                return unxored(found[0x0012]), found[0x0013]

    def request(self, method, body):
        for _ in range(3):
            login = attribute(0x0006, self.user.encode()) + attribute(0x0014, self.realm) + attribute(0x0015, self.nonce) if self.nonce else b""
            transaction = os.urandom(12)
            whole = body + login
            if self.nonce:
                key = hashlib.md5(f"{self.user}:{self.realm.decode()}:{self.password}".encode()).digest()
                head = struct.pack("!HH", method, len(whole) + 24) + COOKIE + transaction
                whole += attribute(0x0008, hmac.new(key, head + whole, hashlib.sha1).digest())
            head = struct.pack("!HH", method, len(whole) + 8) + COOKIE + transaction
            whole += attribute(0x8028, struct.pack("!I", zlib.crc32(head + whole) ^ 0x5354554E))
            self.socket.send(head + whole)
            while True:
                kind, of, found = self.read(self.socket.recv(2000))
                if of == transaction:
                    break
            if kind == method | SUCCESS:
                return found
            code = found[0x0009][2] * 100 + found[0x0009][3]
            if code not in (401, 438) or (code == 401 and self.nonce):
                raise Refused(code)
            self.realm, self.nonce = found[0x0014], found[0x0015]
        raise Refused(438)

    @staticmethod
    def read(packet):
        kind, size = struct.unpack("!HH", packet[:4])
        at, found = 20, {}
        while at + 4 <= 20 + size:
            name, n = struct.unpack("!HH", packet[at:at + 4])
            found[name] = packet[at + 4:at + 4 + n]
            at += 4 + n + -n % 4
        return kind, packet[8:20], found
