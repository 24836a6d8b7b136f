"""Lodges a file of declarations with Waag: prints their verdicts, then how each declarant stands.

Each line of the file is a SubmitBatchRequest as protobuf JSON or, with --declarant, a Declaration.
Batches go out by SubmitBatch, a few at a time, each again until it is answered. To standard output
goes a line a declaration, in the order of the file, with tabs between: declarant, LRN, the outcome
first given, MRN, findings. All else goes to standard error.

Exit codes: 0 all accepted, now or before; 3 some rejected, conflicting or refused; 4 some lines
unreadable; 5 not all answered; 1 a file cannot be read; 2 a wrong command line.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass
from urllib.parse import urlsplit

import grpc
from google.protobuf import json_format
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from waag.v1 import compliance_pb2, compliance_pb2_grpc, declaration_pb2, lodgement_pb2, lodgement_pb2_grpc

IN_FLIGHT_MAX = 8  # batches that are sent and not answered
BATCH_MAX = 500  # declarations to a batch that is made here
PAUSE_MIN_S, PAUSE_MAX_S = 0.1, 5.0  # between attempts, where the service does not say

# The call itself is wrong: asking again gives the same. All else may pass.
FINAL = {
    grpc.StatusCode[name]
    for name in (
        "INVALID_ARGUMENT NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED UNAUTHENTICATED "
        "FAILED_PRECONDITION OUT_OF_RANGE UNIMPLEMENTED DATA_LOSS"
    ).split()
}


@dataclass
class Refusal:
    """Why there is no answer, and will be none."""

    code: str
    message: str
    violations: list  # of google.rpc.BadRequest: the fields at fault

    def concerns_the_batch(self):
        """What was sent is at fault, not who sends it nor the service: others may be taken."""
        return bool(self.violations) and self.code in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")

    def __str__(self):
        fields = [f"\n  {each.field}: {each.description}" for each in self.violations]
        return f"{self.code}: {self.message}{''.join(fields)}"


def log(text):
    print(text, file=sys.stderr, flush=True)


def details(error):
    """The RetryInfo in seconds, or None, and the field violations that a status carries."""
    retry_after, violations = None, []
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        retry_info, bad_request = error_details_pb2.RetryInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(retry_info):
            retry_after = retry_info.retry_delay.ToTimedelta().total_seconds()
        elif detail.Unpack(bad_request):
            violations.extend(bad_request.field_violations)
    return retry_after, violations


class Service:
    """Where the service is, and how it is asked."""

    def __init__(self, options):
        url = urlsplit(options.to)
        settings = [
            # A connection that is dead is noticed, and made again soon after an outage.
            ("grpc.keepalive_time_ms", 20_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 5_000),
        ]
        if url.scheme == "https":
            roots = open(options.ca, "rb").read() if options.ca else None
            credentials = grpc.ssl_channel_credentials(root_certificates=roots)
            self.channel = grpc.aio.secure_channel(url.netloc, credentials, settings)
        else:
            self.channel = grpc.aio.insecure_channel(url.netloc, settings)
        token = open(options.token_file).read().strip() if options.token_file else None
        self.metadata = [("authorization", f"Bearer {token}")] if token else []
        self.lodgement = lodgement_pb2_grpc.LodgementStub(self.channel)
        self.compliance = compliance_pb2_grpc.ComplianceStub(self.channel)
        self.deadline, self.give_up_after = options.deadline, options.give_up_after

    async def ask(self, what, method, request):
        """The answer to a request, asked until there is one; or the Refusal."""
        give_up_at, pause = time.monotonic() + self.give_up_after, PAUSE_MIN_S
        while True:
            try:
                return await method(request, timeout=self.deadline, metadata=self.metadata)
            except grpc.aio.AioRpcError as error:
                code, (retry_after, violations) = error.code(), details(error)
                refusal = Refusal(code.name, error.details(), violations)
            too_much = code is grpc.StatusCode.RESOURCE_EXHAUSTED
            if code in FINAL or (too_much and retry_after is None):
                return refusal
            # Never sooner than the service says, and not all clients at the same moment.
            wait = random.uniform(1, 1.5) * (pause if retry_after is None else retry_after)
            if time.monotonic() + wait > give_up_at:
                return refusal
            log(f"{what}: {refusal}: again in {wait:.1f} s")
            await asyncio.sleep(wait)
            pause = min(2 * pause, PAUSE_MAX_S)


def declarant(batch):
    return batch.declarant.strip().upper()


def read_batches(options, counts):
    """The batches of the file. A line that cannot be read is told, and passed over."""
    batch, made = None, 0
    with open(options.file, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            kind = declaration_pb2.Declaration if options.declarant else lodgement_pb2.SubmitBatchRequest
            try:
                message = json_format.Parse(line, kind())
            except json_format.ParseError as error:
                log(f"{options.file}:{number}: {error}")
                counts["unreadable"] += 1
                continue
            if not options.declarant:
                yield message
                continue
            if batch is None:
                made += 1
                batch = lodgement_pb2.SubmitBatchRequest(
                    batch_id=f"lodge-{made}", declarant=options.declarant
                )
            batch.declarations.append(message)
            if len(batch.declarations) == BATCH_MAX:
                yield batch
                batch = None
    if batch is not None:
        yield batch


class Lodging:
    """Batches under way in the order of the file, and what came of those before them."""

    def __init__(self, service):
        self.service = service
        self.counts = Counter()
        self.watermarks = {}  # by declarant: records of the journal that its answers rest on
        self.window = deque()  # of (batch, its keys, the answer to come)

    async def run(self, batches):
        for batch in batches:
            # The declaration that comes first in the file is to be judged first.
            keys = {(declarant(batch), each.lrn.strip()) for each in batch.declarations}
            while len(self.window) == IN_FLIGHT_MAX or any(keys & others for _, others, _ in self.window):
                await self.take_first()
            asked = self.service.ask(f"batch {batch.batch_id}", self.service.lodgement.SubmitBatch, batch)
            self.window.append((batch, keys, asyncio.create_task(asked)))
            await asyncio.sleep(0)  # lets it go out
        while self.window:
            await self.take_first()

    async def take_first(self):
        """Waits for the answer to the oldest batch, and prints its verdicts."""
        batch, _, answering = self.window.popleft()
        answer = await answering
        if isinstance(answer, Refusal):
            log(f"batch {batch.batch_id} is refused: {answer}")
            if not answer.concerns_the_batch():
                raise SystemExit(5)
            for each in batch.declarations:
                self.write(batch, each, "REFUSED", "", [answer.code])
            return
        for each, verdict in zip(batch.declarations, answer.verdicts, strict=True):
            # A replay is told as what it repeats, so that nobody sees what was sent twice on the way.
            replayed = verdict.outcome == lodgement_pb2.OUTCOME_REPLAYED
            self.counts["replays"] += replayed
            outcome = lodgement_pb2.Outcome.Name(verdict.replay_of if replayed else verdict.outcome)
            findings = [
                f"{found.reason}:{found.goods_item_number}" if found.goods_item_number else found.reason
                for found in verdict.findings
            ]
            if verdict.findings_omitted:
                findings.append(f"+{verdict.findings_omitted}")
            self.write(batch, each, outcome.removeprefix("OUTCOME_"), verdict.mrn, findings)
        sys.stdout.flush()
        known = self.watermarks.get(declarant(batch), 0)
        self.watermarks[declarant(batch)] = max(known, answer.watermark)

    def write(self, batch, declaration, outcome, mrn, findings):
        self.counts["declarations"] += 1
        self.counts[outcome] += 1
        print(declarant(batch), declaration.lrn, outcome, mrn, ",".join(findings), sep="\t")

    async def tell_summaries(self):
        """How each declarant stands, with all that was answered here in it."""
        for id, watermark in self.watermarks.items():
            actor = compliance_pb2.Actor(role=compliance_pb2.ACTOR_ROLE_DECLARANT, id=id)
            request = compliance_pb2.GetActorSummaryRequest(actor=actor, at_least_watermark=watermark)
            method = self.service.compliance.GetActorSummary
            answer = await self.service.ask(f"summary of {id}", method, request)
            if isinstance(answer, Refusal):
                log(f"summary of {id}: {answer}")
                raise SystemExit(5)
            of = answer.summary
            log(
                f"summary of {id}: watermark {of.watermark}, accepted {of.accepted}, rejected {of.rejected}, "
                f"conflicts {of.conflicts}, replayed {of.replayed}, lines {of.accepted_lines}, "
                f"duty EUR {of.duty_eur_cents // 100}.{of.duty_eur_cents % 100:02}"
            )

    def exit_code(self):
        n = self.counts
        log(
            f"declarations {n['declarations']}, accepted {n['ACCEPTED']}, rejected {n['REJECTED']}, "
            f"conflicts {n['CONFLICT']}, refused {n['REFUSED']}, unreadable {n['unreadable']}, "
            f"replays {n['replays']}"
        )
        return 4 if n["unreadable"] else 3 if n["ACCEPTED"] < n["declarations"] else 0


def command_line():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--to", metavar="URL", required=True, help="http://127.0.0.1:50051, or https://...")
    parser.add_argument("--ca", metavar="FILE", help="PEM of who vouches for the service; else the usual ones")
    parser.add_argument("--token-file", metavar="FILE", help="a bearer token, as `waag token add` prints it")
    parser.add_argument("--declarant", metavar="EORI", help="lines are declarations of this declarant")
    parser.add_argument("--deadline", metavar="SECONDS", type=float, default=60, help="for an answer (60)")
    parser.add_argument(
        "--give-up-after", metavar="SECONDS", type=float, default=300, help="without an answer (300)"
    )
    parser.add_argument("file", metavar="FILE")
    options = parser.parse_args()
    url = urlsplit(options.to)
    if url.scheme not in ("http", "https") or not url.netloc:
        parser.error(f"--to {options.to}: not an address such as http://127.0.0.1:50051")
    if options.ca and url.scheme == "http":
        parser.error(f"--to {options.to} has no TLS: with --ca it begins with https://")
    if options.token_file and url.scheme == "http" and url.hostname not in ("127.0.0.1", "::1", "localhost"):
        parser.error(f"--to {options.to}: a token that goes over a network in clear is anyone's")
    return options


async def main(options):
    service = Service(options)
    async with service.channel:
        lodging = Lodging(service)
        await lodging.run(read_batches(options, lodging.counts))
        await lodging.tell_summaries()
        return lodging.exit_code()


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(command_line())))
    except OSError as error:
        log(error)
        sys.exit(1)
