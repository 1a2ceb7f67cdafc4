"""A client of the JSON signalling API, with a WebRTC peer for its sound."""
import json
import time

from aiortc import RTCPeerConnection, RTCSessionDescription
from harness import check
from webrtc_peer import Peer, Tone
from websocket_client import CLOSE, WebSocket


class Rtc:
    """The API alone: requests and their answers, events as they come."""

    def __init__(self, node, user=None, server=None, **hello):
        self.node, self.user, self.server = node, user, server
        self.count, self.events = 0, []
        self.open(**hello)

    def open(self, **hello):
        options = {"server": self.server} if self.server else {}
        self.web = WebSocket(self.node, path="/rtc", protocol="tandem.rtc.v1", **options)
        if "resume" not in hello:
            hello = {"user": f"{self.user}@{self.node.domain}", **(hello or {"password": self.node.users[self.user]})}
        self.welcome = self.ask("hello", versions=[1], **hello)
        self.session = self.welcome.get("session")

    def _take(self, deadline):
        got = self.web.receive(max(0.01, deadline - time.monotonic()))
        if got is None:
            return None
        check(got[0] != CLOSE, "the server closed the WebSocket")
        return json.loads(got[1])

    def ask(self, op, fails=None, seconds=10, **members):
        """The answer; `fails`: the code of the error it has to be."""
        self.count += 1
        self.web.send(json.dumps({"id": self.count, "op": op, **members}))
        deadline = time.monotonic() + seconds
        while True:
            got = self._take(deadline)
            check(got is not None, f"no answer to {op}")
            if "event" in got:
                self.events.append(got)
                continue
            check(got["id"] == self.count, f"an answer to another request: {got}")
            code = got.get("error", {}).get("code")
            check(code == fails, f"{op}: {got}")
            return got

    def event(self, name, seconds=10):
        """The next of that name; what came before it is forgotten."""
        deadline = time.monotonic() + seconds
        while True:
            got = self.events.pop(0) if self.events else self._take(deadline)
            check(got is not None, f"no event {name}")
            if got.get("event") == name:
                return got

    def close(self):
        self.web.close()


class RtcPeer(Peer):
    """Peer, with the API for its signalling."""

    def __init__(self, node, user, hertz, host):
        self.rtc = Rtc(node, user, server=host)
        super().__init__(node, user, hertz, host=host)

    def _sdp(self, make):
        async def local():
            await self.pc.setLocalDescription(await make())

        self.on_loop(local())
        return self.pc.localDescription.sdp

    def _remote(self, sdp, kind):
        self.on_loop(self.pc.setRemoteDescription(RTCSessionDescription(sdp, kind)))

    def call(self, to):
        name = self.rtc.ask("call", to=to, sdp=self._sdp(self.pc.createOffer))["call"]
        self.told = self.rtc.event("answered", 20)["sdp"]
        self._remote(self.told, "answer")
        return name

    def answer(self):
        incoming = self.rtc.event("incoming", 15)
        self._remote(incoming["offer"], "offer")
        self.rtc.ask("answer", call=incoming["call"], sdp=self._sdp(self.pc.createAnswer))
        return incoming["call"]

    def begin_anew(self):
        """Another network: the transport is made anew, as after a reload."""
        async def again():
            await self.pc.close()
            self.pc = RTCPeerConnection()
            self.pc.on("track", lambda track: self.loop.create_task(self._keep(track)))
            self.pc.addTrack(Tone(self.hertz))

        self.on_loop(again())
        self.samples.clear()

    def close(self):
        self.rtc.close()
        super().close()
