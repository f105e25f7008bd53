import { expect, it } from 'vitest';
import { lineSpan, parseRoute, redirect, safePlace } from './router.svelte';

it.each([
  ['/', { page: 'dashboard' }],
  ['/executions', { page: 'executions' }],
  ['/executions/', { page: 'executions' }],
  ['/executions/a%2Fb', { page: 'execution', id: 'a/b' }],
  ['/executions/%zz', { page: 'missing', path: '/executions/%zz' }],
  ['/login', { page: 'login' }],
  ['/nope', { page: 'missing', path: '/nope' }],
])('U9: %s', (path, route) => {
  expect(parseRoute(path)).toEqual(route);
});

it.each([
  ['/execution?id=X&tab=details#L3', '/executions/X?tab=details#L3'],
  ['/execution', '/executions'],
  ['/history?status=failed', '/executions?status=failed'],
  ['/executions', null],
])('U10: the old link %s', (from, to) => {
  expect(redirect(new URL(from, 'http://x'))).toBe(to);
});

it.each([
  ['#L120', { from: 120, to: 120 }],
  ['#L120-L180', { from: 120, to: 180 }],
  ['#L180-120', { from: 120, to: 180 }],
  ['#L0', null],
  ['#code=x', null],
  ['', null],
])('L16: the lines of %s', (hash, span) => {
  expect(lineSpan(hash)).toEqual(span);
});

it.each([
  [null, '/'],
  ['/executions/x?tab=log#L3', '/executions/x?tab=log#L3'],
  ['//evil.example', '/'],
  ['/\\evil.example', '/'],
  ['https://evil.example', '/'],
  ['/login?next=/', '/'],
])('after logging in, %s leads to %s', (next, place) => {
  expect(safePlace(next)).toBe(place);
});
