// Lines over time as SVG, drawn for the width there is. Colours come from the style sheet, by series.
import { useEffect, useRef, useState } from 'preact/hooks';
import { timeOfDay } from '../format';
import { useLocale } from '../i18n';
import { niceCeiling, thin, timeTicks, type Point } from '../series';

export interface Series {
  name: string;
  /** Which of the style sheet's colours: c1 to c4. */
  color: 'c1' | 'c2' | 'c3' | 'c4';
  points: readonly Point[];
  area?: boolean;
}

const height = 168;
const margin = { left: 46, right: 12, top: 10, bottom: 22 };

function useWidth() {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(480);
  useEffect(() => {
    const element = box.current;
    if (!element || typeof ResizeObserver === 'undefined') return;
    const watch = new ResizeObserver(() => setWidth(Math.max(200, element.clientWidth)));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  return { box, width };
}

function path(points: readonly Point[], x: (t: number) => number, y: (v: number) => number): string {
  return points.map((p, i) => `${i ? 'L' : 'M'}${x(p.time).toFixed(1)} ${y(p.value).toFixed(1)}`).join('');
}

export function Chart(props: {
  title: string;
  series: readonly Series[];
  from: number;
  to: number;
  format: (value: number) => string;
  /** The axis ends here at least. */
  least?: number;
  /** The axis ends here, always. */
  most?: number;
  floor?: number;
}) {
  const { t } = useLocale();
  const { box, width } = useWidth();
  const [at, setAt] = useState<number | null>(null);
  const { from, to, format } = props;
  const floor = props.floor ?? 0;
  const series = props.series.map((s) => ({
    ...s,
    points: thin(s.points.filter((p) => p.time >= from && p.time <= to), Math.max(60, width)),
  }));
  const values = series.flatMap((s) => s.points.map((p) => p.value));
  const top = props.most ?? Math.max(niceCeiling(Math.max(0, ...values)), props.least ?? 0);
  const inner = { w: width - margin.left - margin.right, h: height - margin.top - margin.bottom };
  const x = (time: number) => margin.left + ((time - from) / Math.max(1, to - from)) * inner.w;
  const y = (v: number) => margin.top + (1 - (Math.min(v, top) - floor) / (top - floor)) * inner.h;
  const first = series[0]?.points ?? [];
  const label = first.length
    ? series
        .map((s) => {
          const v = s.points.map((p) => p.value);
          return t('chart.label', {
            title: s.name,
            now: format(v[v.length - 1] ?? 0),
            least: format(Math.min(...v)),
            most: format(Math.max(...v)),
          });
        })
        .join('. ')
    : t('chart.none');
  const nearest = (points: readonly Point[], time: number) =>
    points.reduce<Point | null>((best, p) => (!best || Math.abs(p.time - time) < Math.abs(best.time - time) ? p : best), null);
  const moved = (e: PointerEvent) => {
    const left = (e.currentTarget as SVGElement).getBoundingClientRect().left;
    const time = from + ((e.clientX - left - margin.left) / inner.w) * (to - from);
    setAt(nearest(first, time)?.time ?? null);
  };
  return (
    <figure class="chart card" ref={box}>
      <figcaption>
        <h2>{props.title}</h2>
        <ul class="legend">
          {series.map((s) => {
            const p = at === null ? s.points[s.points.length - 1] : nearest(s.points, at);
            return (
              <li key={s.name}>
                <span class={`swatch ${s.color}`} aria-hidden="true" />
                {s.name} <b>{p ? format(p.value) : '–'}</b>
              </li>
            );
          })}
          {at !== null && <li class="muted">{timeOfDay(at, true)}</li>}
        </ul>
      </figcaption>
      <svg
        role="img"
        aria-label={`${props.title}. ${label}`}
        width={width}
        height={height}
        viewBox={`0 0 ${width} ${height}`}
        onPointerMove={moved}
        onPointerLeave={() => setAt(null)}
      >
        {[0, 0.5, 1].map((share) => (
          <g key={share} class="grid">
            <line x1={margin.left} x2={width - margin.right} y1={y(floor + (top - floor) * share)} y2={y(floor + (top - floor) * share)} />
            <text x={margin.left - 7} y={y(floor + (top - floor) * share) + 4} text-anchor="end">
              {format(floor + (top - floor) * share)}
            </text>
          </g>
        ))}
        {timeTicks(from, to, Math.floor(inner.w / 74)).map((time) => (
          <text key={time} class="tick" x={x(time)} y={height - 6} text-anchor="middle">
            {timeOfDay(time, to - from < 180_000)}
          </text>
        ))}
        {series.map((s) => (
          <g key={s.name} class={`line ${s.color}`}>
            {s.area && s.points.length > 1 && (
              <path
                class="area"
                d={`${path(s.points, x, y)}L${x(s.points[s.points.length - 1]?.time ?? to).toFixed(1)} ${y(floor)}L${x(s.points[0]?.time ?? from).toFixed(1)} ${y(floor)}Z`}
              />
            )}
            <path d={path(s.points, x, y)} />
            {s.points.length === 1 && <circle cx={x(s.points[0]?.time ?? to)} cy={y(s.points[0]?.value ?? 0)} r="2.5" />}
          </g>
        ))}
        {first.length === 0 && (
          <text class="tick" x={margin.left + inner.w / 2} y={margin.top + inner.h / 2} text-anchor="middle">
            {t('chart.none')}
          </text>
        )}
        {at !== null && <line class="cross" x1={x(at)} x2={x(at)} y1={margin.top} y2={height - margin.bottom} />}
      </svg>
    </figure>
  );
}
