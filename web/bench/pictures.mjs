// Takes the pictures of the guide again: `npm run pictures [NAME...]`. A server of its own is filled
// with runs of made-up scripts; the dates of its catalog are spread over a week (needs `sqlite3`), so
// that charts have days. STEPFLOW_BIN, STEPFLOW_DIST and CHROMIUM_BIN as for the tests.
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch } from '../e2e/browser.mjs';
import { Rig, until } from '../e2e/server.mjs';
import { smaller } from './png.mjs';

const OUT = fileURLToPath(new URL('../../docs/guide/images', import.meta.url));
const only = process.argv.slice(2);
const project = join(tmpdir(), 'shop');
mkdirSync(project, { recursive: true });

const steps = (...parts) => parts.join('; ');
const step = (name, ...lines) => steps(`echo 'STEP_START:${name}'`, ...lines, `echo 'STEP_COMPLETE:${name}'`);
const say = (...lines) => lines.map((line) => `echo '${line.replaceAll("'", "'\\''")}'`).join('; ');
const tests = (n) => `for i in $(seq 1 ${n}); do echo "PASS  cart::case_$i"; done`;

const BUILD = (more) =>
  steps(
    step('Install', say('resolving 214 packages', 'added 214 packages'), 'sleep 0.3'),
    step('Build', say('vite v8 building for production...', 'dist/index.html   1.2 kB', 'dist/app.js     76.1 kB'), 'sleep 0.5'),
    more,
  );
const GOOD = BUILD(steps(step('Unit tests', tests(40), 'sleep 0.4'), step('Package', say('shop-1.4.2.tar.gz'), 'sleep 0.1')));
const BAD = BUILD(
  steps(
    `echo 'STEP_START:Unit tests'`,
    tests(44),
    'sleep 0.4',
    say(
      'FAIL  cart::total_with_discount',
      "thread 'cart::total_with_discount' panicked at src/cart.rs:88:9:",
      'assertion `left == right` failed: 10 % off 250',
      '  left: 250',
      ' right: 225',
    ),
    'for i in $(seq 45 58); do echo "PASS  cart::case_$i"; done',
    say('warning: test took longer than 2 s: cart::import_large'),
    say('{"level":"error","test":"cart::total_with_discount","expected":225,"got":250,"order":{"id":7,"items":[{"sku":"A-1","n":2},{"sku":"B-9","n":1}]}}'),
    say('STEP_ERROR:1 of 59 tests failed'),
    'exit 1',
  ),
);
const RELEASE = steps(
  say('META:commit:3f2a1c9', 'META:branch:main'),
  step('Checkout', say('HEAD is now at 3f2a1c9'), 'sleep 0.3'),
  `echo 'STEP_START:Build [id=build]'; echo 'STEP_START:server [id=s][parent=build]'; sleep 0.7; echo 'STEP_START:page [id=p][parent=build]'; echo 'built page'; sleep 0.4; echo 'STEP_COMPLETE:page [id=p]'; sleep 0.3; echo 'STEP_COMPLETE:server [id=s]'; echo 'STEP_COMPLETE:Build [id=build]'`,
  step('Test', tests(30), 'sleep 0.6'),
  step('Report', 'sleep 0.2', `printf '# Release 1.4.2\\n\\n| part | tests | coverage |\\n|---|---:|---:|\\n| server | 212 | 94.1 %% |\\n| page | 87 | 91.8 %% |\\n\\n- [x] built\\n- [x] tested\\n- [ ] announced\\n\\n**Next:** \`./deploy.sh eu\`\\n' > summary.md; printf 'region,orders,revenue\\n' > sales.csv; for i in $(seq 1 60); do echo "region $i,$((i*37%91)),$((i*7919%10000))" >> sales.csv; done`, say('ARTIFACT:summary.md:summary', 'ARTIFACT:sales.csv:Sales by region')),
  say('STEP_SKIP:Announce:not on a Friday'),
);
const TRAIN = steps(
  step('Load data', say('50,000 samples'), 'sleep 0.2'),
  `echo 'STEP_START:Train [expected=2m]'; for e in 1 2 3 4 5 6; do for b in 20 40 60 80 100; do printf "\\repoch $e/20 %3d%% loss=0.$((9-e))$b" $b; sleep 0.02; done; echo; echo "PROGRESS:$((e*5)):epoch $e of 20"; done; sleep 600`,
);

// Results of tests as a file: `failed` says which fail, and how.
const CASES = ['adds_an_item', 'total_with_discount', 'import_large', 'rounds_half_up', 'empty_cart', 'ships_to_eu'];
const RESULTS = (failed) => {
  const cases = CASES.map((name, at) => {
    const why = failed[name] === undefined ? '' : `<failure message="${failed[name]}">assertion left == right failed\n  left: 250\n right: 225\nat src/cart.rs:88</failure>`;
    return `<testcase classname="shop.cart" name="${name}" time="${(0.02 + at * at * 0.11).toFixed(2)}">${why}</testcase>`;
  });
  cases.push('<testcase classname="shop.cart" name="pays_by_card" time="0"><skipped message="no terminal here"/></testcase>');
  const file = `<testsuite name="cart">${cases.join('')}</testsuite>`;
  const lines = CASES.map((name) => (failed[name] === undefined ? `PASS  cart::${name}` : `FAIL  cart::${name}: ${failed[name]}`));
  const bad = Object.keys(failed).length > 0;
  return steps(
    `echo 'STEP_START:Unit tests'`,
    say(...lines),
    `printf '${file.replaceAll('%', '%%').replaceAll('\n', '\\n')}' > results.xml`,
    'echo ARTIFACT:results.xml:results of tests',
    bad ? steps(say('STEP_ERROR:tests failed'), 'exit 1') : `echo 'STEP_COMPLETE:Unit tests'`,
  );
};

const rig = new Rig();
const browser = await launch();
try {
  await rig.serve();
  const run = (name, script, more = {}) => {
    // As a project would call it. What fails is another text under the same name: it has a place of its own.
    const dir = join(project, script === BAD ? 'next' : 'main');
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, `${name}.sh`), `${script}\n`);
    return rig.start('', { name, command: ['bash', `${name}.sh`], shell: false, working_directory: dir, ...more });
  };
  const past = [];
  for (let round = 0; round < 7; round++) {
    const ids = await Promise.all([
      run('nightly-build', round % 4 === 2 ? BAD : GOOD, { tags: ['nightly'] }),
      run('nightly-build', GOOD, { tags: ['nightly'] }),
      run('import-orders', steps(step('Fetch', 'sleep 0.2'), step('Load', `sleep 0.${round + 1}`)), { tags: ['data'] }),
      run('backup', round === 5 ? steps(step('Dump', 'sleep 0.2', 'exit 3')) : step('Dump', 'sleep 0.3'), { tags: ['prod'] }),
    ]);
    for (const id of ids) await rig.end(id);
    past.push(ids);
  }
  const { port } = rig;
  await rig.kill();
  const moved = past.flatMap((ids, round) =>
    ids.map((id, at) => {
      const us = ((6 - round) * 24 + (3 - at) * 5 + 2) * 3_600_000_000;
      return `update execution set created_us = created_us - ${us}, started_us = started_us - ${us}, ended_us = ended_us - ${us} where id = '${id}';`;
    }),
  );
  spawnSync('sqlite3', [join(rig.storage, 'database', 'stepflow.db'), moved.join('')], { stdio: 'inherit' });
  await rig.serve({ port });
  const good = await run('release', RELEASE, { tags: ['prod'] });
  await rig.end(good);
  let tested;
  const FLAKY = { import_large: 'took longer than 2 s' };
  for (const failed of [{}, FLAKY, {}, { ships_to_eu: 'no such region' }, FLAKY, { total_with_discount: '10 % off 250', ...FLAKY }]) {
    tested = await run('cart-tests', RESULTS(failed), { tags: ['nightly'] });
    await rig.end(tested);
  }
  const bad = await run('nightly-build', BAD, { tags: ['nightly'], environment: { NODE_ENV: 'production' } });
  await rig.end(bad);
  const live = await run('train-model', TRAIN, { tags: ['gpu'] });
  const table = await until('the artifacts', async () =>
    (await rig.get(`/api/executions/${good}?logs=0`)).artifacts.find((one) => one.file_name === 'sales.csv'));

  const PICTURES = {
    dashboard: { path: '/' },
    executions: { path: '/executions?q=tag:nightly' },
    'log-failed': { path: `/executions/${bad}` },
    'log-live': { path: `/executions/${live}`, wait: '[data-testid="step-node"][data-index="1"]' },
    'log-search': { path: `/executions/${bad}?q=cart::total&level=error,warning&context=2` },
    'log-fields': { path: `/executions/${bad}#L75`, act: (page) => page.keyboard.press('i') },
    timeline: { path: `/executions/${good}?tab=timeline` },
    annotations: { path: `/executions/${bad}?tab=annotations` },
    'summary-failed': { path: `/executions/${bad}?tab=summary` },
    'summary-script': { path: `/executions/${good}?tab=summary` },
    tests: {
      path: `/executions/${tested}?tab=tests`,
      act: (page) => page.getByText('total_with_discount').first().click(),
    },
    details: { path: `/executions/${bad}?tab=details` },
    artifact: { path: `/executions/${good}/artifacts/${table.id}` },
    statistics: { path: '/statistics' },
    health: { path: '/health' },
    profile: { path: '/settings/profile' },
    new: { path: '/', act: (page) => page.keyboard.press('n') },
    palette: {
      path: `/executions/${bad}`,
      act: async (page) => (await page.keyboard.press('Control+k'), await page.keyboard.type('te')),
    },
    phone: { path: `/executions/${bad}`, viewport: { width: 360, height: 720 } },
  };
  for (const [locale, colorScheme] of [['en', 'light'], ['zh-CN', 'dark']]) {
    mkdirSync(join(OUT, locale), { recursive: true });
    for (const [name, { path, act, wait, viewport }] of Object.entries(PICTURES)) {
      if (only.length > 0 && !only.includes(name)) continue;
      const context = await browser.newContext({
        viewport: viewport ?? { width: 1280, height: 800 },
        locale: locale === 'en' ? 'en-US' : locale,
        colorScheme,
        timezoneId: 'UTC',
      });
      const page = await context.newPage();
      await page.goto(rig.url + path);
      await page.locator(wait ?? 'h1').first().waitFor();
      await page.waitForLoadState('networkidle').catch(() => {});
      // What is asked for comes one after another; nothing says that it was the last.
      await page.waitForTimeout(800);
      await act?.(page);
      if (act !== undefined) await page.waitForTimeout(500);
      const file = join(OUT, locale, `${name}.png`);
      writeFileSync(file, smaller(await page.screenshot()));
      await context.close();
    }
  }
} finally {
  await browser.close();
  await rig.close();
  rmSync(project, { recursive: true, force: true });
}
