//! `ListAlgorithms`: the register of algorithms.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::compliance::ComplianceService;
use super::profile_messages::known_day;
use crate::algorithms::{ALGORITHMS, Algorithm};
use crate::profiles::Profile;
use crate::proto::v1;
use crate::samples::{Method, Plan};

pub(super) async fn list(
    service: &ComplianceService,
    request: Request<v1::ListAlgorithmsRequest>,
) -> Result<Response<v1::ListAlgorithmsResponse>, Status> {
    let (_, mut extensions, _) = request.into_parts();
    service.guard.caller(&extensions)?;
    let owner = service.office.owner.clone();
    let (profiles, plans) = (service.office.store.clone(), service.frame.store.clone());
    let all = move || {
        let ever = profiles.list(None, |profile| profile.all_days().is_some());
        let plans = plans.list(None);
        let own = ALGORITHMS.iter().map(|algorithm| own_message(algorithm, &owner));
        let ever = ever.iter().map(|profile| profile_algorithm(profile));
        let plans = plans.iter().map(plan_algorithm);
        Ok(v1::ListAlgorithmsResponse { algorithms: own.chain(ever).chain(plans).collect() })
    };
    service.reader.answer(&mut extensions, all).await
}

fn plan_algorithm(plan: &Arc<Plan>) -> v1::Algorithm {
    let terms = &plan.terms;
    let mut inputs =
        vec!["declarant (13 05), LRN (12 09) and place of the goods item, for its lot"];
    inputs.extend(terms.conditions.inputs());
    let method = match &terms.method {
        Method::Fixed { size, strata } => {
            inputs.extend(strata.iter().flat_map(|stratum| stratum.conditions.inputs()));
            format!("{size} goods items by lot, each with the same chance in its stratum.")
        }
        Method::ExpectedValue { .. } => {
            inputs.extend(["gross mass (18 04)", "HS code (18 09 056)"]);
            "Goods items by lot, each with a chance by its expected value.".to_owned()
        }
    };
    let mut seen: Vec<String> = Vec::new();
    for input in inputs {
        if !seen.iter().any(|known| known == input) {
            seen.push(input.to_owned());
        }
    }
    v1::Algorithm {
        id: plan.id.to_string(),
        kind: v1::AlgorithmKind::SamplingPlan.into(),
        name: terms.name.clone(),
        purpose: terms.purpose.clone(),
        inputs: seen,
        method: format!(
            "{method} The secret that decides is committed to before and revealed after."
        ),
        owner: terms.owner.clone(),
        since_day: terms.first.to_string(),
        until_day: terms.last.to_string(),
        version: plan.secret.commitment(),
    }
}

fn own_message(algorithm: &Algorithm, owner: &str) -> v1::Algorithm {
    let Algorithm { id, name, purpose, inputs, method } = *algorithm;
    v1::Algorithm {
        id: id.to_owned(),
        kind: v1::AlgorithmKind::BuiltIn.into(),
        name: name.to_owned(),
        purpose: purpose.to_owned(),
        inputs: inputs.iter().map(|&input| input.to_owned()).collect(),
        method: method.to_owned(),
        owner: owner.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..v1::Algorithm::default()
    }
}

fn profile_algorithm(profile: &Profile) -> v1::Algorithm {
    let terms = &profile.newest.terms;
    let days = profile.all_days();
    // What any version looks at, each once.
    let mut inputs: Vec<String> = Vec::new();
    for input in profile.versions().flat_map(|version| version.terms.conditions.inputs()) {
        if !inputs.iter().any(|known| known == input) {
            inputs.push(input.to_owned());
        }
    }
    v1::Algorithm {
        id: profile.id.to_string(),
        kind: v1::AlgorithmKind::Profile.into(),
        name: terms.name.clone(),
        purpose: terms.purpose.clone(),
        inputs,
        method: "Accepted declarations that meet all its conditions are counted and listed for people to look \
                 at; no verdict changes."
            .to_owned(),
        owner: terms.owner.clone(),
        since_day: days.map(|(first, _)| first.to_string()).unwrap_or_default(),
        until_day: days.map(|(_, last)| known_day(last)).unwrap_or_default(),
        version: profile.newest.number.to_string(),
    }
}
