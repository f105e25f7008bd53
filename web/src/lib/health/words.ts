// What the server measured, in the reader's language: it says what it is by stable words, with
// figures. A word that this page does not know is told in the server's own words.

import type { Component, Finding } from '$lib/api/types';
import { format, t } from '$lib/i18n/index.svelte';

const FINDINGS = [
  'slow-commits',
  'slow-reads',
  'wal-large',
  'cache-hit-ratio',
  'fragmentation',
  'queue',
  'commits-failed',
  'busy',
] as const;
type Known = (typeof FINDINGS)[number];

const known = (what: string): Known | null => FINDINGS.find((one) => one === what) ?? null;

/** A figure with its unit. */
export function figure(value: number, unit: Finding['unit']): string {
  switch (unit) {
    case 'seconds':
      return `${format().number.format(value * 1000)} ms`;
    case 'bytes':
      return format().bytes(value);
    case 'ratio':
      return format().percent(value);
    case 'count':
      return format().count(value);
  }
}

/** What a finding says, and what to do. */
export function ofFinding(finding: Finding): { detail: string; remedy: string } {
  const what = known(finding.what);
  if (what === null) return finding;
  const measured = figure(finding.measured, finding.unit);
  const threshold = figure(finding.threshold, finding.unit);
  return { detail: t(`health.found.${what}`, { measured, threshold }), remedy: t(`health.do.${what}`) };
}

/** How one part of the server is. `findings`: what the part "database" may be told by. */
export function ofPart(part: Component, findings: readonly Finding[]): string {
  const { what, figures, detail } = part;
  const n = (name: string) => figures[name] ?? 0;
  const count = (name: string) => format().count(n(name));
  // What the system answered stands behind the colon.
  const cause = detail.slice(detail.indexOf(': ') + 2);
  switch (what) {
    case 'executions':
      return t('health.part.executions', { n: n('executions') });
    case 'clients':
      return t('health.part.clients', { n: n('clients') });
    case 'places':
    case 'queue-full':
    case 'ends-with-container':
      return t(`health.part.${what}`, { running: count('running'), max: count('running_max'), waiting: count('waiting') });
    case 'turned-away':
      return t('health.part.turned-away');
    case 'catalog-rebuilding':
      return t('health.part.catalog-rebuilding', { n: n('executions') });
    case 'catalog-rebuilt':
      return t(n('lost') > 0 ? 'health.part.catalog-rebuilt' : 'health.part.catalog-written-again');
    case 'catalog-broken':
      return t('health.part.catalog-broken', { cause });
    case 'files':
      return t('health.part.files', { ratio: format().percent(n('ratio')) });
    case 'recorders-failed':
      return t('health.part.recorders-failed', { n: n('failed') });
    case 'space':
    case 'space-low':
    case 'space-refused':
    case 'space-out': {
      const left = t('health.part.space', { free: format().bytes(n('free_bytes')), ratio: format().percent(n('ratio')) });
      if (what === 'space-refused') return t('health.part.space-refused', { left });
      return what === 'space-out' ? t('health.part.space-out', { left }) : left;
    }
    case 'ends-with-unit':
      return t('health.part.ends-with-unit', { cause });
    case 'unreadable':
      return t('health.part.unreadable', { cause });
    case 'no-answer':
      return t('health.part.no-answer', { cause });
    default: {
      const found = findings.find((finding) => finding.what === what);
      return found === undefined ? detail : ofFinding(found).detail;
    }
  }
}
