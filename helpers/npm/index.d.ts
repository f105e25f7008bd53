/** What is said of a step. Other keys become its metadata. */
export interface StepOptions {
  /** How long it is expected to take, in seconds. */
  expected?: number;
  /** Its failure stops the script. */
  stopOnError?: boolean;
  [key: string]: string | number | boolean | undefined;
}

/**
 * Runs `run` as a step and returns what it returns; a promise ends the step when it settles. What
 * `run` throws fails the step and goes on as it would without it.
 */
export function step<T>(name: string, run: () => T, options?: StepOptions): T;

/** A step that is not run, and why. */
export function skip(name: string, reason?: string): void;

/** Keeps a copy of this file. */
export function artifact(path: string, description?: string): void;

/** Remembers a fact: on the open step, else on the whole. */
export function meta(key: string, value: string | number | boolean): void;

/** How far the innermost step is, 0 to 100, and what it is doing. */
export function progress(percent: number, text?: string): void;
