"""A WebRTC peer on aiortc for the tests: a tone and a colour go out, what comes in is kept. SDP goes through a SIP phone (ua.py)."""
import asyncio
import fractions
import math
import re
import threading
import time

import av
import numpy
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.codecs import HEADER_EXTENSIONS
from aiortc.rtcrtpsender import RTCRtpSender
from harness import TONE_AMPLITUDE, check, wait_for
from ua import Ua

RATE = 48000
# It gives one id to two extensions that share a port (against RFC 9143 section 14.2) and chokes on that itself.
HEADER_EXTENSIONS["video"][1].id = 3


class Tone(MediaStreamTrack):
    kind = "audio"

    def __init__(self, hertz):
        super().__init__()
        self.hertz, self.at, self.began = hertz, 0, None

    async def recv(self):
        size = RATE // 50
        self.began = self.began or time.monotonic()
        await asyncio.sleep(max(0, self.began + self.at / RATE - time.monotonic()))
        samples = [int(TONE_AMPLITUDE * math.sin(2 * math.pi * self.hertz * (self.at + i) / RATE)) for i in range(size)]
        frame = av.AudioFrame.from_ndarray(numpy.array([samples], dtype=numpy.int16), layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.at, fractions.Fraction(1, RATE)
        self.at += size
        return frame


class Colour(MediaStreamTrack):
    kind = "video"

    def __init__(self, rgb):
        super().__init__()
        self.rgb, self.count, self.began = rgb, 0, None

    async def recv(self):
        self.began = self.began or time.monotonic()
        await asyncio.sleep(max(0, self.began + self.count / 15 - time.monotonic()))
        frame = av.VideoFrame.from_ndarray(numpy.full((96, 128, 3), self.rgb, dtype=numpy.uint8), format="rgb24")
        frame.pts, frame.time_base = self.count * 6000, fractions.Fraction(1, 90000)
        self.count += 1
        return frame


class Peer:
    """One peer connection, with the loop it lives in."""

    def __init__(self, node, user, hertz, rgb=None, host="127.0.0.1"):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.ua = Ua(node, user, host=host, server=host)
        self.samples, self.colour, self.frames, self.feedback = [], None, 0, []
        self.hertz, self.rgb = hertz, rgb
        self.on_loop(self._open())

    def on_loop(self, what):
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(20)

    async def _open(self):
        self.pc = RTCPeerConnection()
        self.pc.on("track", lambda track: self.loop.create_task(self._keep(track)))
        self.pc.addTrack(Tone(self.hertz))
        if self.rgb:
            self.pc.addTrack(Colour(self.rgb))
        for sender in self.pc.getSenders():
            if sender.kind == "video":
                self._listen(sender)

    def _listen(self, sender):
        """Which feedback reaches our picture."""
        async def heard(packet, inner=RTCRtpSender._handle_rtcp_packet):
            self.feedback.append((type(packet).__name__, getattr(packet, "fmt", None)))
            await inner(sender, packet)

        sender._handle_rtcp_packet = heard

    async def _keep(self, track):
        resampler = av.AudioResampler(format="s16", layout="mono", rate=8000)
        while True:
            try:
                frame = await track.recv()
            except Exception:  # the track has ended
                return
            if track.kind == "audio":
                for piece in resampler.resample(frame):
                    self.samples.extend(piece.to_ndarray()[0].tolist())
            else:
                self.frames += 1
                self.colour = frame.to_ndarray(format="rgb24").reshape(-1, 3).mean(axis=0)

    def call(self, to):
        async def offer():
            await self.pc.setLocalDescription(await self.pc.createOffer())

        self.on_loop(offer())
        self.ua.offer = lambda: self.pc.localDescription.sdp
        answer = self.ua.call(to, 20)
        check(answer.status == 200, f"INVITE: {answer.start}")
        self.told = answer.body
        self.on_loop(self.pc.setRemoteDescription(RTCSessionDescription(answer.body, "answer")))

    def register(self):
        check(self.ua.register().status == 200, "REGISTER")

    def answer(self):
        """Takes the INVITE that is due."""
        invite = self.ua.receive(15)
        check(invite and invite.method == "INVITE", f"INVITE is due, not {invite and invite.start}")
        self.told = invite.body

        async def take():
            await self.pc.setRemoteDescription(RTCSessionDescription(invite.body, "offer"))
            await self.pc.setLocalDescription(await self.pc.createAnswer())

        self.on_loop(take())
        kept = "".join(f"{n}: {v}{';tag=peer' if n == 'to' else ''}\r\n" for n, v in invite.headers if n in ("via", "from", "to", "call-id", "cseq", "record-route"))
        body = self.pc.localDescription.sdp
        self.ua.send(f"SIP/2.0 200 OK\r\n{kept}Contact: <sip:{self.ua.user}@{self.ua.local}>\r\nContent-Type: application/sdp\r\n"
                     f"Content-Length: {len(body)}\r\n\r\n{body}")

    def ask_for_picture(self):
        """A PLI for what we see."""
        async def ask():
            for receiver in self.pc.getReceivers():
                if receiver.track.kind == "video":
                    for source in receiver.getSynchronizationSources():
                        await receiver._send_rtcp_pli(source.source)

        self.on_loop(ask())

    def sees(self, rgb, seconds=15):
        def there():
            return self.colour is not None and all(abs(a - b) < 30 for a, b in zip(self.colour, rgb))

        wait_for(there, seconds, f"{self.ua.user} sees {rgb}, not {self.colour} in {self.frames} frames")

    def lines(self, name):
        return re.findall(rf"(?m)^a={name}:?(.*?)\r?$", self.told)

    def close(self):
        async def end():
            await self.pc.close()

        self.on_loop(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.ua.close()
