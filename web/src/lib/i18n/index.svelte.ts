import { Formatter } from '$lib/format/formatter';
import { settings } from '$lib/settings.svelte';
import { en } from './en';
import { fill, type Args, type Catalogue, type Key, type Message } from './message';
import { pseudo } from './pseudo';
import { zhCN } from './zh-CN';

export type { Key } from './message';

/** The languages, each by its own name. */
export const LANGUAGES = { en: 'English', 'zh-CN': '简体中文' } as const;
export type Language = keyof typeof LANGUAGES;

const CATALOGUES: Record<Language, Catalogue> = { en, 'zh-CN': zhCN };

const formatters: Record<Language, Record<'local' | 'utc', Formatter>> = {
  en: { local: new Formatter('en'), utc: new Formatter('en', true) },
  'zh-CN': { local: new Formatter('zh-CN'), utc: new Formatter('zh-CN', true) },
};

/** Numbers, times, durations and sizes in the current language. */
export function format(): Formatter {
  return formatters[settings.language][settings.moments === 'utc' ? 'utc' : 'local'];
}

function message(key: Key): Message {
  const text: Message = CATALOGUES[settings.language][key];
  if (!settings.pseudo) return text;
  if (typeof text === 'string') return pseudo(text);
  return { other: pseudo(text.other), ...(text.one !== undefined && { one: pseudo(text.one) }) };
}

/** The text `key` in the current language. */
export function t<K extends Key>(key: K, ...args: Args<K>): string {
  const { plural, number } = format();
  return fill(message(key), args[0] ?? {}, plural, number);
}

/** The text around a `{hole}` that is filled with an element. */
export function around(key: Key, hole: string): [before: string, after: string] {
  const { plural, number } = format();
  const text = fill(message(key), {}, plural, number);
  const [before = '', after = ''] = text.split(`{${hole}}`);
  return [before, after];
}
