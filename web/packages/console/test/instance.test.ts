import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

/** A page of this browser: what its modules remember is its own. */
async function page(): Promise<string> {
  vi.resetModules();
  const { ownInstance } = await import('../src/phone/instance');
  const id = await ownInstance();
  expect(await ownInstance()).toBe(id);
  expect(sessionStorage.getItem('tandem.instance')).toBe(id);
  return id;
}

/** The locks of all its pages. */
let held: Set<string>;
beforeEach(() => {
  sessionStorage.clear();
  held = new Set();
  const request = async (name: string, options: LockOptions, use: (lock: Lock | null) => Promise<unknown>) => {
    if (held.has(name)) return use(options.ifAvailable ? null : expect.fail('it would wait'));
    held.add(name);
    await use({ name, mode: 'exclusive' });
    held.delete(name);
  };
  vi.stubGlobal('navigator', { locks: { request } });
});
afterEach(() => vi.unstubAllGlobals());

describe('the name of a telephone', () => {
  it('stays when the page is loaded again', async () => {
    const first = await page();
    held.clear(); // the page is gone
    expect(await page()).toBe(first);
  });
  it('is another one in a tab that was duplicated, and stays so', async () => {
    const first = await page();
    const second = await page(); // with the storage of the first
    expect(second).not.toBe(first);
    held.delete(`tandem.instance.${second}`);
    expect(await page()).toBe(second);
    expect(await page()).not.toBe(second);
    expect(held.size).toBe(3);
  });
  it('is what is stored where there are no locks, or none are given', async () => {
    const first = await page();
    vi.stubGlobal('navigator', {});
    expect(await page()).toBe(first);
    vi.stubGlobal('navigator', { locks: { request: () => Promise.reject(new Error('not here')) } });
    expect(await page()).toBe(first);
  });
});
