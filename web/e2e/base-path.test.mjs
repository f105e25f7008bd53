// The page below a path, as a reverse proxy offers it.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { cspReports, launch, openPage } from './browser.mjs';
import { Rig } from './server.mjs';

const BASE = '/tools/flow';
let browser;
let rig;
before(async () => {
  browser = await launch();
  rig = new Rig();
  await rig.serve({ more: ['--base-path', BASE] });
});
after(async () => {
  await browser?.close();
  await rig?.close();
});

it('U1 U2 U3 U9 U10: every page works below a path, and nothing leaves it', async () => {
  const id = await rig.start('echo STEP_START:A; echo a > a.txt; echo ARTIFACT:a.txt; echo STEP_COMPLETE:A', {
    working_directory: rig.storage,
  });
  await rig.end(id);
  const { context, page, faults } = await openPage(browser);
  const outside = [];
  const see = (url) => {
    if (!new URL(url).pathname.startsWith(`${BASE}/`)) outside.push(url);
  };
  page.on('request', (request) => see(request.url()));
  page.on('websocket', (socket) => see(socket.url()));
  const root = `${new URL(rig.url).origin}${BASE}`;
  const { artifacts } = await rig.get('/api/artifacts');
  for (const path of [
    '/',
    '/executions',
    `/executions/${id}`,
    `/executions/${id}?tab=artifacts`,
    `/executions/${id}/artifacts/${artifacts[0].id}`,
    '/search?q=e',
    '/artifacts',
    '/statistics',
    '/health',
    '/settings',
    '/nothing',
  ]) {
    await page.goto(root + path);
    await page.locator('h1').first().waitFor();
    await page.waitForLoadState('networkidle');
    const links = await page.$$eval('a[href], link[href], script[src], img[src]', (all) =>
      all.map((node) => new URL(node.href || node.src).href),
    );
    for (const link of links) if (link.startsWith(new URL(rig.url).origin)) see(link);
    assert.deepEqual(outside, [], path);
  }
  await page.goto(`${root}/executions`);
  await page.locator('[data-testid="exec-row"] a').first().click();
  await page.waitForURL(`${root}/executions/${id}`);
  await page.goto(`${root}/execution?id=${id}`);
  await page.waitForURL(`${root}/executions/${id}`);
  assert.deepEqual(await cspReports(page), []);
  assert.deepEqual(faults, []);
  await context.close();
});
