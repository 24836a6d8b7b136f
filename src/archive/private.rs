//! Private persons: who they are, what of them the archive keeps, and the pseudonyms under which
//! they can be told from one another.
//!
//! A private person is every importer, and the exporter of a declaration with procedure C08 (gift)
//! on some goods item. Of a private person's name and street only two pseudonyms are kept, unless
//! the setting `archive_personal_data` says otherwise:
//!
//! | pseudonym | 48 bits of SipHash-2-4, keyed, of |
//! |---|---|
//! | person | 1, name, postcode, country |
//! | address | 2, street, postcode, country |
//!
//! each text after its length in bytes (8, little endian) and evened out, so that spellings of one
//! person meet: compatible characters are taken as one (NFKC), letters as lower case, and of all
//! that is neither letter nor digit one space is left between words (in postcodes none). The key
//! is the data folder's, so that pseudonyms say nothing to those who do not have it, and cannot be
//! compared with another folder's. Of n persons n^2 / 2^49 pairs share one, on average: some 18 of 100
//! million persons, one of 24 million. So a pseudonym serves to count persons and to see what one of them
//! receives, and is no proof that two are the same; nothing is decided by it.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher24;
use unicode_normalization::UnicodeNormalization as _;

use crate::rules::finding::{Element, Finding, VALUE_QUOTED_BYTES_MAX};
use crate::wire::view::{Declaration, Party};

/// Version of how pseudonyms are made, named in every file: those of different versions cannot be
/// compared.
pub(super) const PSEUDONYM_VERSION: u32 = 1;

/// The bits of a pseudonym, 48: what is above them would take 4 bytes for each declaration and tell
/// those apart whom the country, postcode or address beside it mostly does.
const MASK: u64 = (1 << 48) - 1;

/// Makes pseudonyms.
#[derive(Clone)]
pub struct Pseudonyms {
    key: SipHasher24,
    /// What is hashed, made anew each time.
    message: Vec<u8>,
}

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonyms(..)")
    }
}

impl Pseudonyms {
    /// Under this key.
    #[must_use]
    pub fn new(key: [u8; 16]) -> Self {
        Self { key: SipHasher24::new_with_key(&key), message: Vec::new() }
    }

    /// The person's; `None` without a name.
    pub(super) fn person(&mut self, party: &Party<'_>) -> Option<u64> {
        self.of(1, party.name, party)
    }

    /// The address's; `None` without a street.
    pub(super) fn address(&mut self, party: &Party<'_>) -> Option<u64> {
        self.of(2, party.street, party)
    }

    fn of(&mut self, kind: u8, text: &str, party: &Party<'_>) -> Option<u64> {
        if text.is_empty() {
            return None;
        }
        let message = &mut self.message;
        message.clear();
        message.push(kind);
        let parts: [(&str, &[u8]); 3] = [(text, b" "), (party.postcode, b""), (party.country, b"")];
        for (part, space) in parts {
            let length_at = message.len();
            message.extend([0; 8]);
            even_out(part, space, message);
            let length = (message.len() - length_at - 8) as u64;
            let place = message.iter_mut().skip(length_at);
            place.zip(length.to_le_bytes()).for_each(|(to, byte)| *to = byte);
        }
        let mut hash = self.key;
        hash.write(message);
        Some(hash.finish() & MASK)
    }
}

/// Appends `text` evened out, with `space` between words.
pub(crate) fn even_out(text: &str, space: &[u8], to: &mut Vec<u8>) {
    let start = to.len();
    let mut between = false;
    let mut begins = |is_letter: bool, to: &mut Vec<u8>| {
        if is_letter && between && to.len() > start {
            to.extend_from_slice(space);
        }
        between = !is_letter;
        is_letter
    };
    if text.is_ascii() {
        to.reserve(text.len());
        for byte in text.bytes() {
            if begins(byte.is_ascii_alphanumeric(), to) {
                to.push(byte.to_ascii_lowercase());
            }
        }
    } else {
        let mut encoded = [0; 4];
        for c in text.nfkc() {
            if begins(c.is_alphanumeric(), to) {
                for lower in c.to_lowercase() {
                    to.extend_from_slice(lower.encode_utf8(&mut encoded).as_bytes());
                }
            }
        }
    }
}

/// Whether the exporter is a private person: the sender of a gift.
pub(super) fn sends_gift(declaration: &Declaration<'_>) -> bool {
    declaration.goods_items.iter().any(|item| item.additional_procedures.contains(&"C08"))
}

/// Whether the value that `finding` quotes is a name or street of a private person: by what it is
/// about, or because it is one (GIFT_COMMERCIAL_SIGNS quotes the sender's name).
pub(super) fn quotes_person(finding: &Finding, value: &str, declaration: &Declaration<'_>) -> bool {
    if value.is_empty() {
        return false;
    }
    let gift = sends_gift(declaration);
    let about = match finding.element {
        Element::ImporterName | Element::ImporterStreet => true,
        Element::ExporterName | Element::ExporterStreet => gift,
        _ => false,
    };
    let is = |text: &str| {
        let end = text.floor_char_boundary(VALUE_QUOTED_BYTES_MAX);
        text.get(..end) == Some(value)
    };
    let of = |party: &Party<'_>| is(party.name) || is(party.street);
    about || of(&declaration.importer) || (gift && of(&declaration.exporter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party<'a>(name: &'a str, street: &'a str, postcode: &'a str, country: &'a str) -> Party<'a> {
        Party { name, street, postcode, country, ..Party::default() }
    }

    #[test]
    fn spellings_of_one_person_meet_and_persons_do_not() {
        let mut pseudonyms = Pseudonyms::new([7; 16]);
        let jansen = party("J. Jansen", "Kerkstraat 11", "7411 AB", "NL");
        let (person, address) = (pseudonyms.person(&jansen), pseudonyms.address(&jansen));
        for same in [
            party("J Jansen", "KERKSTRAAT  11", "7411AB", "NL"),
            party(" j.JANSEN.", "kerkstraat, 11", "7411-ab", "NL"),
            party("Ｊ. Jansen", "Kerkstraat 11.", "7411 ab", "NL"),
        ] {
            assert_eq!(pseudonyms.person(&same), person, "{same:?}");
            assert_eq!(pseudonyms.address(&same), address, "{same:?}");
        }
        for other in [
            party("J. Janssen", "Kerkstraat 1-1", "7411 AB", "NL"),
            party("J. Jansen", "Kerkstraat 11", "7411 AC", "NL"),
            party("J. Jansen", "Kerkstraat 11", "7411 AB", "BE"),
            party("J. Jansen7411", "Kerkstraat 117411", "AB", "NL"),
        ] {
            assert_ne!(pseudonyms.person(&other), person, "{other:?}");
            assert_ne!(pseudonyms.address(&other), address, "{other:?}");
        }
        let alike = party("Dorp 1", "Dorp 1", "", "");
        assert_ne!(pseudonyms.person(&alike), pseudonyms.address(&alike));
        let nobody = party("", "", "7411 AB", "NL");
        assert_eq!((pseudonyms.person(&nobody), pseudonyms.address(&nobody)), (None, None));
        assert_ne!(Pseudonyms::new([8; 16]).person(&jansen), person);
        assert_eq!(format!("{pseudonyms:?}"), "Pseudonyms(..)");
    }

    #[test]
    fn what_quotes_a_person_is_known_by_what_it_is_about_or_by_what_it_says() {
        use crate::rules::finding::{Reason, Severity};
        use crate::wire::view::GoodsItem;

        let long = "é".repeat(100);
        let goods = |procedure| GoodsItem {
            additional_procedures: std::iter::once(procedure).collect(),
            ..GoodsItem::default()
        };
        let declaration = |procedure| Declaration {
            importer: party(&long, "Kade 1", "1", "NL"),
            exporter: party("Sender Ltd", "Road 2", "2", "CN"),
            goods_items: vec![goods("C07"), goods(procedure)],
            ..Declaration::default()
        };
        let (sale, gift) = (declaration("F48"), declaration("C08"));
        for (element, value, in_sale, in_gift) in [
            // A part of it, as a rule may come to quote.
            (Element::ImporterName, "é", true, true),
            (Element::ImporterStreet, "1", true, true),
            (Element::ExporterName, "Ltd", false, true),
            (Element::ExporterStreet, "2", false, true),
            // Cut, as values are.
            (Element::Importer, &long[..160], true, true),
            (Element::AdditionalProcedure, "Kade 1", true, true),
            (Element::AdditionalProcedure, "Sender Ltd", false, true),
            (Element::Exporter, "Road 2", false, true),
            (Element::ImporterPostcode, "1", false, false),
            (Element::ImporterName, "", false, false),
        ] {
            let (reason, severity) = (Reason::FieldFormat, Severity::Reject);
            let finding = Finding { reason, severity, element, goods_item: 0, value: (0, 0) };
            assert_eq!(quotes_person(&finding, value, &sale), in_sale, "{element:?} {value}");
            assert_eq!(quotes_person(&finding, value, &gift), in_gift, "{element:?} {value}");
        }
    }

    /// These values stand in archives: a change of them needs a new PSEUDONYM_VERSION. They were made
    /// by another implementation, from the description above.
    #[test]
    fn golden_values() {
        let mut pseudonyms = Pseudonyms::new(std::array::from_fn(|place| place as u8));
        let person = party("Zoë-Renée Lefèvre", "Dorpsweg 12 a", "7411 AB", "NL");
        assert_eq!(pseudonyms.person(&person), Some(210_363_660_258_331));
        assert_eq!(pseudonyms.address(&person), Some(234_497_674_147_623));
        assert_eq!(PSEUDONYM_VERSION, 1);
    }
}
