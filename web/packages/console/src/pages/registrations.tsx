import { useState } from 'preact/hooks';
import { at, type Page, type Registration } from '../api';
import { duration } from '../format';
import { useLocale } from '../i18n';
import { Await, Confirm, Field, PageTitle, Table } from '../ui/parts';
import { may, messageOf, useApp, useLoad } from '../ui/state';

export function Registrations() {
  const { api, session, announce } = useApp();
  const { t } = useLocale();
  const [search, setSearch] = useState('');
  const [asked, setAsked] = useState<Registration | null>(null);
  const loaded = useLoad(
    (o) => api.get<Page<Registration>>('/registrations', { ...o, query: { search, limit: 1000 } }),
    `registrations ${search}`,
    5000,
  );
  const remove = async (r: Registration) => {
    setAsked(null);
    try {
      await api.remove(`/registrations${at(r.domain, r.user)}`);
    } catch (e) {
      announce(messageOf(e));
    }
    loaded.reload();
  };
  const aor = (r: Registration) => `${r.user}@${r.domain}`;
  const admin = may(session.role, 'admin');
  return (
    <>
      <PageTitle text={t('registrations.title')}>
        <Field label={t('registrations.search')} type="search" value={search} onInput={setSearch} />
      </PageTitle>
      <Await loaded={loaded}>
        {({ items }) => (
          <>
            <p class="muted" role="status">
              {t('registrations.count', { n: items.length })}
            </p>
            <Table
              caption={t('registrations.title')}
              none={t('registrations.none')}
              rows={[...items].sort((a, b) => aor(a).localeCompare(aor(b)) || a.contact.localeCompare(b.contact))}
              id={(r) => `${aor(r)} ${r.contact}`}
              columns={[
                {
                  title: t('registrations.user'),
                  heads: true,
                  cell: (r) => (
                    <>
                      {r.user}
                      <span class="muted">@{r.domain}</span>
                    </>
                  ),
                },
                { title: t('registrations.source'), cell: (r) => <code>{r.source}</code> },
                { title: t('registrations.transport'), cell: (r) => r.transport.toUpperCase() },
                { title: t('registrations.agent'), wide: true, cell: (r) => r.user_agent || '–' },
                { title: t('registrations.expires'), numeric: true, cell: (r) => duration(r.expires_in) },
                ...(admin
                  ? [
                      {
                        title: t('registrations.remove'),
                        hideTitle: true,
                        cell: (r: Registration) => (
                          <button
                            type="button"
                            class="small"
                            aria-label={t('registrations.removeOf', { user: aor(r) })}
                            onClick={() => setAsked(r)}
                          >
                            {t('registrations.remove')}
                          </button>
                        ),
                      },
                    ]
                  : []),
              ]}
            />
          </>
        )}
      </Await>
      {asked && (
        <Confirm
          text={t('registrations.confirm', { user: aor(asked) })}
          action={t('registrations.remove')}
          onYes={() => void remove(asked)}
          onNo={() => setAsked(null)}
        />
      )}
    </>
  );
}
