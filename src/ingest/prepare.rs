//! What a worker does with a batch before anyone else may know of it: read in place, check the
//! bounds, normalise, judge, digest. Pure: it depends on nothing but the message, the batch's time
//! and day, and the law. Nothing is stored here, so every refusal leaves nothing behind.

use std::sync::Arc;

use bumpalo::Bump;
use bytes::Bytes;

use super::laws::Numbered;
use super::refusal::Refusal;
use crate::config::FINDINGS_BYTES_SPARE;
use crate::day::{Calendar, Day, Moment, When};
use crate::id::Eori;
use crate::index::filed::{Admission, Draft, DraftFallback, Quoted};
use crate::rules::Judgement;
use crate::rules::day_law::DayLaw;
use crate::rules::fallback::FallbackCheck;
use crate::rules::finding::{Findings, Span};
use crate::rules::{Judge, lrn_is_usable};
use crate::summary::{Facts, FallbackReference, IossNumber};
use crate::wire::digest::{Digester, Keys, MemoryKind};
use crate::wire::malformed::{Defect, Malformed};
use crate::wire::normalise::normalise_lodger;
use crate::wire::reader::{self, Batch};
use crate::wire::view::{Declaration, FallbackLodgement, Lodger};

/// How large a batch may be, as configured. What is in the journal was taken under the settings of
/// its time and is judged again without bounds.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Declarations in a batch.
    pub declarations_max: usize,
    /// Goods items in a batch.
    pub goods_items_max: usize,
    /// Documents and procedures of a declaration, those of its goods items included.
    pub list_elements_max: usize,
    /// Bytes of `common` times the number of declarations: each is judged with all of it.
    pub common_bytes_max: usize,
    /// Characters of a `batch_id`.
    pub batch_id_characters_max: usize,
}

impl Bounds {
    /// None.
    pub const NONE: Self = Self {
        declarations_max: usize::MAX,
        goods_items_max: usize::MAX,
        list_elements_max: usize::MAX,
        common_bytes_max: usize::MAX,
        batch_id_characters_max: usize::MAX,
    };

    pub(super) fn of_reader(self) -> reader::Bounds {
        reader::Bounds {
            declarations_max: self.declarations_max,
            goods_items_max: self.goods_items_max,
            list_elements_max: self.list_elements_max,
        }
    }
}

/// So many declarations are read, and then judged: the code of both together is more than the processor
/// keeps at hand, and what was read of so many it does keep.
const READ_AT_ONCE: usize = 16;
/// But no more once those read have so many list elements together: of large declarations one is held at
/// a time, whatever the bounds allow each.
const ELEMENTS_AT_ONCE: usize = 4_096;

fn list_elements(declaration: &Declaration<'_>) -> usize {
    let Declaration { goods_items, previous_documents, supporting_documents, .. } = declaration;
    let procedures: usize = goods_items.iter().map(|item| item.additional_procedures.len()).sum();
    goods_items.len() + procedures + previous_documents.len() + supporting_documents.len()
}

/// One declaration as the rules saw it, before it is known what others hold its key.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Outcome of the rules and amounts.
    pub judgement: Judgement,
    /// Its findings in [`Prepared::findings`].
    pub findings: Span,
    /// Goods items.
    pub lines: u32,
    /// What it contributes to summaries.
    pub facts: Facts,
    /// The IOSS holder, where the number is well formed.
    pub ioss: Option<IossNumber>,
}

/// A batch that has been read and judged.
#[derive(Debug)]
pub struct Prepared {
    /// The message as it came; everything the answer quotes is in there.
    pub message: Bytes,
    /// The declarant's name for it.
    pub batch_id: String,
    /// When, and under which law.
    pub admission: Admission,
    /// Who lodges.
    pub declarant: Eori,
    /// The representative, where there is a well-formed one.
    pub representative: Option<Eori>,
    /// Its declarations in order.
    pub judged: Vec<Judged>,
    /// The fallback references of declarations that have one, by index.
    pub references: Vec<(usize, FallbackReference)>,
    /// What was found, of all declarations. `None` where that takes much more memory than the
    /// message: then every declaration is judged again when the answer is made, so that what waits
    /// for the disk is bounded by the bytes admitted.
    pub findings: Option<Findings>,
    /// The law of the batch's day, for the texts of the answer.
    pub day_law: Arc<DayLaw>,
}

/// Reads and judges batches; one for each thread.
#[derive(Debug)]
pub struct Preparer {
    bounds: Bounds,
    calendar: Calendar,
    keys: Keys,
    pub(super) digester: Digester,
    pub(super) judge: Judge,
    pub(super) arena: Bump,
}

impl Preparer {
    /// A preparer under these bounds and keys.
    #[must_use]
    pub fn new(bounds: Bounds, calendar: Calendar, keys: Keys) -> Self {
        let digester = Digester::new(keys.clone());
        Self { bounds, calendar, keys, digester, judge: Judge::new(), arena: Bump::new() }
    }

    /// The keys it digests under.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The zone in which it counts days.
    #[must_use]
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// Reads and judges the batch in `message`, admitted at `when`, under `law`. A new batch's day is
    /// the calendar's; that of a recorded one stands in its record.
    ///
    /// # Errors
    /// [`Refusal`]: malformed, or past a bound.
    pub fn prepare(
        &mut self,
        message: Bytes,
        when: When,
        law: &Numbered,
    ) -> Result<(Prepared, Draft), Refusal> {
        let mut arena = std::mem::take(&mut self.arena);
        let result = self.prepare_in(&arena, &message, when, law);
        arena.reset();
        self.arena = arena;
        let (unfinished, draft) = result?;
        Ok((unfinished.with(message), draft))
    }

    fn prepare_in(
        &mut self,
        arena: &Bump,
        message: &[u8],
        when: When,
        law: &Numbered,
    ) -> Result<(Unfinished, Draft), Refusal> {
        let batch = Batch::read(message, self.bounds.of_reader()).map_err(malformed)?;
        self.check_batch(&batch)?;
        let (declarant, representative) =
            normalise_lodger(batch.declarant(), batch.representative(), arena);
        let declarant = Eori::parse(declarant).ok_or_else(|| declarant_form(declarant))?;
        let lodger = Lodger {
            declarant,
            representative,
            representative_status: batch.representative_status(),
        };
        let When { at, day } = when;
        let day_law = day_law(law, day)?;

        let mut read: Vec<Declaration<'_>> = Vec::new();
        read.resize_with(READ_AT_ONCE.min(batch.len()), Declaration::default);
        let mut keyed = Vec::with_capacity(read.len());
        let mut draft = Draft::with_capacity(batch.len());
        let mut judged = Vec::with_capacity(batch.len());
        let mut references = Vec::new();
        let mut findings = Findings::default();
        let mut are_kept = true;
        let mut goods_items = 0;
        let mut next = 0;
        while next < batch.len() {
            let mut elements = 0;
            for declaration in &mut read {
                if next == batch.len() || elements > ELEMENTS_AT_ONCE {
                    break;
                }
                let encoded = batch.declaration(next, arena, declaration).map_err(malformed)?;
                elements += list_elements(declaration);
                goods_items += declaration.goods_items.len();
                if goods_items > self.bounds.goods_items_max {
                    return Err(Refusal::invalid(
                        format!("declarations[{next}].goods_items"),
                        format!(
                            "the batch has more than {} goods items, the most it may have: split it",
                            self.bounds.goods_items_max
                        ),
                    ));
                }
                next += 1;
                let digests = self.digester.digests(&lodger, declaration, encoded);
                let key = if lrn_is_usable(declaration.lrn) {
                    self.keys.key_of(&declarant, declaration.lrn)
                } else {
                    let nameless = self.keys.key_of(&declarant, "");
                    self.keys.memory_key(MemoryKind::Nameless, nameless, digests.with_fallback)
                };
                keyed.push((key, digests));
            }
            for (declaration, (key, digests)) in read.iter().zip(keyed.drain(..)) {
                let (check, in_force) = self.law_of(&declaration.fallback, when, law, &day_law);
                let law_day = in_force.day();
                let start = findings.list.len();
                let judgement =
                    self.judge.judge(&in_force, &lodger, declaration, check, &mut findings);
                let facts = Facts::of(
                    declaration,
                    &judgement,
                    self.judge.line_values(),
                    findings.list.get(start..).unwrap_or_default(),
                    at,
                );
                if !check.is_absent() {
                    let reference = declaration.fallback.reference;
                    refer(&mut references, judged.len(), reference);
                }
                let found = findings.close(start);
                are_kept &= findings.bytes() as u64 <= message.len() as u64 + FINDINGS_BYTES_SPARE;
                if !are_kept {
                    findings.clear();
                }
                let fallback = (!check.is_absent()).then(|| DraftFallback {
                    check,
                    law_day,
                    quoted: (!check.is_sound()).then(|| Quoted::of(&declaration.fallback)),
                });
                draft.push(key, digests, judgement.rejected, fallback);
                judged.push(Judged {
                    judgement,
                    findings: found,
                    lines: u32::try_from(declaration.goods_items.len()).unwrap_or(u32::MAX),
                    facts,
                    ioss: IossNumber::parse(declaration.ioss_number),
                });
            }
            if elements > ELEMENTS_AT_ONCE {
                read.fill_with(Declaration::default);
            }
        }
        let unfinished = Unfinished {
            batch_id: batch.batch_id().to_owned(),
            admission: Admission { at, day, law: law.number },
            declarant,
            representative: Eori::parse(representative),
            judged,
            references,
            findings: are_kept.then_some(findings),
            day_law,
        };
        Ok((unfinished, draft))
    }

    /// What is found of a declaration's fallback lodgement, and the law that judges it: that of the
    /// first lodging, where there is one and it has a law, else that of the batch's day.
    pub(super) fn law_of(
        &self,
        fallback: &FallbackLodgement<'_>,
        When { at, day }: When,
        law: &Numbered,
        day_law: &Arc<DayLaw>,
    ) -> (FallbackCheck, Arc<DayLaw>) {
        let check = FallbackCheck::of(fallback, at);
        if !check.usable() {
            return (check, Arc::clone(day_law));
        }
        let lodged = self.calendar.day(Moment(fallback.lodged_at_ms));
        if lodged == day {
            return (check, Arc::clone(day_law));
        }
        match law.law.on(lodged) {
            Ok(older) => (check, older),
            Err(_) => (check.without_law(), Arc::clone(day_law)),
        }
    }

    fn check_batch(&self, batch: &Batch<'_>) -> Result<(), Refusal> {
        let bounds = &self.bounds;
        let characters = batch.batch_id().chars().count();
        if characters > bounds.batch_id_characters_max {
            return Err(Refusal::invalid(
                "batch_id",
                format!(
                    "batch_id has {characters} characters; it may have {} at most",
                    bounds.batch_id_characters_max
                ),
            ));
        }
        if batch.is_empty() {
            let message = "the batch has no declarations; it must have 1 at least";
            return Err(Refusal::invalid("declarations", message));
        }
        let common_bytes = batch.common_bytes().saturating_mul(batch.len());
        if common_bytes > bounds.common_bytes_max {
            return Err(Refusal::invalid(
                "common",
                format!(
                    "common has {} bytes, which for {} declarations comes to {common_bytes}; it \
                     may come to {} at most: split the batch",
                    batch.common_bytes(),
                    batch.len(),
                    bounds.common_bytes_max
                ),
            ));
        }
        let shared = [
            (batch.has_common_lrn(), "common.lrn"),
            (batch.has_common_goods_items(), "common.goods_items"),
        ];
        match shared.iter().find(|(is_set, _)| *is_set) {
            Some((_, field)) => Err(Refusal::invalid(
                *field,
                format!("{field} is set; each declaration must have its own"),
            )),
            None => Ok(()),
        }
    }
}

/// A batch but for its message, which the arena's borrows kept from being moved.
struct Unfinished {
    batch_id: String,
    admission: Admission,
    declarant: Eori,
    representative: Option<Eori>,
    judged: Vec<Judged>,
    references: Vec<(usize, FallbackReference)>,
    findings: Option<Findings>,
    day_law: Arc<DayLaw>,
}

impl Unfinished {
    fn with(self, message: Bytes) -> Prepared {
        let Self {
            batch_id,
            admission,
            declarant,
            representative,
            judged,
            references,
            findings,
            day_law,
        } = self;
        Prepared {
            message,
            batch_id,
            admission,
            declarant,
            representative,
            judged,
            references,
            findings,
            day_law,
        }
    }
}

/// Notes `reference` of the declaration at `index`, where it is one. It is mostly that of the one before.
#[cold]
fn refer(references: &mut Vec<(usize, FallbackReference)>, index: usize, reference: &str) {
    let before = references.last().map(|(_, before)| before);
    let reference = match before.filter(|before| before.as_str() == reference) {
        Some(before) => Some(before.clone()),
        None => FallbackReference::parse(reference),
    };
    references.extend(reference.map(|reference| (index, reference)));
}

fn malformed(error: Malformed) -> Refusal {
    let message = match error.defect {
        Defect::TooMany { max } => {
            format!("{} has more than {max} elements, the most it may have: split it", error.field)
        }
        _ => format!("malformed SubmitBatchRequest: {error}"),
    };
    Refusal::invalid(error.field, message)
}

fn declarant_form(declarant: &str) -> Refusal {
    let shown = declarant.get(..declarant.floor_char_boundary(40)).unwrap_or_default();
    Refusal::invalid(
        "declarant",
        if declarant.is_empty() {
            "declarant is missing: give the EORI of who answers for these declarations".to_owned()
        } else {
            format!(
                "declarant {shown:?} is no EORI: it must be two letters followed by 1 to 15 \
                 letters, digits or hyphens"
            )
        },
    )
}

fn day_law(law: &Numbered, day: Day) -> Result<Arc<DayLaw>, Refusal> {
    law.law.on(day).map_err(|error| Refusal::invalid("", error.to_string()))
}
