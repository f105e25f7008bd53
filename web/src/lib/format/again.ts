// What the dialog for a new execution holds at first when an old one is to be run with changes.
import type { CreateRequest, Execution, ExecutionSpec } from '$lib/api/types';
import { quote } from './cli-line';

/** The command of `spec` as the dialog can hold it: a text for a shell, or one argument a line. */
export function commandOf(spec: Pick<ExecutionSpec, 'args' | 'shell'>): Pick<CreateRequest, 'command' | 'shell'> {
  const { args, shell } = spec;
  if (shell) return { command: args.at(-1) ?? '', shell: true };
  // A line of the form is an argument, so one that holds lines has to be quoted for a shell.
  if (args.some((arg) => arg === '' || arg.includes('\n'))) {
    return { command: args.map(quote).join(' '), shell: true };
  }
  return { command: [...args], shell: false };
}

/** All that `execution` was asked for with; masked values are in no record. */
export function again(execution: Execution, spec: ExecutionSpec): Partial<CreateRequest> {
  return {
    ...commandOf(spec),
    name: execution.name === execution.command ? '' : execution.name,
    working_directory: execution.working_directory,
    environment: execution.environment,
    tags: execution.tags,
    stop_on_error: spec.stop_on_error,
    ...(spec.timeout_seconds !== null && { timeout: spec.timeout_seconds }),
  };
}
