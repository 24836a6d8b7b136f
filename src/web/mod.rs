//! The analysts' page: how each actor declares, in a browser.
//!
//! The page, its styles and its scripts are in the program; nothing comes from elsewhere, and the browser is
//! told to take nothing from elsewhere (`Content-Security-Policy`). The figures are those of the service
//! [`Compliance`](crate::rpc::compliance), which is called in this process: so who may read what, what is
//! recorded of it and how many may read at once is the same for both, and so is every figure.
//!
//! | path | answer |
//! |---|---|
//! | `/`, `/page.css`, `/*.js` | the page |
//! | `/api/session` | whether a token is needed, and whose the one is that came |
//! | `/api/actors` | `ListActorSummaries`, without reasons and histograms |
//! | `/api/actor` | `GetActorSummary` |
//! | `/api/history` | `GetIndicatorHistory` |
//! | `/api/findings`, `/api/signals` | `ListFindings`, `ListSignals` |
//! | `/api/agreements`, `/api/agreement` | `ListAgreements`, `ReviewAgreement` |
//! | `/api/profiles`, `/api/hits`, `/api/algorithms` | `ListProfiles`, `ListProfileHits`, `ListAlgorithms` |
//! | `/api/plans`, `/api/selected`, `/api/estimate` | `ListPlans`, `ListSelected`, `EstimatePlan` |
//! | `/api/indicators`, `/api/reasons` | `ListIndicators`, `ListReasons` |
//! | `/api/system` | how the server does |
//!
//! Answers are protobuf JSON; an error is `{"code": "NOT_FOUND", "message": "..."}`. Parameters are named as
//! the fields of the requests.
//!
//! - [`listener`]: connections, and all of their bounds.
//! - `page`: the files of the page, with the headers that keep it to itself.
//! - `api`: from paths to calls of the services and back; `questions`: from parameters to requests.
//! - `host`: for which names the page answers.
//!
//! With identity on, whoever reads shows a token of an analyst, as in a call: `Authorization: Bearer waag_...`.
//! The page asks for it and keeps it for as long as its tab is open. No cookie is ever set, so that another
//! page can do nothing in the reader's name; and a page that calls itself by another name and has that name
//! lead here is refused for it.

mod api;
mod host;
pub mod listener;
mod page;
mod parameters;
mod questions;

use std::sync::{Arc, OnceLock};

use crate::rpc::server::Services;
use crate::telemetry::Scrape;
use host::Hosts;

/// What the page is answered from.
#[derive(Debug)]
pub struct Desk {
    scrape: Arc<Scrape>,
    hosts: Hosts,
    services: OnceLock<Services>,
}

impl Desk {
    /// Of a server that may still be recovering; it answers for loopback, its own address and `names`.
    #[must_use]
    pub fn new(scrape: Arc<Scrape>, names: &[String]) -> Self {
        Self { scrape, hosts: Hosts::new(names), services: OnceLock::new() }
    }

    /// Recovery has ended: from here on figures are told.
    pub fn serves(&self, services: Services) {
        // Who comes second changes nothing: there is one server.
        let _ = self.services.set(services);
    }
}
