#!/usr/bin/env python3
"""Two baresip phones that speak ICE, or one of them: each hears the other's tone, over pairs that were checked.

baresip takes no loopback address for a candidate, so this runs in a network namespace of its own with another address on lo."""
import os
import shutil
import subprocess
import sys

from harness import Baresip, Suite, check, wait_for

ADDRESS = "10.77.0.1"
if os.environ.get("TANDEM_NETWORK") is None:
    own = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True)
    if own.returncode == 0:
        os.environ["TANDEM_NETWORK"] = "own"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
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
    suite.finish()


main()
