// The wire, as docs/reference/api.md describes it. Every type that crosses it is in this file.
// Times are RFC 3339 in UTC with microseconds; durations are seconds.

export type Status = 'pending' | 'running' | 'completed' | 'failed' | 'cancelled';

export type StepStatus = 'pending' | 'running' | 'completed' | 'failed' | 'skipped' | 'cancelled';

export type Reason =
  | 'exit_code'
  | 'signal'
  | 'step_error'
  | 'timed_out'
  | 'start_failed'
  | 'not_started'
  | 'recorder_lost'
  | 'host_restarted'
  | 'output_limit'
  | 'source_lost'
  | 'user'
  | 'client_gone';

export type Stream = 'stdout' | 'stderr';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface Execution {
  id: string;
  name: string;
  command: string;
  working_directory: string;
  status: Status;
  exit_code: number | null;
  error_message: string | null;
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
  environment: Record<string, string>;
  user: string;
  tags: string[];
  total_steps: number;
  completed_steps: number;
  /** -1 without steps. */
  current_step_index: number;
  duration_seconds: number | null;
  progress_percentage: number;
  metadata: Record<string, Json>;
  reason: Reason | null;
  signal: number | null;
  cancelling: boolean;
  paused: boolean;
  failed_steps: number;
  current_step_name: string | null;
  lines: number;
  bytes: number;
  warnings: number;
  artifacts_count: number;
  source: string;
  containment: string;
  host: string;
}

export interface Step {
  id: string;
  execution_id: string;
  name: string;
  description: string;
  index: number;
  status: StepStatus;
  exit_code: number | null;
  error_message: string | null;
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
  estimated_duration: number | null;
  duration_seconds: number | null;
  metadata: Record<string, Json>;
  is_finished: boolean;
  stop_on_error: boolean;
  parent: number | null;
  key: string | null;
  depth: number;
  first_line: number;
  last_line: number | null;
  start_offset: number;
  end_offset: number | null;
}

export interface Artifact {
  id: string;
  execution_id: string;
  step_id: string | null;
  name: string;
  description: string;
  file_path: string;
  file_name: string;
  file_size: number;
  file_size_human: string;
  mime_type: string;
  artifact_type: string;
  file_extension: string;
  created_at: string;
  tags: string[];
  metadata: Record<string, Json>;
  is_public: boolean;
  retention_days: number | null;
  exists: boolean;
  download_url: string;
  is_expired: boolean;
  sha256: string | null;
  problem: string | null;
  changed: boolean;
}

export interface Annotation {
  code: string;
  message: string;
  /** 0: none in particular. */
  line: number;
  step: number | null;
  time: string;
}

export interface LogLine {
  n: number;
  t: string;
  stream: Stream;
  offset: number;
  bytes: number;
  text: string;
  partial: boolean;
  continued: boolean;
  lossy: boolean;
  rest: number;
  step: number | null;
}

export interface LogRange {
  from_line: number;
  lines: LogLine[];
  total_lines: number;
  total_bytes: number;
  cursor: string;
  ended: boolean;
}

export interface Statistics {
  total_executions: number;
  active_now: number;
  success_rate: string;
  avg_duration: string;
  success_ratio: number;
  avg_duration_seconds: number | null;
  by_status: Partial<Record<Status, number>>;
  queued: number;
}

export interface ExecutionPage {
  executions: Execution[];
  limit: number;
  offset: number;
  count: number;
  total_count: number;
  has_more: boolean;
  next_before: string | null;
}

export interface ActiveExecutions {
  executions: Execution[];
  count: number;
}

export interface ExecutionDetail {
  execution: Execution;
  steps: Step[];
  artifacts: Artifact[];
  annotations: Annotation[];
}

export interface NewExecution {
  command: string | string[];
  name?: string;
  working_directory?: string;
  environment?: Record<string, string>;
  tags?: string[];
  timeout?: number;
  stop_on_error?: boolean;
  shell?: boolean;
}

export interface Created {
  id: string;
  execution_id: string;
  status: Status;
  message: string;
  name: string;
  created_at: string;
}

export interface Session {
  authenticated: boolean;
  kind: 'cookie' | 'token' | 'socket' | 'off';
}

export interface ProblemBody {
  type: string;
  title: string;
  status: number;
  detail?: string;
  error?: string;
  hint?: string;
  request_id?: string;
}

/** What the client says over `/ws`. */
export type ClientMessage =
  | { op: 'subscribe'; sub: number; topic: 'executions' }
  | {
      op: 'subscribe';
      sub: number;
      topic: 'execution';
      id: string;
      cursor?: string;
      lines: boolean;
    }
  | { op: 'unsubscribe'; sub: number }
  | { op: 'ping' };

export interface StateMessage extends ExecutionDetail {
  op: 'state';
  sub: number;
  cursor: string;
}

export interface UpdateMessage extends ExecutionDetail {
  op: 'update';
  sub: number;
  cursor: string;
}

export interface PositionMessage {
  op: 'position';
  sub: number;
  lines: number;
  bytes: number;
  seq: number;
  cursor: string;
  ended: boolean;
}

/** What the server says over `/ws`. */
export type ServerMessage =
  | { op: 'hello'; version: string }
  | { op: 'pong' }
  | { op: 'error'; sub?: number; problem: ProblemBody }
  | { op: 'execution'; sub: number; execution: Execution }
  | { op: 'statistics'; sub: number; statistics: Statistics }
  | StateMessage
  | UpdateMessage
  | PositionMessage
  | { op: 'lines'; sub: number; cursor: string; lines: LogLine[] }
  | { op: 'end'; sub: number; cursor: string };
