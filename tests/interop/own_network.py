"""A network namespace of the test's own, for what neither browsers nor ICE do over a loopback address."""
import os
import subprocess
import sys

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
