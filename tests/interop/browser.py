"""Pages in real Chromium (tests/browser): unmodified SIP.js and JsSIP, a microphone that plays a tone, and what is heard measured."""
import json
import os
import pathlib
import subprocess
import threading
import time

from harness import HERE, Failed, check, wait_for, write_tone
from own_network import ADDRESS

FOLDER = HERE.parent / "browser"


def missing():
    """Why there can be no browser here; None when there can."""
    if not pathlib.Path(os.environ.get("TANDEM_CHROMIUM", "/usr/bin/chromium")).exists():
        return "chromium is not installed"
    if not (FOLDER / "node_modules/playwright-core").exists():
        return "npm ci has not been run in tests/browser"
    return None


def node_of(node, **more):
    """Starts that node where pages reach it, from wherever they come."""
    node.config = {"realms": [{"name": "default", "listeners": [{"transport": "udp", "bind": f"{ADDRESS}:{node.sip}"}],
                               "media": {"bind_v4": ADDRESS, "ports": f"{node.media[0]}-{node.media[1]}", "webrtc_port": node.webrtc}}],
                   "web": {"bind": f"0.0.0.0:{node.web}", "websocket": {"origins": ["*"]}}, **more}
    return node.start()


class Driver:
    """The Node program that holds the browsers."""

    def __init__(self, folder, script=FOLDER / "driver.mjs", env=None, prefix=()):
        self.log_path = pathlib.Path(folder) / f"browser-{time.monotonic_ns()}.log"
        self.process = subprocess.Popen([*prefix, "node", str(script)], env={**os.environ, **(env or {})}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=open(self.log_path, "wb"), text=True, cwd=folder)
        self.answers, self.changed, self.next = {}, threading.Condition(), 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            with self.changed:
                self.answers[answer["id"]] = answer
                self.changed.notify_all()
        with self.changed:
            self.answers[-1] = {"error": "the driver ended"}
            self.changed.notify_all()

    def ask(self, seconds=60, **wish):
        with self.changed:
            self.next += 1
            wish["id"] = self.next
            self.process.stdin.write(json.dumps(wish) + "\n")
            self.process.stdin.flush()
            deadline = time.monotonic() + seconds
            while wish["id"] not in self.answers:
                check(-1 not in self.answers, f"the browser's driver ended: {self.log_path.read_text()[-800:]}")
                check(self.changed.wait(max(0, deadline - time.monotonic())), f"no answer to {wish} in {seconds} s")
            answer = self.answers.pop(wish["id"])
        if "error" in answer:
            raise Failed(f"{wish.get('do')} {wish.get('name', '')}: {answer['error']}")
        return answer["value"]

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Page:
    """A page with that phone, in a browser whose microphone plays that tone."""

    def __init__(self, driver, node, kind, user, hertz, server, folder, token=None, **more):
        self.driver, self.node, self.kind, self.user, self.hertz = driver, node, kind, user, hertz
        self.page = f"{kind}-{user}-{time.monotonic_ns()}"
        tone = pathlib.Path(folder) / f"tone-{hertz}.wav"
        if not tone.exists():
            write_tone(tone, hertz, rate=48000)
        driver.ask(200, do="open", page=self.page, phone=kind, tone=str(tone))
        self.read = 0
        options = {"url": f"wss://{server}:{node.web}/sip", "uri": f"sip:{user}@{node.domain}", "user": user, "name": f"Page {user}", **more}
        self.start = {**options, "jwt": token} if token else {**options, "password": node.users[user]}
        self.do("start", self.start)
        self.event("connected")

    def do(self, name, *arguments):
        return self.driver.ask(do="call", page=self.page, name=name, arguments=list(arguments))

    def log(self):
        return self.driver.ask(do="log", page=self.page)

    def event(self, kind, seconds=15, since=None):
        """The next event of that kind behind `since` (default: behind the last one waited for)."""
        since = self.read if since is None else since

        def seen():
            for i, e in enumerate(self.log()):
                if i >= since and e["kind"] == kind:
                    self.read = i + 1
                    return e
            return None

        try:
            return wait_for(seen, seconds, f"{self.kind} of {self.user}: {kind}")
        except Failed as e:
            raise Failed(f"{e}\nlog: {self.log()}\nsaid: {self.driver.ask(do='said', page=self.page)[-12:]}") from None

    def register(self):
        self.do("register")
        self.event("registered")

    def heard(self, hertz, seconds=15, times=5):
        """That tone is what the page hears, several times in a row."""
        last, row = [], 0

        def hears():
            nonlocal row
            got = self.do("heard")
            last.append(got)
            row = row + 1 if abs(got["hertz"] - hertz) < 15 and (got["level"] or -200) > -70 else 0
            return row >= times

        try:
            wait_for(hears, seconds, f"{self.kind} of {self.user} hears {hertz} Hz")
        except Failed as e:
            facts = self.do("facts")
            raise Failed(f"{e}: {last[-3:]}\n{ {k: v for k, v in facts.items() if k not in ('local', 'remote')} }\nlocal {facts['local']}\nremote {facts['remote']}") from None

    def close(self):
        self.driver.ask(do="close", page=self.page)
