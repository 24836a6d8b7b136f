// Charts of an agreement: its glide path with the reviews, and the CUSUM of its days.

import { h, s } from "./parts.js";
import { across, days, epoch, frame, levels, ticks } from "./charts.js";
import { day, percent, t, whole } from "./words.js";

const [W, H, L, R, T, B] = [720, 250, 58, 14, 12, 30];

const path = (points) => points.map(([x, y], place) => `${place ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** From baseline to target, with the figure of each review and its interval. */
export function glide(title, terms, reviews, today) {
  const [start, deadline] = [epoch(terms.startDay), epoch(terms.deadlineDay)];
  const [from, to] = [terms.baseline.value ?? 0, terms.target ?? 0];
  const found = reviews.filter((it) => Number(it.figure.denominator) > 0).map((it) => ({ ...it, at: epoch(it.day) }));
  const last = Math.max(deadline, ...found.map((it) => it.at));
  const most = Math.max(from, to, ...found.map((it) => it.figure.upper ?? it.figure.value));
  const marks = ticks(Math.min(most, 1));
  const x = across(start, last, L, W - R);
  const y = (value) => H - B - (value / marks.at(-1)) * (H - T - B);
  const now = epoch(today);
  const newest = found.at(-1);
  const told = [t("glideAbout", { from: percent(from), a: day(terms.startDay), to: percent(to), b: day(terms.deadlineDay) }),
    newest ? t("glideNow", { day: day(newest.day), value: percent(newest.figure.value), path: percent(newest.glidePath) }) : t("noReviews")].join(" ");
  const chart = frame("glide", title, told, W, H, levels(marks, y, L, W - R, true), days(start, last, x, H - 9),
    now > start && now < last && [s("line", { class: "today", x1: x(now), x2: x(now), y1: T, y2: H - B }),
      s("text", { class: "axis", x: x(now) + 5, y: T + 10 }, t("today"))],
    s("path", { class: "target", d: `M${L} ${y(to).toFixed(1)}H${W - R}` }),
    s("path", { class: "peers", d: path([[x(start), y(from)], [x(deadline), y(to)], [x(last), y(to)]]) }),
    found.map((it) => it.figure.lower !== undefined && s("path", { class: "whisker", d: `M${x(it.at).toFixed(1)} ${y(it.figure.lower).toFixed(1)}V${y(it.figure.upper).toFixed(1)}` })),
    s("path", { class: "own", d: path(found.map((it) => [x(it.at), y(it.figure.value)])) }),
    found.map((it) => s("circle", { class: "dot", cx: x(it.at).toFixed(1), cy: y(it.figure.value).toFixed(1), r: 4 },
      s("title", {}, `${day(it.day)}: ${percent(it.figure.value)} (${whole(it.figure.numerator)} / ${whole(it.figure.denominator)}), ${t(it.verdict)}`))));
  const legend = h("ul", { class: "legend", "aria-hidden": "true" }, h("li", { class: "of-own" }, t("own")), h("li", { class: "of-band" }, t("band")),
    h("li", { class: "of-peers" }, t("glidePath")), h("li", { class: "of-target" }, t("target")));
  return h("figure", {}, chart, legend, h("figcaption", {}, told));
}

/** C of each day that is in it, with its limit h. */
export function cusum(title, found) {
  const points = found.filter((it) => it.cusum !== undefined).map((it) => ({ ...it, at: epoch(it.day) }));
  if (!points.length) return null;
  const most = Math.max(...points.flatMap((it) => [it.cusum, it.cusumLimit ?? 0]));
  const marks = ticks(most);
  const x = across(points[0].at, points.at(-1).at, L, W - R);
  const y = (value) => H - B - (value / marks.at(-1)) * (H - T - B);
  const line = (of) => path(points.map((it) => [x(it.at), y(of(it))]));
  const newest = points.at(-1);
  const told = t("cusumAbout", { n: whole(points.length), day: day(newest.day), c: percent(newest.cusum), h: percent(newest.cusumLimit ?? 0) });
  const chart = frame("cusum", title, told, W, H, levels(marks, y, L, W - R, true), days(points[0].at, newest.at, x, H - 9),
    s("path", { class: "peers", d: points.length === 1 ? `M${x(newest.at) - 9} ${y(newest.cusumLimit ?? 0)}h18` : line((it) => it.cusumLimit ?? 0) }),
    s("path", { class: "own", d: line((it) => it.cusum) }),
    points.map((it) => s("circle", { class: it.alarm ? "dot alarm" : "dot", cx: x(it.at).toFixed(1), cy: y(it.cusum).toFixed(1), r: it.alarm ? 4.5 : 3 },
      s("title", {}, `${day(it.day)}: C ${percent(it.cusum)}, h ${percent(it.cusumLimit ?? 0)}${it.alarm ? `, ${t("alarm")}` : ""}`))));
  const legend = h("ul", { class: "legend", "aria-hidden": "true" }, h("li", { class: "of-own" }, "C"), h("li", { class: "of-peers" }, t("cusumLimit")),
    points.some((it) => it.alarm) && h("li", { class: "of-bunched" }, t("alarm")));
  return h("figure", {}, chart, legend, h("figcaption", {}, told));
}
