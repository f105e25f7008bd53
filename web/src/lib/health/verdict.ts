import type { Component, Finding, HealthStatus } from '$lib/api/types';
import { ofFinding, ofPart } from './words';

export type Part = keyof HealthStatus['components'];

/** Something that somebody should look at, in the reader's words. */
export interface Trouble {
  readonly key: string;
  readonly level: 'warning' | 'error';
  /** The part it is about; `null`: the catalog's own findings name themselves. */
  readonly part: Part | null;
  readonly detail: string;
  readonly remedy: string | null;
}

const PARTS: readonly Part[] = ['database', 'engine', 'storage', 'websocket'];

/**
 * All that is wrong, errors first. A finding says more than the part that it makes degraded, so the
 * part "database" is told by its findings alone where there are any.
 */
export function troubles(
  components: Record<Part, Component>,
  findings: readonly Finding[],
): Trouble[] {
  const all: Trouble[] = findings.map((finding) => ({
    key: `finding ${finding.what}`,
    level: finding.level,
    part: null,
    ...ofFinding(finding),
  }));
  const worst = findings.some((finding) => finding.level === 'error') ? 'unhealthy' : 'degraded';
  for (const part of PARTS) {
    const { status } = components[part];
    if (status === 'ok') continue;
    const told = part === 'database' && findings.length > 0 && (status === 'degraded' || worst === status);
    if (told) continue;
    all.push({
      key: `part ${part}`,
      level: status === 'unhealthy' ? 'error' : 'warning',
      part,
      detail: ofPart(components[part], findings),
      remedy: null,
    });
  }
  return all.sort((a, b) => Number(a.level === 'warning') - Number(b.level === 'warning'));
}

export type Verdict = 'healthy' | 'degraded' | 'unhealthy';

/** The worst of what there is. */
export function verdict(all: readonly Trouble[]): Verdict {
  if (all.some((trouble) => trouble.level === 'error')) return 'unhealthy';
  return all.length > 0 ? 'degraded' : 'healthy';
}
