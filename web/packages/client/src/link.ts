// One session over one WebSocket after another: requests with their answers, the server's events, and coming back by itself.
import { Emitter } from './emitter.js';
import { RequestError, subprotocol, version, type Answer, type ListedCall, type Request, type ServerEvent } from './protocol.js';

export interface LinkOptions {
  /** "wss://example.com/rtc" */
  url: string;
  /** "1001@example.com" */
  user: string;
  /** Asked for at each sign-in, so that it need not be kept. This or `token`. */
  password?: string | (() => string | Promise<string>);
  /** In place of the password: a fresh one each time it is asked for. */
  token?: () => string | Promise<string>;
  /** A UUID of the device; with it the registrar knows a device that comes back. */
  instance?: string;
  /** For tests; the browser's otherwise. */
  WebSocket?: new (url: string, protocols: string) => WebSocket;
}

export type LinkState = 'offline' | 'connecting' | 'online' | 'reconnecting';

/** What the server knew when we came (back). */
export interface Welcome {
  resumed: boolean;
  registered: boolean;
  calls: ListedCall[];
}

interface LinkEvents {
  state: LinkState;
  welcome: Welcome;
  event: ServerEvent;
  /** It is over, and the link does not try again: signed in elsewhere (`replaced`), or refused. */
  closed: RequestError | null;
}

type Credentials = { user: string; password: string } | { user: string; token: string };

interface Pending {
  resolve: (answer: Answer) => void;
  reject: (error: RequestError) => void;
}

const pingEvery = 20_000;
const answerWithin = 30_000;
/** A ping is answered by the server itself: who takes longer is not there any more. */
const pingWithin = 8_000;
/** What the server answers by itself, whatever the other side of a call does. */
const atOnce = new Set<Request['op']>(['ping', 'hello', 'call', 'answer', 'hangup', 'reject']);
const openWithin = 10_000;
const firstPause = 250;
const longestPause = 10_000;
/** Refusals that another attempt would only repeat. */
const final = new Set(['unauthorized', 'unsupported_version', 'bad_request']);

export class Link extends Emitter<LinkEvents> {
  state: LinkState = 'offline';
  private socket: WebSocket | null = null;
  private readonly pending = new Map<number, Pending>();
  private nextId = 1;
  private token = '';
  private linger = 0;
  private lostAt = 0;
  private pause = firstPause;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private pinger: ReturnType<typeof setInterval> | undefined;
  private wanted = false;
  private servers: RTCIceServer[] = [];
  private serversUntil = 0;

  constructor(private readonly options: LinkOptions) {
    super();
  }

  /** Signs in; rejects when that is refused, and does not try again then. */
  async connect(): Promise<Welcome> {
    if (this.wanted) throw new RequestError('wrong_state', 'connected already');
    this.wanted = true;
    addEventListener('online', this.hurry);
    this.become('connecting');
    try {
      return await this.attempt();
    } catch (e) {
      this.end(null);
      throw e;
    }
  }

  /** Ends the session: calls are hung up, the registration is taken back. */
  async close(): Promise<void> {
    if (!this.wanted) return;
    try {
      if (this.state === 'online') await this.request({ op: 'bye' });
    } catch {
      // The server will notice by itself.
    }
    this.end(null);
  }

  request(request: Request): Promise<Answer> {
    const socket = this.socket;
    if (!socket || socket.readyState !== 1 || (this.state !== 'online' && request.op !== 'hello')) {
      return Promise.reject(new RequestError('disconnected', 'not connected'));
    }
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        if (this.pending.delete(id)) reject(new RequestError('disconnected', `no answer to ${request.op}`));
        // A socket that answers nothing is dead, whatever it says. And who does not know whether a call was placed or taken
        // learns it by coming back.
        if (atOnce.has(request.op)) this.drop(socket);
      }, request.op === 'ping' ? pingWithin : answerWithin);
      const done = () => clearTimeout(timer);
      this.pending.set(id, {
        resolve: (a) => (done(), resolve(a)),
        reject: (e) => (done(), reject(e)),
      });
      socket.send(JSON.stringify({ id, ...request }));
    });
  }

  /** The node's own TURN servers, with credentials that are good for a while yet; none when it has none. */
  async iceServers(): Promise<RTCIceServer[]> {
    if (Date.now() < this.serversUntil) return this.servers;
    try {
      const { ice_servers: servers = [], lifetime = 0 } = await this.request({ op: 'ice_servers' });
      this.servers = servers;
      this.serversUntil = Date.now() + lifetime * 500;
    } catch {
      return []; // an older server; or there is no connection, and no call either
    }
    return this.servers;
  }

  private become(state: LinkState): void {
    if (this.state === state) return;
    this.state = state;
    this.emit('state', state);
  }

  /** The network may have changed: a connection that still looks alive is tried, one that is gone is opened. */
  readonly hurry = (): void => {
    if (this.state === 'online') this.ping();
    if (this.state !== 'reconnecting' || this.socket) return;
    this.pause = firstPause;
    this.tryAgain(0);
  };

  private ping(): void {
    this.request({ op: 'ping' }).catch(() => {});
  }

  private async attempt(): Promise<Welcome> {
    await this.open();
    const resumable = this.token !== '' && Date.now() - this.lostAt < this.linger * 1000;
    let resumed = false;
    let answer: Answer | null = null;
    if (resumable) {
      try {
        answer = await this.hello({ resume: this.token });
        resumed = true;
      } catch (e) {
        // The session is gone; a new one is begun on the same socket.
        if (!(e instanceof RequestError) || e.code === 'disconnected') throw e;
      }
    }
    if (!answer) {
      this.token = '';
      answer = await this.hello(await this.credentials());
    }
    return this.welcome(answer, resumed);
  }

  private async credentials(): Promise<Credentials> {
    const { user, password, token } = this.options;
    if (token) return { user, token: await token() };
    return { user, password: (typeof password === 'function' ? await password() : password) ?? '' };
  }

  private hello(who: { resume: string } | Credentials): Promise<Answer> {
    const { instance } = this.options;
    return this.request({ op: 'hello', versions: [version], ...who, ...(instance ? { instance } : {}) });
  }

  private welcome(answer: Answer, resumed: boolean): Welcome {
    this.token = answer.session ?? '';
    this.linger = answer.linger ?? 0;
    this.pause = firstPause;
    this.pinger = setInterval(() => this.ping(), pingEvery);
    const welcome = { resumed, registered: answer.registered ?? false, calls: answer.calls ?? [] };
    this.become('online');
    this.emit('welcome', welcome);
    return welcome;
  }

  private open(): Promise<void> {
    const Socket = this.options.WebSocket ?? WebSocket;
    const socket = new Socket(this.options.url, subprotocol);
    this.socket = socket;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.drop(socket, over), openWithin);
      const over = () => {
        clearTimeout(timer);
        reject(new RequestError('disconnected', 'no connection to the server'));
        this.lost(socket);
      };
      socket.onopen = () => (clearTimeout(timer), resolve());
      socket.onmessage = (m) => this.received(socket, m.data);
      socket.onclose = over;
    });
  }

  /** Its end is not waited for: where the network is gone a browser takes a minute to close a socket. */
  private drop(socket: WebSocket, over = () => this.lost(socket)): void {
    socket.close();
    over();
  }

  private received(socket: WebSocket, data: unknown): void {
    if (socket !== this.socket || typeof data !== 'string') return;
    let message: Answer | ServerEvent;
    try {
      message = JSON.parse(data) as Answer | ServerEvent;
    } catch {
      return; // not ours
    }
    if (typeof message !== 'object' || message === null) return;
    if ('event' in message) return this.told(message);
    const pending = this.pending.get(message.id);
    if (!pending) return;
    this.pending.delete(message.id);
    if (message.ok) pending.resolve(message);
    else pending.reject(new RequestError(message.error?.code ?? 'failed', message.error?.text ?? '', message.error?.status));
  }

  private told(event: ServerEvent): void {
    if (event.event === 'replaced') {
      this.token = '';
      this.end(new RequestError('wrong_state', 'the session was taken over by another connection'));
      return;
    }
    this.emit('event', event);
  }

  private lost(socket: WebSocket): void {
    if (socket !== this.socket) return;
    this.socket = null;
    clearInterval(this.pinger);
    const open = [...this.pending.values()];
    this.pending.clear();
    for (const p of open) p.reject(new RequestError('disconnected', 'the connection was lost'));
    if (!this.wanted) return;
    if (this.state === 'online') this.lostAt = Date.now();
    if (this.state === 'connecting') return; // connect() tells
    this.become('reconnecting');
    this.tryAgain(this.pause);
    this.pause = Math.min(this.pause * 2, longestPause);
  }

  /** `after`: milliseconds, and up to half as many more, so that not everybody comes back at once. */
  private tryAgain(after: number): void {
    clearTimeout(this.retry);
    this.retry = setTimeout(() => {
      this.attempt().catch((e: unknown) => {
        if (e instanceof RequestError && final.has(e.code)) this.end(e);
        // A socket that is still there has nothing to offer: its end leads here again.
        else if (this.socket) this.drop(this.socket);
      });
    }, after * (1 + Math.random() / 2));
  }

  private end(why: RequestError | null): void {
    if (!this.wanted) return;
    this.wanted = false;
    removeEventListener('online', this.hurry);
    clearTimeout(this.retry);
    clearInterval(this.pinger);
    const socket = this.socket;
    this.socket = null;
    this.token = '';
    for (const p of this.pending.values()) p.reject(new RequestError('disconnected', 'closed'));
    this.pending.clear();
    socket?.close();
    this.become('offline');
    this.emit('closed', why);
  }
}
