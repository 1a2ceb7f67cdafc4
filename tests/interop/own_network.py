"""A network namespace of the test's own, for what neither browsers nor ICE do over a loopback address."""
import itertools
import json
import os
import select
import subprocess
import sys

from harness import HERE, check, stop, wait_for

ADDRESS = "10.77.0.1"
ON_LOOPBACK = f"ip link set lo up && ip address add {ADDRESS}/24 dev lo"
# Browsers have candidates on interfaces that are up and no loopback.
ON_A_WIRE = (f"ip link set lo up && ip link add wire0 type veth peer name wire1 && ip address add {ADDRESS}/24 dev wire0 && "
             "ip link set wire0 up && ip link set wire1 up")


def enter(links=ON_LOOPBACK, python=sys.executable):
    """The script begins again in there, by that Python. None once it is; why not, where the system does not let us."""
    if os.environ.get("TANDEM_NETWORK"):
        return None if os.environ["TANDEM_NETWORK"] == "own" else os.environ["TANDEM_NETWORK"]
    tried = subprocess.run(["unshare", "--net", "sh", "-c", links], capture_output=True, text=True)
    if tried.returncode != 0:
        os.environ["TANDEM_NETWORK"] = f"unshare: {tried.stderr.strip()}"
        return os.environ["TANDEM_NETWORK"]
    os.environ["TANDEM_NETWORK"] = "own"
    os.execvp("unshare", ["unshare", "--net", "sh", "-c", links + ' && exec "$@"', "sh", python, *sys.argv])


class Elsewhere:
    """A machine besides, in a network namespace that a wire leads to; its addresses come and go. `prefix` runs a program there."""
    wires = itertools.count(2, 2)

    def __init__(self, networks):
        """For each of these numbers N there is a network 10.78.N.0/24, with our end at .1."""
        self.process = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        space = f"/proc/{self.process.pid}/ns/net"
        wait_for(lambda: os.readlink(space) != os.readlink("/proc/self/ns/net"), 10, "a network namespace")
        self.prefix = ["nsenter", f"--net={space}"]
        wire = next(self.wires)
        self.here, self.there = f"wire{wire}", f"wire{wire + 1}"
        self._lay()
        for n in networks:
            self._run("ip", "address", "add", f"10.78.{n}.1/24", "dev", self.here)
        self._run("ip", "link", "set", self.here, "up")
        self._run(*self.prefix, "sh", "-c", f"ip link set lo up && ip link set {self.there} up")

    def _lay(self):
        self._run("ip", "link", "add", self.here, "type", "veth", "peer", "name", self.there, "netns", str(self.process.pid))

    @staticmethod
    def _run(*words):
        done = subprocess.run(words, capture_output=True, text=True)
        check(done.returncode == 0, f"{' '.join(words)}: {done.stderr}")

    @staticmethod
    def address(network):
        return f"10.78.{network}.2"

    def come(self, network):
        """It has an address in that network."""
        self._run(*self.prefix, "ip", "address", "add", f"{self.address(network)}/24", "dev", self.there)

    def go(self, network):
        self._run(*self.prefix, "ip", "address", "del", f"{self.address(network)}/24", "dev", self.there)

    def reach(self, network):
        """It is by that network that it reaches all others from now on."""
        self._run(*self.prefix, "ip", "route", "replace", "default", "via", f"10.78.{network}.1")

    def close(self):
        stop(self.process)
        subprocess.run(["ip", "link", "del", self.here], capture_output=True)  # the namespace lingers, and its wire with it


class BadWire(Elsewhere):
    """A machine besides whose wire loses packets and takes its time (lossy_wire.py): kernels need not have netem."""
    SEED = 7

    @staticmethod
    def missing():
        """Why there can be none here; None when there can."""
        return None if os.access("/dev/net/tun", os.R_OK | os.W_OK) else "no /dev/net/tun"

    def _lay(self):
        self.wire = subprocess.Popen([sys.executable, str(HERE / "lossy_wire.py"), self.here, self.there, f"/proc/{self.process.pid}/ns/net", str(self.SEED)],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()

    def _answer(self):
        check(select.select([self.wire.stdout], [], [], 10)[0], "the wire does not answer")
        line = self.wire.stdout.readline()
        check(line, "the wire ended")
        return json.loads(line)

    def set(self, **how):
        """loss: a share of the packets; delay: seconds, one way. What it `to_there` and `to_here` has carried and lost so far."""
        self.wire.stdin.write(json.dumps(how) + "\n")
        self.wire.stdin.flush()
        return self._answer()

    def close(self):
        self.wire.stdin.close()
        stop(self.wire)
        super().close()
