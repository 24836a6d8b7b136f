// Dutch and English, and how numbers and days are written in each.

const WORDS = {
  en: {
    skip: "Skip to content", pages: "Pages", actors: "Actors", system: "System", language: "Language", signOut: "Forget token",
    declarant: "Declarant", representative: "Representative", "ioss-holder": "IOSS holder",
    declarants: "Declarants", representatives: "Representatives", "ioss-holders": "IOSS holders",
    role: "Role", period: "Period", from: "From", to: "To and including", show: "Show", allDays: "All days",
    lastDays: "Last {n} days", filter: "Filter", filterHint: "Part of an id", open: "Open {id}",
    accepted: "Accepted", rejected: "Rejected", replayed: "Replays", conflicts: "Conflicts", lines: "Lines",
    value: "Value", duty: "Duty", mass: "Gross mass", rejectedShare: "Rejected", notable: "Notable",
    declarations: "Declarations", findings: "Findings", sort: "Sort by {column}", none: "None",
    more: "and {n} more", shown: "{a} to {b} of {n}", previous: "Previous", next: "Next",
    loadMore: "Read more actors", partly: "The {n} largest are read; sorting and filter go over these.",
    nobody: "Nobody declared in this period.", noMatch: "No actor matches.",
    watermark: "Exactly the first {n} records of the journal.", waiting: "Reading…",
    indicatorsNote: "Indicators are signals for a conversation or an audit, not verdicts.",
    notableNote: "An indicator is called notable where even the lower end of its 95 % interval is above its starting value.",
    indicators: "Indicators", indicator: "Indicator", numerator: "Numerator", denominator: "Denominator",
    interval: "95 % interval", formula: "Formula", source: "Source", peerMedian: "Median of peers", peers: "Peers",
    notableAbove: "notable above {v}", day: "Day", history: "Day by day", choose: "Indicator shown",
    trendTitle: "{name} by day", trendAbout: "{n} days, from {a} to {b}. Own value: first {first}, last {last}, lowest {low}, highest {high}.",
    own: "Own value", band: "95 % interval", peerNote: "Median over the other actors of the role that have a denominator of at least 30 that day; the actor itself is left out.",
    noPeers: "Peers are compared over 100 days at most: choose a shorter period.", asTable: "As a table", noHistory: "No day of this period has this indicator.",
    histogram: "Consignments by value", histogramAbout: "Accepted declarations in steps of EUR 5. (125, 145]: {before}; (145, 150]: {bunched}; above 150: {above}.",
    bunchingTold: "Bunching B = n(145, 150] / (n(125, 145] / 4) = {b}. About 1 where values do not bunch below the threshold.",
    bunchingNone: "Bunching B cannot be told: nothing in (125, 145].", bunched: "(145, 150]", before: "(125, 145]", elsewhere: "Other values",
    consignmentValue: "Consignment value, EUR", above: "above 150", values: "Value, EUR", count: "Count", reasons: "Reasons", reason: "Reason", text: "Text", legalBasis: "Legal basis", severity: "Severity",
    SEVERITY_REJECT: "rejects", SEVERITY_FLAG: "flags", noReasons: "Nothing was found.", unknownReason: "not in the rules of today", back: "All actors", print: "Print",
    systemTitle: "How the server does", every: "Read again every 2 seconds.", pause: "Pause", resume: "Go on",
    throughput: "Lines a second", throughputAbout: "Judged lines a second over the last two minutes: now {now}, most {most}.",
    serving: "Serving", notServing: "not serving", recovering: "recovering", up: "Up since {t}", answer: "Answer to a batch, mean", p99: "99 in 100 below",
    batches: "Batches answered", refusedBatches: "Batches refused", connections: "Connections", turnedAway: "turned away {n}", journal: "Journal", sealing: "Sealing", memory: "Memory", disk: "Disk",
    durable: "Last durable record", sealed: "Last sealed record", unsealed: "Waits to be sealed", ofMost: "of {n}", index: "Index, places in use", runs: "Runs on disk", keys: "{n} keys",
    resident: "In use", memoryMax: "Sized for", diskFree: "Free", diskReserve: "reserve {n}", inWork: "Batches in work", groupWrite: "Write of a group, mean", clock: "Clock behind by",
    outcomes: "Outcomes", outcome: "Outcome", perSecond: "A second", share: "Share",
    tokenTitle: "Who are you?", tokenText: "This server knows its clients. Paste a token of an analyst; it is kept until this tab is closed.", token: "Token", signIn: "Continue",
    wrongToken: "The token is not taken", GONE: "The server cannot be reached", goneText: "It may be stopping, or the way to it is cut. The page tries again.",
    UNAVAILABLE: "Not now", PERMISSION_DENIED: "Not allowed", NOT_FOUND: "Not found", INVALID_ARGUMENT: "Not understood", RESOURCE_EXHAUSTED: "Too much at once", otherError: "Something is wrong", retry: "Try again",
    agreements: "Agreements", agreement: "Agreement", actor: "Actor", state: "State", anyState: "Any", baseline: "Baseline", target: "Target", newestReview: "Newest review",
    glidePath: "Glide path", verdict: "Verdict", soFar: "so far", noReviews: "No review yet.", alarm: "Alarm", alarmOn: "days: {n}, last {day}", noShift: "no shift", today: "today",
    AGREEMENT_STATE_PENDING: "pending", AGREEMENT_STATE_ACTIVE: "active", AGREEMENT_STATE_ENDED: "ended", AGREEMENT_STATE_WITHDRAWN: "withdrawn",
    AGREEMENT_VERDICT_UNSPECIFIED: "–", AGREEMENT_VERDICT_INSUFFICIENT_DATA: "insufficient data", AGREEMENT_VERDICT_MET: "met", AGREEMENT_VERDICT_MISSED: "missed",
    AGREEMENT_VERDICT_AT_RISK: "at risk", AGREEMENT_VERDICT_ON_TRACK: "on track", AGREEMENT_VERDICT_INCONCLUSIVE: "inconclusive",
    AGREEMENT_DIRECTION_LOWER_IS_BETTER: "lower is better", AGREEMENT_DIRECTION_HIGHER_IS_BETTER: "higher is better",
    noAgreements: "No agreements yet. Record one on a command line:", noAgreementsWith: "No agreements with this actor yet. Record one on a command line:", noneInState: "No agreement is in this state.",
    agreementsNote: "An agreement says that an indicator of an actor goes from a baseline to a target by a deadline. Both sides see the same figures, intervals and verdicts.",
    allAgreements: "There are more: all agreements", rowsRead: "{n} rows read.", readOn: "Read more", noReason: "No reason is recorded.",
    computed: "computed at watermark {n}", stated: "as stated", start: "Start", deadline: "Deadline", nextReview: "Next review", rhythmOf: "every {every} days over {window} days, n at least {n}",
    rhythm: "Reviews", byVersion: "By the terms of version", version: "Version", versions: "Versions", recorded: "Recorded", noteOf: "Note", reviews: "Reviews", review: "Review", window: "Days counted", fraction: "Numerator / denominator",
    glideTitle: "{name}: glide path and reviews", glideAbout: "From {from} on {a} to {to} by {b}.", glideNow: "Newest review, {day}: {value}, where the glide path is {path}.",
    glideFormula: "Glide path g(t) = p0 + (p1 − p0) (t − start) / (deadline − start), with p0 the baseline and p1 the target. [lo, hi] is the 95 % Wilson interval of the review's figure. The first that holds is the verdict.",
    verdictRules: "How a verdict comes about", holdsIf: "Holds if", "rule:INSUFFICIENT_DATA": "denominator < {n}", "rule:INCONCLUSIVE": "none of these",
    "lower:MET": "hi ≤ target", "lower:MISSED": "the deadline's day is over, and lo > target", "lower:AT_RISK": "lo > g", "lower:ON_TRACK": "hi ≤ g",
    "higher:MET": "lo ≥ target", "higher:MISSED": "the deadline's day is over, and hi < target", "higher:AT_RISK": "hi < g", "higher:ON_TRACK": "lo ≥ g",
    cusumTitle: "Shifts between reviews (CUSUM)", cusumAbout: "{n} days. Newest, {day}: C is {c}, the limit h is {h}.", cusumLimit: "Limit h = 5 sigma", noDays: "No day since the start has observations.",
    alarmText: "Days: {n}, from {a} to {b}. C was above h: the level has shifted away from the target.", noShiftText: "No shift away from the target, over {n} days.",
    cusumNote: "C sums what a day is worse than the baseline by more than k = {k}; h is 5 sigma. Days with a denominator below {n} are left out.",
    DEADLINE_EXCEEDED: "Not finished yet",
    profiles: "Risk profiles", profile: "Risk profile", name: "Name", owner: "Owner", purpose: "Purpose", inForce: "In force", never: "never", fromOn: "from {day}", since: "Since", looksFor: "Looks for", hits: "Hits",
    PROFILE_STATE_PENDING: "begins later", PROFILE_STATE_ACTIVE: "in force", PROFILE_STATE_ENDED: "ended", PROFILE_STATE_WITHDRAWN: "withdrawn",
    noProfiles: "No risk profiles yet. Record one on a command line, after a try on the past with waag profile try:", noProfileInState: "No risk profile is in this state.",
    profilesNote: "A risk profile is a dated rule of analysts. It flags accepted declarations for people to look at, and changes no verdict.",
    register: "Register of algorithms", registerNote: "Every algorithm in use, with its purpose, what it looks at, and who answers for it.", algorithm: "Algorithm", inputs: "Looks at", method: "Method", inUse: "In use", withRelease: "since release {v} runs",
    ALGORITHM_KIND_BUILT_IN: "part of Waag", ALGORITHM_KIND_PROFILE: "risk profile", ALGORITHM_KIND_SAMPLING_PLAN: "sampling plan",
    examples: "Examples", examplesOf: "{n} examples", goodsItem: "item {n}", ofVersion: "Version {n}", hitsTold: "{declarations} declarations, {lines} lines, {value}.", hitsByDay: "Hits by day", hitDeclarations: "Declarations hit",
    barsAbout: "{n} declarations from {a} to {b}; most on {day}: {most}.", noHits: "Nothing that is sealed arrived on a day of this profile.", hitsNote: "Hits are kept of the newest 100 days, of what is sealed; up to 20 examples a day are listed.",
    sealedWatermark: "Exactly the first {n} records of the journal: those that are sealed.",
    "condition:declarants": "Declarant:", "condition:ioss": "IOSS number:", "condition:exporter": "Country of the exporter:", "condition:value": "Value of the declaration, EUR:", "condition:hs": "HS code begins with:",
    "condition:origin": "Origin:", "condition:itemValue": "Value of the goods item, EUR:", "condition:itemMass": "Mass of the goods item, g:", "condition:description": "Description:",
    samples: "Sampling", sample: "Sampling plan", plans: "Sampling plans", plan: "Plan", daysOf: "Days", secret: "Secret", secretTold: "told", secretKept: "told once the last day is over", commitment: "Commitment", proof: "Check it yourself",
    byFixed: "{n} goods items by lot", inStrata: "in {n} strata", byExpectedValue: "by expected value, interval {j}", "stratum:all": "all", "stratum:rest": "rest",
    noPlans: "No sampling plans yet. Record one on a command line, before its first day:", samplesNote: "A plan selects goods items of accepted declarations by lot. Only what was selected at random says something of all.",
    strata: "Strata", stratum: "Stratum", goodsItems: "Goods items", selected: "Selected", checked: "Controlled", inError: "In error", exactInterval: "Exact interval", atMost: "At most (one-sided)",
    estimate: "Estimate from the random sample", shareInError: "In error, of all", misstatement: "Undervalued, of all", atMostEur: "at most {v}", controlled: "Controlled / selected", dueOnTop: "Duty and VAT due on top", notExtrapolated: "of what was controlled, not extrapolated",
    noShare: "Too few outcomes to say anything of all. Record them: waag sample outcome.", partlyControlled: "{checked} of the {selected} selected are controlled. They stand for the others only if nobody chose which ones.",
    formulaShare: "k/n with its exact interval (Clopper and Pearson).", formulaStrata: "Sum of N_h/N p_h over the strata, with the interval of its variance; of each stratum the exact interval (Clopper and Pearson).",
    formulaValue: "Upper bound J (R_0 + sum of (R_i − R_(i−1)) t_i), taintings t_i from the largest down.", noEstimate: "No estimate", confidence: "Confidence",
    targeted: "Targeted controls, apart", targetedNote: "What was controlled without having been selected. It is never extrapolated.", selectedItems: "What was selected", openOnly: "Only those without an outcome", noneOpen: "Nothing is left to be controlled.", noneSelected: "Nothing is selected: nothing that is sealed arrived on a day of this plan.",
    "open:control": "open", wrongOne: "in error", rightOne: "in order", trueValue: "True value", declared: "Declared", expected: "Expected", outcomeOf: "Outcome of the control", selection: "Selection", final: "final", notFinal: "not final yet",
    dropped: "Days are missing", droppedText: "Days up to {day} are past their retention and were dropped before they were gone through.", leftOut: "Too many to list", leftOutText: "{n} more are selected and not listed: nothing can be said of all.",
    whatOf: "What it selects from", allGoods: "All goods items of accepted declarations.", expectedErrors: "Expected errors", perKg: "Expected value per kilogram", eurPerKg: "EUR per kg", allOthers: "all others",
    lotFormula: "The commitment is the SHA-256 of the secret. The lot of a goods item is HMAC-SHA256(secret, declarant LF LRN LF place), LF being a line feed.",
    leastLots: "The least lots of each stratum are selected.", lotBelow: "A goods item is selected if the first 64 bits of its lot times the interval are less than its expected value times 2^64.",
    DATA_LOSS: "Damaged", everyKind: "Every indicator", allOfRole: "All of them", notableOnly: "Only what is worth a conversation", consistsOf: "Consists of",
    toLookAt: "To look at: {n}", together: "group {n}", missingDays: "without {n} days past their retention", whatCounts: "What each indicator counts",
    noFindings: "There are no findings here.", noneNotable: "Nothing here is worth a conversation.", noneSoFar: "Nothing in what was looked through so far.", allFindings: "All findings", moreFindings: "There are more: all findings",
    nothingSealed: "Nothing is sealed yet", nothingSealedText: "Findings rest on what is sealed, and come some minutes after what they are of.", findingsOff: "Findings are switched off",
    stalled: "Findings do not come further at the moment", stalledText: "What is shown holds, and there may be more to find: the server's log says why.",
    sealedWatermarks: "Read in several parts, each of exactly the first records of the journal, which are sealed: {n}.",
    findingsNote: "Findings are what accepted declarations show when they are held against one another, after acceptance. They are signals for a conversation or an audit, not verdicts. Examples of one group belong together. Findings of the newest two days may still change.",
    signals: "Signals", standsOut: "Stands out by", strongestDays: "Days on which it does most", atLeast: "at least {v}", usual: "Usual", signalFrom: "A signal from", aboveUsual: "A signal from so far above usual",
    ofDeclarants: "{n} declarants", noSignals: "No declarant stands out.", signalRules: "The rules",
    signalsNote: "A declarant stands out where a figure is high by more than chance, by more than among the others, and by more than other figures explain. A signal is a reason to look at the declarations behind it and to ask, not a verdict.",
    signalsWatermark: "At least the first {n} records of the journal.", signalsBehind: "At least the first {n} records of the journal; of findings the first {sealed}, which are sealed.",
    signalsWithout: "At least the first {n} records of the journal, without findings: nothing is sealed yet, or they are switched off.",
    loaded: "{n} actors read.", sortedBy: "Sorted by {column}, {order}.", ascending: "ascending", descending: "descending", seconds: "s",
  },
  nl: {
    skip: "Naar de inhoud", pages: "Pagina's", actors: "Actoren", system: "Systeem", language: "Taal", signOut: "Token vergeten",
    declarant: "Aangever", representative: "Vertegenwoordiger", "ioss-holder": "IOSS-houder",
    declarants: "Aangevers", representatives: "Vertegenwoordigers", "ioss-holders": "IOSS-houders",
    role: "Rol", period: "Periode", from: "Van", to: "Tot en met", show: "Tonen", allDays: "Alle dagen",
    lastDays: "Laatste {n} dagen", filter: "Filter", filterHint: "Deel van een nummer", open: "{id} openen",
    accepted: "Aanvaard", rejected: "Afgewezen", replayed: "Herhalingen", conflicts: "Conflicten", lines: "Regels",
    value: "Waarde", duty: "Rechten", mass: "Brutomassa", rejectedShare: "Afgewezen", notable: "Opvallend",
    declarations: "Aangiften", findings: "Bevindingen", sort: "Sorteren op {column}", none: "Geen",
    more: "en nog {n}", shown: "{a} tot {b} van {n}", previous: "Vorige", next: "Volgende",
    loadMore: "Meer actoren lezen", partly: "De {n} grootste zijn gelezen; sorteren en filter gaan daarover.",
    nobody: "In deze periode heeft niemand aangegeven.", noMatch: "Geen actor voldoet.",
    watermark: "Precies de eerste {n} records van het journaal.", waiting: "Lezen…",
    indicatorsNote: "Indicatoren zijn signalen voor een gesprek of een controle, geen oordelen.",
    notableNote: "Een indicator heet opvallend als zelfs de ondergrens van het 95%-interval boven zijn startwaarde ligt.",
    indicators: "Indicatoren", indicator: "Indicator", numerator: "Teller", denominator: "Noemer",
    interval: "95%-interval", formula: "Formule", source: "Bron", peerMedian: "Mediaan van anderen", peers: "Anderen",
    notableAbove: "opvallend boven {v}", day: "Dag", history: "Dag voor dag", choose: "Getoonde indicator",
    trendTitle: "{name} per dag", trendAbout: "{n} dagen, van {a} tot en met {b}. Eigen waarde: eerste {first}, laatste {last}, laagste {low}, hoogste {high}.",
    own: "Eigen waarde", band: "95%-interval", peerNote: "Mediaan over de andere actoren van de rol met die dag een noemer van ten minste 30; de actor zelf telt niet mee.",
    noPeers: "Vergelijken met anderen gaat over hoogstens 100 dagen: kies een kortere periode.", asTable: "Als tabel", noHistory: "Geen dag in deze periode heeft deze indicator.",
    histogram: "Zendingen naar waarde", histogramAbout: "Aanvaarde aangiften in stappen van EUR 5. (125, 145]: {before}; (145, 150]: {bunched}; boven 150: {above}.",
    bunchingTold: "Ophoping B = n(145, 150] / (n(125, 145] / 4) = {b}. Ongeveer 1 als waarden zich niet ophopen onder de grens.",
    bunchingNone: "Ophoping B is niet te bepalen: niets in (125, 145].", bunched: "(145, 150]", before: "(125, 145]", elsewhere: "Andere waarden",
    consignmentValue: "Waarde van de zending, EUR", above: "boven 150", values: "Waarde, EUR", count: "Aantal", reasons: "Redenen", reason: "Reden", text: "Tekst", legalBasis: "Rechtsgrond", severity: "Gevolg",
    SEVERITY_REJECT: "wijst af", SEVERITY_FLAG: "signaleert", noReasons: "Er is niets gevonden.", unknownReason: "niet in de regels van vandaag", back: "Alle actoren", print: "Afdrukken",
    systemTitle: "Hoe het met de server gaat", every: "Elke 2 seconden opnieuw gelezen.", pause: "Pauzeren", resume: "Verder",
    throughput: "Regels per seconde", throughputAbout: "Beoordeelde regels per seconde in de laatste twee minuten: nu {now}, hoogste {most}.",
    serving: "In dienst", notServing: "niet in dienst", recovering: "herstelt", up: "Gestart {t}", answer: "Antwoord op een batch, gemiddeld", p99: "99 van 100 onder",
    batches: "Batches beantwoord", refusedBatches: "Batches geweigerd", connections: "Verbindingen", turnedAway: "{n} weggestuurd", journal: "Journaal", sealing: "Verzegelen", memory: "Geheugen", disk: "Schijf",
    durable: "Laatste duurzame record", sealed: "Laatste verzegelde record", unsealed: "Wacht op verzegelen", ofMost: "van {n}", index: "Index, plaatsen in gebruik", runs: "Runs op schijf", keys: "{n} sleutels",
    resident: "In gebruik", memoryMax: "Ingericht op", diskFree: "Vrij", diskReserve: "reserve {n}", inWork: "Batches in behandeling", groupWrite: "Schrijven van een groep, gemiddeld", clock: "Klok loopt achter",
    outcomes: "Uitkomsten", outcome: "Uitkomst", perSecond: "Per seconde", share: "Aandeel",
    tokenTitle: "Wie bent u?", tokenText: "Deze server kent zijn cliënten. Plak een token van een analist; het wordt bewaard tot dit tabblad sluit.", token: "Token", signIn: "Verder",
    wrongToken: "Het token wordt niet aanvaard", GONE: "De server is niet bereikbaar", goneText: "Misschien stopt hij, of is de weg erheen verbroken. De pagina probeert het opnieuw.",
    UNAVAILABLE: "Nu niet", PERMISSION_DENIED: "Niet toegestaan", NOT_FOUND: "Niet gevonden", INVALID_ARGUMENT: "Niet begrepen", RESOURCE_EXHAUSTED: "Te veel tegelijk", otherError: "Er is iets mis", retry: "Opnieuw proberen",
    agreements: "Afspraken", agreement: "Afspraak", actor: "Actor", state: "Toestand", anyState: "Alle", baseline: "Beginwaarde", target: "Doel", newestReview: "Laatste meting",
    glidePath: "Glijpad", verdict: "Oordeel", soFar: "tot nu toe", noReviews: "Nog geen meting.", alarm: "Alarm", alarmOn: "dagen: {n}, laatst {day}", noShift: "geen verschuiving", today: "vandaag",
    AGREEMENT_STATE_PENDING: "begint nog", AGREEMENT_STATE_ACTIVE: "loopt", AGREEMENT_STATE_ENDED: "afgelopen", AGREEMENT_STATE_WITHDRAWN: "ingetrokken",
    AGREEMENT_VERDICT_UNSPECIFIED: "–", AGREEMENT_VERDICT_INSUFFICIENT_DATA: "te weinig gegevens", AGREEMENT_VERDICT_MET: "gehaald", AGREEMENT_VERDICT_MISSED: "niet gehaald",
    AGREEMENT_VERDICT_AT_RISK: "in gevaar", AGREEMENT_VERDICT_ON_TRACK: "op koers", AGREEMENT_VERDICT_INCONCLUSIVE: "niet uit te maken",
    AGREEMENT_DIRECTION_LOWER_IS_BETTER: "lager is beter", AGREEMENT_DIRECTION_HIGHER_IS_BETTER: "hoger is beter",
    noAgreements: "Nog geen afspraken. Leg er een vast op een opdrachtregel:", noAgreementsWith: "Nog geen afspraken met deze actor. Leg er een vast op een opdrachtregel:", noneInState: "Geen afspraak heeft deze toestand.",
    agreementsNote: "Een afspraak zegt dat een indicator van een actor van een beginwaarde naar een doel gaat, uiterlijk op een dag. Beide kanten zien dezelfde cijfers, intervallen en oordelen.",
    allAgreements: "Er zijn er meer: alle afspraken", rowsRead: "{n} rijen gelezen.", readOn: "Meer lezen", noReason: "Er is geen reden vastgelegd.",
    computed: "berekend op watermerk {n}", stated: "zoals opgegeven", start: "Begin", deadline: "Uiterlijk", nextReview: "Volgende meting", rhythmOf: "elke {every} dagen over {window} dagen, n ten minste {n}",
    rhythm: "Metingen", byVersion: "Naar de voorwaarden van versie", version: "Versie", versions: "Versies", recorded: "Vastgelegd", noteOf: "Opmerking", reviews: "Metingen", review: "Meting", window: "Getelde dagen", fraction: "Teller / noemer",
    glideTitle: "{name}: glijpad en metingen", glideAbout: "Van {from} op {a} naar {to}, uiterlijk op {b}.", glideNow: "Laatste meting, {day}: {value}, waar het glijpad {path} is.",
    glideFormula: "Glijpad g(t) = p0 + (p1 − p0) (t − begin) / (uiterlijk − begin), met p0 de beginwaarde en p1 het doel. [lo, hi] is het 95%-Wilsoninterval van het gemeten cijfer. Het eerste dat geldt is het oordeel.",
    verdictRules: "Hoe een oordeel tot stand komt", holdsIf: "Geldt als", "rule:INSUFFICIENT_DATA": "noemer < {n}", "rule:INCONCLUSIVE": "geen van deze",
    "lower:MET": "hi ≤ doel", "lower:MISSED": "de uiterste dag is voorbij, en lo > doel", "lower:AT_RISK": "lo > g", "lower:ON_TRACK": "hi ≤ g",
    "higher:MET": "lo ≥ doel", "higher:MISSED": "de uiterste dag is voorbij, en hi < doel", "higher:AT_RISK": "hi < g", "higher:ON_TRACK": "lo ≥ g",
    cusumTitle: "Verschuivingen tussen metingen (CUSUM)", cusumAbout: "{n} dagen. Laatste, {day}: C is {c}, de grens h is {h}.", cusumLimit: "Grens h = 5 sigma", noDays: "Sinds het begin heeft geen dag waarnemingen.",
    alarmText: "Dagen: {n}, van {a} tot en met {b}. C lag boven h: het niveau is van het doel weg verschoven.", noShiftText: "Geen verschuiving weg van het doel, over {n} dagen.",
    cusumNote: "C telt op wat een dag slechter is dan de beginwaarde, voor zover meer dan k = {k}; h is 5 sigma. Dagen met een noemer onder {n} tellen niet mee.",
    DEADLINE_EXCEEDED: "Nog niet klaar",
    profiles: "Risicoprofielen", profile: "Risicoprofiel", name: "Naam", owner: "Eigenaar", purpose: "Doel", inForce: "Van kracht", never: "nooit", fromOn: "vanaf {day}", since: "Sinds", looksFor: "Zoekt naar", hits: "Treffers",
    PROFILE_STATE_PENDING: "begint later", PROFILE_STATE_ACTIVE: "van kracht", PROFILE_STATE_ENDED: "afgelopen", PROFILE_STATE_WITHDRAWN: "ingetrokken",
    noProfiles: "Nog geen risicoprofielen. Leg er een vast op een opdrachtregel, na een proef op het verleden met waag profile try:", noProfileInState: "Geen risicoprofiel heeft deze toestand.",
    profilesNote: "Een risicoprofiel is een gedateerde regel van analisten. Het wijst aanvaarde aangiften aan om naar te kijken, en verandert geen oordeel.",
    register: "Algoritmeregister", registerNote: "Elk algoritme in gebruik, met zijn doel, waar het naar kijkt, en wie ervoor instaat.", algorithm: "Algoritme", inputs: "Kijkt naar", method: "Werkwijze", inUse: "In gebruik", withRelease: "sinds uitgave {v} draait",
    ALGORITHM_KIND_BUILT_IN: "deel van Waag", ALGORITHM_KIND_PROFILE: "risicoprofiel", ALGORITHM_KIND_SAMPLING_PLAN: "steekproefplan",
    examples: "Voorbeelden", examplesOf: "{n} voorbeelden", goodsItem: "artikel {n}", ofVersion: "Versie {n}", hitsTold: "{declarations} aangiften, {lines} regels, {value}.", hitsByDay: "Treffers per dag", hitDeclarations: "Getroffen aangiften",
    barsAbout: "{n} aangiften van {a} tot en met {b}; de meeste op {day}: {most}.", noHits: "Op de dagen van dit profiel is niets binnengekomen dat verzegeld is.", hitsNote: "Treffers worden bewaard van de laatste 100 dagen, van wat verzegeld is; per dag staan er hoogstens 20 voorbeelden.",
    sealedWatermark: "Precies de eerste {n} records van het journaal: wat verzegeld is.",
    "condition:declarants": "Aangever:", "condition:ioss": "IOSS-nummer:", "condition:exporter": "Land van de exporteur:", "condition:value": "Waarde van de aangifte, EUR:", "condition:hs": "GS-code begint met:",
    "condition:origin": "Oorsprong:", "condition:itemValue": "Waarde van het artikel, EUR:", "condition:itemMass": "Massa van het artikel, g:", "condition:description": "Omschrijving:",
    samples: "Steekproeven", sample: "Steekproefplan", plans: "Steekproefplannen", plan: "Plan", daysOf: "Dagen", secret: "Geheim", secretTold: "bekend", secretKept: "bekend zodra de laatste dag voorbij is", commitment: "Vastlegging", proof: "Zelf nagaan",
    byFixed: "{n} artikelen door loting", inStrata: "in {n} strata", byExpectedValue: "naar verwachte waarde, interval {j}", "stratum:all": "alle", "stratum:rest": "overige",
    noPlans: "Nog geen steekproefplannen. Leg er een vast op een opdrachtregel, vóór zijn eerste dag:", samplesNote: "Een plan loot artikelen van aanvaarde aangiften. Alleen wat door loting gekozen is, zegt iets over het geheel.",
    strata: "Strata", stratum: "Stratum", goodsItems: "Artikelen", selected: "Geloot", checked: "Gecontroleerd", inError: "Fout", exactInterval: "Exact interval", atMost: "Hoogstens (eenzijdig)",
    estimate: "Schatting uit de aselecte steekproef", shareInError: "Fout, van het geheel", misstatement: "Te laag aangegeven, van het geheel", atMostEur: "hoogstens {v}", controlled: "Gecontroleerd / geloot", dueOnTop: "Rechten en btw alsnog verschuldigd", notExtrapolated: "van wat gecontroleerd is, niet geëxtrapoleerd",
    noShare: "Te weinig uitkomsten om iets over het geheel te zeggen. Leg ze vast: waag sample outcome.", partlyControlled: "Van de {selected} gelote artikelen zijn er {checked} gecontroleerd. Zij staan alleen voor de andere als niemand gekozen heeft welke.",
    formulaShare: "k/n met het exacte interval (Clopper en Pearson).", formulaStrata: "Som van N_h/N p_h over de strata, met het interval van de variantie; van elk stratum het exacte interval (Clopper en Pearson).",
    formulaValue: "Bovengrens J (R_0 + som van (R_i − R_(i−1)) t_i), met de afwijkingen t_i van groot naar klein.", noEstimate: "Geen schatting", confidence: "Betrouwbaarheid",
    targeted: "Gerichte controles, apart", targetedNote: "Wat gecontroleerd is zonder geloot te zijn. Het wordt nooit geëxtrapoleerd.", selectedItems: "Wat geloot is", openOnly: "Alleen zonder uitkomst", noneOpen: "Er is niets meer te controleren.", noneSelected: "Er is niets geloot: op de dagen van dit plan is niets binnengekomen dat verzegeld is.",
    "open:control": "open", wrongOne: "fout", rightOne: "in orde", trueValue: "Werkelijke waarde", declared: "Aangegeven", expected: "Verwacht", outcomeOf: "Uitkomst van de controle", selection: "Loting", final: "definitief", notFinal: "nog niet definitief",
    dropped: "Er ontbreken dagen", droppedText: "Dagen tot en met {day} zijn over hun bewaartermijn en waren weg voor ze doorgenomen zijn.", leftOut: "Te veel om te tonen", leftOutText: "Er zijn er nog {n} geloot die er niet bij staan: over het geheel valt niets te zeggen.",
    whatOf: "Waaruit geloot wordt", allGoods: "Alle artikelen van aanvaarde aangiften.", expectedErrors: "Verwachte fouten", perKg: "Verwachte waarde per kilogram", eurPerKg: "EUR per kg", allOthers: "alle andere",
    lotFormula: "De vastlegging is de SHA-256 van het geheim. Het lot van een artikel is HMAC-SHA256(geheim, aangever LF LRN LF plaats), met LF een regeleinde.",
    leastLots: "Van elk stratum zijn de laagste loten gekozen.", lotBelow: "Een artikel is gekozen als de eerste 64 bits van zijn lot maal het interval minder zijn dan zijn verwachte waarde maal 2^64.",
    DATA_LOSS: "Beschadigd", everyKind: "Elke indicator", allOfRole: "Allemaal", notableOnly: "Alleen wat een gesprek waard is", consistsOf: "Bestaat uit",
    toLookAt: "Om naar te kijken: {n}", together: "groep {n}", missingDays: "zonder {n} dagen die over hun bewaartermijn zijn", whatCounts: "Wat elke indicator telt",
    noFindings: "Hier zijn geen bevindingen.", noneNotable: "Hier is niets een gesprek waard.", noneSoFar: "Niets in wat tot nu toe is doorgenomen.", allFindings: "Alle bevindingen", moreFindings: "Er zijn er meer: alle bevindingen",
    nothingSealed: "Er is nog niets verzegeld", nothingSealedText: "Bevindingen berusten op wat verzegeld is, en komen enkele minuten na datgene waarover ze gaan.", findingsOff: "Bevindingen zijn uitgeschakeld",
    stalled: "Bevindingen komen op dit moment niet verder", stalledText: "Wat er staat geldt, en er kan meer te vinden zijn: het logboek van de server zegt waarom.",
    sealedWatermarks: "In delen gelezen, elk van precies de eerste records van het journaal, die verzegeld zijn: {n}.",
    findingsNote: "Bevindingen zijn wat aanvaarde aangiften laten zien als ze naast elkaar worden gelegd, na de aanvaarding. Het zijn signalen voor een gesprek of een controle, geen oordelen. Voorbeelden van één groep horen bij elkaar. Bevindingen van de nieuwste twee dagen kunnen nog veranderen.",
    signals: "Signalen", standsOut: "Valt op door", strongestDays: "Dagen waarop het meest", atLeast: "ten minste {v}", usual: "Gebruikelijk", signalFrom: "Signaal vanaf", aboveUsual: "Signaal vanaf zo ver boven gebruikelijk",
    ofDeclarants: "{n} aangevers", noSignals: "Er valt geen aangever op.", signalRules: "De regels",
    signalsNote: "Een aangever valt op waar een cijfer hoger is dan toeval verklaart, hoger dan bij de anderen, en hoger dan andere cijfers verklaren. Een signaal is een reden om naar de aangiften erachter te kijken en te vragen, geen oordeel.",
    signalsWatermark: "Ten minste de eerste {n} records van het journaal.", signalsBehind: "Ten minste de eerste {n} records van het journaal; van bevindingen de eerste {sealed}, die verzegeld zijn.",
    signalsWithout: "Ten minste de eerste {n} records van het journaal, zonder bevindingen: er is nog niets verzegeld, of ze zijn uitgeschakeld.",
    "signal:undervaluation": "Waarden te laag voor de goederen", "signal:bunching": "Waarden hopen zich op onder EUR 150", "signal:splitting": "Bestellingen worden gesplitst in zendingen",
    "signal:borrowed_number": "Verkopen onder IOSS-nummers van anderen", "signal:vagueness": "Vage omschrijvingen", "signal:misclassification": "GS-codes die niet bij de omschrijving passen",
    "signal:merging": "Meer goederen op één regel", "signal:gifts": "Geschenken van bedrijven", "signal:resending": "Aangiften opnieuw verzonden", "signal:conflicts": "LRN's van aanvaarde aangiften met andere inhoud",
    "signal:one_price": "Eén prijs voor één soort goederen, van veel exporteurs", "signal:nominal_value": "Goederen die bijna niets waard zijn",
    loaded: "{n} actoren gelezen.", sortedBy: "Gesorteerd op {column}, {order}.", ascending: "oplopend", descending: "aflopend", seconds: "s",
    "title:rejection_rate": "Afgewezen regels", "title:replay_rate": "Herhalingen", "title:conflict_rate": "Conflicten",
    "title:threshold_bunching": "Ophoping onder EUR 150", "title:round_price_rate": "Ronde prijzen",
    "title:value_below_eur_1_rate": "Symbolische waarden: onder EUR 1", "title:value_below_eur_5_per_kg_rate": "Symbolische waarden: onder EUR 5 per kilogram",
    "title:vague_description_rate": "Vage omschrijvingen", "title:hs_mismatch_rate": "Omschrijving past niet bij de GS-code",
    "title:ioss_number_hit_rate": "IOSS-nummer onjuist of geweigerd", "title:restricted_goods_rate": "Verboden of beperkte goederen",
    "title:gift_rate": "Geschenken", "title:implausible_mass_rate": "Onwaarschijnlijke massa", "title:zero_transport_cost_rate": "Geen vervoerskosten",
    "title:fallback_within_24h_rate": "Noodprocedure: binnen 24 uur", "title:hs6_per_consignment": "GS-codes per zending",
    "title:several_goods_rate": "Meer goederen in één omschrijving", "title:other_hs_code_rate": "GS-codes voor overige goederen",
    "title:origin_differs_rate": "Oorsprong is niet het land van verzending", "title:dispatch_from_eu_rate": "Verzonden vanuit de EU",
    "title:sanctions_detour_rate": "Omweg van goederen onder sancties", "title:sanctioned_country_rate": "Land onder sancties",
    "title:top_hs6_share": "Meest voorkomende GS-code", "title:top_3_hs6_share": "Drie meest voorkomende GS-codes",
    "title:consignment_split_rate": "Zendingen die één gesplitste kunnen zijn", "title:duplicate_transport_document_rate": "Vervoersdocumenten die al aangegeven waren",
    "title:importer_concentration": "Concentratie op importeurs", "title:top_importer_share": "Meest voorkomende importeur", "title:crowded_address_rate": "Adressen met veel namen",
    "title:ioss_declarants": "Aangevers van een IOSS-nummer", "title:ioss_new_declarants": "Nieuwe aangevers van een IOSS-nummer", "title:ioss_value_spike": "Plotselinge waarde onder een IOSS-nummer",
    "title:ioss_exporter_spread": "Exporteurs van een IOSS-nummer", "title:ioss_month_value": "Waarde onder een IOSS-nummer, deze maand tot nu toe",
    "title:low_value_per_kg_rate": "Lage waarde per kilogram", "title:repeated_price_share": "Meest herhaalde prijs",
    "title:joined_goods_rate": "Omschrijvingen die goederen samenvoegen", "title:exporter_other_number_rate": "Exporteurs onder een ander IOSS-nummer dan het hunne",
    "title:low_value_excess_rate": "Meer lage waarden dan anderen hebben", "title:GIFT_COMMERCIAL_SIGNS": "Geschenken met tekenen van een bedrijf",
    "title:repeat_consignee_rate": "Importeurs die veel ontvangen", "title:gift_cluster_rate": "Geschenken die er geen kunnen zijn",
  },
};

const KEY = "waag.language";
const asked = () => (navigator.languages ?? [navigator.language]).map((it) => it.slice(0, 2)).find((it) => WORDS[it]);

export const LANGUAGES = { nl: "Nederlands", en: "English" };
let language = WORDS[localStorage.getItem(KEY)] ? localStorage.getItem(KEY) : (asked() ?? "en");
let writes;

function begin() {
  const locale = language === "nl" ? "nl-NL" : "en-GB";
  const number = (options) => new Intl.NumberFormat(locale, options);
  writes = {
    whole: number({ maximumFractionDigits: 0 }),
    decimal: number({ maximumFractionDigits: 2, minimumFractionDigits: 2 }),
    short: number({ notation: "compact", maximumSignificantDigits: 3 }),
    exact: number({ maximumFractionDigits: 4 }),
    percent: number({ style: "percent", maximumFractionDigits: 2, minimumFractionDigits: 2 }),
    about: number({ maximumFractionDigits: 2 }),
    aboutPercent: number({ style: "percent", maximumFractionDigits: 2 }),
    euro: number({ style: "currency", currency: "EUR", maximumFractionDigits: 0 }),
    cents: number({ style: "currency", currency: "EUR" }),
    day: new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeZone: "UTC" }),
    dayShort: new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", timeZone: "UTC" }),
    moment: new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" }),
  };
}
begin();

export const current = () => language;
export function change(to) {
  language = to;
  localStorage.setItem(KEY, to);
  begin();
}

/** A text, with what stands in braces in it filled in. */
export const t = (key, values) => (WORDS[language][key] ?? WORDS.en[key] ?? key)
  .replace(/\{(\w+)\}/g, (_, name) => values?.[name] ?? "");
/** A text, or nothing. */
export const known = (key) => WORDS[language][key] ?? WORDS.en[key];

export const whole = (number) => writes.whole.format(number);
export const decimal = (number) => writes.decimal.format(number);
export const short = (number) => writes.short.format(number);
/** For ratios, of which some are far below 1. */
export const exact = (number) => writes.exact.format(number);
/** As short as it can be, for an axis. */
export const about = (value, isShare) => (isShare ? writes.aboutPercent : writes.about).format(value);
export const percent = (share) => writes.percent.format(share);
export const euro = (cents) => writes.euro.format(Number(cents) / 100);
export const cents = (amount) => writes.cents.format(Number(amount) / 100);
const date = (text) => new Date(`${text}T00:00:00Z`);
export const day = (text) => writes.day.format(date(text));
export const dayShort = (text) => writes.dayShort.format(date(text));
export const moment = (date) => writes.moment.format(date);
export function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let place = 0;
  let shown = number;
  while (shown >= 1024 && place < units.length - 1) [shown, place] = [shown / 1024, place + 1];
  return `${place === 0 || shown >= 100 ? whole(shown) : decimal(shown)} ${units[place]}`;
}

/** An indicator's title: in the language, or as the server has it. */
export function titleOf(name, description) {
  const [base, chapter] = name.split(":");
  const title = known(`title:${base}`) ?? description?.title ?? base;
  return chapter ? `${title}: HS ${chapter}` : title;
}

/** The language of texts that the server has in English only, where that is not the language of the page. */
export const english = () => (language === "en" ? null : "en");

/** A value of an indicator: a share in per cent, a ratio as it is. */
export const valueOf = (value, isShare) => (isShare ? percent(value) : decimal(value));
