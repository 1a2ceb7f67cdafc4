#!/usr/bin/env python3
"""Pictures over a wire that loses packets: two pages in Chromium, and a page and a SIP phone with a camera. What was lost is asked for again and
comes again, or a new key frame does, and nearly all pictures that were sent are seen; pages that cannot ask see the difference.

One page is on a machine besides, whose wire (lossy_wire.py) loses 5 % of the packets each way and takes 20 ms."""
import contextlib
import shutil
import time

import own_network
from browser import Driver, Page, missing, node_of
from harness import Baresip, Failed, Suite, check, wait_for
from own_network import ADDRESS, BadWire

NO_NETWORK = own_network.enter(own_network.ON_A_WIRE)

LOSS, DELAY = 0.05, 0.02
PICTURES = 200  # about ten seconds of Chromium's camera
PHONE_RATE = 15  # pictures a second, harness.Baresip
suite = Suite()
count = 0


class Place:
    """The node, and a browser on either side of the wire."""

    def __init__(self, node):
        self.node = node
        self.wire = BadWire((1,))
        self.wire.come(1), self.wire.reach(1)
        self.near, self.far = Driver(suite.folder), Driver(suite.folder, prefix=self.wire.prefix)

    def close(self):
        self.near.close(), self.far.close()
        self.wire.close()

    def page(self, driver, user, hertz, codec, **more):
        self.wire.set(loss=0, delay=DELAY)
        p = suite.closing(Page(driver, self.node, "tandem", user, hertz, ADDRESS, self.node.folder, video=True, codecs={"video": [codec]}, **more))
        p.register()
        return p

    @contextlib.contextmanager
    def losing(self, caller):
        """From here on, in a call that is up, the wire loses. Whatever comes of it, the call ends."""
        self.wire.set(loss=LOSS)
        try:
            yield
        except Failed:
            self.wire.set(loss=0)
            with contextlib.suppress(Failed):  # what went wrong before is what is told
                caller.do("hangup")
            raise
        self.wire.set(loss=0)
        caller.do("hangup")
        self.node.wait_no_calls()

    def grown(self, *pages):
        """How much each page's figures grew while each of them sent PICTURES, and that the wire lost what it should meanwhile."""
        before, carried = [facts(p) for p in pages], self.wire.set()
        for p, first in zip(pages, before):
            wait_for(lambda: facts(p)["sentFrames"] >= first["sentFrames"] + PICTURES, 60, f"{PICTURES} pictures of {p.user}")
        got = [{k: v - old.get(k, 0) for k, v in facts(p).items() if k not in ("codec", "width", "height")} for p, old in zip(pages, before)]
        for p, figures in zip(pages, got):
            print(f"    {p.user}: {', '.join(f'{k} {round(v, 2)}' for k, v in figures.items())}", flush=True)
        shares = {}
        for way, now in self.wire.set().items():
            lost, passed = (now[k] - carried[way][k] for k in ("lost", "carried"))
            shares[way] = lost / (lost + passed)
        print(f"    the wire lost {', '.join(f'{share:.1%} {way}' for way, share in shares.items())}", flush=True)
        check(all(LOSS / 2 < share < LOSS * 2 for share in shares.values()), f"the wire lost {shares}")
        return got

    def pages(self, codec, **more):
        """Two pages that see and hear each other: the far one, which calls, and the near one."""
        a, b = self.page(self.far, "1001", 440, codec, **more), self.page(self.near, "1002", 620, codec, **more)
        a.do("call", f"sip:1002@{self.node.domain}")
        b.event("incoming")
        b.do("answer")
        a.event("confirmed"), b.event("confirmed")
        a.heard(620), b.heard(440)
        sees(a, codec), sees(b, codec)
        return a, b


def facts(p):
    return p.do("facts")["pictures"]


def sees(p, codec):
    wait_for(lambda: (got := p.do("picture"))["width"] > 0 and got["spread"] > 10, 20, f"a picture in the page of {p.user}")
    check(facts(p)["codec"] == f"video/{codec}", str(facts(p)))


def comes_again(place, codec):
    """What the wire lost on its way to the node is asked for by NACK, the page sends it again, and nearly all pictures are decoded."""
    a, b = place.pages(codec)
    with place.losing(a):
        theirs, mine = place.grown(a, b)
        check(mine["nacks"] > 0 and theirs["nacksHeard"] > 0, "nothing was asked for, or nobody heard it")
        check(theirs["resent"] > 0 and mine["repaired"] > 0, "nothing came again")
        check(mine["frames"] >= 0.9 * theirs["sentFrames"], f"{mine['frames']} of {theirs['sentFrames']} pictures were decoded")
        check(mine["frozen"] < 2, f"the pictures stood still for {mine['frozen']:.1f} s")
        sees(b, codec)


def comes_again_from_behind(place, codec):
    """What the wire lost on its way from the node: the page that sent it has been told of its coming as far as the node, and may keep it no longer."""
    a, b = place.pages(codec)
    with place.losing(a):
        mine, theirs = place.grown(a, b)
        check(mine["nacks"] > 0, "nothing was asked for")
        check(mine["frames"] >= 0.9 * theirs["sentFrames"], f"{mine['frames']} of {theirs['sentFrames']} pictures were decoded")
        check(mine["frozen"] < 2, f"the pictures stood still for {mine['frozen']:.1f} s")
        sees(a, codec)


def asks_for_nothing(place, codec):
    """The same loss where no NACK is spoken: the pictures that are decoded prove something only if they are far fewer here. What is left to them is to
    wait for a key frame, which they ask for."""
    a, b = place.pages(codec, repair=False)
    with place.losing(a):
        theirs, mine = place.grown(a, b)
        check(mine["nacks"] == 0 and mine["repaired"] == 0, "something was asked for")
        check(mine["frames"] < 0.75 * theirs["sentFrames"], f"{mine['frames']} of {theirs['sentFrames']} pictures were decoded all the same")
        check(mine["keyFramesAsked"] > 0 and theirs["keyFramesWanted"] > 0 and mine["keyFrames"] > 0, "no key frame was asked for, or none came")


def dead_for_a_while(place, codec):
    """Everything is lost for a second or two, and then nothing: pictures go on in both pages."""
    a, b = place.pages(codec)
    with place.losing(a):
        carried = place.wire.set(loss=1)
        wait_for(lambda: all(now["lost"] > carried[way]["lost"] + 120 for way, now in place.wire.set().items()), 20, "120 packets lost each way")
        before = [facts(p) for p in (a, b)]
        place.wire.set(loss=0)
        for p, first in zip((a, b), before):
            wait_for(lambda: facts(p)["frames"] > first["frames"] + 60, 10, f"{p.user} sees again: {facts(p)} after {first}")
            now = facts(p)
            check(now["repaired"] > first["repaired"] or now["keyFrames"] > first["keyFrames"], f"{p.user} got nothing again and no key frame: {now} after {first}")
            sees(p, codec)


def phone_loses(place, codec):
    """A SIP phone sends nothing a second time: either side has new key frames made by the other, and both see pictures that move."""
    global count
    count += 1
    node = place.node
    b = suite.closing(Baresip(node.folder, f"{count}-1002", "1002", node.users["1002"], node.sip, 620, host=ADDRESS, domain=node.domain, video=codec))
    b.wait_registered(node)
    a = place.page(place.far, "1001", 440, codec)
    a.do("call", f"sip:1002@{node.domain}")
    a.event("confirmed")
    a.heard(620), b.heard(440)
    sees(a, codec)
    wait_for(lambda: (got := b.seen()) and got["spread"] > 10, 20, "a picture at the phone")
    with place.losing(a):
        begun = time.monotonic()
        mine, = place.grown(a)
        due = PHONE_RATE * (time.monotonic() - begun)
        check(mine["nacks"] + mine["keyFramesAsked"] > 0 and mine["keyFrames"] > 0, "the page asked for nothing, or got no key frame")
        check(mine["frames"] >= 0.5 * due, f"of {due:.0f} pictures the page decoded {mine['frames']}")
        check(mine["frozen"] < 3, f"the pictures stood still for {mine['frozen']:.1f} s")
        check(mine["keyFramesWanted"] > 0 and mine["sentKeyFrames"] > 0, "the phone asked for no key frame, or got none")
        shown = set()
        wait_for(lambda: (got := b.seen()) and got["spread"] > 10 and (shown.add(got["sum"]) or len(shown) >= 3), 20, "three different pictures at the phone")


def main():
    why = missing() or NO_NETWORK or BadWire.missing() or (None if shutil.which("baresip") else "baresip is not installed")
    if why:
        suite.cannot("video loss", why)
        suite.finish()
    place = Place(node_of(suite.node("node", config={})))
    for codec in ("VP8", "H264"):
        suite.run(f"what is lost before the node comes again, {codec}", comes_again, place, codec)
        suite.run(f"what is lost behind the node comes again, {codec}", comes_again_from_behind, place, codec)
        suite.run(f"pages that ask for nothing again, {codec}", asks_for_nothing, place, codec)
        suite.run(f"pages whose wire is dead for a while, {codec}", dead_for_a_while, place, codec)
        suite.run(f"a page and a SIP phone with a camera, {codec}", phone_loses, place, codec)
    place.close()
    suite.finish()


main()
