#!/usr/bin/env python3
"""Signalling channels, with clients of Kinesis Video Streams as npm has them: the AWS SDK and the signalling client in Node, both in Chromium pages that
get each other's sound, pictures and data; and clients that do what none does.

Chromium takes no loopback address for a candidate, so this runs in a network namespace with a pair of Ethernet ends of its own."""
import concurrent.futures
import datetime
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.parse

from browser import Driver
from harness import HERE, HOST, Failed, Suite, check, free_port, wait_for
from websocket_client import Refused, WebSocket, tls_context

ADDRESS = "10.77.2.1"
REGION = "eu-central-1"
if os.environ.get("TANDEM_NETWORK") is None:
    links = f"ip link set lo up && ip link add wire0 type veth peer name wire1 && ip addr add {ADDRESS}/24 dev wire0 && ip link set wire0 up && ip link set wire1 up"
    own = subprocess.run(["unshare", "--net", "sh", "-c", links], capture_output=True, text=True)
    if own.returncode == 0:
        os.environ["TANDEM_NETWORK"] = "own"
        os.execvp("unshare", ["unshare", "--net", "sh", "-c", links + ' && exec "$@"', "sh", sys.executable, *sys.argv])
    os.environ["TANDEM_NETWORK"] = f"unshare: {own.stderr.strip()}"

TURN_PORT = free_port()
FOLDER = HERE.parent / "channels"
suite = Suite()


# ---- keys and channels


def make_key(node, **rights):
    made = node.api("POST", "/access-keys", {"channels": ["*"], **rights})
    return {"id": made["id"], "secret": made["secret"]}


def where(node, key, **more):
    return {"endpoint": f"https://{HOST}:{node.web}", "region": REGION, "key": key, **more}


def arn_of(driver, node, key, channel):
    got = driver.ask(do="ask", where=where(node, key), name="DescribeSignalingChannel", input={"ChannelName": channel})
    return got["output"]["ChannelInfo"]["ChannelARN"]


def asked(driver, node, key, name, **input):
    return driver.ask(do="ask", where=where(node, key), name=name, input=input)


def throws(driver, at, name, exception, **input):
    got = driver.ask(do="ask", where=at, name=name, input=input)
    check(got.get("error", {}).get("name") == exception, f"{name} threw {got}, not {exception}")


# ---- URLs as the signalling client signs them, and otherwise


def sign(node, key, arn, client=None, when=None, expires=299, region=REGION, path="/channels"):
    when = when or datetime.datetime.now(datetime.timezone.utc)
    stamp, day = when.strftime("%Y%m%dT%H%M%SZ"), when.strftime("%Y%m%d")
    scope = f"{day}/{region}/kinesisvideo/aws4_request"
    members = {"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-ChannelARN": arn, "X-Amz-Credential": f"{key['id']}/{scope}", "X-Amz-Date": stamp,
               "X-Amz-Expires": str(expires), "X-Amz-SignedHeaders": "host"}
    if client:
        members["X-Amz-ClientId"] = client
    query = "&".join(f"{k}={urllib.parse.quote(v, safe='-_.~')}" for k, v in sorted(members.items()))
    request = f"GET\n{path}\n{query}\nhost:{HOST}:{node.web}\n\nhost\n{hashlib.sha256(b'').hexdigest()}"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    k = ("AWS4" + key["secret"]).encode()
    for part in (day, region, "kinesisvideo", "aws4_request"):
        k = hmac.new(k, part.encode(), hashlib.sha256).digest()
    return f"{path}?{query}&X-Amz-Signature={hmac.new(k, text.encode(), hashlib.sha256).hexdigest()}"


def come(node, url, **how):
    return suite.closing(WebSocket(node, url, protocol=None, **how))


def is_refused(node, url, status, exception):
    try:
        come(node, url)
    except Refused as e:
        check(e.status == status and f"x-amzn-ErrorType: {exception}" in e.head, f"{e.head}")
        return
    raise Failed(f"let in, not refused with {exception}")


def hear(web, kind, seconds=5):
    deadline = time.monotonic() + seconds
    while True:
        got = web.receive(deadline - time.monotonic())
        check(got is not None and got[0] == 1, f"no {kind}: {got}")
        message = json.loads(got[1])
        if message["messageType"] == kind:
            return message


# ---- what is tested


def sdk_operations(node, driver):
    """Describe, endpoint, ICE servers and the life of a channel, by the SDK in Node."""
    admin, viewer = make_key(node, admin=True, master=True), make_key(node, viewer=True, channels=["sdk-1"])
    made = asked(driver, node, admin, "CreateSignalingChannel", ChannelName="sdk-1", SingleMasterConfiguration={"MessageTtlSeconds": 30})
    arn = made["output"]["ChannelARN"]
    check(arn.startswith(f"arn:aws:kinesisvideo:{REGION}:000000000000:channel/sdk-1/"), arn)
    info = asked(driver, node, viewer, "DescribeSignalingChannel", ChannelName="sdk-1")["output"]["ChannelInfo"]
    check(info["ChannelARN"] == arn and info["ChannelStatus"] == "ACTIVE" and info["SingleMasterConfiguration"] == {"MessageTtlSeconds": 30}, str(info))
    made_at = datetime.datetime.fromisoformat(info["CreationTime"].replace("Z", "+00:00"))
    check(abs((datetime.datetime.now(datetime.timezone.utc) - made_at).total_seconds()) < 120, str(made_at))
    for key, role in ((admin, "MASTER"), (viewer, "VIEWER")):
        got = asked(driver, node, key, "GetSignalingChannelEndpoint", ChannelARN=arn,
                    SingleMasterChannelEndpointConfiguration={"Protocols": ["WSS", "HTTPS"], "Role": role})["output"]["ResourceEndpointList"]
        check({e["Protocol"]: e["ResourceEndpoint"] for e in got} == {"WSS": f"wss://{HOST}:{node.web}/channels", "HTTPS": f"https://{HOST}:{node.web}"}, str(got))
    got = asked(driver, node, viewer, "GetIceServerConfig", ChannelARN=arn, ClientId="me")
    check(got["output"] == {"IceServerList": []}, str(got))
    listed = asked(driver, node, admin, "ListSignalingChannels", ChannelNameCondition={"ComparisonOperator": "BEGINS_WITH", "ComparisonValue": "sdk"})
    check([c["ChannelName"] for c in listed["output"]["ChannelInfoList"]] == ["sdk-1"], str(listed))
    throws(driver, where(node, admin), "UpdateSignalingChannel", "VersionMismatchException", ChannelARN=arn, CurrentVersion="nothing")
    check("output" in asked(driver, node, admin, "UpdateSignalingChannel", ChannelARN=arn, CurrentVersion=info["Version"], SingleMasterConfiguration={"MessageTtlSeconds": 60}), "update")
    throws(driver, where(node, admin), "CreateSignalingChannel", "ResourceInUseException", ChannelName="sdk-1")
    check("output" in asked(driver, node, admin, "DeleteSignalingChannel", ChannelARN=arn), "delete")
    throws(driver, where(node, admin), "DescribeSignalingChannel", "ResourceNotFoundException", ChannelARN=arn)


def sdk_is_refused(node, driver):
    """The SDK throws the exceptions its programs look for."""
    admin, viewer = make_key(node, admin=True), make_key(node, viewer=True, channels=["door"])
    node.api("PUT", "/channels/door", {})
    arn = arn_of(driver, node, viewer, "door")
    wrong = {"id": viewer["id"], "secret": "x" * 40}
    throws(driver, where(node, wrong), "DescribeSignalingChannel", "InvalidSignatureException", ChannelName="door")
    throws(driver, where(node, {"id": "NOBODYNOBODYNOBODYNO", "secret": "x" * 40}), "DescribeSignalingChannel", "UnrecognizedClientException", ChannelName="door")
    throws(driver, {**where(node, viewer), "region": "us-west-2"}, "DescribeSignalingChannel", "InvalidSignatureException", ChannelName="door")
    for skew in (-400, 400):
        throws(driver, where(node, viewer, skew=skew), "DescribeSignalingChannel", "InvalidSignatureException", ChannelName="door")
    throws(driver, where(node, viewer), "DescribeSignalingChannel", "AccessDeniedException", ChannelName="hall")
    throws(driver, where(node, viewer), "CreateSignalingChannel", "AccessDeniedException", ChannelName="door")
    throws(driver, where(node, viewer), "GetSignalingChannelEndpoint", "AccessDeniedException", ChannelARN=arn,
           SingleMasterChannelEndpointConfiguration={"Protocols": ["WSS"], "Role": "MASTER"})
    throws(driver, where(node, admin), "DescribeSignalingChannel", "ResourceNotFoundException", ChannelName="nowhere")
    throws(driver, where(node, admin), "CreateSignalingChannel", "InvalidArgumentException", ChannelName="mesh", ChannelType="FULL_MESH")
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        limited = list(pool.map(lambda _: asked(driver, node, viewer, "GetIceServerConfig", ChannelARN=arn), range(40)))
    check(any(g.get("error", {}).get("name") == "ClientLimitExceededException" for g in limited), "a flood was answered")
    text = node.log_text()
    check(viewer["secret"] not in text and admin["secret"] not in text, "a secret is in the log")


def rows(node):
    """Keys and channels through REST and ctl; a secret is shown once."""
    made = node.api("POST", "/access-keys", {"note": "camera 7", "master": True, "channels": ["cam-*"]})
    check(len(made["secret"]) == 40 and len(made["id"]) == 20, str(made))
    for answer in (node.api("GET", "/access-keys"), node.api("GET", f"/access-keys/{made['id']}"), node.api("PUT", f"/access-keys/{made['id']}", {"note": "8"})):
        check("secret" not in json.dumps(answer) and made["secret"] not in json.dumps(answer), str(answer))
    code, out, err = node.ctl("access-keys", "add", "viewer=true", 'channels=["cam-7"]', "note=1234")
    check(code == 0 and "secret" in out, out + err)
    code, out, err = node.ctl("channels", "set", "cam-7", "max_viewers=3")
    check(code == 0 and "cam-7" in out, out + err)
    code, out, err = node.ctl("access-keys", "list")
    check(code == 0 and "camera" not in out and "1234" in out and "secret" not in out, out + err)
    status, _, body = node.request("POST", "/api/v1/access-keys", {"channels": ["a b"]})
    check(status == 422, body)
    status, _, body = node.request("PUT", "/api/v1/channels/x", {"max_viewers": 0})
    check(status == 422, body)


def node_clients(node, driver):
    """Two signalling clients in Node: messages each way, errors for who asks, the second master."""
    master, viewer = make_key(node, master=True), make_key(node, viewer=True)
    node.api("PUT", "/channels/porch", {})
    driver.ask(do="client", name="v", where=where(node, viewer), channel="porch", role="VIEWER", client="v-1")
    driver.ask(do="send", name="v", method="sendSdpOffer", arguments=[{"type": "offer", "sdp": "v=0 früh"}])  # waits for its master
    driver.ask(do="client", name="m", where=where(node, master), channel="porch", role="MASTER")

    def event(name, kind, count=1):
        return wait_for(lambda: [e for e in driver.ask(do="events", name=name) if e["kind"] == kind][count - 1:], 10, f"{kind} at {name}")[0]

    got = event("m", "sdpOffer")
    check(got["what"]["sdp"] == "v=0 früh" and got["from"] == "v-1", str(got))
    driver.ask(do="send", name="m", method="sendSdpAnswer", arguments=[{"type": "answer", "sdp": "v=0"}, "v-1"])
    driver.ask(do="send", name="m", method="sendIceCandidate", arguments=[{"candidate": "c1"}, "v-1"])
    check(event("v", "sdpAnswer")["from"] is None, "an answer of the master has no sender")
    check(event("v", "iceCandidate")["what"] == {"candidate": "c1"}, "candidate")
    driver.ask(do="send", name="v", method="sendIceCandidate", arguments=[{"candidate": "x" * 9000}, None, "big-1"])
    status = event("v", "statusResponse")["what"]
    check(status["correlationId"] == "big-1" and status["errorType"] == "InvalidArgumentException" and status["statusCode"] == "400", str(status))
    time_of_next_url = int(time.time())
    wait_for(lambda: int(time.time()) > time_of_next_url, 3, "another second, and so another URL")
    driver.ask(do="client", name="m2", where=where(node, master), channel="porch", role="MASTER")
    event("m", "close")
    driver.ask(do="send", name="v", method="sendSdpOffer", arguments=[{"type": "offer", "sdp": "again"}])
    check(event("m2", "sdpOffer")["what"]["sdp"] == "again", "the second master")
    for name in ("v", "m2"):
        driver.ask(do="hangup", name=name)
    wait_for(lambda: node.metric("channel_connections") == 0, 10, "end of both")


def urls(node, driver):
    """What a URL has to be to open a WebSocket, once."""
    master, viewer = make_key(node, master=True, channels=["gate"]), make_key(node, viewer=True, channels=["gate"])
    node.api("PUT", "/channels/gate", {})
    node.api("PUT", "/channels/hall", {})
    arn, other = arn_of(driver, node, viewer, "gate"), arn_of(driver, node, make_key(node, admin=True), "hall")
    now = datetime.datetime.now(datetime.timezone.utc)
    good = sign(node, viewer, arn, "u-1")
    come(node, good)
    is_refused(node, good, 403, "InvalidSignatureException")  # a second time
    fresh = sign(node, viewer, arn, "u-2")
    for altered in (fresh.replace("u-2", "u-3"), fresh.replace("X-Amz-ClientId=u-2&", ""), fresh.replace("Expires=299", "Expires=300"), fresh + "&x=y"):
        is_refused(node, altered, 403, "InvalidSignatureException")
    is_refused(node, fresh.replace("X-Amz-ClientId=u-2", "X-Amz-ClientId=u-2&X-Amz-ClientId=u-3"), 400, "IncompleteSignatureException")
    is_refused(node, sign(node, {**viewer, "secret": "y" * 40}, arn, "u-2"), 403, "InvalidSignatureException")
    is_refused(node, sign(node, viewer, arn, "u-2", when=now - datetime.timedelta(seconds=30), expires=10), 403, "InvalidSignatureException")
    is_refused(node, sign(node, viewer, arn, "u-2", when=now - datetime.timedelta(seconds=330), expires=3600), 403, "InvalidSignatureException")
    is_refused(node, sign(node, viewer, arn, "u-2", when=now + datetime.timedelta(seconds=330)), 403, "InvalidSignatureException")
    is_refused(node, sign(node, viewer, arn, "u-2", region="us-east-1"), 403, "InvalidSignatureException")
    is_refused(node, sign(node, viewer, other, "u-2"), 403, "AccessDeniedException")
    is_refused(node, sign(node, viewer, arn), 403, "AccessDeniedException")  # as master
    is_refused(node, sign(node, make_key(node, viewer=True), arn.replace("/gate/", "/none/"), "u-2"), 404, "ResourceNotFoundException")
    is_refused(node, sign(node, viewer, "gate", "u-2"), 400, "InvalidArgumentException")
    is_refused(node, "/channels", 403, "MissingAuthenticationTokenException")
    come(node, fresh)
    come(node, sign(node, master, arn))
    try:
        come(node, sign(node, viewer, arn, "u-4"), origin="https://elsewhere.example")
        raise Failed("a page of another origin was let in")
    except Refused as e:
        check(e.status == 403, e.head)


def messages(node, driver):
    """Oversize, floods, idle and old connections, places and revoked keys, by a client that does what none does."""
    key = make_key(node, master=True, viewer=True)
    node.api("PUT", "/channels/flood", {"max_viewers": 1})
    arn = arn_of(driver, node, key, "flood")
    master, viewer = come(node, sign(node, key, arn)), come(node, sign(node, key, arn, "f-1"))
    candidate = {"action": "ICE_CANDIDATE", "messagePayload": "YQ=="}
    viewer.send(json.dumps({**candidate, "recipientClientId": "somebody"}))
    check(hear(master, "ICE_CANDIDATE") == {"messageType": "ICE_CANDIDATE", "messagePayload": "YQ==", "senderClientId": "f-1"}, "candidate")
    viewer.send(json.dumps({**candidate, "messagePayload": "A" * 10_244, "correlationId": "big"}))
    check(hear(viewer, "STATUS_RESPONSE")["statusResponse"]["correlationId"] == "big", "oversize")
    for i in range(60):
        viewer.send(json.dumps({**candidate, "correlationId": f"n-{i}"}))
    check(hear(viewer, "STATUS_RESPONSE")["statusResponse"]["errorType"] == "ClientLimitExceededException", "a flood")
    late = come(node, sign(node, key, arn, "f-2"))
    check(hear(late, "STATUS_RESPONSE")["statusResponse"]["errorType"] == "ClientLimitExceededException", "a viewer too many")
    late.close_code()
    before = node.metric("channel_refused_out_total")
    for _ in range(102):
        viewer.send("nonsense")
    viewer.close_code()
    check(node.metric("channel_refused_out_total") == before + 1, "who is refused for ever")
    for _ in range(1200):
        try:
            master.send("x")
        except OSError:
            break
    wait_for(lambda: node.metric("channel_connections") == 0, 10, "end of a flood")
    again = come(node, sign(node, key, arn, "f-3"))
    node.api("PUT", f"/access-keys/{key['id']}", {"viewer": False})
    again.close_code()
    is_refused(node, sign(node, key, arn, "f-4"), 403, "AccessDeniedException")
    master = come(node, sign(node, key, arn, expires=298))  # never the URL of the first
    node.api("DELETE", "/channels/flood")
    master.close_code()


def connections_end(node, driver):
    """GO_AWAY before the end, and silence (this node's connections are short-lived)."""
    key = make_key(node, master=True, viewer=True)
    node.api("PUT", "/channels/short", {})
    arn = arn_of(driver, node, key, "short")
    silent = come(node, sign(node, key, arn, "s-1"))
    start = time.monotonic()
    master = come(node, sign(node, key, arn))

    def pinged():
        master.send(b"", 9)
        got = master.receive(0.3)
        return got is not None and got[0] == 1 and json.loads(got[1])["messageType"]

    check(wait_for(pinged, 8, "GO_AWAY") == "GO_AWAY", "GO_AWAY")
    told = time.monotonic() - start
    silent.close_code()
    check(node.metric("channel_idle_total") == 1, "the silent one ended for its silence")
    master.send(b"", 9)
    master.close_code()
    check(3 < told < 6 and node.metric("channel_expired_total") == 1, f"told after {told:.1f} s")


def restart(node, driver):
    """Rows survive a restart; connections do not, and their clients come anew."""
    key = make_key(node, master=True, viewer=True, admin=True)
    asked(driver, node, key, "CreateSignalingChannel", ChannelName="kept")
    arn = arn_of(driver, node, key, "kept")
    web = come(node, sign(node, key, arn))
    node.stop()
    check(json.loads(web.receive()[1])["messageType"] == "RECONNECT_ICE_SERVER" and json.loads(web.receive()[1])["messageType"] == "GO_AWAY", "goodbye")
    node.start()
    check(arn_of(driver, node, key, "kept") == arn, "another ARN after the restart")
    come(node, sign(node, key, arn))


def ice_servers(node, driver):
    """A client is told the TURN server with credentials of its own, which are good there."""
    viewer = make_key(node, viewer=True, channels=["camera"])
    node.api("PUT", "/channels/camera", {})
    arn = arn_of(driver, node, viewer, "camera")
    servers = asked(driver, node, viewer, "GetIceServerConfig", ChannelARN=arn, ClientId="me")["output"]["IceServerList"]
    check(len(servers) == 1 and servers[0]["Uris"] == [f"turn:{ADDRESS}:{TURN_PORT}?transport=udp"], str(servers))
    check(servers[0]["Username"].endswith(":camera") and 60 <= servers[0]["Ttl"] <= 86400, str(servers))
    done = subprocess.run(["turnutils_uclient", "-L", ADDRESS, "-p", str(TURN_PORT), "-u", servers[0]["Username"], "-w", servers[0]["Password"], "-y", "-c", "-m", "2", "-n", "10",
                           ADDRESS], capture_output=True, text=True, timeout=60)
    sums = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", done.stdout + done.stderr)
    check(done.returncode == 0 and sums and sums[-1][0] == sums[-1][1] != "0", (done.stdout + done.stderr)[-800:])


def pages(node, driver, policy):
    """A camera and two who look, as pages: sound, pictures and data between them."""
    master, viewer = make_key(node, master=True, channels=["camera"]), make_key(node, viewer=True, channels=["camera"])
    node.api("PUT", "/channels/camera", {})
    for name in ("m", "a", "b"):
        driver.ask(200, do="open", page=name)
    driver.ask(60, do="call", page="m", name="master", arguments=[where(node, master), "camera", policy])
    driver.ask(60, do="call", page="a", name="viewer", arguments=[where(node, viewer), "camera", "viewer-a", policy])
    driver.ask(60, do="call", page="b", name="viewer", arguments=[where(node, viewer), "camera", "viewer-b", policy])

    def state(name):
        return driver.ask(do="call", page=name, name="state")

    def connected():
        return all(c["state"] == "connected" and c["audio"] > 20 and c["frames"] > 5 for n in ("m", "a", "b") for c in (state(n)["connections"] or {"": {"state": ""}}).values())

    try:
        wait_for(connected, 60, "sound and pictures on both sides")
        wait_for(lambda: sorted(state("m")["texts"]) == ["from viewer-a", "from viewer-b"], 10, "data at the master")
        for name in ("a", "b"):
            wait_for(lambda: state(name)["texts"] == ["from the master"], 10, f"data at {name}")
    except Failed as e:
        raise Failed(f"{e}\n" + "\n".join(f"{n}: {state(n)} {driver.ask(do='said', page=n)[-8:]}" for n in ("m", "a", "b"))) from None
    check(len(state("m")["connections"]) == 2, "a connection for each viewer")
    ways = {c["via"] for n in ("m", "a", "b") for c in state(n)["connections"].values()}
    check(ways == {"relay"} if policy == "relay" else "relay" not in ways, f"packets travel by {ways}")
    got = driver.ask(do="call", page="a", name="ask", arguments=[where(node, viewer), "DescribeSignalingChannel", {"ChannelName": "hall"}])
    check(got["error"]["name"] == "AccessDeniedException", f"what a page is told: {got}")
    for name in ("m", "a", "b"):
        driver.ask(do="call", page=name, name="leave")
        driver.ask(do="close", page=name)


def node_of(name, channels=None, turn=None, **web):
    return suite.node(name, config={"channels": {"enabled": True, "region": REGION, **(channels or {})}, "web": web, **({"turn": turn} if turn else {})}).start()


def relay():
    """TURN whose clients may reach this network: the pages are in it."""
    return {"host": ADDRESS, "realm": ADDRESS, "peers": {"allow": [f"{ADDRESS}/32"]}, "relay": {"ports": "61000-61099"},
            "listeners": [{"transport": "udp", "bind": f"{ADDRESS}:{TURN_PORT}"}]}


def switched_off(node):
    """Without channels.enabled there is nothing."""
    status, _, body = node.request("POST", "/describeSignalingChannel", {"ChannelName": "x"}, token=False)
    check(status in (404, 405), f"{status} {body}")
    connection = http.client.HTTPSConnection(HOST, node.web, context=tls_context(node), timeout=10)
    connection.request("GET", "/channels")
    check(connection.getresponse().status == 404, "a WebSocket's path")
    connection.close()


def main():
    if not (FOLDER / "node_modules/ws").exists():
        suite.cannot("channels", "npm ci has not been run in tests/channels")
        suite.finish()
    off = suite.node("off", config={}).start()
    suite.run("switched off", switched_off, off)
    off.stop()
    node = node_of("node")
    driver = Driver(suite.folder, FOLDER / "driver.mjs", {"NODE_EXTRA_CA_CERTS": str(node.data / "web.crt")})
    suite.run("rows", rows, node)
    suite.run("SDK: operations", sdk_operations, node, driver)
    suite.run("SDK: refused", sdk_is_refused, node, driver)
    suite.run("signalling clients", node_clients, node, driver)
    suite.run("URLs", urls, node, driver)
    suite.run("messages", messages, node, driver)
    suite.run("restart", restart, node, driver)
    driver.close()
    short = node_of("short", {"idle": "2s", "longest": "5s", "grace": "1s"})
    driver = Driver(suite.folder, FOLDER / "driver.mjs", {"NODE_EXTRA_CA_CERTS": str(short.data / "web.crt")})
    suite.run("connections end", connections_end, short, driver)
    driver.close()
    short.stop()
    chromium = pathlib.Path(os.environ.get("TANDEM_CHROMIUM", "/usr/bin/chromium"))
    why = None if chromium.exists() else "chromium is not installed"
    why = why or (None if os.environ["TANDEM_NETWORK"] == "own" else os.environ["TANDEM_NETWORK"])
    if why:
        suite.cannot("pages", why)
        suite.finish()
    open_node = node_of("pages", websocket={"origins": ["*"]})
    driver = Driver(suite.folder, FOLDER / "driver.mjs", {"NODE_EXTRA_CA_CERTS": str(open_node.data / "web.crt")})
    driver.ask(240, do="start")
    suite.run("pages", pages, open_node, driver, "all")
    driver.close()
    open_node.stop()
    relayed = node_of("relayed", turn=relay(), websocket={"origins": ["*"]})
    driver = Driver(suite.folder, FOLDER / "driver.mjs", {"NODE_EXTRA_CA_CERTS": str(relayed.data / "web.crt")})
    suite.run("SDK: ICE servers", ice_servers, relayed, driver)
    driver.ask(240, do="start")
    suite.run("pages by relay alone", pages, relayed, driver, "relay")
    driver.close()
    suite.finish()


main()
