// Charts as SVG. Each has a title and a sentence for those who do not see it, and a table beside it.

import { h, s, table } from "./parts.js";
import { about, day, dayShort, short, t, valueOf, whole } from "./words.js";

let number = 0;

/** A picture with its words. */
export function frame(kind, title, words, width, height, ...content) {
  const id = `chart-${++number}`;
  return s("svg", { class: `chart ${kind}`, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": `${id}-title ${id}-about` },
    s("title", { id: `${id}-title` }, title), s("desc", { id: `${id}-about` }, words), content);
}

/** Round values from 0 to `most` or a little above. */
export function ticks(most) {
  if (!(most > 0)) return [0, 1];
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((it) => it * power).find((it) => it >= rough);
  const found = [];
  for (let place = 0; place <= Math.ceil(most / step); place++) found.push(place * step);
  return found;
}

export const epoch = (text) => Date.parse(`${text}T00:00:00Z`) / 86_400_000;

/** Where a day stands between `left` and `right`; in the middle where there is one only. */
export const across = (first, last, left, right) => (at) => (first === last ? (left + right) / 2 : left + ((at - first) / (last - first)) * (right - left));

/** Lines across at `marks`, with their values. */
export const levels = (marks, y, left, right, isShare) => marks.map((it) => [
  s("line", { class: "grid", x1: left, x2: right, y1: y(it), y2: y(it) }),
  s("text", { class: "axis", x: left - 7, y: y(it) + 4, "text-anchor": "end" }, about(it, isShare)),
]);

/** Some days below, from the first to the last. */
export function days(first, last, x, y, ends = ["start", "end"]) {
  const count = Math.min(6, last - first + 1);
  const found = [...new Set(Array.from({ length: count }, (_, place) => Math.round(first + (count === 1 ? 0 : (place * (last - first)) / (count - 1)))))];
  const anchor = (place) => (found.length === 1 ? "middle" : place === 0 ? ends[0] : place === found.length - 1 ? ends[1] : "middle");
  return found.map((at, place) => s("text", { class: "axis", x: x(at), y, "text-anchor": anchor(place) }, dayShort(new Date(at * 86_400_000).toISOString().slice(0, 10))));
}

/** Points that follow one another day by day: a day without figures breaks a line. */
function runs(points, has) {
  const found = [];
  let before;
  for (const point of points) {
    if (!has(point)) { before = undefined; continue; }
    if (before !== undefined && point.at - before === 1) found.at(-1).push(point);
    else found.push([point]);
    before = point.at;
  }
  return found;
}

/** An indicator by day: own value with its interval, and the median of the peers. */
export function trend(title, points, isShare) {
  const [W, H, L, R, T, B] = [720, 250, 58, 14, 12, 30];
  const first = epoch(points[0].day);
  const last = epoch(points.at(-1).day);
  points = points.map((point) => ({ ...point, at: epoch(point.day) }));
  const most = Math.max(...points.flatMap((it) => [it.upper ?? it.value, it.value, it.median ?? 0]));
  const marks = ticks(isShare ? Math.min(most, 1) : most);
  const x = across(first, last, L, W - R);
  const y = (value) => H - B - (value / marks.at(-1)) * (H - T - B);
  const line = (run, of) => run.map((it, place) => `${place ? "L" : "M"}${x(it.at).toFixed(1)} ${y(of(it)).toFixed(1)}`).join("");
  const hasInterval = (it) => it.lower !== undefined;
  const bands = runs(points, hasInterval).map((run) => (run.length === 1
    ? s("path", { class: "whisker", d: `M${x(run[0].at)} ${y(run[0].lower)}V${y(run[0].upper)}` })
    : s("path", { class: "band", d: `${line(run, (it) => it.upper)}${line([...run].reverse(), (it) => it.lower).replace("M", "L")}Z` })));
  const peers = runs(points, (it) => it.median !== undefined).map((run) => (run.length === 1
    ? s("path", { class: "peers", d: `M${x(run[0].at) - 9} ${y(run[0].median)}h18` })
    : s("path", { class: "peers", d: line(run, (it) => it.median) })));
  const own = runs(points, () => true).map((run) => s("path", { class: "own", d: line(run, (it) => it.value) }));
  const dots = points.map((it) => s("circle", { class: "dot", cx: x(it.at).toFixed(1), cy: y(it.value).toFixed(1), r: points.length > 60 ? 1.6 : 3 },
    s("title", {}, `${day(it.day)}: ${valueOf(it.value, isShare)} (${whole(it.numerator)} / ${whole(it.denominator)})`)));
  const values = points.map((it) => it.value);
  const told = t("trendAbout", {
    n: whole(points.length), a: day(points[0].day), b: day(points.at(-1).day), first: valueOf(values[0], isShare), last: valueOf(values.at(-1), isShare),
    low: valueOf(Math.min(...values), isShare), high: valueOf(Math.max(...values), isShare),
  });
  const chart = frame("trend", t("trendTitle", { name: title }), told, W, H,
    levels(marks, y, L, W - R, isShare), days(first, last, x, H - 9),
    bands, peers, own, dots);
  const legend = h("ul", { class: "legend", "aria-hidden": "true" },
    h("li", { class: "of-own" }, t("own")), isShare && h("li", { class: "of-band" }, t("band")), h("li", { class: "of-peers" }, t("peerMedian")));
  return h("figure", {}, chart, legend, h("figcaption", {}, told));
}

/** Consignments by value, so that bunching below EUR 150 is seen. */
export function histogram(buckets, told) {
  const [W, H, L, R, T, B] = [720, 260, 58, 14, 12, 54];
  const marks = ticks(Math.max(...buckets));
  const wide = (W - L - R) / buckets.length;
  const y = (count) => H - B - (count / marks.at(-1)) * (H - T - B);
  const kind = (place) => (place === 29 ? "bunched" : place >= 25 && place < 29 ? "before" : "elsewhere");
  const range = (place) => (place === 30 ? t("above") : `(${place * 5}, ${place * 5 + 5}]`);
  const before = buckets.slice(25, 29).reduce((sum, count) => sum + count, 0);
  const words = t("histogramAbout", { before: whole(before), bunched: whole(buckets[29]), above: whole(buckets[30]) });
  const mean = before / 4;
  const chart = frame("histogram", t("histogram"), `${words} ${told}`, W, H,
    marks.map((it) => [
      s("line", { class: "grid", x1: L, x2: W - R, y1: y(it), y2: y(it) }),
      s("text", { class: "axis", x: L - 7, y: y(it) + 4, "text-anchor": "end" }, short(it)),
    ]),
    buckets.map((count, place) => s("rect", { class: `bar ${kind(place)}`, x: (L + place * wide + 1).toFixed(1), width: (wide - 2).toFixed(1), y: y(count).toFixed(1), height: Math.max(0, y(0) - y(count)).toFixed(1) },
      s("title", {}, `${range(place)}: ${whole(count)}`))),
    // What (145, 150] would hold if it held as much as those before it do on average.
    before > 0 && s("path", { class: "expected", d: `M${L + 25 * wide} ${y(mean)}H${L + 30 * wide}` }),
    [0, 50, 100, 125, 150].map((it) => s("text", { class: "axis", x: L + (it / 5) * wide, y: H - B + 20, "text-anchor": "middle" }, it)),
    s("text", { class: "axis", x: (L + W - R) / 2, y: H - 6, "text-anchor": "middle" }, t("consignmentValue")));
  const legend = h("ul", { class: "legend", "aria-hidden": "true" },
    h("li", { class: "of-before" }, t("before")), h("li", { class: "of-bunched" }, t("bunched")), h("li", { class: "of-elsewhere" }, t("elsewhere")));
  const rows = buckets.map((count, place) => ({ place, count }));
  const values = h("details", {}, h("summary", {}, t("asTable")), table(t("histogram"), [
    { title: t("values"), cell: (row) => range(row.place) }, { title: t("count"), number: true, cell: (row) => whole(row.count) }], rows));
  return h("figure", {}, chart, legend, h("figcaption", {}, words), values);
}

/** The last values of something that is read again and again. */
export function spark(title, words, values, most) {
  const [W, H, L, T, B] = [720, 150, 58, 10, 10];
  const marks = ticks(most);
  const x = (place) => W - 10 - (values.length - 1 - place) * ((W - L - 10) / 59);
  const y = (value) => H - B - (value / marks.at(-1)) * (H - T - B);
  const line = values.map((value, place) => `${place ? "L" : "M"}${x(place).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  return frame("spark", title, words, W, H,
    marks.map((it) => [
      s("line", { class: "grid", x1: L, x2: W - 10, y1: y(it), y2: y(it) }),
      s("text", { class: "axis", x: L - 7, y: y(it) + 4, "text-anchor": "end" }, short(it))]),
    values.length > 1 && s("path", { class: "band", d: `${line}V${y(0)}H${x(0).toFixed(1)}Z` }),
    values.length > 0 && s("path", { class: "own", d: line }));
}

/** So many a day; a day that is left out had none. */
export function bars(title, points) {
  const [W, H, L, R, T, B] = [720, 200, 58, 14, 12, 30];
  const [first, last] = [epoch(points[0].day), epoch(points.at(-1).day)];
  const marks = ticks(Math.max(...points.map((it) => it.count)));
  const wide = Math.min(60, (W - L - R) / (last - first + 1));
  const x = (at) => L + (at - first + 0.5) * wide;
  const y = (count) => H - B - (count / marks.at(-1)) * (H - T - B);
  const all = points.reduce((sum, it) => sum + it.count, 0);
  const most = points.reduce((a, b) => (b.count > a.count ? b : a));
  const told = t("barsAbout", { n: whole(all), a: day(points[0].day), b: day(points.at(-1).day), most: whole(most.count), day: day(most.day) });
  return h("figure", { class: "short" }, frame("bars", title, told, W, H, levels(marks, y, L, W - R, false), days(first, last, x, H - 9, ["middle", "middle"]),
    points.map((it) => s("rect", { class: "bar before", x: (x(epoch(it.day)) - wide / 2 + 1).toFixed(1), width: Math.max(1, wide - 2).toFixed(1), y: y(it.count).toFixed(1), height: Math.max(0, y(0) - y(it.count)).toFixed(1) },
      s("title", {}, `${day(it.day)}: ${whole(it.count)}`)))), h("figcaption", {}, told));
}
