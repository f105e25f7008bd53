import type { Execution, StepStatus } from '$lib/api/types';

/** How an execution or a step looks: its status, made finer by reason and flags. */
export type Look =
  | 'pending'
  | 'running'
  | 'cancelling'
  | 'paused'
  | 'unreachable'
  | 'completed'
  | 'failed'
  | 'cancelled'
  | 'timed_out'
  | 'not_started'
  | 'lost'
  | 'skipped';

type Facts = Pick<Execution, 'status' | 'reason' | 'cancelling' | 'paused'>;

export function lookOf(execution: Facts): Look {
  const { status, reason, cancelling, paused } = execution;
  if (status === 'running' || status === 'pending') {
    if (cancelling) return 'cancelling';
    return paused && status === 'running' ? 'paused' : status;
  }
  if (status !== 'failed') return status;
  switch (reason) {
    case 'timed_out':
      return 'timed_out';
    case 'start_failed':
    case 'not_started':
      return 'not_started';
    case 'recorder_lost':
    case 'host_restarted':
    case 'source_lost':
      return 'lost';
    default:
      return 'failed';
  }
}

export function lookOfStep(status: StepStatus): Look {
  return status;
}

/** Milliseconds, or `null` for no or no valid time. */
export function parseTime(time: string | null): number | null {
  if (time === null) return null;
  const ms = Date.parse(time);
  return Number.isNaN(ms) ? null : ms;
}
