import { describe, expect, it } from 'vitest';
import { commandOf } from './again';

describe('U3: run again with changes', () => {
  it('U3: keeps arguments apart, and what a shell got as one text', () => {
    expect(commandOf({ args: ['bash', '-c', 'a "b  c"; d'], shell: false })).toEqual({
      command: ['bash', '-c', 'a "b  c"; d'],
      shell: false,
    });
    expect(commandOf({ args: ['/bin/sh', '-c', 'a | b'], shell: true })).toEqual({ command: 'a | b', shell: true });
  });

  it('U3: an argument that no line of the form can hold goes through a shell unchanged', () => {
    expect(commandOf({ args: ['sh', '-c', "echo 'a'\necho b", ''], shell: false })).toEqual({
      command: `sh -c 'echo '\\''a'\\''\necho b' ''`,
      shell: true,
    });
  });
});
