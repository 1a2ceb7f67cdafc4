#!/usr/bin/env python3
"""Calls that a server places over REST between baresip phones: who is rung when, who hears what, and how it ends."""
from harness import HOST, Baresip, RestError, Suite, check, wait_for, write_tone

suite = Suite()
songs = suite.folder / "songs"
songs.mkdir()
write_tone(songs / "notice.wav", 880, seconds=3)
node = suite.node("orders", config={"sounds": {"folder": str(songs)}})
count = 0


def phone(user, hertz, answer="auto"):
    global count
    count += 1
    p = suite.closing(Baresip(node.folder, f"{count}-{user}", user, node.users[user], node.sip, hertz, answer=answer))
    p.wait_registered(node)
    return p


def address(user):
    return f"{user}@{node.domain}"


def place(**order):
    return node.api("POST", "/calls", order)["id"]


def record_of(call):
    return wait_for(lambda: [r for r in node.cdrs() if r["call"] == call], 10, "the call's record")


def talk():
    a, b = phone("1001", 440), phone("1002", 620, answer="manual")
    call = place(**{"from": address("1001"), "to": "1002", "display": "Click to dial"})
    a.event("CALL_ESTABLISHED")
    check(f"sip:1002@{node.domain}" in a.log_text(), "the first phone is not shown whom it will talk with")
    mark = b.mark()
    b.event("CALL_INCOMING", since=0)
    shown = node.api("GET", f"/calls/{call}")
    check(shown["state"] == "ringing" and shown["ordered_by"].startswith("token"), str(shown))
    a.heard(425, seconds=15, blocks=5)  # our ringing tone, while the second rings
    b.command("accept")
    b.event("CALL_ESTABLISHED", since=mark)
    a.heard(620), b.heard(440)
    check(node.api("GET", f"/calls/{call}")["state"] == "connected", "the call is not connected")
    node.api("DELETE", f"/calls/{call}")
    a.event("CALL_CLOSED"), b.event("CALL_CLOSED")
    row = record_of(call)[0]
    check(row["caller"]["user"] == "1001" and row["callee"]["user"] == "1002" and row["sip_status"] == 200, str(row))
    check(row["ordered_by"].startswith("token"), str(row))
    node.wait_no_calls()


def second_is_away():
    a = phone("1001", 440)
    call = place(**{"from": address("1001"), "to": "1003"})
    a.event("CALL_ESTABLISHED")
    a.event("CALL_CLOSED")
    row = record_of(call)[0]
    check(row["sip_status"] == 480 and row["answer"] == "", str(row))
    node.wait_no_calls()


def first_does_not_answer():
    a, b = phone("1001", 440, answer="manual"), phone("1002", 620)
    call = place(**{"from": address("1001"), "to": "1002", "ring_seconds": 2})
    a.event("CALL_INCOMING")
    a.event("CALL_CLOSED")
    row = record_of(call)[0]
    check(row["caller"]["user"] == "1001" and row["dialled"] == "1002" and row["answer"] == "", str(row))
    b.pump()
    check(not any(e.get("type") == "CALL_INCOMING" for e in b.events), "the second was rung")
    node.wait_no_calls()


def permissions():
    def refused(status, **order):
        try:
            place(**order)
        except RestError as e:
            check(e.status == status, f"{order}: {e.status} where {status} is due")
        else:
            check(False, f"{order}: it was taken")

    refused(400, to="1002")
    refused(400, **{"from": address("nobody"), "to": "1002"})
    refused(400, **{"from": "+4930123456", "to": "1002"})  # on whose account?
    refused(400, **{"from": address("1001"), "to": "1002", "ring_seconds": 0})
    refused(400, **{"from": address("1001"), "to": "10\r\n02"})


def by_ctl():
    # Baresip 1.0 does not flush its jitter buffer for a new SSRC when two packets of another were all it had before:
    # the second party takes its time to answer.
    a, b = phone("1001", 440), phone("1002", 620, answer="manual")
    code, out, error = node.ctl("calls", "place", address("1001"), "1002", "--ring", "20")
    check(code == 0, error)
    b.event("CALL_INCOMING", since=0)
    a.heard(425, seconds=15, blocks=5)
    b.command("accept")
    a.heard(620), b.heard(440)
    call = node.api("GET", "/calls")["items"][0]["id"]
    check(call in out, out)
    check(node.ctl("calls", "hangup", call)[0] == 0, "ctl calls hangup")
    node.wait_no_calls()


def transfer():
    """To another phone over REST: who stays hears the third, the third hears him, the one who was transferred away is gone."""
    a, b, c = phone("1001", 440), phone("1002", 620, answer="manual"), phone("1003", 880, answer="manual")
    call = place(**{"from": address("1001"), "to": "1002"})
    b.event("CALL_INCOMING", since=0)
    a.heard(425, seconds=15, blocks=5)  # long enough for baresip's jitter buffer (see by_ctl)
    b.command("accept")
    a.heard(620), b.heard(440)
    legs = {leg["party"]: leg["id"] for leg in node.api("GET", f"/calls/{call}")["legs"]}
    for status, body in ((404, {"leg": 99, "target": "1003"}), (400, {"leg": legs[address("1002")], "target": "10\r\n03"})):
        try:
            node.api("POST", f"/calls/{call}/transfer", body)
        except RestError as e:
            check(e.status == status, f"{body}: {e.status}")
        else:
            check(False, f"{body}: it was taken")
    mark = b.mark()
    node.api("POST", f"/calls/{call}/transfer", {"leg": legs[address("1002")], "target": "1003"})
    c.event("CALL_INCOMING", since=0)
    c.command("accept")
    c.event("CALL_ESTABLISHED")
    b.event("CALL_CLOSED", since=mark)
    a.heard(880), c.heard(440)
    left = wait_for(lambda: (calls := node.api("GET", "/calls")["items"]) and len(calls) == 1 and {leg["party"] for leg in node.api("GET", f"/calls/{calls[0]['id']}")["legs"]} == {address("1001"), address("1003")} and calls,
                    10, "one call of 1001 and 1003")
    mark = a.mark()
    node.api("DELETE", f"/calls/{left[0]['id']}")
    a.event("CALL_CLOSED", since=mark), c.event("CALL_CLOSED")
    node.wait_no_calls()
    pairs = wait_for(lambda: (p := {(r["caller"]["user"], r["callee"]["user"]) for r in node.conversations()[:2]}) >= {("1001", "1003")} and p, 10, f"a record of 1001 and 1003: {node.conversations()[:2]}")
    check(("1001", "1002") in pairs, f"records: {pairs}")


def play():
    """To one, to both, over and over until it is stopped; and what cannot be played."""
    a, b = phone("1001", 440), phone("1002", 620, answer="manual")
    call = place(**{"from": address("1001"), "to": "1002"})
    b.event("CALL_INCOMING", since=0)
    a.heard(425, seconds=15, blocks=5)  # long enough for baresip's jitter buffer (see by_ctl)
    b.command("accept")
    a.heard(620), b.heard(440)
    first, second = (leg["id"] for leg in sorted(node.api("GET", f"/calls/{call}")["legs"], key=lambda leg: leg["party"]))
    node.api("POST", f"/calls/{call}/play", {"sounds": [{"file": "notice.wav"}], "legs": [second]})
    b.heard(880)
    a.heard(620)  # and is heard meanwhile
    b.heard(440)  # when it has come to its end
    code, _, error = node.ctl("calls", "play", call, "--file", "notice.wav", "--rounds", "0")
    check(code == 0, error)
    a.heard(880), b.heard(880)
    mark = len(a.recording()[0])
    wait_for(lambda: len(a.recording()[0]) > mark + 4 * a.recording()[1], 15, "more than one round")
    a.heard(880)
    check(node.ctl("calls", "quiet", call)[0] == 0, "ctl calls quiet")
    a.heard(620), b.heard(440)
    for status, body in ((400, {"sounds": [{"prompt": "no-such-prompt"}]}), (409, {"sounds": [{"file": "notice.wav"}], "legs": [99]})):
        try:
            node.api("POST", f"/calls/{call}/play", body)
        except RestError as e:
            check(e.status == status, f"{body}: {e.status}")
        else:
            check(False, f"{body}: it was taken")
    node.api("DELETE", f"/calls/{call}")
    node.wait_no_calls()


node.start()
suite.run("one after the other, ringing heard, tones at both ends", talk)
suite.run("a second party who is away", second_is_away)
suite.run("a first party who does not answer", first_does_not_answer)
suite.run("refusals", permissions)
suite.run("transferred over REST, tones at both ends", transfer)
suite.run("sounds played to those who talk", play)
suite.run("tandem ctl calls place", by_ctl)
suite.finish()
