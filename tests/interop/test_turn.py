#!/usr/bin/env python3
"""STUN and TURN as coturn's own tools use them, over UDP, TCP, TLS and DTLS, with TCP relays, mobility and both kinds of credentials."""
import re
import socket
import subprocess

from harness import HOST, Failed, RestError, Suite, check, free_port, stop, wait_for
from turn_client import Refused, TurnClient

suite = Suite()
HOST6 = "::1"
SECRET = "a secret of more than sixteen octets"


def tool(name, *words, seconds=60):
    done = subprocess.run([name, *map(str, words)], capture_output=True, text=True, timeout=seconds, errors="replace")
    return done.returncode, done.stdout + done.stderr


def client(*words, port, user, password=None, seconds=90, host=HOST):
    """turnutils_uclient; its sum of messages as (sent, received), and what it printed."""
    # Its secure connections draw a protocol version each until one is drawn that both have; TLS 1.0 and 1.1 are refused.
    login = ["-u", user, "-w", password] if password else ["-u", user, "-W", SECRET]
    code, text = tool("turnutils_uclient", "-L", host, "-p", port, *login, *words, host, seconds=seconds)
    sums = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", text)
    sent, received = (int(n) for n in sums[-1]) if sums else (0, 0)
    return sent, received, text, code


def arrives(name, *words, port, user, password=None, count=40, most_lost=0, host=HOST):
    sent, received, text, _ = client(*words, port=port, user=user, password=password, host=host)
    check(sent >= count, f"{name}: {sent} messages sent: {text[-800:]}")
    check(sent - most_lost <= received <= sent, f"{name}: {received} of {sent} came back: {text[-800:]}")


peer_port, plain, secure = free_port(), free_port(), free_port()
LISTENERS = [{"transport": t, "bind": f"{HOST}:{p}"} for t, p in (("udp", plain), ("tcp", plain), ("tls", secure), ("dtls", secure))]
node = suite.node("node", config={"turn": {"listeners": LISTENERS, "realm": HOST, "secrets": [{"secret": SECRET}], "relay": {"ports": "61000-61399"},
                                   "peers": {"allow": ["127.0.0.0/8"]}},  # the tests' peers; the demo never opens them
                          "limits": {"auth_failures": 0}, "log": {"level": "debug"}})
TO_PEER = ["-e", HOST, "-r", peer_port, "-n", 20, "-m", 2, "-c"]


def stun(port):
    code, text = tool("turnutils_stunclient", "-L", HOST, "-p", port, HOST)
    check(re.search(r"UDP reflexive addr: 127\.0\.0\.1:\d+", text), f"{code} {text}")


def nonsense():
    user, password = login()
    for flags in (["-R"], ["-N"], ["-G"], ["-B"]):
        try:
            client(*flags, "-e", HOST, "-r", peer_port, "-n", 5, "-c", port=plain, user=user, password=password, seconds=10)
        except subprocess.TimeoutExpired:
            pass  # it damages octets by chance, and waits for an answer even when those were what makes it STUN
    for junk in (b"\x00" * 3, b"GET / HTTP/1.0\r\n\r\n", b"\x00\x01\x00\x05!\x12\xa4B" + bytes(20), b"\x40\x00\xff\xff"):
        with socket.create_connection((HOST, plain), 5) as s:
            s.sendall(junk)
            s.settimeout(15)
            if junk[0] >= 0x47:  # neither STUN nor ChannelData: closed at once
                check(s.recv(100) == b"", "a connection that speaks HTTP stays open")
    check(node.alive(), "the node ended")


def refused():
    user, _ = login()
    before = node.metric("turn_allocations_total")
    sent, received, text, code = client("-e", HOST, "-r", peer_port, "-n", 2, "-c", port=plain, user=user, password="wrong", seconds=30)
    check(received == 0 and "Unauthorized" in text + "Unauthorized" * (code != 0), text[-400:])
    check(node.metric("turn_allocations_total") == before, "a wrong password made an allocation")


def guessed():
    """Who guesses passwords is banned, as in SIP; the right one does not help then."""
    port = free_port()
    one = suite.node("guessed", config={"turn": {"listeners": [{"transport": "udp", "bind": f"{HOST}:{port}"}], "realm": HOST,
                                                 "relay": {"ports": "61500-61599"}}, "limits": {"auth_failures": 3}})
    suite.closing(Ending(one))
    one.start()
    user, password = next(iter(one.users.items()))

    def tries(what):
        try:
            client("-e", HOST, "-r", peer_port, "-n", 1, "-c", port=port, user=user, password=what, seconds=3)
        except subprocess.TimeoutExpired:
            pass  # it is not answered any more

    for _ in range(5):
        tries("wrong")
        if one.metric("edge_bans_total"):
            break
    check(one.metric("edge_bans_total") >= 1, "nobody was banned")
    tries(password)
    check(one.metric("turn_allocations_total") == 0, "the right password was answered")


def rest():
    made = node.api("POST", "/turn/credentials", {"user": "carol", "ttl": 600})
    check(made["ttl"] == 600 and made["username"].endswith(":carol"), f"{made}")
    check(f"turn:{HOST}:{plain}?transport=udp" in made["uris"] and any(u.startswith("turns:") for u in made["uris"]), f"{made}")
    arrives("REST", "-e", HOST, "-r", peer_port, "-n", 20, "-m", 1, "-c", port=plain, user=made["username"], password=made["password"], count=20)
    for body in ({"ttl": 5}, {"user": 7}, {"other": 1}):
        status, _, _ = node.request("POST", "/api/v1/turn/credentials", body)
        check(status == 400, f"{body}: {status}")


def ended():
    wait_for(lambda: not node.api("GET", "/turn/allocations")["items"] or node.metric("turn_allocations") < 50, 10, "allocations that end")
    check(node.metric("turn_allocations_total") > 20, "the counter says otherwise")
    check("turn.allocated" in node.log_text() and "turn.ended" in node.log_text(), "the log does not tell of allocations")
    check(SECRET not in node.log_text(), "the secret stands in the log")


def more_than_ports(allocations=300, ports="61600-61699", tenants=64):
    """More allocations than relay ports: the rest share them, and each hears its own peers alone. On a shared port a peer's address is one allocation's: a second that asks for it hears 508."""
    port = free_port()
    one = suite.node("many", config={"turn": {"listeners": [{"transport": "udp", "bind": f"{HOST}:{port}"}], "realm": HOST, "secrets": [{"secret": SECRET}],
                                              "relay": {"ports": ports}, "peers": {"allow": ["127.0.0.0/8"]},
                                              "limits": {"allocations_per_user": 0, "allocations_per_second": 0, "tenants": tenants}}})
    suite.closing(Ending(one))
    one.start()
    user, password = next(iter(one.users.items()))
    first, last = (int(n) for n in ports.split("-"))
    peers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(6)]
    for n, p in enumerate(peers):
        p.bind((f"127.2.0.{n + 1}", 0))
        p.settimeout(5)
    clients, taken = [], 0
    for n in range(allocations):
        c = TurnClient((HOST, port), user, password, host=f"127.1.{n // 200}.{n % 200 + 1}")
        clients.append(c)
        host, relay = c.allocate()
        check(host == HOST and first <= relay <= last, f"{n}: a relay at {host}:{relay}")
        for peer in peers:
            try:
                c.permit(peer.getsockname())
                break
            except Refused as e:
                check(e.code == 508, f"a permission is refused with {e.code}")
                taken += 1
        else:
            raise Failed(f"{n}: no peer is left at {c.relay}")
        c.peer = peer
        if len(clients) > 1000:
            clients.pop(0).close()  # its allocation stays
    ways = len({(c.relay, c.peer.getsockname()) for c in clients})
    check(ways == len(clients), f"{len(clients)} allocations have {ways} ways")
    for n, c in enumerate(clients):
        asked = f"{n} asks".encode()
        c.send(c.peer.getsockname(), asked)
        data, source = c.peer.recvfrom(2000)
        check((data, source) == (asked, c.relay), f"{n}: {data} from {source}")
        c.peer.sendto(f"{n} hears".encode(), c.relay)
        got = c.receive()
        check(got == (c.peer.getsockname(), f"{n} hears".encode()), f"{n}: {got}")
    held = one.metric("turn_allocations")
    check(held == allocations, f"{held} allocations")
    relays = len({c.relay for c in clients})
    print(f"    {allocations} allocations at {last - first + 1} ports, {relays} of them among the last {len(clients)}; {taken} times a peer was another's", flush=True)
    for c in clients:
        c.release()
        c.close()
    wait_for(lambda: one.metric("turn_allocations") == allocations - len(clients), 10, "allocations that end")
    for p in peers:
        p.close()


def six_node():
    """Clients on both families, relays on both."""
    ports = {"udp": free_port(), "tls": free_port()}
    ports["tcp"], ports["dtls"] = ports["udp"], ports["tls"]
    listeners = [{"transport": t, "bind": f"{h}:{p}"} for h in (f"[{HOST6}]", HOST) for t, p in ports.items()]
    one = suite.node("six", config={"turn": {"listeners": listeners, "realm": HOST, "secrets": [{"secret": SECRET}],
                                             "relay": {"bind_v4": HOST, "bind_v6": HOST6, "ports": "62000-62199"}, "peers": {"allow": ["127.0.0.0/8", f"{HOST6}/128"]}},
                                    "limits": {"auth_failures": 0}})
    return one.start(), ports


def six(one, port, transport, here, there):
    """A client of one family whose relay and peer are of the same or of the other; all messages come back."""
    peer = subprocess.Popen(["turnutils_peer", "-L", there, "-p", str(peer_port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    made, packets = one.metric("turn_allocations_total"), one.metric("turn_packets_total")
    ways = ([], ["-s"]) if transport == "udp" else ([],)  # by channels, by indications
    try:
        family = "-x" if there == HOST6 else "-X"
        for how in ways:
            arrives(f"{transport} {here} {there}", *{"udp": [], "tcp": ["-t"], "tls": ["-t", "-S"], "dtls": ["-S"]}[transport], *how, family, "-e", there, "-r", peer_port, "-n", 20, "-m", 2, "-c",
                    port=port, user="alice", host=here)
    finally:
        stop(peer)
    check(one.metric("turn_allocations_total") >= made + 2 * len(ways), "it had no allocations")
    check(one.metric("turn_packets_total") >= packets + 80 * len(ways), "the messages did not pass through the relay")


def denied_six():
    """Without an allow list no IPv6 address of this machine, its network or the metadata services is a peer."""
    port = free_port()
    strict = suite.node("strict6", config={"turn": {"listeners": [{"transport": "udp", "bind": f"[{HOST6}]:{port}"}], "realm": HOST,
                                                    "secrets": [{"secret": SECRET}], "relay": {"ports": "62400-62499"}}})
    suite.closing(Ending(strict))
    strict.start()
    for where in (HOST6, "fe80::1", "fd00::1", "::ffff:127.0.0.1"):
        before = strict.metric("turn_denied_peers_total")
        _, received, _, _ = client("-x", "-e", where, "-r", peer_port, "-n", 2, "-c", port=port, user="alice", host=HOST6)
        check(received == 0 and strict.metric("turn_denied_peers_total") > before, f"{where} was not denied")
    check(strict.metric("turn_packets_total") == 0, "something was relayed")


def denied():
    """Without the tests' own allow list nothing of this machine is a peer."""
    port = free_port()
    strict = suite.node("strict", config={"turn": {"listeners": [{"transport": "udp", "bind": f"{HOST}:{port}"}], "realm": HOST,
                                                   "secrets": [{"secret": SECRET}], "relay": {"ports": "61400-61499"}}})
    suite.closing(Ending(strict))
    strict.start()
    for where in (HOST, "169.254.169.254", "10.0.0.1"):
        _, received, _, _ = client("-e", where, "-r", peer_port, "-n", 2, "-c", port=port, user="alice")
        check(received == 0, f"{where} was reached")
    check(strict.metric("turn_denied_peers_total") >= 3, "nothing was denied")
    check(strict.metric("turn_packets_total") == 0, "something was relayed")


class Ending:
    def __init__(self, one):
        self.close = one.stop


def demo():
    port = free_port()
    one = suite.node("demo", turn_port=port)
    suite.closing(Ending(one))
    one.start()
    user, password = next(iter(one.users.items()))
    stun(port)
    _, received, _, _ = client("-e", HOST, "-r", peer_port, "-n", 2, "-c", port=port, user=user, password=password)
    check(received == 0 and one.metric("turn_denied_peers_total") > 0, "a loopback peer was reached through the demo")


def off():
    one = suite.node("off")  # --turn-port 0
    suite.closing(Ending(one))
    one.start()
    try:
        one.api("POST", "/turn/credentials", {})
    except RestError as e:
        return check(e.status == 404, f"{e}")
    raise Failed("credentials of a server that is off")


def six_checks():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind((HOST6, 0))
    except OSError as e:
        return suite.cannot("IPv6", f"no IPv6 on the loopback: {e}")
    one, ports = six_node()
    for transport in ("udp", "tcp", "tls", "dtls"):
        suite.run(f"IPv6 client, relay and peer, {transport}", six, one, ports[transport], transport, HOST6, HOST6)
    suite.run("IPv4 client, IPv6 relay and peer", six, one, ports["udp"], "udp", HOST, HOST6)
    suite.run("IPv6 client, IPv4 relay and peer", six, one, ports["udp"], "udp", HOST6, HOST)
    suite.run("denied IPv6 peers", denied_six)


def login():
    return next(iter(node.users.items()))


def main():
    node.start()
    peer = subprocess.Popen(["turnutils_peer", "-L", HOST, "-p", str(peer_port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    user, password = login()

    def passes(name, *words, port=plain, user=user, password=password, most_lost=0):
        suite.run(name, lambda: arrives(name, *words, port=port, user=user, password=password, most_lost=most_lost))

    try:
        suite.run("STUN binding", stun, plain)
        for name, words, port in (("UDP", [], plain), ("TCP", ["-t"], plain), ("TLS", ["-t", "-S"], secure), ("DTLS", ["-S"], secure)):
            passes(f"channels over {name}", *words, *TO_PEER, port=port)
            passes(f"indications over {name}", *words, "-s", *TO_PEER, port=port)
            # The first of them sends before the second, which may still shake hands, has let it in.
            passes(f"two clients through two relays, {name}", *words, "-y", "-c", "-n", 20, "-m", 2, port=port, most_lost=10)
        passes("TCP relays over TCP", "-T", "-n", 20, "-m", 2)
        passes("time-limited credentials", *TO_PEER, user="alice", password=None)
        passes("DONT-FRAGMENT", "-g", *TO_PEER)
        passes("mobility", "-M", *TO_PEER)
        passes("RTP and RTCP ports in pairs", *TO_PEER[:-1])
        passes("large messages over TCP", "-t", "-l", 1400, *TO_PEER)
        suite.run("protocol nonsense", nonsense)
        suite.run("wrong credentials", refused)
        suite.run("who guesses is banned", guessed)
        suite.run("credentials by REST", rest)
        suite.run("allocations end with their clients", ended)
        suite.run("denied peers", denied)
        suite.run("more allocations than ports", more_than_ports)
        six_checks()
        suite.run("the demo opens no loopback peer", demo)
        suite.run("a demo without TURN", off)
    finally:
        stop(peer)
    suite.finish()


main()
