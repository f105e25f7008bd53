import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { proxy } from './between.mjs';
import { cspReports, launch, openPage } from './browser.mjs';
import { Rig, until } from './server.mjs';

let browser;
let rig;
before(async () => {
  browser = await launch();
  rig = new Rig();
  await rig.serve();
});
after(async () => {
  await browser?.close();
  await rig?.close();
});

function test(name, options, body) {
  it(name, async () => {
    const { context, page, faults } = await openPage(browser, options);
    try {
      await body(page, context);
      assert.deepEqual(await cspReports(page), [], 'reports of the content security policy');
      assert.deepEqual(faults, [], 'errors on the page');
    } finally {
      await context.close();
    }
  });
}

const state = (page, kind, by = '') =>
  page
    .locator(`[data-testid="conn-state"][data-state="${kind}"]${by && `[data-by="${by}"]`}`)
    .waitFor({ timeout: 20_000 });
const ready = async (page) => {
  await page.locator('h1').first().waitFor();
  await page.getByTestId('bar-new').waitFor({ state: 'attached' });
};

describe('keys and palette', () => {
  test('K1 K4: keys lead to pages, help lists and finds them, and they can be turned off', {}, async (page) => {
    await page.goto(rig.url);
    await ready(page);
    for (const [keys, path] of [['ge', '/executions'], ['ga', '/artifacts'], ['gs', '/statistics'], ['gh', '/health'], ['gd', '/']]) {
      for (const key of keys) await page.keyboard.press(key);
      await page.waitForURL(rig.url + path);
    }
    await page.keyboard.press('t');
    assert.equal(await page.getAttribute('html', 'data-theme'), 'light');
    await page.keyboard.press('?');
    const help = page.getByTestId('help');
    await help.waitFor();
    await help.getByRole('searchbox').fill('next theme');
    assert.equal(await help.locator('dd').count(), 1);
    await page.keyboard.press('t'); // Typed, not done.
    assert.equal(await page.getAttribute('html', 'data-theme'), 'light');
    await help.getByRole('checkbox').uncheck();
    await help.getByRole('button', { name: 'Close' }).click();
    await help.waitFor({ state: 'detached' });
    await page.keyboard.press('t');
    await page.keyboard.press('?');
    assert.equal(await page.getAttribute('html', 'data-theme'), 'light');
    assert.equal(await help.count(), 0);
    await page.keyboard.press('Control+k');
    await page.getByTestId('palette').waitFor();
    await page.keyboard.press('Escape');
    await page.getByTestId('palette').waitFor({ state: 'detached' });
  });

  test('K1: the palette finds pages, executions by name and id, actions and settings', {}, async (page) => {
    const id = await rig.start('echo hello', { name: 'palette-target-项目' });
    await rig.end(id);
    await page.goto(rig.url);
    await ready(page);
    for (const query of ['palette-tar', id]) {
      await page.keyboard.press('Control+k');
      await page.getByRole('combobox', { name: 'Search and commands' }).fill(query);
      const first = page.getByTestId('palette-item').first();
      await first.filter({ hasText: 'palette-target' }).waitFor();
      assert.equal(await first.getAttribute('aria-selected'), 'true');
      await page.keyboard.press('Enter');
      await page.waitForURL(`${rig.url}/executions/${id}`);
      await page.goto(rig.url);
      await ready(page);
    }
    await page.keyboard.press('Control+k');
    await page.keyboard.type('thdim');
    await page.getByTestId('palette-item').first().filter({ hasText: 'Dimmed' }).waitFor();
    await page.keyboard.press('Enter');
    assert.equal(await page.getAttribute('html', 'data-theme'), 'dimmed');
  });
});

describe('appearance', () => {
  test('A6: the chosen theme and density stand before the first paint', {}, async (page) => {
    await page.goto(`${rig.url}/settings/profile`);
    await page.getByTestId('set-theme').selectOption('dark-hc');
    await page.getByRole('radio', { name: 'Large' }).check();
    // Without the application's script only the one before it can have set them.
    await page.route('**/assets/index-*.js', (route) => route.abort());
    await page.reload({ waitUntil: 'domcontentloaded' });
    assert.equal(await page.getAttribute('html', 'data-theme'), 'dark-hc');
    assert.equal(await page.getAttribute('html', 'data-density'), 'large');
    const row = await page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue('--log-row'));
    assert.equal(row.trim(), '26px');
  });

  for (const width of [320, 1280]) {
    test(`A2 A5 U9: at ${width} px the longest language cuts no text and nothing scrolls sideways`, { viewport: { width, height: 800 } }, async (page) => {
      for (const path of ['/', '/settings/profile', '/settings/tokens', '/settings/about', '/nothing-here', '/login']) {
        await page.goto(`${rig.url}${path}?lang=pseudo`);
        await page.locator('h1').first().waitFor();
        const cut = await page.evaluate(() =>
          [...document.querySelectorAll('body *')]
            .filter((node) => {
              if (!node.checkVisibility() || node.closest('svg, select, .sr-only, .search .word, .skip, table')) return false;
              const style = getComputedStyle(node);
              if (node.scrollWidth <= node.clientWidth + 1 || node.clientWidth === 0) return false;
              if (style.overflowX === 'visible' || style.display === 'inline') return false;
              return !(style.textOverflow === 'ellipsis');
            })
            .map((node) => `${node.tagName}.${node.className} ${node.textContent.slice(0, 60)}`),
        );
        assert.deepEqual(cut, [], path);
        const sideways = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(sideways <= 0, `${path} is ${sideways} px too wide`);
      }
    });
  }

  test('A2: one h1, a skip link, and a phone menu with every page', { viewport: { width: 360, height: 740 } }, async (page) => {
    await page.goto(rig.url);
    await ready(page);
    assert.equal(await page.locator('h1').count(), 1);
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.className.includes('skip')), true);
    await page.getByTestId('bar-menu').click();
    for (const name of ['Dashboard', 'Executions', 'Artifacts', 'Statistics', 'Health']) {
      await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name }).waitFor();
    }
    await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Health' }).click();
    await page.waitForURL(`${rig.url}/health`);
    assert.equal(await page.getByTestId('bar-menu').getAttribute('aria-expanded'), 'false');
  });
});

describe('settings and places', () => {
  test('U8: a token is made, shown once, and revoked; about tells the version', {}, async (page) => {
    await page.goto(`${rig.url}/settings/tokens`);
    await page.getByLabel('What it is for').fill('for the test');
    await page.getByTestId('token-create').click();
    const text = await page.getByTestId('token-made').locator('code').textContent();
    assert.match(text, /^sfm_/);
    await page.reload();
    const entry = page.getByTestId('token').filter({ hasText: 'for the test' });
    await entry.waitFor();
    assert.equal(await page.getByText(text).count(), 0);
    await entry.getByRole('button', { name: 'Revoke' }).click();
    await page.getByTestId('token-revoke').click();
    await entry.waitFor({ state: 'detached' });
    await page.goto(`${rig.url}/settings/about`);
    const { version } = await rig.get('/api/health');
    assert.equal(await page.getByTestId('about-version').textContent(), version);
  });

  test('U9 U10: old links lead to the new pages; what is not there is said so', {}, async (page) => {
    const id = '0198c2aa-0000-7000-8000-000000000001';
    await page.goto(`${rig.url}/execution?id=${id}&tab=details#L3`);
    await page.waitForURL(`${rig.url}/executions/${id}?tab=details#L3`);
    await page.goto(`${rig.url}/history?status=failed`);
    await page.waitForURL(`${rig.url}/executions?status=failed`);
    await page.goto(`${rig.url}/nothing-here`);
    await page.getByRole('heading', { name: 'Page not found' }).waitFor();
  });

  test('K1: n starts an execution and opens it; its values are offered again', {}, async (page) => {
    await page.goto(rig.url);
    await ready(page);
    await page.keyboard.press('n');
    await page.getByLabel('Command', { exact: true }).fill('echo from-the-form');
    await page.getByLabel('Tags').fill('one, two');
    await page.getByTestId('new-start').click();
    await page.waitForURL(/\/executions\/[^?]+$/);
    await page.keyboard.press('n');
    await page.getByRole('button', { name: 'echo from-the-form' }).click();
    assert.equal(await page.getByLabel('Tags').inputValue(), 'one, two');
  });
});

describe('connection', () => {
  test('X1: where upgrades are refused the page is told by events, and lists by asking', {}, async (page) => {
    const between = await proxy(() => rig.url, { refuse: () => true });
    try {
      await page.goto(between.url);
      await state(page, 'live', 'polling');
      const id = await rig.start('echo STEP_START:One; sleep 3; echo STEP_COMPLETE:One', { name: 'no-socket' });
      await page.getByText('no-socket').first().waitFor();
      await page.goto(`${between.url}/executions/${id}`);
      await state(page, 'live', 'events');
      await page.locator('[data-testid="exec-status"]').filter({ hasText: 'Completed' }).waitFor();
    } finally {
      between.close();
    }
  });

  test('X1 X2: a cut socket is made again, and nothing is missing', {}, async (page) => {
    const between = await proxy(() => rig.url);
    try {
      const id = await rig.start('for i in 1 2 3 4 5 6 7 8; do echo line $i; sleep 0.4; done', { name: 'cut' });
      await page.goto(`${between.url}/executions/${id}`);
      await state(page, 'live', 'socket');
      between.cut();
      await state(page, 'reconnecting');
      await state(page, 'live', 'socket');
      await page.locator('[data-testid="exec-status"]').filter({ hasText: 'Completed' }).waitFor();
    } finally {
      between.close();
    }
  });

  test('X2: a killed server is waited for with a countdown and "now"; a newer page is offered', {}, async (page) => {
    const own = new Rig();
    await own.serve();
    let newer = false;
    let away = false;
    const nobody = 'http://127.0.0.1:9';
    const between = await proxy(() => (away ? nobody : own.url), {
      rewrite: (text) => (newer ? text.replace(/assets\/index-[\w-]+\.js/, 'assets/index-newer000.js') : text),
    });
    try {
      await page.goto(between.url);
      await state(page, 'live', 'socket');
      const { port } = own;
      await own.kill();
      await page.getByRole('button', { name: 'Now' }).waitFor();
      await page.locator('h1').waitFor(); // What is shown stays.
      await state(page, 'stale');
      await page.getByTestId('conn-age').waitFor();
      // The server is back, and the page does not know: it waits for so long that a click comes first.
      away = true;
      await own.serve({ port });
      const wait = async () => /\d+/.exec(await page.getByTestId('conn-state').innerText())?.[0];
      await until('the wait is a long one', async () => Number(await wait()) > 5, 60_000);
      newer = true;
      away = false;
      await page.getByRole('button', { name: 'Now' }).click({ timeout: 5_000 });
      await state(page, 'live', 'socket');
      await page.getByTestId('updated').waitFor();
      assert.equal(page.url(), `${between.url}/`);
    } finally {
      between.close();
      await own.close();
    }
  });

  test('X1 T5: twenty tabs do not block the origin', {}, async (page, context) => {
    for (let n = 0; n < 19; n++) await (await context.newPage()).goto(rig.url);
    await page.goto(rig.url);
    await state(page, 'live', 'socket');
    const id = await rig.start('sleep 30', { name: 'for-twenty' });
    await page.getByText('for-twenty').first().waitFor();
    await rig.post(`/api/executions/${id}/cancel`, {});
    await rig.end(id);
  });

  it('X2: a session that ends in the middle asks for a login and keeps the place', async () => {
    const own = new Rig();
    await own.serve({ auth: 'on' });
    const { context, page, faults } = await openPage(browser);
    try {
      const [link] = await until('the link is printed', () => /http:\/\/\S+\/login#code=\S+/.exec(own.log));
      await page.goto(own.url + link.slice(new URL(link).origin.length));
      await ready(page);
      await page.keyboard.press('n');
      await page.getByLabel('Command', { exact: true }).fill('echo typed');
      const cookies = await context.cookies();
      await context.clearCookies();
      await page.getByTestId('new-start').click();
      const again = page.getByTestId('login-again');
      await again.waitFor();
      await state(page, 'denied');
      await context.addCookies(cookies);
      const { output } = await own.run('open');
      const [next] = /http:\/\/\S+\/login#code=\S+/.exec(output) ?? [];
      await again.getByRole('textbox').fill(next);
      await again.getByRole('button', { name: 'Log in', exact: true }).click();
      await again.waitFor({ state: 'detached' });
      assert.equal(await page.getByLabel('Command', { exact: true }).inputValue(), 'echo typed');
      await state(page, 'live', 'socket');
      assert.deepEqual(faults, []);
    } finally {
      await context.close();
      await own.close();
    }
  });
});

describe('notifications', () => {
  test('X5: tells of the end with the failing step; title, picture and a click to its line', {}, async (page) => {
    const id = await rig.start('echo one; echo STEP_START:Migrate; sleep 2; echo STEP_ERROR:no table; exit 3', { name: 'tell-of-me' });
    await page.goto(`${rig.url}/executions/${id}`);
    await page.getByTestId('tell-me').click();
    const icon = () => page.getAttribute('link[rel="icon"]', 'href');
    await until('the picture of a running one', async () => /running/.test(await icon()));
    await page.goto(rig.url);
    const toast = page.getByTestId('toast');
    await toast.filter({ hasText: 'tell-of-me' }).waitFor();
    assert.match(await toast.textContent(), /Failed.*Migrate/s);
    assert.match(await page.title(), /^\(1\) /);
    assert.match(await icon(), /-badge/);
    await toast.getByRole('link').click();
    await page.waitForURL(`${rig.url}/executions/${id}#L2`);
    await until('the title is bare again', async () => !/^\(/.test(await page.title()));
    await until('the picture of a failed one', async () => /failed/.test(await icon()));
  });
});
