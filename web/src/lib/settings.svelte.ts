// What the reader chose; kept in this browser where it keeps anything.

export type Theme = 'system' | 'light' | 'dark';
export type TimeMode = 'off' | 'relative' | 'absolute';

function read<T extends string>(key: string, allowed: readonly T[], otherwise: T): T {
  try {
    const value = localStorage.getItem(key);
    return allowed.find((one) => one === value) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // No storage: the choice lasts as long as the page.
  }
}

function browserLanguage(): 'en' | 'zh-CN' {
  const languages = typeof navigator === 'undefined' ? [] : navigator.languages;
  for (const language of languages) {
    if (language.toLowerCase().startsWith('zh')) return 'zh-CN';
    if (language.toLowerCase().startsWith('en')) return 'en';
  }
  return 'en';
}

class Settings {
  #theme = $state<Theme>(read('sf.theme', ['system', 'light', 'dark'], 'system'));
  #language = $state(read<'en' | 'zh-CN'>('sf.lang', ['en', 'zh-CN'], browserLanguage()));
  #timeMode = $state<TimeMode>(read('sf.time', ['off', 'relative', 'absolute'], 'off'));

  get theme(): Theme {
    return this.#theme;
  }
  set theme(value: Theme) {
    this.#theme = value;
    write('sf.theme', value);
    if (value === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = value;
  }

  get language(): 'en' | 'zh-CN' {
    return this.#language;
  }
  set language(value: 'en' | 'zh-CN') {
    this.#language = value;
    write('sf.lang', value);
    document.documentElement.lang = value;
  }

  get timeMode(): TimeMode {
    return this.#timeMode;
  }
  set timeMode(value: TimeMode) {
    this.#timeMode = value;
    write('sf.time', value);
  }
}

export const settings = new Settings();
