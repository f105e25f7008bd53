import { beforeEach, expect, it } from 'vitest';
import type { Execution, ExecutionDetail, ExecutionList, ServerMessage, Statistics } from '$lib/api/types';
import { Fallback, POLL_HIDDEN_MS, POLL_MS, type Stream } from './fallback';

class FakeStream implements Stream {
  onopen: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  closed = false;
  readonly #listeners = new Map<string, () => void>();
  addEventListener(name: string, run: () => void): void {
    this.#listeners.set(name, run);
  }
  close(): void {
    this.closed = true;
  }
  opens(): void {
    this.onopen?.(undefined as never);
  }
  breaks(): void {
    this.onerror?.(undefined as never);
  }
  says(name: string): void {
    this.#listeners.get(name)?.();
  }
}

/** A server behind HTTP alone, and a clock that moves when told to. */
class World {
  time = 0;
  unseen = false;
  down = false;
  asked = 0;
  listed = 0;
  execution = { id: 'e', status: 'running', lines: 3, bytes: 30 } as Execution;
  list: Execution[] = [];
  streams: FakeStream[] = [];
  heard: string[] = [];
  failures = 0;
  messages: ServerMessage[] = [];
  #timers = new Map<number, { at: number; run: () => void }>();
  #next = 1;
  readonly fallback = new Fallback(
    {
      detail: async () => {
        this.asked += 1;
        if (this.down) throw new Error('gone');
        return { execution: this.execution, steps: [], artifacts: [], annotations: [] } as unknown as ExecutionDetail;
      },
      list: async () => {
        this.listed += 1;
        if (this.down) throw new Error('gone');
        return { executions: this.list } as unknown as ExecutionList;
      },
      statistics: async () => ({}) as Statistics,
      stream: () => {
        const stream = new FakeStream();
        this.streams.push(stream);
        return stream;
      },
      hidden: () => this.unseen,
      setTimer: (run, ms) => {
        this.#timers.set(this.#next, { at: this.time + ms, run });
        return this.#next++;
      },
      clearTimer: (timer) => void this.#timers.delete(timer as number),
    },
    (by) => this.heard.push(by),
    () => (this.failures += 1),
  );
  take = (message: ServerMessage) => void this.messages.push(message);
  get ops(): string[] {
    return this.messages.map(({ op }) => op);
  }
  execute(): void {
    this.fallback.follow(1, { topic: 'execution', id: 'e', cursor: () => '30.4' }, this.take);
  }
  async pass(ms: number): Promise<void> {
    const until = this.time + ms;
    for (;;) {
      for (let turn = 0; turn < 10; turn++) await Promise.resolve();
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

it('X1: tells at once what the socket would have told', async () => {
  world.execute();
  await world.pass(0);
  expect(world.ops).toEqual(['state', 'position']);
  expect(world.messages[1]).toMatchObject({ sub: 1, lines: 3, bytes: 30, ended: false, cursor: '30.4' });
});

it('X1: asks when the events say so, many of them together, and seldom otherwise', async () => {
  world.execute();
  await world.pass(0);
  world.streams[0]!.opens();
  expect(world.heard.at(-1)).toBe('events');
  world.execution = { ...world.execution, lines: 9 };
  for (let n = 0; n < 50; n++) world.streams[0]!.says('lines');
  await world.pass(500);
  expect(world.asked).toBe(2);
  expect(world.messages.at(-1)).toMatchObject({ op: 'position', lines: 9 });
  await world.pass(POLL_MS * 3);
  expect(world.asked).toBe(2);
});

it('X1: where no stream opens it asks every 2 seconds, and tries no other stream', async () => {
  expect(POLL_MS).toBe(2_000);
  world.execute();
  await world.pass(0);
  world.streams[0]!.breaks();
  await world.pass(500);
  const before = world.asked;
  await world.pass(2_000 * 5);
  expect(world.asked - before).toBe(5);
  expect(world.heard.at(-1)).toBe('polling');
  expect(world.streams).toHaveLength(1);
});

it('X1: makes a stream again that had been open', async () => {
  world.execute();
  await world.pass(0);
  world.streams[0]!.opens();
  world.streams[0]!.breaks();
  expect(world.streams[0]!.closed).toBe(true);
  await world.pass(500);
  expect(world.streams).toHaveLength(2);
});

it('X1: a tab that nobody sees holds no stream, asks seldom, and catches up when it is seen', async () => {
  world.execute();
  await world.pass(0);
  world.streams[0]!.opens();
  world.unseen = true;
  world.fallback.shown();
  expect(world.streams[0]!.closed).toBe(true);
  await world.pass(POLL_HIDDEN_MS * 2);
  const before = world.asked;
  await world.pass(POLL_HIDDEN_MS * 2);
  expect(world.asked - before).toBe(2);
  world.unseen = false;
  world.execution = { ...world.execution, lines: 70 };
  world.fallback.shown();
  await world.pass(0);
  expect(world.messages.at(-1)).toMatchObject({ op: 'position', lines: 70 });
  expect(world.streams).toHaveLength(2);
});

it('X1: an end is the last that is asked', async () => {
  world.execute();
  await world.pass(0);
  world.streams[0]!.opens();
  world.execution = { ...world.execution, status: 'completed' };
  world.streams[0]!.says('end');
  await world.pass(500);
  expect(world.messages.at(-1)).toMatchObject({ op: 'position', ended: true });
  expect(world.streams[0]!.closed).toBe(true);
  const before = world.asked;
  await world.pass(120_000);
  expect(world.asked).toBe(before);
});

it('X1: of the list it tells what is new or changed, nothing twice', async () => {
  world.list = [{ id: 'a', status: 'running' }, { id: 'b', status: 'completed' }] as Execution[];
  world.fallback.follow(1, { topic: 'executions' }, world.take);
  await world.pass(0);
  expect(world.ops).toEqual(['execution', 'execution', 'statistics']);
  world.messages = [];
  world.list = [{ id: 'a', status: 'failed' }, { id: 'b', status: 'completed' }] as Execution[];
  await world.pass(POLL_MS);
  const told = world.messages.flatMap((message) => (message.op === 'execution' ? [message.execution.id] : []));
  expect(told).toEqual(['a']);
});

it('X2: says that the server is away, goes on asking, and says when it is back', async () => {
  world.execute();
  await world.pass(0);
  world.streams[0]!.breaks();
  await world.pass(500);
  world.down = true;
  await world.pass(POLL_MS * 4);
  expect(world.failures).toBeGreaterThan(2);
  world.down = false;
  world.heard = [];
  await world.pass(POLL_MS);
  expect(world.heard).toEqual(['polling']);
});

it('X1: what is not followed any more is not asked for, and an answer on its way is dropped', async () => {
  world.execute();
  world.fallback.forget(1);
  await world.pass(POLL_MS * 3);
  expect(world.messages).toEqual([]);
  expect(world.asked).toBe(1);
  expect(world.streams).toEqual([]);
});
