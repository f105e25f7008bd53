// What the reader does to the log, told apart from what the page does: a position cannot tell them.

import type { Intent } from './follow';

export interface InputSink {
  intend(intent: Intent): void;
  scrolled(): void;
  /** The scrolling that follows is the reader's; `up`: away from the end. */
  reader(up: boolean): void;
  scrollable(): boolean;
  end(): void;
  home(): void;
  /** Something in a row was pressed; `true`: that was for us. */
  pressed(target: Element, shift: boolean): boolean;
}

export class Input {
  #touchY = 0;

  constructor(scroller: HTMLElement, signal: AbortSignal, sink: InputSink) {
    const passive = { passive: true, signal };
    scroller.addEventListener('scroll', () => sink.scrolled(), passive);
    scroller.addEventListener(
      'wheel',
      (event) => {
        sink.reader(event.deltaY < 0);
        if (event.deltaY < 0 && sink.scrollable()) sink.intend('scroll-up');
      },
      passive,
    );
    scroller.addEventListener(
      'touchstart',
      (event) => (this.#touchY = event.touches[0]?.clientY ?? 0),
      passive,
    );
    scroller.addEventListener(
      'touchmove',
      (event) => {
        const up = (event.touches[0]?.clientY ?? 0) > this.#touchY;
        sink.reader(up);
        if (up) sink.intend('scroll-up');
      },
      passive,
    );
    scroller.addEventListener(
      'pointerdown',
      (event) => {
        // Beside the content box is the scrollbar.
        if (event.target !== scroller || event.offsetX < scroller.clientWidth) return;
        sink.reader(false);
        sink.intend('scrollbar');
      },
      passive,
    );
    scroller.addEventListener('keydown', (event) => this.#key(event, scroller, sink), { signal });
    scroller.addEventListener(
      'click',
      (event) => {
        if (event.button !== 0 || event.ctrlKey || event.metaKey) return;
        if (!(event.target instanceof Element) || !sink.pressed(event.target, event.shiftKey)) return;
        event.preventDefault();
        event.stopPropagation();
        // A row goes when it scrolls away, and would take the focus with it.
        if (scroller.contains(document.activeElement)) scroller.focus({ preventScroll: true });
      },
      { signal },
    );
  }

  #key(event: KeyboardEvent, scroller: HTMLElement, sink: InputSink): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    // A number or a fold that was pressed has the focus: these keys still move the log.
    const own = event.target === scroller;
    if (!own && !/^(?:Arrow(?:Up|Down)|Page(?:Up|Down)|Home|End)$/.test(event.key)) return;
    sink.reader(/^(?:ArrowUp|PageUp|Home)$/.test(event.key) || (event.key === ' ' && event.shiftKey));
    switch (event.key) {
      case 'End':
        event.preventDefault();
        sink.intend('end');
        sink.end();
        break;
      case 'Home':
        event.preventDefault();
        sink.intend('scroll-up');
        sink.home();
        break;
      case 'ArrowUp':
      case 'PageUp':
        sink.intend('scroll-up');
        break;
      case ' ':
        if (event.shiftKey) sink.intend('scroll-up');
        break;
    }
  }
}
