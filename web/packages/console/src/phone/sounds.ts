// What is heard beside voices, made of oscillators: no files, nothing to fetch. Browsers let a page sound only after somebody has touched it;
// until then it is silent, and `blocked` says so.

interface Cadence {
  hertz: readonly number[];
  /** Seconds of sound and silence, in turns. */
  pattern: readonly number[];
  volume: number;
}

const cadences = {
  /** Somebody calls us. */
  ring: { hertz: [440, 480], pattern: [0.4, 0.2, 0.4, 2], volume: 0.18 },
  /** And we are in a call already. */
  waiting: { hertz: [440], pattern: [0.2, 4], volume: 0.08 },
  /** It rings at the other side (ITU-T E.180: 425 Hz, 1 s in 5). */
  ringback: { hertz: [425], pattern: [1, 4], volume: 0.07 },
  busy: { hertz: [425], pattern: [0.5, 0.5], volume: 0.07 },
} satisfies Record<string, Cadence>;

export type Tone = keyof typeof cadences;

/** Of key presses (ITU-T Q.23): row and column. */
const keyTones: Record<string, [number, number]> = Object.fromEntries(
  ['123A', '456B', '789C', '*0#D'].flatMap((keys, row) =>
    [...keys].map((key, column) => [key, [[697, 770, 852, 941][row] ?? 0, [1209, 1336, 1477, 1633][column] ?? 0]]),
  ),
);

export class Sounds {
  private context: AudioContext | null = null;
  private playing: Tone | null = null;
  private stopPlaying: () => void = () => {};

  /** To be called when the page is touched: from then on it may sound. */
  unlock(): void {
    this.context ??= new AudioContext();
    void this.context.resume().catch(() => {});
  }

  get blocked(): boolean {
    return this.context?.state !== 'running';
  }

  /** Null: silence. */
  play(tone: Tone | null): void {
    if (tone === this.playing) return;
    this.playing = tone;
    this.stopPlaying();
    this.stopPlaying = tone ? this.repeat(cadences[tone]) : () => {};
  }

  key(digit: string): void {
    const pair = keyTones[digit];
    if (pair && this.context) this.sound(pair, 0.05, this.context.currentTime, 0.12);
  }

  speakThrough(device: string): void {
    // Chromium alone has it.
    const context = this.context as (AudioContext & { setSinkId?: (id: string) => Promise<void> }) | null;
    context?.setSinkId?.(device).catch(() => {});
  }

  private repeat(cadence: Cadence): () => void {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let nodes: AudioNode[] = [];
    const round = () => {
      this.unlock();
      const context = this.context;
      if (!context) return;
      let at = context.currentTime + 0.02;
      nodes = [];
      cadence.pattern.forEach((seconds, i) => {
        if (i % 2 === 0) nodes.push(...this.sound(cadence.hertz, cadence.volume, at, seconds));
        at += seconds;
      });
      timer = setTimeout(round, cadence.pattern.reduce((a, b) => a + b, 0) * 1000);
    };
    round();
    return () => {
      clearTimeout(timer);
      for (const n of nodes) n.disconnect();
    };
  }

  /** Ends in slopes of 10 ms, since a step is a click. */
  private sound(hertz: readonly number[], volume: number, at: number, seconds: number): AudioNode[] {
    const context = this.context;
    if (!context) return [];
    const gain = context.createGain();
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(volume / hertz.length, at + 0.01);
    gain.gain.setValueAtTime(volume / hertz.length, at + seconds - 0.01);
    gain.gain.linearRampToValueAtTime(0, at + seconds);
    gain.connect(context.destination);
    for (const frequency of hertz) {
      const oscillator = context.createOscillator();
      oscillator.frequency.value = frequency;
      oscillator.connect(gain);
      oscillator.start(at);
      oscillator.stop(at + seconds);
    }
    return [gain];
  }
}
