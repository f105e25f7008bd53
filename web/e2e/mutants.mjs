// A test counts for a point of the page only if it can fail. Each mutant breaks one thing in a copy
// of the page; the test that stands for it has to notice. Needs an hour; not part of CI, which looks
// at what was seen (ids.test.mjs):
//
//   node e2e/mutants.mjs            all of them
//   node e2e/mutants.mjs L6 X2      those of these points
//   node e2e/mutants.mjs --new      those that are not yet seen failing, as the list has them now
//   node e2e/mutants.mjs --units    those that need no browser
//
// Writes what was seen to `e2e/mutants.md`, after each one: an interrupted run keeps what it has.
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MUTANTS, patternOf, printOf, readSeen, SEEN, writeSeen } from './mutants.list.mjs';

const web = fileURLToPath(new URL('..', import.meta.url));
const record = join(web, 'e2e/mutants.md');
const bin = process.env.STEPFLOW_BIN ?? fileURLToPath(new URL('../../target/ci/stepflow', import.meta.url));
const wanted = process.argv.slice(2);
const copy = mkdtempSync(join(tmpdir(), 'stepflow-mutants-'));
const BUILD_MS = 180_000;
const UNIT_MS = 120_000;
const E2E_MS = 240_000;
/** The process group that runs now. */
let running = null;

/** Runs a command to its end, or ends it with all that it started. */
function run(command, args, timeoutMs) {
  const env = { ...process.env, STEPFLOW_BIN: bin, STEPFLOW_DIST: join(copy, 'dist'), NO_COLOR: '1', STEPFLOW_E2E_MS: '15000' };
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: copy, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    running = child.pid;
    let output = '';
    let late = false;
    const take = (data) => (output += data);
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    const timer = setTimeout(() => {
      late = true;
      endGroup(child.pid);
    }, timeoutMs);
    child.once('close', (status) => {
      clearTimeout(timer);
      running = null;
      resolve({ status, output, late });
    });
  });
}

function endGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

const build = () => run('npx', ['vite', 'build', '--logLevel', 'error', '--minify', 'false'], BUILD_MS);

/** Runs the mutant's test: how many of its name passed and failed, and what the first failure said. */
async function test(mutant) {
  if (mutant.unit !== undefined) {
    const args = ['vitest', 'run', mutant.unit, '-t', patternOf(mutant), '--reporter=json'];
    const { output, late } = await run('npx', args, UNIT_MS);
    let told;
    try {
      told = JSON.parse(output.slice(output.indexOf('{"numTotal')).split('\n')[0]);
    } catch {
      return { passed: 0, failed: 0, late, said: output.trim().split('\n').at(-1) ?? '' };
    }
    const all = told.testResults.flatMap((file) => file.assertionResults);
    const failures = all.filter((one) => one.status === 'failed');
    // A file that cannot be read any more fails as a whole, and says nothing about any test.
    const passed = all.filter((one) => one.status === 'passed').length;
    return { passed, failed: failures.length, late, said: failures[0]?.failureMessages[0] ?? '' };
  }
  const args = ['--test', '--test-reporter=tap', '--test-concurrency=1', `--test-name-pattern=${patternOf(mutant)}`, `e2e/${mutant.e2e}`];
  const { output, late } = await run(process.execPath, args, E2E_MS);
  const number = (what) => Number(new RegExp(`^# ${what} (\\d+)`, 'm').exec(output)?.[1] ?? 0);
  const found = /^ *error: (?:\|-\n)?([\s\S]*?)\n *(?:code|name|stack|expected|\.\.\.)/m.exec(output)?.[1] ?? '';
  return { passed: number('pass'), failed: number('fail'), late, said: found };
}

const short = (text) =>
  // eslint-disable-next-line no-control-regex
  text.replace(/\x1b\[[\d;]*m/g, '').replace(/\s+/g, ' ').replace(/ at (?:Proxy\.|async |[\w.<>]+ \(|file:|\/).*$/, '').replace(/ \/\/ Object\.is equality$/, '').replace(/[|`]/g, ' ').replace(/^['"]|['"]$/g, '').trim().slice(0, 120);

/** Whether the test passes on the page as it is; one that does not proves nothing. */
const sound = new Map();
async function passesUnbroken(mutant) {
  const key = `${mutant.unit ?? mutant.e2e} ${patternOf(mutant)}`;
  if (!sound.has(key)) {
    if (mutant.unit === undefined && !existsSync(join(copy, 'dist-unbroken'))) {
      const { status, output } = await build();
      if (status !== 0) throw new Error(`the page does not build: ${output}`);
      cpSync(join(copy, 'dist'), join(copy, 'dist-unbroken'), { recursive: true });
    }
    if (mutant.unit === undefined) {
      rmSync(join(copy, 'dist'), { recursive: true, force: true });
      cpSync(join(copy, 'dist-unbroken'), join(copy, 'dist'), { recursive: true });
    }
    sound.set(key, await test(mutant));
  }
  return sound.get(key);
}

async function judge(mutant) {
  const path = join(copy, mutant.file);
  const text = readFileSync(path, 'utf8');
  if (text.split(mutant.from).length !== 2) return ['stale: the text to break is not there once', ''];
  const before = await passesUnbroken(mutant);
  if (before.passed + before.failed === 0) return ['no such test', short(before.said)];
  if (before.failed > 0 || before.late) return ['fails without the mutant', short(before.said)];
  writeFileSync(path, text.replace(mutant.from, () => mutant.to));
  try {
    if (mutant.unit === undefined) {
      const { status, output } = await build();
      if (status !== 0) return ['does not build', short(output)];
    }
    const after = await test(mutant);
    if (after.failed > 0) return [SEEN, short(after.said)];
    if (after.late) return ['ran out of time', ''];
    return [after.passed > 0 ? 'SURVIVED' : 'broke the whole file', short(after.said)];
  } finally {
    writeFileSync(path, text);
  }
}

function cleanUp() {
  if (running !== null) endGroup(running);
  rmSync(copy, { recursive: true, force: true });
}
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    cleanUp();
    process.exit(130);
  });
}

const seen = existsSync(record) ? readSeen(readFileSync(record, 'utf8')) : new Map();
const ids = wanted.filter((one) => !one.startsWith('--'));
const chosen = MUTANTS.filter((mutant) => {
  if (ids.length > 0 && !mutant.ids.some((id) => ids.includes(id))) return false;
  if (wanted.includes('--units') && mutant.unit === undefined) return false;
  const known = seen.get(mutant.what);
  return !(wanted.includes('--new') && known?.verdict === SEEN && known.print === printOf(mutant));
});
let bad = 0;
try {
  cpSync(web, copy, { recursive: true, filter: (path) => !/node_modules|\/dist(-[\w]+)?(\/|$)/.test(path) });
  symlinkSync(join(web, 'node_modules'), join(copy, 'node_modules'));
  for (const mutant of chosen) {
    const from = Date.now();
    const [verdict, said] = await judge(mutant);
    seen.set(mutant.what, { ...mutant, verdict, said, print: printOf(mutant) });
    if (verdict !== SEEN) bad += 1;
    // Beside it and then renamed: a reader never sees half of it.
    writeFileSync(`${record}.new`, writeSeen(seen));
    renameSync(`${record}.new`, record);
    console.log(`${verdict}: ${mutant.ids.join(' ')} ${mutant.what} (${Math.round((Date.now() - from) / 1000)} s) ${said}`);
  }
} finally {
  cleanUp();
}
console.log(`${chosen.length - bad} of ${chosen.length} seen failing`);
if (bad > 0) process.exitCode = 1;
