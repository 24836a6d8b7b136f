//! Batches that are encoded once and patched in place each time they are sent.
//!
//! What changes from one sending to the next has a fixed length, so that nothing moves:
//!
//! | text | form | what it says |
//! |---|---|---|
//! | `batch_id` | `TTTTTT-NNNNNNNNNN` | tag of the run, number of the sending |
//! | LRN | `TTTTTTNNNNNNNNNNPPPP` | tag, number of the batch, place of the declaration in it |
//! | UCR | `EU-DDDDDDDDDDDD` | twelve digits drawn from number and place: an order number |
//! | UCR of a conflict | `EC-00NNNNNNNNNN` | the number of the batch that it stands in: content no other has |
//!
//! The tag differs between runs with other options, so that they share no LRN. The declarations are
//! the generator's, and so is the knowledge of what must come out: neither rules nor index are
//! called.

use prost::Message;
use waag::command::Failure;
use waag::generate::{GeneratedBatch, Generator, Options, Random};
use waag::outcome::Outcome;
use waag::proto::v1::SubmitBatchRequest;

/// Digits of a batch's number: so many batches may be sent in one run.
const NUMBER_DIGITS: usize = 10;
const TAG_LENGTH: usize = 6;
const LRN_LENGTH: usize = TAG_LENGTH + NUMBER_DIGITS + 4;
/// The contract's bound on an LRN.
const _: () = assert!(LRN_LENGTH <= 22);
const UCR_DIGITS: usize = 12;

/// One declaration of a template: where it is patched, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where the batch's number stands in its LRN.
    lrn_number_at: usize,
    /// Where its UCR stands.
    ucr_at: usize,
    /// What becomes of it where its LRN is new: accepted or rejected.
    pub(crate) first: Outcome,
    /// Exactly the reasons of severity REJECT then, sorted.
    pub(crate) reject_reasons: Vec<&'static str>,
    /// Goods items.
    pub(crate) lines: u32,
    /// Of all of them.
    pub(crate) gross_mass_mg: u64,
    /// Where it is known without a conversion.
    pub(crate) value_eur_cents: Option<u64>,
    /// Where it is accepted.
    pub(crate) duty_eur_cents: Option<u64>,
}

/// An encoded batch.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// EORI of its declarant, in upper case.
    pub(crate) declarant: String,
    pub(crate) places: Vec<Place>,
    /// Goods items in all.
    pub(crate) lines: u64,
    bytes: Vec<u8>,
    batch_number_at: usize,
}

/// The templates of a run.
#[derive(Debug, Clone)]
pub(crate) struct Templates {
    pub(crate) list: Vec<Template>,
    tag: String,
    key: u64,
}

/// What stands at a place of a batch, as far as patching is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// The content of that batch at this place.
    Of(u64),
    /// The LRN of that batch at this place, with content of its own.
    Against(u64),
}

/// Six characters that tell the LRNs of a run from those of any other.
fn tag(random: &mut Random) -> String {
    const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    (0..TAG_LENGTH).map(|_| char::from(random.pick(DIGITS))).collect()
}

fn digits<const N: usize>(mut number: u64) -> [u8; N] {
    let mut text = [b'0'; N];
    for place in text.iter_mut().rev() {
        // A remainder of 10 fits a byte.
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
    text
}

/// The digits of the UCR of the declaration at `place` of a batch.
fn order(batch_key: u64, place: usize) -> [u8; UCR_DIGITS] {
    digits(Random::keyed(&[batch_key, place as u64]).below(1_000_000_000_000))
}

fn put(bytes: &mut [u8], at: usize, text: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + text.len()) {
        place.copy_from_slice(text);
    }
}

impl Templates {
    /// So many batches of `options.batch` declarations each, with their share of invalid ones, all of them
    /// `declarant`'s where there is one. `key_parts`: everything else that decides what an LRN stands for.
    ///
    /// # Errors
    /// An option outside its bounds.
    pub(crate) fn make(
        options: &Options,
        declarant: Option<&str>,
        count: usize,
        key_parts: &[u64],
    ) -> Result<Self, Failure> {
        let mut random = Random::keyed(key_parts);
        let (key, tag) = (random.next(), tag(&mut random));
        let mut list = Vec::new();
        for mut generated in Self::generated(options)?.take(count) {
            if let Some(declarant) = declarant {
                generated.request.declarant = declarant.to_owned();
            }
            list.push(Template::new(generated, &tag)?);
        }
        Ok(Self { list, tag, key })
    }

    /// The generator's batches that templates are made of. With so many lines ahead each has as many
    /// declarations as it may; only those that are taken are made.
    fn generated(options: &Options) -> Result<Generator, Failure> {
        let lines = waag::generate::LINES_MAX;
        let options = Options { lines, replays: 0.0, conflicts: 0.0, ..options.clone() };
        Ok(Generator::new(&options)?)
    }

    /// What the order numbers of a batch are drawn from.
    fn orders_key(&self, number: u64) -> u64 {
        Random::keyed(&[self.key, number]).next()
    }

    /// The `batch_id` of a sending.
    pub(crate) fn batch_id(&self, sending: u64) -> String {
        format!("{}-{sending:010}", self.tag)
    }

    /// The batch with the number `number`, made from `template`, under the `batch_id` of `sending`.
    /// `contents` says what stands at each place.
    pub(crate) fn patched(
        &self,
        template: &Template,
        sending: u64,
        number: u64,
        contents: impl Iterator<Item = Content>,
    ) -> Vec<u8> {
        let mut bytes = template.bytes.clone();
        put(&mut bytes, template.batch_number_at, &digits::<NUMBER_DIGITS>(sending));
        // Most declarations are the batch's own.
        let (own_digits, own_key) = (digits::<NUMBER_DIGITS>(number), self.orders_key(number));
        for ((at, place), content) in template.places.iter().enumerate().zip(contents) {
            match content {
                Content::Of(first) => {
                    let (digits, key) = if first == number {
                        (own_digits, own_key)
                    } else {
                        (digits(first), self.orders_key(first))
                    };
                    put(&mut bytes, place.lrn_number_at, &digits);
                    put(&mut bytes, place.ucr_at + 3, &order(key, at));
                }
                Content::Against(accepted) => {
                    put(&mut bytes, place.lrn_number_at, &digits::<NUMBER_DIGITS>(accepted));
                    put(&mut bytes, place.ucr_at, b"EC-");
                    put(&mut bytes, place.ucr_at + 3, &digits::<UCR_DIGITS>(number));
                }
            }
        }
        bytes
    }
}

impl Template {
    /// Bytes of the batch.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    fn new(generated: GeneratedBatch, tag: &str) -> Result<Self, Failure> {
        let GeneratedBatch { mut request, expected, lines, .. } = generated;
        let mut places = Vec::with_capacity(expected.len());
        for expected in expected {
            places.push(Place {
                lrn_number_at: 0,
                ucr_at: 0,
                first: expected.outcome,
                reject_reasons: expected.reject_reasons,
                lines: expected.lines,
                gross_mass_mg: expected.gross_mass_mg,
                value_eur_cents: expected.value_eur_cents,
                duty_eur_cents: expected.duty_eur_cents,
            });
        }
        for (place, declaration) in places.iter_mut().zip(&request.declarations) {
            // Where the defect was in the LRN, nothing else is wrong, and the LRN is given anew.
            if !(1..=22).contains(&declaration.lrn.len()) {
                place.first = Outcome::Accepted;
                place.reject_reasons.clear();
            }
        }
        prepare(&mut request, tag);
        let bytes = request.encode_to_vec();
        // Both texts of a declaration are found in their order, each once.
        let mut from = 0;
        let mut find = |text: &str| {
            let at = find(&bytes, from, text.as_bytes())?;
            from = at + text.len();
            Some(at)
        };
        let lost = "a template does not hold what was put into it";
        let batch_number_at = find(&request.batch_id).ok_or(lost)? + TAG_LENGTH + 1;
        for (place, declaration) in places.iter_mut().zip(&request.declarations) {
            place.lrn_number_at = find(&declaration.lrn).ok_or(lost)? + TAG_LENGTH;
            place.ucr_at = find(&declaration.ucr).ok_or(lost)?;
        }
        let declarant = request.declarant.trim().to_ascii_uppercase();
        Ok(Self { declarant, places, lines, bytes, batch_number_at })
    }
}

/// Gives every text that will be patched its form, with the number 0.
fn prepare(request: &mut SubmitBatchRequest, tag: &str) {
    request.batch_id = format!("{tag}-{:010}", 0);
    for (place, declaration) in request.declarations.iter_mut().enumerate() {
        declaration.lrn = format!("{tag}{:010}{place:04}", 0);
        declaration.ucr = format!("EU-{:012}", 0);
    }
}

/// Where `text` first stands in `bytes`, from `from` on.
fn find(bytes: &[u8], from: usize, text: &[u8]) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(text.len()).position(|window| window == text).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use proptest::prelude::*;
    use waag::day::Day;

    use super::*;

    fn options() -> Options {
        let on = Day::parse("2026-11-05").unwrap();
        Options { batch: 40, actors: 7, invalid: 0.3, ..Options::on(on) }
    }

    /// The batch made the slow way: as messages, from texts.
    fn slowly(
        templates: &Templates,
        request: &SubmitBatchRequest,
        sending: u64,
        number: u64,
        contents: &[Content],
    ) -> SubmitBatchRequest {
        let mut request = request.clone();
        let tag = &templates.tag;
        request.batch_id = format!("{tag}-{sending:010}");
        for (place, declaration) in request.declarations.iter_mut().enumerate() {
            match contents[place] {
                Content::Of(first) => {
                    declaration.lrn = format!("{tag}{first:010}{place:04}");
                    let key = Random::keyed(&[templates.key, first]).next();
                    let order = Random::keyed(&[key, place as u64]).below(1_000_000_000_000);
                    declaration.ucr = format!("EU-{order:012}");
                }
                Content::Against(accepted) => {
                    declaration.lrn = format!("{tag}{accepted:010}{place:04}");
                    declaration.ucr = format!("EC-{number:012}");
                }
            }
        }
        request
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_patched_batch_equals_the_one_made_the_slow_way(
            which in 0_usize..12,
            sending in 0_u64..10_000_000_000,
            number in 0_u64..10_000_000_000,
            contents in proptest::collection::vec((any::<bool>(), 0_u64..10_000_000_000), 40),
        ) {
            let templates = Templates::make(&options(), None, 12, &[1, 2, 3]).unwrap();
            let request = Templates::generated(&options()).unwrap().nth(which).unwrap().request;
            let contents: Vec<Content> = contents
                .into_iter()
                .map(|(new, of)| if new { Content::Of(of) } else { Content::Against(of) })
                .collect();
            let template = &templates.list[which];
            let patched = templates.patched(template, sending, number, contents.iter().copied());
            let slow = slowly(&templates, &request, sending, number, &contents);
            prop_assert_eq!(SubmitBatchRequest::decode(&patched[..]).unwrap(), slow.clone());
            prop_assert_eq!(patched, slow.encode_to_vec());
            prop_assert_eq!(templates.batch_id(sending), slow.batch_id);
        }
    }

    #[test]
    fn every_batch_is_full_and_some_declarations_are_invalid() {
        let templates = Templates::make(&options(), Some("NL99"), 12, &[9]).unwrap();
        assert_eq!(templates.list.len(), 12);
        assert!(templates.list.iter().all(|template| template.declarant == "NL99"));
        let mut rejected = 0;
        for template in &templates.list {
            assert_eq!(template.places.len(), 40);
            for place in &template.places {
                assert_eq!(place.first == Outcome::Rejected, !place.reject_reasons.is_empty());
                rejected += usize::from(place.first == Outcome::Rejected);
            }
        }
        // 480 × 0.3 less one in twenty whose defect was in the LRN: 137, and 5 deviations are 50.
        assert!((87..187).contains(&rejected), "{rejected}");
        assert_ne!(Templates::make(&options(), None, 1, &[10]).unwrap().tag, templates.tag);
    }
}
