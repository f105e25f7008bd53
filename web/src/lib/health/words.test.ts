import { describe, expect, it } from 'vitest';
import type { Component, Finding } from '$lib/api/types';
import { ofFinding, ofPart } from './words';

const part = (what: string, figures: Component['figures'] = {}, detail = ''): Component => ({ status: 'ok', detail, what, figures });
const finding = (what: string, measured: number, unit: Finding['unit']): Finding => ({
  level: 'warning',
  what,
  measured,
  threshold: 0.005,
  unit,
  detail: 'as the server says it',
  remedy: 'what it advises',
});

describe('U7: words of health', () => {
  it('U7: figures have the reader’s units', () => {
    expect(ofPart(part('space', { free_bytes: 3 * 2 ** 30, ratio: 0.5 }), [])).toMatch(/3.*free, 50%/);
    expect(ofPart(part('places', { running: 3, running_max: 1000, waiting: 0 }), [])).toBe('3 of 1,000 places taken, 0 wait');
    expect(ofPart(part('ends-with-unit', {}, 'a stop of the unit kills executions: a.service'), [])).toMatch(/^a stop of a\.service kills/);
    expect(ofPart(part('ends-with-container', { running: 0, running_max: 9, waiting: 0 }), [])).toMatch(/^0 of 9 .*container$/);
    expect(ofPart(part('clients', { clients: 1 }), [])).toBe('1 viewer');
    expect(ofPart(part('executions', { executions: 2 }), [])).toBe('2 executions');
    expect(ofFinding(finding('slow-commits', 0.02, 'seconds')).detail).toMatch(/20 ms or more; more than 5 ms/);
    expect(ofFinding(finding('wal-large', 100 * 2 ** 20, 'bytes')).detail).toBe('the write-ahead log has 105 MB');
  });

  it('U7: the system’s own answer stays as it is', () => {
    const gone = part('no-answer', {}, 'it does not answer: disk I/O error: 5');
    expect(ofPart(gone, [])).toBe('it does not answer: disk I/O error: 5');
  });

  it('U7: a part that is told by a finding says the same', () => {
    const found = finding('fragmentation', 0.6, 'ratio');
    expect(ofPart(part('fragmentation', {}, 'fragmentation: 60 %'), [found])).toBe(ofFinding(found).detail);
  });

  it('U7: what this page does not know is told in the server’s words', () => {
    const strange = finding('toString', 1, 'count');
    expect(ofFinding(strange)).toMatchObject({ detail: 'as the server says it', remedy: 'what it advises' });
    expect(ofPart(part('toString', {}, 'so it is'), [])).toBe('so it is');
  });
});
