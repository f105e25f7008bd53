// The faults of the first StepFlow Monitor's page, one test each: they stay dead (T8).
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { launch, openPage } from './browser.mjs';
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
      await body(page);
      assert.deepEqual(faults, [], 'errors or dialogs on the page');
    } finally {
      await context.close();
    }
  });
}

test('T8 U1 X4: no update makes the list anew', async (page) => {
  const first = await rig.start('sleep 30', { name: 'stays' });
  await page.goto(rig.url);
  const row = page.locator(`[data-testid="exec-row"][data-id="${first}"]`);
  await row.waitFor();
  await row.evaluate((node) => (node.sameNode = true));
  const second = await rig.start('echo STEP_START:A; echo STEP_COMPLETE:A', { name: 'comes' });
  await rig.end(second);
  await page.getByText('comes').first().waitFor();
  await until('the first one has changed', async () => {
    await rig.post(`/api/executions/${first}/cancel`, {});
    return (await rig.end(first)).status === 'cancelled';
  });
  // It leaves the running ones; among those that ended it is offered, not pushed in.
  await page.locator(`[data-testid="exec-row"][data-id="${first}"][data-status="running"]`).waitFor({ state: 'detached' });
  const offer = page.getByTestId('dash-new');
  await offer.or(page.locator(`[data-testid="exec-row"][data-id="${first}"]`)).first().waitFor();
  await page.goto(`${rig.url}/executions`);
  await row.first().waitFor();
  await row.first().evaluate((node) => (node.sameNode = true));
  const third = await rig.start('true', { name: 'third' });
  await rig.end(third);
  // It is told, or counted in the offer to show it.
  await page.getByText(/third|new/).first().waitFor();
  assert.equal(await row.first().evaluate((node) => node.sameNode), true);
});

test('T8 U3: an update leaves the nodes of the log and the selected text alone', async (page) => {
  const id = await rig.start('echo STEP_START:A; echo keep this; for i in $(seq 1 40); do sleep 0.05; echo "line $i"; done');
  await page.goto(`${rig.url}/executions/${id}`);
  const line = page.locator('[data-testid="log-row"][data-n="2"]');
  await line.getByText('keep this').waitFor();
  await line.evaluate((node) => {
    node.sameNode = true;
    getSelection().selectAllChildren(node.querySelector('.log-text'));
  });
  await rig.end(id);
  await until('the page knows the end', async () => (await page.getByTestId('exec-status').getAttribute('data-look')) === 'completed');
  assert.equal(await line.evaluate((node) => node.sameNode), true);
  assert.equal(await page.evaluate(() => getSelection().toString().trim()), 'keep this');
});

test('T8 X1: the socket is on the page\'s own origin, and there is one', async (page) => {
  const sockets = [];
  page.on('websocket', (socket) => sockets.push(socket.url()));
  await page.goto(rig.url);
  await page.locator('[data-testid="conn-state"][data-state="live"]').waitFor();
  await page.goto(`${rig.url}/executions`);
  await page.locator('[data-testid="conn-state"][data-state="live"]').waitFor();
  assert.equal(new Set(sockets.map((url) => new URL(url).host)).size, 1);
  assert.equal(new URL(sockets[0]).host, new URL(rig.url).host);
  assert.equal(sockets.length, 2, 'one for each document');
});

test('T8 X2: the page does not give up after five tries', async (page) => {
  const own = new Rig();
  try {
    await own.serve();
    await page.clock.install();
    let sockets = 0;
    page.on('websocket', () => (sockets += 1));
    await page.goto(own.url);
    await page.locator('[data-testid="conn-state"][data-state="live"]').waitFor();
    const { port } = own;
    await own.kill();
    await until(
      'eight tries',
      async () => {
        await page.clock.runFor(1000);
        return sockets >= 9;
      },
      60_000,
    );
    await own.serve({ port });
    await until(
      'it is live again',
      async () => {
        await page.clock.runFor(1000);
        return (await page.getByTestId('conn-state').first().getAttribute('data-state')) === 'live';
      },
      60_000,
    );
  } finally {
    await own.close();
  }
});

test('T8 X3: every dialog has its buttons in view', async (page) => {
  await page.setViewportSize({ width: 360, height: 480 });
  await page.goto(rig.url);
  await page.locator('h1').waitFor();
  await page.keyboard.press('n');
  const dialog = page.locator('dialog[open]');
  await dialog.waitFor();
  const buttons = dialog.locator('button');
  assert.ok((await buttons.count()) >= 2, 'one to go on, one to leave');
  await dialog.locator('button[type="submit"], button.primary').first().scrollIntoViewIfNeeded();
  assert.ok(await dialog.locator('button[type="submit"], button.primary').first().isVisible());
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
});

test('T8 U2: a filter reaches beyond the first page', async (page) => {
  const failed = await rig.start('exit 9', { name: 'the-old-failure' });
  await rig.end(failed);
  for (let batch = 0; batch < 13; batch++) {
    const made = await Promise.all(Array.from({ length: 10 }, () => rig.start('true', { name: 'newer' })));
    await Promise.all(made.map((id) => rig.end(id)));
  }
  await page.goto(`${rig.url}/executions?status=failed`);
  await page.locator(`[data-testid="exec-row"][data-id="${failed}"]`).waitFor();
});

test('T8 U4: an artifact is opened by its own address, never by a path', async (page) => {
  const id = await rig.start('echo text > report.txt; echo "ARTIFACT:report.txt:The report"', {
    working_directory: rig.storage,
  });
  await rig.end(id);
  await page.goto(`${rig.url}/executions/${id}?tab=artifacts`);
  const link = page.getByTestId('artifact-link').first();
  await link.waitFor();
  const hrefs = await page.$$eval('a', (links) => links.map((a) => a.getAttribute('href') ?? ''));
  assert.ok(hrefs.every((href) => !href.includes(':/') || /^https?:/.test(href)), hrefs.join(' '));
  assert.ok(hrefs.every((href) => !/[?&](path|file)=/.test(href)), hrefs.join(' '));
  assert.ok(hrefs.some((href) => /artifacts\/[0-9a-f-]{36}/.test(href)));
});
