import { describe, expect, it } from 'vitest';
import type { Component, Finding } from '$lib/api/types';
import { troubles, verdict, type Part } from './verdict';

const part = (status: Component['status'], detail = 'as it is'): Component => ({ status, detail, what: '', figures: {} });
const fine: Record<Part, Component> = {
  database: part('ok'),
  engine: part('ok'),
  storage: part('ok'),
  websocket: part('ok'),
};
const finding = (level: Finding['level'], what: string): Finding => ({
  level,
  what,
  measured: 2,
  threshold: 1,
  unit: 'seconds',
  detail: `${what} is too much`,
  remedy: 'less of it',
});

describe('what is wrong', () => {
  it('is nothing where all is well', () => {
    expect(troubles(fine, [])).toEqual([]);
    expect(verdict([])).toBe('healthy');
  });

  it('U7: has errors first and keeps the order within a level', () => {
    const all = troubles({ ...fine, storage: part('unhealthy', 'full') }, [
      finding('warning', 'wal'),
      finding('warning', 'reads'),
    ]);
    expect(all.map((trouble) => trouble.key)).toEqual(['part storage', 'finding wal', 'finding reads']);
    expect(verdict(all)).toBe('unhealthy');
  });

  it('tells the catalog by its findings, not twice', () => {
    const all = troubles({ ...fine, database: part('degraded') }, [finding('warning', 'wal')]);
    expect(all.map((trouble) => trouble.key)).toEqual(['finding wal']);
    expect(verdict(all)).toBe('degraded');
  });

  it('U7: never hides a catalog that does not answer behind a warning', () => {
    const all = troubles({ ...fine, database: part('unhealthy') }, [finding('warning', 'wal')]);
    expect(all[0]?.key).toBe('part database');
    expect(verdict(all)).toBe('unhealthy');
  });
});
