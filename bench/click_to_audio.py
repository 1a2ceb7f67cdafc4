#!/usr/bin/env python3
"""From the click on "call" in a page (Chromium, @tandem/client) to the first sample of a telephone that answers by itself: ICE, DTLS-SRTP, the
browser's jitter buffer. Prints one line of JSON. Runs in a network namespace of its own, since Chromium takes no loopback address for a candidate."""
import argparse
import json
import pathlib
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/interop"))
import own_network  # noqa: E402
from browser import Driver, Page, missing  # noqa: E402
from harness import Baresip, Node, wait_for  # noqa: E402
from own_network import ADDRESS  # noqa: E402


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tandem", required=True)
    options.add_argument("--calls", type=int, default=30)
    options = options.parse_args()
    why = own_network.enter(own_network.ON_A_WIRE) or missing()
    if why:
        sys.exit(f"click_to_audio: {why}")
    with tempfile.TemporaryDirectory() as folder:
        node = Node(pathlib.Path(options.tandem).resolve(), folder, config={})
        node.config = {"realms": [{"name": "default", "listeners": [{"transport": "udp", "bind": f"{ADDRESS}:{node.sip}"}],
                                   "media": {"bind_v4": ADDRESS, "ports": f"{node.media[0]}-{node.media[1]}", "webrtc_port": node.webrtc}}],
                       "web": {"bind": f"0.0.0.0:{node.web}", "websocket": {"origins": ["*"]}}, "log": {"level": "warning"}}
        node.start()
        phone = Baresip(node.folder, "phone", "1002", node.users["1002"], node.sip, 620, host=ADDRESS, domain=node.domain)
        phone.wait_registered(node)
        driver = Driver(folder)
        page = Page(driver, node, "tandem", "1001", 440, ADDRESS, folder)
        took = []
        for _ in range(options.calls + 1):
            took.append(page.do("clickToAudio", f"sip:1002@{node.domain}"))
            page.do("hangup")
            node.wait_no_calls()
            wait_for(lambda: not phone.command("listcalls")["data"].count("sip:1001"), 10, "the phone to be free")
        took = sorted(took[1:])  # the first one starts the browser's sound
        print(json.dumps({"calls": len(took), "median_ms": statistics.median(took), "least_ms": took[0], "most_ms": took[-1]}))
        driver.close(), phone.close(), node.stop()


main()
