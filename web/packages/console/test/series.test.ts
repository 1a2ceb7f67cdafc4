import { describe, expect, it } from 'vitest';
import type { Figures } from '../src/api';
import { gauge, lossPercent, niceCeiling, rate, thin, timeTicks } from '../src/series';

const zero = { calls: 0, started: 0, answered: 0, contacts: 0, legs_good: 0, legs_poor: 0, packets: 0, lost: 0, sip_messages: 0, trunks_down: 0, recordings: 0 };
const start = Date.parse('2026-11-30T12:00:00Z');
const sample = (second: number, some: Partial<Figures>): Figures => ({ ...zero, ...some, time: new Date(start + second * 1000).toISOString() });

describe('series', () => {
  it('takes gauges as they are and totals as rates', () => {
    const items = [sample(0, { calls: 3, started: 10 }), sample(10, { calls: 5, started: 15 })];
    expect(gauge(items, (f) => f.calls).map((p) => p.value)).toEqual([3, 5]);
    expect(rate(items, (f) => f.started, 60)).toEqual([{ time: start + 10_000, value: 30 }]);
  });
  it('begins anew when a total fell: the node was restarted', () => {
    const items = [sample(0, { started: 900 }), sample(10, { started: 4 }), sample(20, { started: 6 })];
    expect(rate(items, (f) => f.started).map((p) => p.value)).toEqual([0, 0.2]);
  });
  it('has no rate between two samples of one moment', () => {
    expect(rate([sample(0, {}), sample(0, { started: 5 })], (f) => f.started)).toEqual([]);
  });
  it('counts loss as a share of what was sent', () => {
    const items = [sample(0, {}), sample(10, { packets: 90, lost: 10 }), sample(20, { packets: 190, lost: 10 })];
    expect(lossPercent(items).map((p) => p.value)).toEqual([10, 0]);
  });
  it('thins to means and keeps the last time', () => {
    const points = Array.from({ length: 10 }, (_, i) => ({ time: i, value: i }));
    expect(thin(points, 20)).toEqual(points);
    expect(thin(points, 2)).toEqual([{ time: 4, value: 2 }, { time: 9, value: 7 }]);
  });
  it('ends its axes at round numbers', () => {
    expect([0, 1, 1.1, 3, 43, 86, 101].map(niceCeiling)).toEqual([1, 1, 2, 5, 50, 100, 200]);
  });
  it('has as many ticks as there is room for', () => {
    const quarter = timeTicks(start, start + 15 * 60_000);
    expect(quarter.map((t) => (t - start) / 60_000)).toEqual([0, 5, 10, 15]);
    expect(timeTicks(start, start + 15 * 60_000, 2).length).toBeLessThanOrEqual(3);
  });
});
