import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { cspReports, launch, openPage } from './browser.mjs';
import { Rig } from './server.mjs';

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

/** A page, and at its end the proof that nothing forbidden happened on it. */
function test(name, body) {
  it(name, async () => {
    const { context, page, faults } = await openPage(browser);
    try {
      await body(page);
      assert.deepEqual(await cspReports(page), [], 'reports of the content security policy');
      assert.deepEqual(faults, [], 'errors on the page');
    } finally {
      await context.close();
    }
  });
}

const figure = (page, name) =>
  page.locator('dl.rows div', { has: page.getByText(name, { exact: true }) }).locator('dd');

test('U7: the verdict comes first, the figures are those of the server', async (page) => {
  await page.goto(`${rig.url}/health`);
  const verdict = page.getByTestId('health-verdict');
  await verdict.waitFor();
  const status = await (await fetch(`${rig.url}/api/health/status`)).json();
  const metrics = await (await fetch(`${rig.url}/api/health/metrics`)).json();
  const expected = { healthy: 'healthy', degraded: 'degraded', unhealthy: 'unhealthy' };
  assert.equal(await verdict.getAttribute('data-verdict'), expected[status.status]);
  assert.equal(await figure(page, 'Version').textContent(), status.version);
  const places = metrics.executions.running_max.toLocaleString('en');
  assert.equal(await figure(page, 'Places taken').textContent(), `0 of ${places}`);
});

test('U7: says what is wrong and what to do, also where the server answers 503', async (page) => {
  const hostile = '<img src=x onerror=alert(1)>';
  await page.route('**/api/health/status', async (route) => {
    const body = await (await route.fetch()).json();
    body.status = 'unhealthy';
    body.components.storage = { status: 'unhealthy', detail: `full ${hostile}` };
    await route.fulfill({ status: 503, json: body });
  });
  await page.route('**/api/health/database', async (route) => {
    const body = await (await route.fetch()).json();
    const [measured, threshold] = [2, 1];
    const finding = { level: 'warning', what: 'wal', measured, threshold, unit: 'bytes' };
    body.findings = [{ ...finding, detail: 'the log is long', remedy: `end the reader ${hostile}` }];
    await route.fulfill({ json: body });
  });
  await page.goto(`${rig.url}/health`);
  const verdict = page.getByTestId('health-verdict');
  await verdict.waitFor();
  assert.equal(await verdict.getAttribute('data-verdict'), 'unhealthy');
  const items = await verdict.locator('li').allTextContents();
  assert.equal(items.length, 2);
  assert.match(items[0], /Error\s+Storage\s+full <img/);
  assert.match(items[1], /Warning\s+the log is long\s+What to do: end the reader <img/);
});

test('U7: keeps the figures and says that they are old while the server is away', async (page) => {
  await page.goto(`${rig.url}/health`);
  const time = page.getByTestId('health-time');
  await time.waitFor();
  assert.match(await time.textContent(), /As of/);
  const node = await page.getByTestId('health-verdict').elementHandle();
  await page.route('**/api/health/metrics', (route) => route.abort());
  await page.waitForFunction(
    () => document.querySelector('[data-testid="health-time"]').textContent.includes('Not current'),
  );
  assert.match(await time.textContent(), /Not current/);
  await page.unroute('**/api/health/metrics');
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.waitForFunction(
    () => document.querySelector('[data-testid="health-time"]').textContent.includes('As of'),
  );
  assert.ok(await node.evaluate((n) => n.isConnected), 'the panel was not built anew');
});
