// A server and a browser's media, as values: what was said is kept, what is answered is written down.
import type { Environment } from '../src/call';

export type Json = Record<string, unknown>;

export class FakeSocket {
  static all: FakeSocket[] = [];
  /** Whether new sockets open; else they close at once. */
  static reachable = true;
  /** Whether a socket that is closed says so: on a network that is gone it takes a minute. */
  static closes = true;
  /** Whether anything comes of new sockets at all. */
  static opens = true;
  static answer: (request: Json, socket: FakeSocket) => Json | null = () => ({ ok: true });

  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((m: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  sent: Json[] = [];

  constructor(
    readonly url: string,
    readonly protocol: string,
  ) {
    FakeSocket.all.push(this);
    queueMicrotask(() => {
      if (!FakeSocket.opens) return;
      if (!FakeSocket.reachable) return this.drop();
      this.readyState = 1;
      this.onopen?.();
    });
  }
  send(text: string): void {
    const request = JSON.parse(text) as Json;
    this.sent.push(request);
    const answer = FakeSocket.answer(request, this);
    if (answer) queueMicrotask(() => this.say({ id: request['id'], ...answer }));
  }
  say(message: unknown): void {
    this.onmessage?.({ data: typeof message === 'string' ? message : JSON.stringify(message) });
  }
  close(): void {
    if (FakeSocket.closes) this.drop();
    else this.readyState = 2;
  }
  drop(): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose?.();
  }
  static last(): FakeSocket {
    return FakeSocket.all[FakeSocket.all.length - 1] as FakeSocket;
  }
  static reset(): void {
    FakeSocket.all = [];
    FakeSocket.reachable = true;
    FakeSocket.closes = true;
    FakeSocket.opens = true;
    FakeSocket.answer = (r) =>
      r['op'] === 'hello'
        ? { ok: true, version: 1, session: 'token-1', linger: 60, registered: false, calls: [] }
        : r['op'] === 'call'
          ? { ok: true, call: 'c1' }
          : { ok: true };
  }
}

export class FakeConnection {
  static last: FakeConnection;
  static all: FakeConnection[] = [];
  signalingState = 'stable';
  localDescription: RTCSessionDescriptionInit | null = null;
  remoteDescription: RTCSessionDescriptionInit | null = null;
  currentRemoteDescription: RTCSessionDescriptionInit | null = null;
  pendingRemoteDescription: RTCSessionDescriptionInit | null = null;
  onicecandidate: ((e: { candidate: unknown }) => void) | null = null;
  ontrack: ((e: unknown) => void) | null = null;
  transceivers = [{ direction: 'sendrecv', currentDirection: 'sendrecv', sender: { track: {} as unknown }, receiver: { track: { kind: 'audio' } } }];
  oniceconnectionstatechange: (() => void) | null = null;
  iceConnectionState = 'connected';
  candidates: RTCIceCandidateInit[] = [];
  log: string[] = [];
  restarts = 0;
  private offers = 0;

  constructor(readonly configuration?: RTCConfiguration) {
    FakeConnection.last = this;
    FakeConnection.all.push(this);
  }
  addTrack(): void {}
  getTransceivers() {
    return this.transceivers;
  }
  createOffer = async () => ({ type: 'offer', sdp: `offer ${++this.offers}${this.restarts ? ' restarted' : ''}` });
  createAnswer = async () => ({ type: 'answer', sdp: 'our answer' });
  async setLocalDescription(d: RTCSessionDescriptionInit): Promise<void> {
    this.log.push(`local ${d.type}`);
    if (d.type === 'rollback') {
      this.signalingState = 'stable';
      return;
    }
    // As a browser: what is not asked for is refused.
    if (this.signalingState !== 'stable' && this.signalingState !== (d.type === 'offer' ? 'have-local-offer' : 'have-remote-offer'))
      throw new Error(`${d.type} in ${this.signalingState}`);
    this.localDescription = d;
    this.signalingState = d.type === 'offer' ? 'have-local-offer' : 'stable';
  }
  async setRemoteDescription(d: RTCSessionDescriptionInit): Promise<void> {
    this.log.push(`remote ${d.type} ${d.sdp}`);
    if (d.type === 'rollback') {
      this.signalingState = 'stable';
      return;
    }
    if (d.type === 'offer' && this.signalingState === 'have-remote-pranswer') throw new Error(`offer in ${this.signalingState}`);
    this.remoteDescription = d;
    this.pendingRemoteDescription = d.type === 'answer' ? null : d;
    this.signalingState = d.type === 'offer' ? 'have-remote-offer' : d.type === 'pranswer' ? 'have-remote-pranswer' : 'stable';
  }
  async addIceCandidate(c: RTCIceCandidateInit): Promise<void> {
    this.candidates.push(c);
  }
  restartIce(): void {
    ++this.restarts;
  }
  /** The path of media, as the browser finds it. */
  become(state: string): void {
    this.iceConnectionState = state;
    this.oniceconnectionstatechange?.();
  }
  closed = false;
  close(): void {
    this.closed = true;
  }
}

export const track = { stopped: false, enabled: true, stop: () => void (track.stopped = true) };
export const stream = { getTracks: () => [track], getAudioTracks: () => [track] } as unknown as MediaStream;

export const media = {
  createConnection: ((configuration: RTCConfiguration) => new FakeConnection(configuration)) as unknown as Environment['createConnection'],
  getMedia: async () => stream,
};

/** Until nothing more follows from what has happened. */
export const settled = async (): Promise<void> => {
  for (let i = 0; i < 50; ++i) await Promise.resolve();
};
