// Call records: a search whose filters stand in the address, so that it can be kept and sent to a colleague.
import { useEffect, useState } from 'preact/hooks';
import { address, type Cdr, type CdrLeg, type Page } from '../api';
import { count, dateTime, milliseconds, toUtc } from '../format';
import { useLocale, type Key, type Translate } from '../i18n';
import { go, href } from '../router';
import { Await, Facts, Field, Mos, PageTitle, Table, Tag, When } from '../ui/parts';
import { useApp, useLoad } from '../ui/state';
import { SipMessages } from './call';
import { talked } from './calls';

const filters = ['from', 'to', 'party', 'trunk', 'status', 'call_id'] as const;
type Filter = (typeof filters)[number];
type Search = Record<Filter, string>;
const pageSize = 50;

function searchOf(query: Record<string, string>): Search {
  return Object.fromEntries(filters.map((f) => [f, query[f] ?? ''])) as Search;
}

function restQuery(search: Search): Record<string, string> {
  return { ...search, from: toUtc(search.from), to: toUtc(search.to) };
}

/** The key of a record, as the address of its page carries it. */
export const recordKey = (r: Cdr) => [r.node, r.epoch, r.call, r.pair].join('-');

export function Result({ record }: { record: Cdr }) {
  const { t } = useLocale();
  if (record.answer) return <Tag kind="good">{t('records.answered')}</Tag>;
  return <Tag kind={record.sip_status >= 500 ? 'bad' : 'plain'}>{String(record.sip_status)}</Tag>;
}

const sides = ['caller', 'callee', 'system'];
const sideText = (t: Translate, side: string) => (sides.includes(side) ? t(`side.${side}` as Key) : side);

const partyOf = (leg: CdrLeg) => leg.user || leg.domain || '–';

export function Records({ query }: { query: Record<string, string> }) {
  const { api } = useApp();
  const { t } = useLocale();
  const [search, setSearch] = useState<Search>(() => searchOf(query));
  const [cursors, setCursors] = useState<string[]>([]);
  const applied = searchOf(query);
  const key = JSON.stringify(applied);
  useEffect(() => {
    setSearch(searchOf(query));
    setCursors([]);
  }, [key]);
  const cursor = cursors[cursors.length - 1] ?? '';
  const loaded = useLoad(
    (o) => api.get<Page<Cdr>>('/cdrs', { ...o, query: { ...restQuery(applied), cursor, limit: pageSize } }),
    `${key} ${cursor}`,
  );
  const field = (name: Filter, label: string, type = 'text') => (
    <Field label={label} type={type} value={search[name]} onInput={(v) => setSearch({ ...search, [name]: v })} />
  );
  const submit = (e: Event) => {
    e.preventDefault();
    if (JSON.stringify(search) === key) loaded.reload();
    else go(['records'], search);
  };
  return (
    <>
      <PageTitle text={t('records.title')}>
        <a
          class="button"
          download="tandem-records.csv"
          title={t('records.csvHint')}
          href={address('/cdrs', { ...restQuery(applied), limit: 1000, format: 'csv' })}
        >
          {t('records.csv')}
        </a>
      </PageTitle>
      <form class="filters card" role="search" aria-label={t('records.title')} onSubmit={submit}>
        {field('from', t('records.from'), 'datetime-local')}
        {field('to', t('records.to'), 'datetime-local')}
        {field('party', t('records.party'))}
        {field('trunk', t('records.trunk'))}
        {field('status', t('records.status'))}
        {field('call_id', t('records.callId'))}
        <button type="submit" class="primary">
          {t('records.search')}
        </button>
      </form>
      <Await loaded={loaded}>
        {({ items, next }) => (
          <>
            <Table
              caption={t('records.title')}
              none={t('records.none')}
              rows={items}
              id={recordKey}
              columns={[
                {
                  title: t('records.setup'),
                  heads: true,
                  cell: (r) => (
                    <a
                      href={href(['records', recordKey(r)], { call_id: r.caller.call_id })}
                      aria-label={`${t('records.detail')} ${dateTime(r.setup)}`}
                    >
                      <When iso={r.setup} />
                    </a>
                  ),
                },
                {
                  title: t('calls.caller'),
                  cell: (r) => (
                    <>
                      {partyOf(r.caller)}
                      <span class="short muted">{r.dialled}</span>
                    </>
                  ),
                },
                { title: t('records.dialled'), wide: true, cell: (r) => r.dialled },
                { title: t('calls.callee'), wide: true, cell: (r) => partyOf(r.callee) },
                { title: t('records.result'), cell: (r) => <Result record={r} /> },
                { title: t('records.length'), numeric: true, cell: (r) => talked(r.answer, r.end) },
                {
                  title: t('calls.quality'),
                  numeric: true,
                  wide: true,
                  cell: (r) => (
                    <span class="pair">
                      <Mos value={r.caller.mos_x100 / 100} />
                      <Mos value={r.callee.mos_x100 / 100} />
                    </span>
                  ),
                },
                { title: t('calls.route'), wide: true, cell: (r) => r.route || '–' },
              ]}
            />
            {(cursors.length > 0 || next) && (
              <nav class="pager" aria-label={t('records.pages')}>
                <button type="button" disabled={cursors.length === 0} onClick={() => setCursors(cursors.slice(0, -1))}>
                  {t('records.newer')}
                </button>
                <span class="muted" role="status">
                  {t('records.page', { n: cursors.length + 1 })}
                </span>
                <button type="button" disabled={!next} onClick={() => next && setCursors([...cursors, next])}>
                  {t('records.older')}
                </button>
              </nav>
            )}
          </>
        )}
      </Await>
    </>
  );
}

function RecordLeg({ leg, title }: { leg: CdrLeg; title: string }) {
  const { t } = useLocale();
  return (
    <section class="card leg" aria-label={title}>
      <header>
        <h3>
          {title} · {leg.display ? `${leg.display} · ${partyOf(leg)}` : partyOf(leg)}
        </h3>
      </header>
      <Facts
        items={[
          [t('calls.quality'), <Mos value={leg.mos_x100 / 100} />],
          [t('call.lost'), count(Math.max(0, leg.packets_lost))],
          [t('calls.jitter'), leg.packets_received > 0 ? milliseconds(leg.jitter_us / 1000) : '–'],
          [t('call.roundTrip'), leg.round_trip_us > 0 ? milliseconds(leg.round_trip_us / 1000) : '–'],
          [t('call.packets'), `${count(leg.packets_received)} ↓ ${count(leg.packets_sent)} ↑`],
          [t('calls.codec'), leg.codec || '–'],
          [t('call.reported', { party: partyOf(leg) }), <Mos value={leg.reported_mos_x100 / 100} />],
          [t('call.remote'), <code>{leg.remote || '–'}</code>],
          [t('record.userAgent'), leg.user_agent || '–'],
          [t('records.trunk'), leg.trunk || '–'],
        ]}
      />
    </section>
  );
}

export function RecordPage({ id, query }: { id: string; query: Record<string, string> }) {
  const { api } = useApp();
  const { t } = useLocale();
  const callId = query['call_id'] ?? '';
  const loaded = useLoad(
    (o) => api.get<Page<Cdr>>('/cdrs', { ...o, query: { call_id: callId, limit: 1000 } }),
    `${id} ${callId}`,
  );
  const record = loaded.data?.items.find((r) => recordKey(r) === id);
  const time = (iso: string) => dateTime(iso);
  return (
    <>
      <PageTitle
        text={
          record
            ? t('record.title', { caller: partyOf(record.caller), callee: record.dialled || partyOf(record.callee) })
            : t('records.detail')
        }
      />
      <Await loaded={loaded}>
        {() =>
          record ? (
            <>
              <section class="card" aria-label={t('record.times')}>
                <Facts
                  items={[
                    [t('records.result'), <Result record={record} />],
                    [t('records.setup'), time(record.setup)],
                    [t('record.ring'), time(record.ring)],
                    [t('record.answer'), time(record.answer)],
                    [t('record.end'), time(record.end)],
                    [t('records.length'), talked(record.answer, record.end)],
                    [t('records.status'), String(record.sip_status)],
                    [t('record.cause'), String(record.q850_cause)],
                    [t('record.side'), sideText(t, record.release_side)],
                    [t('calls.route'), record.route || '–'],
                    ...(record.forwarded_by ? [[t('record.forwarded'), record.forwarded_by] as const] : []),
                    ...(record.transferred_by ? [[t('record.transferred'), record.transferred_by] as const] : []),
                    ...(record.recordings.length > 0 ? [[t('record.recordings'), record.recordings.join(', ')] as const] : []),
                  ]}
                />
              </section>
              <div class="legs">
                <RecordLeg leg={record.caller} title={t('record.legCaller')} />
                {record.callee.call_id && <RecordLeg leg={record.callee} title={t('record.legCallee')} />}
              </div>
              <SipMessages
                path="/sip-messages"
                query={{ call_id: record.caller.call_id, other_call_id: record.callee.call_id }}
                period={0}
              />
            </>
          ) : (
            <p class="notice">{t('record.gone')}</p>
          )
        }
      </Await>
    </>
  );
}
