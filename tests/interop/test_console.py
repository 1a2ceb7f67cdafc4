#!/usr/bin/env python3
"""The console: its files over HTTPS, sessions and accounts as clients see them, and every page in a real Chromium (web/e2e/console.mjs) with
calls, records, a trunk and a voice message there. With --all pictures of the pages are left in
build/console-pictures/."""
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import sqlite3
import ssl
import subprocess
import time

from harness import HOST, Suite, check, free_port, stop, wait_for, write_tone

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
suite = Suite()
node = suite.node("console", options=("--log-level", "info"), env={"TANDEM_DEMO_PASSWORD": "console-password"})
desk, view = ("desk", "the password of the desk"), ("view", "the password of the viewer")


def admin():
    both = json.loads((node.data / "credentials.json").read_text())["admin"]
    return both["user"], both["password"]


def sign_in(account, password, status=200):
    """(cookie, CSRF token)."""
    code, headers, body = node.request("POST", "/api/v1/session", {"account": account, "password": password}, token=False)
    check(code == status, f"signing in as {account}: {code} {body[:200]}")
    return (headers["Set-Cookie"].split(";")[0], json.loads(body)["csrf"]) if code == 200 else None


def as_(who, method, path, body=None, csrf=True):
    cookie, token = who
    headers = {"Cookie": cookie, **({"X-CSRF-Token": token} if csrf else {})}
    return node.request(method, "/api/v1" + path, body, token=False, headers=headers)


def files():
    status, headers, page = node.request("GET", "/", token=False)
    check(status == 200 and headers["Content-Type"].startswith("text/html"), f"/: {status} {headers['Content-Type']}")
    check(headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff", str(headers))
    policy = headers["Content-Security-Policy"]
    check("default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy, policy)
    check(headers["Referrer-Policy"] == "no-referrer", str(headers))
    script = next(part.split('"')[0] for part in page.decode().split('src="./')[1:])
    status, headers, plain = node.request("GET", f"/{script}", token=False)
    check(status == 200 and "immutable" in headers["Cache-Control"] and "javascript" in headers["Content-Type"], f"{script}: {status} {headers}")
    status, headers, packed = node.request("GET", f"/{script}", token=False, headers={"Accept-Encoding": "gzip"})
    check(headers["Content-Encoding"] == "gzip" and len(packed) < len(plain) / 2, f"{len(packed)} of {len(plain)}")
    check(len(packed) < 60_000, f"the console's script is {len(packed)} bytes")


def paths():
    """Nothing outside of the console's folder, whatever the path: sent as it is, past what a client library would tidy up."""
    context = ssl.create_default_context(cafile=str(node.data / "web.crt"))
    for path in ("/../data/keys", "/assets/../../keys", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "//etc/passwd", "/./index.html",
                 "/index.html%00.js", "/assets/", "/assets", "/.git/config"):
        connection = http.client.HTTPSConnection(HOST, node.web, context=context, timeout=10)
        connection.putrequest("GET", path, skip_host=False)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        check(answer.status == 404 and b"root:" not in body, f"{path}: {answer.status}")
        connection.close()


def sessions():
    who = sign_in(*admin())
    status, headers, _ = node.request("POST", "/api/v1/session", {"account": admin()[0], "password": admin()[1]}, token=False)
    cookie = headers["Set-Cookie"]
    check(cookie.startswith("__Host-tandem=") and all(a in cookie for a in ("HttpOnly", "Secure", "SameSite=Strict", "Path=/")), cookie)
    check(as_(who, "GET", "/calls")[0] == 200, "a session reads")
    check(as_(who, "POST", "/reload", csrf=False)[0] == 403, "a change without its token")
    check(as_(who, "POST", "/reload")[0] == 204, "a change with its token")
    check(as_((who[0] + "x", who[1]), "GET", "/calls")[0] == 401, "another cookie")
    check(as_(who, "DELETE", "/session")[0] == 204 and as_(who, "GET", "/session")[0] == 401, "signed out")
    check(node.request("POST", "/api/v1/session", raw=b'{"account":"a","password":"b"}', token=False, headers={"Content-Type": "text/plain"})[0] in (401, 415), "a form")
    check("password" not in node.log_text().split("Console:")[-1].split("\n", 1)[1], "a password in the log")


def ctl(*words, code=0, give=None):
    done = subprocess.run([node.binary, "ctl", "--url", f"https://{HOST}:{node.web}", "--data", str(node.data), *words], input=give,
                          capture_output=True, text=True, timeout=30)
    check(done.returncode == code, f"ctl {' '.join(words)}: exit {done.returncode}: {done.stdout} {done.stderr}")
    return done.stdout


def accounts():
    given = ctl("admins", "add", "night", "--role", "operator").strip()
    check(len(given) == 20, f"a password of 20 characters is due: {given!r}")
    check("operator" in ctl("admins", "list") and given not in ctl("admins", "list"), "admins list")
    night = sign_in("night", given)
    check(as_(night, "GET", "/admins")[0] == 403, "an operator is no administrator")
    check(len(json.loads(ctl("--json", "sessions", "list"))["items"]) >= 1 and "night" in ctl("sessions", "list"), "sessions list")
    ctl("admins", "password", "night", "--password-stdin", give="a password of my own\n")
    check(as_(night, "GET", "/calls")[0] == 401, "a new password leaves the old sessions")
    sign_in("night", given, status=401)
    night = sign_in("night", "a password of my own")
    ctl("admins", "set", "night", "enabled=false")
    check(as_(night, "GET", "/calls")[0] == 401, "a disabled account's session")
    sign_in("night", "a password of my own", status=401)
    ctl("admins", "remove", "night")
    ctl("admins", "remove", "night", code=1)
    for (name, password), role in ((desk, "operator"), (view, "viewer")):
        ctl("admins", "add", name, "--role", role, "--password-stdin", give=password + "\n")


def guessing():
    """Last: it shuts this address out for a minute."""
    codes = [node.request("POST", "/api/v1/session", {"account": "admin", "password": f"guess {i}"}, token=False)[0] for i in range(12)]
    check(codes[0] == 401 and codes[-1] == 429 and codes == sorted(codes), str(codes))
    status, headers, _ = node.request("POST", "/api/v1/session", {"account": admin()[0], "password": admin()[1]}, token=False)
    check(status == 429 and 0 < int(headers["Retry-After"]) <= 60, f"the right password while it waits: {status}")


# ---- what the pages show -----------------------------------------------------------------------------------------------------------------


def load(mode, *options):
    argv = [node.binary, "load", mode, "--target", f"{HOST}:{node.sip}", "--quiet", "--from", f"sip:1001@{node.domain}", "--user", "1001",
            "--password", "console-password", "--bind", f"{HOST}:{free_port()}", *options]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=node.folder)


def both_sides(calls, hold, first_port):
    return load("call", "--to", f"sip:1002@{node.domain}", "--domain", node.domain, "--users", "1002-1002", "--register-at", f"{HOST}:{node.sip}",
                "--calls", str(calls), "--rate", "20", "--hold", hold, "--rtp", "--media-ports", f"{first_port}-{first_port + 999}",
                "--callee-bind", f"{HOST}:{free_port()}")


def furnish():
    """Records, a trunk, a route, a voice message, and calls that go on while the browser looks."""
    d = node.domain
    node.api("PUT", "/trunks/carrier", {"domain": d, "kind": "address", "host": "192.0.2.9", "port": 5060, "options_seconds": 0})
    node.api("POST", "/routes", {"domain": d, "pattern": "0X.", "action": "trunk", "targets": ["carrier"], "name": "carrier out", "call_class": "national"})
    node.api("PUT", f"/mailboxes/{d}/1001", {"pin": "4711"})
    file = node.data / "voicemail" / d / "1001" / "a.wav"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_tone(file, 400, seconds=1)
    with contextlib.closing(sqlite3.connect(node.data / "tandem.db", timeout=10)) as rows, rows:
        rows.execute("INSERT INTO voicemails (domain, user, sender, sender_display, received, length, file, heard) "
                     "VALUES (?, '1001', '+4930123', 'Zoë', ?, 1000000000, ?, 0)", (d, time.time_ns(), f"{d}/1001/a.wav"))
    missed = load("uac", "--to", f"sip:1009@{d}", "--calls", "2", "--rate", "10")
    missed.wait(60)
    short = both_sides(60, "300ms", 41000)
    check(short.wait(120) == 0, f"60 short calls: {short.stderr.read()[-400:]}")
    node.wait_cdrs(60, 30)


def browser(scenario):
    settings = {"url": f"https://{HOST}:{node.web}/", "browser": shutil.which("chromium"), "pictures": str(ROOT / "build" / "console-pictures"),
                "admin": dict(zip(("account", "password"), admin())), "operator": dict(zip(("account", "password"), desk)),
                "viewer": dict(zip(("account", "password"), view)),
                "subscriber": {"account": f"1001@{node.domain}", "password": "console-password"}}
    done = subprocess.run(["node", str(ROOT / "web" / "e2e" / "console.mjs"), scenario], capture_output=True, text=True, timeout=400,
                          env={**os.environ, "CONSOLE_E2E": json.dumps(settings)})
    check(done.returncode == 0, done.stderr[-1500:] or done.stdout[-500:])


def main():
    node.start()
    suite.run("the console's files and their headers", files)
    suite.run("no path leads out of its folder", paths)
    suite.run("sessions over HTTPS", sessions)
    suite.run("accounts by ctl", accounts)
    suite.run("records, a trunk, a message", furnish)
    live = both_sides(8, "600s", 45000)
    try:
        suite.run("calls that go on", lambda: wait_for(lambda: len([c for c in node.api("GET", "/calls")["items"] if c["state"] == "connected"]) == 8, 30, "8 calls"))
        # The pictures take as long as all the rest: with --all only.
        pictures = [("screens", "light, dark, on a telephone, Korean")] if suite.args.all else []
        for scenario, name in (("sign_in", "signing in and out"), ("forged", "a forged change is refused"), ("pages", "each page with live data"),
                               ("records", "records, filters and CSV"), ("hang_up", "an operator hangs up, a viewer does not"),
                               ("admins", "accounts and sessions"), *pictures,
                               ("subscriber", "a subscriber and his own line")):
            suite.run(f"browser: {name}", browser, scenario)
    finally:
        stop(live)
    suite.run("guessing is limited", guessing)
    suite.finish()


main()
