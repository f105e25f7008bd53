// Tags as people write them, and what a change of them makes of those that are there.

/** `nightly, release  日本`: words between commas or white space, each once. */
export function readTags(text: string): string[] {
  return [...new Set(text.split(/[,\s]+/).filter((tag) => tag !== ''))];
}

/** The tags that `has` leads to: without `off`, with `on` behind. */
export function changeTags(has: readonly string[], on: readonly string[], off: readonly string[]): string[] {
  return [...new Set([...has.filter((tag) => !off.includes(tag)), ...on])];
}
