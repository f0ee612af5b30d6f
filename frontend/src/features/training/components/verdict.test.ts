import type { Metric } from "@/api/types";
import { verdict } from "@/features/training/components/verdict";

function checks(...losses: number[]): Metric[] {
  return losses.map((valid_loss, at) => ({ step: at * 10, valid_loss }));
}

describe("the sentence under the chart", () => {
  it("tells of the best moment, which is what is kept, where the end was worse", () => {
    expect(verdict(checks(4.77, 4.36, 5.4), true)).toMatch(/^It got better .* kept from its best moment/);
    expect(verdict(checks(4.77, 4.36, 5.4), false)).toMatch(/best point so far is kept in mind/);
  });

  it("is glad of a gain that the last check lost a little of", () => {
    expect(verdict(checks(4, 3.93, 3.98), true)).toBe("It got better on examples it has not seen.");
  });

  it("claims no gain where no check was better than the base model", () => {
    expect(verdict(checks(4, 4.2, 4.4, 4.6, 4.9), true)).toMatch(/^It did not get better/);
    expect(verdict(checks(4, 4.2, 4.4, 4.6, 4.9), false)).toMatch(/gets no better/);
    expect(verdict(checks(4, 4.01), false)).toMatch(/^No change yet/);
  });

  it("says how it goes while it learns", () => {
    expect(verdict(checks(4, 3.5, 3), false)).toMatch(/^It is getting better/);
    expect(verdict(checks(4, 3, 3, 3), false)).toMatch(/levelling off/);
  });
});
