// Asking the server. The token is kept for as long as the tab is open, and goes with each request.

const KEY = "waag.token";

export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (text) => sessionStorage.setItem(KEY, text.trim()),
  clear: () => sessionStorage.removeItem(KEY),
};

/** What the server, or the way to it, refused. */
export class Refusal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** What is at `path` with these parameters. */
export async function ask(path, parameters, signal) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters ?? {})) {
    for (const one of [value].flat()) if (one !== "" && one !== null && one !== undefined) query.append(name, one);
  }
  const headers = { accept: "application/json" };
  if (token.get()) headers.authorization = `Bearer ${token.get()}`;
  let answer;
  try {
    answer = await fetch(`./api/${path}?${query}`, { headers, signal, credentials: "omit", cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("GONE", error.message);
  }
  let told;
  try {
    told = await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("GONE", `${answer.status} ${answer.statusText}`);
  }
  if (!answer.ok) throw new Refusal(told.code, told.message);
  return told;
}

/** Summaries with the zeros that protobuf JSON leaves out. */
export function complete(summary) {
  for (const indicator of summary.indicators ?? []) [indicator.value, indicator.numerator] = [indicator.value ?? 0, indicator.numerator ?? "0"];
  return summary;
}

let described;
/** What there is to be counted; asked for once. */
async function catalogue(signal) {
  described ??= await ask("indicators", {}, signal);
  return described;
}

/** What each indicator counts, by name; those of findings, too. */
export async function descriptions(signal) {
  const { indicators, findings } = await catalogue(signal);
  return new Map([...indicators, ...findings].map((it) => [it.name, it]));
}

/** Those of findings, in their order. */
export const findingKinds = async (signal) => (await catalogue(signal)).findings;

let known;
/** Each reason's text and legal basis, by name; asked for once. */
export async function reasons(signal) {
  known ??= new Map((await ask("reasons", {}, signal)).reasons.map((it) => [it.reason, it]));
  return known;
}

/** The description of an indicator, that of an HS chapter included. */
export const describe = (all, name) => all.get(name.split(":")[0]);

/** Whether an indicator is worth a conversation by its starting value. */
export function isNotable(indicator, description) {
  const above = description?.notableAbove;
  if (above === undefined || Number(indicator.numerator) === 0) return false;
  if (indicator.lower !== undefined) return indicator.lower > above;
  // A ratio: bunching, whose numerator is 4 times what it counts.
  return indicator.value > above && Number(indicator.numerator) / 4 + Number(indicator.denominator) >= 500;
}
