#!/usr/bin/env python3
"""linphone over TLS with SHA-256 digest: it registers, and calls the echo test."""
import os
import re
import shutil
import subprocess
import threading

from harness import HOST, Failed, Suite, check, stop, wait_for, write_tone

suite = Suite()
# Nothing but SHA-256 is offered: who gets in has used it.
node = suite.node("linphone", config={"sip": {"digest": ["SHA-256"]}})


class Linphone:
    """linphonec, told by its standard input what to do."""

    def __init__(self, name):
        self.folder = node.folder / name
        self.folder.mkdir()
        for sub in (".local/share/linphone", ".config/linphone", ".cache"):
            (self.folder / sub).mkdir(parents=True)
        write_tone(self.folder / "tone.wav", 440, 30)
        config = self.folder / "linphonerc"
        config.write_text(
            "[sip]\nsip_port=-1\nsip_tcp_port=-1\nsip_tls_port=-1\n"
            f"root_ca={node.data}/web.crt\nverify_server_certs=1\nverify_server_cn=1\nmedia_encryption=none\n"
            "use_ipv6=0\nguess_hostname=0\nregister_only_when_network_is_up=0\n"
            "[net]\nnat_policy_ref=\nfirewall_policy=0\nmtu=1300\n[sound]\nuse_files=1\n"
            "[audio_codec_0]\nmime=PCMU\nrate=8000\nchannels=1\nenabled=1\n[audio_codec_1]\nmime=PCMA\nrate=8000\nchannels=1\nenabled=1\n"
            "[video]\nenabled=0\ncapture=0\ndisplay=0\n")
        self.log = self.folder / "log"
        environment = {**os.environ, "HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder / ".local/share"),
                       "XDG_CONFIG_HOME": str(self.folder / ".config"), "XDG_CACHE_HOME": str(self.folder / ".cache"), "TERM": "dumb"}
        self.process = subprocess.Popen(["linphonec", "-c", str(config), "-d", "6", "-l", str(self.log), "-S"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment,
                                        cwd=self.folder)
        self.lines = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def said(self, pattern, seconds):
        def seen():
            check(self.process.poll() is None, f"linphonec ended with {self.process.returncode}: {self.tail()}")
            return any(re.search(pattern, line) for line in list(self.lines))

        try:
            wait_for(seen, seconds, f"linphone says {pattern}")
        except Exception as e:
            raise type(e)(f"{e}\n{self.tail()}") from None

    def tail(self):
        log = self.log.read_text(errors="replace").splitlines()[-60:] if self.log.exists() else []
        return "\n".join(self.lines[-25:] + ["-- its log:"] + log)

    def close(self):
        if self.process.poll() is None:
            try:
                self.tell("quit")
                self.process.wait(5)
            except (OSError, subprocess.TimeoutExpired):
                stop(self.process)


def registers_and_calls():
    phone = suite.closing(Linphone("phone"))
    phone.said("linphonec|Ready|GlobalOn|Global", 20)
    phone.tell(f"register sip:1001@{HOST} sip:localhost:{node.tls};transport=tls {node.users['1001']}")
    found = wait_for(lambda: node.api("GET", "/registrations?search=1001")["items"] or None, 25, "the registration")
    check(found[0]["transport"].lower() == "tls" and "inphone" in found[0]["user_agent"], str(found))
    wait_for(lambda: "to [LinphoneRegistrationOk]" in phone.log.read_text(errors="replace"), 10, "linphone knows that it is registered")
    phone.tell(f"call sip:*43@localhost:{node.tls};transport=tls")
    try:
        call = wait_for(lambda: next((c for c in node.api("GET", "/calls")["items"] if c["state"] == "connected"), None), 20, "the call")
    except Failed as e:
        raise Failed(f"{e}\n{phone.tail()}") from None
    check(call["caller"].startswith("1001"), str(call))
    phone.tell("terminate")
    node.wait_no_calls()
    row = wait_for(lambda: node.cdrs("&party=1001"), 10, "a CDR")[0]
    check(row["sip_status"] == 200 and row["caller"]["transport"].lower() == "tls", str(row))


def main():
    if not shutil.which("linphonec"):
        suite.cannot("linphone", "linphonec is not installed")
        suite.finish()
    node.start()
    suite.run("TLS, SHA-256 digest, echo test", registers_and_calls)
    suite.finish()


main()
