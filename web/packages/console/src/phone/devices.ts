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

/** Empty: the system's own. One that is not plugged in today is passed over by the browser. */
export function constraintOf(kind: 'audioinput' | 'videoinput'): MediaTrackConstraints | true {
  const id = chosen(kind);
  if (kind === 'audioinput') return id ? { deviceId: id } : true;
  return { width: { ideal: 1280 }, height: { ideal: 720 }, ...(id ? { deviceId: id } : {}) };
}

export const canChooseSpeaker = (): boolean => 'setSinkId' in HTMLMediaElement.prototype;
