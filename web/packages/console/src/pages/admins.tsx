import { useState } from 'preact/hooks';
import { ApiError, at, type Admin, type Page, type SignedIn } from '../api';
import { useLocale, type Key } from '../i18n';
import { Await, Choice, Confirm, Field, PageTitle, Table, Tag, When } from '../ui/parts';
import { messageOf, useApp, useLoad } from '../ui/state';

const roles = ['viewer', 'operator', 'admin'] as const;

function AddAdmin({ after }: { after: () => void }) {
  const { api, announce } = useApp();
  const { t } = useLocale();
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [role, setRole] = useState<Admin['role']>('viewer');
  const [error, setError] = useState('');
  const submit = async (e: Event) => {
    e.preventDefault();
    try {
      await api.put(`/admins${at(name)}`, { password, role });
      announce(t('admins.added', { name }));
      setName('');
      setPassword('');
      setError('');
      after();
    } catch (e) {
      setError(messageOf(e));
    }
  };
  return (
    <form class="filters card" aria-label={t('admins.add')} onSubmit={(e) => void submit(e)}>
      <Field label={t('admins.name')} value={name} onInput={setName} required autocomplete="off" />
      <Field
        label={t('admins.password')}
        type="password"
        value={password}
        onInput={setPassword}
        required
        minLength={12}
        hint={t('admins.passwordHint')}
        autocomplete="new-password"
      />
      <Choice
        label={t('admins.role')}
        value={role}
        onChange={setRole}
        options={roles.map((r) => [r, t(`role.${r}`)] as const)}
      />
      <button type="submit" class="primary">
        {t('admins.addSubmit')}
      </button>
      {error && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
    </form>
  );
}

export function Admins() {
  const { api, session, announce } = useApp();
  const { t } = useLocale();
  const [asked, setAsked] = useState<Admin | null>(null);
  const accounts = useLoad((o) => api.get<Page<Admin>>('/admins', o), 'admins');
  const sessions = useLoad((o) => api.get<Page<SignedIn>>('/sessions', o), 'sessions', 10_000);
  const attempt = async (what: Promise<unknown>) => {
    try {
      await what;
    } catch (e) {
      announce(messageOf(e));
    }
    accounts.reload();
    sessions.reload();
  };
  return (
    <>
      <PageTitle text={t('admins.title')} />
      <AddAdmin after={accounts.reload} />
      <h2>{t('admins.accounts')}</h2>
      <Await loaded={accounts}>
        {({ items }) => (
          <Table
            caption={t('admins.accounts')}
            none={t('app.empty')}
            rows={items}
            id={(a) => a.name}
            columns={[
              { title: t('admins.name'), heads: true, cell: (a) => a.name },
              { title: t('admins.role'), cell: (a) => t(`role.${a.role}`) },
              { title: t('admins.enabled'), wide: true, cell: (a) => (a.enabled ? t('app.yes') : <Tag kind="bad">{t('app.no')}</Tag>) },
              {
                title: t('app.remove'),
                hideTitle: true,
                cell: (a) =>
                  a.name !== session.account && (
                    <button
                      type="button"
                      class="small danger"
                      aria-label={t('admins.removeOf', { name: a.name })}
                      onClick={() => setAsked(a)}
                    >
                      {t('app.remove')}
                    </button>
                  ),
              },
            ]}
          />
        )}
      </Await>
      <h2>{t('admins.sessions')}</h2>
      <Await loaded={sessions}>
        {({ items }) => (
          <Table
            caption={t('admins.sessions')}
            none={t('app.empty')}
            rows={items}
            id={(s) => s.id}
            columns={[
              { title: t('admins.name'), heads: true, cell: (s) => s.account },
              { title: t('admins.role'), wide: true, cell: (s) => t(`role.${s.role}` as Key) },
              { title: t('admins.source'), cell: (s) => <code>{s.source}</code> },
              { title: t('admins.since'), wide: true, cell: (s) => <When iso={s.created} /> },
              { title: t('admins.used'), cell: (s) => <When iso={s.used} /> },
              { title: t('admins.browser'), wide: true, cell: (s) => <span class="clip">{s.user_agent}</span> },
              {
                title: t('admins.end'),
                hideTitle: true,
                cell: (s) =>
                  s.own ? (
                    <span class="muted">{t('admins.own')}</span>
                  ) : (
                    <button
                      type="button"
                      class="small"
                      aria-label={t('admins.endOf', { name: s.account, source: s.source })}
                      onClick={() => void attempt(api.remove(`/sessions${at(s.id)}`))}
                    >
                      {t('admins.end')}
                    </button>
                  ),
              },
            ]}
          />
        )}
      </Await>
      {asked && (
        <Confirm
          text={t('admins.confirm', { name: asked.name })}
          action={t('app.remove')}
          onYes={() => {
            setAsked(null);
            void attempt(api.remove(`/admins${at(asked.name)}`));
          }}
          onNo={() => setAsked(null)}
        />
      )}
    </>
  );
}

export function Account() {
  const { api, session, announce } = useApp();
  const { t } = useLocale();
  const [old, setOld] = useState('');
  const [fresh, setFresh] = useState('');
  const [error, setError] = useState('');
  const submit = async (e: Event) => {
    e.preventDefault();
    try {
      await api.put('/session/password', { old, new: fresh });
      setOld('');
      setFresh('');
      setError('');
      announce(t('account.changed'));
    } catch (e) {
      setError(e instanceof ApiError && e.kind === 'forbidden' ? t('account.wrong') : messageOf(e));
    }
  };
  return (
    <>
      <PageTitle text={t('account.title')} />
      <p>
        {t('account.who', { name: session.account })} <Tag kind="plain">{t(`role.${session.role}`)}</Tag>
      </p>
      {session.role !== 'subscriber' && (
        <form class="card narrow" aria-label={t('account.password')} onSubmit={(e) => void submit(e)}>
          <h2>{t('account.password')}</h2>
          <Field label={t('account.old')} type="password" value={old} onInput={setOld} required autocomplete="current-password" />
          <Field
            label={t('account.new')}
            type="password"
            value={fresh}
            onInput={setFresh}
            required
            minLength={12}
            hint={t('admins.passwordHint')}
            autocomplete="new-password"
          />
          {error && (
            <p class="error" role="alert">
              {error}
            </p>
          )}
          <button type="submit" class="primary">
            {t('app.save')}
          </button>
        </form>
      )}
    </>
  );
}
