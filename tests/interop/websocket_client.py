"""A WebSocket client that can also do what no client does, and a SIP phone on it (RFC 7118)."""
import base64
import os
import socket
import ssl
import struct
import time

from harness import HOST, Failed, check
from ua import Message, Ua

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def tls_context(node):
    return ssl.create_default_context(cafile=str(node.data / "web.crt"))


class Refused(Failed):
    def __init__(self, status, head):
        super().__init__(f"refused with {status}")
        self.status, self.head = status, head


class WebSocket:
    def __init__(self, node, path="/sip", protocol="sip", origin=None, headers=(), source=None, seconds=10, server=HOST):
        raw = socket.create_connection((server, node.web), seconds, source_address=(source, 0) if source else None)
        self.socket = tls_context(node).wrap_socket(raw, server_hostname=HOST)
        self.buffer = b""
        lines = [f"GET {path} HTTP/1.1", f"Host: {server}:{node.web}", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
                 "Sec-WebSocket-Version: 13", *([f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []), *([f"Origin: {origin}"] if origin else []), *headers]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.buffer:
            data = self.socket.recv(4096)
            check(data, "the server closed the connection during the handshake")
            self.buffer += data
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        self.head = head.decode()
        status = int(self.head.split()[1])
        if status != 101:
            self.socket.close()
            raise Refused(status, self.head)

    @staticmethod
    def frame(payload, opcode=TEXT, fin=True, masked=True):
        payload = payload.encode() if isinstance(payload, str) else payload
        n, mask = len(payload), os.urandom(4)
        length = bytes([n]) if n < 126 else b"\x7e" + struct.pack(">H", n) if n < 65536 else b"\x7f" + struct.pack(">Q", n)
        if not masked:
            return bytes([fin << 7 | opcode]) + length + payload
        return bytes([fin << 7 | opcode, length[0] | 0x80]) + length[1:] + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))

    def send(self, payload, opcode=TEXT, **how):
        self.socket.sendall(self.frame(payload, opcode, **how))

    def _take(self, n, deadline):
        while len(self.buffer) < n:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except (TimeoutError, ssl.SSLWantReadError):
                return None
            if not data:
                return b""
            self.buffer += data
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def receive(self, seconds=5):
        """(opcode, payload); None when the time is over, (CLOSE, b"") when the connection has ended. Pings are answered."""
        deadline = time.monotonic() + seconds
        while True:
            head = self._take(2, deadline)
            if not head:
                return (CLOSE, b"") if head == b"" else None
            n = head[1] & 0x7f
            if n >= 126:
                n = int.from_bytes(self._take(2 if n == 126 else 8, deadline), "big")
            payload = self._take(n, deadline) if n else b""
            if head[0] & 15 == PING:
                self.send(payload, PONG)
                continue
            return head[0] & 15, payload

    def close_code(self, seconds=5):
        """The code of the server's Close; 0: the connection ended without one."""
        deadline = time.monotonic() + seconds
        while True:
            got = self.receive(deadline - time.monotonic())
            check(got is not None, "no Close came")
            if got[0] == CLOSE:
                return int.from_bytes(got[1][:2], "big")

    def close(self):
        self.socket.close()


class WsUa(Ua):
    """A phone over a WebSocket. What it says of its address nobody can reach, as browsers do."""

    def __init__(self, node, user, password=None, token=None, web=None, instance=None):
        self.node, self.user, self.transport, self.algorithm = node, user, "wss", None
        self.password, self.token = password or node.users.get(user, ""), token
        self.web = web or WebSocket(node)
        self.instance = instance
        self.local = f"{os.urandom(6).hex()}.invalid"
        self.cseq, self.tag, self.call_id = 1, os.urandom(5).hex(), os.urandom(10).hex()
        self.remote_tag, self.target, self.route = "", "", []
        self.waiting, self.last, self.rtp = [], None, None

    def send(self, data):
        self.web.send(data)

    def receive(self, seconds=5):
        deadline = time.monotonic() + seconds
        while True:
            got = self.web.receive(deadline - time.monotonic())
            if got is None:
                return None
            if got[0] == CLOSE:
                raise Failed("the server closed the WebSocket")
            if got[1].strip():
                return Message(got[1])

    def request_text(self, method, uri, cseq=None, headers=(), body="", to=None, branch=None):
        if self.token:
            headers = [*headers, f"Authorization: Bearer {self.token}"]
        text = super().request_text(method, uri, cseq, headers, body, to, branch)
        contact = f"Contact: <sip:{self.user}@{self.local};transport=ws>"
        if self.instance:
            contact += f';+sip.instance="<urn:uuid:{self.instance}>";reg-id=1'
        return text.replace(f"Contact: <sip:{self.user}@{self.local};transport=wss>", contact)

    def close(self):
        self.web.close()
