//! Reading a batch: in place, in place and normalised, to keys and digests, and with prost.
//!
//! Batches of 1,000 declarations of two goods items, some 140 bytes a goods item, with what a
//! courier's batch has in common held once. Throughput is in goods items ("lines").

#![allow(clippy::expect_used, clippy::indexing_slicing)]

use bumpalo::Bump;
use divan::Bencher;
use divan::counter::ItemsCount;
use prost::Message;
use waag::id::Eori;
use waag::proto::v1;
use waag::wire::digest::{Digester, Keys};
use waag::wire::reader::{Batch, Bounds};
use waag::wire::view::{Declaration, Lodger};

fn main() {
    divan::main();
}

const DECLARATIONS: usize = 1_000;
const LINES: usize = 2 * DECLARATIONS;

fn goods_item(number: u32, seed: u64) -> v1::GoodsItem {
    let text = str::to_owned;
    let (hs6, description) = [
        ("610910", "Ladies T-shirt, cotton, size M"),
        ("851762", "Wireless earbuds with charging case"),
        ("392640", "Phone case, silicone"),
        ("950300", "Wooden puzzle for children, 48 pieces"),
    ][(seed % 4) as usize];
    v1::GoodsItem {
        goods_item_number: number,
        hs6: text(hs6),
        description: text(description),
        intrinsic_value: Some(v1::Money {
            currency: text("EUR"),
            hundredths: 199 + seed * 37 % 4_000,
        }),
        gross_mass_mg: 20_000 + seed * 7_919 % 900_000,
        packages: 1,
        additional_procedures: vec![text("F48")],
        product: Some(v1::ProductIdentifiers {
            merchant: format!("SKU-{:08}", seed * 31),
            manufacturer: text("NA"),
            gtin: String::new(),
        }),
        country_of_origin: text("CN"),
    }
}

fn batch() -> v1::SubmitBatchRequest {
    let text = str::to_owned;
    let declaration = |seed: u64| v1::Declaration {
        lrn: format!("26NLP{seed:012}"),
        goods_items: vec![goods_item(1, seed), goods_item(2, seed + 13)],
        importer: Some(v1::Party {
            name: format!("J. de Vries {}", seed % 977),
            street: format!("Dorpsstraat {}", seed % 199),
            postcode: format!("{} AB", 1_000 + seed % 8_999),
            city: text("Amsterdam"),
            country: text("NL"),
            identification: String::new(),
        }),
        ioss_number: format!("IM528{:07}", seed % 10_000),
        transport_document: Some(v1::DocumentReference {
            r#type: text("N740"),
            reference: format!("{:011}", 10_000_000 + seed),
        }),
        ..v1::Declaration::default()
    };
    v1::SubmitBatchRequest {
        batch_id: text("batch-000001"),
        declarant: text("NL810000003"),
        representative: String::new(),
        representative_status: 0,
        declarations: (0..DECLARATIONS as u64).map(declaration).collect(),
        common: Some(v1::Declaration {
            additional_declaration_type: text("D"),
            exporter: Some(v1::Party {
                name: text("Shenzhen Bright Trading Co., Ltd."),
                city: text("Shenzhen"),
                country: text("CN"),
                ..v1::Party::default()
            }),
            previous_documents: vec![v1::DocumentReference {
                r#type: text("N337"),
                reference: text("25NLTSD000000421U7"),
            }],
            location_of_goods: Some(v1::LocationOfGoods {
                r#type: text("B"),
                qualifier: text("Y"),
                identification: text("NLTSTAMS0001"),
            }),
            ..v1::Declaration::default()
        }),
    }
}

fn encoded() -> Vec<u8> {
    let message = batch().encode_to_vec();
    assert!(
        (130..150).contains(&(message.len() / LINES)),
        "{} bytes a line",
        message.len() / LINES
    );
    message
}

#[divan::bench]
fn with_prost(bencher: Bencher<'_, '_>) {
    let message = encoded();
    bencher
        .counter(ItemsCount::new(LINES))
        .bench_local(|| v1::SubmitBatchRequest::decode(&message[..]).expect("sound"));
}

#[divan::bench]
fn in_place(bencher: Bencher<'_, '_>) {
    let message = encoded();
    bencher.counter(ItemsCount::new(LINES)).bench_local(|| {
        let batch = Batch::read(&message, Bounds::default()).expect("sound");
        let mut declaration = Declaration::default();
        for index in 0..batch.len() {
            batch.raw_declaration(index, &mut declaration).expect("sound");
            divan::black_box(&declaration);
        }
    });
}

#[divan::bench]
fn in_place_and_normalised(bencher: Bencher<'_, '_>) {
    let message = encoded();
    bencher.counter(ItemsCount::new(LINES)).bench_local(|| {
        let arena = Bump::new();
        let batch = Batch::read(&message, Bounds::default()).expect("sound");
        let mut declaration = Declaration::default();
        for index in 0..batch.len() {
            batch.declaration(index, &arena, &mut declaration).expect("sound");
            divan::black_box(&declaration);
        }
    });
}

#[divan::bench]
fn in_place_to_key_and_digests(bencher: Bencher<'_, '_>) {
    let message = encoded();
    let keys = Keys::new([1; 16], [2; 32]);
    let mut digester = Digester::new(keys.clone());
    let declarant = Eori::parse("NL810000003").expect("well formed");
    bencher.counter(ItemsCount::new(LINES)).bench_local(|| {
        let arena = Bump::new();
        let batch = Batch::read(&message, Bounds::default()).expect("sound");
        let lodger = Lodger { declarant, representative: "", representative_status: 0 };
        let mut declaration = Declaration::default();
        for index in 0..batch.len() {
            let encoded = batch.declaration(index, &arena, &mut declaration).expect("sound");
            divan::black_box(keys.key_of(&declarant, declaration.lrn));
            divan::black_box(digester.digests(&lodger, &declaration, encoded));
        }
    });
}
