#!/usr/bin/env python3
"""A node that is stopped, or killed in the middle of calls, and started again."""
import re

from harness import HOST, Sipp, Suite, check, free_port, wait_for

suite = Suite()
node = suite.node("restart", config={"sip": {"digest": ["MD5", "SHA-256", "SHA-512-256"]}, "limits": {"auth_failures": 0}})


def sipp(scenario, user, to="", local=None, calls=1, rate=50, seconds=30, options=(), **more):
    values = {"user": user, "password": node.users[user], "domain": node.domain, "to": to, "hold": 100, "ring": 20, **more}
    return suite.closing(Sipp(node.folder, scenario, node.sip, local, calls, rate, seconds, values=values, options=options))


def register(user):
    port = free_port()
    sipp("register", user, local=port, expires=3600, contact=f"{HOST}:{port}").wait()
    return port


def bindings_stay():
    """SIGTERM, start: who was registered is called without registering again."""
    port = register("1002")
    node.stop()
    check(node.process.returncode == 0, f"SIGTERM: exit {node.process.returncode}")
    node.start()
    found = node.api("GET", "/registrations?search=1002")["items"]
    check(len(found) == 1 and found[0]["source"] == f"{HOST}:{port}", f"bindings {found}")
    callee = sipp("uas", "1002", local=port).listening()
    sipp("uac", "1001", "1002").wait()
    callee.wait()


def killed_in_calls():
    """SIGKILL while calls begin and end. A caller that saw 200 to its BYE is on record, once; nothing else is invented."""
    total = 600
    port = register("1002")
    known = {c["caller"]["call_id"] for c in node.cdrs()}
    callee = sipp("uas", "1002", local=port, calls=total, seconds=60).listening()
    trace = node.folder / "killed.messages"
    caller = sipp("uac", "1001", "1002", calls=total, seconds=60, options=("-trace_msg", "-message_file", str(trace)))

    def ended():
        """Call-IDs whose caller has the 200 to its BYE."""
        text = trace.read_text(errors="replace") if trace.exists() else ""
        done = set()
        for message in re.split(r"-{20,}[^\n]*\n", text):
            if re.search(r"^SIP/2\.0 200", message, re.M) and re.search(r"^CSeq:\s*\d+ BYE", message, re.M):
                done.add(re.search(r"^Call-ID:\s*(\S+)", message, re.M | re.I)[1])
        return done

    wait_for(lambda: len(ended()) > total // 4, 30, "a quarter of the calls")
    node.kill()
    done = ended()
    caller.end(), callee.end()
    check(len(done) < total, "all calls were over before the kill")
    done |= ended()
    started = set(re.findall(r"^Call-ID:\s*(\S+)", trace.read_text(errors="replace"), re.M | re.I))
    node.start()
    rows = []

    def recovered():
        rows[:] = [c for c in node.cdrs() if c["caller"]["call_id"] not in known]
        return done <= {c["caller"]["call_id"] for c in rows}

    wait_for(recovered, 15, f"CDRs of {len(done)} ended calls")
    ids = [c["caller"]["call_id"] for c in rows]
    check(len(ids) == len(set(ids)), f"{len(ids) - len(set(ids))} calls have two CDRs")
    check(set(ids) <= started, f"CDRs of calls nobody made: {set(ids) - started}")
    epochs = {c["epoch"] for c in rows}
    check(len(epochs) == 1, f"CDRs of epochs {epochs}")


def works_afterwards():
    port = register("1002")
    callee = sipp("uas", "1002", local=port).listening()
    before = len(node.cdrs())
    sipp("uac", "1001", "1002").wait()
    callee.wait()
    wait_for(lambda: len(node.cdrs()) == before + 1, 10, "one more CDR")
    node.wait_no_calls()


def drains():
    """SIGTERM waits for a call to end and takes no new one meanwhile."""
    port = register("1002")
    callee = sipp("uas", "1002", local=port).listening()
    caller = sipp("uac", "1001", "1002", hold=2500)
    wait_for(lambda: any(c["state"] == "connected" for c in node.api("GET", "/calls")["items"]), 10, "the call")
    node.process.terminate()
    try:
        sipp("uac_refused", "1003", "1002", status=503).wait()
        caller.wait(), callee.wait()
        check(node.process.wait(10) == 0, f"exit {node.process.returncode}")
    finally:
        node.stop()
        node.start()


def main():
    node.start()
    suite.run("bindings are kept over a restart", bindings_stay)
    suite.run("SIGTERM lets calls end", drains)
    suite.run("killed in the middle of calls: each CDR once", killed_in_calls)
    suite.run("all works afterwards", works_afterwards)
    suite.finish()


main()
