import { describe, expect, it } from 'vitest';
import { figuresOf, mosOf, qualityOf } from '../src/quality';

const report = (received: number, lost: number): Map<string, unknown> =>
  new Map<string, unknown>([
    ['c', { type: 'codec', mimeType: 'audio/opus' }],
    ['p', { type: 'candidate-pair', nominated: true, currentRoundTripTime: 0.04 }],
    ['i', { type: 'inbound-rtp', kind: 'audio', codecId: 'c', packetsReceived: received, packetsLost: lost, jitter: 0.005, jitterBufferDelay: received * 0.04, jitterBufferEmittedCount: received }],
    ['v', { type: 'inbound-rtp', kind: 'video', packetsReceived: 1, packetsLost: 99 }],
  ]);

describe('quality', () => {
  it('is of what came since it was asked before', () => {
    const first = figuresOf(report(100, 0));
    const quality = qualityOf(first, figuresOf(report(190, 10)));
    expect(quality).toMatchObject({ codec: 'opus', loss: 0.1, jitter: 5, roundTrip: 40 });
    expect(quality?.mos).toBeLessThan(qualityOf(null, first)?.mos ?? 0);
  });
  it('is nothing where nothing came', () => {
    expect(qualityOf(null, figuresOf(new Map()))).toBeNull();
    expect(qualityOf(figuresOf(report(5, 0)), figuresOf(report(5, 0)))).toBeNull();
  });
  it('falls with loss and delay, between its ends', () => {
    expect(mosOf('PCMU', 0, 0)).toBeCloseTo(4.41, 2); // R = 93.2
    for (const codec of ['opus', 'PCMU', 'G729']) {
      const row = [0, 0.02, 0.1, 0.3].map((loss) => mosOf(codec, loss, 60));
      expect(row).toEqual([...row].sort((a, b) => b - a));
    }
    expect(mosOf('opus', 0, 400)).toBeLessThan(mosOf('opus', 0, 150));
    expect(mosOf('opus', 1, 1000)).toBeGreaterThanOrEqual(1);
  });
});
