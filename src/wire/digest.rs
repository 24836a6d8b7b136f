//! Keyed hashes that guard identity: which declaration it is, and whether its content is the same.
//!
//! Senders are not to be trusted, so that every hash here is keyed with the installation's secret:
//! SipHash-2-4 with 128 bits for keys, HighwayHash for content, of which 80 bits are kept. Over 10
//! billion keys the chance of a single false match is about (1e10)^2 / 2 / 2^128 = 1.5e-19. A digest is
//! only ever compared with those of the same key, that is of the same LRN: over 10 billion
//! declarations there are at most 2^34 comparisons, and the chance that one of them is false is 2^34 /
//! 2^80 < 1.5e-14. It is keyed, so nobody can look for a collision.
//!
//! Contents remembered under one LRN, or as of one declarant without a usable one, are all told from
//! one another: n of them are n^2 / 2 comparisons more, which come to 1e-12 where n is 1.5 million.

use std::fmt;
use std::hash::Hasher as _;

use highway::{HighwayHash as _, HighwayHasher};
use siphasher::sip128::{Hash128, Hasher128 as _, SipHasher24};

use super::canonical::write_content;
use super::segments::Encoded;
use super::view::{Declaration, Lodger};
use crate::id::Eori;

/// Version of the normal form, of canonical content and of these hashes, kept beside digests: those
/// of different versions are not comparable.
pub const NORMALISER_VERSION: u8 = 1;

/// Which declaration it is: high half, low half. The high half's top bits choose its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u64, pub u64);

/// What a declaration's content amounts to, in 80 bits: the high 64, the low 16. It takes 10 bytes in
/// an array too, where the index keeps one for each declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C, packed(2))]
pub struct Digest(pub u64, pub u16);

const _: () = assert!(size_of::<Digest>() == Digest::BYTES);

impl Digest {
    /// Bytes of a digest.
    pub const BYTES: usize = 10;

    /// Its bytes, the high ones first.
    #[must_use]
    pub fn to_be_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (high, low) = (self.0.to_be_bytes(), self.1.to_be_bytes());
        bytes.iter_mut().zip(high.into_iter().chain(low)).for_each(|(to, from)| *to = from);
        bytes
    }

    /// From its bytes, the high ones first.
    #[must_use]
    pub fn from_be_bytes([a, b, c, d, e, f, g, h, i, j]: [u8; Self::BYTES]) -> Self {
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]), u16::from_be_bytes([i, j]))
    }
}

/// The two digests of a declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    /// Without `fallback`: by this acceptances and conflicts are compared.
    pub content: Digest,
    /// With it: by this a rejection is remembered. The same as `content` where there is none.
    pub with_fallback: Digest,
}

/// Why a content is remembered beside its key's slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MemoryKind {
    /// It was rejected.
    Rejection = 1,
    /// It was in conflict with the accepted one.
    Conflict = 2,
    /// It has no usable LRN, so that its content is all that tells it from others of its declarant.
    /// Its key is that of the declarant with whatever LRN it has.
    Nameless = 3,
}

/// The secrets of an installation that these hashes are keyed with.
#[derive(Clone)]
pub struct Keys {
    prf: SipHasher24,
    digest: [u64; 4],
}

impl fmt::Debug for Keys {
    /// Secrets do not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// `prf` keys SipHash, `digest` HighwayHash; both must be random and kept.
    #[must_use]
    pub fn new(prf: [u8; 16], digest: [u8; 32]) -> Self {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(digest.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Self { prf: SipHasher24::new_with_key(&prf), digest: words }
    }

    /// The key of the declaration with `lrn`, trimmed, by `declarant`.
    ///
    /// Hashed are the length of the EORI in one byte, the EORI, and the LRN.
    #[must_use]
    pub fn key_of(&self, declarant: &Eori, lrn: &str) -> Key {
        let eori = declarant.as_str().as_bytes();
        // An EORI has 3 to 17 characters.
        let eori_length = [eori.len() as u8];
        let parts: [&[u8]; 3] = [&eori_length, eori, lrn.as_bytes()];
        let mut buffer = [0; KEY_BYTES_MAX];
        let mut length = 0;
        let fits = parts.iter().all(|part| {
            let start = length;
            length += part.len();
            buffer.get_mut(start..length).is_some_and(|to| {
                to.copy_from_slice(part);
                true
            })
        });
        if fits {
            return self.prf_of(buffer.get(..length).unwrap_or_default());
        }
        let mut prf = self.prf;
        parts.iter().for_each(|part| prf.write(part));
        key(prf.finish128())
    }

    /// The key under which a content is remembered that its slot does not hold.
    ///
    /// Hashed are 0x80 plus the kind, which no length of an EORI is, the key and the digest.
    #[must_use]
    pub fn memory_key(&self, kind: MemoryKind, key: Key, digest: Digest) -> Key {
        let mut bytes = [0; 17 + Digest::BYTES];
        let words = [key.0, key.1, digest.0];
        let [first, rest @ ..] = &mut bytes;
        *first = 0x80 | kind as u8;
        let (places, last) = rest.as_chunks_mut::<8>();
        places.iter_mut().zip(words).for_each(|(place, word)| *place = word.to_le_bytes());
        last.copy_from_slice(&digest.1.to_le_bytes());
        self.prf_of(&bytes)
    }

    #[inline]
    fn prf_of(&self, bytes: &[u8]) -> Key {
        key(self.prf.hash(bytes))
    }

    fn digest_of(&self, content: &[u8]) -> Digest {
        let [high, low] = HighwayHasher::new(highway::Key(self.digest)).hash128(content);
        // Its high 80 bits.
        Digest(high, (low >> 48) as u16)
    }
}

/// Room for an EORI and an LRN of 46 characters at least, where 22 are allowed.
const KEY_BYTES_MAX: usize = 64;

fn key(hash: Hash128) -> Key {
    Key(hash.h1, hash.h2)
}

/// Takes digests, reusing its buffer.
#[derive(Debug, Clone)]
pub struct Digester {
    keys: Keys,
    buffer: Vec<u8>,
}

impl Digester {
    /// With its buffer still empty.
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        Self { keys, buffer: Vec::new() }
    }

    /// The keys it was made with.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The digests of `declaration`, which must be normalised, as lodged by `lodger`; `encoded` is
    /// what the reader gave with it, if it was read, and makes this quicker.
    #[must_use]
    pub fn digests(
        &mut self,
        lodger: &Lodger<'_>,
        declaration: &Declaration<'_>,
        encoded: Option<Encoded<'_>>,
    ) -> Digests {
        let length = write_content(lodger, declaration, encoded, &mut self.buffer);
        let content = self.keys.digest_of(self.buffer.get(..length).unwrap_or_default());
        let with_fallback =
            if length == self.buffer.len() { content } else { self.keys.digest_of(&self.buffer) };
        // What one enormous declaration took is not kept for ever.
        self.buffer.shrink_to(BUFFER_KEPT_BYTES_MAX);
        Digests { content, with_fallback }
    }
}

/// A declaration of two goods items takes about 350 bytes, one of 999 some 150 KB.
const BUFFER_KEPT_BYTES_MAX: usize = 256 << 10;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;
    use crate::wire::view::*;

    fn keys() -> Keys {
        Keys::new(
            std::array::from_fn(|place| place as u8),
            std::array::from_fn(|place| 0x40 + place as u8),
        )
    }

    fn eori(text: &str) -> Eori {
        Eori::parse(text).unwrap()
    }

    fn declaration() -> Declaration<'static> {
        Declaration {
            lrn: "LRN-0001",
            goods_items: vec![GoodsItem {
                goods_item_number: 1,
                hs6: "610910",
                description: "Ladies T-shirt, cotton",
                intrinsic_value: Money { currency: "EUR", hundredths: 1_299 },
                gross_mass_mg: 180_000,
                packages: 1,
                additional_procedures: ["C07", "F48"].into_iter().collect(),
                product: ProductIdentifiers { merchant: "SKU-1", manufacturer: "NA", gtin: "" },
                country_of_origin: "CN",
            }],
            additional_declaration_type: "A",
            exporter: Party { name: "Seller", country: "CN", ..Party::default() },
            importer: Party {
                name: "J. Jansen",
                street: "Dorpsstraat 1",
                postcode: "1012 AB",
                city: "Amsterdam",
                country: "NL",
                identification: "",
            },
            ioss_number: "IM0561234567",
            transport_document: DocumentReference { r#type: "N740", reference: "RR123456785CN" },
            previous_documents: vec![DocumentReference {
                r#type: "N337",
                reference: "25NLTSD000000421U7",
            }],
            transport_costs: Money { currency: "EUR", hundredths: 250 },
            location_of_goods: LocationOfGoods {
                r#type: "B",
                qualifier: "Y",
                identification: "NLTST0001",
            },
            ucr: "order-1",
            supporting_documents: vec![DocumentReference { r#type: "N380", reference: "inv-1" }],
            fallback: FallbackLodgement::default(),
            plain: Plain::default(),
        }
    }

    fn lodger() -> Lodger<'static> {
        Lodger {
            declarant: eori("NL810000003"),
            representative: "NL820000007",
            representative_status: 2,
        }
    }

    /// These values stand in journals. Where a change alters one of them, the change needs a new
    /// NORMALISER_VERSION, or old contents would no longer be known again.
    #[test]
    fn golden_values() {
        assert_eq!(NORMALISER_VERSION, 1);
        let key = keys().key_of(&eori("NL810000003"), "LRN-0001");
        assert_eq!(key, Key(0x4476_d444_0e3b_575f, 0x3e61_3f90_6480_e627));
        let mut digester = Digester::new(keys());
        let digests = digester.digests(&lodger(), &declaration(), None);
        assert_eq!(digests.content, Digest(0xf8cc_79a2_b7b3_5036, 0x3606));
        assert_eq!(digests.with_fallback, digests.content);
        let mut again = declaration();
        again.fallback = FallbackLodgement { reference: "fb-1", lodged_at_ms: -1 };
        let with_fallback = digester.digests(&lodger(), &again, None);
        assert_eq!(with_fallback.content, digests.content);
        assert_eq!(with_fallback.with_fallback, Digest(0xb45e_4545_53d5_67da, 0x91e1));
        assert_eq!(
            keys().memory_key(MemoryKind::Rejection, key, digests.content),
            Key(0x9034_a3fb_df23_4e3c, 0x9b53_4b1e_b8eb_0b8f)
        );
    }

    #[test]
    fn an_eori_and_an_lrn_are_not_joined_by_chance() {
        let keys = keys();
        assert_ne!(keys.key_of(&eori("NL1"), "23"), keys.key_of(&eori("NL12"), "3"));
        assert_ne!(keys.key_of(&eori("NL1"), "a"), keys.key_of(&eori("NL1"), "A"));
        assert_ne!(keys.key_of(&eori("NL1"), ""), keys.key_of(&eori("NL1"), "\0"));
    }

    #[test]
    fn a_long_lrn_is_hashed_as_a_short_one() {
        // 11 characters of EORI leave 52 of the buffer.
        for length in [0, 1, 22, 51, 52, 53, 54, 200] {
            let lrn = "x".repeat(length);
            let declarant = eori("NL810000003");
            let mut bytes = vec![11];
            bytes.extend_from_slice(b"NL810000003");
            bytes.extend_from_slice(lrn.as_bytes());
            assert_eq!(keys().key_of(&declarant, &lrn), keys().prf_of(&bytes), "{length}");
        }
    }

    #[test]
    fn kinds_keys_and_digests_all_tell() {
        let of = |kind, key, digest| keys().memory_key(kind, key, digest);
        let mut all = vec![
            of(MemoryKind::Rejection, Key(1, 2), Digest(3, 4)),
            of(MemoryKind::Conflict, Key(1, 2), Digest(3, 4)),
            of(MemoryKind::Nameless, Key(1, 2), Digest(3, 4)),
            of(MemoryKind::Rejection, Key(3, 4), Digest(1, 2)),
            of(MemoryKind::Rejection, Key(2, 1), Digest(3, 4)),
            of(MemoryKind::Rejection, Key(1, 2), Digest(4, 3)),
        ];
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn a_digest_is_its_bytes() {
        let digest = Digest(0x0102_0304_0506_0708, 0x090a);
        assert_eq!(digest.to_be_bytes(), std::array::from_fn(|place| place as u8 + 1));
        assert_eq!(Digest::from_be_bytes(digest.to_be_bytes()), digest);
        // Four of the index, one after another.
        assert_eq!(size_of_val(&[digest; 4]), 40);
    }

    #[test]
    fn other_secrets_give_other_hashes() {
        let other = Keys::new([9; 16], [9; 32]);
        let declarant = eori("NL810000003");
        assert_ne!(keys().key_of(&declarant, "1"), other.key_of(&declarant, "1"));
        let digest = |keys| Digester::new(keys).digests(&lodger(), &declaration(), None);
        assert_ne!(digest(keys()).content, digest(other).content);
        assert_eq!(format!("{:?}", keys()), "Keys");
    }

    #[test]
    fn representative_and_status_are_content_and_the_declarant_is_not() {
        let mut digester = Digester::new(keys());
        let mut digest = |lodger| digester.digests(&lodger, &declaration(), None).content;
        let first = digest(lodger());
        assert_ne!(first, digest(Lodger { representative: "NL830000001", ..lodger() }));
        assert_ne!(first, digest(Lodger { representative_status: 3, ..lodger() }));
        assert_eq!(first, digest(Lodger { declarant: eori("NL1"), ..lodger() }));
    }
}
