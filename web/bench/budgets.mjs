// Drives a built `stepflow` with Chromium and holds the page to its budgets (P1 to P9).
//
//   node bench/budgets.mjs            all budgets, the figures as a table; fails past a bar
//   node bench/budgets.mjs --ci       scaled down; times are held to four times their bars, for
//                                     machines that others share; counted work to the bars
//   node bench/budgets.mjs P4 P6      only these
//
// `STEPFLOW_BIN`: the binary (default: target/release/stepflow). Times include the browser's
// software rendering: the bars are for 2 cores without a graphics processor.
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch, openPage } from '../e2e/browser.mjs';
import { Rig, until } from '../e2e/server.mjs';

process.env.STEPFLOW_BIN ??= fileURLToPath(new URL('../../target/release/stepflow', import.meta.url));
/** Fills a catalog: the example `fill` beside the binary. */
const FILL = join(process.env.STEPFLOW_BIN, '../examples/fill');

const args = process.argv.slice(2);
const ci = args.includes('--ci');
const wanted = args.filter((arg) => /^P\d$/.test(arg));
const TIME_FACTOR = ci ? 4 : 1;
const LINES = 1_000_000;
const rows = [];

/** Notes a figure. `kind`: `time` bars are four times as wide with `--ci`; `work` bars are not. */
function figure(id, what, value, bar, unit, kind = 'work') {
  const limit = kind === 'time' ? bar * TIME_FACTOR : bar;
  const ok = value <= limit;
  rows.push({ id, what, value, bar, unit, ok });
  const shown = Number.isInteger(value) ? value : value.toFixed(1);
  console.log(`${ok ? 'ok  ' : 'OVER'} ${id} ${what}: ${shown} ${unit} (bar ${bar})`);
}

const quantile = (values, q) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
};

/** The browser's own account of its work, in ms since the page began. */
async function work(cdp) {
  const { metrics } = await cdp.send('Performance.getMetrics');
  const of = (name) => metrics.find((metric) => metric.name === name)?.value ?? 0;
  return (of('ScriptDuration') + of('LayoutDuration') + of('RecalcStyleDuration')) * 1000;
}

async function heapMb(cdp) {
  await cdp.send('HeapProfiler.collectGarbage');
  const { usedSize } = await cdp.send('Runtime.getHeapUsage');
  return usedSize / 1e6;
}

/** Frames drawn while `body` runs: the times between them. */
async function frames(page, body) {
  await page.evaluate(() => {
    const times = (globalThis.sfFrames = []);
    const tick = (now) => {
      times.push(now);
      if (globalThis.sfFrames === times) requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  });
  await body();
  const times = await page.evaluate(() => {
    const times = globalThis.sfFrames;
    globalThis.sfFrames = null;
    return times;
  });
  return times.slice(1).map((at, index) => at - times[index]);
}

const filled = (page) =>
  page.waitForFunction(
    () =>
      document.querySelector('[data-testid="log-row"]') !== null &&
      document.querySelector('.log-row.pending') === null,
  );

async function session(browser, options) {
  const { page, context, faults } = await openPage(browser, options);
  const cdp = await context.newCDPSession(page);
  await cdp.send('Performance.enable');
  await cdp.send('HeapProfiler.enable');
  return { page, context, cdp, faults };
}

async function million(rig) {
  const half = LINES / 2;
  const script =
    `echo STEP_START:count; seq -f 'line %.0f of a log that is long enough to be worth a search' 2 ${half}; ` +
    `echo 'error: the needle'; seq -f 'line %.0f and words behind it to give it a width' ${half + 2} ${LINES - 1}; ` +
    'echo STEP_COMPLETE:count';
  const id = await rig.start(script, { name: 'million' });
  const { lines } = await rig.end(id);
  if (lines !== LINES) throw new Error(`the log has ${lines} lines`);
  return id;
}

/** The lists and figures of a storage with as many executions as nobody waits for. */
async function history(browser) {
  const count = ci ? 50_000 : 1_000_000;
  const rig = new Rig();
  try {
    mkdirSync(join(rig.storage, 'database'), { mode: 0o700 });
    execFileSync(FILL, [join(rig.storage, 'database/stepflow.db'), String(count)]);
    await rig.serve();
    const asked = async (path) => {
      const times = [];
      for (let turn = 0; turn < 21; turn++) {
        const begun = performance.now();
        await rig.get(path);
        times.push(performance.now() - begun);
      }
      return quantile(times, 0.5);
    };
    const { total_count: total } = await rig.get('/api/executions?limit=50');
    if (total !== count) throw new Error(`the list counts ${total} executions`);
    const of = `of ${count.toLocaleString('en')} executions`;
    figure('P8', `newest 50 ${of}`, await asked('/api/executions?limit=50'), 300, 'ms', 'time');
    figure('P8', `newest 50 failed ${of}`, await asked('/api/executions?status=failed&limit=50'), 300, 'ms', 'time');
    const month = new Date(Date.now() - 30 * 86_400_000).toISOString();
    for (const [what, path] of [
      ['overview', '/api/executions/overview'],
      ['statistics of a month', `/api/statistics?since=${month}`],
    ]) {
      figure('P8', `${what} ${of}`, await asked(path), 500, 'ms', 'time');
    }
    const { page, context } = await session(browser);
    const begun = Date.now();
    await page.goto(`${rig.url}/executions`);
    await page.getByTestId('exec-row').first().waitFor();
    figure('P8', `history page ${of}, from the address to its first rows`, Date.now() - begun, 1000, 'ms', 'time');
    const rows = await page.evaluate(() => {
      const answers = performance.getEntriesByType('resource').filter(({ name }) => /\/api\/executions\?/.test(name));
      return answers[0].duration;
    });
    figure('P8', `first page of the list, as the browser waits for it`, rows, 300, 'ms', 'time');
    await context.close();
  } finally {
    await rig.close();
  }
}

const budgets = {
  async P1(browser, rig) {
    const { page, context, cdp } = await session(browser);
    const sizes = { Script: 0, Stylesheet: 0, Font: 0 };
    const kinds = new Map();
    await cdp.send('Network.enable');
    cdp.on('Network.responseReceived', ({ requestId, type }) => kinds.set(requestId, type));
    cdp.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
      const kind = kinds.get(requestId);
      if (kind in sizes) sizes[kind] += encodedDataLength;
    });
    await page.goto(rig.url, { waitUntil: 'networkidle' }).catch(() => {});
    figure('P1', 'scripts of the first page, as sent', sizes.Script / 1000, 120, 'kB');
    figure('P1', 'styles of the first page, as sent', sizes.Stylesheet / 1000, 20, 'kB');
    figure('P1', 'fonts', sizes.Font, 0, 'bytes');
    await context.close();
  },

  async P2(browser, rig) {
    const { page, context, cdp } = await session(browser);
    await cdp.send('Emulation.setCPUThrottlingRate', { rate: 4 });
    await page.goto(rig.url);
    await page.getByTestId('exec-row').first().waitFor();
    const times = await page.evaluate(() => {
      const paint = performance.getEntriesByName('first-paint')[0]?.startTime ?? 0;
      return { paint, data: performance.now() };
    });
    figure('P2', 'first paint, slow, cold cache', times.paint, 1000, 'ms', 'time');
    figure('P2', 'dashboard with data, slow, cold cache', times.data, 1500, 'ms', 'time');
    await cdp.send('Emulation.setCPUThrottlingRate', { rate: 1 });
    const change = await page.evaluate(async () => {
      const link = document.querySelector('nav a[href$="/executions"]');
      const begun = performance.now();
      link.click();
      while (document.querySelector('h1') === null || !location.pathname.endsWith('/executions')) {
        await new Promise(requestAnimationFrame);
      }
      await new Promise(requestAnimationFrame);
      return performance.now() - begun;
    });
    figure('P2', 'change of page', change, 100, 'ms', 'time');
    await context.close();
  },

  async P3(browser, rig, { long }) {
    const { page, context } = await session(browser);
    for (const line of [1, 123_456, 987_654]) {
      await page.goto('about:blank');
      await page.goto(`${rig.url}/executions/${long}#L${line}`);
      await page.locator(`[data-testid="log-row"][data-n="${line}"]:not(.pending)`).waitFor();
      const took = await page.evaluate(() => {
        const [mark] = performance.getEntriesByName('sf:log-first-text');
        const [mounted] = performance.getEntriesByName('sf:log-mounted');
        return mark.startTime - (mounted?.startTime ?? 0);
      });
      figure('P3', `first text at line ${line} after the pane is there`, took, 300, 'ms', 'time');
    }
    const jumps = [];
    for (const line of [500_000, 4, 750_123, 999_999, 250_001]) {
      jumps.push(
        await page.evaluate(async (n) => {
          const begun = performance.now();
          location.hash = `#L${n}`;
          for (;;) {
            const row = document.querySelector(`[data-testid="log-row"][data-n="${n}"]`);
            if (row !== null && !row.classList.contains('pending')) break;
            await new Promise(requestAnimationFrame);
          }
          return performance.now() - begun;
        }, line),
      );
    }
    figure('P3', 'jump to a line, slowest of 5', Math.max(...jumps), 200, 'ms', 'time');
    await context.close();
  },

  async P4(browser, rig, { long }) {
    const { page, context, cdp } = await session(browser);
    await page.goto(`${rig.url}/executions/${long}#L500000`);
    await filled(page);
    const pane = page.getByTestId('log-pane');
    await pane.hover();
    const before = await work(cdp);
    const gaps = await frames(page, async () => {
      for (let step = 0; step < (ci ? 60 : 180); step++) {
        await page.mouse.wheel(0, step % 3 === 2 ? -90 : 180);
        await page.evaluate(() => new Promise(requestAnimationFrame));
      }
    });
    const spent = (await work(cdp)) - before;
    figure('P4', 'time between frames, median', quantile(gaps, 0.5), 17, 'ms', 'time');
    figure('P4', 'time between frames, p95', quantile(gaps, 0.95), 50, 'ms', 'time');
    figure('P4', 'work per frame while scrolling', spent / gaps.length, 6, 'ms', 'time');
    const dragBefore = await work(cdp);
    const dragged = await frames(page, () =>
      pane.evaluate(async (scroller) => {
        for (let step = 1; step <= 90; step++) {
          scroller.scrollTop = (scroller.scrollHeight * step) / 100;
          await new Promise(requestAnimationFrame);
        }
      }),
    );
    const dragWork = (await work(cdp)) - dragBefore;
    figure('P4', 'work per frame while the thumb is dragged', dragWork / dragged.length, 10, 'ms', 'time');
    await context.close();
  },

  async P5(browser, rig) {
    const seconds = ci ? 8 : 60;
    const rate = 5000;
    const { page, context, cdp } = await session(browser);
    // Each line says when it was printed, in ms.
    const script =
      `const n = ${rate / 50}; let sent = 0; const end = ${rate * seconds}; ` +
      'const timer = setInterval(() => { const at = Date.now(); let text = ""; ' +
      'for (let i = 0; i < n && sent < end; i++) text += `line ${++sent} at=${at}\\n`; ' +
      'process.stdout.write(text); if (sent >= end) clearInterval(timer); }, 20)';
    const id = (
      await rig.post('/api/executions', { command: [process.execPath, '-e', script], name: 'fast' })
    ).id;
    await page.goto(`${rig.url}/executions/${id}`);
    await page.getByTestId('log-row').first().waitFor();
    const before = await work(cdp);
    // How old the newest line is when it is first seen.
    await page.evaluate(() => {
      const ages = (globalThis.sfAges = []);
      let last = 0;
      const tick = () => {
        if (globalThis.sfAges !== ages) return;
        let newest = 0;
        let text = '';
        for (const row of document.querySelectorAll('[data-testid="log-row"]')) {
          const n = Number(row.dataset.n);
          if (n > newest) [newest, text] = [n, row.textContent];
        }
        const at = /at=(\d+)/.exec(text);
        if (newest > last && at !== null) ages.push(Date.now() - Number(at[1]));
        last = Math.max(last, newest);
        requestAnimationFrame(tick);
      };
      requestAnimationFrame(tick);
    });
    const clicks = [];
    const gaps = await frames(page, async () => {
      for (let second = 0; second < seconds - 2; second++) {
        clicks.push(
          await page.evaluate(async () => {
            await new Promise((done) => setTimeout(done, 800));
            const begun = performance.now();
            await new Promise((done) => {
              addEventListener('sf-click', done, { once: true });
              setTimeout(() => dispatchEvent(new Event('sf-click')), 0);
            });
            return performance.now() - begun;
          }),
        );
      }
    });
    const spent = (await work(cdp)) - before;
    const ages = await page.evaluate(() => {
      const ages = globalThis.sfAges;
      globalThis.sfAges = null;
      return ages;
    });
    const { lines } = await rig.end(id, (seconds + 60) * 1000);
    await until('the page has every line', async () => {
      const text = await page.getByTestId('log-count').textContent();
      return text.replace(/\D/g, '').includes(String(rate * seconds));
    });
    figure('P5', `lines missing of ${rate * seconds}`, rate * seconds - lines, 0, 'lines');
    figure('P5', 'newest line, from print to frame, p95', quantile(ages, 0.95), 250, 'ms', 'time');
    figure('P5', 'work per frame with follow', spent / gaps.length, 8, 'ms', 'time');
    figure('P5', 'an input waits, at most', Math.max(...clicks), 100, 'ms', 'time');
    await context.close();
  },

  async P6(browser, rig, { long }) {
    const { page, context } = await session(browser, { viewport: { width: 1280, height: 900 } });
    await page.goto(`${rig.url}/executions/${long}#L700000`);
    await filled(page);
    const count = () =>
      page.evaluate(() => ({
        pane: document.querySelector('[data-testid="log-pane"]').querySelectorAll('*').length,
        page: document.querySelectorAll('*').length,
      }));
    let most = { pane: 0, page: 0 };
    for (let step = 0; step < 20; step++) {
      await page.getByTestId('log-pane').evaluate((pane, at) => {
        pane.scrollTop = (pane.scrollHeight * at) / 20;
      }, step);
      await filled(page);
      const now = await count();
      most = { pane: Math.max(most.pane, now.pane), page: Math.max(most.page, now.page) };
    }
    figure('P6', 'nodes in the log pane', most.pane, 700, 'nodes');
    figure('P6', 'nodes in the page', most.page, 2500, 'nodes');
    await context.close();
  },

  async P7(browser, rig, { long }) {
    const { page, context, cdp } = await session(browser);
    await page.goto(`${rig.url}/executions/${long}#L1`);
    await filled(page);
    const begun = await heapMb(cdp);
    // Through the whole log, every range of lines among those seen.
    const steps = ci ? 400 : 2000;
    for (let step = 1; step <= steps; step++) {
      await page.evaluate((n) => (location.hash = `#L${n}`), Math.floor((LINES * step) / steps));
      await page.evaluate(() => new Promise(requestAnimationFrame));
    }
    await filled(page);
    figure('P7', 'heap at the start', begun, 96, 'MB');
    figure('P7', 'heap after a walk through 1,000,000 lines', await heapMb(cdp), 96, 'MB');
    await context.close();
  },

  async P8(browser, rig, { long }) {
    const { page, context } = await session(browser);
    await page.goto(`${rig.url}/executions/${long}`);
    await filled(page);
    const begun = Date.now();
    const seek = `/api/executions/${long}/log/search?q=needle&limit=1`;
    let answer = await rig.get(seek);
    let first = null;
    for (;;) {
      if (answer.lines > 0) first ??= Date.now() - begun;
      if (answer.complete) break;
      answer = await rig.get(`${seek}&cursor=${encodeURIComponent(answer.cursor)}`);
    }
    figure('P8', 'first hit, in the middle of 1,000,000 lines', first ?? Infinity, 300, 'ms', 'time');
    figure('P8', 'exact total', Date.now() - begun, 2000, 'ms', 'time');
    const shown = await page.evaluate(async () => {
      document.querySelector('[data-testid="log-pane"]').focus();
      dispatchEvent(new KeyboardEvent('keydown', { key: '/', bubbles: true }));
      let box = null;
      while (box === null) {
        box = document.querySelector('[data-testid="log-search"]');
        await new Promise(requestAnimationFrame);
      }
      const input = box.matches('input') ? box : box.querySelector('input');
      const begun = performance.now();
      input.value = 'needle';
      input.dispatchEvent(new Event('input', { bubbles: true }));
      while (document.querySelector('[data-testid="log-row"] mark, .log-hit') === null) {
        await new Promise(requestAnimationFrame);
        if (performance.now() - begun > 20_000) return Infinity;
      }
      return performance.now() - begun;
    });
    figure('P8', 'from the last letter to the marked hit on the page', shown, 1000, 'ms', 'time');
    await context.close();
    await history(browser);
  },

  async P9(browser, rig) {
    const { page, context } = await session(browser);
    const script =
      'const step = (n) => { if (n > 60) return; ' +
      'console.log(`STEP_START:step ${n} at=${Date.now()}`); ' +
      'setTimeout(() => { console.log("STEP_COMPLETE"); step(n + 1); }, 60); }; setTimeout(() => step(1), 1500)';
    const id = (
      await rig.post('/api/executions', { command: [process.execPath, '-e', script], name: 'steps' })
    ).id;
    await page.goto(`${rig.url}/executions/${id}`);
    await page.getByTestId('log-pane').waitFor();
    await page.evaluate(() => {
      const seen = (globalThis.sfSeen = new Map());
      const tick = () => {
        for (const node of document.querySelectorAll('[data-testid="step-node"]')) {
          const found = /step (\d+) at=(\d+)/.exec(node.textContent);
          if (found !== null && !seen.has(found[1])) seen.set(found[1], Date.now() - Number(found[2]));
        }
        requestAnimationFrame(tick);
      };
      requestAnimationFrame(tick);
    });
    await rig.end(id);
    await page.waitForFunction(() => globalThis.sfSeen.size > 0);
    const ages = await page.evaluate(() => [...globalThis.sfSeen.values()]);
    figure('P9', `step to pixel, p95 of ${ages.length}`, quantile(ages, 0.95), 250, 'ms', 'time');
    const many = await rig.start(
      'for i in $(seq 1 10000); do echo "STEP_START:s$i"; echo STEP_COMPLETE; done',
      { name: 'many-steps' },
    );
    await rig.end(many);
    await page.goto('about:blank');
    await page.goto(`${rig.url}/executions/${many}`);
    await page.getByTestId('step-node').first().waitFor();
    const took = await page.evaluate(() => {
      const [data] = performance.getEntriesByName('sf:first-data');
      const [tree] = performance.getEntriesByName('sf:tree');
      return (tree?.startTime ?? performance.now()) - (data?.startTime ?? 0);
    });
    figure('P9', 'tree of 10,000 steps, from data to first paint', took, 150, 'ms', 'time');
    await context.close();
  },
};

const rig = new Rig();
const browser = await launch();
try {
  await rig.serve();
  const long = await million(rig);
  await rig.get(`/api/executions/${long}/log/meta`);
  for (const [id, measure] of Object.entries(budgets)) {
    if (wanted.length === 0 || wanted.includes(id)) await measure(browser, rig, { long });
  }
} finally {
  await browser.close();
  await rig.close();
}
if (!ci) {
  console.log('\n| budget | figure | bar |\n|---|---|---|');
  for (const { id, what, value, bar, unit } of rows) {
    console.log(`| ${id} ${what} | ${Number.isInteger(value) ? value : value.toFixed(1)} ${unit} | ${bar} ${unit} |`);
  }
}
if (rows.some((row) => !row.ok)) process.exitCode = 1;
