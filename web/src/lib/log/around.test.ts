import { describe, expect, it } from 'vitest';
import type { LogMeta } from '$lib/api/types';
import { news, type Seen } from './announce';
import { countOf } from './count';

const meta = (change: Partial<LogMeta>): LogMeta => ({
  lines: 10,
  bytes: 100,
  scanned_lines: 10,
  complete: true,
  counts: { error: 0, warning: 0, notice: 0, debug: 0, other: 10 },
  stderr_lines: 0,
  first_error: null,
  steps: [],
  ranges: [{ step: null, first_line: 1, last_line: null }],
  gaps: [],
  safe_bytes: 100,
  stored_bytes: 4096,
  compressed: false,
  ended: true,
  utc_offset_min: 0,
  ...change,
});

describe('L25: the line count', () => {
  it('says "no gaps" only when numbers are contiguous and the server confirms it', () => {
    expect(countOf(meta({}), 10)).toEqual({ kind: 'whole' });
    expect(countOf(null, 10)).toEqual({ kind: 'plain' });
    expect(countOf(meta({ complete: false }), 10)).toEqual({ kind: 'plain' });
    expect(countOf(meta({}), 11)).toEqual({ kind: 'plain' });
    expect(countOf(meta({ ended: false, safe_bytes: null }), 10)).toEqual({ kind: 'plain' });
    const holed = [
      { step: null, first_line: 1, last_line: 4 },
      { step: 0, first_line: 6, last_line: null },
    ];
    expect(countOf(meta({ ranges: holed }), 10)).toEqual({ kind: 'plain' });
  });

  it('names gaps and what is not confirmed', () => {
    const gap = { line: 7, bytes: null, reason: 'recovered', message: '' };
    expect(countOf(meta({ gaps: [gap] }), 10)).toEqual({ kind: 'gaps', gaps: 1, first: 7 });
    expect(countOf(meta({ safe_bytes: null }), 10)).toEqual({ kind: 'unsynced', bytes: 100 });
    expect(countOf(meta({ safe_bytes: 60 }), 10)).toEqual({ kind: 'unsynced', bytes: 40 });
  });
});

describe('A3: what a screen reader is told', () => {
  const seen = (lines: number, errors: number, status = 'running'): Seen => ({
    lines,
    errors,
    steps: new Map([[0, status]]),
  });
  it('is what is new, in sum', () => {
    expect(news(seen(5, 0), seen(5, 0))).toBe(null);
    expect(news(seen(5, 0), seen(9, 2))).toEqual({ lines: 4, errors: 2, step: null });
    expect(news(seen(5, 1), seen(5, 1, 'failed'))).toEqual({ lines: 0, errors: 0, step: 0 });
  });
});
