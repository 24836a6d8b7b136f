import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.util.Durations;
import com.google.protobuf.util.JsonFormat;
import com.google.rpc.BadRequest;
import com.google.rpc.BadRequest.FieldViolation;
import com.google.rpc.RetryInfo;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.shaded.io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.AbstractStub;
import io.grpc.stub.MetadataUtils;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import waag.v1.ComplianceGrpc;
import waag.v1.ComplianceOuterClass.Actor;
import waag.v1.ComplianceOuterClass.ActorRole;
import waag.v1.ComplianceOuterClass.ActorSummary;
import waag.v1.ComplianceOuterClass.GetActorSummaryRequest;
import waag.v1.DeclarationOuterClass.Declaration;
import waag.v1.LodgementGrpc;
import waag.v1.LodgementOuterClass.Finding;
import waag.v1.LodgementOuterClass.Outcome;
import waag.v1.LodgementOuterClass.SubmitBatchRequest;
import waag.v1.LodgementOuterClass.SubmitBatchResponse;
import waag.v1.LodgementOuterClass.Verdict;

/**
 * Lodges a file of declarations with Waag: prints their verdicts, then how each declarant stands.
 *
 * <p>Each line of the file is a SubmitBatchRequest as protobuf JSON or, with --declarant, a Declaration.
 * Batches go out by SubmitBatch, a few at a time, each again until it is answered. To standard output goes
 * a line a declaration, in the order of the file, with tabs between: declarant, LRN, the outcome first
 * given, MRN, findings. All else goes to standard error.
 *
 * <p>Exit codes: 0 all accepted, now or before; 3 some rejected, conflicting or refused; 4 some lines
 * unreadable; 5 not all answered; 1 a file cannot be read; 2 a wrong command line.
 */
final class Lodge {
    /** Batches that are sent and not answered. */
    private static final int IN_FLIGHT_MAX = 8;
    /** Declarations to a batch that is made here. */
    private static final int BATCH_MAX = 500;
    /** Between attempts, where the service does not say. */
    private static final long PAUSE_MIN_MS = 100;
    private static final long PAUSE_MAX_MS = 5_000;
    /** The call itself is wrong: asking again gives the same. All else may pass. */
    private static final Set<Status.Code> FINAL = EnumSet.of(
            Status.Code.INVALID_ARGUMENT, Status.Code.NOT_FOUND, Status.Code.ALREADY_EXISTS,
            Status.Code.PERMISSION_DENIED, Status.Code.UNAUTHENTICATED, Status.Code.FAILED_PRECONDITION,
            Status.Code.OUT_OF_RANGE, Status.Code.UNIMPLEMENTED, Status.Code.DATA_LOSS);

    private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);

    private final CommandLine options;
    private final ManagedChannel channel;
    private final LodgementGrpc.LodgementBlockingStub lodgement;
    private final ComplianceGrpc.ComplianceBlockingStub compliance;
    private final ExecutorService asking = Executors.newFixedThreadPool(IN_FLIGHT_MAX);
    /** Batches under way in the order of the file, */
    private final Deque<UnderWay> window = new ArrayDeque<>();
    /** and what came of those before them. */
    private final Map<String, Integer> counts = new HashMap<>();
    /** By declarant: records of the journal that its answers rest on. */
    private final Map<String, Long> watermarks = new LinkedHashMap<>();

    /** A batch that is sent, with declarant and LRN of its declarations. */
    private record UnderWay(SubmitBatchRequest batch, Set<String> keys, Future<SubmitBatchResponse> answering) {}

    /** Not all is answered, and will not be. */
    private static final class Unanswered extends Exception {}

    /** Why there is no answer, and will be none. */
    private static final class Refusal extends RuntimeException {
        final Status status;
        final List<FieldViolation> violations = new ArrayList<>();
        Long retryAfterMs;

        Refusal(StatusRuntimeException error) {
            status = error.getStatus();
            var told = StatusProto.fromThrowable(error);
            try {
                for (Any detail : told == null ? List.<Any>of() : told.getDetailsList()) {
                    if (detail.is(RetryInfo.class)) {
                        retryAfterMs = Durations.toMillis(detail.unpack(RetryInfo.class).getRetryDelay());
                    } else if (detail.is(BadRequest.class)) {
                        violations.addAll(detail.unpack(BadRequest.class).getFieldViolationsList());
                    }
                }
            } catch (InvalidProtocolBufferException malformed) {
                log("details that cannot be read: " + malformed.getMessage());
            }
        }

        boolean isFinal() {
            boolean isTooMuch = status.getCode() == Status.Code.RESOURCE_EXHAUSTED;
            return FINAL.contains(status.getCode()) || (isTooMuch && retryAfterMs == null);
        }

        /** What was sent is at fault, not who sends it nor the service: others may be taken. */
        boolean concernsTheBatch() {
            return !violations.isEmpty()
                    && Set.of(Status.Code.INVALID_ARGUMENT, Status.Code.RESOURCE_EXHAUSTED).contains(status.getCode());
        }

        @Override
        public String getMessage() {
            var text = new StringBuilder(status.getCode() + ": " + status.getDescription());
            violations.forEach(each -> text.append("\n  " + each.getField() + ": " + each.getDescription()));
            return text.toString();
        }
    }

    private Lodge(CommandLine options) throws IOException {
        this.options = options;
        var address = NettyChannelBuilder.forAddress(options.host(), options.port())
                // A connection that is dead is noticed.
                .keepAliveTime(20, TimeUnit.SECONDS)
                .keepAliveTimeout(20, TimeUnit.SECONDS);
        if (options.isClear()) {
            address.usePlaintext();
        } else if (options.ca != null) {
            address.sslContext(GrpcSslContexts.forClient().trustManager(new File(options.ca)).build());
        }
        var metadata = new Metadata();
        if (options.tokenFile != null) {
            var authorization = Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
            metadata.put(authorization, "Bearer " + Files.readString(Path.of(options.tokenFile)).strip());
        }
        channel = address.intercept(MetadataUtils.newAttachHeadersInterceptor(metadata)).build();
        lodgement = LodgementGrpc.newBlockingStub(channel);
        compliance = ComplianceGrpc.newBlockingStub(channel);
    }

    /** The answer to a call, made until there is one; else a Refusal. */
    private <T> T ask(String what, Supplier<T> call) throws InterruptedException {
        long giveUpAt = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(options.giveUpAfterMs);
        for (long pause = PAUSE_MIN_MS; ; pause = Math.min(2 * pause, PAUSE_MAX_MS)) {
            Refusal refusal;
            try {
                return call.get();
            } catch (StatusRuntimeException error) {
                refusal = new Refusal(error);
            }
            long told = refusal.retryAfterMs == null ? pause : refusal.retryAfterMs;
            // Never sooner than the service says, and not all clients at the same moment.
            long wait = told + ThreadLocalRandom.current().nextLong(told / 2 + 1);
            if (refusal.isFinal() || System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(wait) > giveUpAt) {
                throw refusal;
            }
            log("%s: %s: again in %.1f s".formatted(what, refusal.getMessage(), wait / 1000.0));
            Thread.sleep(wait);
            // The channel would wait for up to two minutes of its own before it connects again.
            channel.resetConnectBackoff();
        }
    }

    private <S extends AbstractStub<S>> S inTime(S stub) {
        return stub.withDeadlineAfter(options.deadlineMs, TimeUnit.MILLISECONDS);
    }

    private int run() throws Exception {
        try {
            readBatches();
            while (!window.isEmpty()) {
                takeFirst();
            }
            tellSummaries();
        } finally {
            asking.shutdownNow();
            channel.shutdownNow();
        }
        log("declarations %d, accepted %d, rejected %d, conflicts %d, refused %d, unreadable %d, replays %d".formatted(
                count("declarations"), count("ACCEPTED"), count("REJECTED"), count("CONFLICT"), count("REFUSED"),
                count("unreadable"), count("replays")));
        return count("unreadable") > 0 ? 4 : count("ACCEPTED") < count("declarations") ? 3 : 0;
    }

    /** Sends the batches of the file. A line that cannot be read is told, and passed over. */
    private void readBatches() throws Exception {
        try (BufferedReader lines = Files.newBufferedReader(Path.of(options.file))) {
            int number = 0;
            int made = 0;
            var own = SubmitBatchRequest.newBuilder();
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                number++;
                var read = options.declarant == null ? SubmitBatchRequest.newBuilder() : Declaration.newBuilder();
                try {
                    JsonFormat.parser().merge(line, read);
                } catch (InvalidProtocolBufferException error) {
                    log(options.file + ":" + number + ": " + error.getMessage());
                    add("unreadable");
                    continue;
                }
                if (read instanceof SubmitBatchRequest.Builder whole) {
                    send(whole.build());
                } else if (read instanceof Declaration.Builder one && own.addDeclarations(one).getDeclarationsCount() == BATCH_MAX) {
                    send(own.setBatchId("lodge-" + ++made).setDeclarant(options.declarant).build());
                    own.clear();
                }
            }
            if (own.getDeclarationsCount() > 0) {
                send(own.setBatchId("lodge-" + ++made).setDeclarant(options.declarant).build());
            }
        }
    }

    private void send(SubmitBatchRequest batch) throws Exception {
        var keys = new HashSet<String>();
        batch.getDeclarationsList().forEach(each -> keys.add(declarant(batch) + "\n" + each.getLrn().strip()));
        // The declaration that comes first in the file is to be judged first.
        while (window.size() == IN_FLIGHT_MAX
                || window.stream().anyMatch(sent -> !Collections.disjoint(sent.keys, keys))) {
            takeFirst();
        }
        var what = "batch " + batch.getBatchId();
        window.add(new UnderWay(batch, keys,
                asking.submit(() -> ask(what, () -> inTime(lodgement).submitBatch(batch)))));
    }

    /** Waits for the answer to the oldest batch, and prints its verdicts. */
    private void takeFirst() throws Exception {
        UnderWay sent = window.remove();
        SubmitBatchRequest batch = sent.batch;
        try {
            SubmitBatchResponse answer = sent.answering.get();
            for (int i = 0; i < answer.getVerdictsCount(); i++) {
                write(batch, batch.getDeclarations(i), answer.getVerdicts(i));
            }
            watermarks.merge(declarant(batch), answer.getWatermark(), Math::max);
        } catch (ExecutionException failed) {
            if (!(failed.getCause() instanceof Refusal refusal)) {
                throw failed;
            }
            log("batch " + batch.getBatchId() + " is refused: " + refusal.getMessage());
            if (!refusal.concernsTheBatch()) {
                throw new Unanswered();
            }
            for (Declaration each : batch.getDeclarationsList()) {
                write(batch, each, "REFUSED", "", List.of(refusal.status.getCode().name()));
            }
        }
        OUT.flush();
    }

    private void write(SubmitBatchRequest batch, Declaration declaration, Verdict verdict) {
        var findings = new ArrayList<String>();
        for (Finding found : verdict.getFindingsList()) {
            int item = found.getGoodsItemNumber();
            findings.add(item > 0 ? found.getReason() + ":" + item : found.getReason());
        }
        if (verdict.getFindingsOmitted() > 0) {
            findings.add("+" + verdict.getFindingsOmitted());
        }
        Outcome outcome = verdict.getOutcome();
        // A replay is told as what it repeats, so that nobody sees what was sent twice on the way.
        if (outcome == Outcome.OUTCOME_REPLAYED) {
            add("replays");
            outcome = verdict.getReplayOf();
        }
        write(batch, declaration, outcome.name().substring("OUTCOME_".length()), verdict.getMrn(), findings);
    }

    private void write(
            SubmitBatchRequest batch, Declaration declaration, String outcome, String mrn, List<String> findings) {
        add("declarations");
        add(outcome);
        OUT.print(String.join("\t", declarant(batch), declaration.getLrn(), outcome, mrn, String.join(",", findings)) + "\n");
    }

    /** How each declarant stands, with all that was answered here in it. */
    private void tellSummaries() throws Exception {
        for (var known : watermarks.entrySet()) {
            var what = "summary of " + known.getKey();
            var actor = Actor.newBuilder().setRole(ActorRole.ACTOR_ROLE_DECLARANT).setId(known.getKey());
            var request = GetActorSummaryRequest.newBuilder().setActor(actor).setAtLeastWatermark(known.getValue()).build();
            try {
                ActorSummary of = ask(what, () -> inTime(compliance).getActorSummary(request)).getSummary();
                log(("%s: watermark %d, accepted %d, rejected %d, conflicts %d, replayed %d, lines %d, duty EUR %d.%02d")
                        .formatted(what, of.getWatermark(), of.getAccepted(), of.getRejected(), of.getConflicts(),
                                of.getReplayed(), of.getAcceptedLines(), of.getDutyEurCents() / 100,
                                of.getDutyEurCents() % 100));
            } catch (Refusal refusal) {
                log(what + ": " + refusal.getMessage());
                throw new Unanswered();
            }
        }
    }

    private static String declarant(SubmitBatchRequest batch) {
        return batch.getDeclarant().strip().toUpperCase();
    }

    private void add(String what) {
        counts.merge(what, 1, Integer::sum);
    }

    private int count(String what) {
        return counts.getOrDefault(what, 0);
    }

    private static synchronized void log(String text) {
        System.err.print(text + "\n");
    }

    /** What the command line says. */
    private static final class CommandLine {
        URI to;
        String ca;
        String tokenFile;
        String declarant;
        String file;
        long deadlineMs = 60_000;
        long giveUpAfterMs = 300_000;

        CommandLine(String[] arguments) {
            for (int i = 0; i < arguments.length; i++) {
                boolean isLast = i + 1 == arguments.length;
                if (!arguments[i].startsWith("--") && isLast) {
                    file = arguments[i];
                    break;
                }
                if (isLast) {
                    throw new IllegalArgumentException(arguments[i] + ": without a value, or no FILE behind it");
                }
                String value = arguments[++i];
                switch (arguments[i - 1]) {
                    case "--to" -> to = URI.create(value);
                    case "--ca" -> ca = value;
                    case "--token-file" -> tokenFile = value;
                    case "--declarant" -> declarant = value;
                    case "--deadline" -> deadlineMs = (long) (1000 * Double.parseDouble(value));
                    case "--give-up-after" -> giveUpAfterMs = (long) (1000 * Double.parseDouble(value));
                    default -> throw new IllegalArgumentException(arguments[i - 1] + ": no such option");
                }
            }
            if (file == null || to == null || to.getHost() == null || !Set.of("http", "https").contains(to.getScheme())) {
                throw new IllegalArgumentException("lodge --to URL [--ca FILE] [--token-file FILE] [--declarant EORI] FILE"
                        + ", with a URL such as http://127.0.0.1:50051");
            }
            if (ca != null && isClear()) {
                throw new IllegalArgumentException("--to " + to + " has no TLS: with --ca it begins with https://");
            }
            if (tokenFile != null && isClear() && !Set.of("127.0.0.1", "[::1]", "localhost").contains(host())) {
                throw new IllegalArgumentException("--to " + to + ": a token that goes over a network in clear is anyone's");
            }
        }

        boolean isClear() {
            return to.getScheme().equals("http");
        }

        String host() {
            return to.getHost();
        }

        int port() {
            return to.getPort() >= 0 ? to.getPort() : isClear() ? 80 : 443;
        }
    }

    public static void main(String[] arguments) throws Exception {
        try {
            System.exit(new Lodge(new CommandLine(arguments)).run());
        } catch (IllegalArgumentException wrong) {
            log(wrong.getMessage());
            System.exit(2);
        } catch (Unanswered unanswered) {
            System.exit(5);
        } catch (IOException error) {
            log(error.toString());
            System.exit(1);
        }
    }
}
