import type { en } from './en';

/** A text, or one that depends on the count `n`. */
export type Message = string | { readonly one?: string; readonly other: string };

export type Key = keyof typeof en;

/** A catalogue without one of English's keys, or with one more, does not compile. */
export type Catalogue = { readonly [K in Key]: (typeof en)[K] extends string ? string : Message };

type Holes<S> = S extends `${string}{${infer Hole}}${infer Rest}` ? Hole | Holes<Rest> : never;
type Texts<M> = M extends string ? M : M extends { other: infer Other } ? Other : never;

/** The values that the message `K` wants: none, or one for each `{hole}` of the English text. */
export type Args<K extends Key> = [Holes<Texts<(typeof en)[K]>>] extends [never]
  ? []
  : [values: Record<Holes<Texts<(typeof en)[K]>>, string | number>];

/** Fills in `message`. A number is written as the language writes numbers. */
export function fill(
  message: Message,
  values: Record<string, string | number>,
  plural: Intl.PluralRules,
  number: Intl.NumberFormat,
): string {
  let text: string;
  if (typeof message === 'string') {
    text = message;
  } else {
    const form = plural.select(Number(values.n ?? 0));
    text = (form === 'one' ? message.one : undefined) ?? message.other;
  }
  return text.replace(/\{(\w+)\}/g, (hole, name: string) => {
    const value = values[name];
    if (value === undefined) return hole;
    return typeof value === 'number' ? number.format(value) : value;
  });
}
