//! Where the top-level fields of an encoded declaration lie, so that canonical content can be
//! copied instead of written anew.
//!
//! Most senders encode a declaration just as [`super::canonical`] does, and their texts are in
//! normal form. The reader notices (see `Cursor::is_canonical`), and then the content is the bytes
//! that came in, with those of `common` for the fields that are missing.

/// Which of a declaration's top-level fields are held for the common rule: a message that is there,
/// even empty, and a text or list that is not empty. In canonical form those are the fields that
/// are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held(u16);

impl Held {
    /// Whether the field numbered `number` in `Declaration` is.
    #[must_use]
    pub fn has(self, number: u32) -> bool {
        number < u16::BITS && self.0 & (1 << number) != 0
    }

    pub(super) fn add(&mut self, number: u32) {
        self.0 |= 1 << number;
    }

    /// Not only adds: a text may have been overwritten by an empty one.
    pub(super) fn set(&mut self, number: u32, held: bool) {
        self.0 = self.0 & !(1 << number) | u16::from(held) << number;
    }

    /// Those that `other` does not hold.
    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The lowest number held from `number` on, [`FIELDS`] where there is none.
    fn next_from(self, number: usize) -> usize {
        let rest = u32::from(self.0) >> number << number;
        (rest.trailing_zeros() as usize).min(FIELDS)
    }
}

/// One more than the highest field number of `Declaration`.
const FIELDS: usize = 14;

/// The number of `fallback`, which canonical content holds last and apart.
const FALLBACK: usize = 13;

/// The top-level fields of an encoded declaration, noted while they are read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fields {
    pub(super) held: Held,
    last: u32,
    /// Where each field begins. Of use for what is held, where the declaration has canonical form
    /// and the message less than 4 GiB.
    starts: [u32; FIELDS],
}

impl Fields {
    /// A field begins at `at`; of a repeated one the first element counts.
    #[inline]
    pub(super) fn begin(&mut self, number: u32, at: usize) {
        if number != self.last {
            self.last = number;
            if let Some(start) = self.starts.get_mut(number as usize) {
                *start = at as u32;
            }
        }
    }

    /// The fields from number `from` up to and without `to`, of the declaration that ends with
    /// `bytes`.
    fn between<'b>(&self, bytes: &'b [u8], from: usize, to: usize) -> &'b [u8] {
        let start_of = |number| {
            // Past the highest number there is no start: there the declaration ends.
            self.starts.get(number).map_or(bytes.len(), |&start| start as usize)
        };
        let start = start_of(self.held.next_from(from));
        let end = start_of(self.held.next_from(to));
        bytes.get(start..end).unwrap_or_default()
    }
}

/// The canonical encoding of an effective declaration, as it lies in the message and in `common`.
#[derive(Debug, Clone, Copy)]
pub struct Encoded<'b> {
    own: Fields,
    /// Ends with the declaration.
    own_bytes: &'b [u8],
    common: Option<(&'b Fields, &'b [u8])>,
    /// What is taken from `common`: the fields that the declaration does not hold itself.
    taken: Held,
}

impl<'b> Encoded<'b> {
    /// Of a declaration of canonical form that ends with `own_bytes`. `common` has that form too,
    /// and neither an LRN nor goods items.
    pub(super) fn new(
        own: Fields,
        own_bytes: &'b [u8],
        common: Option<(&'b Fields, &'b [u8])>,
    ) -> Self {
        let taken = common.map_or(Held::default(), |(fields, _)| fields.held.without(own.held));
        Self { own, own_bytes, common, taken }
    }

    /// Appends all but `fallback`.
    pub(super) fn write_declaration(&self, bytes: &mut Vec<u8>) {
        self.write(bytes, 0, FALLBACK);
    }

    /// Appends `fallback`, if there is one.
    pub(super) fn write_fallback(&self, bytes: &mut Vec<u8>) {
        self.write(bytes, FALLBACK, FIELDS);
    }

    /// Appends the fields from number `from` up to and without `to`, in as few pieces as can be:
    /// from one source up to the next field that is the other's.
    fn write(&self, bytes: &mut Vec<u8>, mut from: usize, to: usize) {
        while from < to {
            let of_own = self.own.held.next_from(from);
            let of_common = self.taken.next_from(from);
            from = match self.common {
                Some((fields, common_bytes)) if of_common < of_own => {
                    // What `common` holds and is not taken is the declaration's own, and so not
                    // before `stop`.
                    let stop = of_own.min(to);
                    bytes.extend_from_slice(fields.between(common_bytes, from, stop));
                    stop
                }
                _ => {
                    let stop = of_common.min(to);
                    bytes.extend_from_slice(self.own.between(self.own_bytes, from, stop));
                    stop
                }
            };
        }
    }
}
