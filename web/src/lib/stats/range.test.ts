import { describe, expect, it } from 'vitest';
import { spanOf } from './range';
import { fileName } from './save';

const NOW = Date.parse('2026-11-22T20:30:00Z');
const of = (query: string) => spanOf(new URLSearchParams(query), NOW, true);

describe('U6: the range of statistics', () => {
  it('U6: is a length up to now, a week unless the address says otherwise', () => {
    expect(of('')).toEqual({ since: NOW - 7 * 86_400_000, until: null, range: '7d' });
    expect(of('range=24h').since).toBe(NOW - 86_400_000);
    expect(of('range=forever').range).toBe('7d');
  });

  it('U6: or whole days, the last one included', () => {
    expect(of('from=2026-11-01&to=2026-11-02')).toEqual({
      since: Date.parse('2026-11-01T00:00:00Z'),
      until: Date.parse('2026-11-03T00:00:00Z'),
      range: null,
    });
    expect(of('from=2026-11-20').until).toBeNull();
    expect(of('from=2026-11-20&to=2026-11-22').until).toBeNull(); // Today is not over.
  });

  it('U6: what is no range is not asked for', () => {
    for (const bad of ['from=2026-06-31', 'from=2026-11-03&to=2026-11-01', 'from=2020-01-01', 'from=2027-01-01', 'from=x', 'to=2026-11-02']) {
      expect(of(bad).range, bad).toBe('7d');
    }
  });

  it('U6: a file is named after its chart', () => {
    expect(fileName('Median duration')).toBe('stepflow-median-duration.csv');
    expect(fileName('耗时中位数')).toBe('stepflow-耗时中位数.csv');
    expect(fileName('../')).toBe('stepflow-data.csv');
  });
});
