//! What the parts of a data folder are opened with, as the settings say.

use super::prepare::Bounds;
use super::record;
use crate::archive::{self, Pseudonyms};
use crate::config::{ByteSize, Config, ConfigError};
use crate::day::Calendar;
use crate::journal;
use crate::secrets::Secrets;

/// The bounds that `config` sets for a batch.
#[must_use]
pub fn bounds(config: &Config) -> Bounds {
    let bytes = |size: ByteSize| usize::try_from(size.0).unwrap_or(usize::MAX);
    Bounds {
        declarations_max: config.batch_declarations_max,
        goods_items_max: config.batch_goods_items_max,
        list_elements_max: config.declaration_list_elements_max,
        common_bytes_max: bytes(config.batch_common_bytes_max),
        batch_id_characters_max: config.batch_id_characters_max,
    }
}

/// How `config` wants its journal.
#[must_use]
pub fn journal_options(config: &Config, identity: [u8; 16]) -> journal::Options {
    journal::Options {
        segment_bytes: config.segment_bytes.0,
        group_bytes_max: usize::try_from(config.group_bytes_max.0).unwrap_or(usize::MAX),
        record_bytes_max: record::batch_bytes_max(
            config.batch_declarations_max,
            usize::try_from(config.batch_bytes_max.0).unwrap_or(usize::MAX),
        ),
        segments_max: config.unsealed_bytes_max.0 / config.segment_bytes.0,
        reserve_bytes: config.disk_reserve_bytes.0,
        ..journal::Options::new(identity)
    }
}

/// How `config` wants its archive.
pub(super) fn archive_options(config: &Config, secrets: &Secrets) -> archive::Options {
    archive::Options {
        identity: secrets.identity(),
        personal: config.archive_personal_data,
        pseudonyms: Pseudonyms::new(secrets.pseudonym()),
        look_only: false,
        encode_beside: true,
    }
}

/// The zone of `config`.
///
/// # Errors
/// Where there is no such zone.
pub fn calendar(config: &Config) -> Result<Calendar, ConfigError> {
    Calendar::new(&config.time_zone).ok_or_else(|| ConfigError::Bound {
        field: "time_zone",
        value: config.time_zone.clone(),
        bound: "must be a zone of the IANA database, as Europe/Amsterdam".into(),
    })
}
