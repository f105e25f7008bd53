import { Formatter } from '$lib/format/formatter';
import { settings } from '$lib/settings.svelte';
import { en } from './en';
import { fill, type Args, type Catalogue, type Key } from './message';
import { zhCN } from './zh-CN';

export type { Key } from './message';

/** The languages, each by its own name. */
export const LANGUAGES = { en: 'English', 'zh-CN': '简体中文' } as const;
export type Language = keyof typeof LANGUAGES;

const CATALOGUES: Record<Language, Catalogue> = { en, 'zh-CN': zhCN };

const formatters: Record<Language, Formatter> = {
  en: new Formatter('en'),
  'zh-CN': new Formatter('zh-CN'),
};

/** Numbers, times, durations and sizes in the current language. */
export function format(): Formatter {
  return formatters[settings.language];
}

/** The text `key` in the current language. */
export function t<K extends Key>(key: K, ...args: Args<K>): string {
  const { plural, number } = format();
  return fill(CATALOGUES[settings.language][key], args[0] ?? {}, plural, number);
}

/** The text around a `{hole}` that is filled with an element. */
export function around(key: Key, hole: string): [before: string, after: string] {
  const { plural, number } = format();
  const text = fill(CATALOGUES[settings.language][key], {}, plural, number);
  const [before = '', after = ''] = text.split(`{${hole}}`);
  return [before, after];
}
