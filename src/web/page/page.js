// Which page is shown, in which language, and for whom.

import { Refusal, ask, token } from "./server.js";
import { LANGUAGES, change, current, t } from "./words.js";
import { actor } from "./actor.js";
import { actors } from "./actors.js";
import { agreement, agreements } from "./agreements.js";
import { findings } from "./findings.js";
import { h, message } from "./parts.js";
import { profile, profiles } from "./profiles.js";
import { sample, samples } from "./samples.js";
import { signals } from "./signals.js";
import { system } from "./system.js";

const PAGES = { actors, actor, signals, findings, agreements, agreement, profiles, profile, samples, sample, system };
/** Those with a place in the navigation, and on which of them one of its things is shown. */
const PLACES = ["actors", "signals", "findings", "agreements", "profiles", "samples", "system"];
const PARENT = { actor: "actors", agreement: "agreements", profile: "profiles", sample: "samples" };
/** What an address may say besides its page. */
const ASKED = ["id", "first", "last", "state", "version", "open", "confidence", "indicator", "all"];
/** What is about one page only. */
const CLEARED = ["id", "state", "version", "open", "confidence", "indicator", "all"];
const ROLES = ["declarant", "representative", "ioss-holder"];
const main = document.getElementById("main");
let shown = new AbortController();

/** What the address asks for. */
function route() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const asked = new URLSearchParams(query);
  const page = PAGES[path] ? path : "actors";
  const role = ROLES.includes(asked.get("role")) ? asked.get("role") : ROLES[0];
  const now = { page, role, ...Object.fromEntries(ASKED.map((name) => [name, asked.get(name) ?? ""])) };
  const link = (changes) => {
    const to = { ...now, ...changes };
    const query = new URLSearchParams(Object.entries(to).filter(([name, value]) => name !== "page" && value));
    return `#/${to.page}?${query}`;
  };
  // From where the address is by then: another control may have been changed while the page reads.
  return { ...now, link, go: (changes) => { location.hash = route().link(changes); } };
}

export const actorLink = (from, id) => from.link({ page: "actor", id });

const daysBefore = (day, days) => new Date(Date.parse(day) - days * 86_400_000).toISOString().slice(0, 10);

/** So many days, `newest` the last of them. */
export const lastDays = (newest, days) => ({ first: daysBefore(newest, days - 1), last: newest });

/** Days to count: some periods at a touch, or any two days; all of them unless `all` is false. */
export function periodPicker(of, session, { all = true } = {}) {
  const first = h("input", { type: "date", name: "first", value: of.first });
  const last = h("input", { type: "date", name: "last", value: of.last });
  const newest = session.newestDay;
  const spans = newest ? [7, 28, 90].map((days) => ({ ...lastDays(newest, days), title: t("lastDays", { n: days }) })) : [];
  const offered = all ? [{ first: "", last: "", title: t("allDays") }, ...spans] : spans;
  return h("form", { class: "period", onsubmit: (event) => { event.preventDefault(); of.go({ first: first.value, last: last.value }); } },
    h("fieldset", {}, h("legend", {}, t("period")),
      h("span", { class: "spans" }, offered.map((span) => h("button", {
        type: "button", "aria-pressed": String(span.first === of.first && span.last === of.last),
        onclick: () => of.go({ first: span.first, last: span.last }),
      }, span.title))),
      h("label", {}, t("from"), first), h("label", {}, t("to"), last), h("button", {}, t("show"))));
}

/** In which role actors take part. */
export const rolePicker = (of, go) => h("fieldset", { class: "roles" }, h("legend", {}, t("role")), ROLES.map((it) => h("label", {},
  h("input", { type: "radio", name: "role", value: it, checked: it === of.role, onchange: () => go(it) }), t(`${it}s`))));

/** What a page is called: one thing by its id. */
const titleOf = (at) => (PARENT[at.page] && at.id ? at.id : t(at.page));

function frame(at, session) {
  document.documentElement.lang = current();
  document.title = [titleOf(at), "Waag"].join(" · ");
  document.getElementById("skip").textContent = t("skip");
  const nav = document.getElementById("nav");
  nav.setAttribute("aria-label", t("pages"));
  const here = (page) => (page === (PARENT[at.page] ?? at.page) ? "page" : null);
  nav.replaceChildren(...PLACES.map((page) => h("a", { href: at.link({ page, ...Object.fromEntries(CLEARED.map((name) => [name, ""])) }), "aria-current": here(page) }, t(page))));
  const language = h("select", { "aria-label": t("language"), onchange: (event) => { change(event.target.value); show(); } },
    Object.entries(LANGUAGES).map(([code, name]) => h("option", { value: code, lang: code, selected: code === current() }, name)));
  const who = session?.needsToken && [h("span", { class: "who" }, session.who),
    h("button", { type: "button", onclick: () => { token.clear(); show(); } }, t("signOut"))];
  document.getElementById("right").replaceChildren(...[who, language].flat().filter(Boolean));
  document.getElementById("foot").textContent = session ? `Waag ${session.version}` : "Waag";
}

function askForToken(why) {
  const field = h("input", { type: "password", id: "token", autocomplete: "off", spellcheck: "false", required: true, size: 40 });
  main.replaceChildren(h("h1", {}, t("tokenTitle")),
    why ? message("wrong", t("wrongToken"), why) : "",
    h("p", { id: "token-text" }, t("tokenText")),
    h("form", { class: "sign-in", onsubmit: (event) => { event.preventDefault(); token.set(field.value); show(); } },
      h("label", { for: "token" }, t("token")), field, h("button", {}, t("signIn"))));
  field.focus();
}

const KNOWN = ["GONE", "UNAVAILABLE", "PERMISSION_DENIED", "NOT_FOUND", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"];

function refuse(error, at) {
  if (error.code === "UNAUTHENTICATED") {
    const had = token.get();
    token.clear();
    return askForToken(had ? error.message : null);
  }
  const title = KNOWN.includes(error.code) ? t(error.code) : t("otherError");
  const text = error.code === "GONE" ? t("goneText") : error.message;
  main.replaceChildren(h("h1", {}, titleOf(at)),
    message("wrong", title, text, h("button", { type: "button", onclick: show }, t("retry"))));
  if (["GONE", "UNAVAILABLE"].includes(error.code)) {
    const signal = shown.signal;
    setTimeout(() => { if (!signal.aborted) show(); }, 3_000);
  }
}

async function show() {
  shown.abort();
  shown = new AbortController();
  const { signal } = shown;
  const at = route();
  frame(at);
  main.setAttribute("aria-busy", "true");
  if (!main.querySelector("h1")) main.replaceChildren(h("h1", {}, titleOf(at)), h("p", {}, t("waiting")));
  try {
    const session = await ask("session", {}, signal);
    frame(at, session);
    await PAGES[at.page](main, at, session, signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    refuse(error instanceof Refusal ? error : new Refusal("PAGE", String(error)), at);
  }
  main.removeAttribute("aria-busy");
}

window.addEventListener("hashchange", async () => {
  await show();
  // Whoever followed a link goes on at the page that it led to.
  main.focus({ preventScroll: true });
  window.scrollTo(0, 0);
});
show();
