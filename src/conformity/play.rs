//! Playing cases, one after another, each in calls of its own.

use std::collections::BTreeSet;

use super::batch::{Making, Unplayable};
use super::case::{BatchRow, Case, LookUp, Step};
use super::compare::{Comparison, Leniency};
use super::grpc::Grpc;
use super::kit::Kit;
use super::report::{Played, Report};
use super::service::{Service, Told, Trouble};
use crate::client::{ConnectError, Server};
use crate::day::{Calendar, Day, Moment};
use crate::proto::v1::get_declaration_request::Key;
use crate::proto::v1::{LocalReference, Outcome, SubmitBatchRequest};
use crate::rules::{DayLaw, Law, LawError};

/// How to play.
#[derive(Debug, Clone)]
pub struct Settings {
    /// EORI of the declarant.
    pub declarant: String,
    /// In every LRN, so that one run does not meet the declarations of another.
    pub run_id: String,
    /// The run was played before: replays count as what they are replays of.
    pub is_repeated: bool,
    /// Flags that a case does not speak of are differences.
    pub is_strict: bool,
    /// The day whose law is played.
    pub day: Day,
}

/// Why playing ended before all cases were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Stopped {
    /// The service cannot be reached.
    #[error(transparent)]
    Unreachable(#[from] ConnectError),
    /// It does not answer, or not any more.
    #[error("{0}")]
    Silent(String),
    /// It answers, but refuses the caller or the declarant.
    #[error(
        "the service does not let {declarant} lodge: {why}; --declarant says for whom, --token-file or \
         --certificate and --key who calls"
    )]
    Refused {
        /// For whom it was tried.
        declarant: String,
        /// What it said.
        why: String,
    },
    /// There is no law to be played.
    #[error("no case can be played: {0}")]
    Law(#[from] LawError),
}

/// Cases, and the law that they are made for.
#[derive(Debug)]
pub struct Playing<'a> {
    pub(super) kit: &'a Kit,
    pub(super) settings: Settings,
    pub(super) law: std::sync::Arc<DayLaw>,
    pub(super) calendar: Calendar,
}

impl<'a> Playing<'a> {
    /// The cases of `kit`, by the built-in rules of the day.
    ///
    /// # Errors
    /// Where no rules hold on that day.
    pub fn new(kit: &'a Kit, settings: Settings, calendar: Calendar) -> Result<Self, Stopped> {
        Self::under(kit, settings, calendar, &Law::load(None)?)
    }

    pub(super) fn under(
        kit: &'a Kit,
        settings: Settings,
        calendar: Calendar,
        law: &Law,
    ) -> Result<Self, Stopped> {
        Ok(Self { kit, law: law.on(settings.day)?, settings, calendar })
    }

    /// Plays `cases` against the service at `server`; `done` is told of each once it is over.
    ///
    /// # Errors
    /// Where the service cannot be reached or does not let the declarant lodge.
    pub async fn against(
        &self,
        server: &Server,
        cases: &[&'a Case],
        done: &mut dyn FnMut(&Played<'a>),
    ) -> Result<Report<'a>, Stopped> {
        self.play(&mut Grpc::connect(server).await?, cases, done).await
    }

    pub(super) async fn play(
        &self,
        service: &mut impl Service,
        cases: &[&'a Case],
        done: &mut dyn FnMut(&Played<'a>),
    ) -> Result<Report<'a>, Stopped> {
        let service_time = self.probe(service).await?;
        let mut report = Report {
            run_id: self.settings.run_id.clone(),
            day: self.settings.day,
            service_day: service_time.map(|at| self.calendar.day(at)),
            played: Vec::new(),
        };
        let noon = Moment(self.calendar.start_of(self.settings.day).0 + 43_200_000);
        let making = self.making(service_time.unwrap_or(noon));
        for case in cases {
            let played = self.case(&making, service, case).await.map_err(stopped)?;
            done(&played);
            report.played.push(played);
        }
        Ok(report)
    }

    /// What stands in every LRN.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.settings.run_id
    }

    /// For making batches at that moment.
    pub(super) fn making(&self, now: Moment) -> Making<'_> {
        Making {
            kit: self.kit,
            run: &self.settings.run_id,
            declarant: &self.settings.declarant,
            law: &self.law,
            now,
        }
    }

    /// The batches of a case, made as at noon of the day; none where it cannot be played then.
    #[must_use]
    pub fn batches(&self, case: &Case) -> Vec<SubmitBatchRequest> {
        let noon = Moment(self.calendar.start_of(self.settings.day).0 + 43_200_000);
        let making = self.making(noon);
        let made = case.batches().enumerate();
        made.filter_map(|(place, row)| making.batch(case, row, place + 1).ok()).collect()
    }

    /// A first declaration: whether the service is there and lets the declarant lodge, and by what time it
    /// judges.
    async fn probe(&self, service: &mut impl Service) -> Result<Option<Moment>, Stopped> {
        let lrn = format!("{}-000", self.settings.run_id);
        let declaration = crate::proto::v1::Declaration { lrn: lrn.clone(), ..Default::default() };
        let declarant = self.settings.declarant.clone();
        let batch = SubmitBatchRequest {
            batch_id: lrn.clone(),
            declarant: declarant.clone(),
            declarations: vec![declaration],
            ..SubmitBatchRequest::default()
        };
        let refused = |why: String| Stopped::Refused { declarant: declarant.clone(), why };
        match service.submit(batch).await {
            Ok(Told::Answer(_)) => {}
            Ok(Told::Refusal(refusal)) => return Err(refused(refusal.message)),
            Err(Trouble::NotForUs(why)) => return Err(refused(why)),
            Err(trouble) => return Err(stopped(trouble)),
        }
        let key = Key::LocalReference(LocalReference { declarant: declarant.clone(), lrn });
        match service.look_up(key).await {
            Ok(found) => Ok(found.map(|found| Moment(found.judged_at_ms))),
            Err(Trouble::Gone(why)) => Err(Stopped::Silent(why)),
            // What it says of look-ups is for the cases to tell.
            Err(_) => Ok(None),
        }
    }

    /// Plays one case.
    pub(super) async fn case<'c>(
        &self,
        making: &Making<'_>,
        service: &mut impl Service,
        case: &'c Case,
    ) -> Result<Played<'c>, Trouble> {
        let day = self.settings.day;
        if day < case.from || case.to < day {
            let why = format!("holds {}, and the day is {day}", case.days());
            return Ok(Played::skipped(case, why));
        }
        let Settings { is_strict, is_repeated, .. } = self.settings;
        let mut seen = Comparison::new(Leniency { is_strict, is_repeated });
        let mut place = 0;
        for step in &case.steps {
            match self.step(making, service, case, step, &mut seen, &mut place).await {
                Ok(()) => {}
                Err(Missed::Unplayable(Unplayable::Lacking(why))) => {
                    return Ok(Played::skipped(case, why));
                }
                Err(Missed::Unplayable(Unplayable::Fault(what))) => {
                    // A slip in the case itself: tests see to it that there is none.
                    return Ok(Played::skipped(case, format!("it is written wrongly: {what}")));
                }
                Err(Missed::Trouble(Trouble::NotForUs(why))) => {
                    return Ok(Played::skipped(case, why));
                }
                Err(Missed::Trouble(Trouble::Odd(came))) => {
                    seen.differs("an answer as the contract has it", came);
                    break;
                }
                Err(Missed::Trouble(gone)) => return Err(gone),
            }
        }
        Ok(Played::new(case, seen.differences, seen.notes))
    }

    async fn step(
        &self,
        making: &Making<'_>,
        service: &mut impl Service,
        case: &Case,
        step: &Step,
        seen: &mut Comparison,
        place: &mut usize,
    ) -> Result<(), Missed> {
        let mut make = |row: &BatchRow| {
            *place += 1;
            making.batch(case, row, *place)
        };
        seen.begin();
        match step {
            Step::Submit(row) => {
                let batch = make(row)?;
                let told = service.submit(batch.clone()).await?;
                seen.told(row, &batch, &told);
            }
            Step::Stream(rows) => {
                let batches = rows.iter().map(make).collect::<Result<Vec<_>, _>>()?;
                let told = service.stream(batches.clone()).await?;
                if told.len() != rows.len() {
                    let expected = format!("{} answers on the stream", rows.len());
                    seen.differs(expected, told.len().to_string());
                }
                for ((row, batch), told) in rows.iter().zip(&batches).zip(&told) {
                    seen.told(row, batch, told);
                }
            }
            Step::LookUp(key) => self.look_up(making, service, case, key, seen).await?,
            Step::Reasons {} => self.reasons(service, seen).await?,
            Step::Summary {} => {
                let summary = service.summary(&self.settings.declarant, seen.watermark).await?;
                seen.summary(summary);
            }
        }
        Ok(())
    }

    async fn look_up(
        &self,
        making: &Making<'_>,
        service: &mut impl Service,
        case: &Case,
        key: &LookUp,
        seen: &mut Comparison,
    ) -> Result<(), Missed> {
        let declarant = &self.settings.declarant;
        let by_lrn = |name: &str| {
            let lrn = making.lrn(case, name);
            Key::LocalReference(LocalReference { declarant: declarant.clone(), lrn })
        };
        let (LookUp::Lrn(name)
        | LookUp::Mrn(name)
        | LookUp::ChangedMrn(name)
        | LookUp::UnknownLrn(name)) = key;
        if let LookUp::UnknownLrn(_) = key {
            // In a run that is repeated it is there from the first time.
            let is_there = self.settings.is_repeated && case.lodges(name);
            return if is_there { Ok(()) } else { nothing(service, by_lrn(name), seen).await };
        }
        let lrn = making.lrn(case, name);
        // What was not answered as it should is told already.
        let Some(standing) = seen.standing(&lrn).cloned() else { return Ok(()) };
        let key = match key {
            LookUp::Lrn(_) => by_lrn(name),
            LookUp::Mrn(_) => Key::Mrn(standing.mrn.clone()),
            LookUp::ChangedMrn(_) | LookUp::UnknownLrn(_) => {
                for changed in changed(&standing.mrn) {
                    nothing(service, Key::Mrn(changed), seen).await?;
                }
                return Ok(());
            }
        };
        let shown = shown_key(&key);
        let Some(found) = service.look_up(key).await? else {
            seen.differs(format!("the declaration of {shown}"), "NOT_FOUND");
            return Ok(());
        };
        let verdict = found.verdict.unwrap_or_default();
        // In a run that is repeated what was corrected is accepted from the first time.
        let is_corrected = self.settings.is_repeated
            && (standing.outcome(), verdict.outcome()) == (Outcome::Rejected, Outcome::Accepted);
        let of = |outcome: Outcome, mrn: &str| format!("{} {mrn}", outcome.as_str_name());
        let (expected, came) =
            (of(standing.outcome(), &standing.mrn), of(verdict.outcome(), &verdict.mrn));
        if expected != came && !is_corrected {
            seen.differs(format!("{shown} to be {expected}"), came);
        }
        if found.lrn != lrn || found.declarant != *declarant {
            let came = format!("{} of {}", found.lrn, found.declarant);
            seen.differs(format!("{lrn} of {declarant}"), came);
        }
        Ok(())
    }

    /// Every reason that the cases draw on the day has to be listed, with its severity; the texts are the
    /// service's own.
    async fn reasons(
        &self,
        service: &mut impl Service,
        seen: &mut Comparison,
    ) -> Result<(), Missed> {
        let listed = service.reasons(self.settings.day.to_string()).await?;
        let day = self.settings.day;
        let in_force = self.kit.cases.iter().filter(|case| case.from <= day && day <= case.to);
        let drawn: BTreeSet<&str> = in_force.flat_map(Case::draws).collect();
        for (reason, severity, text, basis, element) in self.law.reasons() {
            if !drawn.contains(reason.name()) {
                continue;
            }
            let expected = format!("{reason} listed as {severity:?}").to_uppercase();
            let Some(came) = listed.iter().find(|listed| listed.reason == reason.name()) else {
                seen.differs(expected, "no such reason");
                continue;
            };
            if came.severity != severity as i32 {
                seen.differs(expected, came.severity().as_str_name());
            }
            if element.is_some_and(|element| element != came.data_element) {
                let came = format!("{:?}", came.data_element);
                let element = element.unwrap_or_default();
                seen.differs(format!("{reason} listed with {element:?}"), came);
            }
            if came.text != text || came.legal_basis != basis {
                seen.notes.push(format!("{reason} has a text or a legal basis of its own"));
            }
        }
        Ok(())
    }
}

/// Why a step was not played to its end.
enum Missed {
    Unplayable(Unplayable),
    Trouble(Trouble),
}

impl From<Unplayable> for Missed {
    fn from(why: Unplayable) -> Self {
        Self::Unplayable(why)
    }
}

impl From<Trouble> for Missed {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

fn stopped(trouble: Trouble) -> Stopped {
    Stopped::Silent(trouble.to_string())
}

/// Nothing may be found.
async fn nothing(
    service: &mut impl Service,
    key: Key,
    seen: &mut Comparison,
) -> Result<(), Missed> {
    let shown = shown_key(&key);
    if let Some(found) = service.look_up(key).await? {
        let came = format!("the declaration {} of {}", found.lrn, found.declarant);
        seen.differs(format!("{shown} to be NOT_FOUND"), came);
    }
    Ok(())
}

fn shown_key(key: &Key) -> String {
    match key {
        Key::LocalReference(reference) => format!("LRN {}", reference.lrn),
        Key::Mrn(mrn) => format!("MRN {mrn}"),
    }
}

/// The MRN with each of its characters changed, one at a time.
fn changed(mrn: &str) -> impl Iterator<Item = String> + use<'_> {
    mrn.char_indices().map(|(place, character)| {
        // Digits stay digits and letters letters, so that the form is kept.
        let other = match character {
            '9' => '0',
            'Z' => 'A',
            c => char::from_u32(u32::from(c) + 1).unwrap_or('0'),
        };
        let mut changed = mrn.to_owned();
        changed.replace_range(place..place + character.len_utf8(), other.encode_utf8(&mut [0; 4]));
        changed
    })
}
