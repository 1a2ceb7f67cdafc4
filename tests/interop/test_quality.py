#!/usr/bin/env python3
"""How a call sounds, as REST, metrics and the record tell it: two baresips, one of them behind a path that loses packets."""
import random
import re
import shutil
import socket
import struct
import threading
import time

from harness import HOST, Baresip, Suite, check, wait_for
from ua import Ua

suite = Suite()
node = suite.node("quality")
count = 0


class Lossy:
    """Between a phone and the node's media ports: that share of the RTP from the phone is dropped, evenly at random."""

    def __init__(self, loss):
        self.loss, self.random = loss, random.Random(7)
        self.outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.outside.bind((HOST, 0))
        self.inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.inside.bind((HOST, 0))
        self.node, self.phone = None, None
        self.open, self.passed, self.dropped = True, 0, 0
        self.threads = [threading.Thread(target=self.carry, args=(s,), daemon=True) for s in (self.outside, self.inside)]
        for t in self.threads:
            t.start()

    def carry(self, source):
        source.settimeout(0.2)
        while self.open:
            try:
                data, sender = source.recvfrom(4096)
            except TimeoutError:
                continue
            except OSError:
                return
            if source is self.outside:  # from the node
                if self.phone:
                    self.inside.sendto(data, self.phone)
            elif self.node:
                self.phone = sender
                if self.random.random() < self.loss:
                    self.dropped += 1
                else:
                    self.passed += 1
                    self.outside.sendto(data, self.node)

    def close(self):
        self.open = False
        for t in self.threads:
            t.join()
        self.outside.close(), self.inside.close()


class Talker(Ua):
    """A phone that sends steadily and says in its SDP that its media is behind the lossy path."""

    def __init__(self, node, user, loss):
        super().__init__(node, user)
        self.path = Lossy(loss)
        self.stream = (random.randrange(1 << 32), 1)  # SSRC, next sequence number
        self.going = False

    def offer(self):
        port = self.path.outside.getsockname()[1]
        return re.sub(r"m=audio \d+", f"m=audio {port}", super().offer())

    def talk_on(self):
        """Through the path, until hush()."""
        self.path.node = (HOST, self.media)
        self.media = self.path.inside.getsockname()[1]
        self.going = True
        self.thread = threading.Thread(target=self.keep_talking, daemon=True)
        self.thread.start()

    def keep_talking(self):
        while self.going:
            self.talk(25)

    def talk(self, packets=25):
        """As Ua's, but one stream over all of them, and nothing is listened to."""
        ssrc, first = self.stream
        start = time.monotonic()
        for i in range(first, first + packets):
            self.rtp.sendto(struct.pack("!BBHII", 0x80, 0, i & 0xFFFF, 160 * i, ssrc) + b"\xd5" * 160, (HOST, self.media))
            left = start + 0.02 * (i - first + 1) - time.monotonic()
            if left > 0:
                time.sleep(left)
        self.stream = (ssrc, first + packets)

    def hush(self):
        self.going = False
        self.thread.join()

    def close(self):
        super().close()
        self.path.close()


def call(loss):
    """(leg as REST shows it, its record) of a caller whose packets meet that loss."""
    global count
    count += 1
    callee = suite.closing(Baresip(node.folder, f"callee-{count}", "1002", node.users["1002"], node.sip, 620))
    callee.wait_registered(node)
    caller = suite.closing(Talker(node, "1001", loss))
    before = len(node.cdrs())
    answer = caller.call("1002")
    check(answer.status == 200, answer.start)
    caller.talk_on()

    def heard():
        legs = [leg for c in node.api("GET", "/calls")["items"] for leg in c["legs"]]
        mine = [leg for leg in legs if leg["party"].startswith("1001")]
        return mine and mine[0]["media"]["packets_received"] >= 600 and mine[0]

    leg = wait_for(heard, 40, "600 packets of the caller's")
    check(node.metric("media_legs") >= 1, "no leg has been graded")
    caller.hush()
    caller.bye()
    row = wait_for(lambda: (rows := node.cdrs()) and len(rows) > before and rows, 10, "a record")[0]
    check(row["caller"]["user"] == "1001", str(row["caller"]))
    callee.close()
    return leg["media"], row["caller"]


def clean_and_lossy():
    good, good_row = call(0)
    bad, bad_row = call(0.05)
    check(good["packets_lost"] == 0 and good["loss"] == 0, str(good))
    check(good["mos"] > 4.2 and good["r_factor"] > 85, str(good))
    check(0.02 < bad["loss"] < 0.09, str(bad))
    check(bad["mos"] < good["mos"] - 0.2 and bad["r_factor"] < good["r_factor"] - 8, f"{bad} against {good}")
    check(good_row["packets_lost"] == 0 and good_row["mos_x100"] > 420, str(good_row))
    check(10 <= bad_row["packets_lost"] <= 80, str(bad_row))
    check(bad_row["mos_x100"] < good_row["mos_x100"] - 20, f"{bad_row} against {good_row}")


def reports():
    """baresip reports what it receives; the record of its leg says so."""
    phones = []
    for user, hertz in (("1003", 440), ("1004", 620)):
        p = suite.closing(Baresip(node.folder, f"reports-{user}", user, node.users[user], node.sip, hertz))
        p.wait_registered(node)
        phones.append(p)
    mark = phones[0].mark()
    phones[0].command("dial", f"sip:1004@{HOST}:{node.sip}")
    phones[0].event("CALL_ESTABLISHED", since=mark)

    def reported():
        legs = [leg for c in node.api("GET", "/calls")["items"] for leg in c["legs"]]
        return len(legs) == 2 and all(leg["media"]["reported"] and leg["media"]["round_trip_ms"] > 0 for leg in legs) and legs

    legs = wait_for(reported, 40, "reports of both, and round trips from them")
    check(all(leg["media"]["round_trip_ms"] < 500 and leg["media"]["reported_mos"] > 4 for leg in legs), str(legs))
    phones[0].command("hangup")
    row = wait_for(lambda: [r for r in node.cdrs("&party=1004") if r["answer"]], 10, "a record")[0]
    check(row["callee"]["reported_mos_x100"] > 400 and row["callee"]["round_trip_us"] > 0, str(row))


def main():
    if not shutil.which("baresip"):
        suite.cannot("baresip", "the program is not installed")
        suite.finish()
    node.start()
    suite.run("5 % loss is heard in REST and in the record", clean_and_lossy)
    suite.run("reports and round trips", reports)
    suite.finish()


main()
