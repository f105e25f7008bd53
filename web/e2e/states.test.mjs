// What a view says while it has nothing, while it waits, and when something went wrong; and the
// browser's own notifications.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { cspReports, launch, openPage } from './browser.mjs';
import { Rig, until } from './server.mjs';

let browser;
let rig;
let id;
before(async () => {
  browser = await launch();
  rig = new Rig();
  await rig.serve();
  id = await rig.start('echo STEP_START:One; echo hello; echo STEP_COMPLETE:One', { name: 'states' });
  await rig.end(id);
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

const VIEWS = [
  ['/', /\/api\/executions\?/],
  ['/executions', /\/api\/executions\?/],
  ['/search?q=e', /\/api\/search\?/],
  ['/artifacts', /\/api\/artifacts\b/],
  ['/statistics', /\/api\/statistics\b/],
  ['/health', /\/api\/health\/metrics/],
  ['/settings/tokens', /\/api\/tokens/],
  ['execution', /\/api\/executions\/[0-9a-f-]{36}(?:\?.*)?$/],
];
const place = (path) => (path === 'execution' ? `/executions/${id}` : path);

for (const [path, asked] of VIEWS) {
  test(`X3: an error says why, names the request, and can be tried again: ${path}`, {}, async (page) => {
    const problem = { status: 500, title: 'Broken', detail: 'the catalog is away', request_id: 'r-4711', error: 'the catalog is away' };
    // The socket could bring what HTTP does not.
    await page.routeWebSocket(/\/ws$/, () => {});
    await page.route(asked, (route) => route.fulfill({ status: 500, contentType: 'application/json', body: JSON.stringify(problem) }));
    await page.goto(rig.url + place(path));
    const alert = page.getByRole('alert').filter({ hasText: 'the catalog is away' }).first();
    await alert.waitFor();
    await alert.getByText('r-4711').waitFor();
    await page.locator('h1').first().waitFor();
    await page.unroute(asked);
    await alert.getByRole('button').click();
    await alert.waitFor({ state: 'detached' });
  });

  test(`X3: waiting is said, but not when the answer is quick: ${path}`, {}, async (page) => {
    await page.routeWebSocket(/\/ws$/, () => {});
    let answer;
    const held = new Promise((resolve) => (answer = resolve));
    await page.route(asked, async (route) => (await held, await route.continue()));
    await page.goto(rig.url + place(path), { waitUntil: 'domcontentloaded' });
    const waiting = page.locator('.loading').first();
    await waiting.waitFor();
    // It appears after a moment: an answer within it shows nothing of the kind.
    assert.equal(await waiting.evaluate((node) => getComputedStyle(node).animationDelay), '0.15s');
    answer();
    await waiting.waitFor({ state: 'detached' });
  });
}

test('X3: a preview that does not come can be asked for again', {}, async (page) => {
  const made = await rig.start("printf 'a,b\\n1,2\\n' > p.csv; echo ARTIFACT:p.csv", { working_directory: rig.storage });
  await rig.end(made);
  await page.route('**/preview*', (route) => route.fulfill({ status: 500, json: { status: 500, detail: 'no memory', request_id: 'r-9' } }));
  await page.goto(`${rig.url}/executions/${made}/artifacts/${made}-a0`);
  const alert = page.getByRole('alert').filter({ hasText: 'no memory' });
  await alert.waitFor();
  await page.unrouteAll();
  await alert.getByRole('button').click();
  await page.locator('[data-testid="preview"][data-kind="csv"]').waitFor();
});

test('X3: an execution that is unknown is said so, with the way on', {}, async (page) => {
  await page.goto(`${rig.url}/executions/0198c2aa-0000-7000-8000-00000000ffff`);
  const missing = page.getByTestId('exec-missing');
  await missing.getByRole('heading', { level: 1 }).waitFor();
  await missing.getByRole('link').click();
  await page.waitForURL(`${rig.url}/executions`);
});

test('X5: a browser that may notify does so itself, and a click opens the line', { permissions: ['notifications'] }, async (page) => {
  await page.addInitScript(() => {
    globalThis.shown = [];
    const Native = Notification;
    globalThis.Notification = class {
      static permission = Native.permission;
      static requestPermission = () => Native.requestPermission();
      constructor(title, options) {
        Object.assign(this, { title, options, closed: false });
        globalThis.shown.push(this);
      }
      close() {
        this.closed = true;
      }
    };
  });
  const running = await rig.start('echo a; echo b; echo STEP_START:Deploy; sleep 1.5; echo STEP_ERROR:no; exit 4', { name: 'notify-me' });
  await page.goto(`${rig.url}/executions/${running}`);
  assert.equal(await page.evaluate(() => Notification.permission), 'granted');
  await page.getByTestId('tell-me').click();
  assert.equal(await page.getByTestId('tell-me').getAttribute('aria-pressed'), 'true');
  await page.goto(`${rig.url}/executions`);
  const [title, body] = await until('the notification', () => page.evaluate(() => shown[0] && [shown[0].title, shown[0].options.body]));
  assert.match(title, /notify-me.*Failed/);
  assert.match(body, /Deploy/);
  assert.match(body, /\d/, 'how long it took');
  assert.equal(await page.getByTestId('toast').count(), 0, 'not twice');
  assert.doesNotMatch(await page.title(), /^\(/);
  await page.evaluate(() => shown[0].onclick());
  await page.waitForURL(`${rig.url}/executions/${running}#L3`);
  assert.equal(await page.evaluate(() => shown[0].closed), true);
  await page.reload();
  await page.getByTestId('exec-status').waitFor();
  assert.equal(await page.evaluate(() => shown.length), 0, 'and told once');
});

test('X5: nothing is told that nobody asked for', {}, async (page) => {
  await page.goto(`${rig.url}/executions`);
  const other = await rig.start('true', { name: 'not-asked' });
  await rig.end(other);
  await page.getByTestId('list-new').waitFor();
  assert.equal(await page.getByTestId('toast').count(), 0);
  assert.doesNotMatch(await page.title(), /^\(/);
});

test('X5: a saved search tells of its ends, not of others, with the failing step and a click to its line', {}, async (page) => {
  const early = await rig.start('exit 1', { name: 'watched early' });
  await rig.end(early);
  await page.goto(`${rig.url}/executions?q=watched`);
  await page.getByTestId('save-search').click();
  await page.getByPlaceholder('Name of the search').fill('Mine');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  const bell = page.getByTestId('tell-search');
  await bell.click();
  assert.equal(await bell.getAttribute('aria-pressed'), 'true');
  // On another page, and in a page that was loaded anew.
  await page.goto(`${rig.url}/health`);
  const other = await rig.start('exit 1', { name: 'not mine' });
  await rig.end(other);
  const asked = await rig.start('echo a; echo b; echo STEP_START:Deploy; echo STEP_ERROR:no; exit 4', { name: 'watched one' });
  await rig.end(asked);
  const toast = page.getByTestId('toast');
  await toast.filter({ hasText: 'watched one' }).waitFor();
  assert.match(await toast.textContent(), /Failed.*Deploy/s);
  assert.equal(await toast.count(), 1, 'what is not of the search is not told');
  await toast.getByRole('link').click();
  await page.waitForURL(`${rig.url}/executions/${asked}#L3`);
  // It goes on telling, tells of nothing twice, and stops when the search is forgotten.
  const next = await rig.start('true', { name: 'watched two' });
  await toast.filter({ hasText: 'watched two' }).waitFor();
  assert.equal(await toast.count(), 1);
  await rig.end(next);
  await page.goto(`${rig.url}/executions`);
  await page.getByRole('button', { name: 'Forget the search Mine' }).click();
  await bell.waitFor({ state: 'detached' });
  assert.equal(await page.evaluate(() => localStorage.getItem('sf.tell.searches')), '[]');
});

test('X5: many ends of a search during a break are one note that leads to the search', {}, async (page) => {
  await page.goto(`${rig.url}/executions?q=absent`);
  await page.getByTestId('save-search').click();
  await page.getByPlaceholder('Name of the search').fill('Away');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByTestId('tell-search').click();
  await page.goto('about:blank');
  for (const code of [0, 0, 5, 0]) {
    const made = await rig.start(`exit ${code}`, { name: 'absent run' });
    await rig.end(made);
  }
  await page.goto(`${rig.url}/health`);
  const toast = page.getByTestId('toast');
  await toast.filter({ hasText: '4 executions of “Away”' }).waitFor();
  assert.match(await toast.textContent(), /1 failed/);
  assert.equal(await toast.count(), 1);
  await toast.getByRole('link').click();
  await page.waitForURL(`${rig.url}/executions?q=absent`);
});
