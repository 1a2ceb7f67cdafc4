"""A small SIP phone over UDP, TCP or TLS, for what SIPp cannot say: one thread, one socket, waits with a deadline."""
import hashlib
import os
import random
import re
import socket
import ssl
import struct
import time

from harness import HOST, Failed, check

HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}


class Message:
    def __init__(self, data):
        head, _, self.body = data.decode(errors="replace").partition("\r\n\r\n")
        lines = head.split("\r\n")
        self.start = lines[0]
        self.headers = [(n.strip().lower(), v.strip()) for n, _, v in (line.partition(":") for line in lines[1:])]
        self.status = int(self.start.split()[1]) if self.start.startswith("SIP/2.0 ") else 0
        self.method = "" if self.status else self.start.split()[0]

    def get(self, name):
        return next((v for n, v in self.headers if n == name.lower()), "")

    def all(self, name):
        return [v for n, v in self.headers if n == name.lower()]


def digest(challenge, user, password, method, uri):
    parts = dict(re.findall(r'(\w+)="?([^",]+)"?', challenge))
    name = parts.get("algorithm", "MD5")

    def h(text):
        return hashlib.new(HASHES[name], text.encode()).hexdigest()

    cnonce, nc = os.urandom(8).hex(), "00000001"
    ha1, ha2 = h(f"{user}:{parts['realm']}:{password}"), h(f"{method}:{uri}")
    response = h(f"{ha1}:{parts['nonce']}:{nc}:{cnonce}:auth:{ha2}") if "qop" in parts else h(f"{ha1}:{parts['nonce']}:{ha2}")
    more = f', opaque="{parts["opaque"]}"' if "opaque" in parts else ""
    qop = f', qop=auth, nc={nc}, cnonce="{cnonce}"' if "qop" in parts else ""
    return (f'Digest username="{user}", realm="{parts["realm"]}", nonce="{parts["nonce"]}", uri="{uri}", response="{response}", '
            f"algorithm={name}{qop}{more}")


class Ua:
    def __init__(self, node, user, transport="udp", algorithm=None, host=HOST, ca=None, name=HOST, identity=None, server=HOST):
        self.node, self.user, self.transport, self.algorithm = node, user, transport, algorithm
        self.password = node.users.get(user, "")
        self.port = node.tls if transport == "tls" else node.sip
        self.buffer = b""
        if transport == "udp":
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind((host, 0))
            self.socket.connect((server, self.port))
        else:
            self.socket = socket.create_connection((server, self.port), 10)
            if transport == "tls":
                context = ssl.create_default_context(cafile=str(ca or node.data / "web.crt"))
                if identity:
                    context.load_cert_chain(*identity)
                self.socket = context.wrap_socket(self.socket, server_hostname=name)
        self.local = "%s:%d" % self.socket.getsockname()[:2]
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtp.bind((host, 0))
        self.rtp.settimeout(0.05)
        self.cseq, self.tag, self.call_id = random.randrange(1000), os.urandom(5).hex(), os.urandom(10).hex()
        self.remote_tag, self.target, self.route = "", "", []
        self.waiting, self.last, self.invite_headers = [], None, []

    # -- the wire

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def receive(self, seconds=5):
        """The next message, or None when the time is over."""
        deadline = time.monotonic() + seconds
        while True:
            if self.transport != "udp":
                head, mark, rest = self.buffer.lstrip(b"\r\n").partition(b"\r\n\r\n")
                if mark:
                    size = int((re.search(rb"(?im)^(?:content-length|l)\s*:\s*(\d+)", head) or [0, b"0"])[1])
                    if len(rest) >= size:
                        self.buffer = rest[size:]
                        return Message(head + mark + rest[:size])
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65535)
            except (TimeoutError, ssl.SSLWantReadError):
                return None
            if self.transport == "udp":
                if data.strip():
                    return Message(data)
            elif not data:
                raise Failed("the server closed the connection")
            else:
                self.buffer += data

    # -- requests

    def request_text(self, method, uri, cseq=None, headers=(), body="", to=None, branch=None):
        cseq = self.cseq if cseq is None else cseq
        to = to or f"<sip:{self.user}@{self.node.domain}>"
        lines = [f"{method} {uri} SIP/2.0", f"Via: SIP/2.0/{self.transport.upper()} {self.local};rport;branch={branch or 'z9hG4bK' + os.urandom(8).hex()}",
                 "Max-Forwards: 70", f"From: <sip:{self.user}@{self.node.domain}>;tag={self.tag}", f"To: {to}", f"Call-ID: {self.call_id}",
                 f"CSeq: {cseq} {method}", f"Contact: <sip:{self.user}@{self.local};transport={self.transport}>", *headers,
                 f"Content-Length: {len(body.encode())}"]
        return "\r\n".join(lines) + "\r\n\r\n" + body

    def response(self, method, seconds=10, final=True):
        """The final response to our latest request of that method; requests that come meanwhile are kept."""
        deadline = time.monotonic() + seconds
        while True:
            m = self.receive(max(0.0, deadline - time.monotonic()))
            if m is None:
                raise Failed(f"no response to {method} in {seconds} s")
            if not m.status:
                self.waiting.append(m)
            elif m.get("cseq") == f"{self.cseq} {method}" and (m.status >= 200 or not final):
                return m

    def ask(self, method, uri, headers=(), body="", to=None, seconds=10):
        """The final response, after answering a challenge."""
        extra = []
        for _ in range(2):
            self.cseq += 1
            branch = "z9hG4bK" + os.urandom(8).hex()
            self.send(self.request_text(method, uri, headers=[*headers, *extra], body=body, to=to, branch=branch))
            answer = self.response(method, seconds)
            if method == "INVITE" and answer.status >= 300:
                self.send(self.request_text("ACK", uri, to=answer.get("to"), branch=branch))
            if answer.status not in (401, 407) or extra:
                return answer
            challenges = [c for c in answer.all("www-authenticate") + answer.all("proxy-authenticate") if c.startswith("Digest ")]
            wanted = [c for c in challenges if not self.algorithm or f"algorithm={self.algorithm}" in c.replace('"', "")]
            check(wanted, f"no challenge with {self.algorithm}: {challenges}")
            name = "Authorization" if answer.status == 401 else "Proxy-Authorization"
            extra = [f"{name}: {digest(wanted[0], self.user, self.password, method, uri)}"]
        return answer

    def accept(self, request):
        """200 to a request we got."""
        kept = "".join(f"{n}: {v}\r\n" for n, v in request.headers if n in ("via", "from", "to", "call-id", "cseq"))
        self.send(f"SIP/2.0 200 OK\r\n{kept}Content-Length: 0\r\n\r\n")

    def notified(self, seconds=10):
        """The body of the next NOTIFY, which is answered."""
        m = self.waiting.pop(0) if self.waiting else self.receive(seconds)
        check(m and m.method == "NOTIFY", f"NOTIFY is due, not {m and m.start}")
        self.last = m
        self.accept(m)
        return m.body

    def register(self, expires=300):
        return self.ask("REGISTER", f"sip:{self.node.domain}", [f"Expires: {expires}"])

    def offer(self):
        return (f"v=0\r\no=- 1 1 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\nm=audio {self.rtp.getsockname()[1]} RTP/AVP 0\r\n"
                "a=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n")

    def call(self, to, seconds=10):
        """The final response to an INVITE; a 2xx is acknowledged and its dialog remembered."""
        self.call_id, self.tag = os.urandom(10).hex(), os.urandom(5).hex()
        self.uri = f"sip:{to}@{self.node.domain}"
        answer = self.ask("INVITE", self.uri, [*self.invite_headers, "Content-Type: application/sdp"], self.offer(), f"<{self.uri}>", seconds)
        if answer.status < 300:
            self.remote = answer.get("to")
            self.target = re.search(r"<([^>]+)>", answer.get("contact"))[1]
            self.media = int(re.search(r"m=audio (\d+)", answer.body)[1])
            self.send(self.request_text("ACK", self.target, to=self.remote))
        return answer

    def bye(self, seconds=10):
        self.cseq += 1
        self.send(self.request_text("BYE", self.target, to=self.remote))
        return self.response("BYE", seconds)

    # -- media

    def talk(self, packets=25, late=0.0):
        """Sends that many RTP packets, 20 ms apart, and counts what comes back; `late`: seconds to wait for those that are still on their way."""
        ssrc, heard, start = random.randrange(1 << 32), 0, time.monotonic()
        for i in range(packets):
            self.rtp.sendto(struct.pack("!BBHII", 0x80, 0, i + 1, 160 * i, ssrc) + bytes([i & 0x7F]) * 160, (HOST, self.media))
            while time.monotonic() < start + 0.02 * (i + 1):
                self.rtp.settimeout(max(0.001, start + 0.02 * (i + 1) - time.monotonic()))
                try:
                    self.rtp.recv(2048)
                    heard += 1
                except TimeoutError:
                    pass
        deadline = time.monotonic() + late
        while heard < packets and time.monotonic() < deadline:
            self.rtp.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                self.rtp.recv(2048)
                heard += 1
            except TimeoutError:
                pass
        return heard

    def close(self):
        self.socket.close()
        self.rtp.close()
