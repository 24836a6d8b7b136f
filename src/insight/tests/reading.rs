//! Reading: pages, filters, damage.

use super::making::{Given, World, accepted, day};
use crate::insight::{Finding, FindingsPage, FindingsQuery, Insight, InsightError, Kind};
use crate::summary::{ActorId, Period, Role};

pub(super) fn query(role: Role) -> FindingsQuery {
    FindingsQuery {
        role,
        actor: None,
        period: Period::default(),
        kinds: Vec::new(),
        notable_only: false,
        after: None,
        page_size: 1_000,
    }
}

/// All findings of a role.
pub(super) fn all(insight: &Insight, role: Role) -> Vec<Finding> {
    pages(insight, query(role)).into_iter().flat_map(|page| page.findings).collect()
}

fn pages(insight: &Insight, mut query: FindingsQuery) -> Vec<FindingsPage> {
    let mut pages = Vec::new();
    loop {
        let page = insight.findings().list(&query).unwrap();
        query.after = page.next;
        pages.push(page);
        if query.after.is_none() {
            return pages;
        }
        assert!(pages.len() < 10_000, "it never ends");
    }
}

/// Three days with some hundred declarants, more than a block holds.
fn world() -> (World, Insight) {
    let mut world = World::new();
    let batch = |from: u16| -> Vec<Given> {
        (from..from + 120)
            .map(|declarant| Given { declarant, document: 1 + declarant / 2, ..accepted() })
            .collect()
    };
    let first = day("2026-11-05").0;
    world.write_set(&[(first, batch(1)), (first + 1, batch(60)), (first + 2, batch(1))]);
    let mut insight = world.insight();
    insight.round(&|| false).unwrap();
    (world, insight)
}

#[test]
fn pages_of_any_size_have_all_findings_once_and_in_order() {
    let (world, insight) = world();
    let whole = all(&insight, Role::Declarant);
    let mut ordered = whole.clone();
    let place = |kind| Kind::all().position(|other| other == kind);
    ordered.sort_by_key(|finding| (finding.day, finding.id, place(finding.figure.kind)));
    assert_eq!(whole, ordered);
    // Eight are of IOSS numbers, of gifts, or of codes that others have enough of.
    assert_eq!(whole.len(), 3 * 120 * (Kind::all().count() - 8));
    for page_size in [1, 2, 7, 500] {
        let query = FindingsQuery { page_size, ..query(Role::Declarant) };
        let pages = pages(&insight, query);
        assert!(pages.iter().all(|page| page.findings.len() <= page_size));
        assert!(pages.iter().all(|page| page.watermark.0 == world.records()));
        let found: Vec<_> = pages.into_iter().flat_map(|page| page.findings).collect();
        assert_eq!(found, whole, "{page_size}");
    }
}

#[test]
fn by_actor_period_indicator_and_whether_it_is_worth_a_conversation() {
    let (_world, insight) = world();
    let whole = all(&insight, Role::Declarant);
    let id = ActorId::parse(Role::Declarant, "NL810000077").unwrap();
    let on = |text| Some(day(text));
    let period = Period { first: on("2026-11-06"), last: on("2026-11-06") };
    let kinds = vec![Kind::DuplicateDocument, Kind::TopHs6];
    let narrow = FindingsQuery {
        actor: Some(id),
        period,
        kinds: kinds.clone(),
        page_size: 1,
        ..query(Role::Declarant)
    };
    let found: Vec<_> = pages(&insight, narrow).into_iter().flat_map(|p| p.findings).collect();
    let expected: Vec<_> = whole
        .iter()
        .filter(|f| f.id == id && f.day == day("2026-11-06") && kinds.contains(&f.figure.kind))
        .cloned()
        .collect();
    assert_eq!((found.len(), &found), (2, &expected));

    let notable = FindingsQuery { notable_only: true, ..query(Role::Declarant) };
    let found: Vec<_> = pages(&insight, notable).into_iter().flat_map(|p| p.findings).collect();
    let expected: Vec<_> = whole.into_iter().filter(|f| f.figure.is_notable()).collect();
    assert!(!expected.is_empty());
    assert_eq!(found, expected);
    let nobody =
        FindingsQuery { actor: ActorId::parse(Role::Declarant, "NL1"), ..query(Role::Declarant) };
    assert!(insight.findings().list(&nobody).unwrap().findings.is_empty());
}

#[test]
fn a_damaged_day_is_told_by_name() {
    let (world, insight) = world();
    let folder = world.folder.path().join("days");
    let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    for at in [0, 20, 60, bytes.len() / 2, bytes.len() - 1] {
        bytes[at] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        let error = Role::ALL.into_iter().find_map(|role| {
            let query = FindingsQuery { page_size: 5_000, ..query(role) };
            insight.findings().list(&query).err()
        });
        match error {
            Some(InsightError::Damaged { path, .. }) => assert_eq!(path, file, "{at}"),
            other => panic!("{at}: {other:?}"),
        }
        bytes[at] ^= 1;
    }
}
