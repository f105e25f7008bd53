import type {
  Artifact,
  CreateAnswer,
  CreateRequest,
  ExecutionDetail,
  ExecutionList,
  LogRange,
  Problem as ProblemBody,
  Session,
  Statistics,
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

async function request(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { ...init, credentials: 'same-origin' });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new Problem({ status: 0 });
  }
  noteDate(response);
  if (response.ok) return response;
  if (response.status === 401 && path !== '/api/login') unauthorized();
  let body: Partial<ProblemBody> = {};
  try {
    body = (await response.json()) as Partial<ProblemBody>;
  } catch {
    // Not ours: a proxy's page. The status has to do.
  }
  throw new Problem({ ...body, status: response.status });
}

async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await request(path, {
    headers: { accept: 'application/json' },
    ...(signal && { signal }),
  });
  return (await response.json()) as T;
}

function post(path: string, body: unknown): Promise<Response> {
  return request(path, {
    method: 'POST',
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

export const api = {
  session: (signal?: AbortSignal) => get<Session>('/api/session', signal),
  login: (code: string) => post('/api/login', { code }),
  logout: () => post('/api/logout', {}),
  statistics: (signal?: AbortSignal) => get<Statistics>('/api/executions/statistics', signal),
  executions: (
    filter: { limit?: number; status?: string; name?: string; before?: string | null },
    signal?: AbortSignal,
  ) => get<ExecutionList>(`/api/executions${query(filter)}`, signal),
  execution: (id: string, signal?: AbortSignal) =>
    get<ExecutionDetail>(`${execution(id)}?logs=0`, signal),
  create: async (body: CreateRequest) =>
    (await (await post('/api/executions', body)).json()) as CreateAnswer,
  cancel: (id: string) => post(`${execution(id)}/cancel`, {}),
  log: (id: string, from: number, limit: number, signal?: AbortSignal) =>
    get<LogRange>(`${execution(id)}/log${query({ from_line: from, limit })}`, signal),
  rawLogUrl: (id: string) => `${execution(id)}/log/raw`,
  /** Built here, never taken from the answer: a link must stay on our own paths. */
  artifactUrl: (artifact: Artifact) =>
    `/api/artifacts/${encodeURIComponent(artifact.id)}/download`,
};
