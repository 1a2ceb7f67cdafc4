// The page of a subscriber.
import { render } from 'preact';
import { act } from 'preact/test-utils';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Api, Session } from '../src/api';
import { LocaleContext, translator } from '../src/i18n';
import { Home } from '../src/pages/home';
import { AppContext } from '../src/ui/state';

const session: Session = { account: '1001@example.com', role: 'subscriber', csrf: '', user: '1001', domain: 'example.com', idle_seconds: 1800, ends: '' };
let root: HTMLElement;
let put: ReturnType<typeof vi.fn>;
let marked: number[];

beforeEach(async () => {
  root = document.createElement('div');
  document.body.append(root);
  marked = [];
  put = vi.fn(async (path: string) => void marked.push(Number(path.split('/').pop())));
  const messages = () => [7, 8].map((id) => ({ id, received: '2026-01-01T00:00:00Z', from: '1002', from_display: '', length_ms: 3000, heard: marked.includes(id) }));
  const api = { put, get: async (path: string) => ({ items: path === '/me/messages' ? messages() : [] }) } as unknown as Api;
  await act(() =>
    render(
      <LocaleContext.Provider value={{ language: 'en', t: translator('en') }}>
        <AppContext.Provider value={{ api, session, announce: () => {} }}>
          <Home />
        </AppContext.Provider>
      </LocaleContext.Provider>,
      root,
    ),
  );
  await settled();
});
afterEach(() => {
  render(null, root);
  root.remove();
});

const settled = () => act(() => new Promise((done) => setTimeout(done, 5)));
async function play(): Promise<(now: Partial<HTMLAudioElement>, event?: string) => Promise<void>> {
  root.querySelector<HTMLElement>('.buttons-row button:not(.danger)')?.click();
  await settled();
  const audio = root.querySelector('audio')!;
  return async (now, event = 'timeupdate') => {
    for (const [name, value] of Object.entries(now)) Object.defineProperty(audio, name, { value, configurable: true });
    audio.dispatchEvent(new Event(event));
    await settled();
  };
}

describe('a voice message', () => {
  it('is heard once a second of it has sounded, which is told once', async () => {
    const goesOn = await play();
    await goesOn({ currentTime: 0, paused: false, ended: false });
    await goesOn({ currentTime: 2, paused: true }); // where somebody moved to
    expect(put).not.toHaveBeenCalled();
    await goesOn({ currentTime: 1.1, paused: false });
    await goesOn({ currentTime: 1.4 });
    await goesOn({ ended: true, paused: true }, 'ended');
    expect(put).toHaveBeenCalledOnce();
    expect(put).toHaveBeenCalledWith('/me/messages/8', { heard: true });
  });
  it('is heard at its end, however short it is', async () => {
    const goesOn = await play();
    await goesOn({ currentTime: 0.4, paused: false, ended: false });
    expect(put).not.toHaveBeenCalled();
    await goesOn({ currentTime: 0.4, paused: true, ended: true }, 'ended');
    expect(put).toHaveBeenCalledOnce();
  });
});
