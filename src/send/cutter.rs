//! Makes batches of what is read: the same ones each time the same file is read, so that the answers to a file
//! that is sent on after an interruption are those that it would have had without.

use highway::{HighwayHash as _, HighwayHasher};
use prost::Message as _;

use super::source::{Read, Source, Unreadable};
use crate::client::{Batch, Lodger};
use crate::proto::v1::Declaration;

/// Bytes of a batch at most: what a service takes that is set to take little (1 MiB).
const BATCH_BYTES_MAX: usize = 1_000_000;
/// Goods items of a batch at most: half of what a service takes unless set otherwise.
const BATCH_GOODS_ITEMS_MAX: usize = 50_000;
/// Characters of a file's name in the ids of its batches, which have 64 in all.
const NAME_CHARACTERS_MAX: usize = 40;

/// How much of a file was read: so many declarations, and a digest of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) declarations: u64,
    /// Of their content, with declarant and representative; that of none is never compared.
    pub(super) digest: [u64; 2],
}

/// A batch, and how much is read with it.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) batch: Batch,
    pub(super) mark: Mark,
}

/// Why a file is not read on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CutError {
    /// It is not the file that it was.
    #[error(
        "it is not as it was when its first {answered} declarations were sent: give it as it was, or begin anew with \
         --anew, which is safe: what was answered gets the same answer again"
    )]
    Changed { answered: u64 },
    /// Nobody answers for a declaration.
    #[error(
        "declaration {number} (lrn {lrn:?}) names no declarant: give --declarant EORI, or a column `declarant`"
    )]
    NoDeclarant { number: u64, lrn: String },
}

/// What a cutter gives.
#[derive(Debug)]
pub(super) enum Piece {
    Batch(Box<Cut>),
    /// It is passed over.
    Unreadable(Unreadable),
}

/// Reads a source to batches.
pub(super) struct Cutter<'a> {
    source: Box<dyn Source + 'a>,
    name: String,
    declarant: Option<String>,
    batch_max: usize,
    /// What was answered before.
    answered: Mark,
    open: Option<Batch>,
    open_goods_items: usize,
    read: u64,
    digest: HighwayHasher,
    /// Read, and not cut yet.
    next: Option<Result<Read, Unreadable>>,
    has_ended: bool,
    /// There is more in the source than was read.
    is_cut_short: bool,
}

impl<'a> Cutter<'a> {
    /// Passes over what was answered before.
    pub(super) fn new(
        source: Box<dyn Source + 'a>,
        name: &str,
        declarant: Option<String>,
        batch_max: usize,
        answered: Mark,
    ) -> Self {
        let name = name.rsplit('/').next().unwrap_or_default();
        Self {
            source,
            name: name.chars().take(NAME_CHARACTERS_MAX).collect(),
            declarant,
            batch_max,
            answered,
            open: None,
            open_goods_items: 0,
            read: 0,
            digest: HighwayHasher::default(),
            next: None,
            has_ended: false,
            is_cut_short: false,
        }
    }

    /// The next batch that has no answer yet, or what cannot be read before it; nothing at the end.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, CutError> {
        while !self.has_ended {
            let Some(read) = self.next.take().or_else(|| self.source.next()) else {
                self.has_ended = true;
                break;
            };
            let batch = match read {
                Err(unreadable) => {
                    self.is_cut_short |= unreadable.is_last;
                    return Ok(Some(Piece::Unreadable(unreadable)));
                }
                Ok(Read::Declaration(lodger, declaration)) => self.add(lodger, &declaration)?,
                Ok(Read::Batch(request)) => match self.open.take() {
                    // What is open comes first.
                    Some(open) => {
                        self.next = Some(Ok(Read::Batch(request)));
                        Some(open)
                    }
                    None => Some(Batch::from(&*request)),
                },
            };
            if let Some(cut) = self.cut(batch)? {
                return Ok(Some(Piece::Batch(Box::new(cut))));
            }
        }
        let last = self.open.take();
        if let Some(cut) = self.cut(last)? {
            return Ok(Some(Piece::Batch(Box::new(cut))));
        }
        // What was answered may stand where it was not read.
        if self.read < self.answered.declarations && !self.is_cut_short {
            return Err(self.changed());
        }
        Ok(None)
    }

    /// Reads no further; what is read is cut still.
    pub(super) fn stop(&mut self) {
        self.has_ended = true;
        self.is_cut_short = true;
    }

    /// Puts a declaration into the open batch; gives the one before, where that has no room for it.
    fn add(
        &mut self,
        mut lodger: Lodger,
        declaration: &Declaration,
    ) -> Result<Option<Batch>, CutError> {
        let number = self.read + self.open.as_ref().map_or(0, |open| open.len() as u64) + 1;
        if lodger.declarant.trim().is_empty() {
            let lrn = || declaration.lrn.chars().take(40).collect();
            let declarant = self.declarant.clone();
            lodger.declarant =
                declarant.ok_or_else(|| CutError::NoDeclarant { number, lrn: lrn() })?;
        }
        let goods_items = declaration.goods_items.len();
        if let Some(open) = &mut self.open
            && *open.lodger() == lodger
            && open.len() < self.batch_max
            && open.bytes() + declaration.encoded_len() <= BATCH_BYTES_MAX
            && self.open_goods_items + goods_items <= BATCH_GOODS_ITEMS_MAX
            // What was answered ended with a batch.
            && number != self.answered.declarations + 1
        {
            open.push(declaration);
            self.open_goods_items += goods_items;
            return Ok(None);
        }
        let mut batch = Batch::new(format!("{}-{number}", self.name), lodger);
        batch.push(declaration);
        self.open_goods_items = goods_items;
        Ok(self.open.replace(batch))
    }

    /// Counts a batch as read; gives it if it has no answer yet.
    fn cut(&mut self, batch: Option<Batch>) -> Result<Option<Cut>, CutError> {
        let Some(batch) = batch.filter(|batch| !batch.is_empty()) else { return Ok(None) };
        let before = self.read;
        self.read += batch.len() as u64;
        let shared = batch.shared_content();
        for content in batch.contents() {
            self.digest.append(&shared);
            self.digest.append(content);
        }
        let mark = Mark { declarations: self.read, digest: self.digest.clone().finalize128() };
        if before >= self.answered.declarations {
            return Ok(Some(Cut { batch, mark }));
        }
        if self.read > self.answered.declarations
            || (self.read == self.answered.declarations && mark != self.answered)
        {
            return Err(self.changed());
        }
        Ok(None)
    }

    fn changed(&self) -> CutError {
        CutError::Changed { answered: self.answered.declarations }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::proto::v1::{GoodsItem, SubmitBatchRequest};

    struct Given(std::vec::IntoIter<Result<Read, Unreadable>>);

    impl Source for Given {
        fn next(&mut self) -> Option<Result<Read, Unreadable>> {
            self.0.next()
        }
    }

    fn declaration(lrn: &str) -> Declaration {
        Declaration { lrn: lrn.into(), ..Declaration::default() }
    }

    fn of(declarant: &str, lrn: &str) -> Result<Read, Unreadable> {
        Ok(Read::Declaration(Lodger::declarant(declarant), Box::new(declaration(lrn))))
    }

    fn batch(lrns: &[&str]) -> Result<Read, Unreadable> {
        Ok(Read::Batch(Box::new(SubmitBatchRequest {
            declarant: "X".into(),
            declarations: lrns.iter().map(|lrn| declaration(lrn)).collect(),
            ..SubmitBatchRequest::default()
        })))
    }

    type Cutting = Result<Vec<(String, Mark)>, CutError>;

    fn cut(reads: &[Result<Read, Unreadable>], batch_max: usize, answered: Mark) -> Cutting {
        let reads: Vec<_> = reads
            .iter()
            .map(|read| match read {
                Ok(Read::Declaration(lodger, declaration)) => {
                    Ok(Read::Declaration(lodger.clone(), declaration.clone()))
                }
                Ok(Read::Batch(batch)) => Ok(Read::Batch(batch.clone())),
                Err(unreadable) => Err(unreadable.clone()),
            })
            .collect();
        let source = Box::new(Given(reads.into_iter()));
        let mut cutter =
            Cutter::new(source, "/a/orders.csv", Some("Z".into()), batch_max, answered);
        let mut cuts = Vec::new();
        while let Some(piece) = cutter.next()? {
            if let Piece::Batch(cut) = piece {
                let Cut { batch, mark } = *cut;
                let lrns: Vec<&str> = batch.lrns().collect();
                cuts.push((format!("{}:{}", batch.lodger().declarant, lrns.concat()), mark));
            }
        }
        Ok(cuts)
    }

    fn names(cuts: Cutting) -> Vec<String> {
        cuts.unwrap().into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn batches_have_one_lodger_each_and_so_many_declarations() {
        let bad =
            Unreadable { unit: "line", place: 1, column: 0, what: String::new(), is_last: false };
        let reads = [
            of("X", "1"),
            of("X", "2"),
            Err(bad),
            of("X", "3"),
            of("Y", "4"),
            of("", "5"),
            batch(&["6", "7", "8"]),
            batch(&[]),
            of("Z", "9"),
        ];
        let cuts = cut(&reads, 2, Mark::default());
        assert_eq!(names(cuts), ["X:12", "X:3", "Y:4", "Z:5", "X:678", "Z:9"]);
    }

    #[test]
    fn a_batch_keeps_within_bytes_and_goods_items() {
        let with_items = |lrn: &str, goods_items: usize| {
            let goods_items = vec![GoodsItem::default(); goods_items];
            let declaration = Declaration { goods_items, ..declaration(lrn) };
            Ok(Read::Declaration(Lodger::declarant("X"), Box::new(declaration)))
        };
        let large = Declaration { ucr: "x".repeat(BATCH_BYTES_MAX / 2), ..declaration("1") };
        let reads = || {
            let large = Ok(Read::Declaration(Lodger::declarant("X"), Box::new(large.clone())));
            let many = with_items("3", BATCH_GOODS_ITEMS_MAX);
            [of("X", "0"), large, with_items("2", 1), many, with_items("4", 1)]
        };
        assert_eq!(names(cut(&reads(), 9, Mark::default())), ["X:012", "X:3", "X:4"]);
        let mut twice = Vec::from(reads());
        twice.splice(2..2, reads().into_iter().skip(1).take(1));
        assert_eq!(names(cut(&twice, 9, Mark::default()))[..2], ["X:01", "X:12"]);
    }

    #[test]
    fn it_goes_on_after_what_was_answered_wherever_that_is() {
        let reads: Vec<_> = (0..7).map(|number| of("X", &number.to_string())).collect();
        let all = cut(&reads, 2, Mark::default()).unwrap();
        assert_eq!(all.len(), 4);
        for done in 0..all.len() {
            let rest = cut(&reads, 2, all[done].1).unwrap();
            assert_eq!(rest, all[done + 1..]);
            // Batches of another size end where the answered ones do.
            let rest = cut(&reads, 3, all[done].1).unwrap();
            let names: String = rest.iter().map(|(name, _)| name.as_str()).collect();
            let expected: String = all[done + 1..].iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names.replace("X:", ""), expected.replace("X:", ""));
        }
    }

    #[test]
    fn an_input_that_changed_where_it_was_answered_is_refused() {
        let reads = [of("X", "1"), of("X", "2"), of("X", "3")];
        let done = cut(&reads, 2, Mark::default()).unwrap()[0].1;
        let changed = Err(CutError::Changed { answered: 2 });
        assert_eq!(cut(&[of("X", "1"), of("Y", "2"), of("X", "3")], 2, done), changed);
        assert_eq!(cut(&[of("X", "2"), of("X", "1")], 2, done), changed);
        assert_eq!(cut(&[of("X", "1")], 2, done), changed);
        assert_eq!(cut(&[batch(&["1", "2", "3"])], 2, done), changed);
        // What comes behind may change.
        assert_eq!(names(cut(&[of("X", "1"), of("X", "2"), of("Y", "4")], 2, done)), ["Y:4"]);
    }

    #[test]
    fn an_input_that_is_not_read_as_far_as_it_was_answered_has_not_changed() {
        let done = cut(&[of("X", "1"), of("X", "2")], 2, Mark::default()).unwrap()[0].1;
        let bad = |is_last| {
            Err(Unreadable { unit: "line", place: 2, column: 0, what: String::new(), is_last })
        };
        assert!(cut(&[of("X", "1"), bad(true)], 2, done).unwrap().is_empty());
        let changed = Err(CutError::Changed { answered: 2 });
        assert_eq!(cut(&[of("X", "1"), bad(false)], 2, done), changed);
        let source = Box::new(Given(vec![of("X", "1"), bad(false), of("X", "2")].into_iter()));
        let mut cutter = Cutter::new(source, "-", None, 2, done);
        assert!(matches!(cutter.next(), Ok(Some(Piece::Unreadable(_)))));
        cutter.stop();
        assert!(matches!(cutter.next(), Ok(None)));
    }

    #[test]
    fn a_declaration_that_nobody_answers_for_is_told() {
        let source = Box::new(Given(vec![of("X", "1"), of(" ", "2")].into_iter()));
        let mut cutter = Cutter::new(source, "-", None, 9, Mark::default());
        let error = CutError::NoDeclarant { number: 2, lrn: "2".into() };
        assert_eq!(cutter.next().unwrap_err(), error);
    }
}
