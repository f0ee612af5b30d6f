import { LongScroll } from "@/features/datasets/rows/long-scroll";

const ROW_PX = 56;

describe("the canvas of a long list", () => {
  it("is the list itself where a browser can draw it", () => {
    const scroll = new LongScroll(10_000 * ROW_PX);
    expect([scroll.isLong, scroll.canvas]).toEqual([false, 560_000]);
    expect([scroll.toList(1234), scroll.toCanvas(1234)]).toEqual([1234, 1234]);
  });

  it("reaches the first and the last of a million rows, pixel by pixel", () => {
    const total = 1_000_000 * ROW_PX;
    const scroll = new LongScroll(total);
    expect(scroll.canvas).toBeLessThan(17_000_000);
    expect(scroll.toList(0)).toBe(0);
    expect(scroll.toList(500)).toBe(500);
    expect(scroll.toList(scroll.canvas - 500)).toBe(total - 500);
  });

  it("comes back to every place, in order and without a gap", () => {
    const total = 1_000_000 * ROW_PX;
    const scroll = new LongScroll(total);
    let before = -1;
    for (let place = 0; place <= total; place += total / 1000) {
      const there = scroll.toCanvas(place);
      expect(there).toBeGreaterThan(before);
      expect(scroll.toList(there)).toBeCloseTo(place, 3);
      before = there;
    }
    expect(scroll.toCanvas(1_000_001) - scroll.toCanvas(1_000_000)).toBeLessThan(1.01);
  });
});
