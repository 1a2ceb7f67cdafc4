import { useEffect, useState } from 'preact/hooks';
import { ApiError, type Api, type Session } from '../api';
import { useLocale } from '../i18n';
import { Field } from '../ui/parts';
import { messageOf } from '../ui/state';

export function SignIn(props: { api: Api; ended: boolean; onDone: (session: Session) => void }) {
  const { t } = useLocale();
  const [account, setAccount] = useState('');
  const [password, setPassword] = useState('');
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    document.title = `${t('signIn.title')} · ${t('app.name')}`;
  }, [t]);
  const why = (e: unknown): string => {
    if (!(e instanceof ApiError)) return messageOf(e);
    if (e.status === 401) return t('signIn.wrong');
    if (e.status === 429) return t('signIn.limited', { seconds: e.retryAfter });
    return e.status === 503 ? t('signIn.busy') : e.message;
  };
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError('');
    try {
      props.onDone(await props.api.signIn(account.trim(), password));
    } catch (e) {
      setPassword('');
      setError(why(e));
      setBusy(false);
    }
  };
  return (
    <main class="sign-in" id="page">
      <form class="card" onSubmit={(e) => void submit(e)} aria-labelledby="sign-in-title">
        <p class="brand">
          <img src="./favicon.svg" width="28" height="28" alt="" /> {t('app.name')}
        </p>
        <h1 id="sign-in-title">{t('signIn.title')}</h1>
        {props.ended && !error && <p class="notice warn">{t('signIn.ended')}</p>}
        <Field
          label={t('signIn.account')}
          value={account}
          onInput={setAccount}
          required
          autocomplete="username"
          hint={t('signIn.accountHint')}
        />
        <Field
          label={t('signIn.password')}
          type="password"
          value={password}
          onInput={setPassword}
          required
          autocomplete="current-password"
        />
        <p class="error" role="alert">
          {error}
        </p>
        <button type="submit" class="primary" disabled={busy}>
          {t('signIn.submit')}
        </button>
      </form>
    </main>
  );
}
