#!/usr/bin/env python3
"""sipsak: a ping, a registration, a message, a flood and headers full of rubbish."""
import shutil
import subprocess

from harness import HOST, Sipp, Suite, check, free_port

suite = Suite()
# sipsak knows MD5 and looks at the first challenge.
node = suite.node("sipsak", config={"sip": {"digest": ["MD5", "SHA-256", "SHA-512-256"]}, "limits": {"auth_failures": 0}})


def sipsak(*words, seconds=40):
    done = subprocess.run(["sipsak", *words], capture_output=True, timeout=seconds)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def ping():
    code, text = sipsak("-vv", "-s", f"sip:{HOST}:{node.sip}")
    check(code == 0 and "200" in text, f"exit {code}: {text[-600:]}")


def ping_tcp():
    code, text = sipsak("-vv", "-E", "tcp", "-s", f"sip:{HOST}:{node.sip}")
    check(code == 0 and "200" in text, f"exit {code}: {text[-600:]}")


def register():
    code, text = sipsak("-U", "-vv", "-C", f"sip:1001@{HOST}:{free_port()}", "-x", "120", "-u", "1001", "-a", node.users["1001"], "-s",
                        f"sip:1001@{HOST}:{node.sip}")
    found = node.api("GET", "/registrations?search=1001")["items"]
    check(code == 0 and len(found) == 1, f"exit {code}, bindings {found}: {text[-900:]}")
    code, text = sipsak("-U", "-vv", "-C", f"sip:1002@{HOST}:{free_port()}", "-x", "120", "-u", "1002", "-a", "wrong", "-s",
                        f"sip:1002@{HOST}:{node.sip}")
    check(code != 0 and not node.api("GET", "/registrations?search=1002")["items"], f"exit {code}: {text[-600:]}")


def message():
    port = free_port()
    values = {"user": "1003", "password": node.users["1003"], "domain": node.domain, "to": "1003", "expires": 120,
              "contact": f"{HOST}:{port}", "text": "from sipsak", "from": "1001"}
    suite.closing(Sipp(node.folder, "register", node.sip, port, values=values)).wait()
    receiver = suite.closing(Sipp(node.folder, "message_received", node.sip, port, values=values)).listening()
    # As a file: Debian's sipsak ends with a segmentation fault when it makes the MESSAGE itself (-M).
    file = node.folder / "message"
    file.write_text(f"MESSAGE sip:1003@{HOST}:{node.sip} SIP/2.0\r\nFrom: <sip:1001@{node.domain}>;tag=sipsak\r\n"
                    f"To: <sip:1003@{node.domain}>\r\nCall-ID: sipsak-{port}\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\n"
                    "Content-Type: text/plain\r\nContent-Length: 11\r\n\r\nfrom sipsak")
    code, text = sipsak("-f", str(file), "-vv", "-u", "1001", "-a", node.users["1001"], "-s", f"sip:1003@{HOST}:{node.sip}")
    check(code == 0, f"exit {code}: {text[-900:]}")
    receiver.wait()


def flood():
    code, text = sipsak("-F", "-e", "3000", "-s", f"sip:1001@{HOST}:{node.sip}", seconds=60)
    check(node.alive(), f"the node died: {text[-300:]}")
    ping()


def trash():
    """Random rubbish written over good headers: each is answered or dropped, and the next call goes through."""
    code, text = sipsak("-R", "-t", "400", "-vv", "-s", f"sip:1001@{HOST}:{node.sip}", seconds=90)
    check(node.alive(), f"the node died: {text[-300:]}")
    ping()


def main():
    if not shutil.which("sipsak"):
        suite.cannot("sipsak", "the program is not installed")
        suite.finish()
    node.start()
    suite.run("OPTIONS over UDP", ping)
    suite.run("OPTIONS over TCP", ping_tcp)
    suite.run("REGISTER with digest", register)
    suite.run("MESSAGE", message)
    suite.run("3,000 requests in a flood", flood)
    suite.run("random rubbish in headers", trash)
    suite.finish()


main()
