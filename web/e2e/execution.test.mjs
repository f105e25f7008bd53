import assert from 'node:assert/strict';
import { after, before, describe, test as plain } from 'node:test';
import { cspReports, launch, openPage } from './browser.mjs';
import { Rig } from './server.mjs';

let browser;
let rig;
before(async () => {
  rig = new Rig();
  await rig.serve();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await rig?.close();
});

function test(name, run) {
  plain(name, async () => {
    const { context, page, faults } = await openPage(browser);
    try {
      await run(page);
      assert.deepEqual(faults, []);
      assert.deepEqual(await cspReports(page), []);
    } finally {
      await context.close();
    }
  });
}

describe('execution', () => {
  test('U3 K3: tabs by number, the timeline, what was found, the digest of a failure', async (page) => {
    const script =
      'echo "STEP_START:Unit tests"; echo "error: mismatched types"; echo "STEP_ERROR:no"; exit 3';
    const id = await rig.start(script, { name: 'digest' });
    await rig.end(id);
    await page.goto(`${rig.url}/executions/${id}`);
    await page.getByTestId('step-node').waitFor();
    assert.match(await page.getByTestId('exec-why').textContent(), /3/);
    await page.keyboard.press('2');
    await page.waitForURL(/tab=timeline/);
    await page.locator('[data-testid="time-row"][data-critical="true"]').waitFor();
    await page.keyboard.press('4');
    await page.locator('[data-testid="find"][data-source="detected"]').waitFor();
    await page.keyboard.press('5');
    await page.getByTestId('digest').getByText('mismatched types').waitFor();
    await page.keyboard.press('.');
    await page.getByTestId('menu-edit').click();
    await page.getByRole('dialog').locator('textarea').first().waitFor();
  });

  test('U3: details say how it was asked for, and a run with changes takes all of it over', async (page) => {
    const asked = {
      command: ['bash', '-c', 'sleep 300 & echo "a  b"; exit 3', ''],
      name: 'asked',
      timeout: 90,
      stop_on_error: true,
      tags: ['kept'],
    };
    const { id: first } = await rig.post('/api/executions', asked);
    await rig.end(first);
    const { id: second } = await rig.post(`/api/executions/${first}/rerun`, {});
    await rig.end(second);
    await page.goto(`${rig.url}/executions/${second}?tab=details`);
    const args = page.getByTestId('args').locator('li');
    await args.first().waitFor();
    assert.deepEqual(await args.allTextContents(), ['bash', '-c', asked.command[2], '“”']);
    const attempts = page.getByTestId('attempts').locator('li');
    assert.deepEqual(await attempts.allTextContents(), [first, 'this one']);
    assert.match(await page.getByTestId('limits').textContent(), /at most 1m 30s.*a failed step stops it/s);
    const text = await page.locator('.sections').textContent();
    assert.match(text, /Left running.*sleep/s);
    assert.match(text, /Queued.*Running.*Failed/s);
    await page.keyboard.press('.');
    await page.getByTestId('menu-edit').click();
    const dialog = page.getByRole('dialog');
    // An empty argument has no line of its own in the form: it goes through a shell, quoted.
    await dialog.getByText(/--timeout 90s --stop-on-error -- sh -c/).waitFor();
    await dialog.getByTestId('new-start').click();
    await page.waitForURL((url) => /executions\/[0-9a-f-]{36}$/.test(url.pathname) && !url.pathname.endsWith(second));
    const third = new URL(page.url()).pathname.split('/').pop();
    const ended = await rig.end(third);
    assert.equal(ended.exit_code, 3);
    assert.deepEqual(ended.tags, ['kept']);
  });

  test('U3 P9: ten thousand steps are a tree of few nodes', async (page) => {
    const id = await rig.start('for i in $(seq 1 10000); do echo "STEP_START:step $i"; echo "STEP_COMPLETE:step $i"; done');
    await rig.end(id, 120_000);
    await page.goto(`${rig.url}/executions/${id}`);
    await page.getByTestId('step-node').first().waitFor();
    assert.ok((await page.getByTestId('step-node').count()) < 80);
    await page.getByTestId('step-filter').fill('step 9999');
    await page.getByRole('treeitem', { name: 'step 9999' }).click();
    await page.waitForURL(/#L19997$/);
  });
});
