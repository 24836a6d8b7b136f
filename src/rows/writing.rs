//! Declarations taken apart to rows.

use super::columns::{COLUMNS, Lodged, Of};
use crate::client::Lodger;
use crate::proto::v1::{Declaration, GoodsItem, SubmitBatchRequest};

/// The declarations of `request`, each with what the batch has in common.
pub(super) fn lodged(request: &SubmitBatchRequest) -> impl Iterator<Item = Lodged> {
    let lodger = Lodger {
        declarant: request.declarant.clone(),
        representative: request.representative.clone(),
        representative_status: request.representative_status,
    };
    request.declarations.iter().map(move |declaration| Lodged {
        lodger: lodger.clone(),
        mark: String::new(),
        declaration: effective(declaration, request.common.as_ref()),
    })
}

/// A declaration with what its batch has in common: by whole fields, where it has none of its own.
fn effective(own: &Declaration, common: Option<&Declaration>) -> Declaration {
    let Some(common) = common else { return own.clone() };
    let text = |own: &str, common: &str| (if own.is_empty() { common } else { own }).to_owned();
    fn list<T: Clone>(own: &[T], common: &[T]) -> Vec<T> {
        (if own.is_empty() { common } else { own }).to_vec()
    }
    fn message<T: Clone>(own: &Option<T>, common: &Option<T>) -> Option<T> {
        own.as_ref().or(common.as_ref()).cloned()
    }
    Declaration {
        lrn: own.lrn.clone(),
        goods_items: own.goods_items.clone(),
        additional_declaration_type: text(
            &own.additional_declaration_type,
            &common.additional_declaration_type,
        ),
        exporter: message(&own.exporter, &common.exporter),
        importer: message(&own.importer, &common.importer),
        ioss_number: text(&own.ioss_number, &common.ioss_number),
        transport_document: message(&own.transport_document, &common.transport_document),
        previous_documents: list(&own.previous_documents, &common.previous_documents),
        transport_costs: message(&own.transport_costs, &common.transport_costs),
        location_of_goods: message(&own.location_of_goods, &common.location_of_goods),
        ucr: text(&own.ucr, &common.ucr),
        supporting_documents: list(&own.supporting_documents, &common.supporting_documents),
        fallback: message(&own.fallback, &common.fallback),
    }
}

/// Calls `write` with the cells of each row of the declarations of `request`, in the order of
/// [`COLUMNS`]; `number` is that of the last declaration before them, and goes on.
pub(super) fn each_row<E>(
    request: &SubmitBatchRequest,
    number: &mut u64,
    mut write: impl FnMut(&[String]) -> Result<(), E>,
) -> Result<(), E> {
    for mut lodged in lodged(request) {
        *number += 1;
        lodged.mark = number.to_string();
        let items = std::mem::take(&mut lodged.declaration.goods_items);
        let of = |item: Option<&GoodsItem>| -> Vec<String> {
            let cell = |of: &Of| match (of, item) {
                (Of::Declaration(access), _) => (access.get)(&lodged),
                (Of::GoodsItem(access), Some(item)) => (access.get)(item),
                (Of::GoodsItem(_), None) => String::new(),
            };
            COLUMNS.iter().map(|column| cell(&column.of)).collect()
        };
        if items.is_empty() {
            write(&of(None))?;
        }
        for item in &items {
            write(&of(Some(item)))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::super::assembler::Cell;
    use super::super::{Assembler, Header};
    use super::*;
    use crate::day::Day;
    use crate::generate::{Generator, Options};

    /// What rows cannot tell apart: a message with nothing in it is none.
    fn without_empty_messages(mut declaration: Declaration) -> Declaration {
        fn none_if_empty<T: Default + PartialEq>(message: &mut Option<T>) {
            message.take_if(|message| *message == T::default());
        }
        none_if_empty(&mut declaration.exporter);
        none_if_empty(&mut declaration.importer);
        none_if_empty(&mut declaration.transport_document);
        none_if_empty(&mut declaration.location_of_goods);
        declaration.goods_items.iter_mut().for_each(|item| none_if_empty(&mut item.product));
        declaration
    }

    #[test]
    fn what_is_taken_apart_is_put_together_again() {
        let options = Options {
            lines: 6_000,
            batch: 100,
            replays: 0.1,
            invalid: 0.3,
            ..Options::on(Day::parse("2026-11-05").unwrap())
        };
        let mut assembler =
            Assembler::new(Header::of(COLUMNS.iter().map(|column| column.name)).unwrap());
        let (mut number, mut row) = (0, 0);
        let (mut expected, mut made) = (Vec::new(), Vec::new());
        for batch in Generator::new(&options).unwrap() {
            expected.extend(lodged(&batch.request));
            each_row(&batch.request, &mut number, |cells| {
                row += 1;
                let cells: Vec<Cell<'_>> = cells.iter().map(|cell| Ok(cell.into())).collect();
                made.extend(assembler.push(row, &cells));
                Ok::<_, ()>(())
            })
            .unwrap();
        }
        made.extend(assembler.finish());
        assert_eq!(made.len(), expected.len());
        for (number, (made, expected)) in (1_u64..).zip(made.into_iter().zip(expected)) {
            let declaration = without_empty_messages(expected.declaration);
            let expected = Lodged { mark: number.to_string(), declaration, ..expected };
            assert_eq!(made.unwrap(), expected);
        }
    }

    #[test]
    fn what_a_batch_has_in_common_is_taken_where_a_declaration_has_nothing_of_its_own() {
        let options = Options::on(Day::parse("2026-11-05").unwrap());
        let with_common = |batch: &SubmitBatchRequest| batch.common.is_some();
        let mut batches = Generator::new(&options).unwrap().map(|batch| batch.request);
        let batch = batches.find(with_common).unwrap();
        let common = batch.common.clone().unwrap();
        let lodged: Vec<Lodged> = lodged(&batch).collect();
        assert!(
            lodged
                .iter()
                .any(|each| each.declaration.location_of_goods == common.location_of_goods)
        );
        assert_eq!(lodged[0].lodger.declarant, batch.declarant);
    }
}
