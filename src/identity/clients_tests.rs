#![allow(clippy::unwrap_used)]
use super::*;

fn parse(text: &str) -> Result<Clients, String> {
    Clients::parse(text, Path::new("clients.toml")).map_err(|error| error.to_string())
}

const LOTUSBAY: &str = r#"
[[client]]
name = "lotusbay"
roles = ["declarant", "analyst"]
eoris = ["NL810000003", "NL810000004"]
certificates = [{ CN = "lotusbay", O = "Lotusbay \"Trading\" Ltd", OU = ["a", "b"] }, { "2.5.4.3" = "old" }]
"#;

#[test]
fn a_client_is_found_by_name_and_by_each_of_its_certificates() {
    let clients = parse(LOTUSBAY).unwrap();
    let client = clients.named("lotusbay").unwrap();
    assert_eq!(client.roles_and_eoris(), "declarant for NL810000003, NL810000004 and analyst");
    let subject = |text: &str| {
        #[derive(Deserialize)]
        struct Of {
            of: Subject,
        }
        toml::from_str::<Of>(&format!("of = {text}")).unwrap().of
    };
    // An identifier and its name are the same attribute; the order of attributes and values says nothing.
    for same in [
        r#"{ OU = ["b", "a"], CN = "lotusbay", O = 'Lotusbay "Trading" Ltd' }"#,
        r#"{ CN = "old" }"#,
    ] {
        assert!(clients.with_certificate(&subject(same)).is_some(), "{same}");
    }
    for other in [
        r#"{ CN = "lotusbay" }"#,
        r#"{ CN = "lotusbay", O = 'Lotusbay "Trading" Ltd', OU = "a" }"#,
        r#"{ CN = "lotusbay", O = 'Lotusbay "Trading" Ltd', OU = ["a", "b"], C = "NL" }"#,
        r#"{ CN = "LOTUSBAY", O = 'Lotusbay "Trading" Ltd', OU = ["a", "b"] }"#,
        r#"{ O = "old" }"#,
    ] {
        assert!(clients.with_certificate(&subject(other)).is_none(), "{other}");
    }
    // What is shown of a subject can be put into the file as it is.
    let shown = subject(r#"{ OU = ["b", "a"], CN = 'with "quotes", and, commas', "1.2.3" = "x" }"#);
    assert_eq!(subject(&shown.to_string()), shown);
}

#[test]
fn what_is_wrong_is_named() {
    let client = |rest: &str| format!("[[client]]\nname = \"a\"\n{rest}");
    for (text, told) in [
        (client("roles = []"), "client \"a\": roles is empty"),
        (client("roles = [\"declarant\"]"), "a declarant needs eoris"),
        (
            client("roles = [\"analyst\"]\neoris = [\"NL1\"]"),
            "has eoris, which are of role declarant",
        ),
        (client("roles = [\"declarant\"]\neoris = [\"nl1\"]"), "\"nl1\" is no EORI"),
        (client("roles = [\"admin\"]"), "unknown variant `admin`"),
        (client("role = [\"analyst\"]"), "unknown field `role`"),
        (
            client("roles = [\"analyst\"]\ncertificates = [{ XY = \"a\" }]"),
            "\"XY\" is no attribute",
        ),
        (client("roles = [\"analyst\"]\ncertificates = [{}]"), "needs an attribute"),
        ("[[client]]\nname = \"a b\"\nroles = [\"analyst\"]".into(), "a name has 1 to 64 letters"),
        (
            "[[client]]\nname = \"server\"\nroles = [\"analyst\"]".into(),
            "client \"server\": the audit log means somebody else",
        ),
        (format!("{LOTUSBAY}{LOTUSBAY}"), "is that of client \"lotusbay\" already"),
        (
            format!("{0}{0}", "[[client]]\nname = \"a\"\nroles = [\"analyst\"]\n"),
            "client \"a\": is there twice",
        ),
    ] {
        let error = parse(&text).unwrap_err();
        assert!(error.contains(told) && error.contains("clients.toml"), "{text}: {error}");
    }
}
