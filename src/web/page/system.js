// How the server does, read again every two seconds.

import { ask } from "./server.js";
import { figures, h, message, table } from "./parts.js";
import { spark } from "./charts.js";
import { bytes, decimal, moment, percent, short, t, whole } from "./words.js";

const EVERY_MS = 2_000;
const KEPT = 60;

const OUTCOMES = ["accepted", "rejected", "replayed", "conflicts"];

function milliseconds(histogram) {
  return histogram.count ? `${decimal((1_000 * histogram.sum) / histogram.count)} ms` : "–";
}

/** The bound below which 99 in 100 are. */
function most(histogram) {
  let left = histogram.count * 0.99;
  for (const [bound, count] of histogram.buckets) {
    left -= count;
    if (left <= 0 && histogram.count) return bound === null ? null : `${t("p99")} ${bound >= 1 ? `${decimal(bound)} s` : `${decimal(bound * 1_000)} ms`}`;
  }
  return null;
}

const of = (number) => t("ofMost", { n: number });

/** Shows it in `main` until `signal` says stop. */
export async function system(main, route, session, signal) {
  const rates = [];
  let before;
  let isPaused = false;
  const lines = h("div", {});
  const now = h("div", {});
  const trouble = h("div", {});
  const pause = h("button", { type: "button", onclick: () => {
    isPaused = !isPaused;
    pause.textContent = t(isPaused ? "resume" : "pause");
  } }, t("pause"));

  function draw(it, at) {
    const declared = it.declared;
    const engine = it.engine;
    const rate = (field) => {
      if (!before?.it.declared || !declared) return 0;
      return Math.max(0, (declared[field] - before.it.declared[field]) / ((at - before.at) / 1_000));
    };
    if (before && declared) rates.push(rate("judgedLines"));
    if (rates.length > KEPT) rates.shift();
    const highest = Math.max(0, ...rates);
    const about = t("throughputAbout", { now: whole(rates.at(-1) ?? 0), most: whole(highest) });
    lines.replaceChildren(h("figure", {}, h("p", { class: "large" }, h("b", {}, whole(rates.at(-1) ?? 0)), " ", t("throughput").toLowerCase()),
      spark(t("throughput"), about, rates, highest), h("figcaption", {}, about)));

    const sections = [];
    const section = (title, content) => sections.push(h("section", {}, h("h2", {}, title), content));
    if (declared) {
      const all = OUTCOMES.reduce((sum, outcome) => sum + declared[outcome], 0);
      section(t("outcomes"), table(t("outcomes"), [
        { title: t("outcome"), cell: (outcome) => t(outcome) },
        { title: t("declarations"), number: true, cell: (outcome) => whole(declared[outcome]) },
        { title: t("share"), number: true, cell: (outcome) => (all ? percent(declared[outcome] / all) : "–") },
        { title: t("perSecond"), number: true, cell: (outcome) => whole(rate(outcome)) },
      ], OUTCOMES));
    }
    const refused = it.batches.refused.filter((one) => one.batches > 0).map((one) => `${one.code} ${whole(one.batches)}`).join(", ");
    section(t("serving"), figures([
      ...it.serving.map((one) => [one.service, it.isRecovering ? t("recovering") : t(one.isServing ? "serving" : "notServing")]),
      [t("answer"), milliseconds(it.answerSeconds), most(it.answerSeconds)], [t("batches"), whole(it.batches.answered)],
      [t("refusedBatches"), whole(it.batches.refused.reduce((sum, one) => sum + one.batches, 0)), refused],
      [t("connections"), whole(it.connections.now), it.connections.turnedAway > 0 && t("turnedAway", { n: whole(it.connections.turnedAway) })],
    ]));
    if (engine) {
      section(t("journal"), figures([
        [t("durable"), whole(engine.durableRecord)], [t("groupWrite"), milliseconds(it.groupWriteSeconds), most(it.groupWriteSeconds)],
        [t("inWork"), whole(engine.batchesInWork), of(whole(engine.batchesInWorkMax))], [t("clock"), `${whole(engine.clockBehindMs)} ms`]]));
      section(t("sealing"), figures([
        [t("sealed"), whole(engine.sealedRecord)], [t("unsealed"), bytes(engine.unsealedBytes), of(bytes(engine.unsealedBytesMax))],
        [t("runs"), whole(engine.indexRuns), t("keys", { n: short(engine.indexRunEntries) })]]));
      section(t("memory"), figures([
        [t("resident"), it.residentBytes === null ? "–" : bytes(it.residentBytes)], [t("memoryMax"), bytes(engine.memoryMax)],
        [t("index"), percent(engine.indexPlaces ? 1 - engine.indexRoom / engine.indexPlaces : 0), of(short(engine.indexPlaces))],
        [t("disk"), engine.diskFree === null ? "–" : bytes(engine.diskFree), t("diskReserve", { n: bytes(engine.diskReserve) })]]));
    }
    now.replaceChildren(h("div", { class: "grid" }, sections),
      h("p", { class: "watermark" }, declared && t("watermark", { n: whole(declared.watermark) }), " ",
        t("up", { t: moment(new Date(Date.now() - 1_000 * it.uptimeSeconds)) })));
    before = { it, at };
  }

  const first = await ask("system", {}, signal);
  draw(first, performance.now());
  main.replaceChildren(h("h1", {}, t("systemTitle")), h("div", { class: "controls" }, h("p", {}, t("every")), pause), trouble, lines, now);
  const again = async () => {
    if (signal.aborted) return;
    try {
      if (!isPaused && !document.hidden) {
        draw(await ask("system", {}, signal), performance.now());
        trouble.replaceChildren();
      }
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!trouble.firstChild) trouble.replaceChildren(message("wrong", t(error.code), error.code === "GONE" ? t("goneText") : error.message));
    }
    setTimeout(again, EVERY_MS);
  };
  setTimeout(again, EVERY_MS);
}
