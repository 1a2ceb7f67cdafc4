#!/usr/bin/env python3
"""Webhooks: events are signed and posted, again until they are taken, over a restart of node and receiver, in order and each once."""
import base64
import collections
import hashlib
import hmac
import http.server
import json
import ssl
import subprocess
import threading
import time

from harness import HOST, RestError, Suite, check, free_port, wait_for
from ua import Ua

suite = Suite()
CA = suite.folder / "receiver.crt"
WEBHOOKS = {"allow": ["127.0.0.0/8"], "ca": str(CA), "first_pause": "200ms", "longest_pause": "1s", "attempts": 30, "timeout": "5s"}
node = suite.node("node", config={"webhooks": WEBHOOKS})
strict = suite.node("strict", config={"webhooks": {"first_pause": "100ms", "longest_pause": "100ms", "attempts": 3}})


def certificate():
    key = suite.folder / "receiver.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout", str(key),
                    "-out", str(CA), "-subj", "/CN=receiver", "-addext", f"subjectAltName=IP:{HOST}"], check=True, capture_output=True)
    return key


KEY = certificate()


class Receiver:
    """An HTTPS server that keeps what it took, and answers `fails` posts with 500 first."""

    def __init__(self, port=None, secure=True, status=204):
        self.port, self.secure, self.status = port or free_port(), secure, status
        self.secrets, self.fails, self.taken, self.posts, self.forged = [], 0, [], 0, 0
        self.lock = threading.Lock()
        self.open()

    def url(self):
        return f"http{'s' if self.secure else ''}://{HOST}:{self.port}/hook"

    def open(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with outer.lock:
                    status = outer.take(self.headers, body)
                self.send_response(status)
                if status in (301, 302, 307):
                    self.send_header("Location", outer.elsewhere)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((HOST, self.port), Handler)
        if self.secure:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CA, KEY)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def take(self, headers, body):
        self.posts += 1
        if self.secrets and not self.signed(headers, body):
            self.forged += 1
            return 401
        if self.fails > 0:
            self.fails -= 1
            return 500
        if self.status < 300:
            event = json.loads(body)
            check(event["id"] == headers["webhook-id"], "the id in the body is another")
            self.taken.append(event)
        return self.status

    def signed(self, headers, body):
        """As Standard Webhooks says, by each of our secrets."""
        if abs(int(headers["webhook-timestamp"]) - time.time()) > 60:
            return False
        text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        signatures = {s.partition(",")[2] for s in headers["webhook-signature"].split() if s.startswith("v1,")}
        due = {base64.b64encode(hmac.new(base64.b64decode(s[6:]), text, hashlib.sha256).digest()).decode() for s in self.secrets}
        return due <= signatures

    def types(self):
        with self.lock:
            return [e["type"] for e in self.taken]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def receiver(**options):
    return suite.closing(Receiver(**options))


def subscribe(name, at, on=None, **members):
    made = (on or node).api("PUT", f"/webhooks/{name}", {"url": at.url(), **members})
    at.secrets = [made["new_secret"]] if made["new_secret"] else at.secrets
    return made


def forget(name, on=None):
    (on or node).api("DELETE", f"/webhooks/{name}")


def call(user="1001", to="*43", on=None):
    ua = suite.closing(Ua(on or node, user))
    answer = ua.call(to)
    check(answer.status == 200, f"{to}: {answer.start}")
    ua.bye()
    return ua


def no_doubles(r):
    doubles = [i for i, n in collections.Counter(e["id"] for e in r.taken).items() if n > 1]
    check(not doubles, f"taken twice: {doubles}")


def signed_and_again():
    r = receiver()
    r.fails = 2
    subscribe("crm", r, events=["call.started", "call.ended"])
    call()
    wait_for(lambda: r.types() == ["call.started", "call.ended"], 20, "both events, in order")
    check(r.posts == 4 and r.forged == 0, f"{r.posts} posts, {r.forged} of them not ours")
    started, ended = r.taken
    check(started["data"]["from"] == "1001" and started["data"]["to"] == "*43", str(started))
    check(ended["data"]["call"] == started["data"]["call"] and ended["data"]["sip_status"] == 200, str(ended))
    row = node.api("GET", "/webhooks/crm")
    check(row["waiting"] == 0 and row["given_up"] == 0 and "secret" not in row, str(row))
    # A new secret: both sign, until the old one is emptied.
    old = r.secrets[0]
    new = node.api("POST", "/webhooks/crm/secret")["secret"]
    r.secrets = [old, new]
    call()
    wait_for(lambda: len(r.types()) == 4, 20, "events signed by both")
    node.api("PUT", "/webhooks/crm", {"old_secret": ""})
    check(node.api("GET", "/webhooks/crm")["has_old_secret"] is False, "the old secret is still there")
    check(old not in node.log_text() and new not in node.log_text(), "a secret is in the log")
    no_doubles(r)
    forget("crm")


def registrations():
    r = receiver()
    subscribe("registrations", r, events=["registration.added", "registration.removed"])
    ua = suite.closing(Ua(node, "1004"))
    check(ua.register().status == 200, "REGISTER")
    check(ua.register(0).status == 200, "REGISTER")
    wait_for(lambda: r.types() == ["registration.added", "registration.removed"], 20, "both events")
    forget("registrations")


def nothing_is_lost():
    r = receiver()
    other = receiver()
    subscribe("a", r, events=["call.ended"])
    subscribe("b", other, events=["call.ended"])
    r.close()  # and one endpoint that is away does not hold up the other
    for _ in range(3):
        call()
    wait_for(lambda: len(other.types()) == 3, 20, "the other endpoint's events")
    wait_for(lambda: node.api("GET", "/webhooks/a")["waiting"] == 3, 20, "three that wait")
    node.kill()
    node.start()
    call()
    r.open()
    wait_for(lambda: len(r.types()) == 4, 30, "all four events")
    order = [e["time"] for e in r.taken]
    check(order == sorted(order), str(order))
    no_doubles(r)
    for name in "ab":
        forget(name)


def gone():
    r = receiver(status=410)
    subscribe("gone", r, events=["call.started"])
    call()
    wait_for(lambda: node.api("GET", "/webhooks/gone")["enabled"] is False, 20, "that it is switched off")
    check("webhook.gone" in node.log_text(), "the log does not say so")
    forget("gone")


def given_up():
    # Where nothing is allowed, no address of our own is reached, whatever the name.
    r = receiver(secure=False)
    subscribe("inside", r, strict, events=["call.started"])
    strict.api("PUT", "/webhooks/name", {"url": f"https://localhost:{r.port}/", "events": ["call.started"]})
    strict.api("PUT", "/webhooks/metadata", {"url": "https://169.254.169.254/latest", "events": ["call.started"]})
    strict.api("PUT", "/webhooks/plain", {"url": "http://198.51.100.7/", "events": ["call.started"]})
    call(on=strict)
    for name, why in (("inside", "private"), ("name", "private"), ("metadata", "private"), ("plain", "http")):
        row = wait_for(lambda: strict.api("GET", f"/webhooks/{name}/given-up")["items"], 20, f"{name} given up")[0]
        check(why in row["error"] and row["attempts"] == 3, str(row))
    check(r.posts == 0, "a post came through")
    check(strict.metric("webhook_given_up_total") == 4, "it is not counted")
    for name in ("inside", "name", "metadata", "plain"):
        forget(name, strict)


def again_by_hand():
    r = receiver(status=400)
    subscribe("crm", r, events=["call.started"])
    call()
    dead = wait_for(lambda: node.api("GET", "/webhooks/crm/given-up")["items"], 20, "one given up")[0]
    check(dead["attempts"] == 4 and dead["error"] == "status 400", str(dead))
    r.status = 204
    code, _, error = node.ctl("webhooks", "redeliver", "crm", dead["number"])
    check(code == 0, error)
    wait_for(lambda: [e["id"] for e in r.taken] == [dead["id"]], 20, "the event by hand")
    check(not node.api("GET", "/webhooks/crm/given-up")["items"], "it is still given up")
    forget("crm")


def redirects():
    other = receiver()
    r = receiver(status=307)
    r.elsewhere = other.url()
    subscribe("r", r, events=["call.started"])
    call()
    wait_for(lambda: r.posts >= 2, 20, "a second attempt")
    check(other.posts == 0, "the redirection was followed")
    forget("r")


def refusals():
    for body in ({"url": "ftp://x/"}, {"url": "https://u:p@x/"}, {"url": "https://x/", "events": ["call.endet"]}, {"url": "https://x/", "secret": "x"},
                 {"url": "https://x/", "more": 1}):
        try:
            node.api("PUT", "/webhooks/bad", body)
        except RestError as e:
            check(e.status in (400, 422), f"{body}: {e.status}")
        else:
            check(False, f"{body} was taken")
    for words in (("list",), ("set", "x", "url=https://192.0.2.1/", 'events=["call.ended"]'), ("rotate", "x"), ("given-up", "x"), ("rm", "x")):
        code, _, error = node.ctl("webhooks", *words)
        check(code == 0, f"{words}: {error}")


node.start()
strict.start()
suite.run("signed, again after failures, two secrets", signed_and_again)
suite.run("registrations", registrations)
suite.run("receiver away, node killed: nothing lost, nothing twice", nothing_is_lost)
suite.run("410 switches the endpoint off", gone)
suite.run("addresses that are refused, and what is given up", given_up)
suite.run("delivered again by hand", again_by_hand)
suite.run("redirections are not followed", redirects)
suite.run("refusals", refusals)
suite.finish()
