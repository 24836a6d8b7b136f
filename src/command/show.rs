//! How figures are shown to people: thousands separated, amounts in euros, tables aligned.

use std::io::{self, ErrorKind, Write};

/// `1234567` as `1,234,567`.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// `123456` euro cents as `1,234.56`.
pub(super) fn euros(cents: u64) -> String {
    format!("{}.{:02}", thousands(cents / 100), cents % 100)
}

/// Rows of cells under a heading, each column as wide as its widest cell.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A column whose heading starts with `<` is set to the left, all others to the right.
    pub(super) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()] }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Writes it, with a rule under the heading.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let Some((headings, rows)) = self.rows.split_first() else {
            return Ok(());
        };
        let columns: Vec<(usize, bool)> = headings
            .iter()
            .enumerate()
            .map(|(place, heading)| {
                let cells = rows.iter().filter_map(|row| row.get(place));
                let width = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
                let name = heading.trim_start_matches('<');
                (width.max(name.chars().count()), heading.starts_with('<'))
            })
            .collect();
        let line = |cells: &[String]| -> String {
            let cells: Vec<String> = cells
                .iter()
                .zip(&columns)
                .map(|(cell, &(width, left))| {
                    let cell = cell.trim_start_matches('<');
                    if left { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                })
                .collect();
            cells.join("  ").trim_end().to_owned()
        };
        writeln!(out, "{}", line(headings))?;
        let rule: usize = columns.iter().map(|(width, _)| width + 2).sum();
        writeln!(out, "{}", "─".repeat(rule.saturating_sub(2)))?;
        for row in rows {
            writeln!(out, "{}", line(row))?;
        }
        Ok(())
    }
}

/// A reader that has seen enough (`| head`) is no error.
pub(super) fn unless_broken_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn figures_are_grouped_by_thousands() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_000), "1,000");
        assert_eq!(thousands(12_345_678), "12,345,678");
        assert_eq!(euros(123_456), "1,234.56");
        assert_eq!(euros(5), "0.05");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["<Who", "Lines"]);
        table.row(vec!["Zoë".to_owned(), "1,000".to_owned()]);
        table.row(vec!["NL830000000".to_owned(), "7".to_owned()]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let expected =
            "Who          Lines\n──────────────────\nZoë          1,000\nNL830000000      7\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
