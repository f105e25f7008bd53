// Serves a built page from a directory, with the headers of a real server, and passes everything
// else on to that server: another page can be tried without building the binary again.
import { existsSync, readFileSync, statSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { join, normalize } from 'node:path';

const TYPES = { js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml', html: 'text/html' };

/** The proxy's address. Closed when the process ends. */
export async function serveDist(dist, upstream, base = '') {
  const to = new URL(upstream);
  const shell = await fetch(`${upstream}/`, { headers: { accept: 'text/html' } });
  const policy = Object.fromEntries(shell.headers);
  for (const name of ['content-length', 'content-encoding', 'transfer-encoding', 'etag', 'date', 'vary', 'connection', 'keep-alive']) {
    delete policy[name];
  }
  const server = http.createServer((request, response) => {
    const asked = new URL(request.url, upstream).pathname;
    const path = asked.startsWith(`${base}/`) ? asked.slice(base.length) : asked;
    const api = /^\/(api|metrics)(\/|$)/.test(path);
    let file = join(dist, normalize(decodeURIComponent(path)));
    const known = existsSync(file) && statSync(file).isFile();
    const page = (request.headers.accept ?? '').includes('text/html');
    if (!api && request.method === 'GET' && (known || page)) {
      if (!known) file = join(dist, 'index.html');
      const type = TYPES[file.split('.').pop()] ?? 'application/octet-stream';
      response.writeHead(200, { ...policy, 'content-type': `${type}; charset=utf-8` });
      const text = readFileSync(file);
      response.end(known ? text : text.toString().replaceAll('="./', `="${base}/`));
      return;
    }
    // The browser names the proxy as its origin; the server must be told its own.
    const headers = { ...request.headers, host: to.host };
    if (headers.origin !== undefined) headers.origin = upstream;
    const passed = http.request(
      { host: to.hostname, port: to.port, method: request.method, path: request.url, headers },
      (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      },
    );
    passed.on('error', () => response.destroy());
    response.on('close', () => passed.destroy());
    request.pipe(passed);
  });
  server.on('upgrade', (request, socket, head) => {
    const passed = net.connect(Number(to.port), to.hostname, () => {
      const lines = [`${request.method} ${request.url} HTTP/1.1`];
      for (const [name, value] of Object.entries(request.headers)) {
        lines.push(`${name}: ${name === 'host' ? to.host : name === 'origin' ? upstream : value}`);
      }
      passed.write(`${lines.join('\r\n')}\r\n\r\n`);
      passed.write(head);
      passed.pipe(socket);
      socket.pipe(passed);
    });
    passed.on('error', () => socket.destroy());
    socket.on('error', () => passed.destroy());
    socket.on('close', () => passed.destroy());
  });
  server.unref();
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return `http://127.0.0.1:${server.address().port}`;
}
