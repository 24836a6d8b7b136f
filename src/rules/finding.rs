//! What the rules find: reasons, data elements, and the list they are collected in.

use std::fmt;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Severity {
    /// Noted; does not stand in the way of acceptance.
    Flag = 1,
    /// The declaration is rejected.
    Reject = 2,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why the rules object: the stable machine names of the contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// As `INTRINSIC_VALUE_EXCEEDS_THRESHOLD`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The reason called `name`.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

// The order is part of what is stored (reason counts are kept under their number): new ones go to
// the end.
reasons! {
    /// A mandatory element is missing.
    FieldMissing = "FIELD_MISSING",
    /// Wrong length, characters or format.
    FieldFormat = "FIELD_FORMAT",
    /// Code not in the valid list on this date.
    CodeUnknown = "CODE_UNKNOWN",
    /// Item numbers must run 1..n.
    ItemNumberSequence = "ITEM_NUMBER_SEQUENCE",
    /// Only A or D.
    DeclarationTypeNotH7 = "DECLARATION_TYPE_NOT_H7",
    /// Procedure codes that do not go together, or not on this date.
    ProcedureCombinationInvalid = "PROCEDURE_COMBINATION_INVALID",
    /// All lines must use the same regime codes.
    ProcedureMixedLines = "PROCEDURE_MIXED_LINES",
    /// The declarant's EORI prefix is neither a Member State nor XI.
    DeclarantEoriInvalid = "DECLARANT_EORI_INVALID",
    /// Representative equals declarant.
    RepresentativeSameAsDeclarant = "REPRESENTATIVE_SAME_AS_DECLARANT",
    /// F48 needs an IOSS number.
    IossNumberMissing = "IOSS_NUMBER_MISSING",
    /// Not IM, a valid country and 7 digits.
    IossNumberMalformed = "IOSS_NUMBER_MALFORMED",
    /// On the deny list.
    IossNumberDenied = "IOSS_NUMBER_DENIED",
    /// IOSS number without F48.
    IossWithoutF48 = "IOSS_WITHOUT_F48",
    /// Consignment above EUR 150.
    IntrinsicValueExceedsThreshold = "INTRINSIC_VALUE_EXCEEDS_THRESHOLD",
    /// Above EUR 150 only through the exchange rate.
    IntrinsicValueNearRate = "INTRINSIC_VALUE_NEAR_RATE",
    /// Gift above EUR 45.
    GiftValueExceeds45 = "GIFT_VALUE_EXCEEDS_45",
    /// Gift with signs of a sale.
    GiftCommercialSigns = "GIFT_COMMERCIAL_SIGNS",
    /// A value, mass or number of packages that must be above 0.
    ValueNotPositive = "VALUE_NOT_POSITIVE",
    /// Currency not valid on this date, or without a rate.
    CurrencyUnknown = "CURRENCY_UNKNOWN",
    /// HS code does not exist on this date.
    HsCodeNotInNomenclature = "HS_CODE_NOT_IN_NOMENCLATURE",
    /// Excise goods need a full declaration.
    ExciseGoodsNotAllowed = "EXCISE_GOODS_NOT_ALLOWED",
    /// Goods on the restriction list.
    GoodsRestricted = "GOODS_RESTRICTED",
    /// A restriction is possible at this HS code.
    GoodsRestrictionPossible = "GOODS_RESTRICTION_POSSIBLE",
    /// Dispatched from, or originating in, a sanctioned country or region.
    SanctionedCountry = "SANCTIONED_COUNTRY",
    /// Listed goods by way of a detour country.
    SanctionsDetour = "SANCTIONS_DETOUR",
    /// Without IOSS the destination must be the Member State of import.
    DestinationNotInMemberState = "DESTINATION_NOT_IN_MEMBER_STATE",
    /// The exporter is in the EU.
    DispatchFromEu = "DISPATCH_FROM_EU",
    /// F49 only for the registered presenter.
    SpecialArrangementNotAuthorised = "SPECIAL_ARRANGEMENT_NOT_AUTHORISED",
    /// C07 no longer exists.
    DutyReliefAbolished = "DUTY_RELIEF_ABOLISHED",
    /// Product identifiers missing.
    ProductIdMissing = "PRODUCT_ID_MISSING",
    /// The MRN of a previous document has a wrong check digit.
    PreviousDocumentMrnCheckDigit = "PREVIOUS_DOCUMENT_MRN_CHECK_DIGIT",
    /// S10 or air waybill check digit wrong.
    TransportReferenceCheck = "TRANSPORT_REFERENCE_CHECK",
    /// Barcode country differs from the exporter's.
    S10CountryMismatch = "S10_COUNTRY_MISMATCH",
    /// Description too vague.
    DescriptionStopWord = "DESCRIPTION_STOP_WORD",
    /// Description is digits, symbols or repetition only.
    DescriptionFormat = "DESCRIPTION_FORMAT",
    /// Description does not fit the HS code.
    HsDescriptionMismatch = "HS_DESCRIPTION_MISMATCH",
    /// LRN already used with other content.
    LrnContentConflict = "LRN_CONTENT_CONFLICT",
    /// Transport costs are missing.
    TransportCostsMissing = "TRANSPORT_COSTS_MISSING",
    /// No rates for the month: an earlier month's were used.
    RateOutdated = "RATE_OUTDATED",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

macro_rules! elements {
    ($($variant:ident = $number:literal, $name:literal;)+) => {
        /// An EUCDM data element a finding is about (new numbering).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "each is named by its number and name below")]
        pub enum Element {
            $($variant,)+
        }

        impl Element {
            /// Every element.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The element numbered `number`.
            #[must_use]
            pub fn by_number(number: &str) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// As `14 14 000 000`.
            #[must_use]
            pub fn number(self) -> &'static str {
                match self { $(Self::$variant => $number,)+ }
            }

            /// As `intrinsic value`, for sentences.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

elements! {
    AdditionalDeclarationType = "11 02 000 000", "additional declaration type";
    GoodsItemNumber = "11 03 000 000", "goods item number";
    AdditionalProcedure = "11 10 000 000", "additional procedure";
    PreviousDocument = "12 01 000 000", "previous document";
    PreviousDocumentReference = "12 01 001 000", "previous document reference";
    PreviousDocumentType = "12 01 002 000", "previous document type";
    SupportingDocumentReference = "12 03 001 000", "supporting document reference";
    SupportingDocumentType = "12 03 002 000", "supporting document type";
    ProductIdentifier = "12 04 000 000", "product identifier";
    TransportDocument = "12 05 000 000", "transport document";
    TransportDocumentReference = "12 05 001 000", "transport document reference";
    TransportDocumentType = "12 05 002 000", "transport document type";
    Ucr = "12 08 000 000", "reference number/UCR";
    Lrn = "12 09 000 000", "LRN";
    Exporter = "13 01 000 000", "exporter";
    ExporterName = "13 01 016 000", "exporter's name";
    ExporterStreet = "13 01 018 019", "exporter's street and number";
    ExporterCountry = "13 01 018 020", "exporter's country";
    ExporterPostcode = "13 01 018 021", "exporter's postcode";
    ExporterCity = "13 01 018 022", "exporter's city";
    Importer = "13 04 000 000", "importer";
    ImporterName = "13 04 016 000", "importer's name";
    ImporterIdentification = "13 04 017 000", "importer's identification number";
    ImporterStreet = "13 04 018 019", "importer's street and number";
    ImporterCountry = "13 04 018 020", "importer's country";
    ImporterPostcode = "13 04 018 021", "importer's postcode";
    ImporterCity = "13 04 018 022", "importer's city";
    Declarant = "13 05 017 000", "declarant's EORI";
    Representative = "13 06 017 000", "representative's EORI";
    RepresentativeStatus = "13 06 030 000", "representative's status";
    FiscalReference = "13 16 000 000", "additional fiscal reference";
    IossNumber = "13 16 034 000", "IOSS number";
    IntrinsicValue = "14 14 000 000", "intrinsic value";
    IntrinsicValueCurrency = "14 14 012 000", "currency of the intrinsic value";
    TransportCosts = "14 15 000 000", "transport and insurance costs";
    TransportCostsCurrency = "14 15 012 000", "currency of the transport costs";
    CountryOfOrigin = "16 08 000 000", "country of origin";
    LocationOfGoods = "16 15 000 000", "location of goods";
    LocationType = "16 15 045 000", "type of location";
    LocationQualifier = "16 15 046 000", "qualifier of the location";
    LocationIdentification = "16 15 052 000", "identification of the location";
    GrossMass = "18 04 000 000", "gross mass";
    Description = "18 05 000 000", "description of goods";
    Packages = "18 06 004 000", "number of packages";
    HsCode = "18 09 056 000", "HS sub-heading code";
    FallbackReference = "12 01 079 000", "fallback reference";
    FallbackLodgedAt = "15 09 000 000", "moment of the fallback lodgement";
}

/// One thing the rules found. Small, so that a batch's findings lie close together; the sentence
/// for a person is made when the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// Why.
    pub reason: Reason,
    /// How much it weighs, by the rule set.
    pub severity: Severity,
    /// What it is about.
    pub element: Element,
    /// The goods item's number as it is counted, from 1; 0 for the declaration as a whole.
    pub goods_item: u16,
    /// Where the offending value stands among those of [`Findings`]: start and length in bytes.
    pub value: (u32, u16),
}

/// Most findings of a verdict, as the contract has it, and so most of a declaration that are kept one
/// by one.
pub const VERDICT_FINDINGS_MAX: usize = 100;

/// Collects findings, declaration after declaration; nothing is allocated for clean ones.
#[derive(Debug)]
pub struct Findings {
    /// In the order in which they were made, but REJECT first within a declaration.
    pub list: Vec<Finding>,
    /// Those past the [`VERDICT_FINDINGS_MAX`] of their declaration: how many of each reason.
    beyond: Vec<(Reason, u32)>,
    /// The offending values, one after another, each as it is quoted in the sentence.
    values: String,
    values_bytes_max: usize,
    has_all_values: bool,
}

/// Where one declaration's findings lie in [`Findings`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    list: (u32, u32),
    beyond: (u32, u32),
}

/// The findings of one declaration.
#[derive(Debug, Clone, Copy)]
pub struct OwnFindings<'a> {
    /// REJECT first, at most [`VERDICT_FINDINGS_MAX`].
    pub list: &'a [Finding],
    beyond: &'a [(Reason, u32)],
    values: &'a str,
}

/// The longest value that is quoted, in bytes: the longest field there is, a description, has 512
/// characters, and a sentence need not repeat all of a text that is too long.
pub const VALUE_QUOTED_BYTES_MAX: usize = 160;

impl Default for Findings {
    fn default() -> Self {
        Self::quoting(usize::MAX)
    }
}

impl Findings {
    /// None yet; of the values quoted, at most so many bytes are kept (see
    /// [`Self::has_all_values`]).
    #[must_use]
    pub fn quoting(values_bytes_max: usize) -> Self {
        Self {
            list: Vec::new(),
            beyond: Vec::new(),
            values: String::new(),
            values_bytes_max,
            has_all_values: true,
        }
    }

    /// Adds a finding, quoting `value` (cut at [`VALUE_QUOTED_BYTES_MAX`]).
    pub fn add(
        &mut self,
        reason: Reason,
        severity: Severity,
        element: Element,
        goods_item: u16,
        value: &str,
    ) {
        let start = self.values.len();
        let end = value.floor_char_boundary(VALUE_QUOTED_BYTES_MAX);
        if start + end <= self.values_bytes_max {
            self.values.push_str(value.get(..end).unwrap_or_default());
        } else {
            self.has_all_values = false;
        }
        // Both fit: what is quoted is bounded by a batch's 256 MiB, and a value was cut above.
        let span = (
            u32::try_from(start).unwrap_or(u32::MAX),
            u16::try_from(self.values.len() - start).unwrap_or(0),
        );
        self.list.push(Finding { reason, severity, element, goods_item, value: span });
    }

    /// Ends the findings of a declaration, which are those from `start` of `list` on, and keeps one
    /// by one no more than a verdict may have: ten empty goods items, 20 bytes of a message, draw
    /// 57.
    pub fn close(&mut self, start: usize) -> Span {
        let at = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let beyond = self.beyond.len();
        let end = start + VERDICT_FINDINGS_MAX;
        for finding in self.list.drain(end.min(self.list.len())..) {
            let own = self.beyond.get_mut(beyond..).unwrap_or_default();
            match own.iter_mut().find(|(reason, _)| *reason == finding.reason) {
                Some((_, count)) => *count += 1,
                None => self.beyond.push((finding.reason, 1)),
            }
        }
        Span { list: (at(start), at(self.list.len())), beyond: (at(beyond), at(self.beyond.len())) }
    }

    /// The findings that [`Self::close`] gave this span.
    #[must_use]
    pub fn of(&self, span: Span) -> OwnFindings<'_> {
        let range = |(start, end): (u32, u32)| start as usize..end as usize;
        OwnFindings {
            list: self.list.get(range(span.list)).unwrap_or_default(),
            beyond: self.beyond.get(range(span.beyond)).unwrap_or_default(),
            values: &self.values,
        }
    }

    /// All findings from `start` of `list` on, before [`Self::close`] cuts them to what a verdict may
    /// have.
    #[must_use]
    pub fn since(&self, start: usize) -> OwnFindings<'_> {
        let list = self.list.get(start..).unwrap_or_default();
        OwnFindings { list, beyond: &[], values: &self.values }
    }

    /// No value was left out for the sake of size: sentences can be made.
    #[must_use]
    pub fn has_all_values(&self) -> bool {
        self.has_all_values
    }

    /// Bytes of memory in use.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.list) + size_of_val(&*self.beyond) + self.values.len()
    }

    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.list.clear();
        self.beyond.clear();
        self.values.clear();
        self.has_all_values = true;
    }
}

impl<'a> OwnFindings<'a> {
    /// None.
    pub const NONE: Self = Self { list: &[], beyond: &[], values: "" };

    /// How many there were, those included that are not in `list`.
    #[must_use]
    pub fn total(&self) -> usize {
        self.list.len() + self.beyond.iter().map(|(_, count)| *count as usize).sum::<usize>()
    }

    /// The reason of each in `list`, and how many more there were of which; a reason may come more
    /// than once.
    pub fn reasons(&self) -> impl Iterator<Item = (Reason, u32)> + use<'a> {
        let listed = self.list.iter().map(|finding| (finding.reason, 1));
        listed.chain(self.beyond.iter().copied())
    }

    /// The value that `finding` quotes.
    #[must_use]
    pub fn value(&self, finding: &Finding) -> &'a str {
        let start = finding.value.0 as usize;
        self.values.get(start..start + usize::from(finding.value.1)).unwrap_or_default()
    }
}

#[cfg(test)]
impl<'a, L: AsRef<[Finding]>> From<&'a L> for OwnFindings<'a> {
    fn from(list: &'a L) -> Self {
        Self { list: list.as_ref(), ..Self::NONE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_verdict_has_no_room_for_is_counted_by_reason() {
        let mut findings = Findings::default();
        findings.add(Reason::FieldMissing, Severity::Reject, Element::Lrn, 0, "before");
        let before = findings.close(0);
        for item in 1..=60 {
            findings.add(Reason::FieldFormat, Severity::Reject, Element::HsCode, item, "x");
        }
        for item in 1..=60 {
            findings.add(
                Reason::DescriptionStopWord,
                Severity::Flag,
                Element::Description,
                item,
                "y",
            );
        }
        let span = findings.close(1);
        let own = findings.of(span);
        assert_eq!((own.list.len(), own.total()), (VERDICT_FINDINGS_MAX, 120));
        assert_eq!(own.list.last().map(|last| (last.goods_item, own.value(last))), Some((40, "y")));
        let of = |reason| own.reasons().filter(|(r, _)| *r == reason).map(|(_, n)| n).sum::<u32>();
        assert_eq!((of(Reason::FieldFormat), of(Reason::DescriptionStopWord)), (60, 60));
        assert_eq!(findings.of(before).total(), 1);
        // The next declaration starts where the list was cut.
        let start = findings.list.len();
        findings.add(Reason::CodeUnknown, Severity::Reject, Element::Lrn, 0, "z");
        let next = findings.close(start);
        assert_eq!(findings.of(next).reasons().collect::<Vec<_>>(), [(Reason::CodeUnknown, 1)]);
    }

    #[test]
    fn values_past_the_bound_are_left_out_and_that_is_told() {
        let mut findings = Findings::quoting(3);
        findings.add(Reason::FieldFormat, Severity::Reject, Element::Lrn, 0, "abc");
        assert!(findings.has_all_values());
        findings.add(Reason::FieldFormat, Severity::Reject, Element::Lrn, 0, "d");
        assert!(!findings.has_all_values());
        let span = findings.close(0);
        let own = findings.of(span);
        assert_eq!(own.list.iter().map(|f| own.value(f)).collect::<Vec<_>>(), ["abc", ""]);
    }
}
