//! Judging declarations again, as they were at first: for the answer to a conflict, to a replay whose
//! first answer was given under another law, to a batch whose findings were not held, and for
//! look-ups. Nothing of a first answer but its law, day and outcome has to be kept for that.

use std::sync::Arc;

use super::laws::Laws;
use super::prepare::{Bounds, Preparer};
use crate::day::Day;
use crate::id::{Eori, EurCents};
use crate::index::filed::{Filed, Quoted};
use crate::index::first::First;
use crate::rules::day_law::DayLaw;
use crate::rules::fallback::FallbackCheck;
use crate::rules::finding::{Element, Findings, Reason, Severity, Span};
use crate::rules::{Judgement, Law};
use crate::wire::normalise::normalise_lodger;
use crate::wire::reader::Batch;
use crate::wire::view::{Declaration, Lodger};

/// What a declaration is judged again by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Under<'a> {
    /// Number of the law.
    pub law: u32,
    /// The day whose rules and rates hold.
    pub law_day: Day,
    /// What was found of its fallback lodgement at first.
    pub check: FallbackCheck,
    /// What findings about that fallback quote, where there are any.
    pub quoted: Option<&'a Quoted>,
    /// The list of findings begins with the conflict itself.
    pub is_conflict: bool,
}

impl<'a> Under<'a> {
    /// What judged declaration `index` of `filed` at first.
    #[must_use]
    pub fn of(filed: &'a Filed, index: usize, is_conflict: bool) -> Self {
        let (law_day, check) = filed.judged_under(index);
        let quoted = filed.fallback(index).and_then(|fallback| fallback.quoted.as_ref());
        Self { law: filed.admission().law, law_day, check, quoted, is_conflict }
    }

    /// What judged a declaration at first, wherever that is kept.
    #[must_use]
    pub fn first(first: &'a First, is_conflict: bool) -> Self {
        let (law_day, check) = first.judged_under();
        Self { law: first.admission().law, law_day, check, quoted: first.quoted(), is_conflict }
    }
}

/// A declaration that was judged again.
#[derive(Debug)]
pub struct Again {
    /// Its index in the batch.
    pub index: usize,
    /// Outcome of the rules and amounts.
    pub judgement: Judgement,
    /// What was found, in the findings that were handed in.
    pub found: Span,
    /// The law that judged it.
    pub law: Arc<DayLaw>,
}

/// A declaration of a message that was read again.
#[derive(Debug)]
pub(crate) struct Reread<'r, 'd> {
    /// Its index in the batch.
    pub(crate) index: usize,
    /// The declarant's name for the batch.
    pub(crate) batch_id: &'d str,
    /// Who lodged it.
    pub(crate) lodger: &'r Lodger<'d>,
    /// As it was judged.
    pub(crate) declaration: &'r Declaration<'d>,
    /// What the rules made of it, where that was asked for.
    pub(crate) judged: Option<Rejudged<'r>>,
}

/// What the rules made of a declaration again.
#[derive(Debug)]
pub(crate) struct Rejudged<'r> {
    /// Outcome of the rules and amounts.
    pub(crate) judgement: Judgement,
    /// In euro, of each goods item that was judged; `None` where it could not be converted.
    pub(crate) line_values: &'r [Option<EurCents>],
    /// Where its findings begin in those that were handed in. They are not closed.
    pub(crate) start: usize,
    /// The law that judged it.
    pub(crate) law: Arc<DayLaw>,
}

impl Preparer {
    /// Judges declarations of `message` again, each under the law and day that first did. What is
    /// found is added to `findings`. They are judged law by law, since only a few laws are held (see
    /// [`Laws`]) and a batch may mix replays of any number of them; they come back by index.
    ///
    /// # Errors
    /// Where the message, which was read before, cannot be, or a law cannot be had: damage.
    pub fn judge_again<'u>(
        &mut self,
        message: &[u8],
        laws: &Laws,
        declarations: impl Iterator<Item = (usize, Under<'u>)>,
        findings: &mut Findings,
    ) -> Result<Vec<Again>, String> {
        let mut declarations: Vec<_> = declarations.collect();
        declarations.sort_by_key(|(_, under)| under.law);
        let mut made = Vec::with_capacity(declarations.len());
        let declarations = declarations.into_iter().map(|(index, under)| (index, Some(under)));
        let mut each = |reread: Reread<'_, '_>, findings: &mut Findings| {
            if let Some(Rejudged { judgement, start, law, .. }) = reread.judged {
                let (index, found) = (reread.index, findings.close(start));
                made.push(Again { index, judgement, found, law });
            }
            Ok::<(), String>(())
        };
        self.read_again(message, laws, declarations, findings, &mut each)?;
        made.sort_by_key(|again: &Again| again.index);
        Ok(made)
    }

    /// Reads declarations of `message` again, in the order in which they are asked for, and hands each
    /// to `each`, judged as it first was where there is something to judge it by. What is found is added to `findings`; `each` closes them,
    /// or clears them away.
    ///
    /// # Errors
    /// Where the message, which was read before, cannot be, or a law cannot be had: damage. And
    /// what `each` says.
    pub(crate) fn read_again<'u, E: From<String>>(
        &mut self,
        message: &[u8],
        laws: &Laws,
        declarations: impl Iterator<Item = (usize, Option<Under<'u>>)>,
        findings: &mut Findings,
        each: &mut dyn FnMut(Reread<'_, '_>, &mut Findings) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut arena = std::mem::take(&mut self.arena);
        let result = (|| -> Result<(), E> {
            let batch =
                Batch::read(message, Bounds::NONE.of_reader()).map_err(|e| e.to_string())?;
            let (declarant, representative) =
                normalise_lodger(batch.declarant(), batch.representative(), &arena);
            let declarant =
                Eori::parse(declarant).ok_or_else(|| "the declarant is malformed".to_owned())?;
            let lodger = Lodger {
                declarant,
                representative,
                representative_status: batch.representative_status(),
            };
            let mut declaration = Declaration::default();
            let mut held: Option<(u32, Arc<Law>)> = None;
            for (index, under) in declarations {
                batch.declaration(index, &arena, &mut declaration).map_err(|e| e.to_string())?;
                let start = findings.list.len();
                let judged = match under {
                    Some(under) => {
                        if let Some(quoted) = under.quoted {
                            declaration.fallback.reference = arena.alloc_str(&quoted.reference);
                            declaration.fallback.lodged_at_ms = quoted.lodged_at_ms;
                        }
                        let law = match held.take() {
                            Some((number, law)) if number == under.law => law,
                            _ => laws.law(under.law).map_err(|error| error.to_string())?,
                        };
                        let in_force = law.on(under.law_day);
                        held = Some((under.law, law));
                        let law = in_force.map_err(|error| error.to_string())?;
                        let judgement =
                            self.judge_under(&law, &lodger, &declaration, under, findings);
                        let line_values = self.judge.line_values();
                        Some(Rejudged { judgement, line_values, start, law })
                    }
                    None => None,
                };
                let (lodger, declaration) = (&lodger, &declaration);
                let batch_id = batch.batch_id();
                each(Reread { index, batch_id, lodger, declaration, judged }, findings)?;
            }
            Ok(())
        })();
        arena.reset();
        self.arena = arena;
        result
    }

    fn judge_under(
        &mut self,
        law: &DayLaw,
        lodger: &Lodger<'_>,
        declaration: &Declaration<'_>,
        under: Under<'_>,
        findings: &mut Findings,
    ) -> Judgement {
        if under.is_conflict {
            let reason = Reason::LrnContentConflict;
            let severity = law.severity(reason).unwrap_or(Severity::Reject);
            findings.add(reason, severity, Element::Lrn, 0, declaration.lrn);
        }
        self.judge.judge(law, lodger, declaration, under.check, findings)
    }
}
