// What stands on the page of the telephone, and in part above every other page.
import { useEffect, useRef, useState } from 'preact/hooks';
import { duration, milliseconds, percent } from '../format';
import { useLocale, type Key } from '../i18n';
import { href } from '../router';
import { Choice, Mos } from '../ui/parts';
import { useNow } from '../ui/state';
import { usePhone } from './context';
import { canChooseSpeaker, kinds } from './devices';
import type { Line, Softphone } from './softphone';

export const pads = ['1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '0', '#'] as const;
const letters: Record<string, string> = { 2: 'ABC', 3: 'DEF', 4: 'GHI', 5: 'JKL', 6: 'MNO', 7: 'PQRS', 8: 'TUV', 9: 'WXYZ', 0: '+' };

export function Pad({ label, onKey }: { label: string; onKey: (digit: string) => void }) {
  const { t } = useLocale();
  const names: Record<string, Key> = { '*': 'phone.star', '#': 'phone.hash' };
  return (
    <div class="pad" role="group" aria-label={label}>
      {pads.map((digit) => (
        <button key={digit} type="button" aria-label={names[digit] ? t(names[digit]) : digit} onClick={() => onKey(digit)}>
          <b>{digit}</b>
          <small aria-hidden="true">{letters[digit] ?? ''}</small>
        </button>
      ))}
    </div>
  );
}

function Clock({ line }: { line: Line }) {
  const now = useNow();
  return <span class="tabular">{duration((now - line.answered) / 1000)}</span>;
}

function stateOf(line: Line): Key {
  const { call } = line;
  if (call.state !== 'up') return call.state === 'ringing' ? 'phone.state.ringing' : 'phone.state.calling';
  if (line.transferring) return 'phone.state.transferring';
  if (call.onHold) return 'phone.state.onHold';
  return call.held ? 'phone.state.held' : 'phone.state.up';
}

/** Name, number, state and time. */
function Who({ phone, line }: { phone: Softphone; line: Line }) {
  const { t } = useLocale();
  const number = phone.numberOf(line.call);
  const name = phone.nameOf(line.call);
  return (
    <div class="who-calls">
      <b>{name}</b>
      {name !== number && <span class="muted">{number}</span>}
      <span class="muted">
        {t(stateOf(line))} {line.answered > 0 && <Clock line={line} />}
      </span>
    </div>
  );
}

function Sound({ line }: { line: Line }) {
  const { t } = useLocale();
  const q = line.quality;
  return (
    <dl class="sound" aria-label={t('phone.quality')}>
      <div>
        <dt>{t('calls.quality')}</dt>
        <dd>
          <Mos value={q?.mos ?? 0} />
        </dd>
      </div>
      <div>
        <dt>{t('calls.loss')}</dt>
        <dd>{q ? percent(q.loss) : '–'}</dd>
      </div>
      <div>
        <dt>{t('calls.jitter')}</dt>
        <dd>{q ? milliseconds(q.jitter) : '–'}</dd>
      </div>
      <div>
        <dt>{t('call.roundTrip')}</dt>
        <dd>{q && q.roundTrip !== null ? milliseconds(q.roundTrip) : '–'}</dd>
      </div>
      <div>
        <dt>{t('calls.codec')}</dt>
        <dd>{q?.codec ?? '–'}</dd>
      </div>
    </dl>
  );
}

/** A stream's pictures; its sound is played elsewhere. */
function Pictures(props: { stream: MediaStream; label: string; small?: boolean }) {
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (video.current && video.current.srcObject !== props.stream) video.current.srcObject = props.stream;
  }, [props.stream]);
  return <video ref={video} class={props.small ? 'own' : 'theirs'} autoplay playsInline muted aria-label={props.label} />;
}

/** Whether there is a picture to be seen: a line without one is muted. */
function shows(stream: MediaStream | null): stream is MediaStream {
  return stream?.getVideoTracks().some((track) => track.readyState === 'live' && !track.muted) ?? false;
}

function Stage({ phone, line }: { phone: Softphone; line: Line }) {
  const { t } = useLocale();
  const { remote } = line;
  const local = line.call.local;
  const own = line.call.camera;
  if (!shows(remote) && !own) return null;
  return (
    <div class="stage">
      {shows(remote) ? <Pictures stream={remote} label={t('phone.video.of', { who: phone.nameOf(line.call) })} /> : <p class="muted">{t('phone.video.none')}</p>}
      {own && local && <Pictures key={`own ${line.pictures}`} small stream={local} label={t('phone.video.own')} />}
    </div>
  );
}

function Transfer({ phone, line, onDone }: { phone: Softphone; line: Line; onDone: () => void }) {
  const { t } = useLocale();
  const [to, setTo] = useState('');
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const others = phone.lines.filter((l) => l !== line && l.call.state === 'up');
  const submit = (event: Event) => {
    event.preventDefault();
    if (!to.trim()) return;
    void phone.transfer(line, to.trim());
    onDone();
  };
  return (
    <form class="transfer" onSubmit={submit}>
      <label for={`transfer-${line.key}`}>{t('phone.transferTo')}</label>
      <div class="row">
        <input
          id={`transfer-${line.key}`}
          ref={field}
          value={to}
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          onInput={(e) => setTo(e.currentTarget.value)}
          onKeyDown={(e) => e.key === 'Escape' && onDone()}
        />
        <button type="submit" class="primary">
          {t('phone.transfer')}
        </button>
      </div>
      {others.map((other) => (
        <button
          key={other.key}
          type="button"
          onClick={() => {
            void phone.transfer(line, other);
            onDone();
          }}
        >
          {t('phone.connect', { who: phone.nameOf(other.call) })}
        </button>
      ))}
    </form>
  );
}

/** A call that has the page: everything that can be done with it. */
function ActiveLine({ phone, line }: { phone: Softphone; line: Line }) {
  const { t } = useLocale();
  const [open, setOpen] = useState<'' | 'pad' | 'transfer'>('');
  const { call } = line;
  const up = call.state === 'up';
  const toggle = (what: 'pad' | 'transfer') => setOpen(open === what ? '' : what);
  return (
    <section class="card line active" aria-label={t('phone.callWith', { who: phone.nameOf(call) })} tabIndex={-1} data-line-card={line.key}>
      <header>
        <Who phone={phone} line={line} />
        <button type="button" class="hang-up" aria-keyshortcuts="Alt+Backspace" onClick={() => void phone.hangUp(line)}>
          {t('calls.hangup')}
        </button>
      </header>
      <Stage phone={phone} line={line} />
      {up && (
        <>
          <div class="controls">
            <button type="button" aria-pressed={call.muted} onClick={() => phone.mute(line, !call.muted)}>
              {t('phone.mute')}
            </button>
            <button type="button" onClick={() => void phone.hold(line, true)}>
              {t('phone.hold')}
            </button>
            <button type="button" aria-pressed={call.camera} onClick={() => void phone.camera(line, !call.camera)}>
              {t('phone.camera')}
            </button>
            <button type="button" aria-expanded={open === 'pad'} onClick={() => toggle('pad')}>
              {t('phone.keys')}
            </button>
            <button type="button" aria-expanded={open === 'transfer'} onClick={() => toggle('transfer')}>
              {t('phone.transfer')}
            </button>
          </div>
          {open === 'pad' && (
            <>
              <Pad label={t('phone.keysLabel')} onKey={(digit) => phone.press(line, digit)} />
              <p class="muted hint">{t('phone.keysHint')}</p>
            </>
          )}
          {open === 'transfer' && <Transfer phone={phone} line={line} onDone={() => setOpen('')} />}
          {(line.pressed || line.heard) && (
            <p class="muted pressed">
              {line.pressed && <span>{t('phone.pressed', { digits: line.pressed })}</span>} {line.heard && <span>{t('phone.heard', { digits: line.heard })}</span>}
            </p>
          )}
          <Sound line={line} />
        </>
      )}
    </section>
  );
}

function HeldLine({ phone, line }: { phone: Softphone; line: Line }) {
  const { t } = useLocale();
  const who = phone.nameOf(line.call);
  return (
    <section class="card line" aria-label={t('phone.callWith', { who })}>
      <header>
        <Who phone={phone} line={line} />
        <div class="buttons-row">
          {line.call.onHold && (
            <button type="button" aria-label={t('phone.resumeOf', { who })} onClick={() => void phone.hold(line, false)}>
              {t('phone.resume')}
            </button>
          )}
          <button type="button" class="danger" aria-label={t('phone.hangUpOf', { who })} onClick={() => void phone.hangUp(line)}>
            {t('calls.hangup')}
          </button>
        </div>
      </header>
    </section>
  );
}

/** Who calls, on whatever page. */
export function Ringing({ phone }: { phone: Softphone }) {
  const { t } = useLocale();
  const answer = useRef<HTMLButtonElement>(null);
  const first = phone.ringing[0]?.key;
  useEffect(() => {
    // Only where nobody is doing anything: a call must not be answered by the space somebody is typing.
    const busy = document.activeElement;
    if (first !== undefined && (!busy || busy === document.body || busy.tagName === 'H1')) answer.current?.focus();
  }, [first]);
  return (
    <>
      {phone.ringing.map((line, i) => {
        const who = phone.nameOf(line.call);
        const number = phone.numberOf(line.call);
        return (
          <section key={line.key} class="card line ringing" aria-label={t('phone.news.incoming', { who })}>
            <header>
              <p class="hidden" role="alert">
                {t('phone.news.incoming', { who })}
              </p>
              <div class="who-calls">
                <b>{who}</b>
                {number !== who && <span class="muted">{number}</span>}
                <span class="muted">{t(line.call.offersVideo ? 'phone.state.incomingVideo' : 'phone.state.incoming')}</span>
              </div>
              <div class="buttons-row">
                <button ref={i === 0 ? answer : null} type="button" class="answer" aria-keyshortcuts="Alt+Enter" onClick={() => void phone.answer(line)}>
                  {t('phone.answer')}
                </button>
                {line.call.offersVideo && (
                  <button type="button" class="answer" onClick={() => void phone.answer(line, true)}>
                    {t('phone.answerVideo')}
                  </button>
                )}
                <button type="button" class="danger" aria-keyshortcuts="Alt+Backspace" onClick={() => void phone.refuse(line)}>
                  {t('phone.refuse')}
                </button>
              </div>
            </header>
          </section>
        );
      })}
    </>
  );
}

export function Lines({ phone }: { phone: Softphone }) {
  const active = phone.active;
  const card = active?.key;
  useEffect(() => {
    // What had the focus may have gone with its buttons.
    if (card !== undefined && document.activeElement === document.body) document.querySelector<HTMLElement>(`[data-line-card="${card}"]`)?.focus();
    if (card === undefined && document.activeElement === document.body) document.querySelector<HTMLElement>('main h1')?.focus({ preventScroll: true });
  }, [card]);
  return (
    <>
      {active && <ActiveLine key={active.key} phone={phone} line={active} />}
      {phone.lines
        .filter((l) => l !== active && l.call.state !== 'incoming')
        .map((line) => (
          <HeldLine key={line.key} phone={phone} line={line} />
        ))}
    </>
  );
}

/** Alt+Enter answers; where nobody is writing, Alt+Backspace refuses or hangs up and digits are pressed into the call. */
export function useKeys(phone: Softphone | null): void {
  useEffect(() => {
    if (!phone) return;
    const pressed = (e: KeyboardEvent) => {
      const [ringing] = phone.ringing;
      const active = phone.active;
      let what: () => unknown;
      if (e.altKey && e.key === 'Enter' && ringing) what = () => phone.answer(ringing);
      // In a field of a Mac it takes a word away.
      else if (e.altKey && e.key === 'Backspace' && ringing && !writing()) what = () => phone.refuse(ringing);
      else if (e.altKey && e.key === 'Backspace' && active && !writing()) what = () => phone.hangUp(active);
      else if (!e.altKey && !e.ctrlKey && !e.metaKey && /^[0-9*#]$/.test(e.key) && active?.call.state === 'up' && !writing()) what = () => phone.press(active, e.key);
      else return;
      e.preventDefault();
      // A key that is held down is meant for one call.
      if (!e.repeat) void what();
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, [phone]);
}

const writing = () => document.activeElement?.matches('input, textarea, select, [contenteditable]') ?? false;

/** Above the other pages: who calls, and the call that goes on. */
export function PhoneBar() {
  const phone = usePhone();
  const { t } = useLocale();
  if (!phone || phone.lines.length === 0) return null;
  const line = phone.active ?? phone.lines.find((l) => l.call.state !== 'incoming');
  return (
    <div class="phone-bar">
      <Ringing phone={phone} />
      {line && (
        <section class="card line" aria-label={t('phone.callWith', { who: phone.nameOf(line.call) })}>
          <header>
            <Who phone={phone} line={line} />
            <div class="buttons-row">
              <a class="button" href={href(['phone'])}>
                {t('phone.open')}
              </a>
              <button type="button" class="hang-up" aria-keyshortcuts="Alt+Backspace" onClick={() => void phone.hangUp(line)}>
                {t('calls.hangup')}
              </button>
            </div>
          </header>
        </section>
      )}
    </div>
  );
}

export function DeviceChoice({ phone }: { phone: Softphone }) {
  const { t } = useLocale();
  const offered = kinds.filter((kind) => kind !== 'audiooutput' || canChooseSpeaker());
  return (
    <details class="card devices">
      <summary>{t('phone.devices')}</summary>
      <div class="device-fields">
        {offered.map((kind) => (
          <Choice
            key={kind}
            label={t(`phone.device.${kind}`)}
            value={phone.devices[kind].some((d) => d.id === phone.chosen(kind)) ? phone.chosen(kind) : ''}
            options={[['', t('phone.device.system')] as const, ...phone.devices[kind].map((d) => [d.id, d.label] as const)]}
            onChange={(id) => void phone.choose(kind, id)}
          />
        ))}
        <p class="muted hint">{t('phone.device.hint')}</p>
      </div>
    </details>
  );
}
