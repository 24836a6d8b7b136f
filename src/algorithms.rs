//! Waag's own algorithms, as the register names them: whatever judges, counts, compares or selects declarations or those
//! who lodge them. Risk profiles, which analysts make, are in [`crate::profiles`],
//! and sampling plans in [`crate::samples`].
//!
//! An algorithm that is added to Waag is added here: the register is for those about whom it says something.

/// An algorithm that is part of Waag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Algorithm {
    /// What it is known by.
    pub id: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// What it looks at.
    pub inputs: &'static [&'static str],
    /// How it comes to what it says, and what that is used for.
    pub method: &'static str,
}

/// All of them.
pub const ALGORITHMS: [Algorithm; 9] = [
    Algorithm {
        id: "rules",
        name: "Judging declarations",
        purpose: "Accept or reject a declaration by the law of its day, and flag what deserves a look.",
        inputs: &["the declaration", "the rule set of its day", "dated reference data and rates"],
        method: "Fixed rules, each with its legal basis; a rule rejects only what the law or a published check digit \
                 rejects. Each finding names its reason, data element and value. The same declaration under the same \
                 rule set and data always gets the same verdict (waag rules, ListReasons, waag judge).",
    },
    Algorithm {
        id: "deduplication",
        name: "Recognising what was lodged before",
        purpose: "Accept one declaration once, however often it is sent.",
        inputs: &["declarant (13 05)", "LRN (12 09)", "all other content, as a keyed digest"],
        method: "The same declarant and LRN with the same content gets its first answer again; with other content it \
                 is a conflict. Compared by keyed hashes of 128 and 80 bits.",
    },
    Algorithm {
        id: "indicators",
        name: "Indicators of how actors declare",
        purpose: "Signals for a conversation with an actor, or an audit; none of them changes a verdict.",
        inputs: &[
            "outcomes, findings, values, masses and goods codes of the declarations of a declarant, representative or \
             IOSS holder, added up by day",
        ],
        method: "Counts and ratios with published formulas, proportions with a 95 % Wilson interval \
                 (ListIndicators). An actor may be compared with the median of the others of its role.",
    },
    Algorithm {
        id: "findings",
        name: "Holding accepted declarations against one another",
        purpose: "Show what no declaration shows by itself, as signals for a conversation with an actor, or an audit; no \
                  verdict changes.",
        inputs: &[
            "exporter, importer and its address, as keyed hashes and pseudonyms",
            "transport document, IOSS number, goods codes, values, masses and days",
            "declarant, representative and IOSS holder, for whom it is counted",
        ],
        method: "Exact counts by actor and day with published formulas, proportions with a 95 % Wilson interval, and up \
                 to 20 declarations to look at (ListIndicators, ListFindings). Nothing is learned from data.",
    },
    Algorithm {
        id: "signals",
        name: "Telling which declarants stand out",
        purpose: "Show over some weeks which declarant to look at first, in which way and since when; no verdict changes.",
        inputs: &[
            "indicators and findings of declarants by day, as they are listed (ListIndicators)",
            "the same of the other declarants",
        ],
        method: "Fixed rules (ListSignals): of each figure the lower bound at 4 standard deviations, over all days and \
                 over each seven, less what other figures explain, is held against the median of the others and a stated \
                 distance. The distances were set on generated worlds of which the truth is known, and tried on others.",
    },
    Algorithm {
        id: "agreements",
        name: "Reviewing agreements on improvements",
        purpose: "Say how far what was agreed with an actor has come; the actor sees the same.",
        inputs: &["the terms of the agreement", "the agreed indicator by day"],
        method: "Wilson interval of the last days against target and glide path; a CUSUM over the days tells when the \
                 level shifts (ReviewAgreement).",
    },
    Algorithm {
        id: "profiles",
        name: "Matching declarations with risk profiles",
        purpose: "Find accepted declarations that an analyst's rule looks for, after the fact; no verdict changes.",
        inputs: &["what the profile states, see each of them"],
        method: "All stated conditions must hold: lists, ranges and regular expressions, made by people. Nothing \
                 is learned from data. A candidate is tried on the past by the same code.",
    },
    Algorithm {
        id: "sampling",
        name: "Selecting goods items at random",
        purpose: "Say how much is wrong among all, from controls of some that nobody chose.",
        inputs: &[
            "declarant (13 05), LRN (12 09) and place of the goods item",
            "what the plan states, see each of them",
        ],
        method: "HMAC-SHA256 under a secret, of which the hash is published before and the secret after; so that \
                 nobody knows beforehand and everybody can check. Estimates with exact or stated bounds; what was \
                 controlled for a reason stands apart (EstimatePlan).",
    },
    Algorithm {
        id: "fair-share",
        name: "Fair share under load",
        purpose: "Keep one sender from taking what all others need.",
        inputs: &["declarant (13 05)", "address of the connection", "bytes and batches in work"],
        method: "Bounds on what is in work for each declarant, connection and address; past them a batch waits or is \
                 told when to come back. What is answered does not depend on it.",
    },
];
