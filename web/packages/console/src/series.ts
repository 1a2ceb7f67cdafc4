// Figures over time as charts want them.
import type { Figures } from './api';

export interface Point {
  /** Milliseconds since 1970. */
  time: number;
  value: number;
}

export type Pick = (f: Figures) => number;

export function gauge(items: readonly Figures[], pick: Pick): Point[] {
  return items.map((f) => ({ time: Date.parse(f.time), value: pick(f) }));
}

/** How fast a total grows, per `per` seconds. A total that fell (the node was started anew) begins anew. */
export function rate(items: readonly Figures[], pick: Pick, per = 1): Point[] {
  const out: Point[] = [];
  for (let i = 1; i < items.length; ++i) {
    const before = items[i - 1] as Figures;
    const now = items[i] as Figures;
    const seconds = (Date.parse(now.time) - Date.parse(before.time)) / 1000;
    if (seconds <= 0) continue;
    const grown = pick(now) - pick(before);
    out.push({ time: Date.parse(now.time), value: grown < 0 ? 0 : (grown / seconds) * per });
  }
  return out;
}

/** Share of what was lost, 0 to 100. */
export function lossPercent(items: readonly Figures[]): Point[] {
  const out: Point[] = [];
  for (let i = 1; i < items.length; ++i) {
    const before = items[i - 1] as Figures;
    const now = items[i] as Figures;
    const lost = now.lost - before.lost;
    const came = now.packets - before.packets;
    const all = lost + came;
    out.push({ time: Date.parse(now.time), value: lost <= 0 || all <= 0 ? 0 : (lost / all) * 100 });
  }
  return out;
}

/** At most `most` points: means of equal parts, so that a chart has no more of them than pixels. */
export function thin(points: readonly Point[], most: number): Point[] {
  if (points.length <= most) return [...points];
  const out: Point[] = [];
  const step = points.length / most;
  for (let i = 0; i < most; ++i) {
    const part = points.slice(Math.floor(i * step), Math.floor((i + 1) * step));
    const last = part[part.length - 1];
    if (!last) continue;
    out.push({ time: last.time, value: part.reduce((sum, p) => sum + p.value, 0) / part.length });
  }
  return out;
}

/** The least of 1, 2, 2.5, 5 times a power of ten that is not below `value`. */
export function niceCeiling(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  for (const step of [1, 2, 2.5, 5, 10]) if (value <= step * power * (1 + 1e-9)) return step * power;
  return 10 * power;
}

/** Times at round minutes or hours, at most `most` of them (and six). */
export function timeTicks(from: number, to: number, most = 6): number[] {
  const minute = 60_000;
  const steps = [minute / 6, minute / 2, minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute, 60 * minute, 120 * minute];
  const step = steps.find((s) => (to - from) / s <= Math.max(2, Math.min(6, most))) ?? 240 * minute;
  const out: number[] = [];
  for (let t = Math.ceil(from / step) * step; t <= to; t += step) out.push(t);
  return out;
}
