// Drives Chromium for the tests: lines of JSON come in, one answer each goes out. What is asked for:
//   {"id": 1, "do": "open", "phone": "jssip", "page": "a", "tone": "/tmp/440.wav"}   a page with that phone, in a browser whose microphone plays that
//   {"id": 2, "do": "call", "page": "a", "name": "register", "arguments": []}          a method of its window.phone
//   {"id": 3, "do": "log", "page": "a"}                                                 what has happened on it so far
//   {"id": 4, "do": "close", "page": "a"}
// Pages come from http://localhost, which is a secure context: the libraries are bundled as a page's author would.
import {execFileSync} from 'node:child_process';
import {createServer} from 'node:http';
import {readFileSync, mkdtempSync, rmSync} from 'node:fs';
import {createInterface} from 'node:readline';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

import {chromium} from 'playwright-core';

const here = dirname(fileURLToPath(import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'tandem-pages-'));
for (const phone of ['jssip', 'sipjs', 'tandem'])
  execFileSync(join(here, 'node_modules/.bin/esbuild'),
               ['--bundle', '--format=iife', '--log-level=error', `--outfile=${join(folder, phone + '.js')}`, join(here, `phone_${phone}.js`)]);

const server = createServer((request, response) => {
  const name = request.url.slice(1);
  if (name.endsWith('.js')) {
    response.writeHead(200, {'Content-Type': 'text/javascript'});
    return response.end(readFileSync(join(folder, name.replaceAll('/', ''))));
  }
  response.writeHead(200, {'Content-Type': 'text/html'});
  response.end(`<!doctype html><title>${name}</title><script>window.log = [];</script><script src="/${name}.js"></script>`);
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const origin = `http://localhost:${server.address().port}`;

// A microphone belongs to a browser: there is one for each tone, started when it is first asked for.
const browsers = new Map();
const browserFor = (tone) => {
  if (!browsers.has(tone))
    browsers.set(tone, chromium.launch({
      executablePath: process.env.TANDEM_CHROMIUM ?? '/usr/bin/chromium',
      timeout: 180000,
      args: ['--headless=new', '--no-sandbox', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', `--use-file-for-fake-audio-capture=${tone}`,
             '--ignore-certificate-errors', '--autoplay-policy=no-user-gesture-required', '--disable-background-networking', '--disable-gpu'],
    }));
  return browsers.get(tone);
};

const pages = new Map();
async function open({page, phone, tone}) {
  const context = await (await browserFor(tone)).newContext({permissions: ['microphone', 'camera'], ignoreHTTPSErrors: true});
  const made = await context.newPage();
  const said = [];
  made.on('console', (m) => said.push(m.text()));
  made.on('pageerror', (e) => said.push(String(e)));
  await made.goto(`${origin}/${phone}`);
  pages.set(page, {context, made, said});
}

const doing = {
  origin: async () => origin,
  open,
  // Libraries give objects of theirs back, which are nobody's business here.
  call: ({page, name, arguments: a}) => pages.get(page).made.evaluate(async ([n, args]) => {
    const value = await window.phone[n](...args);
    return ['heard', 'facts', 'picture', 'offered', 'clickToAudio'].includes(n) ? value : null;
  }, [name, a ?? []]),
  log: ({page}) => pages.get(page).made.evaluate(() => window.log),
  said: async ({page}) => pages.get(page).said,
  close: async ({page}) => {
    await pages.get(page).context.close();
    pages.delete(page);
  },
};
for await (const line of createInterface({input: process.stdin})) {
  const wish = JSON.parse(line);
  // One after the other for each page is enough, and pages do not wait for one another.
  Promise.resolve().then(() => doing[wish.do](wish)).then(
      (value) => console.log(JSON.stringify({id: wish.id, value: value ?? null})),
      (error) => console.log(JSON.stringify({id: wish.id, error: String(error)})));
}
for (const browser of browsers.values()) await (await browser).close();
server.close();
rmSync(folder, {recursive: true});
