// A proxy between the page and its server that can break what is open.
import http from 'node:http';
import net from 'node:net';

/** Passes bytes on to the server; `cut` breaks what is open, `refuse` says no to upgrades. */
export async function proxy(to, { refuse = () => false, rewrite = null } = {}) {
  const open = new Set();
  const server = http.createServer((request, response) => {
    const target = new URL(to());
    const headers = { ...request.headers, host: target.host };
    if (headers.origin !== undefined) headers.origin = target.origin;
    if (rewrite !== null) delete headers['accept-encoding'];
    const passed = http.request(
      { host: target.hostname, port: target.port, method: request.method, path: request.url, headers },
      async (answer) => {
        if (rewrite === null || !/html/.test(answer.headers['content-type'] ?? '')) {
          response.writeHead(answer.statusCode, answer.headers);
          answer.pipe(response);
          return;
        }
        let text = '';
        for await (const part of answer) text += part;
        const { 'content-length': _, ...rest } = answer.headers;
        response.writeHead(answer.statusCode, rest);
        response.end(rewrite(text));
      },
    );
    passed.on('error', () => response.destroy());
    response.on('close', () => passed.destroy());
    request.pipe(passed);
  });
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => {});
    if (refuse()) {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    const target = new URL(to());
    const passed = net.connect(Number(target.port), target.hostname, () => {
      const lines = [`${request.method} ${request.url} HTTP/1.1`];
      for (const [name, value] of Object.entries(request.headers)) {
        lines.push(`${name}: ${name === 'host' ? target.host : name === 'origin' ? target.origin : value}`);
      }
      passed.write(`${lines.join('\r\n')}\r\n\r\n`);
      passed.write(head);
      passed.pipe(socket);
      socket.pipe(passed);
    });
    open.add(socket);
    passed.on('error', () => socket.destroy());
    socket.on('close', () => (open.delete(socket), passed.destroy()));
    passed.on('close', () => socket.destroy());
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    cut: () => open.forEach((socket) => socket.destroy()),
    close: () => (server.closeAllConnections(), server.close()),
  };
}
