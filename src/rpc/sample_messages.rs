//! Sampling plans, selections and estimates as messages of the contract, and back.

use tonic::Status;

use super::compliance::{invalid, shortened};
use super::profile_messages::{conditions, conditions_message};
use crate::book::Recorder;
use crate::day::Day;
use crate::id::{Eori, ShortText};
use crate::proto::v1;
use crate::proto::v1::sampling_terms::Method as Contract;
use crate::samples::{
    Estimate, ItemId, Method, Outcome, PerKg, Plan, Selected, Selection, Stratum, Terms,
};
use crate::statistics::{Confidence, attribute_sample_size};

const CONFIDENCE_DEFAULT: f64 = 0.95;

/// What is to be recorded; not checked yet.
pub(super) fn terms(given: v1::SamplingTerms) -> Result<Terms, Status> {
    let day = |field: &str, text: &str| {
        Day::parse(text).ok_or_else(|| {
            let text = shortened(text);
            invalid(field, format!("is \"{text}\"; a day is written as 2026-11-22"))
        })
    };
    Ok(Terms {
        first: day("terms.first_day", &given.first_day)?,
        last: day("terms.last_day", &given.last_day)?,
        name: given.name.trim().to_owned(),
        purpose: given.purpose.trim().to_owned(),
        owner: given.owner.trim().to_owned(),
        conditions: conditions(given.conditions.unwrap_or_default()),
        method: match given.method {
            Some(Contract::Fixed(fixed)) => self::fixed(fixed)?,
            Some(Contract::ExpectedValue(expected)) => Method::ExpectedValue {
                interval: expected.interval_eur_cents,
                per_kg: expected.per_kg.into_iter().map(per_kg).collect(),
            },
            None => return Err(invalid("terms.method", "is none: fixed or expected_value")),
        },
    })
}

fn per_kg(given: v1::ValuePerKg) -> PerKg {
    PerKg { hs_prefix: given.hs_prefix.trim().to_owned(), eur_cents: given.eur_cents }
}

fn fixed(given: v1::FixedSample) -> Result<Method, Status> {
    let size = match given.size {
        0 => sized(given.confidence, given.tolerable_rate)?,
        size => size,
    };
    let strata = given.strata.into_iter().map(|stratum| Stratum {
        name: stratum.name.trim().to_owned(),
        conditions: conditions(stratum.conditions.unwrap_or_default()),
        expected_errors_per_million: stratum.expected_errors_per_million,
    });
    Ok(Method::Fixed { size, strata: strata.collect() })
}

/// How many, by confidence and tolerable rate.
fn sized(confidence: f64, tolerable_rate: f64) -> Result<u32, Status> {
    let asked = if confidence == 0.0 { CONFIDENCE_DEFAULT } else { confidence };
    let confidence = Confidence::new(asked).ok_or_else(|| {
        invalid("terms.fixed.confidence", format!("is {asked}; it must be above 0 and below 1"))
    })?;
    let size = attribute_sample_size(confidence, tolerable_rate).ok_or_else(|| {
        let why = format!("is {tolerable_rate}; without a size it must be above 0 and below 1");
        invalid("terms.fixed.tolerable_rate", why)
    })?;
    // One past u32 is past the bound too, and stays so.
    Ok(u32::try_from(size).unwrap_or(u32::MAX))
}

/// What a control found; not checked yet.
pub(super) fn outcome(given: v1::ControlOutcome, recorder: Recorder) -> Result<Outcome, Status> {
    let eori = given.declarant.trim().to_ascii_uppercase();
    let declarant = Eori::parse(&eori).ok_or_else(|| {
        let form = "an EORI has two letters and 1 to 15 letters, digits or hyphens";
        invalid("outcome.declarant", format!("is \"{}\"; {form}", shortened(&given.declarant)))
    })?;
    let lrn = ShortText::new(given.lrn.trim()).ok_or_else(|| {
        let why = "is no LRN: 1 to 22 printable ASCII characters";
        invalid("outcome.lrn", format!("\"{}\" {why}", shortened(&given.lrn)))
    })?;
    Ok(Outcome {
        item: ItemId { declarant, lrn, goods_item: given.goods_item },
        is_error: given.is_error,
        true_value: given.true_value_eur_cents,
        corrected: given.corrected_eur_cents,
        note: given.note,
        recorded_by: recorder.by,
        recorded_at: recorder.at,
        recorded_on: recorder.on,
    })
}

/// A plan as it stands on `today`: its secret once its last day is over.
pub(super) fn plan_message(plan: &Plan, today: Day) -> v1::SamplingPlan {
    let is_over = today > plan.terms.last;
    v1::SamplingPlan {
        id: plan.id.to_string(),
        terms: Some(terms_message(&plan.terms)),
        commitment: plan.secret.commitment(),
        secret: if is_over { plan.secret.reveal() } else { String::new() },
        recorded_by: plan.recorded_by.clone(),
        recorded_at_ms: plan.recorded_at.0,
        recorded_day: plan.recorded_on.to_string(),
    }
}

fn terms_message(terms: &Terms) -> v1::SamplingTerms {
    let stratum = |stratum: &Stratum| v1::SamplingStratum {
        name: stratum.name.clone(),
        conditions: Some(conditions_message(&stratum.conditions)),
        expected_errors_per_million: stratum.expected_errors_per_million,
    };
    let per_kg =
        |one: &PerKg| v1::ValuePerKg { hs_prefix: one.hs_prefix.clone(), eur_cents: one.eur_cents };
    let method = match &terms.method {
        Method::Fixed { size, strata } => Contract::Fixed(v1::FixedSample {
            size: *size,
            strata: strata.iter().map(stratum).collect(),
            ..v1::FixedSample::default()
        }),
        Method::ExpectedValue { interval, per_kg: values } => {
            Contract::ExpectedValue(v1::ExpectedValueSample {
                interval_eur_cents: *interval,
                per_kg: values.iter().map(per_kg).collect(),
            })
        }
    };
    v1::SamplingTerms {
        name: terms.name.clone(),
        purpose: terms.purpose.clone(),
        owner: terms.owner.clone(),
        first_day: terms.first.to_string(),
        last_day: terms.last.to_string(),
        conditions: Some(conditions_message(&terms.conditions)),
        method: Some(method),
    }
}

/// A selection without its goods items.
pub(super) fn selected_message(selection: &Selection, is_final: bool) -> v1::ListSelectedResponse {
    let strata = selection.strata.iter().map(|stratum| v1::SelectedStratum {
        name: stratum.name.clone(),
        items: stratum.items,
        declared_eur_cents: stratum.declared,
        expected_eur_cents: stratum.expected,
        selected: stratum.selected.len() as u64,
        left_out: stratum.left_out,
    });
    v1::ListSelectedResponse {
        watermark: selection.watermark.0,
        is_final,
        dropped_through: selection.dropped_through.map(|d| d.to_string()).unwrap_or_default(),
        strata: strata.collect(),
        ..v1::ListSelectedResponse::default()
    }
}

/// A goods item that is selected.
pub(super) fn item_message(
    stratum: &str,
    selected: &Selected,
    outcome: Option<&Outcome>,
) -> v1::SelectedItem {
    v1::SelectedItem {
        stratum: stratum.to_owned(),
        declarant: selected.item.declarant.to_string(),
        lrn: selected.item.lrn.to_string(),
        goods_item: selected.item.goods_item,
        mrn: selected.mrn.to_string(),
        day: selected.day.to_string(),
        hs6: selected.hs6.to_string(),
        declared_eur_cents: selected.declared,
        expected_eur_cents: selected.expected,
        lot: selected.draw.to_string(),
        outcome: outcome.map(outcome_message),
    }
}

fn outcome_message(outcome: &Outcome) -> v1::ControlOutcome {
    v1::ControlOutcome {
        declarant: outcome.item.declarant.to_string(),
        lrn: outcome.item.lrn.to_string(),
        goods_item: outcome.item.goods_item,
        is_error: outcome.is_error,
        true_value_eur_cents: outcome.true_value,
        corrected_eur_cents: outcome.corrected,
        note: outcome.note.clone(),
    }
}

/// An estimate; plan, watermark and whether it is final are left as they are.
pub(super) fn estimate_message(estimate: &Estimate) -> v1::EstimatePlanResponse {
    let strata = estimate.strata.iter().map(|stratum| v1::StratumEstimate {
        name: stratum.name.clone(),
        items: stratum.items,
        selected: stratum.selected,
        checked: stratum.checked,
        errors: stratum.errors,
        lower: stratum.interval.map(|(lower, _)| lower),
        upper: stratum.interval.map(|(_, upper)| upper),
        upper_one_sided: stratum.upper,
    });
    let (share, interval) = estimate.share.unzip();
    let (lower, upper) = interval.unzip();
    v1::EstimatePlanResponse {
        strata: strata.collect(),
        share,
        share_lower: lower,
        share_upper: upper,
        misstatement_eur_cents: estimate.monetary.map(|monetary| monetary.misstatement),
        misstatement_upper_eur_cents: estimate.monetary.map(|monetary| monetary.upper),
        corrected_eur_cents: estimate.corrected,
        targeted_checked: estimate.targeted.checked,
        targeted_errors: estimate.targeted.errors,
        targeted_corrected_eur_cents: estimate.targeted.corrected,
        ..v1::EstimatePlanResponse::default()
    }
}
