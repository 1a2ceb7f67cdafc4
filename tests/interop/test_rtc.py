#!/usr/bin/env python3
"""The JSON signalling API: WebRTC peers that sign in, call telephones and each other, write, transfer, and come back after their network
changed. Every message is held to the schema in docs/.

As test_ice.py it runs in a network namespace of its own, by the Python that has aiortc."""
import json
import pathlib
import threading

import own_network
from harness import Baresip, Suite, check, tone_share, wait_for
from own_network import ADDRESS
from tokens import taking_tokens, token_of

NO_NETWORK = own_network.enter(python="/usr/bin/python3")

suite = Suite()
SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "docs/rtc.schema.json"


def validated():
    """From now on what goes over the API is held to its schema, in both directions."""
    import jsonschema
    import rtc_client
    schema = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    inner_load, inner_dump = json.loads, json.dumps

    class Checked:
        @staticmethod
        def loads(text):
            value = inner_load(text)
            schema.validate(value)
            return value

        @staticmethod
        def dumps(value):
            if value["op"] != "fly":
                schema.validate(value)
            return inner_dump(value)

    rtc_client.json = Checked


def make_node():
    node = suite.node("node", config={})
    node.config = {"realms": [{"name": "default", "listeners": [{"transport": "udp", "bind": f"{ADDRESS}:{node.sip}"}],
                               "media": {"bind_v4": ADDRESS, "ports": f"{node.media[0]}-{node.media[1]}", "webrtc_port": node.webrtc}}],
                   "web": {"bind": f"0.0.0.0:{node.web}"}, "sip": {"tokens": taking_tokens(suite.folder)}}
    return node.start()


def hears(peer, hertz):
    def there():
        samples = peer.samples[-8000:]
        return len(samples) == 8000 and (lambda share, loud: loud >= 9 and share >= 0.8)(*tone_share(samples, hertz, 8000, 800))

    wait_for(there, 15, f"{peer.rtc.user} hears {hertz} Hz")


def peer(node, user, hertz):
    from rtc_client import RtcPeer
    return suite.closing(RtcPeer(node, user, hertz, ADDRESS))


def signing_in(node):
    from rtc_client import Rtc
    client = Rtc(node, "1001", server=ADDRESS)
    check(client.welcome["user"] == f"1001@{node.domain}" and client.welcome["calls"] == [], client.welcome)
    client.ask("fly", fails="unknown_op")
    client.ask("hangup", call="c9", fails="unknown_call")
    check(client.ask("register")["registered"], "register")
    wait_for(lambda: any("invalid" in json.dumps(r) for r in node.api("GET", "/registrations")["items"]), 5, "a registration")
    client.ask("bye")
    client.close()
    wait_for(lambda: not node.api("GET", "/registrations")["items"], 15, "no registration after bye")
    stranger = Rtc.__new__(Rtc)
    stranger.node, stranger.server, stranger.count, stranger.events = node, ADDRESS, 0, []
    from websocket_client import WebSocket
    stranger.web = WebSocket(node, path="/rtc", protocol="tandem.rtc.v1", server=ADDRESS)
    for _ in range(3):
        stranger.ask("hello", user="1001", password="no", fails="unauthorized")
    check(stranger.web.close_code() >= 0, "three guesses are enough")


def with_a_telephone(node):
    """Both ways, with hold, a press and a message; the call's record says who."""
    phone = suite.closing(Baresip(node.folder, "phone", "1002", node.users["1002"], node.sip, 620, host=ADDRESS, domain=node.domain))
    phone.wait_registered(node)
    a = peer(node, "1001", 440)
    name = a.call("1002")
    hears(a, 620), phone.heard(440)
    a.rtc.ask("dtmf", call=name, digits="5")
    a.rtc.ask("hangup", call=name)
    check(a.rtc.event("ended")["by"] == "us", "ended")
    node.wait_no_calls()
    a.begin_anew()
    a.rtc.ask("register")
    mark = phone.mark()
    phone.command("dial", f"sip:1001@{node.domain}")
    a.answer()
    phone.event("CALL_ESTABLISHED", since=mark)
    hears(a, 620), phone.heard(440)
    phone.command("hangup")
    check(a.rtc.event("ended")["by"] == "peer", "ended")
    node.wait_no_calls()
    wait_for(lambda: len(node.conversations()) == 2, 10, f"two records: {node.conversations()}")
    pairs = {(c["caller"]["user"], c["callee"]["user"]) for c in node.conversations()}
    check(pairs == {("1001", "1002"), ("1002", "1001")}, pairs)


def each_other(node):
    a, b = peer(node, "1001", 440), peer(node, "1002", 620)
    b.rtc.ask("register")
    done = []
    caller = threading.Thread(target=lambda: done.append(a.call("1002")), daemon=True)
    caller.start()
    b.answer()
    caller.join(20)
    check(done, "the call was not answered")
    hears(a, 620), hears(b, 440)
    a.rtc.ask("message", to="1002", text="grüße")
    check(b.rtc.event("message")["text"] == "grüße", "message")
    a.rtc.ask("hangup", call=done[0])
    b.rtc.event("ended")
    node.wait_no_calls()


def coming_back(node):
    """The WebSocket and the media transport are gone; the call is not."""
    a = peer(node, "1001", 440)
    name = a.call("*43")
    hears(a, 440)
    session = a.rtc.session
    a.rtc.web.socket.shutdown(2)
    a.rtc.events.clear()
    a.rtc.open(resume=session)
    calls = a.rtc.welcome["calls"]
    check([(c["call"], c["state"]) for c in calls] == [(name, "up")], calls)
    a.begin_anew()
    a.rtc.ask("offer", call=name, sdp=a._sdp(a.pc.createOffer))
    a._remote(a.rtc.event("answer")["sdp"], "answer")
    hears(a, 440)
    a.rtc.ask("hangup", call=name)
    node.wait_no_calls()
    check(node.metric("rtc_resumed_total") == 1, "resumed")


def presence(node):
    """Who watches is told of registration, of what is published, and of the line."""
    from rtc_client import Rtc
    watcher, b, known = Rtc(node, "1001", server=ADDRESS), peer(node, "1003", 620), {}

    def told(**members):
        while any(known.get(k) != v for k, v in members.items()):
            known.update(watcher.event("presence"))

    watcher.ask("watch", to="1003")
    told(peer=f"1003@{node.domain}", state="offline", line="idle")
    b.rtc.ask("register")
    told(state="available")
    b.rtc.ask("presence", state="away", note="Mittag: bis 3 & länger")
    told(state="away", note="Mittag: bis 3 & länger")
    name = b.call("*43")
    told(line="busy")
    b.rtc.ask("hangup", call=name)
    told(line="idle")
    b.rtc.ask("bye")
    told(state="offline")
    watcher.ask("watch", to="1001@elsewhere.example", fails="failed")
    watcher.ask("bye")
    node.wait_no_calls()


def nonsense(i):
    """Messages that no client writes, and what the server does about each: an error, or the end of the WebSocket (a code)."""
    deep = "[" * 2000 + "]" * 2000
    return [("{", "bad_json"), ("[]", "bad_json"), ('{"id":1,"op":"hello","versions":[1],"user":' + deep + "}", "bad_json"), ('{"id":1,"op":"fly"}', "unknown_op"),
            ('{"id":1,"op":"call","to":"1002","sdp":"v=0"}', "not_signed_in"), ('{"id":"x","op":"ping"}', "bad_request"),
            ('{"id":1,"op":"hello","versions":[7],"user":"1001","password":"x"}', "unsupported_version"), ("x" * 70_000, 1009), (b"\xff\xfe{}", 1007)][i % 9]


def abused_credentials(node, open_):
    """A session that was left, whoever has its name, and a token whose time is over, again and again: refused and counted, each of them."""
    from rtc_client import Rtc
    b = Rtc(node, "1003", server=ADDRESS, token=token_of("1003"))
    kept = b.session
    b.ask("bye")
    refused, old, times = node.metric("rtc_unauthorized_total"), node.metric("auth_tokens_total", 'outcome="expired"'), 100
    for i in range(times):
        for who in ({"resume": kept}, {"user": "1003", "token": token_of("1003", seconds=-60)}):
            web = open_(i)
            web.send(json.dumps({"id": 1, "op": "hello", "versions": [1], **who}))
            answer = json.loads(web.receive()[1])
            check(answer.get("error", {}).get("code") == "unauthorized", f"{who}: {answer}")
            web.close()
    check(node.metric("rtc_unauthorized_total") == refused + 2 * times, "refusals were not counted")
    counted = node.metric("auth_tokens_total", 'outcome="expired"') - old
    check(counted == times, f"of {times} expired tokens {counted} were counted")


def hostile(node):
    """Who says nothing, nonsense, or lies about who he is, hundreds at a time beside a call that loses nothing."""
    from rtc_client import Rtc
    from websocket_client import Refused, WebSocket
    a = peer(node, "1001", 440)
    name = a.call("*43")
    hears(a, 440)
    open_ = lambda i, **more: WebSocket(node, **{"path": "/rtc", "protocol": "tandem.rtc.v1", "server": ADDRESS, "source": f"127.0.3.{i % 200 + 1}", **more})
    silent = [open_(i) for i in range(400)]
    for i in range(180):
        said, due = nonsense(i)
        web = open_(i)
        web.send(said)
        if isinstance(due, int):
            check(web.close_code() == due, f"{said[:40]}: not closed with {due}")
        else:
            got = json.loads(web.receive()[1])
            check(got["error"]["code"] == due, f"{said[:60]}: {got}")
        web.close()
    for i in range(40):
        try:
            open_(i, origin="https://evil.example")
        except Refused as e:
            check(e.status == 403, str(e))
        else:
            check(False, "a page of somewhere else was let in")
    before = node.metric("rtc_unauthorized_total")
    # Not a ticket of this node, one whose seal was changed, a session nobody has, a token of nobody's: all the same to who asks.
    ticket = ticket_of(node, "1001")
    for i, hello in enumerate(({"token": "ticket.1001.0.AAAA"}, {"token": ticket[:-4] + "AAAA"}, {"resume": "1." + "x" * 32}, {"token": "e30.e30.AAAA"})):
        web = open_(150 + i)
        web.send(json.dumps({"id": 1, "op": "hello", "versions": [1], **({} if "resume" in hello else {"user": "1001"}), **hello}))
        got = json.loads(web.receive()[1])
        check(got["error"]["code"] == "unauthorized", f"{hello}: {got}")
        web.close()
    other = open_(160)
    other.send(json.dumps({"id": 1, "op": "hello", "versions": [1], "user": "1002", "token": ticket}))
    check(json.loads(other.receive()[1])["error"]["code"] == "unauthorized", "somebody else's ticket")
    other.close()
    check(node.metric("rtc_unauthorized_total") >= before + 5, "wrong credentials were not counted")
    abused_credentials(node, open_)
    wait_for(lambda: node.metric("rtc_silent_total") >= len(silent), 20, "silent WebSockets to be closed")
    check(all(web.close_code() >= 0 for web in silent), "silent ones are closed")
    hears(a, 440)
    legs = node.api("GET", f"/calls/{node.api('GET', '/calls')['items'][0]['id']}")["legs"]
    check(legs[0]["media"]["packets_lost"] == 0 and legs[0]["media"]["packets_received"] > 400, str(legs[0]["media"]))
    a.rtc.ask("hangup", call=name)
    node.wait_no_calls()


def ticket_of(node, user):
    """What the console gives a page whose user has signed in (docs/console.md)."""
    status, headers, body = node.request("POST", "/api/v1/session", {"account": f"{user}@{node.domain}", "password": node.users[user]}, token=False)
    check(status in (200, 201), f"{status} {body[:200]}")
    cookie = headers["Set-Cookie"].split(";")[0]
    status, _, body = node.request("POST", "/api/v1/me/ticket", token=False, headers={"Cookie": cookie, "X-CSRF-Token": json.loads(body)["csrf"]})
    check(status in (200, 201), f"{status} {body[:200]}")
    return json.loads(body)["ticket"]


def main():
    if NO_NETWORK:
        suite.cannot("rtc", NO_NETWORK)
        suite.finish()
    validated()
    node = make_node()
    suite.run("signing in and leaving", signing_in, node)
    suite.run("calls with a telephone", with_a_telephone, node)
    suite.run("clients call and write to each other", each_other, node)
    suite.run("presence", presence, node)
    suite.run("coming back to a call", coming_back, node)
    suite.run("hostile clients", hostile, node)
    suite.finish()


main()
