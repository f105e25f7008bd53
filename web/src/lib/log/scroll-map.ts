/** Browsers give up between 11 and 33 million pixels; one does at 18. */
export const SPACER_MAX_PX = 8_000_000;
/** This much at either end is never scaled. */
const EDGE_PX = 400_000;
/** A larger move than this many views is a drag of the scrollbar's thumb. */
const SMALL_VIEWS = 4;

/**
 * Maps where the browser has scrolled to (`top`, in a spacer of bounded height) to where the view
 * is in a document of any height (`real`). Small moves are 1:1 everywhere, so wheel, keys and touch
 * feel the same in any log; only drags of the thumb are scaled. Both ends are exact.
 */
export class ScrollMap {
  #realHeight = 0;
  #view = 0;
  #real = 0;
  #top = 0;

  /** The height of the spacer. */
  get height(): number {
    return Math.min(this.#realHeight, SPACER_MAX_PX);
  }

  /** Where the view begins in the document. */
  get real(): number {
    return this.#real;
  }

  /** What to add to a place in the spacer to get a place in the document. */
  get offset(): number {
    return this.#real - this.#top;
  }

  get realMax(): number {
    return Math.max(0, this.#realHeight - this.#view);
  }

  get #topMax(): number {
    return Math.max(0, this.height - this.#view);
  }

  /**
   * The document or the view has another height. The place in the document stays, and so does the
   * thumb where it can: a log that grows under a reader must not fight the reader's scrolling.
   * Returns where the browser must scroll to.
   */
  resize(realHeight: number, view: number): number {
    this.#realHeight = realHeight;
    this.#view = view;
    if (this.#real > this.realMax) return this.goto(this.realMax);
    if (realHeight <= SPACER_MAX_PX) this.#top = this.#real;
    else if (this.#top > this.#topMax || this.#stuck()) this.settle();
    return this.#top;
  }

  /** Goes to `real`; returns where the browser must scroll to. */
  goto(real: number): number {
    this.#real = Math.min(Math.max(0, real), this.realMax);
    const top = this.#topOf(this.#real);
    this.#top = this.#realHeight <= SPACER_MAX_PX ? top : Math.round(top);
    return this.#top;
  }

  /**
   * The browser has scrolled to `top`. Returns where it must be put instead when it has run into
   * an end of the spacer that is not an end of the document, else `null`.
   */
  scrolled(top: number): number | null {
    const delta = top - this.#top;
    this.#top = top;
    if (this.#realHeight <= SPACER_MAX_PX) {
      this.#real = top;
      return null;
    }
    if (Math.abs(delta) > SMALL_VIEWS * this.#view) {
      this.#real = this.#realOf(top);
      return null;
    }
    this.#real = Math.min(Math.max(0, this.#real + delta), this.realMax);
    return delta !== 0 && this.#stuck() ? this.settle() : null;
  }

  /** Scrolling has stopped: where to put the thumb so that it tells the truth; `null`: it does. */
  settle(): number | null {
    const top = Math.round(this.#topOf(this.#real));
    if (Math.abs(top - this.#top) < 2) return null;
    this.#top = top;
    return top;
  }

  /** At an end of the spacer but not of the document, or the other way round. */
  #stuck(): boolean {
    const atStart = this.#top <= 0;
    const atEnd = this.#top >= this.#topMax;
    return atStart !== this.#real <= 0 || atEnd !== this.#real >= this.realMax;
  }

  #topOf(real: number): number {
    const { realMax } = this;
    const topMax = this.#topMax;
    if (realMax <= topMax || real <= EDGE_PX) return Math.min(real, topMax);
    if (real >= realMax - EDGE_PX) return topMax - (realMax - real);
    const share = (real - EDGE_PX) / (realMax - 2 * EDGE_PX);
    return EDGE_PX + share * (topMax - 2 * EDGE_PX);
  }

  #realOf(top: number): number {
    const { realMax } = this;
    const topMax = this.#topMax;
    if (top <= EDGE_PX) return Math.max(0, top);
    if (top >= topMax - EDGE_PX) return Math.min(realMax, realMax - (topMax - top));
    const share = (top - EDGE_PX) / (topMax - 2 * EDGE_PX);
    return EDGE_PX + share * (realMax - 2 * EDGE_PX);
  }
}
