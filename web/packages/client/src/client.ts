// The telephone: one session, its registration, its calls.
import { Call, type Environment, type Media } from './call.js';
import { Emitter } from './emitter.js';
import { Link, type LinkOptions, type LinkState, type Welcome } from './link.js';
import { RequestError, type Availability, type Presence, type ServerEvent } from './protocol.js';

export interface ClientOptions extends LinkOptions {
  /** Of calls for which nothing else is said. */
  media?: Media;
  /** For tests; the browser's otherwise. */
  createConnection?: Environment['createConnection'];
  getMedia?: Environment['getMedia'];
}

interface ClientEvents {
  state: LinkState;
  incoming: Call;
  message: { from: string; name: string; type: string; text: string };
  presence: Presence;
  /** Whether calls come here. False by itself: a refresh failed (`status`). */
  registered: { on: boolean; status?: number };
  closed: RequestError | null;
}

/**
 * A telephone in a page.
 *
 * ```ts
 * const phone = new Client({ url: 'wss://example.com/rtc', user: '1001@example.com', password });
 * phone.on('incoming', (call) => call.answer());
 * await phone.connect();
 * await phone.register();
 * const call = await phone.call('1002');
 * call.on('stream', (stream) => (audio.srcObject = stream));
 * ```
 *
 * When the connection is lost it comes back by itself, its calls going on meanwhile; `state` tells. A session the server has given up is begun anew, its calls are over then, its registration is not.
 */
export class Client extends Emitter<ClientEvents> {
  private readonly link: Link;
  private readonly world: Environment;
  private readonly known = new Map<string, Call>();
  /** Events of a call whose name the answer to `call` has not told yet. */
  private readonly unclaimed = new Map<string, ServerEvent[]>();
  private wantsRegistration = false;
  private readonly watched = new Set<string>();
  private standing: { state: Availability; note: string } | null = null;

  constructor(private readonly options: ClientOptions) {
    super();
    this.link = new Link(options);
    this.world = {
      link: this.link,
      createConnection: options.createConnection ?? ((configuration) => new RTCPeerConnection(configuration)),
      getMedia: options.getMedia ?? ((constraints) => navigator.mediaDevices.getUserMedia(constraints)),
    };
    this.link.on('state', (state) => this.emit('state', state));
    this.link.on('welcome', (welcome) => this.welcomed(welcome));
    this.link.on('event', (event) => this.told(event));
    this.link.on('closed', (why) => {
      this.endAll();
      this.emit('closed', why);
    });
  }

  get state(): LinkState {
    return this.link.state;
  }

  /** Calls that are not over. */
  get calls(): Call[] {
    return [...this.known.values()];
  }

  async connect(): Promise<void> {
    await this.link.connect();
  }

  /** Hangs up, unregisters, ends the session. */
  disconnect(): Promise<void> {
    this.wantsRegistration = false;
    return this.link.close();
  }

  /** Calls come here from now on, also after the connection was lost; or no longer. */
  async register(on = true): Promise<void> {
    await this.link.request({ op: 'register', on });
    this.wantsRegistration = on;
    this.emit('registered', { on });
  }

  /**
   * `to`: a number, a name or a SIP URI. The call is on its way when this resolves; `begun` has it before the microphone is asked for, to be
   * shown and, if need be, hung up.
   */
  async call(to: string, media: Media = this.options.media ?? {}, begun?: (call: Call) => void): Promise<Call> {
    const call = new Call(this.world, media, { outgoing: true, peer: to });
    begun?.(call);
    await call.place((id) => this.follow(id, call));
    return call;
  }

  /** Resolves when the text was delivered, or stored for who is away. */
  async sendMessage(to: string, text: string): Promise<void> {
    await this.link.request({ op: 'message', to, text });
  }

  /** `presence` tells how it is with somebody of the same domain, also after the connection was lost; or no longer. */
  async watch(to: string, on = true): Promise<void> {
    await this.link.request({ op: 'watch', to, on });
    if (on) this.watched.add(to);
    else this.watched.delete(to);
  }

  /** What others are told of us, until `disconnect`. */
  async setPresence(state: Availability, note = ''): Promise<void> {
    await this.link.request({ op: 'presence', state, note });
    this.standing = { state, note };
  }

  private follow(id: string, call: Call): void {
    this.known.set(id, call);
    call.on('ended', () => this.known.delete(id));
    for (const event of this.unclaimed.get(id) ?? []) call.told(event);
    this.unclaimed.clear();
  }

  private told(event: ServerEvent): void {
    switch (event.event) {
      case 'incoming':
        return this.ring(event.call, event.peer, event.name, event.offer, event.offer_wanted);
      case 'message':
        return this.emit('message', { from: event.from, name: event.name ?? '', type: event.type, text: event.text });
      case 'presence': {
        const { event: _, ...presence } = event;
        return this.emit('presence', presence);
      }
      case 'registered':
        return this.emit('registered', { on: event.on, ...(event.status === undefined ? {} : { status: event.status }) });
      case 'replaced':
        return; // the link has ended
    }
    const call = this.known.get(event.call);
    if (call) call.told(event);
    else if (this.unclaimed.size < 16) this.unclaimed.set(event.call, [...(this.unclaimed.get(event.call) ?? []).slice(-16), event]);
  }

  private ring(id: string, peer: string, name: string, offer?: string, wanted?: boolean): void {
    const call = new Call(this.world, this.options.media ?? {}, {
      outgoing: false,
      peer,
      name,
      id,
      ...(offer === undefined ? {} : { offer }),
      offerWanted: wanted ?? false,
    });
    this.follow(id, call);
    this.emit('incoming', call);
  }

  private welcomed(welcome: Welcome): void {
    this.unclaimed.clear(); // of calls whose names are lost, or of another session
    const listed = new Map(welcome.calls.map((c) => [c.call, c]));
    for (const [id, call] of [...this.known]) {
      const still = welcome.resumed ? listed.get(id) : undefined;
      if (still) call.resumed(still);
      else call.over({ by: 'failure', reason: 'it ended while the connection was lost' });
    }
    for (const c of welcome.calls) {
      if (this.known.has(c.call)) continue;
      if (c.state === 'incoming') this.ring(c.call, c.peer, c.name, c.offer, c.offer_wanted);
      // An answer was lost with the connection, and its call has ended here. Nobody else has this session.
      else this.link.request({ op: 'hangup', call: c.call }).catch(() => {});
    }
    if (!welcome.resumed) {
      // A new session knows nothing of either; what is refused now has been told about before.
      for (const to of this.watched) this.watch(to).catch(() => {});
      if (this.standing) this.setPresence(this.standing.state, this.standing.note).catch(() => {});
    }
    if (this.wantsRegistration && !welcome.registered)
      this.register().catch((e: unknown) =>
        this.emit('registered', { on: false, ...(e instanceof RequestError && e.status ? { status: e.status } : {}) }),
      );
  }

  private endAll(): void {
    for (const call of [...this.known.values()]) call.over({ by: 'failure' });
    this.unclaimed.clear();
  }
}
