#!/usr/bin/env python3
"""Every operation of the OpenAPI document, answered as the document says; `tandem ctl`; CDRs as CSV; refusals."""
import contextlib
import csv
import hashlib
import hmac
import io
import json
import os
import re
import socket
import sqlite3
import struct
import threading
import time

from harness import HOST, Suite, check, free_port, wait_for
from ua import Ua

suite = Suite()
node = suite.node("rest", turn_port=free_port())
asked = set()  # (method, path template) of what was called


class Document:
    """The document the node serves, and a validator for the part of JSON Schema it uses."""

    def load(self):
        status, _, body = node.request("GET", "/api/v1/openapi.json", token=False)
        check(status == 200, f"openapi.json: {status}")
        self.all = json.loads(body)
        self.schemas = self.all["components"]["schemas"]
        return self

    def operations(self):
        return {(m.upper(), path) for path, item in self.all["paths"].items() for m in item}

    def problem(self, value, schema, where="body"):
        """What does not fit, or None."""
        while "$ref" in schema:
            schema = self.schemas[schema["$ref"].rsplit("/", 1)[1]]
        kind = schema.get("type")
        types = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}
        if kind and (not isinstance(value, types[kind]) or (kind in ("integer", "number") and isinstance(value, bool))):
            return f"{where}: {value!r} is no {kind}"
        if "enum" in schema and value not in schema["enum"]:
            return f"{where}: {value!r} is none of {schema['enum']}"
        if isinstance(value, list):
            return next((p for i, v in enumerate(value) if (p := self.problem(v, schema.get("items", {}), f"{where}[{i}]"))), None)
        if isinstance(value, dict):
            properties = schema.get("properties", {})
            for name in schema.get("required", []):
                if name not in value:
                    return f"{where}: {name} is missing"
            for name, member in value.items():
                if name not in properties:
                    return f"{where}: {name} is not described"
                if properties[name].get("writeOnly"):
                    return f"{where}: {name} is write-only and shown"
                if p := self.problem(member, properties[name], f"{where}.{name}"):
                    return p
            for name, s in properties.items():
                if name not in value and not s.get("writeOnly") and not schema.get("required"):
                    return f"{where}: {name} is described and not there"
        return None


document = Document()


def ask(method, template, status, path=(), body=None, query="", session=None):
    """One operation, by token or by {cookie, CSRF token}; its answer must have that status and the shape the document gives it."""
    asked.add((method, "/api/v1" + template))
    operation = document.all["paths"].get("/api/v1" + template, {}).get(method.lower())
    check(operation, f"{method} {template} is not in the document")
    values = iter(path)
    target = "/api/v1" + re.sub(r"\{\w+\}", lambda _: str(next(values)), template) + query
    signed = {"Cookie": session[0], "X-CSRF-Token": session[1]} if session else {}
    code, headers, answer = node.request(method, target, body, token=session is None, headers=signed)
    text = answer.decode()
    check(code == status, f"{method} {target}: {code} where {status} is due: {text[:300]}")
    described = operation["responses"].get(str(code)) or operation["responses"].get("default")
    check(str(code) in operation["responses"] or code >= 400, f"{method} {template}: {code} is not described")
    if code == 204:
        check(text == "", f"{method} {target}: a body with 204")
        return None
    schema = described["content"]["application/json"]["schema"]
    value = json.loads(text)
    if code < 400 and "$ref" not in schema:  # a list: pages and versions are optional members
        extra = set(value) - set(schema["properties"])
        check(not extra, f"{method} {target}: members {extra} are not described")
        problem = document.problem(value["items"], schema["properties"]["items"], "items")
    else:
        problem = document.problem(value, schema)
    check(problem is None, f"{method} {target}: {problem}")
    return value


def resource(collection, item, key, body, change, in_body):
    """Create, create again, list, show, change, remove, show again."""
    if ("POST", "/api/v1" + collection) in document.operations():
        made = ask("POST", collection, 201, body={**in_body, **body})
        if "id" in made and not key:
            key = [made["id"]]
        else:
            ask("POST", collection, 409, body={**in_body, **body})
    else:
        ask("PUT", item, 201, key, body)
    check(ask("GET", collection, 200)["items"], f"{collection} is empty")
    ask("GET", item, 200, key)
    changed = ask("PUT", item, 200, key, change)
    for name, value in change.items():
        check(changed[name] == value, f"{item}: {name} is {changed[name]!r}, not {value!r}")
    ask("PUT", item, 400, key, {"no_such_member": 1})
    ask("DELETE", item, 204, key)
    ask("GET", item, 404, key)


def resources():
    d = node.domain
    resource("/domains", "/domains/{name}", ["example.test"], {"aliases": ["example.internal"]}, {"max_calls": 7}, {"name": "example.test"})
    resource("/subscribers", "/subscribers/{domain}/{user}", [d, "2001"], {"password": "correct horse"}, {"display_name": "Zoë"}, {})
    resource("/trunks", "/trunks/{name}", ["carrier"], {"domain": d, "kind": "address", "host": "192.0.2.9", "port": 5060,
             "sources": ["192.0.2.0/24"]}, {"max_calls": 5}, {"name": "carrier"})
    resource("/routes", "/routes/{id}", None, {"domain": d, "pattern": "77XX", "action": "extension", "priority": 5}, {"name": "seventies"}, {})
    resource("/ring-groups", "/ring-groups/{domain}/{name}", [d, "600"], {"strategy": "sequential"}, {"timeout_seconds": 33},
             {"domain": d, "name": "600"})
    ask("PUT", "/ring-groups/{domain}/{name}", 201, [d, "601"], {})
    resource("/ring-group-members", "/ring-group-members/{domain}/{group}/{position}", [d, "601", 1], {"target": "1001"},
             {"delay_seconds": 3}, {"domain": d, "group": "601", "position": 1})
    ask("DELETE", "/ring-groups/{domain}/{name}", 204, [d, "601"])
    resource("/menus", "/menus/{domain}/{name}", [d, "800"], {"greeting": ["welcome", "hours.wav"]}, {"tries": 2}, {"domain": d, "name": "800"})
    ask("PUT", "/menus/{domain}/{name}", 201, [d, "801"], {})
    resource("/menu-choices", "/menu-choices/{domain}/{menu}/{position}", [d, "801", 1], {"keys": "1", "target": "1001"},
             {"time_rule": "!open"}, {"domain": d, "menu": "801", "position": 1})
    ask("DELETE", "/menus/{domain}/{name}", 204, [d, "801"])
    resource("/mailboxes", "/mailboxes/{domain}/{user}", [d, "1001"], {"pin": "4711"}, {"has_pin": True, "language": "ko"},
             {"domain": d, "user": "1001"})
    resource("/channels", "/channels/{name}", ["porch"], {"message_ttl_seconds": 30}, {"max_viewers": 3}, {})
    resource("/access-keys", "/access-keys/{id}", None, {"master": True, "channels": ["porch", "gate-*"]}, {"note": "camera 7", "enabled": False}, {})
    resource("/conferences", "/conferences/{domain}/{name}", [d, "900"], {"pin": "2468", "moderator_pin": "13579"},
             {"wait": True, "has_moderator_pin": True}, {"domain": d, "name": "900"})
    messages()
    resource("/feature-codes", "/feature-codes/{domain}/{code}", ["-", "*44"], {"feature": "echo"}, {"enabled": False},
             {"domain": "", "code": "*44"})
    resource("/time-rules", "/time-rules/{domain}/{name}/{position}", [d, "open", 1], {"from_minute": 540, "to_minute": 1020},
             {"weekdays": 31}, {"domain": d, "name": "open", "position": 1})
    resource("/parks", "/parks/{domain}", [d], {"first_slot": 801, "last_slot": 809}, {"timeout_seconds": 60}, {"domain": d})


def leave(user, name, sound):
    """A message as the node would have left it: its file, and its row."""
    file = node.data / "voicemail" / node.domain / user / f"{name}.wav"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(sound)
    with contextlib.closing(sqlite3.connect(node.data / "tandem.db", timeout=10)) as rows, rows:
        return rows.execute("INSERT INTO voicemails (domain, user, sender, sender_display, received, length, file, heard) "
                            "VALUES (?, ?, '+4930123', 'Zoë', ?, 1500000000, ?, 0)",
                            (node.domain, user, time.time_ns(), f"{node.domain}/{user}/{name}.wav")).lastrowid, file


def messages():
    """What is in a mailbox: listed, heard, marked, removed with its file."""
    d, all_of, item = node.domain, "/mailboxes/{domain}/{user}/messages", "/mailboxes/{domain}/{user}/messages/{id}"
    ask("GET", all_of, 404, [d, "1001"])
    ask("PUT", "/mailboxes/{domain}/{user}", 201, [d, "1001"], {"pin": "4711"})
    check(ask("GET", all_of, 200, [d, "1001"])["items"] == [], "no message is due")
    sound = b"RIFF" + bytes(range(256)) * 4000
    (first, file), (second, other) = leave("1001", "a", sound), leave("1001", "b", b"RIFF")
    listed = ask("GET", all_of, 200, [d, "1001"])["items"]
    check([(m["id"], m["from_display"], m["length_ms"], m["heard"]) for m in listed] ==
          [(first, "Zoë", 1500, False), (second, "Zoë", 1500, False)], str(listed))
    check(ask("PUT", item, 200, [d, "1001", first], {"heard": True})["heard"], "it is heard")
    check(ask("GET", item, 200, [d, "1001", first])["heard"], "it stays heard")
    asked.add(("GET", "/api/v1" + item + "/sound"))
    code, headers, body = node.request("GET", f"/api/v1/mailboxes/{d}/1001/messages/{first}/sound")
    check((code, headers["content-type"], body == sound) == (200, "audio/wav", True), f"sound: {code} {len(body)} bytes")
    target = suite.folder / "message.wav"
    code, out, err = node.ctl("voicemails", "save", f"1001@{d}", str(first), str(target))
    check(code == 0 and target.read_bytes() == sound, f"ctl voicemails save: {out}{err}")
    ask("DELETE", item, 204, [d, "1001", first])
    wait_for(lambda: not file.exists(), 5, "the file of a removed message")
    for method, body in (("GET", None), ("PUT", {"heard": True}), ("DELETE", None)):
        ask(method, item, 404, [d, "1001", first], body)
    ask("DELETE", "/mailboxes/{domain}/{user}", 204, [d, "1001"])
    wait_for(lambda: not other.exists(), 5, "the files of a removed mailbox")


def live():
    """Calls, registrations, records: with a phone in a call to the echo test."""
    phone = suite.closing(Ua(node, "1001"))
    check(phone.register().status == 200, "REGISTER")
    check([r["user"] for r in ask("GET", "/registrations", 200)["items"]] == ["1001"], "one registration is due")
    answer = phone.call("*43")
    check(answer.status == 200, f"*43: {answer.start}")
    check(phone.talk(30) > 15, "no echo")
    call, = ask("GET", "/calls", 200)["items"]
    shown = ask("GET", "/calls/{id}", 200, [call["id"]])
    check(shown["state"] == "connected" and shown["caller"].startswith("1001"), str(shown))
    ask("POST", "/calls/{id}/transfer", 400, [call["id"]], {"leg": "one"})
    ask("POST", "/calls/{id}/transfer", 404, [call["id"]], {"leg": 999, "target": "1002"})
    ask("DELETE", "/calls/{id}", 204, [call["id"]])
    bye = phone.receive(5)
    check(bye and bye.method == "BYE", f"BYE is due, not {bye and bye.start}")
    phone.send("SIP/2.0 200 OK\r\n" + "".join(f"{n}: {v}\r\n" for n, v in bye.headers if n in ("via", "from", "to", "call-id", "cseq"))
               + "Content-Length: 0\r\n\r\n")
    node.wait_no_calls()
    ask("DELETE", "/calls/{id}", 404, [call["id"]])
    ask("GET", "/calls/{id}", 404, ["no-number"])
    wait_for(lambda: ask("GET", "/cdrs", 200)["items"], 10, "a CDR")
    row, = ask("GET", "/cdrs", 200)["items"]
    check(row["release_side"] == "system" and row["caller"]["user"] == "1001" and row["dialled"] == "*43", str(row))
    ask("DELETE", "/registrations/{domain}/{user}", 204, [node.domain, "1001"])
    ask("DELETE", "/registrations/{domain}/{user}", 404, [node.domain, "1001"])


def play(call):
    ask("POST", "/calls/{id}/play", 400, [call], {"sounds": [{"prompt": "recorded", "file": "a.wav"}]})
    ask("POST", "/calls/{id}/play", 404, ["7"], {"sounds": [{"prompt": "recorded"}]})
    ask("POST", "/calls/{id}/play", 409, [call], {"sounds": [{"prompt": "recorded"}], "legs": [99]})
    ask("POST", "/calls/{id}/play", 204, [call], {"sounds": [{"prompt": "recorded"}], "rounds": 0})
    ask("DELETE", "/calls/{id}/play", 204, [call])


def record(call, speaker):
    """Of a call: a file that is listed, fetched and removed."""
    ask("POST", "/calls/{id}/recording", 409, [call], {"action": "stop"})
    ask("POST", "/calls/{id}/recording", 400, [call], {"action": "begin"})
    ask("POST", "/calls/{id}/recording", 204, [call], {"action": "start", "announce": False})
    speaker.talk(25)
    ask("POST", "/calls/{id}/recording", 204, [call], {"action": "stop"})
    day = time.strftime("%Y-%m-%d", time.gmtime())
    files = wait_for(lambda: ask("GET", "/recordings", 200, query=f"?day={day}")["items"], 10, "the recording")
    check(len(files) == 1 and files[0]["bytes"] > 1000, str(files))
    name = files[0]["name"].split("/")[1]
    status, headers, body = node.request("GET", f"/api/v1/recordings/{day}/{name}")
    asked.add(("GET", "/api/v1/recordings/{day}/{file}"))
    check(status == 200 and headers["Content-Type"] == "audio/wav" and len(body) == files[0]["bytes"] and body[:4] == b"RIFF", f"{status} {len(body)}")
    ask("DELETE", "/recordings/{day}/{file}", 204, [day, name])
    wait_for(lambda: not ask("GET", "/recordings", 200, query=f"?day={day}")["items"], 10, "the recording to be gone")
    ask("DELETE", "/recordings/{day}/{file}", 404, [day, name])


def conferences():
    """Who is in a conference is listed, muted and taken out of it; the conference is locked."""
    node.api("PUT", f"/conferences/{node.domain}/880", {})
    check(ask("GET", "/conference-status", 200)["items"] == [], "somebody is in a conference")
    a = suite.closing(Ua(node, "1001"))
    answer = a.call("880")
    check(answer.status == 200, f"the conference: {answer.start}")
    a.talk(50)
    found = wait_for(lambda: ask("GET", "/conference-status", 200)["items"], 10, "a conference")[0]
    check(found["name"] == "880" and len(found["members"]) == 1 and not found["locked"], str(found))
    member = found["members"][0]
    where = [node.domain, "880"]
    ask("POST", "/conferences/{domain}/{name}/status", 204, where, {"locked": True})
    ask("POST", "/conferences/{domain}/{name}/status", 400, where, {})
    ask("POST", "/conferences/{domain}/{name}/members/{call}", 204, where + [member["call"]], {"muted": True})
    found = ask("GET", "/conference-status", 200)["items"][0]
    check(found["locked"] and found["members"][0]["muted"], str(found))
    ask("DELETE", "/conferences/{domain}/{name}/members/{call}", 204, where + [member["call"]])
    a.talk(150)
    wait_for(lambda: not ask("GET", "/conference-status", 200)["items"], 10, "an empty conference")
    ask("DELETE", "/conferences/{domain}/{name}/members/{call}", 404, where + [member["call"]])
    node.wait_no_calls()


def orders():
    """A call that is placed and hung up; test_orders.py hears it."""
    ask("POST", "/calls", 400, body={"to": "1002"})
    ask("POST", "/calls", 400, body={"from": f"nobody@{node.domain}", "to": "1002"})
    ask("POST", "/calls", 400, body={"from": f"1001@{node.domain}", "to": "1002", "when": "now"})
    made = ask("POST", "/calls", 201, body={"from": f"1007@{node.domain}", "to": "1002", "ring_seconds": 30})
    record = wait_for(lambda: [r for r in ask("GET", "/cdrs", 200)["items"] if r["call"] == made["id"]], 10, "its record")[0]
    check(record["ordered_by"].startswith("token ") and record["sip_status"] == 480, str(record))
    ask("GET", "/calls/{id}", 404, [made["id"]])


def webhooks():
    """Rows and secrets; test_webhooks.py is told of events."""
    hook = {"url": "https://192.0.2.1/in", "events": ["call.ended"], "enabled": False}
    ask("GET", "/webhooks/{name}", 404, ["crm"])
    made = ask("PUT", "/webhooks/{name}", 201, ["crm"], hook)
    check(made["new_secret"].startswith("whsec_") and made["events"] == ["call.ended"], str(made))
    check(ask("PUT", "/webhooks/{name}", 200, ["crm"], {"events": []})["new_secret"] == "", "another secret was made")
    ask("PUT", "/webhooks/{name}", 422, ["crm"], {"url": "gopher://x"})
    ask("PUT", "/webhooks/{name}", 400, ["crm"], {"secret": "whsec_?"})
    new = ask("POST", "/webhooks/{name}/secret", 200, ["crm"])["secret"]
    check(new != made["new_secret"], "it is the old one")
    check(ask("GET", "/webhooks/{name}", 200, ["crm"])["has_old_secret"], "the old secret is gone")
    check(len(ask("GET", "/webhooks", 200)["items"]) == 1, "the list")
    check(ask("GET", "/webhooks/{name}/given-up", 200, ["crm"])["items"] == [], "something was given up")
    ask("POST", "/webhooks/{name}/given-up/{number}", 404, ["crm", 1])
    ask("DELETE", "/webhooks/{name}/given-up/{number}", 404, ["crm", 1])
    ask("DELETE", "/webhooks/{name}", 204, ["crm"])
    ask("DELETE", "/webhooks/{name}", 404, ["crm"])


def transfers():
    """POST transfer moves the peer of a leg: 1001 and 1002 talk, 1001 leaves, 1002 hears the echo test."""
    a, b = suite.closing(Ua(node, "1001")), suite.closing(Ua(node, "1002"))
    check(a.register().status == 200 and b.register().status == 200, "REGISTER")
    result = []
    caller = threading.Thread(target=lambda: result.append(a.call("1002")))
    caller.start()
    invite = b.receive(10)
    check(invite and invite.method == "INVITE", f"INVITE is due, not {invite and invite.start}")
    kept = "".join(f"{n}: {v}\r\n" for n, v in invite.headers if n in ("via", "from", "call-id", "cseq", "record-route"))
    body = b.offer()
    b.send(f"SIP/2.0 200 OK\r\n{kept}To: {invite.get('to')};tag={b.tag}\r\nContact: <sip:1002@{b.local}>\r\nContent-Type: application/sdp\r\n"
           f"Content-Length: {len(body)}\r\n\r\n{body}")
    caller.join(10)
    check(result and result[0].status == 200, f"call: {result and result[0].start}")
    call = wait_for(lambda: next((c for c in node.api("GET", "/calls")["items"] if c["state"] == "connected"), None), 10, "the call")
    leg = next(each for each in call["legs"] if each["party"].startswith("1001"))
    play(call["id"])
    record(call["id"], a)
    ask("POST", "/calls/{id}/transfer", 204, [call["id"]], {"leg": leg["id"], "target": "1003"})
    ask("DELETE", "/calls/{id}", 204, [call["id"]])
    node.wait_no_calls()


def allocation(made):
    """A TURN allocation with these credentials, on a socket of its own."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(5)

    def attribute(kind, value):
        return struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)

    def request(*attributes, key=None):
        body = b"".join(attributes)
        head = struct.pack(">HHI", 3, len(body) + (24 if key else 0), 0x2112A442) + os.urandom(12)
        s.sendto(head + body + (attribute(8, hmac.new(key, head + body, "sha1").digest()) if key else b""), (HOST, node.turn))
        answer, found, at = s.recv(2000), {}, 20
        while at < len(answer):
            kind, size = struct.unpack_from(">HH", answer, at)
            found[kind] = answer[at + 4:at + 4 + size]
            at += 4 + (size + 3) // 4 * 4
        return struct.unpack_from(">H", answer)[0], found

    udp = attribute(0x19, b"\x11\0\0\0")
    _, first = request(udp)
    user, realm = made["username"].encode(), first[0x14]
    key = hashlib.md5(b":".join((user, realm, made["password"].encode()))).digest()
    kind, _ = request(udp, attribute(6, user), attribute(0x14, realm), attribute(0x15, first[0x15]), key=key)
    check(kind == 0x103, f"Allocate was answered with {kind:#x}")
    return s


def turn():
    made = ask("POST", "/turn/credentials", 200, body={"user": "alice", "ttl": 120})
    with contextlib.closing(allocation(made)):
        rows = ask("GET", "/turn/allocations", 200)["items"]
        check([r["user"] for r in rows] == [made["username"]] and rows[0]["transport"] == "udp", str(rows))
    ask("POST", "/turn/credentials", 400, body={"ttl": 1})


def others():
    check(ask("GET", "/status", 200)["ready"] is True, "not ready")
    ask("GET", "/trunk-status", 200)
    found = ask("GET", "/route", 200, query=f"?from=1001@{node.domain}&to=1002")
    check("1002" in found["action"] and found["why"], str(found))
    check("echo" in ask("GET", "/route", 200, query=f"?from=1001@{node.domain}&to=*43")["action"], "*43 is no echo test")
    ask("GET", "/route", 404, query="?from=nobody@nowhere.test&to=1002")
    ask("POST", "/reload", 204)
    ask("POST", "/drain", 204)
    check(node.get_plain("/readyz")[0] == 503, "ready while draining")
    phone = suite.closing(Ua(node, "1001"))
    answer = phone.call("*43")
    check(answer.status == 503, f"a new call while draining: {answer.start}")
    ask("DELETE", "/drain", 204)
    check(node.get_plain("/readyz")[0] == 200, "not ready after the drain")


def console():
    """What the console asks for: accounts, sessions, a subscriber's own, figures, SIP messages."""
    password = "the password of the clerk"
    check(ask("GET", "/admins", 200)["items"][0]["name"] == "admin", "the demo's administrator")
    ask("PUT", "/admins/{name}", 201, ["clerk"], {"password": password, "role": "viewer"})
    check(ask("PUT", "/admins/{name}", 200, ["clerk"], {"role": "operator"})["role"] == "operator", "a new role")

    def sign_in(account, secret):
        asked.add(("POST", "/api/v1/session"))
        code, headers, body = node.request("POST", "/api/v1/session", {"account": account, "password": secret}, token=False)
        check(code == 200, f"{account}: {code} {body[:200]}")
        problem = document.problem(json.loads(body), document.schemas["Session"])
        check(problem is None, f"session: {problem}")
        return headers["Set-Cookie"].split(";")[0], json.loads(body)["csrf"]

    clerk = sign_in("clerk", password)
    check(ask("GET", "/session", 200, session=clerk)["role"] == "operator", "who is signed in")
    ask("PUT", "/session/password", 204, body={"old": password, "new": password + "!"}, session=clerk)
    ask("DELETE", "/session", 204, session=clerk)
    ask("GET", "/session", 401, session=clerk)
    clerk = sign_in("clerk", password + "!")
    ask("DELETE", "/sessions/{id}", 204, [next(s["id"] for s in ask("GET", "/sessions", 200)["items"] if s["account"] == "clerk")])
    ask("DELETE", "/admins/{name}", 204, ["clerk"])
    history = ask("GET", "/history", 200)
    check(history["period"] == 10 and history["now"]["sip_messages"] > 0, str(history["now"]))

    d = node.domain
    ask("PUT", "/mailboxes/{domain}/{user}", 201, [d, "1001"], {"pin": "4711"})
    message, file = leave("1001", "own", b"RIFF")
    ann = sign_in(f"1001@{d}", node.users["1001"])
    check(ask("GET", "/me", 200, session=ann)["user"] == "1001", "me")
    ask("GET", "/me/registrations", 200, session=ann)
    check(ask("POST", "/me/ticket", 200, session=ann)["user"] == f"1001@{d}", "a ticket")
    check(ask("GET", "/me/calls", 200, session=ann)["items"], "she has called")
    check([m["id"] for m in ask("GET", "/me/messages", 200, session=ann)["items"]] == [message], "her messages")
    ask("PUT", "/me/messages/{id}", 200, [message], {"heard": True}, session=ann)
    asked.add(("GET", "/api/v1/me/messages/{id}/sound"))
    code, _, body = node.request("GET", f"/api/v1/me/messages/{message}/sound", token=False, headers={"Cookie": ann[0]})
    check((code, body) == (200, b"RIFF"), f"sound: {code}")
    ask("DELETE", "/me/messages/{id}", 204, [message], session=ann)
    wait_for(lambda: not file.exists(), 5, "the file of a removed message")
    ask("GET", "/calls", 403, session=ann)
    ask("DELETE", "/mailboxes/{domain}/{user}", 204, [d, "1001"])

    record = node.cdrs()[0]
    found = ask("GET", "/sip-messages", 200, query=f"?call_id={record['caller']['call_id']}&other_call_id={record['callee']['call_id']}")["items"]
    check(found and found[0]["text"].startswith("INVITE") and not found[0]["outbound"], f"messages of a record: {found[:1]}")
    ask("GET", "/calls/{id}/messages", 404, [1])


def all_asked():
    left = document.operations() - asked
    check(not left, f"described and never asked: {sorted(left)}")


def refusals():
    for token in (False, "wrong"):
        code, headers, body = node.request("GET", "/api/v1/subscribers", token=token)
        check(code == 401 and "Bearer" in headers["WWW-Authenticate"], f"token {token}: {code}")
        check(document.problem(json.loads(body), {"$ref": "#/components/schemas/Error"}) is None, body)
    for method, path, raw, status, word in (
            ("PUT", "/api/v1/parks/x", b"{", 400, "JSON"), ("PUT", "/api/v1/parks/x", b"[" * 5000, 400, "JSON"),
            ("PUT", "/api/v1/parks/x", b"[]", 400, "object"), ("PUT", "/api/v1/parks/x", b"", 400, "body"),
            ("PUT", f"/api/v1/subscribers/{node.domain}/1001", b'{"max_contacts": -1}', 400, "max_contacts"),
            ("PUT", f"/api/v1/subscribers/{node.domain}/1001", b'{"enabled": "yes"}', 400, "true or false"),
            ("PUT", f"/api/v1/subscribers/{node.domain}/2005", b'{"password": "short"}', 400, "8 octets"),
            ("GET", "/api/v1/nothing", None, 404, "nothing"), ("GET", "/api/v1/cdrs?limit=9999", None, 400, "limit"),
            ("GET", "/api/v1/cdrs?from=yesterday", None, 400, "UTC"), ("GET", "/api/v1/cdrs?colour=red", None, 400, "colour"),
            ("GET", "/etc/passwd", None, 404, "page")):
        code, _, body = node.request(method, path, raw=raw)
        check(code == status and word in body.decode(), f"{method} {path} {raw}: {code} {body[:200]}")
    code, headers, _ = node.request("PATCH", "/api/v1/subscribers")
    check(code in (405, 501), f"PATCH: {code}")
    code, headers, _ = node.request("DELETE", "/api/v1/subscribers")
    check(code == 405 and "GET" in headers["Allow"], f"DELETE of a collection: {code}")


def health():
    check(node.get_plain("/healthz") == (200, "ok\n"), "healthz")
    status, text = node.get_plain("/metrics")
    check(status == 200 and text.count("# TYPE") > 20, "metrics")
    status, headers, body = node.request("HEAD", "/healthz", token=False)
    check((status, headers["Content-Length"], body) == (200, "3", b""), f"HEAD /healthz: {status} {headers} {body}")
    status, headers, _ = node.request("POST", "/healthz", token=False)
    check(status == 405 and headers["Allow"] == "GET, HEAD", f"POST /healthz: {status} {headers}")
    for line in text.splitlines():
        check(line.startswith("#") or re.fullmatch(r'[a-z_][a-z0-9_]*(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.e+-]+', line),
              f"no metric line: {line}")


def cdr_csv():
    code, headers, body = node.request("GET", "/api/v1/cdrs?format=csv")
    check(code == 200 and headers["Content-Type"].startswith("text/csv"), f"{code} {headers['Content-Type']}")
    rows = list(csv.DictReader(io.StringIO(body.decode())))
    check(len(rows) == len(node.cdrs()) and rows[-1]["dialled"] == "*43" and rows[-1]["caller_user"] == "1001", str(rows[-1:]))


def ctl():
    def run(*words, code=0, url=None):
        got, out, err = node.ctl(*words, url=url)
        check(got == code, f"ctl {' '.join(words)}: exit {got}: {out[-200:]} {err[-300:]}")
        return out + err

    d = node.domain
    check("1001" in run("subscribers", "list"), "subscribers list")
    run("subscribers", "set", f"3001@{d}", "password=correct horse", "display_name=Ctl", "forwarding.busy=1009")
    check("1009" in run("subscribers", "show", f"3001@{d}"), "forwarding.busy was not kept")
    check("correct horse" not in run("subscribers", "show", f"3001@{d}"), "a password is shown")
    run("subscribers", "rm", f"3001@{d}")
    gone = run("subscribers", "show", f"3001@{d}", code=1)
    check("3001" in gone, "who is not there is not told")
    check(': "' not in gone, f"a message as JSON: {gone}")
    check("expected user@domain" in run("subscribers", "set", "2001", code=2), "a subscriber without a domain")
    run("trunks", "set", "t1", f"domain={d}", "kind=address", "host=192.0.2.1", "port=5060")
    check("t1" in run("trunks", "list"), "trunks list")
    run("routes", "add", f"domain={d}", "pattern=9.", "action=trunk", 'targets=["t1"]', "call_class=internal")
    check("t1" in run("routes", "list"), "routes list")
    check("trunk t1" in run("routes", "explain", "--from", f"1001@{d}", "--to", "9123"), "explain")
    explain = lambda to: run("routes", "explain", "--from", f"1001@{d}", "--to", to)
    check("404" in explain("2999") and "no such subscriber" in explain("2999"), f"nobody has it: {explain('2999')}")
    check("480" in explain("1009") and f"1009@{d} is not registered" in explain("1009"), f"not there: {explain('1009')}")
    run("subscribers", "set", f"1009@{d}", "do_not_disturb=true")
    check("486" in explain("1009"), f"do-not-disturb: {explain('1009')}")
    run("subscribers", "set", f"1009@{d}", "do_not_disturb=false", "forwarding.always=*43")
    check("403" in explain("1009"), f"forwarded to a feature code: {explain('1009')}")
    run("subscribers", "set", f"1009@{d}", "forwarding.always=")
    for words in (("registrations", "list"), ("calls", "list"), ("cdrs",), ("status",), ("trunk-status",), ("conference-status",), ("recordings", "list", "2026-11-25"), ("reload",)):
        run(*words)
    check(run("cdrs", "--csv").startswith("node,epoch,call"), "cdrs --csv")
    run("drain"), run("drain", "--off")
    json.loads(run("--json", "status"))
    run("--token", "wrong", "status", code=1)
    check("127.0.0.1:1" in run("status", code=2, url=f"https://{HOST}:1"), "which server is not reachable is not told")


def main():
    node.start()
    document.load()
    for name, body in (("resources of the plan and subscribers", resources), ("calls, registrations and records", live),
                       ("transfer and recording by REST", transfers), ("conferences", conferences), ("TURN", turn), ("webhooks", webhooks), ("status, routes, reload, drain", others),
                       ("the console's own", console), ("calls that are placed", orders), ("every operation of the document was asked", all_asked), ("refusals are clear", refusals),
                       ("health and metrics", health), ("CDRs as CSV", cdr_csv), ("tandem ctl", ctl)):
        suite.run(name, body)
    suite.finish()


main()
