import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { serveDist } from './dist-proxy.mjs';

const BIN =
  process.env.STEPFLOW_BIN ?? fileURLToPath(new URL('../../target/ci/stepflow', import.meta.url));

/** Waits until `look` gives something else than false, null or undefined; its last error tells why. */
export async function until(what, look, timeoutMs = 15_000) {
  const end = Date.now() + timeoutMs;
  let last = '';
  while (Date.now() < end) {
    try {
      const found = await look();
      if (found !== false && found !== null && found !== undefined) return found;
    } catch (error) {
      last = `: ${error.message}`;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`not within ${timeoutMs} ms: ${what}${last}`);
}

/** A directory for a server's data, and everything that was started with it. */
export class Rig {
  storage = mkdtempSync(join(tmpdir(), 'stepflow-e2e-'));
  url = '';
  #server = null;
  /** The server behind a page from elsewhere, and that page's address. */
  #behind = null;
  #children = new Set();
  log = '';

  async serve({ auth = 'off', port = 0, more = [] } = {}) {
    if (port !== 0 && this.#behind !== null) port = this.#behind.port;
    if (!existsSync(BIN)) throw new Error(`there is no ${BIN}; build it or set STEPFLOW_BIN`);
    this.log = '';
    const server = this.#spawn(['serve', '--listen', `127.0.0.1:${port}`, '--auth', auth, ...more]);
    this.#server = server;
    server.stderr.on('data', (data) => (this.log += data));
    server.stdout.on('data', (data) => (this.log += data));
    const found = await until('the server listens', () => {
      const line = /listening on (http:\/\/127\.0\.0\.1:\d+)/.exec(this.log);
      return line ?? (server.exitCode !== null && 'ended');
    });
    if (found === 'ended') throw new Error(`the server ended: ${this.log}`);
    this.url = found[1];
    const dist = process.env.STEPFLOW_DIST;
    if (dist === undefined) return this.url;
    const base = more[more.indexOf('--base-path') + 1 || more.length] ?? '';
    // A page from elsewhere, before the server; it stays when the server starts again.
    this.#behind = { port: new URL(this.url).port, url: this.#behind?.url ?? (await serveDist(dist, this.url, base)) };
    this.url = this.#behind.url;
    return this.url;
  }

  get port() {
    return Number(new URL(this.url).port);
  }

  /** As a crash of the server would end it. */
  async kill() {
    const server = this.#server;
    this.#server = null;
    const gone = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGKILL');
    await gone;
  }

  /** `stepflow ARGS` beside the server; resolves with exit code and output. */
  run(...args) {
    const child = this.#spawn(args);
    let output = '';
    child.stdout.on('data', (data) => (output += data));
    child.stderr.on('data', (data) => (output += data));
    return new Promise((resolve) => child.once('exit', (code) => resolve({ code, output })));
  }

  async post(path, body) {
    const response = await fetch(this.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  async get(path) {
    const response = await fetch(this.url + path);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  /** Starts `script` with a shell; the new execution's id. */
  async start(script, more = {}) {
    return (await this.post('/api/executions', { command: script, shell: true, ...more })).id;
  }

  async end(id, timeoutMs = 60_000) {
    return until(
      `${id} ends`,
      async () => {
        const { execution } = await this.get(`/api/executions/${id}?logs=0`);
        return ['completed', 'failed', 'cancelled'].includes(execution.status) && execution;
      },
      timeoutMs,
    );
  }

  async close() {
    if (this.url !== '' && this.#server !== null) {
      const page = await this.get('/api/executions/active').catch(() => ({ executions: [] }));
      for (const { id } of page.executions) {
        await this.post(`/api/executions/${id}/cancel`, {}).catch(() => {});
        await this.post(`/api/executions/${id}/cancel`, {}).catch(() => {});
        await this.end(id, 10_000).catch(() => {});
      }
    }
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 6000);
      await gone;
      clearTimeout(timer);
    }
    rmSync(this.storage, { recursive: true, force: true });
  }

  #spawn(args) {
    const child = spawn(BIN, ['--storage', this.storage, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#children.add(child);
    return child;
  }
}
