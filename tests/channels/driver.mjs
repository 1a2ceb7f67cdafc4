// Clients of signalling channels for the tests: lines of JSON come in, one answer each goes out. What is asked for:
//   {"id": 1, "do": "ask", "where": {...}, "name": "DescribeSignalingChannel", "input": {...}}   an operation by the SDK, here in Node
//   {"id": 2, "do": "client", "name": "m", "where": {...}, "channel": "door", "role": "MASTER"}     a signalling client here in Node, opened
//   {"id": 3, "do": "send", "name": "m", "method": "sendSdpAnswer", "arguments": [...]}             one of its methods
//   {"id": 4, "do": "events", "name": "m"}                                                          what has happened on it so far
//   {"id": 5, "do": "open", "page": "a"} / {"id": 6, "do": "call", "page": "a", "name": "master", "arguments": [...]} / {"id": 7, "do": "close", "page": "a"}
// `where` is {endpoint, region, key: {id, secret}}.
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {createServer} from 'node:http';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {createInterface} from 'node:readline';
import {execFileSync} from 'node:child_process';
import {fileURLToPath} from 'node:url';

import {chromium} from 'playwright-core';
import {WebSocket} from 'ws';

globalThis.WebSocket = WebSocket;  // Node 20 has none of its own
const {ask, find} = await import('./clients.js');

const here = dirname(fileURLToPath(import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'tandem-channels-'));
const bundle = join(folder, 'page.js');
let server, browser;

async function start() {
  execFileSync('node', [join(here, 'node_modules/esbuild-wasm/bin/esbuild'), '--bundle', '--format=iife', '--log-level=error', '--define:global=window',
                        '--define:process.env.PACKAGE_VERSION="2"', `--outfile=${bundle}`, join(here, 'page.js')]);
  server = createServer((request, response) => {
    const script = request.url === '/page.js';
    response.writeHead(200, {'Content-Type': script ? 'text/javascript' : 'text/html'});
    response.end(script ? readFileSync(bundle) : '<!doctype html><title>channel</title><script src="/page.js"></script>');
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  browser = await chromium.launch({
    executablePath: process.env.TANDEM_CHROMIUM ?? '/usr/bin/chromium',
    timeout: 180000,
    args: ['--headless=new', '--no-sandbox', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--ignore-certificate-errors',
           '--autoplay-policy=no-user-gesture-required', '--disable-background-networking', '--disable-gpu'],
  });
}
const origin = () => `http://localhost:${server.address().port}`;

const pages = new Map(), clients = new Map();

async function client({name, where, channel, role, client: id}) {
  const {signaling} = await find(where, channel, role, id);
  const events = [];
  clients.set(name, {signaling, events});
  for (const kind of ['sdpOffer', 'sdpAnswer', 'iceCandidate', 'statusResponse'])
    signaling.on(kind, (what, from) => events.push({kind, what, from: from ?? null}));
  await new Promise((done, failed) => {
    signaling.on('open', done);
    signaling.on('close', () => events.push({kind: 'close'}));
    signaling.on('error', (e) => failed(new Error(e.message)));
    signaling.open();
  });
}

const doing = {
  start,
  origin: async () => origin(),
  ask: ({where, name, input}) => ask(where, name, input),
  client,
  send: async ({name, method, arguments: a}) => { clients.get(name).signaling[method](...a); },
  events: async ({name}) => clients.get(name).events,
  hangup: async ({name}) => clients.get(name).signaling.close(),
  async open({page}) {
    const context = await browser.newContext({permissions: ['microphone', 'camera'], ignoreHTTPSErrors: true});
    const made = await context.newPage();
    const said = [];
    made.on('console', (m) => said.push(m.text()));
    made.on('pageerror', (e) => said.push(String(e)));
    await made.goto(origin() + '/');
    pages.set(page, {context, made, said});
  },
  call: ({page, name, arguments: a}) => pages.get(page).made.evaluate(async ([n, args]) => (await window.kvs[n](...args)) ?? null, [name, a ?? []]),
  said: async ({page}) => pages.get(page).said,
  async close({page}) {
    await pages.get(page).context.close();
    pages.delete(page);
  },
};
for await (const line of createInterface({input: process.stdin})) {
  const wish = JSON.parse(line);
  Promise.resolve().then(() => doing[wish.do](wish)).then(
      (value) => console.log(JSON.stringify({id: wish.id, value: value ?? null})),
      (error) => console.log(JSON.stringify({id: wish.id, error: String(error)})));
}
for (const {signaling} of clients.values()) signaling.close();
await browser?.close();
server?.close();
rmSync(folder, {recursive: true});
