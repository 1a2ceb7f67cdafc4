#!/usr/bin/env python3
"""Browsers as people have them: Chromium with unmodified SIP.js and JsSIP calls phones, services and other pages and is called; tones are measured
at both ends.

Chromium takes no loopback address for a candidate, so this runs in a network namespace with a pair of Ethernet ends of its own."""
import re
import shutil
import time

import own_network
from browser import Driver, Page, missing, node_of
from harness import Baresip, Suite, check, free_port, wait_for
from own_network import ADDRESS, Elsewhere
from tokens import taking_tokens, token_of

NO_NETWORK = own_network.enter(own_network.ON_A_WIRE)

suite = Suite()
count = 0


def phone(node, user, hertz, codec="PCMU/8000/1", options="", **more):
    global count
    count += 1
    p = suite.closing(Baresip(node.folder, f"{count}-{user}", user, node.users[user], node.sip, hertz, codec=codec, options=options, host=ADDRESS, domain=node.domain, **more))
    p.wait_registered(node)
    return p


def page(node, driver, kind, user, hertz, **more):
    p = suite.closing(Page(driver, node, kind, user, hertz, ADDRESS, node.folder, **more))
    p.register()
    return p


def calls_a_phone(node, driver, kind):
    b = phone(node, "1002", 620)
    a = page(node, driver, kind, "1001", 440)
    a.do("call", f"sip:1002@{node.domain}")
    a.event("confirmed")
    a.heard(620), b.heard(440)
    facts = a.do("facts")
    check(facts["dtls"] == "connected" and "a=rtcp-mux" in facts["remote"] and "UDP/TLS/RTP/SAVP" in facts["remote"], str(facts))
    a.do("hold")
    a.event("hold")
    quiet = len(b.recording()[0])
    wait_for(lambda: len(b.recording()[0]) > quiet + 8000, 10, "a second of sound on hold")
    a.do("unhold")
    a.event("unhold")
    a.heard(620), b.heard(440, since=len(b.recording()[0]))
    a.do("hangup")
    node.wait_no_calls()


def sdk_calls(node, driver):
    b = phone(node, "1002", 620)
    a = page(node, driver, "tandem", "1001", 440)
    a.do("call", f"sip:1002@{node.domain}")
    a.event("confirmed")
    a.heard(620), b.heard(440)
    check(a.do("facts")["candidate"] == "host", "relayed without need")
    b.command("hangup")
    a.event("ended")
    node.wait_no_calls()


def video(node, driver, codec):
    """A page and a SIP phone with a camera see each other, whoever calls; pictures, not packets, are looked at."""
    def both_see(a, b):
        def page_sees():
            got = a.do("picture")
            return got if got["width"] > 0 and got["spread"] > 10 else None

        def phone_sees():
            got = b.seen()
            return got if got and got["spread"] > 10 else None

        wait_for(page_sees, 20, "a picture in the page")
        seen = wait_for(phone_sees, 20, "a picture at the phone")
        check(seen["size"][0] / seen["size"][1] > 1.2, str(seen))
        before = a.do("facts")["pictures"]
        check(before["codec"] == f"video/{codec}", str(before))
        after = wait_for(lambda: (f := a.do("facts")["pictures"])["frames"] > before["frames"] + 30 and f, 15, "30 more pictures")
        check(after["sentFrames"] > before["sentFrames"], str(after))

    told = node.metric("media_transport_feedback_total")
    b = phone(node, "1002", 620, video=codec)
    a = page(node, driver, "tandem", "1001", 440, video=True)
    a.do("call", f"sip:1002@{node.domain}")
    a.event("confirmed")
    a.heard(620), b.heard(440)
    both_see(a, b)
    # Chromium's estimate begins at 300 kbit/s, and grows only where it is told when its packets came.
    check("transport-wide-cc" in a.do("facts")["remote"], "the answer takes no transport-wide feedback")
    wait_for(lambda: (a.do("facts")["outgoingBitrate"] or 0) > 400_000, 30, f"a larger estimate: {a.do('facts')['outgoingBitrate']}")
    check(node.metric("media_transport_feedback_total") > told + 10, "feedback is not counted")
    a.do("hangup")
    node.wait_no_calls()
    mark = b.mark()
    b.command("dial", f"sip:1001@{node.domain}")
    a.event("incoming")
    check("transport-wide-cc" in a.do("offered"), "an offer to a page has none")
    a.do("answer")
    b.event("CALL_ESTABLISHED", since=mark)
    a.heard(620)
    both_see(a, b)
    b.command("hangup")
    a.event("ended")
    node.wait_no_calls()


def two_codecs(node, driver, of_page, of_phone, codec, called):
    """A page and a phone that share no codec hear each other, also after a hold with music; `called`: whoever calls."""
    def both_hear():
        a.heard(620), b.heard(440, since=len(b.recording()[0]))
        wait_for(lambda: (a.do("facts").get("codec") or "").lower() == f"audio/{of_page}".lower(), 5, f"sound in {of_page} at the page")

    def over(spoken_by_page):
        node.wait_no_calls()
        row = wait_for(lambda: (rows := node.conversations()) and len(rows) > known and rows, 10, "a record")[0]
        spoken = {row[side]["user"]: row[side]["codec"].lower() for side in ("caller", "callee")}
        check(spoken == {"1001": spoken_by_page.lower(), "1002": of_phone.lower()}, f"what was spoken: {spoken}")

    b = phone(node, "1002", 620, codec)
    a = page(node, driver, "tandem", "1001", 440, codecs={"audio": [of_page]})
    known = len(node.conversations())
    a.do("call", f"sip:1002@{node.domain}")
    a.event("confirmed")
    both_hear()
    b.command("hold")
    hears_music(a)
    b.command("resume")
    a.heard(620)  # baresip records no more once it has held
    a.do("hangup")
    over(of_page)
    if not called:
        return
    known, mark = len(node.conversations()), b.mark()
    b.command("dial", f"sip:1001@{node.domain}")
    a.event("incoming")
    a.do("answer")
    b.event("CALL_ESTABLISHED", since=mark)
    both_hear()
    b.command("hangup")
    a.event("ended")
    over(of_phone)  # Chromium sends the first codec of an offer that it has, L16 too, whatever it answers that it takes


def hears_music(p):
    """No tone of ours, nor silence."""
    wait_for(lambda: (got := p.do("heard"))["level"] and got["level"] > -70 and abs(got["hertz"] - 620) > 15, 15, "music on hold in the page")


def is_held(node, driver, kind, codec):
    """A phone that speaks what the page speaks holds it, twice, whoever called: music takes the place of the phone's own packets and gives it back."""
    b = phone(node, "1002", 620, codec)
    a = page(node, driver, kind, "1001", 440)
    for pages_call in (True, False):
        mark = b.mark()
        if pages_call:
            a.do("call", f"sip:1002@{node.domain}")
            a.event("confirmed")
        else:
            b.command("dial", f"sip:1001@{node.domain}")
            a.event("incoming")
            a.do("answer")
            b.event("CALL_ESTABLISHED", since=mark)
        a.heard(620), b.heard(440, since=len(b.recording()[0]))
        for _ in range(2):
            b.command("hold")
            hears_music(a)
            b.command("resume")
            a.heard(620)
        a.do("hangup")
        node.wait_no_calls()


def pages_see(node, driver, codec):
    """Two pages that speak no other codec for pictures than that one see and hear each other."""
    a, b = (page(node, driver, "tandem", user, hertz, video=True, codecs={"video": [codec]}) for user, hertz in (("1001", 440), ("1002", 620)))
    a.do("call", f"sip:1002@{node.domain}")
    b.event("incoming")
    b.do("answer")
    a.event("confirmed"), b.event("confirmed")
    a.heard(620), b.heard(440)
    for p in (a, b):
        wait_for(lambda: (got := p.do("picture"))["width"] > 0 and got["spread"] > 10, 20, f"a picture in the page of {p.user}")
        before = p.do("facts")["pictures"]
        check(before["codec"] == f"video/{codec}", str(before))
        after = wait_for(lambda: (f := p.do("facts")["pictures"])["frames"] > before["frames"] + 30 and f, 15, "30 more pictures")
        check(after["sentFrames"] > before["sentFrames"], str(after))
    a.do("hangup")
    b.event("ended")
    node.wait_no_calls()


def by_token(node, driver, kind):
    """A page signs in with a JSON Web Token and never knows a password; one that is old, or that a stranger signed, lets nobody in."""
    taken = node.metric("auth_tokens_total", 'outcome="ok"')
    b = phone(node, "1002", 620)
    a = page(node, driver, kind, "1001", 440, token=token_of("1001"))
    a.do("call", f"sip:1002@{node.domain}")
    a.event("confirmed")
    a.heard(620), b.heard(440)
    a.do("hangup")
    node.wait_no_calls()
    mark = b.mark()
    b.command("dial", f"sip:1001@{node.domain}")
    a.event("incoming")
    a.do("answer")
    b.event("CALL_ESTABLISHED", since=mark)
    a.heard(620), b.heard(440, since=len(b.recording()[0]))
    b.command("hangup")
    a.event("ended")
    node.wait_no_calls()
    check(node.metric("auth_tokens_total", 'outcome="ok"') >= taken + 2, "it was not the token that let the page in")
    for why, bad in (("expired", token_of("1003", seconds=-60)), ("signature", token_of("1003", key="x" * 48))):
        counted = node.metric("auth_tokens_total", f'outcome="{why}"')
        refused = suite.closing(Page(driver, node, kind, "1003", 880, ADDRESS, node.folder, token=bad))
        refused.do("register")
        check(refused.event("registrationFailed")["status"] == 401, f"{why}: another answer")
        check(not any(e["kind"] == "registered" for e in refused.log()), f"{why}: let in")
        check(node.metric("auth_tokens_total", f'outcome="{why}"') > counted, f"{why}: not counted")
        check(not node.api("GET", "/registrations?search=1003")["items"], f"{why}: registered")


def relay_node():
    """With TURN, whose clients may reach this network: the page's own and the node's media are in it."""
    plain, secure = free_port(), free_port()
    node = suite.node("relay", config={})
    return node_of(node, turn={"host": ADDRESS, "peers": {"allow": [f"{ADDRESS}/32"]}, "relay": {"ports": "61000-61099"}, "realm": ADDRESS,
                               "listeners": [{"transport": t, "bind": f"{ADDRESS}:{p}"} for t, p in (("udp", plain), ("tcp", plain), ("tls", secure))]})


def is_called(node, driver, kind):
    b = phone(node, "1002", 620)
    a = page(node, driver, kind, "1001", 440)
    mark = b.mark()
    b.command("dial", f"sip:1001@{node.domain}")
    check(a.event("incoming")["from"] == "1002", "who calls")
    a.do("answer")
    a.event("confirmed")
    b.event("CALL_ESTABLISHED", since=mark)
    a.heard(620), b.heard(440)
    remote = a.do("facts")["remote"]
    for line in ("a=rtcp-mux", "a=fingerprint:sha-256", "a=candidate:", "a=ice-ufrag:"):
        check(line in remote, f"no {line} in the offer to a page: {remote}")
    b.command("hangup")
    a.event("ended")
    node.wait_no_calls()


def page_calls_page(node, driver):
    a, b = page(node, driver, "jssip", "1001", 440), page(node, driver, "sipjs", "1002", 620)
    a.do("call", f"sip:1002@{node.domain}")
    b.event("incoming")
    b.do("answer")
    a.event("confirmed"), b.event("confirmed")
    a.heard(620), b.heard(440)
    b.do("hangup")
    a.event("ended")
    node.wait_no_calls()


def echo(node, driver, kind):
    a = page(node, driver, kind, "1001", 440)
    a.do("call", f"sip:*43@{node.domain}")
    a.event("confirmed")
    a.heard(440)
    a.do("hangup")
    node.wait_no_calls()


def keys(node, driver, kind, how):
    b = phone(node, "1002", 620)
    a = page(node, driver, kind, "1001", 440)
    mark = b.mark()
    a.do("call", f"sip:1002@{node.domain}")
    a.event("confirmed")
    a.heard(620)
    for key in "15#":
        a.do("dtmf", key, how)
        wait_for(lambda: [e for e in b.events[mark:] if e.get("type") == "CALL_DTMF_START" and e.get("param") == key] or b.pump(), 10, f"{key} by {how} at the phone: {b.events[mark:]}")
    a.do("hangup")
    node.wait_no_calls()


def transfer(node, driver, kind):
    b, c = phone(node, "1002", 620), phone(node, "1003", 880)
    a = page(node, driver, kind, "1001", 440)
    a.do("call", f"sip:1002@{node.domain}")
    a.event("confirmed")
    a.heard(620)
    a.do("transfer", f"sip:1003@{node.domain}")
    b.heard(880), c.heard(620)
    b.command("hangup")
    node.wait_no_calls()


def messages(node, driver):
    a, b = page(node, driver, "jssip", "1001", 440), page(node, driver, "sipjs", "1002", 620)
    for here, there in ((a, b), (b, a)):
        here.do("message", f"sip:{there.user}@{node.domain}", "안녕 🎧")
        here.event("messageSent")
        got = there.event("message")
        check(got["text"] == "안녕 🎧" and got["from"] == here.user, str(got))


def reconnects(node, driver):
    """The page's connection dies in a call; sound goes on, and the phone's hang-up finds the page on its new one."""
    b = phone(node, "1002", 620)
    a = page(node, driver, "jssip", "1001", 440)
    a.do("call", f"sip:1002@{node.domain}")
    a.event("confirmed")
    a.heard(620)
    moved = node.metric("call_phones_moved_total")
    a.do("drop")
    a.event("disconnected"), a.event("connected")
    a.do("register")
    a.event("registered")
    wait_for(lambda: node.metric("call_phones_moved_total") > moved, 10, "the leg moves")
    a.heard(620), b.heard(440)
    b.command("hangup")
    a.event("ended")
    node.wait_no_calls()


def relayed(node, driver, transport=None):
    """Nothing but TURN leads out of the page's network: over that transport, or by all the node tells of itself. To a phone and from it."""
    given = {}
    if transport:
        made = node.api("POST", "/turn/credentials", {"user": f"1001@{node.domain}"})
        scheme, proto = {"udp": ("turn:", "udp"), "tcp": ("turn:", "tcp"), "tls": ("turns:", "tcp")}[transport]
        uri, = [u for u in made["uris"] if u.startswith(scheme) and u.endswith(proto)]
        given = {"iceServers": [{"urls": uri, "username": made["username"], "credential": made["password"]}]}
    b = phone(node, "1002", 620)
    a = page(node, driver, "tandem", "1001", 440, relayOnly=True, **given)
    a.do("call", f"sip:1002@{node.domain}")
    a.event("confirmed")
    a.heard(620), b.heard(440)
    facts = a.do("facts")
    check(facts["candidate"] == "relay" and (transport is None or facts["relay"] == transport), str({k: facts.get(k) for k in ("candidate", "relay", "url")}))
    owners = [x["user"] for x in node.api("GET", "/turn/allocations")["items"]]
    check(any("1001" in user for user in owners), f"allocations: {owners}")
    a.do("hangup")
    node.wait_no_calls()
    mark = b.mark()
    b.command("dial", f"sip:1001@{node.domain}")
    a.event("incoming")
    a.do("answer")
    b.event("CALL_ESTABLISHED", since=mark)
    a.heard(620), b.heard(440, since=len(b.recording()[0]))
    check(a.do("facts")["candidate"] == "relay", "the second call is not relayed")
    b.command("hangup")
    a.event("ended")
    node.wait_no_calls()


def changes_network(node, known):
    """The machine of a page leaves the network that its media uses in mid-call, for one that it had as well (`known`) or for a new one:
    the page finds another way to the node by itself, and sound goes on both ways from another address."""
    elsewhere = suite.closing(Elsewhere((1, 2)))
    elsewhere.come(1), elsewhere.reach(1)
    if known:
        elsewhere.come(2)
    b = phone(node, "1002", 620)
    a = page(node, suite.closing(Driver(suite.folder, prefix=elsewhere.prefix)), "tandem", "1001", 440)
    a.do("call", f"sip:1002@{node.domain}")
    a.event("confirmed")
    a.heard(620), b.heard(440)
    before = a.do("facts")
    old, new = sorted((1, 2), key=lambda n: before["address"] != elsewhere.address(n))
    check(before["address"] == elsewhere.address(old), f"the page uses {before['address']}")
    cut = time.monotonic()
    elsewhere.go(old)
    if not known:
        elsewhere.come(new)
    elsewhere.reach(new)
    there = wait_for(lambda: (f := a.do("facts")).get("address") == elsewhere.address(new) and f["ice"] in ("connected", "completed") and f, 60,
                     f"a way from {elsewhere.address(new)}: {before['address']}")
    a.heard(620), b.heard(440, since=len(b.recording()[0]))
    restarted = ufrag(there) != ufrag(before)
    print(f"    {there['address']} after {before['address']} in {time.monotonic() - cut:.1f} s, {'by an ICE restart' if restarted else 'without an ICE restart'}", flush=True)
    check(restarted or known, "a candidate of the new network came without an ICE restart")
    # Its session comes after it, and has the call.
    a.event("reconnecting", 40), a.event("connected", 30)
    a.do("hangup")
    b.event("CALL_CLOSED")
    node.wait_no_calls()


def ufrag(facts):
    return re.search(r"a=ice-ufrag:(\S+)", facts["local"])[1]


def main():
    why = missing() or NO_NETWORK or (None if shutil.which("baresip") else "baresip is not installed")
    if why:
        suite.cannot("browser", why)
        suite.finish()
    node = node_of(suite.node("node", config={}), sip={"tokens": taking_tokens(suite.folder)},
                   limits={"contacts_per_subscriber": 40}, media={"codecs": ["PCMU", "PCMA", "G722", "opus", "L16/16000"]})
    for user in ("1001", "1002"):
        node.subscriber(user, max_contacts=40)  # pages that are closed may come back for a while
    driver = Driver(suite.folder)
    for kind in ("jssip", "sipjs"):
        suite.run(f"{kind} calls a phone, holds", calls_a_phone, node, driver, kind)
        suite.run(f"{kind} is called", is_called, node, driver, kind)
        suite.run(f"{kind} hears itself", echo, node, driver, kind)
        for how in ("info", "rfc4733"):
            suite.run(f"{kind} presses keys by {how}", keys, node, driver, kind, how)
        suite.run(f"{kind} transfers", transfer, node, driver, kind)
    suite.run("tandem calls a phone", sdk_calls, node, driver)
    suite.run("tandem is called", is_called, node, driver, "tandem")
    for codec in ("VP8", "H264"):
        suite.run(f"a SIP phone with a camera, {codec}", video, node, driver, codec)
    for of_page, of_phone, codec, called in (("opus", "G722", "G722/16000/1", False), ("G722", "opus", "opus/48000/2", False), ("PCMU", "opus", "opus/48000/2", False),
                                             ("opus", "L16", "L16/16000/1", True)):
        suite.run(f"a page that speaks {of_page} and a phone that speaks {of_phone}", two_codecs, node, driver, of_page, of_phone, codec, called)
    for kind, codec in (("tandem", "PCMU/8000/1"), ("jssip", "PCMU/8000/1"), ("tandem", "opus/48000/2")):
        suite.run(f"{kind} is held by a phone that speaks {codec.split('/')[0]}, too", is_held, node, driver, kind, codec)
    suite.run("pages that see each other by H264", pages_see, node, driver, "H264")
    for kind in ("jssip", "sipjs"):
        suite.run(f"{kind} signs in with a token", by_token, node, driver, kind)
    relay = relay_node()
    suite.run("nothing but the node's TURN, as it tells it", relayed, relay, driver)
    for transport in ("udp", "tcp", "tls"):
        suite.run(f"nothing but TURN over {transport}", relayed, relay, driver, transport)
    suite.run("a page whose network changes to a new one", changes_network, node, False)
    suite.run("a page that loses one of two networks", changes_network, node, True)
    suite.run("a page calls a page", page_calls_page, node, driver)
    suite.run("messages", messages, node, driver)
    suite.run("a page reconnects in a call", reconnects, node, driver)
    driver.close()
    suite.finish()


main()
