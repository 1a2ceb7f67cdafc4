// One call: its state, its peer connection, and what may be done with it.
import { Emitter } from './emitter.js';
import type { Link } from './link.js';
import { RequestError, type Answer, type Candidate, type Ended, type ListedCall, type Request, type ServerEvent } from './protocol.js';
import { figuresOf, qualityOf, type Figures, type Quality } from './quality.js';

export interface Media {
  /** What is sent. Absent: the microphone is asked for. */
  stream?: MediaStream;
  /** Of getUserMedia, when there is no `stream`. */
  constraints?: MediaStreamConstraints;
  /** STUN and TURN servers. Absent: the node's own. */
  iceServers?: RTCIceServer[];
  /** Nothing but relayed paths: the other side, and the node, see no address of ours. */
  relayOnly?: boolean;
}

export type CallState = 'calling' | 'ringing' | 'incoming' | 'up' | 'ended';

interface CallEvents {
  state: CallState;
  /** Sound and pictures of the other side: once for each track that comes, always the same stream. */
  stream: MediaStream;
  /** What is sent has changed: a camera was turned on or off, a microphone was exchanged. */
  local: MediaStream;
  dtmf: string;
  /** How a transfer goes; the last has `final`. */
  transfer: { status: number; final: boolean };
  /** Whether the other side has put us on hold. */
  held: boolean;
  ended: Omit<Ended, 'event' | 'call'>;
}

/** What a call needs of its surroundings; tests put their own in. */
export interface Environment {
  link: Link;
  createConnection: (configuration: RTCConfiguration) => RTCPeerConnection;
  getMedia: (constraints: MediaStreamConstraints) => Promise<MediaStream>;
}

const batch = 64; // candidates a message takes
const group = /^a=group:BUNDLE.*\r?\n/m;

/** A browser takes no line out of its group (RFC 9143 section 7.5.3), while an offer may leave a group of one line out. */
function inGroup(description: RTCSessionDescriptionInit, before: RTCSessionDescription | null | undefined): string {
  const sdp = description.sdp ?? '';
  const known = before?.sdp.match(group)?.[0];
  return description.type === 'offer' && known && !group.test(sdp) ? sdp.replace(/^m=/m, () => `${known}m=`) : sdp;
}

export class Call extends Emitter<CallEvents> {
  state: CallState;
  /** The server's name for it; empty until the call was placed. */
  id = '';
  peer: string;
  peerName: string;
  readonly outgoing: boolean;
  /** Sound and pictures of the other side, once there are any. */
  remote: MediaStream | null = null;
  local: MediaStream | null = null;
  onHold = false;
  /** By the other side. */
  held = false;
  muted = false;
  private before: Figures | null = null;
  private connection: RTCPeerConnection | null = null;
  private readonly waiting: Candidate[] = [];
  private gathered = false;
  private sending = false;
  /** Ours came before their description; an empty one is the end. */
  private readonly early: RTCIceCandidateInit[] = [];
  private offer: string | null = null;
  private offerWanted = false;
  private answering = false;
  private ownStream = false;
  /** Waits for the answer to our offer; null: there will be none. */
  private offered: ((answer: RTCSessionDescriptionInit | null) => void) | null = null;
  /** Descriptions are exchanged one after the other. */
  private turn: Promise<unknown> = Promise.resolve();

  /** @internal */
  constructor(
    private readonly world: Environment,
    private readonly media: Media,
    from: { outgoing: boolean; peer: string; name?: string; id?: string; offer?: string; offerWanted?: boolean },
  ) {
    super();
    this.outgoing = from.outgoing;
    this.peer = from.peer;
    this.peerName = from.name ?? '';
    this.id = from.id ?? '';
    this.offer = from.offer ?? null;
    this.offerWanted = from.offerWanted ?? false;
    this.state = from.outgoing ? 'calling' : 'incoming';
  }

  /** @internal Places the call. `named` hears its name before any event of it. */
  async place(named: (id: string) => void): Promise<void> {
    try {
      const pc = await this.begin(this.media);
      await pc.setLocalDescription(await pc.createOffer());
      const answer = await this.world.link.request({ op: 'call', to: this.peer, sdp: this.localSdp() });
      this.id = answer.call ?? '';
      if (this.state === 'ended') {
        // Hung up while the server was asked.
        await this.ask({ op: 'hangup', call: this.id });
        throw new RequestError('unknown_call', 'the call is over');
      }
      named(this.id);
      void this.sendCandidates();
    } catch (e) {
      this.over({ by: 'failure', ...(e instanceof RequestError && e.status ? { status: e.status } : {}) });
      throw e;
    }
  }

  /** Takes an incoming call. */
  async answer(media: Media = this.media): Promise<void> {
    if (this.state !== 'incoming') throw new RequestError('wrong_state', 'there is nothing to answer');
    // It rings until the server has answered: a second click would open a second microphone, which nothing stops.
    if (this.answering) throw new RequestError('wrong_state', 'it is being answered');
    this.answering = true;
    try {
      const pc = await this.begin(media);
      await this.inTurn(async () => {
        if (this.offerWanted) {
          await pc.setLocalDescription(await pc.createOffer());
        } else {
          await this.describe(pc, { type: 'offer', sdp: this.offer ?? '' });
          await pc.setLocalDescription(await pc.createAnswer());
        }
        await this.ask({ op: 'answer', call: this.id, sdp: this.localSdp() });
      });
    } catch (e) {
      this.letGo(); // it rings on, and may be answered again
      throw e;
    } finally {
      this.answering = false;
    }
    void this.sendCandidates();
    this.become('up');
    this.mend();
  }

  /** Refuses an incoming call; 486 is "busy here", 603 "declined". */
  async reject(status = 486): Promise<void> {
    await this.ask({ op: 'reject', call: this.id, status });
  }

  async hangUp(): Promise<void> {
    if (this.state === 'ended') return;
    if (this.id) await this.ask({ op: 'hangup', call: this.id });
    else this.over({ by: 'us' });
  }

  /** The other side hears music, we hear nothing; or back. */
  async hold(on = true): Promise<void> {
    const pc = this.need();
    if (on === this.onHold) return;
    this.onHold = on;
    this.direct(pc);
    await this.renegotiate();
  }

  /** Whether who calls would show something, too. */
  get offersVideo(): boolean {
    const lines = (this.offer ?? '').split(/^(?=m=)/m);
    // Port 0 is a line that is not there, unless it shares the port of another (RFC 9143 section 6).
    return lines.some((line) => /^m=video [1-9]/.test(line) || (line.startsWith('m=video 0 ') && /^a=bundle-only\s/m.test(line)));
  }

  /** Whether the other side may see us. */
  get camera(): boolean {
    return (this.local?.getVideoTracks() ?? []).length > 0;
  }

  /** Turns the camera on or off in a call that is up; without it what the other side shows is still seen. */
  async turnCamera(on: boolean, constraints: MediaTrackConstraints | boolean = true): Promise<void> {
    const pc = this.need();
    const local = this.local;
    if (!local || on === this.camera) return;
    if (on) {
      const [track] = (await this.world.getMedia({ video: constraints })).getVideoTracks();
      if (!track || this.state === 'ended') return track?.stop();
      local.addTrack(track);
      // A line of theirs that we have only watched so far is taken for ours, too.
      const watched = pc.getTransceivers().find((t) => t.receiver.track.kind === 'video' && !t.sender.track);
      if (watched) await watched.sender.replaceTrack(track);
      else pc.addTrack(track, local);
    } else {
      for (const track of local.getVideoTracks()) {
        const sender = pc.getSenders().find((s) => s.track === track);
        await sender?.replaceTrack(null);
        track.stop();
        local.removeTrack(track);
      }
    }
    this.direct(pc);
    this.emit('local', local);
    await this.renegotiate();
  }

  /** Another microphone or camera in the place of the one of its kind; the call goes on without a pause. */
  async replaceTrack(track: MediaStreamTrack): Promise<void> {
    const local = this.local;
    const old = local?.getTracks().find((t) => t.kind === track.kind);
    const sender = this.need().getSenders().find((s) => s.track && s.track === old);
    if (!local || !old || !sender) throw new RequestError('wrong_state', `no ${track.kind} is sent`);
    track.enabled = old.enabled;
    await sender.replaceTrack(track);
    local.removeTrack(old);
    local.addTrack(track);
    if (this.ownStream) old.stop();
    this.emit('local', local);
  }

  /** The microphone is not heard, and nothing is told to the other side. */
  mute(on = true): void {
    this.muted = on;
    for (const track of this.local?.getAudioTracks() ?? []) track.enabled = !on;
  }

  async sendDigits(digits: string, duration = 160): Promise<void> {
    await this.ask({ op: 'dtmf', call: this.id, digits, duration });
  }

  /** Away from us: to a number, or to whom another call of ours is with. */
  async transfer(to: string | Call): Promise<void> {
    await this.ask(typeof to === 'string' ? { op: 'transfer', call: this.id, to } : { op: 'transfer', call: this.id, with: to.id });
  }

  /** For level meters and figures of one's own. */
  stats(): Promise<RTCStatsReport> {
    return this.need().getStats();
  }

  /** How the sound of the other side has been since this was asked before. Null: nothing has come. */
  async quality(): Promise<Quality | null> {
    const now = figuresOf(await this.stats());
    const quality = qualityOf(this.before, now);
    this.before = now;
    return quality;
  }

  /** @internal */
  told(event: ServerEvent): void {
    switch (event.event) {
      case 'ringing':
        this.become('ringing');
        if (event.sdp) this.answered({ type: 'pranswer', sdp: event.sdp });
        break;
      case 'answered':
        this.answered({ type: 'answer', sdp: event.sdp });
        this.become('up');
        break;
      case 'answer':
        // To an offer in mid-call, or to the one we answered with.
        if (this.offered) this.exchanged({ type: 'answer', sdp: event.sdp });
        else this.answered({ type: 'answer', sdp: event.sdp });
        break;
      case 'offer':
        this.reply({ type: 'offer', sdp: event.sdp });
        break;
      case 'offer_wanted':
        this.reply(null);
        break;
      case 'offer_refused':
        this.exchanged(null);
        if (event.status === 491) this.offerLater();
        break;
      case 'candidates':
        for (const c of event.candidates) this.addCandidate(c);
        break;
      case 'dtmf':
        this.emit('dtmf', event.digit);
        break;
      case 'transfer':
        this.emit('transfer', { status: event.status, final: event.final });
        break;
      case 'ended': {
        const { event: _event, call: _call, ...why } = event;
        this.over(why);
        break;
      }
    }
  }

  /** @internal The connection is back: what went on meanwhile is `listed`. */
  resumed(listed: ListedCall): void {
    if (listed.offer) this.offer = listed.offer;
    if (listed.state !== 'up') return;
    // Our answer has arrived, but not the word of it: what it spoke of is closed. The client hangs up.
    if (!this.connection || this.answering) return this.over({ by: 'failure', reason: 'its answer was lost with the connection' });
    this.become('up');
    // What waits for an answer goes first: until then the server takes no offer of ours. One that it asks for is the new way itself.
    if (listed.offer_wanted) {
      this.connection.restartIce();
      return this.reply(null);
    }
    if (listed.offer) this.reply({ type: 'offer', sdp: listed.offer });
    this.restart();
  }

  /** A new way for media: the network has changed. */
  private restart(): void {
    this.exchanged(null); // an answer that was on its way when the connection was lost is lost, too
    this.connection?.restartIce();
    this.renegotiate().catch(() => {}); // the next one will do; when media stops for good the server ends the call
  }

  /** A path that was lost while nothing could be offered yet. */
  private mend(): void {
    if (this.state === 'up' && this.connection?.iceConnectionState === 'failed') this.restart();
  }

  /** @internal */
  over(why: Omit<Ended, 'event' | 'call'>): void {
    if (this.state === 'ended') return;
    this.letGo();
    this.become('ended');
    this.emit('ended', why);
  }

  private letGo(): void {
    this.exchanged(null);
    this.connection?.close();
    this.connection = null;
    if (this.ownStream) for (const track of this.local?.getTracks() ?? []) track.stop();
  }

  // ---- the peer connection

  private async begin(media: Media): Promise<RTCPeerConnection> {
    const asked = media.iceServers ?? this.world.link.iceServers(); // while the microphone is
    this.local = media.stream ?? (await this.world.getMedia(media.constraints ?? { audio: true }));
    this.ownStream = !media.stream; // not before: what an earlier attempt was given is not ours to stop
    const iceServers = await asked;
    if (this.state === 'ended') {
      this.letGo(); // hung up meanwhile
      throw new RequestError('unknown_call', 'the call is over');
    }
    if (this.muted) this.mute();
    // The policy stays "balanced": by "max-bundle" a browser refuses whoever offers no group.
    const pc = this.world.createConnection({ iceServers, iceTransportPolicy: media.relayOnly ? 'relay' : 'all' });
    this.connection = pc;
    for (const track of this.local.getTracks()) pc.addTrack(track, this.local);
    pc.onicecandidate = ({ candidate }) => {
      if (candidate) this.waiting.push(toWire(candidate));
      else this.gathered = true;
      void this.sendCandidates();
    };
    // One stream of our own: what passes through a server does not say what belongs together.
    pc.ontrack = ({ track }) => {
      this.remote ??= new MediaStream();
      this.remote.addTrack(track);
      this.emit('stream', this.remote);
    };
    pc.oniceconnectionstatechange = () => {
      if (pc !== this.connection || this.state !== 'up') return;
      const state = pc.iceConnectionState;
      // The network that media is lost with may be the session's, too: then the restart comes when that is back.
      if (state === 'disconnected' || state === 'failed') this.world.link.hurry();
      if (state === 'failed') this.restart();
    };
    return pc;
  }

  /** What each line sends and takes follows from what we have, and from hold. */
  private direct(pc: RTCPeerConnection): void {
    for (const t of pc.getTransceivers()) {
      if (t.currentDirection === 'stopped') continue;
      const sends = t.sender.track !== null;
      t.direction = this.onHold ? (sends ? 'sendonly' : 'inactive') : sends ? 'sendrecv' : 'recvonly';
    }
  }

  private need(): RTCPeerConnection {
    if (!this.connection || this.state === 'ended') throw new RequestError('wrong_state', 'the call has no media');
    return this.connection;
  }

  private localSdp(): string {
    const description = this.connection?.localDescription;
    const sdp = description?.sdp ?? '';
    const theirs = this.connection?.currentRemoteDescription?.sdp;
    // Lines that have ports of their own keep them: a browser offers the group again each time.
    return description?.type === 'offer' && theirs && !group.test(theirs) ? sdp.replace(group, '') : sdp;
  }

  private inTurn<T>(what: () => Promise<T>): Promise<T> {
    const next = this.turn.then(what, what);
    this.turn = next.catch(() => {});
    return next;
  }

  private async describe(pc: RTCPeerConnection, description: RTCSessionDescriptionInit): Promise<void> {
    await pc.setRemoteDescription({ ...description, sdp: inGroup(description, pc.currentRemoteDescription) });
    for (const candidate of this.early.splice(0)) await pc.addIceCandidate(candidate).catch(() => {});
  }

  /** An answer that was lost with the connection: early media has said the same, and nothing is offered before. */
  private async settle(pc: RTCPeerConnection): Promise<void> {
    const early = pc.signalingState === 'have-remote-pranswer' && pc.pendingRemoteDescription;
    if (early && this.state === 'up') await this.describe(pc, { type: 'answer', sdp: early.sdp });
  }

  private answered(description: RTCSessionDescriptionInit): void {
    void this.inTurn(async () => {
      // An answer that repeats what early media said comes when nothing is asked for any more.
      if (this.connection && this.connection.signalingState !== 'stable') await this.describe(this.connection, description);
      this.mend();
    }).catch(() => void this.hangUp().catch(() => {}));
  }

  /** To an offer in mid-call; null: the other side wants ours. */
  private reply(offer: RTCSessionDescriptionInit | null): void {
    this.exchanged(null);
    void this.inTurn(async () => {
      const pc = this.need();
      await this.settle(pc);
      await this.rollBack();
      if (offer) {
        await this.describe(pc, offer);
        await pc.setLocalDescription(await pc.createAnswer());
      } else {
        await pc.setLocalDescription(await pc.createOffer());
      }
      await this.ask({ op: 'answer', call: this.id, sdp: this.localSdp() });
      const direction = pc.getTransceivers()[0]?.currentDirection;
      const held = direction === 'recvonly' || direction === 'inactive';
      if (held !== this.held) {
        this.held = held;
        this.emit('held', held);
      }
      void this.sendCandidates();
    }).catch(() => {
      void this.inTurn(() => this.rollBack());
      void this.world.link.request({ op: 'reject', call: this.id, status: 488 }).catch(() => {});
    });
  }

  /** Resolves when the other side has answered, or has refused. */
  private renegotiate(): Promise<void> {
    return this.inTurn(async () => {
      const pc = this.need();
      await this.settle(pc);
      await pc.setLocalDescription(await pc.createOffer());
      const answer = new Promise<RTCSessionDescriptionInit | null>((done) => (this.offered = done));
      try {
        await this.ask({ op: 'offer', call: this.id, sdp: this.localSdp() });
      } catch (e) {
        this.offered = null;
        await this.rollBack();
        if (!(e instanceof RequestError) || e.code !== 'wrong_state') throw e;
        return this.offerLater(); // theirs came first
      }
      const description = await answer;
      if (pc !== this.connection) return;
      if (description) await this.describe(pc, description);
      else await this.rollBack();
    });
  }

  private exchanged(answer: RTCSessionDescriptionInit | null): void {
    this.offered?.(answer);
    this.offered = null;
  }

  /** RFC 3261 section 14.1: offers that crossed are made again after a while of chance. */
  private offerLater(): void {
    setTimeout(() => {
      if (this.state === 'up' && this.connection) this.renegotiate().catch(() => {});
    }, 500 + Math.random() * 1500);
  }

  private async rollBack(): Promise<void> {
    if (this.connection?.signalingState === 'have-local-offer') await this.connection.setLocalDescription({ type: 'rollback' });
    if (this.connection?.signalingState === 'have-remote-offer') await this.connection.setRemoteDescription({ type: 'rollback' });
  }

  private addCandidate(c: Candidate): void {
    const candidate: RTCIceCandidateInit = {
      candidate: c.candidate,
      sdpMid: c.mid ?? null,
      ...(c.mid === undefined ? { sdpMLineIndex: 0 } : {}),
      ...(c.ufrag === undefined ? {} : { usernameFragment: c.ufrag }),
    };
    if (this.connection?.remoteDescription) void this.connection.addIceCandidate(candidate).catch(() => {});
    else if (this.early.length < 256) this.early.push(candidate);
  }

  private async sendCandidates(): Promise<void> {
    if (!this.id || this.sending) return;
    this.sending = true;
    try {
      while (this.waiting.length > 0 || this.gathered) {
        const candidates = this.waiting.splice(0, batch);
        const end = this.gathered && this.waiting.length === 0;
        if (end) this.gathered = false;
        await this.ask({ op: 'candidates', call: this.id, candidates, end });
      }
    } catch {
      // With the connection: an ICE restart follows its return. Else the call is over.
    } finally {
      this.sending = false;
    }
  }

  private ask(request: Request): Promise<Answer> {
    return this.world.link.request(request);
  }

  private become(state: CallState): void {
    if (this.state === state || this.state === 'ended') return;
    this.state = state;
    this.emit('state', state);
  }
}

function toWire(candidate: RTCIceCandidate): Candidate {
  return {
    candidate: candidate.candidate,
    ...(candidate.sdpMid === null ? {} : { mid: candidate.sdpMid }),
    ...(candidate.usernameFragment ? { ufrag: candidate.usernameFragment } : {}),
  };
}
