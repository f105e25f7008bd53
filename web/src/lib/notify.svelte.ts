// Tells when an execution has ended: those that the reader asked for one by one, those of a saved
// search, and, by a setting, those started from this page. The browser's own notifications where they are allowed, else a note
// on the page, a count in the title and a mark on the tab's picture.

import { api, serverNow } from '$lib/api/client';
import type { Execution, Step } from '$lib/api/types';
import { at } from '$lib/base';
import { favicon } from '$lib/favicon.svelte';
import { visible } from '$lib/format/plain';
import { lookOf, parseTime, type Look } from '$lib/format/status';
import { apiFilter, queryLink } from '$lib/history/query';
import { asSaved, endsIn, endTerms, readTold, type ToldSearch } from '$lib/history/told';
import { format, t } from '$lib/i18n/index.svelte';
import { isEnd } from '$lib/live/fold';
import { live } from '$lib/live/live.svelte';
import { router } from '$lib/router.svelte';
import { settings, stored, store } from '$lib/settings.svelte';

const WANTED_KEY = 'sf.tell.ids';
const WANTED_MAX = 50;
const SEARCHES_KEY = 'sf.tell.searches';
const TOLD_KEY = 'sf.tell.told';
/** How many ends are remembered as told: what is asked for again after a break holds fewer. */
const TOLD_MAX = 500;
/** What ended of one search during a break is told one by one up to here, else as a number. */
const EACH_MAX = 3;
/** An end may be heard this much later than one that came after it. */
const LATE_MS = 60_000;
const TOASTS_MAX = 5;

export interface Toast {
  readonly id: string;
  readonly look: Look;
  readonly title: string;
  readonly text: string;
  /** The place to open, without the base path. */
  readonly to: string;
}

type Saved = Pick<ToldSearch, 'name' | 'shared' | 'query'>;

const words = (key: string): string[] => (stored(key) ?? '').split('\n').filter((id) => id !== '');
const sameSearch = (a: Saved, b: Saved) => a.shared === b.shared && a.name === b.name;

/** The step that one wants to see: the deepest of those that failed first. */
export function failingStep(steps: readonly Step[]): Step | null {
  const failed = steps.filter((step) => step.status === 'failed');
  return failed.reduce<Step | null>((best, step) => (best === null || step.first_line > best.first_line ? step : best), null);
}

/** Where a click leads: the line of the failing step, or the execution. */
export function placeOf(id: string, step: Step | null): string {
  const place = `/executions/${encodeURIComponent(id)}`;
  return step === null ? place : `${place}#L${step.first_line}`;
}

class Notify {
  #wanted = $state.raw<readonly string[]>(words(WANTED_KEY));
  #searches = $state.raw<readonly ToldSearch[]>(readTold(stored(SEARCHES_KEY)));
  toasts = $state.raw<readonly Toast[]>([]);
  permission = $state<NotificationPermission | 'none'>('none');
  #unsubscribe: (() => void) | null = null;
  readonly #telling = new Set<string>();
  // Of this tab, from what was told before it was opened: several open tabs tell of the same end.
  readonly #told = new Set(words(TOLD_KEY));

  constructor() {
    this.#look();
    addEventListener('storage', ({ key }) => {
      if (key === WANTED_KEY) this.#wanted = words(WANTED_KEY);
      else if (key === SEARCHES_KEY) this.#searches = readTold(stored(SEARCHES_KEY));
      else return;
      this.follow();
    });
  }

  /** Whether the browser can show notifications: only where the page came over a secure way. */
  get possible(): boolean {
    return typeof Notification !== 'undefined' && isSecureContext;
  }

  wants(id: string): boolean {
    return this.#wanted.includes(id);
  }

  toggle(id: string): void {
    if (this.wants(id)) this.#set(this.#wanted.filter((one) => one !== id));
    else {
      this.#set([...this.#wanted, id].slice(-WANTED_MAX));
      void this.ask();
    }
    this.follow();
  }

  wantsSearch(search: Saved): boolean {
    return this.#searches.some((one) => sameSearch(one, search));
  }

  toggleSearch(search: Saved): void {
    if (this.wantsSearch(search)) {
      this.#setSearches(this.#searches.filter((one) => !sameSearch(one, search)));
    } else {
      const { name, shared, query } = search;
      this.#setSearches([...this.#searches, { name, shared, query, since: serverNow() }]);
      void this.ask();
    }
    this.follow();
  }

  /** The searches that are saved now, own or shared: a forgotten one is not told of any more. */
  saved(shared: boolean, searches: readonly Pick<Saved, 'name' | 'query'>[]): void {
    const kept = asSaved(this.#searches, shared, searches);
    if (kept.length === this.#searches.length && kept.every((one, at) => one === this.#searches[at])) return;
    this.#setSearches(kept);
    this.follow();
  }

  /** An execution was started from here. */
  started(id: string): void {
    if (settings.telling !== 'own' || this.wants(id)) return;
    this.#set([...this.#wanted, id].slice(-WANTED_MAX));
    this.follow();
  }

  /** Asks for the browser's permission, once: after that its settings decide. */
  async ask(): Promise<void> {
    if (!this.possible || Notification.permission !== 'default') return;
    await Notification.requestPermission().catch(() => 'denied');
    this.#look();
  }

  /** Listens as long as there is something to tell; to be called when the page starts as well. */
  follow(): void {
    if (this.#wanted.length === 0 && this.#searches.length === 0) {
      this.#unsubscribe?.();
      this.#unsubscribe = null;
    } else {
      this.#unsubscribe ??= live.socket.subscribe({ topic: 'executions' }, (message) => {
        if (message.op === 'execution') this.#take(message.execution);
      });
    }
  }

  /** What ended while nothing was heard is told by nobody: it is asked for. */
  async caughtUp(): Promise<void> {
    for (const id of this.#wanted) {
      try {
        this.#take((await api.execution(id)).execution);
      } catch {
        // Deleted, or no answer: the next time.
      }
    }
    for (const search of this.#searches) {
      const terms = endTerms(search.query);
      if (terms === null) continue;
      try {
        const { executions } = await api.executions({ limit: 100, ...apiFilter(terms) });
        this.#takeMissed(search, executions);
      } catch {
        // No answer: the next time.
      }
    }
  }

  dismiss(id: string): void {
    this.toasts = this.toasts.filter((toast) => toast.id !== id);
    favicon.count = this.toasts.length;
  }

  open(toast: Toast): void {
    this.dismiss(toast.id);
    router().go(toast.to);
  }

  #look(): void {
    this.permission = this.possible ? Notification.permission : 'none';
  }

  #set(wanted: readonly string[]): void {
    this.#wanted = wanted;
    store(WANTED_KEY, wanted.join('\n'));
  }

  #setSearches(searches: readonly ToldSearch[]): void {
    this.#searches = searches;
    store(SEARCHES_KEY, JSON.stringify(searches));
  }

  #remember(ids: readonly string[]): void {
    for (const id of ids) this.#told.add(id);
    store(TOLD_KEY, [...new Set([...words(TOLD_KEY), ...ids])].slice(-TOLD_MAX).join('\n'));
  }

  #take(execution: Execution): void {
    const { id } = execution;
    if (!isEnd(execution) || this.#telling.has(id)) return;
    if (!this.wants(id)) {
      if (this.#told.has(id)) return;
      if (!this.#searches.some((search) => endsIn(search, execution, serverNow()))) return;
    }
    this.#remember([id]);
    this.#telling.add(id);
    void this.#tell(execution).finally(() => this.#telling.delete(execution.id));
  }

  /** What ended of a search while nothing was heard. */
  #takeMissed(search: ToldSearch, executions: readonly Execution[]): void {
    const missed = executions.filter(
      (one) => !this.#told.has(one.id) && !this.wants(one.id) && endsIn(search, one, serverNow()),
    );
    if (missed.length <= EACH_MAX) {
      for (const execution of missed) this.#take(execution);
    } else {
      this.#remember(missed.map(({ id }) => id));
      const failed = missed.filter(({ status }) => status === 'failed');
      this.#show({
        id: `search ${search.shared} ${search.name}`,
        look: lookOf(failed[0] ?? missed[0]!),
        title: t('notify.many', { n: missed.length, name: visible(search.name) }),
        text: failed.length === 0 ? '' : t('notify.manyFailed', { n: failed.length }),
        to: queryLink(search.query),
      });
    }
    const ends = executions.map(({ completed_at }) => parseTime(completed_at) ?? 0);
    const since = Math.max(search.since, ...ends.map((end) => end - LATE_MS));
    if (since === search.since) return;
    this.#setSearches(this.#searches.map((one) => (sameSearch(one, search) ? { ...one, since } : one)));
  }

  async #tell(execution: Execution): Promise<void> {
    let step: Step | null = null;
    if (execution.status === 'failed') {
      try {
        step = failingStep((await api.execution(execution.id)).steps);
      } catch {
        // It is told without the step.
      }
    }
    if (this.wants(execution.id)) {
      this.#set(this.#wanted.filter((id) => id !== execution.id));
      this.follow();
    }
    const look = lookOf(execution);
    const from = parseTime(execution.started_at);
    const to = parseTime(execution.completed_at);
    const parts = [
      from === null || to === null ? null : format().duration((to - from) / 1000),
      step === null ? null : t('notify.step', { step: visible(step.name) }),
    ];
    this.#show({
      id: execution.id,
      look,
      title: t('exec.finished', { name: visible(execution.name), status: t(`status.${look}`) }),
      text: parts.filter((part) => part !== null).join(' · '),
      to: placeOf(execution.id, step),
    });
  }

  #show(toast: Toast): void {
    this.#look();
    if (this.permission === 'granted') {
      // The tag: several tabs tell of the same end, and one notification is seen.
      const note = new Notification(toast.title, { body: toast.text, tag: `stepflow-${toast.id}` });
      note.onclick = () => {
        note.close();
        focus();
        router().go(toast.to);
      };
      return;
    }
    this.toasts = [...this.toasts.filter((one) => one.id !== toast.id), toast].slice(-TOASTS_MAX);
    favicon.count = this.toasts.length;
  }
}

export const notify = new Notify();

/** The address behind a note, for a link that can be opened in a new tab. */
export const toastHref = (toast: Toast): string => at(toast.to);
