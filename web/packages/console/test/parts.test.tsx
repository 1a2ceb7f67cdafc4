// The parts as a browser has them: text from the network stays text, and what is shown can be reached.
import { render } from 'preact';
import { act } from 'preact/test-utils';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { SipMessage } from '../src/api';
import { LocaleContext, translator } from '../src/i18n';
import { LadderDiagram } from '../src/ui/ladder';
import { Mos, Table } from '../src/ui/parts';

const hostile = '<img src=x onerror="alert(1)">';
let root: HTMLElement;

beforeEach(() => {
  root = document.createElement('div');
  document.body.append(root);
  vi.stubGlobal('matchMedia', () => ({ matches: false, addEventListener() {}, removeEventListener() {} }));
});
afterEach(() => {
  render(null, root);
  root.remove();
  vi.unstubAllGlobals();
});

const show = (what: preact.ComponentChild) =>
  act(() => render(<LocaleContext.Provider value={{ language: 'en', t: translator('en') }}>{what}</LocaleContext.Provider>, root));

describe('a table', () => {
  it('shows what callers call themselves as text', async () => {
    await show(
      <Table
        caption="Calls"
        none="none"
        rows={[{ name: hostile }]}
        id={(r) => r.name}
        columns={[{ title: 'Name', heads: true, cell: (r) => r.name }]}
      />,
    );
    expect(root.querySelector('img')).toBeNull();
    expect(root.querySelector('tbody th[scope=row]')?.textContent).toBe(hostile);
    expect(root.querySelector('caption')?.textContent).toBe('Calls');
    expect(root.querySelector('[role=region]')?.getAttribute('tabindex')).toBe('0');
  });
  it('says when it is empty', async () => {
    await show(<Table caption="Calls" none="no calls" rows={[]} id={String} columns={[]} />);
    expect(root.textContent).toBe('no calls');
  });
});

describe('a score', () => {
  it('is never told by colour alone', async () => {
    await show(<><Mos value={4.4} /><Mos value={2.5} /><Mos value={0} /></>);
    expect([...root.querySelectorAll('.mos')].map((e) => e.textContent)).toEqual(['●4.40', '○2.50', '–']);
  });
});

describe('the ladder', () => {
  const message = (us: number, text: string): SipMessage => ({
    time: '', time_us: us, outbound: us > 1, transport: 'udp', local: '', remote: '192.0.2.7:5060', call_id: '', text,
  });
  it('is walked with the keyboard and shows messages as text', async () => {
    await show(<LadderDiagram messages={[message(1, `INVITE sip:x SIP/2.0\r\nSubject: ${hostile}`), message(2000, 'SIP/2.0 200 OK')]} />);
    const steps = root.querySelectorAll<SVGGElement>('[role=option]');
    expect([...steps].map((s) => s.getAttribute('tabindex'))).toEqual(['0', '-1']);
    await act(() => void steps[0]?.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true })));
    expect(root.querySelector('pre')?.textContent).toContain(hostile);
    expect(root.querySelector('img')).toBeNull();
    await act(() => void steps[0]?.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown', bubbles: true })));
    expect(root.querySelector('pre')?.textContent).toBe('SIP/2.0 200 OK');
    expect(steps[1]?.getAttribute('aria-selected')).toBe('true');
    expect(steps[1]?.getAttribute('aria-label')).toContain('+2.0 ms');
  });
});
