// What a ladder diagram needs of SIP messages: who, what, in which order.
import type { SipMessage } from './api';

export interface Step {
  message: SipMessage;
  /** "INVITE" or "180 Ringing". */
  label: string;
  /** "SDP" when the message carries a description, "auth" when it is a challenge or answers one. */
  notes: string[];
  kind: 'request' | 'provisional' | 'success' | 'failure';
  /** Index of the column it leaves and reaches. */
  from: number;
  to: number;
  /** Milliseconds since the first. */
  after: number;
}

export interface Ladder {
  /** The addresses, with the node at index `node`. */
  columns: string[];
  node: number;
  steps: Step[];
}

export function firstLine(text: string): string {
  const end = text.search(/\r?\n/);
  return end < 0 ? text : text.slice(0, end);
}

export function header(text: string, name: string): string {
  const head = text.split(/\r?\n\r?\n/, 1)[0] ?? '';
  for (const line of head.split(/\r?\n/).slice(1)) {
    const colon = line.indexOf(':');
    if (colon > 0 && line.slice(0, colon).trim().toLowerCase() === name.toLowerCase()) {
      return line.slice(colon + 1).trim();
    }
  }
  return '';
}

function kindOf(line: string): { label: string; kind: Step['kind'] } {
  const response = /^SIP\/2\.0 (\d{3}) ?(.*)$/.exec(line);
  if (!response) return { label: line.split(' ', 1)[0] ?? line, kind: 'request' };
  const status = Number(response[1]);
  const kind = status < 200 ? 'provisional' : status < 300 ? 'success' : 'failure';
  return { label: `${status} ${response[2] ?? ''}`.trim(), kind };
}

/** Callers stand left of the node, who is called right of it: whoever spoke first is a caller. */
export function ladder(messages: readonly SipMessage[]): Ladder {
  const callers: string[] = [];
  const callees: string[] = [];
  for (const m of messages) {
    if (callers.includes(m.remote) || callees.includes(m.remote)) continue;
    (m.outbound ? callees : callers).push(m.remote);
  }
  const columns = [...callers, '', ...callees];
  const node = callers.length;
  const start = messages[0]?.time_us ?? 0;
  const steps = messages.map((message): Step => {
    const { label, kind } = kindOf(firstLine(message.text));
    const notes: string[] = [];
    if (/^application\/sdp/i.test(header(message.text, 'Content-Type') || header(message.text, 'c'))) notes.push('SDP');
    const peer = columns.indexOf(message.remote);
    return {
      message,
      label,
      notes,
      kind,
      from: message.outbound ? node : peer,
      to: message.outbound ? peer : node,
      after: (message.time_us - start) / 1000,
    };
  });
  return { columns, node, steps };
}

/** "+0.0 ms", "+1.24 s" */
export function offset(ms: number): string {
  return ms < 1000 ? `+${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `+${(ms / 1000).toFixed(2)} s`;
}
