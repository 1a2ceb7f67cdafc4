"""What the interop tests share: a node under test, its REST API, SIPp and baresip beside it, and tones in recordings.

A test waits for events with a deadline, never for a fixed time; whatever it started it ends, by process id."""
import argparse
import array
import json
import math
import os
import pathlib
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request
import wave
import zlib

HERE = pathlib.Path(__file__).resolve().parent
HOST = "127.0.0.1"


class Failed(Exception):
    """A check did not hold; the text says which."""


def check(condition, why):
    if not condition:
        raise Failed(why)


def wait_for(probe, seconds, what):
    """The first true value of probe(); `what` was waited for."""
    deadline = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.05)


given = set()


def free_port(both=True):
    """A port nobody has, nor was given before, below the range the kernel hands out by itself."""
    for _ in range(200):
        port = random.randrange(10000, 30000, 2)
        if port in given:
            continue
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u, socket.socket() as t:
                u.bind((HOST, port))
                if both:
                    t.bind((HOST, port))
            given.add(port)
            return port
        except OSError:
            continue
    raise Failed("no free port on the loopback")


def stop(process, seconds=10):
    """Ends a process we started: asked first, then made to."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# ---- the node --------------------------------------------------------------------------------------------


class RestError(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status} {body[:300]}")
        self.status, self.body = status, body


class Node:
    """One `tandem` on ports of its own. With `config` it runs `serve` on the data a first `demo` made."""

    def __init__(self, binary, folder, config=None, media_ports=None, options=(), workers=2, prefix=(), env=None,
                 turn_port=0):
        self.binary, self.folder = str(binary), pathlib.Path(folder)
        self.data = self.folder / "data"
        self.config, self.options, self.workers = config, list(options), workers
        self.prefix, self.env = list(prefix), env or {}
        self.sip, self.tls, self.web = free_port(), free_port(), free_port()
        self.turn, self.turn_tls = turn_port, free_port() if turn_port else 0
        self.webrtc = free_port()  # and the odd one after it, for the second worker
        first = random.randrange(33000, 60000, 2)
        self.media = media_ports or (first, first + 3999)
        self.process, self.log_path, self.starts = None, None, 0
        self.domain, self.users, self.token = None, {}, None

    def argv_demo(self):
        return [self.binary, "demo", "--data", str(self.data), "--sip-port", str(self.sip), "--tls-port", str(self.tls), "--web-port",
                str(self.web), "--turn-port", str(self.turn), "--turn-tls-port", str(self.turn_tls), "--media-ports", f"{self.media[0]}-{self.media[1]}",
                "--webrtc-port", str(self.webrtc if self.workers <= 2 else 0), "--workers", str(self.workers), "--drain", "5", *self.options]

    def configuration(self):
        """YAML is a superset of JSON: the file is written as JSON."""
        listeners = [{"transport": t, "bind": f"{HOST}:{p}"} for t, p in (("udp", self.sip), ("tcp", self.sip), ("tls", self.tls))]
        whole = {"data": str(self.data), "workers": self.workers, "drain": "5s", "web": {"bind": f"{HOST}:{self.web}"},
                 "realms": [{"name": "default", "listeners": listeners,
                             "media": {"bind_v4": HOST, "ports": f"{self.media[0]}-{self.media[1]}"}}]}
        for key, value in self.config.items():
            if isinstance(value, dict) and isinstance(whole.get(key), dict):
                whole[key].update(value)
            else:
                whole[key] = value
        path = self.folder / "tandem.yaml"
        path.write_text(json.dumps(whole, indent=1))
        return path

    def start(self, seconds=30):
        if self.config is not None and not (self.data / "credentials.json").exists():
            self._spawn(self.argv_demo())
            self.wait_ready(seconds)
            self.stop()
        if self.config is None:
            self._spawn(self.argv_demo())
        else:
            self._spawn([self.binary, "serve", "-c", str(self.configuration()), *self.options])
        self.wait_ready(seconds)
        return self

    def _spawn(self, argv):
        self.starts += 1
        self.log_path = self.folder / f"tandem-{self.starts}.log"
        self.log = open(self.log_path, "wb")
        self.process = subprocess.Popen(self.prefix + argv, stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                        env={**os.environ, **self.env}, cwd=self.folder)

    def wait_ready(self, seconds=30):
        def ready():
            if self.process.poll() is not None:
                raise Failed(f"tandem ended with {self.process.returncode}: {self.log_text()[-600:]}")
            try:
                return self.get_plain("/readyz")[0] == 200
            except (OSError, urllib.error.URLError):
                return False

        wait_for(ready, seconds, "readiness")
        credentials = json.loads((self.data / "credentials.json").read_text())
        self.domain, self.token = credentials["domain"], credentials["api_token"]
        self.users = {u["user"]: u["password"] for u in credentials["users"]}

    def log_text(self):
        return self.log_path.read_text(errors="replace") if self.log_path else ""

    def stop(self, seconds=20):
        stop(self.process, seconds)
        if self.process:
            self.log.close()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()

    def alive(self):
        return self.process is not None and self.process.poll() is None

    # -- REST

    def _context(self):
        return ssl.create_default_context(cafile=str(self.data / "web.crt"))

    def request(self, method, path, body=None, token=True, raw=None, headers=None):
        """(status, headers, bytes) whatever the status."""
        data = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        request = urllib.request.Request(f"https://{HOST}:{self.web}{path}", data=data, method=method, headers=headers or {})
        if token:
            request.add_header("Authorization", f"Bearer {self.token if token is True else token}")
        if data is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, context=self._context(), timeout=15) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as e:
            return e.code, e.headers, e.read()

    def get_plain(self, path):
        status, _, body = self.request("GET", path, token=False)
        return status, body.decode()

    def api(self, method, path, body=None):
        status, _, answer = self.request(method, "/api/v1" + path, body)
        if status >= 400:
            raise RestError(status, answer.decode(errors="replace"))
        return json.loads(answer) if answer else None

    def cdrs(self, query=""):
        """All records that match, page by page."""
        rows, cursor = [], ""
        while True:
            page = self.api("GET", f"/cdrs?limit=1000{query}" + (f"&cursor={cursor}" if cursor else ""))
            rows += page["items"]
            cursor = page.get("next", "")
            if not cursor:
                return rows

    def conversations(self):
        """The records of those who talked: a number with phones that are gone leaves one for each that stayed silent, too."""
        return [row for row in self.cdrs() if row["answer"]]

    def wait_cdrs(self, count, seconds=10):
        """The conversations' records once there are `count` of them; more are a failure at once."""
        rows = []

        def enough():
            rows[:] = self.conversations()
            check(len(rows) <= count, f"{len(rows)} CDRs where {count} are due")
            return len(rows) == count

        wait_for(enough, seconds, f"{count} CDRs")
        return rows

    def metric(self, name, label=""):
        """Sum of that metric over workers and labels; of those with that label, such as 'reason="origin"', if one is given."""
        found = [line for line in self.get_plain("/metrics")[1].splitlines() if line.startswith((f"tandem_{name}{{", f"tandem_{name} "))]
        check(found, f"no metric tandem_{name}")
        return sum(float(line.rsplit(" ", 1)[1]) for line in found if label in line)

    def subscriber(self, user, **members):
        return self.api("PUT", f"/subscribers/{self.domain}/{user}", members)

    def wait_no_calls(self, seconds=15):
        wait_for(lambda: not self.api("GET", "/calls")["items"], seconds, "end of all calls")

    def ctl(self, *words, url=None):
        done = subprocess.run([self.binary, "ctl", "--url", url or f"https://{HOST}:{self.web}", "--data", str(self.data), *words],
                              capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout, done.stderr


# ---- SIPp ------------------------------------------------------------------------------------------------


class Sipp:
    """One SIPp process on a scenario of tests/interop/sipp; @name@ in the scenario is replaced by the argument of that name."""

    def __init__(self, folder, scenario, remote, local=None, calls=1, rate=10, seconds=30, transport="u1", values=None, options=(),
                 label=None, csv_rows=None, host=HOST):
        self.folder, self.name = pathlib.Path(folder), label or scenario
        self.seconds = seconds
        self.local = local or free_port()
        text = (HERE / "sipp" / f"{scenario}.xml").read_text()
        for key, value in (values or {}).items():
            text = text.replace(f"@{key}@", str(value))
        self.stem = f"{self.name}-{self.local}-{random.randrange(10**6)}"
        file = self.folder / f"{self.stem}.xml"
        file.write_text(text)
        self.errors, self.messages, self.stat = (self.folder / f"{self.stem}.{kind}" for kind in ("errors", "messages", "stat"))
        argv = ["sipp", f"{HOST}:{remote}", "-sf", str(file), "-i", host, "-p", str(self.local), "-mi", host, "-m", str(calls), "-r",
                str(rate), "-t", transport, "-nostdin", "-timeout", f"{int(seconds)}s", "-timeout_error", "-trace_err", "-error_file",
                str(self.errors), "-trace_stat", "-stf", str(self.stat), "-fd", "1", "-watchdog_minor_maxtriggers", "100000",
                "-watchdog_major_maxtriggers", "1000", "-l", "2000", *options]
        if calls <= 20:
            argv += ["-trace_msg", "-message_file", str(self.messages)]
        if csv_rows:
            rows = self.folder / f"{self.stem}.csv"
            rows.write_text("SEQUENTIAL\n" + "\n".join(csv_rows) + "\n")
            argv += ["-inf", str(rows)]
        self.output = open(self.folder / f"{self.stem}.out", "wb")
        self.process = subprocess.Popen(argv, stdout=self.output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.folder,
                                        env={**os.environ, "TERM": "dumb"})

    def listening(self):
        """Waits until the socket is bound: a call may come now."""
        def bound():
            if self.process.poll() is not None:
                raise Failed(f"{self.name}: SIPp ended with {self.process.returncode}: {self.trouble()}")
            want = f":{self.local:04X} "
            return any(want in line for table in ("/proc/net/udp", "/proc/net/tcp") for line in open(table))

        wait_for(bound, 15, f"{self.name}: SIPp's socket")
        return self

    def trouble(self):
        text = ""
        for path, size in ((self.errors, 2500), (self.messages, 6000)):
            if path.exists():
                text += "\n" + path.read_text(errors="replace")[-size:]
        return text or (self.folder / f"{self.stem}.out").read_text(errors="replace")[-800:]

    def wait(self, fails=0):
        """Every call went as the scenario says."""
        try:
            code = self.process.wait(self.seconds + 15)
        except subprocess.TimeoutExpired:
            self.end()
            raise Failed(f"{self.name}: SIPp still runs after {self.seconds + 15} s {self.trouble()}") from None
        finally:
            self.output.close()
        check(code == 0, f"{self.name}: SIPp ended with {code}: {self.trouble()}")
        return self

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def figures(self):
        """The last line of SIPp's statistics, by column name."""
        lines = self.stat.read_text().strip().splitlines()
        return dict(zip(lines[0].split(";"), lines[-1].split(";")))


# ---- baresip ---------------------------------------------------------------------------------------------


TONE_AMPLITUDE = 9000


def write_tone(path, hertz, seconds=60, rate=8000, amplitude=TONE_AMPLITUDE, channels=1):
    """A whole number of hertz, so that one second after the other fits without a click; the same in each channel."""
    second = array.array("h", [int(amplitude * math.sin(2 * math.pi * hertz * i / rate)) for i in range(rate) for _ in range(channels)])
    with wave.open(str(path), "wb") as w:
        w.setnchannels(channels)
        w.setsampwidth(2)
        w.setframerate(rate)
        w.writeframes(second.tobytes() * seconds)


def goertzel(samples, hertz, rate):
    """Power of one frequency (hertz), relative to the power of the whole: 1.0 is that tone alone."""
    total = sum(s * s for s in samples)
    if total == 0:
        return 0.0
    coefficient = 2 * math.cos(2 * math.pi * hertz / rate)
    s1 = s2 = 0.0
    for sample in samples:
        s1, s2 = sample + coefficient * s1 - s2, s1
    power = s1 * s1 + s2 * s2 - coefficient * s1 * s2
    return 2 * power / (total * len(samples))


def tone_share(samples, hertz, rate=8000, block=800):
    """Which part of the blocks (a tenth of a second) that are loud hold that tone and hardly anything else."""
    blocks = [samples[i:i + block] for i in range(0, len(samples) - block + 1, block)]
    loud = [b for b in blocks if sum(s * s for s in b) / len(b) > 200 * 200]
    if not loud:
        return 0.0, 0
    return sum(1 for b in loud if goertzel(b, hertz, rate) > 0.8) / len(loud), len(loud)


def dominant(samples, tones, rate=8000, block=800):
    """For each tenth of a second: the tone heard, 'silence' or 'other'."""
    out = []
    for i in range(0, len(samples) - block + 1, block):
        b = samples[i:i + block]
        if sum(s * s for s in b) / len(b) <= 200 * 200:
            out.append("silence")
            continue
        out.append(next((t for t in tones if goertzel(b, t, rate) > 0.7), "other"))
    return out


def read_wav(path):
    """Samples of a recording, also of one whose writer has not closed it."""
    raw = pathlib.Path(path).read_bytes()
    at = raw.find(b"data")
    body = raw[at + 8:] if at >= 0 else b""
    rate = int.from_bytes(raw[24:28], "little") if len(raw) > 28 else 8000
    channels = int.from_bytes(raw[22:24], "little") if len(raw) > 24 else 1
    samples = array.array("h", body[:len(body) // 2 * 2])
    return list(samples[::channels]), rate


class Baresip:
    """A phone without a sound card: it plays a tone of its own and records what it hears."""

    def __init__(self, folder, name, user, password, port, hertz, transport="udp", options="", answer="auto", ca=None, host=HOST, domain=None,
                 codec="PCMU/8000/1", video=""):
        self.folder = pathlib.Path(folder) / f"baresip-{name}"
        self.folder.mkdir(parents=True)
        self.name, self.user, self.hertz = name, user, hertz
        self.control_port = free_port()
        rate, channels = (int(n) for n in codec.split("/")[1:])  # its file source does not resample
        write_tone(self.folder / "tone.wav", hertz, rate=rate, channels=channels)
        self.scheme = "sip"
        at = f"[{host}]" if ":" in host else host
        if domain:  # what it is called and where it is reached are two things
            server, options = f"sip:{user}@{domain}", f';outbound="sip:{at}:{port};transport={transport}"{options}'
        else:
            server = f"sip:{user}@{at}:{port};transport={transport}"
        (self.folder / "accounts").write_text(
            f"<{server}>;auth_user={user};auth_pass={password};regint=300;answermode={answer};audio_codecs={codec}{f';video_codecs={video}' if video else ''}{options}\n")
        config = ["poll_method epoll", f"sip_listen {at}:0", "call_max_calls 4", "call_local_timeout 60", f"net_interface {host}",
                  "module_path /usr/lib/baresip/modules", "module g711.so", "module g722.so", "module l16.so", "module opus.so", "module srtp.so", "module dtls_srtp.so", "module stun.so", "module ice.so", "module aufile.so", "module aubridge.so",
                  "module sndfile.so", "module ctrl_tcp.so", "module_tmp account.so", "module_app menu.so",
                  f"audio_source aufile,{self.folder}/tone.wav", f"audio_player aubridge,none-{name}", f"audio_alert aubridge,none-{name}",
                  f"audio_channels {channels}", f"audio_srate {rate}", f"ctrl_tcp_listen {HOST}:{self.control_port}", f"snd_path {self.folder}",
                  "rtp_ports 30000-32766", "statmode_default off"]
        if video:  # a codec; it sends a picture that moves, and keeps the last that came for seen()
            module = {"VP8": "vp8", "H264": "avcodec"}[video]
            config += [f"module {module}.so", "module fakevideo.so", "module snapshot.so", "video_source fakevideo,fake", "video_display fakevideo,fake",
                       "video_size 320x180", "video_bitrate 300000", "video_fps 15"]
        if ca:
            config.append(f"sip_cafile {ca}")
        (self.folder / "config").write_text("\n".join(config) + "\n")
        self.log_path = self.folder / "log"
        self.log = open(self.log_path, "wb")
        self.process = subprocess.Popen(["baresip", "-f", str(self.folder), "-6" if ":" in host else "-4"], stdout=self.log, stderr=subprocess.STDOUT,
                                        stdin=subprocess.DEVNULL, cwd=self.folder)
        self.events, self.buffer, self.replies = [], b"", []
        try:
            self.control = wait_for(self._connect, 15, f"{name}: control port")
        except Failed:
            stop(self.process)  # or it answers the calls of the next check
            raise
        self.control.setblocking(False)

    def _connect(self):
        check(self.process.poll() is None, f"{self.name}: baresip ended: {self.log_text()[-800:]}")
        try:
            return socket.create_connection((HOST, self.control_port), 2)
        except OSError:
            return None

    def log_text(self):
        return self.log_path.read_text(errors="replace")

    def wait_registered(self, node):
        """Its log says so: the event may have come before we listened."""
        def there():
            check(self.process.poll() is None, f"{self.name}: baresip ended: {self.log_text()[-800:]}")
            return "200 OK" in self.log_text()

        try:
            wait_for(there, 15, f"{self.name}: registration")
        except Failed as e:
            raise Failed(f"{e}: {self.log_text()[-900:]}") from None
        check(node.api("GET", f"/registrations?search={self.user}")["items"], f"{self.user} is not registered")

    def pump(self):
        """Takes in what the phone reports: netstrings with JSON."""
        try:
            while True:
                piece = self.control.recv(65536)
                if not piece:
                    break
                self.buffer += piece
        except BlockingIOError:
            pass
        while b":" in self.buffer:
            size, _, rest = self.buffer.partition(b":")
            if len(rest) < int(size) + 1:
                break
            message = json.loads(rest[:int(size)].decode(errors="replace"))
            self.buffer = rest[int(size) + 1:]
            (self.events if message.get("event") else self.replies).append(message)

    def command(self, command, params=""):
        self.pump()
        before = len(self.replies)
        text = json.dumps({"command": command, "params": params, "token": "t"}).encode()
        self.control.setblocking(True)
        self.control.sendall(b"%d:%s," % (len(text), text))
        self.control.setblocking(False)

        def answered():
            self.pump()
            return len(self.replies) > before

        wait_for(answered, 10, f"{self.name}: answer to {command}")
        return self.replies[-1]

    def mark(self):
        self.pump()
        return len(self.events)

    def event(self, kind, seconds=15, since=0):
        """The first event of that type after the mark."""
        def seen():
            self.pump()
            return next((e for e in self.events[since:] if e.get("type") == kind), None)

        try:
            return wait_for(seen, seconds, f"{self.name}: {kind}")
        except Failed as e:
            raise Failed(f"{e}; events {[x.get('type') for x in self.events]}; log {self.log_text()[-700:]}") from None

    def recording(self):
        """What it heard in its latest call."""
        files = sorted(self.folder.glob("dump-*-dec.wav"), key=lambda p: p.stat().st_mtime)
        return read_wav(files[-1]) if files else ([], 8000)

    def heard(self, hertz, seconds=10, blocks=10, since=0):
        """Waits until the last second of what it hears is that tone."""
        def hears():
            samples, rate = self.recording()
            samples = samples[since:]
            need = blocks * rate // 10
            if len(samples) < need:
                return False
            return all(t == hertz for t in dominant(samples[-need:], [hertz], rate, rate // 10))

        try:
            wait_for(hears, seconds, f"{self.name} hears {hertz} Hz")
        except Failed as e:
            samples, rate = self.recording()
            raise Failed(f"{e}; {len(samples)} samples at {rate}, last: {dominant(samples[-rate * 2:], [440, 620, 880, 1250, hertz], rate, rate // 10)}") from None

    def seen(self):
        """How much the brightness of the picture that it shows varies, its size, and a sum that another picture does not have; None: it shows none."""
        path = self.folder / f"seen-{time.monotonic_ns()}.png"
        self.command("snapshot_recv", str(path))
        try:
            wait_for(lambda: path.exists() and path.read_bytes().endswith(b"IEND\xaeB`\x82"), 3, "a snapshot")
        except Failed:
            return None
        size = tuple(int.from_bytes(path.read_bytes()[at:at + 4], "big") for at in (16, 20))
        grey = subprocess.run(["ffmpeg", "-loglevel", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "gray", "-"], capture_output=True).stdout
        mean = sum(grey) / max(len(grey), 1)
        return {"size": size, "sum": zlib.crc32(grey), "spread": (sum((g - mean) ** 2 for g in grey) / max(len(grey), 1)) ** 0.5}

    def close(self):
        try:
            self.control.close()
        except OSError:
            pass
        stop(self.process)
        self.log.close()


# ---- a script of checks ----------------------------------------------------------------------------------


class Suite:
    """Runs checks one after the other; each prints one line for tools/run_tests.py."""

    def __init__(self):
        arguments = argparse.ArgumentParser()
        arguments.add_argument("--tandem", required=True)
        arguments.add_argument("--all", action="store_true")
        arguments.add_argument("--only", default="", help="checks whose name contains this")
        arguments.add_argument("--keep", action="store_true", help="leave the working folder behind")
        self.args = arguments.parse_args()
        self.binary = pathlib.Path(self.args.tandem).resolve()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tandem-interop-"))
        self.folder.chmod(0o755)
        self.failed, self.closers, self.nodes = 0, [], []

    def node(self, name="node", **options):
        folder = self.folder / name
        folder.mkdir()
        node = Node(self.binary, folder, **options)
        self.nodes.append(node)
        return node

    def closing(self, thing):
        """Ended after the check that made it, whatever comes."""
        self.closers.append(thing)
        return thing

    def _close(self):
        for thing in reversed(self.closers):
            (getattr(thing, "close", None) or getattr(thing, "end"))()
        self.closers.clear()

    def run(self, name, body, *arguments):
        if self.args.only not in name:
            return
        start = time.monotonic()
        try:
            body(*arguments)
            for node in self.nodes:
                check(node.process is None or node.process.poll() in (None, 0, 1, -9, -15), f"tandem died: {node.process and node.process.returncode}")
            print(f"ok {name}", flush=True)
        except Exception as e:  # every failure is told, and the next check goes on
            self.failed += 1
            text = str(e) if isinstance(e, (Failed, RestError)) else f"{e!r}\n{traceback.format_exc()}"
            first, _, rest = text.partition("\n")
            print(f"FAIL {name}: {first}", flush=True)
            for line in rest.splitlines():
                print(f"    {line}")
            for node in self.nodes:
                print("    -- the node said:")
                for line in node.log_text().splitlines()[-25:]:
                    print(f"    | {line}")
        finally:
            self._close()
            print(f"    ({time.monotonic() - start:.1f} s)", file=sys.stderr, flush=True)

    def cannot(self, name, why):
        print(f"cannot {name}: {why}", flush=True)

    def finish(self):
        self._close()
        for node in self.nodes:
            node.stop()
        if self.args.keep:
            print(f"    kept {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        sys.exit(1 if self.failed else 0)
