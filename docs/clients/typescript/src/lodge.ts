/**
 * Lodges a file of declarations with Waag: prints their verdicts, then how each declarant stands.
 *
 * Each line of the file is a SubmitBatchRequest as protobuf JSON or, with --declarant, a Declaration.
 * Batches go out by SubmitBatch, a few at a time, each again until it is answered. To standard output
 * goes a line a declaration, in the order of the file, with tabs between: declarant, LRN, the outcome
 * first given, MRN, findings. All else goes to standard error.
 *
 * Exit codes: 0 all accepted, now or before; 3 some rejected, conflicting or refused; 4 some lines
 * unreadable; 5 not all answered; 1 a file cannot be read; 2 a wrong command line.
 */

import { open, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { create, fromBinary, fromJsonString, toBinary } from "@bufbuild/protobuf";
import type { DescMessage, DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import { anyUnpack, durationMs } from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";
import { BadRequestSchema, RetryInfoSchema, StatusSchema } from "../generated/google/rpc/details_pb.js";
import type { BadRequest_FieldViolation } from "../generated/google/rpc/details_pb.js";
import { ActorRole, Compliance, GetActorSummaryRequestSchema } from "../generated/waag/v1/compliance_pb.js";
import { DeclarationSchema } from "../generated/waag/v1/declaration_pb.js";
import type { Declaration } from "../generated/waag/v1/declaration_pb.js";
import { Lodgement, Outcome, SubmitBatchRequestSchema } from "../generated/waag/v1/lodgement_pb.js";
import type { SubmitBatchRequest, SubmitBatchResponse } from "../generated/waag/v1/lodgement_pb.js";

const IN_FLIGHT_MAX = 8; // batches that are sent and not answered
const BATCH_MAX = 500; // declarations to a batch that is made here
const [PAUSE_MIN_MS, PAUSE_MAX_MS] = [100, 5_000]; // between attempts, where the service does not say

/** The call itself is wrong: asking again gives the same. All else may pass. */
const FINAL = new Set([
  grpc.status.INVALID_ARGUMENT,
  grpc.status.NOT_FOUND,
  grpc.status.ALREADY_EXISTS,
  grpc.status.PERMISSION_DENIED,
  grpc.status.UNAUTHENTICATED,
  grpc.status.FAILED_PRECONDITION,
  grpc.status.OUT_OF_RANGE,
  grpc.status.UNIMPLEMENTED,
  grpc.status.DATA_LOSS,
]);

type Options = ReturnType<typeof commandLine>;

const log = (text: string) => process.stderr.write(`${text}\n`);

/** Why there is no answer, and will be none. */
class Refusal {
  readonly retryAfterMs: number | undefined;
  readonly violations: BadRequest_FieldViolation[] = [];

  constructor(private readonly error: grpc.ServiceError) {
    const [encoded] = error.metadata.get("grpc-status-details-bin");
    if (!(encoded instanceof Buffer)) return;
    for (const detail of fromBinary(StatusSchema, encoded).details) {
      const delay = anyUnpack(detail, RetryInfoSchema)?.retryDelay;
      if (delay) this.retryAfterMs = durationMs(delay);
      this.violations.push(...(anyUnpack(detail, BadRequestSchema)?.fieldViolations ?? []));
    }
  }

  get name(): string {
    return grpc.status[this.error.code] ?? "UNKNOWN";
  }

  get isFinal(): boolean {
    const isTooMuch = this.error.code === grpc.status.RESOURCE_EXHAUSTED;
    return FINAL.has(this.error.code) || (isTooMuch && this.retryAfterMs === undefined);
  }

  /** What was sent is at fault, not who sends it nor the service: others may be taken. */
  get concernsTheBatch(): boolean {
    return this.violations.length > 0 && ["INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"].includes(this.name);
  }

  toString(): string {
    const fields = this.violations.map((each) => `\n  ${each.field}: ${each.description}`);
    return `${this.name}: ${this.error.details}${fields.join("")}`;
  }
}

/** Where the service is, and how it is asked. */
class Service {
  private constructor(
    private readonly options: Options,
    private readonly client: grpc.Client,
    private readonly metadata: grpc.Metadata,
  ) {}

  static async at(options: Options): Promise<Service> {
    let credentials = grpc.credentials.createInsecure();
    if (options.url.protocol === "https:") {
      credentials = grpc.credentials.createSsl(options.ca ? await readFile(options.ca) : null);
    }
    // A connection that is dead is noticed, and made again soon after an outage.
    const client = new grpc.Client(options.url.host, credentials, {
      "grpc.keepalive_time_ms": 20_000,
      "grpc.keepalive_timeout_ms": 20_000,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 5_000,
    });
    const metadata = new grpc.Metadata();
    if (options.tokenFile) {
      metadata.set("authorization", `Bearer ${(await readFile(options.tokenFile, "utf8")).trim()}`);
    }
    return new Service(options, client, metadata);
  }

  /** The answer to a request, asked until there is one; or the Refusal. */
  async ask<I extends DescMessage, O extends DescMessage>(
    what: string,
    method: DescMethodUnary<I, O>,
    request: MessageShape<I>,
  ): Promise<MessageShape<O> | Refusal> {
    const giveUpAt = Date.now() + this.options.giveUpAfterMs;
    for (let pause = PAUSE_MIN_MS; ; pause = Math.min(2 * pause, PAUSE_MAX_MS)) {
      const answer = await this.askOnce(method, request);
      if (!(answer instanceof Refusal) || answer.isFinal) return answer;
      // Never sooner than the service says, and not all clients at the same moment.
      const wait = (1 + Math.random() / 2) * (answer.retryAfterMs ?? pause);
      if (Date.now() + wait > giveUpAt) return answer;
      log(`${what}: ${answer}: again in ${(wait / 1000).toFixed(1)} s`);
      await sleep(wait);
    }
  }

  private askOnce<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageShape<I>,
  ): Promise<MessageShape<O> | Refusal> {
    return new Promise((resolve) =>
      this.client.makeUnaryRequest(
        `/${method.parent.typeName}/${method.name}`,
        (message: MessageShape<I>) => Buffer.from(toBinary(method.input, message)),
        (bytes) => fromBinary(method.output, bytes),
        request,
        this.metadata,
        { deadline: Date.now() + this.options.deadlineMs },
        (error, answer) => resolve(error ? new Refusal(error) : answer!),
      ),
    );
  }
}

const declarantOf = (batch: SubmitBatchRequest) => batch.declarant.trim().toUpperCase();

/** The batches of the file. A line that cannot be read is told, and passed over. */
async function* readBatches(options: Options, count: Counter): AsyncGenerator<SubmitBatchRequest> {
  const { file, declarant } = options;
  let [number, made] = [0, 0];
  let declarations: Declaration[] = [];
  const batch = () => create(SubmitBatchRequestSchema, { batchId: `lodge-${++made}`, declarant, declarations });
  for await (const line of (await open(file)).readLines()) {
    number += 1;
    try {
      if (declarant === undefined) {
        yield fromJsonString(SubmitBatchRequestSchema, line);
        continue;
      }
      declarations.push(fromJsonString(DeclarationSchema, line));
    } catch (error) {
      log(`${file}:${number}: ${error}`);
      count.add("unreadable");
    }
    if (declarations.length === BATCH_MAX) {
      yield batch();
      declarations = [];
    }
  }
  if (declarations.length > 0) yield batch();
}

class Counter {
  private readonly counts = new Map<string, number>();
  add = (what: string) => this.counts.set(what, this.of(what) + 1);
  of = (what: string) => this.counts.get(what) ?? 0;
}

/** A batch that is sent, with declarant and LRN of its declarations. */
interface UnderWay {
  batch: SubmitBatchRequest;
  keys: Set<string>;
  answering: Promise<SubmitBatchResponse | Refusal>;
}

/** Not all is answered, and will not be. */
class Unanswered extends Error {}

/** Batches under way in the order of the file, and what came of those before them. */
class Lodging {
  readonly count = new Counter();
  private readonly watermarks = new Map<string, bigint>(); // by declarant: records that its answers rest on
  private readonly window: UnderWay[] = [];

  constructor(private readonly service: Service) {}

  async run(batches: AsyncIterable<SubmitBatchRequest>): Promise<void> {
    for await (const batch of batches) {
      // The declaration that comes first in the file is to be judged first.
      const keys = new Set(batch.declarations.map((each) => `${declarantOf(batch)}\n${each.lrn.trim()}`));
      const isAhead = (sent: UnderWay) => [...keys].some((key) => sent.keys.has(key));
      while (this.window.length === IN_FLIGHT_MAX || this.window.some(isAhead)) await this.takeFirst();
      const answering = this.service.ask(`batch ${batch.batchId}`, Lodgement.method.submitBatch, batch);
      this.window.push({ batch, keys, answering });
    }
    while (this.window.length > 0) await this.takeFirst();
  }

  /** Waits for the answer to the oldest batch, and prints its verdicts. */
  private async takeFirst(): Promise<void> {
    const { batch, answering } = this.window.shift()!;
    const [answer, declarant] = [await answering, declarantOf(batch)];
    const lines: string[] = [];
    const write = (declaration: Declaration, outcome: string, mrn: string, findings: string[]) => {
      this.count.add("declarations");
      this.count.add(outcome);
      lines.push(`${[declarant, declaration.lrn, outcome, mrn, findings.join(",")].join("\t")}\n`);
    };
    if (answer instanceof Refusal) {
      log(`batch ${batch.batchId} is refused: ${answer}`);
      if (!answer.concernsTheBatch) throw new Unanswered();
      for (const each of batch.declarations) write(each, "REFUSED", "", [answer.name]);
    } else {
      for (const [i, verdict] of answer.verdicts.entries()) {
        // A replay is told as what it repeats, so that nobody sees what was sent twice on the way.
        const isReplay = verdict.outcome === Outcome.REPLAYED;
        if (isReplay) this.count.add("replays");
        const findings = verdict.findings.map((found) =>
          found.goodsItemNumber > 0 ? `${found.reason}:${found.goodsItemNumber}` : found.reason,
        );
        if (verdict.findingsOmitted > 0) findings.push(`+${verdict.findingsOmitted}`);
        write(batch.declarations[i]!, Outcome[isReplay ? verdict.replayOf : verdict.outcome], verdict.mrn, findings);
      }
      const known = this.watermarks.get(declarant) ?? 0n;
      this.watermarks.set(declarant, answer.watermark > known ? answer.watermark : known);
    }
    process.stdout.write(lines.join(""));
  }

  /** How each declarant stands, with all that was answered here in it. */
  async tellSummaries(): Promise<void> {
    for (const [id, atLeastWatermark] of this.watermarks) {
      const actor = { role: ActorRole.DECLARANT, id };
      const request = create(GetActorSummaryRequestSchema, { actor, atLeastWatermark });
      const answer = await this.service.ask(`summary of ${id}`, Compliance.method.getActorSummary, request);
      if (answer instanceof Refusal) {
        log(`summary of ${id}: ${answer}`);
        throw new Unanswered();
      }
      const of = answer.summary!;
      const duty = `${of.dutyEurCents / 100n}.${String(of.dutyEurCents % 100n).padStart(2, "0")}`;
      log(
        `summary of ${id}: watermark ${of.watermark}, accepted ${of.accepted}, rejected ${of.rejected}, ` +
          `conflicts ${of.conflicts}, replayed ${of.replayed}, lines ${of.acceptedLines}, duty EUR ${duty}`,
      );
    }
  }

  exitCode(): number {
    const n = this.count.of;
    log(
      `declarations ${n("declarations")}, accepted ${n("ACCEPTED")}, rejected ${n("REJECTED")}, ` +
        `conflicts ${n("CONFLICT")}, refused ${n("REFUSED")}, unreadable ${n("unreadable")}, replays ${n("replays")}`,
    );
    return n("unreadable") > 0 ? 4 : n("ACCEPTED") < n("declarations") ? 3 : 0;
  }
}

function commandLine() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      to: { type: "string" },
      ca: { type: "string" },
      "token-file": { type: "string" },
      declarant: { type: "string" },
      deadline: { type: "string", default: "60" },
      "give-up-after": { type: "string", default: "300" },
    },
  });
  const [file, more] = positionals;
  if (!values.to || !file || more) throw new TypeError("lodge --to URL [--ca FILE] [--token-file FILE] [--declarant EORI] FILE");
  const url = URL.canParse(values.to) ? new URL(values.to) : undefined;
  if (!url || !["http:", "https:"].includes(url.protocol)) {
    throw new TypeError(`--to ${values.to}: not an address such as http://127.0.0.1:50051`);
  }
  const [isClear, isHere] = [url.protocol === "http:", ["127.0.0.1", "[::1]", "localhost"].includes(url.hostname)];
  if (values.ca && isClear) throw new TypeError(`--to ${values.to} has no TLS: with --ca it begins with https://`);
  if (values["token-file"] && isClear && !isHere) {
    throw new TypeError(`--to ${values.to}: a token that goes over a network in clear is anyone's`);
  }
  const [deadlineMs, giveUpAfterMs] = [1000 * Number(values.deadline), 1000 * Number(values["give-up-after"])];
  return { file, url, ca: values.ca, tokenFile: values["token-file"], declarant: values.declarant, deadlineMs, giveUpAfterMs };
}

async function main(): Promise<number> {
  const options = commandLine();
  const lodging = new Lodging(await Service.at(options));
  await lodging.run(readBatches(options, lodging.count));
  await lodging.tellSummaries();
  return lodging.exitCode();
}

try {
  process.exit(await main());
} catch (error) {
  if (error instanceof Unanswered) process.exit(5);
  log(error instanceof Error ? error.message : String(error));
  process.exit(error instanceof TypeError ? 2 : 1);
}
