//! Goods items of a world's declarations: goods, values and weights as an honest declarant states
//! them, and what misbehaving makes of them.

use super::declarant::Declarant;
use super::kind::Kind;
use super::number::{around, happens, power};
use crate::generate::goods::{self, PRODUCTS, Product, VAGUE};
use crate::generate::random::Random;

/// One goods item.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Place in the catalogue.
    pub(super) product: usize,
    /// What is declared.
    pub(super) eur_cents: u64,
    pub(super) mass_mg: u64,
}

/// The goods in a place of the catalogue.
pub(super) fn product(place: usize) -> &'static Product {
    let [first, ..] = &PRODUCTS;
    PRODUCTS.get(place).unwrap_or(first)
}

/// Codes that are used for anything: they are among those that fit no description but their own.
const FALSE_CODES: [&str; 6] = ["630790", "732690", "847989", "961519", "482010", "870899"];

/// Least that an honest line is worth, and weighs.
const EUR_CENTS_MIN: u64 = 15;
const MASS_MG_MIN: u64 = 2_000;

fn line(actor: &Declarant, random: &mut Random) -> Line {
    let product = actor.product(random);
    let level = actor.level(product);
    // Seven lines in eight are one piece, the others two or three.
    let pieces = if random.below(8) == 0 { random.between(2, 3) } else { 1 };
    let value = power(around(level.value, level.value_deviation, random));
    let mass = power(around(level.mass, level.mass_deviation, random));
    Line {
        product,
        eur_cents: (value * pieces).max(EUR_CENTS_MIN),
        mass_mg: (mass * pieces / 100 * 100).max(MASS_MG_MIN),
    }
}

/// Lines whose values add up to `cap` at most. What is worth more is not lodged like this, and so
/// is not seen: lines that would go beyond are left out, and a single one is drawn again.
pub(super) fn lines(actor: &Declarant, cap: u64, count: u64, random: &mut Random) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    let mut left = cap;
    for _ in 0..count {
        let line = line(actor, random);
        if line.eur_cents <= left {
            left -= line.eur_cents;
            lines.push(line);
        }
    }
    for _ in 0..12 {
        if !lines.is_empty() {
            return lines;
        }
        lines.extend(Some(line(actor, random)).filter(|line| line.eur_cents <= cap));
    }
    if lines.is_empty() {
        // Too dear twelve times over: fewer or smaller pieces of it.
        let mut line = line(actor, random);
        let worth = cap * random.between(30, 99) / 100;
        line.mass_mg = scaled(line.mass_mg, worth, line.eur_cents).max(MASS_MG_MIN);
        line.eur_cents = worth;
        lines.push(line);
    }
    lines
}

fn scaled(number: u64, by: u64, of: u64) -> u64 {
    let wide = u128::from(number) * u128::from(by) / u128::from(of.max(1));
    u64::try_from(wide).unwrap_or(u64::MAX)
}

/// More of the same goods, truly worth `truly`, declared at `declared` to the cent.
fn enlarge(lines: &mut [Line], truly: u64, declared: u64) {
    let total: u64 = lines.iter().map(|line| line.eur_cents).sum();
    let mut left = declared;
    let mut others = lines.len() as u64;
    for line in lines {
        others -= 1;
        line.mass_mg = (scaled(line.mass_mg, truly, total) / 100 * 100).max(MASS_MG_MIN);
        let worth = scaled(line.eur_cents, declared, total);
        line.eur_cents = if others == 0 { left } else { worth.clamp(1, left - others) };
        left -= line.eur_cents;
    }
}

/// What a misbehaving declarant makes of lines that are worth `cap` at most.
pub(super) fn reshape(
    lines: &mut Vec<Line>,
    shape: Kind,
    actor: &Declarant,
    cap: u64,
    random: &mut Random,
) {
    match shape {
        Kind::Undervalue => {
            for line in lines {
                line.eur_cents = (line.eur_cents * actor.factor / 1_000).max(1);
            }
        }
        Kind::Bunch => {
            let declared = random.between(14_510, cap);
            // Truly up to half as much again.
            enlarge(lines, declared * random.between(102, 150) / 100, declared);
        }
        Kind::Split => {
            let worth = random.between(8_000, 14_800);
            enlarge(lines, worth, worth);
        }
        Kind::Nominal => {
            for line in lines {
                line.eur_cents = random.between(10, 90);
            }
        }
        Kind::Repeat => {
            lines.truncate(1);
            let (product, eur_cents) = actor.repeated;
            for line in lines {
                let mut own = self::line(actor, random);
                let level = actor.level(product);
                own.mass_mg = power(around(level.mass, level.mass_deviation, random)) / 100 * 100;
                *line = Line { product, eur_cents, mass_mg: own.mass_mg.max(MASS_MG_MIN) };
            }
        }
        _ => {}
    }
}

/// HS code and description of a line.
pub(super) fn naming(
    line: &Line,
    text: Option<Kind>,
    actor: &Declarant,
    random: &mut Random,
) -> (&'static str, String) {
    let goods = product(line.product);
    let habits = &actor.habits;
    match text {
        Some(Kind::Vague) => return (goods.hs6, random.pick(&VAGUE).to_owned()),
        Some(Kind::Misclassify) => {
            return (false_code(goods, actor, random), goods.describe(random));
        }
        _ => {}
    }
    if happens(habits.vague, random) {
        return (goods.hs6, random.pick(&VAGUE).to_owned());
    }
    let mut description = goods.describe(random);
    if happens(habits.joined, random) {
        description.push_str(" and pouch");
    }
    let hs6 = if happens(habits.mismatch, random) { goods::draw(random).hs6 } else { goods.hs6 };
    (hs6, description)
}

/// A code of another chapter: half of the time the one that the declarant likes best.
fn false_code(goods: &Product, actor: &Declarant, random: &mut Random) -> &'static str {
    let first = if random.percent(50) { actor.false_code } else { random.next() };
    (0..2)
        .filter_map(|step| {
            let place = first.wrapping_add(step) % FALSE_CODES.len() as u64;
            usize::try_from(place).ok().and_then(|at| FALSE_CODES.get(at)).copied()
        })
        .find(|code| code.get(..2) != goods.hs6.get(..2))
        .unwrap_or("630790")
}

/// All lines as one: the first one's code, and up to three of the goods by name.
pub(super) fn merged(lines: &[Line]) -> Option<(Line, String)> {
    let first = lines.first()?;
    let names: Vec<&str> =
        lines.iter().take(3).map(|line| product(line.product).description).collect();
    let sum = |of: fn(&Line) -> u64| lines.iter().map(of).sum();
    let whole = Line {
        product: first.product,
        eur_cents: sum(|line| line.eur_cents),
        mass_mg: sum(|line| line.mass_mg),
    };
    Some((whole, names.join(" and ")))
}
