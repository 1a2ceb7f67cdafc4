// A call's SIP messages as arrows between who sent them; each can be chosen by mouse or keyboard and read.
import { useEffect, useRef, useState } from 'preact/hooks';
import type { SipMessage } from '../api';
import { timeOfDay } from '../format';
import { useLocale } from '../i18n';
import { ladder, offset, type Step } from '../sip';

const row = 34;
const top = 46;

/** Widths in pixels; on a telephone's screen everything is closer. */
const roomy = { gap: 232, edge: 86, times: 74, label: 34 };
const compact = { gap: 138, edge: 64, times: 54, label: 20 };

function useSizes() {
  const query = '(max-width: 760px)';
  const [narrow, setNarrow] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const changed = () => setNarrow(list.matches);
    list.addEventListener('change', changed);
    return () => list.removeEventListener('change', changed);
  }, []);
  return narrow ? compact : roomy;
}

export function LadderDiagram({ messages }: { messages: readonly SipMessage[] }) {
  const { t } = useLocale();
  const [chosen, setChosen] = useState<number | null>(null);
  const list = useRef<SVGSVGElement>(null);
  const sizes = useSizes();
  if (messages.length === 0) return <p class="muted empty">{t('ladder.none')}</p>;
  const { columns, node, steps } = ladder(messages);
  const width = sizes.times + 2 * sizes.edge + sizes.gap * (columns.length - 1);
  const height = top + steps.length * row + 12;
  const x = (column: number) => sizes.times + sizes.edge + column * sizes.gap;
  const name = (column: number) => (column === node ? t('ladder.node') : (columns[column] ?? ''));
  const step = chosen === null ? undefined : steps[chosen];

  const choose = (index: number, focus = false) => {
    const to = Math.min(steps.length - 1, Math.max(0, index));
    setChosen(to);
    if (focus) list.current?.querySelector<SVGGElement>(`[data-step="${to}"]`)?.focus();
  };
  const key = (e: KeyboardEvent, index: number) => {
    const moves: Record<string, number> = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: steps.length - 1 };
    const to = moves[e.key];
    if (to !== undefined) choose(to, true);
    else if (e.key === 'Enter' || e.key === ' ') choose(index);
    else return;
    e.preventDefault();
  };

  return (
    <div class="ladder">
      <div class="ladder-box" tabIndex={0} role="region" aria-label={t('ladder.title')}>
        <svg
          ref={list}
          width={width}
          height={height}
          viewBox={`0 0 ${width} ${height}`}
          role="listbox"
          aria-label={t('ladder.label', { n: steps.length, parties: columns.map((_, i) => name(i)).join(', ') })}
        >
          {columns.map((_, i) => (
            <g key={i} class={i === node ? 'party node' : 'party'} aria-hidden="true">
              <line x1={x(i)} x2={x(i)} y1={top - 12} y2={height} />
              <rect x={x(i) - sizes.edge + 3} y={8} width={2 * sizes.edge - 6} height={24} rx={5} />
              <text x={x(i)} y={24} text-anchor="middle">
                {name(i)}
              </text>
            </g>
          ))}
          {steps.map((s, i) => (
            <Arrow
              key={i}
              step={s}
              index={i}
              y={top + i * row}
              x={x}
              chosen={chosen === i}
              reachable={chosen === i || (chosen === null && i === 0)}
              width={width}
              longest={sizes.label}
              label={t('ladder.step', { after: offset(s.after), from: name(s.from), to: name(s.to), label: s.label })}
              onChoose={() => choose(i)}
              onKey={(e) => key(e, i)}
            />
          ))}
        </svg>
      </div>
      <section class="sip-text" aria-live="polite" aria-label={t('ladder.message')}>
        {step ? (
          <>
            <p class="muted">
              {timeOfDay(step.message.time_us / 1000, true)} · {name(step.from)} → {name(step.to)} ·{' '}
              {step.message.transport.toUpperCase()}
            </p>
            <pre tabIndex={0}>{step.message.text}</pre>
          </>
        ) : (
          <p class="muted">{t('ladder.pick')}</p>
        )}
      </section>
    </div>
  );
}

function Arrow(props: {
  step: Step;
  index: number;
  y: number;
  x: (column: number) => number;
  chosen: boolean;
  reachable: boolean;
  width: number;
  longest: number;
  label: string;
  onChoose: () => void;
  onKey: (e: KeyboardEvent) => void;
}) {
  const { step, y, x } = props;
  const from = x(step.from);
  const to = x(step.to);
  const way = to > from ? 1 : -1;
  const line = y + 22;
  return (
    <g
      class={`step ${step.kind}${props.chosen ? ' chosen' : ''}`}
      role="option"
      aria-selected={props.chosen}
      aria-label={props.label}
      tabindex={props.reachable ? 0 : -1}
      data-step={props.index}
      onClick={props.onChoose}
      onKeyDown={props.onKey}
    >
      <rect class="hit" x={0} y={y} width={props.width} height={row} />
      <text class="after" x={8} y={line + 1}>
        {offset(step.after)}
      </text>
      <line x1={from} x2={to - way * 7} y1={line} y2={line} />
      <path d={`M${to} ${line}l${-way * 9} -4.5v9z`} />
      <text class="label" x={(from + to) / 2} y={line - 6} text-anchor="middle">
        {step.label.length > props.longest ? `${step.label.slice(0, props.longest - 1)}…` : step.label}
        {step.notes.length > 0 && <tspan class="note"> {step.notes.join(' ')}</tspan>}
      </text>
    </g>
  );
}
