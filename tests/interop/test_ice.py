#!/usr/bin/env python3
"""Phones that speak ICE, or one of them: each hears the other's tone, over pairs that were checked. WebRTC peers, whose sound and
picture share a port, see each other too.

Nobody takes a loopback address for a candidate, so this runs in a network namespace of its own with another address on lo, by the
Python that has aiortc."""
import re
import shutil
import socket
import struct
import threading

import own_network
from harness import Baresip, Suite, check, tone_share, wait_for
from own_network import ADDRESS

NO_NETWORK = own_network.enter(python="/usr/bin/python3")

suite = Suite()
ICE = ";medianat=ice"
DTLS = ";mediaenc=dtls_srtp"
MUX = ";rtcp_mux=yes"
SDES = ";mediaenc=srtp-mand"
count = 0


def node_of(name, webrtc_port=0, **media):
    node = suite.node(name, config={})
    node.config = {"media": media,
                   "realms": [{"name": "default", "listeners": [{"transport": "udp", "bind": f"{ADDRESS}:{node.sip}"}],
                               "media": {"bind_v4": ADDRESS, "ports": f"{node.media[0]}-{node.media[1]}", "webrtc_port": webrtc_port}}]}
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


def peers(node, ports=None):
    """Sound and picture of two WebRTC peers, with feedback about the picture. `ports`: what they are told of."""
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
    check(b.lines("group") == ["BUNDLE 0 1"] and "a=rtcp-mux-only" in b.told, b.told)
    check(re.findall(r"(?m)^m=video (\d+)", b.told) == ["0"] and "a=bundle-only" in b.told, b.told)
    for told in (a.told, b.told) if ports else ():
        check(int(re.search(r"(?m)^m=audio (\d+)", told)[1]) in ports, told)
    hears(a, 620), hears(b, 440)
    a.sees(blue), b.sees(red)
    before = len(a.feedback)
    b.ask_for_picture()
    wait_for(lambda: ("RtcpPsfbPacket", 1) in a.feedback[before:], 10, f"a PLI at the other side: {a.feedback[-5:]}")
    a.ua.bye()
    node.wait_no_calls()


def peer_and_phone(node, ports=None):
    """A WebRTC peer that calls a telephone."""
    from webrtc_peer import Peer
    b = phone(node, "1002", 620, "")
    a = suite.closing(Peer(node, "1001", 440, host=ADDRESS))
    a.call("1002")
    check(not ports or int(re.search(r"(?m)^m=audio (\d+)", a.told)[1]) in ports, a.told)
    check(a.lines("group") == ["BUNDLE 0"], a.told)
    hears(a, 620), b.heard(440)
    a.ua.bye()
    node.wait_no_calls()


def over_tcp(node):
    """Nothing but a connection to the shared port, which strangers are closed on."""
    from ice_peer import IcePeer
    b = phone(node, "1002", 620, "")
    a = suite.closing(IcePeer(node, "1001", 440, ADDRESS, tcp=True))
    a.call("1002")
    stranger = socket.create_connection(a.remote, 10)
    stranger.sendall(struct.pack("!H", 172) + b"\x80" + bytes(171))
    stranger.settimeout(10)
    check(stranger.recv(10) == b"", "a stranger's connection goes on")
    a.start()
    a.connected()
    hears(a, 620), b.heard(440)
    check(node.metric("net_media_frames_received_total") > 50, "frames")
    a.ua.bye()
    wait_for(lambda: a.closed, 10, "the end of the connection")
    node.wait_no_calls()


def by_info(node, server):
    """Candidates of both sides by INFO, one of ours from a STUN server; then a path that is lost, and found again."""
    from ice_peer import IcePeer
    b = phone(node, "1002", 620, "")
    a = suite.closing(IcePeer(node, "1001", 440, ADDRESS))
    a.call("1002", candidates=False)
    check("typ host" in a.told and "srflx" not in a.told, a.told)
    told = a.due("INFO")
    check(told.get("info-package") == "trickle-ice" and told.get("content-type") == "application/trickle-ice-sdpfrag", str(told.headers))
    check("203.0.113.5 4444 typ srflx" in told.body and "a=end-of-candidates" in told.body and "a=mid:0" in told.body, told.body)
    a.ua.accept(told)
    a.trickle()
    a.start()
    a.connected()
    hears(a, 620), b.heard(440)
    with a.lock:  # it answers nothing any more, until it is asked again
        again = a.due("INVITE", 60)
    check(a.peer[0] not in again.body, "the same fragment")
    a.answer_reinvite(again)
    a.connected()
    mark = len(b.recording()[0])
    a.samples.clear()
    hears(a, 620)
    wait_for(lambda: len(b.recording()[0]) > mark, 10, "sound at the telephone")
    check(node.metric("media_ice_restarts_total") == 1 and server.asked >= 1, "restarts")
    a.ua.bye()
    node.wait_no_calls()


def main():
    if not shutil.which("baresip"):
        suite.cannot("baresip", "the program is not installed")
        suite.finish()
    if NO_NETWORK:
        suite.cannot("ice", NO_NETWORK)
        suite.finish()
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
    ports = range(31000, 31000 + 8)  # where no range of the harness is
    shared = node_of("shared", 31000, ice="offered", srtp_keying="dtls", srtp="required")
    suite.run("two WebRTC peers on the port all share", peers, shared, ports)
    one = node_of("one", 31100)
    suite.run("a WebRTC peer on it, and a telephone", peer_and_phone, one, range(31100, 31108))
    suite.run("nothing but TCP", over_tcp, one)
    from ice_peer import StunServer
    server = suite.closing(StunServer((ADDRESS, 3478), ("203.0.113.5", 4444)))
    trickles = node_of("trickles", stun_servers=[f"{ADDRESS}:3478"], timeout="0s")
    suite.run("candidates by INFO, and a path that is lost", by_info, trickles, server)
    suite.finish()


main()
