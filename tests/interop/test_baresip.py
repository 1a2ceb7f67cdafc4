#!/usr/bin/env python3
"""Two and three baresip phones: each plays a tone of its own and records what it hears."""
import shutil

from harness import HOST, Baresip, Suite, check, tone_share, wait_for

suite = Suite()
node = suite.node("phones")
count = 0


def phone(user, hertz, transport="udp", **options):
    """A registered phone."""
    global count
    count += 1
    port = node.tls if transport == "tls" else node.sip
    p = suite.closing(Baresip(node.folder, f"{count}-{user}", user, node.users[user], port, hertz, transport,
                              ca=node.data / "web.crt" if transport == "tls" else None, **options))
    p.wait_registered(node)
    return p


def target(user, transport="udp"):
    port = node.tls if transport == "tls" else node.sip
    return f"sip:{user}@{HOST}:{port}" + ("" if transport == "udp" else f";transport={transport}")


def call(a, b, user, transport="udp"):
    mark = a.mark()
    a.command("dial", target(user, transport))
    a.event("CALL_ESTABLISHED", since=mark)
    b.event("CALL_ESTABLISHED")


def talk(transport):
    """Each hears the other's tone, and hardly anything else, in what it recorded."""
    a, b = phone("1001", 440, transport), phone("1002", 620, transport)
    seen = [r for r in node.api("GET", "/registrations")["items"] if r["user"] in ("1001", "1002")]
    check({r["transport"].lower() for r in seen} == {transport}, f"registered over {[r['transport'] for r in seen]}")
    call(a, b, "1002", transport)
    a.heard(620), b.heard(440)
    mark = b.mark()
    a.command("hangup")
    b.event("CALL_CLOSED", since=mark)
    for who, hertz in ((a, 620), (b, 440)):
        samples, rate = who.recording()
        share, loud = tone_share(samples, hertz, rate, rate // 10)
        check(loud >= 10 and share > 0.9, f"{who.name} heard {hertz} Hz in {share:.0%} of {loud} loud tenths of a second")
    row = wait_for(lambda: node.cdrs("&party=1002"), 10, "a CDR")[0]
    check(row["sip_status"] == 200 and row["caller"]["packets_received"] > 40 and row["callee"]["packets_received"] > 40, str(row))
    check(row["caller"]["mos_x100"] > 300, f"MOS {row['caller']['mos_x100']}")


def hold_and_resume():
    """The held party hears music, nothing of the one who holds; afterwards they hear each other again."""
    a, b = phone("1001", 440), phone("1002", 620)
    call(a, b, "1002")
    b.heard(440)
    a.command("hold")

    def music():
        samples, rate = b.recording()
        share, loud = tone_share(samples[-rate:], 440, rate, rate // 10)
        return loud >= 3 and share == 0

    wait_for(music, 10, "music on hold")
    samples, rate = a.recording()
    a.command("resume")
    a.heard(620), b.heard(440)
    a.command("hangup")


def blind_transfer():
    """1001 hands 1002 to 1003, and is out."""
    a, b, c = phone("1001", 440), phone("1002", 620), phone("1003", 880)
    call(a, b, "1002")
    b.heard(440)
    mark = a.mark()
    a.command("transfer", target("1003"))
    c.event("CALL_ESTABLISHED")
    a.event("CALL_CLOSED", since=mark)
    b.heard(880), c.heard(620)
    c.command("hangup")
    node.wait_no_calls()


def callee_transfers():
    """The callee hands the caller on."""
    a, b, c = phone("1001", 440), phone("1002", 620), phone("1003", 880)
    call(a, b, "1002")
    a.heard(620)
    b.command("transfer", target("1003"))
    c.event("CALL_ESTABLISHED")
    a.heard(880), c.heard(440)
    a.command("hangup")
    node.wait_no_calls()


def echo():
    a = phone("1001", 440)
    a.command("dial", target("*43"))
    a.event("CALL_ESTABLISHED")
    a.heard(440)
    a.command("hangup")


def music():
    """*9664 plays, and what it plays is not our own tone."""
    a = phone("1001", 440)
    a.command("dial", target("*9664"))
    a.event("CALL_ESTABLISHED")

    def plays():
        samples, rate = a.recording()
        share, loud = tone_share(samples, 440, rate, rate // 10)
        return loud >= 10 and share < 0.1

    wait_for(plays, 10, "hold music")
    a.command("hangup")


def park():
    """1001 parks 1002 by transfer to 700, and takes the call back from the slot."""
    a, b = phone("1001", 440), phone("1002", 620)
    call(a, b, "1002")
    b.heard(440)
    mark = a.mark()
    a.command("transfer", target("700"))
    a.event("CALL_CLOSED", since=mark)
    mark = a.mark()
    a.command("dial", target("701"))
    a.event("CALL_ESTABLISHED", since=mark)
    b.heard(440)
    a.command("hangup")
    node.wait_no_calls()


def printed_account():
    """What the demo prints registers as it stands, whatever its password holds."""
    password = "two words; #9 <a>,=&%41'"
    other = suite.node("printed", env={"TANDEM_DEMO_PASSWORD": password}).start()
    check(other.users["1001"] == password, f"credentials.json: {other.users['1001']}")
    line = wait_for(lambda: next((l for l in other.log_text().splitlines() if "<sip:1001@" in l), None), 10, "the account line")
    printed = line.partition("auth_pass=")[2]
    suite.closing(Baresip(other.folder, "printed", "1001", printed, other.sip, 440)).wait_registered(other)
    other.stop()


def main():
    if not shutil.which("baresip"):
        suite.cannot("baresip", "the program is not installed")
        suite.finish()
    node.start()
    for transport in ("udp", "tcp", "tls"):
        suite.run(f"two phones over {transport.upper()} hear each other", talk, transport)
    suite.run("hold with music, and resume", hold_and_resume)
    suite.run("blind transfer by the caller", blind_transfer)
    suite.run("blind transfer by the callee", callee_transfers)
    suite.run("echo test", echo)
    suite.run("hold music by feature code", music)
    suite.run("park and take back", park)
    suite.run("the account line the demo prints", printed_account)
    suite.finish()


main()
