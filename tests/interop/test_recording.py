#!/usr/bin/env python3
"""Calls between baresip phones are recorded: a party a channel, whole after a kill, and each party hears that it is so."""
import array
import shutil
import subprocess
import time
import wave

from harness import HOST, Baresip, Suite, check, tone_share, wait_for

suite = Suite()
node = suite.node("node")
opus = suite.node("opus", config={"recordings": {"format": "opus", "policy": "silent"}})
count = 0


def phone(user, hertz, codec="PCMA/8000/1", at=None):
    global count
    count += 1
    at = at or node
    p = suite.closing(Baresip(at.folder, f"{count}-{user}", user, at.users[user], at.sip, hertz, codec=codec))
    p.wait_registered(at)
    return p


def call(a, b, user, at=None):
    mark = a.mark()
    a.command("dial", f"sip:{user}@{HOST}:{(at or node).sip}")
    a.event("CALL_ESTABLISHED", since=mark)
    b.event("CALL_ESTABLISHED")
    return (at or node).api("GET", "/calls")["items"][0]["id"]


def ask(call_id, action, **members):
    node.api("POST", f"/calls/{call_id}/recording", {"action": action, **members})


def files(at, pattern):
    return sorted((at.data / "recordings").rglob(pattern))


def channel(path, side):
    samples, rate, channels = read_stereo(path)
    return samples[side::channels], rate


def read_stereo(path):
    with wave.open(str(path), "rb") as w:
        samples = array.array("h")
        samples.frombytes(w.readframes(w.getnframes()))
        return samples, w.getframerate(), w.getnchannels()


def check_sides(path, left, right, seconds):
    for side, hertz, other in ((0, left, right), (1, right, left)):
        samples, rate = channel(path, side)
        check(abs(len(samples) / rate - seconds) < 1, f"{path.name}: {len(samples) / rate:.1f} s instead of about {seconds:.1f}")
        middle = samples[rate // 2:-rate // 4]
        share, loud = tone_share(middle, hertz, rate, rate // 10)
        check(loud >= len(middle) / rate * 8 and share >= 0.9, f"{path.name}: {hertz} Hz in {share:.0%} of {loud} loud tenths, side {side}")
        share, _ = tone_share(middle, other, rate, rate // 10)
        check(share < 0.1, f"{path.name}: the other side's {other} Hz in {share:.0%} of side {side}")


def talk(a, b, hertz_a, hertz_b):
    a.heard(hertz_b), b.heard(hertz_a)


def on_demand():
    """Silent: nobody hears anything of it, and it begins and ends when it is asked to."""
    a, b = phone("1001", 440), phone("1002", 620, "opus/48000/2")
    call_id = call(a, b, "1002")
    talk(a, b, 440, 620)
    ask(call_id, "start", announce=False)
    began = time.monotonic()
    check(node.api("GET", f"/calls/{call_id}")["legs"][0]["recording"] == "running", "the call does not say that it is recorded")
    mark = len(b.recording()[0])
    wait_for(lambda: len(b.recording()[0]) > mark + 4 * b.recording()[1], 15, "four seconds of talk")
    ask(call_id, "stop")
    lasted = time.monotonic() - began
    path = wait_for(lambda: files(node, "*.wav"), 10, "the file")[0]
    check_sides(path, 440, 620, lasted)
    a.command("hangup")
    node.wait_no_calls()
    row = wait_for(lambda: node.cdrs("&party=1002"), 10, "a CDR")[0]
    check(row["recordings"] == [str(path.relative_to(node.data / "recordings"))], str(row["recordings"]))
    path.unlink()


def announced():
    """Both hear more than the other's tone at first: a voice."""
    node.subscriber("1003", recording="announced")
    a, b = phone("1001", 440), phone("1003", 880)
    call(a, b, "1003")

    def told(who, hertz):
        samples, rate = who.recording()
        share, loud = tone_share(samples, hertz, rate, rate // 10)
        return loud >= 5 and share < 0.5

    wait_for(lambda: told(a, 880) and told(b, 440), 5, "the announcement at both phones")
    talk(a, b, 440, 880)
    a.command("hangup")
    node.wait_no_calls()
    wait_for(lambda: files(node, "*.wav"), 10, "the file")
    for path in files(node, "*.wav"):
        path.unlink()


def paused():
    """What is said during a pause is not in the file, which is the shorter for it."""
    a, b = phone("1001", 440), phone("1002", 620)
    call_id = call(a, b, "1002")
    talk(a, b, 440, 620)
    ask(call_id, "start", announce=False)
    rate = b.recording()[1]

    def seconds(n):
        mark = len(b.recording()[0])
        wait_for(lambda: len(b.recording()[0]) > mark + n * rate, n + 10, f"{n} seconds of talk")

    began = time.monotonic()
    seconds(2)
    ask(call_id, "pause")
    silent = time.monotonic()
    seconds(3)
    ask(call_id, "resume")
    began += time.monotonic() - silent
    seconds(2)
    ask(call_id, "stop")
    lasted = time.monotonic() - began
    path = wait_for(lambda: files(node, "*.wav"), 10, "the file")[0]
    check_sides(path, 440, 620, lasted)
    a.command("hangup")
    path.unlink()


def killed():
    """A node that is killed leaves a recording that plays, once it has started again."""
    a, b = phone("1001", 440), phone("1002", 620)
    call_id = call(a, b, "1002")
    ask(call_id, "start", announce=False)
    talk(a, b, 440, 620)
    mark = len(b.recording()[0])
    wait_for(lambda: len(b.recording()[0]) > mark + 4 * b.recording()[1], 15, "four seconds of talk")
    node.kill()
    check(files(node, "*.part") and not files(node, "*.wav"), "no recording was open")
    node.start()
    path = wait_for(lambda: files(node, "*.wav"), 10, "the file")[0]
    samples, rate = channel(path, 0)
    check(len(samples) > 2 * rate, f"{len(samples) / rate:.1f} s are left")
    share, loud = tone_share(samples[rate // 2:-rate // 2], 440, rate, rate // 10)
    check(loud >= 10 and share >= 0.9, f"440 Hz in {share:.0%} of {loud} loud tenths")
    check(not files(node, "*.part"), "parts are left")


def by_policy():
    """Every call, in Opus, read back by another implementation."""
    if not shutil.which("ffmpeg"):
        suite.cannot("Opus in Matroska", "ffmpeg is not installed")
        return
    opus.start()
    a, b = phone("1001", 440, at=opus), phone("1002", 620, "G722/16000/1", at=opus)
    call(a, b, "1002", at=opus)
    talk(a, b, 440, 620)
    mark = len(b.recording()[0])
    wait_for(lambda: len(b.recording()[0]) > mark + 2 * b.recording()[1], 15, "two seconds of talk")
    a.command("hangup")
    path = wait_for(lambda: files(opus, "*.mka"), 10, "the file")[0]
    wav = path.with_suffix(".wav")
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-i", str(path), str(wav)], check=True, timeout=60, stdin=subprocess.DEVNULL)
    for side, hertz in ((0, 440), (1, 620)):
        samples, rate = channel(wav, side)
        share, loud = tone_share(samples[rate:-rate // 4], hertz, rate, rate // 10)
        check(loud >= 10 and share >= 0.9, f"side {side}: {hertz} Hz in {share:.0%} of {loud} loud tenths")


def main():
    if not shutil.which("baresip"):
        suite.cannot("baresip", "the program is not installed")
        suite.finish()
    node.start()
    suite.run("a recording on demand", on_demand)
    suite.run("paused and resumed", paused)
    suite.run("announced by a subscriber's policy", announced)
    suite.run("all calls, in Opus", by_policy)
    suite.run("killed in the middle", killed)
    suite.finish()


main()
