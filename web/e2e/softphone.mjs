// The telephone of the console in real browsers: `node softphone.mjs`, driven by tests/interop/test_softphone.py by lines of JSON. Each asks for one
// of `doing` below, of one page, and is answered by a line with its id. Microphones play a tone of the test's, cameras Chromium's test picture.
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';
import { open, reachable, signIn } from './common.mjs';

// A microphone belongs to a browser: there is one for each tone, started when it is first asked for.
const browsers = new Map();
const browserFor = (tone) => {
  if (!browsers.has(tone))
    browsers.set(
      tone,
      chromium.launch({
        executablePath: process.env.TANDEM_CHROMIUM ?? '/usr/bin/chromium',
        timeout: 180_000,
        // --no-sandbox: tests run as root in containers, and visit nothing but our own node.
        args: [
          '--headless=new',
          '--no-sandbox',
          // Of its cameras the second measures depth, the third speaks MJPEG; the fourth is like the first.
          '--use-fake-device-for-media-stream=device-count=4',
          '--use-fake-ui-for-media-stream',
          `--use-file-for-fake-audio-capture=${tone}`,
          '--ignore-certificate-errors',
          '--disable-background-networking',
          '--disable-gpu',
        ],
      }),
    );
  return browsers.get(tone);
};

const pages = new Map();
const of = (name) => pages.get(name).page;

/** In the page: cameras give small pictures, since many browsers share what processors a test has. */
function small() {
  const devices = navigator.mediaDevices;
  if (!devices || devices.small) return;
  devices.small = true;
  const plain = devices.getUserMedia.bind(devices);
  devices.getUserMedia = (wish) =>
    plain(wish?.video ? { ...wish, video: { ...(wish.video === true ? {} : wish.video), width: 320, height: 180 } } : wish);
}

/** In the page: a function that measures what one of its lines plays. */
function ears() {
  const context = new AudioContext();
  const known = new Map();
  const bins = new Float32Array(4096);
  const samples = new Float32Array(256);
  const analyserOf = (element) => {
    const stream = element?.srcObject;
    if (!stream || stream.getAudioTracks().length === 0) return null;
    if (!known.has(stream)) {
      const analyser = context.createAnalyser();
      analyser.fftSize = 8192;
      analyser.smoothingTimeConstant = 0;
      context.createMediaStreamSource(stream).connect(analyser);
      known.set(stream, analyser);
    }
    return known.get(stream);
  };
  const lines = () => [...document.querySelectorAll('audio[data-line]')];
  window.ears = {
    /** The loudest frequency of any line, and its level in dB below full scale. */
    heard() {
      void context.resume();
      let best = { hertz: 0, level: -200, playing: lines().map((e) => !e.paused) };
      for (const element of lines()) {
        const analyser = analyserOf(element);
        if (!analyser) continue;
        analyser.getFloatFrequencyData(bins);
        let top = 1;
        for (let i = 1; i < bins.length; ++i) if (bins[i] > bins[top]) top = i;
        if (bins[top] > best.level) best = { ...best, hertz: (top * context.sampleRate) / analyser.fftSize, level: bins[top] };
      }
      return best;
    },
    /** Presses that button, and says after how many milliseconds the other side is heard. */
    async untilHeard(button) {
      await context.resume();
      const start = performance.now();
      button.click();
      for (;;) {
        for (const element of lines()) {
          const analyser = analyserOf(element);
          if (!analyser) continue;
          analyser.getFloatTimeDomainData(samples);
          if (samples.some((s) => Math.abs(s) > 0.02)) return performance.now() - start;
        }
        if (performance.now() - start > 10_000) return null;
        await new Promise((done) => setTimeout(done, 2));
      }
    },
    /** Through which loudspeakers lines are heard; an empty one is the system's. */
    speakers: () => lines().map((e) => e.sinkId),
    /** Which device what a video shows of ourselves comes from. */
    camera: (selector) => document.querySelector(selector)?.srcObject?.getVideoTracks()[0]?.getSettings().deviceId ?? null,
    /** What is seen: how many frames of how many pixels, and whether there is more than one colour in them. */
    seen(selector) {
      const video = document.querySelector(selector);
      if (!video || video.videoWidth === 0) return { frames: 0, width: 0, colours: 0 };
      const canvas = document.createElement('canvas');
      canvas.width = 32;
      canvas.height = 18;
      const paint = canvas.getContext('2d');
      paint.drawImage(video, 0, 0, 32, 18);
      const pixels = new Uint32Array(paint.getImageData(0, 0, 32, 18).data.buffer);
      return { frames: video.getVideoPlaybackQuality().totalVideoFrames, width: video.videoWidth, colours: new Set(pixels).size };
    },
  };
}

const doing = {
  async open({ page: name, tone, url, options }) {
    const made = await open(await browserFor(tone), url, { permissions: ['microphone', 'camera'], ...options });
    for (const script of [small, ears]) {
      await made.page.addInitScript(script);
      await made.page.evaluate(script);
    }
    pages.set(name, made);
  },
  signIn: ({ page, account, password }) => signIn(of(page), { account, password }),
  async visit({ page, hash }) {
    await of(page).evaluate((h) => (location.hash = h), hash);
  },
  click: ({ page, name, role = 'button', within = 'body' }) => of(page).locator(within).getByRole(role, { name, exact: true }).first().click(),
  fill: ({ page, label, value }) => of(page).getByLabel(label, { exact: true }).fill(value),
  choose: ({ page, label, value }) => of(page).getByLabel(label, { exact: true }).selectOption(value),
  options: ({ page, label }) => of(page).getByLabel(label, { exact: true }).locator('option').evaluateAll((all) => all.map((o) => o.value)),
  tap: ({ page, selector }) => of(page).locator(selector).first().click(),
  press: ({ page, key }) => of(page).keyboard.press(key),
  blur: ({ page }) => of(page).evaluate(() => document.activeElement?.blur()),
  focused: ({ page }) => of(page).evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? ''),
  async see({ page, text, selector = 'body', seconds = 15 }) {
    await of(page).locator(selector).filter({ hasText: text }).first().waitFor({ timeout: seconds * 1000 });
  },
  async gone({ page, selector, text, seconds = 15 }) {
    const all = of(page).locator(selector);
    await (text ? all.filter({ hasText: text }) : all).first().waitFor({ state: 'detached', timeout: seconds * 1000 });
  },
  text: ({ page, selector }) => of(page).locator(selector).first().textContent(),
  count: ({ page, selector }) => of(page).locator(selector).count(),
  heard: ({ page }) => of(page).evaluate(() => window.ears.heard()),
  seen: ({ page, selector }) => of(page).evaluate((s) => window.ears.seen(s), selector),
  speakers: ({ page }) => of(page).evaluate(() => window.ears.speakers()),
  camera: ({ page, selector = 'video.own' }) => of(page).evaluate((s) => window.ears.camera(s), selector),
  untilHeard: ({ page, name }) => of(page).getByRole('button', { name, exact: true }).first().evaluate((button) => window.ears.untilHeard(button)),
  reload: async ({ page }) => {
    of(page).once('dialog', (dialog) => dialog.accept());
    await of(page).reload();
  },
  /** Elsewhere, as a person leaves: the page hears of it. */
  leave: async ({ page }) => {
    of(page).once('dialog', (dialog) => dialog.accept());
    await of(page).goto('about:blank');
  },
  offline: ({ page, on }) => pages.get(page).context.setOffline(on),
  storage: ({ page }) => of(page).evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage })),
  reachable: ({ page, name }) => reachable(of(page), name),
  picture: ({ page, path, fullPage = true }) => of(page).screenshot({ path, fullPage }),
  troubles: async ({ page }) => pages.get(page).troubles,
  async close({ page }) {
    await pages.get(page).context.close();
    pages.delete(page);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const wish = JSON.parse(line);
  // Pages do not wait for one another.
  Promise.resolve()
    .then(() => doing[wish.do](wish))
    .then(
      (value) => console.log(JSON.stringify({ id: wish.id, value: value ?? null })),
      (error) => console.log(JSON.stringify({ id: wish.id, error: String(error instanceof Error ? error.message : error) })),
    );
}
for (const browser of browsers.values()) await (await browser).close();
