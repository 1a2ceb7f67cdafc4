// The messages of the JSON signalling API, version 1 (docs/rtc.md and docs/rtc.schema.json of the server).

export const subprotocol = 'tandem.rtc.v1';
export const version = 1;

export type ErrorCode =
  | 'bad_json'
  | 'bad_request'
  | 'unknown_op'
  | 'unsupported_version'
  | 'not_signed_in'
  | 'unauthorized'
  | 'unavailable'
  | 'unknown_call'
  | 'wrong_state'
  | 'too_many'
  | 'failed';

/** An ICE candidate as it travels: `candidate` is the line without "a="; empty: none. */
export interface Candidate {
  candidate: string;
  mid?: string;
  ufrag?: string;
}

export type Availability = 'available' | 'away' | 'busy' | 'offline';

/** How it is with somebody: what is known, each time it changes. */
export interface Presence {
  peer: string;
  state?: Availability;
  note?: string;
  line?: 'idle' | 'ringing' | 'busy';
}

/** What the client asks, without its number. */
export type Request =
  | { op: 'hello'; versions: number[]; user: string; password: string; instance?: string }
  | { op: 'hello'; versions: number[]; user: string; token: string; instance?: string }
  | { op: 'hello'; versions: number[]; resume: string; instance?: string }
  | { op: 'register'; on: boolean }
  | { op: 'call'; to: string; sdp: string }
  | { op: 'answer'; call: string; sdp: string }
  | { op: 'reject'; call: string; status?: number }
  | { op: 'hangup'; call: string }
  | { op: 'offer'; call: string; sdp: string }
  | { op: 'candidates'; call: string; candidates: Candidate[]; end?: boolean }
  | { op: 'dtmf'; call: string; digits: string; duration?: number }
  | { op: 'transfer'; call: string; to: string }
  | { op: 'transfer'; call: string; with: string }
  | { op: 'message'; to: string; text: string }
  | { op: 'watch'; to: string; on: boolean }
  | { op: 'presence'; state: Availability; note: string }
  | { op: 'ice_servers' }
  | { op: 'ping' }
  | { op: 'bye' };

/** A call as the answer to `hello` lists it. */
export interface ListedCall {
  call: string;
  state: 'calling' | 'incoming' | 'up';
  outgoing: boolean;
  peer: string;
  name: string;
  offer?: string;
  offer_wanted?: boolean;
}

export interface Answer {
  id: number;
  ok: boolean;
  error?: { code: ErrorCode; text: string; status?: number };
  version?: number;
  session?: string;
  linger?: number;
  registered?: boolean;
  calls?: ListedCall[];
  call?: string;
  status?: number;
  ice_servers?: RTCIceServer[];
  /** Seconds that their credentials are good. */
  lifetime?: number;
}

export interface Ended {
  event: 'ended';
  call: string;
  by: 'us' | 'peer' | 'failure';
  status?: number;
  reason?: string;
  cause?: number;
}

/** What the server says by itself. */
export type ServerEvent =
  | { event: 'incoming'; call: string; peer: string; name: string; to?: string; offer?: string; offer_wanted?: true }
  | { event: 'ringing'; call: string; status: number; sdp?: string }
  | { event: 'answered'; call: string; sdp: string }
  | { event: 'offer'; call: string; sdp: string }
  | { event: 'offer_wanted'; call: string }
  | { event: 'answer'; call: string; sdp: string }
  | { event: 'offer_refused'; call: string; status: number }
  | { event: 'candidates'; call: string; candidates: Candidate[]; end: boolean }
  | { event: 'dtmf'; call: string; digit: string }
  | { event: 'transfer'; call: string; status: number; final: boolean }
  | Ended
  | { event: 'message'; from: string; name?: string; type: string; text: string }
  | ({ event: 'presence' } & Presence)
  | { event: 'registered'; on: boolean; status?: number }
  | { event: 'replaced' };

/** A request that was refused, or could not be put. */
export class RequestError extends Error {
  constructor(
    /** The server's code, or `disconnected`: it went with its connection, and nobody knows what became of it. */
    readonly code: ErrorCode | 'disconnected',
    message: string,
    /** The SIP status, of `failed`. */
    readonly status?: number,
  ) {
    super(message);
    this.name = 'RequestError';
  }
}
