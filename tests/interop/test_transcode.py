#!/usr/bin/env python3
"""Two baresip phones that share no codec, or no way to keys: each hears the other's tone, as loud as it was played."""
import itertools
import math
import shutil

from harness import HOST, TONE_AMPLITUDE, Baresip, Suite, check, tone_share, wait_for, write_tone

suite = Suite()
node = suite.node("codecs")
songs = suite.folder / "songs"
keying = suite.node("keying", config={"media": {"srtp_keying": "dtls"}})  # what it offers is keyed by DTLS
count = 0
TONE_RMS = TONE_AMPLITUDE / math.sqrt(2)
CODECS = {"PCMU": "PCMU/8000/1", "PCMA": "PCMA/8000/1", "G722": "G722/16000/1", "opus": "opus/48000/2"}


def phone(user, hertz, codec, options="", at=None):
    global count
    count += 1
    at = at or node
    p = suite.closing(Baresip(at.folder, f"{count}-{user}-{codec}", user, at.users[user], at.sip, hertz, codec=CODECS[codec], options=options))
    p.wait_registered(at)
    return p


def call(a, b, user, at=None):
    mark = a.mark()
    a.command("dial", f"sip:{user}@{HOST}:{(at or node).sip}")
    a.event("CALL_ESTABLISHED", since=mark)
    b.event("CALL_ESTABLISHED")


def check_sound(who, hertz):
    """Of what it recorded: the other's tone and hardly anything else, within 1 dB of the level it was played at."""
    samples, rate = who.recording()
    share, loud = tone_share(samples[-rate:], hertz, rate, rate // 10)
    check(loud >= 9 and share >= 0.8, f"{who.name} heard {hertz} Hz in {share:.0%} of {loud} loud tenths of a second")
    last = samples[-rate:]
    level = 20 * math.log10(math.sqrt(sum(s * s for s in last) / len(last)) / TONE_RMS)
    check(abs(level) < 1, f"{who.name} heard {hertz} Hz at {level:+.1f} dB")


SDES = ";mediaenc=srtp-mand"
DTLS = ";mediaenc=dtls_srtp"
MUX = ";rtcp_mux=yes"


def pair(of_a, of_b, options_a="", options_b="", at=None):
    at = at or node
    a, b = phone("1001", 440, of_a, options_a, at), phone("1002", 620, of_b, options_b, at)
    before = len(at.cdrs("&party=1002"))
    call(a, b, "1002", at)
    a.heard(620), b.heard(440)
    check_sound(a, 620), check_sound(b, 440)
    mark = b.mark()
    a.command("hangup")
    b.event("CALL_CLOSED", since=mark)
    row = wait_for(lambda: (rows := at.cdrs("&party=1002")) and len(rows) > before and rows, 10, "a CDR")[0]
    check(row["caller"]["codec"].lower() == of_a.lower() and row["callee"]["codec"].lower() == of_b.lower(), str(row))
    check(row["caller"]["packets_sent"] > 40 and row["callee"]["packets_sent"] > 40, str(row))


def transfer():
    """A call without transcoding goes on with a phone that needs it."""
    a, b, c = phone("1001", 440, "PCMU"), phone("1002", 620, "PCMU"), phone("1003", 880, "opus")
    call(a, b, "1002")
    b.heard(440)
    b.command("transfer", f"sip:1003@{HOST}:{node.sip}")
    c.event("CALL_ESTABLISHED")
    a.heard(880), c.heard(440)
    a.command("hangup")
    node.wait_no_calls()


def hold(of_a="G722", of_b="PCMA", options_a="", options_b="", at=None):
    a, b = phone("1001", 440, of_a, options_a, at), phone("1002", 620, of_b, options_b, at)
    call(a, b, "1002", at)
    b.heard(440)
    a.command("hold")

    def music():
        samples, rate = b.recording()
        share, loud = tone_share(samples[-rate:], 440, rate, rate // 10)
        return loud >= 3 and share == 0

    wait_for(music, 10, "music on hold")
    a.command("resume")
    a.heard(620), b.heard(440)
    a.command("hangup")


def song(hall, codec):
    """A file of the operator's: 1,250 Hz, whatever the phone on hold speaks."""
    a, b = phone("1001", 440, "PCMA", at=hall), phone("1002", 620, codec, at=hall)
    call(a, b, "1002", at=hall)
    b.heard(440)
    a.command("hold")
    b.heard(1250)
    a.command("resume")
    b.heard(440)
    a.command("hangup")
    hall.wait_no_calls()


def main():
    if not shutil.which("baresip"):
        suite.cannot("baresip", "the program is not installed")
        suite.finish()
    node.start(), keying.start()
    for first, second in itertools.combinations(CODECS, 2):
        suite.run(f"{first} and {second}", pair, first, second)
    suite.run("SRTP and RTP", pair, "PCMU", "PCMU", SDES, "")
    for first, second in itertools.combinations(CODECS, 2):
        suite.run(f"SRTP at both legs, {first} and {second}", pair, first, second, SDES, SDES)
    suite.run("a transfer to a phone that speaks another codec", transfer)
    suite.run("hold with music, and resume", hold)
    (songs / "hold").mkdir(parents=True)
    write_tone(songs / "hold" / "tone.wav", 1250, seconds=3)
    hall = suite.node("hall", config={"sounds": {"folder": str(songs), "hold_music": "hold/tone.wav"}}).start()
    for codec in ("PCMU", "G722", "opus"):
        suite.run(f"music on hold from a file, {codec}", song, hall, codec)
    suite.run("DTLS and RTP", pair, "PCMU", "PCMU", DTLS, "")
    suite.run("DTLS and RTP, two codecs, with rtcp-mux", pair, "PCMA", "opus", DTLS + MUX, "")
    suite.run("DTLS and SDES", pair, "PCMU", "PCMU", DTLS, SDES)
    suite.run("SDES and DTLS, two codecs", pair, "G722", "PCMA", SDES, DTLS, keying)
    suite.run("DTLS at both legs", pair, "PCMU", "PCMU", DTLS, DTLS, keying)
    suite.run("DTLS at both legs, two codecs, with rtcp-mux", pair, "PCMA", "opus", DTLS + MUX, DTLS + MUX, keying)
    suite.run("RTP and DTLS", pair, "PCMU", "PCMU", "", DTLS, keying)
    suite.run("DTLS: hold with music, and resume", hold, "PCMU", "PCMA", DTLS, DTLS, keying)
    suite.finish()


main()
