// The guide's pictures and links, in both languages.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';

const GUIDE = fileURLToPath(new URL('../../docs/guide', import.meta.url));
const linked = (page) =>
  [...readFileSync(`${GUIDE}/${page}`, 'utf8').matchAll(/\]\(([^)#]+)/g)].map(([, to = '']) => to).filter((to) => !/^https?:/.test(to));
const pictures = (page) => linked(page).filter((to) => to.endsWith('.png'));

it('the guide links to what is there, in both languages', () => {
  for (const page of ['page.md', 'page.zh-CN.md']) {
    for (const to of linked(page)) assert.ok(existsSync(`${GUIDE}/${to}`), `${page}: ${to}`);
  }
});

it('the guide shows the same pictures in both languages, all that there are, in 2 MB', () => {
  const names = (page, language) => pictures(page).map((to) => to.replace(`images/${language}/`, ''));
  assert.deepEqual(names('page.zh-CN.md', 'zh-CN'), names('page.md', 'en'));
  let bytes = 0;
  for (const language of ['en', 'zh-CN']) {
    const there = readdirSync(`${GUIDE}/images/${language}`).sort();
    assert.deepEqual(there, [...new Set(names('page.md', 'en'))].sort());
    for (const name of there) bytes += statSync(`${GUIDE}/images/${language}/${name}`).size;
  }
  assert.ok(bytes < 2_000_000, `${bytes}`);
});

it('the guide has as many sections in one language as in the other', () => {
  const heads = (page) => readFileSync(`${GUIDE}/${page}`, 'utf8').match(/^#+/gm);
  assert.deepEqual(heads('page.zh-CN.md'), heads('page.md'));
});
