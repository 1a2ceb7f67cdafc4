#!/usr/bin/env python3
"""baresip phones and the services: a menu leads on, messages are left and heard, a conference is heard by all but oneself."""
import array
import io
import shutil
import time
import wave

from harness import HOST, Baresip, Suite, check, dominant, goertzel, tone_share, wait_for

suite = Suite()
node = suite.node("services")
count = 0
TONES = [440, 620, 880]


def phone(user, hertz, codec="PCMU/8000/1"):
    global count
    count += 1
    p = suite.closing(Baresip(node.folder, f"{count}-{user}", user, node.users[user], node.sip, hertz, codec=codec))
    p.wait_registered(node)
    return p


def dial(p, number):
    mark = p.mark()
    p.command("dial", f"sip:{number}@{HOST}:{node.sip}")
    p.event("CALL_ESTABLISHED", since=mark)


def press(p, keys):
    """One after the other: each is heard before the next."""
    for key in keys:
        heard = node.metric("dtmf_heard_total")
        p.command("sndcode", key)
        wait_for(lambda: node.metric("dtmf_heard_total") > heard, 5, f"{p.name}: {key} to be heard")


def hears_a_voice(p, since=0):
    """Something loud that is none of our tones."""
    def voice():
        samples, rate = p.recording()
        samples = samples[since:]
        loud = [b for b in (samples[i:i + rate // 10] for i in range(0, len(samples), rate // 10)) if b and sum(s * s for s in b) / len(b) > 500 * 500]
        pure = sum(1 for b in loud if dominant(b, TONES, rate, len(b))[0] in TONES)
        return len(loud) >= 8 and pure < len(loud) / 2

    wait_for(voice, 15, f"{p.name} hears a voice")


def mark(p):
    return len(p.recording()[0])


def hangup(p):
    seen = p.mark()
    p.command("hangup")
    p.event("CALL_CLOSED", since=seen)


def done(*phones):
    node.wait_no_calls()
    for p in phones:
        p.close()


def menu(codec):
    a, b = phone("1001", 440, codec), phone("1002", 620)
    dial(a, "600")
    hears_a_voice(a)
    press(a, "1")
    b.event("CALL_ESTABLISHED")
    a.heard(620), b.heard(440)
    hangup(a)
    done(a, b)


def menu_extension():
    """A number dialled in the menu rings whom it belongs to."""
    a, b = phone("1001", 440), phone("1002", 620)
    dial(a, "600")
    hears_a_voice(a)
    press(a, "1002")
    b.event("CALL_ESTABLISHED")
    a.heard(620), b.heard(440)
    hangup(a)
    done(a, b)


def messages():
    return node.api("GET", f"/mailboxes/{node.domain}/1003/messages")["items"]


def sound_of(message):
    status, headers, body = node.request("GET", f"/api/v1/mailboxes/{node.domain}/1003/messages/{message['id']}/sound")
    check(status == 200 and headers["Content-Type"] == "audio/wav", f"{status} {headers['Content-Type']}")
    with wave.open(io.BytesIO(body)) as w:
        samples = array.array("h")
        samples.frombytes(w.readframes(w.getnframes()))
        return samples, w.getframerate()


def leave_and_read(codec):
    """Nobody is at 1003: a message is left; it is heard over the phone, and removed."""
    for old in messages():
        node.api("DELETE", f"/mailboxes/{node.domain}/1003/messages/{old['id']}")
    a = phone("1001", 440, codec)
    dial(a, "1003")
    hears_a_voice(a)
    wait_for(lambda: list((node.data / "voicemail").rglob("*.part")), 20, "the recording")
    began = time.monotonic()
    wait_for(lambda: time.monotonic() > began + 3, 10, "three seconds of a message")
    hangup(a)
    left = wait_for(messages, 10, "the message")[0]
    check(left["from"] == "1001" and not left["heard"], str(left))
    samples, rate = sound_of(left)
    share, loud = tone_share(samples[rate // 2:], 440, rate, rate // 10)
    check(loud >= 8 and share > 0.9, f"the message has 440 Hz in {share:.0%} of {loud} loud tenths")
    done(a)
    owner = phone("1003", 880)
    dial(owner, "*97")
    hears_a_voice(owner)
    press(owner, "4711#")
    at = mark(owner)
    hears_a_voice(owner, at)
    press(owner, "1")
    owner.heard(440, seconds=25)
    wait_for(lambda: messages()[0]["heard"], 15, "the message to be marked as heard")
    press(owner, "3")
    wait_for(lambda: not messages(), 10, "the message to be gone")
    hangup(owner)
    check(not list((node.data / "voicemail").rglob("*/[0-9]*.wav")), "its file is still there")
    done(owner)


def wrong_pin():
    owner = phone("1003", 880)
    dial(owner, "*97")
    for _ in range(3):
        at = mark(owner)
        hears_a_voice(owner, at)
        press(owner, "1234#")
    owner.event("CALL_CLOSED", seconds=20)
    done(owner)


def conference(codecs):
    """Each hears the two others and not itself; who is muted is not heard."""
    phones = [phone(user, hertz, codec) for user, hertz, codec in zip(("1001", "1002", "1003"), TONES, codecs)]
    for p in phones:
        dial(p, "800")
        hears_a_voice(p)
        press(p, "5566#")
    status = lambda: node.api("GET", "/conference-status")["items"]
    wait_for(lambda: status() and len(status()[0]["members"]) == 3, 20, "three in the conference")

    def heard(p):
        samples, rate = p.recording()
        last = samples[-rate:]
        return {hz for hz in TONES if len(last) == rate and goertzel(last, hz, rate) > 0.1}

    for p in phones:
        wait_for(lambda: heard(p) == set(TONES) - {p.hertz}, 20, f"{p.name} hears the others: it hears {sorted(heard(p))}")
    press(phones[2], "*6")
    wait_for(lambda: heard(phones[0]) == {620}, 15, f"the muted one is not heard: {sorted(heard(phones[0]))}")
    member = next(m for m in status()[0]["members"] if m["party"].startswith("1003"))
    check(member["muted"], str(member))
    node.api("POST", f"/conferences/{node.domain}/800/members/{member['call']}", {"muted": False})
    wait_for(lambda: heard(phones[0]) == {620, 880}, 15, "it is heard again")
    node.api("DELETE", f"/conferences/{node.domain}/800/members/{member['call']}")
    phones[2].event("CALL_CLOSED", seconds=15)
    for p in phones[:2]:
        hangup(p)
    done(*phones)


def main():
    if not shutil.which("baresip"):
        suite.cannot("baresip", "the program is not installed")
        suite.finish()
    node.start()
    domain = node.domain
    node.api("PUT", f"/menus/{domain}/600", {"greeting": ["welcome", "choice-extension"], "extensions": True})
    node.api("PUT", f"/menu-choices/{domain}/600/0", {"keys": "1", "target": "1002"})
    node.api("PUT", f"/mailboxes/{domain}/1003", {"pin": "4711"})
    node.api("PUT", f"/conferences/{domain}/800", {"pin": "5566"})
    for codec in ("PCMU/8000/1", "G722/16000/1", "opus/48000/2"):
        suite.run(f"a key of the menu, {codec}", menu, codec)
    suite.run("an extension in the menu", menu_extension)
    suite.run("a message is left and heard", leave_and_read, "PCMA/8000/1")
    suite.run("a message is left in wideband", leave_and_read, "G722/16000/1")
    suite.run("three wrong PINs", wrong_pin)
    suite.run("a conference", conference, ["PCMU/8000/1"] * 3)
    suite.run("a conference of three codecs", conference, ["PCMA/8000/1", "G722/16000/1", "opus/48000/2"])
    suite.finish()


main()
