#!/usr/bin/env python3
"""Phones on IPv6, and calls between IPv4 and IPv6: media crosses the relay both ways."""
import shutil
import socket

from harness import HOST, Baresip, Suite, check, tone_share, wait_for

HOST6 = "::1"
suite = Suite()
node = suite.node("ipv6", config={})
node.config["realms"] = [{
    "name": "default",
    "listeners": [{"transport": t, "bind": f"{h}:{p}"} for h in (HOST, f"[{HOST6}]")
                  for t, p in (("udp", node.sip), ("tcp", node.sip), ("tls", node.tls))],
    "media": {"bind_v4": HOST, "bind_v6": HOST6, "ports": f"{node.media[0]}-{node.media[1]}"}}]
count = 0


def phone(user, hertz, host, transport="udp"):
    global count
    count += 1
    p = suite.closing(Baresip(node.folder, f"{count}-{user}", user, node.users[user], node.sip, hertz, transport, host=host,
                              domain=node.domain))
    p.wait_registered(node)
    return p


def talk(caller_host, callee_host, transport):
    """Each hears the other's tone, and hardly anything else."""
    a, b = phone("1001", 440, caller_host, transport), phone("1002", 620, callee_host, transport)
    sources = {r["user"]: r["source"] for r in node.api("GET", "/registrations")["items"]}
    for user, host in (("1001", caller_host), ("1002", callee_host)):
        check(sources[user].startswith(f"[{host}]:" if ":" in host else f"{host}:"), f"{user} registered from {sources[user]}")
    known = len(node.cdrs())
    a.command("dial", f"sip:1002@{node.domain}")
    a.event("CALL_ESTABLISHED"), b.event("CALL_ESTABLISHED")
    a.heard(620), b.heard(440)
    mark = b.mark()
    a.command("hangup")
    b.event("CALL_CLOSED", since=mark)
    for who, hertz in ((a, 620), (b, 440)):
        samples, rate = who.recording()
        share, loud = tone_share(samples, hertz, rate, rate // 10)
        check(loud >= 10 and share > 0.9, f"{who.name} heard {hertz} Hz in {share:.0%} of {loud} loud tenths of a second")
    wait_for(lambda: len(node.cdrs()) == known + 1, 10, "the CDR")
    row = node.cdrs()[0]
    check(row["caller"]["packets_received"] > 40 and row["callee"]["packets_received"] > 40, f"packets {row}")


def main():
    if not shutil.which("baresip"):
        suite.cannot("IPv6", "baresip is not installed")
        suite.finish()
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind((HOST6, 0))
    except OSError as e:
        suite.cannot("IPv6", f"no IPv6 on the loopback: {e}")
        suite.finish()
    node.start()
    for transport in ("udp", "tcp"):
        suite.run(f"IPv6 call over {transport.upper()}", talk, HOST6, HOST6, transport)
    suite.run("IPv4 phone calls IPv6 phone", talk, HOST, HOST6, "udp")
    suite.run("IPv6 phone calls IPv4 phone", talk, HOST6, HOST, "udp")
    suite.finish()


main()
