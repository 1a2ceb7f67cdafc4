#!/usr/bin/env python3
"""What must not hurt: rubbish on every wire, files and disks that fail, clients that hang. Each check makes a call afterwards."""
import json
import os
import pathlib
import random
import socket
import subprocess
import sys

from harness import HOST, Failed, Node, Sipp, Suite, check, free_port, wait_for
from ua import Ua

# Mounts of these tests are nobody else's: the script runs again in a mount namespace of its own.
if os.environ.get("TANDEM_MOUNTS") is None:
    own = subprocess.run(["unshare", "-m", "--propagation", "private", "true"], capture_output=True, text=True)
    if own.returncode == 0:
        os.environ["TANDEM_MOUNTS"] = "own"
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable, *sys.argv])
    os.environ["TANDEM_MOUNTS"] = f"unshare: {own.stderr.strip()}"

suite = Suite()
NASTY = "127.0.0.4"  # where rubbish comes from: who sends much of it over connections is banned, and nobody else
OWN_SIP = {"sip": {"digest": ["MD5", "SHA-256", "SHA-512-256"]}, "limits": {"auth_failures": 0}}


def works(node, seconds=10):
    """A phone calls the echo test, hears itself and hangs up."""
    phone = Ua(node, "1009")
    try:
        answer = phone.call("*43", seconds)
        check(answer.status == 200, f"call to *43: {answer.start}")
        check(phone.talk(20) > 8, "no echo")
        check(phone.bye().status == 200, "BYE")
    finally:
        phone.close()


def mount(*words):
    done = subprocess.run(["mount", *words], capture_output=True, text=True)
    check(done.returncode == 0, f"mount {' '.join(words)}: {done.stderr.strip()}")


def umount(path):
    subprocess.run(["umount", "-l", str(path)], capture_output=True)


def refused(node, *expected, lines=2):
    """A start that fails with one clear message, which holds the expected words, and exit code 1."""
    argv = node.argv_demo() if node.config is None else [node.binary, "serve", "-c", str(node.configuration())]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, cwd=node.folder)
    text = done.stderr + done.stdout
    check(done.returncode == 1, f"exit {done.returncode}, not 1: {text[-600:]}")
    check(all(word in text for word in expected), f"the message does not say {expected}: {text[-600:]}")
    said = [line for line in done.stderr.splitlines() if line.strip()]
    check(len(said) <= lines, f"{len(said)} lines where one is due: {text[-900:]}")


# ---- SIP, SDP, RTP ---------------------------------------------------------------------------------------

GOOD = ("OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{n}\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\n"
        "To: <sip:a@b>\r\nCall-ID: {n}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n")
BAD_SIP = [
    b"\x00" * 40, b"\xff" * 1500, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"OPTIONS\r\n\r\n", b"OPTIONS sip:x SIP/3.0\r\n\r\n",
    b"SIP/2.0 200 OK\r\n\r\n", b"SIP/2.0 99999 No\r\n\r\n", b"INVITE sip: SIP/2.0\r\n\r\n", b"INVITE " + b"a" * 3000 + b" SIP/2.0\r\n\r\n",
    GOOD.replace("CSeq: 1 OPTIONS", "CSeq: -1 OPTIONS").encode(), GOOD.replace("CSeq: 1 OPTIONS", "CSeq: 99999999999 OPTIONS").encode(),
    GOOD.replace("CSeq: 1 OPTIONS", "CSeq: 1 BYE").encode(), GOOD.replace("Content-Length: 0", "Content-Length: 9999").encode(),
    GOOD.replace("Content-Length: 0", "Content-Length: -5").encode(), GOOD.replace("Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{n}\r\n", "").encode(),
    GOOD.replace("Call-ID: {n}\r\n", "").encode(), GOOD.replace("<sip:a@b>;tag=1", "<sip:a@b;tag=1").encode(),
    GOOD.replace("To: <sip:a@b>", 'To: "unclosed <sip:a@b>').encode(), GOOD.replace("Max-Forwards: 70", "Max-Forwards: 0").encode(),
    GOOD.replace("Max-Forwards: 70", "X: " + "y" * 20000).encode(), GOOD.replace("Max-Forwards: 70", "\r\n".join(f"X-{i}: 1" for i in range(900))).encode(),
    GOOD.replace("sip:127.0.0.1 ", "sip:%00%zz@[::1::2] ").encode(), GOOD.replace("Max-Forwards: 70", "Require: a,b,c").encode(),
    GOOD.replace("Via: ", "Via: " + "SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKx," * 200).encode(), b"\r\n\r\n", b"",
]


def bad_sip(node):
    before, banned = node.metric("sip_parse_errors_total"), node.metric("edge_bans_total")
    rng = random.Random(4475)
    s = from_address("127.0.1.1", node.sip)
    for i, text in enumerate(BAD_SIP * 3):
        s.send(text.replace(b"{n}", b"%d" % i)[:60000])
    s.close()
    for mend, status in ((("CSeq: 1 OPTIONS", "CSeq: 1 BYE"), b"400"), (("sip:127.0.0.1 SIP/2.0", "sip:127.0.0.1 SIP/3.0"), b"505")):
        s = from_address("127.0.1.2", node.sip)
        s.settimeout(5)
        s.send(GOOD.replace(*mend).replace("{n}", "answered").encode())
        answer = s.recv(65535)
        s.close()
        check(answer.startswith(b"SIP/2.0 " + status), f"an answer to {mend[1]}: {answer[:40]}")
    for i in range(1500):  # one to eight bytes of a good request changed
        if i % 50 == 0:
            s = from_address(f"127.0.2.{1 + i // 50}", node.sip)
        data = bytearray(GOOD.replace("{n}", f"fuzz{i}").encode())
        for _ in range(rng.randrange(1, 9)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        s.send(bytes(data))
        if i % 50 == 49:
            s.close()
            works_options(node)
    works(node)
    counted = node.metric("sip_parse_errors_total") - before
    check(counted > 200, f"{counted} messages were counted as unreadable")
    # A datagram's source can be forged: a stranger must not silence a phone by writing in its name.
    s = from_address("127.0.3.1", node.sip)
    for _ in range(150):
        s.send(b"INVITE sip: SIP/2.0\r\n\r\n")
    s.close()
    wait_for(lambda: node.metric("sip_parse_errors_total") >= before + counted + 150, 5, "a hundred and fifty more are counted")
    phone = suite.closing(Ua(node, "1009", host="127.0.3.1"))
    answer = phone.ask("OPTIONS", f"sip:{node.domain}")
    check(answer.status == 200, f"the phone at the forged address: {answer.start}")
    check(node.metric("edge_bans_total") == banned, "a ban for datagrams")
    works(node)


def from_address(address, port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, 0))
    s.connect((HOST, port))
    return s


def works_options(node):
    phone = Ua(node, "1009")
    try:
        check(phone.ask("OPTIONS", f"sip:{HOST}:{node.sip}").status == 200, "OPTIONS")
    finally:
        phone.close()


def bad_stream(node):
    """A TCP stream that is no SIP, or whose length lies, is closed or answered; nobody else notices."""
    for data in (b"\x16\x03\x01" * 500, b"GET / HTTP/1.1\r\n\r\n", b"A" * 70000,
                 GOOD.replace("Content-Length: 0", "Content-Length: 4000000000").replace("{n}", "tcp").encode(),
                 GOOD.replace("Content-Length: 0", "Content-Length: x").replace("{n}", "tcp2").encode()):
        with socket.create_connection((HOST, node.sip), 5, (NASTY, 0)) as s:
            try:
                s.sendall(data)
                s.settimeout(0.3)
                s.recv(4096)
            except OSError:
                pass
    with socket.create_connection((HOST, node.tls), 5, (NASTY, 0)) as s:
        s.sendall(b"not TLS at all\r\n\r\n")
    works(node)


def bad_sdp(node):
    """Each offer that cannot be used is refused with 4xx or answered; none hangs."""
    phone = suite.closing(Ua(node, "1001"))
    good = phone.offer()
    for body in ("", "v=0", "v=1\r\n" + good[5:], good.replace("m=audio ", "m=audio 99999999"), good.replace("IP4 127", "IP4 999.1.1.1.127"),
                 good.replace("RTP/AVP 0", "RTP/AVP 300"), good.replace("RTP/AVP 0", "RTP/AVP"), good.replace("audio", "audio\x00"),
                 "v=0\r\n" + "a=x\r\n" * 5000, good.replace("s=-", "s=" + "z" * 40000), good + "m=audio 0 RTP/AVP 0\r\n" * 300,
                 good.replace("m=audio", "m=application"), "<xml/>"):
        phone.offer = lambda body=body: body
        if len(body) > 1500:  # more than fits one datagram comfortably: over TCP
            caller = suite.closing(Ua(node, "1001", "tcp"))
            caller.offer = lambda body=body: body
        else:
            caller = phone
        answer = caller.call("*43") if body else caller.ask("INVITE", f"sip:*43@{node.domain}", to=f"<sip:*43@{node.domain}>")
        check(answer.status < 500 or answer.status in (503, 513, 580, 606), f"{body[:60]!r}: {answer.start}")
        if answer.status == 200 and body:
            check(caller.bye().status in (200, 481), "BYE")
        elif answer.status == 200:  # an offer was due to us: refuse it by ending the call
            caller.remote, caller.target = answer.get("to"), answer.get("contact").strip("<>").split(">")[0]
            caller.send(caller.request_text("ACK", caller.target, to=caller.remote))
            caller.bye()
    node.wait_no_calls(40)
    works(node)


def bad_rtp(node):
    """Rubbish and a stranger's packets at the media port: the call goes on, and the stranger gets nothing."""
    phone = suite.closing(Ua(node, "1001"))
    check(phone.call("*43").status == 200, "*43")
    check(phone.talk(25) > 10, "no echo")
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stranger.bind((HOST, 0))
    rng = random.Random(3550)
    for i in range(800):
        size = rng.choice((0, 1, 3, 11, 12, 13, 40, 172, 1400))
        stranger.sendto(rng.randbytes(size), (HOST, phone.media))
        stranger.sendto(bytes([0x80 | rng.randrange(64), rng.randrange(256)]) + rng.randbytes(size), (HOST, phone.media + 1))
        phone.rtp.sendto(rng.randbytes(rng.choice((1, 5, 11))), (HOST, phone.media))
    heard = phone.talk(40)
    check(heard > 20, f"{heard} packets of 40 came back after the rubbish")
    stranger.settimeout(0.3)
    try:
        data = stranger.recv(2048)
        raise Failed(f"the stranger got {len(data)} bytes of the call")
    except TimeoutError:
        pass
    stranger.close()
    check(phone.bye().status == 200, "BYE")


def hanging_clients(node):
    """Slow TCP clients and TLS handshakes that stop half way, while calls go on and a TLS phone registers."""
    callee_port = free_port()
    values = {"user": "1002", "password": node.users["1002"], "domain": node.domain, "expires": 300, "contact": f"{HOST}:{callee_port}",
              "ring": 20, "hold": 300, "to": "1002"}
    suite.closing(Sipp(node.folder, "register", node.sip, callee_port, values=values)).wait()
    callee = suite.closing(Sipp(node.folder, "uas", node.sip, callee_port, 100, 20, 30, values=values)).listening()
    hanging = []
    for i in range(300):
        s = socket.create_connection((HOST, node.sip if i % 2 else node.tls), 5)
        s.sendall(b"OPTIONS sip:x SIP/2.0\r\nVia: " if i % 2 else b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        hanging.append(s)
    caller = suite.closing(Sipp(node.folder, "uac", node.sip, None, 100, 20, 30,
                                values={**values, "user": "1001", "password": node.users["1001"]}))
    for s in hanging[:100]:
        try:
            s.sendall(b"x")
        except OSError:
            pass  # already thrown out: also right
    phone = suite.closing(Ua(node, "1003", "tls", "SHA-256"))
    check(phone.register().status == 200, "REGISTER over TLS beside hanging handshakes")
    caller.wait(), callee.wait()
    for s in hanging:
        s.close()


# ---- configuration and start -----------------------------------------------------------------------------


def bad_yaml():
    base = suite.folder / "yaml"
    base.mkdir()
    good = "realms:\n  - name: default\n    listeners:\n      - transport: udp\n        bind: 127.0.0.1:5060\n"
    for text, where, word in (
            (good + "colour: red\n", ":6:1:", "colour"), (good.replace("udp", "carrier-pigeon"), ":4:20:", "udp"),
            (good.replace("127.0.0.1:5060", "nowhere"), ":5:15:", "nowhere"), (good + "workers: many\n", ":6:10:", "many"),
            (good + "drain: 5 parsecs\n", ":6:8:", "parsecs"), (good + "sip: [1, 2\n", ":", "not YAML"), ("", "", "realm"),
            (good.replace("transport", "transprot"), ":4:9:", "transprot"), (good.replace("127.0.0.1", "0.0.0.0"), ":2:3:", "advertise"),
            (good + "web: {certificate: /none.pem, key: /none.key}\n", ":6:20:", "/none.pem"), (good + "dns_servers: [nonsense]\n", ":6:15:", "nonsense"),
            (good + "sip: {t1: 5s, t2: 1s}\n", ":6:19:", "t2"), (good + "---\nworkers: 1\n", ":7:1:", "second"),
            (good + 'sip: {user_agent: "x\\r\\nEvil: 1"}\n', ":6:19:", "user_agent"), ("\x00\x01\x02", "", "")):
        file = base / "bad.yaml"
        file.write_text(text)
        done = subprocess.run([str(suite.binary), "check", "-c", str(file)], capture_output=True, text=True, timeout=20)
        said = done.stderr + done.stdout
        check(done.returncode == 1, f"{text!r}: exit {done.returncode}: {said}")
        check(f"{file}{where}" in said and word in said, f"{text[-40:]!r}: {where} {word} is not in: {said}")
        served = subprocess.run([str(suite.binary), "serve", "-c", str(file)], capture_output=True, text=True, timeout=20, cwd=base)
        check(served.returncode == 1 and word in served.stderr, f"serve: exit {served.returncode}: {served.stderr}")
    file.write_text(good)
    done = subprocess.run([str(suite.binary), "check", "-c", str(file)], capture_output=True, text=True, timeout=20)
    check(done.returncode == 0, f"a good file: {done.stderr}")
    done = subprocess.run([str(suite.binary), "check", "-c", str(base / "none.yaml")], capture_output=True, text=True, timeout=20)
    check(done.returncode == 1 and "none.yaml" in done.stderr, f"no file: {done.stderr}")


def port_in_use():
    for which, kind in (("sip", socket.SOCK_DGRAM), ("sip", socket.SOCK_STREAM), ("tls", socket.SOCK_STREAM), ("web", socket.SOCK_STREAM)):
        folder = suite.folder / f"port-{which}-{kind}"
        folder.mkdir()
        node = Node(suite.binary, folder)
        with socket.socket(socket.AF_INET, kind) as s:
            port = getattr(node, which)
            s.bind((HOST, port))
            if kind == socket.SOCK_STREAM:
                s.listen()
            refused(node, str(port), "in use")
        node.start()  # free again: nothing was broken by the try
        node.stop()


def corrupt_database():
    folder = suite.folder / "corrupt"
    folder.mkdir()
    node = Node(suite.binary, folder)
    node.start()
    node.stop()
    db = node.data / "tandem.db"
    whole = db.read_bytes()
    for name, broken in (("garbage", os.urandom(8192)), ("torn", whole[:2048] + os.urandom(len(whole) - 2048))):
        db.write_bytes(broken)
        for side in ("-wal", "-shm"):
            pathlib.Path(str(db) + side).unlink(missing_ok=True)
        refused(node, "tandem.db")
        check(db.read_bytes()[:2048] == broken[:2048], f"{name}: the file was written to")
    db.write_bytes(whole)
    node.start()
    works(node)
    node.stop()


def needs_mounts():
    check(os.environ["TANDEM_MOUNTS"] == "own", os.environ["TANDEM_MOUNTS"])


def read_only_database():
    """The database's disk turns read-only: who is known registers and calls; what cannot be written is said."""
    needs_mounts()
    node = suite.node("readonly", config={**OWN_SIP, "store": {"path": str(suite.folder / "readonly" / "db" / "tandem.db")}})
    db = node.folder / "db"
    db.mkdir()
    demo = Node(suite.binary, node.folder)
    demo.start()
    demo.stop()
    for file in node.data.glob("tandem.db*"):
        (db / file.name).write_bytes(file.read_bytes())
    mount("--bind", str(db), str(db))
    mount("-o", "remount,ro,bind", str(db))
    try:
        try:
            node.start()
        except Failed:
            said = [line for line in node.log_text().splitlines() if line.strip()]
            check(len(said) <= 2 and "read-only" in node.log_text().lower().replace("readonly", "read-only"), f"start: {node.log_text()[-800:]}")
            return
        works(node)
        code, _, body = node.request("PUT", f"/api/v1/subscribers/{node.domain}/1001", {"display_name": "New"})
        check(code == 503 and b"read" in body, f"PUT: {code} {body}")
        works(node)
    finally:
        node.stop()
        umount(db)
    node.start()
    wait_for(lambda: node.cdrs(), 15, "the CDRs kept in the spool meanwhile")
    node.stop()


def read_only_data():
    """No node without its data directory: it says so and ends."""
    needs_mounts()
    folder = suite.folder / "ro-data"
    folder.mkdir()
    node = Node(suite.binary, folder)
    node.start()
    node.stop()
    mount("--bind", str(node.data), str(node.data))
    mount("-o", "remount,ro,bind", str(node.data))
    try:
        refused(node, str(node.data), lines=3)
    finally:
        umount(node.data)


def full_disk():
    """The disk fills up while the node runs: calls go on, it is said, and with space again all is on record."""
    needs_mounts()
    node = suite.node("full", config=OWN_SIP)
    node.data.mkdir()
    mount("-t", "tmpfs", "-o", "size=32m,mode=0700", "tmpfs", str(node.data))
    try:
        node.start()
        works(node)
        node.wait_cdrs(1)
        filler = node.data / "filler"
        with open(filler, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"\0" * 65536)
            except OSError:
                pass
            try:
                while True:
                    f.write(b"\0" * 512)
            except OSError:
                pass
        for _ in range(3):
            works(node, 20)
        code, _, body = node.request("PUT", f"/api/v1/subscribers/{node.domain}/1001", {"display_name": "x" * 100})
        check(code in (200, 507, 503), f"PUT on a full disk: {code} {body}")
        text = node.log_text().lower()
        check("space" in text or "full" in text, f"nothing is said of the full disk: {text[-900:]}")
        lines = [line for line in text.splitlines() if "space" in line or "full" in line]
        check(len(lines) < 30, f"{len(lines)} lines say it")
        filler.unlink()
        works(node)
        node.wait_cdrs(5, seconds=30)
    finally:
        node.stop()
        umount(node.data)


def full_disk_at_start():
    needs_mounts()
    folder = suite.folder / "full-start"
    folder.mkdir()
    node = Node(suite.binary, folder)
    node.data.mkdir()
    mount("-t", "tmpfs", "-o", "size=16k,mode=0700", "tmpfs", str(node.data))
    try:
        refused(node, str(node.data), lines=3)
    finally:
        umount(node.data)


def ports_exhausted():
    """Ports for four phones: the fifth caller hears 503, the others go on, and a port that is free again is used."""
    first = free_port()
    node = suite.node("ports", media_ports=(first, first + 7), workers=1).start()
    phones = [suite.closing(Ua(node, f"100{i}")) for i in range(1, 7)]
    answers = [p.call("*43") for p in phones]
    good = [p for p, a in zip(phones, answers) if a.status == 200]
    check([a.status for a in answers] == [200] * 4 + [503] * 2, f"answers {[a.start for a in answers]}")
    check(all(p.talk(15) > 5 for p in good), "a call without echo")
    check(good[0].bye().status == 200, "BYE")
    again = wait_for(lambda: (a := phones[5].call("*43")).status == 200 and a, 10, "the port that was given back")
    check(again.status == 200, again.start)
    for p in [*good[1:], phones[5]]:
        check(p.bye().status == 200, "BYE")
    node.wait_no_calls()
    check(json.dumps(node.api("GET", "/calls")["items"]) == "[]", "calls are left")
    node.stop()


def banned():
    """Twenty wrong passwords from one address: it is ignored for a while; the default, and it says so."""
    node = suite.node("banned", workers=4).start()
    guesser, stranger = suite.closing(Ua(node, "1001", host="127.0.0.3")), suite.closing(Ua(node, "4711", host="127.0.0.5"))
    guesser.password = stranger.password = "guess"
    same = [ua.ask("REGISTER", f"sip:{node.domain}", ["Expires: 60"]) for ua in (guesser, stranger)]
    check(same[0].start == same[1].start and [n for n, _ in same[0].headers] == [n for n, _ in same[1].headers],
          f"an unknown user shows: {same[0].start} {same[0].headers}, {same[1].start} {same[1].headers}")
    silent = False
    for _ in range(40):
        try:
            status = guesser.ask("REGISTER", f"sip:{node.domain}", ["Expires: 60"], seconds=1).status
            check(status in (401, 403, 503), f"a guess: {status}")
        except Failed:
            silent = True
            break
    check(silent, "40 wrong passwords and still answered")
    for user in ("1002", "1003", "1004", "1005"):  # they live on other workers
        other = suite.closing(Ua(node, user, host="127.0.0.3"))
        try:
            answer = other.ask("REGISTER", f"sip:{node.domain}", ["Expires: 60"], seconds=1).start
        except Failed:
            answer = None
        check(answer is None, f"a banned source asks as {user} and hears {answer}")
    works(node)
    node.stop()


def main():
    node = suite.node("wire", config=OWN_SIP).start()
    for name, body in (("malformed SIP over UDP", bad_sip), ("malformed streams", bad_stream), ("malformed SDP", bad_sdp),
                       ("malformed RTP and injection", bad_rtp), ("slow clients and half-open TLS", hanging_clients)):
        suite.run(name, body, node)
    node.stop()
    suite.run("malformed configuration", bad_yaml)
    suite.run("port in use", port_in_use)
    suite.run("media ports exhausted", ports_exhausted)
    suite.run("password guessing", banned)
    suite.run("corrupt database", corrupt_database)
    mounts = (("read-only database", read_only_database), ("read-only data directory", read_only_data), ("full disk", full_disk),
              ("full disk at start", full_disk_at_start))
    for name, body in mounts:
        if os.environ["TANDEM_MOUNTS"] == "own":
            suite.run(name, body)
        else:
            suite.cannot(name, os.environ["TANDEM_MOUNTS"])
    suite.finish()


main()
