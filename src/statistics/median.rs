//! The value in the middle.

/// The median; of an even number of values what is in the middle of the two in the middle. `None` of none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    middle(values.len(), |place| values.get(place).copied())
}

/// The median of the values that stay where one of them is left out, of values that ascend.
#[must_use]
pub fn median_without(ascending: &[f64], one: f64) -> Option<f64> {
    let left_out = ascending.partition_point(|value| *value < one);
    let of = |place: usize| ascending.get(place + usize::from(place >= left_out)).copied();
    middle(ascending.len().saturating_sub(1), of)
}

fn middle(length: usize, of: impl Fn(usize) -> Option<f64>) -> Option<f64> {
    let upper = of(length / 2).filter(|_| length > 0)?;
    if length % 2 == 1 { Some(upper) } else { Some(f64::midpoint(of(length / 2 - 1)?, upper)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn of_few() {
        assert_eq!((median(vec![]), median_without(&[], 1.0)), (None, None));
        assert_eq!((median(vec![7.0]), median_without(&[7.0], 7.0)), (Some(7.0), None));
        assert_eq!(median(vec![9.0, 1.0, 4.0]), Some(4.0));
        assert_eq!(median(vec![9.0, 1.0, 4.0, 6.0]), Some(5.0));
    }

    proptest! {
        #[test]
        fn without_one_is_that_of_the_others(
            mut values in proptest::collection::vec(0..6_u8, 1..9),
            left_out in any::<prop::sample::Index>(),
        ) {
            values.sort_unstable();
            let mut others: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
            let ascending = others.clone();
            let one = others.remove(left_out.index(values.len()));
            prop_assert_eq!(median_without(&ascending, one), median(others));
        }
    }
}
