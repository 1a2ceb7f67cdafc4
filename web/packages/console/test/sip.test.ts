import { describe, expect, it } from 'vitest';
import type { SipMessage } from '../src/api';
import { header, ladder, offset } from '../src/sip';

const message = (us: number, outbound: boolean, remote: string, text: string): SipMessage => ({
  time: '', time_us: us, outbound, transport: 'udp', local: '192.0.2.1:5060', remote, call_id: 'a', text,
});
const A = '192.0.2.7:5060';
const B = '198.51.100.9:5060';

describe('a ladder', () => {
  const steps = [
    message(1000, false, A, 'INVITE sip:2@x SIP/2.0\r\nContent-Type: application/sdp\r\n\r\nv=0'),
    message(1500, true, A, 'SIP/2.0 100 Trying\r\n\r\n'),
    message(3000, true, B, 'INVITE sip:2@y SIP/2.0\r\nc: application/sdp\r\n\r\nv=0'),
    message(5000, false, B, 'SIP/2.0 486 Busy Here\r\n\r\n'),
    message(9000, false, A, 'ACK sip:2@x SIP/2.0\r\n\r\n'),
  ];
  it('puts callers left of the node and who is called right of it', () => {
    const l = ladder(steps);
    expect(l.columns).toEqual([A, '', B]);
    expect(l.node).toBe(1);
    expect(l.steps.map((s) => [s.from, s.to])).toEqual([[0, 1], [1, 0], [1, 2], [2, 1], [0, 1]]);
  });
  it('says what each message is and when it came', () => {
    const l = ladder(steps);
    expect(l.steps.map((s) => s.label)).toEqual(['INVITE', '100 Trying', 'INVITE', '486 Busy Here', 'ACK']);
    expect(l.steps.map((s) => s.kind)).toEqual(['request', 'provisional', 'request', 'failure', 'request']);
    expect(l.steps.map((s) => s.notes)).toEqual([['SDP'], [], ['SDP'], [], []]);
    expect(l.steps.map((s) => s.after)).toEqual([0, 0.5, 2, 4, 8]);
  });
  it('survives messages that are none', () => {
    expect(ladder([]).steps).toEqual([]);
    expect(ladder([message(1, false, A, '')]).steps[0]?.label).toBe('');
  });
  it('looks for headers in the head alone', () => {
    expect(header('A B\r\nSubject : hi\r\n\r\nX: y', 'subject')).toBe('hi');
    expect(header('A B\r\n\r\nX: y', 'x')).toBe('');
  });
  it('writes how long after the first', () => {
    expect([0, 12.3, 4201].map(offset)).toEqual(['+0.0 ms', '+12 ms', '+4.20 s']);
  });
});
