// What the scenarios share: a page that tells of its troubles, and what a screen reader and a keyboard need of any page.
export const patience = 15_000;

export function check(condition, why) {
  if (!condition) throw new Error(why);
}

/** A page that tells of every script error and every breach of the content security policy. */
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    locale: 'en-US',
    viewport: { width: 1280, height: 860 },
    reducedMotion: 'reduce',
    ...options,
  });
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  const troubles = [];
  page.on('pageerror', (e) => troubles.push(e.message));
  page.on('console', (m) => {
    // Refused requests are what some scenarios are about; the browser writes a line for each.
    if (m.type() === 'error' && !/Failed to load resource/.test(m.text())) troubles.push(m.text());
  });
  await page.addInitScript(() =>
    document.addEventListener('securitypolicyviolation', (e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`)),
  );
  await page.goto(url);
  return { context, page, troubles };
}

export async function signIn(page, { account, password }) {
  await page.locator('input[autocomplete=username]').fill(account);
  await page.locator('input[type=password]').fill(password);
  await page.keyboard.press('Enter');
}

/** What a screen reader and a keyboard need of any page. */
export async function reachable(page, name) {
  const problems = await page.evaluate(() => {
    const out = [];
    if (document.querySelectorAll('h1').length !== 1) out.push(`${document.querySelectorAll('h1').length} first headings`);
    if (document.querySelectorAll('main').length !== 1) out.push('no main');
    if (!document.documentElement.lang) out.push('no language');
    const named = (e) => e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.textContent.trim();
    for (const e of document.querySelectorAll('button, a[href], nav, table'))
      if (!named(e)) out.push(`no name: ${e.outerHTML.slice(0, 80)}`);
    for (const e of document.querySelectorAll('input, select'))
      if (!e.labels?.length && !e.getAttribute('aria-label')) out.push(`no label: ${e.outerHTML.slice(0, 80)}`);
    for (const e of document.querySelectorAll('svg'))
      if (!e.getAttribute('aria-label')) out.push('a picture without words');
    const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
    for (const id of new Set(ids)) if (ids.filter((i) => i === id).length > 1) out.push(`id ${id} twice`);
    const wide = document.documentElement.scrollWidth - innerWidth;
    if (wide > 0) out.push(`${wide} pixels wider than the screen`);
    return out;
  });
  check(problems.length === 0, `${name}: ${problems.join('; ')}`);
}
