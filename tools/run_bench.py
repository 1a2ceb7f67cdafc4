#!/usr/bin/env python3
"""Runs the benchmarks and prints a figure a line, each bar with pass or fail beside it.

The server under test is pinned to CPU 0, the generator (`tandem load`) to CPU 1. CPU time is what the scheduler accounted to the
server's own threads (/proc/PID/task/*/schedstat), so a busy machine makes runs slower and caches colder, but charges nobody
else's work. Rounds of the product and of its peers alternate; the median of the rounds is printed, with the range beside it."""
import argparse
import hashlib
import json
import os
import pathlib
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "interop"))
import harness  # noqa: E402



def pinned(cpu):
    """Runs on one CPU. Root also gets a better place in the queue, so that other work on the machine does not look like a slow
    server: a session of its own, since the scheduler shares out time among sessions before it looks at nice values."""
    if os.geteuid() != 0:
        return ["taskset", "-c", str(cpu)]
    raised = f'echo -15 2>/dev/null >/proc/self/autogroup; exec nice -n -15 taskset -c {cpu} "$@"'
    return ["setsid", "sh", "-c", raised, "sh"]


SERVER, GENERATOR = pinned(0), pinned(1)
PASSWORD = "bench-secret"
PACKETS_PER_SECOND = 50_000
HOST = "127.0.0.1"
PARTS = ("programs", "calls", "registrations", "relay", "transcode", "webrtc", "click", "memory", "turn")


# ---- what the kernel counted -----------------------------------------------------------------------------


def tree(root):
    """A process and its descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = pathlib.Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            children.setdefault(int(stat[stat.rindex(")") + 2:].split()[1]), []).append(int(entry))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def cpu_seconds(root):
    total = 0
    for pid in tree(root):
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                total += int(pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
        except OSError:
            pass
    return total / 1e9


def memory_kib(root):
    """Proportional set size of all its processes."""
    total = 0
    for pid in tree(root):
        try:
            for line in open(f"/proc/{pid}/smaps_rollup"):
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            pass
    return total


def machine_load():
    return os.getloadavg()[0]


# ---- servers ---------------------------------------------------------------------------------------------


class Server:
    """Something that takes calls at `sip` and sends them to the callee at `callee`."""

    def __init__(self):
        self.caller, self.callee = harness.free_port(), harness.free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tandem-bench-", dir="/var/tmp"))
        self.processes = []

    def spawn(self, argv):
        log = open(self.folder / f"{pathlib.Path(argv[0]).name}.log", "ab")
        process = subprocess.Popen(SERVER + argv, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.folder)
        self.processes.append(process)
        return process

    def pids(self):
        return [p.pid for p in self.processes]

    def cpu(self):
        return [cpu_seconds(pid) for pid in self.pids()]

    def memory(self):
        return sum(memory_kib(pid) for pid in self.pids())

    def settle(self, calls):
        """Waits for what the server still owes after the last call."""

    def close(self):
        for process in self.processes:
            harness.stop(process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Tandem(Server):
    name = "tandem"

    def __init__(self, users=0, bypass=False):
        super().__init__()
        config = {"media": {"bypass": bypass}, "log": {"level": "warning"}, "sip": {"digest": ["MD5"]},  # all that the peer has
                  "limits": {"requests_per_second": 0, "auth_failures": 0}}
        self.node = harness.Node(ROOT / "build" / "tandem", self.folder, config=config, workers=1, prefix=SERVER,
                                 media_ports=(30000, 44999), env={"TANDEM_DEMO_PASSWORD": PASSWORD})
        node = self.node
        node._spawn(node.argv_demo())  # the first start makes the domain and the API token
        node.wait_ready()
        node.stop()
        if users:
            self.add_users(users)
        node.start()
        self.processes = [node.process]
        self.sip, self.domain = node.sip, node.domain
        node.api("PUT", "/trunks/bench", {"domain": node.domain, "kind": "address", "host": HOST, "port": self.callee,
                                          "transport": "udp", "sources": [HOST], "options_seconds": 0, "inbound_class": "international"})
        node.api("POST", "/routes", {"domain": node.domain, "priority": 1, "name": "bench", "pattern": "2000", "from_trunk": "*",
                                     "action": "trunk", "targets": ["bench"], "call_class": "internal"})

    def database(self):
        return sqlite3.connect(self.node.data / "tandem.db", timeout=10)

    def add_users(self, count):
        """Copies of subscriber 1001 with other names; by REST it would take longer than the benchmark."""
        with self.database() as db:
            db.row_factory = sqlite3.Row
            model = dict(db.execute("SELECT * FROM subscribers WHERE user = '1001'").fetchone())
            realm = db.execute("SELECT digest_realm FROM domains").fetchone()[0]
            names = list(model)
            rows = []
            for i in range(1, count + 1):
                text = f"u{i}:{realm}:{PASSWORD}".encode()
                model.update(user=f"u{i}", ha1_md5=hashlib.md5(text).hexdigest(), ha1_sha256=hashlib.sha256(text).hexdigest(),
                             ha1_sha512_256=hashlib.new("sha512_256", text).hexdigest())
                rows.append([model[n] for n in names])
            db.executemany(f"INSERT INTO subscribers ({','.join(names)}) VALUES ({','.join('?' * len(names))})", rows)
        db.close()

    def records(self):
        db = self.database()
        try:
            return db.execute("SELECT count(*) FROM cdrs").fetchone()[0]
        finally:
            db.close()

    def settle(self, calls):
        """Every call's record is in the database: that work is part of the call's price."""
        harness.wait_for(lambda: self.records() >= calls, 30, f"{calls} CDRs in the database, there are {self.records()}")

    def close(self):
        self.node.stop()
        super().close()


class Kamailio(Server):
    def __init__(self, anchor, transcode=""):
        super().__init__()
        self.name = "kamailio + rtpengine" if anchor else "kamailio"
        self.sip, self.domain = harness.free_port(), HOST
        ng = harness.free_port()
        if anchor:
            self.spawn(["rtpengine", "-f", "--table=-1", f"--interface={HOST}", f"--listen-ng={HOST}:{ng}", "--port-min=30000",
                        "--port-max=44999", "--delete-delay=0", "--log-level=2", "--num-threads=2", "--log-stderr"])
            time.sleep(1)
        text = (ROOT / "bench" / "peers" / "kamailio.cfg").read_text()
        for word, port in (("SIP_PORT", self.sip), ("CALLEE_PORT", self.callee), ("NG_PORT", ng),
                           ("TRANSCODE", f" codec-transcode-{transcode} codec-mask-PCMU" if transcode else "")):
            text = text.replace(word, str(port))
        config = self.folder / "kamailio.cfg"
        config.write_text(text)
        self.spawn(["kamailio", "-f", str(config), "-n", "1", "-x", "tlsf", "-X", "tlsf", "-m", "1024", "-M", "16", "-DD", "-E",
                    "-Y", str(self.folder), "-P", str(self.folder / "kamailio.pid"), *(["-A", "ANCHOR"] if anchor else [])])
        time.sleep(2)
        for process in self.processes:
            if process.poll() is not None:
                logs = "\n".join(p.read_text(errors="replace")[-800:] for p in self.folder.glob("*.log"))
                raise harness.Failed(f"{self.name} did not start: {logs}")


# ---- the generator ---------------------------------------------------------------------------------------


def argv_call(server, rate, calls, hold="0s", rtp=False, codecs=()):
    return GENERATOR + [str(ROOT / "build" / "tandem"), "load", "call", "--target", f"{HOST}:{server.sip}", "--bind",
                        f"{HOST}:{server.caller}", "--callee-bind", f"{HOST}:{server.callee}", "--from", f"sip:1999@{server.domain}",
                        "--to", f"sip:2000@{server.domain}", "--rate", str(rate), "--calls", str(calls), "--hold", hold,
                        "--media-ports", "45000-60999", *(["--rtp"] if rtp else []),
                        *(["--caller-codec", codecs[0], "--callee-codec", codecs[1]] if codecs else [])]


def argv_web(server, rate, calls, hold="0s", rtp=True, codecs=()):
    """Browsers call a browser: SIP over secure WebSockets, a connection for each call, media by ICE and DTLS-SRTP."""
    at, node = f"{HOST}:{server.node.web}", server.node
    return GENERATOR + [str(ROOT / "build" / "tandem"), "load", "call", "--target", at, "--register-at", at, "--transport", "wss", "--insecure",
                        "--connections", str(calls), "--bind", f"{HOST}:{server.caller}", "--callee-bind", f"{HOST}:{server.callee}",
                        "--from", f"sip:1001@{server.domain}", "--to", f"sip:1002@{server.domain}", "--user", "1001", "--password", PASSWORD,
                        "--domain", server.domain, "--users", "1002-1002", "--rate", str(rate), "--calls", str(calls), "--hold", hold, "--rtp",
                        "--media-ports", "45000-60999", "--webrtc", "both", "--caller-codec", codecs[0], "--callee-codec", codecs[1]]


def generate(argv, on_line=None):
    """Its result; on_line gets each progress line as it comes."""
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if on_line:
            on_line(line)
    out = process.stdout.read()
    process.wait()
    try:
        return json.loads(out)
    except ValueError:
        raise harness.Failed(f"the generator ended with {process.returncode}: {out[-300:]}") from None


def trouble(result):
    """What was not as it should be, in words; empty when all was well."""
    words = [f"{n} x {cause}" for cause, n in result["failures"].items()]
    if result["retransmitted"]:
        words.append(f"{result['retransmitted']} retransmitted")
    return ", ".join(words)


def calls_round(server, rate, count, done_before):
    before = server.cpu()
    result = generate(argv_call(server, rate, count))
    server.settle(done_before + result["calls"]["answered"])
    used = [b - a for a, b in zip(before, server.cpu())]
    completed = max(result["calls"]["completed"], 1)
    return {"cpu": sum(used) / completed * 1000, "parts": [u / completed * 1000 for u in used], "rate": result["achieved_rate"],
            "p99": result["answer_delay_ms"]["p99"], "trouble": trouble(result), "completed": result["calls"]["completed"]}


def register_round(server, users, rate, count):
    before = server.cpu()
    result = generate(GENERATOR + [str(ROOT / "build" / "tandem"), "load", "register", "--target", f"{HOST}:{server.sip}", "--bind",
                                   f"{HOST}:{server.caller}", "--domain", server.domain, "--users", f"u1-u{users}", "--password",
                                   PASSWORD, "--rate", str(rate), "--count", str(count)])
    used = sum(server.cpu()) - sum(before)
    done = max(result["registrations"]["completed"], 1)
    return {"cpu": used / done * 1000, "rate": result["achieved_rate"], "p99": result["register_delay_ms"]["p99"],
            "trouble": trouble(result), "completed": result["registrations"]["completed"]}


def relay_trouble(rtp, rate):
    words = f" {rtp['lost']} packets lost" if rtp["lost"] else ""
    if abs(rate - PACKETS_PER_SECOND) > PACKETS_PER_SECOND * 0.03:  # the generator was starved: another load than was meant
        words += f" {rate:.0f} packets a second"
    return words


def relay_round(server, window):
    """CPU for relayed packets, between two progress lines of the generator while all calls are up."""
    calls = PACKETS_PER_SECOND // 100  # 50 packets a second each way
    first, last = 8, 8 + window
    samples = {}

    def on_line(line):
        m = re.match(r"\s*(\d+) s .* rtp out (\d+) in (\d+)", line)
        if m and int(m[1]) in (first, last):
            samples[int(m[1])] = (time.monotonic(), server.cpu(), int(m[2]), int(m[3]))

    result = generate(argv_call(server, 100, calls, hold=f"{last}s", rtp=True), on_line)
    (t0, cpu0, _, in0), (t1, cpu1, _, in1) = samples[first], samples[last]
    used = [b - a for a, b in zip(cpu0, cpu1)]
    rtp = result["rtp"]
    return {"cpu": sum(used) / (in1 - in0) * 1e6, "parts": [u / (in1 - in0) * 1e6 for u in used], "rate": (in1 - in0) / (t1 - t0),
            "p99": rtp["delay_ms"]["p99"], "lost": rtp["lost"], "silent": rtp["silent_streams"],
            "trouble": trouble(result) + relay_trouble(rtp, (in1 - in0) / (t1 - t0))}


# ---- TURN ------------------------------------------------------------------------------------------------


class Turn(Server):
    """A TURN server at `at` that opens the loopback to peers, for this alone."""
    USER, SECRET = "1001", "a secret of more than sixteen octets"
    plain = False

    def __init__(self):
        super().__init__()
        self.at, self.password = f"{HOST}:{harness.free_port()}", PASSWORD


class TandemTurn(Turn):
    def __init__(self):
        super().__init__()
        turn = {"listeners": [{"transport": "udp", "bind": self.at}], "realm": HOST, "peers": {"allow": ["127.0.0.0/8"]},
                "relay": {"ports": "50000-60999"}, "limits": {"allocations_per_second": 0, "challenges_per_second": 0, "lookups_per_second": 0, "allocations_per_user": 0}}
        self.node = harness.Node(ROOT / "build" / "tandem", self.folder, config={"turn": turn, "log": {"level": "warning"}}, workers=1,
                                 prefix=SERVER, env={"TANDEM_DEMO_PASSWORD": PASSWORD})
        self.node.start()
        self.processes = [self.node.process]

    def close(self):
        self.node.stop()
        super().close()


class Coturn(Turn):
    def __init__(self):
        super().__init__()
        host, port = self.at.split(":")
        self.spawn(["turnserver", "-n", "-m", "1", "-L", host, "-E", host, "-p", port, "--lt-cred-mech", "-r", HOST, "-u", f"{self.USER}:{PASSWORD}",
                    "--allow-loopback-peers", "--no-tls", "--no-dtls", "--no-cli", "--min-port", "50000", "--max-port", "60999", "--log-file", "stdout",
                    "--pidfile", str(self.folder / "turnserver.pid"), "--userdb", str(self.folder / "turndb")])
        time.sleep(2)


class Echo(Turn):
    plain = True

    def __init__(self):
        super().__init__()
        self.spawn([str(ROOT / "build" / "bench_turn_load"), "echo", self.at])
        time.sleep(0.5)
        self.password = "-"


def turn_round(server, window, clients=200):
    """CPU for packets that came in, between two lines of the generator."""
    first, last = 2.0, 2.0 + window
    process = subprocess.Popen(GENERATOR + [str(ROOT / "build" / "bench_turn_load"), "load", server.at, Turn.USER, server.password, str(clients),
                                            str(PACKETS_PER_SECOND), str(last + 1)], stdout=subprocess.PIPE, text=True)
    samples, total = [], None
    for line in process.stdout:
        words = line.split()
        if words[0] == "sent":
            total = int(words[1]), int(words[3])
        elif float(words[0]) >= (first if not samples else last) and len(samples) < 2:
            samples.append((float(words[0]), server.cpu(), int(words[2])))
    process.wait()
    if len(samples) < 2 or not total:
        raise harness.Failed(f"the generator of TURN ended with {process.returncode}")
    (t0, cpu0, n0), (t1, cpu1, n1) = samples
    packets = (n1 - n0) * (1 if server.plain else 2)  # a round trip through a relay is two
    lost = total[0] - total[1]
    rate = packets / (t1 - t0)
    words = (f" {lost} packets lost" if lost > total[0] * 0.001 else "") + (f" {rate:.0f} packets a second" if abs(rate - PACKETS_PER_SECOND) > 1500 else "")
    return {"cpu": sum(b - a for a, b in zip(cpu0, cpu1)) / max(packets, 1) * 1e6, "rate": rate, "p99": None, "trouble": words}


def bench_turn(report, peers, rounds, window):
    report.say(f"TURN: CPU seconds per million packets through channels, {PACKETS_PER_SECOND:,} a second both ways, 172 octets, 200 clients")
    makers = [("tandem", TandemTurn), ("recvmmsg and sendmmsg, no TURN", Echo)]
    if peers:
        makers.append(("coturn", Coturn))
    got = {name: [] for name, _ in makers}
    for _ in range(rounds):
        for name, make in makers:
            with make() as server:
                got[name].append(turn_round(server, window))
    figures = {name: report.rounds(name, "s", r) for name, r in got.items()}
    if peers:
        ratio = figures["tandem"] / figures["coturn"]
        report.bar("channel data at most 0.7x coturn", ratio <= 0.7, f"{ratio:.2f}x")
    with TandemTurn() as server:
        before = server.cpu()
        count = 3000
        done = subprocess.run(GENERATOR + [str(ROOT / "build" / "bench_turn_load"), "allocate", server.at, Turn.USER, PASSWORD, str(count)],
                              capture_output=True, text=True, timeout=120)
        used = sum(server.cpu()) - sum(before)
        out = done.stdout.split()
        if done.returncode or len(out) != 3:
            raise harness.Failed(f"the generator of TURN allocations ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        if out[2] != "0":
            raise harness.Failed(f"{out[2]} allocations were refused")
        count = int(out[0])
        report.say(f"  allocations over loopback with their 401, 200 at a time: {used / count * 1e6:.0f} us of CPU each, {count / used:,.0f} a core-second"
                   f" ({count / float(out[1]):,.0f} a second as this client asks)")
        report.bar("allocations at least 20,000 a core-second, over loopback", count / used >= 20_000, f"{count / used:,.0f}")


# ---- what is printed -------------------------------------------------------------------------------------


class Report:
    def __init__(self):
        self.bars, self.lines = [], []

    def say(self, text=""):
        print(text, flush=True)
        self.lines.append(text)

    def bar(self, what, ok, text):
        self.bars.append(ok)
        self.say(f"  {'PASS' if ok else 'FAIL'}  {what}: {text}")

    def rounds(self, what, unit, rounds):
        """The median of the clean rounds: with retransmissions and failures a server does other work than was asked for. When no
        round was clean the median of all is what there is, and the line says so."""
        clean = [r for r in rounds if not r["trouble"].strip()]
        dirty = len(rounds) - len(clean)
        notes = sorted({r["trouble"].strip() for r in rounds if r["trouble"].strip()})
        if dirty:
            notes.insert(0, f"{dirty} of {len(rounds)} rounds not clean" + ("" if clean else ", so no fair figure"))
        rounds = clean or rounds
        values = [r["cpu"] for r in rounds]
        middle = statistics.median(values)
        parts = ""
        if len(rounds[0].get("parts", [])) > 1:
            parts = " = " + " + ".join(f"{statistics.median(r['parts'][i] for r in rounds):.3f}" for i in range(len(rounds[0]["parts"])))
        late = "" if rounds[0]["p99"] is None else f", p99 {statistics.median(r['p99'] for r in rounds):.1f} ms"  # None: not measured
        self.say(f"  {what}: {middle:.3f} {unit}{parts} (range {min(values):.3f} to {max(values):.3f}, {rounds[0]['rate']:.0f} a "
                 f"second{late}{'; ' + '; '.join(notes) if notes else ''})")
        return middle


def bench_programs(report):
    report.say("Parser (one core, no I/O)")
    out = subprocess.run(GENERATOR + [str(ROOT / "build" / "bench_sip_parser")], capture_output=True, text=True).stdout
    report.say("  " + out.strip().replace("\n", "\n  "))
    m = re.search(r"parser: (\d+) msg/s", out)
    rate = int(m[1]) if m else 0
    report.bar("parser at least 1,000,000 a core-second", rate >= 1_000_000, f"{rate:,}")
    report.say("SRTP (one core, no I/O)")
    done = subprocess.run(GENERATOR + [str(ROOT / "build" / "bench_srtp")], capture_output=True, text=True)
    report.say("  " + done.stdout.strip().replace("\n", "\n  "))
    report.bar("SRTP packets at most 1.5x the raw EVP work", done.returncode == 0, (done.stdout.strip().splitlines() or ["no result"])[-1])
    report.say("Codecs (one core, 20 ms frames, beside the bare libraries)")
    done = subprocess.run(GENERATOR + [str(ROOT / "build" / "bench_codec")], capture_output=True, text=True)
    report.say("  " + done.stdout.strip().replace("\n", "\n  "))
    report.bar("codecs at most 1.10x the bare library", done.returncode == 0, f"{done.stdout.count('pass')} of {len(done.stdout.splitlines())}")
    report.say("Relay engine (one core, no I/O)")
    out = subprocess.run(GENERATOR + [str(ROOT / "build" / "bench_media_relay"), "--benchmark_filter=relay", "--benchmark_format=json"],
                         capture_output=True, text=True).stdout
    try:
        for b in json.loads(out)["benchmarks"]:
            report.say(f"  {b['name']}: {b['items_per_second'] / 1e6:.2f} million packets a second")
    except (ValueError, KeyError):
        report.say("  bench_media_relay gave no result")


def bench_calls(report, peers, rounds, rates):
    report.say("Calls: CPU seconds per 1,000 calls (INVITE, 180, 200, ACK, BYE, 200; UDP). Ours with a durable CDR each.")
    for rate in rates:
        count = rate * 6
        makers = [("tandem", Tandem), ("tandem, media not anchored", lambda: Tandem(bypass=True))]
        if peers:
            makers += [("kamailio + rtpengine", lambda: Kamailio(True)), ("kamailio, media not anchored", lambda: Kamailio(False))]
        got = {name: [] for name, _ in makers}
        for _ in range(rounds):
            for name, make in makers:
                with make() as server:
                    warm = calls_round(server, min(rate, 200), 200, 0)
                    got[name].append(calls_round(server, rate, count, warm["completed"]))
        report.say(f" at {rate} calls a second (machine load {machine_load():.1f})")
        figures = {name: report.rounds(name, "s", r) for name, r in got.items()}
        if peers and rate == 500:
            ratio = figures["tandem"] / figures["kamailio + rtpengine"]
            report.bar("anchored with CDR at 500 calls/s at most 1.0x kamailio + rtpengine", ratio <= 1.0, f"{ratio:.2f}x")


def bench_registrations(report, peers, rounds):
    users, rate, count = 20_000, 1000, 10_000
    report.say(f"Registrations with digest (401, then 200): CPU seconds per 1,000, {rate} a second over {users} users")
    makers = [("tandem", lambda: Tandem(users))]
    if peers:
        makers.append(("kamailio", lambda: Kamailio(False)))
    got = {name: [] for name, _ in makers}
    memory = {name: [] for name, _ in makers}
    traffic = {name: [] for name, _ in makers}
    for _ in range(rounds):
        for name, make in makers:
            with make() as server:
                register_round(server, 100, 200, 100)
                cold = server.memory()
                # What a rate of requests holds in transactions (Timer J, 32 s) is the rate's price, not the contacts': first a
                # few users register until no more of them are alive at once.
                register_round(server, 100, rate, 34 * rate)
                warm = server.memory()
                traffic[name].append((warm - cold) / 1024)
                register_round(server, users, rate, users)
                memory[name].append((server.memory() - warm) / users)
                got[name].append(register_round(server, users, rate, count))
    for name, r in got.items():
        report.rounds(name, "s", r)
    report.say(f"Memory per contact, {users} of them: " +
               ", ".join(f"{name} {statistics.median(m):.2f} KiB" for name, m in memory.items()))
    report.say(f"Memory for {rate} registrations a second, beside the contacts: " +
               ", ".join(f"{name} {statistics.median(m):.1f} MiB" for name, m in traffic.items()))


def bench_relay(report, peers, rounds, window):
    report.say(f"Relay: CPU seconds per million packets, {PACKETS_PER_SECOND:,} packets a second of 172 bytes, 500 calls")
    makers = [("tandem", Tandem)]
    if peers:
        makers.append(("rtpengine (user space)", lambda: Kamailio(True)))
    got = {name: [] for name, _ in makers}
    for _ in range(rounds):
        for name, make in makers:
            with make() as server:
                r = relay_round(server, window)
                if name != "tandem":  # rtpengine alone: the proxy has nothing to do with packets
                    r["cpu"], r["parts"] = r["parts"][0], []
                got[name].append(r)
    figures = {name: report.rounds(name, "s", r) for name, r in got.items()}
    if peers:
        ratio = figures["tandem"] / max(figures["rtpengine (user space)"], 1e-9)
        report.bar("relay at most 1.0x rtpengine", ratio <= 1.0, f"{ratio:.2f}x")


def transcode_round(server, window, calls, codecs, more=(), argv=argv_call):
    """CPU milliseconds for each second of a full-duplex call, between two progress lines while all calls are up."""
    first = 6
    last, samples = first + window, {}

    def on_line(line):
        m = re.match(r"\s*(\d+) s .* rtp out (\d+) in (\d+)", line)
        if m and int(m[1]) in (first, last):
            samples[int(m[1])] = (time.monotonic(), server.cpu(), int(m[3]))

    result = generate(argv(server, 50, calls, hold=f"{last}s", rtp=True, codecs=codecs) + list(more), on_line)
    (t0, cpu0, in0), (t1, cpu1, in1) = samples[first], samples[last]
    media = [b - a for a, b in zip(cpu0, cpu1)][0]  # rtpengine alone: the proxy has nothing to do with packets
    rtp, rate = result["rtp"], (in1 - in0) / (t1 - t0)
    words = trouble(result) + (f" {rtp['lost']} packets lost" if rtp["lost"] else "")
    if abs(rate - calls * 100) > calls * 3:
        words += f" {rate:.0f} packets a second came, not {calls * 100}"
    return {"cpu": media / (t1 - t0) / calls * 1000, "parts": [], "rate": rate, "p99": None, "lost": rtp["lost"], "trouble": words}


def raw_costs():
    """Of the bare libraries, by codec and Hz of the sound: CPU milliseconds to encode and decode a second of it."""
    out = subprocess.run(SERVER + [str(ROOT / "build" / "bench_codec")], capture_output=True, text=True).stdout
    costs = {}
    for line in out.splitlines():
        if m := re.match(r"(.*?) +encode .*?bare +([\d.]+),.*decode .*?bare +([\d.]+),", line):
            costs[m[1]] = (float(m[2]) + float(m[3])) * 50 / 1000
    wide = {"opus": "opus 16000 Hz, complexity 5", "G722": "G722"}
    narrow = {"opus": "opus 8000 Hz, complexity 5", "G722": "G722 at 8000 Hz"}
    names = {(c, band): costs.get((wide if band else narrow).get(c, c)) for c in ("PCMU", "PCMA", "G722", "G729", "opus") for band in (False, True)}
    return lambda a, b: sum(names[c, {a, b} == {"G722", "opus"}] for c in (a, b))


def bench_transcode(report, peers, rounds, window):
    """Every pair, beside what its codecs cost alone. Bars as a share of rtpengine's cost, at the call counts where that was measured to lose nothing."""
    bars, calls_of = {"PCMA": 0.5, "G722": 0.5, "G729": 0.75, "opus": 0.35}, {"PCMA": 100, "G722": 70, "G729": 45, "opus": 30}
    raw = raw_costs()
    names = ("PCMU", "PCMA", "G722", "G729", "opus")
    for near, far in ((a, b) for i, a in enumerate(names) for b in names[i + 1:]):
        bar, calls = bars[far] if near == "PCMU" else None, min(calls_of.get(c, 100) for c in (near, far))
        report.say(f"Transcoding: CPU milliseconds per second of a call, {near} and {far}, both directions, {calls} calls; the codecs alone {raw(near, far):.2f} ms")
        makers = [("tandem", Tandem)] + ([("rtpengine", lambda c=far: Kamailio(True, "opus/48000/2" if c == "opus" else c))] if peers else [])
        got = {name: [] for name, _ in makers}
        for _ in range(rounds if bar else 1):
            for name, make in makers:
                with make() as server:
                    got[name].append(transcode_round(server, window, calls, (near, far)))
        figures = {name: report.rounds(name, "ms", r) for name, r in got.items()}
        if peers:
            ratio = figures["tandem"] / max(figures["rtpengine"], 1e-9)
            if bar:
                report.bar(f"{near} and {far} at most {bar}x rtpengine", ratio <= bar, f"{ratio:.2f}x")
            else:
                report.say(f"  {ratio:.2f}x rtpengine")


def bench_webrtc(report, rounds, window, calls=100):
    """A browser's leg and a telephone's, then browsers at both ends: ICE and its consent, DTLS-SRTP, no transcoding."""
    report.say(f"WebRTC: CPU milliseconds per second of a call, G.711 both ways, {calls} calls")
    kinds = {"telephone to telephone": ((), argv_call), "browser to telephone": (("--webrtc", "caller"), argv_call),
             "browser to browser, SIP over WebSockets": ((), argv_web)}
    got = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, (more, argv) in kinds.items():
            with Tandem() as server:
                got[name].append(transcode_round(server, window, calls, ("PCMU", "PCMU"), more, argv))
    plain, browser, both = (report.rounds(name, "ms", r) for name, r in got.items())
    report.say(f"  {1000 / browser:,.0f} sessions of a browser and a telephone a core, {1000 / both:,.0f} of two browsers; "
               f"{browser / plain:.2f}x and {both / plain:.2f}x what two telephones cost")
    out = subprocess.run(SERVER + [str(ROOT / "build" / "bench_dtls"), "--benchmark_filter=^openssl$", "--benchmark_format=json"],
                         capture_output=True, text=True, check=True).stdout
    spent = json.loads(out)["benchmarks"][0]["server_us"]
    report.say(f"  DTLS handshakes, the server's side: {spent:.0f} us each, {1e6 / spent:,.0f} a core-second")


def bench_click(report, calls=30):
    report.say(f"Click to audio: from a page's call to the first sample of a telephone that answers by itself, {calls} calls, nothing pinned")
    pages = ROOT / "tests" / "browser"
    if not (pages / "node_modules" / ".package-lock.json").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--prefix", str(pages)], check=True, capture_output=True)
    out = subprocess.run([sys.executable, str(ROOT / "bench" / "click_to_audio.py"), "--tandem", str(ROOT / "build" / "tandem"), "--calls", str(calls)],
                         capture_output=True, text=True)
    if out.returncode:
        raise harness.Failed(f"click_to_audio.py: {(out.stdout + out.stderr)[-800:]}")
    told = json.loads(out.stdout)
    report.bar("click to audio, median at most 300 ms", told["median_ms"] <= 300,
               f"{told['median_ms']:.0f} ms (range {told['least_ms']:.0f} to {told['most_ms']:.0f})")


def bench_memory(report, peers, calls):
    report.say(f"Memory per active call, {calls} calls up")
    makers = [Tandem] + ([lambda: Kamailio(True)] if peers else [])
    for make in makers:
        with make() as server:
            generate(argv_call(server, 100, 100))
            before = server.memory()
            peak = []
            result = generate(argv_call(server, 200, calls, hold=f"{calls // 200 + 3}s"),
                              lambda line, s=server, p=peak: p.append(s.memory()))
            note = trouble(result)
            report.say(f"  {server.name}: {(max(peak) - before) / calls:.1f} KiB{' (' + note + ')' if note else ''}")


def check_programs(wanted, peers):
    """What is missing is said before anything is measured: a part without its program must not look like a failed bar."""
    ours = ["tandem"] + (["bench_sip_parser", "bench_srtp", "bench_media_relay"] if "programs" in wanted else [])
    ours += ["bench_codec"] if "transcode" in wanted else []
    ours += ["bench_turn_load"] if "turn" in wanted else []
    ours += ["bench_dtls"] if "webrtc" in wanted else []
    missing = [f"build/{name} (./dev build makes it)" for name in ours if not (ROOT / "build" / name).exists()]
    if peers and "turn" in wanted and not shutil.which("turnserver"):
        missing.append("turnserver (./dev setup bench installs it)")
    if peers and wanted - {"programs", "turn", "webrtc", "click"}:
        missing += [f"{name} (./dev setup bench installs it)" for name in ("kamailio", "rtpengine") if not shutil.which(name)]
    if missing:
        raise harness.Failed("missing: " + ", ".join(missing))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true", help="Kamailio, rtpengine and coturn on the same work in the same run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", metavar="PART,...", help=", ".join(PARTS))
    parser.add_argument("--rates", default="500,1000", help="calls a second")
    args = parser.parse_args()
    wanted = set(args.only.split(",")) if args.only else set(PARTS)
    if wanted - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(wanted - set(PARTS)))} (there are {', '.join(PARTS)})")
    check_programs(wanted, args.peers)
    report = Report()
    model = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
    report.say(f"{os.cpu_count()} x {model}, Linux {os.uname().release}, load {machine_load():.1f} at the start; {args.rounds} rounds")
    if "programs" in wanted:
        bench_programs(report)
    if "calls" in wanted:
        bench_calls(report, args.peers, args.rounds, [int(r) for r in args.rates.split(",")])
    if "registrations" in wanted:
        bench_registrations(report, args.peers, args.rounds)
    if "relay" in wanted:
        bench_relay(report, args.peers, args.rounds, window=6)
    if "transcode" in wanted:
        bench_transcode(report, args.peers, args.rounds, window=6)
    if "webrtc" in wanted:
        bench_webrtc(report, args.rounds, window=6)
    if "click" in wanted:
        bench_click(report)
    if "memory" in wanted:
        bench_memory(report, args.peers, 1000)
    if "turn" in wanted:
        bench_turn(report, args.peers, args.rounds, window=5)
    report.say(f"load {machine_load():.1f} at the end; bars: {sum(report.bars)} passed, {report.bars.count(False)} failed")
    return 0 if all(report.bars) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except harness.Failed as why:
        sys.exit(f"bench: {why}")
