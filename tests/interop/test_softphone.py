#!/usr/bin/env python3
"""The telephone of the console in real Chromium (web/e2e/softphone.mjs) against baresip phones and against itself: tones are measured at both ends, pictures
counted, keys, transfers and messages told; connections are cut and come back.

Chromium takes no loopback address for a candidate, so this runs in a network namespace with a pair of Ethernet ends of its own."""
import os
import pathlib
import re
import shutil
import socket
import threading

import own_network
from browser import Driver
from harness import Baresip, Failed, Suite, check, dominant, free_port, wait_for, write_tone
from own_network import ADDRESS

NO_NETWORK = own_network.enter(own_network.ON_A_WIRE)

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
E2E = ROOT / "web" / "e2e"
suite = Suite()
count = 0
desks = []


class Relay:
    """A way to the node that can be cut: connections through it die, and none comes up until it is mended."""

    def __init__(self, port):
        self.target, self.port = port, free_port()
        self.pairs, self.listener = [], None
        self.mend()

    def mend(self):
        listener = socket.create_server((ADDRESS, self.port))
        self.listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection((ADDRESS, self.target))
            except OSError:
                return
            self.pairs += [near, far]
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    @staticmethod
    def _pump(a, b):
        try:
            while piece := a.recv(65536):
                b.sendall(piece)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        # close() alone leaves a socket that another thread waits on.
        for s in [self.listener, *self.pairs]:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()
        self.pairs = []

    close = cut


class Desk:
    """A subscriber at the console, with a microphone that plays that tone."""

    def __init__(self, driver, node, user, hertz, port=None, options=None, on=True):
        global count
        count += 1
        self.driver, self.node, self.user, self.hertz, self.page = driver, node, user, hertz, f"{count}-{user}"
        tone = node.folder / f"tone-{hertz}.wav"
        if not tone.exists():
            write_tone(tone, hertz, rate=48000)
        self.do("open", seconds=200, tone=str(tone), url=f"https://{ADDRESS}:{port or node.web}/", options=options or {})
        self.do("signIn", account=f"{user}@{node.domain}", password=node.users[user])
        self.do("see", text=re.sub("@.*", "", user), selector=".who")
        self.do("visit", hash="#/phone")
        if on:
            self.do("click", name="Turn the telephone on")
            self.ready()

    def do(self, what, seconds=60, **more):
        try:
            return self.driver.ask(seconds, do=what, page=self.page, **more)
        except Failed as e:
            if what in ("text", "troubles", "close"):
                raise
            shown = self.driver.ask(30, do="text", page=self.page, selector="body")
            raise Failed(f"{self.user}: {e}\nwanted: {more}\nshown: {shown[:1500]}\ntroubles: {self.driver.ask(30, do='troubles', page=self.page)[-6:]}") from None

    def see(self, text, selector="body", seconds=15):
        self.do("see", text=text, selector=selector, seconds=seconds)

    def click(self, name, **more):
        self.do("click", name=name, **more)

    def ready(self):
        self.see("Ready for calls", ".page-tools")

    def call(self, number, button="Call"):
        self.do("fill", label="Number, name or SIP address", value=number)
        self.click(button, within=".dialler")

    def connected(self):
        self.see("connected", ".line.active")

    def idle(self):
        self.do("gone", selector=".line")

    def heard(self, hertz, seconds=15, times=5):
        """That tone is what the page plays, several times in a row."""
        last, row = [], 0

        def hears():
            nonlocal row
            got = self.do("heard")
            last.append(got)
            row = row + 1 if abs(got["hertz"] - hertz) < 15 and got["level"] > -70 else 0
            return row >= times

        try:
            wait_for(hears, seconds, f"the page of {self.user} hears {hertz} Hz")
        except Failed as e:
            raise Failed(f"{e}: {last[-3:]}; shown: {self.do('text', selector='main')[:600]}") from None

    def sees(self, selector="video.theirs", seconds=20):
        """Pictures keep coming, and there is something in them."""
        first = wait_for(lambda: (lambda s: s if s["frames"] > 0 and s["colours"] > 3 else None)(self.do("seen", selector=selector)), seconds,
                         f"the page of {self.user} sees {selector}")
        wait_for(lambda: self.do("seen", selector=selector)["frames"] >= first["frames"] + 20, seconds, f"{selector} of {self.user} moves")
        return self.do("seen", selector=selector)

    def troubles(self):
        """Errors of scripts and breaches of the policy; a browser writes a line for each WebSocket that does not come up, too."""
        return [t for t in self.do("troubles") if not t.startswith("WebSocket connection to")]

    def close(self):
        self.do("leave")
        self.do("close")


def desk(driver, node, user, hertz, **more):
    desks.append(suite.closing(Desk(driver, node, user, hertz, **more)))
    return desks[-1]


def without_troubles(body, node, driver):
    desks.clear()
    body(node, driver)
    for d in desks:
        check(not d.troubles(), f"the page of {d.user}: {d.troubles()[:5]}")


def phone(node, user, hertz, codec="PCMU/8000/1", **more):
    global count
    count += 1
    p = suite.closing(Baresip(node.folder, f"{count}-{user}", user, node.users[user], node.sip, hertz, codec=codec, host=ADDRESS, domain=node.domain, **more))
    p.wait_registered(node)
    return p


def calls_a_phone(node, driver):
    """Signing in, dialling by the pad, sound both ways, its figures, hold, hanging up; the record can be called back."""
    b = phone(node, "1002", 620)
    a = desk(driver, node, "1001", 440, on=False)
    a.see("This page can be your telephone")
    a.do("reachable", name="off")
    a.click("Turn the telephone on")
    a.ready()
    check(node.users["1001"] not in a.do("storage") and "ticket" not in a.do("storage"), "a secret is kept in the browser")
    wait_for(lambda: node.api("GET", "/registrations?search=1001")["items"], 10, "a registration")
    for digit in "1002":
        a.click(digit, within=".dialler")
    a.click("Call", within=".dialler")
    a.connected()
    a.heard(620), b.heard(440)
    a.do("reachable", name="in a call")
    wait_for(lambda: re.search(r"MOS[^0-9]*4\.[0-9]", a.do("text", selector=".sound")), 15, "a good estimate")
    check(re.search(r"(opus|PCMU)", a.do("text", selector=".sound")), "the codec")
    a.click("Hold")
    a.see("on hold", ".line")
    quiet = len(b.recording()[0])
    wait_for(lambda: len(b.recording()[0]) > quiet + 12000, 10, "a second and a half on hold")
    samples, rate = b.recording()
    check(440 not in dominant(samples[-rate:], [440], rate, rate // 10), "who is held hears the one who holds")
    a.click("Resume the call with 1002")
    a.connected()
    a.heard(620), b.heard(440, since=len(b.recording()[0]))
    a.click("Mute")
    quiet = len(b.recording()[0])
    wait_for(lambda: len(b.recording()[0]) > quiet + 16000, 10, "two seconds of a muted microphone")
    samples, rate = b.recording()
    check(440 not in dominant(samples[-rate:], [440], rate, rate // 10), "a muted microphone is heard")
    a.click("Mute")
    b.heard(440, since=len(b.recording()[0]))
    a.click("Hang up")
    a.idle()
    node.wait_no_calls()
    a.see("The call with 1002 has ended", "[role=status]")
    a.click("Call Extension 1002 back")
    a.connected()
    b.command("hangup")
    a.idle()
    node.wait_no_calls()


def is_called(node, driver):
    """Ringing on another page of the console, refusing, answering; how soon the caller is heard."""
    b = phone(node, "1002", 620)
    a = desk(driver, node, "1001", 440)
    a.do("visit", hash="#/home")
    a.see("My line", "h1")
    mark = b.mark()
    b.command("dial", f"sip:1001@{node.domain}")
    a.see("calls you", ".line.ringing")
    a.see("Extension 1002 calls", ".line.ringing [role=alert]")
    wait_for(lambda: a.do("focused") == "Answer", 5, "the button that answers has the focus")
    a.click("Refuse")
    b.event("CALL_CLOSED", since=mark)
    a.idle()
    node.wait_no_calls()
    a.do("visit", hash="#/phone")
    a.ready()
    times = []
    for _ in range(5):
        mark = b.mark()
        b.command("dial", f"sip:1001@{node.domain}")
        a.see("calls you", ".line.ringing")
        times.append(a.do("untilHeard", name="Answer"))
        b.event("CALL_ESTABLISHED", since=mark)
        a.heard(620), b.heard(440)
        b.command("hangup")
        a.idle()
        node.wait_no_calls()
    check(None not in times, f"an answered call stays silent: {times}")
    print(f"    from the click on Answer to the caller's voice: {', '.join(f'{t:.0f}' for t in times)} ms", flush=True)
    b.command("dial", f"sip:1001@{node.domain}")
    a.see("calls you", ".line.ringing")
    b.command("hangup")
    a.see("Missed", "[role=status]")
    a.see("missed", ".phone-right tbody")


def keys(node, driver):
    """Both ways: by the pad and the keyboard, and from a telephone whose events no page would see."""
    b = phone(node, "1002", 620)
    a = desk(driver, node, "1001", 440)
    mark = b.mark()
    a.call("1002")
    a.connected()
    a.heard(620)

    def told(key):
        wait_for(lambda: [e for e in b.events[mark:] if e.get("type") == "CALL_DTMF_START" and e.get("param") == key] or b.pump(), 10,
                 f"{key} at the phone: {b.events[mark:]}")

    a.click("Keys")
    a.click("5", within=".line.active")
    told("5")
    a.click("star", within=".line.active")
    told("*")
    a.do("blur")
    a.do("press", key="7")
    told("7")
    a.see("Pressed: 5*7", ".line.active")
    for key in "36":
        b.command("sndcode", key)
        b.command("sndcode", "")
        a.see(f"1002 pressed {key}", "[role=status]")
    a.see("They pressed: 36", ".line.active")
    a.do("press", key="Alt+Backspace")
    a.idle()
    node.wait_no_calls()


def several(node, driver):
    """A second call while one goes on, back and forth between them, then both are connected with each other."""
    b, c = phone(node, "1002", 620), phone(node, "1003", 880)
    a = desk(driver, node, "1001", 440)
    a.call("1002")
    a.connected()
    a.heard(620)
    a.call("1003")
    a.see("1003", ".line.active")
    a.connected()
    a.heard(880), c.heard(440)
    a.see("on hold", ".line:not(.active)")
    a.click("Resume the call with 1002")
    a.see("1002", ".line.active")
    a.heard(620), b.heard(440, since=len(b.recording()[0]))
    a.do("reachable", name="two calls")
    a.click("Transfer", within=".line.active")
    a.click("Connect with 1003")
    b.heard(880), c.heard(620)
    a.idle()
    b.command("hangup")
    node.wait_no_calls()


def connects_a_caller(node, driver):
    """The phone that called and was on hold meanwhile is heard by the one that it is connected with, and is sent what that says."""
    b, c = phone(node, "1002", 620), phone(node, "1003", 880)
    a = desk(driver, node, "1001", 440)
    b.command("dial", f"sip:1001@{node.domain}")
    a.click("Answer")
    a.connected()
    a.heard(620), b.heard(440)
    a.call("1003")
    a.see("1003", ".line.active")
    a.connected()
    a.heard(880), c.heard(440)
    a.click("Transfer", within=".line.active")
    a.click("Connect with Extension 1002")
    c.heard(620)

    def sent():
        legs = {leg["party"]: leg["media"]["packets_sent"] for call in node.api("GET", "/calls")["items"] for leg in node.api("GET", f"/calls/{call['id']}")["legs"]}
        return legs.get(f"1002@{node.domain}") if f"1003@{node.domain}" in legs else None

    # baresip records no more of what it hears once it was on hold: what it is sent is counted.
    before = wait_for(sent, 10, "a call of 1002 and 1003")
    wait_for(lambda: sent() > before + 100, 10, "two seconds of sound for 1002")
    a.idle()
    b.command("hangup")
    node.wait_no_calls()


def transfers(node, driver):
    b, c = phone(node, "1002", 620), phone(node, "1003", 880)
    a = desk(driver, node, "1001", 440)
    a.call("1002")
    a.connected()
    b.heard(440)  # after a few packets alone baresip's jitter buffer takes no other source
    a.click("Transfer", within=".line.active")
    a.do("fill", label="Transfer to", value="1003")
    a.do("press", key="Enter")
    b.heard(880), c.heard(620)
    a.see("was transferred", "[role=status]")
    a.idle()
    b.command("hangup")
    node.wait_no_calls()


def messages(node, driver):
    a, b = desk(driver, node, "1001", 440), desk(driver, node, "1002", 620)
    for d in (a, b):
        d.click("Messages")
    a.do("fill", label="To", value="1002")
    a.do("fill", label="Message", value="안녕 <b>🎧</b>")
    a.click("Send")
    a.see("sent", ".thread .own")
    b.see("Message from", "[role=status]")
    b.see("안녕 <b>🎧</b>", ".thread")
    check(b.do("count", selector=".thread b") == 0, "a text became markup")
    b.do("fill", label="Message", value="grüße")
    b.do("press", key="Enter")
    a.see("grüße", ".thread")
    a.do("reachable", name="messages")
    a.do("fill", label="To", value="nobody-there")
    a.do("fill", label="Message", value="hello?")
    a.click("Send")
    a.see("not sent", ".thread .own")


def pictures(node, driver):
    """Browser to browser: sound and pictures both ways, cameras off and on again, an answer without a camera."""
    a, b = desk(driver, node, "1001", 440), desk(driver, node, "1002", 620)
    a.call("1002", "Video call")
    b.see("calls you with video", ".line.ringing")
    b.click("Answer with video")
    a.connected(), b.connected()
    a.heard(620), b.heard(440)
    sizes = [d.sees() for d in (a, b)]
    for d in (a, b):
        d.sees("video.own")
    print(f"    frames decoded: {[(s['frames'], s['width']) for s in sizes]}", flush=True)
    a.do("reachable", name="video")
    a.click("Camera", within=".line.active")
    b.do("gone", selector="video.theirs")
    a.sees()
    a.heard(620), b.heard(440)
    a.click("Camera", within=".line.active")
    b.sees()
    b.click("Hold")
    b.see("on hold", ".line")
    b.click("Resume the call with Extension 1001")
    b.connected()
    a.heard(620), b.heard(440)
    a.sees(), b.sees()
    a.click("Hang up")
    b.idle()
    node.wait_no_calls()
    a.call("1002", "Video call")
    b.see("calls you with video", ".line.ringing")
    b.click("Answer")
    b.sees()
    check(a.do("seen", selector="video.theirs")["frames"] == 0, "a camera that was not turned on is seen")
    b.click("Camera", within=".line.active")
    a.sees()
    b.click("Hang up")
    a.idle()
    node.wait_no_calls()
    a.call("1002")
    b.see("calls you", ".line.ringing")
    b.click("Answer")
    a.connected()
    a.heard(620)
    a.click("Camera", within=".line.active")
    b.sees()
    a.heard(620), b.heard(440)
    a.click("Hang up")
    b.idle()
    node.wait_no_calls()


def comes_back(node, driver):
    """The way to the node is cut in a call: sound goes on, the page says so and is back by itself, with its call."""
    b = phone(node, "1002", 620)
    relay = suite.closing(Relay(node.web))
    a = desk(driver, node, "1001", 440, port=relay.port)
    a.call("1002")
    a.connected()
    a.heard(620), b.heard(440)
    resumed = node.metric("rtc_resumed_total")
    relay.cut()
    a.see("Reconnecting", ".page-tools")
    a.see("The connection is lost", "[role=status]")
    a.heard(620), b.heard(440)
    relay.mend()
    a.see("The connection is back", "[role=status]", 30)
    a.ready()
    check(node.metric("rtc_resumed_total") == resumed + 1, "the session was not resumed")
    a.connected()
    a.heard(620), b.heard(440, since=len(b.recording()[0]))
    a.click("Hold")
    a.see("on hold", ".line")
    a.click("Resume the call with 1002")
    a.connected()
    a.heard(620)
    relay.cut()
    a.see("Reconnecting", ".page-tools")
    b.command("hangup")
    relay.mend()
    a.idle()
    a.ready()
    node.wait_no_calls()
    mark = b.mark()
    b.command("dial", f"sip:1001@{node.domain}")
    a.see("calls you", ".line.ringing")
    a.click("Answer")
    b.event("CALL_ESTABLISHED", since=mark)
    a.heard(620), b.heard(440)
    a.click("Hang up")
    node.wait_no_calls()


def leaves(node, driver):
    """A page that is reloaded or signed out hangs up; reloaded, it is a telephone again."""
    def registered():
        return len(node.api("GET", "/registrations?search=1001")["items"])

    before = registered()  # pages of checks before, until their sessions have lingered
    b = phone(node, "1002", 620)
    a = desk(driver, node, "1001", 440)
    a.call("1002")
    a.connected()
    mark = b.mark()
    a.do("reload")
    b.event("CALL_CLOSED", since=mark)
    a.ready()
    node.wait_no_calls()
    a.call("1002")
    a.connected()
    mark = b.mark()
    a.click("Sign out")
    b.event("CALL_CLOSED", since=mark)
    a.see("Sign in", "h1")
    wait_for(lambda: registered() <= before, 10, "no registration of who has left")
    node.wait_no_calls()


def devices(node, driver):
    """Another microphone in a call: the call goes on. Chromium's test devices are three, all with the same tone."""
    b = phone(node, "1002", 620)
    a = desk(driver, node, "1001", 440)
    a.call("1002")
    a.connected()
    b.heard(440)
    a.do("tap", selector=".devices summary")
    names = a.do("options", label="Microphone")
    check(len(names) >= 2, f"microphones: {names}")
    a.do("choose", label="Microphone", value=names[1])
    b.heard(440, since=len(b.recording()[0]))
    a.heard(620)
    a.click("Hang up")
    node.wait_no_calls()


def cameras_and_speakers(node, driver):
    """Another camera and another loudspeaker in a call, which goes on; the next call begins with what was chosen."""
    a, b = desk(driver, node, "1001", 440), desk(driver, node, "1002", 620)

    def talk():
        a.call("1002", "Video call")
        b.see("calls you with video", ".line.ringing")
        b.click("Answer with video")
        a.connected(), b.connected()
        a.heard(620), b.heard(440)
        for d in (a, b):
            check(0 < d.sees()["width"] <= 320, "pictures are larger than the test asks for")

    def comes_from(camera):
        wait_for(lambda: a.do("camera") == camera, 10, f"pictures of {camera}, not of {a.do('camera')}")

    def goes_to(speaker):
        wait_for(lambda: a.do("speakers") == [speaker], 10, f"sound through {speaker!r}, not {a.do('speakers')}")

    talk()
    a.do("tap", selector=".devices summary")
    cameras, speakers = ([i for i in a.do("options", label=label) if i] for label in ("Camera", "Loudspeaker"))
    check(len(cameras) == 4 and len(speakers) >= 2, f"cameras: {cameras}, loudspeakers: {speakers}")
    goes_to("")
    first = a.do("camera")
    check(first == cameras[0], f"{first} is not the first of {cameras}")
    other, speaker = cameras[3], speakers[1]
    a.do("choose", label="Camera", value=other)
    comes_from(other)
    b.sees(), a.sees("video.own")
    a.do("choose", label="Loudspeaker", value=speaker)
    goes_to(speaker)
    a.heard(620), b.heard(440)
    check(all(a.do("heard")["playing"]), "the other side is not played any more")
    a.do("choose", label="Loudspeaker", value=speakers[0])
    goes_to(speakers[0])
    a.click("Hang up")
    b.idle()
    node.wait_no_calls()
    talk()
    comes_from(other), goes_to(speakers[0])
    a.do("choose", label="Loudspeaker", value="")
    goes_to("")
    a.heard(620)
    a.click("Hang up")
    node.wait_no_calls()


def missing():
    if not pathlib.Path(os.environ.get("TANDEM_CHROMIUM", "/usr/bin/chromium")).exists():
        return "chromium is not installed"
    if not (ROOT / "web/node_modules/playwright-core").exists():
        return "npm ci has not been run in web"
    if NO_NETWORK:
        return NO_NETWORK
    return None if shutil.which("baresip") else "baresip is not installed"


def main():
    why = missing()
    if why:
        suite.cannot("softphone", why)
        suite.finish()
    node = suite.node("node", config={})
    node.config = {"realms": [{"name": "default", "listeners": [{"transport": "udp", "bind": f"{ADDRESS}:{node.sip}"}],
                               "media": {"bind_v4": ADDRESS, "ports": f"{node.media[0]}-{node.media[1]}", "webrtc_port": node.webrtc}}],
                   "web": {"bind": f"0.0.0.0:{node.web}"}}
    node.start()
    driver = Driver(suite.folder, E2E / "softphone.mjs")
    for name, body in (("calls a phone, holds, mutes, calls back", calls_a_phone), ("is called", is_called), ("keys both ways", keys),
                       ("several calls, connected with each other", several), ("connects a caller", connects_a_caller),
                       ("transfers", transfers), ("messages", messages), ("pictures", pictures),
                       ("another microphone", devices),
                       ("another camera, another loudspeaker", cameras_and_speakers), ("comes back", comes_back), ("leaves", leaves)):
        suite.run(name, without_troubles, body, node, driver)
    driver.close()
    suite.finish()


main()
