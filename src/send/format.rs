//! How declarations are written in a file.

use std::path::Path;

use clap::ValueEnum;

/// A format of a file of declarations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Protobuf JSON, one batch or one declaration to a line
    Json,
    /// Protobuf batches, the length of each before it as a varint
    Binary,
    /// One row a goods item, with the columns of `waag send --template csv`
    Csv,
    /// The columns of CSV
    Parquet,
}

impl Format {
    /// By the end of a file's name, before `.gz` or `.zst`.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "json" | "jsonl" | "ndjson" => Some(Self::Json),
            "pb" | "binpb" | "bin" => Some(Self::Binary),
            "csv" => Some(Self::Csv),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_format_whatever_it_is_compressed_with() {
        for (name, format) in [
            ("orders.jsonl", Some(Format::Json)),
            ("a/orders.CSV.gz", Some(Format::Csv)),
            ("orders.parquet.zst", Some(Format::Parquet)),
            ("orders.binpb", Some(Format::Binary)),
            ("orders.gz", None),
            ("csv", None),
        ] {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
    }
}
