import type { CreateRequest } from '$lib/api/types';

/** `word` as a POSIX shell reads it back. */
export function quote(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** The command line that does what `request` asks the server for. */
export function cliLine(request: CreateRequest): string {
  const words = ['stepflow', 'run'];
  if (request.name !== undefined) words.push('--name', quote(request.name));
  if (request.working_directory !== undefined) words.push('--cwd', quote(request.working_directory));
  for (const [key, value] of Object.entries(request.environment ?? {})) {
    words.push('--env', quote(`${key}=${value}`));
  }
  for (const tag of request.tags ?? []) words.push('--tag', quote(tag));
  if (request.timeout !== undefined) words.push('--timeout', `${request.timeout}s`);
  if (request.stop_on_error === true) words.push('--stop-on-error');
  words.push('--');
  if (typeof request.command !== 'string') words.push(...request.command.map(quote));
  else if (request.shell === true) words.push('sh', '-c', quote(request.command));
  else words.push(request.command);
  return words.join(' ');
}
