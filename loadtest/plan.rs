//! What each sending of each connection is: new declarations, and among them replays and conflicts
//! from the whole history. A pure function of (key, lane, sending), so that any batch can be made
//! again and a billion lines need no memory.
//!
//! A sending refers only to sendings of its own lane that lie more than `reach` before it, and a lane
//! does not start one before all of those have been answered (see `lane`): so the known answers hold
//! whatever the order in which the server takes what is under way. It refers to each of them with the
//! same chance, however long ago they were.
//!
//! A declaration can only be planted at a place where it is as long as what the template has there,
//! so a planted one comes from a batch of the same template.

use std::sync::Arc;
use std::time::Duration;

use waag::generate::{Random, SHARES_SUM_MAX};
use waag::outcome::Outcome;

use super::template::{Content, Template};

/// What share plays which part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mix {
    /// Share of batches that are a batch sent before, or of declarations (see `whole`).
    pub(crate) replays: f64,
    /// Replays come as whole batches, and not as single declarations among new ones.
    pub(crate) whole: bool,
    /// Share of declarations that use an accepted one's LRN for other content.
    pub(crate) conflicts: f64,
    /// Share of declarations with a defect.
    pub(crate) invalid: f64,
}

impl Mix {
    /// # Errors
    /// A share outside its bounds.
    pub(crate) fn check(&self) -> Result<(), String> {
        let shares =
            [("replays", self.replays), ("conflicts", self.conflicts), ("invalid", self.invalid)];
        for (name, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("--{name} is {share}, but a share must be 0 to 1"));
            }
        }
        let sum = self.replays + self.conflicts + self.invalid;
        if sum > SHARES_SUM_MAX {
            return Err(format!("--replays, --conflicts and --invalid add up to {sum}, over 0.9"));
        }
        Ok(())
    }
}

/// The plan of a run.
#[derive(Debug)]
pub(crate) struct Plan {
    key: u64,
    lanes: u64,
    templates: u64,
    reach: u64,
    /// In 2^-32.
    whole_replays: u64,
    replays: u64,
    conflicts: u64,
}

/// What a place of a batch was drawn to be, before it is known whether there is anything to refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drawn {
    New,
    Replay,
    Conflict,
}

/// What a declaration is when its batch is first sent. Numbers are sendings of the same lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// A new LRN.
    New,
    /// What that sending brought in at the same place.
    Replay { of: u64 },
    /// The LRN of what that sending brought in at the same place, and was accepted.
    Conflict { with: u64 },
}

/// A batch to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Sending {
    /// How many this lane sent before.
    pub(crate) number: u64,
    /// The sending whose batch it is: its own number, or an earlier one that is sent again.
    pub(crate) batch: u64,
    /// Index of the template.
    pub(crate) template: usize,
    /// What its declarations were when the batch was first sent; nothing for places that are all new.
    pub(crate) parts: Arc<[Part]>,
    /// All of it was answered before.
    pub(crate) again: bool,
}

/// How often something to refer to is looked for, before a declaration or batch is a new one.
const TRIES: u32 = 16;

#[derive(Debug, Clone, Copy)]
enum Purpose {
    Batch = 1,
    Place = 2,
}

impl Plan {
    /// `reach`: how far a reference goes back at least.
    pub(crate) fn new(key: u64, lanes: u64, templates: u64, reach: u64, mix: &Mix) -> Self {
        // The cast cuts off.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let share = |share: f64| (share * 4_294_967_296.0) as u64;
        let (whole_replays, replays) =
            if mix.whole { (share(mix.replays), 0) } else { (0, share(mix.replays)) };
        let conflicts = share(mix.conflicts);
        Self { key, lanes, templates: templates.max(1), reach, whole_replays, replays, conflicts }
    }

    /// The number by which a lane's sending is known in texts.
    pub(crate) fn number(&self, lane: u64, sending: u64) -> u64 {
        sending * self.lanes + lane
    }

    /// How long after the start a lane's first batch is due, where its batches are due every `interval`:
    /// so those of all lanes come one after another, and not all at the same moment.
    pub(crate) fn offset(&self, lane: u64, interval: Duration) -> Duration {
        let part = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        interval * part(lane % self.lanes.max(1)) / part(self.lanes.max(1))
    }

    /// How far a reference goes back at least: a lane sends nothing before all that lies further
    /// back has been answered.
    pub(crate) fn reach(&self) -> u64 {
        self.reach
    }

    fn random(&self, purpose: Purpose, lane: u64, sending: u64) -> Random {
        Random::keyed(&[self.key, purpose as u64, lane, sending])
    }

    fn is_drawn_again(&self, lane: u64, sending: u64) -> bool {
        self.whole_replays > 0
            && self.random(Purpose::Batch, lane, sending).next() >> 32 < self.whole_replays
    }

    fn draw(&self, random: &mut Random) -> Drawn {
        match random.next() >> 32 {
            at if at < self.replays => Drawn::Replay,
            at if at < self.replays + self.conflicts => Drawn::Conflict,
            _ => Drawn::New,
        }
    }

    /// What the chance of all places of a batch comes from.
    fn places_key(&self, lane: u64, sending: u64) -> u64 {
        self.random(Purpose::Place, lane, sending).next()
    }

    /// The next batch of a lane.
    pub(crate) fn sending(&self, lane: u64, number: u64, templates: &[Template]) -> Sending {
        let batch = self.again(lane, number).unwrap_or(number);
        self.batch(lane, number, batch, templates)
    }

    /// The batch of an earlier sending, as the sending `number`.
    pub(crate) fn batch(
        &self,
        lane: u64,
        number: u64,
        batch: u64,
        templates: &[Template],
    ) -> Sending {
        // A remainder of the number of templates, which is a usize.
        let template = ((batch + lane) % self.templates) as usize;
        let places = templates.get(template).map_or(&[][..], |template| &template.places);
        let key = self.places_key(lane, batch);
        let parts = if self.replays + self.conflicts == 0 {
            Arc::default()
        } else {
            places
                .iter()
                .enumerate()
                .map(|(at, place)| self.part(lane, batch, at, place.first, key))
                .collect()
        };
        Sending { number, batch, template, parts, again: batch != number }
    }

    /// The earlier sending whose batch is sent again at `number`, where that is what it is.
    fn again(&self, lane: u64, number: u64) -> Option<u64> {
        let room = number.checked_sub(self.reach).filter(|&room| room > 0)?;
        if !self.is_drawn_again(lane, number) {
            return None;
        }
        let mut random = self.random(Purpose::Batch, lane, number);
        random.next();
        (0..TRIES).map(|_| random.below(room)).find(|&of| !self.is_drawn_again(lane, of))
    }

    /// `key`: the batch's [`Self::places_key`].
    fn part(&self, lane: u64, batch: u64, place: usize, first: Outcome, key: u64) -> Part {
        let mut random = place_random(key, place);
        let drawn = self.draw(&mut random);
        // What was rejected leaves its LRN free.
        if drawn == Drawn::New || (drawn == Drawn::Conflict && first != Outcome::Accepted) {
            return Part::New;
        }
        let nearest = self.reach / self.templates + 1;
        let Some(count) = (batch / self.templates + 1).checked_sub(nearest) else {
            return Part::New;
        };
        for _ in 0..TRIES {
            if count == 0 {
                break;
            }
            let of = batch - (nearest + random.below(count)) * self.templates;
            let is_new = !self.is_drawn_again(lane, of)
                && self.draw(&mut place_random(self.places_key(lane, of), place)) == Drawn::New;
            if is_new {
                return match drawn {
                    Drawn::Conflict => Part::Conflict { with: of },
                    _ => Part::Replay { of },
                };
            }
        }
        Part::New
    }
}

/// The stream of chance of one place of a batch.
fn place_random(batch_key: u64, place: usize) -> Random {
    Random::keyed(&[batch_key, place as u64])
}

impl Sending {
    /// What the declaration at `place` was when the batch was first sent.
    pub(crate) fn part(&self, place: usize) -> Part {
        self.parts.get(place).copied().unwrap_or(Part::New)
    }

    /// What stands at each of `places`, for patching.
    pub(crate) fn contents<'a>(
        &'a self,
        plan: &'a Plan,
        lane: u64,
        places: usize,
    ) -> impl Iterator<Item = Content> + 'a {
        let number = move |sending| plan.number(lane, sending);
        (0..places).map(move |place| match self.part(place) {
            Part::New => Content::Of(number(self.batch)),
            Part::Replay { of } => Content::Of(number(of)),
            Part::Conflict { with } => Content::Against(number(with)),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use std::collections::HashMap;

    use waag::day::Day;
    use waag::generate::Options;

    use super::super::template::Templates;
    use super::*;

    #[test]
    fn lanes_are_due_one_after_another() {
        let mix = Mix { replays: 0.0, whole: false, conflicts: 0.0, invalid: 0.0 };
        let plan = Plan::new(77, 4, 4, 6, &mix);
        let dues =
            [0, 1, 2, 3].map(|lane| plan.offset(lane, Duration::from_millis(40)).as_millis());
        assert_eq!(dues, [0, 10, 20, 30]);
    }

    fn templates() -> Templates {
        let on = Day::parse("2026-11-05").unwrap();
        let options = Options { batch: 20, actors: 5, invalid: 0.1, ..Options::on(on) };
        Templates::make(&options, None, 4, &[5]).unwrap()
    }

    /// Holds the parts against a plain model: what each (lane, batch, place) brought in.
    fn planted(mix: Mix) -> (usize, usize, usize) {
        let templates = templates();
        let plan = Plan::new(77, 3, 4, 6, &mix);
        let (mut replays, mut conflicts, mut again) = (0, 0, 0);
        for lane in 0..3 {
            let mut brought: HashMap<(u64, usize), Outcome> = HashMap::new();
            for number in 0..400 {
                let sending = plan.sending(lane, number, &templates.list);
                if sending.again {
                    assert!(sending.batch + 6 < number + 1);
                    assert!(!plan.is_drawn_again(lane, sending.batch));
                    again += 1;
                    continue;
                }
                let places = &templates.list[sending.template].places;
                for (at, place) in places.iter().enumerate() {
                    match sending.part(at) {
                        Part::New => {
                            brought.insert((number, at), place.first);
                        }
                        Part::Replay { of } => {
                            assert_eq!(brought.get(&(of, at)), Some(&place.first));
                            assert!(of + 6 < number && (number - of) % 4 == 0);
                            replays += 1;
                        }
                        Part::Conflict { with } => {
                            assert_eq!(brought.get(&(with, at)), Some(&Outcome::Accepted));
                            assert!(with + 6 < number && (number - with) % 4 == 0);
                            conflicts += 1;
                        }
                    }
                }
            }
        }
        (replays, conflicts, again)
    }

    #[test]
    fn what_is_referred_to_was_brought_in_before_and_far_enough_away() {
        let mix = Mix { replays: 0.1, whole: false, conflicts: 0.05, invalid: 0.1 };
        // 24,000 declarations, an eighth of them rejected; 5 deviations are 230 and 165.
        let (replays, conflicts, again) = planted(mix);
        assert!((2_100..2_650).contains(&replays), "{replays}");
        assert!((870..1_270).contains(&conflicts), "{conflicts}");
        assert_eq!(again, 0);
        let (replays, conflicts, again) = planted(Mix { whole: true, ..mix });
        assert_eq!(replays, 0);
        assert!(conflicts > 700, "{conflicts}");
        // 1,200 batches; 5 deviations are 52.
        assert!((65..175).contains(&again), "{again}");
    }

    #[test]
    fn the_oldest_is_referred_to_as_often_as_the_newest() {
        let templates = templates();
        let mix = Mix { replays: 0.5, whole: false, conflicts: 0.0, invalid: 0.0 };
        let plan = Plan::new(3, 1, 4, 6, &mix);
        let mut fifths = [0_u32; 5];
        for number in 4_000..4_400 {
            let sending = plan.sending(0, number, &templates.list);
            for place in 0..20 {
                if let Part::Replay { of } = sending.part(place) {
                    fifths[usize::try_from(of * 5 / number).unwrap()] += 1;
                }
            }
        }
        // About 800 each; 5 deviations are 130.
        assert!(fifths.iter().all(|count| (650..950).contains(count)), "{fifths:?}");
    }
}
