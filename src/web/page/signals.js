// Signals: which declarants stand out over some weeks, in which way and since when.

import { ask, describe, descriptions } from "./server.js";
import { h, printButton, table, tell } from "./parts.js";
import { actorLink, lastDays, periodPicker } from "./page.js";
import { day, english, exact, known, percent, t, titleOf, whole } from "./words.js";

const DAYS = 28;

/** With the zeros that protobuf JSON leaves out. */
const complete = (answer) => ({ declarants: 0, watermark: "0", findingsWatermark: "0", ...answer,
  signals: (answer.signals ?? []).map((it) => ({ numerator: "0", value: 0, lower: 0, usual: 0, ...it })) });

const ruleTitle = (rule) => known(`signal:${rule.name}`) ?? rule.title;
const days = (period) => (period.firstDay === period.lastDay ? day(period.firstDay) : `${day(period.firstDay)} – ${day(period.lastDay)}`);

function list(found, route) {
  const ruleOf = (it) => found.rules.find((rule) => rule.name === it.rule);
  const write = (it) => (ruleOf(it).isShare ? percent : exact);
  const link = (it) => actorLink({ link: (to) => route.link({ ...to, role: "declarant", first: it.days.firstDay, last: it.days.lastDay }) }, it.actor.id);
  return table(t("signals"), [
    { title: t("declarant"), cell: (it) => h("a", { href: link(it) }, it.actor.id) },
    { title: t("standsOut"), cell: (it) => ruleTitle(ruleOf(it)) },
    { title: t("strongestDays"), cell: (it) => days(it.days) },
    { title: t("value"), number: true, cell: (it) => [write(it)(it.value), h("small", {}, t("atLeast", { v: write(it)(it.lower) }))] },
    { title: t("fraction"), number: true, cell: (it) => `${whole(it.numerator)} / ${whole(it.denominator)}` },
    { title: t("usual"), number: true, cell: (it) => write(it)(it.usual) },
    { title: t("signalFrom"), number: true, cell: (it) => write(it)(it.usual + ruleOf(it).above) },
  ], found.signals, { class: "rows signals" });
}

/** What each looks at, and by which formula. */
function ruleTable(rules, all) {
  return h("details", {}, h("summary", {}, t("signalRules")), table(t("signalRules"), [
    { title: t("standsOut"), cell: ruleTitle },
    { title: t("indicator"), cell: (it) => titleOf(it.indicator, describe(all, it.indicator)) },
    { title: t("formula"), cell: (it) => h("span", { lang: english() }, it.formula) },
    { title: t("aboveUsual"), number: true, cell: (it) => (it.isShare ? percent : exact)(it.above) },
  ], rules, { class: "rows" }));
}

/** Shows them in `main`. */
export async function signals(main, route, session, signal) {
  const isOpen = !route.first && !route.last;
  const asked = isOpen && session.newestDay ? { ...route, ...lastDays(session.newestDay, DAYS) } : route;
  const all = await descriptions(signal);
  const found = complete(await ask("signals", { first_day: asked.first, last_day: asked.last }, signal));
  const behind = Number(found.findingsWatermark) < Number(found.watermark);
  main.replaceChildren(h("h1", {}, t("signals")),
    h("div", { class: "controls" }, periodPicker(asked, session, { all: false }), printButton()),
    h("p", { class: "asked" }, `${days(found.period)} · ${t("ofDeclarants", { n: whole(found.declarants) })}`),
    found.signals.length ? list(found, route) : h("p", { class: "empty" }, t(found.declarants ? "noSignals" : "nobody")),
    h("p", { class: "watermark" }, t(found.findingsWatermark === "0" ? "signalsWithout" : behind ? "signalsBehind" : "signalsWatermark",
      { n: whole(found.watermark), sealed: whole(found.findingsWatermark) })),
    h("p", { class: "note" }, t("signalsNote")), ruleTable(found.rules, all));
  tell(t("rowsRead", { n: whole(found.signals.length) }));
}
