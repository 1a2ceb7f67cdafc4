// Hooks the pages share: asking once, asking again and again, what is remembered in this browser.
import { createContext } from 'preact';
import { useCallback, useContext, useEffect, useRef, useState } from 'preact/hooks';
import { Api, ApiError, type Role, type Session } from '../api';

export interface App {
  api: Api;
  session: Session;
  /** Said by the screen reader, and shown for a while. */
  announce: (text: string) => void;
}

export const AppContext = createContext<App | null>(null);

export function useApp(): App {
  const app = useContext(AppContext);
  if (!app) throw new Error('outside of the application');
  return app;
}

const ranks: Record<Role, number> = { subscriber: 0, viewer: 1, operator: 2, admin: 3 };

export function may(role: Role, least: Role): boolean {
  return ranks[role] >= ranks[least];
}

export function messageOf(e: unknown): string {
  return e instanceof Error ? e.message : String(e);
}

export interface Loaded<T> {
  data: T | null;
  error: string;
  /** When `data` came, in milliseconds; 0: never. */
  at: number;
  status: number;
  reload: () => void;
}

/**
 * Asks at once and whenever `key` changes, and with `period` (milliseconds) again and again while the page is
 * looked at. What came last stays when an answer fails.
 */
export function useLoad<T>(
  ask: (options: { background: boolean; signal: AbortSignal }) => Promise<T>,
  key: string,
  period = 0,
): Loaded<T> {
  const [state, setState] = useState<Omit<Loaded<T>, 'reload'>>({ data: null, error: '', at: 0, status: 0 });
  const [turn, setTurn] = useState(0);
  const latest = useRef(ask);
  latest.current = ask;
  const shown = useRef(key);

  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    if (shown.current !== key) {
      shown.current = key;
      setState({ data: null, error: '', at: 0, status: 0 });
    }
    const once = async (background: boolean) => {
      try {
        const data = await latest.current({ background, signal: stop.signal });
        if (!stop.signal.aborted) setState({ data, error: '', at: Date.now(), status: 200 });
      } catch (e) {
        if (stop.signal.aborted) return;
        const status = e instanceof ApiError ? e.status : 0;
        setState((old) => ({ ...old, error: messageOf(e), status }));
      }
      if (period > 0 && !stop.signal.aborted) timer = setTimeout(tick, period);
    };
    const tick = () => {
      if (document.hidden) document.addEventListener('visibilitychange', tick, { once: true, signal: stop.signal });
      else void once(true);
    };
    void once(false);
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [key, period, turn]);

  const reload = useCallback(() => setTurn((n) => n + 1), []);
  return { ...state, reload };
}

/** A time that moves on by the second, for durations. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** Remembered in this browser; without storage (a private window) for this page alone. */
export function remembered(name: string): string | null {
  try {
    return localStorage.getItem(`tandem.${name}`);
  } catch {
    return null;
  }
}

export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(`tandem.${name}`, value);
  } catch {
    // Nothing is lost but the choice.
  }
}
