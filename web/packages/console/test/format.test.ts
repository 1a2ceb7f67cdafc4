import { describe, expect, it } from 'vitest';
import { count, dateTime, duration, grade, mos, percent, secondsBetween, toUtc, userOf } from '../src/format';

describe('figures for people', () => {
  it('grades a mean opinion score by ITU-T G.109', () => {
    expect([0, 4.4, 4.03, 3.7, 3.6, 3.2, 3.1, 2.9].map(grade)).toEqual([
      'none', 'best', 'best', 'good', 'good', 'fair', 'fair', 'poor',
    ]);
    expect(mos(0)).toBe('–');
    expect(mos(4.409)).toBe('4.41');
  });
  it('writes durations, never less than nothing', () => {
    expect([-3, 7, 754, 3723].map(duration)).toEqual(['0:00', '0:07', '12:34', '1:02:03']);
    expect(secondsBetween('2026-11-30T12:00:00Z', '2026-11-30T12:00:01.500Z')).toBe(1.5);
    expect(secondsBetween('', '2026-11-30T12:00:00Z')).toBe(0);
  });
  it('writes shares and counts', () => {
    expect([0, 0.004, 0.082, 0.5, -0.1].map(percent)).toEqual(['0 %', '0.4 %', '8.2 %', '50 %', '0 %']);
    expect([9999, 12_340, 4_500_000].map(count)).toEqual(['9999', '12.3 k', '4.5 M']);
  });
  it('writes times that sort as they read', () => {
    const local = new Date(2026, 10, 30, 2, 3, 4);
    expect(dateTime(local.toISOString())).toBe('2026-11-30 02:03:04');
    expect(dateTime('')).toBe('–');
  });
  it('turns what a date field holds into UTC', () => {
    expect(toUtc('')).toBe('');
    expect(toUtc('nonsense')).toBe('');
    expect(Date.parse(toUtc('2026-11-30T12:00'))).toBe(new Date(2026, 10, 30, 12).getTime());
  });
  it('knows the user of an address', () => {
    expect(userOf('1001@example.com')).toBe('1001');
    expect(userOf('+4930')).toBe('+4930');
    expect(userOf('@x')).toBe('@x');
  });
});
