import type { ClientMessage, ServerMessage } from '$lib/api/types';
import { retryDelay } from './backoff';
import type { By } from './fallback';

/** How the page is connected. */
export type Connection =
  | { readonly kind: 'idle' }
  | { readonly kind: 'connecting' }
  /** `by`: over the WebSocket, or what stands in for it. */
  | { readonly kind: 'live'; readonly by: By }
  /** The session is over. */
  | { readonly kind: 'denied' }
  /** The next try is at `at`, by `Date.now()`; `null`: it is being made. */
  | { readonly kind: 'reconnecting'; readonly at: number | null }
  | { readonly kind: 'offline' };

export type Topic =
  | { readonly topic: 'executions' }
  | { readonly topic: 'execution'; readonly id: string; readonly cursor: () => string | null };

/** The part of `WebSocket` that is used here. */
export interface Wire {
  send(text: string): void;
  close(): void;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: never) => void) | null;
}

/** The world outside: handed in, so that tests need no server and no waiting. */
export interface Outside {
  open(): Wire;
  online(): boolean;
  now(): number;
  random(): number;
  setTimer(run: () => void, ms: number): unknown;
  clearTimer(timer: unknown): void;
  /** A connection could not be made: perhaps the session is over. */
  refused(): void;
  /** Whether nobody sees the page. */
  hidden?(): boolean;
  /** What stands in where no WebSocket can be opened. */
  substitute?(
    heard: (by: 'events' | 'polling') => void,
    failed: () => void,
  ): Substitute;
}

/** Brings the same messages by another way; see fallback.ts. */
export interface Substitute {
  follow(sub: number, topic: Topic, deliver: (message: ServerMessage) => void): void;
  forget(sub: number): void;
  shown(): void;
  stop(): void;
}

/** After this many tries that never brought a word, another way is taken while it goes on trying. */
export const TRIES_BEFORE_SUBSTITUTE = 2;
/** A page that nobody sees takes what has arrived together this often. */
export const HIDDEN_MS = 1_000;
/** More than this is not held back. */
const HELD_MAX = 500;

/** A silent connection is asked after this long ... */
export const PING_AFTER_MS = 20_000;
/** ... and given up when it stays silent for this long. */
export const PONG_WITHIN_MS = 8_000;

interface Subscription {
  readonly topic: Topic;
  readonly handle: (message: ServerMessage) => void;
}

/**
 * The one WebSocket of a page. Subscriptions outlive connections: after a break each is made again
 * from the cursor that its owner has come to. It tries without end.
 */
export class LiveSocket {
  version: string | null = null;
  readonly #outside: Outside;
  readonly #changed: (connection: Connection) => void;
  readonly #subscriptions = new Map<number, Subscription>();
  #connection: Connection = { kind: 'idle' };
  #wire: Wire | null = null;
  #open = false;
  #failures = 0;
  #nextSub = 1;
  #retry: unknown = null;
  #retryAt: number | null = null;
  #silence: unknown = null;
  #substitute: Substitute | null = null;
  #substituteBy: 'events' | 'polling' | null = null;
  #held: (() => void)[] = [];
  #release: unknown = null;
  /** When the server was heard last. */
  heardAt: number | null = null;
  /** Told of each greeting: the server may be another one than before. */
  onhello: ((version: string) => void) | null = null;

  constructor(outside: Outside, changed: (connection: Connection) => void) {
    this.#outside = outside;
    this.#changed = changed;
  }

  get connection(): Connection {
    return this.#connection;
  }

  /** Follows `topic` until the returned function is called. The first one opens the connection. */
  subscribe(topic: Topic, handle: (message: ServerMessage) => void): () => void {
    const sub = this.#nextSub++;
    this.#subscriptions.set(sub, { topic, handle });
    this.#substitute?.follow(sub, topic, (message) => this.#deliver(sub, message));
    if (this.#open) this.#subscribe(sub, topic);
    else if (this.#connection.kind === 'idle') this.#connect();
    return () => {
      this.#substitute?.forget(sub);
      if (this.#subscriptions.delete(sub) && this.#open) this.#send({ op: 'unsubscribe', sub });
    };
  }

  /** Tries at once instead of at the end of the wait. */
  retryNow(): void {
    const { kind } = this.#connection;
    if (this.#wire !== null || kind === 'idle' || kind === 'denied') return;
    this.#clearRetry();
    this.#connect();
  }

  /** The page is seen again, or not any more. */
  shown(): void {
    if (this.#outside.hidden?.() !== true) {
      this.#letGo();
      if (this.#substitute === null) this.retryNow();
    }
    this.#substitute?.shown();
  }

  /** The device has a network again, or has none any more. */
  networkChanged(): void {
    if (this.#outside.online()) {
      if (this.#connection.kind === 'offline') {
        this.#failures = 0;
        this.retryNow();
      }
    } else if (!this.#open && this.#connection.kind !== 'idle' && this.#connection.kind !== 'denied') {
      this.#clearRetry();
      this.#stopSubstitute();
      this.#drop();
      this.#set({ kind: 'offline' });
    }
  }

  /** Gives the connection up for good, as when the session is over. */
  stop(why: 'idle' | 'denied' = 'idle'): void {
    this.#clearRetry();
    this.#drop();
    this.#stopSubstitute();
    this.#failures = 0;
    this.#set({ kind: why });
  }

  /** Connects again after `stop`, if anybody is subscribed. */
  start(): void {
    if (this.#connection.kind === 'denied') this.#set({ kind: 'idle' });
    if (this.#connection.kind === 'idle' && this.#subscriptions.size > 0) this.#connect();
  }

  #connect(): void {
    const first = this.#failures === 0;
    if (this.#substituteBy === null) this.#set(first ? { kind: 'connecting' } : { kind: 'reconnecting', at: null });
    let wire: Wire;
    try {
      wire = this.#outside.open();
    } catch {
      this.#lost();
      return;
    }
    this.#wire = wire;
    // A connection that is given up must not speak any more: hence the comparisons.
    wire.onopen = () => {
      if (this.#wire !== wire) return;
      this.#open = true;
      for (const [sub, { topic }] of this.#subscriptions) this.#subscribe(sub, topic);
      this.#listen();
    };
    wire.onmessage = (event) => {
      if (this.#wire !== wire) return;
      this.#listen();
      this.#receive(event.data);
    };
    wire.onclose = () => {
      if (this.#wire !== wire) return;
      this.#lost();
    };
  }

  #receive(data: unknown): void {
    if (typeof data !== 'string') return;
    let message: ServerMessage;
    try {
      message = JSON.parse(data) as ServerMessage;
    } catch {
      return;
    }
    // Live is who has been heard, not who has merely connected: a proxy connects at once.
    this.heardAt = this.#outside.now();
    if (this.#connection.kind !== 'live' || this.#connection.by !== 'socket') {
      this.#failures = 0;
      this.#stopSubstitute();
      this.#set({ kind: 'live', by: 'socket' });
    }
    if (message.op === 'hello') {
      this.version = message.version;
      this.#changed(this.#connection);
      this.onhello?.(message.version);
      return;
    }
    if ('sub' in message && message.sub !== undefined) this.#deliver(message.sub, message);
  }

  /** Hands a message on; while nobody sees the page, together with others once a second. */
  #deliver(sub: number, message: ServerMessage): void {
    const hand = () => this.#subscriptions.get(sub)?.handle(message);
    if (this.#outside.hidden?.() !== true && this.#held.length === 0) {
      hand();
      return;
    }
    this.#held.push(hand);
    if (this.#outside.hidden?.() !== true || this.#held.length >= HELD_MAX) this.#letGo();
    else this.#release ??= this.#outside.setTimer(() => this.#letGo(), HIDDEN_MS);
  }

  #letGo(): void {
    this.#outside.clearTimer(this.#release);
    this.#release = null;
    const held = this.#held;
    this.#held = [];
    for (const hand of held) hand();
  }

  #startSubstitute(): void {
    if (this.#substitute !== null || this.#outside.substitute === undefined) return;
    this.#substitute = this.#outside.substitute(
      (by) => {
        this.heardAt = this.#outside.now();
        if (this.#substitute === null || this.#substituteBy === by) return;
        // The list of executions is asked for by the clock even where events tell of one.
        if (this.#substituteBy === 'events' && by === 'polling') return;
        this.#substituteBy = by;
        this.#set({ kind: 'live', by });
      },
      () => {
        if (this.#substituteBy === null) return;
        this.#substituteBy = null;
        this.#set({ kind: 'reconnecting', at: this.#retryAt });
      },
    );
    for (const [sub, { topic }] of this.#subscriptions) {
      this.#substitute.follow(sub, topic, (message) => this.#deliver(sub, message));
    }
  }

  #stopSubstitute(): void {
    this.#substitute?.stop();
    this.#substitute = null;
    this.#substituteBy = null;
  }

  #subscribe(sub: number, topic: Topic): void {
    if (topic.topic === 'executions') {
      this.#send({ op: 'subscribe', sub, topic: 'executions' });
      return;
    }
    const cursor = topic.cursor();
    this.#send({
      op: 'subscribe',
      sub,
      topic: 'execution',
      id: topic.id,
      lines: false,
      ...(cursor !== null && { cursor }),
    });
  }

  #send(message: ClientMessage): void {
    this.#wire?.send(JSON.stringify(message));
  }

  /** Starts the wait for silence over. */
  #listen(): void {
    this.#outside.clearTimer(this.#silence);
    this.#silence = this.#outside.setTimer(() => {
      this.#send({ op: 'ping' });
      this.#silence = this.#outside.setTimer(() => this.#lost(), PONG_WITHIN_MS);
    }, PING_AFTER_MS);
  }

  #lost(): void {
    const opened = this.#open;
    this.#drop();
    if (!opened) this.#outside.refused();
    if (this.#connection.kind === 'idle' || this.#connection.kind === 'denied') return; // `refused` stopped us.
    if (!this.#outside.online()) {
      this.#stopSubstitute();
      this.#set({ kind: 'offline' });
      return;
    }
    const wait = retryDelay(this.#failures, this.#outside.random());
    this.#failures += 1;
    this.#retryAt = this.#outside.now() + wait;
    if (this.#substituteBy === null) this.#set({ kind: 'reconnecting', at: this.#retryAt });
    if (this.#failures >= TRIES_BEFORE_SUBSTITUTE) this.#startSubstitute();
    this.#retry = this.#outside.setTimer(() => {
      this.#retry = null;
      this.#connect();
    }, wait);
  }

  #drop(): void {
    const wire = this.#wire;
    this.#wire = null;
    this.#open = false;
    this.#outside.clearTimer(this.#silence);
    this.#silence = null;
    if (wire === null) return;
    wire.onopen = wire.onmessage = wire.onclose = null;
    wire.close();
  }

  #clearRetry(): void {
    this.#retryAt = null;
    this.#outside.clearTimer(this.#retry);
    this.#retry = null;
  }

  #set(connection: Connection): void {
    this.#connection = connection;
    this.#changed(connection);
  }
}
