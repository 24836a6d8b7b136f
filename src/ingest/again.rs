//! Judging declarations again, as they were at first: for the answer to a conflict, to a replay whose
//! first answer was given under another law, to a batch whose findings were not held, and for
//! look-ups. Nothing of a first answer but its law, day and outcome has to be kept for that.

use std::sync::Arc;

use bumpalo::Bump;

use super::laws::Laws;
use super::prepare::{Bounds, Preparer};
use crate::day::Day;
use crate::id::Eori;
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
        let mut arena = std::mem::take(&mut self.arena);
        let made = self.judge_all_again(&arena, message, laws, declarations, findings);
        arena.reset();
        self.arena = arena;
        let mut made = made?;
        made.sort_by_key(|again: &Again| again.index);
        Ok(made)
    }

    fn judge_all_again(
        &mut self,
        arena: &Bump,
        message: &[u8],
        laws: &Laws,
        declarations: Vec<(usize, Under<'_>)>,
        findings: &mut Findings,
    ) -> Result<Vec<Again>, String> {
        let batch = Batch::read(message, Bounds::NONE.of_reader()).map_err(|e| e.to_string())?;
        let (declarant, representative) =
            normalise_lodger(batch.declarant(), batch.representative(), arena);
        let declarant = Eori::parse(declarant).ok_or("the declarant is malformed")?;
        let lodger = Lodger {
            declarant,
            representative,
            representative_status: batch.representative_status(),
        };
        let mut declaration = Declaration::default();
        let mut held: Option<(u32, Arc<Law>)> = None;
        let mut made = Vec::with_capacity(declarations.len());
        for (index, under) in declarations {
            batch.declaration(index, arena, &mut declaration).map_err(|e| e.to_string())?;
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
            let start = findings.list.len();
            let how = (under.check, under.is_conflict);
            let judgement = self.judge_as(&law, &lodger, &declaration, how, findings);
            made.push(Again { index, judgement, found: findings.close(start), law });
        }
        Ok(made)
    }

    /// Judges a declaration with what was found of its fallback, and whether it is a conflict.
    pub(super) fn judge_as(
        &mut self,
        law: &DayLaw,
        lodger: &Lodger<'_>,
        declaration: &Declaration<'_>,
        (check, is_conflict): (FallbackCheck, bool),
        findings: &mut Findings,
    ) -> Judgement {
        if is_conflict {
            let reason = Reason::LrnContentConflict;
            let severity = law.severity(reason).unwrap_or(Severity::Reject);
            findings.add(reason, severity, Element::Lrn, 0, declaration.lrn);
        }
        self.judge.judge(law, lodger, declaration, check, findings)
    }
}
