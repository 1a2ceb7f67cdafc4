#!/usr/bin/env python3
"""Builds the .deb, installs it into a clean Debian root, starts the program there as its own user, asks it over HTTPS and SIP, stops and
removes it. Prints an `ok` line a step; exit 1 when one fails. Needs root (chroot, namespaces); `./dev package` starts it.

The bare root is kept as a tarball in build/package, because debootstrap takes a minute; --fresh makes it anew."""
import argparse
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
KEPT = BUILD / "package" / "bookworm.tar"
MIRROR = os.environ.get("TANDEM_DEBIAN_MIRROR", "http://deb.debian.org/debian")
CONFIG = "/etc/tandem/tandem.yaml"
OPTIONS = ("OPTIONS sip:tandem@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKpackage;rport\r\n"
           "From: <sip:probe@127.0.0.1>;tag=probe\r\nTo: <sip:tandem@127.0.0.1>\r\nCall-ID: package@127.0.0.1\r\n"
           "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n")


class Failed(Exception):
    """A step did not work; the text says which."""


def run(argv, seconds, **more):
    words = [str(a) for a in argv]
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=seconds, **more)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{' '.join(words)}: not done after {seconds} s") from late
    if done.returncode:
        raise Failed(f"{' '.join(words)}: exit {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def ok(text):
    print(f"ok {text}", flush=True)


def build_package(compile_first):
    if compile_first:
        run(["./dev", "build"], 1500, cwd=ROOT)
    run(["cmake", "-B", BUILD], 120, cwd=ROOT)
    for old in BUILD.glob("tandem_*.deb"):
        old.unlink()
    run(["cpack", "-G", "DEB", "--config", BUILD / "CPackConfig.cmake", "-B", BUILD], 300, cwd=BUILD)
    made = list(BUILD.glob("tandem_*.deb"))
    if len(made) != 1:
        raise Failed(f"cpack made {len(made)} packages instead of one")
    told = run(["dpkg-deb", "--info", made[0]], 30)
    for needed in ("libssl3", "conffiles", "postinst"):
        if needed not in told:
            raise Failed(f"the package says nothing of {needed}:\n{told}")
    ok(f"built {made[0].name}, {made[0].stat().st_size // 1024} KiB")
    return made[0]


def bare_root(folder, fresh):
    """A minimal bookworm in `folder`."""
    if fresh or not KEPT.exists():
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        run(["debootstrap", "--variant=minbase", "bookworm", folder, MIRROR], 900)
        run(["tar", "-C", folder, "-cf", f"{KEPT}.new", "--one-file-system", "."], 120)
        os.replace(f"{KEPT}.new", KEPT)
    else:
        run(["tar", "-C", folder, "-xf", KEPT], 120)
    resolver = folder / "etc/resolv.conf"
    resolver.unlink(missing_ok=True)
    shutil.copyfile("/etc/resolv.conf", resolver)
    ok("bare Debian root")


def inside(root, seconds, *argv):
    """A command in the root, with a /proc of its own that goes when the command does."""
    script = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    return run(["unshare", "--mount", "--pid", "--fork", "sh", "-c", script, root, *argv], seconds, env=environment)


def install(root, package):
    shutil.copyfile(package, root / "tmp" / package.name)
    inside(root, 300, "apt-get", "update", "-q")
    inside(root, 600, "apt-get", "install", "-y", "-q", "--no-install-recommends", f"/tmp/{package.name}")
    version = inside(root, 30, "tandem", "--version").strip()
    inside(root, 30, "tandem", "check", "-c", CONFIG)
    if "/etc/tandem/tandem.yaml" not in inside(root, 30, "dpkg-query", "-W", "-f=${Conffiles}", "tandem"):
        raise Failed(f"{CONFIG} is not a conffile")
    for path in ("usr/lib/systemd/system/tandem.service", "usr/share/doc/tandem/README.md", "usr/share/doc/tandem/configuration.md",
                 "usr/share/tandem/sounds/en/welcome.wav", "usr/share/tandem/sounds/ko/welcome.wav"):
        if not (root / path).exists():
            raise Failed(f"/{path} was not installed")
    ok(f"installed {version}")


def ready(process, log, seconds):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Failed(f"tandem serve ended with {process.returncode}:\n{log.read_text()}")
        try:
            with urllib.request.urlopen("https://127.0.0.1:8443/readyz", context=context, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
    raise Failed(f"/readyz did not say ready within {seconds} s:\n{log.read_text()}")


def answers_options():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind(("127.0.0.1", 0))
        phone.settimeout(5)
        phone.sendto(OPTIONS.format(port=phone.getsockname()[1]).encode(), ("127.0.0.1", 5060))
        first = phone.recv(65535).decode(errors="replace").split("\r\n")[0]
    if not first.startswith("SIP/2.0 "):
        raise Failed(f"OPTIONS was answered by {first!r}")
    return first


def serve(root):
    """In a network namespace of its own: ports and namespaces of the machine are not touched."""
    run(["ip", "link", "set", "lo", "up"], 10)
    run(["mount", "-t", "proc", "proc", root / "proc"], 10)
    log = root / "tmp/serve.log"
    with open(log, "w", encoding="utf-8") as out:
        process = subprocess.Popen(["chroot", "--userspec=tandem:tandem", str(root), "/usr/bin/tandem", "serve", "-c", CONFIG], stdout=out,
                                   stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        ready(process, log, 60)
        ok(f"serves as user tandem; OPTIONS: {answers_options()}")
        process.terminate()
        if process.wait(60) != 0:
            raise Failed(f"SIGTERM ended it with {process.returncode}:\n{log.read_text()}")
        ok("stopped by SIGTERM")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def remove(root):
    if not list((root / "var/lib/tandem").iterdir()):
        raise Failed("nothing was written to /var/lib/tandem")
    inside(root, 120, "dpkg", "--remove", "tandem")
    if not (root / "var/lib/tandem").exists() or not (root / CONFIG.lstrip("/")).exists():
        raise Failed("a removal took data or configuration with it")
    inside(root, 120, "dpkg", "--purge", "tandem")
    if (root / "var/lib/tandem").exists() or (root / "etc/tandem").exists():
        raise Failed("a purge left data or configuration behind")
    ok("removed, then purged")


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--fresh", action="store_true", help="make the bare root anew")
    args.add_argument("--no-build", action="store_true", help="pack build/tandem as it is")
    args.add_argument("--serve-in", help=argparse.SUPPRESS)
    args = args.parse_args()
    if os.geteuid() != 0:
        os.execvp("sudo", ["sudo", sys.executable, *sys.argv])
    try:
        if args.serve_in:
            serve(pathlib.Path(args.serve_in))
            return 0
        package = build_package(not args.no_build)
        with tempfile.TemporaryDirectory(prefix="tandem-root-") as folder:
            root = pathlib.Path(folder)
            root.chmod(0o755)
            bare_root(root, args.fresh)
            install(root, package)
            print(run(["unshare", "--net", "--mount", "--pid", "--fork", sys.executable, __file__, "--serve-in", root], 240), end="")
            remove(root)
    except Failed as why:
        print(f"FAIL package: {why}", flush=True)
        return 1
    ok("package")
    return 0


sys.exit(main())
