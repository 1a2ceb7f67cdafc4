import { beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiError, type Api, type Session } from '../src/api';
import { nameOf, Softphone } from '../src/phone/softphone';

/** A client and its calls, as far as the telephone looks at them. */
const world = vi.hoisted(() => {
  class Emitter {
    private all: [string, (value: unknown) => void][] = [];
    on(name: string, listener: (value: unknown) => void): void {
      this.all.push([name, listener]);
    }
    say(name: string, value: unknown): void {
      for (const [n, listener] of this.all) if (n === name) listener(value);
    }
  }
  class FakeCall extends Emitter {
    state = 'incoming';
    onHold = false;
    camera = false;
    local = null;
    peerName = '';
    outgoing = false;
    constructor(readonly peer: string) {
      super();
    }
    hold = vi.fn(async (on = true) => void (this.onHold = on));
    answer = vi.fn(async () => this.become('up'));
    become(state: string): void {
      this.state = state;
      this.say('state', state);
    }
  }
  class FakeClient extends Emitter {
    static last: FakeClient;
    static refuse: Error | null = null;
    gone = false;
    constructor(readonly options: { token: () => Promise<string> }) {
      super();
      FakeClient.last = this;
    }
    async connect(): Promise<void> {
      await this.options.token();
      if (FakeClient.refuse) throw FakeClient.refuse;
      this.say('state', 'online');
    }
    async register(): Promise<void> {
      this.say('registered', { on: true });
    }
    async disconnect(): Promise<void> {
      this.gone = true;
    }
    async call(to: string, _media: unknown, begun: (call: FakeCall) => void): Promise<void> {
      const call = new FakeCall(to);
      call.outgoing = true;
      call.state = 'calling';
      begun(call);
    }
    sendMessage = vi.fn(async () => {});
  }
  return { FakeCall, FakeClient };
});
vi.mock('../src/phone/sounds', () => ({ Sounds: class { play() {} unlock() {} key() {} blocked = false; } }));
vi.mock('@tandem/client', async () => ({ ...(await vi.importActual<object>('@tandem/client')), Client: world.FakeClient }));

const session: Session = { account: '1001@example.com', role: 'subscriber', csrf: '', user: '1001', domain: 'example.com', idle_seconds: 1800, ends: '' };
const settled = async () => {
  for (let i = 0; i < 20; ++i) await Promise.resolve();
};

let news: string[];
let post: ReturnType<typeof vi.fn>;
async function phoneOn(): Promise<Softphone> {
  const phone = new Softphone({ post, get: vi.fn(async () => ({})) } as unknown as Api, session);
  phone.onNews = (key, values) => news.push(`${key} ${values?.['who'] ?? ''}`.trim());
  phone.turnOn();
  await settled();
  return phone;
}
const rings = (peer: string) => {
  const call = new world.FakeCall(peer);
  world.FakeClient.last.say('incoming', call);
  return call;
};

beforeEach(() => {
  localStorage.clear();
  news = [];
  post = vi.fn(async () => ({ user: '1001@example.com', ticket: 'ticket.1.x' }));
  world.FakeClient.refuse = null;
});

describe('names', () => {
  it('are numbers at home and addresses abroad', () => {
    expect(nameOf('sip:1002@example.com', 'example.com')).toBe('1002');
    expect(nameOf('sip:1002@EXAMPLE.com:5060;transport=tls', 'example.com')).toBe('1002');
    expect(nameOf('sips:zo%C3%AB@example.com', 'example.com')).toBe('zoë');
    expect(nameOf('sip:1002@example.org', 'example.com')).toBe('1002@example.org');
    expect(nameOf('tel:+4930123', 'example.com')).toBe('+4930123');
    expect(nameOf('%', 'example.com')).toBe('%');
  });
});

describe('the telephone', () => {
  it('signs in by a ticket, and stays off until it is wanted', async () => {
    const phone = new Softphone({ post, get: vi.fn() } as unknown as Api, session);
    expect(post).not.toHaveBeenCalled();
    phone.turnOn();
    await settled();
    expect(post).toHaveBeenCalledWith('/me/ticket', undefined);
    expect(phone.registered).toBe(true);
    expect(JSON.stringify({ ...localStorage, ...sessionStorage })).not.toContain('ticket');
    phone.close();
    expect(world.FakeClient.last.gone).toBe(true);
  });

  it('is on once when it is turned off and on in haste', async () => {
    const phone = new Softphone({ post, get: vi.fn() } as unknown as Api, session);
    phone.turnOn();
    phone.turnOff();
    phone.turnOn();
    await settled();
    expect(post).toHaveBeenCalledOnce();
    expect(phone.registered).toBe(true);
    phone.turnOff();
    await settled();
    expect(phone).toMatchObject({ link: 'offline', registered: false });
    phone.close();
  });

  it('does not try again where it is refused', async () => {
    post = vi.fn(async () => {
      throw new ApiError(403, 'forbidden', 'the subscriber is disabled');
    });
    const phone = await phoneOn();
    expect(phone).toMatchObject({ wanted: false, fault: 'refused' });
    phone.close();
  });

  it('holds the call before when another is answered, and lets the session end after the last', async () => {
    const phone = await phoneOn();
    const first = rings('sip:1002@example.com');
    await phone.answer(phone.lines[0]!);
    const second = rings('sip:1003@example.com');
    await phone.answer(phone.ringing[0]!);
    expect(first.onHold).toBe(true);
    expect(phone.active?.call).toBe(second);
    const over = vi.fn();
    phone.free(over);
    first.say('ended', { by: 'peer' });
    expect(over).not.toHaveBeenCalled();
    second.say('ended', { by: 'failure' });
    expect(over).toHaveBeenCalledOnce();
    expect(news).toContain('phone.news.broken 1003');
    phone.close();
  });

  it('talks on the call that has become up last, and holds the others', async () => {
    const phone = await phoneOn();
    await phone.call('1002');
    const dialled = phone.lines[0]!.call as unknown as InstanceType<typeof world.FakeCall>;
    const answered = rings('sip:1003@example.com');
    await phone.answer(phone.ringing[0]!);
    expect(phone.active?.call).toBe(answered);
    expect(answered.onHold).toBe(false);
    dialled.become('up');
    await settled();
    expect(answered.onHold).toBe(true);
    expect(dialled.onHold).toBe(false);
    expect(phone.active?.call).toBe(dialled);
    phone.close();
  });

  it('holds nobody late: a hold that is not answered keeps no other waiting', async () => {
    const phone = await phoneOn();
    const calls = ['sip:1002@example.com', 'sip:1003@example.com', 'sip:1004@example.com'].map(rings);
    await phone.answer(phone.lines[0]!);
    let answered: (_: undefined) => void = () => {};
    calls[0]!.hold.mockImplementationOnce((on = true) => {
      calls[0]!.onHold = on;
      return new Promise((done) => (answered = done));
    });
    calls[1]!.become('up');
    calls[2]!.become('up');
    answered(undefined);
    await settled();
    expect(calls.map((c) => c.onHold)).toEqual([true, true, false]);
    phone.close();
  });

  it('answers once, and once more where that failed', async () => {
    const phone = await phoneOn();
    const call = rings('sip:1002@example.com');
    const [line] = phone.lines;
    call.answer.mockRejectedValueOnce(new Error('no microphone'));
    await Promise.all([phone.answer(line!), phone.answer(line!)]);
    expect(call.answer).toHaveBeenCalledOnce();
    expect(news).toEqual(['phone.news.refused']);
    await phone.answer(line!);
    expect(call.state).toBe('up');
    phone.close();
  });

  it('says why a call did not come about', async () => {
    const phone = await phoneOn();
    for (const [status, key] of [[486, 'busy'], [603, 'declined'], [404, 'unknown'], [480, 'away'], [503, 'failed']] as const) {
      await phone.call('1002');
      (phone.lines[0]!.call as unknown as InstanceType<typeof world.FakeCall>).say('ended', { by: 'peer', status });
      expect(news[news.length - 1]).toBe(`phone.news.${key} 1002`);
    }
    const missed = rings('sip:1004@example.com');
    missed.say('ended', { by: 'peer' });
    expect(news[news.length - 1]).toBe('phone.news.missed 1004');
    phone.close();
  });

  it('keeps conversations by who they are with, and not without end', async () => {
    const phone = await phoneOn();
    const write = (from: string, text = 'x', type = 'text/plain') => world.FakeClient.last.say('message', { from, name: '', type, text });
    write('sip:1002@example.com', 'hi');
    await phone.write('1002', 'hello');
    expect(phone.conversations).toHaveLength(1);
    expect(phone.conversations[0]?.texts.map((t) => [t.own, t.text, t.state])).toEqual([
      [false, 'hi', 'sent'],
      [true, 'hello', 'sent'],
    ]);
    write('sip:1003@example.com', '<x/>', 'application/im-iscomposing+xml');
    expect(phone.conversations).toHaveLength(1);
    for (let i = 0; i < 300; ++i) write('sip:1002@example.com');
    for (let i = 0; i < 60; ++i) write(`sip:2${i}@example.com`);
    expect(phone.conversations).toHaveLength(50);
    expect(Math.max(...phone.conversations.map((c) => c.texts.length))).toBeLessThanOrEqual(200);
    phone.close();
  });
});
