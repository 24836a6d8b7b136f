#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
//! Descriptions, each with what is made of it.

use super::super::tests::{OLD, expect, judge};
use super::*;
use Reason::{DescriptionFormat, DescriptionStopWord, FieldFormat, FieldMissing};

const ELEMENT: Element = Element::Description;

#[track_caller]
fn expect_description(text: &'static str, expected: Option<(Reason, char)>) {
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(reason, severity)| (reason, severity, ELEMENT, 1, text))
        .collect();
    // A code that no keyword speaks of, and no restriction.
    expect(
        OLD,
        |d| {
            d.goods_items[0].description = text;
            d.goods_items[0].hs6 = "392490";
        },
        &expected,
    );
}

#[test]
fn vague_descriptions() {
    for vague in [
        "Clothes",
        "CLOTHES",
        "goods",
        "Gift",
        "gifts!",
        "samples",
        "n/a",
        "N.A.",
        "General cargo",
        "e-commerce",
        "chemicals, non-hazardous",
        "as per attached invoice",
        "2 boxes",
        "box",
        "accessories and parts",
        "parts & accessories",
        "various goods and samples 12",
        "Goods 1234567890123456",
        "Goods 12345678901234567",
        // Not even a stop term.
        "Set of 3 pcs",
        "and the with",
        "12345678901234567 pcs",
        "Goods, goods",
        "freight of all kinds",
        "(documents)",
        "Ｇｉｆｔ",
        "auto parts",
        "battery",
        "batteries",
    ] {
        expect_description(vague, Some((DescriptionStopWord, 'F')));
    }
    for fine in [
        "Wooden boxes",
        "phone accessories",
        "attached",
        "invoice attached",
        "Set of 3 bowls",
        "pcs12",
        "general",
        "T-shirt, size XXXL 1",
        "freight kinds of all",
        "Fish tank",
        "vegetable knife x",
        "Kerze aus Bienenwachs",
        "Gläser",
        "竹製の箸置き",
    ] {
        let judged = judge(OLD, |d| {
            d.goods_items[0].description = fine;
            d.goods_items[0].hs6 = "392490";
        });
        let stop = judged.seen.iter().any(|seen| seen.0 == DescriptionStopWord);
        assert!(!stop, "{fine}");
    }
}

#[test]
fn descriptions_without_words() {
    for format in [
        "123456",
        "...",
        "-",
        "12-34",
        "!!??",
        "#1",
        "XXX",
        "aaaa",
        "x x x",
        "ÄÄÄ",
        ".wpx",
        ".pdf",
        "image.jpg",
        "IMG_2031.JPEG",
        "1 2 3",
        "12345678901234567",
        "😀😀",
    ] {
        expect_description(format, Some((DescriptionFormat, 'R')));
    }
    for fine in ["Plastic lid, size XXXL", "Schaal v.2", "aab", "Bowl no. 3", "www.example.bowl"] {
        expect_description(fine, None);
    }
}

#[test]
fn descriptions_too_short() {
    for short in ["TV", "A4", "ab", "xx", "55 m", "é1"] {
        expect_description(short, Some((DescriptionStopWord, 'F')));
    }
    expect_description("Mop", None);
}

#[test]
fn descriptions_that_repeat_an_identifier() {
    let identified = |text: &'static str| {
        move |d: &mut crate::wire::view::Declaration<'static>| {
            let item = &mut d.goods_items[0];
            item.hs6 = "392490";
            item.description = text;
            item.product.merchant = "SKU-0001x";
            item.product.gtin = "4006381333931";
        }
    };
    for text in ["392490", "3924.90", "3924 90", "sku-0001X", "4006381333931"] {
        expect(OLD, identified(text), &[(DescriptionStopWord, 'F', ELEMENT, 1, text)]);
    }
    for text in ["392491", "4006381333932"] {
        expect(OLD, identified(text), &[(DescriptionFormat, 'R', ELEMENT, 1, text)]);
    }
}

#[test]
fn length_is_counted_in_characters() {
    expect_description("", Some((FieldMissing, 'R')));
    let fits: &'static str = Box::leak("bé ".repeat(170).into_boxed_str());
    assert_eq!(fits.chars().count(), 510);
    expect_description(fits, None);
    let long: &'static str = Box::leak("bé ".repeat(171).into_boxed_str());
    let judged = judge(OLD, |d| d.goods_items[0].description = long);
    assert_eq!(judged.seen.len(), 1);
    assert_eq!(judged.seen[0].0, FieldFormat);
    assert!(judged.seen[0].4.len() <= 160 && long.starts_with(&judged.seen[0].4));
    expect_description("Bowl\u{0}", Some((FieldFormat, 'R')));
}

#[test]
fn keywords_and_headings() {
    for (text, hs6, fits) in [
        ("Men's cotton T-shirt", "610910", true),
        ("Men's cotton T-shirt", "620520", false),
        ("tshirts for men", "610910", true),
        ("Striped shirts", "620520", true),
        ("Striped shirts", "610910", false),
        // The first row that matches decides: the case, not the charger.
        ("charger with phone case", "392690", true),
        ("charger with phone case", "850440", false),
        ("Silicone phone cases", "420292", true),
        ("usb cable 1 m", "854442", true),
        ("usb-cable", "851830", false),
        // "notebook" is no book, "case" alone no phone case, "led" alone no lamp.
        ("Paper notebook, ruled", "482010", true),
        ("pencil case of felt", "630790", true),
        ("board games", "950490", true),
        ("board of games", "630790", true),
        ("EAU DE parfum", "330300", true),
        ("Dresses", "610442", true),
        ("summer dress", "610910", false),
        ("knife", "821192", true),
        ("e-cigarette", "610910", false),
        ("sandals", "640299", true),
        ("Watch strap", "911390", true),
        ("smart watches", "910211", true),
        // Without a code that exists there is nothing to compare.
        ("summer dress", "771000", true),
    ] {
        let judged = judge(OLD, |d| {
            d.goods_items[0].description = text;
            d.goods_items[0].hs6 = hs6;
        });
        let mismatch = judged.seen.iter().any(|seen| seen.0 == Reason::HsDescriptionMismatch);
        assert_eq!(mismatch, !fits, "{text} under {hs6}: {:?}", judged.seen);
    }
}
