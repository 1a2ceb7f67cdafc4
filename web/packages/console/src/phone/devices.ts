// Which microphone, loudspeaker and camera: what there is, and what was chosen in this browser.
import { remember, remembered } from '../ui/state';

export type Kind = 'audioinput' | 'audiooutput' | 'videoinput';
export const kinds: readonly Kind[] = ['audioinput', 'audiooutput', 'videoinput'];

export interface Device {
  id: string;
  label: string;
}

export type Devices = Record<Kind, Device[]>;

export const noDevices: Devices = { audioinput: [], audiooutput: [], videoinput: [] };

/** Without a permission a browser tells neither names nor ids: such devices cannot be chosen and are left out. */
export async function findDevices(): Promise<Devices> {
  const found: Devices = { audioinput: [], audiooutput: [], videoinput: [] };
  // Absent where the page did not come by HTTPS.
  const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  for (const d of all) {
    // "default" and "communications" are other names of devices that are listed, too.
    if (d.deviceId && d.label && d.deviceId !== 'default' && d.deviceId !== 'communications') found[d.kind].push({ id: d.deviceId, label: d.label });
  }
  return found;
}

export function chosen(kind: Kind): string {
  return remembered(`device.${kind}`) ?? '';
}

export function choose(kind: Kind, id: string): void {
  remember(`device.${kind}`, id);
}

/** Empty: the system's own. What is not `exact` Chromium passes over where it may choose between devices itself. */
export function constraintOf(kind: 'audioinput' | 'videoinput'): MediaTrackConstraints | true {
  const id = chosen(kind);
  const device = id ? { deviceId: { exact: id } } : {};
  if (kind === 'audioinput') return id ? device : true;
  return { width: { ideal: 1280 }, height: { ideal: 720 }, ...device };
}

function withoutDevice(wish: MediaTrackConstraints | boolean | undefined): MediaTrackConstraints | boolean {
  if (typeof wish !== 'object') return wish ?? false;
  const { deviceId: _, ...rest } = wish;
  return rest;
}

/** What was chosen; in the place of what is not plugged in today, what the system has. */
export async function openDevices(wish: MediaStreamConstraints): Promise<MediaStream> {
  const { audio, video } = wish;
  const wishes: MediaStreamConstraints[] = [wish, { audio: audio ?? false, video: withoutDevice(video) }, { audio: withoutDevice(audio), video: video ?? false }];
  for (const next of wishes)
    try {
      return await navigator.mediaDevices.getUserMedia(next);
    } catch (e) {
      if ((e as Error).name !== 'OverconstrainedError') throw e;
    }
  return navigator.mediaDevices.getUserMedia({ audio: withoutDevice(audio), video: withoutDevice(video) });
}

export const canChooseSpeaker = (): boolean => 'setSinkId' in HTMLMediaElement.prototype;
