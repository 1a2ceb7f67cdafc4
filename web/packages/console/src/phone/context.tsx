// The telephone as pages see it: one for the whole console, so that a call goes on from page to page.
import { createContext, type ComponentChildren } from 'preact';
import { useContext, useEffect, useRef, useState } from 'preact/hooks';
import { useLocale } from '../i18n';
import { useApp } from '../ui/state';
import { Softphone, type Line } from './softphone';

const PhoneContext = createContext<Softphone | null>(null);

/** Null for who is no subscriber. The component is drawn anew when anything changes. */
export function usePhone(): Softphone | null {
  const phone = useContext(PhoneContext);
  const [, draw] = useState(0);
  useEffect(() => phone?.subscribe(() => draw(phone.version)), [phone]);
  return phone;
}

/** Their voices, which no page may cut off. */
function Voice({ phone, line }: { phone: Softphone; line: Line }) {
  const audio = useRef<HTMLAudioElement>(null);
  const speaker = phone.chosen('audiooutput');
  useEffect(() => {
    const element = audio.current as (HTMLAudioElement & { setSinkId?: (id: string) => Promise<void> }) | null;
    // One that is gone leaves the voice where it is.
    element?.setSinkId?.(speaker).catch(() => {});
  }, [speaker]);
  useEffect(() => {
    if (audio.current && audio.current.srcObject !== line.remote) audio.current.srcObject = line.remote;
  });
  return <audio ref={audio} autoplay data-line={line.key} />;
}

export function PhoneProvider(props: { onPhone: (phone: Softphone | null) => void; children: ComponentChildren }) {
  const { api, session, announce } = useApp();
  const { t } = useLocale();
  const [phone, setPhone] = useState<Softphone | null>(null);
  const { onPhone } = props;
  useEffect(() => {
    if (session.role !== 'subscriber') return;
    const made = new Softphone(api, session);
    setPhone(made);
    onPhone(made);
    return () => {
      onPhone(null);
      made.close();
    };
  }, [api, session, onPhone]);
  if (phone) phone.onNews = (key, values) => announce(t(key, values));
  return (
    <PhoneContext.Provider value={phone}>
      {props.children}
      <Voices />
    </PhoneContext.Provider>
  );
}

function Voices() {
  const phone = usePhone();
  return (
    <div hidden>
      {phone?.lines.map((line) => (
        <Voice key={line.key} phone={phone} line={line} />
      ))}
    </div>
  );
}
