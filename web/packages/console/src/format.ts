// Numbers and times as people read them; the language decides how.

export type Grade = 'best' | 'good' | 'fair' | 'poor' | 'none';

/** ITU-T G.109 by mean opinion score, in four steps; none: nothing was received. */
export function grade(mos: number): Grade {
  if (mos <= 0) return 'none';
  if (mos >= 4.03) return 'best';
  if (mos >= 3.6) return 'good';
  return mos >= 3.1 ? 'fair' : 'poor';
}

/** "0:07", "12:34", "1:02:03". */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (n: number) => String(n).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

export function secondsBetween(from: string, to: string): number {
  if (!from || !to) return 0;
  return (Date.parse(to) - Date.parse(from)) / 1000;
}

export function mos(value: number): string {
  return value > 0 ? value.toFixed(2) : '–';
}

/** A share of 0 to 1. */
export function percent(share: number): string {
  const value = Math.max(0, share) * 100;
  return `${value.toFixed(value > 0 && value < 10 ? 1 : 0)} %`;
}

export function milliseconds(value: number): string {
  return `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}

/** "1 234", "12.3 k", "4.5 M". */
export function count(value: number): string {
  if (value < 10_000) return String(Math.round(value));
  if (value < 1_000_000) return `${(value / 1000).toFixed(1)} k`;
  return `${(value / 1_000_000).toFixed(1)} M`;
}

/** "2026-11-30 12:02:19" in the reader's zone: the same in every language, and it sorts as it reads. */
export function dateTime(iso: string): string {
  if (!iso) return '–';
  const d = new Date(iso);
  const two = (n: number) => String(n).padStart(2, '0');
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

/** "12:02" or "12:02:19" in the reader's zone. */
export function timeOfDay(ms: number, withSeconds = false): string {
  return dateTime(new Date(ms).toISOString()).slice(11, withSeconds ? 19 : 16);
}

/** What a <input type="datetime-local"> holds, in the reader's own zone, as UTC; empty stays empty. */
export function toUtc(local: string): string {
  if (!local) return '';
  const parsed = new Date(local);
  return Number.isNaN(parsed.getTime()) ? '' : parsed.toISOString().replace(/\.\d+Z$/, 'Z');
}

/** The user part of "user@domain", or the whole. */
export function userOf(party: string): string {
  const mark = party.indexOf('@');
  return mark > 0 ? party.slice(0, mark) : party;
}
