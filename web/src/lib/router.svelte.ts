// Which page the URL names. All state that a link should carry is in the URL.

import { at, base } from './base';

export type Route =
  | { readonly page: 'dashboard' }
  | { readonly page: 'executions' }
  | { readonly page: 'execution'; readonly id: string }
  | { readonly page: 'search' }
  | { readonly page: 'artifacts' }
  | { readonly page: 'artifact'; readonly id: string; readonly artifact: string }
  | { readonly page: 'statistics' }
  | { readonly page: 'health' }
  | { readonly page: 'settings'; readonly section: string }
  | { readonly page: 'login' }
  | { readonly page: 'missing'; readonly path: string };

/** The path without the base path. */
function within(pathname: string): string {
  return pathname.startsWith(`${base}/`) ? pathname.slice(base.length) : pathname;
}

/** The path to go to instead, for links that were made for the original's pages. */
export function redirect(url: URL): string | null {
  const path = within(url.pathname).replace(/\/+$/, '');
  const query = new URLSearchParams(url.search);
  if (path === '/execution') {
    const id = query.get('id') ?? query.get('execution_id');
    if (id === null || id === '') return '/executions';
    query.delete('id');
    query.delete('execution_id');
    return `/executions/${encodeURIComponent(id)}${suffix(query)}${url.hash}`;
  }
  if (path === '/history') return `/executions${suffix(query)}${url.hash}`;
  return null;
}

function suffix(query: URLSearchParams): string {
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
}

export function parseRoute(pathname: string): Route {
  const parts = within(pathname).split('/').filter((part) => part !== '');
  const [first, second] = parts;
  if (first === undefined) return { page: 'dashboard' };
  if (parts.length === 1) {
    switch (first) {
      case 'executions':
      case 'search':
      case 'artifacts':
      case 'statistics':
      case 'health':
      case 'login':
        return { page: first };
      case 'settings':
        return { page: 'settings', section: '' };
    }
  }
  if (parts.length === 2 && first === 'settings') return { page: 'settings', section: second ?? '' };
  const [, , third, fourth] = parts;
  if (parts.length === 4 && first === 'executions' && third === 'artifacts') {
    const id = decoded(second);
    const artifact = decoded(fourth);
    if (id !== null && artifact !== null) return { page: 'artifact', id, artifact };
  }
  if (parts.length === 2 && first === 'executions') {
    const id = decoded(second);
    if (id !== null) return { page: 'execution', id };
  }
  return { page: 'missing', path: pathname };
}

/** `null`: not an encoding, and nothing has such an id. */
function decoded(part: string | undefined): string | null {
  try {
    return part === undefined ? null : decodeURIComponent(part);
  } catch {
    return null;
  }
}

/** The lines that a fragment such as `#L120` or `#L120-L180` names. */
export function lineSpan(hash: string): { from: number; to: number } | null {
  const match = /^#L(\d{1,15})(?:-L?(\d{1,15}))?$/.exec(hash);
  if (match === null) return null;
  const a = Number(match[1]);
  const b = Number(match[2] ?? match[1]);
  if (a < 1 || b < 1) return null;
  return { from: Math.min(a, b), to: Math.max(a, b) };
}

/** A place in this application, given as `next`; anything else is the dashboard. */
export function safePlace(next: string | null): string {
  if (next === null || !/^\/(?![/\\])/.test(next)) return '/';
  return parseRoute(next.split(/[?#]/)[0] ?? '').page === 'login' ? '/' : next;
}

class Router {
  #url = $state.raw(new URL(location.href));
  route = $derived(parseRoute(this.#url.pathname));
  query = $derived(new URLSearchParams(this.#url.search));
  hash = $derived(this.#url.hash);
  /** Grows with each navigation to another page: the content's focus moves with it. */
  visits = $state(0);

  constructor() {
    addEventListener('popstate', () => this.#sync());
    addEventListener('hashchange', () => this.#sync());
    document.addEventListener('click', (event) => this.#click(event));
    this.#sync();
  }

  get place(): string {
    return within(this.#url.pathname) + this.#url.search + this.#url.hash;
  }

  /** Goes to a place of ours, written without the base path. */
  go(to: string, how: 'push' | 'replace' = 'push'): void {
    if (how === 'push') history.pushState(null, '', at(to));
    else history.replaceState(null, '', at(to));
    this.#sync();
  }

  /** Sets one value of the query; `null` takes it out. */
  setQuery(name: string, value: string | null, how: 'push' | 'replace' = 'push'): void {
    const url = new URL(this.#url);
    if (value === null) url.searchParams.delete(name);
    else url.searchParams.set(name, value);
    this.go(within(url.pathname) + url.search + url.hash, how);
  }

  /** Sets several; by default without a step in the history: a filter while it is being chosen. */
  setQueries(values: Record<string, string | null>, how: 'push' | 'replace' = 'replace'): void {
    const url = new URL(this.#url);
    for (const [name, value] of Object.entries(values)) {
      if (value === null) url.searchParams.delete(name);
      else url.searchParams.set(name, value);
    }
    if (url.href !== this.#url.href) this.go(within(url.pathname) + url.search + url.hash, how);
  }

  #sync(): void {
    const to = redirect(new URL(location.href));
    if (to !== null) history.replaceState(null, '', at(to));
    const before = this.#url.pathname;
    this.#url = new URL(location.href);
    if (this.#url.pathname !== before) {
      this.visits += 1;
      scrollTo(0, 0);
    }
  }

  #click(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element).closest?.('a');
    if (!(link instanceof HTMLAnchorElement) || link.target !== '' || link.hasAttribute('download')) {
      return;
    }
    const url = new URL(link.href);
    const inside = url.pathname === base || url.pathname.startsWith(`${base}/`);
    if (url.origin !== location.origin || !inside) return;
    if (/^\/(api|ws|docs)(\/|$)/.test(within(url.pathname))) return;
    event.preventDefault();
    if (url.href === location.href) return;
    this.go(within(url.pathname) + url.search + url.hash);
  }
}

let instance: Router | null = null;

/** The page's router; made when first asked for, so that tests can read this file without a page. */
export function router(): Router {
  return (instance ??= new Router());
}
