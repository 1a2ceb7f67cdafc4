#!/usr/bin/env python3
"""Transcoding with endpoints whose codecs are not ours: SIPp plays captures of tones in PCMA, G.722 and G.729 to a baresip phone that has
PCMU alone; ffmpeg decodes every packet that a phone with G.729, Opus or G.722 alone gets from a baresip phone with PCMU. Level and frequency
are measured; packets with half of their octets inverted, or codes of the wrong law, must not pass."""
import math
import re
import shutil
import socket
import struct
import subprocess
import time
from typing import NamedTuple

from harness import HOST, TONE_AMPLITUDE, Baresip, Failed, Sipp, Suite, check, free_port, read_wav, stop, tone_share, wait_for, write_tone
from ua import Ua

suite = Suite()
node = suite.node("codecs")
encoder = suite.binary.parent / "g729_tone"
PACKET_MS = 20
PLAYED, SAID = 440, 1250  # Hz; G.729 by itself makes these 0.6 and 0.2 dB softer, and others up to 1.3
TONE_RMS = TONE_AMPLITUDE / math.sqrt(2)
count = 0


class Codec(NamedTuple):
    name: str  # as records have it
    type: int
    format: str  # of the rtpmap
    attribute: str
    ticks: int  # of a packet's timestamp
    decoders: tuple = ()  # ffmpeg's

    def description(self, port):
        return (f"v=0\r\no=- 1 1 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\nm=audio {port} RTP/AVP {self.type}\r\n"
                f"a=rtpmap:{self.type} {self.format}\r\na={self.attribute}\r\na=sendrecv\r\n")


PCMA = Codec("PCMA", 8, "PCMA/8000", "ptime:20", 160)
G722 = Codec("G722", 9, "G722/8000", "ptime:20", 160, ("g722",))
G729 = Codec("G729", 18, "G729/8000", "fmtp:18 annexb=no", 160, ("g729",))
OPUS = Codec("opus", 96, "opus/48000/2", "fmtp:96 useinbandfec=1", 960, ("opus", "libopus"))  # its own, and the library that we use


def phone(hertz):
    """1002: PCMU alone."""
    global count
    count += 1
    p = suite.closing(Baresip(node.folder, f"{count}-1002", "1002", node.users["1002"], node.sip, hertz))
    p.wait_registered(node)
    return p


def wrong(samples, rate, hertz, decibels):
    """None when these samples, a second or more, hold that tone and hardly anything else, as loud as it was played; or what is wrong."""
    share, loud = tone_share(samples, hertz, rate, rate // 10)
    tenths = len(samples) // (rate // 10)
    if tenths < 10 or loud * share < 0.9 * tenths:
        return f"{hertz} Hz in {share:.0%} of {loud} loud ones of {tenths} tenths of a second"
    level = 20 * math.log10(math.sqrt(sum(s * s for s in samples) / len(samples)) / TONE_RMS)
    return None if abs(level) < decibels else f"{hertz} Hz at {level:+.1f} dB"


def spoiled(payload):
    """Every second octet inverted; not the first, which tells a decoder of Opus what the others are."""
    return bytes(octet ^ 0xFF if at % 2 else octet for at, octet in enumerate(payload))


def check_record(before, codec):
    """The call's record: that codec at one leg, PCMU at the other."""
    row = wait_for(lambda: len(rows := node.conversations()) > before and rows, 10, "a CDR")[0]
    check((row["caller"]["codec"], row["callee"]["codec"]) == (codec.name, "PCMU"), str(row))
    return row


# ---- SIPp plays ------------------------------------------------------------------------------------------


def in_packets(octets, size):
    return [octets[at:at + size] for at in range(0, len(octets), size)]


def by_ffmpeg(kind, rate, seconds=20):
    """The tone in payloads of 20 ms, 160 octets."""
    wave, file = suite.folder / f"tone-{rate}.wav", suite.folder / f"tone.{kind}"
    write_tone(wave, PLAYED, seconds, rate)
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-i", wave, "-f", kind, file], check=True, stdin=subprocess.DEVNULL)
    return in_packets(file.read_bytes(), 160)


def by_bcg729(seconds=20):
    check(encoder.exists(), f"{encoder} is not built")
    file, packets = suite.folder / "tone.g729", seconds * 1000 // PACKET_MS
    subprocess.run([encoder, "--hertz", str(PLAYED), "--amplitude", str(TONE_AMPLITUDE), "--packets", str(packets), file], check=True)
    return in_packets(file.read_bytes(), 20)


def write_capture(path, codec, payloads):
    """As a sniffer would have it: RTP in UDP in IPv4 in Ethernet. SIPp puts addresses and ports of its own in."""
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for i, payload in enumerate(payloads):
            rtp = struct.pack("!BBHII", 0x80, codec.type | (0x80 if i == 0 else 0), i + 1, codec.ticks * i, 0x5EED) + payload
            udp = struct.pack("!HHHH", 6000, 6000, 8 + len(rtp), 0) + rtp
            ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), i, 0, 64, 17, 0, *(2 * [socket.inet_aton(HOST)])) + udp
            frame = bytes(12) + b"\x08\x00" + ip
            out.write(struct.pack("<IIII", *divmod(i * PACKET_MS * 1000, 10**6), len(frame), len(frame)) + frame)


def played(codec, payloads):
    """A call in which SIPp plays them: SIPp, and the phone that listens."""
    b = phone(SAID)
    capture = b.folder / "played.pcap"
    write_capture(capture, codec, payloads)
    a = suite.closing(Sipp(node.folder, "uac_plays", node.sip, options=["-mp", str(free_port())], values={
        "user": "1001", "password": node.users["1001"], "domain": node.domain, "to": "1002", "type": codec.type, "format": codec.format,
        "attribute": codec.attribute, "capture": capture}))
    b.event("CALL_ESTABLISHED")
    return a, b


def last_second(p):
    samples, rate = p.recording()
    return samples[-rate:], rate


def from_sipp(codec, payloads, decibels):
    before = len(node.conversations())
    a, b = played(codec, payloads)
    b.heard(PLAYED, 18)
    trouble = wrong(*last_second(b), PLAYED, decibels)
    check(not trouble, f"the phone heard {trouble}")
    b.command("hangup")
    a.wait()
    row = check_record(before, codec)
    check(row["caller"]["packets_received"] > 40 and row["callee"]["packets_sent"] > 40, str(row))


def from_sipp_spoiled(codec, payloads):
    """They are heard, and not as the tone."""
    before = len(node.conversations())
    a, b = played(codec, payloads)

    def loud():
        samples, rate = last_second(b)
        return len(samples) == rate and tone_share(samples, PLAYED, rate, rate // 10)[1] >= 9

    wait_for(loud, 18, "something loud")
    check(wrong(*last_second(b), PLAYED, 100), "the tone was heard nevertheless")
    b.command("hangup")
    a.wait()
    check_record(before, codec)


# ---- ffmpeg decodes --------------------------------------------------------------------------------------


class Listener(Ua):
    """A phone with one codec that says nothing and keeps every packet it gets."""

    def __init__(self, codec):
        super().__init__(node, "1001")
        self.codec = codec

    def offer(self):
        return self.codec.description(self.rtp.getsockname()[1])

    def packets(self, number, seconds=15):
        """The first of the call: one stream without a gap, in this codec."""
        kept, deadline = [], time.monotonic() + seconds
        while len(kept) < number:
            self.rtp.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                kept.append(self.rtp.recv(2048))
            except TimeoutError:
                raise Failed(f"{len(kept)} packets in {seconds} s") from None
        heads = [struct.unpack("!BBHII", p[:12]) for p in kept]
        check(all(first == 0x80 and kind & 0x7F == self.codec.type for first, kind, *_ in heads), f"not all are {self.codec.name}: {heads[:3]}")
        for (_, _, n, at, source), (_, _, next_n, next_at, next_source) in zip(heads, heads[1:]):
            steps = (next_n - n) % 2**16, (next_at - at) % 2**32, next_source - source
            check(steps == (1, self.codec.ticks, 0), f"packet {n} of {heads[0][2]} on: sequence, timestamp, source step by {steps}")
        return kept


def unread(port):
    """Octets of memory that wait in the receive buffer of that UDP port, and datagrams lost for want of room; None: nobody has it."""
    for line in open("/proc/net/udp"):
        part = line.split()
        if part[1].endswith(f":{port:04X}"):
            return int(part[4].split(":")[1], 16), int(part[-1])
    return None


def ffmpeg_hears(codec, decoder, packets, stem):
    """These packets go to ffmpeg, which knows of them what a description says: samples and their rate."""
    port = free_port()  # and the odd one after it, for RTCP
    description, out, log = (suite.folder / f"{stem}.{kind}" for kind in ("sdp", "wav", "log"))
    description.write_text(codec.description(port))
    # The decoder is named because ffmpeg 5 does not connect G.729's payload type with its decoder.
    with open(log, "wb") as said, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        process = subprocess.Popen(["ffmpeg", "-hide_banner", "-protocol_whitelist", "file,udp,rtp", "-c:a", decoder, "-i", description, "-y",
                                    out], stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)
        try:
            wait_for(lambda: unread(port) or process.poll() is not None, 15, "ffmpeg's port")
            source = packets[0][8:12]
            for packet in packets:
                wait_for(lambda: (u := unread(port)) is None or u[0] < 50000, 10, "ffmpeg reads")  # no faster than it does
                s.sendto(packet, (HOST, port))
            u = unread(port)
            check(u and u[1] == 0, f"ffmpeg's port lost packets: {u} {log.read_text(errors='replace')[-500:]}")
            # An empty receiver report and BYE (RFC 3550 sections 6.1, 6.6): that was all.
            s.sendto(struct.pack("!BBH4sBBH4s", 0x80, 201, 1, source, 0x81, 203, 1, source), (HOST, port))
            process.wait(9)  # less than the 10 s after which it gives up by itself
        except subprocess.TimeoutExpired:
            raise Failed(f"ffmpeg still waits: {log.read_text(errors='replace')[-500:]}") from None
        finally:
            stop(process)
    return read_wav(out)


def to_ffmpeg(codec, decibels):
    before = len(node.conversations())
    b, a = phone(SAID), suite.closing(Listener(codec))
    answer = a.call("1002")
    check(answer.status == 200, answer.start)
    formats = re.search(r"m=audio \d+ RTP/AVP (.*)", answer.body)[1].split()
    check(formats == [str(codec.type)], answer.body)
    packets = a.packets(150)
    a.bye()
    b.event("CALL_CLOSED")
    check_record(before, codec)
    others = [p[:12] + spoiled(p[12:]) for p in packets]
    for decoder in codec.decoders:
        samples, rate = ffmpeg_hears(codec, decoder, packets, f"{codec.name}-{decoder}")
        due = rate * len(packets) * PACKET_MS // 1000
        check(abs(len(samples) - due) <= rate // 50, f"{decoder} made {len(samples)} samples of {due}")
        # Until the buffer of what comes in is as full as it wants, there is silence: less than a tenth of a second.
        trouble = wrong(samples[rate // 5:], rate, SAID, decibels)
        check(not trouble, f"{decoder} heard {trouble}")
        samples, rate = ffmpeg_hears(codec, decoder, others, f"{codec.name}-{decoder}-spoiled")
        check(wrong(samples[rate // 5:], rate, SAID, 100), f"{decoder} heard the tone in spoiled packets")


def main():
    for program in ("sipp", "baresip", "ffmpeg"):
        if not shutil.which(program):
            suite.cannot(program, "the program is not installed")
            suite.finish()
    node.start()
    suite.run("SIPp plays PCMA to a phone with PCMU", lambda: from_sipp(PCMA, by_ffmpeg("alaw", 8000), 1))
    suite.run("SIPp plays G722 to a phone with PCMU", lambda: from_sipp(G722, by_ffmpeg("g722", 16000), 1))
    suite.run("SIPp plays G729 to a phone with PCMU", lambda: from_sipp(G729, by_bcg729(), 1.5))
    suite.run("codes of the other law must not pass for PCMA", lambda: from_sipp_spoiled(PCMA, by_ffmpeg("mulaw", 8000)))
    suite.run("spoiled payloads must not pass for G729", lambda: from_sipp_spoiled(G729, [spoiled(p) for p in by_bcg729()]))
    for codec in (G729, OPUS, G722):
        suite.run(f"ffmpeg decodes what a call with {codec.name} sent", to_ffmpeg, codec, 1.5)
    suite.finish()


main()
