//! What declarations have in common, as numbers: keyed hashes, so that they say nothing to those who do not
//! have the data folder's key.
//!
//! | of | bits | of what |
//! |---|---|---|
//! | exporter | 64 | 3, name, country, evened out as for pseudonyms; of a private sender 4 and the archive's pseudonym |
//! | exporter and importer | 64 | 5, the one above, the importer's pseudonym |
//! | transport document | 64 | 6, type, reference |
//!
//! Each text comes after its length (8 bytes). SipHash-2-4 under the key of the pseudonyms, whose messages
//! begin with 1 and 2. Of n keys some n² / 2^65 pairs meet by chance: of a year's 500 million transport
//! documents 0.007. Importers stand under the archive's pseudonyms, of 48 bits.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher24;

use crate::archive::even_out;
use crate::wire::view::{DocumentReference, Party};

/// Makes keys.
#[derive(Clone)]
pub struct Keys {
    key: SipHasher24,
    message: Vec<u8>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    /// Under the key of pseudonyms.
    #[must_use]
    pub fn new(key: [u8; 16]) -> Self {
        Self { key: SipHasher24::new_with_key(&key), message: Vec::new() }
    }

    /// An exporter; `person` is its pseudonym where it is a private one. `None` without a name.
    pub(super) fn exporter(&mut self, party: &Party<'_>, person: Option<u64>) -> Option<u64> {
        if let Some(person) = person {
            return Some(self.numbers(4, &[person]));
        }
        self.begin(3);
        self.text(|message| even_out(party.name, b" ", message));
        if self.message.len() == 9 {
            return None;
        }
        self.text(|message| message.extend_from_slice(party.country.as_bytes()));
        Some(self.end())
    }

    /// An exporter where it sends from: companies of one name are told apart by their address.
    pub(super) fn sender(&mut self, exporter: u64, party: &Party<'_>) -> u64 {
        self.begin(7);
        self.message.extend_from_slice(&exporter.to_le_bytes());
        for part in [party.street, party.postcode, party.city] {
            self.text(|message| even_out(part, b" ", message));
        }
        self.end()
    }

    /// An exporter and an importer.
    pub(super) fn pair(&mut self, exporter: u64, importer: u64) -> u64 {
        self.numbers(5, &[exporter, importer])
    }

    /// A transport document; `None` without a reference.
    pub(super) fn document(&mut self, document: &DocumentReference<'_>) -> Option<u64> {
        if document.reference.is_empty() {
            return None;
        }
        self.begin(6);
        self.text(|message| message.extend_from_slice(document.r#type.as_bytes()));
        self.text(|message| message.extend_from_slice(document.reference.as_bytes()));
        Some(self.end())
    }

    fn numbers(&mut self, kind: u8, numbers: &[u64]) -> u64 {
        self.begin(kind);
        for number in numbers {
            self.message.extend_from_slice(&number.to_le_bytes());
        }
        self.end()
    }

    fn begin(&mut self, kind: u8) {
        self.message.clear();
        self.message.push(kind);
    }

    fn text(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let length_at = self.message.len();
        self.message.extend([0; 8]);
        write(&mut self.message);
        let length = (self.message.len() - length_at - 8) as u64;
        let place = self.message.iter_mut().skip(length_at);
        place.zip(length.to_le_bytes()).for_each(|(to, byte)| *to = byte);
    }

    fn end(&self) -> u64 {
        let mut hash = self.key;
        hash.write(&self.message);
        hash.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_meet_and_others_do_not() {
        let mut keys = Keys::new([7; 16]);
        let party = |name, country| Party { name, country, ..Party::default() };
        let one = keys.exporter(&party("Bright Star Trading Ltd.", "CN"), None);
        assert_eq!(keys.exporter(&party("BRIGHT STAR trading, ltd", "CN"), None), one);
        for other in [party("Bright Star Trading", "CN"), party("Bright Star Trading Ltd.", "HK")] {
            assert_ne!(keys.exporter(&other, None), one, "{other:?}");
        }
        assert_eq!(keys.exporter(&party("...", "CN"), None), None);
        // A private sender goes by its pseudonym, whatever else stands there.
        let private = keys.exporter(&party("", "CN"), Some(5));
        assert_eq!(keys.exporter(&party("J. Jansen", "NL"), Some(5)), private);
        assert_ne!(private, one);

        let at = |street, postcode| Party { street, postcode, ..Party::default() };
        let sender = keys.sender(1, &at("12 Main Road", "518000"));
        assert_eq!(keys.sender(1, &at("12, MAIN road", "518000")), sender);
        for (exporter, street, postcode) in [
            (2, "12 Main Road", "518000"),
            (1, "13 Main Road", "518000"),
            (1, "12 Main Road", "51800"),
        ] {
            assert_ne!(keys.sender(exporter, &at(street, postcode)), sender);
        }

        let document = |r#type, reference| DocumentReference { r#type, reference };
        let found = keys.document(&document("N740", "123"));
        assert_ne!(keys.document(&document("N741", "123")), found);
        assert_ne!(keys.document(&document("N74", "0123")), found);
        assert_eq!(keys.document(&document("N740", "")), None);
        assert_ne!(keys.pair(1, 2), keys.pair(2, 1));
        assert_ne!(Keys::new([8; 16]).pair(1, 2), keys.pair(1, 2));
    }
}
