// The telephone of a subscriber who is signed in: what is on its lines, who wrote what, how it sounds. No pictures: pages look at it through
// `subscribe`, and are told in words what happens through `onNews`.
import { Client, RequestError, type Call, type LinkState, type Media, type Quality } from '@tandem/client';
import { ApiError, type Api, type Session } from '../api';
import type { Key, Values } from '../i18n';
import { remember, remembered } from '../ui/state';
import { choose, chosen, constraintOf, findDevices, noDevices, openDevices, type Devices, type Kind } from './devices';
import { ownInstance } from './instance';
import { Sounds, type Tone } from './sounds';

export interface Line {
  key: number;
  call: Call;
  /** Milliseconds since 1970; 0: not answered. */
  answered: number;
  /** Our answer is on its way: a second click is none. */
  answering: boolean;
  quality: Quality | null;
  /** What either side has pressed. */
  pressed: string;
  heard: string;
  remote: MediaStream | null;
  /** Changes with the tracks of either side. */
  pictures: number;
  transferring: boolean;
  /** The other side is on its way to somebody else: the end of the call is no news. */
  transferred: boolean;
}

export interface Text {
  key: number;
  own: boolean;
  text: string;
  at: number;
  state: 'sending' | 'sent' | 'failed';
}

export interface Conversation {
  peer: string;
  name: string;
  texts: Text[];
  unread: number;
}

/** Why the telephone is off although it should be on. */
export type Fault = '' | 'unreachable' | 'refused' | 'elsewhere';

interface Ticket {
  user: string;
  ticket: string;
}

const mostConversations = 50;
const mostTexts = 200;
const qualityEvery = 2000;
const retryAfter = 5000;
const awakeEvery = 300_000;

/** "1002" of "sip:1002@example.com" for a subscriber of example.com; of others the whole without its scheme. */
export function nameOf(uri: string, domain: string): string {
  const plain = uri.replace(/^(sips?|tel):/i, '').replace(/[;?].*$/, '');
  const at = plain.lastIndexOf('@');
  const host = plain.slice(at + 1).replace(/:\d+$/, '').toLowerCase();
  return at > 0 && host === domain.toLowerCase() ? decode(plain.slice(0, at)) : plain;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export class Softphone {
  wanted = false;
  link: LinkState = 'offline';
  registered = false;
  fault: Fault = '';
  lines: Line[] = [];
  conversations: Conversation[] = [];
  devices: Devices = noDevices;
  /** The browser lets nothing sound before the page is touched. */
  silent = false;
  /** How many calls have ended: whoever shows records asks again. */
  over = 0;
  version = 0;

  /** What happens, for a screen reader and for the eye. */
  onNews: (key: Key, values?: Values) => void = () => {};

  readonly sounds = new Sounds();
  private client: Client | null = null;
  /** Changes with each attempt to connect, and with the end of all. */
  private turn = 0;
  private readonly listeners = new Set<() => void>();
  private nextKey = 1;
  private timers: ReturnType<typeof setInterval>[] = [];
  private retry: ReturnType<typeof setTimeout> | undefined;
  private whenFree: (() => void) | null = null;

  constructor(
    private readonly api: Api,
    private readonly session: Session,
  ) {
    addEventListener('pagehide', this.leave);
    addEventListener('beforeunload', this.warn);
    document.addEventListener('pointerdown', this.touched);
    document.addEventListener('keydown', this.touched);
    navigator.mediaDevices?.addEventListener('devicechange', this.lookForDevices);
    void this.lookForDevices();
    if (remembered('phone') === 'on') this.turnOn();
  }

  /** The page is done with it: nothing of it is left. */
  close(): void {
    removeEventListener('pagehide', this.leave);
    removeEventListener('beforeunload', this.warn);
    document.removeEventListener('pointerdown', this.touched);
    document.removeEventListener('keydown', this.touched);
    navigator.mediaDevices?.removeEventListener('devicechange', this.lookForDevices);
    this.end();
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Once no call is left; at once where there is none. */
  free(then: () => void): void {
    if (this.lines.length === 0) then();
    else this.whenFree = then;
  }

  // ---- on and off

  turnOn(): void {
    remember('phone', 'on');
    if (this.wanted) return;
    this.wanted = true;
    this.fault = '';
    this.timers.push(
      setInterval(() => void this.measure(), qualityEvery),
      // Who waits for calls does nothing else with the page, and is to stay signed in.
      setInterval(() => void this.api.get('/me').catch(() => {}), Math.min(awakeEvery, (this.session.idle_seconds * 1000) / 3)),
    );
    void this.connect();
  }

  turnOff(): void {
    remember('phone', 'off');
    this.end();
    this.changed();
  }

  private end(): void {
    this.wanted = false;
    ++this.turn;
    clearTimeout(this.retry);
    for (const t of this.timers.splice(0)) clearInterval(t);
    const client = this.client;
    this.client = null;
    void client?.disconnect();
    for (const line of this.lines) this.leaveLine(line, { by: 'us' });
    this.link = 'offline';
    this.registered = false;
    this.ring();
  }

  private async connect(): Promise<void> {
    const turn = ++this.turn;
    const instance = await ownInstance();
    if (turn !== this.turn) return; // turned off meanwhile, and perhaps on again
    const client = new Client({
      url: `wss://${location.host}/rtc`,
      user: this.session.account,
      token: () => this.ticket(),
      instance,
      getMedia: openDevices,
    });
    this.client = client;
    client.on('state', (state) => this.linkIs(client, state));
    client.on('incoming', (call) => this.follow(call));
    client.on('message', ({ from, name, type, text }) => this.received(from, name, type, text));
    client.on('registered', ({ on }) => {
      if (client !== this.client) return;
      if (this.registered && !on) this.onNews('phone.news.unregistered');
      this.registered = on;
      this.changed();
    });
    client.on('closed', (why) => {
      if (client !== this.client || !why) return;
      this.stopped(why.code === 'wrong_state' ? 'elsewhere' : 'refused');
    });
    try {
      await client.connect();
      await client.register();
    } catch (e) {
      if (client !== this.client) return;
      const code = e instanceof RequestError ? e.code : 'disconnected';
      if (code === 'unauthorized' || code === 'unsupported_version') return this.stopped('refused');
      this.client = null;
      void client.disconnect();
      this.fault = 'unreachable';
      this.retry = setTimeout(() => void this.connect(), retryAfter);
      this.changed();
    }
  }

  private stopped(fault: Fault): void {
    this.end();
    this.fault = fault;
    this.onNews(`phone.fault.${fault || 'refused'}`);
    this.changed();
  }

  /** The page has no password: its session asks for a ticket at each sign-in. */
  private async ticket(): Promise<string> {
    try {
      return (await this.api.post<Ticket>('/me/ticket', undefined)).ticket;
    } catch (e) {
      if (e instanceof ApiError && (e.status === 401 || e.status === 403)) throw new RequestError('unauthorized', e.message);
      throw e;
    }
  }

  private linkIs(client: Client, state: LinkState): void {
    if (client !== this.client) return;
    if (state === 'reconnecting') this.onNews('phone.news.lost');
    if (state === 'online' && this.link === 'reconnecting') this.onNews('phone.news.back');
    if (state === 'online') this.fault = '';
    this.link = state;
    this.changed();
  }

  private readonly leave = (): void => void this.client?.disconnect();

  private readonly warn = (event: Event): void => {
    if (this.lines.length > 0) event.preventDefault();
  };

  private readonly touched = (): void => {
    this.sounds.unlock();
    this.silent = false;
  };

  // ---- calls

  /** The one that is talked on: up and not held by us; else the one on its way. */
  get active(): Line | null {
    const own = this.lines.filter((l) => l.call.state !== 'incoming' && !l.call.onHold);
    return own.find((l) => l.call.state === 'up') ?? own[0] ?? null;
  }

  get ringing(): Line[] {
    return this.lines.filter((l) => l.call.state === 'incoming');
  }

  nameOf(call: Call): string {
    return call.peerName || this.numberOf(call);
  }

  numberOf(call: Call): string {
    return nameOf(call.peer, this.session.domain ?? '');
  }

  async call(to: string, video = false): Promise<void> {
    const client = this.client;
    const number = to.trim();
    if (!client || !number) return;
    await this.holdOthers(null);
    try {
      await client.call(number, this.media(video), (call) => this.follow(call));
      void this.lookForDevices(); // their names are known once one was allowed
    } catch (e) {
      this.explain(e);
    }
  }

  async answer(line: Line, video = false): Promise<void> {
    if (line.answering) return;
    line.answering = true;
    try {
      await this.holdOthers(line);
      await line.call.answer(this.media(video));
      void this.lookForDevices();
    } catch (e) {
      this.explain(e);
    } finally {
      line.answering = false;
    }
  }

  async refuse(line: Line): Promise<void> {
    await this.attempt(line.call.reject(603));
  }

  async hangUp(line: Line): Promise<void> {
    await this.attempt(line.call.hangUp());
  }

  async hold(line: Line, on: boolean): Promise<void> {
    if (!on) await this.holdOthers(line);
    const done = this.attempt(line.call.hold(on));
    this.changed();
    await done;
    this.changed();
  }

  mute(line: Line, on: boolean): void {
    line.call.mute(on);
    this.changed();
  }

  async camera(line: Line, on: boolean): Promise<void> {
    await this.attempt(line.call.turnCamera(on, constraintOf('videoinput')));
    this.changed();
  }

  press(line: Line, digits: string): void {
    this.sounds.key(digits);
    line.pressed = (line.pressed + digits).slice(-32);
    void this.attempt(line.call.sendDigits(digits));
    this.changed();
  }

  async transfer(line: Line, to: string | Line): Promise<void> {
    line.transferring = true;
    this.changed();
    await this.attempt(line.call.transfer(typeof to === 'string' ? to : to.call));
    // Until the other side tells how it goes; a refusal has been explained.
    this.changed();
  }

  private media(video: boolean): Media {
    return { constraints: { audio: constraintOf('audioinput'), ...(video ? { video: constraintOf('videoinput') } : {}) } };
  }

  private async holdOthers(line: Line | null): Promise<void> {
    // All at once: while one answers, another may have become the one that is talked on.
    const others = this.lines.filter((l) => l !== line && l.call.state === 'up' && !l.call.onHold);
    const done = others.map((l) => l.call.hold().catch(() => {}));
    if (done.length > 0) this.changed();
    await Promise.all(done);
  }

  private follow(call: Call): void {
    const line: Line = { key: this.nextKey++, call, answered: 0, answering: false, quality: null, pressed: '', heard: '', remote: null, pictures: 0, transferring: false, transferred: false };
    this.lines = [...this.lines, line];
    const who = () => this.nameOf(call);
    call.on('state', (state) => {
      if (state === 'ringing') this.onNews('phone.news.ringing', { who: who() });
      if (state === 'up') {
        line.answered = Date.now();
        // One that was dialled before another was answered is answered itself: it is talked on, whoever is on the line meanwhile waits.
        void this.holdOthers(line);
        this.onNews('phone.news.up', { who: who() });
      }
      this.ring();
      this.changed();
    });
    call.on('stream', (stream) => {
      line.remote = stream;
      ++line.pictures;
      for (const track of stream.getTracks()) track.onmute = track.onunmute = () => (++line.pictures, this.changed());
      this.ring(); // what the other side lets us hear takes the place of our own tone
      this.changed();
    });
    call.on('local', () => (++line.pictures, this.changed()));
    call.on('held', (held) => {
      this.onNews(held ? 'phone.news.held' : 'phone.news.resumed', { who: who() });
      this.changed();
    });
    call.on('dtmf', (digit) => {
      line.heard = (line.heard + digit).slice(-32);
      this.onNews('phone.news.pressed', { who: who(), digit });
      this.changed();
    });
    call.on('transfer', ({ status, final }) => {
      if (!final) return;
      line.transferring = false;
      line.transferred = status < 300;
      this.onNews(status < 300 ? 'phone.news.transferred' : 'phone.news.notTransferred', { who: who(), status });
      this.changed();
    });
    call.on('ended', (why) => this.leaveLine(line, why));
    this.ring();
    this.changed();
  }

  private leaveLine(line: Line, why: { by: string; status?: number; reason?: string }): void {
    if (!this.lines.includes(line)) return;
    this.lines = this.lines.filter((l) => l !== line);
    ++this.over;
    const who = this.nameOf(line.call);
    if (line.transferring && why.by !== 'failure') {
      this.onNews('phone.news.transferred', { who });
    } else if (line.transferred) {
      // has been told
    } else if (why.by !== 'us') {
      const status = why.status ?? 0;
      const key: Key =
        status === 486 || status === 600
          ? 'phone.news.busy'
          : status === 603
            ? 'phone.news.declined'
            : status === 404 || status === 484 || status === 604
              ? 'phone.news.unknown'
              : status === 480 || status === 408 || status === 487
                ? 'phone.news.away'
                : status >= 300
                  ? 'phone.news.failed'
                  : line.answered === 0 && !line.call.outgoing
                    ? 'phone.news.missed'
                    : why.by === 'failure'
                      ? 'phone.news.broken'
                      : 'phone.news.ended';
      this.onNews(key, { who, status });
    } else {
      this.onNews('phone.news.ended', { who });
    }
    this.ring();
    this.changed();
    if (this.lines.length === 0) {
      this.whenFree?.();
      this.whenFree = null;
    }
  }

  private explain(e: unknown): void {
    const name = e instanceof Error ? e.name : '';
    if (e instanceof RequestError) {
      // How a call ended is told by its end.
      if (e.code !== 'unknown_call' && e.code !== 'failed') this.onNews(e.code === 'disconnected' ? 'phone.news.offline' : 'phone.news.refused', { why: e.message });
      else if (e.code === 'failed') this.onNews('phone.news.failed', { who: '', status: e.status ?? 0 });
    } else if (name === 'NotAllowedError') this.onNews('phone.news.notAllowed');
    else if (name === 'NotFoundError' || name === 'OverconstrainedError') this.onNews('phone.news.noDevice');
    else this.onNews('phone.news.refused', { why: e instanceof Error ? e.message : String(e) });
  }

  private async attempt(what: Promise<unknown>): Promise<void> {
    try {
      await what;
    } catch (e) {
      for (const line of this.lines) line.transferring = false;
      this.explain(e);
      this.changed();
    }
  }

  private ring(): void {
    const active = this.active;
    let tone: Tone | null = null;
    if (this.ringing.length > 0) tone = this.lines.length > this.ringing.length ? 'waiting' : 'ring';
    else if (active?.call.state === 'ringing' && !active.remote) tone = 'ringback';
    this.sounds.play(tone);
    this.silent = tone !== null && this.sounds.blocked;
  }

  private async measure(): Promise<void> {
    for (const line of this.lines) {
      if (line.call.state !== 'up' || line.call.onHold) continue;
      line.quality = await line.call.quality().catch(() => null);
    }
    if (this.lines.length > 0) this.changed();
  }

  // ---- devices

  private readonly lookForDevices = async (): Promise<void> => {
    this.devices = await findDevices().catch(() => noDevices);
    this.changed();
  };

  /** For calls to come, and for the one that is talked on. */
  async choose(kind: Kind, id: string): Promise<void> {
    choose(kind, id);
    this.changed();
    if (kind === 'audiooutput') return this.sounds.speakThrough(id);
    for (const { call } of this.lines) {
      if (kind === 'videoinput' && !call.camera) continue;
      if (!call.local) continue;
      const wish = kind === 'audioinput' ? { audio: constraintOf(kind) } : { video: constraintOf(kind) };
      try {
        const [track] = (await openDevices(wish)).getTracks();
        if (track) await call.replaceTrack(track);
      } catch (e) {
        this.explain(e);
      }
    }
  }

  chosen(kind: Kind): string {
    return chosen(kind);
  }

  // ---- messages

  conversation(peer: string, name = ''): Conversation {
    const found = this.conversations.find((c) => c.peer === peer);
    const made = found ?? { peer, name, texts: [], unread: 0 };
    if (name) made.name = name;
    // The latest stands first.
    this.conversations = [made, ...this.conversations.filter((c) => c !== made)].slice(0, mostConversations);
    return made;
  }

  async write(to: string, text: string): Promise<void> {
    const peer = nameOf(to.trim(), this.session.domain ?? '');
    if (!this.client || !peer || !text.trim()) return;
    const written: Text = { key: this.nextKey++, own: true, text, at: Date.now(), state: 'sending' };
    this.keep(this.conversation(peer), written);
    try {
      await this.client.sendMessage(peer, text);
      written.state = 'sent';
    } catch (e) {
      written.state = 'failed';
      this.onNews('phone.news.notSent', { who: peer, why: e instanceof Error ? e.message : '' });
    }
    this.changed();
  }

  read(conversation: Conversation): void {
    if (conversation.unread === 0) return;
    conversation.unread = 0;
    this.changed();
  }

  get unread(): number {
    return this.conversations.reduce((sum, c) => sum + c.unread, 0);
  }

  private received(from: string, name: string, type: string, text: string): void {
    if (type && !/^text\/plain\b/i.test(type)) return;
    const conversation = this.conversation(nameOf(from, this.session.domain ?? ''), name);
    ++conversation.unread;
    this.keep(conversation, { key: this.nextKey++, own: false, text, at: Date.now(), state: 'sent' });
    this.onNews('phone.news.message', { who: conversation.name || conversation.peer });
  }

  private keep(conversation: Conversation, text: Text): void {
    conversation.texts = [...conversation.texts, text].slice(-mostTexts);
    this.changed();
  }

  private changed(): void {
    ++this.version;
    for (const listener of [...this.listeners]) listener();
  }
}
