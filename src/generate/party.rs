//! Who sends and who receives: invented sellers and persons with addresses of the right form.

use super::random::Random;
use crate::proto::v1::Party;

const SURNAMES: [&str; 48] = [
    "de Jong",
    "Jansen",
    "de Vries",
    "van den Berg",
    "Bakker",
    "Visser",
    "Smit",
    "Meijer",
    "de Boer",
    "Mulder",
    "de Groot",
    "Bos",
    "Vos",
    "Peters",
    "Hendriks",
    "van Leeuwen",
    "Dekker",
    "Brouwer",
    "de Wit",
    "Dijkstra",
    "Smits",
    "de Graaf",
    "van der Meer",
    "Kok",
    "Jacobs",
    "van Vliet",
    "Prins",
    "Schouten",
    "Kuipers",
    "Postma",
    "Willems",
    "van Beek",
    "Huisman",
    "Verhoeven",
    "Koster",
    "Postmus",
    "Scholten",
    "van Dam",
    "Blom",
    "Wolters",
    "Molenaar",
    "Evers",
    "Yilmaz",
    "El Amrani",
    "Nguyen",
    "Müller",
    "Gómez",
    "Zoë-Renée Lefèvre",
];
const INITIALS: [&str; 12] =
    ["A.", "B.J.", "C.", "D.M.", "E.", "F.A.", "H.", "J.", "K.L.", "M.", "P.W.", "S."];
const STREETS: [&str; 16] = [
    "Dorpsstraat",
    "Kerkstraat",
    "Stationsweg",
    "Molenweg",
    "Schoolstraat",
    "Julianalaan",
    "Waagplein",
    "Hoofdstraat",
    "Beukenlaan",
    "Industrieweg",
    "Markt",
    "Lindelaan",
    "Parkweg",
    "Nieuwstraat",
    "Brinkgreverweg",
    "Wilhelminastraat",
];
const SELLER_FIRST: [&str; 24] = [
    "Lotusbay",
    "Brightpeak",
    "Sunwave",
    "Goldleaf",
    "Orient Star",
    "Bluecrane",
    "Moonriver",
    "Hengda",
    "Xinyue",
    "Jiahe",
    "Ruifeng",
    "Yongtai",
    "Huaxing",
    "Kaiyuan",
    "Nova",
    "Everlink",
    "Silverpine",
    "Redmaple",
    "Quickthread",
    "Homely",
    "Pawtail",
    "Lumio",
    "Fitrange",
    "Artcraft",
];
const SELLER_SECOND: [&str; 10] = [
    "Trading",
    "E-Commerce",
    "Technology",
    "Apparel",
    "Import Export",
    "Electronics",
    "Home",
    "Fashion",
    "Crafts",
    "Outdoor",
];

/// A place abroad from which sellers send, with the currencies they invoice in.
pub(crate) struct Origin {
    /// ISO 3166-1 alpha-2.
    pub(crate) country: &'static str,
    /// Of 100 sellers, how many are here.
    share: u64,
    places: &'static [(&'static str, &'static str)],
    street: &'static str,
    company: &'static str,
    /// ISO 4217, each as likely as the others.
    pub(crate) currencies: &'static [&'static str],
}

/// Nine parcels in ten come from China (Commission communication of February 2025: 91 %).
static ORIGINS: [Origin; 8] = [
    Origin {
        country: "CN",
        share: 86,
        places: &[
            ("Shenzhen", "518000"),
            ("Guangzhou", "510000"),
            ("Yiwu", "322000"),
            ("Hangzhou", "310000"),
            ("Dongguan", "523000"),
            ("Ningbo", "315000"),
        ],
        street: "Xingye Rd",
        company: "Co., Ltd",
        currencies: &["USD", "EUR", "EUR", "CNY", "USD", "EUR"],
    },
    Origin {
        country: "HK",
        share: 4,
        places: &[("Hong Kong", "999077"), ("Kowloon", "999077")],
        street: "Nathan Road",
        company: "Limited",
        currencies: &["HKD", "USD"],
    },
    Origin {
        country: "US",
        share: 3,
        places: &[("Portland", "97201"), ("Austin", "73301"), ("Newark", "07101")],
        street: "Main Street",
        company: "Inc",
        currencies: &["USD"],
    },
    Origin {
        country: "GB",
        share: 3,
        places: &[("London", "E1 6AN"), ("Leeds", "LS1 4AP"), ("Bristol", "BS1 5TR")],
        street: "High Street",
        company: "Ltd",
        currencies: &["GBP", "EUR"],
    },
    Origin {
        country: "JP",
        share: 1,
        places: &[("Tokyo", "103-0023"), ("Osaka", "530-0001")],
        street: "Honcho",
        company: "KK",
        currencies: &["JPY"],
    },
    Origin {
        country: "KR",
        share: 1,
        places: &[("Seoul", "04524"), ("Busan", "48058")],
        street: "Sejong-daero",
        company: "Co., Ltd",
        currencies: &["KRW", "USD"],
    },
    Origin {
        country: "TR",
        share: 1,
        places: &[("Istanbul", "34000"), ("Izmir", "35000")],
        street: "Atatürk Caddesi",
        company: "A.Ş.",
        currencies: &["EUR"],
    },
    Origin {
        country: "IN",
        share: 1,
        places: &[("Mumbai", "400001"), ("Jaipur", "302001")],
        street: "Station Road",
        company: "Pvt Ltd",
        currencies: &["USD", "EUR"],
    },
];

/// Where a random sender is.
pub(crate) fn origin(random: &mut Random) -> &'static Origin {
    let [china, ..] = &ORIGINS;
    let mut rest = random.below(100);
    for origin in &ORIGINS {
        if rest < origin.share {
            return origin;
        }
        rest -= origin.share;
    }
    china
}

fn abroad(random: &mut Random, origin: &Origin, name: String) -> Party {
    let (city, postcode) = random.pick(origin.places);
    Party {
        name,
        street: format!("{} {}", random.between(1, 499), origin.street),
        postcode: postcode.to_owned(),
        city: city.to_owned(),
        country: origin.country.to_owned(),
        identification: String::new(),
    }
}

/// A seller's company.
pub(crate) fn seller(random: &mut Random, origin: &Origin) -> Party {
    let name = format!(
        "{} {} {}",
        random.pick(&SELLER_FIRST),
        random.pick(&SELLER_SECOND),
        origin.company
    );
    abroad(random, origin, name)
}

/// A private person who sends a gift.
pub(crate) fn sender(random: &mut Random, origin: &Origin) -> Party {
    let name = person(random);
    abroad(random, origin, name)
}

fn person(random: &mut Random) -> String {
    format!("{} {}", random.pick(&INITIALS), random.pick(&SURNAMES))
}

fn letter(random: &mut Random) -> char {
    // Without the letters that Dutch postcodes do not use.
    random.pick(&['A', 'B', 'C', 'D', 'E', 'G', 'H', 'J', 'K', 'L', 'M', 'N', 'P', 'R', 'S', 'T'])
}

/// A consignee in the Netherlands; every hundredth a small business with an EORI and no more.
pub(crate) fn dutch_importer(random: &mut Random, may_be_business: bool) -> Party {
    if may_be_business && random.percent(1) {
        return Party {
            identification: format!("NL{:09}", random.between(100_000_000, 899_999_999)),
            country: "NL".to_owned(),
            ..Party::default()
        };
    }
    let city = random.pick(&[
        "Deventer",
        "Amsterdam",
        "Rotterdam",
        "Utrecht",
        "Eindhoven",
        "Groningen",
        "Zwolle",
        "Breda",
        "Arnhem",
        "Leiden",
        "'s-Hertogenbosch",
        "Alkmaar",
        "Gouda",
        "Almere",
    ]);
    Party {
        name: person(random),
        street: format!("{} {}", random.pick(&STREETS), random.between(1, 240)),
        postcode: format!("{}{}{}", random.between(1_011, 9_999), letter(random), letter(random)),
        city: city.to_owned(),
        country: "NL".to_owned(),
        identification: String::new(),
    }
}

/// A consignee elsewhere in the Union, which an IOSS sale may have.
pub(crate) fn other_importer(random: &mut Random) -> Party {
    let (country, city) = random.pick(&[
        ("DE", "Köln"),
        ("DE", "Hamburg"),
        ("BE", "Antwerpen"),
        ("BE", "Gent"),
        ("FR", "Lille"),
        ("FR", "Lyon"),
        ("ES", "Valencia"),
        ("IT", "Milano"),
        ("AT", "Graz"),
    ]);
    let postcode = match country {
        "BE" | "AT" => random.between(1_000, 9_999).to_string(),
        _ => format!("{:05}", random.between(10_000, 98_999)),
    };
    Party {
        name: person(random),
        street: format!("{} {}", random.pick(&STREETS), random.between(1, 240)),
        postcode,
        city: city.to_owned(),
        country: country.to_owned(),
        identification: String::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn parties_keep_within_the_lengths_of_the_data_set() {
        assert_eq!(ORIGINS.iter().map(|origin| origin.share).sum::<u64>(), 100);
        let mut random = Random::keyed(&[3]);
        for _ in 0..2_000 {
            let from = origin(&mut random);
            for party in [
                seller(&mut random, from),
                sender(&mut random, from),
                dutch_importer(&mut random, true),
                other_importer(&mut random),
            ] {
                assert!(party.name.chars().count() <= 70, "{party:?}");
                assert!(party.street.chars().count() <= 70, "{party:?}");
                assert!(party.city.chars().count() <= 35 && party.postcode.len() <= 17);
                assert_eq!(party.country.len(), 2);
                assert!(!party.identification.is_empty() || !party.name.is_empty());
            }
        }
    }
}
