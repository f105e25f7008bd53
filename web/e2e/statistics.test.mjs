// U6: figures, charts and tables of a range of time, and that each leads to what it counts.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
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
    const { context, page, faults } = await openPage(browser, { acceptDownloads: true });
    try {
      await body(page);
      assert.deepEqual(await cspReports(page), [], 'reports of the content security policy');
      assert.deepEqual(faults, [], 'errors on the page');
    } finally {
      await context.close();
    }
  });
}

const digits = (text) => Number(text.replace(/\D/g, ''));
const fact = (page, name) =>
  page.getByTestId('stats-facts').locator('div', { has: page.getByText(name, { exact: true }) }).locator('dd');

test('U6: with nothing to count it teaches the first run', async (page) => {
  await page.goto(`${rig.url}/statistics`);
  await page.getByText('stepflow run --').waitFor();
  assert.equal(await page.getByTestId('stats-facts').count(), 0);
});

describe('with five runs', () => {
  before(async () => {
    const flaky = 'echo STEP_START:Flaky; [ "$FAIL" = 1 ] && { echo STEP_ERROR:no; exit 7; }; echo STEP_COMPLETE:Flaky';
    for (const FAIL of ['0', '0', '0', '1', '1']) {
      const id = await rig.start(flaky, { name: 'counted', environment: { FAIL } });
      await rig.end(id);
    }
  });

  test('U6: the figures are those of the executions, and each bar leads to what it counts', async (page) => {
    await page.goto(`${rig.url}/statistics?range=24h`);
    assert.equal(digits(await fact(page, 'Runs').textContent()), 5);
    assert.equal(await fact(page, 'Succeeded').textContent(), '60%');
    const reason = page.locator('tr', { hasText: 'Exit code other than 0' }).locator('td').nth(1);
    assert.equal(await reason.textContent(), '2', 'reasons of failures');
    const row = page.locator('section', { hasText: 'Flakiest steps' }).locator('tbody tr');
    assert.match(await row.first().textContent(), /Flaky.*counted.*40%.*5/s);
    // By hour and weekday: all of it stands in one or two cells.
    const cells = await page.locator('table.heat td .sr-only').allTextContents();
    assert.equal(cells.length, 7 * 24);
    assert.equal(cells.reduce((sum, text) => sum + digits(text), 0), 5);

    const bars = page.getByTestId('run-bars');
    await bars.getByRole('button').click();
    const failed = bars.locator('tbody tr td:nth-child(3) a');
    const counts = (await failed.allTextContents()).map(digits);
    assert.equal(counts.reduce((sum, count) => sum + count, 0), 2, 'the table says what the bars show');
    const at = counts.findIndex((count) => count > 0);
    await failed.nth(at).click();
    await page.waitForURL(/\/executions\?.*status=failed/);
    await until('as many rows as were counted', async () => (await page.getByTestId('exec-row').count()) === counts[at]);
  });

  test('U6: the range is in the address, and the file has what is shown', async (page) => {
    await page.goto(`${rig.url}/statistics`);
    await page.getByTestId('stats-facts').waitFor();
    const asked = page.waitForRequest((request) => request.url().includes('since='));
    await page.getByRole('button', { name: '30 days' }).click();
    const since = Date.parse(new URL((await asked).url()).searchParams.get('since'));
    assert.ok(Math.abs(Date.now() - since - 30 * 86_400_000) < 60_000, 'thirty days are asked for');
    await page.waitForURL(/range=30d/);
    await page.reload();
    await page.locator('[aria-pressed="true"]', { hasText: '30 days' }).waitFor();
    // Days of the reader's own, and back.
    await page.getByLabel('From').fill('2026-01-01');
    await page.getByLabel('to', { exact: true }).fill('2026-01-02');
    await page.getByText('Nothing was run in this time').waitFor();
    assert.match(page.url(), /from=2026-01-01&to=2026-01-02/);
    assert.equal(await page.locator('.ranges [aria-pressed="true"]').count(), 0);
    await page.getByRole('button', { name: '30 days' }).click();
    await page.getByTestId('stats-facts').waitFor();
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByTestId('stats-csv').click()]);
    assert.equal(file.suggestedFilename(), 'stepflow-30d.csv');
    const [head, ...rows] = (await readFile(await file.path(), 'utf8')).trim().split('\r\n').map((line) => line.split(','));
    assert.deepEqual(head.slice(0, 4), ['since', 'runs', 'completed', 'failed']);
    const sum = (column) => rows.reduce((all, row) => all + Number(row[head.indexOf(column)]), 0);
    assert.deepEqual([sum('runs'), sum('completed'), sum('failed')], [5, 3, 2]);
  });

  test('U6: every chart has a title, its newest figure with a unit, a table, a file and links', async (page) => {
    await page.goto(`${rig.url}/statistics?range=24h`);
    const charts = page.locator('.charts figure');
    await charts.first().waitFor();
    await charts.filter({ hasText: 'Disk in use' }).waitFor();
    assert.equal(await charts.count(), 6);
    const bytes = charts.filter({ hasText: 'Output' });
    assert.match(await bytes.locator('figcaption strong').textContent(), /\d.*(?:B|byte)$/);
    for (const chart of await charts.all()) {
      const title = await chart.locator('figcaption span').textContent();
      assert.ok((await chart.locator('.chart').getAttribute('aria-label')).includes(title));
      await chart.getByRole('button', { name: 'Table' }).click();
      const rows = await chart.locator('tbody tr').count();
      assert.ok(title.startsWith('Disk') ? rows > 0 : rows >= 24, `a row for each hour: ${title}`);
      const [file] = await Promise.all([page.waitForEvent('download'), chart.getByRole('button', { name: /CSV/ }).click()]);
      const lines = (await readFile(await file.path(), 'utf8')).trim().split('\r\n');
      assert.deepEqual([lines.length, lines[0].startsWith('time,')], [rows + 1, true], title);
    }
    // The exact figure of a point is reached by keys as well as by the pointer.
    const chart = charts.first();
    const time = chart.locator('.foot span').first();
    const newest = await time.textContent();
    await chart.locator('.chart').focus();
    await page.keyboard.press('ArrowLeft');
    assert.notEqual(await time.textContent(), newest);
    // And leads to what it counts, as many as the bar of that hour says.
    const bars = page.getByTestId('run-bars');
    await bars.getByRole('button').click();
    const counts = (await bars.locator('tbody tr').last().locator('td a').allTextContents()).map(digits);
    await chart.locator('.chart').focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    await page.waitForURL(/executions\?.*since=.*until=/);
    const runs = counts.reduce((sum, count) => sum + count, 0);
    await until('as many rows as were counted', async () => (await page.getByTestId('exec-row').count()) === runs);
  });

  test('U6: an answer that does not come says so and can be asked for again', async (page) => {
    await page.route('**/api/statistics*', (route) => route.fulfill({ status: 503, json: { status: 503, detail: 'too busy', request_id: 'r-42' } }));
    await page.route('**/api/statistics/*', (route) => route.fulfill({ status: 503, json: { status: 503, detail: 'too busy', request_id: 'r-42' } }));
    await page.goto(`${rig.url}/statistics`);
    const alert = page.getByRole('alert');
    await alert.getByText('too busy').waitFor();
    await alert.getByText('r-42').waitFor();
    await page.unrouteAll();
    await alert.getByRole('button').click();
    await page.getByTestId('stats-facts').waitFor();
  });
});
