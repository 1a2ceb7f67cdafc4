import type { ComponentChildren } from 'preact';
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Api, type Role, type Session } from './api';
import { initialLanguage, languages, LocaleContext, translator, useLocale, type Key, type Language } from './i18n';
import { href, usePlace, type Place } from './router';
import { Account, Admins } from './pages/admins';
import { CallPage } from './pages/call';
import { Calls } from './pages/calls';
import { Home } from './pages/home';
import { Routes, Subscribers, Trunks } from './pages/lists';
import { Overview } from './pages/overview';
import { PhonePage } from './pages/phone';
import { RecordPage, Records } from './pages/records';
import { Registrations } from './pages/registrations';
import { SignIn } from './pages/sign-in';
import { PhoneProvider, usePhone } from './phone/context';
import { PhoneBar, useKeys } from './phone/parts';
import type { Softphone } from './phone/softphone';
import { Choice, PageTitle } from './ui/parts';
import { AppContext, may, messageOf, remember, remembered, type App as AppValue } from './ui/state';

interface PageEntry {
  path: string;
  title: Key;
  least: Role;
  /** Subscribers have pages of their own; `both` is for everybody. */
  who: 'admins' | 'subscribers' | 'both';
  show: (place: Place) => ComponentChildren;
}

const pages: readonly PageEntry[] = [
  { path: 'home', title: 'nav.home', least: 'subscriber', who: 'subscribers', show: () => <Home /> },
  { path: 'phone', title: 'nav.phone', least: 'subscriber', who: 'subscribers', show: () => <PhonePage /> },
  { path: 'overview', title: 'nav.overview', least: 'viewer', who: 'admins', show: () => <Overview /> },
  {
    path: 'calls',
    title: 'nav.calls',
    least: 'viewer',
    who: 'admins',
    show: ({ path }) => (path[1] ? <CallPage key={path[1]} id={path[1]} /> : <Calls />),
  },
  { path: 'registrations', title: 'nav.registrations', least: 'viewer', who: 'admins', show: () => <Registrations /> },
  {
    path: 'records',
    title: 'nav.records',
    least: 'viewer',
    who: 'admins',
    show: ({ path, query }) =>
      path[1] ? <RecordPage key={path[1]} id={path[1]} query={query} /> : <Records query={query} />,
  },
  { path: 'subscribers', title: 'nav.subscribers', least: 'viewer', who: 'admins', show: () => <Subscribers /> },
  { path: 'trunks', title: 'nav.trunks', least: 'viewer', who: 'admins', show: () => <Trunks /> },
  { path: 'routes', title: 'nav.routes', least: 'viewer', who: 'admins', show: () => <Routes /> },
  { path: 'admins', title: 'nav.admins', least: 'admin', who: 'admins', show: () => <Admins /> },
  { path: 'account', title: 'nav.account', least: 'subscriber', who: 'both', show: () => <Account /> },
];

function pagesOf(session: Session): PageEntry[] {
  const other = session.role === 'subscriber' ? 'admins' : 'subscribers';
  return pages.filter((p) => p.who !== other && may(session.role, p.least));
}

type Theme = 'auto' | 'light' | 'dark';

function useTheme(): [Theme, (theme: Theme) => void] {
  const [theme, setTheme] = useState<Theme>(() => {
    const stored = remembered('theme');
    return stored === 'light' || stored === 'dark' ? stored : 'auto';
  });
  useEffect(() => {
    if (theme === 'auto') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = theme;
    remember('theme', theme);
  }, [theme]);
  return [theme, setTheme];
}

function Settings(props: {
  theme: Theme;
  onTheme: (theme: Theme) => void;
  onLanguage: (language: Language) => void;
}) {
  const { t, language } = useLocale();
  return (
    <div class="settings">
      <Choice
        quiet
        label={t('settings.theme')}
        value={props.theme}
        onChange={props.onTheme}
        options={(['auto', 'light', 'dark'] as const).map((v) => [v, t(`settings.theme.${v}`)] as const)}
      />
      <Choice
        quiet
        label={t('settings.language')}
        value={language}
        onChange={props.onLanguage}
        options={Object.entries(languages) as [Language, string][]}
      />
    </div>
  );
}

/** A call goes on on every page: its keys everywhere, and its bar above the pages that are not its own. */
function Calling({ bar }: { bar: boolean }) {
  useKeys(usePhone());
  return bar ? <PhoneBar /> : null;
}

function Shell(props: {
  session: Session;
  api: Api;
  settings: ComponentChildren;
  announce: (text: string) => void;
  onPhone: (phone: Softphone | null) => void;
  onSignOut: () => void;
}) {
  const { session, api } = props;
  const { t } = useLocale();
  const place = usePlace();
  const own = pagesOf(session);
  const page = place.path.length === 0 ? own[0] : own.find((p) => p.path === place.path[0]);
  const value = useMemo<AppValue>(() => ({ api, session, announce: props.announce }), [api, session, props.announce]);
  const pagesNav = useRef<HTMLElement>(null);
  useEffect(() => {
    // On a telephone's screen the list of pages is wider than the screen.
    pagesNav.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
  }, [page]);
  const skip = (e: Event) => {
    e.preventDefault();
    document.querySelector<HTMLElement>('main h1')?.focus();
  };
  return (
    <AppContext.Provider value={value}>
      <PhoneProvider onPhone={props.onPhone}>
      <a class="skip" href="#page" onClick={skip}>
        {t('app.skip')}
      </a>
      <div class="shell">
        <header class="side">
          <p class="brand">
            <img src="./favicon.svg" width="24" height="24" alt="" /> {t('app.name')}
          </p>
          <nav ref={pagesNav} aria-label={t('nav.label')}>
            <ul>
              {own.map((p) => (
                <li key={p.path}>
                  <a href={href([p.path])} aria-current={p === page ? 'page' : undefined}>
                    {t(p.title)}
                  </a>
                </li>
              ))}
            </ul>
          </nav>
          <div class="who">
            <p>
              <b title={session.account}>{session.user ?? session.account}</b>
              <span class="muted">{t(`role.${session.role}`)}</span>
            </p>
            <button type="button" class="small" onClick={props.onSignOut}>
              {t('signIn.out')}
            </button>
          </div>
          {props.settings}
        </header>
        <div class="content">
          <Calling bar={page?.path !== 'phone'} />
          <main id="page" key={`${page?.path ?? ''}/${place.path[1] ?? ''}`}>
            {page ? page.show(place) : <PageTitle text={t('app.noPage')} />}
          </main>
        </div>
      </div>
      </PhoneProvider>
    </AppContext.Provider>
  );
}

/** Said aloud at once, shown for a few seconds. */
function useAnnouncer(): [string, (text: string) => void] {
  const [text, setText] = useState('');
  const timer = useRef<ReturnType<typeof setTimeout>>();
  const announce = useCallback((said: string) => {
    clearTimeout(timer.current);
    setText(said);
    timer.current = setTimeout(() => setText(''), 6000);
  }, []);
  return [text, announce];
}

export function App() {
  const [language, setLanguage] = useState<Language>(() =>
    initialLanguage(remembered('language'), navigator.languages ?? [navigator.language]),
  );
  const [theme, setTheme] = useTheme();
  const [session, setSession] = useState<Session | null>(null);
  const [known, setKnown] = useState(false);
  const [ended, setEnded] = useState(false);
  const [said, announce] = useAnnouncer();
  const locale = useMemo(() => ({ language, t: translator(language) }), [language]);
  const api = useMemo(() => new Api(), []);
  const signedIn = useRef(false);
  signedIn.current = session !== null;
  const phone = useRef<Softphone | null>(null);
  const onPhone = useCallback((now: Softphone | null) => {
    phone.current = now;
  }, []);

  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
  useEffect(() => {
    const signedOut = () => {
      setEnded(signedIn.current);
      setSession(null);
    };
    // A session that runs out cuts no call off.
    api.onSignedOut = () => (phone.current ? phone.current.free(signedOut) : signedOut());
    const look = async () => {
      try {
        setSession(await api.session());
      } catch {
        // The form says what is wrong when somebody tries.
      }
      setKnown(true);
    };
    void look();
  }, [api]);

  const signOut = async () => {
    try {
      await api.signOut();
    } catch (e) {
      return announce(locale.t('signIn.outFailed', { why: messageOf(e) }));
    }
    phone.current?.close(); // who signs out hangs up; a call would keep the page otherwise
  };

  const settings = (
    <Settings
      theme={theme}
      onTheme={setTheme}
      onLanguage={(l) => {
        remember('language', l);
        setLanguage(l);
      }}
    />
  );
  return (
    <LocaleContext.Provider value={locale}>
      {session ? (
        <Shell
          session={session}
          api={api}
          settings={settings}
          announce={announce}
          onPhone={onPhone}
          onSignOut={() => void signOut()}
        />
      ) : (
        known && (
          <div class="outside">
            <SignIn
              api={api}
              ended={ended}
              onDone={(s) => {
                setEnded(false);
                setSession(s);
              }}
            />
            {settings}
          </div>
        )
      )}
      <div class="announcer" role="status" aria-live="polite">
        {said && <p>{said}</p>}
      </div>
    </LocaleContext.Provider>
  );
}
