// Findings: what accepted declarations show when they are held against one another. Those of a role, and of an actor.

import { ask, describe, descriptions, findingKinds } from "./server.js";
import { code, h, message, onward, printButton, table, tell } from "./parts.js";
import { periodPicker, rolePicker } from "./page.js";
import { about, cents, day, english, exact, known, percent, t, titleOf, whole } from "./words.js";

const READ_AT_ONCE = 100;
/** Those that stand with an actor: the others are behind a link. */
const READ_WITH_ACTOR = 10;
/** Parts that are shown at once: those of a month may be of every member state. */
const PARTS = 3;
/** Which figures are in euro cents. */
const IN_CENTS = { ioss_value_spike: ["numerator", "denominator"], ioss_month_value: ["value", "numerator", "part"] };
/** Who must sign in, or wait, is told so by the whole page; of all else findings tell where they would stand. */
const OF_THE_PAGE = ["UNAUTHENTICATED", "GONE", "UNAVAILABLE"];

const none = () => h("span", { class: "none" }, "–");
const isInCents = (it, what) => IN_CENTS[it.figure.name]?.includes(what);
const number = (it, what) => (isInCents(it, what) ? cents : whole)(it.figure[what]);

/** Findings with the zeros that protobuf JSON leaves out. */
function complete(page) {
  for (const it of page.findings ?? []) it.figure = { numerator: "0", denominator: "0", value: 0, ...it.figure };
  return { findings: [], watermark: "0", ...page };
}

function value(it, all) {
  if (isInCents(it, "value")) return cents(it.figure.value);
  return (describe(all, it.figure.name)?.isProportion ? percent : exact)(it.figure.value);
}

function parts(it) {
  const found = (it.parts ?? []).map((one) => h("li", {}, one.what, " ", h("b", {}, (isInCents(it, "part") ? cents : whole)(one.count))));
  if (!found.length) return none();
  const rest = found.splice(PARTS);
  return [h("ul", { class: "parts" }, found),
    rest.length > 0 && h("details", {}, h("summary", {}, t("more", { n: whole(rest.length) })), h("ul", { class: "parts" }, rest))];
}

function examples(it, link) {
  if (!it.examples?.length) return none();
  const isOther = (one) => one.declarant !== it.actor.id;
  return h("details", {}, h("summary", {}, t("toLookAt", { n: whole(it.examples.length) })), h("ul", { class: "examples" }, it.examples.map((one) =>
    h("li", {}, h("code", {}, one.mrn), isOther(one) && [" ", h("a", { href: link("declarant", one.declarant) }, one.declarant)],
      one.group > 0 && ` ${t("together", { n: whole(one.group) })}`))));
}

function list(rows, route, all, withActor) {
  const link = (role, id) => route.link({ page: "actor", role, id, indicator: "", all: "" });
  return table(t("findings"), [
    { title: t("indicator"), cell: (it) => [titleOf(it.figure.name, describe(all, it.figure.name)),
      it.notable && [" ", h("strong", { class: "mark" }, t("notable"))], it.flag && h("small", {}, code(it.flag))] },
    { title: t("day"), cell: (it) => [day(it.day), it.missingDays > 0 && h("small", {}, t("missingDays", { n: whole(it.missingDays) }))] },
    withActor && { title: t(route.role), cell: (it) => h("a", { href: link(route.role, it.actor.id) }, it.actor.id) },
    { title: t("value"), number: true, cell: (it) => [value(it, all),
      it.figure.lower !== undefined && h("small", {}, `${percent(it.figure.lower)} – ${percent(it.figure.upper)}`)] },
    { title: t("fraction"), number: true, cell: (it) => `${number(it, "numerator")} / ${number(it, "denominator")}` },
    rows.some((it) => it.parts?.length) && { title: t("consistsOf"), cell: parts },
    { title: t("examples"), cell: (it) => examples(it, link) },
  ].filter(Boolean), rows, { class: "rows findings" });
}

/** What each counts, and by which formula. */
function kindTable(kinds) {
  const foreign = (...content) => h("span", { lang: english() }, content);
  return h("details", {}, h("summary", {}, t("whatCounts")), table(t("whatCounts"), [
    { title: t("indicator"), cell: (it) => [titleOf(it.name, it), it.flag && h("small", {}, code(it.flag))] },
    { title: t("numerator"), cell: (it) => foreign(it.numerator) },
    { title: t("denominator"), cell: (it) => foreign(it.denominator) },
    { title: t("formula"), cell: (it) => foreign(it.formula) },
    { title: t("notable"), cell: (it) => (it.notableAbove === undefined ? none() : t("notableAbove", { v: about(it.notableAbove, it.isProportion) })) },
    { title: t("source"), cell: (it) => foreign(it.source) },
  ], kinds, { class: "rows" }));
}

/** Why there are none in what was read; `otherwise` is where those not worth a conversation are, too. */
function nothing(watermark, next, otherwise) {
  if (watermark === "0") return message("", t("nothingSealed"), t("nothingSealedText"));
  if (next) return h("p", { class: "empty" }, t("noneSoFar"));
  if (!otherwise) return h("p", { class: "empty" }, t("noFindings"));
  return h("p", { class: "empty" }, t("noneNotable"), " ", h("a", { href: otherwise }, t("allFindings")));
}

const stopped = () => message("wrong", t("stalled"), t("stalledText"));

/** What the service refused, in the place of findings. */
function refused(error) {
  if (error.name === "AbortError" || OF_THE_PAGE.includes(error.code)) throw error;
  if (error.code === "FAILED_PRECONDITION") return message("", t("findingsOff"), error.message);
  return message("wrong", known(error.code) ?? t("otherError"), error.message);
}

/** Pages that were read at several watermarks say so. */
const watermarks = (read) => h("p", { class: "watermark" },
  read.size > 1 ? t("sealedWatermarks", { n: [...read].map(whole).join(", ") }) : t("sealedWatermark", { n: whole([...read][0]) }));

function filters(route, session, kinds) {
  const id = h("input", { type: "search", value: route.id, placeholder: t("allOfRole"), autocomplete: "off", spellcheck: "false" });
  return h("div", { class: "controls" },
    // The numbers of IOSS holders are none of the others'.
    rolePicker(route, (role) => route.go({ role, id: [role, route.role].includes("ioss-holder") ? "" : route.id })),
    periodPicker(route, session),
    h("form", { class: "of-actor", onsubmit: (event) => { event.preventDefault(); route.go({ id: id.value.trim() }); } },
      h("label", {}, t("actor"), id), h("button", {}, t("show"))),
    h("label", { class: "choose" }, t("indicator"), h("select", { onchange: (event) => route.go({ indicator: event.target.value }) },
      h("option", { value: "" }, t("everyKind")), kinds.map((it) => h("option", { value: it.name, selected: it.name === route.indicator }, titleOf(it.name, it))))),
    h("label", {}, h("input", { type: "checkbox", checked: route.all !== "true", onchange: (event) => route.go({ all: event.target.checked ? "" : "true" }) }), t("notableOnly")),
    printButton());
}

/** What was asked for, where that is not to be seen from the controls. */
function askedFor(route, all) {
  const period = route.first || route.last ? [route.first, route.last].map((it) => (it ? day(it) : "…")).join(" – ") : t("allDays");
  const kind = route.indicator ? titleOf(route.indicator, describe(all, route.indicator)) : t("everyKind");
  return h("p", { class: "asked" }, [route.id || t(`${route.role}s`), period, kind, route.all !== "true" && t("notableOnly")].filter(Boolean).join(" · "));
}

/** Shows them in `main`. */
export async function findings(main, route, session, signal) {
  const asked = { role: route.role, id: route.id, first_day: route.first, last_day: route.last, indicator: route.indicator,
    notable_only: route.all === "true" ? "" : "true", page_size: READ_AT_ONCE };
  const [all, kinds] = [await descriptions(signal), await findingKinds(signal)];
  const where = h("div", {});
  const rows = [];
  const read = new Set();
  const take = async (token) => {
    const page = complete(await ask("findings", { ...asked, page_token: token }, signal));
    rows.push(...page.findings);
    read.add(page.watermark);
    const found = rows.length ? list(rows, route, all, true) : nothing(page.watermark, page.nextPageToken, asked.notable_only && route.link({ all: "true" }));
    where.replaceChildren(page.stalled ? stopped() : "", found, page.nextPageToken ? onward(page.nextPageToken, take) : "", watermarks(read));
    tell(t("rowsRead", { n: whole(rows.length) }));
  };
  try {
    await take("");
  } catch (error) {
    where.replaceChildren(refused(error));
  }
  main.replaceChildren(h("h1", {}, t("findings")), filters(route, session, kinds), askedFor(route, all), where,
    h("p", { class: "note" }, t("findingsNote")), kindTable(kinds.filter((it) => !route.indicator || it.name === route.indicator)));
}

/** Those of an actor that are worth a conversation, for its page; nothing where the reader may not see them. */
export async function findingsOf(actor, route, all, signal) {
  const section = (...content) => h("section", { "aria-labelledby": "of-findings" }, h("h2", { id: "of-findings" }, t("findings")), content);
  const asked = { ...actor, first_day: route.first, last_day: route.last, notable_only: "true", page_size: READ_WITH_ACTOR };
  try {
    const page = complete(await ask("findings", asked, signal));
    const further = route.link({ page: "findings", all: page.nextPageToken ? "" : "true" });
    return section(page.stalled && stopped(),
      page.findings.length ? [list(page.findings, route, all, false), h("p", {}, h("a", { href: further }, t(page.nextPageToken ? "moreFindings" : "allFindings")))]
        : nothing(page.watermark, page.nextPageToken, further),
      watermarks(new Set([page.watermark])));
  } catch (error) {
    return error.code === "PERMISSION_DENIED" ? null : section(refused(error));
  }
}
