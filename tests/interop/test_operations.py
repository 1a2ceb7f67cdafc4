#!/usr/bin/env python3
"""What an operator relies on: HEP3 export, traces without secrets, drain by signals, certificates changed at run time."""
import re
import signal
import socket
import ssl
import struct
import subprocess
import time

from harness import HOST, Sipp, Suite, check, free_port, wait_for
from ua import Ua

suite = Suite()
PASSWORD = "an-interop-password"
collector = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
collector.bind((HOST, 0))
collector.settimeout(0.2)
HEP = {"collector": f"{HOST}:{collector.getsockname()[1]}", "capture_id": 77, "password": "hep-key"}
# One worker: its captures leave in the order of its messages.
node = suite.node("operations", workers=1, config={"hep": HEP, "drain": "20s"}, options=("--trace-sip",), env={"TANDEM_DEMO_PASSWORD": PASSWORD})


def sipp(scenario, user, to="", local=None, **more):
    values = {"user": user, "password": node.users[user], "domain": node.domain, "to": to, "hold": 100, "ring": 20, **more}
    return suite.closing(Sipp(node.folder, scenario, node.sip, local, 1, values=values))


def register(user):
    port = free_port()
    sipp("register", user, local=port, expires=3600, contact=f"{HOST}:{port}").wait()
    return port


# ---- HEP3 ------------------------------------------------------------------------------------------------


def chunks(packet):
    """{type: bytes} of one HEP3 packet; every length is checked."""
    check(packet[:4] == b"HEP3" and struct.unpack("!H", packet[4:6])[0] == len(packet), f"not HEP3: {packet[:16]}")
    out, at = {}, 6
    while at < len(packet):
        vendor, kind, length = struct.unpack("!HHH", packet[at:at + 6])
        check(vendor == 0 and length >= 6 and at + length <= len(packet), f"chunk {kind} of {length} bytes at {at}")
        check(kind not in out, f"chunk {kind} twice")
        out[kind] = packet[at + 6:at + length]
        at += length
    return out


def collect(call_id, last, seconds=10):
    """What the collector got of that call, until a packet whose payload starts with `last` came."""
    got, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            c = chunks(collector.recv(65535))
        except TimeoutError:
            continue
        if call_id.encode() in c[15]:
            got.append(c)
            if c[15].startswith(last):
                return got
    raise AssertionError(f"the collector never saw {last} of {call_id}; it saw {[c[15][:20] for c in got]}")


def hep():
    """REGISTER with a challenge: four packets, as they went, without the credentials."""
    ua = suite.closing(Ua(node, "1001"))
    begun = time.time()
    check(ua.register().status == 200, "REGISTER")
    got = collect(ua.call_id, b"SIP/2.0 200")
    check([c[15].split(b" ")[0:2] for c in got[:1]] == [[b"REGISTER", f"sip:{node.domain}".encode()]], f"first: {got[0][15][:40]}")
    check(len(got) == 4, f"{len(got)} packets of four messages")
    phone = int(ua.local.rsplit(":", 1)[1])
    for i, c in enumerate(got):
        check(set(c) == {1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 14, 15, 17}, f"chunks {sorted(c)}")
        check(c[1] == b"\x02" and c[2] == b"\x11" and c[11] == b"\x01", "IPv4, UDP, SIP")
        check(c[3] == c[4] == socket.inet_aton(HOST), "addresses")
        ports = struct.unpack("!HH", c[7] + c[8])
        check(ports == ((phone, node.sip) if i % 2 == 0 else (node.sip, phone)), f"ports {ports} of message {i}")
        at = struct.unpack("!I", c[9])[0] + struct.unpack("!I", c[10])[0] / 1e6
        check(begun - 1 < at < time.time() + 1, f"time {at}")
        check(struct.unpack("!I", c[12])[0] == 77 and c[14] == b"hep-key", "capture id and key")
        check(c[17].decode() == ua.call_id, f"correlation {c[17]}")
        check(b"response=" not in c[15], "a digest response was exported")
    check(b"Authorization: <removed>" in got[2][15], f"{got[2][15]}")


# ---- traces ----------------------------------------------------------------------------------------------


def trace():
    """--trace-sip shows the messages, and neither the password nor anything made of it."""
    ua = suite.closing(Ua(node, "1002"))
    check(ua.register().status == 200, "REGISTER")
    wrong = suite.closing(Ua(node, "1003"))
    wrong.password = "a-wrong-password"
    check(wrong.register().status == 401, "REGISTER with a wrong password")
    crypto = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlYw=="
    caller = suite.closing(Ua(node, "1002"))
    plain = caller.offer
    caller.offer = lambda: plain().replace("RTP/AVP", "RTP/SAVP") + crypto + "\r\n"
    caller.call("1009")
    wait_for(lambda: f"Call-ID: {caller.call_id}" in node.log_text() and "a=crypto" in node.log_text(), 10, "the trace")
    text = node.log_text()
    check(f"Call-ID: {ua.call_id}" in text and "REGISTER sip:" in text, "nothing was traced")
    check("<removed>" in text, "no credentials were removed")
    check(not re.search(r"response\s*=", text), "a digest response is in the log")
    check("c2VjcmV0" not in text, "an SRTP key is in the log")
    for secret in (PASSWORD, "a-wrong-password", "hep-key", node.token):
        check(secret not in text, "a password or token is in the log")


# ---- certificates ----------------------------------------------------------------------------------------


def certificate_of(port, name=None):
    """Common name in the certificate that the port shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((HOST, port), 5) as plain, context.wrap_socket(plain, server_hostname=name) as tls:
        pem = ssl.DER_cert_to_PEM_cert(tls.getpeercert(True))
    shown = subprocess.run(["openssl", "x509", "-noout", "-subject", "-nameopt", "multiline"], input=pem, capture_output=True, text=True, timeout=10)
    return re.search(r"commonName\s*=\s*(\S+)", shown.stdout)[1]


def make_certificate(stem, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                    "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(node.folder / f"{stem}.key"), "-out", str(node.folder / f"{stem}.crt")],
                   check=True, capture_output=True, timeout=20)


def reloads():
    """SIGHUP: a new connection sees the new certificate, by server name; an old one goes on; a broken file changes nothing."""
    phone = suite.closing(Ua(node, "1004", "tls", ca=node.folder / "first.crt", name="first.example"))
    check(phone.register().status == 200, "REGISTER over TLS")
    check(certificate_of(node.tls) == "first.example", "the default certificate")
    check(certificate_of(node.tls, "second.example") == "second.example", "the certificate of a server name")
    make_certificate("second", "renewed.example")
    said = node.log_text().count("node.reloaded")
    node.process.send_signal(signal.SIGHUP)
    wait_for(lambda: node.log_text().count("node.reloaded") > said, 10, "node.reloaded")
    check(certificate_of(node.tls, "renewed.example") == "renewed.example", "the renewed certificate")
    check(certificate_of(node.tls, "second.example") == "first.example", "its old name is gone")
    phone.call_id = "again" + phone.call_id
    check(phone.register().status == 200, "the old connection goes on")
    (node.folder / "second.crt").write_text("rubbish")
    said = node.log_text().count("node.reloaded")
    node.process.send_signal(signal.SIGHUP)
    wait_for(lambda: node.log_text().count("node.reloaded") > said, 10, "node.reloaded")
    check("second.crt is not usable" in node.log_text(), "the broken file is not named")
    check(certificate_of(node.tls, "renewed.example") == "renewed.example", "the last good certificate stays")
    make_certificate("second", "second.example")


def trunk_by_certificate():
    """A call over TLS is a trunk's when the connection proved the trunk's name, whatever address it comes from."""
    node.api("PUT", "/trunks/carrier", {"domain": node.domain, "host": "carrier.example", "transport": "tls", "tls_name": "sbc.carrier.example",
                                        "inbound_class": "internal"})
    node.api("POST", "/routes", {"domain": node.domain, "priority": 20, "name": "in", "pattern": "1XXX", "from_trunk": "carrier",
                                 "action": "extension", "call_class": "internal"})

    def call(stem):
        identity = (node.folder / f"{stem}.crt", node.folder / f"{stem}.key") if stem else None
        ua = suite.closing(Ua(node, "0305550100", "tls", ca=node.folder / "first.crt", name="first.example", identity=identity))
        return ua.call("1009").status, ua.call_id

    known = len(node.cdrs())
    check(call(None)[0] in (403, 407), "a call without a certificate was not challenged")
    check(call("other")[0] in (403, 407), "a call with another's certificate was not challenged")
    status, call_id = call("carrier")
    check(status == 480, f"a call with the trunk's certificate: {status}, 480 is due as 1009 has no phone")
    wait_for(lambda: len(node.cdrs()) > known, 10, "the CDR")
    row = next((c for c in node.cdrs() if c["caller"]["call_id"] == call_id), None)
    check(row and row["caller"]["trunk"] == "carrier", f"CDR {row}")
    check(len(node.cdrs()) == known + 1, "a challenged call has a CDR")


# ---- signals ---------------------------------------------------------------------------------------------


def call_up():
    port = register("1002")
    callee = sipp("uas", "1002", local=port).listening()
    caller = sipp("uac", "1001", "1002", hold=60000)
    wait_for(lambda: any(c["state"] == "connected" for c in node.api("GET", "/calls")["items"]), 10, "the call")
    return caller, callee


def second_signal():
    """The first SIGTERM waits for the call (20 s here), the second does not; both say so, and the exit is clean."""
    call_up()
    begun = time.monotonic()
    node.process.terminate()
    try:
        wait_for(lambda: node.get_plain("/readyz") == (503, "draining\n"), 10, "draining")
        check(node.process.poll() is None, "the first SIGTERM did not wait for the call")
        node.process.terminate()
        check(node.process.wait(15) == 0, f"exit {node.process.returncode}")
        check(time.monotonic() - begun < 19, "the second SIGTERM waited for the drain to end")
        check(re.search(r"node\.draining.*calls=1", node.log_text()) and re.search(r"node\.stopping.*calls=1", node.log_text()),
              "the log does not say what was cut off")
    finally:
        node.stop()
        node.start()


def main():
    for stem, name in (("first", "first.example"), ("second", "second.example"), ("carrier", "sbc.carrier.example"), ("other", "other.example")):
        make_certificate(stem, name)
    (node.folder / "clients.crt").write_text((node.folder / "carrier.crt").read_text() + (node.folder / "other.crt").read_text())
    listeners = [{"transport": t, "bind": f"{HOST}:{node.sip}"} for t in ("udp", "tcp")]
    pairs = [{"chain": str(node.folder / f"{s}.crt"), "key": str(node.folder / f"{s}.key")} for s in ("first", "second")]
    listeners.append({"transport": "tls", "bind": f"{HOST}:{node.tls}", "certificates": pairs, "request_client_certificate": True,
                      "client_ca": str(node.folder / "clients.crt")})
    node.config["realms"] = [{"name": "default", "listeners": listeners,
                              "media": {"bind_v4": HOST, "ports": f"{node.media[0]}-{node.media[1]}"}}]
    node.start()
    suite.run("HEP3 export", hep)
    suite.run("traces show no credentials", trace)
    suite.run("SIGHUP changes certificates", reloads)
    suite.run("a trunk is known by its certificate", trunk_by_certificate)
    suite.run("a second SIGTERM does not wait", second_signal)
    suite.finish()


main()
