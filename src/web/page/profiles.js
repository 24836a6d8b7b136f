// Risk profiles: all of them with the register of algorithms, and one with what it hit.

import { ask } from "./server.js";
import { bars } from "./charts.js";
import { conditions } from "./conditions.js";
import { empty, figures, h, message, onward, printButton, table, tell } from "./parts.js";
import { periodPicker } from "./page.js";
import { day, english, euro, t, whole } from "./words.js";

const READ_AT_ONCE = 100;
const STATES = ["active", "pending", "ended", "withdrawn"];
const COMMAND = 'waag profile record --name NAME --purpose TEXT --owner OWNER --hs 8507 --origin CN';

/** From one day to another, or from one on. */
const days = (first, last) => (!first ? t("never") : last ? `${day(first)} – ${day(last)}` : t("fromOn", { day: day(first) }));

function list(rows, route) {
  return table(t("profiles"), [
    { title: t("profile"), cell: (it) => [h("a", { href: route.link({ page: "profile", id: it.id }) }, it.id), h("small", {}, t(it.state))] },
    { title: t("name"), cell: (it) => [it.newest.terms.name, h("small", {}, it.newest.terms.purpose)] },
    { title: t("owner"), cell: (it) => it.newest.terms.owner },
    { title: t("inForce"), cell: (it) => days(it.newest.firstDay, it.newest.lastDay) },
    { title: t("version"), number: true, cell: (it) => whole(it.newest.version) },
    { title: t("recorded"), cell: (it) => [day(it.newest.recordedDay), h("small", {}, it.newest.recordedBy)] },
  ], rows, { class: "rows" });
}

function register(algorithms) {
  const foreign = (text) => h("span", { lang: english() }, text);
  const own = (it) => it.kind === "ALGORITHM_KIND_BUILT_IN";
  const text = (it, what) => (own(it) ? foreign(what) : what);
  return table(t("register"), [
    { title: t("algorithm"), cell: (it) => [text(it, it.name), h("small", {}, `${it.id} · ${t(it.kind)}`)] },
    { title: t("purpose"), cell: (it) => text(it, it.purpose) },
    { title: t("inputs"), cell: (it) => foreign((it.inputs ?? []).join("; ")) },
    { title: t("method"), cell: (it) => foreign(it.method) },
    { title: t("owner"), cell: (it) => it.owner },
    { title: t("inUse"), cell: (it) => (it.sinceDay ? days(it.sinceDay, it.untilDay) : t("withRelease", { v: it.version })) },
  ], algorithms, { class: "rows register" });
}

/** Shows all of them in `main`. */
export async function profiles(main, route, session, signal) {
  const asked = { state: route.state, page_size: READ_AT_ONCE };
  const [page, algorithms] = await Promise.all([ask("profiles", asked, signal), ask("algorithms", {}, signal)]);
  const rows = page.profiles ?? [];
  const where = h("div", {});
  const draw = (next) => {
    const none = route.state ? h("p", { class: "empty" }, t("noProfileInState")) : empty(t("noProfiles"), COMMAND);
    where.replaceChildren(rows.length ? list(rows, route) : none, next ? onward(next, more) : "");
  };
  const more = async (token) => {
    const further = await ask("profiles", { ...asked, page_token: token }, signal);
    rows.push(...further.profiles ?? []);
    draw(further.nextPageToken);
    tell(t("rowsRead", { n: whole(rows.length) }));
  };
  draw(page.nextPageToken);
  const state = h("label", {}, t("state"), h("select", { onchange: (event) => route.go({ state: event.target.value }) },
    ["", ...STATES].map((it) => h("option", { value: it, selected: it === route.state }, t(it ? `PROFILE_STATE_${it.toUpperCase()}` : "anyState")))));
  main.replaceChildren(h("h1", {}, t("profiles")), h("div", { class: "controls" }, state, printButton()), where,
    h("p", { class: "note" }, t("profilesNote")),
    h("section", { "aria-labelledby": "of-register" }, h("h2", { id: "of-register" }, t("register")),
      h("p", { class: "note" }, t("registerNote")), register(algorithms.algorithms ?? [])));
  tell(t("rowsRead", { n: whole(rows.length) }));
}

function examples(found, route) {
  if (!found?.length) return h("span", { class: "none" }, "–");
  return h("details", {}, h("summary", {}, t("examplesOf", { n: whole(found.length) })), h("ul", { class: "examples" }, found.map((it) =>
    h("li", {}, h("code", {}, it.mrn), " ", h("a", { href: route.link({ page: "actor", role: "declarant", id: it.declarant }) }, it.declarant), ` ${it.lrn}, `,
      t("goodsItem", { n: whole(it.goodsItem) })))));
}

function hitsOf(version, route) {
  const found = version.days ?? [];
  const id = `of-version-${version.version}`;
  const count = (it, field) => whole(it?.[field] ?? 0);
  return h("section", { "aria-labelledby": id }, h("h3", { id }, t("ofVersion", { n: version.version })),
    h("p", {}, t("hitsTold", { declarations: count(version.hits, "declarations"), lines: count(version.hits, "lines"), value: euro(version.hits?.valueEurCents ?? 0) })),
    found.length ? [bars(t("hitsByDay"), found.map((it) => ({ day: it.day, count: Number(it.hits?.declarations ?? 0) }))),
      table(t("hitsByDay"), [
        { title: t("day"), cell: (it) => day(it.day) },
        { title: t("declarations"), number: true, cell: (it) => count(it.hits, "declarations") },
        { title: t("lines"), number: true, cell: (it) => count(it.hits, "lines") },
        { title: t("value"), number: true, cell: (it) => euro(it.hits?.valueEurCents ?? 0) },
        { title: t("examples"), cell: (it) => examples(it.examples, route) },
      ], found, { class: "rows" })] : null,
    h("p", { class: "watermark" }, t("sealedWatermark", { n: whole(version.watermark ?? 0) })));
}

function versions(profile) {
  const all = [...(profile.earlier ?? []), profile.newest].reverse();
  return table(t("versions"), [
    { title: t("version"), cell: (it) => [it.version, it.withdrawn && h("small", {}, t("PROFILE_STATE_WITHDRAWN"))] },
    { title: t("recorded"), cell: (it) => [day(it.recordedDay), h("small", {}, it.recordedBy)] },
    { title: t("inForce"), cell: (it) => days(it.firstDay, it.lastDay) },
    { title: t("name"), cell: (it) => it.terms.name },
    { title: t("owner"), cell: (it) => it.terms.owner },
    { title: t("looksFor"), cell: (it) => conditions(it.terms.conditions, "–") },
    { title: t("noteOf"), cell: (it) => it.withdrawalReason || h("span", { class: "none" }, "–") },
  ], all, { class: "rows" });
}

/** Shows one in `main`. */
export async function profile(main, route, session, signal) {
  const answer = await ask("hits", { id: route.id, first_day: route.first, last_day: route.last }, signal);
  const it = answer.profile;
  const { terms } = it.newest;
  const found = [...(answer.versions ?? [])].reverse();
  const first = [...(it.earlier ?? []), it.newest].find((one) => one.firstDay);
  const sum = (field) => found.reduce((all, one) => all + Number(one.hits?.[field] ?? 0), 0);
  const section = (key, ...content) => h("section", { "aria-labelledby": `of-${key}` }, h("h2", { id: `of-${key}` }, t(key)), content);
  main.replaceChildren(
    h("p", { class: "crumb" }, h("a", { href: route.link({ page: "profiles", id: "", first: "", last: "" }) }, t("profiles"))),
    h("h1", {}, it.id, " ", h("small", {}, `${terms.name}, ${t(it.state)}`)),
    h("div", { class: "controls" }, periodPicker(route, session), printButton()),
    it.newest.withdrawn ? message("", t("PROFILE_STATE_WITHDRAWN"), it.newest.withdrawalReason || t("noReason")) : "",
    figures([
      [t("owner"), terms.owner], [t("since"), first ? day(first.firstDay) : t("never")], [t("version"), whole(it.newest.version), days(it.newest.firstDay, it.newest.lastDay)],
      [t("hitDeclarations"), whole(sum("declarations"))], [t("lines"), whole(sum("lines"))], [t("value"), euro(sum("valueEurCents"))],
    ]),
    h("p", { class: "remark" }, terms.purpose),
    section("looksFor", conditions(terms.conditions, h("p", { class: "empty" }, "–"))),
    section("hits", found.length ? found.map((one) => hitsOf(one, route)) : h("p", { class: "empty" }, t("noHits")), h("p", { class: "note" }, t("hitsNote"))),
    section("versions", versions(it)));
  tell(`${t("profile")} ${it.id}`);
}
