#!/usr/bin/env python3
"""`tandem load` against the demo: its figures, its exit codes, and one CDR a call."""
import json
import subprocess

from harness import HOST, Suite, check, free_port

suite = Suite()
node = suite.node("load", options=("--log-level", "warning"), env={"TANDEM_DEMO_PASSWORD": "load-password"})


def port_of(transport):
    return {"tls": node.tls, "wss": node.web}.get(transport, node.sip)


def load(mode, *options, transport="udp", expect=0, seconds=90):
    """The figures of one run."""
    port = port_of(transport)
    argv = [node.binary, "load", mode, "--target", f"{HOST}:{port}", "--transport", transport, "--quiet", *options]
    if transport in ("tls", "wss"):
        argv += ["--ca", str(node.data / "web.crt")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, cwd=node.folder)
    check(done.returncode == expect, f"exit {done.returncode}, {expect} is due: {done.stderr[-600:]} {done.stdout[:600]}")
    return json.loads(done.stdout) if done.stdout.strip().startswith("{") else done.stderr


def registers(transport):
    figures = load("register", "--domain", node.domain, "--users", "1001-1009", "--password", "load-password", "--count", "90", "--rate", "100",
                   "--bind", f"{HOST}:{free_port()}", transport=transport)
    check(figures["registrations"]["completed"] == 90 and figures["registrations"]["failed"] == 0, str(figures["registrations"]))
    check(not figures["failures"], f"failures {figures['failures']}")


def calls(transport, *more, hold="500ms"):
    """40 calls of half a second with media: all complete, all heard, each on record once."""
    total, known = 40, len(node.conversations())
    port = port_of(transport)
    figures = load("call", "--from", f"sip:1001@{node.domain}", "--to", f"sip:1002@{node.domain}", "--user", "1001", "--password",
                   "load-password", "--domain", node.domain, "--users", "1002-1002", "--register-at", f"{HOST}:{port}", "--calls", str(total),
                   "--rate", "20", "--hold", hold, "--rtp", "--media-ports", "40000-41999", "--bind", f"{HOST}:{free_port()}",
                   "--callee-bind", f"{HOST}:{free_port()}", *more, transport=transport)
    call = figures["calls"]
    check(call["started"] == total and call["completed"] == total and call["failed"] == 0 and call["shed"] == 0, str(call))
    check(figures["incoming"]["completed"] == total, str(figures["incoming"]))
    rtp = figures["rtp"]
    check(rtp["received"] > total * 2 * 15 and rtp["silent_streams"] == 0 and rtp["lost"] <= rtp["received"] // 100, str(rtp))
    node.wait_no_calls()
    rows = node.wait_cdrs(known + total)[:total]
    check(all(r["sip_status"] == 200 and r["callee"]["user"] == "1002" and r["caller"]["packets_received"] > 0 for r in rows), str(rows[:1]))
    check(len({r["caller"]["call_id"] for r in rows}) == total, "a call has two CDRs")


def browsers():
    """Callers whose media is a browser's: each connects, and hears the telephone it calls."""
    before = node.metric("media_ice_completed_total")
    calls("udp", "--webrtc", "caller", hold="2s")
    check(node.metric("media_ice_completed_total") == before + 40, "selected pairs")


def web_sockets():
    """Browsers whose SIP comes by WebSockets, at both ends."""
    opened = node.metric("http_websocket_upgrades_total")
    calls("wss", "--connections", "5", "--webrtc", "both", hold="2s")
    more = node.metric("http_websocket_upgrades_total") - opened
    check(more == 6, f"{more} WebSockets: five of callers, one of the only user that is called")
    wrong = subprocess.Popen([node.binary, "load", "register", "--target", f"{HOST}:{node.web}", "--transport", "wss", "--insecure", "--path", "/no", "--domain",
                              node.domain, "--users", "1001-1001", "--count", "1", "--bind", f"{HOST}:{free_port()}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        told = next((line for line in wrong.stderr if "websocket.refused" in line), "")
        check("HTTP/1.1 404" in told, f"why no WebSocket came to be: {told}")
    finally:
        wrong.kill()
        wrong.wait()


def failures_are_told():
    """A wrong password fails each registration and the run: exit 1. What cannot begin: exit 2 and one sentence."""
    figures = load("register", "--domain", node.domain, "--users", "1001-1001", "--password", "wrong", "--count", "3", "--bind",
                   f"{HOST}:{free_port()}", expect=1)
    check(figures["registrations"]["failed"] == 3 and sum(figures["failures"].values()) == 3, str(figures))
    said = load("register", "--domain", node.domain, "--users", "nobody", "--password", "x", "--count", "1", expect=2)
    check("--users" in said, said)


def unverified_target():
    """Over TLS the target must prove its address; only --insecure does without."""
    def run(*options, expect):
        argv = [node.binary, "load", "register", "--target", f"{HOST}:{node.tls}", "--transport", "tls", "--quiet", "--domain", node.domain,
                "--users", "1001-1001", "--password", "load-password", "--count", "1", "--bind", f"{HOST}:{free_port()}", *options]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=90)
        check(done.returncode == expect, f"{options}: exit {done.returncode}: {done.stderr[-600:]} {done.stdout[-600:]}")

    run("--ca", str(node.data / "web.crt"), expect=0)
    run("--insecure", expect=0)
    run("--ca", str(node.data / "web.crt"), "--server-name", "elsewhere.example", expect=1)


def main():
    node.start()
    for transport in ("udp", "tcp", "tls", "wss"):
        suite.run(f"load register over {transport.upper()}", registers, transport)
    for transport in ("udp", "tcp", "tls"):
        suite.run(f"load call with RTP over {transport.upper()}", calls, transport)
    suite.run("load call over WebSockets", web_sockets)
    suite.run("load call with browsers as callers", browsers)
    suite.run("load tells failures by its exit code", failures_are_told)
    suite.run("load verifies its target", unverified_target)
    suite.finish()


main()
