#!/usr/bin/env python3
"""SIPp as caller, callee and trunk: each scenario of tests/interop/sipp, then a thousand calls at fifty a second, with digest and
over a trunk; what is left behind is read through REST."""
import re

from harness import HOST, RestError, Sipp, Suite, check, free_port, wait_for
from ua import Ua

CARRIER = "127.0.0.2"
suite = Suite()
node = suite.node("sipp")  # as `tandem demo` runs


def values(user, to="", **more):
    return {"user": user, "password": node.users.get(user, "none"), "domain": node.domain, "to": to, "hold": 300, **more}


def sipp(scenario, user, to="", local=None, calls=1, rate=10, seconds=25, options=(), **more):
    return suite.closing(Sipp(node.folder, scenario, node.sip, local, calls, rate, seconds, values=values(user, to, **more),
                              options=options))


def register(user, expires=600):
    """The port a phone of that user then has to listen on."""
    port = free_port()
    sipp("register", user, local=port, expires=expires, contact=f"{HOST}:{port}").wait()
    return port


def phone(user, scenario="uas", calls=1, seconds=25, port=None, **more):
    port = port or register(user)
    more = {"ring": 50, **more}
    return sipp(scenario, user, local=port, calls=calls, seconds=seconds, **more).listening()


def forget():
    """No calls, no contacts, no forwarding: what a check left behind does not reach the next one."""
    for call in node.api("GET", "/calls")["items"]:
        node.request("DELETE", f"/api/v1/calls/{call['id']}")
    node.wait_no_calls(40)
    for binding in node.api("GET", "/registrations")["items"]:
        try:
            node.api("DELETE", f"/registrations/{binding['domain']}/{binding['user']}")
        except RestError as e:
            check(e.status == 404, str(e))
    for user in ("1002", "1003"):
        node.subscriber(user, do_not_disturb=False,
                        forwarding={"always": "", "busy": "", "no_answer": "", "unreachable": "", "no_answer_seconds": 20})


def cdr_after(action, count=1):
    """The records that `action` added."""
    known = {(c["node"], c["epoch"], c["call"], c["pair"]) for c in node.cdrs()}
    action()
    rows = []

    def fresh():
        rows[:] = [c for c in node.cdrs() if (c["node"], c["epoch"], c["call"], c["pair"]) not in known]
        return len(rows) >= count

    wait_for(fresh, 10, f"{count} new CDR")
    check(len(rows) == count, f"{len(rows)} CDRs where {count} are due: {rows}")
    return sorted(rows, key=lambda c: c["pair"])


def registers():
    port = register("1001")
    found = node.api("GET", "/registrations?search=1001")["items"]
    check(len(found) == 1, f"one binding is due: {found}")
    check(found[0]["source"] == f"{HOST}:{port}" and 0 < found[0]["expires_in"] <= 600, str(found[0]))
    sipp("register", "1001", local=port, expires=0, contact="Content-Length").wait()
    check(not node.api("GET", "/registrations?search=1001")["items"], "still registered after Expires: 0")


def refuses_registration():
    sipp("register_refused", "1001", status=401, password="not-the-password").wait()
    sipp("register_refused", "4999", status=401, password="whatever").wait()
    check(not node.api("GET", "/registrations")["items"], "somebody got in")
    sipp("invite_refused", "1001", "1002", password="not-the-password").wait()
    sipp("invite_refused", "4999", "1002", password="whatever").wait()


def calls():
    callee = phone("1002")
    row, = cdr_after(lambda: (sipp("uac", "1001", "1002").wait(), callee.wait()))
    check(row["caller"]["user"] == "1001" and row["callee"]["user"] == "1002" and row["dialled"] == "1002", str(row))
    check(row["sip_status"] == 200 and row["q850_cause"] == 16 and row["release_side"] == "caller", str(row))
    check(row["setup"] <= row["ring"] <= row["answer"] < row["end"], f"times {row['setup']} {row['ring']} {row['answer']} {row['end']}")
    check(row["caller"]["codec"] == "PCMU" and row["callee"]["codec"] == "PCMU", f"codecs {row['caller']['codec']} {row['callee']['codec']}")


def calls_over(transport):
    port = register("1002")
    callee = phone("1002", port=port)
    suite.closing(Sipp(node.folder, "uac", node.sip, values=values("1001", "1002"), transport=transport)).wait()
    callee.wait()


def cancels():
    callee = phone("1002", "uas_cancelled")
    row, = cdr_after(lambda: (sipp("uac_cancel", "1001", "1002").wait(), callee.wait()))
    check(row["sip_status"] == 487 and row["answer"] == "" and row["release_side"] == "caller", str(row))


def busy():
    callee = phone("1002", "uas_status", status=486, phrase="Busy Here", header="Warning: 399 sipp busy")
    row, = cdr_after(lambda: (sipp("uac_failed", "1001", "1002", status=486).wait(), callee.wait()))
    check(row["sip_status"] == 486 and row["q850_cause"] == 17, str(row))


def nobody_there():
    rows = cdr_after(lambda: (sipp("uac_failed", "1001", "1002", status=480).wait(),
                              sipp("uac_failed", "1001", "1777", status=404).wait()), 2)
    check({(c["dialled"], c["sip_status"], c["release_side"]) for c in rows} == {("1002", 480, "system"), ("1777", 404, "system")}, str(rows))
    node.subscriber("1002", do_not_disturb=True)
    sipp("uac_failed", "1001", "1002", status=486).wait()


def no_answer_forward():
    node.subscriber("1002", forwarding={"no_answer": "1003", "no_answer_seconds": 2})
    first, second = phone("1002", "uas_cancelled"), phone("1003")
    sipp("uac_ringing_twice", "1001", "1002").wait()
    first.wait(), second.wait()


def busy_forward():
    node.subscriber("1002", forwarding={"busy": "1003"})
    first, second = phone("1002", "uas_status", status=486, phrase="Busy Here", header="Warning: 399 sipp busy"), phone("1003")
    in_vain, row = cdr_after(lambda: (sipp("uac", "1001", "1002").wait(), first.wait(), second.wait()), 2)
    check((in_vain["callee"]["user"], in_vain["sip_status"], in_vain["release_side"]) == ("1002", 486, "callee"), str(in_vain))
    check((row["callee"]["user"], row["sip_status"], row["forwarded_by"]) == ("1003", 200, f"1002@{node.domain}"), str(row))


def redirect():
    first = phone("1002", "uas_status", status=302, phrase="Moved Temporarily", header=f"Contact: <sip:1003@{node.domain}>")
    second = phone("1003")
    sipp("uac", "1001", "1002").wait()
    first.wait(), second.wait()


def blind_transfer():
    first, second = phone("1002"), phone("1003")
    known = len(node.cdrs())
    sipp("uac_refer", "1001", "1002", target="1003").wait()
    # The transferred party and the target talk now: two phones, one call. The system hangs it up.
    def talking():
        live = [c for c in node.api("GET", "/calls")["items"] if c["state"] == "connected"]
        return live if live else None
    live = wait_for(talking, 10, "the transferred call")
    node.api("DELETE", f"/calls/{live[0]['id']}")
    first.wait(), second.wait()
    wait_for(lambda: len(node.cdrs()) == known + 2, 10, "one CDR per pair of legs")
    pairs = sorted((c["caller"]["user"], c["callee"]["user"]) for c in node.cdrs()[:2])
    check(("1001", "1002") in pairs and any("1003" in p for p in pairs), f"pairs {pairs}")


def holds():
    callee = phone("1002", "uas_held")
    sipp("uac_reinvite_hold", "1001", "1002").wait()
    callee.wait()


def prack():
    callee = phone("1002", "uas_prack")
    sipp("uac_prack", "1001", "1002").wait()
    callee.wait()


def session_timer():
    callee = phone("1002", "uas")
    sipp("uac_timer", "1001", "1002").wait()
    callee.wait()
    sipp("uac_timer_short", "1001", "1002").wait()


def options():
    sipp("options", "1001").wait()


def messages():
    """To several, so that the worker the answer comes in at is not always the one that waits for it; and by another name of the domain."""
    for user, domain in (("1002", node.domain), ("1004", node.domain), ("1005", node.domain), ("1006", "localhost")):
        receiver = phone(user, "message_received", text="are you there", **{"from": "1001"})
        writer = suite.closing(Ua(node, "1001"))
        answer = writer.ask("MESSAGE", f"sip:{user}@{domain}", ["Content-Type: text/plain"], "are you there", f"<sip:{user}@{domain}>")
        check(answer.status == 200, f"MESSAGE to {user}@{domain}: {answer.start}")
        receiver.wait()


def stored_message():
    sipp("message", "1001", "1003", status=202, text="for later").wait()
    port = register("1003")
    receiver = phone("1003", "message_received", port=port, text="for later", **{"from": "1001"})
    receiver.wait()


def message_waiting():
    """RFC 3842: none, then one that is stored, then none again after it was delivered."""
    watcher = suite.closing(Ua(node, "1007"))
    answer = watcher.ask("SUBSCRIBE", f"sip:1007@{node.domain}", ["Event: message-summary", "Expires: 300"], to=f"<sip:1007@{node.domain}>")
    check(answer.status == 200, f"SUBSCRIBE: {answer.start}")
    check("Messages-Waiting: no" in watcher.notified(), "an empty mailbox")
    sipp("message", "1001", "1007", status=202, text="for later").wait()
    body = watcher.notified()
    check("Messages-Waiting: yes" in body and "Text-Message: 1/0" in body, f"one message: {body}")
    port = register("1007")
    receiver = phone("1007", "message_received", port=port, text="for later", **{"from": "1001"})
    receiver.wait()
    body = watcher.notified()
    check("Messages-Waiting: no" in body, f"delivered: {body}")


def busy_lamp():
    """The watcher (RFC 4235) hears the state at once, then ringing, talking and the end; how often is the node's business."""
    watcher = suite.closing(Ua(node, "1001"))
    answer = watcher.ask("SUBSCRIBE", f"sip:1002@{node.domain}", ["Event: dialog", "Accept: application/dialog-info+xml", "Expires: 300"],
                         to=f"<sip:1002@{node.domain}>")
    check(answer.status == 200 and 0 < int(answer.get("expires")) <= 300, f"SUBSCRIBE: {answer.start}")
    first = watcher.notified()
    check("<state>terminated</state>" in first and "early" not in first, f"an idle line: {first}")
    callee = phone("1002", ring=500)
    caller = sipp("uac", "1003", "1002", hold=500)
    seen = []
    while "confirmed" not in seen or seen[-1] != "terminated":
        body = watcher.notified()
        seen.append((re.search("<state>(.*?)</state>", body) or ["", "none"])[1])
        check(len(seen) < 20, f"states {seen}")
    check(seen.index("early") < seen.index("confirmed") and "terminated" not in seen[:-1], f"states {seen}")
    caller.wait(), callee.wait()
    target = re.search(r"<([^>]+)>", answer.get("contact"))[1]
    bye = watcher.ask("SUBSCRIBE", target, ["Event: dialog", "Expires: 0"], to=answer.get("to"))
    check(bye.status == 200, f"SUBSCRIBE with Expires: 0: {bye.start}")
    watcher.notified()
    check("terminated" in watcher.last.get("subscription-state"), f"the subscription goes on: {watcher.last.get('subscription-state')}")


def thousand(kind):
    """1,000 calls at 50 a second: nothing unexpected, nothing sent twice, nothing failed, and a record of each."""
    total = 3000 if suite.args.all else 1000
    patience = total / 50 + 60
    port = register("1002")
    callee = phone("1002", calls=total, seconds=patience, port=port, ring=20)
    before, resent = len(node.cdrs()), node.metric("sip_retransmissions_total")
    if kind == "digest":
        caller = sipp("uac", "1001", "1002", calls=total, rate=50, seconds=patience)
    else:
        caller = suite.closing(Sipp(node.folder, "uac_trunk", node.sip, None, total, 50, patience, values=values("0305550100", "1002"),
                                    host=CARRIER))
    caller.wait(), callee.wait()
    for name, side in (("caller", caller), ("callee", callee)):
        f = side.figures()
        check(int(f["SuccessfulCall(C)"]) == total and int(f["FailedCall(C)"]) == 0,
              f"{name}: {f['SuccessfulCall(C)']} calls, {f['FailedCall(C)']} failed")
        check(int(f["Retransmissions(C)"]) == 0, f"{name}: {f['Retransmissions(C)']} retransmissions")
        check(int(f["OutOfCallMsgs(C)"]) == 0 and int(f["DeadCallMsgs(C)"]) == 0,
              f"{name}: {f['OutOfCallMsgs(C)']} messages out of calls, {f['DeadCallMsgs(C)']} after their call")
    again = node.metric("sip_retransmissions_total") - resent
    check(again == 0, f"the node sent {again:.0f} messages twice")
    node.wait_no_calls()
    rows = []
    wait_for(lambda: rows.__setitem__(slice(None), node.cdrs()) or len(rows) - before >= total, 15, f"{total} CDRs")
    check(len(rows) - before == total, f"{len(rows) - before} CDRs of {total} calls")
    fresh = rows[:total]  # latest first
    check(len({c["caller"]["call_id"] for c in fresh}) == total, "a call has two CDRs")
    wrong = [c for c in fresh if c["sip_status"] != 200 or c["callee"]["user"] != "1002" or not c["answer"]
             or (kind == "trunk") != (c["caller"]["trunk"] == "carrier")]
    check(not wrong, f"{len(wrong)} CDRs are wrong, such as {wrong[:1]}")


def trunk():
    """Incoming calls from an address that is a trunk's are not asked for a password; outgoing ones reach it."""
    node.api("PUT", "/trunks/carrier", {"domain": node.domain, "kind": "address", "host": CARRIER, "port": carrier_port, "transport": "udp",
                                        "sources": [f"{CARRIER}/32"], "options_seconds": 0, "inbound_class": "internal"})
    node.api("POST", "/routes", {"domain": node.domain, "priority": 10, "name": "out", "pattern": "0.", "action": "trunk",
                                 "targets": ["carrier"], "call_class": "internal", "strip": 1})
    node.api("POST", "/routes", {"domain": node.domain, "priority": 20, "name": "in", "pattern": "1XXX", "from_trunk": "carrier",
                                 "action": "extension", "call_class": "internal"})


def main():
    node.start()
    suite.run("OPTIONS is answered", options)
    checks = [
        ("register with digest, then leave", registers), ("failed authentication tells nothing", refuses_registration),
        ("call, and its CDR", calls), ("call over TCP", calls_over, "t1"), ("cancel", cancels), ("busy", busy),
        ("unreachable, unknown, do not disturb", nobody_there), ("no answer, forwarded", no_answer_forward),
        ("busy, forwarded", busy_forward), ("3xx is followed", redirect), ("blind transfer by REFER", blind_transfer),
        ("hold and resume by re-INVITE", holds), ("PRACK on both sides", prack), ("session timer", session_timer),
        ("MESSAGE", messages), ("MESSAGE stored and delivered", stored_message), ("message waiting", message_waiting), ("busy lamp: SUBSCRIBE and NOTIFY", busy_lamp),
        ("1,000 calls at 50 a second with digest", thousand, "digest")]
    for name, body, *arguments in checks:
        suite.run(name, lambda body=body, arguments=arguments: (forget(), body(*arguments)))
    suite.run("1,000 calls at 50 a second from a trunk", lambda: (forget(), trunk(), thousand("trunk")))
    suite.finish()


carrier_port = free_port()
main()
