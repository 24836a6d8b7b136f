//! Who is to misbehave: what a user states, or a scenario that is drawn from the seed.

use super::kind::{Group, Kind, Planted};
use crate::day::Day;
use crate::generate::random::Random;

/// Who misbehaves.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Misbehave {
    /// Nobody.
    #[default]
    None,
    /// So many declarants, drawn from the seed with their kinds and strengths; where no number is
    /// given two of seven.
    Drawn(Option<u32>),
    /// Those stated.
    Stated(Vec<Statement>),
}

/// What a user states of one declarant.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// In which way.
    pub kind: Kind,
    /// [`Planted::strength`].
    pub strength: f64,
    /// Index of the declarant, or its EORI; one drawn from the seed where left out.
    pub actor: Option<String>,
    /// First and last day; the whole period where left out.
    pub days: Option<(Day, Day)>,
}

/// Why a statement cannot be followed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MisbehaveError {
    /// It is not of the form.
    #[error(
        "--misbehave: {statement:?} {why}; a statement is KIND[:STRENGTH][@DECLARANT[:FIRST..LAST]], \
         such as bunch, undervalue:0.2@4 or split:0.1@NL830000006:2026-11-02..2026-11-15"
    )]
    Statement {
        /// As given.
        statement: String,
        /// What is wrong with it.
        why: String,
    },
    /// More than all declarations would be affected.
    #[error("--misbehave: {kinds} of declarant {actor} add up to {sum}, but may be {max} together")]
    TooMuch {
        /// The declarant.
        actor: u32,
        /// Those that exclude one another.
        kinds: &'static str,
        /// What they add up to.
        sum: f64,
        /// The bound.
        max: f64,
    },
    /// More misbehave than there are.
    #[error(
        "--misbehave: {asked} declarants are to be drawn, but only {most} can be: see --actors"
    )]
    TooMany {
        /// How many.
        asked: usize,
        /// The bound.
        most: usize,
    },
    /// Never, so that the truth would name one who does nothing.
    #[error(
        "--misbehave: {kind} of declarant {actor} has no day within {first} to {last}{}",
        if *kind == Kind::Merge.name() { " (goods are merged from 2026-07-01 on)" } else { "" }
    )]
    NoDay {
        /// In which way.
        kind: &'static str,
        /// The declarant.
        actor: u32,
        /// The first day of all.
        first: Day,
        /// The last one.
        last: Day,
    },
    /// All platforms misbehave themselves.
    #[error(
        "--misbehave: borrow of declarant {actor} needs the IOSS number of an honest platform, and \
         there is none: see --actors"
    )]
    NothingToBorrow {
        /// The declarant.
        actor: u32,
    },
}

/// Messages about earlier ones need earlier ones.
const PART_SHARE_MAX: f64 = 0.9;

impl Misbehave {
    /// Reads `none`, `drawn`, `drawn:12`, `all` (each kind, by a declarant of its own), or
    /// statements between commas.
    ///
    /// # Errors
    /// Names the statement and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, MisbehaveError> {
        match text.trim() {
            "none" => return Ok(Self::None),
            "drawn" => return Ok(Self::Drawn(None)),
            "all" => {
                let all = Kind::ALL.iter().map(|kind| statement(kind.name()));
                return Ok(Self::Stated(all.collect::<Result<_, _>>()?));
            }
            _ => {}
        }
        if let Some(count) = text.trim().strip_prefix("drawn:") {
            let count = count.parse().map_err(|_| wrong(text, "gives no number of declarants"))?;
            return Ok(Self::Drawn(Some(count)));
        }
        let statements: Result<_, _> = text.split(',').map(|each| statement(each.trim())).collect();
        Ok(Self::Stated(statements?))
    }
}

fn wrong(statement: &str, why: impl Into<String>) -> MisbehaveError {
    MisbehaveError::Statement { statement: statement.to_owned(), why: why.into() }
}

fn statement(text: &str) -> Result<Statement, MisbehaveError> {
    let (what, whom) = match text.split_once('@') {
        None => (text, None),
        Some((what, whom)) => (what, Some(whom)),
    };
    let (kind, strength) = match what.split_once(':') {
        None => (what, None),
        Some((kind, strength)) => (kind, Some(strength)),
    };
    let kind = Kind::parse(kind.trim()).ok_or_else(|| {
        let known: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        wrong(text, format!("names no known kind ({})", known.join(", ")))
    })?;
    let strength = match strength {
        None => kind.usual_strength(),
        Some(strength) => strength
            .trim()
            .parse()
            .ok()
            .filter(|&share| share > 0.0 && share <= 1.0)
            .ok_or_else(|| wrong(text, "has a strength that is not above 0 and at most 1"))?,
    };
    let (actor, days) = match whom.map(|whom| whom.split_once(':').ok_or(whom)) {
        None => (None, None),
        Some(Err(actor)) => (Some(actor), None),
        Some(Ok((actor, days))) => {
            let days = days.split_once("..").and_then(|(first, last)| {
                Some((Day::parse(first.trim())?, Day::parse(last.trim())?))
            });
            let days = days.ok_or_else(|| wrong(text, "has days that are not FIRST..LAST"))?;
            (Some(actor), Some(days))
        }
    };
    Ok(Statement { kind, strength, actor: actor.map(|actor| actor.trim().to_owned()), days })
}

/// The index of a declarant that is named by it, or by its EORI.
fn named(actor: &str, eoris: &[String]) -> Result<u32, MisbehaveError> {
    let place = match actor.parse::<usize>() {
        Ok(index) => Some(index).filter(|&index| index < eoris.len()),
        Err(_) => eoris.iter().position(|eori| *eori == actor),
    };
    place.and_then(|place| u32::try_from(place).ok()).ok_or_else(|| {
        let highest = eoris.len().saturating_sub(1);
        wrong(actor, format!("is no declarant, neither an index from 0 to {highest} nor an EORI"))
    })
}

/// Finds the declarants of statements. For each that names none, one of `candidates` is drawn that
/// no other statement has.
pub(super) fn follow(
    statements: &[Statement],
    eoris: &[String],
    candidates: &[u32],
    (first, last): (Day, Day),
    random: &mut Random,
) -> Result<Vec<Planted>, MisbehaveError> {
    let mut actors = Vec::with_capacity(statements.len());
    for each in statements {
        actors.push(each.actor.as_ref().map(|actor| named(actor, eoris)).transpose()?);
    }
    let free = |each: &&u32| !actors.contains(&Some(**each));
    let mut free: Vec<u32> = candidates.iter().filter(free).copied().collect();
    let (asked, most) = (actors.iter().filter(|each| each.is_none()).count(), free.len());
    if asked > most {
        return Err(MisbehaveError::TooMany { asked, most });
    }
    let mut planted = Vec::with_capacity(statements.len());
    for (each, actor) in statements.iter().zip(actors) {
        let actor = actor.unwrap_or_else(|| draw(&mut free, random));
        let (from, to) = each.days.unwrap_or((first, last));
        let Statement { kind, strength, .. } = *each;
        planted.push(Planted { kind, strength, actor, from, to });
    }
    Ok(planted)
}

/// Takes one out.
fn draw<T: Default>(from: &mut Vec<T>, random: &mut Random) -> T {
    let place = usize::try_from(random.below(from.len() as u64)).unwrap_or(0);
    if from.is_empty() { T::default() } else { from.swap_remove(place) }
}

/// With the days on which each falls within the period and has a reason.
pub(super) fn within(
    mut planted: Vec<Planted>,
    (first, last): (Day, Day),
) -> Result<Vec<Planted>, MisbehaveError> {
    for each in &mut planted {
        (each.from, each.to) = (each.from.max(first).max(each.kind.since()), each.to.min(last));
        if each.from > each.to {
            let (kind, actor) = (each.kind.name(), each.actor);
            return Err(MisbehaveError::NoDay { kind, actor, first, last });
        }
    }
    Ok(planted)
}

/// The first group of kinds that one declarant has too much of.
pub(super) fn check(planted: &[Planted]) -> Result<(), MisbehaveError> {
    let groups = [
        (Group::Part, "resend and conflict", PART_SHARE_MAX),
        (Group::Shape, "undervalue, bunch, split, gifts, repeat and nominal", 1.0),
        (Group::Text, "vague, misclassify and merge", 1.0),
        (Group::Number, "borrow", 1.0),
    ];
    for each in planted {
        for (group, kinds, max) in groups {
            let sum = planted
                .iter()
                .filter(|other| other.actor == each.actor && other.kind.group() == group)
                .map(|other| other.strength)
                .sum();
            if sum > max {
                return Err(MisbehaveError::TooMuch { actor: each.actor, kinds, sum, max });
            }
        }
    }
    Ok(())
}

/// Strengths of a drawn scenario, in ten-thousandths, from and to: what is rare in earnest is
/// planted rarely.
fn strengths(kind: Kind) -> (u64, u64) {
    match kind {
        Kind::Conflict => (5, 200),
        Kind::Resend => (150, 1_500),
        Kind::Borrow => (500, 5_000),
        Kind::Undervalue | Kind::Merge | Kind::Bunch => (500, 4_000),
        _ => (200, 3_000),
    }
}

/// A scenario drawn from the seed: `declarants` of `candidates` misbehave, three in ten of them in two ways.
///
/// The kinds are dealt like cards, so that each comes about as often as the others. Two in five
/// begin within the period, and one in four of those ends within it.
pub(super) fn scenario(
    candidates: &[u32],
    declarants: Option<u32>,
    (first, last): (Day, Day),
    random: &mut Random,
) -> Result<Vec<Planted>, MisbehaveError> {
    let most = candidates.len();
    let declarants = match declarants.map(|asked| usize::try_from(asked).unwrap_or(usize::MAX)) {
        Some(asked) if asked > most => return Err(MisbehaveError::TooMany { asked, most }),
        Some(asked) => asked,
        None => (most * 2 / 7 + 1).min(most),
    };
    let mut actors = candidates.to_vec();
    let kinds = Kind::ALL.iter().copied().filter(|kind| kind.since() <= last);
    let kinds: Vec<Option<Kind>> = kinds.map(Some).collect();
    let mut deck = Vec::new();
    let mut planted: Vec<Planted> = Vec::new();
    for _ in 0..declarants {
        let actor = draw(&mut actors, random);
        let ways = if random.percent(30) { 2 } else { 1 };
        for _ in 0..ways {
            if deck.is_empty() {
                deck.clone_from(&kinds);
            }
            let Some(kind) = draw(&mut deck, random) else { continue };
            if planted.iter().any(|other| other.actor == actor && other.kind == kind) {
                continue;
            }
            let (low, high) = strengths(kind);
            // Low ones are the likelier: those are hard to see.
            let ten_thousandths = low + random.low_below(high - low + 1);
            let strength = f64::from(u32::try_from(ten_thousandths).unwrap_or(0)) / 10_000.0;
            let (from, to) = days(first.max(kind.since()), last, random);
            planted.push(Planted { kind, strength, actor, from, to });
        }
    }
    Ok(planted)
}

fn days(first: Day, last: Day, random: &mut Random) -> (Day, Day) {
    let days = u64::from(last.0.saturating_sub(first.0)) + 1;
    let later = |days| Day(first.0.saturating_add(u16::try_from(days).unwrap_or(u16::MAX)));
    if days < 7 || random.percent(60) {
        return (first, last);
    }
    let begin = random.between(days / 4, days * 2 / 3);
    let end = if random.percent(25) { (begin + days / 4).min(days - 1) } else { days - 1 };
    (later(begin), later(end))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    fn day(text: &str) -> Day {
        Day::parse(text).unwrap()
    }

    fn all() -> (Day, Day) {
        (day("2026-10-26"), day("2026-11-22"))
    }

    fn planted(text: &str, eoris: u32, candidates: &[u32]) -> Result<Vec<Planted>, MisbehaveError> {
        let Misbehave::Stated(statements) = Misbehave::parse(text)? else { panic!() };
        let eoris: Vec<String> = (0..eoris).map(|n| format!("NL{n}")).collect();
        let random = &mut Random::keyed(&[3]);
        within(follow(&statements, &eoris, candidates, all(), random)?, all())
    }

    #[test]
    fn statements_are_read() {
        assert_eq!(Misbehave::parse("none"), Ok(Misbehave::None));
        assert_eq!(Misbehave::parse(" drawn "), Ok(Misbehave::Drawn(None)));
        assert_eq!(Misbehave::parse("drawn:4"), Ok(Misbehave::Drawn(Some(4))));
        let line = "undervalue:0.4@4, split : 0.1 @ NL6 : 2026-11-02 .. 2026-11-15,bunch@1,gifts";
        let found = planted(line, 7, &[0, 4, 5]).unwrap();
        let expected = [
            (Kind::Undervalue, 0.4, 4, all().0, all().1),
            (Kind::Split, 0.1, 6, day("2026-11-02"), day("2026-11-15")),
            (Kind::Bunch, 0.2, 1, all().0, all().1),
            // 0 or 5: 4 is another's.
            (Kind::Gifts, 0.2, found[3].actor, all().0, all().1),
        ];
        let expected = expected.map(|(kind, strength, actor, from, to)| Planted {
            kind,
            strength,
            actor,
            from,
            to,
        });
        assert_eq!(found, expected);
        assert!([0, 5].contains(&found[3].actor), "{found:?}");
    }

    #[test]
    fn all_kinds_have_a_declarant_and_a_strength_of_their_own() {
        let candidates: Vec<u32> = (0..14).collect();
        let found = planted("all", 14, &candidates).unwrap();
        assert_eq!(found.iter().map(|each| each.kind).collect::<Vec<_>>(), Kind::ALL);
        assert!(found.iter().all(|each| each.strength == each.kind.usual_strength()));
        let mut actors: Vec<u32> = found.iter().map(|each| each.actor).collect();
        actors.sort_unstable();
        actors.dedup();
        assert_eq!(actors.len(), Kind::ALL.len());
    }

    #[test]
    fn what_cannot_be_followed_is_named() {
        for (text, said) in [
            ("", "\"\" names no known kind"),
            ("vague,", "\"\" names no known kind"),
            ("drawn:x", "\"drawn:x\" gives no number"),
            ("vag:0.1@1", "\"vag:0.1@1\" names no known kind (undervalue, bunch"),
            ("vague:2@1", "\"vague:2@1\" has a strength that is not above 0 and at most 1"),
            ("vague:0", "not above 0"),
            ("vague:NaN", "not above 0"),
            ("vague:", "not above 0"),
            ("vague:0.1@1:2026-11-02", "has days that are not"),
            ("vague@1", "\"1\" is no declarant, neither an index from 0 to 0"),
            ("vague@NL2", "\"NL2\" is no declarant"),
            ("vague,bunch", "2 declarants are to be drawn, but only 1 can be: see --actors"),
            ("vague@0,bunch", "1 declarants are to be drawn, but only 0 can be"),
            ("gifts@0:2026-01-01..2026-02-01", "gifts of declarant 0 has no day within 2026-10-26"),
            ("gifts@0:2026-11-02..2026-11-01", "has no day within 2026-10-26 to 2026-11-22"),
            ("merge@0:2026-01-01..2026-02-01", "(goods are merged from 2026-07-01 on)"),
        ] {
            let error = planted(text, 1, &[0]).unwrap_err().to_string();
            assert!(error.starts_with("--misbehave: ") && error.contains(said), "{error}");
        }
        let much = check(&planted("vague:0.6@0,merge:0.6@0", 1, &[]).unwrap()).unwrap_err();
        assert!(much.to_string().contains("of declarant 0 add up to 1.2"), "{much}");
        assert!(check(&planted("vague:0.6@0,bunch:0.6@NL0", 1, &[]).unwrap()).is_ok());
        let many = scenario(&[1, 2], Some(3), all(), &mut Random::keyed(&[1])).unwrap_err();
        assert!(many.to_string().contains("3 declarants are to be drawn"), "{many}");
    }

    #[test]
    fn what_has_no_reason_yet_is_not_drawn() {
        let candidates: Vec<u32> = (0..40).collect();
        let days = (day("2026-06-01"), day("2026-07-10"));
        let all = |days| scenario(&candidates, Some(40), days, &mut Random::keyed(&[5])).unwrap();
        let merged: Vec<_> =
            all(days).into_iter().filter(|each| each.kind == Kind::Merge).collect();
        assert!(!merged.is_empty() && merged.iter().all(|each| each.from >= day("2026-07-01")));
        let earlier = all((day("2026-05-01"), day("2026-06-30")));
        assert!(earlier.len() > 40 && earlier.iter().all(|each| each.kind != Kind::Merge));
    }

    #[test]
    fn over_seeds_every_kind_comes_about_as_often() {
        let days = all();
        let candidates: Vec<u32> = (0..32).collect();
        let mut counts = [0_u32; 12];
        for seed in 0..50 {
            let planted = scenario(&candidates, None, days, &mut Random::keyed(&[seed])).unwrap();
            check(&planted).unwrap();
            let mut actors: Vec<u32> = planted.iter().map(|each| each.actor).collect();
            actors.dedup();
            assert_eq!(actors.len(), 10);
            for each in planted {
                counts[each.kind as usize] += 1;
                assert!(days.0 <= each.from && each.from <= each.to && each.to <= days.1);
            }
        }
        assert!(counts.iter().all(|&count| (35..=80).contains(&count)), "{counts:?}");
    }
}
