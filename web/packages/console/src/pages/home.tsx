// What a subscriber sees who signed in with the password of his telephone: his own, and nothing else.
import { useRef, useState } from 'preact/hooks';
import { address, at, type OwnCall, type Page, type Registration, type Voicemail } from '../api';
import { duration } from '../format';
import { useLocale } from '../i18n';
import { Await, Confirm, PageTitle, Table, Tag, When } from '../ui/parts';
import { messageOf, useApp, useLoad } from '../ui/state';
import { oneOfEach, talked } from './calls';

interface Me {
  user: string;
  domain: string;
  display_name: string;
  do_not_disturb: boolean;
}

function Messages() {
  const { api, announce } = useApp();
  const { t } = useLocale();
  const [asked, setAsked] = useState<Voicemail | null>(null);
  const [playing, setPlaying] = useState(0);
  const loaded = useLoad((o) => api.get<Page<Voicemail>>('/me/messages', o), 'messages', 15_000);
  const from = (m: Voicemail) => m.from_display || m.from;
  const told = useRef(0);
  const play = (m: Voicemail) => {
    told.current = 0;
    setPlaying(m.id);
  };
  /** Once there has been a second of sound, or all of it: a click may be followed by none. The end alone would leave new what somebody has heard enough of. */
  const heard = async (m: Voicemail, element: HTMLAudioElement) => {
    if (m.heard || told.current === m.id || !(element.ended || (element.currentTime >= 1 && !element.paused))) return;
    told.current = m.id; // it goes on playing meanwhile
    try {
      await api.put(`/me/messages${at(String(m.id))}`, { heard: true });
    } catch (e) {
      announce(messageOf(e));
    }
    loaded.reload();
  };
  const remove = async (m: Voicemail) => {
    setAsked(null);
    try {
      await api.remove(`/me/messages${at(String(m.id))}`);
    } catch (e) {
      announce(messageOf(e));
    }
    loaded.reload();
  };
  return (
    <Await loaded={loaded}>
      {({ items }) => (
        <>
          <Table
            caption={t('home.messages')}
            none={t('home.noMessages')}
            rows={[...items].reverse()}
            id={(m) => String(m.id)}
            columns={[
              { title: t('home.when'), heads: true, cell: (m) => <When iso={m.received} /> },
              {
                title: t('home.party'),
                cell: (m) => (
                  <>
                    {from(m)} {!m.heard && <Tag kind="fair">{t('home.new')}</Tag>}
                  </>
                ),
              },
              { title: t('calls.duration'), numeric: true, wide: true, cell: (m) => duration(m.length_ms / 1000) },
              {
                title: t('home.play'),
                hideTitle: true,
                cell: (m) => (
                  <div class="buttons-row">
                    {playing === m.id ? (
                      <audio
                        controls
                        autoplay
                        src={address(`/me/messages${at(String(m.id))}/sound`)}
                        onTimeUpdate={(e) => void heard(m, e.currentTarget)}
                        onEnded={(e) => void heard(m, e.currentTarget)}
                      />
                    ) : (
                      <button type="button" class="small" aria-label={t('home.playOf', { from: from(m) })} onClick={() => play(m)}>
                        {t('home.play')}
                      </button>
                    )}
                    <button type="button" class="small danger" aria-label={t('home.removeOf', { from: from(m) })} onClick={() => setAsked(m)}>
                      {t('app.remove')}
                    </button>
                  </div>
                ),
              },
            ]}
          />
          {asked && (
            <Confirm
              text={t('home.confirm', { from: from(asked) })}
              action={t('app.remove')}
              onYes={() => void remove(asked)}
              onNo={() => setAsked(null)}
            />
          )}
        </>
      )}
    </Await>
  );
}

export function Home() {
  const { api, session } = useApp();
  const { t } = useLocale();
  const me = useLoad((o) => api.get<Me>('/me', o), 'me');
  const phones = useLoad((o) => api.get<Page<Registration>>('/me/registrations', o), 'phones', 10_000);
  const calls = useLoad((o) => api.get<Page<OwnCall>>('/me/calls', { ...o, query: { limit: 50 } }), 'calls', 10_000);
  const way = (c: OwnCall) => {
    if (c.direction === 'in' && !c.answer) return <Tag kind="bad">{t('home.missed')}</Tag>;
    return <Tag kind="plain">{t(`home.${c.direction}`)}</Tag>;
  };
  return (
    <>
      <PageTitle text={t('home.title')} />
      <p class="meta">
        <b>{me.data?.display_name || session.account}</b> <span class="muted">{session.account}</span>
        {me.data?.do_not_disturb && <Tag kind="fair">{t('home.dnd')}</Tag>}
      </p>
      <h2>{t('home.messages')}</h2>
      <Messages />
      <h2>{t('home.calls')}</h2>
      <Await loaded={calls}>
        {({ items }) => (
          <Table
            caption={t('home.calls')}
            none={t('home.noCalls')}
            rows={oneOfEach(items)}
            id={(c) => `${c.setup} ${c.party}`}
            columns={[
              { title: t('home.when'), heads: true, cell: (c) => <When iso={c.setup} /> },
              { title: t('record.direction'), wide: true, cell: way },
              {
                title: t('home.party'),
                cell: (c) => (
                  <>
                    <span class="on-telephone">{way(c)}</span>
                    {c.display || c.party || t('home.nameless')} {c.display && <span class="long">({c.party})</span>}
                  </>
                ),
              },
              { title: t('records.length'), numeric: true, cell: (c) => talked(c.answer, c.end) },
            ]}
          />
        )}
      </Await>
      <h2>{t('home.phones')}</h2>
      <Await loaded={phones}>
        {({ items }) => (
          <Table
            caption={t('home.phones')}
            none={t('home.noPhones')}
            rows={items}
            id={(r) => r.contact}
            columns={[
              { title: t('registrations.agent'), heads: true, cell: (r) => r.user_agent || '–' },
              { title: t('registrations.source'), cell: (r) => <code>{r.source}</code> },
              { title: t('registrations.transport'), cell: (r) => r.transport.toUpperCase() },
              { title: t('registrations.expires'), numeric: true, cell: (r) => duration(r.expires_in) },
            ]}
          />
        )}
      </Await>
    </>
  );
}
