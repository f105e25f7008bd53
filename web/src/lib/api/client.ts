import { at } from '$lib/base';
import type {
  Artifact,
  ArtifactList,
  ArtifactPreview,
  CreateAnswer,
  CreateRequest,
  Execution,
  ExecutionDetail,
  ExecutionList,
  ExecutionSpec,
  LabelRequest,
  SavedSearchList,
  HealthDatabase,
  HealthHistory,
  HealthMetrics,
  HealthStatus,
  IngestAnswer,
  LogDensity,
  LogErrors,
  LogMeta,
  LogRange,
  LogRows,
  LogSearch,
  Optimized,
  Overview,
  Problem as ProblemBody,
  Session,
  RangeStatistics,
  SearchEvent,
  Statistics,
  StripList,
  TestDetail,
  TestList,
  Usual,
  TokenCreate,
  TokenCreated,
  TokenList,
  Health,
} from './types';

/** The server said no, or did not answer (`status` 0). */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;
  readonly hint: string | null;
  readonly requestId: string | null;

  constructor(body: Partial<ProblemBody> & { status: number }) {
    super(body.detail ?? body.error ?? body.title ?? '');
    this.status = body.status;
    this.hint = body.hint ?? null;
    this.requestId = body.request_id ?? null;
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

let unauthorized: () => void = () => {};
let clockOffsetMs = 0;

/** What to do when the server answers 401: set once, by the router. */
export function onUnauthorized(handler: () => void): void {
  unauthorized = handler;
}

/** The server's clock, as far as its `Date` header tells; equal to ours within two seconds. */
export function serverNow(): number {
  return Date.now() + clockOffsetMs;
}

function noteDate(response: Response): void {
  const said = Date.parse(response.headers.get('date') ?? '');
  if (Number.isNaN(said)) return;
  const offset = said + 500 - Date.now();
  clockOffsetMs = Math.abs(offset) > 2000 ? offset : 0;
}

/** An answer of ours, not a proxy's page. */
function isJson(response: Response): boolean {
  return response.headers.get('content-type')?.startsWith('application/json') ?? false;
}

async function request(path: string, init: RequestInit, also = 200): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(at(path), { ...init, credentials: 'same-origin' });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new Problem({ status: 0 });
  }
  noteDate(response);
  if (response.ok || (response.status === also && isJson(response))) return response;
  if (response.status === 401 && path !== '/api/login') unauthorized();
  let body: Partial<ProblemBody> = {};
  try {
    body = (await response.json()) as Partial<ProblemBody>;
  } catch {
    // Not ours: a proxy's page. The status has to do.
  }
  throw new Problem({ ...body, status: response.status });
}

async function get<T>(path: string, signal?: AbortSignal, also = 200): Promise<T> {
  const init = { headers: { accept: 'application/json' }, ...(signal && { signal }) };
  const response = await request(path, init, also);
  return (await response.json()) as T;
}

/** An answer of lines, each a JSON value, as they come. */
async function* lines<T>(path: string, signal: AbortSignal): AsyncGenerator<T> {
  const response = await request(path, { headers: { accept: 'application/x-ndjson' }, signal });
  if (response.body === null) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let half = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (half + value).split('\n');
      half = parts.pop() ?? '';
      for (const part of parts) if (part !== '') yield JSON.parse(part) as T;
    }
  } finally {
    // Whoever has enough leaves the rest: the server stops.
    await reader.cancel().catch(() => {});
  }
}

function remove(path: string): Promise<Response> {
  return request(path, { method: 'DELETE', headers: { 'x-stepflow': '1' } });
}

function post(path: string, body: unknown, method: 'POST' | 'PUT' | 'PATCH' = 'POST'): Promise<Response> {
  return request(path, {
    method,
    headers: { 'content-type': 'application/json', 'x-stepflow': '1' },
    body: JSON.stringify(body),
  });
}

function query(values: Record<string, string | number | null | undefined>): string {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) {
    if (value !== null && value !== undefined && value !== '') params.set(key, String(value));
  }
  const text = params.toString();
  return text === '' ? '' : `?${text}`;
}

const execution = (id: string) => `/api/executions/${encodeURIComponent(id)}`;
const artifact = (id: string) => `/api/artifacts/${encodeURIComponent(id)}`;

export const api = {
  session: (signal?: AbortSignal) => get<Session>('/api/session', signal),
  login: (code: string) => post('/api/login', { code }),
  logout: () => post('/api/logout', {}),
  tokens: (signal?: AbortSignal) => get<TokenList>('/api/tokens', signal),
  createToken: async (body: TokenCreate) =>
    (await (await post('/api/tokens', body)).json()) as TokenCreated,
  revokeToken: (id: string) => remove(`/api/tokens/${encodeURIComponent(id)}`),
  health: (signal?: AbortSignal) => get<Health>('/api/health', signal),
  statistics: (signal?: AbortSignal) => get<Statistics>('/api/executions/statistics', signal),
  /** 503 is an answer too: a server that is unhealthy says why. */
  healthStatus: (signal?: AbortSignal) => get<HealthStatus>('/api/health/status', signal, 503),
  healthMetrics: (signal?: AbortSignal) => get<HealthMetrics>('/api/health/metrics', signal),
  healthDatabase: (signal?: AbortSignal) => get<HealthDatabase>('/api/health/database', signal),
  executions: (
    filter: { limit?: number; before?: string | null; [condition: string]: string | number | null | undefined },
    signal?: AbortSignal,
  ) => get<ExecutionList>(`/api/executions${query(filter)}`, signal),
  overview: (range: string, signal?: AbortSignal) =>
    get<Overview>(`/api/executions/overview${query({ range })}`, signal),
  strips: (ids: readonly string[], signal?: AbortSignal) =>
    get<StripList>(`/api/executions/strips${query({ ids: ids.join(',') })}`, signal),
  execution: (id: string, signal?: AbortSignal) =>
    get<ExecutionDetail>(`${execution(id)}?logs=0`, signal),
  spec: (id: string, signal?: AbortSignal) => get<ExecutionSpec>(`${execution(id)}/spec`, signal),
  create: async (body: CreateRequest) =>
    (await (await post('/api/executions', body)).json()) as CreateAnswer,
  rerun: async (id: string) =>
    (await (await post(`${execution(id)}/rerun`, {})).json()) as CreateAnswer,
  remove: (id: string) => remove(execution(id)),
  label: async (id: string, labels: LabelRequest) =>
    (await (await post(execution(id), labels, 'PATCH')).json()) as Execution,
  searches: (signal?: AbortSignal) => get<SavedSearchList>('/api/searches', signal),
  saveSearch: (name: string, text: string) =>
    post(`/api/searches/${encodeURIComponent(name)}`, { query: text }, 'PUT'),
  forgetSearch: (name: string) => remove(`/api/searches/${encodeURIComponent(name)}`),
  cancel: (id: string) => post(`${execution(id)}/cancel`, {}),
  tests: (id: string, asked: Record<string, string | number | null | undefined>, signal?: AbortSignal) =>
    get<TestList>(`${execution(id)}/tests${query(asked)}`, signal),
  test: (id: string, index: number, signal?: AbortSignal) =>
    get<TestDetail>(`${execution(id)}/tests/${index}`, signal),
  /** Lines as a page shows them. */
  log: (id: string, from: number, limit: number, signal?: AbortSignal) =>
    get<LogRange>(`${execution(id)}/log${query({ from_line: from, limit, view: 1 })}`, signal),
  logFiltered: (
    id: string,
    filter: { level: string; stream: string | null; context: number },
    skip: number,
    limit: number,
    signal?: AbortSignal,
  ) => get<LogRange>(`${execution(id)}/log${query({ ...filter, skip, limit, view: 1 })}`, signal),
  logMeta: (id: string, signal?: AbortSignal) => get<LogMeta>(`${execution(id)}/log/meta`, signal),
  logRows: (id: string, columns: number, page: number, signal?: AbortSignal) =>
    get<LogRows>(`${execution(id)}/log/rows${query({ columns, from_page: page })}`, signal),
  logDensity: (id: string, buckets: number, signal?: AbortSignal) =>
    get<LogDensity>(`${execution(id)}/log/density${query({ buckets })}`, signal),
  logErrors: (id: string, level: string, from: number, limit: number, signal?: AbortSignal) =>
    get<LogErrors>(`${execution(id)}/log/errors${query({ level, from, limit })}`, signal),
  logSearch: (id: string, asked: Record<string, string | number | null>, signal?: AbortSignal) =>
    get<LogSearch>(`${execution(id)}/log/search${query(asked)}`, signal),
  healthHistory: (signal?: AbortSignal) => get<HealthHistory>('/api/health/history', signal),
  optimize: async () => (await (await post('/api/health/optimize', {})).json()) as Optimized,
  /** The last errors before a line, the last one first. */
  logErrorsBefore: (id: string, level: string, before: number, limit: number, signal?: AbortSignal) =>
    get<LogErrors>(`${execution(id)}/log/errors${query({ level, before, limit })}`, signal),
  logDownloadUrl: (id: string, asked: Record<string, string | number | null>) =>
    at(`${execution(id)}/log/download${query(asked)}`),
  exportUrl: (id: string) => at(`${execution(id)}/export${query({ format: 'html' })}`),
  rangeStatistics: (since: string, until: string | null, offset: number, signal?: AbortSignal) =>
    get<RangeStatistics>(`/api/statistics${query({ since, until, utc_offset_min: offset })}`, signal),
  usual: (id: string, signal?: AbortSignal) => get<Usual>(`${execution(id)}/usual`, signal),
  rawLogUrl: (id: string) => at(`${execution(id)}/log/raw`),
  /** Whether the source of a stream from elsewhere is there. */
  ingest: (id: string, signal?: AbortSignal) =>
    get<IngestAnswer>(`/api/ingest/${encodeURIComponent(id)}`, signal),
  search: (asked: Record<string, string | number | null>, signal: AbortSignal) =>
    lines<SearchEvent>(`/api/search${query(asked)}`, signal),
  artifacts: (name: string, before: string | null, limit: number, signal?: AbortSignal) =>
    get<ArtifactList>(`/api/artifacts${query({ name, before, limit })}`, signal),
  artifact: (id: string, signal?: AbortSignal) => get<Artifact>(artifact(id), signal),
  preview: (id: string, more: { text?: boolean; limit?: number }, signal?: AbortSignal) =>
    get<ArtifactPreview>(`${artifact(id)}/preview${query({ text: more.text ? 1 : null, limit: more.limit })}`, signal),
  removeArtifact: (id: string) => remove(artifact(id)),
  /** Links are built here, never taken from an answer: they stay on our own paths. */
  artifactUrl: (id: string) => at(`${artifact(id)}/download`),
  contentUrl: (id: string, scripts = false) => at(`${artifact(id)}/content${scripts ? '?scripts=1' : ''}`),
};

export const asProblem = (error: unknown): Problem =>
  error instanceof Problem ? error : new Problem({ status: 0 });
