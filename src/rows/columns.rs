//! Every column: its name, what it means, an example, and how it goes into a message and comes out of it.

use super::cell::{self, CellError};
use crate::client::Lodger;
use crate::proto::v1::{Declaration, GoodsItem};

/// What the rows of one declaration say together.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Lodged {
    pub(crate) lodger: Lodger,
    /// What tells declarations apart that follow one another under the same LRN.
    pub(super) mark: String,
    pub(crate) declaration: Declaration,
}

/// How a column is read and written. An empty cell is not set.
#[derive(Debug)]
pub(super) struct Access<T> {
    pub(super) set: fn(&mut T, &str) -> Result<(), CellError>,
    pub(super) get: fn(&T) -> String,
}

/// What a column belongs to.
#[derive(Debug)]
pub(super) enum Of {
    Declaration(Access<Lodged>),
    GoodsItem(Access<GoodsItem>),
}

/// What values are, where the file has types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Whole,
    /// With so many decimals.
    Decimal(u8),
}

/// A column.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) example: &'static str,
    pub(super) kind: Kind,
    pub(super) of: Of,
}

/// A text that is always there.
macro_rules! text {
    ($($place:ident).+) => {
        Access {
            set: |to, cell| {
                cell.clone_into(&mut to.$($place).+);
                Ok(())
            },
            get: |of| of.$($place).+.clone(),
        }
    };
}

/// A text in a message that is there if one of its cells is.
macro_rules! text_in {
    ($($message:ident).+, $field:ident) => {
        Access {
            set: |to, cell| {
                cell.clone_into(&mut to.$($message).+.get_or_insert_default().$field);
                Ok(())
            },
            get: |of| of.$($message).+.as_ref().map(|it| it.$field.clone()).unwrap_or_default(),
        }
    };
}

/// An amount in a `Money` that is there if one of its cells is.
macro_rules! amount_in {
    ($($message:ident).+) => {
        Access {
            set: |to, cell| {
                to.$($message).+.get_or_insert_default().hundredths = cell::decimal(cell, 2)?;
                Ok(())
            },
            get: |of| {
                let amount = of.$($message).+.as_ref();
                amount.map(|it| cell::decimal_text(it.hundredths, 2, 2)).unwrap_or_default()
            },
        }
    };
}

macro_rules! columns {
    ($($level:ident $name:literal $kind:expr, $example:literal, $access:expr;)+) => {
        &[$(Column { name: $name, example: $example, kind: $kind, of: Of::$level($access) }),+]
    };
}

use Kind::{Decimal, Text, Whole};

/// In the order of the template. The README has a table with the meaning of each.
pub(super) static COLUMNS: &[Column] = columns! {
    Declaration "lrn" Text, "ORDER-1", text!(declaration.lrn);
    Declaration "declarant" Text, "NL810000003", text!(lodger.declarant);
    Declaration "representative" Text, "", text!(lodger.representative);
    Declaration "representative_status" Whole, "", Access {
        set: |to, cell| {
            to.lodger.representative_status = cell::whole(cell)?;
            Ok(())
        },
        get: |of| match of.lodger.representative_status {
            0 => String::new(),
            status => status.to_string(),
        },
    };
    Declaration "declaration" Text, "", text!(mark);
    Declaration "additional_declaration_type" Text, "A", text!(declaration.additional_declaration_type);
    Declaration "exporter_name" Text, "Lotusbay Trading Ltd", text_in!(declaration.exporter, name);
    Declaration "exporter_street" Text, "", text_in!(declaration.exporter, street);
    Declaration "exporter_postcode" Text, "", text_in!(declaration.exporter, postcode);
    Declaration "exporter_city" Text, "Shenzhen", text_in!(declaration.exporter, city);
    Declaration "exporter_country" Text, "CN", text_in!(declaration.exporter, country);
    Declaration "exporter_identification" Text, "", text_in!(declaration.exporter, identification);
    Declaration "importer_name" Text, "J. Voorbeeld", text_in!(declaration.importer, name);
    Declaration "importer_street" Text, "Dorpsweg 12", text_in!(declaration.importer, street);
    Declaration "importer_postcode" Text, "7411 AA", text_in!(declaration.importer, postcode);
    Declaration "importer_city" Text, "Deventer", text_in!(declaration.importer, city);
    Declaration "importer_country" Text, "NL", text_in!(declaration.importer, country);
    Declaration "importer_identification" Text, "", text_in!(declaration.importer, identification);
    Declaration "ioss_number" Text, "", text!(declaration.ioss_number);
    Declaration "transport_document_type" Text, "N740", text_in!(declaration.transport_document, r#type);
    Declaration "transport_document_reference" Text, "074-12345675",
        text_in!(declaration.transport_document, reference);
    Declaration "previous_documents" Text, "N337:25NLTSD000000421U7", Access {
        set: |to, cell| {
            to.declaration.previous_documents = cell::documents(cell)?;
            Ok(())
        },
        get: |of| cell::documents_text(&of.declaration.previous_documents),
    };
    Declaration "supporting_documents" Text, "", Access {
        set: |to, cell| {
            to.declaration.supporting_documents = cell::documents(cell)?;
            Ok(())
        },
        get: |of| cell::documents_text(&of.declaration.supporting_documents),
    };
    Declaration "transport_costs" Decimal(2), "4.50", amount_in!(declaration.transport_costs);
    Declaration "transport_costs_currency" Text, "EUR", text_in!(declaration.transport_costs, currency);
    Declaration "location_type" Text, "B", text_in!(declaration.location_of_goods, r#type);
    Declaration "location_qualifier" Text, "Y", text_in!(declaration.location_of_goods, qualifier);
    Declaration "location_identification" Text, "NLTSTTST0001",
        text_in!(declaration.location_of_goods, identification);
    Declaration "ucr" Text, "", text!(declaration.ucr);
    Declaration "fallback_reference" Text, "", text_in!(declaration.fallback, reference);
    Declaration "fallback_lodged_at" Text, "", Access {
        set: |to, cell| {
            to.declaration.fallback.get_or_insert_default().lodged_at_ms = cell::moment(cell)?;
            Ok(())
        },
        get: |of| {
            let fallback = of.declaration.fallback.as_ref();
            fallback.map(|it| cell::moment_text(it.lodged_at_ms)).unwrap_or_default()
        },
    };
    GoodsItem "goods_item_number" Whole, "1", Access {
        set: |to, cell| {
            to.goods_item_number = cell::whole(cell)?;
            Ok(())
        },
        get: |of| of.goods_item_number.to_string(),
    };
    GoodsItem "hs6" Text, "851830", text!(hs6);
    GoodsItem "description" Text, "Wireless in-ear headphones with charging case", text!(description);
    GoodsItem "intrinsic_value" Decimal(2), "39.99", amount_in!(intrinsic_value);
    GoodsItem "intrinsic_value_currency" Text, "EUR", text_in!(intrinsic_value, currency);
    GoodsItem "gross_mass_kg" Decimal(6), "0.18", Access {
        set: |to, cell| {
            to.gross_mass_mg = cell::decimal(cell, 6)?;
            Ok(())
        },
        get: |of| cell::decimal_text(of.gross_mass_mg, 6, 0),
    };
    GoodsItem "packages" Whole, "1", Access {
        set: |to, cell| {
            to.packages = cell::whole(cell)?;
            Ok(())
        },
        get: |of| of.packages.to_string(),
    };
    GoodsItem "additional_procedures" Text, "F53", Access {
        set: |to, cell| {
            to.additional_procedures = cell::list(cell);
            Ok(())
        },
        get: |of| cell::list_text(&of.additional_procedures),
    };
    GoodsItem "product_merchant" Text, "SKU-00001", text_in!(product, merchant);
    GoodsItem "product_manufacturer" Text, "NA", text_in!(product, manufacturer);
    GoodsItem "product_gtin" Text, "", text_in!(product, gtin);
    GoodsItem "country_of_origin" Text, "", text!(country_of_origin);
};

/// CSV of all columns and one row, which is in good order from 2026-07-01.
#[must_use]
pub(crate) fn template() -> String {
    let line =
        |of: fn(&Column) -> &'static str| COLUMNS.iter().map(of).collect::<Vec<_>>().join(",");
    format!("{}\n{}\n", line(|column| column.name), line(|column| column.example))
}

/// Why a table cannot be read at all.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error(
        "column {number} is {name:?}, which is none: `waag send --template csv` prints all there are"
    )]
    Unknown { number: usize, name: String },
    #[error("column {number} is {name:?}, and so is one before it")]
    Twice { number: usize, name: String },
    #[error(
        "there is no column lrn: the first row must name the columns, as `waag send --template csv` prints them"
    )]
    NoLrn,
}

/// Which columns a table has, in its order.
#[derive(Debug)]
pub(crate) struct Header(pub(super) Vec<&'static Column>);

impl Header {
    /// # Errors
    /// A name that is none, or comes twice; or no `lrn`.
    pub(crate) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Result<Self, HeaderError> {
        let mut columns: Vec<&'static Column> = Vec::new();
        for (number, name) in (1..).zip(names) {
            let name = name.trim();
            let shown = || name.chars().take(40).collect();
            let column = COLUMNS.iter().find(|column| column.name == name);
            let column = column.ok_or_else(|| HeaderError::Unknown { number, name: shown() })?;
            if columns.iter().any(|other| std::ptr::eq(*other, column)) {
                return Err(HeaderError::Twice { number, name: shown() });
            }
            columns.push(column);
        }
        if columns.iter().any(|column| column.name == "lrn") {
            Ok(Self(columns))
        } else {
            Err(HeaderError::NoLrn)
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_column_is_in_the_readme() {
        let readme = include_str!("../../README.md");
        for column in COLUMNS {
            assert!(readme.contains(&format!("`{}`", column.name)), "{}", column.name);
        }
    }

    #[test]
    fn a_header_is_refused_by_the_name_at_fault() {
        let header = |line: &str| Header::of(line.split(',')).map(|_| ());
        assert_eq!(header("hs6,lrn"), Ok(()));
        assert_eq!(header(" lrn "), Ok(()));
        let name = "hs".to_owned();
        assert_eq!(header("lrn,hs"), Err(HeaderError::Unknown { number: 2, name }));
        let name = "lrn".to_owned();
        assert_eq!(header("lrn,hs6,lrn"), Err(HeaderError::Twice { number: 3, name }));
        assert_eq!(header("hs6"), Err(HeaderError::NoLrn));
    }
}
