// What the reader chose; kept in this browser where it keeps anything.

import { DENSITIES, LOG_ROW_PX, THEMES, type Density, type Theme } from './themes';

export type { Density, Theme } from './themes';
export type TimeMode = 'off' | 'relative' | 'step' | 'delta' | 'absolute' | 'utc' | 'server';
/** How a time is written beside a name: how long ago, or when, here or in UTC. */
export type Moments = 'ago' | 'local' | 'utc';
/** What a screen reader is told while a log grows. */
export type Announce = 'off' | 'summary' | 'lines';
/** Whose ends are told about: those asked for one by one, or also those started from here. */
export type Telling = 'asked' | 'own';

/** What is kept under `key`; `null`: nothing, or nothing can be kept. */
export function stored(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function store(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // No storage: the choice lasts as long as the page.
  }
}

function read<T extends string>(key: string, allowed: readonly T[], otherwise: T): T {
  const value = stored(key);
  return allowed.find((one) => one === value) ?? otherwise;
}

function browserLanguage(): 'en' | 'zh-CN' {
  const languages = typeof navigator === 'undefined' ? [] : navigator.languages;
  for (const language of languages) {
    if (language.toLowerCase().startsWith('zh')) return 'zh-CN';
    if (language.toLowerCase().startsWith('en')) return 'en';
  }
  return 'en';
}

function narrow(): boolean {
  return typeof innerWidth === 'number' && innerWidth < 600;
}

/** A language for tests, 40 % longer than English: what it cuts, German would cut as well. */
function wantsPseudo(): boolean {
  if (typeof location === 'undefined') return false;
  const said = new URLSearchParams(location.search).get('lang');
  return said === 'pseudo' || (said === null && stored('sf.lang') === 'pseudo');
}

class Settings {
  readonly pseudo = wantsPseudo();
  #theme = $state<Theme>(read('sf.theme', THEMES, 'system'));
  #density = $state<Density>(read('sf.density', DENSITIES, 'normal'));
  #language = $state(
    this.pseudo ? 'en' : read<'en' | 'zh-CN'>('sf.lang', ['en', 'zh-CN'], browserLanguage()),
  );
  #singleKeys = $state(read('sf.keys', ['on', 'off'], 'on') === 'on');
  #timeMode = $state<TimeMode>(
    read('sf.time', ['off', 'relative', 'step', 'delta', 'absolute', 'utc', 'server'], 'off'),
  );
  // On a narrow screen lines wrap until the reader says otherwise.
  #wrap = $state(read('sf.wrap', ['on', 'off'], narrow() ? 'on' : 'off') === 'on');
  #contrast = $state(read('sf.contrast', ['on', 'off'], 'on') === 'on');
  #announce = $state<Announce>(read('sf.announce', ['off', 'summary', 'lines'], 'summary'));
  #moments = $state<Moments>(read('sf.moments', ['ago', 'local', 'utc'], 'ago'));
  #telling = $state<Telling>(read('sf.tell', ['asked', 'own'], 'asked'));

  constructor() {
    // Another tab chose: this one follows, so that they never look different.
    if (typeof addEventListener === 'undefined') return;
    addEventListener('storage', ({ key }) => {
      if (key === 'sf.theme') this.theme = read('sf.theme', THEMES, 'system');
      else if (key === 'sf.density') this.density = read('sf.density', DENSITIES, 'normal');
      else if (key === 'sf.lang' && !this.pseudo) {
        this.language = read('sf.lang', ['en', 'zh-CN'], this.#language);
      } else if (key === 'sf.keys') this.singleKeys = read('sf.keys', ['on', 'off'], 'on') === 'on';
      else if (key === 'sf.moments') this.moments = read('sf.moments', ['ago', 'local', 'utc'], 'ago');
      else if (key === 'sf.tell') this.telling = read('sf.tell', ['asked', 'own'], 'asked');
    });
  }

  get announce(): Announce {
    return this.#announce;
  }
  set announce(value: Announce) {
    this.#announce = value;
    store('sf.announce', value);
  }

  get theme(): Theme {
    return this.#theme;
  }
  set theme(value: Theme) {
    this.#theme = value;
    store('sf.theme', value);
    if (value === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = value;
  }

  get density(): Density {
    return this.#density;
  }
  set density(value: Density) {
    this.#density = value;
    store('sf.density', value);
    if (value === 'normal') delete document.documentElement.dataset.density;
    else document.documentElement.dataset.density = value;
  }
  /** The height of a row of the log, as `--log-row` says it. */
  get logRowPx(): number {
    return LOG_ROW_PX[this.#density];
  }

  get language(): 'en' | 'zh-CN' {
    return this.#language;
  }
  set language(value: 'en' | 'zh-CN') {
    this.#language = value;
    store('sf.lang', value);
    document.documentElement.lang = value;
  }

  /** Whether single letters are commands. */
  get singleKeys(): boolean {
    return this.#singleKeys;
  }
  set singleKeys(value: boolean) {
    this.#singleKeys = value;
    store('sf.keys', value ? 'on' : 'off');
  }

  /** Whether the log's lines wrap. */
  get wrap(): boolean {
    return this.#wrap;
  }
  set wrap(value: boolean) {
    this.#wrap = value;
    store('sf.wrap', value ? 'on' : 'off');
  }

  /** Whether colours of a log are moved until they can be read. */
  get contrast(): boolean {
    return this.#contrast;
  }
  set contrast(value: boolean) {
    this.#contrast = value;
    store('sf.contrast', value ? 'on' : 'off');
  }

  get timeMode(): TimeMode {
    return this.#timeMode;
  }
  set timeMode(value: TimeMode) {
    this.#timeMode = value;
    store('sf.time', value);
  }

  get moments(): Moments {
    return this.#moments;
  }
  set moments(value: Moments) {
    this.#moments = value;
    store('sf.moments', value);
  }

  get telling(): Telling {
    return this.#telling;
  }
  set telling(value: Telling) {
    this.#telling = value;
    store('sf.tell', value);
  }
}

export const settings = new Settings();
