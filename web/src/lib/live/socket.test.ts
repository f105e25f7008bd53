import { beforeEach, describe, expect, it } from 'vitest';
import type { ServerMessage } from '$lib/api/types';
import { RETRY_MAX_MS, retryDelay } from './backoff';
import { LiveSocket, PING_AFTER_MS, PONG_WITHIN_MS, type Connection, type Wire } from './socket';

class FakeWire implements Wire {
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  readonly sent: { op: string; [key: string]: unknown }[] = [];
  closed = false;
  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  close(): void {
    this.closed = true;
  }
  opens(): void {
    this.onopen?.(undefined as never);
    this.says({ op: 'hello', version: '1.0' });
  }
  says(message: ServerMessage): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  breaks(): void {
    this.onclose?.(undefined as never);
  }
}

/** A world with a clock that only moves when told to. */
class World {
  wires: FakeWire[] = [];
  network = true;
  refusals = 0;
  time = 0;
  #timers = new Map<number, { at: number; run: () => void }>();
  #next = 1;
  states: Connection[] = [];
  socket = new LiveSocket(
    {
      open: () => {
        const wire = new FakeWire();
        this.wires.push(wire);
        return wire;
      },
      online: () => this.network,
      now: () => this.time,
      random: () => 0,
      setTimer: (run, ms) => {
        this.#timers.set(this.#next, { at: this.time + ms, run });
        return this.#next++;
      },
      clearTimer: (timer) => void this.#timers.delete(timer as number),
      refused: () => this.refusals++,
    },
    (connection) => this.states.push(connection),
  );
  get wire(): FakeWire {
    return this.wires[this.wires.length - 1]!;
  }
  pass(ms: number): void {
    const until = this.time + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, t]) => t.at <= until).sort((a, b) => a[1].at - b[1].at)[0];
      if (due === undefined) break;
      this.#timers.delete(due[0]);
      this.time = due[1].at;
      due[1].run();
    }
    this.time = until;
  }
}

let world: World;
beforeEach(() => (world = new World()));

it('connects with the first subscription and tells each its own messages', () => {
  const a: string[] = [];
  const b: string[] = [];
  world.socket.subscribe({ topic: 'executions' }, (m) => a.push(m.op));
  world.socket.subscribe({ topic: 'execution', id: 'e', cursor: () => null }, (m) => b.push(m.op));
  expect(world.wires).toHaveLength(1);
  world.wire.opens();
  expect(world.socket.connection.kind).toBe('live');
  expect(world.socket.version).toBe('1.0');
  expect(world.wire.sent).toEqual([
    { op: 'subscribe', sub: 1, topic: 'executions' },
    { op: 'subscribe', sub: 2, topic: 'execution', id: 'e', lines: false },
  ]);
  world.wire.says({ op: 'end', sub: 2, cursor: '1.1' });
  expect([a, b]).toEqual([[], ['end']]);
});

it('X1 X2: subscribes again from the cursor after a break', () => {
  let cursor: string | null = null;
  world.socket.subscribe({ topic: 'execution', id: 'e', cursor: () => cursor }, () => {});
  world.wire.opens();
  cursor = '120.7';
  world.wire.breaks();
  expect(world.socket.connection).toEqual({ kind: 'reconnecting', at: 500 });
  world.pass(500);
  world.wire.opens();
  expect(world.wires).toHaveLength(2);
  expect(world.wire.sent[0]).toMatchObject({ op: 'subscribe', cursor: '120.7' });
  expect(world.socket.connection.kind).toBe('live');
});

it('X2: tries without end, ever slower up to 15 s', () => {
  world.socket.subscribe({ topic: 'executions' }, () => {});
  for (let round = 0; round < 50; round++) {
    world.wire.breaks();
    world.pass(RETRY_MAX_MS);
  }
  expect(world.wires).toHaveLength(51);
  expect(world.refusals).toBe(50);
});

it('T5: gives a connection up that has gone silent', () => {
  world.socket.subscribe({ topic: 'executions' }, () => {});
  world.wire.opens();
  const { wire } = world;
  world.pass(PING_AFTER_MS);
  expect(wire.sent.at(-1)).toEqual({ op: 'ping' });
  wire.says({ op: 'pong' });
  world.pass(PING_AFTER_MS + PONG_WITHIN_MS);
  expect(wire.closed).toBe(true);
  expect(world.socket.connection.kind).toBe('reconnecting');
});

it('hears no more from a connection that was given up', () => {
  const heard: string[] = [];
  world.socket.subscribe({ topic: 'executions' }, (m) => heard.push(m.op));
  world.wire.opens();
  const old = world.wire;
  const { onmessage } = old;
  world.pass(PING_AFTER_MS + PONG_WITHIN_MS);
  onmessage?.({ data: '{"op":"statistics","sub":1,"statistics":{}}' });
  expect(heard).toEqual([]);
});

it('X2: waits for the network when there is none', () => {
  world.socket.subscribe({ topic: 'executions' }, () => {});
  world.wire.opens();
  world.network = false;
  world.wire.breaks();
  expect(world.socket.connection.kind).toBe('offline');
  world.pass(60_000);
  expect(world.wires).toHaveLength(1);
  world.network = true;
  world.socket.networkChanged();
  expect(world.wires).toHaveLength(2);
});

it('stops and starts with the session', () => {
  world.socket.subscribe({ topic: 'executions' }, () => {});
  world.wire.opens();
  world.socket.stop();
  world.pass(60_000);
  expect(world.wires).toHaveLength(1);
  world.socket.start();
  world.wire.opens();
  expect(world.wire.sent).toHaveLength(1);
});

it('a subscription that is over is said so, and not made again', () => {
  const over = world.socket.subscribe({ topic: 'executions' }, () => {});
  world.wire.opens();
  over();
  expect(world.wire.sent.at(-1)).toEqual({ op: 'unsubscribe', sub: 1 });
  world.wire.breaks();
  world.pass(1000);
  world.wire.opens();
  expect(world.wire.sent).toEqual([]);
});

describe('the wait before a try', () => {
  it('X2: stays between 0.5 s and 15 s and grows', () => {
    const waits = Array.from({ length: 30 }, (_, n) => retryDelay(n, 0));
    expect(waits.slice(0, 6)).toEqual([500, 1000, 2000, 4000, 8000, 15_000]);
    for (let n = 0; n < 30; n++) {
      for (const random of [0, 0.3, 0.999]) {
        expect(retryDelay(n, random)).toBeGreaterThanOrEqual(500);
        expect(retryDelay(n, random)).toBeLessThanOrEqual(15_000);
      }
    }
  });
});
