import { expect, it } from 'vitest';
import { parseRemembered, remember, type Remembered } from './recent-commands';

const one = (command: string, tags = ''): Remembered => ({
  command,
  args: '',
  name: '',
  cwd: '',
  env: '',
  tags,
  timeout: '',
  shell: true,
  stopOnError: false,
});

it('keeps the last values of a command, the latest first, twenty at most', () => {
  expect(remember([one('a'), one('b', 'old')], one('b', 'new'))).toEqual([one('b', 'new'), one('a')]);
  const many = Array.from({ length: 30 }, (_, n) => one(`c${n}`));
  expect(remember(many, one('x'))).toHaveLength(20);
});

it.each([null, '', '{', '{}', '[1,null,{"command":1}]'])('reads %s as nothing', (text) => {
  expect(parseRemembered(text)).toEqual([]);
});
