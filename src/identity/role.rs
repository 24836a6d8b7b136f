//! Roles, and what each may do. A client has one or more; what any of them may do, it may do.
//!
//! | | declarant, for its EORIs | analyst | supervisor | operator |
//! |---|---|---|---|---|
//! | lodge batches (`SubmitBatch`, `SubmitBatches`) | those of its EORIs | | | |
//! | read a declaration (`GetDeclaration`) | those of its EORIs | | all | |
//! | read a summary (`GetActorSummary`, `GetIndicatorHistory` without peers, `WatchActorSummaries` of named actors), its findings (`ListFindings` of an actor) | of its EORIs, as declarant or representative | all | | |
//! | read all summaries (`ListActorSummaries`, `GetIndicatorHistory` with peers, `WatchActorSummaries`), all findings (`ListFindings`), who stands out (`ListSignals`) | | all | | |
//! | read how the server does (`GetServerStatus`, and on the page, see [`crate::web`]) | | yes | | yes |
//! | have it read its rules again, and stop it (`ReloadRules`, `Drain`) | | | | yes |
//! | read what each indicator counts (`ListIndicators`) | yes | yes | yes | yes |
//! | read an agreement (`ListAgreements` of an actor, `ReviewAgreement`) | with its EORIs, as declarant or representative | all | all | |
//! | read all agreements (`ListAgreements`) | | yes | yes | |
//! | record and withdraw agreements (`RecordAgreement`, `WithdrawAgreement`) | | yes | | |
//! | read and try risk profiles, and read what they hit (`ListProfiles`, `TryProfile`, `ListProfileHits`) | | yes | yes | |
//! | record and withdraw risk profiles (`RecordProfile`, `WithdrawProfile`) | | yes | | |
//! | read sampling plans, what they select and estimates (`ListPlans`, `ListSelected`, `EstimatePlan`) | | yes | yes | |
//! | record sampling plans and outcomes of controls (`RecordPlan`, `RecordOutcome`) | | yes | | |
//! | read the register of algorithms (`ListAlgorithms`) | yes | yes | yes | yes |
//! | read the reasons (`ListReasons`) and the contract (reflection) | yes | yes | yes | yes |
//!
//! Agreements are made by those who speak with actors, the analysts; an operator keeps the server, and has no part
//! in them. Both sides of one read the same figures. Risk profiles and samples are the analysts' own too; the register, which all
//! may read, says what each is for and what it looks at, not what it looks for.
//!
//! Summaries hold no personal data, and findings name declarations by MRN alone; declarations do. So an analyst reads no declaration, and a supervisor,
//! who may, is one role more, which is given apart.

use serde::{Deserialize, Serialize};

use super::{Denied, Who};
use crate::id::Eori;
use crate::summary;

/// What a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Lodges for stated EORIs, and reads what is its own.
    Declarant,
    /// Reads summaries of all.
    Analyst,
    /// Reads declarations of all.
    Supervisor,
    /// Keeps the server: reads how it does, has it read its rules again, stops it.
    Operator,
}

impl Role {
    /// As the clients file writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Declarant => "declarant",
            Self::Analyst => "analyst",
            Self::Supervisor => "supervisor",
            Self::Operator => "operator",
        }
    }
}

impl Who {
    fn has(&self, role: Role) -> bool {
        match self {
            Self::Anyone => true,
            Self::Client(client, _) => client.roles.contains(&role),
        }
    }

    fn is_for(&self, eori: &str) -> bool {
        match self {
            Self::Anyone => true,
            Self::Client(client, _) => {
                client.roles.contains(&Role::Declarant)
                    && client.eoris.iter().any(|own| own.as_str() == eori)
            }
        }
    }

    /// What is missing, in a sentence.
    fn denied<T>(&self, what: &str, missing: &str) -> Result<T, Denied> {
        let (name, roles) = match self {
            Self::Anyone => ("anyone", String::new()),
            Self::Client(client, _) => (client.name.as_str(), client.roles_and_eoris()),
        };
        Err(Denied::NotAllowed(format!("{what}: it needs {missing}; client {name:?} is {roles}")))
    }

    /// May lodge for `declarant`; a batch that names none well formed is refused for that later.
    ///
    /// # Errors
    /// What is missing.
    pub fn may_lodge(&self, declarant: Option<Eori>) -> Result<(), Denied> {
        if !self.has(Role::Declarant) {
            return self.denied("may not lodge", "role declarant");
        }
        match declarant {
            Some(eori) if !self.is_for(eori.as_str()) => self.denied(
                &format!("may not lodge for {}", eori.as_str()),
                &format!("role declarant for {}", eori.as_str()),
            ),
            _ => Ok(()),
        }
    }

    /// May read a declaration of `declarant`. Where that is not known before it is found, it has to be asked for
    /// again then.
    ///
    /// # Errors
    /// What is missing.
    pub fn may_read_declaration(&self, declarant: Option<Eori>) -> Result<(), Denied> {
        let is_own = match declarant {
            Some(eori) => self.is_for(eori.as_str()),
            None => self.has(Role::Declarant),
        };
        if is_own || self.has(Role::Supervisor) {
            return Ok(());
        }
        match declarant {
            Some(eori) => self.denied(
                "may not read this declaration",
                &format!("role supervisor, or declarant for {}", eori.as_str()),
            ),
            None => self.denied("may not read declarations", "role supervisor or declarant"),
        }
    }

    /// May read the declarations of all.
    ///
    /// # Errors
    /// What is missing.
    pub fn may_read_all_declarations(&self) -> Result<(), Denied> {
        if self.has(Role::Supervisor) {
            return Ok(());
        }
        self.denied("may not read this declaration", "role supervisor")
    }

    /// May read the summary of one actor.
    ///
    /// # Errors
    /// What is missing.
    pub fn may_read_summary(&self, role: summary::Role, id: &str) -> Result<(), Denied> {
        let is_own = match role {
            summary::Role::Declarant | summary::Role::Representative => self.is_for(id),
            summary::Role::IossHolder => false,
        };
        if is_own || self.has(Role::Analyst) {
            return Ok(());
        }
        let missing = match role {
            summary::Role::IossHolder => "role analyst".to_owned(),
            _ => format!("role analyst, or declarant for {id}"),
        };
        self.denied(&format!("may not read the summary of {id}"), &missing)
    }

    /// May read the summaries of all actors.
    ///
    /// # Errors
    /// What is missing.
    pub fn may_read_all_summaries(&self) -> Result<(), Denied> {
        if self.has(Role::Analyst) {
            return Ok(());
        }
        self.denied("may not read the summaries of all actors", "role analyst")
    }

    /// May read how the server does.
    ///
    /// # Errors
    /// What is missing.
    pub fn may_read_system(&self) -> Result<(), Denied> {
        if self.has(Role::Analyst) || self.has(Role::Operator) {
            return Ok(());
        }
        self.denied("may not read how the server does", "role analyst or operator")
    }

    /// May have the server do what is for those who keep it.
    ///
    /// # Errors
    /// What is missing.
    pub fn may_operate(&self) -> Result<(), Denied> {
        if self.has(Role::Operator) {
            return Ok(());
        }
        self.denied("may not manage the server", "role operator")
    }

    /// May read the agreements with one actor.
    ///
    /// # Errors
    /// What is missing.
    pub fn may_read_agreements(&self, role: summary::Role, id: &str) -> Result<(), Denied> {
        let is_own = match role {
            summary::Role::Declarant | summary::Role::Representative => self.is_for(id),
            summary::Role::IossHolder => false,
        };
        if is_own || self.has(Role::Analyst) || self.has(Role::Supervisor) {
            return Ok(());
        }
        let missing = match role {
            summary::Role::IossHolder => "role analyst or supervisor".to_owned(),
            _ => format!("role analyst or supervisor, or declarant for {id}"),
        };
        self.denied(&format!("may not read agreements with {id}"), &missing)
    }

    /// May read the agreements with all actors.
    ///
    /// # Errors
    /// What is missing.
    pub fn may_read_all_agreements(&self) -> Result<(), Denied> {
        if self.has(Role::Analyst) || self.has(Role::Supervisor) {
            return Ok(());
        }
        self.denied(
            "may not read the agreements with all actors (name one of your own)",
            "role analyst or supervisor",
        )
    }

    /// May record agreements, and withdraw them.
    ///
    /// # Errors
    /// What is missing.
    pub fn may_record_agreements(&self) -> Result<(), Denied> {
        if self.has(Role::Analyst) {
            return Ok(());
        }
        self.denied("may not record agreements", "role analyst")
    }

    /// May read risk profiles and what they hit, and try one.
    ///
    /// # Errors
    /// What is missing.
    pub fn may_read_profiles(&self) -> Result<(), Denied> {
        if self.has(Role::Analyst) || self.has(Role::Supervisor) {
            return Ok(());
        }
        self.denied("may not read risk profiles", "role analyst or supervisor")
    }

    /// May record risk profiles, and withdraw them.
    ///
    /// # Errors
    /// What is missing.
    pub fn may_record_profiles(&self) -> Result<(), Denied> {
        if self.has(Role::Analyst) {
            return Ok(());
        }
        self.denied("may not record risk profiles", "role analyst")
    }

    /// May read sampling plans, what they select, and what they say.
    ///
    /// # Errors
    /// What is missing.
    pub fn may_read_samples(&self) -> Result<(), Denied> {
        if self.has(Role::Analyst) || self.has(Role::Supervisor) {
            return Ok(());
        }
        self.denied("may not read samples", "role analyst or supervisor")
    }

    /// May record sampling plans, and outcomes of controls.
    ///
    /// # Errors
    /// What is missing.
    pub fn may_record_samples(&self) -> Result<(), Denied> {
        if self.has(Role::Analyst) {
            return Ok(());
        }
        self.denied("may not record samples", "role analyst")
    }
}
