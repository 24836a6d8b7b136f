#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::insight::tests::making::{Given, World, accepted, day};
use crate::rpc::compliance::ComplianceOptions;
use crate::rpc::compliance::tests::books;
use crate::rpc::guard::Guard;
use crate::summary::{Fold, FoldOptions};

struct Served {
    _folder: tempfile::TempDir,
    world: World,
    insight: crate::insight::Insight,
    service: ComplianceService,
}

impl Served {
    /// Two days: four declarants with a document that comes twice each, and with ten that do not.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (catalog, archive) = (folder.path().join("catalog"), folder.path().join("archive"));
        let (_, board, _) =
            Fold::open(&catalog, &archive, &FoldOptions::default(), [1; 16]).unwrap();
        let books = books(folder.path());
        let options = ComplianceOptions { watches_max: 2, reads_max: 1, reads_waiting_max: 2 };
        let mut world = World::new();
        let one = |n: u16| Given { declarant: 1 + n % 4, document: 1 + n / 2, ..accepted() };
        let first = day("2026-11-05").0;
        let again: Vec<_> = (0..4).map(|n| Given { declarant: 1 + n, ..accepted() }).collect();
        world.write_set(&[(first, (0..40).map(one).collect()), (first + 1, again)]);
        let mut insight = world.insight();
        insight.round(&|| false).unwrap();
        let both = (board, Some(insight.findings()));
        let service = ComplianceService::new(both, Guard::open(), books, &options);
        Self { _folder: folder, world, insight, service }
    }

    async fn list(
        &self,
        request: v1::ListFindingsRequest,
    ) -> Result<v1::ListFindingsResponse, Status> {
        Ok(self.service.list_found(Request::new(request)).await?.into_inner())
    }
}

fn of(id: &str) -> v1::ListFindingsRequest {
    v1::ListFindingsRequest {
        actor: Some(v1::Actor { role: 1, id: id.to_owned() }),
        ..v1::ListFindingsRequest::default()
    }
}

const DUPLICATE: &str = "duplicate_transport_document_rate";

#[tokio::test]
async fn a_finding_with_its_numbers_its_flag_and_mrns_to_look_at() {
    let served = Served::new();
    let request = v1::ListFindingsRequest {
        indicators: vec![DUPLICATE.to_owned()],
        notable_only: true,
        ..of(" nl810000001 ")
    };
    let answer = served.list(request).await.unwrap();
    assert_eq!((answer.watermark, answer.stalled), (served.world.records(), false));
    assert_eq!(answer.next_page_token, "");
    let [one] = answer.findings.as_slice() else { panic!("{answer:?}") };
    assert_eq!(
        (one.day.as_str(), one.flag.as_str()),
        ("2026-11-06", "DUPLICATE_TRANSPORT_DOCUMENT")
    );
    assert!(one.notable && one.missing_days == 0);
    let figure = one.figure.clone().unwrap();
    assert_eq!((figure.name.as_str(), figure.numerator, figure.denominator), (DUPLICATE, 1, 1));
    assert!(figure.lower.unwrap() > 0.2 && figure.upper == Some(1.0), "{figure:?}");
    let mint = crate::mrn::Mint::new([5; 16]);
    let mrn = mint.mrn(2026, crate::id::Ordinal(40)).to_string();
    let example = v1::FindingExample { declarant: "NL810000001".into(), mrn, group: 1 };
    assert_eq!(one.examples, [example]);

    served.insight.tell(true);
    assert!(served.list(of("")).await.unwrap().stalled);
    served.insight.tell(false);
    assert!(!served.list(of("")).await.unwrap().stalled);
}

#[tokio::test]
async fn pages_go_on_where_they_ended() {
    let served = Served::new();
    let whole = served.list(v1::ListFindingsRequest { page_size: 1_000, ..of("") }).await.unwrap();
    assert!(whole.findings.len() > 40 && whole.next_page_token.is_empty());
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListFindingsRequest { page_size: 7, page_token, ..of("") };
        let page = served.list(request).await.unwrap();
        assert!(page.findings.len() <= 7);
        found.extend(page.findings);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(found, whole.findings);
}

#[tokio::test]
async fn what_cannot_be_asked_is_told_by_field() {
    let served = Served::new();
    let period = v1::Period { first_day: "2026-13-01".into(), ..v1::Period::default() };
    for (request, field) in [
        (v1::ListFindingsRequest::default(), "actor.role"),
        (of("x"), "actor.id"),
        (
            v1::ListFindingsRequest { indicators: vec!["rejection_rate".into()], ..of("") },
            "indicators[0]",
        ),
        (
            v1::ListFindingsRequest { indicators: vec![DUPLICATE.into(); 33], ..of("") },
            "indicators",
        ),
        (v1::ListFindingsRequest { period: Some(period), ..of("") }, "period.first_day"),
        (v1::ListFindingsRequest { page_size: 1_001, ..of("") }, "page_size"),
        (v1::ListFindingsRequest { page_token: "zz".into(), ..of("") }, "page_token"),
    ] {
        let status = served.list(request).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        assert!(status.message().starts_with(field), "{field}: {status}");
    }
}

#[tokio::test]
async fn a_damaged_day_is_data_loss_by_name() {
    let served = Served::new();
    let days = served.world.folder.path().join("days");
    for entry in std::fs::read_dir(days).unwrap() {
        std::fs::write(entry.unwrap().path(), b"WAAGFIND").unwrap();
    }
    let status = served.list(of("")).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::DataLoss);
    assert!(status.message().contains("2026-11-05-") && status.message().contains("waag rebuild"));
}
