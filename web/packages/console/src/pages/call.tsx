// One call in progress: its legs, how they sound and have sounded, its SIP messages.
import { useRef } from 'preact/hooks';
import { at, type Call as CallRow, type Leg, type Page, type SipMessage } from '../api';
import { count, duration, milliseconds, percent, userOf } from '../format';
import { useLocale } from '../i18n';
import { href } from '../router';
import type { Point } from '../series';
import { Chart, type Series } from '../ui/chart';
import { LadderDiagram } from '../ui/ladder';
import { Await, Facts, Mos, PageTitle, Tag } from '../ui/parts';
import { useApp, useLoad, useNow } from '../ui/state';
import { CallState, HangUp, stateText } from './calls';

const period = 2000;
const kept = 900; // half an hour

interface Track {
  party: string;
  mos: Point[];
  loss: Point[];
  jitter: Point[];
}

/** Adds what was measured now to what this page has seen; the server keeps no history of a call. */
function extend(tracks: Map<number, Track>, legs: readonly Leg[], time: number): void {
  for (const leg of legs) {
    const track = tracks.get(leg.id) ?? { party: leg.party, mos: [], loss: [], jitter: [] };
    tracks.set(leg.id, track);
    if (leg.media.packets_received === 0) continue;
    track.mos.push({ time, value: leg.media.mos });
    track.loss.push({ time, value: Math.max(0, leg.media.loss) * 100 });
    track.jitter.push({ time, value: leg.media.jitter_ms });
    for (const points of [track.mos, track.loss, track.jitter]) if (points.length > kept) points.shift();
  }
}

function LegCard({ leg }: { leg: Leg }) {
  const { t } = useLocale();
  const m = leg.media;
  const heard = m.packets_received > 0;
  return (
    <section class="card leg" aria-label={leg.party}>
      <header>
        <h3>{leg.display ? `${leg.display} · ${userOf(leg.party)}` : userOf(leg.party)}</h3>
        <Tag kind={leg.state === 'connected' ? 'good' : 'plain'}>{stateText(t, leg.state)}</Tag>
      </header>
      <Facts
        items={[
          [t('calls.quality'), <Mos value={m.mos} />],
          [t('calls.loss'), heard ? percent(m.loss) : '–'],
          [t('calls.jitter'), heard ? milliseconds(m.jitter_ms) : '–'],
          [t('call.roundTrip'), m.round_trip_ms > 0 ? milliseconds(m.round_trip_ms) : '–'],
          [t('call.packets'), `${count(m.packets_received)} ↓ ${count(m.packets_sent)} ↑`],
          [t('calls.codec'), leg.codec || '–'],
          [
            t('call.reported', { party: userOf(leg.party) }),
            m.reported ? (
              <>
                <Mos value={m.reported_mos} /> · {percent(m.reported_loss)}
              </>
            ) : (
              <span class="muted">{t('call.noReport')}</span>
            ),
          ],
          [t('call.remote'), <code>{leg.remote || '–'}</code>],
        ]}
      />
    </section>
  );
}

export function SipMessages({ path, query, period: again }: { path: string; query?: Record<string, string>; period: number }) {
  const { api } = useApp();
  const { t } = useLocale();
  const key = path + JSON.stringify(query ?? {});
  const loaded = useLoad((o) => api.get<Page<SipMessage>>(path, { ...o, query: query ?? {} }), key, again);
  return (
    <section aria-labelledby="ladder-title">
      <h2 id="ladder-title">{t('ladder.title')}</h2>
      <Await loaded={loaded}>{({ items }) => <LadderDiagram messages={items} />}</Await>
    </section>
  );
}

function QualityCharts({ tracks }: { tracks: Map<number, Track> }) {
  const { t } = useLocale();
  const all = [...tracks.values()];
  const to = Math.max(...all.flatMap((x) => x.mos.map((p) => p.time)), 0);
  if (to === 0) return null;
  const first = Math.min(...all.flatMap((x) => x.mos.slice(0, 1).map((p) => p.time)));
  const from = Math.min(first, to - 60_000);
  const series = (pick: (track: Track) => Point[]): Series[] =>
    all.map((x, i) => ({ name: userOf(x.party), color: i === 0 ? 'c1' : i === 1 ? 'c2' : 'c4', points: pick(x) }));
  return (
    <>
      <div class="charts three">
        <Chart title={t('calls.quality')} from={from} to={to} floor={1} most={5} format={(v) => v.toFixed(1)} series={series((x) => x.mos)} />
        <Chart title={t('calls.loss')} from={from} to={to} least={2} format={(v) => `${Number.isInteger(v) ? v : v.toFixed(1)} %`} series={series((x) => x.loss)} />
        <Chart title={t('calls.jitter')} from={from} to={to} least={10} format={(v) => `${v.toFixed(0)} ms`} series={series((x) => x.jitter)} />
      </div>
      <p class="muted">{t('call.qualityHint')}</p>
    </>
  );
}

export function CallPage({ id }: { id: string }) {
  const { api } = useApp();
  const { t } = useLocale();
  const now = useNow();
  const tracks = useRef(new Map<number, Track>());
  const loaded = useLoad(
    async (o) => {
      const call = await api.get<CallRow>(`/calls${at(id)}`, o);
      extend(tracks.current, call.legs, Date.now());
      return call;
    },
    id,
    period,
  );
  const call = loaded.data;
  const over = loaded.status === 404;
  const callId = call?.legs[0]?.call_id ?? '';
  return (
    <>
      <PageTitle
        text={
          call ? t('call.title', { caller: userOf(call.caller), callee: userOf(call.callee) }) : t('calls.title')
        }
      >
        {call && !over && <HangUp call={call} after={loaded.reload} />}
      </PageTitle>
      {over && (
        <p class="notice" role="status">
          {t('calls.gone')} {callId && <a href={href(['records'], { call_id: callId })}>{t('calls.goneRecord')}</a>}
        </p>
      )}
      {call ? (
        <>
          <p class="meta">
            {!over && <CallState state={call.state} />}
            <span class="tabular">{duration((now - Date.parse(call.answered || call.started)) / 1000)}</span>
            {call.route && (
              <span>
                {t('calls.route')} <b>{call.route}</b>
              </span>
            )}
          </p>
          <h2 class="hidden">{t('call.legs')}</h2>
          <div class="legs">
            {call.legs.map((leg) => (
              <LegCard key={leg.id} leg={leg} />
            ))}
          </div>
          <QualityCharts tracks={tracks.current} />
          {!over && <SipMessages path={`/calls${at(id)}/messages`} period={3000} />}
        </>
      ) : (
        !over && <Await loaded={loaded}>{() => null}</Await>
      )}
    </>
  );
}
