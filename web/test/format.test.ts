import { expect, test } from "vitest";
import { about, bytes, change, changeGib, clock, clockTenths, duration, foreignDay, GIB, MIB, percent, ratePerMinute, setToday, shortDuration, span, tenths, ticks } from "../src/data/format";
import FIGURES from "./figures.json";

test.each([
  [0, "0 B"],
  [512, "512 B"],
  [2048, "2.0 KiB"],
  [510 * MIB, "510.0 MiB"],
  [GIB, "1.0 GiB"],
  [-88 * MIB, "−88.0 MiB"],
])("%d bytes read %s", (count, text) => expect(bytes(count)).toBe(text));

test("the page shows the figures that the command line shows, also half way between two", () => {
  const told = FIGURES as unknown as Record<string, [number, string][]>;
  for (const [kind, tell] of Object.entries({ bytes, ratePerMinute, percent, tenths })) {
    const figures = told[kind]!;
    expect(figures.length).toBeGreaterThan(200);
    expect(figures.map(([figure]) => tell(figure))).toEqual(figures.map(([, text]) => text));
  }
});

test("a change has its sign, and none where nothing moved", () => {
  expect(change(3 * GIB)).toBe("+3.0 GiB");
  expect(change(-3 * GIB)).toBe("−3.0 GiB");
  expect(change(0)).toBe("0.0 GiB");
  expect(changeGib(10 * MIB)).toBe("0.0");
  expect(changeGib(-2 * GIB)).toBe("−2.0");
  expect(ratePerMinute(GIB / 60)).toBe("+1.0 GiB/min");
});

test.each([
  [0, "0 s"],
  [49.6, "50 s"],
  [60, "1 min"],
  [169, "2 min 49 s"],
  [3 * 3600 + 300, "3 h 5 min"],
  [5 * 86_400, "5 d"],
])("%d seconds read %s", (seconds, text) => expect(duration(seconds)).toBe(text));

test("what takes less than a second is told in ms", () => {
  expect(shortDuration(0.0029)).toBe("2.9 ms");
  expect(shortDuration(0.026)).toBe("26 ms");
});

test("a prediction is rounded as much as it is uncertain", () => {
  expect(about(12)).toBe("seconds");
  expect(about(48)).toBe("about 50 s");
  expect(about(190)).toBe("about 3 min");
});

test("tenths do not run over into a second that has not come", () => {
  expect(clockTenths(1_700_000_000.99, 1_700_000_000)).toMatch(/:\d\d\.9$/);
});

test("the date stands before times of another day than the newest sample's alone", () => {
  const noon = new Date(2027, 0, 15, 12, 0, 0).getTime() / 1000;
  setToday(noon);
  expect(clock(noon + 60)).toBe("12:01:00");
  expect(clock(noon - 86_400)).toBe("2027-01-14 12:00:00");
  expect(foreignDay(noon)).toBe("2027-01-15");
  expect(foreignDay(Date.now() / 1000)).toBe("");
});

test("axes have round numbers within the limit", () => {
  expect(ticks(39.5, 4)).toEqual([0, 10, 20, 30]);
  expect(ticks(79.6, 4)).toEqual([0, 20, 40, 60]);
  for (let limit = 0.1; limit < 1000; limit *= 1.37) {
    const found = ticks(limit, 5);
    expect(found.at(-1)).toBeLessThanOrEqual(limit);
    expect(found.length).toBeLessThanOrEqual(6);
  }
});

test("a range that is told alike at both ends is told once", () => {
  expect([span(45, 50, 55), span(14.2, 14.6, 14.9), span(141, 145, 150)]).toEqual(["45 s to 55 s", "14 s to 15 s", "2 min to 2 min 30 s"]);
  expect([span(50, 50, 50), span(90, 100, 100 * 1.1)]).toEqual(["50 s", "1 min 30 s to 1 min 50 s"]);
});

test("what is told as likely lies within the range that is told beside it", () => {
  expect([about(42), span(41, 42, 43)]).toEqual(["about 40 s", "40 s to 45 s"]);
  expect([about(47.5), span(47, 47.5, 48)]).toEqual(["about 50 s", "45 s to 50 s"]);
});
