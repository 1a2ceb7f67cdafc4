import { describe, expect, it } from 'vitest';
import { en } from '../src/i18n/en';
import { ko } from '../src/i18n/ko';
import { initialLanguage, translator } from '../src/i18n';

describe('the catalogue', () => {
  it('asks for the same values in every language', () => {
    const values = (text: string) => [...text.matchAll(/\{\w+\}/g)].map((m) => m[0]).sort();
    for (const key of Object.keys(en) as (keyof typeof en)[]) expect([key, values(ko[key])]).toEqual([key, values(en[key])]);
  });
  it('fills values in, and leaves what is not given to be seen', () => {
    expect(translator('en')('calls.count', { n: 3 })).toBe('3 calls');
    expect(translator('ko')('calls.count', { n: 3 })).toBe('통화 3건');
    expect(translator('en')('calls.count')).toBe('{n} calls');
  });
  it('takes what was chosen, else what the browser prefers', () => {
    expect(initialLanguage('ko', ['en-US'])).toBe('ko');
    expect(initialLanguage(null, ['fr', 'ko-KR', 'en'])).toBe('ko');
    expect(initialLanguage('xx', ['fr'])).toBe('en');
  });
});
