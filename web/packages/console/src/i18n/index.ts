import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import { en, type Catalogue, type Key } from './en';
import { ko } from './ko';

export type { Key } from './en';
export type Language = 'en' | 'ko';

const catalogues: Record<Language, Catalogue> = { en, ko };
export const languages: Record<Language, string> = { en: 'English', ko: '한국어' };

export type Values = Record<string, string | number>;
export type Translate = (key: Key, values?: Values) => string;

export function translator(language: Language): Translate {
  const catalogue = catalogues[language];
  return (key, values = {}) =>
    catalogue[key].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** The reader's choice, else what the browser prefers, else English. */
export function initialLanguage(stored: string | null, preferred: readonly string[]): Language {
  if (stored === 'en' || stored === 'ko') return stored;
  for (const tag of preferred) {
    const primary = tag.toLowerCase().split('-')[0];
    if (primary === 'en' || primary === 'ko') return primary;
  }
  return 'en';
}

export interface Locale {
  language: Language;
  t: Translate;
}

export const LocaleContext = createContext<Locale>({ language: 'en', t: translator('en') });
export const useLocale = () => useContext(LocaleContext);
