// The REST API as the console uses it. One place adds the session's token to what changes something, marks
// what a page asks by itself, and turns an error of the server into an ApiError.

export type Role = 'viewer' | 'operator' | 'admin' | 'subscriber';

export interface Session {
  account: string;
  role: Role;
  csrf: string;
  user?: string;
  domain?: string;
  idle_seconds: number;
  ends: string;
}

export interface LegMedia {
  packets_received: number;
  packets_sent: number;
  packets_lost: number;
  loss: number;
  jitter_ms: number;
  max_jitter_ms: number;
  round_trip_ms: number;
  r_factor: number;
  wideband: boolean;
  mos: number;
  reported: boolean;
  reported_loss: number;
  reported_lost: number;
  reported_jitter_ms: number;
  reported_mos: number;
}

export interface Leg {
  id: number;
  party: string;
  display: string;
  call_id: string;
  state: string;
  remote: string;
  recording: string;
  codec: string;
  media: LegMedia;
}

export interface Call {
  id: string;
  state: string;
  caller: string;
  callee: string;
  started: string;
  answered: string;
  route: string;
  legs: Leg[];
}

export interface Registration {
  user: string;
  domain: string;
  contact: string;
  source: string;
  transport: string;
  user_agent: string;
  expires_in: number;
  q: number;
  instance: string;
}

export interface CdrLeg {
  call_id: string;
  user: string;
  domain: string;
  display: string;
  remote: string;
  transport: string;
  trunk: string;
  codec: string;
  user_agent: string;
  packets_received: number;
  packets_sent: number;
  packets_lost: number;
  jitter_us: number;
  mos_x100: number;
  reported_lost: number;
  reported_jitter_us: number;
  reported_mos_x100: number;
  round_trip_us: number;
}

export interface Cdr {
  node: number;
  epoch: number;
  call: string;
  pair: number;
  direction: string;
  setup: string;
  ring: string;
  answer: string;
  end: string;
  caller: CdrLeg;
  callee: CdrLeg;
  dialled: string;
  sip_status: number;
  q850_cause: number;
  release_side: string;
  transferred_by: string;
  forwarded_by: string;
  recordings: string[];
  route: string;
}

export interface SipMessage {
  time: string;
  time_us: number;
  outbound: boolean;
  transport: string;
  local: string;
  remote: string;
  call_id: string;
  text: string;
}

export interface Figures {
  time: string;
  calls: number;
  started: number;
  answered: number;
  contacts: number;
  legs_good: number;
  legs_poor: number;
  packets: number;
  lost: number;
  sip_messages: number;
  trunks_down: number;
  recordings: number;
}

export interface History {
  period: number;
  now: Figures;
  items: Figures[];
}

export interface Status {
  version: string;
  started: string;
  draining: boolean;
  ready: boolean;
  reason: string;
}

export interface Subscriber {
  user: string;
  domain: string;
  enabled: boolean;
  display_name: string;
  call_class: string;
  do_not_disturb: boolean;
  pickup_group: string;
}

export interface Trunk {
  name: string;
  domain: string;
  kind: string;
  enabled: boolean;
  host: string;
  port: number;
  transport: string;
}

export interface TrunkStatus {
  name: string;
  state: string;
  last_status: number;
  health: string;
  probe_status: number;
  calls: number;
}

export interface Route {
  id: number;
  domain: string;
  priority: number;
  name: string;
  enabled: boolean;
  pattern: string;
  action: string;
  target: string;
  targets: string[];
}

export interface Admin {
  name: string;
  role: Exclude<Role, 'subscriber'>;
  enabled: boolean;
}

export interface SignedIn {
  id: string;
  account: string;
  role: Role;
  source: string;
  user_agent: string;
  created: string;
  used: string;
  own: boolean;
}

export interface OwnCall {
  direction: 'in' | 'out';
  party: string;
  display: string;
  setup: string;
  answer: string;
  end: string;
  sip_status: number;
}

export interface Voicemail {
  id: number;
  from: string;
  from_display: string;
  received: string;
  length_ms: number;
  heard: boolean;
}

export interface Page<T> {
  items: T[];
  next?: string;
}

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly kind: string,
    message: string,
    /** Seconds to wait, of a 429. */
    readonly retryAfter = 0,
  ) {
    super(message);
  }
}

export type Query = Record<string, string | number | undefined>;

export interface Options {
  query?: Query;
  body?: unknown;
  /** Asked by the page itself, again and again: does not keep the session alive. */
  background?: boolean;
  signal?: AbortSignal;
}

/** "/calls" and what narrows it, without what is empty. */
export function address(path: string, query: Query = {}): string {
  const pairs = Object.entries(query)
    .filter(([, value]) => value !== undefined && value !== '')
    .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`);
  return `/api/v1${path}${pairs.length > 0 ? `?${pairs.join('&')}` : ''}`;
}

async function failure(response: Response): Promise<ApiError> {
  let kind = 'internal';
  let message = `HTTP ${response.status}`;
  try {
    const body = (await response.json()) as { error?: { kind?: string; message?: string } };
    kind = body.error?.kind ?? kind;
    message = body.error?.message ?? message;
  } catch {
    // Not JSON: something between us and the node answered.
  }
  return new ApiError(response.status, kind, message, Number(response.headers.get('Retry-After') ?? 0));
}

export class Api {
  private csrf = '';
  /** Called once the session is over. */
  onSignedOut: () => void = () => {};

  async signIn(account: string, password: string): Promise<Session> {
    const session = await this.send<Session>('POST', '/session', { body: { account, password } });
    this.csrf = session.csrf;
    return session;
  }

  /** Null when nobody is signed in. */
  async session(): Promise<Session | null> {
    try {
      const session = await this.send<Session>('GET', '/session', {});
      this.csrf = session.csrf;
      return session;
    } catch (e) {
      if (e instanceof ApiError && (e.status === 401 || e.status === 403)) return null;
      throw e;
    }
  }

  /** Rejects where the session may go on: whoever sits here next would have it. */
  async signOut(): Promise<void> {
    try {
      await this.send('DELETE', '/session', {});
    } catch (e) {
      if (!(e instanceof ApiError) || e.status !== 401) throw e; // 401: it is over already
    }
    this.csrf = '';
    this.onSignedOut();
  }

  get<T>(path: string, options: Options = {}): Promise<T> {
    return this.guarded<T>('GET', path, options);
  }
  put<T>(path: string, body: unknown): Promise<T> {
    return this.guarded<T>('PUT', path, { body });
  }
  post<T>(path: string, body: unknown): Promise<T> {
    return this.guarded<T>('POST', path, { body });
  }
  remove(path: string): Promise<void> {
    return this.guarded('DELETE', path, {});
  }

  private async guarded<T>(method: string, path: string, options: Options): Promise<T> {
    try {
      return await this.send<T>(method, path, options);
    } catch (e) {
      if (e instanceof ApiError && e.status === 401) this.onSignedOut();
      throw e;
    }
  }

  private async send<T>(method: string, path: string, options: Options): Promise<T> {
    const headers: Record<string, string> = { Accept: 'application/json' };
    if (method !== 'GET' && this.csrf) headers['X-CSRF-Token'] = this.csrf;
    if (options.background) headers['X-Background'] = '1';
    if (options.body !== undefined) headers['Content-Type'] = 'application/json';
    const init: RequestInit = { method, headers, credentials: 'same-origin', cache: 'no-store' };
    if (options.body !== undefined) init.body = JSON.stringify(options.body);
    if (options.signal) init.signal = options.signal;
    const response = await fetch(address(path, options.query), init);
    if (!response.ok) throw await failure(response);
    if (response.status === 204) return undefined as T;
    return (await response.json()) as T;
  }
}

/** Path segments from names, encoded. */
export function at(...segments: string[]): string {
  return segments.map((s) => `/${encodeURIComponent(s)}`).join('');
}
