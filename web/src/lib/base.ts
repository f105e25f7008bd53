// The path under which a proxy offers the server: it stands before every address of ours.

/** Empty, or as in `/stepflow`: what stands before the script's own place. */
export const base = import.meta.env.PROD
  ? new URL(import.meta.url).pathname.replace(/\/assets\/[^/]*$/, '')
  : '';

/** The address of `path`, which begins with a slash. */
export function at(path: string): string {
  return base + path;
}
