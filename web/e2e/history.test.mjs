import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
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

function test(name, body) {
  it(name, async () => {
    const { context, page, faults } = await openPage(browser);
    try {
      await body(page, context);
      assert.deepEqual(await cspReports(page), [], 'reports of the content security policy');
      assert.deepEqual(faults, [], 'errors on the page');
    } finally {
      await context.close();
    }
  });
}

const names = (page) =>
  page.$$eval('[data-testid="exec-row"] .main > a', (links) => links.map((a) => a.textContent));
const settle = (page, what, count) => until(what, async () => (await names(page)).length === count);
const row = (page, id) => page.locator(`[data-testid="exec-row"][data-id="${id}"]`);

describe('with nothing yet', () => {
  test('U1 U2 X3: empty pages teach the first command', async (page) => {
    await page.goto(rig.url);
    await page.getByText('stepflow run --').waitFor();
    await page.goto(`${rig.url}/executions`);
    await page.getByText('stepflow run --').waitFor();
  });
});

describe('with executions', () => {
  const ids = [];
  before(async () => {
    for (let n = 0; n < 60; n++) {
      const tags = n % 3 === 0 ? ['third'] : [];
      ids.push(await rig.start(n % 2 === 0 ? 'exit 1' : 'true', { name: `History ${n}`, tags }));
    }
    for (const id of ids) await rig.end(id);
  });

  test('U2 X3: one query line, all in the address, with chips, mistakes in place and older ones', async (page) => {
    await page.goto(`${rig.url}/history?name=history`);
    await settle(page, 'a first page', 50);
    const older = page.waitForResponse((answer) => answer.url().includes('/api/executions?'));
    await page.getByRole('button', { name: 'Load older' }).click();
    assert.equal((await (await older).json()).executions.length, 10, 'what is shown is not asked for again');
    await settle(page, 'all', 60);
    const all = await names(page);
    assert.equal(new Set(all).size, 60);
    assert.deepEqual(all, [...all].sort((a, b) => Number(b.slice(8)) - Number(a.slice(8))), 'newest first');

    await page.getByRole('navigation', { name: 'Status' }).getByText('Failed').click();
    await settle(page, 'failed ones', 30);
    await page.locator('a.tag', { hasText: 'third' }).first().click();
    await settle(page, 'failed ones with the tag', 10);
    await page.reload();
    await settle(page, 'the same after a reload', 10);

    const line = page.getByTestId('history-query');
    await line.fill('history exit:!0 tag:!third');
    await line.press('Enter');
    await settle(page, 'not the tag', 20);
    assert.equal(new URL(page.url()).searchParams.get('q'), 'history exit:!0 tag:!third');
    await line.fill('colour:red');
    await line.press('Enter');
    await page.getByTestId('query-mistakes').getByText('colour:red').waitFor();
    assert.equal((await names(page)).length, 20, 'what is not understood changes nothing');

    await line.fill('history before:2020-01-01');
    await line.press('Enter');
    await page.getByText('No execution matches this filter.').waitFor();
    await page.goBack();
    await settle(page, 'back', 20);
    await page.getByTestId('query-chip').filter({ hasText: 'third' }).click();
    await page.getByRole('button', { name: 'Remove', exact: true }).click();
    await settle(page, 'without the chip', 30);
    await page.getByRole('link', { name: 'Clear filters' }).click();
    await settle(page, 'everything', 50);
    assert.equal(new URL(page.url()).search, '');
  });

  test('U2: many are tagged and pinned at once, found by it, and sorted by duration', async (page) => {
    await page.goto(`${rig.url}/executions?q=${encodeURIComponent('tag:third')}`);
    const thirds = (await rig.get('/api/executions?tag=third')).total_count;
    await settle(page, 'every third', thirds);
    const [first, second] = await names(page);
    for (const name of [first, second]) {
      await page.getByRole('checkbox', { name: `Select ${name}`, exact: true }).check();
    }
    await page.getByTestId('bulk-tag').click();
    await page.getByTestId('bulk-tags').fill('kept, 日本');
    await page.getByLabel('Remove these tags').fill('third');
    await page.getByTestId('bulk-confirm').click();
    await page.getByTestId('bulk-dialog').waitFor({ state: 'detached' });
    await page.getByTestId('bulk-pin').click();
    await page.getByTestId('bulk-confirm').click();
    await page.getByTestId('bulk-dialog').waitFor({ state: 'detached' });
    // The list that is read does not move; asked for again it is another one.
    assert.equal((await names(page)).length, thirds);
    await page.reload();
    await settle(page, 'without those two', thirds - 2);
    await page.getByRole('link', { name: 'Pinned', exact: true }).click();
    await until('the address has it', () => new URL(page.url()).searchParams.get('q') === 'tag:third is:pinned');
    await page.goto(`${rig.url}/executions?q=is:pinned`);
    await settle(page, 'the pinned ones', 2);
    const pinned = await rig.get('/api/executions?pinned=1&tag=kept');
    assert.deepEqual(pinned.executions.map(({ name, tags }) => [name, tags]), [
      [first, ['kept', '日本']],
      [second, ['kept', '日本']],
    ]);

    await page.goto(`${rig.url}/executions`);
    await settle(page, 'a page', 50);
    for (const order of ['longest', 'shortest']) {
      await page.getByTestId('sort-duration').click();
      await until(`the ${order} first`, () => new URL(page.url()).searchParams.get('q') === `order:${order}`);
      const expected = await rig.get(`/api/executions?order=${order}&limit=50`);
      const idsOf = (list) => list.executions.map(({ id }) => id);
      const shown = () => page.$$eval('[data-testid="exec-row"]', (rows) => rows.map((row) => row.dataset.id));
      await until('the rows are those', async () => (await shown()).join() === idsOf(expected).join());
      await page.getByRole('button', { name: 'Load older' }).click();
      const rest = await rig.get(`/api/executions?order=${order}&limit=200`);
      await settle(page, 'all', rest.executions.length);
      assert.deepEqual(await shown(), idsOf(rest));
    }
    await page.getByTestId('sort-duration').click();
    await until('as before', () => new URL(page.url()).searchParams.get('q') === null);
  });

  test('K2 U2: rows by keys, a range, and a deletion that has to be typed', async (page) => {
    await page.goto(`${rig.url}/executions?q=history`);
    await settle(page, 'rows', 50);
    await page.keyboard.press('j');
    await page.keyboard.press('x');
    for (let n = 0; n < 21; n++) await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Shift+X');
    const bar = page.getByTestId('selection');
    await bar.getByText('22 selected').waitFor();
    await bar.getByRole('button', { name: 'Delete' }).click();
    const confirm = page.getByTestId('bulk-confirm');
    assert.ok(await confirm.isDisabled(), 'the number must be typed');
    await page.getByTestId('bulk-dialog').locator('input').fill('22');
    await confirm.click();
    await settle(page, 'they are gone', 28);
    assert.equal((await rig.get('/api/executions?name_contains=history')).total_count, 38);
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/executions\/[0-9a-f-]+$/);
  });

  test('U3: an execution is pinned and named on its own page', async (page) => {
    const id = await rig.start('true', { name: 'to be named' });
    await rig.end(id);
    await page.goto(`${rig.url}/executions/${id}`);
    await page.getByTestId('more').click();
    await page.getByRole('menuitem', { name: 'Pin', exact: true }).click();
    await page.getByTestId('pin').waitFor();
    await page.getByTestId('more').click();
    await page.getByRole('menuitem', { name: 'Name and tags…' }).click();
    await page.getByTestId('label-dialog').getByLabel('Name', { exact: true }).fill('named <b>日</b>');
    await page.getByTestId('label-dialog').getByLabel('Tags').fill('one two');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await page.getByRole('heading', { name: 'named <b>日</b>' }).waitFor();
    await page.reload();
    await page.getByRole('heading', { name: 'named <b>日</b>' }).waitFor();
    const { execution } = await rig.get(`/api/executions/${id}?logs=0`);
    assert.deepEqual([execution.name, execution.tags, execution.pinned], ['named <b>日</b>', ['one', 'two'], true]);
  });

  test('U2: a search is kept for everybody, with its count, and forgotten', async (page, context) => {
    await page.goto(`${rig.url}/executions?q=${encodeURIComponent('status:failed name:history')}`);
    await page.getByTestId('save-search').click();
    await page.getByPlaceholder('Name of the search').fill('Broken / 日');
    await page.getByLabel('For everybody').check();
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    const found = (await rig.get('/api/executions?status=failed&name_contains=history')).total_count;
    const kept = page.getByTestId('saved-search').filter({ hasText: 'Broken / 日' });
    await until('its count', async () => (await kept.locator('.num').textContent()) === String(found));
    const other = await context.newPage();
    await other.goto(`${rig.url}/executions`);
    await other.getByTestId('saved-search').filter({ hasText: 'Broken / 日' }).click();
    await settle(other, 'what it finds', found);
    await other.getByRole('button', { name: 'Forget the search Broken / 日' }).click();
    await until('it is gone', async () => (await rig.get('/api/searches')).searches.length === 0);
    await other.close();
  });

  test('X4: what is new waits behind a button, on both pages', async (page) => {
    await page.goto(`${rig.url}/executions?q=fresh`);
    await page.getByText('No execution matches this filter.').waitFor();
    const first = await rig.start('true', { name: 'fresh one' });
    await page.getByTestId('list-new').click();
    await row(page, first).waitFor();
    await page.goto(rig.url);
    await page.getByTestId('figures').waitFor();
    await row(page, first).waitFor();
    const second = await rig.start('true', { name: 'fresh two' });
    await page.getByTestId('dash-new').click();
    await row(page, second).waitFor();
  });

  test('U1: figures of the range in the address, failures with their line until dismissed, a stop', async (page) => {
    const broken = await rig.start('echo STEP_START:Migrate; echo "error: no such table"; exit 3', { name: 'deploy' });
    await rig.end(broken);
    const long = await rig.start('echo STEP_START:Wait; sleep 60', { name: 'long' });
    await page.goto(rig.url);
    const attention = page.getByTestId('attention');
    await attention.getByText('error: no such table').waitFor();
    await page.getByTestId('range').selectOption('24h');
    await until('the range is in the address', () => page.url().includes('range=24h'));
    await attention.getByRole('button', { name: 'Dismiss deploy' }).click();
    await page.reload();
    await attention.waitFor();
    assert.equal(await attention.getByText('error: no such table').count(), 0, 'it stays dismissed');
    await row(page, long).getByRole('button', { name: 'Stop long' }).click();
    assert.equal((await rig.end(long)).status, 'cancelled');
    await page.locator(`[data-testid="exec-row"][data-id="${long}"][data-status="running"]`).waitFor({ state: 'detached' });
  });
});
