import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Client, RequestError, type Call, type ClientOptions } from '../src/index';
import { FakeConnection, FakeSocket, media, settled, track, type Json } from './fakes';

const open = async (others: Partial<ClientOptions> = {}): Promise<Client> => {
  const client = new Client({
    url: 'wss://example.com/rtc',
    user: '1001@example.com',
    password: async () => 'secret',
    WebSocket: FakeSocket as unknown as new (url: string, protocols: string) => WebSocket,
    ...media,
    ...others,
  });
  await client.connect();
  return client;
};
/** The connection is lost and comes back, to a server that lists these. */
const comesBack = async (...calls: Json[]): Promise<void> => {
  FakeSocket.answer = (r) => (r['op'] === 'hello' ? { ok: true, session: 't', linger: 60, registered: false, calls } : { ok: true });
  FakeSocket.last().drop();
  await vi.advanceTimersByTimeAsync(1000);
};
const ops = (socket = FakeSocket.last()) => socket.sent.map((r) => r['op']);
const sent = (op: string, socket = FakeSocket.last()): Json => socket.sent.find((r) => r['op'] === op) ?? {};

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('addEventListener', () => {});
  vi.stubGlobal('removeEventListener', () => {});
  FakeSocket.reset();
  FakeConnection.all = [];
  track.stopped = false;
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('a session', () => {
  it('begins with the credentials and the subprotocol', async () => {
    const client = await open();
    expect(FakeSocket.last().protocol).toBe('tandem.rtc.v1');
    expect(sent('hello')).toEqual({ id: 1, op: 'hello', versions: [1], user: '1001@example.com', password: 'secret' });
    expect(client.state).toBe('online');
    await client.disconnect();
    expect(ops()).toEqual(['hello', 'bye']);
    expect(client.state).toBe('offline');
  });

  it('begins with a token where it is given one, a fresh one each time', async () => {
    let given = 0;
    const client = new Client({
      url: 'wss://example.com/rtc',
      user: '1001@example.com',
      token: () => `ticket ${++given}`,
      WebSocket: FakeSocket as unknown as new (url: string, protocols: string) => WebSocket,
      ...media,
    });
    await client.connect();
    expect(sent('hello')).toEqual({ id: 1, op: 'hello', versions: [1], user: '1001@example.com', token: 'ticket 1' });
    FakeSocket.reachable = false;
    FakeSocket.last().drop();
    await vi.advanceTimersByTimeAsync(61_000);
    FakeSocket.reachable = true;
    await vi.advanceTimersByTimeAsync(20_000);
    expect(sent('hello')).toMatchObject({ token: 'ticket 2' });
  });

  it('says why it cannot begin, and does not try again', async () => {
    FakeSocket.answer = () => ({ ok: false, error: { code: 'unauthorized', text: 'no' } });
    await expect(open()).rejects.toMatchObject({ code: 'unauthorized', message: 'no' });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeSocket.all).toHaveLength(1);
    FakeSocket.reachable = false;
    await expect(open()).rejects.toBeInstanceOf(RequestError);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeSocket.all).toHaveLength(2);
  });

  it('comes back by itself with its token, its calls going on', async () => {
    const client = await open();
    const call = await client.call('1002');
    FakeSocket.last().say({ event: 'answered', call: 'c1', sdp: 'theirs' });
    await settled();
    FakeSocket.answer = (r) =>
      r['op'] === 'hello'
        ? { ok: true, session: 'token-2', linger: 60, registered: false, calls: [{ call: 'c1', state: 'up', outgoing: true, peer: '1002', name: '' }] }
        : { ok: true };
    FakeSocket.last().drop();
    expect(client.state).toBe('reconnecting');
    await vi.advanceTimersByTimeAsync(1000);
    expect(client.state).toBe('online');
    expect(sent('hello')).toMatchObject({ resume: 'token-1' });
    expect(sent('hello')['password']).toBeUndefined();
    expect(call.state).toBe('up');
    expect(FakeConnection.last.restarts).toBe(1);
    expect(sent('offer')).toMatchObject({ call: 'c1', sdp: 'offer 2 restarted' });
  });

  it('tells how it is with others, and says it again in a new session', async () => {
    const client = await open();
    const seen = vi.fn();
    client.on('presence', seen);
    await client.watch('1002');
    await client.watch('1003');
    await client.watch('1003', false);
    await client.setPresence('away', 'lunch');
    FakeSocket.last().say({ event: 'presence', peer: '1002@example.com', state: 'busy', note: '', line: 'busy' });
    expect(seen).toHaveBeenCalledWith({ peer: '1002@example.com', state: 'busy', note: '', line: 'busy' });
    FakeSocket.answer = (r) =>
      r['op'] !== 'hello'
        ? { ok: true }
        : r['resume']
          ? { ok: false, error: { code: 'unauthorized', text: 'gone' } }
          : { ok: true, session: 'token-2', linger: 60, registered: false, calls: [] };
    FakeSocket.last().drop();
    await vi.advanceTimersByTimeAsync(20_000);
    expect(client.state).toBe('online');
    expect(sent('watch')).toMatchObject({ to: '1002', on: true });
    expect(sent('presence')).toMatchObject({ state: 'away', note: 'lunch' });
  });

  it('tries for as long as it takes, with longer pauses', async () => {
    const client = await open();
    FakeSocket.reachable = false;
    FakeSocket.last().drop();
    await vi.advanceTimersByTimeAsync(30_000);
    const tries = FakeSocket.all.length - 1;
    expect(tries).toBeGreaterThanOrEqual(5);
    expect(tries).toBeLessThanOrEqual(9);
    FakeSocket.reachable = true;
    await vi.advanceTimersByTimeAsync(20_000);
    expect(client.state).toBe('online');
  });

  it('begins anew where the server has given the session up: calls are over, the registration is made again', async () => {
    const client = await open();
    await client.register();
    const call = await client.call('1002');
    const ended = vi.fn();
    call.on('ended', ended);
    FakeSocket.answer = (r) =>
      r['resume'] ? { ok: false, error: { code: 'unauthorized', text: 'gone' } } : r['op'] === 'hello' ? { ok: true, session: 'new', linger: 60, calls: [] } : { ok: true };
    FakeSocket.last().drop();
    await vi.advanceTimersByTimeAsync(1000);
    expect(ops()).toEqual(['hello', 'hello', 'register']);
    expect(ended).toHaveBeenCalledWith(expect.objectContaining({ by: 'failure' }));
    expect(client.calls).toEqual([]);
  });

  it('does not show a token that has run out', async () => {
    await open();
    FakeSocket.reachable = false;
    FakeSocket.last().drop();
    await vi.advanceTimersByTimeAsync(61_000);
    FakeSocket.reachable = true;
    await vi.advanceTimersByTimeAsync(20_000);
    expect(sent('hello')).toMatchObject({ password: 'secret' });
  });

  it('ends for good when it was taken over', async () => {
    const client = await open();
    const closed = vi.fn();
    client.on('closed', closed);
    FakeSocket.last().say({ event: 'replaced' });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(closed).toHaveBeenCalledOnce();
    expect(FakeSocket.all).toHaveLength(1);
  });

  it('finds out that nobody is there any more', async () => {
    const client = await open();
    FakeSocket.answer = () => null;
    await vi.advanceTimersByTimeAsync(29_000);
    expect(client.state).toBe('reconnecting');
  });

  it('does not wait for the end of a socket whose network is gone', async () => {
    const client = await open();
    FakeSocket.closes = false;
    FakeSocket.answer = () => null;
    await vi.advanceTimersByTimeAsync(28_100);
    expect(client.state).toBe('reconnecting');
    FakeSocket.reset();
    await vi.advanceTimersByTimeAsync(1000);
    expect(client.state).toBe('online');
    expect(sent('hello')).toMatchObject({ resume: 'token-1' });
  });

  it('gives up a socket that does not come up, and makes another', async () => {
    const client = await open();
    FakeSocket.opens = false;
    FakeSocket.closes = false;
    FakeSocket.last().drop();
    await vi.advanceTimersByTimeAsync(12_000);
    expect(client.state).toBe('reconnecting');
    expect(FakeSocket.all.length).toBe(3);
    FakeSocket.opens = true;
    await vi.advanceTimersByTimeAsync(12_000);
    expect(client.state).toBe('online');
  });

  it('asks whether the server is there when media is lost', async () => {
    const client = await open();
    await client.call('1002');
    FakeSocket.last().say({ event: 'answered', call: 'c1', sdp: 'theirs' });
    await settled();
    FakeConnection.last.become('disconnected');
    expect(ops()).toContain('ping');
    expect(FakeConnection.last.restarts).toBe(0);
    FakeConnection.last.become('failed');
    expect(FakeConnection.last.restarts).toBe(1);
  });

  it('leaves nobody waiting, and takes no harm from what it does not understand', async () => {
    const client = await open();
    FakeSocket.answer = () => null;
    const waiting = client.sendMessage('1002', 'hi');
    for (const odd of ['{', '[]', 'null', '7', '{"id":99,"ok":true}', '{"event":"new thing","call":"x"}']) FakeSocket.last().say(odd);
    FakeSocket.last().drop();
    await expect(waiting).rejects.toMatchObject({ code: 'disconnected' });
    await expect(client.sendMessage('1002', 'hi')).rejects.toMatchObject({ code: 'disconnected' });
  });
});

describe('a call', () => {
  it('goes out, rings with early media, is answered and ends', async () => {
    const client = await open();
    const call = await client.call('1002');
    const states: string[] = [];
    call.on('state', (s) => states.push(s));
    const pc = FakeConnection.last;
    expect(sent('call')).toMatchObject({ to: '1002', sdp: 'offer 1' });
    FakeSocket.last().say({ event: 'ringing', call: 'c1', status: 183, sdp: 'early' });
    FakeSocket.last().say({ event: 'answered', call: 'c1', sdp: 'theirs' });
    await settled();
    expect(pc.log).toEqual(['local offer', 'remote pranswer early', 'remote answer theirs']);
    await call.hangUp();
    FakeSocket.last().say({ event: 'ended', call: 'c1', by: 'us', cause: 16 });
    expect(states).toEqual(['ringing', 'up', 'ended']);
    expect(pc.closed && track.stopped).toBe(true);
    expect(client.calls).toEqual([]);
  });

  it("goes by the node's own servers, asked for again before their credentials run out", async () => {
    const usual = FakeSocket.answer;
    const servers = [{ urls: 'turn:example.com:3478?transport=udp', username: '1:1001', credential: 'x' }];
    FakeSocket.answer = (r, socket) => (r['op'] === 'ice_servers' ? { ok: true, ice_servers: servers, lifetime: 3600 } : usual(r, socket));
    const client = await open();
    await client.call('1002');
    expect(FakeConnection.last.configuration).toEqual({ iceServers: servers, iceTransportPolicy: 'all' });
    await client.call('1002', { relayOnly: true });
    expect(FakeConnection.last.configuration).toEqual({ iceServers: servers, iceTransportPolicy: 'relay' });
    await client.call('1002', { iceServers: [] });
    expect(FakeConnection.last.configuration).toEqual({ iceServers: [], iceTransportPolicy: 'all' });
    expect(ops().filter((op) => op === 'ice_servers')).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1_801_000);
    await client.call('1002');
    expect(ops().filter((op) => op === 'ice_servers')).toHaveLength(2);
  });

  it('is hung up before it has a name', async () => {
    const client = await open();
    let call: Call | undefined;
    const placed = client.call('1002', {}, (c) => (call = c));
    const over = expect(placed).rejects.toMatchObject({ code: 'unknown_call' });
    FakeSocket.answer = (r) => {
      if (r['op'] === 'call') void call?.hangUp();
      return { ok: true, call: 'c1' };
    };
    await over;
    expect(sent('hangup')).toMatchObject({ call: 'c1' });
    expect(track.stopped).toBe(true);
    expect(client.calls).toEqual([]);
  });

  it('hears what was said before its name was known', async () => {
    const client = await open();
    FakeSocket.answer = (r, socket) => {
      if (r['op'] !== 'call') return { ok: true };
      socket.say({ event: 'ringing', call: 'c1', status: 180 });
      return { ok: true, call: 'c1' };
    };
    expect((await client.call('1002')).state).toBe('ringing');
  });

  it('is refused with its status, and lets the microphone go', async () => {
    const client = await open();
    FakeSocket.answer = () => ({ ok: false, error: { code: 'failed', text: 'no such number', status: 404 } });
    await expect(client.call('9')).rejects.toMatchObject({ code: 'failed', status: 404 });
    expect(track.stopped).toBe(true);
  });

  it('sends candidates once it has a name, and keeps theirs until there is a description', async () => {
    const client = await open();
    const placed = client.call('1002');
    await settled();
    const pc = FakeConnection.last;
    const call = await placed;
    for (let i = 0; i < 70; ++i) pc.onicecandidate?.({ candidate: { candidate: `candidate:${i}`, sdpMid: '0', usernameFragment: 'u' } });
    pc.onicecandidate?.({ candidate: null });
    FakeSocket.last().say({ event: 'candidates', call: 'c1', candidates: [{ candidate: 'candidate:x', mid: '0' }], end: false });
    await settled();
    const all = FakeSocket.last().sent.filter((r) => r['op'] === 'candidates');
    expect(all.flatMap((r) => r['candidates'] as Json[])).toHaveLength(70);
    expect(all.every((r) => (r['candidates'] as Json[]).length <= 64)).toBe(true);
    expect(all.map((r) => r['end'])).toEqual([...all.slice(1).map(() => false), true]);
    expect(pc.candidates).toEqual([]);
    FakeSocket.last().say({ event: 'answered', call: 'c1', sdp: 'theirs' });
    await settled();
    expect(pc.candidates).toEqual([{ candidate: 'candidate:x', sdpMid: '0' }]);
    expect(call.state).toBe('up');
  });

  it('comes in and is answered, also without an offer', async () => {
    const client = await open();
    const calls: Call[] = [];
    client.on('incoming', (c) => calls.push(c));
    FakeSocket.last().say({ event: 'incoming', call: 'c7', peer: 'sip:1002@example.com', name: 'Zoë', offer: 'their offer' });
    FakeSocket.last().say({ event: 'incoming', call: 'c8', peer: 'sip:1003@example.com', name: '', offer_wanted: true });
    expect(calls[0]?.peerName).toBe('Zoë');
    await calls[0]?.answer();
    expect(FakeConnection.last.log).toEqual(['remote offer their offer', 'local answer']);
    expect(sent('answer')).toMatchObject({ call: 'c7', sdp: 'our answer' });
    await expect(calls[0]?.answer()).rejects.toMatchObject({ code: 'wrong_state' });
    await calls[1]?.answer();
    FakeSocket.last().say({ event: 'answer', call: 'c8', sdp: 'theirs' });
    await settled();
    expect(FakeConnection.last.log).toEqual(['local offer', 'remote answer theirs']);
  });

  it('is held, and gives way to an offer that crosses its own', async () => {
    const client = await open();
    const call = await client.call('1002');
    FakeSocket.last().say({ event: 'answered', call: 'c1', sdp: 'theirs' });
    await settled();
    const pc = FakeConnection.last;
    const holding = call.hold();
    await settled();
    expect(pc.transceivers[0]?.direction).toBe('sendonly');
    expect(sent('offer')).toMatchObject({ call: 'c1', sdp: 'offer 2' });
    const held = vi.fn();
    call.on('held', held);
    if (pc.transceivers[0]) pc.transceivers[0].currentDirection = 'recvonly';
    FakeSocket.last().say({ event: 'offer', call: 'c1', sdp: 'their offer' });
    await settled();
    expect(pc.log.slice(3)).toEqual(['local rollback', 'remote offer their offer', 'local answer']);
    expect(held).toHaveBeenCalledWith(true);
    await holding;
    const resuming = call.hold(false);
    await settled();
    FakeSocket.last().say({ event: 'offer_refused', call: 'c1', status: 491 });
    await resuming;
    expect(pc.signalingState).toBe('stable');
    const offers = () => ops().filter((op) => op === 'offer').length;
    const before = offers();
    await vi.advanceTimersByTimeAsync(2000);
    expect(offers()).toBe(before + 1);
    FakeSocket.last().say({ event: 'answer', call: 'c1', sdp: 'their answer' });
    await settled();
    expect(pc.log.slice(-2)).toEqual(['local offer', 'remote answer their answer']);
  });

  it('keeps its lines in the group they are in, and out of one they are not in', async () => {
    const client = await open();
    await client.call('1002');
    FakeSocket.last().say({ event: 'answered', call: 'c1', sdp: 'v=0\r\na=group:BUNDLE 0\r\nm=audio 4 x\r\n' });
    await settled();
    const pc = FakeConnection.last;
    pc.currentRemoteDescription = pc.remoteDescription;
    FakeSocket.last().say({ event: 'offer', call: 'c1', sdp: 'v=0\r\nm=audio 4 x\r\nm=video 6 x\r\n' });
    await settled();
    expect(pc.remoteDescription?.sdp).toBe('v=0\r\na=group:BUNDLE 0\r\nm=audio 4 x\r\nm=video 6 x\r\n');
    pc.currentRemoteDescription = { type: 'answer', sdp: 'v=0\r\nm=audio 4 x\r\n' };
    pc.createOffer = async () => ({ type: 'offer', sdp: 'v=0\r\na=group:BUNDLE 0 1\r\nm=audio 9 x\r\n' });
    void client.calls[0]?.hold();
    await settled();
    expect(sent('offer')).toMatchObject({ sdp: 'v=0\r\nm=audio 9 x\r\n' });
  });

  it('refuses what a browser does not take, and is as it was', async () => {
    const client = await open();
    const call = await client.call('1002');
    FakeSocket.last().say({ event: 'answered', call: 'c1', sdp: 'theirs' });
    await settled();
    const pc = FakeConnection.last;
    pc.createAnswer = async () => {
      throw new Error('no');
    };
    FakeSocket.last().say({ event: 'offer', call: 'c1', sdp: 'odd' });
    await settled();
    expect(sent('reject')).toMatchObject({ call: 'c1', status: 488 });
    expect(pc.signalingState).toBe('stable');
    expect(call.state).toBe('up');
  });

  it('makes one offer after the other, and does not wait for an answer that was lost', async () => {
    const client = await open();
    const call = await client.call('1002');
    FakeSocket.last().say({ event: 'answered', call: 'c1', sdp: 'theirs' });
    await settled();
    const both = [call.hold(), call.hold(false)];
    await settled();
    expect(ops().filter((op) => op === 'offer')).toHaveLength(1);
    FakeSocket.last().say({ event: 'answer', call: 'c1', sdp: 'first' });
    await settled();
    expect(FakeConnection.last.log.slice(-2)).toEqual(['remote answer first', 'local offer']);
    FakeSocket.answer = (r) =>
      r['op'] === 'hello' ? { ok: true, session: 't', linger: 60, registered: false, calls: [{ call: 'c1', state: 'up', outgoing: true, peer: '', name: '' }] } : { ok: true };
    FakeSocket.last().drop();
    await vi.advanceTimersByTimeAsync(1000);
    await Promise.all(both);
    expect(sent('offer')).toMatchObject({ sdp: 'offer 4 restarted' });
  });

  it('rings on when its answer was lost with the connection, and lets go of what it had begun', async () => {
    const client = await open();
    const calls: Call[] = [];
    client.on('incoming', (c) => calls.push(c));
    FakeSocket.last().say({ event: 'incoming', call: 'c7', peer: 'sip:1002@example.com', name: '', offer: 'their offer' });
    FakeSocket.answer = () => null;
    const answered = expect(calls[0]?.answer()).rejects.toMatchObject({ code: 'disconnected' });
    await settled();
    FakeSocket.last().drop();
    await answered;
    expect(calls[0]?.state).toBe('incoming');
    expect(FakeConnection.last.closed && track.stopped).toBe(true);
  });

  it('is answered once, however often it is asked to', async () => {
    const client = await open();
    let call: Call | undefined;
    client.on('incoming', (c) => (call = c));
    FakeSocket.last().say({ event: 'incoming', call: 'c7', peer: 'sip:1002@example.com', name: '', offer: 'their offer' });
    const first = call?.answer();
    await expect(call?.answer()).rejects.toMatchObject({ code: 'wrong_state' });
    await first;
    expect(FakeConnection.all).toHaveLength(1);
    expect(ops().filter((op) => op === 'answer')).toHaveLength(1);
    expect(call?.state).toBe('up');
    expect(FakeConnection.last.closed || track.stopped).toBe(false);
  });

  it('is answered anew where the first attempt failed, which leaves open only what was not its own', async () => {
    const given = { stopped: false, stop: () => void (given.stopped = true) };
    const stream = { getTracks: () => [given], getAudioTracks: () => [given] } as unknown as MediaStream;
    const getMedia = vi.fn(media.getMedia);
    const createConnection = vi.fn(media.createConnection);
    const client = await open({ getMedia, createConnection });
    let call: Call | undefined;
    client.on('incoming', (c) => (call = c));
    FakeSocket.last().say({ event: 'incoming', call: 'c7', peer: 'sip:1002@example.com', name: '', offer: 'their offer' });
    createConnection.mockImplementationOnce(() => {
      throw new Error('no such server');
    });
    await expect(call?.answer()).rejects.toThrow('no such server');
    expect(track.stopped).toBe(true);
    FakeSocket.answer = () => ({ ok: false, error: { code: 'failed', text: 'no' } });
    await expect(call?.answer({ stream })).rejects.toMatchObject({ code: 'failed' });
    expect(FakeConnection.last.closed).toBe(true);
    getMedia.mockRejectedValueOnce(new Error('not allowed'));
    await expect(call?.answer()).rejects.toThrow('not allowed');
    expect(given.stopped).toBe(false);
    FakeSocket.answer = () => ({ ok: true });
    await call?.answer({ stream });
    expect(call?.state).toBe('up');
  });

  it('is hung up when it comes back where nobody knows it, since its name was lost', async () => {
    const client = await open();
    const rung = vi.fn();
    client.on('incoming', rung);
    for (const state of ['calling', 'up']) {
      FakeSocket.answer = (r) => (r['op'] === 'call' ? null : { ok: true });
      const placed = expect(client.call('1002')).rejects.toMatchObject({ code: 'disconnected' });
      await settled();
      FakeSocket.last().say({ event: 'ringing', call: 'c1', status: 180 });
      await comesBack({ call: 'c1', state, outgoing: true, peer: '1002', name: '' });
      await placed;
      expect(sent('hangup')).toMatchObject({ call: 'c1' });
      expect(client.calls).toEqual([]);
    }
    expect(rung).not.toHaveBeenCalled();
    FakeSocket.answer = () => ({ ok: true, call: 'c1' });
    expect((await client.call('1003')).state).toBe('calling'); // not what was said of the one before
  });

  it('is hung up, too, where the connection lives and yet no answer came', async () => {
    const client = await open();
    const answers = FakeSocket.answer;
    FakeSocket.answer = (r, socket) => (r['op'] === 'call' ? null : answers(r, socket));
    const placed = client.call('1002').catch((e: unknown) => e);
    await vi.advanceTimersByTimeAsync(29_000);
    expect(FakeSocket.all).toHaveLength(1);
    FakeSocket.answer = (r) =>
      r['op'] === 'hello'
        ? { ok: true, session: 't', linger: 60, registered: false, calls: [{ call: 'c9', state: 'calling', outgoing: true, peer: '1002', name: '' }] }
        : { ok: true };
    await vi.advanceTimersByTimeAsync(3_000);
    expect(await placed).toMatchObject({ code: 'disconnected' });
    expect(FakeSocket.all).toHaveLength(2);
    expect(sent('hangup')).toMatchObject({ call: 'c9' });
    expect(client.calls).toHaveLength(0);
  });

  it('ends when its answer was heard, but what it spoke of is closed', async () => {
    const client = await open();
    let call: Call | undefined;
    client.on('incoming', (c) => (call = c));
    const ended = vi.fn();
    FakeSocket.last().say({ event: 'incoming', call: 'c7', peer: 'sip:1002@example.com', name: '', offer: 'their offer' });
    call?.on('ended', ended);
    FakeSocket.answer = () => null;
    const answered = expect(call?.answer()).rejects.toMatchObject({ code: 'disconnected' });
    await settled();
    await comesBack({ call: 'c7', state: 'up', outgoing: false, peer: 'sip:1002@example.com', name: '' });
    await answered;
    expect(ops()).toEqual(['hello', 'hangup']);
    expect(sent('hangup')).toMatchObject({ call: 'c7' });
    expect(ended).toHaveBeenCalledWith(expect.objectContaining({ by: 'failure' }));
    expect(call?.state).toBe('ended');
  });

  it('ends so, too, while it is being answered once more', async () => {
    let granted = (_: MediaStream): void => {};
    const getMedia = vi.fn(media.getMedia);
    const client = await open({ getMedia });
    let call: Call | undefined;
    client.on('incoming', (c) => (call = c));
    FakeSocket.last().say({ event: 'incoming', call: 'c7', peer: 'sip:1002@example.com', name: '', offer: 'their offer' });
    FakeSocket.answer = () => null;
    const first = expect(call?.answer()).rejects.toMatchObject({ code: 'disconnected' });
    await settled();
    FakeSocket.last().drop();
    await first;
    getMedia.mockImplementationOnce(() => new Promise((done) => (granted = done)));
    const second = expect(call?.answer()).rejects.toMatchObject({ code: 'unknown_call' });
    await comesBack({ call: 'c7', state: 'up', outgoing: false, peer: 'sip:1002@example.com', name: '' });
    expect(call?.state).toBe('ended');
    track.stopped = false;
    granted(await media.getMedia());
    await second;
    expect(track.stopped).toBe(true);
    expect(FakeConnection.all).toHaveLength(1);
  });

  it('takes early media for the answer that was lost with the connection', async () => {
    const client = await open();
    const call = await client.call('1002');
    FakeSocket.last().say({ event: 'ringing', call: 'c1', status: 183, sdp: 'early' });
    await settled();
    await comesBack({ call: 'c1', state: 'up', outgoing: true, peer: '1002', name: '' });
    expect(call.state).toBe('up');
    expect(FakeConnection.last.log).toEqual(['local offer', 'remote pranswer early', 'remote answer early', 'local offer']);
    expect(sent('offer')).toMatchObject({ call: 'c1', sdp: 'offer 2 restarted' });
  });

  it('finds a new way once it is up, where the one of early media was lost', async () => {
    const client = await open();
    await client.call('1002');
    FakeSocket.last().say({ event: 'ringing', call: 'c1', status: 183, sdp: 'early' });
    await settled();
    FakeConnection.last.become('failed');
    expect(FakeConnection.last.restarts).toBe(0);
    FakeSocket.last().say({ event: 'answered', call: 'c1', sdp: 'theirs' });
    await settled();
    expect(FakeConnection.last.log.slice(-2)).toEqual(['remote answer theirs', 'local offer']);
    expect(sent('offer')).toMatchObject({ call: 'c1', sdp: 'offer 2 restarted' });
  });

  it('finds a new way once its answer is there, where the one it had was lost meanwhile', async () => {
    const client = await open();
    let call: Call | undefined;
    client.on('incoming', (c) => (call = c));
    FakeSocket.last().say({ event: 'incoming', call: 'c7', peer: 'sip:1002@example.com', name: '', offer: 'their offer' });
    FakeSocket.answer = (r) => {
      if (r['op'] === 'answer') FakeConnection.last.become('failed');
      return { ok: true };
    };
    await call?.answer();
    await settled();
    expect(sent('offer')).toMatchObject({ call: 'c7', sdp: 'offer 1 restarted' });
  });

  it('answers an offer that waited for it before it makes its own', async () => {
    const client = await open();
    const call = await client.call('1002');
    FakeSocket.last().say({ event: 'answered', call: 'c1', sdp: 'theirs' });
    await settled();
    const listed = { call: 'c1', state: 'up', outgoing: true, peer: '1002', name: '' };
    const { log } = FakeConnection.last;
    await comesBack({ ...listed, offer: 'their offer' });
    expect(log.slice(2)).toEqual(['remote offer their offer', 'local answer', 'local offer']);
    expect(ops()).toEqual(['hello', 'answer', 'offer']);
    expect(sent('answer')).toMatchObject({ call: 'c1', sdp: 'our answer' });
    FakeSocket.last().say({ event: 'answer', call: 'c1', sdp: 'theirs' });
    await settled();
    await comesBack({ ...listed, offer_wanted: true });
    expect(ops()).toEqual(['hello', 'answer']);
    expect(sent('answer')).toMatchObject({ call: 'c1', sdp: 'offer 3 restarted' });
    FakeSocket.last().say({ event: 'answer', call: 'c1', sdp: 'theirs again' });
    await settled();
    expect(log.slice(-2)).toEqual(['local offer', 'remote answer theirs again']);
    expect(call.state).toBe('up');
  });

  it('takes early media for the answer that was lost also where an offer waits', async () => {
    const client = await open();
    await client.call('1002');
    FakeSocket.last().say({ event: 'ringing', call: 'c1', status: 183, sdp: 'early' });
    await settled();
    await comesBack({ call: 'c1', state: 'up', outgoing: true, peer: '1002', name: '', offer: 'their offer' });
    expect(FakeConnection.last.log.slice(2)).toEqual(['remote answer early', 'remote offer their offer', 'local answer', 'local offer']);
    expect(ops()).toEqual(['hello', 'answer', 'offer']);
  });

  it('sends digits, is transferred, is muted', async () => {
    const client = await open();
    const call = await client.call('1002');
    await call.sendDigits('12#');
    await call.transfer('1003');
    await call.transfer(call);
    call.mute();
    expect(track.enabled).toBe(false);
    expect(FakeSocket.last().sent.slice(-3).map(({ id: _, ...r }) => r)).toEqual([
      { op: 'dtmf', call: 'c1', digits: '12#', duration: 160 },
      { op: 'transfer', call: 'c1', to: '1003' },
      { op: 'transfer', call: 'c1', with: 'c1' },
    ]);
  });
});
