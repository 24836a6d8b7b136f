//! Values, thresholds, measures, HS codes, restrictions.

use super::*;
use Reason::*;

#[track_caller]
fn expect_item(
    day: &str,
    change: impl FnOnce(&mut GoodsItem<'static>),
    expected: &[(Reason, char, Element, u16, &str)],
) {
    expect(day, |d| change(&mut d.goods_items[0]), expected);
}

fn money(currency: &'static str, hundredths: u64) -> Money<'static> {
    Money { currency, hundredths }
}

#[test]
fn values_present_and_positive() {
    use Element::*;
    let with =
        |money: Money<'static>| move |item: &mut GoodsItem<'static>| item.intrinsic_value = money;
    expect_item(OLD, with(money("", 0)), &[(FieldMissing, 'R', IntrinsicValue, 1, "")]);
    expect_item(OLD, with(money("EUR", 0)), &[(ValueNotPositive, 'R', IntrinsicValue, 1, "0.00")]);
    expect_item(OLD, with(money("", 5)), &[(FieldMissing, 'R', IntrinsicValueCurrency, 1, "")]);
    expect_item(OLD, with(money("EUR", 1)), &[]);
    for currency in ["XXX", "EURO", "eur", "ZZZ"] {
        expect_item(
            OLD,
            with(money(currency, 5)),
            &[(CurrencyUnknown, 'R', IntrinsicValueCurrency, 1, currency)],
        );
    }
    // It exists, but the ECB has no rate for it.
    expect_item(
        OLD,
        with(money("MGA", 5)),
        &[(CurrencyUnknown, 'R', IntrinsicValueCurrency, 1, "MGA")],
    );
    expect_item(
        OLD,
        with(money("EUR", u64::MAX)),
        &[(FieldFormat, 'R', IntrinsicValue, 1, "184467440737095516.15")],
    );
    let judged =
        judge(OLD, |d| d.goods_items[0].intrinsic_value = money("GBP", 9_999_999_999_999_999));
    assert_eq!(judged.seen[0].0, IntrinsicValueExceedsThreshold);
}

#[test]
fn measures() {
    use Element::*;
    expect_item(OLD, |i| i.gross_mass_mg = 0, &[(ValueNotPositive, 'R', GrossMass, 1, "0")]);
    expect_item(OLD, |i| i.gross_mass_mg = 1, &[]);
    expect_item(OLD, |i| i.gross_mass_mg = 9_999_999_999_999_999, &[]);
    expect_item(
        OLD,
        |i| i.gross_mass_mg = 10_000_000_000_000_000,
        &[(FieldFormat, 'R', GrossMass, 1, "10000000000000000")],
    );
    expect_item(OLD, |i| i.packages = 0, &[(ValueNotPositive, 'R', Packages, 1, "0")]);
    expect_item(OLD, |i| i.packages = 99_999_999, &[]);
    expect_item(OLD, |i| i.packages = 100_000_000, &[(FieldFormat, 'R', Packages, 1, "100000000")]);
    expect(OLD, |d| add_item(d).packages = 0, &[]);
}

#[test]
fn the_threshold_is_for_the_whole_consignment() {
    let element = Element::IntrinsicValue;
    for day in [OLD, NEW, LATEST] {
        expect_item(day, |i| i.intrinsic_value = money("EUR", 15_000), &[]);
        expect_item(
            day,
            |i| i.intrinsic_value = money("EUR", 15_001),
            &[(IntrinsicValueExceedsThreshold, 'R', element, 0, "150.01")],
        );
        expect(
            day,
            |d| {
                d.goods_items[0].intrinsic_value = money("EUR", 7_500);
                add_item(d).intrinsic_value = money("EUR", 7_501);
            },
            &[(IntrinsicValueExceedsThreshold, 'R', element, 0, "150.01")],
        );
    }
    // A goods item that cannot be converted leaves the sum unknown.
    let judged = judge(OLD, |d| {
        d.goods_items[0].intrinsic_value = money("EUR", 20_000);
        add_item(d).intrinsic_value = money("XXX", 1);
    });
    assert_eq!(judged.seen.iter().map(|s| s.0).collect::<Vec<_>>(), [CurrencyUnknown]);
    assert_eq!(judged.judgement.intrinsic_value.0, 0);
    // One without value does not.
    let judged = judge(OLD, |d| {
        d.goods_items[0].intrinsic_value = money("EUR", 20_000);
        add_item(d).intrinsic_value = money("EUR", 0);
    });
    assert_eq!(judged.judgement.intrinsic_value.0, 20_000);
    assert_eq!(judged.seen.len(), 2);
}

#[test]
fn each_goods_item_is_rounded_before_they_are_added() {
    // 1.1587 dollars a euro in 2025-11: 1 cent is 0.863 euro cents, so 1 each.
    let judged = judge(OLD, |d| {
        d.goods_items[0].intrinsic_value = money("USD", 1);
        for _ in 0..9 {
            add_item(d);
        }
    });
    assert_eq!(judged.seen, []);
    assert_eq!(judged.judgement.intrinsic_value.0, 10);
}

#[test]
fn near_the_threshold_through_the_rate() {
    let element = Element::IntrinsicValue;
    // The rate of that month, from the file itself.
    let rates = std::str::from_utf8(&LAW.files()["rates.csv"]).unwrap().to_owned();
    let is_rate = |line: &&str| line.starts_with("USD,") && line.contains(",2025-11-01,");
    let line = rates.lines().find(is_rate).expect("a rate");
    let rate: rust_decimal::Decimal = line.split(',').nth(1).unwrap().parse().unwrap();
    let dollars = |cents: u64| {
        // The largest amount that is still worth so many cents.
        let mut amount: u64 =
            (rust_decimal::Decimal::from(cents) * rate).trunc().try_into().unwrap();
        let parsed = super::super::money::Rate::parse(&rate.to_string()).unwrap();
        while parsed.to_eur(amount + 1).0 <= cents {
            amount += 1;
        }
        amount
    };
    let with = |hundredths: u64| {
        move |d: &mut Declaration<'static>| {
            d.goods_items[0].intrinsic_value = money("USD", hundredths)
        }
    };
    expect(OLD, with(dollars(15_000)), &[]);
    expect(OLD, with(dollars(15_001)), &[(IntrinsicValueNearRate, 'F', element, 0, "150.01")]);
    expect(OLD, with(dollars(15_750)), &[(IntrinsicValueNearRate, 'F', element, 0, "157.50")]);
    let above = (IntrinsicValueExceedsThreshold, 'R', element, 0, "157.51");
    expect(OLD, with(dollars(15_751)), &[above]);
    // Not without the import scheme,
    expect(
        OLD,
        |d| {
            with(dollars(15_001))(d);
            route(d, &["C07"]);
        },
        &[(IntrinsicValueExceedsThreshold, 'R', element, 0, "150.01")],
    );
    // nor in two currencies, nor in euro.
    let judged = judge(OLD, |d| {
        with(dollars(15_001))(d);
        add_item(d).intrinsic_value = money("EUR", 1);
    });
    assert_eq!(judged.seen[0].0, IntrinsicValueExceedsThreshold);
    let judged = judge(OLD, |d| {
        with(dollars(15_001))(d);
        add_item(d).intrinsic_value = money("CNY", 10);
    });
    assert_eq!(judged.seen[0].0, IntrinsicValueExceedsThreshold);
    let judged = judge(OLD, |d| {
        with(dollars(15_001))(d);
        add_item(d).intrinsic_value = money("USD", 10);
    });
    assert_eq!(judged.seen[0].0, IntrinsicValueNearRate);
}

#[test]
fn gifts_have_their_own_threshold() {
    let gift = |hundredths: u64| {
        move |d: &mut Declaration<'static>| {
            route(d, &["C08"]);
            d.exporter.name = "Anna Example";
            d.goods_items[0].intrinsic_value = money("EUR", hundredths);
        }
    };
    for day in [OLD, NEW, LATEST] {
        expect(day, gift(4_500), &[]);
        for (value, shown) in [(4_501, "45.01"), (20_000, "200.00")] {
            let expected = (GiftValueExceeds45, 'R', Element::IntrinsicValue, 0, shown);
            expect(day, gift(value), &[expected]);
        }
    }
}

#[test]
fn rates_hold_for_their_month() {
    let element = Element::IntrinsicValueCurrency;
    let with = |currency| {
        move |d: &mut Declaration<'static>| {
            d.goods_items[0].intrinsic_value = money(currency, 1_000)
        }
    };
    expect("2026-11-30", with("USD"), &[]);
    let outdated = (RateOutdated, 'F', element, 0, "2026-11");
    expect("2026-12-01", with("USD"), &[outdated]);
    expect("2027-03-01", with("USD"), &[outdated]);
    expect("2026-12-01", with("EUR"), &[]);
    // Once for the declaration.
    expect(
        "2026-12-01",
        |d| {
            with("USD")(d);
            add_item(d);
        },
        &[outdated],
    );
    // HRK ended with 2022, BGN with 2025, and RUB has no rate since April 2022.
    for (currency, last, first) in [
        ("HRK", "2022-12-31", "2023-01-01"),
        ("BGN", "2025-12-31", "2026-01-01"),
        ("RUB", "2022-03-31", "2022-04-01"),
    ] {
        expect(last, with(currency), &[]);
        expect(first, with(currency), &[(CurrencyUnknown, 'R', element, 1, currency)]);
    }
}

#[test]
fn hs_codes() {
    let element = Element::HsCode;
    // Without words, so that only the code is in question.
    let hs = |code: &'static str| {
        move |item: &mut GoodsItem<'static>| {
            item.hs6 = code;
            item.description = "Something particular";
        }
    };
    expect_item(OLD, hs(""), &[(FieldMissing, 'R', element, 1, "")]);
    for bad in ["61091", "6109100", "61091A", "61 910"] {
        expect_item(OLD, hs(bad), &[(FieldFormat, 'R', element, 1, bad)]);
    }
    for bad in ["771000", "000000", "980000", "620193", "999999", "240299"] {
        expect_item(OLD, hs(bad), &[(HsCodeNotInNomenclature, 'R', element, 1, bad)]);
    }
    expect_item(OLD, hs("620140"), &[]);
    // Of 2021 we hold no list: the chapter is tested.
    expect_item("2021-12-31", hs("620193"), &[]);
    expect_item(
        "2022-01-01",
        hs("620193"),
        &[(HsCodeNotInNomenclature, 'R', element, 1, "620193")],
    );
    for bad in ["771000", "000100", "980000"] {
        expect_item("2021-12-31", hs(bad), &[(HsCodeNotInNomenclature, 'R', element, 1, bad)]);
    }
}

#[test]
fn restrictions() {
    let element = Element::HsCode;
    let excise = ["220300", "220830", "240220", "240412", "271012", "271121"];
    let restricted = [
        "010121", "020110", "030211", "040110", "050100", "160100", "060110", "120991", "300490",
        "300610", "360410", "380891", "930690", "710210", "970510",
    ];
    let possible = [
        "070200", "080810", "290110", "293941", "290341", "382711", "410320", "430110", "960110",
        "854340", "950300", "850650", "850760", "851610", "851713", "852691", "871160", "880621",
        "901320", "901890", "330499", "210690", "821110",
    ];
    for day in [OLD, NEW] {
        for (codes, reason, severity) in [
            (&excise[..], ExciseGoodsNotAllowed, 'R'),
            (&restricted[..], GoodsRestricted, 'R'),
            (&possible[..], GoodsRestrictionPossible, 'F'),
        ] {
            for code in codes {
                let change = |item: &mut GoodsItem<'static>| {
                    item.hs6 = code;
                    item.description = "Something particular";
                };
                expect_item(day, change, &[(reason, severity, element, 1, code)]);
            }
        }
    }
    for code in ["300510", "854370", "950490"] {
        expect_item(
            OLD,
            |item| {
                item.hs6 = code;
                item.description = "Something particular";
            },
            &[],
        );
    }
    let perfume = |item: &mut GoodsItem<'static>| {
        item.hs6 = "330300";
        item.description = "Eau de toilette";
    };
    expect_item("2026-06-30", perfume, &[(GoodsRestricted, 'R', element, 1, "330300")]);
    expect_item("2026-07-01", perfume, &[(GoodsRestrictionPossible, 'F', element, 1, "330300")]);
}

#[test]
fn detours() {
    let change = |country: &'static str, hs6: &'static str| {
        move |d: &mut Declaration<'static>| {
            d.exporter.country = country;
            d.goods_items[0].hs6 = hs6;
            d.goods_items[0].description = "Something particular";
        }
    };
    for country in ["AM", "AZ", "AE", "GE", "KG", "KZ", "RS", "TR", "UZ"] {
        let expected = (SanctionsDetour, 'F', Element::HsCode, 1, "732690");
        expect(OLD, change(country, "732690"), &[expected]);
        expect(OLD, change(country, "610910"), &[]);
    }
    expect(OLD, change("CN", "732690"), &[]);
    expect(OLD, change("TR", "711319"), &[]);
    expect("2022-03-01", change("TR", "732690"), &[]);
}
