#!/usr/bin/env python3
"""Attended transfer (RFC 3515, RFC 3891): REFER with Replaces between two calls; who hears whom afterwards is measured in baresip's recordings."""
import re
import shutil
import urllib.parse

from harness import HOST, Baresip, Suite, check, wait_for
from ua import Ua

suite = Suite()
node = suite.node("transfer")
count = 0


def phone(user, hertz):
    global count
    count += 1
    p = suite.closing(Baresip(node.folder, f"{count}-{user}", user, node.users[user], node.sip, hertz))
    p.wait_registered(node)
    return p


def tag(text):
    return re.search(r";tag=([^;>]+)", text)[1]


def refer(transferor, consultation, number):
    """What a telephone sends when its second call takes the first one's place."""
    replaces = urllib.parse.quote(f"{consultation.call_id};to-tag={tag(consultation.remote)};from-tag={consultation.tag}", safe="")
    answer = transferor.ask("REFER", transferor.target, [f"Refer-To: <sip:{number}@{node.domain}?Replaces={replaces}>",
                                                         f"Referred-By: <sip:{transferor.user}@{node.domain}>"], to=transferor.remote)
    check(answer.status == 202, f"REFER: {answer.start}")
    wait_for(lambda: "200" in transferor.notified(), 10, "NOTIFY of success")


def attended(consulted_hears_first):
    """1001 talks to 1002 and to 1003, then hands the one to the other and is out of both calls."""
    b, c = phone("1002", 620), phone("1003", 880)
    first, second = suite.closing(Ua(node, "1001")), suite.closing(Ua(node, "1001"))
    for ua, number, other in ((first, "1002", b), (second, "1003", c)):
        answer = ua.call(number)
        check(answer.status == 200, f"call to {number}: {answer.start}")
        other.event("CALL_ESTABLISHED")
        check(ua.talk(30) > 20, f"no media from {number}")
    transferor, consultation, number = (first, second, "1003") if consulted_hears_first else (second, first, "1002")
    refer(transferor, consultation, number)
    b.heard(880), c.heard(620)
    for ua in (first, second):  # both of its calls end: by the node, or by us as after a NOTIFY of success
        ended = next((m for m in ua.waiting if m.method == "BYE"), None) or ua.receive(3)
        if ended and ended.method == "BYE":
            kept = "".join(f"{n}: {v}\r\n" for n, v in ended.headers if n in ("via", "from", "to", "call-id", "cseq"))
            ua.send(f"SIP/2.0 200 OK\r\n{kept}Content-Length: 0\r\n\r\n")
        else:
            ua.bye()
    b.heard(880), c.heard(620)  # and still hear each other
    calls = node.api("GET", "/calls")["items"]
    check(len(calls) == 1, f"{len(calls)} calls where one is due")
    mark = c.mark()
    b.command("hangup")
    c.event("CALL_CLOSED", since=mark)
    node.wait_no_calls()


def refused():
    """A Replaces that names no call (RFC 3891 section 3: 481) leaves both calls as they are."""
    b = phone("1002", 620)
    ua = suite.closing(Ua(node, "1001"))
    check(ua.call("1002").status == 200, "the call")
    b.event("CALL_ESTABLISHED")
    replaces = urllib.parse.quote("no-such-call@nowhere;to-tag=a;from-tag=b", safe="")
    answer = ua.ask("REFER", ua.target, [f"Refer-To: <sip:1003@{node.domain}?Replaces={replaces}>"], to=ua.remote)
    if answer.status == 202:
        body = ua.notified()
        while "SIP/2.0 1" in body:
            body = ua.notified()
        check(re.search("SIP/2.0 [4-6]", body), f"NOTIFY says {body}")
    else:
        check(answer.status >= 400, f"REFER: {answer.start}")
    check(ua.talk(30) > 20, "the first call is silent after a transfer that failed")
    check(ua.bye().status == 200, "BYE")
    node.wait_no_calls()


def main():
    if not shutil.which("baresip"):
        suite.cannot("attended transfer", "baresip is not installed")
        suite.finish()
    node.start()
    suite.run("attended transfer: the first call to the second", attended, True)
    suite.run("attended transfer: the second call to the first", attended, False)
    suite.run("attended transfer to a call that is not there", refused)
    suite.finish()


main()
