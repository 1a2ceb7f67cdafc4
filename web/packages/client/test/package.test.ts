// The package as a registry would have it: packed by npm, which builds it, and used from there.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const LIMIT = 30_000; // octets compressed, as a web server sends it

let folder: string;
let files: string[];
const installed = (...path: string[]): string => join(folder, 'node_modules/@tandem/client', ...path);

beforeAll(() => {
  rmSync('dist', { recursive: true, force: true });
  folder = mkdtempSync(join(tmpdir(), 'tandem-client-'));
  const said = execFileSync('npm', ['pack', '--json', '--silent', '--pack-destination', folder], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  const [made] = JSON.parse(said.slice(said.indexOf('[\n'))) as { filename: string; files: { path: string }[] }[];
  files = made!.files.map(({ path }) => path);
  mkdirSync(installed(), { recursive: true });
  execFileSync('tar', ['-xzf', join(folder, made!.filename.replace('@', '').replace('/', '-')), '--strip-components=1', '-C', installed()]);
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the compiler has to say of a page that uses the package. */
function complaints(page: string): string {
  writeFileSync(join(folder, 'page.ts'), page);
  const options = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'esnext', '--moduleResolution', 'bundler', '--lib', 'es2022,dom'];
  return spawnSync(resolve('../../node_modules/.bin/tsc'), [...options, 'page.ts'], { cwd: folder, encoding: 'utf8' }).stdout;
}

describe('the package', () => {
  it('is its module, its types and what is to be read', () => {
    const { main, types } = JSON.parse(readFileSync(installed('package.json'), 'utf8')) as { main: string; types: string };
    expect(files).toEqual(expect.arrayContaining([main, types].map((path) => path.replace('./', ''))));
    expect(files.filter((path) => !/^(README\.md|package\.json|dist\/\w+\.d\.ts|dist\/tandem-client\.js)$/.test(path))).toEqual([]);
  });

  it('is small, and stands alone', () => {
    const module = readFileSync(installed('dist/tandem-client.js'));
    const bytes = gzipSync(module).length;
    expect(bytes).toBeGreaterThan(1000);
    expect(bytes).toBeLessThan(LIMIT);
    expect(module.toString()).not.toMatch(/^\s*import\b|\bimport\(|\brequire\(/m);
  });

  it('is imported by its name', () => {
    const page = "import * as all from '@tandem/client'; console.log(Object.keys(all).join(), typeof new all.Client({ url: 'wss://example.com/rtc', user: '1001' }).connect);";
    expect(execFileSync(process.execPath, ['--input-type=module', '-e', page], { cwd: folder, encoding: 'utf8' })).toMatch(/\bClient\b.*\bRequestError\b.* function/);
  }, 30_000);

  it('has types that let a page use it, and find mistakes', () => {
    const page = "import { Client, RequestError, type Call } from '@tandem/client';\n" +
      "const phone = new Client({ url: 'wss://example.com/rtc', user: '1001', token: () => 'x' });\n" +
      "phone.on('incoming', (call: Call) => void call.answer());\n" +
      'export const ring = async (): Promise<boolean> => (await phone.call(NUMBER)).muted || RequestError.name.length > 0;\n';
    expect(complaints(page.replace('NUMBER', "'1002'"))).toBe('');
    expect(complaints(page.replace('NUMBER', '1002'))).toContain('page.ts(4,');
  }, 120_000);
});
