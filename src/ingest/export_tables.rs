//! The last step of an export: the tables that were not asked for go, and files become CSV.

use std::fs;
use std::path::Path;

use super::export::{Format, Wanted};
use super::start_error::{StartError, io};
use crate::archive::{TableTotals, write_csv};
use crate::day::Day;
use crate::disk::{Disk as _, LocalDisk};

/// Makes of the tables in `folder`, of which `totals` were written, what is `wanted`; tells what is
/// there then.
pub(super) fn finish_tables(
    folder: &Path,
    totals: &[TableTotals],
    wanted: &Wanted,
) -> Result<Vec<TableTotals>, StartError> {
    let mut kept = Vec::new();
    for table in totals {
        let path = folder.join(table.table);
        // Nothing arrived on these days: there is no folder.
        let is_there = path.exists();
        if !wanted.tables.contains(&table.table) {
            if is_there {
                fs::remove_dir_all(&path).map_err(io(path.display()))?;
            }
            continue;
        }
        let mut table = table.clone();
        if is_there && wanted.format == Format::Csv {
            table.bytes = as_csv(&path)?;
        }
        kept.push(table);
    }
    Ok(kept)
}

/// Replaces every Parquet file of a table, of which nothing else has the folder, and tells how long
/// the CSV files are.
fn as_csv(table: &Path) -> Result<u64, StartError> {
    let mut bytes = 0;
    for folder in fs::read_dir(table).map_err(io(table.display()))? {
        let folder = folder.map_err(io(table.display()))?.path();
        let day = folder.file_name().and_then(|name| name.to_str()?.strip_prefix("day="));
        let Some(day) = day.and_then(Day::parse) else { continue };
        for file in fs::read_dir(&folder).map_err(io(folder.display()))? {
            let parquet = file.map_err(io(folder.display()))?.path();
            let csv = parquet.with_extension("csv");
            let name = csv.file_name().unwrap_or_default().to_string_lossy();
            let partial = folder.join(format!(".{name}.part"));
            bytes += write_csv(&parquet, &partial, day)?;
            fs::rename(&partial, &csv).map_err(io(csv.display()))?;
            fs::remove_file(&parquet).map_err(io(parquet.display()))?;
        }
        LocalDisk::new().sync_dir(&folder).map_err(io(folder.display()))?;
    }
    Ok(bytes)
}
