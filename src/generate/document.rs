//! References with check digits: postal barcodes, air waybills, house waybills, and the MRNs of
//! temporary storage declarations.

use super::random::Random;
use crate::id::mrn_check_digit;
use crate::proto::v1::DocumentReference;

/// A document of this type with this reference.
pub(crate) fn document(r#type: &str, reference: String) -> DocumentReference {
    DocumentReference { r#type: r#type.to_owned(), reference }
}

/// The check digit of a postal S10 barcode's eight digits (UPU S10).
fn s10_check_digit(serial: u64) -> u64 {
    let mut rest = serial;
    let mut sum = 0;
    for weight in [7, 9, 5, 3, 2, 4, 6, 8] {
        sum += rest % 10 * weight;
        rest /= 10;
    }
    match 11 - sum % 11 {
        10 => 0,
        11 => 5,
        digit => digit,
    }
}

/// A postal barcode: two letters of service, eight digits, the check digit, the country of origin.
/// With `wrong`, another check digit than the right one.
pub(crate) fn s10(random: &mut Random, country: &str, wrong: bool) -> DocumentReference {
    let service = random.pick(&["LV", "UA", "RB", "CX", "EB", "LP"]);
    let serial = random.below(100_000_000);
    let digit = (s10_check_digit(serial) + u64::from(wrong)) % 10;
    document("S10", format!("{service}{serial:08}{digit}{country}"))
}

/// An air waybill: the airline's number, seven digits, and these modulo 7 (IATA resolution 600a).
pub(crate) fn air_waybill(random: &mut Random) -> DocumentReference {
    let airline = random.pick(&["074", "784", "999", "160", "180", "157", "006", "235"]);
    let serial = random.below(10_000_000);
    document("N740", format!("{airline}-{serial:07}{}", serial % 7))
}

/// A house waybill in the carrier's own form.
pub(crate) fn house_waybill(random: &mut Random, prefix: &str) -> DocumentReference {
    document("N703", format!("{prefix}-{:010}", random.below(10_000_000_000)))
}

/// The MRN of a Dutch temporary storage declaration of that year, under which a flight's goods
/// came in.
pub(crate) fn storage_mrn(random: &mut Random, year: u16) -> DocumentReference {
    let body = format!("{:02}NLTSD{:09}U", year % 100, random.below(1_000_000_000));
    let digit = mrn_check_digit(body.as_bytes()).unwrap_or(0);
    document("N337", format!("{body}{digit}"))
}

/// The same MRN with a check digit that is not the right one.
pub(crate) fn with_wrong_check_digit(mrn: &str) -> String {
    let mut wrong = mrn.to_owned();
    let digit = wrong.pop().and_then(|last| last.to_digit(10)).unwrap_or(0);
    wrong.push(char::from_digit((digit + 1) % 10, 10).unwrap_or('0'));
    wrong
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn s10_check_digits_of_the_published_examples() {
        // LV 12345678 5 CN, and RB 47312482 9 (UPU S10's own worked example).
        assert_eq!(s10_check_digit(12_345_678), 5);
        assert_eq!(s10_check_digit(47_312_482), 9);
    }

    #[test]
    fn references_have_their_form() {
        let mut random = Random::keyed(&[1]);
        for _ in 0..200 {
            let barcode = s10(&mut random, "CN", false).reference;
            let serial: u64 = barcode[2..10].parse().unwrap();
            assert_eq!(barcode.len(), 13);
            assert_eq!(barcode[10..11].parse::<u64>().unwrap(), s10_check_digit(serial));
            let wrong = s10(&mut random, "CN", true).reference;
            let serial: u64 = wrong[2..10].parse().unwrap();
            assert_ne!(wrong[10..11].parse::<u64>().unwrap(), s10_check_digit(serial));

            let waybill = air_waybill(&mut random).reference;
            let serial: u64 = waybill[4..11].parse().unwrap();
            assert_eq!(waybill[11..].parse::<u64>().unwrap(), serial % 7);

            let mrn = storage_mrn(&mut random, 2026).reference;
            let right = char::from(b'0' + mrn_check_digit(mrn.as_bytes()).unwrap());
            assert_eq!((mrn.len(), &mrn[..7], mrn.ends_with(right)), (18, "26NLTSD", true));
            assert!(!with_wrong_check_digit(&mrn).ends_with(right));
        }
    }
}
