// A telephone in the page, for a subscriber who is signed in.
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { type OwnCall, type Page } from '../api';
import { timeOfDay } from '../format';
import { useLocale } from '../i18n';
import { usePhone } from '../phone/context';
import { DeviceChoice, Lines, Pad, Ringing } from '../phone/parts';
import type { Conversation, Softphone } from '../phone/softphone';
import { Await, PageTitle, Table, Tag, When } from '../ui/parts';
import { useApp, useLoad } from '../ui/state';
import { oneOfEach, talked } from './calls';

function Dialler({ phone, number, onNumber }: { phone: Softphone; number: string; onNumber: (number: string) => void }) {
  const { t } = useLocale();
  const id = 'number-to-call'; // one on the page
  const field = useRef<HTMLInputElement>(null);
  const ready = phone.link === 'online';
  const call = (video: boolean) => {
    if (!number.trim() || !ready) return field.current?.focus();
    void phone.call(number, video);
    onNumber('');
  };
  return (
    <form
      class="card dialler"
      onSubmit={(e) => {
        e.preventDefault();
        call(false);
      }}
    >
      <label for={id}>{t('phone.number')}</label>
      <div class="row">
        <input
          id={id}
          ref={field}
          type="text"
          inputMode="tel"
          value={number}
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          enterkeyhint="go"
          onInput={(e) => onNumber(e.currentTarget.value)}
        />
        <button type="button" aria-label={t('phone.erase')} disabled={number === ''} onClick={() => onNumber(number.slice(0, -1))}>
          ⌫
        </button>
      </div>
      {phone.lines.length === 0 && (
        <Pad
          label={t('phone.pad')}
          onKey={(digit) => {
            phone.sounds.key(digit);
            onNumber(number + digit);
          }}
        />
      )}
      <div class="row">
        <button type="submit" class="answer" disabled={!ready}>
          {t('phone.call')}
        </button>
        <button type="button" disabled={!ready} onClick={() => call(true)}>
          {t('phone.callVideo')}
        </button>
      </div>
    </form>
  );
}

function History({ phone, onCall }: { phone: Softphone; onCall: (number: string) => void }) {
  const { api } = useApp();
  const { t } = useLocale();
  const calls = useLoad((o) => api.get<Page<OwnCall>>('/me/calls', { ...o, query: { limit: 30 } }), 'calls', 10_000);
  const { reload } = calls;
  useEffect(() => {
    // A record is there a moment after its call.
    const timer = setTimeout(reload, 700);
    return () => clearTimeout(timer);
  }, [phone.over, reload]);
  return (
    <Await loaded={calls}>
      {({ items }) => (
        <Table
          caption={t('home.calls')}
          none={t('home.noCalls')}
          rows={oneOfEach(items)}
          id={(c) => `${c.setup} ${c.party}`}
          columns={[
            { title: t('home.when'), heads: true, cell: (c) => <When iso={c.setup} /> },
            {
              title: t('home.party'),
              cell: (c) => (
                <span class="clip" title={c.display ? `${c.display} (${c.party})` : c.party}>
                  {c.direction === 'in' && !c.answer ? <Tag kind="bad">{t('home.missed')}</Tag> : <Tag kind="plain">{t(`home.${c.direction}`)}</Tag>}{' '}
                  {c.display || c.party || t('home.nameless')}
                </span>
              ),
            },
            { title: t('records.length'), numeric: true, wide: true, cell: (c) => talked(c.answer, c.end) },
            {
              title: t('phone.callBack'),
              hideTitle: true,
              cell: (c) =>
                c.party && (
                  <button type="button" class="small" disabled={phone.link !== 'online'} aria-label={t('phone.callBackOf', { who: c.display || c.party })} onClick={() => onCall(c.party)}>
                    {t('phone.callBack')}
                  </button>
                ),
            },
          ]}
        />
      )}
    </Await>
  );
}

function Thread({ phone, conversation }: { phone: Softphone; conversation: Conversation }) {
  const { t } = useLocale();
  const end = useRef<HTMLLIElement>(null);
  const length = conversation.texts.length;
  useEffect(() => {
    phone.read(conversation);
    end.current?.scrollIntoView({ block: 'nearest' });
  }, [phone, conversation, length]);
  return (
    <ol class="thread" aria-label={t('phone.messagesWith', { who: conversation.name || conversation.peer })} tabIndex={0}>
      {conversation.texts.map((text, i) => (
        <li key={text.key} ref={i === length - 1 ? end : null} class={text.own ? 'own' : ''}>
          <p>
            <span class="hidden">{text.own ? t('phone.message.own') : conversation.name || conversation.peer}: </span>
            {text.text}
          </p>
          <small class={text.state === 'failed' ? 'error' : 'muted'}>
            {timeOfDay(text.at)}
            {text.own && ` · ${t(`phone.message.${text.state}`)}`}
          </small>
        </li>
      ))}
    </ol>
  );
}

function Messages({ phone }: { phone: Softphone }) {
  const { t } = useLocale();
  const [to, setTo] = useState(phone.conversations[0]?.peer ?? '');
  const [text, setText] = useState('');
  const ids = useId();
  const conversation = phone.conversations.find((c) => c.peer === to.trim());
  const first = phone.conversations[0]?.peer;
  useEffect(() => {
    // Who writes first is shown, unless somebody is being written to.
    if (first !== undefined) setTo((now) => now || first);
  }, [first]);
  const send = (event: Event) => {
    event.preventDefault();
    if (!text.trim() || !to.trim()) return;
    void phone.write(to, text);
    setText('');
  };
  return (
    <div class="messages">
      {phone.conversations.length > 0 && (
        <ul class="conversations" aria-label={t('phone.conversations')}>
          {phone.conversations.map((c) => (
            <li key={c.peer}>
              <button type="button" aria-pressed={c === conversation} onClick={() => setTo(c.peer)}>
                <span>{c.name || c.peer}</span>
                {c.unread > 0 && (
                  <Tag kind="fair">
                    {c.unread}
                    <span class="hidden"> {t('home.new')}</span>
                  </Tag>
                )}
              </button>
            </li>
          ))}
        </ul>
      )}
      <form class="card composer" onSubmit={send}>
        <div class="field">
          <label for={`${ids}-to`}>{t('phone.message.to')}</label>
          <input id={`${ids}-to`} value={to} autocomplete="off" autocapitalize="off" spellcheck={false} onInput={(e) => setTo(e.currentTarget.value)} />
        </div>
        {conversation ? <Thread phone={phone} conversation={conversation} /> : <p class="muted">{t('phone.message.none')}</p>}
        <div class="field">
          <label for={`${ids}-text`}>{t('phone.message.text')}</label>
          <textarea
            id={`${ids}-text`}
            rows={2}
            value={text}
            onInput={(e) => setText(e.currentTarget.value)}
            onKeyDown={(e) => e.key === 'Enter' && !e.shiftKey && !e.altKey && !e.isComposing && send(e)}
          />
        </div>
        <button type="submit" class="primary" disabled={phone.link !== 'online' || !text.trim() || !to.trim()}>
          {t('phone.message.send')}
        </button>
      </form>
    </div>
  );
}

function Off({ phone }: { phone: Softphone }) {
  const { t } = useLocale();
  return (
    <section class="card off">
      {phone.fault && (
        <p class="notice warn" role="status">
          {t(`phone.fault.${phone.fault}`)}
        </p>
      )}
      <p>{t('phone.offHint')}</p>
      <button type="button" class="primary" onClick={() => phone.turnOn()}>
        {t('phone.turnOn')}
      </button>
    </section>
  );
}

function State({ phone }: { phone: Softphone }) {
  const { t } = useLocale();
  if (phone.link === 'reconnecting') return <Tag kind="bad">{t('phone.reconnecting')}</Tag>;
  if (phone.link !== 'online') return <Tag kind="fair">{t('phone.connecting')}</Tag>;
  return phone.registered ? <Tag kind="good">{t('phone.ready')}</Tag> : <Tag kind="fair">{t('phone.notRegistered')}</Tag>;
}

export function PhonePage() {
  const phone = usePhone();
  const { t } = useLocale();
  const [number, setNumber] = useState('');
  const [tab, setTab] = useState<'calls' | 'messages'>('calls');
  if (!phone) return <PageTitle text={t('phone.title')} />;
  const tabs = ['calls', 'messages'] as const;
  return (
    <>
      <PageTitle text={t('phone.title')}>
        {phone.wanted && (
          <>
            <State phone={phone} />
            <button type="button" class="small" onClick={() => phone.turnOff()}>
              {t('phone.turnOff')}
            </button>
          </>
        )}
      </PageTitle>
      {!phone.wanted ? (
        <Off phone={phone} />
      ) : (
        <>
          {phone.fault && (
            <p class="notice warn" role="status">
              {t(`phone.fault.${phone.fault}`)}
            </p>
          )}
          {phone.silent && (
            <p class="notice warn">
              {t('phone.silent')}{' '}
              <button type="button" class="small" onClick={() => phone.sounds.unlock()}>
                {t('phone.unlock')}
              </button>
            </p>
          )}
          <div class="phone">
            <div class="phone-left">
              <Ringing phone={phone} />
              <Lines phone={phone} />
              <Dialler phone={phone} number={number} onNumber={setNumber} />
              <DeviceChoice phone={phone} />
            </div>
            <div class="phone-right">
              <div class="tabs" role="group" aria-label={t('phone.show')}>
                {tabs.map((name) => (
                  <button key={name} type="button" aria-pressed={tab === name} onClick={() => setTab(name)}>
                    {t(`phone.tab.${name}`)}
                    {name === 'messages' && phone.unread > 0 && (
                      <Tag kind="fair">
                        {phone.unread}
                        <span class="hidden"> {t('home.new')}</span>
                      </Tag>
                    )}
                  </button>
                ))}
              </div>
              {tab === 'calls' ? <History phone={phone} onCall={(party) => void phone.call(party)} /> : <Messages phone={phone} />}
            </div>
          </div>
        </>
      )}
    </>
  );
}
