// Lodge lodges a file of declarations with Waag: prints their verdicts, then how each declarant stands.
//
// Each line of the file is a SubmitBatchRequest as protobuf JSON or, with --declarant, a Declaration.
// Batches go out by SubmitBatch, a few at a time, each again until it is answered. To standard output
// goes a line a declaration, in the order of the file, with tabs between: declarant, LRN, the outcome
// first given, MRN, findings. All else goes to standard error.
//
// Exit codes: 0 all accepted, now or before; 3 some rejected, conflicting or refused; 4 some lines
// unreadable; 5 not all answered; 1 a file cannot be read; 2 a wrong command line.
package main

//go:generate protoc -I ../../../proto --go_out=. --go-grpc_out=. --go_opt=module=waag.example/lodge,Mwaag/v1/declaration.proto=waag.example/lodge/waagv1,Mwaag/v1/lodgement.proto=waag.example/lodge/waagv1,Mwaag/v1/compliance.proto=waag.example/lodge/waagv1,Mwaag/v1/profiles.proto=waag.example/lodge/waagv1,Mwaag/v1/sampling.proto=waag.example/lodge/waagv1 --go-grpc_opt=module=waag.example/lodge,Mwaag/v1/declaration.proto=waag.example/lodge/waagv1,Mwaag/v1/lodgement.proto=waag.example/lodge/waagv1,Mwaag/v1/compliance.proto=waag.example/lodge/waagv1,Mwaag/v1/profiles.proto=waag.example/lodge/waagv1,Mwaag/v1/sampling.proto=waag.example/lodge/waagv1 waag/v1/declaration.proto waag/v1/lodgement.proto waag/v1/compliance.proto waag/v1/profiles.proto waag/v1/sampling.proto

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	pb "waag.example/lodge/waagv1"
)

const (
	inFlightMax = 8   // batches that are sent and not answered
	batchMax    = 500 // declarations to a batch that is made here

	// Between attempts, where the service does not say.
	pauseMin = 100 * time.Millisecond
	pauseMax = 5 * time.Second
)

var (
	to           = flag.String("to", "", "`URL` of the service: http://127.0.0.1:50051, or https://...")
	ca           = flag.String("ca", "", "PEM `FILE` of who vouches for the service; else the usual ones")
	tokenFile    = flag.String("token-file", "", "`FILE` with a bearer token, as waag token add prints it")
	declarant    = flag.String("declarant", "", "lines are declarations of this declarant: its `EORI`")
	deadline     = flag.Float64("deadline", 60, "`SECONDS` for an answer")
	giveUpAfter  = flag.Float64("give-up-after", 300, "`SECONDS` without an answer")
	file         string
	errExhausted = errors.New("not all was answered")
)

func log(format string, values ...any) { fmt.Fprintf(os.Stderr, format+"\n", values...) }

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// refusal is why there is no answer, and will be none.
type refusal struct {
	code       codes.Code
	message    string
	violations []*errdetails.BadRequest_FieldViolation
	retryAfter *time.Duration
}

func newRefusal(err error) *refusal {
	told := status.Convert(err)
	refused := &refusal{code: told.Code(), message: told.Message()}
	for _, detail := range told.Details() {
		switch detail := detail.(type) {
		case *errdetails.RetryInfo:
			after := detail.GetRetryDelay().AsDuration()
			refused.retryAfter = &after
		case *errdetails.BadRequest:
			refused.violations = append(refused.violations, detail.GetFieldViolations()...)
		}
	}
	return refused
}

// isFinal says whether the call itself is wrong, so that asking again gives the same. All else may pass.
func (r *refusal) isFinal() bool {
	switch r.code {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied, codes.Unauthenticated,
		codes.FailedPrecondition, codes.OutOfRange, codes.Unimplemented, codes.DataLoss:
		return true
	case codes.ResourceExhausted:
		return r.retryAfter == nil
	default:
		return false
	}
}

// concernsTheBatch says whether what was sent is at fault, not who sends it nor the service: others may be taken.
func (r *refusal) concernsTheBatch() bool {
	return len(r.violations) > 0 && (r.code == codes.InvalidArgument || r.code == codes.ResourceExhausted)
}

// name is the code's name in the contract, as INVALID_ARGUMENT.
func (r *refusal) name() string {
	var name strings.Builder
	for i, letter := range r.code.String() {
		if i > 0 && 'A' <= letter && letter <= 'Z' {
			name.WriteByte('_')
		}
		name.WriteRune(letter)
	}
	return strings.ToUpper(name.String())
}

func (r *refusal) Error() string {
	text := r.name() + ": " + r.message
	for _, each := range r.violations {
		text += "\n  " + each.GetField() + ": " + each.GetDescription()
	}
	return text
}

// ask makes a call until it is answered; else its error is a *refusal.
func ask[Q, A any](ctx context.Context, what string, call func(context.Context, Q, ...grpc.CallOption) (A, error), request Q) (A, error) {
	giveUpAt, pause := time.Now().Add(seconds(*giveUpAfter)), pauseMin
	for {
		once, cancel := context.WithTimeout(ctx, seconds(*deadline))
		answer, err := call(once, request)
		cancel()
		if err == nil {
			return answer, nil
		}
		refused, wait := newRefusal(err), pause
		if refused.isFinal() {
			return answer, refused
		}
		if refused.retryAfter != nil {
			wait = *refused.retryAfter
		}
		// Never sooner than the service says, and not all clients at the same moment.
		wait += time.Duration(rand.Float64() / 2 * float64(wait))
		if time.Now().Add(wait).After(giveUpAt) {
			return answer, refused
		}
		log("%s: %v: again in %.1f s", what, refused, wait.Seconds())
		time.Sleep(wait)
		pause = min(2*pause, pauseMax)
	}
}

// connect gives a connection, and a context that bears the token.
func connect() (*grpc.ClientConn, context.Context, error) {
	address, _ := url.Parse(*to)
	transport := insecure.NewCredentials()
	if address.Scheme == "https" {
		transport = credentials.NewTLS(nil)
		if *ca != "" {
			var err error
			if transport, err = credentials.NewClientTLSFromFile(*ca, ""); err != nil {
				return nil, nil, err
			}
		}
	}
	ctx := context.Background()
	if *tokenFile != "" {
		token, err := os.ReadFile(*tokenFile)
		if err != nil {
			return nil, nil, err
		}
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	// A connection that is dead is noticed, and made again soon after an outage.
	again := backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second}
	connection, err := grpc.NewClient(address.Host,
		grpc.WithTransportCredentials(transport),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: again, MinConnectTimeout: 10 * time.Second}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 20 * time.Second}))
	return connection, ctx, err
}

func declarantOf(batch *pb.SubmitBatchRequest) string {
	return strings.ToUpper(strings.TrimSpace(batch.GetDeclarant()))
}

// readBatches hands on the batches of the file. A line that cannot be read is told, and passed over.
func readBatches(counts map[string]int, take func(*pb.SubmitBatchRequest) error) error {
	opened, err := os.Open(file)
	if err != nil {
		return err
	}
	defer opened.Close()
	lines := bufio.NewReaderSize(opened, 1<<20)
	var batch *pb.SubmitBatchRequest
	for number, made := 1, 0; ; number++ {
		line, end := lines.ReadBytes('\n')
		if end != nil && end != io.EOF {
			return end
		}
		if end == io.EOF && len(line) == 0 {
			if batch == nil {
				return nil
			}
			return take(batch)
		}
		whole, one := &pb.SubmitBatchRequest{}, &pb.Declaration{}
		if *declarant == "" {
			err = protojson.Unmarshal(bytes.TrimSpace(line), whole)
		} else {
			err = protojson.Unmarshal(bytes.TrimSpace(line), one)
		}
		if err != nil {
			log("%s:%d: %v", file, number, err)
			counts["unreadable"]++
			continue
		}
		if *declarant != "" {
			if batch == nil {
				made++
				batch = &pb.SubmitBatchRequest{BatchId: fmt.Sprintf("lodge-%d", made), Declarant: *declarant}
			}
			batch.Declarations = append(batch.Declarations, one)
			if len(batch.Declarations) < batchMax {
				continue
			}
			whole, batch = batch, nil
		}
		if err := take(whole); err != nil {
			return err
		}
	}
}

// underWay is a batch that is sent, and where its answer comes.
type underWay struct {
	batch  *pb.SubmitBatchRequest
	keys   map[string]bool // declarant and LRN of its declarations
	answer chan *pb.SubmitBatchResponse
	failed chan error
}

// lodging is batches under way in the order of the file, and what came of those before them.
type lodging struct {
	ctx        context.Context
	service    pb.LodgementClient
	out        *bufio.Writer
	counts     map[string]int
	declarants []string
	watermarks map[string]uint64 // by declarant: records of the journal that its answers rest on
	window     []*underWay
}

func (l *lodging) take(batch *pb.SubmitBatchRequest) error {
	sent := &underWay{batch, map[string]bool{}, make(chan *pb.SubmitBatchResponse, 1), make(chan error, 1)}
	for _, each := range batch.GetDeclarations() {
		sent.keys[declarantOf(batch)+"\n"+strings.TrimSpace(each.GetLrn())] = true
	}
	// The declaration that comes first in the file is to be judged first.
	for len(l.window) == inFlightMax || l.hasAny(sent.keys) {
		if err := l.takeFirst(); err != nil {
			return err
		}
	}
	l.window = append(l.window, sent)
	go func() {
		answer, err := ask(l.ctx, "batch "+batch.GetBatchId(), l.service.SubmitBatch, batch)
		if err != nil {
			sent.failed <- err
			return
		}
		sent.answer <- answer
	}()
	return nil
}

func (l *lodging) hasAny(keys map[string]bool) bool {
	for _, sent := range l.window {
		for key := range keys {
			if sent.keys[key] {
				return true
			}
		}
	}
	return false
}

// takeFirst waits for the answer to the oldest batch, and prints its verdicts.
func (l *lodging) takeFirst() error {
	sent := l.window[0]
	l.window = l.window[1:]
	id, declarations := declarantOf(sent.batch), sent.batch.GetDeclarations()
	select {
	case err := <-sent.failed:
		log("batch %s is refused: %v", sent.batch.GetBatchId(), err)
		refused := err.(*refusal)
		if !refused.concernsTheBatch() {
			return errExhausted
		}
		for _, each := range declarations {
			l.write(id, each, "REFUSED", "", refused.name())
		}
	case answer := <-sent.answer:
		for i, verdict := range answer.GetVerdicts() {
			outcome := verdict.GetOutcome()
			// A replay is told as what it repeats, so that nobody sees what was sent twice on the way.
			if outcome == pb.Outcome_OUTCOME_REPLAYED {
				l.counts["replays"]++
				outcome = verdict.GetReplayOf()
			}
			l.write(id, declarations[i], strings.TrimPrefix(outcome.String(), "OUTCOME_"), verdict.GetMrn(), findings(verdict))
		}
		if _, known := l.watermarks[id]; !known {
			l.declarants = append(l.declarants, id)
		}
		l.watermarks[id] = max(l.watermarks[id], answer.GetWatermark())
	}
	return l.out.Flush()
}

func findings(verdict *pb.Verdict) string {
	var found []string
	for _, each := range verdict.GetFindings() {
		reason := each.GetReason()
		if item := each.GetGoodsItemNumber(); item > 0 {
			reason = fmt.Sprintf("%s:%d", reason, item)
		}
		found = append(found, reason)
	}
	if omitted := verdict.GetFindingsOmitted(); omitted > 0 {
		found = append(found, fmt.Sprintf("+%d", omitted))
	}
	return strings.Join(found, ",")
}

func (l *lodging) write(id string, declaration *pb.Declaration, outcome, mrn, findings string) {
	l.counts["declarations"]++
	l.counts[outcome]++
	fmt.Fprintf(l.out, "%s\t%s\t%s\t%s\t%s\n", id, declaration.GetLrn(), outcome, mrn, findings)
}

// tellSummaries says how each declarant stands, with all that was answered here in it.
func (l *lodging) tellSummaries(service pb.ComplianceClient) error {
	for _, id := range l.declarants {
		actor := &pb.Actor{Role: pb.ActorRole_ACTOR_ROLE_DECLARANT, Id: id}
		request := &pb.GetActorSummaryRequest{Actor: actor, AtLeastWatermark: l.watermarks[id]}
		answer, err := ask(l.ctx, "summary of "+id, service.GetActorSummary, request)
		if err != nil {
			log("summary of %s: %v", id, err)
			return errExhausted
		}
		of := answer.GetSummary()
		log("summary of %s: watermark %d, accepted %d, rejected %d, conflicts %d, replayed %d, lines %d, duty EUR %d.%02d",
			id, of.GetWatermark(), of.GetAccepted(), of.GetRejected(), of.GetConflicts(), of.GetReplayed(),
			of.GetAcceptedLines(), of.GetDutyEurCents()/100, of.GetDutyEurCents()%100)
	}
	return nil
}

func run() error {
	connection, ctx, err := connect()
	if err != nil {
		return err
	}
	defer connection.Close()
	l := &lodging{ctx: ctx, service: pb.NewLodgementClient(connection), out: bufio.NewWriter(os.Stdout),
		counts: map[string]int{}, watermarks: map[string]uint64{}}
	if err := readBatches(l.counts, l.take); err != nil {
		return err
	}
	for len(l.window) > 0 {
		if err := l.takeFirst(); err != nil {
			return err
		}
	}
	if err := l.tellSummaries(pb.NewComplianceClient(connection)); err != nil {
		return err
	}
	n := l.counts
	log("declarations %d, accepted %d, rejected %d, conflicts %d, refused %d, unreadable %d, replays %d", n["declarations"],
		n["ACCEPTED"], n["REJECTED"], n["CONFLICT"], n["REFUSED"], n["unreadable"], n["replays"])
	switch {
	case n["unreadable"] > 0:
		os.Exit(4)
	case n["ACCEPTED"] < n["declarations"]:
		os.Exit(3)
	}
	return nil
}

func commandLine() error {
	flag.Parse()
	address, err := url.Parse(*to)
	switch file = flag.Arg(0); {
	case flag.NArg() != 1:
		return errors.New("one FILE is to be named, behind all options")
	case err != nil || address.Host == "" || (address.Scheme != "http" && address.Scheme != "https"):
		return fmt.Errorf("--to %s: not an address such as http://127.0.0.1:50051", *to)
	case *ca != "" && address.Scheme == "http":
		return fmt.Errorf("--to %s has no TLS: with --ca it begins with https://", *to)
	case *tokenFile != "" && address.Scheme == "http" && !strings.Contains(" 127.0.0.1 ::1 localhost ", " "+address.Hostname()+" "):
		return fmt.Errorf("--to %s: a token that goes over a network in clear is anyone's", *to)
	}
	return nil
}

func main() {
	if err := commandLine(); err != nil {
		log("%v", err)
		os.Exit(2)
	}
	if err := run(); errors.Is(err, errExhausted) {
		os.Exit(5)
	} else if err != nil {
		log("%v", err)
		os.Exit(1)
	}
}
