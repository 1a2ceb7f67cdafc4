#!/usr/bin/env python3
"""SIP over WebSocket (RFC 7118) at the protocol's level: handshakes, frames, bearer tokens, a phone that loses its connection in a call,
and crowds of hostile clients beside a call that loses nothing."""
import json
import re
import socket
import subprocess
import threading
import time

from harness import HOST, Failed, Suite, check, wait_for
from tokens import claims, hs256, taking_tokens, token, token_of
from ua import Ua
from websocket_client import BINARY, CLOSE, PING, PONG, Refused, WebSocket, WsUa, tls_context

suite = Suite()
HALF_OPEN = 2000


def refused(node, status, **options):
    try:
        WebSocket(node, **options).close()
    except Refused as e:
        check(e.status == status, f"{e.status} instead of {status}")
        return e.head
    raise Failed(f"it was let in instead of {status}")


def handshakes(node):
    check("sec-websocket-protocol: sip" in WebSocket(node).head.lower(), "no subprotocol in the answer")
    refused(node, 400, protocol=None)
    refused(node, 400, protocol="mqtt")
    refused(node, 404, path="/other")
    refused(node, 403, origin="https://evil.example")
    refused(node, 403, origin=f"http://{HOST}:{node.web}")
    WebSocket(node, origin=f"https://{HOST}:{node.web}").close()
    check(node.get_plain("/sip")[0] == 426, "GET /sip")
    for reason, n in (("origin", 2), ("subprotocol", 2), ("not_upgrade", 1)):
        check(node.metric("http_websocket_refused_total", f'reason="{reason}"') == n, f"{reason}: {node.metric('http_websocket_refused_total')}")


def frames(node):
    web = WebSocket(node)
    web.send(b"hello", PING)
    check(web.receive() == (PONG, b"hello"), "a ping was not answered")
    web.send("\r\n\r\n")
    check(web.receive() == (1, b"\r\n"), "no answer to CRLF")
    options = (f"OPTIONS sip:{node.domain} SIP/2.0\r\nVia: SIP/2.0/WSS x.invalid;branch=z9hG4bK%d\r\nFrom: <sip:a@x.invalid>;tag=1\r\n"
               f"To: <sip:{node.domain}>\r\nCall-ID: o%d\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n\r\n")
    web.send(options % (1, 1))
    check(web.receive()[1].startswith(b"SIP/2.0 200 "), "OPTIONS as text, without Content-Length")
    web.send(options % (2, 2), BINARY)
    check(web.receive()[1].startswith(b"SIP/2.0 200 "), "OPTIONS as binary")
    half = options % (3, 3)
    web.send(half[:50], fin=False)
    web.send(half[50:], 0)
    check(web.receive()[1].startswith(b"SIP/2.0 200 "), "OPTIONS in fragments")
    web.send(b"\x03\xe8", CLOSE)
    check(web.close_code() == 1000, "Close was not answered")
    for code, bytes_ in ((1002, WebSocket.frame("x", masked=False)), (1009, WebSocket.frame("x" * 70000)), (1007, WebSocket.frame(b"\xff\xfe"))):
        web = WebSocket(node)
        web.socket.sendall(bytes_)
        check(web.close_code() == code, f"closed with another code than {code}")
        web.close()


KEYS = {}


def by_openssl(name, elliptic=False):
    def sign(text):
        der = subprocess.run(["openssl", "dgst", "-sha256", "-sign", KEYS[name][0]], input=text, capture_output=True, check=True).stdout
        if not elliptic:
            return der
        parts = subprocess.run(["openssl", "asn1parse", "-inform", "DER"], input=der, capture_output=True, check=True).stdout.decode()
        return b"".join(bytes.fromhex(n.zfill(64)) for n in re.findall(r"INTEGER\s+:([0-9A-F]+)", parts))
    return sign


def token_node():
    folder = suite.folder
    for name, how in (("rsa", ["genrsa", "2048"]), ("ec", ["ecparam", "-name", "prime256v1", "-genkey", "-noout"])):
        private, public = folder / f"{name}.key", folder / f"{name}.pub"
        private.write_bytes(subprocess.run(["openssl", *how], capture_output=True, check=True).stdout)
        public.write_bytes(subprocess.run(["openssl", "pkey", "-in", private, "-pubout"], capture_output=True, check=True).stdout)
        KEYS[name] = (str(private), str(public))
    keys = [{"id": "2026", "algorithm": "RS256", "file": KEYS["rsa"][1]}, {"id": "2027", "algorithm": "ES256", "file": KEYS["ec"][1]}]
    return suite.node("tokens", config={"sip": {"tokens": taking_tokens(folder, keys)}, "limits": {"auth_failures": 0}}).start()


def tokens(node):
    def registers(what):
        phone = suite.closing(WsUa(node, "1001", password="wrong", token=what))
        phone.cseq += 1
        phone.send(phone.request_text("REGISTER", f"sip:{node.domain}", headers=["Expires: 300"]))
        answer = phone.response("REGISTER")
        if answer.status != 200:
            bearer = [c for c in answer.all("www-authenticate") if c.startswith("Bearer ")]
            check(answer.status == 401 and bearer and 'error="invalid_token"' in bearer[0] and "authz_server=" in bearer[0], f"{answer.start} {bearer}")
        return answer.status == 200

    hs = {"alg": "HS256", "typ": "JWT"}
    rs, es = {"alg": "RS256", "kid": "2026"}, {"alg": "ES256", "kid": "2027"}
    check(registers(token(hs256, hs, claims())), "HS256")
    check(registers(token(by_openssl("rsa"), rs, claims())), "RS256")
    check(registers(token(by_openssl("ec", True), es, claims(sub=f"1001@{node.domain}"))), "ES256")
    public = open(KEYS["rsa"][1], "rb").read()
    for why, bad in (
            ("expired", token(hs256, hs, claims(exp=int(time.time()) - 60))),
            ("too_early", token(hs256, hs, claims(nbf=int(time.time()) + 120))),
            ("issuer", token(hs256, hs, claims(iss="https://evil.example"))),
            ("audience", token(hs256, hs, claims(aud="other"))),
            ("subject", token(hs256, hs, claims(sub=""))),
            ("signature", token(lambda t: hs256(t, "x" * 40), hs, claims())),
            ("algorithm", token(lambda t: b"", {"alg": "none"}, claims())),
            ("algorithm", token(lambda t: hs256(t, public), {"alg": "HS256", "kid": "2026"}, claims())),
            ("key", token(hs256, {"alg": "HS256", "kid": "1999"}, claims())),
            ("malformed", "a.b"), ("malformed", token(hs256, hs, {k: v for k, v in claims().items() if k != "exp"}))):
        before = node.metric("auth_tokens_total", f'outcome="{why}"')
        check(not registers(bad), f"{why}: let in")
        check(node.metric("auth_tokens_total", f'outcome="{why}"') == before + 1, f"{why} was not counted")
    check(not registers(token(hs256, hs, claims(sub="1099"))), "nobody's token")
    # Another secret, without a restart; one that cannot be used changes nothing.
    file = suite.folder / "secret"
    file.write_text("short\n")
    check(node.ctl("reload")[0] == 1, "a secret that is too short was taken")
    check(registers(token(hs256, hs, claims())), "and the old one is gone")
    file.write_text("y" * 40 + "\n")
    check(node.ctl("reload")[0] == 0, "the new secret was refused")
    check(not registers(token(hs256, hs, claims())) and registers(token(lambda t: hs256(t, "y" * 40), hs, claims())), "the new secret")
    taking_tokens(suite.folder)
    check(node.ctl("reload")[0] == 0, "the old secret was refused")
    # A token speaks for its subject only, in calls too.
    phone = suite.closing(WsUa(node, "1002", token=token(hs256, hs, claims())))
    check(phone.ask("MESSAGE", f"sip:1001@{node.domain}", ["Content-Type: text/plain"], "hi", f"<sip:1001@{node.domain}>").status == 403, "another's From")


def call_in_progress(node, seconds=3):
    """A call over UDP whose packets are counted while `meanwhile` happens."""
    phone = suite.closing(Ua(node, "1003"))
    check(phone.call("*43").status == 200, "the echo service did not answer")
    return phone


def rebinding(node):
    """A phone loses its connection in a call and registers again: what the other side does finds it there."""
    instance = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
    browser = suite.closing(WsUa(node, "1001", instance=instance))
    check(browser.ask("REGISTER", f"sip:{node.domain}", ["Expires: 300", "Supported: path, outbound"]).status == 200, "REGISTER")
    offer = ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\na=fingerprint:sha-256 " + ":".join(["AB"] * 32) +
             "\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=rtpmap:0 PCMU/8000\r\na=setup:actpass\r\na=rtcp-mux\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n"
             "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\n")
    caller = suite.closing(Ua(node, "1002"))
    done = []
    thread = threading.Thread(target=lambda: done.append(caller.call("1001")), daemon=True)
    thread.start()
    invite = browser.receive(10)
    check(invite and invite.method == "INVITE", f"INVITE is due, not {invite and invite.start}")
    for needed in ("UDP/TLS/RTP/SAVP", "a=fingerprint:sha-256", "a=rtcp-mux", "a=ice-ufrag:", "a=candidate:"):
        check(needed in invite.body, f"a browser is offered no {needed}: {invite.body}")
    check("transport=ws" in invite.get("contact") and invite.get("via").startswith("SIP/2.0/WSS"), str(invite.headers))
    kept = "".join(f"{n}: {v}\r\n" for n, v in invite.headers if n in ("via", "from", "call-id", "cseq", "record-route"))
    answer = offer.replace("actpass", "active")
    browser.send(f"SIP/2.0 200 OK\r\n{kept}To: {invite.get('to')};tag=b\r\nContact: <sip:1001@{browser.local};transport=ws;ob>\r\n"
                 f"Content-Type: application/sdp\r\n\r\n{answer}")
    ack = browser.receive(10)
    check(ack and ack.method == "ACK", f"ACK is due, not {ack and ack.start}")
    thread.join(10)
    check(done and done[0].status == 200, "the call was not answered")
    # Without a word: no Close, no BYE.
    browser.web.socket.close()
    again = WsUa(node, "1001", instance=instance)
    again.local = browser.local
    suite.closing(again)
    check(again.ask("REGISTER", f"sip:{node.domain}", ["Expires: 300", "Supported: path, outbound"]).status == 200, "REGISTER again")
    wait_for(lambda: node.metric("call_phones_moved_total") == 1, 5, "the leg moves")
    caller.cseq += 1
    caller.send(caller.request_text("BYE", caller.target, to=caller.remote))
    bye = again.receive(10)
    check(bye and bye.method == "BYE", f"BYE is due on the new connection, not {bye and bye.start}")
    again.accept(bye)
    check(caller.response("BYE").status == 200, "BYE")
    node.wait_no_calls()


def hello(node, source, **who):
    """Signs in to the JSON API; the WebSocket and the answer."""
    web = WebSocket(node, path="/rtc", protocol="tandem.rtc.v1", source=source)
    web.send(json.dumps({"id": 1, "op": "hello", "versions": [1], **who}))
    return web, json.loads(web.receive()[1])


def left_session(node):
    """The name of a session whose client has said goodbye."""
    web, welcome = hello(node, None, user="1001", token=token_of("1001"))
    check(welcome.get("ok"), f"a good token was refused: {welcome}")
    web.send(json.dumps({"id": 2, "op": "bye"}))
    wait_for(lambda: json.loads(web.receive()[1]).get("id") == 2, 5, "the answer to bye")
    web.close()
    return welcome["session"]


def abused_credentials(node, left, source):
    """A token that has expired, over SIP and over the API, and a session that was left: nobody is let in."""
    phone = WsUa(node, "1001", password="wrong", token=token_of("1001", seconds=-60), web=WebSocket(node, source=source))
    phone.cseq += 1
    phone.send(phone.request_text("REGISTER", f"sip:{node.domain}", headers=["Expires: 300"]))
    check(phone.response("REGISTER").status == 401, "an expired token registers a phone")
    phone.close()
    for who in ({"user": "1001", "token": token_of("1001", seconds=-60)}, {"resume": left}):
        web, answer = hello(node, source, **who)
        check(answer.get("error", {}).get("code") == "unauthorized", f"{who}: {answer}")
        web.close()


def crowds(node):
    """Half-open sockets, slow handshakes, oversize frames, wrong Origins, old tokens and sessions by the thousand beside a call that loses nothing."""
    left = left_session(node)
    expired, unauthorized = node.metric("auth_tokens_total", 'outcome="expired"'), node.metric("rtc_unauthorized_total")
    phone = call_in_progress(node)
    packets, heard, crowd = 400, [], []
    talking = threading.Thread(target=lambda: heard.append(phone.talk(packets, late=2)), daemon=True)
    talking.start()
    started = time.monotonic()
    for i in range(HALF_OPEN):
        s = socket.socket()
        s.bind((f"127.0.1.{i % 200 + 1}", 0))
        s.connect((HOST, node.web))
        if i % 3 == 1:
            s.sendall(b"\x16\x03\x01\x02\x00\x01")
        crowd.append(s)
    rounds = 0
    while time.monotonic() < started + 6:
        rounds += 1
        source = f"127.0.2.{rounds % 200 + 1}"
        refused(node, 403, origin="https://evil.example", source=source)
        web = WebSocket(node, source=source)
        web.socket.sendall(WebSocket.frame("x" * 66000)[:2000])
        check(web.close_code() == 1009, "an oversize frame")
        web.close()
        abused_credentials(node, left, source)
    talking.join(30)
    check(heard == [packets], f"of {packets} packets {heard} came back")
    legs = node.api("GET", f"/calls/{node.api('GET', '/calls')['items'][0]['id']}")["legs"]
    check(legs[0]["media"]["packets_received"] == packets and legs[0]["media"]["packets_lost"] == 0, str(legs[0]["media"]))
    check(phone.bye().status == 200, "BYE")
    print(f"    {HALF_OPEN} half-open connections and {rounds} rounds of the others", flush=True)
    dropped = node.metric("http_connections_refused_total", 'reason="half_open"')
    check(dropped >= HALF_OPEN * 0.6, f"half-open connections dropped: {dropped}")
    check(node.metric("net_connections_closed_total", 'reason="websocket_too_big"') >= rounds, "oversize frames were not counted")
    check(node.metric("auth_tokens_total", 'outcome="expired"') == expired + 2 * rounds, "expired tokens were not counted")
    check(node.metric("rtc_unauthorized_total") == unauthorized + 2 * rounds, "refused clients of the API were not counted")
    for s in crowd:
        s.close()
    node.wait_no_calls()


def main():
    node = suite.node("node", config={"limits": {"auth_failures": 0}, "sip": {"tokens": taking_tokens(suite.folder)}}).start()
    suite.run("handshakes", handshakes, node)
    suite.run("frames", frames, node)
    suite.run("a phone moves in a call", rebinding, node)
    suite.run("hostile crowds", crowds, node)
    suite.run("tokens", lambda: tokens(token_node()))
    suite.finish()


main()
