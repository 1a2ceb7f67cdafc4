"""A phone with ICE of our own making, for what no other peer does: candidates by TCP (RFC 6544) and by INFO (RFC 8840), restarts it is
offered. STUN messages are aioice's. It controls (it has called), has one stream and sends a tone in PCMU."""
import audioop
import math
import os
import re
import select
import socket
import struct
import threading
import time

from aioice import stun
from harness import TONE_AMPLITUDE, check, wait_for
from ua import Ua

TRICKLE = ["Supported: trickle-ice", "Recv-Info: trickle-ice"]


class StunServer:
    """Answers Binding requests with an address that is nobody's."""

    def __init__(self, address, mapped):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.mapped, self.asked = mapped, 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                data, source = self.socket.recvfrom(2048)
            except OSError:  # closed
                return
            question = stun.parse_message(data)
            answer = stun.Message(question.message_method, stun.Class.RESPONSE, question.transaction_id)
            answer.attributes["XOR-MAPPED-ADDRESS"] = self.mapped
            self.socket.sendto(bytes(answer), source)
            self.asked += 1

    def close(self):
        self.socket.close()


class IcePeer:
    def __init__(self, node, user, hertz, host, tcp=False):
        self.ua = Ua(node, user, host=host, server=host)
        self.host, self.hertz, self.tcp = host, hertz, tcp
        self.ufrag, self.pwd = os.urandom(4).hex(), os.urandom(12).hex()
        self.samples, self.validated, self.requests, self.closed = [], 0, [], False
        self.link, self.remote, self.told = None, None, None
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((host, 0))
        self.lock = threading.Lock()

    def candidate(self):
        if self.tcp:
            return f"candidate:1 1 TCP 1015021823 {self.host} 9 typ host tcptype active"
        return f"candidate:1 1 UDP 2130706431 {self.host} {self.udp.getsockname()[1]} typ host"

    def sdp(self, candidates=True):
        lines = ["v=0", f"o=- 1 {1 + len(self.requests)} IN IP4 {self.host}", "s=-", "c=IN IP4 0.0.0.0", "t=0 0", "m=audio 9 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "a=mid:0",
                 "a=rtcp-mux", f"a=ice-ufrag:{self.ufrag}", f"a=ice-pwd:{self.pwd}", "a=ice-options:ice2 trickle"]
        if candidates:
            lines += ["a=" + self.candidate(), "a=end-of-candidates"]
        return "\r\n".join(lines) + "\r\n"

    def fragment(self):
        return (f"a=ice-ufrag:{self.ufrag}\r\na=ice-pwd:{self.pwd}\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"
                f"a={self.candidate()}\r\na=end-of-candidates\r\n")

    # -- signalling

    def call(self, to, candidates=True):
        self.ua.offer = lambda: self.sdp(candidates)
        self.ua.invite_headers = TRICKLE
        answer = self.ua.call(to, 20)
        check(answer.status == 200, f"INVITE: {answer.start}")
        check("trickle-ice" in answer.get("recv-info") and "trickle-ice" in answer.get("supported"), f"headers {answer.headers}")
        self.learn(answer.body)

    def learn(self, body):
        self.told = body
        self.peer = re.search(r"a=ice-ufrag:(\S+)", body)[1], re.search(r"a=ice-pwd:(\S+)", body)[1]
        offered = re.findall(r"a=candidate:\S+ 1 (\S+) \d+ (\S+) (\d+) typ host(?: tcptype (\S+))?", body)
        self.remote = next((address, int(port)) for transport, address, port, kind in offered
                           if transport.upper() == ("TCP" if self.tcp else "UDP") and kind in ("", "passive"))

    def trickle(self):
        self.ua.cseq += 1
        self.ua.send(self.ua.request_text("INFO", self.ua.target, to=self.ua.remote, body=self.fragment(), headers=[
            "Info-Package: trickle-ice", "Content-Disposition: Info-Package", "Content-Type: application/trickle-ice-sdpfrag"]))
        answer = self.ua.response("INFO")
        check(answer.status == 200, f"INFO: {answer.start}")

    def due(self, method, seconds=20):
        """The next request of that method; others are answered and passed over."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            m = self.ua.waiting.pop(0) if self.ua.waiting else self.ua.receive(max(0.01, deadline - time.monotonic()))
            if m and m.method == method:
                return m
        check(False, f"no {method} in {seconds} s")

    def answer_reinvite(self, request):
        """With credentials of a new generation; and with another port, as after a change of networks."""
        with self.lock:
            self.requests.append(request)
            self.ufrag, self.pwd = os.urandom(4).hex(), os.urandom(12).hex()
            if not self.tcp:
                self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self.udp.bind((self.host, 0))
            self.learn(request.body)
            self.validated = 0
            self.link = None
        body = self.sdp()
        kept = "".join(f"{n}: {v}\r\n" for n, v in request.headers if n in ("via", "from", "to", "call-id", "cseq", "record-route"))
        self.ua.send(f"SIP/2.0 200 OK\r\n{kept}Contact: <sip:{self.ua.user}@{self.ua.local}>\r\nContent-Type: application/sdp\r\n"
                     f"Content-Length: {len(body)}\r\n\r\n{body}")
        self.due("ACK", 10)

    # -- media

    def start(self):
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _send(self, data):
        if self.tcp:
            try:
                self.link.sendall(struct.pack("!H", len(data)) + data)
            except (ConnectionResetError, BrokenPipeError):  # closed with packets of ours unread
                self.closed = True
        else:
            self.udp.sendto(data, self.remote)

    def _check(self):
        m = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        m.attributes["USERNAME"] = f"{self.peer[0]}:{self.ufrag}"
        m.attributes["PRIORITY"] = 1862270975
        m.attributes["ICE-CONTROLLING"] = 1
        m.attributes["USE-CANDIDATE"] = None
        m.add_message_integrity(self.peer[1].encode())
        self._send(bytes(m))

    def _hear(self, data):
        if data[0] > 3:
            if data[0] & 0xC0 == 0x80 and data[1] & 0x7F == 0:
                linear = audioop.ulaw2lin(data[12:], 2)
                self.samples.extend(struct.unpack(f"<{len(linear) // 2}h", linear))
            return
        m = stun.parse_message(data)
        if m.message_class == stun.Class.RESPONSE:
            self.validated += 1
        elif m.message_class == stun.Class.REQUEST and m.attributes["USERNAME"].split(":")[0] == self.ufrag:
            stun.parse_message(data, self.pwd.encode())
            answer = stun.Message(m.message_method, stun.Class.RESPONSE, m.transaction_id)
            answer.attributes["XOR-MAPPED-ADDRESS"] = self.remote
            answer.add_message_integrity(self.pwd.encode())
            self._send(bytes(answer))

    def _read(self):
        """What is there, without waiting."""
        if not self.tcp:
            while select.select([self.udp], [], [], 0)[0]:
                self._hear(self.udp.recvfrom(2048)[0])
            return
        while select.select([self.link], [], [], 0)[0]:
            data = self.link.recv(65536)
            if not data:
                self.closed = True
                return
            self.buffer += data
            while len(self.buffer) >= 2 and len(self.buffer) >= 2 + (size := struct.unpack("!H", self.buffer[:2])[0]):
                frame, self.buffer = self.buffer[2:2 + size], self.buffer[2 + size:]
                self._hear(frame)

    def _run(self):
        """Every 20 ms a packet, every second a check."""
        at, began = 0, time.monotonic()
        while not self.closed:
            with self.lock:
                if self.tcp and not self.link:
                    self.link, self.buffer = socket.create_connection(self.remote, 10), b""
                    self._check()
                if at % 50 == 0 or not self.validated and at % 10 == 0:
                    self._check()
                if self.validated:
                    tone = [int(TONE_AMPLITUDE * math.sin(2 * math.pi * self.hertz * (160 * at + i) / 8000)) for i in range(160)]
                    self._send(struct.pack("!BBHII", 0x80, 0, at & 0xFFFF, 160 * at, 4711) + audioop.lin2ulaw(struct.pack("<160h", *tone), 2))
                self._read()
            at += 1
            time.sleep(max(0, began + at * 0.02 - time.monotonic()))

    def connected(self, seconds=10):
        wait_for(lambda: self.validated, seconds, f"an answer to a check of {self.ua.user}")

    def close(self):
        self.closed = True
        self.ua.close()
