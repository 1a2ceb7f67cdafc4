#!/usr/bin/env python3
"""Key presses from any way to any other: a phone of our own presses (telephone events, INFO in both forms, tones) or is told, baresip at the
other end hears telephone events, INFO or what is in the sound. Each digit once, as long as it was pressed, and nothing left in the sound."""
import array
import math
import re
import shutil
import struct
import time

from harness import HOST, Baresip, Suite, check, goertzel, wait_for
from ua import Message, Ua

suite = Suite()
node = suite.node("dtmf")
count = 0
LOW, HIGH = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
KEYS = ("123A", "456B", "789C", "*0#D")
EVENTS = "0123456789*#ABCD"
PRESSES = [("1", 100), ("5", 300), ("#", 200)]
WITHIN = 45  # ms: two frames, and what a loaded machine adds


def frequencies(digit):
    row = next(i for i, keys in enumerate(KEYS) if digit in keys)
    return LOW[row], HIGH[KEYS[row].index(digit)]


def tone(digit, ms, rate=8000, amplitude=6000):
    low, high = frequencies(digit)
    return [int(amplitude * (math.sin(2 * math.pi * low * i / rate) + math.sin(2 * math.pi * high * i / rate))) for i in range(ms * rate // 1000)]


def digits_in(samples, rate=8000):
    """(digit, ms) of the tones in a recording, by steps of 10 ms; a hole of one step is none."""
    step, found = rate // 100, []
    for i in range(0, len(samples) - step + 1, step):
        block = samples[i:i + step]
        heard = None
        if sum(s * s for s in block) / step > 300 * 300:
            low, high = (max(band, key=lambda hz: goertzel(block, hz, rate)) for band in (LOW, HIGH))
            if goertzel(block, low, rate) + goertzel(block, high, rate) > 0.7:
                heard = KEYS[LOW.index(low)][HIGH.index(high)]
        found.append(heard)
    presses, at = [], 0
    while at < len(found):
        if found[at] is None:
            at += 1
            continue
        end = at + 1
        while end < len(found) and (found[end] == found[at] or (end + 1 < len(found) and found[end + 1] == found[at])):
            end += 1
        presses.append((found[at], 10 * (end - at)))
        at = end
    return [p for p in presses if p[1] >= 30]


def expect(got, wanted, what):
    check([d for d, _ in got] == [d for d, _ in wanted], f"{what}: {got} where {wanted} was pressed")
    for (digit, ms), (_, due) in zip(got, wanted):
        check(abs(ms - due) <= WITHIN, f"{what}: {digit} lasted {ms} ms instead of {due}: {got}")


def linear(byte):
    """G.711 mu-law."""
    byte = ~byte & 0xFF
    value = ((((byte & 0x0F) << 3) + 0x84) << ((byte & 0x70) >> 4)) - 0x84
    return -value if byte & 0x80 else value


LINEAR = [linear(b) for b in range(256)]


def mu_law(sample):
    sign = 0x80 if sample < 0 else 0
    value = min(abs(sample), 32635) + 0x84
    exponent = max(0, value.bit_length() - 8)
    return ~(sign | exponent << 4 | value >> (exponent + 3) & 0x0F) & 0xFF


class Phone(Ua):
    """A caller that talks PCMU without a pause and keeps what comes."""

    def __init__(self, user, events):
        super().__init__(node, user)
        self.events, self.sequence, self.timestamp, self.ssrc = events, 100, 16000, 0x1234ABCD
        self.packets, self.told = [], []
        self.clock = time.monotonic()

    def offer(self):
        text = super().offer()
        if self.events:
            text = text.replace("RTP/AVP 0", "RTP/AVP 0 101").replace("a=sendrecv", "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv")
        return text

    def send_rtp(self, payload, kind=0, timestamp=None, marker=False):
        at = self.timestamp if timestamp is None else timestamp
        header = struct.pack("!BBHII", 0x80, kind | (0x80 if marker else 0), self.sequence & 0xFFFF, at & 0xFFFFFFFF, self.ssrc)
        self.rtp.sendto(header + payload, (HOST, self.media))
        self.sequence += 1

    def frame_over(self):
        """To the end of this frame; what comes meanwhile is kept."""
        self.clock += 0.02
        self.timestamp += 160
        while True:
            left = self.clock - time.monotonic()
            self.rtp.settimeout(max(0.0005, left))
            try:
                self.packets.append(self.rtp.recv(2048))
            except (TimeoutError, BlockingIOError):
                pass
            if left <= 0:
                break
        self.socket.settimeout(0.0005)
        try:
            m = Message(self.socket.recv(65535))
            if m.method == "INFO":
                self.told.append(m)
                self.accept(m)
        except (TimeoutError, BlockingIOError):
            pass

    def talk(self, seconds, samples=()):
        samples = list(samples)
        for i in range(max(int(seconds * 50), -(-len(samples) // 160))):
            frame = (samples[i * 160:(i + 1) * 160] + [0] * 160)[:160]
            self.send_rtp(bytes(mu_law(s) for s in frame))
            self.frame_over()

    def press_events(self, digit, ms):
        began = self.timestamp
        for at in range(20, ms + 1, 20):
            self.send_rtp(struct.pack("!BBH", EVENTS.index(digit), 10, at * 8), 101, began, at == 20)
            self.frame_over()
        for _ in range(3):
            self.send_rtp(struct.pack("!BBH", EVENTS.index(digit), 0x8A, ms * 8), 101, began)

    def press_info(self, digit, ms, plain=False):
        self.cseq += 1
        body = digit if plain else f"Signal={digit}\r\nDuration={ms}\r\n"
        kind = "application/dtmf" if plain else "application/dtmf-relay"
        self.send(self.request_text("INFO", self.target, headers=[f"Content-Type: {kind}"], body=body, to=self.remote))
        answer = self.response("INFO")
        check(answer.status == 200, f"INFO was answered {answer.start}")
        self.clock = time.monotonic()

    def press(self, way, digit, ms):
        if way == "events":
            self.press_events(digit, ms)
        elif way == "tones":
            self.talk(ms / 1000, tone(digit, ms))
        else:
            self.press_info(digit, ms, way == "plain INFO")

    def sound(self):
        """The sound that came, by its timestamps."""
        frames = {}
        for p in self.packets:
            _, kind, _, at, _ = struct.unpack("!BBHII", p[:12])
            if kind & 0x7F == 0:
                frames[at] = [LINEAR[b] for b in p[12:]]
        out, last = array.array("h"), None
        for at in sorted(frames):
            if last is not None and 0 < at - last < 80000:
                out.extend([0] * (at - last))
            out.extend(frames[at])
            last = at + len(frames[at])
        return list(out)

    def events_heard(self):
        """(digit, ms) of the telephone events that came: one for each timestamp."""
        heard = {}
        for p in self.packets:
            _, kind, _, at, _ = struct.unpack("!BBHII", p[:12])
            if kind & 0x7F != 101 or len(p) < 16:
                continue
            event, _, lasted = struct.unpack("!BBH", p[12:16])
            heard[at] = (EVENTS[event], max(lasted // 8, heard.get(at, (0, 0))[1]))
        return [heard[at] for at in sorted(heard)]


def baresip(user, policy):
    """It plays a tone nobody takes for a digit."""
    global count
    count += 1
    node.subscriber(user, dtmf=policy)
    p = suite.closing(Baresip(node.folder, f"{count}-{user}", user, node.users[user], node.sip, 440))
    p.wait_registered(node)
    return p


def digits_told(phone):
    phone.pump()
    return [e["param"] for e in phone.events if e.get("type") == "CALL_DTMF_START"]


def to_baresip(way, policy):
    callee = baresip("1002", policy)
    caller = suite.closing(Phone("1001", events=way == "events"))
    answer = caller.call("1002")
    check(answer.status == 200, f"the call was answered {answer.start}")
    check(("telephone-event" in answer.body) == (way == "events"), answer.body)
    callee.event("CALL_ESTABLISHED")
    caller.clock = time.monotonic()
    caller.talk(1)
    for digit, ms in PRESSES:
        caller.press(way, digit, ms)
        caller.talk(0.6 if "INFO" in way else 0.3)
    caller.talk(1)
    samples, rate = callee.recording()
    if policy == "inband":
        wanted = [(d, 250 if way == "plain INFO" else ms) for d, ms in PRESSES]
        expect(digits_in(samples, rate), wanted, "what baresip recorded")
        check(not digits_told(callee), f"baresip was told {digits_told(callee)}")
    else:
        wait_for(lambda: len(digits_told(callee)) >= len(PRESSES), 5, f"digits told, so far {digits_told(callee)}")
        check(digits_told(callee) == [d for d, _ in PRESSES], f"baresip was told {digits_told(callee)}")
        check(not digits_in(samples, rate), f"left in the sound: {digits_in(samples, rate)}")
    caller.bye()
    node.wait_no_calls()


def from_baresip(policy):
    """baresip presses, telephone events; the caller is told by what its row says."""
    node.subscriber("1001", dtmf=policy)
    callee = baresip("1002", "auto")
    caller = suite.closing(Phone("1001", events=policy == "rfc4733"))
    check(caller.call("1002").status == 200, "the call was not answered")
    callee.event("CALL_ESTABLISHED")
    caller.clock = time.monotonic()
    caller.talk(1)
    for digit in "19#":
        callee.command("sndcode", digit)
        caller.talk(0.7)
    caller.talk(0.5)
    heard = {"inband": lambda: digits_in(caller.sound()), "rfc4733": caller.events_heard,
             "info": lambda: [(re.search(r"Signal=(\S)", m.body)[1], int(re.search(r"Duration=(\d+)", m.body)[1])) for m in caller.told]}
    ways = {way: got() for way, got in heard.items()}
    for way, got in ways.items():
        check("".join(d for d, _ in got) == ("19#" if way == policy else ""), f"{way}: {ways}")
    node.subscriber("1001", dtmf="default")
    caller.bye()
    node.wait_no_calls()


def metrics():
    before = {name: node.metric(f"dtmf_{name}_total") for name in ("heard", "sent", "lost")}
    check(before["heard"] > 0 and before["sent"] == before["heard"] and before["lost"] == 0, str(before))


def main():
    if not shutil.which("baresip"):
        suite.cannot("baresip", "the program is not installed")
        suite.finish()
    node.start()
    for way in ("events", "relay INFO", "plain INFO", "tones"):
        for policy in ("auto", "info", "inband"):
            suite.run(f"{way} to {policy}", to_baresip, way, policy)
    for policy in ("rfc4733", "info", "inband"):
        suite.run(f"baresip to {policy}", from_baresip, policy)
    suite.run("metrics", metrics)
    suite.finish()


main()
