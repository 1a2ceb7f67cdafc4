import { afterEach, describe, expect, it, vi } from 'vitest';
import { openDevices } from '../src/phone/devices';

/** A browser that has these devices alone, and what it was asked for. */
function plugged(...ids: string[]) {
  const asked: MediaStreamConstraints[] = [];
  const idOf = (wish: MediaTrackConstraints | boolean | undefined) => (typeof wish === 'object' ? (wish.deviceId as { exact: string } | undefined)?.exact : undefined);
  vi.stubGlobal('navigator', {
    mediaDevices: {
      async getUserMedia(wish: MediaStreamConstraints) {
        asked.push(wish);
        for (const id of [idOf(wish.audio), idOf(wish.video)])
          if (id && !ids.includes(id)) throw Object.assign(new Error(id), { name: id === 'forbidden' ? 'NotAllowedError' : 'OverconstrainedError' });
        return { audio: idOf(wish.audio), video: idOf(wish.video) };
      },
    },
  });
  return asked;
}
afterEach(() => vi.unstubAllGlobals());

const wish = { audio: { deviceId: { exact: 'desk' } }, video: { width: { ideal: 1280 }, deviceId: { exact: 'door' } } };

describe('the devices of a call', () => {
  it('are those that were chosen', async () => {
    const asked = plugged('desk', 'door');
    expect(await openDevices(wish)).toEqual({ audio: 'desk', video: 'door' });
    expect(asked).toEqual([wish]);
  });
  it('are others in the place of those that are not plugged in, and only of those', async () => {
    const asked = plugged('desk');
    expect(await openDevices(wish)).toEqual({ audio: 'desk', video: undefined });
    expect(asked.at(-1)?.video).toEqual({ width: { ideal: 1280 } });
    plugged('door');
    expect(await openDevices(wish)).toEqual({ audio: undefined, video: 'door' });
    plugged();
    expect(await openDevices(wish)).toEqual({ audio: undefined, video: undefined });
    plugged();
    expect(await openDevices({ audio: wish.audio })).toEqual({ audio: undefined, video: undefined });
  });
  it('are asked for once where they are not allowed', async () => {
    const asked = plugged();
    await expect(openDevices({ audio: { deviceId: { exact: 'forbidden' } } })).rejects.toMatchObject({ name: 'NotAllowedError' });
    expect(asked).toHaveLength(1);
  });
});
