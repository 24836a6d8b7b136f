// All actors of a role, in a table.

import { ask, complete, describe, descriptions, isNotable } from "./server.js";
import { h, message, table, tell } from "./parts.js";
import { actorLink, periodPicker, rolePicker } from "./page.js";
import { decimal, euro, percent, t, titleOf, valueOf, whole } from "./words.js";

const READ_AT_ONCE = 500;
const ROWS = 50;
/** Notable indicators in a row: the others stand with the actor. */
const NOTABLE = 3;

const find = (summary, name) => (summary.indicators ?? []).find((it) => it.name === name);
const ratio = (summary, name) => find(summary, name)?.value ?? -1;
const count = (field) => (summary) => Number(summary[field] ?? 0);

function share(indicator, format) {
  if (!indicator) return h("span", { class: "none" }, "–");
  if (indicator.lower === undefined) return format(indicator.value);
  const range = `${percent(indicator.lower)} – ${percent(indicator.upper)}`;
  return [format(indicator.value), h("small", {}, range)];
}

function columns(route, all) {
  const sorted = (key, title, by, cell, number = true) => ({ key, title, by, cell, number });
  const found = (summary) => (summary.indicators ?? []).filter((it) => isNotable(it, describe(all, it.name)) && !it.name.includes(":"));
  // Those farthest above where they begin to be notable come first.
  const times = (it) => (it.lower ?? it.value) / (describe(all, it.name).notableAbove || 0.001);
  const notable = (summary) => found(summary).sort((a, b) => times(b) - times(a));
  return [
    sorted("id", t(route.role), (it) => it.actor.id, (it) => h("a", { href: actorLink(route, it.actor.id) }, it.actor.id), false),
    sorted("lines", t("lines"), count("acceptedLines"), (it) => whole(it.acceptedLines ?? 0)),
    sorted("accepted", t("accepted"), count("accepted"), (it) => whole(it.accepted ?? 0)),
    sorted("rejected", t("rejectedShare"), (it) => ratio(it, "rejection_rate"), (it) => share(find(it, "rejection_rate"), percent)),
    sorted("conflicts", t("conflicts"), count("conflicts"), (it) => whole(it.conflicts ?? 0)),
    sorted("replayed", t("replayed"), count("replayed"), (it) => whole(it.replayed ?? 0)),
    sorted("value", t("value"), count("intrinsicValueEurCents"), (it) => euro(it.intrinsicValueEurCents ?? 0)),
    sorted("bunching", "B", (it) => ratio(it, "threshold_bunching"), (it) => share(find(it, "threshold_bunching"), decimal)),
    sorted("notable", t("notable"), (it) => notable(it).length, (summary) => {
      const found = notable(summary);
      if (!found.length) return h("span", { class: "none" }, "–");
      const more = found.length - NOTABLE;
      return h("ul", { class: "notable" }, found.slice(0, NOTABLE).map((one) => {
        const description = describe(all, one.name);
        return h("li", {}, titleOf(one.name, description), " ", h("b", {}, valueOf(one.value, description.isProportion)),
          one.lower !== undefined && h("small", {}, `${percent(one.lower)} – ${percent(one.upper)}`));
      }), more > 0 && h("li", {}, h("a", { href: actorLink(route, summary.actor.id), "aria-label": `${summary.actor.id}: ${t("more", { n: more })}` }, t("more", { n: more }))));
    }, false),
  ];
}

/** Shows them in `main`. */
export async function actors(main, route, session, signal) {
  const role = route.role;
  const asked = { role, first_day: route.first, last_day: route.last, page_size: READ_AT_ONCE };
  const [all, page] = [await descriptions(signal), await ask("actors", asked, signal)];
  const read = (page.summaries ?? []).map(complete);
  let next = page.nextPageToken;
  const state = { sort: "lines", down: true, filter: "", from: 0 };
  const where = h("div", { class: "list" });

  function rows() {
    const column = columns(route, all).find((it) => it.key === state.sort);
    const wanted = state.filter.trim().toUpperCase();
    const kept = read.filter((it) => it.actor.id.toUpperCase().includes(wanted));
    const order = state.down ? -1 : 1;
    kept.sort((a, b) => {
      const [left, right] = [column.by(a), column.by(b)];
      return left === right ? (a.actor.id < b.actor.id ? -1 : 1) : (left < right ? -order : order);
    });
    state.from = Math.min(state.from, Math.max(0, Math.floor((kept.length - 1) / ROWS) * ROWS));
    return kept;
  }

  function sortBy(column) {
    [state.sort, state.down, state.from] = [column.key, state.sort === column.key ? !state.down : column.number || column.key === "notable", 0];
    draw();
    where.querySelector(`[data-sort="${column.key}"]`).focus();
    tell(t("sortedBy", { column: column.title, order: t(state.down ? "descending" : "ascending") }));
  }

  function move(by, which) {
    state.from += by;
    draw();
    (where.querySelector(`[data-move="${which}"]:not([disabled])`) ?? where.querySelector("[data-move]:not([disabled])"))?.focus();
  }

  function draw() {
    const kept = rows();
    const shown = kept.slice(state.from, state.from + ROWS);
    const heads = columns(route, all).map((column) => ({
      ...column,
      name: column.title,
      sort: column.key === state.sort ? (state.down ? "descending" : "ascending") : null,
      title: h("button", { type: "button", class: "sort", "data-sort": column.key, title: t("sort", { column: column.title }), onclick: () => sortBy(column) }, column.title),
    }));
    const wanted = state.filter.trim().toUpperCase();
    const parts = [];
    if (!read.length) parts.push(h("p", { class: "empty" }, t("nobody")));
    else if (!kept.length) parts.push(h("p", { class: "empty" }, t("noMatch"), " ", h("a", { href: actorLink(route, wanted) }, t("open", { id: wanted }))));
    else {
      parts.push(table(t(`${role}s`), heads, shown, { class: "actors" }));
      parts.push(h("div", { class: "pager" },
        h("button", { type: "button", "data-move": "previous", disabled: state.from === 0, onclick: () => move(-ROWS, "previous") }, t("previous")),
        h("span", {}, t("shown", { a: whole(state.from + 1), b: whole(state.from + shown.length), n: whole(kept.length) })),
        h("button", { type: "button", "data-move": "next", disabled: state.from + ROWS >= kept.length, onclick: () => move(ROWS, "next") }, t("next"))));
    }
    if (next) parts.push(h("p", { class: "partly" }, t("partly", { n: whole(read.length) }), " ", h("button", { type: "button", onclick: more }, t("loadMore"))));
    where.replaceChildren(...parts);
  }

  async function more() {
    try {
      const further = await ask("actors", { ...asked, page_token: next }, signal);
      read.push(...(further.summaries ?? []).map(complete));
      next = further.nextPageToken;
      draw();
      tell(t("loaded", { n: whole(read.length) }));
    } catch (error) {
      if (error.name !== "AbortError") where.append(message("wrong", t("otherError"), error.message));
    }
  }

  const filter = h("label", { class: "filter" }, t("filter"), h("input", {
    type: "search", placeholder: t("filterHint"), autocomplete: "off", spellcheck: "false",
    oninput: (event) => { [state.filter, state.from] = [event.target.value, 0]; draw(); tell(t("loaded", { n: whole(rows().length) })); },
  }));
  draw();
  main.replaceChildren(h("h1", {}, t(`${role}s`)),
    h("div", { class: "controls" }, rolePicker(route, (it) => route.go({ role: it })), periodPicker(route, session), filter), where,
    h("p", { class: "note" }, t("indicatorsNote"), " ", t("notableNote")),
    h("p", { class: "watermark" }, t("watermark", { n: whole(page.watermark ?? 0) })));
  tell(t("loaded", { n: whole(read.length) }));
}
