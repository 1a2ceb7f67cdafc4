#!/usr/bin/env python3
"""A wire between two network namespaces that loses packets and takes its time, as the kernel's netem does where a kernel has it: two TUN ends with
this program between them. Lines of JSON say what to do, {"loss": 0.05, "delay": 0.02} from now on, and each is answered with what was carried and lost
so far. Loss strikes every packet alike, both ways; a seed decides which."""
import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import struct
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 0x0001, 0x1000, 0x40000000


def tun(name):
    """An end of that name in the namespace that this process is in."""
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return end


def tun_elsewhere(name, namespace):
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net") as own, open(namespace) as other:
        for space in (other, own):
            if libc.setns(space.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns {space.name}")
            if space is other:
                end = tun(name)
    return end


class Wire:
    def __init__(self, ends, seed):
        self.other = {ends[0]: ends[1], ends[1]: ends[0]}
        self.random, self.loss, self.delay = random.Random(seed), 0.0, 0.0
        self.waiting, self.order = [], 0  # (when due, order of coming, to which end, packet)
        self.carried = {end: 0 for end in ends}
        self.lost = {end: 0 for end in ends}

    def take(self, end):
        try:
            while packet := os.read(end, 65536):
                if self.random.random() < self.loss:
                    self.lost[end] += 1
                    continue
                self.carried[end] += 1
                self.order += 1
                heapq.heappush(self.waiting, (time.monotonic() + self.delay, self.order, self.other[end], packet))
        except BlockingIOError:
            pass

    def deliver(self):
        """What is due; how long until the next is."""
        while self.waiting and self.waiting[0][0] <= time.monotonic():
            _, _, end, packet = heapq.heappop(self.waiting)
            try:
                os.write(end, packet)
            except OSError:  # no such address any more
                pass
        return max(0.0, self.waiting[0][0] - time.monotonic()) if self.waiting else None

    def obey(self, line):
        wish = json.loads(line)
        self.loss, self.delay = wish.get("loss", self.loss), wish.get("delay", self.delay)
        here, there = self.other
        return {"to_there": {"carried": self.carried[here], "lost": self.lost[here]}, "to_here": {"carried": self.carried[there], "lost": self.lost[there]}}

    def run(self):
        while True:
            ready, _, _ = select.select([*self.other, sys.stdin], [], [], self.deliver())
            for end in ready:
                if end is not sys.stdin:
                    self.take(end)
                    continue
                line = sys.stdin.readline()
                if not line:
                    return
                print(json.dumps(self.obey(line)), flush=True)


def main():
    here, there, namespace, seed = sys.argv[1:]
    wire = Wire((tun(here), tun_elsewhere(there, namespace)), int(seed))
    print("{}", flush=True)  # both ends are there
    wire.run()


main()
