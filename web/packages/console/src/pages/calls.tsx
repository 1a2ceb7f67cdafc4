import { useState } from 'preact/hooks';
import { at, type Call, type Leg, type OwnCall, type Page } from '../api';
import { duration, milliseconds, percent, secondsBetween, userOf } from '../format';
import { useLocale, type Key, type Translate } from '../i18n';
import { href } from '../router';
import { Await, Confirm, Field, Mos, PageTitle, Table, Tag } from '../ui/parts';
import { may, messageOf, useApp, useLoad, useNow } from '../ui/state';

const states = ['setup', 'ringing', 'connected', 'held', 'parked', 'transferring', 'releasing'];

export function stateText(t: Translate, state: string): string {
  return states.includes(state) ? t(`state.${state}` as Key) : state;
}

export function CallState({ state }: { state: string }) {
  const { t } = useLocale();
  const kind = state === 'connected' ? 'good' : state === 'releasing' ? 'bad' : state === 'ringing' || state === 'setup' ? 'fair' : 'plain';
  return <Tag kind={kind}>{stateText(t, state)}</Tag>;
}

export function HangUp({ call, after }: { call: Call; after: () => void }) {
  const { api, session, announce } = useApp();
  const { t } = useLocale();
  const [asked, setAsked] = useState(false);
  if (!may(session.role, 'operator')) return null;
  const names = { caller: userOf(call.caller), callee: userOf(call.callee) };
  const hangUp = async () => {
    setAsked(false);
    try {
      await api.remove(`/calls${at(call.id)}`);
      announce(t('calls.ended'));
    } catch (e) {
      announce(messageOf(e));
    }
    after();
  };
  return (
    <>
      <button type="button" class="small danger" aria-label={t('calls.hangupOf', names)} onClick={() => setAsked(true)}>
        {t('calls.hangup')}
      </button>
      {asked && (
        <Confirm
          text={t('calls.confirm', names)}
          action={t('calls.hangup')}
          onYes={() => void hangUp()}
          onNo={() => setAsked(false)}
        />
      )}
    </>
  );
}

/** A figure of each leg, one under the other, in the order caller, called. */
function Legs({ legs, show }: { legs: readonly Leg[]; show: (leg: Leg) => preact.ComponentChildren }) {
  return (
    <span class="pair">
      {legs.map((leg) => (
        <span key={leg.id} title={leg.party}>
          {show(leg)}
        </span>
      ))}
    </span>
  );
}

export function Calls() {
  const { api } = useApp();
  const { t } = useLocale();
  const [filter, setFilter] = useState('');
  const now = useNow();
  const loaded = useLoad((o) => api.get<Page<Call>>('/calls', o), 'calls', 2000);
  const heard = (leg: Leg) => leg.media.packets_received > 0;
  return (
    <>
      <PageTitle text={t('calls.title')}>
        <Field label={t('calls.filter')} type="search" value={filter} onInput={setFilter} />
      </PageTitle>
      <Await loaded={loaded}>
        {({ items }) => {
          const wanted = filter.toLowerCase();
          const rows = items
            .filter((c) => `${c.caller} ${c.callee}`.toLowerCase().includes(wanted))
            .sort((a, b) => b.started.localeCompare(a.started) || b.id.localeCompare(a.id));
          return (
            <>
              <p class="muted" role="status">
                {t('calls.count', { n: rows.length })}
              </p>
              <Table
                caption={t('calls.title')}
                none={t('calls.none')}
                rows={rows}
                id={(c) => c.id}
                columns={[
                  {
                    title: t('calls.caller'),
                    heads: true,
                    cell: (c) => (
                      <>
                        <a href={href(['calls', c.id])}>{userOf(c.caller)}</a>
                        <span class="short">{userOf(c.callee)}</span>
                      </>
                    ),
                  },
                  { title: t('calls.callee'), wide: true, cell: (c) => userOf(c.callee) },
                  { title: t('calls.state'), wide: true, cell: (c) => <CallState state={c.state} /> },
                  {
                    title: t('calls.duration'),
                    numeric: true,
                    cell: (c) => duration((now - Date.parse(c.answered || c.started)) / 1000),
                  },
                  {
                    title: t('calls.quality'),
                    numeric: true,
                    cell: (c) => <Legs legs={c.legs} show={(l) => <Mos value={l.media.mos} />} />,
                  },
                  {
                    title: t('calls.loss'),
                    numeric: true,
                    wide: true,
                    cell: (c) => <Legs legs={c.legs} show={(l) => (heard(l) ? percent(l.media.loss) : '–')} />,
                  },
                  {
                    title: t('calls.jitter'),
                    numeric: true,
                    wide: true,
                    cell: (c) => <Legs legs={c.legs} show={(l) => (heard(l) ? milliseconds(l.media.jitter_ms) : '–')} />,
                  },
                  {
                    title: t('calls.hangup'),
                    hideTitle: true,
                    wide: true,
                    cell: (c) => <HangUp call={c} after={loaded.reload} />,
                  },
                ]}
              />
            </>
          );
        }}
      </Await>
    </>
  );
}

/** A call that rang at several telephones has a record for each: it is one call, and who answered it counts. */
export function oneOfEach(calls: readonly OwnCall[]): OwnCall[] {
  const all = new Map<string, OwnCall>();
  for (const c of calls) {
    const key = `${c.direction} ${c.party} ${c.setup}`;
    const known = all.get(key);
    if (!known || (c.answer && !known.answer)) all.set(key, c);
  }
  return [...all.values()];
}

export const talked = (answer: string, end: string) => (answer ? duration(secondsBetween(answer, end)) : '–');
