import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Figures, History, Status } from '../api';
import { count, dateTime, percent } from '../format';
import { useLocale } from '../i18n';
import { gauge, lossPercent, rate } from '../series';
import { Chart } from '../ui/chart';
import { Await, Choice, PageTitle } from '../ui/parts';
import { remember, remembered, useApp, useLoad } from '../ui/state';

const period = 5000;
const percentage = (v: number) => `${Number.isInteger(v) ? v : v.toFixed(1)} %`;
const ranges = ['15', '60', '360'] as const;
type Range = (typeof ranges)[number];

function Tile(props: { name: string; value: string; hint?: string; alarm?: boolean; children?: ComponentChildren }) {
  return (
    <div class={`tile card${props.alarm ? ' alarm' : ''}`}>
      <dt>{props.name}</dt>
      <dd>
        <b>{props.value}</b>
        {props.hint && <small class="muted">{props.hint}</small>}
      </dd>
    </div>
  );
}

/** New calls a minute, over the last minute of samples or what there is. */
function perMinute(items: readonly Figures[]): number {
  const last = items[items.length - 1];
  const before = items[Math.max(0, items.length - 7)];
  if (!last || !before || last === before) return 0;
  const seconds = (Date.parse(last.time) - Date.parse(before.time)) / 1000;
  return seconds > 0 ? (Math.max(0, last.started - before.started) / seconds) * 60 : 0;
}

/** Share of the calls of the last 15 minutes that were answered; null without calls. */
function answerRatio(items: readonly Figures[]): number | null {
  const last = items[items.length - 1];
  if (!last) return null;
  const from = Date.parse(last.time) - 15 * 60_000;
  const before = items.find((f) => Date.parse(f.time) >= from) ?? last;
  const started = last.started - before.started;
  return started > 0 ? Math.min(1, Math.max(0, last.answered - before.answered) / started) : null;
}

/** The samples of the server and the figures of this moment. */
function useHistory() {
  const { api } = useApp();
  const kept = useRef<Figures[]>([]);
  return useLoad(async (options) => {
    const last = kept.current[kept.current.length - 1];
    const fresh = await api.get<History>('/history', { ...options, query: { after: last?.time } });
    kept.current = [...kept.current, ...fresh.items].slice(-2160);
    return { samples: kept.current, items: [...kept.current, fresh.now], now: fresh.now };
  }, 'history', period);
}

export function Overview() {
  const { api } = useApp();
  const { t } = useLocale();
  const [range, setRange] = useState<Range>(() => {
    const stored = remembered('range') as Range | null;
    return stored && ranges.includes(stored) ? stored : '15';
  });
  const history = useHistory();
  const status = useLoad((o) => api.get<Status>('/status', o), 'status', 15_000);
  useEffect(() => remember('range', range), [range]);
  const digits = (v: number) => (Number.isInteger(v) ? count(v) : v.toFixed(1));
  return (
    <>
      <PageTitle text={t('overview.title')}>
        <Choice
          quiet
          label={t('overview.range')}
          value={range}
          onChange={setRange}
          options={ranges.map((r) => [r, t(`overview.range.${r}`)] as const)}
        />
      </PageTitle>
      {status.data?.draining && <p class="notice warn">{t('overview.draining')}</p>}
      {status.data && !status.data.ready && !status.data.draining && (
        <p class="notice bad">{t('overview.notReady', { reason: status.data.reason })}</p>
      )}
      <Await loaded={history}>
        {({ samples, items, now }) => {
          const to = Date.parse(now.time);
          const from = to - Number(range) * 60_000;
          const ratio = answerRatio(items);
          const heard = now.legs_good + now.legs_poor;
          const common = { from, to };
          return (
            <>
              <dl class="tiles">
                <Tile name={t('overview.calls')} value={count(now.calls)} hint={t('overview.nowHint')} />
                <Tile name={t('overview.perMinute')} value={perMinute(samples).toFixed(1)} hint={t('overview.perMinuteHint')} />
                <Tile
                  name={t('overview.answered')}
                  value={ratio === null ? '–' : percent(ratio)}
                  hint={t('overview.answeredHint')}
                />
                <Tile
                  name={t('overview.poor')}
                  value={count(now.legs_poor)}
                  hint={t('overview.poorHint', { all: count(heard) })}
                  alarm={now.legs_poor > 0}
                />
                <Tile name={t('overview.contacts')} value={count(now.contacts)} hint={t('overview.contactsHint')} />
                <Tile name={t('overview.trunksDown')} value={count(now.trunks_down)} hint={t('overview.trunksHint')} alarm={now.trunks_down > 0} />
              </dl>
              <div class="charts">
                <Chart
                  {...common}
                  title={t('overview.chart.calls')}
                  format={digits}
                  least={4}
                  series={[
                    { name: t('overview.series.calls'), color: 'c1', area: true, points: gauge(items, (f) => f.calls) },
                  ]}
                />
                <Chart
                  {...common}
                  title={t('overview.chart.attempts')}
                  format={digits}
                  least={4}
                  series={[
                    { name: t('overview.series.started'), color: 'c1', points: rate(samples, (f) => f.started, 60) },
                    { name: t('overview.series.answered'), color: 'c2', points: rate(samples, (f) => f.answered, 60) },
                  ]}
                />
                <Chart
                  {...common}
                  title={t('overview.chart.quality')}
                  format={digits}
                  least={4}
                  series={[
                    { name: t('overview.series.good'), color: 'c2', area: true, points: gauge(items, (f) => f.legs_good) },
                    { name: t('overview.series.poor'), color: 'c3', area: true, points: gauge(items, (f) => f.legs_poor) },
                  ]}
                />
                <Chart
                  {...common}
                  title={t('overview.chart.loss')}
                  format={percentage}
                  least={2}
                  series={[
                    { name: t('overview.series.loss'), color: 'c3', area: true, points: lossPercent(samples) },
                  ]}
                />
              </div>
              {items.length < 3 && <p class="muted">{t('overview.first')}</p>}
            </>
          );
        }}
      </Await>
      {status.data && (
        <p class="muted foot">
          {t('overview.node', { version: status.data.version, started: dateTime(status.data.started) })}
        </p>
      )}
    </>
  );
}
