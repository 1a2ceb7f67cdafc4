// The whole page, as far as it is about who is signed in.
import { render } from 'preact';
import { act } from 'preact/test-utils';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { App } from '../src/app';

let root: HTMLElement;
let signOut: () => Response;

beforeEach(() => {
  localStorage.clear();
  location.hash = '#/account';
  root = document.createElement('div');
  document.body.append(root);
  vi.stubGlobal('matchMedia', () => ({ matches: false, addEventListener() {}, removeEventListener() {} }));
  const session = { account: '1001@example.com', role: 'subscriber', user: '1001', domain: 'example.com', csrf: 'secret', idle_seconds: 60, ends: '' };
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    if (init.method === 'DELETE') return signOut();
    return new Response(JSON.stringify(url.endsWith('/session') ? session : { items: [] }), { status: 200 });
  });
});
afterEach(() => {
  render(null, root);
  root.remove();
  vi.unstubAllGlobals();
});

const button = () => root.querySelector<HTMLElement>('.who button');
const settled = () => act(() => new Promise((done) => setTimeout(done, 20)));

describe('signing out', () => {
  it('shows the form when the session is over, and says so when it is not', async () => {
    await act(() => render(<App />, root));
    await settled();
    for (const fails of [() => new Response('{"error":{"kind":"busy","message":"try later"}}', { status: 503 }), () => { throw new TypeError('no network'); }]) {
      signOut = fails;
      button()?.click();
      await settled();
      expect(root.querySelector('.announcer')?.textContent).toMatch(/^Still signed in: (try later|no network)$/);
      expect(button()).not.toBeNull();
    }
    signOut = () => new Response(null, { status: 204 });
    button()?.click();
    await settled();
    expect(button()).toBeNull();
    expect(root.querySelector('.outside')).not.toBeNull();
  });
});
