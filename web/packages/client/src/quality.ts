// How a call sounds, out of what the browser counts: the E-model (ITU-T G.107) with the impairments of G.113 as far as they are known for the codecs of browsers.

export interface Quality {
  /** "opus", "PCMU" */
  codec: string;
  /** Of packets, 0 to 1, since it was asked before. */
  loss: number;
  /** Milliseconds. */
  jitter: number;
  /** Milliseconds to the server and back; null: not known yet. */
  roundTrip: number | null;
  /** Mean opinion score, 1 to 4.5, estimated. */
  mos: number;
}

/** What has been counted since the call began. */
export interface Figures {
  codec: string;
  received: number;
  lost: number;
  jitter: number;
  roundTrip: number | null;
  /** Seconds that samples have waited in the jitter buffer, in all, and how many. */
  waited: number;
  emitted: number;
}

export function figuresOf(report: Iterable<[string, unknown]>): Figures | null {
  const all = new Map(report) as Map<string, Record<string, unknown>>;
  const number = (value: unknown) => (typeof value === 'number' ? value : 0);
  let figures: Figures | null = null;
  let roundTrip: number | null = null;
  for (const s of all.values()) {
    if (s['type'] === 'candidate-pair' && s['nominated'] === true && typeof s['currentRoundTripTime'] === 'number') roundTrip = s['currentRoundTripTime'] * 1000;
    if (s['type'] !== 'inbound-rtp' || s['kind'] !== 'audio') continue;
    const mime = all.get(String(s['codecId']))?.['mimeType'];
    figures = {
      codec: typeof mime === 'string' ? mime.replace('audio/', '') : '',
      received: number(s['packetsReceived']),
      lost: number(s['packetsLost']),
      jitter: number(s['jitter']) * 1000,
      roundTrip: null,
      waited: number(s['jitterBufferDelay']),
      emitted: number(s['jitterBufferEmittedCount']),
    };
  }
  if (figures) figures.roundTrip = roundTrip;
  return figures;
}

export function qualityOf(before: Figures | null, now: Figures | null): Quality | null {
  if (!now) return null;
  const since = (of: 'received' | 'lost' | 'waited' | 'emitted') => Math.max(0, now[of] - (before?.[of] ?? 0));
  const expected = since('received') + since('lost');
  if (since('received') === 0) return null;
  const loss = since('lost') / expected;
  const buffered = since('emitted') > 0 ? (since('waited') / since('emitted')) * 1000 : now.jitter * 2;
  return { codec: now.codec, loss, jitter: now.jitter, roundTrip: now.roundTrip, mos: mosOf(now.codec, loss, (now.roundTrip ?? 0) / 2 + buffered + 20) };
}

/** `delay`: mouth to ear as far as we know it, in milliseconds. */
export function mosOf(codec: string, loss: number, delay: number): number {
  // Ie and Bpl of G.113 Appendix I: G.711 with its concealment; Opus conceals about as well and carries what G.711 does.
  const [impairment, robustness] = codec.toUpperCase() === 'G729' ? [11, 19] : [0, 25.1];
  const delayed = 0.024 * delay + (delay > 177.3 ? 0.11 * (delay - 177.3) : 0);
  const percent = loss * 100;
  const r = 93.2 - delayed - impairment - (95 - impairment) * (percent / (percent + robustness));
  if (r <= 0) return 1;
  return Math.min(4.5, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6);
}
