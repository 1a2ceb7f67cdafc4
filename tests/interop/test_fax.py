#!/usr/bin/env python3
"""Faxes between two machines (fax_machine.cpp: spandsp's modems and T.30): a page sent as sound, over two companding laws, and as T.38 after a
re-INVITE arrives dot for dot; through a line that loses packets, or to an ear with the wrong law, it does not."""
import json
import os
import re
import subprocess
import threading

from harness import HOST, Suite, check, free_port
from ua import Ua

suite = Suite()
node = suite.node("fax")
LINES = 120
machine = suite.binary.parent / "fax_machine"
page = suite.folder / "page.tif"
count = 0


def sound(port, payload_type, law):
    return (f"v=0\r\no=- 1 1 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\nm=audio {port} RTP/AVP {payload_type}\r\n"
            f"a=rtpmap:{payload_type} {law}/8000\r\na=sendrecv\r\n")


def t38(port):
    return (f"v=0\r\no=- 1 2 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\nm=image {port} udptl t38\r\na=T38FaxVersion:0\r\n"
            "a=T38MaxBitRate:9600\r\na=T38FaxRateManagement:transferredTCF\r\na=T38FaxMaxBuffer:2000\r\na=T38FaxMaxDatagram:400\r\n"
            "a=T38FaxUdpEC:t38UDPRedundancy\r\n")


class FaxPhone(Ua):
    """Signalling only: the port in its descriptions is the machine's."""

    def __init__(self, user, law):
        super().__init__(node, user)
        self.law, self.type = ("PCMA", 8) if law == "a" else ("PCMU", 0)
        self.fax_port = free_port(both=False)

    def offer(self):
        return sound(self.fax_port, self.type, self.law)

    def ring(self, seconds=10):
        """Takes the next INVITE: its description."""
        m = self.waiting.pop(0) if self.waiting else self.receive(seconds)
        check(m and m.method == "INVITE", f"INVITE is due, not {m and m.start}")
        return m

    def answer(self, request, body, status="200 OK"):
        tag = f";tag={self.tag}" if "tag=" not in request.get("to") else ""
        kept = "".join(f"{n}: {v}{tag if n == 'to' else ''}\r\n" for n, v in request.headers
                       if n in ("via", "from", "to", "call-id", "cseq", "record-route"))
        kind = "Content-Type: application/sdp\r\n" if body else ""
        self.send(f"SIP/2.0 {status}\r\n{kept}Contact: <sip:{self.user}@{self.local}>\r\n{kind}Content-Length: {len(body)}\r\n\r\n{body}")
        m = self.receive(5)
        check(m and m.method == "ACK", f"ACK is due, not {m and m.start}")
        if status.startswith("200"):
            self.aim(request.body)

    def aim(self, description):
        """Where the machine sends: the line that is not refused."""
        self.media = int(re.search(r"m=(?:audio|image) ([1-9]\d*)", description)[1])

    def enter(self, invite):
        """The dialog that INVITE began, for requests of our own in it."""
        self.remote, self.target = invite.get("from"), re.search(r"<([^>]+)>", invite.get("contact"))[1]
        self.call_id = invite.get("call-id")

    def reinvite(self, body):
        """The final response, acknowledged."""
        self.cseq += 1
        branch = "z9hG4bK" + os.urandom(8).hex()
        self.send(self.request_text("INVITE", self.target, headers=["Content-Type: application/sdp"], body=body, to=self.remote, branch=branch))
        answer = self.response("INVITE")
        self.send(self.request_text("ACK", self.target, to=self.remote, branch=branch if answer.status >= 300 else None))
        if answer.status < 300:
            self.aim(answer.body)
        return answer


def meanwhile(ask, answer):
    """What ask() gave, while answer() is done."""
    given = []
    asking = threading.Thread(target=lambda: given.append(ask()))
    asking.start()
    answer()
    asking.join()
    check(given, "no final response")
    return given[0]


def call(law_a, law_b):
    a, b = suite.closing(FaxPhone("1001", law_a)), suite.closing(FaxPhone("1002", law_b))
    check(b.register().status == 200, "1002 does not register")

    def answer():
        invite = b.ring(15)
        b.answer(invite, b.offer())
        b.enter(invite)

    final = meanwhile(lambda: a.call("1002", 20), answer)
    check(final.status == 200, final.start)
    return a, b


def transmit(a, b, *options, of_a=(), of_b=(), seconds=100):
    """Both machines run until they hang up: (sender's, receiver's account, comparison of the pages)."""
    global count
    count += 1
    received = suite.folder / f"received-{count}.tif"
    common = ["--seconds", str(seconds), *options]
    law = {"PCMA": "a", "PCMU": "u"}
    ends = []
    for phone, file, more in ((b, received, of_b), (a, page, ["--calling", *of_a])):
        argv = [str(machine), "call", "--law", law[phone.law], "--local", str(phone.fax_port), "--remote", str(phone.media), "--file", str(file),
                *common, *more]
        ends.append(subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    accounts = []
    for process in ends:
        out, err = process.communicate(timeout=seconds + 20)
        check(process.returncode == 0 and out, f"fax_machine: {process.returncode} {err}")
        accounts.append(json.loads(out))
    compared = json.loads(subprocess.run([machine, "compare", page, received], capture_output=True, text=True, check=True).stdout)
    return accounts[1], accounts[0], compared


def arrived(sender, receiver, compared):
    check(sender["code"] == 0 and receiver["code"] == 0, f"{sender} {receiver}")
    check(receiver["pages"] == 1 and compared == {"lines": LINES, "received": LINES, "equal": LINES}, f"{receiver} {compared}")


def not_arrived(sender, receiver, compared):
    check(compared["equal"] < LINES, f"the page arrived whole: {sender} {receiver} {compared}")


def end(a, b):
    a.bye()
    node.wait_no_calls()
    a.close(), b.close()


def as_sound():
    a, b = call("u", "u")
    arrived(*transmit(a, b))
    end(a, b)


def two_laws():
    a, b = call("u", "a")
    arrived(*transmit(a, b))
    end(a, b)


def as_t38():
    a, b = call("u", "u")

    def takes_t38():
        offer = a.ring()
        check("m=image" in offer.body and "udptl t38" in offer.body and "T38FaxRateManagement" in offer.body, offer.body)
        a.answer(offer, t38(a.fax_port))

    # As machines do it: the one that is called asks.
    final = meanwhile(lambda: b.reinvite(t38(b.fax_port)), takes_t38)
    check(final.status == 200 and "m=image" in final.body, final.body)
    arrived(*transmit(a, b, "--t38", of_a=("--loss", "0.03")))

    def takes_sound():
        offer = b.ring()
        check(re.search(r"m=audio [1-9]", offer.body), offer.body)
        b.answer(offer, b.offer())

    final = meanwhile(lambda: a.reinvite(a.offer()), takes_sound)
    check(final.status == 200 and re.search(r"m=audio [1-9]", final.body), final.body)
    final = meanwhile(lambda: a.reinvite(t38(a.fax_port)), lambda: b.answer(b.ring(), "", "488 Not Acceptable Here"))
    check(final.status == 488, final.start)
    end(a, b)


def lost_packets():
    a, b = call("u", "u")
    not_arrived(*transmit(a, b, of_a=("--loss", "0.05"), seconds=45))
    end(a, b)


def wrong_law():
    a, b = call("u", "a")
    not_arrived(*transmit(a, b, of_b=("--wrong-law",), seconds=45))
    end(a, b)


def main():
    check(machine.exists(), f"{machine} is not built")
    subprocess.run([machine, "page", page, str(LINES)], check=True)
    node.start()
    suite.run("G.711 from end to end", as_sound)
    suite.run("mu-law at one leg, A-law at the other", two_laws)
    suite.run("T.38 by re-INVITE, back to sound, and refused", as_t38)
    suite.run("5 % loss must not deliver", lost_packets)
    suite.run("the wrong law must not deliver", wrong_law)
    suite.finish()


main()
