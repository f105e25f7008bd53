import { expect, test } from 'vitest';
import type { Annotation } from '$lib/api/types';
import { noted } from './finds';

const note: Annotation = { code: 'clock_jump', message: 'm', line: 4, step: 1, time: 't' };

test('what the recorder notes is a warning of its own', () => {
  expect(noted(note)).toEqual({ line: 4, step: 1, level: 'warning', source: 'recorder', text: 'm' });
});

test('what the script points out has its level and its place', () => {
  const pointed = {
    dialect: 'github', level: 'error', file: 'src/a.ts', line: 3, col: null, end_line: null, end_col: null,
    title: null, code: null, details: null,
  };
  const shown = { line: 4, step: 1, level: 'error', source: 'marker', text: 'src/a.ts:3: m' };
  expect(noted({ ...note, pointed })).toEqual(shown);
  const bare = noted({ ...note, pointed: { ...pointed, file: null, line: null, level: 'notice' } });
  expect([bare.level, bare.text]).toEqual(['notice', 'm']);
});
