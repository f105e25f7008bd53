// A server with invented executions that speaks the contract of docs/reference/api.md. For work on
// the page only: `npm run build && npm run mock`, then open the address it prints.
//
// Options: --port N (8099), --empty, --lines N (lines of the long log), --auth (any code logs in),
// --rate N (lines a second of an execution `firehose`), --since MS (when it started: with it, a mock
// that is started again goes on with the same lines).
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const args = process.argv.slice(2);
const flag = (name) => args.includes(name);
const option = (name, otherwise) =>
  args.includes(name) ? Number(args[args.indexOf(name) + 1]) : otherwise;

const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
  "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; " +
  "object-src 'none'; require-trusted-types-for 'script'; trusted-types svelte-trusted-html";
const dist = fileURLToPath(new URL('../dist/', import.meta.url));
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

const executions = new Map(); // id -> { execution, steps, artifacts, annotations, lines, line(n) }
const sockets = new Set();
let nextId = 1;
const newId = () => `019ab000-0000-7000-8000-${String(nextId++).padStart(12, '0')}`;
const iso = (ms) => new Date(ms).toISOString().replace('Z', '000Z');

function make(values) {
  const created = values.createdMs ?? Date.now();
  const execution = {
    id: newId(),
    name: 'example',
    command: 'bash example.sh',
    working_directory: '/home/li/project',
    status: 'running',
    exit_code: null,
    error_message: null,
    created_at: iso(created),
    started_at: iso(created + 20),
    completed_at: null,
    environment: {},
    user: 'li.wei',
    tags: [],
    pinned: false,
    total_steps: 0,
    completed_steps: 0,
    current_step_index: -1,
    duration_seconds: null,
    progress_percentage: 0,
    metadata: {},
    reason: null,
    signal: null,
    cancelling: false,
    paused: false,
    failed_steps: 0,
    current_step_name: null,
    lines: 0,
    bytes: 0,
    warnings: 0,
    artifacts_count: 0,
    source: 'cli',
    containment: 'keeper',
    host: 'build-01',
    ...values.execution,
  };
  const record = { execution, steps: [], artifacts: [], annotations: [], text: [], partial: '' };
  record.created = created;
  executions.set(execution.id, record);
  return record;
}

function step(record, name, parent = null) {
  const index = record.steps.length;
  const made = {
    id: `${record.execution.id}-${index}`,
    execution_id: record.execution.id,
    name,
    description: '',
    index,
    status: 'running',
    exit_code: null,
    error_message: null,
    created_at: iso(Date.now()),
    started_at: iso(Date.now()),
    completed_at: null,
    estimated_duration: null,
    duration_seconds: null,
    metadata: {},
    is_finished: false,
    stop_on_error: false,
    parent,
    key: null,
    depth: parent === null ? 0 : record.steps[parent].depth + 1,
    first_line: record.text.length + 1,
    last_line: null,
    start_offset: 0,
    end_offset: null,
  };
  record.steps.push(made);
  record.execution.total_steps = record.steps.length;
  record.execution.current_step_index = index;
  record.execution.current_step_name = name;
  print(record, `STEP_START:${name}`);
  return made;
}

function endStep(record, made, seconds, error = null) {
  print(record, error === null ? `STEP_COMPLETE:${made.name}` : `STEP_ERROR:${error}`);
  Object.assign(made, {
    status: error === null ? 'completed' : 'failed',
    error_message: error,
    is_finished: true,
    duration_seconds: seconds,
    completed_at: iso(Date.now()),
    last_line: record.text.length,
  });
  record.execution[error === null ? 'completed_steps' : 'failed_steps'] += 1;
}

function print(record, text, stream = 'stdout') {
  record.text.push({ text, stream });
  record.execution.lines += 1;
  record.execution.bytes += Buffer.byteLength(text) + 1;
}

function end(record, status, seconds, more = {}) {
  Object.assign(record.execution, {
    status,
    duration_seconds: seconds,
    completed_at: iso(record.created + seconds * 1000),
    exit_code: status === 'completed' ? 0 : null,
    current_step_name: null,
    progress_percentage: 100,
    ...more,
  });
}

const E = '\x1b[';
function colours(record) {
  print(record, `${E}1mbold${E}22m ${E}2mfaint${E}22m ${E}3mitalic${E}23m ${E}4munderline${E}24m ${E}7minverse${E}27m ${E}9mstrike${E}29m`);
  let row = '';
  for (let c = 0; c < 8; c++) row += `${E}${30 + c}m normal${c} ${E}${90 + c}m bright${c}${E}0m`;
  print(record, row);
  row = '';
  for (let c = 0; c < 8; c++) row += `${E}${40 + c}m  ${c}  ${E}${100 + c}m  ${c}  ${E}0m`;
  print(record, row);
  row = '';
  for (let c = 16; c < 52; c++) row += `${E}48;5;${c}m  `;
  print(record, `${row}${E}0m`);
  row = '';
  for (let c = 0; c < 60; c++) row += `${E}38;2;${255 - c * 4};${c * 4};180m█`;
  print(record, `${row}${E}0m`);
  print(record, 'progress   1 %\rprogress  50 %\rprogress 100 %');
  print(record, `link ${E.slice(0, 1)}]8;;javascript:alert(1)\x07click${E.slice(0, 1)}]8;;\x07 and \u202Etxet lamron\u202C, \x00\x07`);
  print(record, '中文输出也应当对齐 中文 | col');
  print(record, `\t${E}31merror[E0308]${E}0m: mismatched types`, 'stderr');
}

if (!flag('--empty')) {
  const names = ['nightly-build', 'import-eu', 'deploy-eu', 'backup', 'import-us', 'train-model', 'lint'];
  for (let i = 0; i < 64; i++) {
    const record = make({
      createdMs: Date.now() - (70 - i) * 1_740_000,
      execution: { name: names[i % names.length], command: `bash ${names[i % names.length]}.sh --all` },
    });
    for (const name of ['Setup', 'Install', 'Test']) {
      const made = step(record, name);
      for (let n = 0; n < 10; n++) print(record, `line ${n} of ${name}`);
      const bad = i % 9 === 4 && name === 'Test';
      endStep(record, made, 1 + i, bad ? '2 of 40 tests failed' : null);
    }
    if (i % 9 === 4) end(record, 'failed', 65.2 + i, { exit_code: 1, reason: 'exit_code', error_message: 'exit code 1' });
    else if (i % 13 === 5) end(record, 'cancelled', 12.4, { reason: 'user' });
    else if (i % 17 === 8) end(record, 'failed', 600, { reason: 'timed_out', error_message: 'time limit of 600 s reached' });
    else if (i % 23 === 11) end(record, 'failed', 44, { reason: 'host_restarted', error_message: 'the host restarted' });
    else end(record, 'completed', i < 40 ? 0.2 + i / 3 : 400 + i * 61);
  }
  const failed = make({
    createdMs: Date.now() - 400_000,
    execution: { name: '<img src=x onerror=alert(1)> & "hostile"\u202Eeman', command: 'bash hostile.sh', tags: ['nightly', '<b>x</b>'], environment: { GREETING: '<script>alert(1)</script>', MODE: 'ci' }, metadata: { rows: 12, note: '<i>n</i>' } },
  });
  const setup = step(failed, 'Setup');
  colours(failed);
  endStep(failed, setup, 1.2);
  const tests = step(failed, 'Unit tests <img src=x onerror=alert(2)>');
  const api = step(failed, 'api', tests.index);
  for (let n = 0; n < 30; n++) print(failed, `${E}32mPASS${E}0m api::case_${n}`);
  endStep(failed, api, 40.1);
  const browser = step(failed, 'browser', tests.index);
  for (let n = 0; n < 30; n++) print(failed, n === 20 ? `${E}31mFAIL${E}0m browser::case_${n}` : `${E}32mPASS${E}0m browser::case_${n}`, n === 20 ? 'stderr' : 'stdout');
  endStep(failed, browser, 12.3, 'browser::case_20: expected 3, got 4');
  endStep(failed, tests, 53.2, '1 of 60 tests failed');
  for (const [name, problem] of [['report.html', null], ['coverage.json', null], ['gone.bin', 'the file does not exist']]) {
    failed.artifacts.push({ id: `${failed.execution.id}-${name}`, execution_id: failed.execution.id, step_id: tests.id, name, description: 'Test report', file_path: `out/${name}`, file_name: name, file_size: problem ? 0 : 48_201, file_size_human: '48.2 KB', mime_type: 'text/html', artifact_type: 'file', file_extension: '.html', created_at: iso(Date.now()), tags: [], metadata: {}, is_public: false, retention_days: null, exists: problem === null, download_url: '', is_expired: false, sha256: problem ? null : 'a'.repeat(64), problem, changed: name === 'coverage.json' });
  }
  failed.annotations.push({ code: 'step_unclosed', message: 'STEP_COMPLETE:Lint names a step that is not open', line: 44, step: 1, time: iso(Date.now()) });
  failed.execution.warnings = 1;
  failed.execution.artifacts_count = 3;
  end(failed, 'failed', 54.4, { exit_code: 1, reason: 'exit_code', error_message: 'exit code 1' });

  const long = make({ createdMs: Date.now() - 300_000, execution: { name: 'long-log', command: 'bash long.sh' } });
  const count = option('--lines', 200_000);
  long.line = (n) => ({ text: `line ${n} of ${count}`, stream: 'stdout' });
  long.count = count;
  long.execution.lines = count;
  long.execution.bytes = count * 20;
  end(long, 'completed', 128.4);

  const live = make({ createdMs: Date.now() - 192_000, execution: { name: 'nightly-build', command: 'bash build.sh --all', tags: ['nightly'] } });
  const a = step(live, 'Setup');
  colours(live);
  endStep(live, a, 1.2);
  const b = step(live, 'Install dependencies');
  endStep(live, b, 12.4);
  step(live, 'Integration tests');
  step(live, 'api', 2);
  let n = 0;
  setInterval(() => {
    print(live, `${E}36m[${new Date().toISOString()}]${E}0m case ${++n} ${E}32mok${E}0m`);
    live.partial = `case ${n + 1} …`;
    changed(live, []);
  }, 700).unref();
  const rate = option('--rate', 0);
  if (rate > 0) {
    const since = option('--since', Date.now());
    const fire = make({ createdMs: since, execution: { name: 'firehose' } });
    fire.line = (n) => ({ text: `${E}3${1 + (n % 6)}mline ${n}${E}0m`, stream: 'stdout' });
    fire.count = 0;
    setInterval(() => {
      fire.count = Math.floor(((Date.now() - since) * rate) / 1000);
      fire.execution.lines = fire.count;
      fire.execution.bytes = fire.count * 20;
      changed(fire, []);
    }, 20).unref();
  }
  make({ createdMs: Date.now() - 5000, execution: { name: 'import-eu', status: 'running', cancelling: true, total_steps: 3, completed_steps: 2, current_step_name: 'Load', lines: 1_204_411 } });
}

const lineCount = (record) => record.count ?? record.text.length;
function logLine(record, n) {
  const raw = record.line?.(n) ?? record.text[n - 1];
  return { n, t: iso(record.created + n * 37), stream: raw.stream, offset: 0, bytes: raw.text.length + 1, text: raw.text, partial: false, continued: false, lossy: false, rest: 0, step: null };
}
const isEnd = (record) => !['running', 'pending'].includes(record.execution.status);
function logRange(record, from, limit) {
  const total = lineCount(record);
  const lines = [];
  for (let n = from; n <= total && lines.length < limit; n++) lines.push(logLine(record, n));
  if (record.partial !== '' && from + lines.length === total + 1 && lines.length < limit) {
    lines.push({ ...lines[0], n: total + 1, t: iso(Date.now()), stream: 'stdout', offset: 0, bytes: 1, text: record.partial, partial: true, continued: false, lossy: false, rest: 0, step: null });
  }
  return { from_line: from, lines, total_lines: total, total_bytes: record.execution.bytes, cursor: `${record.execution.bytes}.0`, ended: isEnd(record) };
}

function statistics() {
  const all = [...executions.values()].map((record) => record.execution);
  const ended = all.filter((execution) => execution.duration_seconds !== null);
  const ok = ended.filter((execution) => execution.status === 'completed').length;
  return {
    total_executions: all.length,
    active_now: all.length - ended.length,
    success_rate: '',
    avg_duration: '',
    success_ratio: ended.length === 0 ? 0 : ok / ended.length,
    avg_duration_seconds: ended.length === 0 ? null : ended.reduce((sum, e) => sum + e.duration_seconds, 0) / ended.length,
    by_status: {},
    queued: 0,
  };
}

function changed(record, steps = record.steps) {
  const { execution } = record;
  for (const socket of sockets) {
    for (const [sub, topic] of socket.subs) {
      if (topic === 'executions') {
        socket.say({ op: 'execution', sub, execution });
        socket.say({ op: 'statistics', sub, statistics: statistics() });
      } else if (topic === execution.id) {
        const cursor = `${execution.bytes}.0`;
        socket.say({ op: 'update', sub, execution, steps, artifacts: [], annotations: [], cursor });
        socket.say({ op: 'position', sub, lines: lineCount(record), bytes: execution.bytes, seq: 0, cursor, ended: isEnd(record) });
        if (isEnd(record)) socket.say({ op: 'end', sub, cursor });
      }
    }
  }
}

let loggedIn = !flag('--auth');
function answer(response, status, body, type = 'application/json') {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store', 'content-security-policy': CSP });
  response.end(text);
}
const problem = (response, status, detail) =>
  answer(response, status, { type: 'about:blank', title: detail, status, detail, error: detail, request_id: 'req-1' }, 'application/problem+json');

async function readJson(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text === '' ? {} : JSON.parse(text);
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://mock');
  const path = url.pathname;
  const newest = () => [...executions.values()].map((r) => r.execution).sort((x, y) => (x.id < y.id ? 1 : -1));
  if (path === '/api/login') {
    const { code } = await readJson(request);
    if (code === 'wrong') return problem(response, 401, 'this code is wrong');
    loggedIn = true;
    return response.writeHead(204).end();
  }
  if (path.startsWith('/api/')) {
    if (!loggedIn) return problem(response, 401, 'log in first');
    if (path === '/api/session') return answer(response, 200, { authenticated: true, kind: 'off' });
    if (path === '/api/executions/statistics') return answer(response, 200, statistics());
    if (path === '/api/executions' && request.method === 'POST') {
      const body = await readJson(request);
      if (request.headers['x-stepflow'] !== '1') return problem(response, 403, 'X-StepFlow is missing');
      const record = make({ execution: { name: body.name ?? String(body.command), command: String(body.command), source: 'server' } });
      const made = step(record, 'Only step');
      changed(record);
      setTimeout(() => {
        print(record, 'hello');
        endStep(record, made, 1.5);
        end(record, 'completed', 1.5);
        changed(record);
      }, 1500);
      return answer(response, 201, { id: record.execution.id, execution_id: record.execution.id, status: 'running', message: '', name: record.execution.name, created_at: record.execution.created_at });
    }
    if (path === '/api/executions') {
      const limit = Number(url.searchParams.get('limit') ?? 50);
      const before = url.searchParams.get('before');
      const status = url.searchParams.get('status');
      const name = url.searchParams.get('name') ?? '';
      const all = newest().filter((e) => (!status || e.status === status) && e.name.includes(name));
      const rest = all.filter((e) => before === null || e.id < before);
      const page = rest.slice(0, limit);
      return answer(response, 200, { executions: page, limit, offset: 0, count: page.length, total_count: all.length, has_more: rest.length > limit, next_before: page.at(-1)?.id ?? null, status: 200 });
    }
    const match = /^\/api\/executions\/([^/]+)(?:\/(log|cancel|log\/raw))?$/.exec(path);
    const record = match === null ? undefined : executions.get(decodeURIComponent(match[1]));
    if (record === undefined) return problem(response, 404, 'there is no such thing');
    if (match[2] === 'log') {
      const from = Number(url.searchParams.get('from_line') ?? 1);
      return answer(response, 200, logRange(record, from, Number(url.searchParams.get('limit') ?? 512)));
    }
    if (match[2] === 'log/raw') return answer(response, 200, record.text.map((l) => `${l.text}\n`).join(''), 'text/plain; charset=utf-8');
    if (match[2] === 'cancel') {
      if (record.execution.cancelling) {
        end(record, 'cancelled', (Date.now() - record.created) / 1000, { reason: 'user', cancelling: false, signal: 9 });
      } else record.execution.cancelling = true;
      changed(record);
      return answer(response, 202, { id: record.execution.id, status: record.execution.status, message: '' });
    }
    const { execution, steps, artifacts, annotations } = record;
    return answer(response, 200, { execution, steps, artifacts, annotations, status: 200 });
  }
  const file = join(dist, normalize(path));
  const found = extname(path) !== '' && existsSync(file) ? file : join(dist, 'index.html');
  answer(response, 200, readFileSync(found, 'utf8'), TYPES[extname(found)] ?? 'application/octet-stream');
});

// The least of RFC 6455 that a browser needs: text frames, close.
server.on('upgrade', (request, socket) => {
  if (!loggedIn) return socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n');
  const accept = createHash('sha1')
    .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  const client = {
    subs: new Map(),
    say(message) {
      const body = Buffer.from(JSON.stringify(message));
      const head =
        body.length < 126
          ? Buffer.from([0x81, body.length])
          : body.length < 65_536
            ? Buffer.from([0x81, 126, body.length >> 8, body.length & 255])
            : Buffer.concat([Buffer.from([0x81, 127, 0, 0, 0, 0]), u32(body.length)]);
      socket.write(Buffer.concat([head, body]));
    },
  };
  sockets.add(client);
  socket.on('close', () => sockets.delete(client));
  socket.on('error', () => sockets.delete(client));
  client.say({ op: 'hello', version: '1.4.0-mock' });
  let pending = Buffer.alloc(0);
  socket.on('data', (data) => {
    pending = Buffer.concat([pending, data]);
    while (pending.length >= 6) {
      let length = pending[1] & 127;
      let at = 2;
      if (length === 126) {
        length = pending.readUInt16BE(2);
        at = 4;
      }
      if (pending.length < at + 4 + length) return;
      const mask = pending.subarray(at, at + 4);
      const body = Buffer.from(pending.subarray(at + 4, at + 4 + length));
      for (let i = 0; i < body.length; i++) body[i] ^= mask[i & 3];
      const opcode = pending[0] & 15;
      pending = pending.subarray(at + 4 + length);
      if (opcode === 8) return socket.end();
      if (opcode === 1) receive(client, JSON.parse(body.toString()));
    }
  });
});
const u32 = (value) => {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
};

function receive(client, message) {
  if (message.op === 'ping') client.say({ op: 'pong' });
  if (message.op === 'unsubscribe') client.subs.delete(message.sub);
  if (message.op !== 'subscribe') return;
  const { sub } = message;
  if (message.topic === 'executions') {
    client.subs.set(sub, 'executions');
    for (const record of executions.values()) {
      if (!isEnd(record)) client.say({ op: 'execution', sub, execution: record.execution });
    }
    return;
  }
  const record = executions.get(message.id);
  if (record === undefined) {
    return client.say({ op: 'error', sub, problem: { type: '', title: 'unknown', status: 404 } });
  }
  client.subs.set(sub, message.id);
  const { execution, steps, artifacts, annotations } = record;
  client.say({ op: 'state', sub, execution, steps, artifacts, annotations, cursor: `${execution.bytes}.0` });
}

server.listen(option('--port', 8099), '127.0.0.1', () => {
  console.error(`listening on http://127.0.0.1:${server.address().port}`);
});
