// The console in a real browser, as a person uses it: `node console.mjs SCENARIO` with what it needs in CONSOLE_E2E (see
// tests/interop/test_console.py, which starts the node and its calls). Exit 0, or 1 with why on standard error.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { check, open as openAt, reachable, signIn } from './common.mjs';

const given = JSON.parse(process.env.CONSOLE_E2E ?? '{}');
const open = (browser, options) => openAt(browser, given.url, options);

async function signedIn(browser, who = given.admin, options = {}) {
  const all = await open(browser, options);
  await signIn(all.page, who);
  await all.page.locator('.shell main h1').waitFor();
  return all;
}

const visit = async (page, hash) => {
  await page.goto(`${given.url}${hash}`);
  await page.locator('.shell main h1').waitFor();
};

/** Headings by page: what a page shows in Korean. */
const korean = { overview: '현황', records: '통화 기록', home: '내 회선', phone: '전화' };

async function inItsLanguage(page, view, name) {
  if (view !== 'korean' || !korean[name]) return;
  await page.locator('main h1', { hasText: korean[name] }).waitFor();
  check((await page.evaluate(() => document.documentElement.lang)) === 'ko', `${name}: the language is not told`);
}

/** The home of a subscriber, and his telephone: off, ready, in a call, writing. */
async function subscriberScreens(browser, view, options) {
  const { context, page, troubles } = await signedIn(browser, given.subscriber, { ...options, permissions: ['microphone'] });
  const shown = async (name) => {
    await page.locator('.loading').first().waitFor({ state: 'detached' });
    const cut = await page.locator('table').evaluateAll((all) => all.filter((t) => t.scrollWidth > t.parentElement.clientWidth + 1).map((t) => t.caption?.textContent ?? ''));
    check(cut.length === 0, `${view} ${name}: tables are cut off: ${cut.join(', ')}`);
    await reachable(page, `${view} ${name}`);
    await page.screenshot({ path: join(given.pictures, `${view}-${name}.png`), fullPage: true });
  };
  await page.locator('tbody', { hasText: '1002' }).first().waitFor();
  await inItsLanguage(page, view, 'home');
  await shown('home');
  await visit(page, '#/phone');
  await inItsLanguage(page, view, 'phone');
  await shown('telephone-off');
  await page.locator('main .card button').first().click();
  await page.locator('.dialler button[type=submit]:enabled').waitFor();
  await shown('telephone-ready');
  await page.locator('#number-to-call').fill('*43');
  await page.keyboard.press('Enter');
  await page.locator('.line.active .sound').waitFor();
  await shown('telephone-call');
  await page.locator('.line.active .hang-up').first().click();
  await page.locator('.line').waitFor({ state: 'detached' });
  check(troubles.length === 0, `${view}: ${troubles.join('\n')}`);
  await context.close();
}

const scenarios = {
  /** A wrong password, then the right one; the page after a reload; signing out; the cookie is none of a script's business. */
  async sign_in(browser) {
    const { context, page, troubles } = await open(browser);
    await page.locator('h1').waitFor();
    await reachable(page, 'sign in');
    await signIn(page, { account: given.admin.account, password: 'not the password' });
    await page.locator('[role=alert]', { hasText: 'another password' }).waitFor();
    await signIn(page, given.admin);
    await page.locator('main h1', { hasText: 'Overview' }).waitFor();
    check((await page.evaluate(() => document.cookie)) === '', 'a script sees the cookie');
    const [cookie] = await context.cookies();
    check(cookie.httpOnly && cookie.secure && cookie.sameSite === 'Strict', JSON.stringify(cookie));
    check(!(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }))).includes(cookie.value), 'the cookie is stored');
    await page.reload();
    await page.locator('main h1', { hasText: 'Overview' }).waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.locator('input[autocomplete=username]').waitFor();
    check((await context.cookies()).length === 0, 'the cookie stays');
    check(troubles.length === 0, troubles.join('\n'));
  },

  /** What a page of another site could do with the cookie alone: nothing. */
  async forged(browser) {
    const { page } = await signedIn(browser);
    const status = (headers) =>
      page.evaluate(async (h) => (await fetch('/api/v1/drain', { method: 'POST', headers: h })).status, headers);
    check((await status({})) === 403, 'a change without the token');
    check((await status({ 'X-CSRF-Token': 'guess' })) === 403, 'a change with another token');
    const csrf = await page.evaluate(async () => (await (await fetch('/api/v1/session')).json()).csrf);
    check((await status({ 'X-CSRF-Token': csrf })) === 204, 'a change with the token');
    await page.evaluate(
      async (h) => (await fetch('/api/v1/drain', { method: 'DELETE', headers: h })).status,
      { 'X-CSRF-Token': csrf },
    );
  },

  /** Each page with what the node has now. */
  async pages(browser) {
    const { page, troubles } = await signedIn(browser);
    await page.locator('.tile', { hasText: 'Calls now' }).locator('b', { hasText: /^[1-9]/ }).waitFor();
    await reachable(page, 'overview');
    await visit(page, '#/calls');
    await page.locator('tbody tr').first().waitFor();
    await page.locator('tbody .mos.best').first().waitFor();
    await reachable(page, 'calls');
    await page.getByLabel('Find a party').fill('nobody at all');
    await page.getByText('No calls in progress.').waitFor();
    await page.getByLabel('Find a party').fill('1001');
    await page.locator('tbody th a').first().click();
    await page.locator('main h1', { hasText: 'Call of' }).waitFor();
    await page.locator('.leg').nth(1).waitFor();
    await page.locator('.chart .line path').first().waitFor({ state: 'attached' });
    const steps = page.locator('[role=option]');
    await steps.first().waitFor();
    const labels = await steps.evaluateAll((all) => all.map((e) => e.getAttribute('aria-label')));
    for (const wanted of ['INVITE', '407', '200 OK', 'ACK'])
      check(labels.some((l) => l.includes(wanted)), `no ${wanted} among ${labels.join(' | ')}`);
    await steps.first().focus();
    await page.keyboard.press('Enter');
    await page.locator('.sip-text pre', { hasText: 'INVITE sip:' }).waitFor();
    await page.keyboard.press('End');
    const text = await page.locator('.sip-text pre').textContent();
    check(!text.startsWith('INVITE'), 'the End key stays at the first message');
    const secrets = await page.evaluate(async () => JSON.stringify(await (await fetch(`/api/v1${location.hash.slice(1)}/messages`)).json()));
    check(secrets.includes('Authorization: <removed>') && !/response=\\"/.test(secrets), 'credentials in a message');
    await reachable(page, 'call');
    for (const [hash, title, what] of [
      ['#/registrations', 'Registrations', '1002'],
      ['#/records', 'Call records', 'answered'],
      ['#/subscribers', 'Subscribers', 'Extension 1001'],
      ['#/trunks', 'Trunks', 'carrier'],
      ['#/routes', 'Routes', 'carrier out'],
      ['#/admins', 'Administrators', 'this session'],
      ['#/account', 'Account', 'Change password'],
    ]) {
      await visit(page, hash);
      await page.locator('main h1', { hasText: title }).waitFor();
      await page.locator('main', { hasText: what }).waitFor();
      check((await page.title()).startsWith(title), `the title of ${hash} is ${await page.title()}`);
      check((await page.evaluate(() => document.activeElement?.tagName)) === 'H1', `${hash}: the heading has no focus`);
      await reachable(page, title);
    }
    check(troubles.length === 0, troubles.join('\n'));
  },

  /** Records: filters in the address, pages, one record with its ladder, the CSV. */
  async records(browser) {
    const { page, troubles } = await signedIn(browser);
    await visit(page, '#/records?status=480');
    await page.locator('tbody tr').first().waitFor();
    check(!(await page.locator('tbody').textContent()).includes('answered'), 'the filter in the address is not applied');
    check((await page.getByLabel('SIP status').inputValue()) === '480', 'the filter in the address is not shown');
    await page.getByLabel('SIP status').fill('');
    await page.getByLabel('Party or number').fill('1002');
    await page.keyboard.press('Enter');
    await page.locator('tbody .tag.good').first().waitFor();
    check(page.url().includes('party=1002'), page.url());
    const first = await page.locator('tbody tr th').first().textContent();
    await page.getByRole('button', { name: 'Older' }).click();
    await page.getByText('Page 2').waitFor();
    await page.waitForFunction((t) => document.querySelector('tbody tr th')?.textContent !== t, first);
    await page.getByRole('button', { name: 'Newer' }).click();
    await page.getByText('Page 1').waitFor();
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByText('Download CSV').click()]);
    const stream = await download.createReadStream();
    let csv = '';
    for await (const part of stream) csv += part;
    check(csv.startsWith('node,epoch,call,') && csv.includes('1002'), `the file begins with ${csv.slice(0, 60)}`);
    await page.locator('tbody tr', { has: page.locator('.tag.good') }).first().locator('a').click();
    await page.locator('main h1', { hasText: 'Record of' }).waitFor();
    await page.locator('[role=option]').first().waitFor();
    await reachable(page, 'record');
    check(troubles.length === 0, troubles.join('\n'));
  },

  /** An operator hangs a call up, and that is all he changes; a viewer does not even see the button. */
  async hang_up(browser) {
    const { page } = await signedIn(browser, given.operator);
    check((await page.locator('nav a', { hasText: 'Administrators' }).count()) === 0, 'an operator sees the page of administrators');
    await visit(page, '#/calls');
    const row = page.locator('tbody tr').first();
    const call = await row.locator('th a').getAttribute('href');
    await row.getByRole('button').click();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.locator(`tbody tr:has(a[href="${call}"])`).getByRole('button').click();
    await page.getByRole('dialog').getByRole('button', { name: 'Hang up' }).click();
    await page.locator('[role=status]', { hasText: 'The call was hung up.' }).waitFor();
    await page.locator(`a[href="${call}"]`).waitFor({ state: 'detached' });
    await visit(page, call);
    await page.getByText('The call is over.').waitFor();
    const viewer = await signedIn(browser, given.viewer);
    await visit(viewer.page, '#/calls');
    await viewer.page.locator('tbody tr').first().waitFor();
    check((await viewer.page.locator('tbody button').count()) === 0, 'a viewer sees a button');
  },

  /** An account is added and removed, and a session ended, by hand. */
  async admins(browser) {
    const { page } = await signedIn(browser);
    await visit(page, '#/admins');
    await page.getByLabel('Name', { exact: true }).fill('clerk');
    await page.getByLabel('Password').fill('a password of the clerk');
    await page.getByLabel('Role').selectOption('viewer');
    await page.getByRole('button', { name: 'Add' }).click();
    await page.locator('tbody tr', { hasText: 'clerk' }).first().waitFor();
    const clerk = await signedIn(browser, { account: 'clerk', password: 'a password of the clerk' });
    await visit(clerk.page, '#/account');
    await clerk.page.getByLabel('Old password').fill('a password of the clerk');
    await clerk.page.getByLabel('New password').fill('another one of the clerk');
    await clerk.page.getByRole('button', { name: 'Save' }).click();
    await clerk.page.locator('[role=status]', { hasText: 'was changed' }).waitFor();
    await page.reload();
    await page.getByRole('button', { name: /Sign out clerk/ }).click();
    await visit(clerk.page, '#/calls');
    await clerk.page.getByText('The session has ended').waitFor();
    await page.getByRole('button', { name: 'Remove clerk' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await page.getByRole('button', { name: 'Remove clerk' }).waitFor({ state: 'detached' });
  },

  /** A subscriber: his own page, and nothing behind it. */
  async subscriber(browser) {
    const { page, troubles } = await signedIn(browser, given.subscriber);
    await page.locator('main h1', { hasText: 'My line' }).waitFor();
    await page.locator('main', { hasText: 'Extension 1001' }).waitFor();
    await page.locator('tbody', { hasText: '1002' }).first().waitFor();
    await reachable(page, 'my line');
    check((await page.locator('nav a').count()) === 3, 'more pages than his own');
    const status = await page.evaluate(async () => (await fetch('/api/v1/calls')).status);
    check(status === 403, `the calls of everybody: ${status}`);
    await visit(page, '#/calls');
    await page.getByText('There is no such page.').waitFor();
    await visit(page, '#/home');
    await page.getByRole('button', { name: /Play the message of Zoë/ }).click();
    await page.locator('audio').waitFor();
    await page.getByText('new', { exact: true }).waitFor({ state: 'detached' });
    await page.getByRole('button', { name: /Remove the message/ }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await page.getByText('No messages.').waitFor();
    check(troubles.length === 0, troubles.join('\n'));
  },

  /** Every page in light, dark, on a telephone and in Korean; the pictures are for people to look at. */
  async screens(browser) {
    mkdirSync(given.pictures, { recursive: true });
    const views = {
      light: {},
      dark: { colorScheme: 'dark' },
      phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true },
      korean: { locale: 'ko-KR' },
    };
    const names = ['overview', 'calls', 'registrations', 'records', 'subscribers', 'trunks', 'routes', 'admins', 'account'];
    for (const [view, options] of Object.entries(views)) {
      const { context, page, troubles } = await open(browser, options);
      const picture = (name) => page.screenshot({ path: join(given.pictures, `${view}-${name}.png`), fullPage: true });
      await picture('sign-in');
      await signIn(page, given.admin);
      await page.locator('.shell').waitFor();
      for (const name of names) {
        await visit(page, `#/${name}`);
        await page.locator('.loading').first().waitFor({ state: 'detached' });
        await inItsLanguage(page, view, name);
        await reachable(page, `${view} ${name}`);
        await picture(name);
      }
      for (const [list, name] of [['calls', 'call'], ['records', 'record']]) {
        await visit(page, `#/${list}`);
        await page.locator('tbody tr a').first().waitFor();
        await page.locator(list === 'records' ? 'tbody tr:has(.tag.good) a' : 'tbody tr a').first().click();
        await page.locator('[role=option]').first().click();
        if (name === 'call') await page.waitForFunction(() => (document.querySelector('.chart .line path')?.getAttribute('d')?.split('L').length ?? 0) > 4);
        await reachable(page, `${view} ${name}`);
        await picture(name);
      }
      check(troubles.length === 0, `${view}: ${troubles.join('\n')}`);
      await context.close();
    }
    // Afterwards, for a page's call leaves a record that has no ladder.
    for (const [view, options] of Object.entries(views)) await subscriberScreens(browser, view, options);
  },
};

const scenario = scenarios[process.argv[2]];
if (!scenario) {
  console.error(`no scenario '${process.argv[2]}'; there are ${Object.keys(scenarios).join(', ')}`);
  process.exit(2);
}
// --no-sandbox: tests run as root in containers, and visit nothing but our own node.
const browser = await chromium.launch({ executablePath: given.browser, headless: true, args: ['--no-sandbox', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'] });
try {
  await scenario(browser);
} catch (e) {
  console.error(e instanceof Error ? e.message : e);
  process.exitCode = 1;
} finally {
  await browser.close();
}
