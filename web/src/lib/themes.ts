// The names of the looks; src/themes.css has their colours.

export const THEMES = [
  'system',
  'light',
  'dark',
  'dimmed',
  'light-hc',
  'dark-hc',
  'light-cb',
  'dark-cb',
  'light-tritan',
  'dark-tritan',
] as const;
export type Theme = (typeof THEMES)[number];

export const DENSITIES = ['compact', 'normal', 'large'] as const;
export type Density = (typeof DENSITIES)[number];

/** The height of a row of the log in pixels: `--log-row` in src/tokens.css. */
export const LOG_ROW_PX: Readonly<Record<Density, number>> = { compact: 18, normal: 20, large: 26 };
