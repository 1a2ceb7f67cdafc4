#!/usr/bin/env python3
"""Phones that speak ICE, or one of them: each hears the other's tone, over pairs that were checked. WebRTC peers, whose sound and
picture share a port, see each other too.

Nobody takes a loopback address for a candidate, so this runs in a network namespace of its own with another address on lo, by the
Python that has aiortc."""
import os
import re
import shutil
import subprocess
import sys
import threading

from harness import Baresip, Suite, check, tone_share, wait_for

ADDRESS = "10.77.0.1"
PYTHON = "/usr/bin/python3"
if os.environ.get("TANDEM_NETWORK") is None:
    own = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True)
    if own.returncode == 0:
        os.environ["TANDEM_NETWORK"] = "own"
        os.execvp("unshare", ["unshare", "--net", PYTHON, *sys.argv])
    os.environ["TANDEM_NETWORK"] = f"unshare: {own.stderr.strip()}"

suite = Suite()
ICE = ";medianat=ice"
DTLS = ";mediaenc=dtls_srtp"
MUX = ";rtcp_mux=yes"
SDES = ";mediaenc=srtp-mand"
count = 0


def node_of(name, **media):
    node = suite.node(name, config={})
    node.config = {"media": media,
                   "realms": [{"name": "default", "listeners": [{"transport": "udp", "bind": f"{ADDRESS}:{node.sip}"}],
                               "media": {"bind_v4": ADDRESS, "ports": f"{node.media[0]}-{node.media[1]}"}}]}
    return node.start()


def phone(node, user, hertz, options, codec="PCMU/8000/1"):
    global count
    count += 1
    p = suite.closing(Baresip(node.folder, f"{count}-{user}", user, node.users[user], node.sip, hertz, codec=codec, options=options, host=ADDRESS, domain=node.domain))
    p.wait_registered(node)
    return p


def completed(node):
    return node.metric("media_ice_completed_total")


def call(node, options_a, options_b, lines, codec_b="PCMU/8000/1"):
    """`lines`: so many m-lines come to a selected pair."""
    a, b = phone(node, "1001", 440, options_a), phone(node, "1002", 620, options_b, codec_b)
    before = completed(node)
    mark = a.mark()
    a.command("dial", f"sip:1002@{node.domain}")
    a.event("CALL_ESTABLISHED", since=mark)
    a.heard(620), b.heard(440)
    wait_for(lambda: completed(node) == before + lines, 10, f"{lines} selected pairs, {completed(node) - before} there")
    a.command("hold")
    b_mark = len(b.recording()[0])
    wait_for(lambda: len(b.recording()[0]) > b_mark, 10, "sound on hold")
    a.command("resume")
    a.heard(620), b.heard(440)
    a.command("hangup")
    node.wait_no_calls()


def hears(peer, hertz):
    def there():
        samples = peer.samples[-8000:]
        return len(samples) == 8000 and (lambda share, loud: loud >= 9 and share >= 0.8)(*tone_share(samples, hertz, 8000, 800))

    wait_for(there, 15, f"{peer.ua.user} hears {hertz} Hz")


def peers(node):
    """Sound and picture of two WebRTC peers, with feedback about the picture."""
    from webrtc_peer import Peer
    red, blue = (200, 30, 30), (30, 30, 200)
    a, b = suite.closing(Peer(node, "1001", 440, red, ADDRESS)), suite.closing(Peer(node, "1002", 620, blue, ADDRESS))
    b.register()
    done = []
    caller = threading.Thread(target=lambda: (a.call("1002"), done.append(True)), daemon=True)
    caller.start()
    b.answer()
    caller.join(20)
    check(done, "the call was not answered")
    check(len(set(re.findall(r"(?m)^m=\w+ (\d+)", a.told))) == 1 and a.lines("group") == ["BUNDLE 0 1"], a.told)
    check(not any("BUNDLE" in g for g in b.lines("group")), b.told)
    hears(a, 620), hears(b, 440)
    a.sees(blue), b.sees(red)
    before = len(a.feedback)
    b.ask_for_picture()
    wait_for(lambda: ("RtcpPsfbPacket", 1) in a.feedback[before:], 10, f"a PLI at the other side: {a.feedback[-5:]}")
    a.ua.bye()
    node.wait_no_calls()


def peer_and_phone(node):
    """A WebRTC peer that calls a telephone."""
    from webrtc_peer import Peer
    b = phone(node, "1002", 620, "")
    a = suite.closing(Peer(node, "1001", 440, host=ADDRESS))
    a.call("1002")
    check(a.lines("group") == ["BUNDLE 0"], a.told)
    hears(a, 620), b.heard(440)
    a.ua.bye()
    node.wait_no_calls()


def main():
    if not shutil.which("baresip"):
        suite.cannot("baresip", "the program is not installed")
        suite.finish()
    if os.environ["TANDEM_NETWORK"] != "own":
        suite.cannot("ice", os.environ["TANDEM_NETWORK"])
        suite.finish()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", f"{ADDRESS}/24", "dev", "lo"], check=True)
    accepts, offers, lite = node_of("accepts"), node_of("offers", ice="offered", srtp_keying="dtls"), node_of("lite", ice="offered", ice_lite=True)
    suite.run("ICE and none", call, accepts, ICE, "", 1)
    suite.run("ICE and none, two codecs, with rtcp-mux", call, accepts, ICE + MUX, "", 1, "opus/48000/2")
    suite.run("ICE with DTLS, and SDES", call, accepts, ICE + DTLS + MUX, SDES, 1)
    suite.run("none and ICE that we offer", call, offers, "", ICE, 1)
    suite.run("ICE with DTLS at both legs", call, offers, ICE + DTLS + MUX, ICE + DTLS + MUX, 2)
    suite.run("ICE at both legs, lite at ours", call, lite, ICE, ICE, 2)
    suite.run("a phone without ICE that is offered it", call, offers, "", "", 0)
    browsers = node_of("browsers", ice="offered", srtp_keying="dtls", srtp="required")
    suite.run("two WebRTC peers, sound and picture", peers, browsers)
    suite.run("a WebRTC peer and a telephone", peer_and_phone, accepts)
    suite.finish()


main()
