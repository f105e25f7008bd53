import { expect, it } from 'vitest';
import { contrast, readable, setGround } from './contrast';

const rgb = (text: string) => text.match(/\d+/g)!.map(Number) as unknown as readonly [number, number, number];

it('L9: every colour of the cube can be read on every background', () => {
  for (const ground of ['rgb(255, 255, 255)', 'rgb(13, 17, 23)', 'rgb(34, 39, 46)', 'rgb(0, 0, 0)']) {
    setGround(ground, true);
    for (let r = 0; r <= 255; r += 51) {
      for (let g = 0; g <= 255; g += 51) {
        for (let b = 0; b <= 255; b += 51) {
          const shown = readable(`rgb(${r},${g},${b})`, null);
          expect(contrast(rgb(shown), rgb(ground)), `${r},${g},${b} on ${ground}`).toBeGreaterThanOrEqual(4.5);
        }
      }
    }
  }
});

it('L9: a colour that can be read stays, and all stay when that is asked for', () => {
  setGround('rgb(255, 255, 255)', true);
  expect(readable('rgb(0,0,95)', null)).toBe('rgb(0,0,95)');
  setGround('rgb(255, 255, 255)', false);
  expect(readable('rgb(255,255,0)', null)).toBe('rgb(255,255,0)');
  setGround('rgb(255, 255, 255)', true);
});
