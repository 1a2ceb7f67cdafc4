// Keys of the telephone, and where they are none.
import { render } from 'preact';
import { act } from 'preact/test-utils';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Api, Session } from '../src/api';
import { LocaleContext, translator } from '../src/i18n';
import { PhonePage } from '../src/pages/phone';
import { PhoneProvider } from '../src/phone/context';
import { useKeys } from '../src/phone/parts';
import type { Line, Softphone } from '../src/phone/softphone';
import { AppContext } from '../src/ui/state';

vi.mock('../src/phone/sounds', () => ({ Sounds: class { play() {} unlock() {} key() {} blocked = false; } }));

const session: Session = { account: '1001@example.com', role: 'subscriber', csrf: '', user: '1001', domain: 'example.com', idle_seconds: 1800, ends: '' };
let root: HTMLElement;
let field: HTMLInputElement;

beforeEach(() => {
  localStorage.clear();
  root = document.createElement('div');
  field = document.createElement('input');
  document.body.append(root, field);
});
afterEach(() => {
  render(null, root);
  root.remove();
  field.remove();
});

const show = (what: preact.ComponentChild) =>
  act(() => render(<LocaleContext.Provider value={{ language: 'en', t: translator('en') }}>{what}</LocaleContext.Provider>, root));
const press = (init: KeyboardEventInit, where: EventTarget = document.body) => {
  const event = new KeyboardEvent('keydown', { bubbles: true, cancelable: true, ...init });
  where.dispatchEvent(event);
  return event.defaultPrevented;
};

describe('the keys of a call', () => {
  const line = (state: string) => ({ call: { state } }) as Line;
  const all = { answer: vi.fn(), refuse: vi.fn(), hangUp: vi.fn(), press: vi.fn() };
  const Keys = ({ phone }: { phone: Softphone }) => (useKeys(phone), null);
  const withLines = (ringing: Line[], active: Line | null) => show(<Keys phone={{ ...all, ringing, active } as unknown as Softphone} />);
  beforeEach(() => Object.values(all).forEach((f) => f.mockClear()));

  it('hang up and refuse, but take a word away in a field', async () => {
    for (const [ringing, does] of [[[], all.hangUp], [[line('incoming')], all.refuse]] as const) {
      await withLines([...ringing], line('up'));
      field.focus();
      expect(press({ key: 'Backspace', altKey: true }, field)).toBe(false);
      expect(does).not.toHaveBeenCalled();
      field.blur();
      expect(press({ key: 'Backspace', altKey: true })).toBe(true);
      expect(does).toHaveBeenCalledOnce();
      render(null, root);
    }
  });

  it('are meant once, however long they are held down', async () => {
    await withLines([line('incoming')], line('up'));
    for (const init of [{ key: 'Enter', altKey: true }, { key: 'Backspace', altKey: true }, { key: '5' }]) expect(press({ ...init, repeat: true })).toBe(true);
    for (const f of Object.values(all)) expect(f).not.toHaveBeenCalled();
    press({ key: 'Enter', altKey: true });
    press({ key: '5' });
    expect(all.answer).toHaveBeenCalledOnce();
    expect(all.press).toHaveBeenCalledOnce();
  });
});

describe('a text that is written', () => {
  it('is not sent by the keys that answer a call', async () => {
    localStorage.setItem('tandem.phone', 'on');
    const api = { get: async () => ({ items: [] }), post: () => new Promise(() => {}) } as unknown as Api;
    let phone: Softphone | null = null;
    await show(
      <AppContext.Provider value={{ api, session, announce: () => {} }}>
        <PhoneProvider onPhone={(made) => (phone = made)}>
          <PhonePage />
        </PhoneProvider>
      </AppContext.Provider>,
    );
    const write = vi.spyOn(phone as unknown as Softphone, 'write').mockResolvedValue();
    await act(() => [...root.querySelectorAll<HTMLElement>('.tabs button')][1]?.click());
    const fill = (element: HTMLInputElement | HTMLTextAreaElement | null, text: string) =>
      act(() => {
        element!.value = text;
        element!.dispatchEvent(new Event('input', { bubbles: true }));
      });
    const area = root.querySelector<HTMLTextAreaElement>('.composer textarea');
    await fill(root.querySelector<HTMLInputElement>('.composer input'), '1002');
    await fill(area, 'hello');
    await act(() => void press({ key: 'Enter', altKey: true }, area!));
    expect(write).not.toHaveBeenCalled();
    await act(() => void press({ key: 'Enter' }, area!));
    expect(write).toHaveBeenCalledWith('1002', 'hello');
  });
});
