// The search over all logs: what is found, where it leads, what narrows it, and that it can be stopped.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { cspReports, launch, openPage } from './browser.mjs';
import { Rig, until } from './server.mjs';

let browser;
let rig;
let build;
let nightly;
before(async () => {
  browser = await launch();
  rig = new Rig();
  await rig.serve();
  build = await rig.start('seq 1 300; echo STEP_START:Link; printf "a \\033[31mneed\\033[0mle <b>&\\n"; echo STEP_COMPLETE:Link', { name: 'build' });
  await rig.end(build);
  nightly = await rig.start('for n in $(seq 1 60); do echo "Needle $n of many"; done; exit 3', { name: 'nightly', tags: ['prod'] });
  await rig.end(nightly);
});
after(async () => {
  await browser?.close();
  await rig?.close();
});

function test(name, body, options) {
  it(name, async () => {
    const { context, page, faults } = await openPage(browser, options);
    try {
      await body(page);
      assert.deepEqual(await cspReports(page), [], 'reports of the content security policy');
      assert.deepEqual(faults, [], 'errors on the page');
    } finally {
      await context.close();
    }
  });
}

const done = (page) => page.locator('[data-testid="find-progress"][data-state="done"]').waitFor();
const groups = (page) => page.getByTestId('find-group').evaluateAll((all) => all.map((one) => one.dataset.id));
/** A picture for people, if one is asked for. */
async function picture(page, name) {
  const dir = process.env.STEPFLOW_PICTURES;
  if (dir === undefined) return;
  await mkdir(dir, { recursive: true });
  await page.screenshot({ path: `${dir}/${name}.png` });
}

test('before a search the page says what it does, and the field has the focus', async (page) => {
  await page.goto(`${rig.url}/`);
  await page.keyboard.press('g');
  await page.keyboard.press('f');
  await page.locator('main code', { hasText: 'stepflow search' }).waitFor();
  await until('the focus', () => page.evaluate(() => document.activeElement?.dataset.testid === 'find-text'));
  await picture(page, 'search-empty');
});

test('hits are grouped by execution, newest first, and lead to their line', async (page) => {
  await page.goto(`${rig.url}/search`);
  await page.getByTestId('find-text').fill('needle');
  await page.keyboard.press('Enter');
  await done(page);
  assert.deepEqual(await groups(page), [nightly, build]);
  assert.equal(new URL(page.url()).search, '?q=needle');
  const hit = page.locator(`[data-id="${build}"]`).getByTestId('find-hit');
  assert.equal(await hit.count(), 1);
  // Sequences are gone, and what looks like HTML is text.
  assert.equal((await hit.locator('.text').textContent()).trim(), 'a needle <b>&');
  assert.deepEqual(await hit.locator('mark').allTextContents(), ['needle']);
  assert.equal(await hit.locator('.tag').textContent(), 'Link');
  assert.equal(await page.locator(`[data-id="${nightly}"]`).getByTestId('find-hit').count(), 20, 'some of many');
  await page.getByText('There may be more in this log').waitFor();
  await picture(page, 'search-light');
  const line = await hit.getAttribute('data-line');
  await hit.click();
  await page.locator(`[data-testid="log-row"]`, { hasText: 'a needle <b>&' }).waitFor();
  const address = new URL(page.url());
  assert.equal(address.pathname + address.search + address.hash, `/executions/${build}?q=needle#L${line}`);
  await page.goBack();
  await done(page);
  assert.deepEqual(await groups(page), [nightly, build], 'the address keeps the search');
});

test('name, tag, status, time, step, case and expressions narrow it', async (page) => {
  await page.goto(`${rig.url}/search?q=needle`);
  await done(page);
  const expect = async (what, expected) => {
    await until(what, async () => {
      const state = await page.getByTestId('find-progress').getAttribute('data-state');
      return state === 'done' && JSON.stringify(await groups(page)) === JSON.stringify(expected);
    });
  };
  await page.getByTestId('find-case').click();
  await expect('case', [build]);
  await page.getByTestId('find-case').click();
  await page.getByTestId('find-status').selectOption('failed');
  await expect('status', [nightly]);
  await page.getByTestId('find-status').selectOption('');
  await page.getByTestId('find-tag').fill('prod');
  await page.keyboard.press('Enter');
  await expect('tag', [nightly]);
  await page.getByTestId('find-tag').fill('');
  await page.getByTestId('find-name').fill('BUI');
  await page.keyboard.press('Enter');
  await expect('name', [build]);
  await page.getByTestId('find-name').fill('');
  await page.getByTestId('find-step').fill('link');
  await page.keyboard.press('Enter');
  await expect('step', [build]);
  // Sent, so that leaving the field does not send it later.
  await page.getByTestId('find-step').fill('');
  await page.keyboard.press('Enter');
  await expect('every step', [nightly, build]);
  await page.getByTestId('find-since').selectOption('1h');
  await expect('time', [nightly, build]);
  await page.getByTestId('find-text').fill('need.*\\d+ of');
  await page.keyboard.press('Enter');
  await page.getByTestId('find-none').waitFor();
  await page.getByTestId('find-regex').click();
  await expect('expression', [nightly]);
  assert.equal(new URL(page.url()).searchParams.get('re'), '1');
});

test('a wrong expression is explained', async (page) => {
  await page.goto(`${rig.url}/search?q=(&re=1`);
  await page.getByRole('alert').getByText('unclosed group').waitFor();
});

test('a search that is stopped goes on', async (page) => {
  // An answer that never ends.
  let answers = 0;
  await page.route('**/api/search?*', async (route) => {
    answers += 1;
    if (answers > 1) await route.continue();
    // The first one hangs.
  });
  await page.goto(`${rig.url}/search?q=needle`);
  await page.locator('[data-testid="find-progress"][data-state="running"]').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('[data-testid="find-progress"][data-state="stopped"]').waitFor();
  await page.getByTestId('find-on').click();
  await done(page);
  assert.deepEqual(await groups(page), [nightly, build]);
});

describe('on a phone, in the dark, in Chinese', () => {
  test('nothing is wider than the screen', async (page) => {
    await page.goto(`${rig.url}/search?q=needle`);
    await done(page);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'it does not scroll sideways');
    await picture(page, 'search-360');
  }, { viewport: { width: 360, height: 740 }, colorScheme: 'dark', locale: 'zh-CN' });
});
