/** Browsers draw nothing higher than 17 to 33 million pixels; a million rows are higher. */
const MAX_CANVAS_PX = 8_000_000;
/** At both ends a pixel of the scroll bar is a pixel of the list, so that the first and the last row are reached. */
const END_PX = 1_000_000;

/** Where a place of a list of any length lies on a canvas that a browser can draw, and back. */
export class LongScroll {
  readonly canvas: number;

  constructor(readonly total: number) {
    this.canvas = Math.min(total, MAX_CANVAS_PX);
  }

  get isLong(): boolean {
    return this.total > this.canvas;
  }

  toList(canvasTop: number): number {
    if (!this.isLong || canvasTop <= END_PX) return canvasTop;
    const fromEnd = this.canvas - canvasTop;
    if (fromEnd <= END_PX) return this.total - fromEnd;
    return END_PX + (canvasTop - END_PX) * this.ratio;
  }

  toCanvas(listTop: number): number {
    if (!this.isLong || listTop <= END_PX) return listTop;
    const fromEnd = this.total - listTop;
    if (fromEnd <= END_PX) return this.canvas - fromEnd;
    return END_PX + (listTop - END_PX) / this.ratio;
  }

  private get ratio(): number {
    return (this.total - 2 * END_PX) / (this.canvas - 2 * END_PX);
  }
}
