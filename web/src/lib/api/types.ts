// Generated from crates/api by `cargo xtask codegen`; do not edit.
// docs/reference/api.md describes it. Times are RFC 3339 in UTC with microseconds; durations are
// seconds.

/** Where an execution stands. */
export type Status = 'pending' | 'running' | 'completed' | 'failed' | 'cancelled';

/** Where a step stands. */
export type StepStatus = 'pending' | 'running' | 'completed' | 'failed' | 'skipped' | 'cancelled';

/** Why an execution failed or was cancelled. */
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

/** Which of the script's streams bytes came from. */
export type Stream = 'stdout' | 'stderr';

/** Who asked for an execution. */
export type Source = 'cli' | 'server';

/**
 * Where a client is: the next output byte, and the last journal event it has.
 *
 * Written `OFFSET.SEQ`: several events may share an offset.
 */
export type Cursor = string;

/** One execution. */
export type Execution = {
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
  tags: Array<string>;
  total_steps: number;
  completed_steps: number;
  /** -1 before any step, as in the original. */
  current_step_index: number;
  /** Until now while it runs. */
  duration_seconds: number | null;
  progress_percentage: number;
  metadata: Record<string, unknown>;
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
  source: Source;
  containment: string;
  host: string;
};

/** One step. `logs` is always empty here: the detail answer streams it from the record. */
export type Step = {
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
  /** Until now while it is open. */
  duration_seconds: number | null;
  metadata: Record<string, unknown>;
  is_finished: boolean;
  stop_on_error: boolean;
  parent: number | null;
  key: string | null;
  depth: number;
  first_line: number;
  last_line: number | null;
  start_offset: number;
  end_offset: number | null;
  /** Last, so that it can be streamed. */
  logs: Array<unknown>;
};

/** One declared file. */
export type Artifact = {
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
  tags: Array<string>;
  metadata: Record<string, unknown>;
  is_public: boolean;
  retention_days: number | null;
  exists: boolean;
  download_url: string;
  is_expired: boolean;
  sha256: string | null;
  problem: string | null;
  changed: boolean;
};

/** Something people should know. */
export type Annotation = {
  code: string;
  message: string;
  /** 0: none in particular. */
  line: number;
  step: number | null;
  time: string;
};

/** A line, or a piece of one. */
export type Line = {
  /** Its number, from 1. */
  n: number;
  /** When its first byte was read. */
  t: string;
  /** Where it came from. */
  stream: Stream;
  /** Output offset of its first byte. */
  offset: number;
  /**
   * Its bytes in the record, line end and cut rest included: the next line begins at
   * `offset + bytes`.
   */
  bytes: number;
  /** Its text, without line end. */
  text: string;
  /** No line end follows (yet). */
  partial: boolean;
  /** Goes on a piece of the same stream that the other stream cut. */
  continued: boolean;
  /** Invalid UTF-8 was replaced. */
  lossy: boolean;
  /** Bytes of the line that are not in `text`. */
  rest: number;
  /** The step that owns it. */
  step: number | null;
};

/** `GET /api/executions/{id}/log`. */
export type LogRange = {
  /** Number of the first line that was asked for. */
  from_line: number;
  /** The lines that are there. */
  lines: Array<Line>;
  /** Ended lines in the record. */
  total_lines: number;
  /** Bytes in the record. */
  total_bytes: number;
  /** Where to go on. */
  cursor: Cursor;
  /** Nothing will be added. */
  ended: boolean;
};

/** `GET /api/executions/statistics`. */
export type Statistics = {
  total_executions: number;
  active_now: number;
  success_rate: string;
  avg_duration: string;
  /** Completed of all; 0 when there is none. */
  success_ratio: number;
  /** Mean over completed ones; null when there is none. */
  avg_duration_seconds: number | null;
  by_status: Partial<Record<Status, number>>;
  queued: number;
};

/** `GET /api/executions`. */
export type ExecutionList = {
  executions: Array<Execution>;
  limit: number;
  offset: number;
  count: number;
  total_count: number;
  has_more: boolean;
  next_before: string | null;
  /** 200, as in the original. */
  status: number;
};

/** One of `ActiveList::active_executions`. */
export type ActiveExecution = {
  id: string;
  status: Status;
  name: string;
  start_time: string | null;
  command: string;
  created_at: string;
};

/** `GET /api/executions/active`: the original's six keys, and whole objects. */
export type ActiveList = {
  active_executions: Array<ActiveExecution>;
  executions: Array<Execution>;
  count: number;
};

/** `GET /api/executions/{id}`. */
export type ExecutionDetail = {
  execution: Execution;
  steps: Array<Step>;
  artifacts: Array<Artifact>;
  annotations: Array<Annotation>;
  /** 200, as in the original. */
  status: number;
};

/** `GET /api/artifacts` and `GET /api/artifacts/execution/{id}`. */
export type ArtifactList = {
  artifacts: Array<Artifact>;
  count: number;
  has_more: boolean;
  next_before: string | null;
};

/** What to run, as a request says it. */
export type Command = string | Array<string>;

/** `POST /api/executions`. */
export type CreateRequest = {
  command: Command;
  name?: string;
  working_directory?: string;
  environment?: Record<string, string>;
  mask_env?: Array<string>;
  tags?: Array<string>;
  metadata?: Record<string, unknown>;
  /** Seconds. */
  timeout?: number;
  user?: string;
  stop_on_error?: boolean;
  split_stderr?: boolean;
  shell?: boolean;
  wait?: boolean;
};

/** The answer to `CreateRequest`. */
export type CreateAnswer = {
  id: string;
  /** The same again, as documented by the original. */
  execution_id: string;
  status: Status;
  message: string;
  name: string;
  created_at: string;
};

/** `POST /api/executions/{id}/cancel`. */
export type CancelAnswer = {
  id: string;
  status: Status;
  message: string;
};

/** RFC 9457, with `error` for clients of the original. */
export type Problem = {
  /** `about:blank#` and a stable word. */
  type: string;
  /** The status in words. */
  title: string;
  /** The HTTP status. */
  status: number;
  /** What went wrong here. */
  detail: string;
  /** The same as `detail`. */
  error: string;
  /** What to do next. */
  hint?: string;
  /** Finds it in the server's log. */
  request_id: string;
};

/** `POST /api/login`. */
export type LoginRequest = {
  /** From the link that the server printed, or from `stepflow open`. */
  code: string;
};

/** `GET /api/session`. */
export type Session = {
  /** Always true: others get 401. */
  authenticated: boolean;
  /** `cookie`, `token`, `socket` or `off`. */
  kind: 'cookie' | 'token' | 'socket' | 'off';
};

/** `POST /api/login-code`. */
export type LoginUrl = {
  /** Good once, for 10 minutes. */
  url: string;
};

/** `POST /api/tokens`. */
export type TokenCreate = {
  /** What it is for, for people. */
  name: string;
  /** `operator` or `viewer`. */
  scope: 'operator' | 'viewer';
  /** Useless after this many seconds; never if absent. */
  expires_in_s?: number;
};

/** A token as lists show it: never the token itself. */
export type TokenInfo = {
  id: string;
  name: string;
  scope: 'operator' | 'viewer';
  prefix: string;
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
  revoked_at: string | null;
};

/** `GET /api/tokens`. */
export type TokenList = {
  /** Oldest first. */
  tokens: Array<TokenInfo>;
  /** How many. */
  count: number;
};

/** The answer to `TokenCreate`. */
export type TokenCreated = {
  /** Shown this once. */
  token: string;
  id: string;
  name: string;
  scope: 'operator' | 'viewer';
  prefix: string;
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
  revoked_at: string | null;
};

/** `GET /api/health`. */
export type Health = {
  /** `healthy` or `unhealthy`. */
  status: 'healthy' | 'unhealthy';
  /** `StepFlow Monitor`. */
  service: string;
  /** Now. */
  timestamp: string;
  /** Of the program. */
  version: string;
};

/** What can be subscribed to. */
export type Topic = 'executions' | 'execution';

/** What a client says over `/ws`. */
export type ClientMessage =
  | {
      op: 'subscribe';
      /** A number that the client picks. */
      sub: number;
      /** What to send. */
      topic: Topic;
      /** Of which execution. */
      id?: string;
      /** What the client has. */
      cursor?: Cursor;
      /** Send the lines as well. */
      lines?: boolean;
    }
  | {
      op: 'unsubscribe';
      /** The number. */
      sub: number;
    }
  | { op: 'ping' };

/** What the server says over `/ws`. */
export type ServerMessage =
  | { op: 'hello'; version: string }
  | { op: 'pong' }
  | { op: 'error'; sub?: number; problem: Problem }
  | { op: 'execution'; sub: number; execution: Execution }
  | { op: 'statistics'; sub: number; statistics: Statistics }
  | {
      op: 'state';
      sub: number;
      cursor: Cursor;
      execution: Execution;
      steps: Array<Step>;
      artifacts: Array<Artifact>;
      annotations: Array<Annotation>;
    }
  | {
      op: 'update';
      sub: number;
      cursor: Cursor;
      execution: Execution;
      steps: Array<Step>;
      artifacts: Array<Artifact>;
      annotations: Array<Annotation>;
    }
  | {
      op: 'position';
      sub: number;
      lines: number;
      bytes: number;
      seq: number;
      cursor: Cursor;
      ended: boolean;
    }
  | { op: 'lines'; sub: number; cursor: Cursor; lines: Array<Line> }
  | { op: 'end'; sub: number; cursor: Cursor };
