//! What is sold: products with HS codes, believable prices and weights, and how each is described.
//!
//! The codes exist in HS 2022, and none is on a list that bars goods from H7 (excise, restriction):
//! a declaration of these goods is acceptable unless a defect was planted in it.

use super::random::Random;

/// How the specimens of a product differ, in its description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    Size,
    ShoeSize,
    Colour,
    Plain,
}

/// One product of the catalogue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product {
    /// Six digits of the Harmonised System.
    pub(crate) hs6: &'static str,
    /// Plain language, precise enough to identify the goods.
    pub(crate) description: &'static str,
    /// Price of a piece in euro cents, from and to.
    pub(crate) price_eur_cents: (u64, u64),
    /// Gross mass of a piece in grams, from and to.
    pub(crate) mass_g: (u64, u64),
    variant: Variant,
}

const fn product(
    hs6: &'static str,
    description: &'static str,
    eur_min: u64,
    eur_max: u64,
    grams_min: u64,
    grams_max: u64,
    variant: Variant,
) -> Product {
    Product {
        hs6,
        description,
        price_eur_cents: (eur_min * 100, eur_max * 100),
        mass_g: (grams_min, grams_max),
        variant,
    }
}

/// Prices and weights are our own estimates of what web shops ask (no source; nothing but realism
/// rests on them).
#[rustfmt::skip]
pub(crate) static PRODUCTS: [Product; 100] = [
    product("610910", "Men's cotton T-shirt, printed", 4, 19, 140, 240, Variant::Size),
    product("610990", "Women's T-shirt of viscose, sleeveless", 4, 16, 90, 190, Variant::Size),
    product("611020", "Cotton sweater, knitted", 9, 45, 280, 620, Variant::Size),
    product("611030", "Polyester hoodie with zip", 10, 42, 320, 700, Variant::Size),
    product("620520", "Men's cotton shirt, long sleeves", 8, 38, 190, 340, Variant::Size),
    product("620640", "Women's blouse of polyester", 6, 30, 110, 240, Variant::Size),
    product("620443", "Women's dress of polyester, midi", 8, 48, 180, 420, Variant::Size),
    product("610443", "Knitted dress of polyester", 8, 40, 170, 380, Variant::Size),
    product("620342", "Men's cotton trousers", 10, 55, 350, 720, Variant::Size),
    product("620462", "Women's cotton trousers, high waist", 10, 50, 330, 690, Variant::Size),
    product("610463", "Women's knitted trousers, sports", 6, 32, 170, 350, Variant::Size),
    product("611596", "Socks of synthetic fibres, 5 pairs", 2, 12, 90, 260, Variant::Size),
    product("621210", "Lace bra without wire", 4, 28, 60, 160, Variant::Size),
    product("610822", "Women's briefs of synthetic fibres, 3 pieces", 2, 15, 50, 140, Variant::Size),
    product("620140", "Men's winter jacket of polyester, padded", 18, 95, 600, 1500, Variant::Size),
    product("620240", "Women's rain coat of polyester", 15, 80, 450, 1100, Variant::Size),
    product("611241", "Women's swimsuit, one piece", 6, 34, 110, 240, Variant::Size),
    product("621710", "Fabric belt, woven", 1, 9, 40, 130, Variant::Colour),
    product("621420", "Woollen scarf, woven", 5, 35, 110, 280, Variant::Colour),
    product("650500", "Knitted hat of acrylic", 2, 14, 60, 140, Variant::Colour),
    product("640299", "Women's sandals with plastic sole", 5, 34, 300, 760, Variant::ShoeSize),
    product("640411", "Running shoes with textile upper", 12, 85, 500, 1050, Variant::ShoeSize),
    product("640419", "Canvas sneakers with rubber sole", 9, 48, 480, 950, Variant::ShoeSize),
    product("640399", "Leather ankle boots", 20, 110, 800, 1700, Variant::ShoeSize),
    product("420221", "Leather handbag with shoulder strap", 15, 110, 350, 1100, Variant::Colour),
    product("420222", "Handbag of polyurethane sheeting", 6, 45, 280, 900, Variant::Colour),
    product("420292", "Nylon backpack, 20 litres", 8, 55, 350, 1200, Variant::Colour),
    product("420231", "Leather wallet with card slots", 4, 35, 70, 170, Variant::Colour),
    product("392690", "Phone case of soft plastic", 1, 12, 20, 70, Variant::Colour),
    product("392410", "Plastic lunch box, 1 litre", 2, 14, 150, 420, Variant::Colour),
    product("392640", "Plastic figurine for the desk", 1, 15, 30, 260, Variant::Plain),
    product("392490", "Bathroom storage rack of plastic", 3, 22, 250, 900, Variant::Colour),
    product("392330", "Drinking bottle of plastic, 750 ml", 2, 14, 90, 240, Variant::Colour),
    product("391990", "Self-adhesive vinyl stickers, sheet of 50", 1, 7, 20, 90, Variant::Plain),
    product("851713", "Smartphone, refurbished", 60, 118, 180, 320, Variant::Plain),
    product("851762", "Bluetooth receiver for car audio", 5, 28, 30, 130, Variant::Plain),
    product("851830", "Wireless earbuds with charging box", 7, 60, 40, 160, Variant::Colour),
    product("851821", "Portable loudspeaker in cabinet", 9, 70, 200, 900, Variant::Colour),
    product("850440", "USB charger, 20 W", 3, 22, 50, 180, Variant::Colour),
    product("854442", "USB cable, 2 m, with connectors", 1, 11, 25, 110, Variant::Colour),
    product("850760", "Power bank, 10000 mAh", 7, 38, 180, 420, Variant::Colour),
    product("850980", "Electric milk frother", 4, 22, 120, 340, Variant::Colour),
    product("851631", "Hair dryer, 1600 W", 8, 48, 400, 900, Variant::Colour),
    product("851672", "Toaster for two slices", 14, 48, 900, 1900, Variant::Colour),
    product("851679", "Electric egg cooker", 7, 26, 400, 900, Variant::Colour),
    product("853952", "LED lamp, E27, 9 W, pack of 4", 4, 20, 140, 380, Variant::Plain),
    product("940521", "Desk lamp with LED, dimmable", 8, 48, 350, 1300, Variant::Colour),
    product("940542", "LED strip lamp, 5 m", 4, 24, 120, 380, Variant::Plain),
    product("847160", "Wireless keyboard for computers", 8, 55, 350, 900, Variant::Colour),
    product("847330", "Laptop cooling fan module", 5, 30, 80, 300, Variant::Plain),
    product("852351", "Memory card, 128 GB", 6, 30, 5, 30, Variant::Plain),
    product("852589", "Action camera, 4K", 22, 118, 120, 420, Variant::Plain),
    product("900410", "Sunglasses with plastic frame", 3, 28, 30, 120, Variant::Colour),
    product("910211", "Wrist watch with quartz movement", 6, 90, 50, 190, Variant::Colour),
    product("711719", "Necklace of base metal, gilded", 1, 18, 10, 60, Variant::Plain),
    product("711790", "Bracelet of glass beads", 1, 10, 10, 50, Variant::Colour),
    product("711311", "Silver ring, 925", 6, 60, 4, 25, Variant::Plain),
    product("670419", "Wig of synthetic hair", 8, 60, 110, 320, Variant::Colour),
    product("330499", "Face cream, 50 ml", 4, 38, 70, 190, Variant::Plain),
    product("330410", "Lipstick, matt, set of 3", 3, 22, 30, 110, Variant::Colour),
    product("330510", "Shampoo, 300 ml", 3, 18, 320, 410, Variant::Plain),
    product("330790", "Bath bombs, box of 6", 4, 20, 380, 760, Variant::Plain),
    product("950300", "Plush toy, bear, 30 cm", 3, 25, 150, 480, Variant::Colour),
    product("950490", "Board game for the family", 7, 40, 350, 1200, Variant::Plain),
    product("950691", "Yoga mat, 6 mm", 7, 32, 700, 1300, Variant::Colour),
    product("950699", "Swimming goggles for adults", 3, 20, 60, 160, Variant::Colour),
    product("950790", "Fishing reel lures, set of 30", 3, 22, 60, 260, Variant::Plain),
    product("950510", "Christmas tree ornaments, set of 24", 4, 24, 250, 800, Variant::Colour),
    product("630790", "Pet blanket of polyester", 4, 24, 250, 800, Variant::Colour),
    product("630231", "Bed sheet of cotton, fitted", 8, 45, 450, 1200, Variant::Size),
    product("630392", "Curtain of polyester, 2 panels", 8, 48, 600, 1600, Variant::Colour),
    product("630493", "Cushion cover of polyester, 45 x 45 cm", 2, 14, 80, 220, Variant::Colour),
    product("940490", "Pillow with polyester filling", 6, 38, 450, 1100, Variant::Plain),
    product("940350", "Wooden bedside table, flat packed", 30, 110, 5000, 14000, Variant::Colour),
    product("691110", "Porcelain mug, 350 ml", 3, 18, 280, 460, Variant::Colour),
    product("701337", "Drinking glasses, set of 4", 5, 28, 700, 1500, Variant::Plain),
    product("732393", "Stainless steel cooking pan, 24 cm", 9, 60, 800, 1900, Variant::Plain),
    product("732399", "Steel kitchen sieve, set of 3", 3, 18, 200, 520, Variant::Plain),
    product("820551", "Garlic press of stainless steel", 3, 17, 140, 360, Variant::Plain),
    product("821300", "Scissors for paper, 21 cm", 1, 10, 60, 160, Variant::Colour),
    product("830210", "Door hinges of steel, 4 pieces", 3, 18, 200, 700, Variant::Plain),
    product("482010", "Paper notebook, hard cover, 200 pages", 3, 16, 250, 620, Variant::Colour),
    product("490199", "Printed novel, paperback", 5, 24, 180, 520, Variant::Plain),
    product("490900", "Printed greeting cards, set of 12", 2, 12, 80, 220, Variant::Plain),
    product("960810", "Ballpoint pens, set of 10", 1, 12, 80, 190, Variant::Colour),
    product("961519", "Hair clips of metal, set of 8", 1, 8, 30, 110, Variant::Colour),
    product("961700", "Vacuum flask of steel, 500 ml", 7, 34, 280, 520, Variant::Colour),
    product("871200", "Bicycle for children, 16 inch", 70, 118, 7000, 10500, Variant::Colour),
    product("871499", "Bicycle saddle cover with gel", 4, 22, 180, 420, Variant::Plain),
    product("870899", "Car door trim clips, 100 pieces", 3, 18, 60, 240, Variant::Plain),
    product("842139", "Filter for air cleaner", 6, 32, 150, 700, Variant::Plain),
    product("732690", "Shelf bracket of steel, pair", 3, 20, 250, 900, Variant::Colour),
    product("847989", "Ultrasonic humidifier for rooms", 8, 45, 350, 1100, Variant::Colour),
    product("920590", "Harmonica in C, 10 holes", 5, 38, 90, 220, Variant::Plain),
    product("920930", "Guitar strings, set of 6", 3, 16, 30, 90, Variant::Plain),
    product("420500", "Leather key fob", 1, 10, 15, 60, Variant::Colour),
    product("330749", "Room fragrance sticks, 100 ml", 4, 22, 220, 460, Variant::Plain),
    product("190531", "Sweet biscuits, tin of 400 g", 4, 18, 450, 620, Variant::Plain),
    product("090230", "Black tea, 100 bags", 3, 16, 200, 330, Variant::Plain),
    product("210690", "Protein powder, vanilla, 500 g", 9, 38, 540, 680, Variant::Plain),
];

/// Descriptions that say nothing: ICS2 stop words, flagged and not rejected.
pub(crate) const VAGUE: [&str; 8] =
    ["gift", "accessories", "clothing", "parts", "electronics", "goods", "sample", "garments"];

const SIZES: [&str; 6] = ["XS", "S", "M", "L", "XL", "XXL"];
const COLOURS: [&str; 10] =
    ["black", "white", "grey", "navy", "red", "green", "beige", "pink", "brown", "light blue"];

/// A product of the catalogue; the same few are the popular ones.
pub(crate) fn draw(random: &mut Random) -> &'static Product {
    let place = random.low_below(PRODUCTS.len() as u64);
    let [first, ..] = &PRODUCTS;
    usize::try_from(place).ok().and_then(|at| PRODUCTS.get(at)).unwrap_or(first)
}

impl Product {
    /// The description of one specimen: `Women's blouse of polyester, size M`.
    pub(crate) fn describe(&self, random: &mut Random) -> String {
        let detail = match self.variant {
            Variant::Size => format!("size {}", random.pick(&SIZES)),
            Variant::ShoeSize => format!("size {}", random.between(35, 46)),
            Variant::Colour => random.pick(&COLOURS).to_owned(),
            Variant::Plain => return self.description.to_owned(),
        };
        [self.description, &detail].join(", ")
    }
}

/// The code of `product`'s GTIN-13: a GS1 prefix kept for use within a company (200 to 299), the
/// product's number and the check digit.
pub(crate) fn gtin(item: u64) -> String {
    let body = format!("29{:010}", item % 10_000_000_000);
    // GS1 General Specifications 7.9: from the right, weights 3, 1, 3, 1 ...
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| u32::from(digit - b'0') * if place % 2 == 0 { 3 } else { 1 })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn no_product_is_barred_from_the_h7_and_all_are_affordable() {
        // Prefixes that draw a rejection, from the list of goods that need a full declaration.
        let barred = [
            "01", "02", "03", "04", "05", "06", "1209", "1601", "1602", "1603", "1604", "1605",
            "2203", "2204", "2205", "2206", "2207", "2208", "24", "2710", "2711", "3001", "3002",
            "3003", "3004", "3006", "3303", "36", "3808", "7102", "77", "93", "9705", "9706", "98",
            "99",
        ];
        for (place, product) in PRODUCTS.iter().enumerate() {
            assert!(product.hs6.len() == 6 && product.hs6.bytes().all(|b| b.is_ascii_digit()));
            assert!(!barred.iter().any(|prefix| product.hs6.starts_with(prefix)), "{product:?}");
            assert!(!PRODUCTS[..place].iter().any(|other| other.hs6 == product.hs6), "{product:?}");
            let (low, high) = product.price_eur_cents;
            assert!(100 <= low && low < high && high <= 12_000, "{product:?}");
            assert!(product.mass_g.0 > 0 && product.mass_g.0 < product.mass_g.1);
        }
    }

    #[test]
    fn gtin_check_digit_of_the_published_example() {
        // 4006381333931 is the example of the guidance; ours differ in their prefix only, so the
        // same arithmetic is applied to its first twelve digits.
        let number = gtin(123);
        assert_eq!(number.len(), 13);
        let sum: u32 = number
            .bytes()
            .enumerate()
            .map(|(place, digit)| u32::from(digit - b'0') * if place % 2 == 1 { 3 } else { 1 })
            .sum();
        assert_eq!(sum % 10, 0, "{number}");
    }
}
