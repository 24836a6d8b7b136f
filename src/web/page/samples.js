// The sampling frame: plans, and one with what it selected, what controls found and what that says of all.

import { ask } from "./server.js";
import { conditions } from "./conditions.js";
import { empty, figures, h, message, onward, printButton, table, tell } from "./parts.js";
import { cents, day, decimal, percent, t, whole } from "./words.js";

const READ_AT_ONCE = 100;
const CONFIDENCES = ["0.9", "0.95", "0.99"];
const COMMAND = "waag sample record --terms plan.json";

/** How a plan selects, in a few words. */
function method(terms) {
  if (terms.expectedValue) return t("byExpectedValue", { j: cents(terms.expectedValue.intervalEurCents ?? 0) });
  const strata = terms.fixed?.strata?.length ?? 0;
  return [t("byFixed", { n: whole(terms.fixed?.size ?? 0) }), strata > 0 && ` ${t("inStrata", { n: whole(strata + 1) })}`];
}

const period = (terms) => `${day(terms.firstDay)} – ${day(terms.lastDay)}`;
const stratumOf = (name) => (["all", "rest"].includes(name) ? t(`stratum:${name}`) : name);

/** Shows all plans in `main`. */
export async function samples(main, route, session, signal) {
  const asked = { page_size: READ_AT_ONCE };
  const page = await ask("plans", asked, signal);
  const rows = page.plans ?? [];
  const where = h("div", {});
  const draw = (next) => where.replaceChildren(rows.length ? table(t("plans"), [
    { title: t("plan"), cell: (it) => h("a", { href: route.link({ page: "sample", id: it.id }) }, it.id) },
    { title: t("name"), cell: ({ terms: it }) => [it.name, h("small", {}, it.purpose)] },
    { title: t("owner"), cell: ({ terms: it }) => it.owner },
    { title: t("daysOf"), cell: ({ terms: it }) => period(it) },
    { title: t("method"), cell: ({ terms: it }) => method(it) },
    { title: t("secret"), cell: (it) => t(it.secret ? "secretTold" : "secretKept") },
    { title: t("recorded"), cell: (it) => [day(it.recordedDay), h("small", {}, it.recordedBy)] },
  ], rows, { class: "rows" }) : empty(t("noPlans"), COMMAND), next ? onward(next, more) : "");
  const more = async (token) => {
    const further = await ask("plans", { ...asked, page_token: token }, signal);
    rows.push(...further.plans ?? []);
    draw(further.nextPageToken);
    tell(t("rowsRead", { n: whole(rows.length) }));
  };
  draw(page.nextPageToken);
  main.replaceChildren(h("h1", {}, t("samples")), h("div", { class: "controls" }, printButton()), where, h("p", { class: "note" }, t("samplesNote")));
  tell(t("rowsRead", { n: whole(rows.length) }));
}

const interval = (lower, upper) => (lower === undefined ? "–" : `${percent(lower)} – ${percent(upper)}`);

function strata(rows, byValue) {
  return table(t("strata"), [
    { title: t("stratum"), cell: (it) => stratumOf(it.name) },
    { title: t("goodsItems"), number: true, cell: (it) => whole(it.items ?? 0) },
    { title: t("selected"), number: true, cell: (it) => whole(it.selected ?? 0) },
    { title: t("checked"), number: true, cell: (it) => whole(it.checked ?? 0) },
    { title: t("inError"), number: true, cell: (it) => whole(it.errors ?? 0) },
    !byValue && { title: t("exactInterval"), number: true, cell: (it) => interval(it.lower, it.upper) },
    !byValue && { title: t("atMost"), number: true, cell: (it) => (it.upperOneSided === undefined ? "–" : percent(it.upperOneSided)) },
  ].filter(Boolean), rows, { class: "rows" });
}

/** What the outcomes of what was selected say of all; targeted controls apart. */
function estimated(it, terms) {
  const byValue = Boolean(terms.expectedValue);
  const rows = it.strata ?? [];
  const [selected, checked] = ["selected", "checked"].map((field) => rows.reduce((sum, one) => sum + Number(one[field] ?? 0), 0));
  const told = [];
  if (it.share !== undefined) told.push([t("shareInError"), percent(it.share), it.shareLower === undefined ? null : interval(it.shareLower, it.shareUpper)]);
  if (it.misstatementUpperEurCents !== undefined) {
    told.push([t("misstatement"), cents(it.misstatementEurCents ?? 0), t("atMostEur", { v: cents(it.misstatementUpperEurCents) })]);
  }
  told.push([t("controlled"), `${whole(checked)} / ${whole(selected)}`], [t("dueOnTop"), cents(it.correctedEurCents ?? 0), t("notExtrapolated")]);
  return {
    random: [figures(told), told.length === 2 && h("p", { class: "empty" }, t("noShare")), rows.length > 0 && strata(rows, byValue),
      checked < selected && h("p", { class: "note" }, t("partlyControlled", { checked: whole(checked), selected: whole(selected) })),
      h("p", { class: "note" }, t(byValue ? "formulaValue" : rows.length > 1 ? "formulaStrata" : "formulaShare"))],
    targeted: figures([[t("checked"), whole(it.targetedChecked ?? 0)], [t("inError"), whole(it.targetedErrors ?? 0)], [t("dueOnTop"), cents(it.targetedCorrectedEurCents ?? 0)]]),
  };
}

function outcomeOf(it) {
  if (!it) return h("span", { class: "verdict open" }, t("open:control"));
  const more = [it.correctedEurCents && `${t("dueOnTop")}: ${cents(it.correctedEurCents)}`, it.trueValueEurCents && `${t("trueValue")}: ${cents(it.trueValueEurCents)}`, it.note];
  return [h("span", { class: `verdict ${it.isError ? "bad" : "good"}` }, t(it.isError ? "wrongOne" : "rightOne")), more.filter(Boolean).map((one) => h("small", {}, one))];
}

function items(rows, route, terms) {
  return table(t("selectedItems"), [
    { title: "MRN", cell: (it) => [h("code", {}, it.mrn), h("small", {}, it.lrn, ", ", t("goodsItem", { n: whole(it.goodsItem) }))] },
    { title: t("declarant"), cell: (it) => h("a", { href: route.link({ page: "actor", role: "declarant", id: it.declarant }) }, it.declarant) },
    { title: t("day"), cell: (it) => day(it.day) },
    { title: t("stratum"), cell: (it) => stratumOf(it.stratum) },
    { title: "HS", cell: (it) => it.hs6 },
    { title: t("declared"), number: true, cell: (it) => cents(it.declaredEurCents ?? 0) },
    terms.expectedValue && { title: t("expected"), number: true, cell: (it) => cents(it.expectedEurCents ?? 0) },
    { title: t("outcomeOf"), cell: (it) => outcomeOf(it.outcome) },
  ].filter(Boolean), rows, { class: "rows" });
}

/** What is known of how goods items are selected, for whoever checks it. */
function proof(plan) {
  return [h("dl", { class: "proof" },
    h("dt", {}, t("commitment")), h("dd", {}, h("code", {}, plan.commitment)),
    h("dt", {}, t("secret")), h("dd", {}, plan.secret ? h("code", {}, plan.secret) : t("secretKept"))),
  h("p", { class: "note" }, t("lotFormula"), " ", t(plan.terms.expectedValue ? "lotBelow" : "leastLots"))];
}

function ofStrata(terms) {
  const found = terms.fixed?.strata ?? [];
  if (!found.length) return null;
  return table(t("strata"), [
    { title: t("stratum"), cell: (it) => it.name },
    { title: t("looksFor"), cell: (it) => conditions(it.conditions, "–") },
    { title: t("expectedErrors"), number: true, cell: (it) => percent((it.expectedErrorsPerMillion ?? 0) / 1_000_000) },
  ], found, { class: "rows" });
}

function perKg(terms) {
  const found = terms.expectedValue?.perKg ?? [];
  if (!found.length) return null;
  return h("details", {}, h("summary", {}, t("perKg")), table(t("perKg"), [
    { title: "HS", cell: (it) => it.hsPrefix || t("allOthers") },
    { title: t("eurPerKg"), number: true, cell: (it) => decimal(Number(it.eurCents ?? 0) / 100) },
  ], found));
}

/** Shows one plan in `main`. */
export async function sample(main, route, session, signal) {
  const { plans: [plan] } = await ask("plans", { id: route.id }, signal);
  const { terms } = plan;
  const asked = { id: route.id, page_size: READ_AT_ONCE, open_only: route.open };
  // One after the other: the server goes through what is sealed for one call at a time.
  const page = await ask("selected", asked, signal);
  let said;
  let refused;
  try {
    said = estimated(await ask("estimate", { id: route.id, confidence: route.confidence }, signal), terms);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    refused = message("wrong", t("noEstimate"), error.message);
  }
  const rows = page.selected ?? [];
  const left = (page.strata ?? []).reduce((sum, it) => sum + Number(it.leftOut ?? 0), 0);
  const where = h("div", {});
  const draw = (next) => where.replaceChildren(rows.length ? items(rows, route, terms) : h("p", { class: "empty" }, t(route.open ? "noneOpen" : "noneSelected")), next ? onward(next, more) : "");
  const more = async (token) => {
    const further = await ask("selected", { ...asked, page_token: token }, signal);
    rows.push(...further.selected ?? []);
    draw(further.nextPageToken);
    tell(t("rowsRead", { n: whole(rows.length) }));
  };
  draw(page.nextPageToken);
  const section = (key, ...content) => h("section", { "aria-labelledby": `of-${key}` }, h("h2", { id: `of-${key}` }, t(key)), content);
  const level = h("label", {}, t("confidence"), h("select", { onchange: (event) => route.go({ confidence: event.target.value }) },
    CONFIDENCES.map((it) => h("option", { value: it, selected: it === (route.confidence || "0.95") }, percent(it).replace(/[.,]00/, "")))));
  const open = h("label", {}, h("input", { type: "checkbox", checked: route.open === "true", onchange: (event) => route.go({ open: event.target.checked ? "true" : "" }) }), t("openOnly"));
  const count = (field) => (page.strata ?? []).reduce((sum, it) => sum + Number(it[field] ?? 0), 0);
  main.replaceChildren(
    h("p", { class: "crumb" }, h("a", { href: route.link({ page: "samples", id: "", open: "", confidence: "" }) }, t("samples"))),
    h("h1", {}, plan.id, " ", h("small", {}, terms.name)),
    h("div", { class: "controls" }, level, open, printButton()),
    figures([
      [t("owner"), terms.owner], [t("daysOf"), period(terms)], [t("method"), method(terms)],
      [t("selected"), whole(count("selected")), t("ofMost", { n: whole(count("items")) })],
      [t("selection"), t(page.isFinal ? "final" : "notFinal")], [t("recorded"), day(plan.recordedDay), plan.recordedBy],
    ]),
    h("p", { class: "remark" }, terms.purpose),
    page.droppedThrough ? message("wrong", t("dropped"), t("droppedText", { day: day(page.droppedThrough) })) : "",
    left ? message("wrong", t("leftOut"), t("leftOutText", { n: whole(left) })) : "",
    section("estimate", said?.random ?? refused),
    section("targeted", h("p", { class: "note" }, t("targetedNote")), said?.targeted ?? "–"),
    section("selectedItems", where),
    section("whatOf", conditions(terms.conditions, h("p", {}, t("allGoods"))), ofStrata(terms), perKg(terms)),
    section("proof", proof(plan)),
    h("p", { class: "watermark" }, t("sealedWatermark", { n: whole(page.watermark ?? 0) })));
  tell(`${t("plan")} ${plan.id}`);
}
