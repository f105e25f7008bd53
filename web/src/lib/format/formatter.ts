/** Writes figures as one language writes them. Everything goes through `Intl`. */
export class Formatter {
  readonly plural: Intl.PluralRules;
  readonly number: Intl.NumberFormat;
  readonly #percent: Intl.NumberFormat;
  readonly #relative: Intl.RelativeTimeFormat;
  readonly #dateTime: Intl.DateTimeFormat;
  readonly #date: Intl.DateTimeFormat;
  readonly #short: Intl.DateTimeFormat;
  readonly #shortYear: Intl.DateTimeFormat;
  readonly #zone: string;
  readonly #units = new Map<string, Intl.NumberFormat>();
  readonly #locale: string;

  /** `utc`: dates and times are those of UTC, and say so; else of the browser's zone. */
  constructor(locale: string, utc = false) {
    this.#locale = locale;
    const zone = utc ? { timeZone: 'UTC' } : {};
    this.#zone = utc ? '\u00a0UTC' : '';
    this.plural = new Intl.PluralRules(locale);
    this.number = new Intl.NumberFormat(locale);
    this.#percent = new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 1 });
    this.#relative = new Intl.RelativeTimeFormat(locale, { style: 'short', numeric: 'auto' });
    this.#dateTime = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium', ...zone });
    this.#date = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', ...zone });
    const short = { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23', ...zone } as const;
    this.#short = new Intl.DateTimeFormat(locale, short);
    this.#shortYear = new Intl.DateTimeFormat(locale, { year: 'numeric', ...short });
  }

  /** `1,284` */
  count(value: number): string {
    return this.number.format(value);
  }

  /** A ratio from 0 to 1 as `96.1%`. */
  percent(ratio: number): string {
    return this.#percent.format(ratio);
  }

  /**
   * Seconds as people read them: `0.24s`, `1.2s`, `48s`, `3m 12s`, `1h 02m`, `2d 04h`. Cut, not
   * rounded: a clock that counts up never shows a second that is not over.
   */
  duration(seconds: number): string {
    const s = Math.max(0, seconds);
    if (s < 1) return this.#unit(Math.floor(s * 100) / 100, 'second', 2);
    if (s < 60) return this.#unit(Math.floor(s * 10) / 10, 'second', 1);
    const whole = Math.floor(s);
    if (whole < 3600) {
      return `${this.#unit(Math.floor(whole / 60), 'minute')} ${this.#unit(whole % 60, 'second', 0, 2)}`;
    }
    if (whole < 86_400) {
      const minutes = Math.floor((whole % 3600) / 60);
      return `${this.#unit(Math.floor(whole / 3600), 'hour')} ${this.#unit(minutes, 'minute', 0, 2)}`;
    }
    const hours = Math.floor((whole % 86_400) / 3600);
    return `${this.#unit(Math.floor(whole / 86_400), 'day')} ${this.#unit(hours, 'hour', 0, 2)}`;
  }

  /** As {@link duration}, where milliseconds matter: `12ms`. */
  milliseconds(ms: number): string {
    return ms < 1000 ? this.#unit(Math.round(ms), 'millisecond') : this.duration(ms / 1000);
  }

  /** A running clock: whole seconds only, so that the figure does not flicker. */
  ticking(seconds: number): string {
    const s = Math.max(0, seconds);
    return s < 60 ? this.#unit(Math.floor(s), 'second') : this.duration(s);
  }

  /** Bytes in powers of 1000: `12.4 MB`. */
  bytes(bytes: number): string {
    const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const;
    let value = bytes;
    let power = 0;
    while (value >= 999.5 && power < units.length - 1) {
      value /= 1000;
      power += 1;
    }
    // Languages write out `byte` where they write `kB`: the symbol is the same in all of ours.
    if (power === 0) return `${this.number.format(value)}\u00a0B`;
    const digits = value >= 100 ? 0 : 1;
    return this.#unit(value, units[power] ?? 'byte', digits, 1, 'short');
  }

  /** How long ago `time` was, at `now`; both milliseconds. */
  ago(time: number, now: number): string {
    const seconds = Math.round((time - now) / 1000);
    const size = Math.abs(seconds);
    if (size < 10) return this.#relative.format(0, 'second');
    if (size < 60) return this.#relative.format(seconds, 'second');
    if (size < 3600) return this.#relative.format(Math.trunc(seconds / 60), 'minute');
    if (size < 86_400) return this.#relative.format(Math.trunc(seconds / 3600), 'hour');
    return this.#relative.format(Math.trunc(seconds / 86_400), 'day');
  }

  /** Date and time: `Jan 2, 2026, 3:04:05 PM`. */
  dateTime(time: number): string {
    return this.#dateTime.format(time) + this.#zone;
  }

  /** The same in few letters, for lists: `Jan 2, 15:04`; of another year than `now`'s with the year. */
  moment(time: number, now: number): string {
    const same = new Date(time).getUTCFullYear() === new Date(now).getUTCFullYear();
    return (same ? this.#short : this.#shortYear).format(time) + this.#zone;
  }

  /** The day alone. */
  date(time: number): string {
    return this.#date.format(time);
  }

  #unit(
    value: number,
    unit: string,
    digits = 0,
    pad = 1,
    unitDisplay: 'narrow' | 'short' = 'narrow',
  ): string {
    const key = `${unit} ${digits} ${pad} ${unitDisplay}`;
    let format = this.#units.get(key);
    if (format === undefined) {
      format = new Intl.NumberFormat(this.#locale, {
        style: 'unit',
        unit,
        unitDisplay,
        minimumIntegerDigits: pad,
        maximumFractionDigits: digits,
      });
      this.#units.set(key, format);
    }
    return format.format(value);
  }
}
