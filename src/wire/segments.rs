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

/// The fields of one encoded declaration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segments<'a> {
    /// Ends with the declaration.
    bytes: &'a [u8],
    /// Where in `bytes` each field begins, of those that are held.
    starts: [usize; FIELDS],
    held: Held,
}

impl<'a> Segments<'a> {
    /// Of the declaration that ends with `bytes`, in canonical form.
    pub(super) fn new(bytes: &'a [u8], fields: &Fields) -> Self {
        Self { bytes, starts: fields.starts, held: fields.held }
    }

    fn start_of(&self, number: usize) -> usize {
        // Past the highest number there is no start: there the declaration ends.
        self.starts.get(number).copied().unwrap_or(self.bytes.len())
    }

    /// The fields from number `from` up to and without `to`.
    fn between(&self, from: usize, to: usize) -> &'a [u8] {
        let start = self.start_of(self.held.next_from(from));
        let end = self.start_of(self.held.next_from(to));
        self.bytes.get(start..end).unwrap_or_default()
    }
}

/// The top-level fields of a declaration, noted while they are read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fields {
    pub(super) held: Held,
    starts: [usize; FIELDS],
    last: u32,
}

impl Fields {
    /// A field begins at `at`. Starts are of use only where fields come in order and those that are
    /// not repeated come once.
    #[inline]
    pub(super) fn begin(&mut self, number: u32, at: usize) {
        if number != self.last {
            self.last = number;
            if let Some(start) = self.starts.get_mut(number as usize) {
                *start = at;
            }
        }
    }
}

/// The canonical encoding of an effective declaration, as it lies in the message and in `common`.
#[derive(Debug, Clone, Copy)]
pub struct Encoded<'b> {
    own: Segments<'b>,
    /// With what is taken from it: the fields that the declaration does not hold itself.
    common: Option<(Segments<'b>, Held)>,
}

impl<'b> Encoded<'b> {
    /// `common` has canonical form too, and neither an LRN nor goods items.
    pub(super) fn new(own: Segments<'b>, common: Option<Segments<'b>>) -> Self {
        let common = common.map(|common| (common, common.held.without(own.held)));
        Self { own, common }
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
    fn write(&self, bytes: &mut Vec<u8>, from: usize, to: usize) {
        let Some((common, taken)) = &self.common else {
            bytes.extend_from_slice(self.own.between(from, to));
            return;
        };
        let mut from = from;
        while from < to {
            let of_own = self.own.held.next_from(from);
            let of_common = taken.next_from(from);
            let (source, stop) =
                if of_own < of_common { (&self.own, of_common) } else { (common, of_own) };
            // What `common` holds and is not taken is the declaration's own, and so not before
            // `stop`.
            let stop = stop.min(to);
            bytes.extend_from_slice(source.between(from, stop));
            from = stop;
        }
    }
}
