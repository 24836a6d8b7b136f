// One actor in full.

import { ask, complete, describe, descriptions, isNotable, reasons } from "./server.js";
import { agreementsWith } from "./agreements.js";
import { findingsOf } from "./findings.js";
import { code, figures, h, printButton, table, tell } from "./parts.js";
import { histogram, trend } from "./charts.js";
import { periodPicker } from "./page.js";
import { about, day, decimal, english, euro, percent, t, titleOf, valueOf, whole } from "./words.js";

const PEER_DAYS = 100;

/** Histories with peers are shorter than those without: whether this period has them. */
function withPeers(route, session) {
  const [first, last] = [Date.parse(route.first), Date.parse(route.last || session.newestDay)];
  return !(first && last && (last - first) / 86_400_000 >= PEER_DAYS);
}

const kilograms = (mg) => `${whole(Number(mg ?? 0) / 1_000_000)} kg`;

function indicatorTable(summary, all, latest) {
  const peer = (it) => latest.get(it.name);
  return table(t("indicators"), [
    { title: t("indicator"), cell: (it) => {
      const description = describe(all, it.name);
      const above = description?.notableAbove;
      return [titleOf(it.name, description), isNotable(it, description) && [" ", h("strong", { class: "mark" }, t("notable"))],
        above !== undefined && h("small", {}, t("notableAbove", { v: about(above, description.isProportion) }))];
    } },
    { title: t("value"), number: true, cell: (it) => valueOf(it.value, describe(all, it.name)?.isProportion) },
    { title: t("interval"), number: true, cell: (it) => (it.lower === undefined ? "–" : `${percent(it.lower)} – ${percent(it.upper)}`) },
    { title: t("peerMedian"), number: true, note: t("peerNote"), cell: (it) => {
      const found = peer(it);
      if (!found) return "–";
      return [valueOf(found.median, describe(all, it.name)?.isProportion), h("small", {}, `${whole(found.peers)} · ${day(found.day)}`)];
    } },
    { title: t("numerator"), number: true, cell: (it) => whole(it.numerator ?? 0) },
    { title: t("denominator"), number: true, cell: (it) => whole(it.denominator ?? 0) },
    { title: t("formula"), cell: (it) => {
      const description = describe(all, it.name);
      if (!description) return "";
      return h("span", { lang: english() }, h("span", { class: "of" }, description.numerator), h("span", { class: "of over" }, description.denominator),
        !description.isProportion && h("small", {}, description.formula));
    } },
    { title: t("source"), cell: (it) => describe(all, it.name)?.source ?? "" },
  ], summary.indicators ?? [], { class: "indicators" });
}

function reasonTable(summary, texts) {
  const counts = summary.reasons ?? [];
  if (!counts.length) return h("p", { class: "empty" }, t("noReasons"));
  const of = (it) => texts.get(it.reason);
  return table(t("reasons"), [
    { title: t("reason"), cell: (it) => code(it.reason) },
    { title: t("declarations"), number: true, cell: (it) => whole(it.declarations ?? 0) },
    { title: t("findings"), number: true, cell: (it) => whole(it.findings ?? 0) },
    { title: t("severity"), cell: (it) => (of(it) ? t(of(it).severity) : "") },
    { title: t("text"), cell: (it) => h("span", { lang: of(it) && english() }, of(it)?.text ?? t("unknownReason")) },
    { title: t("legalBasis"), cell: (it) => h("span", { lang: english() }, of(it)?.legalBasis ?? "") },
  ], counts, { class: "reasons" });
}

function points(history, name) {
  return (history.days ?? []).flatMap((one) => {
    const place = (one.indicators ?? []).findIndex((it) => it.name === name);
    if (place < 0) return [];
    const found = one.indicators[place];
    const peer = one.peers?.[place];
    return [{ ...found, value: found.value ?? 0, numerator: found.numerator ?? 0, day: one.day, median: peer?.median, peers: peer?.peers ?? 0 }];
  });
}

/** For each indicator the newest day with a median of peers. */
function latestPeers(history) {
  const found = new Map();
  for (const one of history.days ?? []) {
    for (const peer of one.peers ?? []) if (peer.median !== undefined) found.set(peer.name, { ...peer, day: one.day });
  }
  return found;
}

function trends(summary, history, all, peersAsked) {
  const names = (summary.indicators ?? []).map((it) => it.name);
  const where = h("div", {});
  const draw = (name) => {
    const description = describe(all, name);
    const found = points(history, name);
    if (!found.length) return where.replaceChildren(h("p", { class: "empty" }, t("noHistory")));
    const isShare = description?.isProportion;
    const title = titleOf(name, description);
    const rows = table(t("trendTitle", { name: title }), [
      { title: t("day"), cell: (it) => day(it.day) },
      { title: t("value"), number: true, cell: (it) => valueOf(it.value, isShare) },
      { title: t("interval"), number: true, cell: (it) => (it.lower === undefined ? "–" : `${percent(it.lower)} – ${percent(it.upper)}`) },
      { title: t("numerator"), number: true, cell: (it) => whole(it.numerator) },
      { title: t("denominator"), number: true, cell: (it) => whole(it.denominator) },
      { title: t("peerMedian"), number: true, cell: (it) => (it.median === undefined ? "–" : valueOf(it.median, isShare)) },
      { title: t("peers"), number: true, cell: (it) => whole(it.peers) },
    ], found);
    return where.replaceChildren(trend(title, found, isShare), h("details", {}, h("summary", {}, t("asTable")), rows));
  };
  const notable = (summary.indicators ?? []).find((it) => isNotable(it, describe(all, it.name)));
  const begin = notable?.name ?? names[0];
  const choose = h("label", { class: "choose" }, t("choose"), h("select", { onchange: (event) => draw(event.target.value) },
    names.map((name) => h("option", { value: name, selected: name === begin }, titleOf(name, describe(all, name))))));
  if (begin) draw(begin);
  return h("section", { "aria-labelledby": "of-history" }, h("h2", { id: "of-history" }, t("history")), choose, where,
    h("p", { class: "note" }, t(peersAsked ? "peerNote" : "noPeers")));
}

function values(summary) {
  const buckets = (summary.valueHistogram ?? []).map(Number);
  if (!buckets.some((count) => count > 0)) return null;
  const bunching = (summary.indicators ?? []).find((it) => it.name === "threshold_bunching");
  const told = bunching ? t("bunchingTold", { b: decimal(bunching.value ?? 0) }) : t("bunchingNone");
  return h("section", { "aria-labelledby": "of-values" }, h("h2", { id: "of-values" }, t("histogram")), h("p", { class: "told-here" }, told), histogram(buckets, told));
}

/** Shows it in `main`. */
export async function actor(main, route, session, signal) {
  const of = { role: route.role, id: route.id, first_day: route.first, last_day: route.last };
  const peers = session.readsAll && withPeers(route, session);
  const all = await descriptions(signal);
  const own = { role: route.role, id: route.id };
  const [texts, found, history, agreed, shown] = await Promise.all([reasons(signal), ask("actor", of, signal),
    ask("history", { ...of, peers: peers ? "true" : "" }, signal), agreementsWith(own, route, all, signal), findingsOf(own, route, all, signal)]);
  const it = complete(found.summary);
  const count = (field) => whole(it[field] ?? 0);
  const controls = h("div", { class: "controls" }, periodPicker(route, session), printButton());
  main.replaceChildren(
    h("p", { class: "crumb" }, h("a", { href: route.link({ page: "actors", id: "" }) }, t(`${route.role}s`))),
    h("h1", {}, it.actor.id, " ", h("small", {}, t(route.role))), controls,
    figures([
      [t("lines"), count("acceptedLines")], [t("accepted"), count("accepted")], [t("rejected"), count("rejected")],
      [t("replayed"), count("replayed")], [t("conflicts"), count("conflicts")], [t("value"), euro(it.intrinsicValueEurCents ?? 0)],
      [t("duty"), euro(it.dutyEurCents ?? 0)], [t("mass"), kilograms(it.grossMassMg)],
    ]),
    h("div", { class: "charts" }, trends(it, history, all, peers), values(it)),
    agreed ?? "", shown ?? "",
    h("section", { "aria-labelledby": "of-indicators" }, h("h2", { id: "of-indicators" }, t("indicators")), indicatorTable(it, all, latestPeers(history)),
      h("p", { class: "note" }, t("indicatorsNote"), " ", t("notableNote"))),
    h("section", { "aria-labelledby": "of-reasons" }, h("h2", { id: "of-reasons" }, t("reasons")), reasonTable(it, texts)),
    h("p", { class: "watermark" }, t("watermark", { n: whole(it.watermark ?? 0) })));
  tell(`${t(route.role)} ${it.actor.id}`);
}
