//! Rows put together to declarations.

use std::borrow::Cow;

use super::cell::CellError;
use super::columns::{Header, Lodged, Of};
use crate::proto::v1::GoodsItem;

/// Rows of one declaration at most; far more goods items than a declaration may have. Past it the rows
/// are passed over, so that a file whose `lrn` never changes is not held as a whole.
const ROWS_MAX: usize = 10_000;

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The row, counted as its caller does.
    pub(crate) row: u64,
    /// The column, from 1; 0 where the row as a whole is at fault.
    pub(crate) column: usize,
    pub(crate) what: String,
}

/// A declaration whose last row has been seen, or what is wrong with one of its rows.
pub(crate) type Assembled = Result<Lodged, Fault>;

/// A cell, or why it has no text.
pub(crate) type Cell<'a> = Result<Cow<'a, str>, CellError>;

/// Puts rows together.
#[derive(Debug)]
pub(crate) struct Assembler {
    header: Header,
    under_way: Option<UnderWay>,
    astray: Option<Astray>,
}

/// The last row of which nobody can tell whether it is of the declaration before it or of the one behind.
#[derive(Debug)]
struct Astray {
    row: u64,
    /// None where that cannot be read either.
    lrn: Option<String>,
}

/// The declaration that a row is of.
#[derive(Debug, Default)]
struct Placed {
    /// It begins one; else it is of the one under way.
    is_another: bool,
    /// That is sure.
    is_known: bool,
    /// Its own cells say all that tells declarations apart.
    is_told: bool,
    lrn: Option<String>,
}

#[derive(Debug)]
struct UnderWay {
    first_row: u64,
    /// Cells of the first row, those of the declaration.
    first: Vec<String>,
    rows: usize,
    lodged: Lodged,
    fault: Option<Fault>,
    /// What tells it apart could be read in its first row.
    is_known: bool,
}

impl Assembler {
    pub(crate) fn new(header: Header) -> Self {
        Self { header, under_way: None, astray: None }
    }

    /// Takes a row; gives the declaration before it, where the row begins another one.
    pub(crate) fn push(&mut self, row: u64, cells: &[Cell<'_>]) -> Option<Assembled> {
        let placed = self.place(cells);
        let done = if placed.is_another { self.finish() } else { None };
        let begins = self.under_way.is_none();
        let under_way = self.under_way.get_or_insert_with(|| UnderWay::new(row));
        under_way.add(&self.header, row, cells);
        if begins {
            under_way.is_known = placed.is_known;
            under_way.fault = under_way.fault.take().or(self.astray.take().and_then(|astray| {
                let may_be_of_it =
                    astray.lrn.is_none() || placed.lrn.is_none() || astray.lrn == placed.lrn;
                may_be_of_it.then(|| astray.fault(row))
            }));
        }
        if !placed.is_known {
            self.astray = Some(Astray { row, lrn: placed.lrn });
        } else if placed.is_told {
            // Between two rows of one declaration there is none of another.
            self.astray = None;
        }
        done
    }

    /// Takes a row that may have swallowed others; which declarations these are of, nobody can tell.
    pub(crate) fn push_torn(&mut self, row: u64, cells: &[Cell<'_>]) -> Option<Assembled> {
        let done = self.push(row, cells);
        self.astray = Some(Astray { row, lrn: None });
        done
    }

    /// The rows break off: whether all of the last declaration were seen, nobody can tell.
    pub(crate) fn break_off(&mut self) -> Option<Assembled> {
        self.under_way.take().map(|UnderWay { first_row: row, fault, .. }| {
            let what = "the declaration that begins here is passed over: what follows cannot be read, and may be of it";
            Err(fault.unwrap_or_else(|| Fault { row, column: 0, what: what.to_owned() }))
        })
    }

    /// The declaration that the last rows are of.
    pub(crate) fn finish(&mut self) -> Option<Assembled> {
        self.under_way.take().map(|under_way| match under_way.fault {
            Some(fault) => Err(fault),
            None => Ok(under_way.lodged),
        })
    }

    /// A cell that cannot be read, and an empty `lrn`, may be the same as in the declaration under way.
    fn place(&self, cells: &[Cell<'_>]) -> Placed {
        let under_way = self.under_way.as_ref();
        let is_told = under_way.is_none_or(|under_way| under_way.is_known);
        let is_another = under_way.is_none();
        let mut placed = Placed { is_another, is_known: true, is_told, lrn: None };
        let (mut has_no_lrn, mut has_mark) = (false, false);
        for (place, column) in self.header.0.iter().enumerate() {
            if !matches!(column.name, "lrn" | "declarant" | "declaration") {
                continue;
            }
            let Some(Ok(cell)) = cells.get(place) else {
                (placed.is_known, placed.is_told) = (false, false);
                continue;
            };
            if column.name == "lrn" && !cell.is_empty() {
                placed.lrn = Some(cell.to_string());
            }
            let Some(under_way) = under_way else { continue };
            if cell == under_way.first_cell(place) {
                continue;
            }
            placed.is_told = false;
            placed.is_another |= !cell.is_empty();
            has_no_lrn |= column.name == "lrn" && cell.is_empty();
            has_mark |= column.name == "declaration" && !cell.is_empty();
        }
        // A mark tells it apart though there is no lrn.
        if has_no_lrn && !has_mark {
            placed.is_known = false;
        }
        placed
    }
}

impl Astray {
    /// Of the declaration that begins at `row`, after it.
    fn fault(&self, row: u64) -> Fault {
        let what = format!(
            "the declaration that begins here is passed over: what stands at {} cannot be read, and may be of it",
            self.row
        );
        Fault { row, column: 0, what }
    }
}

fn text<'a>(cells: &'a [Cell<'_>], place: usize) -> &'a str {
    match cells.get(place) {
        Some(Ok(cell)) => cell,
        Some(Err(_)) | None => "",
    }
}

impl UnderWay {
    fn new(first_row: u64) -> Self {
        let lodged = Lodged::default();
        Self { first_row, first: Vec::new(), rows: 0, lodged, fault: None, is_known: true }
    }

    fn first_cell(&self, place: usize) -> &str {
        self.first.get(place).map_or("", String::as_str)
    }

    fn add(&mut self, header: &Header, row: u64, cells: &[Cell<'_>]) {
        if self.rows == 0 {
            self.first = (0..header.len()).map(|place| text(cells, place).to_owned()).collect();
        }
        self.rows += 1;
        if self.fault.is_none()
            && let Err((column, what)) = self.read(header, cells)
        {
            self.fault = Some(Fault { row, column, what });
            self.lodged.declaration.goods_items = Vec::new();
        }
    }

    /// Reads a row; the column at fault, and why.
    fn read(&mut self, header: &Header, cells: &[Cell<'_>]) -> Result<(), (usize, String)> {
        if self.rows > ROWS_MAX {
            let what = format!(
                "more than {ROWS_MAX} rows from {} on have the same lrn: each declaration has its own",
                self.first_row
            );
            return Err((0, what));
        }
        // What cannot be read may be why there are no more.
        let is_cut_off = cells.len() < header.len() && cells.last().is_some_and(Result::is_err);
        if cells.len() != header.len() && !is_cut_off {
            let (found, needed) = (cells.len(), header.len());
            let what =
                format!("the row has {found} cells, and the first one names {needed} columns");
            return Err((found.min(needed) + 1, what));
        }
        // Beyond 2^32 rows there are none, by the bound.
        let number =
            u32::try_from(self.lodged.declaration.goods_items.len() + 1).unwrap_or(u32::MAX);
        let mut item = GoodsItem { goods_item_number: number, ..GoodsItem::default() };
        let mut has_item = false;
        for (place, (column, cell)) in header.0.iter().zip(cells).enumerate() {
            let at = |what: CellError| (place + 1, format!("{}: {what}", column.name));
            let cell = match cell {
                Ok(cell)
                    if cell.is_empty()
                        && column.name == "lrn"
                        && !self.first_cell(place).is_empty() =>
                {
                    return Err(at("it is empty: each row has that of its declaration".to_owned()));
                }
                Ok(cell) if cell.is_empty() => continue,
                Ok(cell) => cell,
                Err(what) => return Err(at(what.clone())),
            };
            match &column.of {
                Of::GoodsItem(access) => {
                    (access.set)(&mut item, cell).map_err(at)?;
                    has_item = true;
                }
                Of::Declaration(access) if self.rows == 1 => {
                    (access.set)(&mut self.lodged, cell).map_err(at)?;
                }
                Of::Declaration(_) => self.is_as_in_first(place, cell).map_err(at)?,
            }
        }
        if has_item {
            self.lodged.declaration.goods_items.push(item);
        }
        Ok(())
    }

    fn is_as_in_first(&self, place: usize, cell: &str) -> Result<(), CellError> {
        let first = self.first_cell(place);
        if first == cell {
            return Ok(());
        }
        let shown = |text: &str| format!("{:?}", text.chars().take(40).collect::<String>());
        Err(format!(
            "{} is not {}, which stands at {}, where the declaration begins: leave it empty, or give the row an lrn of \
             its own",
            shown(cell),
            shown(first),
            self.first_row
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::proto::v1::Money;

    fn assemble(header: &str, rows: &[&str]) -> Vec<Assembled> {
        let mut assembler = Assembler::new(Header::of(header.split(',')).unwrap());
        let mut done = Vec::new();
        for (number, row) in (2..).zip(rows) {
            let cells: Vec<Cell<'_>> = row.split(',').map(|cell| Ok(cell.into())).collect();
            done.extend(assembler.push(number, &cells));
        }
        done.extend(assembler.finish());
        done
    }

    #[test]
    fn consecutive_rows_with_the_same_lrn_are_one_declaration() {
        let header = "lrn,exporter_name,hs6,intrinsic_value,intrinsic_value_currency";
        let rows = [
            "A,Lotusbay,851830,39.99,EUR",
            "A,,610910,5,USD",
            "B,,,,",
            "A,Lotusbay,420221,1.5,EUR",
        ];
        let made: Vec<Lodged> = assemble(header, &rows).into_iter().map(Result::unwrap).collect();
        let lrns: Vec<_> = made.iter().map(|lodged| lodged.declaration.lrn.as_str()).collect();
        assert_eq!(lrns, ["A", "B", "A"]);
        let items = &made[0].declaration.goods_items;
        assert_eq!(items.iter().map(|item| item.goods_item_number).collect::<Vec<_>>(), [1, 2]);
        let value = Money { currency: "USD".into(), hundredths: 500 };
        assert_eq!(items[1].intrinsic_value, Some(value));
        assert_eq!(made[0].declaration.exporter.as_ref().unwrap().name, "Lotusbay");
        assert!(made[1].declaration.goods_items.is_empty(), "a row without a goods item adds none");
        assert_eq!(made[1].declaration.exporter, None);
    }

    #[test]
    fn what_the_file_says_of_item_numbers_is_kept_and_marks_tell_declarations_apart() {
        let rows = ["A,1,0", "A,1,7", "A,2,", "A,,"];
        let made = assemble("lrn,declaration,goods_item_number", &rows);
        let numbers: Vec<Vec<u32>> = made
            .into_iter()
            .map(|made| made.unwrap().declaration.goods_items)
            .map(|items| items.iter().map(|item| item.goods_item_number).collect())
            .collect();
        assert_eq!(numbers, [vec![0, 7], vec![]]);
    }

    #[test]
    fn a_bad_row_takes_its_whole_declaration_and_no_other() {
        let header = "lrn,declarant,gross_mass_kg,packages";
        let rows =
            ["A,X,1,1", "B,X,1,1", "B,,1.0000001,1", "B,,1,one", "C,X,1,1", "D,X", "E,X,1,-1"];
        let made = assemble(header, &rows);
        let told: Vec<_> = made
            .iter()
            .map(|made| match made {
                Ok(lodged) => lodged.declaration.lrn.clone(),
                Err(Fault { row, column, .. }) => format!("{row}:{column}"),
            })
            .collect();
        assert_eq!(told, ["A", "4:3", "C", "7:3", "8:4"]);
        let first = made[1].as_ref().unwrap_err();
        assert!(first.what.starts_with("gross_mass_kg: \"1.0000001\""), "{}", first.what);
    }

    /// LRNs with how many goods items, or rows at fault.
    fn told(made: Vec<Assembled>) -> Vec<String> {
        let told = made.into_iter().map(|made| match made {
            Ok(Lodged { declaration, .. }) => {
                format!("{} {}", declaration.lrn, declaration.goods_items.len())
            }
            Err(Fault { row, .. }) => row.to_string(),
        });
        told.collect()
    }

    #[test]
    fn a_row_that_may_be_of_either_of_two_declarations_takes_both() {
        // Without an lrn, it is only sure where it is not the first or last of one.
        let rows = ["1,A", "1,A", "1", "1,A", "1,B", "1", "1,C", "1,C", "1,D", "1,", "1,E", "1,F"];
        assert_eq!(told(assemble("hs6,lrn", &rows)), ["4", "7", "8", "11", "12", "F 1"]);
        assert_eq!(told(assemble("hs6,lrn", &["1", "1,A", "1,B"])), ["2", "3", "B 1"]);
        // What tells declarations apart under one LRN does not touch others.
        let rows = ["A,1,X", "B,1", "B,1,", "B,1,Y", "C,1,Z", "C,1", "D,1,Z"];
        assert_eq!(told(assemble("lrn,hs6,declarant", &rows)), ["A 1", "3", "5", "7", "D 1"]);
        // With a mark of its own it is one, though it will be rejected.
        let rows = ["A,1,1", ",1,2", "B,1,3"];
        assert_eq!(told(assemble("lrn,hs6,declaration", &rows)), ["A 1", " 1", "B 1"]);
    }

    #[test]
    fn a_declaration_that_breaks_off_is_told_and_not_given() {
        let mut assembler = Assembler::new(Header::of(["lrn", "hs6"].into_iter()).unwrap());
        assert_eq!(assembler.break_off(), None);
        let cells = |lrn: &'static str| [Ok(lrn.into()), Ok("851830".into())];
        assembler.push(2, &cells("A"));
        assert!(assembler.push(3, &cells("B")).unwrap().is_ok());
        assembler.push(4, &cells("B"));
        assert_eq!(assembler.break_off().unwrap().unwrap_err().row, 3);
        assert_eq!(assembler.finish(), None);
    }

    #[test]
    fn rows_of_one_declaration_do_not_contradict_each_other() {
        let made = assemble("lrn,importer_city", &["A,Deventer", "A,Zwolle"]);
        let fault = made[0].as_ref().unwrap_err();
        assert_eq!((fault.row, fault.column), (3, 2));
        assert!(fault.what.contains("Zwolle") && fault.what.contains("at 2,"), "{}", fault.what);
    }

    #[test]
    fn a_file_whose_lrn_never_changes_is_not_held() {
        let rows = vec!["A,851830"; ROWS_MAX + 5];
        let made = assemble("lrn,hs6", &rows);
        let fault = made[0].as_ref().unwrap_err();
        assert_eq!(fault.row, ROWS_MAX as u64 + 2);
        assert!(fault.what.contains("10000"), "{}", fault.what);
        assert_eq!(made.len(), 1);
    }
}
