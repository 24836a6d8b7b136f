//! Writing answers: verdicts go straight to protobuf bytes, below the limit of most clients.
//!
//! What the contract says of size is done here: an answer that would reach the limit is written
//! without the texts of its findings; one that still would, with the first n findings of each
//! verdict, n the largest that fits and at least 1.

use bytes::Bytes;

use crate::mrn::Mrn;
use crate::outcome::Outcome;
use crate::rules::day_law::DayLaw;
use crate::rules::finding::{OwnFindings, VERDICT_FINDINGS_MAX};

/// Whether an answer goes out by itself or as an item of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `SubmitBatchResponse`.
    Unary,
    /// `SubmitBatchesResponse` with `answer` set.
    Stream,
}

/// A verdict, ready to be written.
#[derive(Debug)]
pub struct Verdict<'a> {
    /// What became of the declaration.
    pub outcome: Outcome,
    /// Where one was given.
    pub mrn: Option<Mrn>,
    /// Of the first answer, REJECT first.
    pub findings: OwnFindings<'a>,
    /// The law whose texts they get.
    pub law: &'a DayLaw,
    /// On a replay: the first answer.
    pub replay_of: Option<Outcome>,
    /// Consignment value in euro cents.
    pub value_cents: u64,
    /// Duty in euro cents.
    pub duty_cents: u64,
}

/// Declarations by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Accepted.
    pub accepted: u32,
    /// Rejected.
    pub rejected: u32,
    /// Replayed.
    pub replayed: u32,
    /// Conflicts.
    pub conflicts: u32,
    /// Goods items of accepted declarations.
    pub accepted_lines: u32,
}

/// How large an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// It stays below this many bytes.
    pub bytes: usize,
    /// It may have the texts of its findings, if they fit.
    pub texts: bool,
}

/// What of the findings is left out for the sake of size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Detail {
    texts: bool,
    findings_max: usize,
}

/// Writes the answer to a batch, below the bound.
#[must_use]
pub fn write(
    batch_id: &str,
    verdicts: &[Verdict<'_>],
    totals: Totals,
    watermark: u64,
    framing: Framing,
    bound: Bound,
) -> Bytes {
    let whole = Detail { texts: true, findings_max: VERDICT_FINDINGS_MAX };
    let write_with =
        |detail| write_below(batch_id, verdicts, totals, watermark, framing, detail, bound.bytes);
    if let Some(bytes) = bound.texts.then(|| write_with(whole)).flatten() {
        return bytes;
    }
    // The largest number of findings that fits, by bisection; 1 fits by a check of the settings.
    let write_with = |findings_max| write_with(Detail { texts: false, findings_max });
    if let Some(bytes) = write_with(VERDICT_FINDINGS_MAX) {
        return bytes;
    }
    let (mut fits, mut too_many) = (1, VERDICT_FINDINGS_MAX);
    let mut best = None;
    while too_many - fits > 1 {
        let middle = fits + (too_many - fits) / 2;
        match write_with(middle) {
            Some(bytes) => (fits, best) = (middle, Some(bytes)),
            None => too_many = middle,
        }
    }
    best.or_else(|| write_with(1)).unwrap_or_default()
}

/// The answer, or nothing once it reaches `bytes_max`: an answer with all its texts can be a
/// hundred times as large as what is sent in the end.
fn write_below(
    batch_id: &str,
    verdicts: &[Verdict<'_>],
    totals: Totals,
    watermark: u64,
    framing: Framing,
    detail: Detail,
    bytes_max: usize,
) -> Option<Bytes> {
    /// Tag and length of the outer message of a stream, at most: it is put in front afterwards.
    const FRONT: usize = 6;
    // A clean verdict takes 34 bytes at most.
    let mut out = Vec::with_capacity(FRONT + 64 + verdicts.len() * 40);
    out.resize(FRONT, 0);
    text(&mut out, 1, batch_id);
    let mut scratch = Scratch::default();
    for verdict in verdicts {
        scratch.verdict.clear();
        verdict.write(&mut scratch, detail);
        message(&mut out, 2, &scratch.verdict);
        if out.len() >= bytes_max {
            return None;
        }
    }
    scratch.verdict.clear();
    let Totals { accepted, rejected, replayed, conflicts, accepted_lines } = totals;
    for (field, count) in (1..).zip([accepted, rejected, replayed, conflicts, accepted_lines]) {
        number(&mut scratch.verdict, field, count.into());
    }
    message(&mut out, 3, &scratch.verdict);
    number(&mut out, 4, watermark);
    number(&mut out, 5, u64::from(!detail.texts));

    let start = match framing {
        Framing::Unary => FRONT,
        Framing::Stream => {
            let mut front = vec![1 << 3 | 2];
            varint(&mut front, (out.len() - FRONT) as u64);
            let start = FRONT - front.len();
            for (byte, value) in out.iter_mut().skip(start).zip(front) {
                *byte = value;
            }
            start
        }
    };
    let answer = Bytes::from(out).slice(start..);
    (answer.len() < bytes_max).then_some(answer)
}

#[derive(Debug, Default)]
struct Scratch {
    verdict: Vec<u8>,
    finding: Vec<u8>,
    sentence: String,
}

impl Verdict<'_> {
    fn write(&self, scratch: &mut Scratch, detail: Detail) {
        let Scratch { verdict: out, finding: inner, sentence } = scratch;
        number(out, 1, self.outcome as u64);
        if let Some(mrn) = &self.mrn {
            text(out, 2, mrn.as_str());
        }
        let shown = self.findings.list.len().min(detail.findings_max);
        for finding in self.findings.list.iter().take(shown) {
            inner.clear();
            text(inner, 1, finding.reason.name());
            number(inner, 2, finding.severity as u64);
            number(inner, 3, finding.goods_item.into());
            text(inner, 4, finding.element.number());
            if detail.texts {
                sentence.clear();
                self.law.message(finding, self.findings.value(finding), sentence);
                text(inner, 5, sentence);
                text(inner, 6, self.law.legal_basis(finding.reason));
            }
            message(out, 3, inner);
        }
        number(out, 4, self.replay_of.map_or(0, |first| first as u64));
        number(out, 5, (self.findings.total() - shown) as u64);
        number(out, 6, self.value_cents);
        number(out, 7, self.duty_cents);
    }
}

/// A refusal as an item of a stream: `SubmitBatchesResponse` with `refusal` set.
#[must_use]
pub fn write_refusal(
    batch_id: &str,
    code: i32,
    sentence: &str,
    field: &str,
    retry_after_ms: u32,
) -> Bytes {
    let mut refusal = Vec::new();
    text(&mut refusal, 1, batch_id);
    number(&mut refusal, 2, u64::try_from(code).unwrap_or(0));
    text(&mut refusal, 3, sentence);
    text(&mut refusal, 4, field);
    number(&mut refusal, 5, retry_after_ms.into());
    let mut out = Vec::with_capacity(refusal.len() + 6);
    message(&mut out, 2, &refusal);
    Bytes::from(out)
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// A varint field; left out where it is 0, as proto3 does.
fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        out.push(field << 3);
        varint(out, value);
    }
}

/// A string field; left out where it is empty, as proto3 does.
fn text(out: &mut Vec<u8>, field: u8, value: &str) {
    if !value.is_empty() {
        message(out, field, value.as_bytes());
    }
}

fn message(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}
