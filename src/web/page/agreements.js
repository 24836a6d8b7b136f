// Agreements on improvements: all of them, one in full, and those with an actor.

import { ask, describe, descriptions } from "./server.js";
import { empty, figures, h, message, onward, printButton, table, tell } from "./parts.js";
import { cusum, glide } from "./glide.js";
import { day, percent, t, titleOf, whole } from "./words.js";

const READ_AT_ONCE = 25;
/** Reviews that are read at a time: the server lets each connection have only so many. */
const REVIEWS_AT_ONCE = 4;
const STATES = ["active", "pending", "ended", "withdrawn"];
const ROLE = { ACTOR_ROLE_DECLARANT: "declarant", ACTOR_ROLE_REPRESENTATIVE: "representative", ACTOR_ROLE_IOSS_HOLDER: "ioss-holder" };
const KIND = {
  AGREEMENT_VERDICT_MET: "good", AGREEMENT_VERDICT_ON_TRACK: "good", AGREEMENT_VERDICT_MISSED: "bad", AGREEMENT_VERDICT_AT_RISK: "bad",
};
const VERDICTS = ["INSUFFICIENT_DATA", "MET", "MISSED", "AT_RISK", "ON_TRACK", "INCONCLUSIVE"];

const termsOf = (it) => it.newest.terms;
const sign = (verdict) => h("span", { class: `verdict ${KIND[verdict] ?? "open"}` }, t(verdict));
const share = (value) => percent(value ?? 0);
const interval = (figure) => (figure.lower === undefined ? "–" : `${percent(figure.lower)} – ${percent(figure.upper)}`);
const fraction = (it) => `${whole(it.numerator ?? 0)} / ${whole(it.denominator ?? 0)}`;
const hasFigure = (it) => Number(it?.figure?.denominator ?? 0) > 0;

/** Reviews with the zeros that protobuf JSON leaves out. */
function complete(review) {
  for (const one of review.reviews ?? []) {
    one.figure = { numerator: "0", denominator: "0", value: 0, ...one.figure };
    one.glidePath ??= 0;
    one.verdict ??= "AGREEMENT_VERDICT_UNSPECIFIED";
  }
  return { reviews: [], days: [], ...review };
}

/** Each agreement with its review, a few at a time; one that cannot be read is shown without. */
async function reviewed(found, signal) {
  const left = [...found.entries()];
  const all = found.map((agreement) => ({ agreement }));
  await Promise.all(Array.from({ length: REVIEWS_AT_ONCE }, async () => {
    for (let next = left.shift(); next; next = left.shift()) {
      const [place, agreement] = next;
      try {
        all[place].review = complete(await ask("agreement", { id: agreement.id }, signal));
      } catch (error) {
        if (error.name === "AbortError") throw error;
      }
    }
  }));
  return all;
}

const alarms = (review) => (review?.days ?? []).filter((it) => it.alarm);

function list(caption, rows, route, all, withActor) {
  return table(caption, [
    { title: t("agreement"), cell: ({ agreement: it }) => [h("a", { href: route.link({ page: "agreement", id: it.id }) }, it.id), h("small", {}, t(it.state))] },
    withActor && { title: t("actor"), cell: ({ agreement: it }) => {
      const { role, id } = termsOf(it).actor;
      return [h("a", { href: route.link({ page: "actor", id, role: ROLE[role] }) }, id), h("small", {}, t(ROLE[role]))];
    } },
    { title: t("indicator"), cell: ({ agreement: it }) => titleOf(termsOf(it).indicator, describe(all, termsOf(it).indicator)) },
    { title: t("baseline"), number: true, cell: ({ agreement: it }) => [share(termsOf(it).baseline.value), h("small", {}, day(termsOf(it).startDay))] },
    { title: t("target"), number: true, cell: ({ agreement: it }) => [share(termsOf(it).target), h("small", {}, day(termsOf(it).deadlineDay))] },
    { title: t("newestReview"), number: true, cell: ({ review }) => {
      const newest = review?.reviews.at(-1);
      return hasFigure(newest) ? [percent(newest.figure.value), h("small", {}, interval(newest.figure))] : h("span", { class: "none" }, "–");
    } },
    { title: t("glidePath"), number: true, cell: ({ review }) => {
      const newest = review?.reviews.at(-1);
      return newest ? [percent(newest.glidePath), h("small", {}, day(newest.day))] : h("span", { class: "none" }, "–");
    } },
    { title: t("verdict"), cell: ({ review }) => {
      const newest = review?.reviews.at(-1);
      return newest ? [sign(newest.verdict), newest.isProvisional && h("small", {}, t("soFar"))] : h("span", { class: "none" }, t("noReviews"));
    } },
    { title: "CUSUM", cell: ({ review }) => {
      const found = alarms(review);
      if (!review?.days.length) return h("span", { class: "none" }, "–");
      return found.length ? [h("span", { class: "verdict bad" }, t("alarm")), h("small", {}, t("alarmOn", { n: whole(found.length), day: day(found.at(-1).day) }))] : t("noShift");
    } },
  ].filter(Boolean), rows, { class: "rows agreements" });
}

const command = (actor) => `waag agreement record${actor ? (actor.role === "declarant" ? "" : ` --role ${actor.role}`) : ""} --actor ${actor?.id ?? "EORI"} `
  + "--indicator rejection_rate --target 1% --start DAY --deadline DAY";

/** Shows all of them in `main`. */
export async function agreements(main, route, session, signal) {
  const asked = { state: route.state, page_size: READ_AT_ONCE };
  const [all, page] = await Promise.all([descriptions(signal), ask("agreements", asked, signal)]);
  const rows = await reviewed(page.agreements ?? [], signal);
  const where = h("div", {});
  const draw = (next) => {
    const parts = rows.length ? [list(t("agreements"), rows, route, all, true)]
      : [route.state ? h("p", { class: "empty" }, t("noneInState")) : empty(t("noAgreements"), command())];
    where.replaceChildren(...parts, next ? onward(next, more) : "");
  };
  const more = async (token) => {
    const further = await ask("agreements", { ...asked, page_token: token }, signal);
    rows.push(...await reviewed(further.agreements ?? [], signal));
    draw(further.nextPageToken);
    tell(t("rowsRead", { n: whole(rows.length) }));
  };
  draw(page.nextPageToken);
  const state = h("label", {}, t("state"), h("select", { onchange: (event) => route.go({ state: event.target.value }) },
    ["", ...STATES].map((it) => h("option", { value: it, selected: it === route.state }, t(it ? `AGREEMENT_STATE_${it.toUpperCase()}` : "anyState")))));
  main.replaceChildren(h("h1", {}, t("agreements")), h("div", { class: "controls" }, state, printButton()), where, h("p", { class: "note" }, t("agreementsNote")));
  tell(t("rowsRead", { n: whole(rows.length) }));
}

/** Those with an actor, for its page; nothing where the reader may not see them. */
export async function agreementsWith(actor, route, all, signal) {
  let found;
  try {
    found = await ask("agreements", { ...actor, page_size: READ_AT_ONCE }, signal);
  } catch (error) {
    if (error.code === "PERMISSION_DENIED") return null;
    throw error;
  }
  const rows = await reviewed(found.agreements ?? [], signal);
  return h("section", { "aria-labelledby": "of-agreements" }, h("h2", { id: "of-agreements" }, t("agreements")),
    rows.length ? list(t("agreements"), rows, route, all, false) : empty(t("noAgreementsWith"), command(actor)),
    found.nextPageToken && h("p", { class: "partly" }, h("a", { href: route.link({ page: "agreements", id: "" }) }, t("allAgreements"))));
}

function reviewTable(reviews) {
  return table(t("reviews"), [
    { title: t("review"), cell: (it) => day(it.day) },
    { title: t("window"), cell: (it) => `${day(it.window.firstDay)} – ${day(it.window.lastDay)}` },
    { title: t("value"), number: true, cell: (it) => (hasFigure(it) ? percent(it.figure.value) : "–") },
    { title: t("interval"), number: true, cell: (it) => interval(it.figure) },
    { title: t("fraction"), number: true, cell: (it) => fraction(it.figure) },
    { title: t("glidePath"), number: true, cell: (it) => percent(it.glidePath) },
    { title: t("verdict"), cell: (it) => [sign(it.verdict), it.isProvisional && h("small", {}, t("soFar"))] },
  ], reviews, { class: "rows" });
}

/** How a verdict follows from the figure: for both sides the same words. */
function rules(terms) {
  const way = terms.direction === "AGREEMENT_DIRECTION_HIGHER_IS_BETTER" ? "higher" : "lower";
  return h("details", {}, h("summary", {}, t("verdictRules")),
    table(t("verdictRules"), [
      { title: t("verdict"), cell: (it) => sign(`AGREEMENT_VERDICT_${it}`) },
      { title: t("holdsIf"), cell: (it) => t(`${it === "INSUFFICIENT_DATA" || it === "INCONCLUSIVE" ? "rule" : way}:${it}`, { n: whole(terms.nMin ?? 0) }) },
    ], VERDICTS),
    h("p", { class: "note" }, t("glideFormula")));
}

function shifts(review) {
  const found = alarms(review);
  const told = found.length ? message("wrong calm", t("alarm"), t("alarmText", { n: whole(found.length), a: day(found[0].day), b: day(found.at(-1).day) }))
    : h("p", {}, t("noShiftText", { n: whole(review.days.filter((it) => it.cusum !== undefined).length) }));
  const rows = table(t("cusumTitle"), [
    { title: t("day"), cell: (it) => day(it.day) },
    { title: t("value"), number: true, cell: (it) => percent(it.value ?? 0) },
    { title: t("fraction"), number: true, cell: (it) => fraction(it) },
    { title: "C", number: true, cell: (it) => (it.cusum === undefined ? "–" : percent(it.cusum)) },
    { title: "h", number: true, cell: (it) => (it.cusumLimit === undefined ? "–" : percent(it.cusumLimit)) },
    { title: t("alarm"), cell: (it) => (it.alarm ? h("span", { class: "verdict bad" }, t("alarm")) : "–") },
  ], review.days);
  return [told, cusum(t("cusumTitle"), review.days), h("details", {}, h("summary", {}, t("asTable")), rows),
    h("p", { class: "note" }, t("cusumNote", { k: percent(review.cusumAllowance ?? 0), n: whole(review.dayNMin ?? 0) }))];
}

function versions(agreement) {
  const all = [...(agreement.earlier ?? []), agreement.newest].reverse();
  return table(t("versions"), [
    { title: t("version"), cell: (it) => [it.version, it.withdrawn && h("small", {}, t("AGREEMENT_STATE_WITHDRAWN"))] },
    { title: t("recorded"), cell: (it) => [day(it.recordedDay), h("small", {}, it.recordedBy)] },
    { title: t("baseline"), number: true, cell: ({ terms: it }) => [share(it.baseline.value), h("small", {}, fraction(it.baseline))] },
    { title: t("target"), number: true, cell: ({ terms: it }) => share(it.target) },
    { title: t("start"), cell: ({ terms: it }) => day(it.startDay) },
    { title: t("deadline"), cell: ({ terms: it }) => day(it.deadlineDay) },
    { title: t("rhythm"), cell: ({ terms: it }) => t("rhythmOf", { every: whole(it.reviewIntervalDays), window: whole(it.windowDays), n: whole(it.nMin ?? 0) }) },
    { title: t("noteOf"), cell: (it) => it.withdrawalReason || it.terms.note || h("span", { class: "none" }, "–") },
  ], all, { class: "rows" });
}

/** Shows one in `main`. */
export async function agreement(main, route, session, signal) {
  const [all, answer] = await Promise.all([descriptions(signal), ask("agreement", { id: route.id, version: route.version }, signal)]);
  const review = complete(answer);
  const it = review.agreement;
  const every = [...(it.earlier ?? []), it.newest];
  const terms = every.find((one) => one.version === review.version).terms;
  const newest = review.reviews.at(-1);
  const name = titleOf(terms.indicator, describe(all, terms.indicator));
  const role = ROLE[terms.actor.role];
  const source = terms.baseline.source === "AGREEMENT_BASELINE_SOURCE_COMPUTED" ? t("computed", { n: whole(terms.baseline.watermark ?? 0) }) : t("stated");
  const period = terms.baseline.period ?? {};
  const choose = every.length > 1 && h("label", {}, t("byVersion"), h("select", { onchange: (event) => route.go({ version: event.target.value }) },
    every.map((one) => h("option", { value: one.version, selected: one.version === review.version }, one.version))));
  const section = (key, ...content) => h("section", { "aria-labelledby": `of-${key}` }, h("h2", { id: `of-${key}` }, t(key)), content);
  main.replaceChildren(
    h("p", { class: "crumb" }, h("a", { href: route.link({ page: "agreements", id: "", version: "" }) }, t("agreements"))),
    h("h1", {}, it.id, " ", h("small", {}, `${name}, ${t(it.state)}`)),
    h("div", { class: "controls" }, choose, printButton()),
    it.newest.withdrawn ? message("", t("AGREEMENT_STATE_WITHDRAWN"), it.newest.withdrawalReason || t("noReason")) : "",
    figures([
      [t(role), h("a", { href: route.link({ page: "actor", id: terms.actor.id, role, version: "" }) }, terms.actor.id)],
      [t("baseline"), share(terms.baseline.value), `${fraction(terms.baseline)}, ${day(period.firstDay)} – ${day(period.lastDay)}, ${source}`],
      [t("target"), share(terms.target), t(terms.direction)],
      [t("start"), day(terms.startDay)], [t("deadline"), day(terms.deadlineDay)],
      [t("newestReview"), hasFigure(newest) ? percent(newest.figure.value) : "–", newest && `${interval(newest.figure)}, ${day(newest.day)}`],
      [t("verdict"), newest ? sign(newest.verdict) : "–", newest?.isProvisional && t("soFar")],
      [t("nextReview"), review.nextReviewDay ? day(review.nextReviewDay) : "–", t("rhythmOf", { every: whole(terms.reviewIntervalDays), window: whole(terms.windowDays), n: whole(terms.nMin ?? 0) })],
    ]),
    terms.note ? h("p", { class: "remark" }, terms.note) : "",
    h("div", { class: "charts" },
      section("glidePath", glide(t("glideTitle", { name }), terms, review.reviews, review.today)),
      section("cusumTitle", review.days.length ? shifts(review) : h("p", { class: "empty" }, t("noDays")))),
    section("reviews", review.reviews.length ? reviewTable(review.reviews) : h("p", { class: "empty" }, t("noReviews")), rules(terms)),
    section("versions", versions(it)),
    h("p", { class: "watermark" }, t("watermark", { n: whole(review.watermark ?? 0) })));
  tell(`${t("agreement")} ${it.id}`);
}
