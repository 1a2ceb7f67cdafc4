import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { address, Api, ApiError, at } from '../src/api';
import { href, parsePlace } from '../src/router';

interface Asked {
  url: string;
  init: RequestInit & { headers: Record<string, string> };
}
const asked: Asked[] = [];
let answer: () => Response;

beforeEach(() => {
  asked.length = 0;
  answer = () => new Response('{}', { status: 200 });
  vi.stubGlobal('fetch', async (url: string, init: Asked['init']) => {
    asked.push({ url, init });
    return answer();
  });
});
afterEach(() => vi.unstubAllGlobals());

const session = { account: 'admin', role: 'admin', csrf: 'secret', idle_seconds: 60, ends: '' };

describe('the API', () => {
  it('leaves out what is empty and encodes the rest', () => {
    expect(address('/cdrs', { party: 'a&b', trunk: '', limit: 5, status: undefined })).toBe('/api/v1/cdrs?party=a%26b&limit=5');
    expect(at('x/../y', '가')).toBe('/x%2F..%2Fy/%EA%B0%80');
  });
  it('sends the token of the session with what changes something, and never in an address', async () => {
    const api = new Api();
    answer = () => new Response(JSON.stringify(session), { status: 200 });
    await api.signIn('admin', 'pass');
    expect(asked[0]?.init.headers['X-CSRF-Token']).toBeUndefined();
    answer = () => new Response(null, { status: 204 });
    await api.remove('/calls/1');
    expect(asked[1]?.init.headers['X-CSRF-Token']).toBe('secret');
    answer = () => new Response('{"items":[]}', { status: 200 });
    await api.get('/calls', { background: true });
    expect(asked[2]?.init.headers).toMatchObject({ 'X-Background': '1' });
    expect(asked[2]?.init.headers['X-CSRF-Token']).toBeUndefined();
    expect(asked.map((a) => a.url).join()).not.toContain('secret');
  });
  it('tells when the session is over, but not when a password is wrong', async () => {
    const api = new Api();
    const out = vi.fn();
    api.onSignedOut = out;
    answer = () => new Response('{"error":{"kind":"unauthorized","message":"no"}}', { status: 401 });
    await expect(api.signIn('admin', 'wrong')).rejects.toMatchObject({ status: 401, kind: 'unauthorized' });
    expect(out).not.toHaveBeenCalled();
    expect(await api.session()).toBeNull();
    await expect(api.get('/calls')).rejects.toBeInstanceOf(ApiError);
    expect(out).toHaveBeenCalledOnce();
  });
  it('is signed out when the node says so, and not when it does not', async () => {
    const api = new Api();
    const out = vi.fn();
    api.onSignedOut = out;
    answer = () => new Response(JSON.stringify(session), { status: 200 });
    await api.signIn('admin', 'pass');
    answer = () => new Response('{"error":{"kind":"internal","message":"no"}}', { status: 503 });
    await expect(api.signOut()).rejects.toMatchObject({ status: 503 });
    answer = () => {
      throw new TypeError('no network');
    };
    await expect(api.signOut()).rejects.toThrow('no network');
    expect(out).not.toHaveBeenCalled();
    answer = () => new Response(null, { status: 204 });
    await api.signOut();
    expect(asked[3]?.init.headers['X-CSRF-Token']).toBe('secret');
    expect(out).toHaveBeenCalledOnce();
    answer = () => new Response('{}', { status: 401 });
    await api.signOut();
    expect(out).toHaveBeenCalledTimes(2);
  });
  it('reads how long to wait, and what is no JSON', async () => {
    const api = new Api();
    answer = () => new Response('no', { status: 429, headers: { 'Retry-After': '41' } });
    await expect(api.signIn('a', 'b')).rejects.toMatchObject({ status: 429, retryAfter: 41, message: 'HTTP 429' });
  });
});

describe('places', () => {
  it('go into the fragment and come back', () => {
    const hash = href(['records', '1-2/3'], { party: 'a b&c', trunk: '' });
    expect(hash).toBe('#/records/1-2%2F3?party=a+b%26c');
    expect(parsePlace(hash)).toEqual({ path: ['records', '1-2/3'], query: { party: 'a b&c' } });
    expect(parsePlace('#/%zz')).toEqual({ path: ['%zz'], query: {} });
    expect(parsePlace('')).toEqual({ path: [], query: {} });
  });
});
