// What is configured, to look at: subscribers, trunks, routes.
import { useState } from 'preact/hooks';
import type { Page, Route, Subscriber, Trunk, TrunkStatus } from '../api';
import { useLocale, type Key } from '../i18n';
import { Await, Field, PageTitle, Table, Tag } from '../ui/parts';
import { useApp, useLoad } from '../ui/state';

function YesNo({ value }: { value: boolean }) {
  const { t } = useLocale();
  return value ? <>{t('app.yes')}</> : <Tag kind="bad">{t('app.no')}</Tag>;
}

export function Subscribers() {
  const { api } = useApp();
  const { t } = useLocale();
  const [search, setSearch] = useState('');
  const [cursors, setCursors] = useState<string[]>([]);
  const cursor = cursors[cursors.length - 1] ?? '';
  const loaded = useLoad(
    (o) => api.get<Page<Subscriber>>('/subscribers', { ...o, query: { search, cursor, limit: 100 } }),
    `${search} ${cursor}`,
  );
  return (
    <>
      <PageTitle text={t('subscribers.title')}>
        <Field
          label={t('subscribers.search')}
          type="search"
          value={search}
          onInput={(v) => {
            setCursors([]);
            setSearch(v);
          }}
        />
      </PageTitle>
      <Await loaded={loaded}>
        {({ items, next }) => (
          <>
            <Table
              caption={t('subscribers.title')}
              none={t('subscribers.none')}
              rows={items}
              id={(s) => `${s.user}@${s.domain}`}
              columns={[
                { title: t('subscribers.user'), heads: true, cell: (s) => s.user },
                { title: t('subscribers.domain'), wide: true, cell: (s) => s.domain },
                { title: t('subscribers.name'), cell: (s) => s.display_name || '–' },
                { title: t('subscribers.class'), cell: (s) => t(`class.${s.call_class}` as Key) },
                { title: t('subscribers.dnd'), wide: true, cell: (s) => (s.do_not_disturb ? <Tag kind="fair">{t('app.yes')}</Tag> : t('app.no')) },
                { title: t('subscribers.group'), wide: true, cell: (s) => s.pickup_group || '–' },
                { title: t('subscribers.enabled'), cell: (s) => <YesNo value={s.enabled} /> },
              ]}
            />
            {(cursors.length > 0 || next) && (
              <nav class="pager" aria-label={t('records.pages')}>
                <button type="button" disabled={cursors.length === 0} onClick={() => setCursors(cursors.slice(0, -1))}>
                  ←
                </button>
                <span class="muted">{t('records.page', { n: cursors.length + 1 })}</span>
                <button type="button" disabled={!next} onClick={() => next && setCursors([...cursors, next])}>
                  →
                </button>
              </nav>
            )}
          </>
        )}
      </Await>
    </>
  );
}

export function Trunks() {
  const { api } = useApp();
  const { t } = useLocale();
  const loaded = useLoad(
    async (o) => {
      const [rows, states] = await Promise.all([
        api.get<Page<Trunk>>('/trunks', o),
        api.get<Page<TrunkStatus>>('/trunk-status', o),
      ]);
      return rows.items.map((row) => ({ row, states: states.items.filter((s) => s.name === row.name) }));
    },
    'trunks',
    5000,
  );
  const health = (states: TrunkStatus[]) => states.find((s) => s.health)?.health ?? '';
  return (
    <>
      <PageTitle text={t('trunks.title')} />
      <Await loaded={loaded}>
        {(items) => (
          <Table
            caption={t('trunks.title')}
            none={t('trunks.none')}
            rows={items}
            id={({ row }) => row.name}
            columns={[
              { title: t('trunks.name'), heads: true, cell: ({ row }) => row.name },
              {
                title: t('trunks.host'),
                cell: ({ row }) => <code>{`${row.host}${row.port ? `:${row.port}` : ''} ${row.transport.toUpperCase()}`}</code>,
              },
              { title: t('trunks.kind'), wide: true, cell: ({ row }) => t(`trunks.kind.${row.kind}` as Key) },
              { title: t('trunks.registration'), wide: true, cell: ({ states }) => states.find((s) => s.state)?.state ?? '–' },
              {
                title: t('trunks.health'),
                cell: ({ states }) => {
                  const h = health(states);
                  return h ? <Tag kind={h === 'up' ? 'good' : h === 'down' ? 'bad' : 'plain'}>{h}</Tag> : '–';
                },
              },
              { title: t('trunks.calls'), numeric: true, cell: ({ states }) => states.reduce((n, s) => n + s.calls, 0) },
              { title: t('subscribers.enabled'), cell: ({ row }) => <YesNo value={row.enabled} /> },
            ]}
          />
        )}
      </Await>
    </>
  );
}

export function Routes() {
  const { api } = useApp();
  const { t } = useLocale();
  const loaded = useLoad((o) => api.get<Page<Route>>('/routes', o), 'routes');
  return (
    <>
      <PageTitle text={t('routes.title')} />
      <Await loaded={loaded}>
        {({ items }) => (
          <Table
            caption={t('routes.title')}
            none={t('routes.none')}
            rows={items}
            id={(r) => String(r.id)}
            columns={[
              { title: t('routes.priority'), numeric: true, cell: (r) => r.priority },
              { title: t('routes.name'), heads: true, cell: (r) => r.name || `#${r.id}` },
              { title: t('subscribers.domain'), wide: true, cell: (r) => r.domain || '*' },
              { title: t('routes.pattern'), cell: (r) => <code>{r.pattern}</code> },
              { title: t('routes.action'), cell: (r) => r.action },
              { title: t('routes.target'), cell: (r) => r.target || r.targets.join(', ') || '–' },
              { title: t('subscribers.enabled'), cell: (r) => <YesNo value={r.enabled} /> },
            ]}
          />
        )}
      </Await>
    </>
  );
}
