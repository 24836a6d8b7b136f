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

/// What callers wrote, shown so that none of it ends a line, or tells a terminal what to do.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        // Those that change the direction of what stands around them are no control characters.
        let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if turns || character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    plain
}

/// The same of a text of several lines: as on one, so that it does not look like a part of a table.
pub(super) fn on_one_line(text: &str) -> String {
    plain(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Rows of cells under a heading, each column as wide as its widest cell.
#[derive(Debug, Default)]
pub(super) struct Table {
    headings: Vec<String>,
    /// Of each column.
    is_left: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A column whose heading starts with `<` is set to the left, all others to the right.
    pub(super) fn new(headings: &[&str]) -> Self {
        let is_left = headings.iter().map(|heading| heading.starts_with('<')).collect();
        let named = |heading: &&str| heading.strip_prefix('<').unwrap_or(heading).to_owned();
        Self { headings: headings.iter().map(named).collect(), is_left, rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| plain(cell)).collect());
    }

    /// Writes it, with a rule under the heading.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let columns: Vec<(usize, bool)> = self
            .headings
            .iter()
            .zip(&self.is_left)
            .enumerate()
            .map(|(place, (heading, is_left))| {
                let cells = self.rows.iter().filter_map(|row| row.get(place));
                let width = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
                (width.max(heading.chars().count()), *is_left)
            })
            .collect();
        let line = |cells: &[String]| -> String {
            let cells: Vec<String> =
                cells
                    .iter()
                    .zip(&columns)
                    .map(|(cell, &(width, is_left))| {
                        if is_left { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                    })
                    .collect();
            cells.join("  ").trim_end().to_owned()
        };
        writeln!(out, "{}", line(&self.headings))?;
        let rule: usize = columns.iter().map(|(width, _)| width + 2).sum();
        writeln!(out, "{}", "─".repeat(rule.saturating_sub(2)))?;
        for row in &self.rows {
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
    fn what_callers_wrote_ends_no_line_and_moves_no_cursor() {
        let text = "\u{1b}[31mé\n2026\r\u{7}\u{202e}x\u{2028}";
        assert_eq!(plain(text), "\\u{1b}[31mé\\n2026\\r\\u{7}\\u{202e}x\\u{2028}");
        assert_eq!(on_one_line(" two\n lines\u{1b}"), "two lines\\u{1b}");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["<Who", "Lines"]);
        table.row(vec!["Zoë".to_owned(), "1,000".to_owned()]);
        table.row(vec!["NL830000000".to_owned(), "7".to_owned()]);
        table.row(vec!["<a\n>".to_owned(), "<1".to_owned()]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let expected = "Who          Lines\n──────────────────\nZoë          1,000\nNL830000000      7\n\
                        <a\\n>           <1\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
