#!/usr/bin/env python3
"""A node that is stopped, or killed in the middle of calls, and started again."""
import re
import subprocess

from harness import HOST, Sipp, Suite, check, free_port, wait_for
from ua import Ua

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
        rows[:] = [c for c in node.conversations() if c["caller"]["call_id"] not in known]
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
    before = len(node.conversations())
    sipp("uac", "1001", "1002").wait()
    callee.wait()
    node.wait_cdrs(before + 1)
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


def cut_off():
    """A second SIGTERM with a call up: both phones are told, and the call is on record."""
    known = len(node.conversations())
    callee = sipp("uas", "1002", local=register("1002")).listening()
    caller = suite.closing(Ua(node, "1001"))
    check(caller.call("1002").status == 200, "the call")
    node.process.terminate()
    wait_for(lambda: "node.draining" in node.log_text(), 10, "draining")
    node.process.terminate()
    try:
        bye = caller.receive(10)
        check(bye and bye.method == "BYE" and "cause=41" in bye.get("reason"), f"BYE is due, not {bye and bye.start}")
        caller.accept(bye)
        callee.wait()
        check(node.process.wait(10) == 0, f"exit {node.process.returncode}")
    finally:
        node.stop()
        node.start()
    row = next(c for c in node.wait_cdrs(known + 1) if c["caller"]["call_id"] == caller.call_id)
    check((row["release_side"], row["q850_cause"], row["sip_status"]) == ("system", 41, 200), f"CDR {row}")


def one_node_a_directory():
    """A second program on the same data says so and touches nothing."""
    other = [str(free_port()) for _ in range(3)]
    argv = [node.binary, "demo", "--data", str(node.data), "--sip-port", other[0], "--tls-port", other[1], "--web-port", other[2], "--turn-port", "0"]
    second = subprocess.run(argv, capture_output=True, text=True, timeout=20)
    check(second.returncode == 1 and f"{node.data} is in use by another running node" in second.stderr, f"{second.returncode}: {second.stderr}")
    works_afterwards()
    loose = [f.name for f in node.data.rglob("*") if f.is_file() and f.stat().st_mode & 0o077 and f.suffix != ".crt"]
    check(not loose, f"files that others may read: {loose}")


def another_address():
    """The demo at another address with the data it has: phones told that address get in, and REST is trusted there."""
    first = suite.node("moved").start()
    first.stop()
    address = "127.0.0.9"
    argv = first.argv_demo() + ["--bind", address]
    with open(first.folder / "moved.log", "wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT)
    try:
        def status():
            argv = [first.binary, "ctl", "--data", str(first.data), "--url", f"https://{address}:{first.web}", "domains", "show", first.domain]
            return subprocess.run(argv, capture_output=True, text=True, timeout=20)
        shown = wait_for(lambda: (s := status()).returncode == 0 and s, 15, "REST at the new address with the new certificate")
        check(address in shown.stdout, f"no alias: {shown.stdout}")
    finally:
        process.terminate()
        process.wait(20)
    first.start()  # and back
    check(first.api("GET", "/status"), "REST at the first address")
    first.stop()


def bad_options():
    for words, part in ((["--workers", "9999"], "--workers"), (["--log-level", "bogus"], "--log-level")):
        done = subprocess.run([node.binary, "demo", "--data", str(suite.folder / "never"), *words], capture_output=True, text=True, timeout=20)
        check(done.returncode == 2 and part in done.stderr, f"{words}: {done.returncode} {done.stderr}")
        check(not (suite.folder / "never").exists(), "something was made all the same")


def main():
    node.start()
    suite.run("bindings are kept over a restart", bindings_stay)
    suite.run("SIGTERM lets calls end", drains)
    suite.run("killed in the middle of calls: each CDR once", killed_in_calls)
    suite.run("all works afterwards", works_afterwards)
    suite.run("a stop that cannot wait ends calls and records them", cut_off)
    suite.run("one node a data directory", one_node_a_directory)
    suite.run("the demo at another address", another_address)
    suite.run("options that are no such thing", bad_options)
    suite.finish()


main()
