// Where no WebSocket can be opened (a proxy refuses upgrades): the same messages, made from HTTP. An
// event stream says when to ask; where that cannot be opened either, a clock does, every 2 seconds.

import type { ExecutionDetail, ExecutionList, ServerMessage, Statistics } from '$lib/api/types';
import type { Topic } from './socket';

export const POLL_MS = 2_000;
/** A hidden tab asks this seldom: nobody reads it, but it tells when something ended. */
export const POLL_HIDDEN_MS = 15_000;
/** Wake-ups closer together than this are one question. */
const MERGE_MS = 200;

export type By = 'socket' | 'events' | 'polling';

/** The part of `EventSource` that is used here. */
export interface Stream {
  onopen: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  addEventListener(name: string, run: () => void): void;
  close(): void;
}

export interface Http {
  detail(id: string): Promise<ExecutionDetail>;
  list(): Promise<ExecutionList>;
  statistics(): Promise<Statistics>;
  stream(id: string, cursor: string | null): Stream;
  hidden(): boolean;
  setTimer(run: () => void, ms: number): unknown;
  clearTimer(timer: unknown): void;
}

interface Followed {
  readonly topic: Topic;
  readonly deliver: (message: ServerMessage) => void;
  stream: Stream | null;
  streaming: boolean;
  refused: boolean;
  timer: unknown;
  asking: boolean;
  /** Woken while it asked: it asks again. */
  again: boolean;
  over: boolean;
  seen: Map<string, string>;
}

export class Fallback {
  readonly #http: Http;
  readonly #heard: (by: 'events' | 'polling') => void;
  readonly #failed: () => void;
  readonly #all = new Map<number, Followed>();

  constructor(http: Http, heard: (by: 'events' | 'polling') => void, failed: () => void) {
    this.#http = http;
    this.#heard = heard;
    this.#failed = failed;
  }

  follow(sub: number, topic: Topic, deliver: (message: ServerMessage) => void): void {
    if (this.#all.has(sub)) return;
    const one: Followed = {
      topic,
      deliver,
      stream: null,
      streaming: false,
      refused: false,
      timer: null,
      asking: false,
      again: false,
      over: false,
      seen: new Map(),
    };
    this.#all.set(sub, one);
    void this.#ask(sub, one);
  }

  forget(sub: number): void {
    const one = this.#all.get(sub);
    if (one === undefined) return;
    this.#all.delete(sub);
    this.#close(one);
    this.#http.clearTimer(one.timer);
  }

  stop(): void {
    for (const sub of [...this.#all.keys()]) this.forget(sub);
  }

  /** The tab is shown or hidden: streams are for tabs that are seen, since a browser allows few. */
  shown(): void {
    for (const [sub, one] of this.#all) {
      if (this.#http.hidden()) this.#close(one);
      else void this.#ask(sub, one);
    }
  }

  #close(one: Followed): void {
    one.stream?.close();
    one.stream = null;
    one.streaming = false;
  }

  async #ask(sub: number, one: Followed): Promise<void> {
    if (one.asking) {
      one.again = true;
      return;
    }
    one.asking = true;
    this.#http.clearTimer(one.timer);
    try {
      if (one.topic.topic === 'execution') await this.#execution(sub, one, one.topic.id);
      else await this.#executions(sub, one);
      if (this.#all.get(sub) !== one) return;
      this.#heard(one.streaming ? 'events' : 'polling');
    } catch {
      if (this.#all.get(sub) !== one) return;
      this.#failed();
    } finally {
      one.asking = false;
    }
    const again = one.again;
    one.again = false;
    if (one.over) return;
    const idle = this.#http.hidden() ? POLL_HIDDEN_MS : one.streaming ? POLL_HIDDEN_MS : POLL_MS;
    one.timer = this.#http.setTimer(() => void this.#ask(sub, one), again ? MERGE_MS : idle);
  }

  async #execution(sub: number, one: Followed, id: string): Promise<void> {
    const detail = await this.#http.detail(id);
    if (this.#all.get(sub) !== one) return;
    const { execution, steps, artifacts, annotations } = detail;
    const ended = execution.status !== 'pending' && execution.status !== 'running';
    one.deliver({ op: 'state', sub, execution, steps, artifacts, annotations } as ServerMessage);
    const cursor = one.topic.topic === 'execution' ? one.topic.cursor() : null;
    one.deliver({
      op: 'position',
      sub,
      lines: execution.lines,
      bytes: execution.bytes,
      seq: 0,
      cursor: cursor ?? '0.0',
      ended,
    } as ServerMessage);
    one.over = ended;
    if (ended) this.#close(one);
    else this.#listen(sub, one, id);
  }

  #listen(sub: number, one: Followed, id: string): void {
    if (one.stream !== null || one.refused || this.#http.hidden()) return;
    const stream = this.#http.stream(id, null);
    one.stream = stream;
    let merged: unknown = null;
    const wake = () => {
      if (one.stream !== stream || merged !== null) return;
      merged = this.#http.setTimer(() => {
        merged = null;
        if (this.#all.get(sub) === one) void this.#ask(sub, one);
      }, MERGE_MS);
    };
    stream.onopen = () => {
      if (one.stream !== stream) return;
      one.streaming = true;
      this.#heard('events');
    };
    stream.onerror = () => {
      if (one.stream !== stream) return;
      // One that never opened will not open the next time either.
      if (!one.streaming) one.refused = true;
      // Before it is closed: a closed one wakes nobody, and what follows would come 15 s late.
      wake();
      this.#close(one);
    };
    for (const name of ['lines', 'event', 'state', 'end']) stream.addEventListener(name, wake);
  }

  async #executions(sub: number, one: Followed): Promise<void> {
    const [page, statistics] = await Promise.all([this.#http.list(), this.#http.statistics()]);
    if (this.#all.get(sub) !== one) return;
    const seen = new Map<string, string>();
    for (const execution of page.executions) {
      const text = JSON.stringify(execution);
      seen.set(execution.id, text);
      if (one.seen.get(execution.id) !== text) one.deliver({ op: 'execution', sub, execution });
    }
    one.seen = seen;
    one.deliver({ op: 'statistics', sub, statistics });
  }
}
