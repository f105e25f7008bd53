// StepFlow markers for Node: each function prints a line (docs/reference/markers.md), nothing else.
import { AsyncLocalStorage } from 'node:async_hooks';

/** The step around the running code; a script that a step called starts inside that step. */
const inside = new AsyncLocalStorage();
/** Open steps of this process, oldest first. */
const open = [];
let count = 0;

const here = () => inside.getStore() ?? (process.env.STEPFLOW_STEP || undefined);

function say(word, text) {
  process.stdout.write(`${word}:${text}`.split(/[\r\n\u2028\u2029]+/).join(' ') + '\n');
}

function reason(error) {
  if (error instanceof Error) return error.message ? `${error.name}: ${error.message}` : error.name;
  return String(error);
}

// A bracket would end the parameter.
const value = (given) => String(given).replaceAll('[', '(').replaceAll(']', ')');

export function step(name, run, options = {}) {
  const { expected, stopOnError, ...metadata } = options;
  count += 1;
  const id = `js${process.pid}_${count}`;
  const parent = here();
  const params = {
    id,
    ...(parent && { parent }),
    ...(expected !== undefined && { expected: `${expected}s` }),
    ...(stopOnError && { stop_on_error: 'true' }),
    ...metadata,
  };
  const said = Object.entries(params).map(([key, given]) => `[${key}=${value(given)}]`);
  open.push(id);
  say('STEP_START', `${name} ${said.join('')}`);

  const end = (failed, error) => {
    const newest = open.at(-1) === id;
    if (open.includes(id)) open.splice(open.indexOf(id), 1);
    // Without an id the newest open step is meant; its text stays as it is.
    if (failed) say('STEP_ERROR', reason(error) + (newest ? '' : ` [id=${id}]`));
    else say('STEP_COMPLETE', `${name} [id=${id}]`);
  };
  let result;
  try {
    result = inside.run(id, run);
  } catch (error) {
    end(true, error);
    throw error;
  }
  if (typeof result?.then !== 'function') {
    end(false);
    return result;
  }
  return result.then(
    (settled) => {
      end(false);
      return settled;
    },
    (error) => {
      end(true, error);
      throw error;
    },
  );
}

export function skip(name, why = '') {
  const parent = here();
  say('STEP_SKIP', `${name}${parent ? ` [parent=${parent}]` : ''}${why ? `:${why}` : ''}`);
}

export function artifact(path, description = '') {
  say('ARTIFACT', `${path}${description ? `:${description}` : ''}`);
}

export function meta(key, given) {
  say('META', `${key}:${given}`);
}

export function progress(percent, text = '') {
  const id = inside.getStore();
  const shown = Number(Math.min(Math.max(percent, 0), 100).toFixed(3));
  // Other steps may run beside it: then which one is meant has to be said, behind the text.
  const mine = id === undefined || open.at(-1) === id || !open.includes(id);
  say('PROGRESS', `${shown}${text || !mine ? `:${text}` : ''}${mine ? '' : ` [id=${id}]`}`);
}
